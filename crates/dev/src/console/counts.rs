//! The numbers of the page.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

/// The upper limits of the buckets of the latencies, in milliseconds; the last takes the rest.
const BUCKETS_MS: [u64; 16] =
    [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000, 3_600_000];

const MINUTE_MS: u64 = 60_000;

/// How many minutes are shown.
const N_MINUTES: u64 = 10;

/// What is counted when a delivery ends.
#[derive(Default)]
pub(super) struct Tally {
    outcomes: BTreeMap<String, u64>,
    latencies: [u64; BUCKETS_MS.len()],
    /// Requests to Xata and Clerk in the deliveries of sign-ups.
    pub(super) sign_up_calls: u64,
    /// Sign-ups that are answered 2xx.
    pub(super) sign_ups: u64,
    minutes: VecDeque<Minute>,
}

/// How deliveries ended within a minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Minute {
    at: u64,
    ok: u64,
    retry: u64,
    failed: u64,
}

/// What follows after a delivery.
#[derive(Clone, Copy)]
pub(super) enum Next {
    Nothing,
    Retry,
    GivenUp,
}

/// What the stand-ins have.
#[derive(Clone, Default, PartialEq, Serialize)]
pub(super) struct Stored {
    pub(super) users: usize,
    pub(super) databases: usize,
    pub(super) entries: usize,
    /// Users with more than one database.
    pub(super) duplicates: usize,
    pub(super) acknowledged_without_database: usize,
    pub(super) acknowledged_without_entry: usize,
}

#[derive(Clone, PartialEq, Serialize)]
pub(super) struct Counts {
    #[serde(flatten)]
    stored: Stored,
    outcomes: BTreeMap<String, u64>,
    latency: Vec<(u64, u64)>,
    calls_per_sign_up: f64,
    minutes: Vec<Minute>,
}

impl Tally {
    pub(super) fn outcome(&mut self, outcome: &str) {
        match self.outcomes.get_mut(outcome) {
            Some(n) => *n += 1,
            None => drop(self.outcomes.insert(outcome.to_owned(), 1)),
        }
    }

    pub(super) fn latency(&mut self, took_ms: u64) {
        let bucket = BUCKETS_MS.iter().position(|upper| took_ms <= *upper);
        self.latencies[bucket.unwrap_or(BUCKETS_MS.len() - 1)] += 1;
    }

    pub(super) fn ended(&mut self, now_ms: u64, next: Next) {
        let at = now_ms / MINUTE_MS * MINUTE_MS;
        if self.minutes.back().is_none_or(|it| it.at != at) {
            self.minutes.push_back(Minute { at, ..Minute::default() });
        }
        while self.minutes.len() > usize::try_from(N_MINUTES).unwrap_or_default() {
            self.minutes.pop_front();
        }
        if let Some(minute) = self.minutes.back_mut() {
            match next {
                Next::Nothing => minute.ok += 1,
                Next::Retry => minute.retry += 1,
                Next::GivenUp => minute.failed += 1,
            }
        }
    }

    pub(super) fn counts(&self, now_ms: u64, stored: Stored) -> Counts {
        let latest = now_ms / MINUTE_MS * MINUTE_MS;
        let minute = |back: u64| {
            let at = latest.saturating_sub(back * MINUTE_MS);
            let found = self.minutes.iter().find(|it| it.at == at).copied();
            found.unwrap_or(Minute { at, ..Minute::default() })
        };
        #[expect(clippy::cast_precision_loss, reason = "a mean of small numbers")]
        let calls_per_sign_up = match self.sign_ups {
            0 => 0.0,
            n => (self.sign_up_calls as f64 / n as f64 * 100.0).round() / 100.0,
        };
        Counts {
            stored,
            outcomes: self.outcomes.clone(),
            latency: BUCKETS_MS.into_iter().zip(self.latencies).collect(),
            calls_per_sign_up,
            minutes: (0..N_MINUTES).rev().map(minute).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ten_minutes_are_shown_with_those_in_which_nothing_ended() {
        let mut tally = Tally::default();
        tally.ended(30 * MINUTE_MS, Next::GivenUp);
        tally.ended(48 * MINUTE_MS, Next::Retry);
        tally.ended(50 * MINUTE_MS + 1, Next::Nothing);
        tally.ended(50 * MINUTE_MS + 59_999, Next::Nothing);
        let minutes = tally.counts(51 * MINUTE_MS, Stored::default()).minutes;
        let minute = |n: u64| Minute { at: n * MINUTE_MS, ..Minute::default() };
        let mut expected: Vec<_> = (42..=51).map(minute).collect();
        expected[6].retry = 1;
        expected[8].ok = 2;
        assert_eq!(minutes, expected);
    }

    #[test]
    fn a_latency_counts_in_the_bucket_whose_limit_it_does_not_exceed() {
        let mut tally = Tally::default();
        for took_ms in [0, 1, 2, 3, 60_001, u64::MAX] {
            tally.latency(took_ms);
        }
        let latency = tally.counts(0, Stored::default()).latency;
        let expected = [(1, 2), (2, 1), (5, 1), (3_600_000, 2)];
        assert_eq!(latency.into_iter().filter(|it| it.1 > 0).collect::<Vec<_>>(), expected);
    }
}

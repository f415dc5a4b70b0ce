//! The people of a world: when they sign up and leave, and when Hookdeck gets to hear of it.

use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use standin::clerk;
use standin::clock::START;

use super::scenario::one_of;
use crate::services::Api;

/// Addresses that belong to nobody who signs up, and where people there are placed.
const CLIENTS: [(&str, Home); 6] = [
    ("84.200.69.80", Home::Europe),
    ("2001:67c:2e8:22::c100:68b", Home::Europe),
    ("1.1.1.1", Home::Oceania),
    ("8.8.8.8", Home::Elsewhere),
    ("192.168.1.20", Home::Elsewhere),
    ("", Home::Elsewhere),
];

#[derive(Clone, Copy)]
enum Home {
    Europe,
    Oceania,
    Elsewhere,
}

/// What Clerk tells of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Created,
    Deleted,
}

/// A person who signs up. All times are since the beginning.
#[derive(Clone, Debug)]
pub(crate) struct SignUp {
    pub(crate) user_id: String,
    pub(crate) client_ip: &'static str,
    /// The region they must end in.
    pub(crate) region: &'static str,
    pub(crate) at: Duration,
    pub(crate) leaves_at: Option<Duration>,
    /// When Hookdeck gets `user.created`: at least once.
    pub(crate) created: Vec<Duration>,
    /// When Hookdeck gets `user.deleted`. Of somebody who stays, it is a false alarm.
    pub(crate) deleted: Vec<Duration>,
}

/// What happens at some time.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    SignUp,
    Leave,
    /// Hookdeck gets this event.
    Tell(Kind),
}

impl SignUp {
    /// Somebody who stays.
    pub(crate) fn draw(rng: &mut Rng, api: Api, at: Duration, fault_rate: f64) -> Self {
        let (client_ip, home) = *one_of(rng, &CLIENTS);
        let region = match (home, api) {
            (Home::Europe, Api::Platform) => "eu-central-1",
            (Home::Europe, Api::Lite) => "eu-west-1",
            (Home::Oceania, _) => "ap-southeast-2",
            (Home::Elsewhere, _) => "us-east-1",
        };
        let later = later(rng);
        let user_id = clerk::user_id_of(rng.u64(..), (START + at).as_secs());
        let is_sent_again = rng.f64() < fault_rate;
        let created = [at].into_iter().chain(is_sent_again.then_some(at + later)).collect();
        Self { user_id, client_ip, region, at, leaves_at: None, created, deleted: Vec::new() }
    }

    /// Has them leave, within seconds or a day. Where things go wrong, their events meet, overtake
    /// each other and come again.
    pub(crate) fn leave(&mut self, rng: &mut Rng, goes_wrong: bool) {
        let most = *one_of(rng, &[10_000, 120_000, 600_000, 700_000, 3_600_000, 86_400_000]);
        let mut at = self.at + Duration::from_millis(rng.u64(0..most));
        let within_seconds = Duration::from_millis(rng.u64(0..3_000));
        if let Some(copy) = self.created.get(1).filter(|_| rng.bool()) {
            at = *copy + within_seconds; // while a delivery of the sign-up is under way
        }
        let told = at + Duration::from_millis(*one_of(rng, &[0, 0, 50, 2_000, 60_000, 600_000]));
        self.leaves_at = Some(at);
        self.deleted = vec![told];
        if !goes_wrong {
            return;
        }
        if rng.u8(..4) == 0 {
            self.deleted.push(told + later(rng));
        }
        if rng.u8(..5) == 0 {
            self.created[0] = told + later(rng);
        }
        if rng.bool() {
            self.created.push(told + later(rng));
        }
    }

    /// Has Hookdeck told that they left, though they stay.
    pub(crate) fn raise_false_alarm(&mut self, rng: &mut Rng) {
        self.deleted = vec![self.at + later(rng)];
    }

    /// What happens, and when.
    pub(crate) fn steps(&self) -> impl Iterator<Item = (Duration, Step)> {
        let told = |kind| move |&at: &Duration| (at, Step::Tell(kind));
        [(self.at, Step::SignUp)]
            .into_iter()
            .chain(self.leaves_at.map(|at| (at, Step::Leave)))
            .chain(self.created.iter().map(told(Kind::Created)))
            .chain(self.deleted.iter().map(told(Kind::Deleted)))
    }

    /// When an event of this kind says that it happened.
    pub(crate) fn happened(&self, kind: Kind) -> Duration {
        match kind {
            Kind::Created => self.at,
            Kind::Deleted => self.leaves_at.or(self.deleted.first().copied()).unwrap_or_default(),
        }
    }

    /// The user as Clerk stores it.
    pub(crate) fn at_clerk(&self) -> clerk::SignUp {
        clerk::SignUp {
            client_ip: Some(self.client_ip.to_owned()),
            timestamp_ms: timestamp_ms(self.at),
            ..clerk::SignUp::new(&self.user_id)
        }
    }

    pub(crate) fn event(&self, kind: Kind) -> Bytes {
        let body = match kind {
            Kind::Created => self.at_clerk().user_created(),
            Kind::Deleted => self.at_clerk().user_deleted(timestamp_ms(self.happened(kind))),
        };
        body.into()
    }

    /// How many events were sent more than once.
    pub(crate) fn n_sent_again(&self) -> usize {
        self.created.len() - 1 + self.deleted.len().saturating_sub(1)
    }

    /// Hookdeck heard that they left before it heard of them.
    pub(crate) fn is_overtaken(&self) -> bool {
        self.deleted.iter().min().is_some_and(|at| self.created.iter().all(|it| it > at))
    }
}

/// How much later an event comes again.
fn later(rng: &mut Rng) -> Duration {
    Duration::from_secs(*one_of(rng, &[0, 0, 2, 60, 600, 90_000]))
}

fn timestamp_ms(since_start: Duration) -> u64 {
    u64::try_from((START + since_start).as_millis()).unwrap_or(u64::MAX)
}

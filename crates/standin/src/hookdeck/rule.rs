//! When there is another attempt (docs/vendors/hookdeck.md, "Retries and Retry-After" and "Status lists").

use std::time::Duration;

use crate::clock;

/// No event is tried again by itself more often than this.
const MOST_RETRIES: u32 = 50;
const FURTHEST: Duration = Duration::from_hours(168);

/// A connection's rule of type `retry`.
#[derive(Clone, Debug)]
pub struct RetryRule {
    /// How the delays grow.
    pub strategy: Strategy,
    /// The first delay.
    pub interval: Duration,
    /// How many automatic retries; one more attempt than that. Deferrals by `Retry-After` count too.
    pub count: u32,
    /// The statuses to retry: `500`, `500-599`, `>=500`, `!501`. The last entry that matches decides.
    /// A list of exclusions only matches everything else, 2xx included. Without a list: every non-2xx.
    pub response_status_codes: Option<Vec<String>>,
}

impl Default for RetryRule {
    /// The rule that the product's setup makes: exponential from 30 s, 10 times.
    fn default() -> Self {
        Self {
            strategy: Strategy::Exponential,
            interval: Duration::from_secs(30),
            count: 10,
            response_status_codes: None,
        }
    }
}

/// How the delays of a rule grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// Every delay is the interval.
    Linear,
    /// Each delay is twice the one before.
    Exponential,
}

impl RetryRule {
    /// The delay before the `n`th retry, from 1, if there is one.
    pub(super) fn delay(&self, n: u32) -> Option<Duration> {
        if n > self.most_retries() {
            return None;
        }
        Some(match self.strategy {
            Strategy::Linear => self.interval,
            Strategy::Exponential => {
                self.interval.saturating_mul(2_u32.saturating_pow(n.saturating_sub(1)))
            }
        })
    }

    fn most_retries(&self) -> u32 {
        self.count.min(MOST_RETRIES)
    }

    fn covers(&self, status: u16) -> bool {
        let Some(entries) = &self.response_status_codes else {
            return !is_success(status);
        };
        let only_exclusions = entries.iter().all(|entry| entry.starts_with('!'));
        entries
            .iter()
            .rev()
            .find_map(|entry| match entry.strip_prefix('!') {
                Some(excluded) => matches(excluded, status).then_some(false),
                None => matches(entry, status).then_some(true),
            })
            .unwrap_or(only_exclusions)
    }
}

/// An entry that cannot be read matches nothing.
fn matches(entry: &str, status: u16) -> bool {
    let number = |text: &str| text.parse::<u16>().ok();
    if let Some((low, high)) = entry.split_once('-') {
        return number(low).is_some_and(|low| low <= status)
            && number(high).is_some_and(|high| status <= high);
    }
    let bound = entry.trim_start_matches(['<', '>', '=']);
    let operator = &entry[..entry.len() - bound.len()];
    number(bound).is_some_and(|bound| match operator {
        "" | "=" | "==" => status == bound,
        ">" => status > bound,
        ">=" => status >= bound,
        "<" => status < bound,
        "<=" => status <= bound,
        _ => false,
    })
}

/// What a destination's `Retry-After` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RetryAfter {
    /// No further automatic retry.
    Never,
    /// The next attempt after this time.
    In(Duration),
}

impl RetryAfter {
    /// Reads the header; garbage is no header. `now` is the time since the Unix epoch.
    pub(super) fn read(value: &str, now: Duration) -> Option<Self> {
        let value = value.trim();
        if value == "-1" {
            return Some(Self::Never);
        }
        let asked = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
            Duration::from_secs(value.parse().unwrap_or(u64::MAX))
        } else {
            clock::parse_date(value)?.saturating_sub(now)
        };
        Some(Self::In(asked.min(FURTHEST)))
    }
}

pub(super) fn is_success(status: u16) -> bool {
    (200..300).contains(&status)
}

/// The delay before the next automatic attempt, or none.
/// `n_retries` automatic retries have been made or scheduled; no `status` is a timeout or a broken connection.
pub(super) fn next_delay(
    rule: Option<&RetryRule>,
    retries_without_status: bool,
    n_retries: u32,
    status: Option<u16>,
    retry_after: Option<RetryAfter>,
) -> Option<Duration> {
    // What `Retry-After` does on a success is unknown; here nothing.
    if !status.is_some_and(is_success) {
        let most_retries = rule.map_or(MOST_RETRIES, RetryRule::most_retries);
        match retry_after {
            Some(RetryAfter::Never) => return None,
            Some(RetryAfter::In(delay)) => return (n_retries < most_retries).then_some(delay),
            None => {}
        }
    }
    let rule = rule?;
    let is_covered = match status {
        Some(status) => rule.covers(status),
        None => rule.response_status_codes.is_none() || retries_without_status,
    };
    rule.delay(n_retries + 1).filter(|_| is_covered)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covered(entries: &[&str], status: u16) -> bool {
        let entries = entries.iter().map(ToString::to_string).collect();
        let rule = RetryRule { response_status_codes: Some(entries), ..RetryRule::default() };
        rule.covers(status)
    }

    #[test]
    fn the_last_entry_that_matches_decides() {
        assert!(!covered(&["500", "!500"], 500));
        assert!(covered(&["!500", "500"], 500));
        assert!(!covered(&[">=300", "!410", "!413"], 410));
        assert!(covered(&[">=300", "!410", "!413"], 500));
        assert!(!covered(&[">=300", "!410", "!413"], 200));
    }

    #[test]
    fn a_list_of_exclusions_only_covers_even_a_success() {
        assert!(covered(&["!410", "!413"], 200));
        assert!(!covered(&["!410", "!413"], 413));
    }

    #[test]
    fn every_form_of_entry_is_read() {
        for (entry, inside, outside) in [
            ("429", 429, 430),
            ("500-599", 599, 600),
            (">499", 500, 499),
            (">=500", 500, 499),
            ("<300", 299, 300),
            ("<=300", 300, 301),
        ] {
            assert!(covered(&[entry], inside), "{entry} {inside}");
            assert!(!covered(&[entry], outside), "{entry} {outside}");
        }
        assert!(!covered(&["teapot"], 418));
    }

    #[test]
    fn retry_after_is_seconds_a_date_or_minus_one() {
        let now = clock::START;
        let seconds = |seconds| Some(RetryAfter::In(Duration::from_secs(seconds)));
        let in_a_minute = now + Duration::from_mins(1);
        for (value, expected) in [
            ("-1", Some(RetryAfter::Never)),
            ("0", seconds(0)),
            (" 5 ", seconds(5)),
            (clock::http_date(in_a_minute).as_str(), seconds(60)),
            (clock::rfc3339(in_a_minute).as_str(), seconds(60)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", seconds(0)),
            ("604800", seconds(604_800)),
            ("604801", seconds(604_800)),
            ("99999999999999999999999", seconds(604_800)),
            ("-2", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(RetryAfter::read(value, now), expected, "{value:?}");
        }
    }

    #[test]
    fn delays_double_or_stay_and_end_after_the_count() {
        let rule = RetryRule { count: 3, ..RetryRule::default() };
        let seconds = |rule: &RetryRule| -> Vec<u64> {
            (1..=4).filter_map(|n| Some(rule.delay(n)?.as_secs())).collect()
        };
        assert_eq!(seconds(&rule), [30, 60, 120]);
        let linear = RetryRule { strategy: Strategy::Linear, ..rule };
        assert_eq!(seconds(&linear), [30, 30, 30]);
    }

    #[test]
    fn a_failure_without_status_is_retried_unless_the_list_and_the_switch_say_no() {
        let open = RetryRule::default();
        let listed =
            RetryRule { response_status_codes: Some(vec![">=500".into()]), ..RetryRule::default() };
        let retried = |rule, switch| next_delay(Some(rule), switch, 0, None, None).is_some();
        assert!(retried(&open, false));
        assert!(retried(&listed, true));
        assert!(!retried(&listed, false));
    }
}

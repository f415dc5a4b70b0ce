//! The delivery policy of Hookdeck's destination.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::Serialize;

/// How fast Hookdeck delivers; its JSON is Hookdeck's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct DeliveryPolicy {
    /// At least 1.
    pub rate: u32,
    /// What the rate counts.
    pub period: Period,
}

/// What a rate counts: deliveries in a time, or open ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, strum::Display, strum::EnumString)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
#[expect(missing_docs, reason = "the words of Hookdeck's API")]
pub enum Period {
    Second,
    Minute,
    Hour,
    Concurrent,
}

impl DeliveryPolicy {
    /// Two open deliveries; docs/reliability.md gives the reason.
    pub const DEFAULT: Self = Self { rate: 2, period: Period::Concurrent };

    /// How many deliveries may be open.
    pub fn concurrency(self) -> Option<usize> {
        (self.period == Period::Concurrent).then_some(self.rate as usize)
    }

    /// The time between two deliveries. Hookdeck spreads those of a period evenly.
    pub fn spacing(self) -> Option<Duration> {
        let seconds = match self.period {
            Period::Second => 1,
            Period::Minute => 60,
            Period::Hour => 3600,
            Period::Concurrent => return None,
        };
        Some(Duration::from_secs(seconds) / self.rate)
    }
}

impl FromStr for DeliveryPolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once('/').and_then(|(rate, period)| {
            let rate = rate.parse().ok().filter(|rate| *rate > 0)?;
            Some(Self { rate, period: period.parse().ok()? })
        });
        parsed.ok_or_else(|| "must be like 2/concurrent, 5/second, 100/minute or 500/hour".into())
    }
}

impl fmt::Display for DeliveryPolicy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.rate, self.period)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_policy_is_a_rate_and_a_period() {
        let parsed = |text: &str| text.parse::<DeliveryPolicy>();
        let hourly = parsed("500/hour").expect("it is one");
        assert_eq!(hourly.spacing(), Some(Duration::from_millis(7_200)));
        assert_eq!(hourly.concurrency(), None);
        let concurrent = parsed("2/concurrent").expect("it is one");
        assert_eq!((concurrent.spacing(), concurrent.concurrency()), (None, Some(2)));
        for policy in [hourly, concurrent] {
            assert_eq!(parsed(&policy.to_string()), Ok(policy));
        }
        for text in ["", "2", "0/hour", "2/day", "-1/second", "1.5/minute"] {
            assert!(parsed(text).is_err(), "{text:?}");
        }
    }
}

//! The log: JSON lines, one a delivery at `info`.
//!
//! A line holds user ids, Hookdeck ids and words of ours. What people are called, where they are
//! and what upstream wrote never reaches this room: [`Line`] has no member for it. Libraries are
//! not heard at all, because some of them print whole bodies at their finer levels.

use std::time::Duration;

use tracing::level_filters::LevelFilter;
use tracing::{Level, Subscriber, error, info, warn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, filter::Targets};

use crate::answer::{Answer, Reason};
use crate::clerk::UserId;
use crate::hookdeck;
use crate::region;

/// A subscriber that writes our lines, and nobody else's, to `writer`.
pub fn subscriber<W>(level: LevelFilter, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_target(false)
        .with_writer(writer);
    tracing_subscriber::registry()
        .with(lines.with_filter(Targets::new().with_target("per_user_db", level)))
}

/// The word for a directory entry that is as it should be.
pub const WRITTEN: Reason = "written";

/// What is known of one delivery when it is answered.
#[derive(Debug, Default)]
pub struct Line {
    /// Hookdeck's words about the delivery; none before its signature is verified.
    pub delivery: Option<hookdeck::Delivery>,
    /// The user it concerns.
    pub user_id: Option<UserId>,
    /// Time since the event happened, by Clerk's clock and ours.
    pub event_age: Option<Duration>,
    /// Where the database belongs, and why.
    pub decision: Option<region::Decision>,
    /// More than the answer tells: why a delivery is refused.
    pub detail: Option<Reason>,
    /// What is wrong with Clerk's own signature, where it is checked.
    pub svix: Option<Reason>,
    /// The HTTP status with which Xata or Clerk refused; the reason says which.
    pub upstream_status: Option<u16>,
    /// What became of the directory entry at Clerk's: [`WRITTEN`], or what was in the way.
    pub directory: Option<Reason>,
    /// The region in which the database was really made, when that is not where it belongs.
    pub wrong_region: Option<region::Region>,
}

impl Line {
    /// Writes the line: at `error` when someone must look, at `warn` when a retry will mend it or the
    /// application was not told, else at `info`.
    pub fn write(&self, answer: &Answer, took: Duration) {
        let outcome: &str = answer.into();
        let delivery = self.delivery.as_ref();
        let decision = self.decision.as_ref();
        macro_rules! line {
            ($level:ident) => {
                $level!(
                    status = answer.status(),
                    outcome = outcome,
                    reason = answer.reason(),
                    user_id = self.user_id.as_ref().map(UserId::as_str),
                    event_id = delivery
                        .and_then(|delivery| delivery.event_id.as_ref())
                        .map(tracing::field::display),
                    attempt = delivery.map(|delivery| delivery.attempt),
                    trigger = delivery.and_then(|it| it.trigger).map(<&str>::from),
                    last_attempt = self.is_lost(answer).then_some(true),
                    event_age_s = self.event_age.map(|age| age.as_secs()),
                    region = decision.map(|decision| decision.placement.region.as_str()),
                    placement = decision.map(|decision| <&str>::from(decision.placement.reason)),
                    address = decision.map(|decision| decision.address.word()),
                    preference_rejected =
                        decision.filter(|it| it.preference_rejected).map(|_| true),
                    detail = self.detail,
                    svix = self.svix,
                    upstream_status = self.upstream_status,
                    directory = self.directory,
                    wrong_region = self.wrong_region.as_ref().map(region::Region::as_str),
                    duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
                    "delivery {outcome}",
                )
            };
        }
        match self.level(answer) {
            Level::ERROR => line!(error),
            Level::WARN => line!(warn),
            _ => line!(info),
        }
    }

    /// Whether Hookdeck gives the event up after this answer.
    fn is_lost(&self, answer: &Answer) -> bool {
        let is_last =
            |it: &hookdeck::Delivery| it.is_automatic() && (it.is_last || answer.stops_retries());
        answer.status() != 200 && self.delivery.as_ref().is_some_and(is_last)
    }

    fn level(&self, answer: &Answer) -> Level {
        match answer {
            _ if self.is_lost(answer) => Level::ERROR,
            Answer::Misconfigured(_) => Level::ERROR,
            Answer::Created { .. } if self.wrong_region.is_some() => Level::ERROR,
            Answer::Unavailable { .. } | Answer::Invalid(_) | Answer::TooLarge => Level::WARN,
            _ if self.directory.is_some_and(|word| word != WRITTEN) => Level::WARN,
            _ => Level::INFO,
        }
    }
}

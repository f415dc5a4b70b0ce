//! What one delivery leaves: a line in the log, and the metrics beside it.
//!
//! A line holds user ids, Hookdeck ids and words of ours. What people are called, where they are
//! and what upstream wrote never reaches this room: [`Line`] has no member for it.
//!
//! `CloudWatch` reads metrics from lines of their own (embedded metric format 0): there is no agent
//! and no call. A level that hides a delivery's line leaves its metrics.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tracing::Level;

use crate::answer::{Answer, Reason};
use crate::clerk::UserId;
use crate::hookdeck;
use crate::provision::Calls;
use crate::region;
use crate::xata::Certainty;

/// Where metrics go.
pub struct Metrics {
    /// The function's name, by which they are told from others'.
    function: String,
    write: Box<dyn Fn(&str) + Send + Sync>,
}

impl Metrics {
    /// Hands whole lines to `write`, with the newline.
    pub fn new(function: String, write: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self { function, write: Box::new(write) }
    }
}

/// The word for a directory entry that is as it should be.
pub const WRITTEN: Reason = "written";

/// The ids by which AWS knows an invocation.
#[derive(Debug, Default, Clone)]
pub struct Ids {
    /// Lambda's, which its own lines carry, too.
    pub request_id: Option<String>,
    /// X-Ray's.
    pub trace_id: Option<String>,
}

/// What is known of one delivery when it is answered.
#[derive(Debug, Default)]
pub struct Line {
    /// AWS's ids.
    pub ids: Ids,
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
    /// What became of reading the secrets again: `renewed`, `unreadable` or `unusable`.
    pub secrets: Option<Reason>,
    /// The region in which the database was really made, when that is not where it belongs.
    pub wrong_region: Option<region::Region>,
    /// What Xata was asked.
    pub calls: Calls,
}

/// Every metric, with its unit. The alarms and the dashboard of `template.yaml` are made of these.
pub const METRICS: [(&str, &str); 10] = [
    ("Deliveries", "Count"),
    ("SignatureFailures", "Count"),
    ("Misconfigured", "Count"),
    ("LastAttemptFailed", "Count"),
    ("DirectoryEntryFailed", "Count"),
    ("TimeToDatabase", "Milliseconds"),
    ("XataCallsDone", "Count"),
    ("XataCallsRefused", "Count"),
    ("XataCallsUnclear", "Count"),
    ("XataLatency", "Milliseconds"),
];

/// What the metrics of all functions are found under.
pub const NAMESPACE: &str = "PerUserDb";

/// An event whose level is not known before it happens.
macro_rules! log_at {
    ($level:expr, $($event:tt)+) => {
        match $level {
            Level::ERROR => tracing::error!($($event)+),
            Level::WARN => tracing::warn!($($event)+),
            _ => tracing::info!($($event)+),
        }
    };
}

impl Line {
    /// Logs the line: at `error` when someone must look, at `warn` when a retry will mend it or the
    /// application was not told, else at `info`.
    pub fn log(&self, answer: &Answer, took: Duration) {
        let outcome: &str = answer.into();
        let delivery = self.delivery.as_ref();
        let decision = self.decision.as_ref();
        log_at!(
            self.level(answer),
            status = answer.status(),
            outcome,
            reason = answer.reason(),
            user_id = self.user_id.as_ref().map(UserId::as_str),
            event_id = delivery.and_then(|it| it.event_id.as_ref()).map(display),
            attempt = delivery.map(|it| it.attempt),
            trigger = delivery.and_then(|it| it.trigger).map(<&str>::from),
            last_attempt = self.is_lost(answer).then_some(true),
            event_age_s = self.event_age.map(|age| age.as_secs()),
            region = decision.map(|it| it.placement.region.as_str()),
            placement = decision.map(|it| <&str>::from(it.placement.reason)),
            address = decision.map(|it| it.address.word()),
            preference_rejected = decision.filter(|it| it.preference_rejected).map(|_| true),
            detail = self.detail,
            svix = self.svix,
            upstream_status = self.upstream_status,
            directory = self.directory,
            secrets = self.secrets,
            wrong_region = self.wrong_region.as_ref().map(region::Region::as_str),
            duration_ms = milliseconds(took),
            request_id = self.ids.request_id,
            trace_id = self.ids.trace_id,
            "delivery {outcome}"
        );
    }

    /// Writes the metrics.
    pub fn measure(&self, metrics: &Metrics, now: SystemTime, answer: &Answer, took: Duration) {
        (metrics.write)(&format!("{}\n", self.metrics(&metrics.function, now, answer, took)));
    }

    /// The metrics as `CloudWatch` reads them: `_aws` says which members are metrics, and by what
    /// they are told apart.
    fn metrics(&self, function: &str, now: SystemTime, answer: &Answer, took: Duration) -> Value {
        let outcome: &str = answer.into();
        let one_if = |is_so: bool| is_so.then_some(1);
        let calls = |certainty| Some(self.calls.count(certainty)).filter(|n| *n > 0);
        let is_made = matches!(answer, Answer::Created { .. });
        let latencies: Vec<_> = self.calls.latencies().map(milliseconds).collect();
        let values = [
            json!(1),
            json!(one_if(*answer == Answer::Unauthorized)),
            json!(one_if(matches!(answer, Answer::Misconfigured(_)))),
            json!(one_if(self.is_lost(answer))),
            json!(one_if(self.directory.is_some_and(|word| word != WRITTEN))),
            json!(self.event_age.filter(|_| is_made).map(|age| milliseconds(age + took))),
            json!(calls(Certainty::Done)),
            json!(calls(Certainty::Refused)),
            json!(calls(Certainty::Unclear)),
            json!((!latencies.is_empty()).then_some(latencies)),
        ];
        let mut line = json!({ "function": function, "outcome": outcome });
        let mut directives = Vec::new();
        for ((name, unit), value) in METRICS.into_iter().zip(values) {
            if !value.is_null() {
                directives.push(json!({ "Name": name, "Unit": unit }));
                line[name] = value;
            }
        }
        line["_aws"] = json!({
            "Timestamp": milliseconds(now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()),
            "CloudWatchMetrics": [
                { "Namespace": NAMESPACE, "Dimensions": [["function"]], "Metrics": directives },
                {
                    "Namespace": NAMESPACE, "Dimensions": [["function", "outcome"]],
                    "Metrics": [{ "Name": "Deliveries", "Unit": "Count" }],
                },
            ],
        });
        line
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

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

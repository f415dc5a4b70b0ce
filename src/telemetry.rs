//! The log and the metrics.
//!
//! Each delivery leaves one line at `info` and one line of metrics. A record holds ids and words of
//! this program only: it has no member for an e-mail address, a name, an IP address or a text of
//! another service.
//!
//! `CloudWatch` reads metrics from lines in its embedded format, so there is no agent and no call. A
//! log level that hides a delivery's line leaves its metrics.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use tracing::{Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::Registry;

use crate::clerk::{IgnoreReason, UserId};
use crate::hookdeck::Delivery;
use crate::provision::{CallOutcome, EntryResult, Progress};
use crate::region::{Decision, Region};
use crate::response::{Reason, Response};

/// Opens the place that log lines are written to.
pub trait LogWriter: for<'a> MakeWriter<'a> + Send + Sync + 'static {}

impl<W: for<'a> MakeWriter<'a> + Send + Sync + 'static> LogWriter for W {}

/// A subscriber that writes this crate's events as JSON lines, from a level on. At `debug`, each
/// outgoing request adds a line with its time. Other crates are not logged, because some of them
/// print whole payloads at their finer levels.
pub fn subscriber(level: LevelFilter, writer: impl LogWriter) -> impl Subscriber + Send + Sync {
    let lines = fmt::layer()
        .json()
        .flatten_event(true)
        .with_target(false)
        .with_span_events(FmtSpan::CLOSE)
        // A closed standard output must not fail a delivery.
        .log_internal_errors(false)
        .with_writer(writer);
    let targets = Targets::new().with_target(env!("CARGO_CRATE_NAME"), level);
    Registry::default().with(lines.with_filter(targets))
}

/// Makes the subscriber that of the whole process.
///
/// # Panics
/// When the process has one already.
pub fn init(level: LevelFilter, writer: impl LogWriter) {
    let subscriber = subscriber(level, writer);
    tracing::subscriber::set_global_default(subscriber).expect("init is called once");
}

/// The ids of an invocation.
#[derive(Debug, Default, Clone)]
pub struct InvocationIds {
    /// Lambda's id, which its own lines carry, too.
    pub request_id: Option<String>,
    /// X-Ray's id.
    pub trace_id: Option<String>,
}

/// What is known about a delivery when it is answered.
#[derive(Debug, Default)]
pub struct DeliveryRecord {
    /// The ids of the invocation.
    pub ids: InvocationIds,
    /// What Hookdeck says about the delivery; none before its signature is verified.
    pub delivery: Option<Delivery>,
    /// What the headers of a delivery say whose signature is refused. Anyone can send them.
    pub unverified: Option<Delivery>,
    /// Whether `cargo ops doctor` sent it, as its user agent says.
    pub is_doctor: bool,
    /// The user.
    pub user_id: Option<UserId>,
    /// The time since the event, by Clerk's clock and this machine's.
    pub event_age: Option<Duration>,
    /// The placement of the database.
    pub decision: Option<Decision>,
    /// Why a delivery is refused. The response does not tell it.
    pub detail: Option<Reason>,
    /// Why Clerk's own signature is refused, where it is checked.
    pub svix: Option<Reason>,
    /// The HTTP status with which Xata or Clerk refused.
    pub upstream_status: Option<u16>,
    /// The result of reading the secrets again: `renewed`, `unreadable` or `unusable`.
    pub secrets: Option<Reason>,
    /// What was done at Xata and Clerk.
    pub progress: Progress,
}

/// The event macros take a constant level; here it depends on the response.
macro_rules! log_at {
    ($level:expr, $($event:tt)+) => {
        match $level {
            Level::ERROR => tracing::error!($($event)+),
            Level::WARN => tracing::warn!($($event)+),
            _ => tracing::info!($($event)+),
        }
    };
}

impl DeliveryRecord {
    /// Forgets all but the invocation, this result of reading the secrets again, and a database that
    /// was created: the delivery is handled once more.
    pub fn begin_again(&mut self, secrets: Option<Reason>) {
        let Self { ids, progress, .. } = std::mem::take(self);
        let progress = Progress { created: progress.created, ..Progress::default() };
        *self = Self { ids, secrets, progress, ..Self::default() };
    }

    /// Logs the delivery's line.
    pub fn log(&self, response: &Response, duration: Duration) {
        let outcome: &str = response.into();
        let delivery = self.delivery.as_ref().or(self.unverified.as_ref());
        let decision = self.decision.as_ref();
        log_at!(
            self.level(response),
            status = response.status(),
            outcome,
            reason = response.reason(),
            user_id = self.user_id.as_ref().map(UserId::as_str),
            event_id = delivery.and_then(|it| it.event_id.as_deref()),
            attempt = delivery.map(|it| it.attempt),
            trigger = delivery.and_then(|it| it.trigger).map(<&str>::from),
            unverified = self.unverified.as_ref().map(|_| true),
            last_attempt = self.is_lost(response).then_some(true),
            event_age_s = self.event_age.map(|age| age.as_secs()),
            region = decision.map(|it| it.placement.region.as_str()),
            placement = decision.map(|it| <&str>::from(it.placement.reason)),
            address = decision.map(|it| it.address.word()),
            preference_rejected = decision.filter(|it| it.preference_rejected).map(|_| true),
            lookup = decision.filter(|it| it.lookup_refused).map(|_| "key_refused"),
            detail = self.detail,
            doctor = self.is_doctor.then_some(true),
            svix = self.svix,
            upstream_status = self.upstream_status,
            directory = self.directory(),
            secrets = self.secrets,
            wrong_region = self.wrong_region().map(Region::as_str),
            duration_ms = milliseconds(duration),
            request_id = self.ids.request_id,
            trace_id = self.ids.trace_id,
            "delivery {outcome}"
        );
    }

    /// An operator has to act on an error; a retry mends a warning, or a user is served otherwise
    /// than the settings say.
    fn level(&self, response: &Response) -> Level {
        match response {
            _ if self.is_lost(response) => Level::ERROR,
            Response::Misconfigured { .. } => Level::ERROR,
            _ if self.wrong_region().is_some() => Level::ERROR,
            Response::Unavailable { .. } | Response::Invalid { .. } | Response::TooLarge => {
                Level::WARN
            }
            _ if self.progress.entry == Some(EntryResult::UserGone) => Level::WARN,
            _ if is_foreign(response) => Level::WARN,
            _ if self
                .decision
                .as_ref()
                .is_some_and(|it| it.lookup_refused || it.preference_rejected) =>
            {
                Level::WARN
            }
            _ => Level::INFO,
        }
    }

    /// Whether Hookdeck gives the event up after this response.
    fn is_lost(&self, response: &Response) -> bool {
        let is_last = |it: &Delivery| it.is_automatic() && (it.is_last || response.stops_retries());
        response.status() != 200 && self.delivery.as_ref().is_some_and(is_last)
    }

    /// The result of writing the directory entry.
    fn directory(&self) -> Option<Reason> {
        Some(match self.progress.entry? {
            EntryResult::Written => "written",
            EntryResult::Unchanged => "unchanged",
            EntryResult::UserGone => IgnoreReason::UserGone.into(),
            EntryResult::Failed(kind) => kind.into(),
        })
    }

    /// The region in which Xata created the database, where it is not the placement's.
    fn wrong_region(&self) -> Option<&Region> {
        let placed = &self.decision.as_ref()?.placement.region;
        self.progress.created.as_ref().map(|it| &it.region).filter(|region| *region != placed)
    }
}

/// Whether an event is ignored because of its instance.
fn is_foreign(response: &Response) -> bool {
    response.reason() == Some(IgnoreReason::ForeignInstance.into())
}

/// The metrics' namespace.
pub const NAMESPACE: &str = "PerUserDb";

/// The metrics and their units. The alarms and the dashboard of `template.yaml` use them.
pub const METRICS: [(&str, &str); 11] = [
    ("Deliveries", "Count"),
    ("SignatureFailures", "Count"),
    ("Misconfigured", "Count"),
    ("LastAttemptFailed", "Count"),
    ("ForeignInstance", "Count"),
    ("DirectoryEntryFailed", "Count"),
    ("TimeToDatabase", "Milliseconds"),
    ("XataCallsDone", "Count"),
    ("XataCallsRefused", "Count"),
    ("XataCallsUnclear", "Count"),
    ("XataLatency", "Milliseconds"),
];

/// Writes the metrics of deliveries.
pub struct Metrics {
    /// The function's name, a dimension.
    function: String,
    write: Box<dyn Fn(&str) + Send + Sync>,
}

impl Metrics {
    /// Passes whole lines to `write`, each with its line break.
    pub fn new(function: String, write: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self { function, write: Box::new(write) }
    }

    /// Writes the metrics of a delivery.
    pub fn write(
        &self,
        record: &DeliveryRecord,
        response: &Response,
        duration: Duration,
        now: SystemTime,
    ) {
        let given = METRICS.into_iter().zip(values(record, response, duration));
        let given =
            given.filter_map(|((name, unit), value)| Some((Metric { name, unit }, (name, value?))));
        let (metrics, values) = given.unzip();
        let since_epoch = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let line = Line {
            function: &self.function,
            outcome: response.into(),
            values,
            metadata: Metadata {
                timestamp: milliseconds(since_epoch),
                cloud_watch_metrics: [
                    Directive { namespace: NAMESPACE, dimensions: [&["function"]], metrics },
                    Directive {
                        namespace: NAMESPACE,
                        dimensions: [&["function", "outcome"]],
                        metrics: vec![Metric { name: "Deliveries", unit: "Count" }],
                    },
                ],
            },
        };
        if let Ok(mut line) = serde_json::to_string(&line) {
            line.push('\n');
            (self.write)(&line);
        }
    }
}

/// The values of [`METRICS`], in its order; none where a delivery has none.
fn values(
    record: &DeliveryRecord,
    response: &Response,
    duration: Duration,
) -> [Option<MetricValue>; METRICS.len()] {
    let one_if = |is_so: bool| is_so.then_some(MetricValue::One(1));
    let calls = &record.progress.calls.0;
    let count = |outcome| {
        let count = calls.iter().filter(|(it, _)| *it == outcome).count() as u64;
        (count > 0).then_some(MetricValue::One(count))
    };
    let latencies = || calls.iter().map(|(_, latency)| milliseconds(*latency)).collect();
    let is_created = matches!(response, Response::Created { .. });
    let time_to_database = record.event_age.filter(|_| is_created).map(|age| age + duration);
    [
        one_if(true),
        one_if(*response == Response::Unauthorized && !record.is_doctor),
        one_if(matches!(response, Response::Misconfigured { .. })),
        one_if(record.is_lost(response)),
        one_if(is_foreign(response)),
        one_if(matches!(record.progress.entry, Some(EntryResult::Failed(_)))),
        time_to_database.map(|it| MetricValue::One(milliseconds(it))),
        count(CallOutcome::Done),
        count(CallOutcome::Refused),
        count(CallOutcome::Unclear),
        (!calls.is_empty()).then(|| MetricValue::Many(latencies())),
    ]
}

#[derive(Serialize)]
#[serde(untagged)]
enum MetricValue {
    One(u64),
    Many(Vec<u64>),
}

/// A line in the embedded format, version 0: `_aws` says which members are metrics and dimensions.
#[derive(Serialize)]
struct Line<'a> {
    function: &'a str,
    outcome: &'a str,
    #[serde(flatten)]
    values: BTreeMap<&'a str, MetricValue>,
    #[serde(rename = "_aws")]
    metadata: Metadata,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata {
    timestamp: u64,
    cloud_watch_metrics: [Directive; 2],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Directive {
    namespace: &'static str,
    dimensions: [&'static [&'static str]; 1],
    metrics: Vec<Metric>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metric {
    name: &'static str,
    unit: &'static str,
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

//! The settings of source, connection and destination.

use std::time::Duration;

use serde_json::Value;

use super::filter::matches;
use super::rule::RetryRule;
use crate::clock::Clock;

/// A source, a destination and the rules between them.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The connection's name.
    pub name: String,
    /// The source's name.
    pub source_name: String,
    /// The destination's name.
    pub destination_name: String,
    /// Path and query of every delivery.
    pub path: String,
    /// The project's signing secret.
    pub secret: String,
    /// The secret before it, while the secret is being rotated: Hookdeck sends a second signature then.
    pub previous_secret: Option<String>,
    /// Begins the name of every header of Hookdeck's own but `idempotency-key`.
    pub header_prefix: String,
    /// The `body` of the filter rule: an event that does not match is never delivered.
    pub filter: Option<Value>,
    /// Whether the source's verification passed.
    pub verified: bool,
    /// When to retry; without a rule only `Retry-After` and manual retries do.
    pub retry: Option<RetryRule>,
    /// Whether a failure without a status is tried again under a rule that lists statuses.
    /// Unknown of the real service (docs/vendors/hookdeck.md, "Status lists").
    pub retries_without_status: bool,
    /// How `will-retry-after` says that there is no further automatic retry.
    pub last_retry_header: LastRetryHeader,
    /// How long a delivery may take.
    pub delivery_timeout: Duration,
    /// How many deliveries may be open at a time; the others wait. Read when the engine is made.
    pub concurrency: Option<usize>,
    /// The time between the starts of two deliveries, at least; the others wait. A rate of the destination is spread
    /// evenly, and so is the project's throughput: the longer of the two. Not divided by the time scale.
    pub spacing: Duration,
    /// Divides every delay and timeout: with 100, a schedule of 30 s runs in 0.3 s. Above 0.
    pub time_scale: f64,
    /// The wall clock that dates in `Retry-After` are compared with. Read when the engine is made.
    pub clock: Clock,
}

impl Default for Connection {
    fn default() -> Self {
        Self {
            name: "clerk-user-created".into(),
            source_name: "clerk".into(),
            destination_name: "xata-lambda".into(),
            path: "/".into(),
            secret: "hookdeck-signing-secret".into(),
            previous_secret: None,
            header_prefix: "x-hookdeck".into(),
            filter: None,
            verified: true,
            retry: Some(RetryRule::default()),
            retries_without_status: true,
            last_retry_header: LastRetryHeader::Empty,
            delivery_timeout: Duration::from_mins(1),
            concurrency: None,
            spacing: Duration::ZERO,
            time_scale: 1.0,
            clock: Clock::start(),
        }
    }
}

impl Connection {
    /// Whether the filter lets this body through. What is not JSON has no members to match.
    pub(super) fn wants(&self, body: &[u8]) -> bool {
        let Some(filter) = &self.filter else { return true };
        serde_json::from_slice(body).is_ok_and(|body| matches(filter, &body))
    }
}

/// What `will-retry-after` looks like on the last automatic attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastRetryHeader {
    /// Present without a value, as observed.
    Empty,
    /// Absent, as documented.
    Omitted,
}

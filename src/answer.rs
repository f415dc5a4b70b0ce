//! The only statuses we can send, and what Hookdeck makes of each.
//!
//! Hookdeck treats 2xx as done and everything else as a failure to retry, unless `Retry-After: -1`
//! says that a retry of the same bytes can never succeed (`contracts/hookdeck.md` section 3,
//! restated in `docs/architecture.md`).

use std::time::Duration;

use http::HeaderValue;
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpResponse;
use serde_json::{Value, json};
use strum::IntoStaticStr;

use crate::region::Placement;
use crate::xata::Database;

/// One stable `snake_case` word that says why; the README lists them.
pub type Reason = &'static str;

/// What we reply to one delivery.
#[derive(Debug, Clone, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Answer {
    /// The database was made by this delivery; Xata accepted it, its credentials may take seconds.
    Created {
        /// What Xata says it made.
        database: Database,
        /// Where we asked for it, and why there.
        placement: Placement,
    },
    /// It was there already.
    Exists,
    /// The user is gone; the database stays.
    Retained,
    /// The user is gone; the database is renamed and asleep.
    Parked,
    /// The user is gone, and the database with them.
    Removed,
    /// The user is gone, and there is no database of theirs.
    Gone,
    /// Nothing to do.
    Ignored(Reason),
    /// Not shown to come from our Hookdeck project. The same bytes whatever the cause.
    Unauthorized,
    /// Genuine, but bytes that we can never handle.
    Invalid(Reason),
    /// A body beyond the limit.
    TooLarge,
    /// No such path. Retryable, because a mistyped destination URL must not kill stored events.
    NotFound,
    /// Only POST is served. Retryable for the same reason.
    MethodNotAllowed,
    /// Upstream is slow, failing, busy or limiting, or our time is up.
    Unavailable {
        /// What is wrong.
        reason: Reason,
        /// When to come back; without it Hookdeck's own growing schedule decides.
        retry_after: Option<RetryAfter>,
    },
    /// Our settings are refused upstream; a person has to look.
    Misconfigured(Reason),
}

/// Seconds that Hookdeck should wait, 1 to 3600.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryAfter(u64);

impl From<Duration> for RetryAfter {
    /// Rounds up: whoever comes back too early is sent away once more.
    fn from(wait: Duration) -> Self {
        let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0));
        Self(seconds.clamp(1, 3600))
    }
}

impl Answer {
    /// The HTTP status.
    pub fn status(&self) -> u16 {
        match self {
            Self::Created { .. }
            | Self::Exists
            | Self::Retained
            | Self::Parked
            | Self::Removed
            | Self::Gone
            | Self::Ignored(_) => 200,
            Self::Invalid(_) => 400,
            Self::Unauthorized => 401,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::TooLarge => 413,
            Self::Misconfigured(_) => 500,
            Self::Unavailable { .. } => 503,
        }
    }

    /// The word in the body's `reason`, for the answers that have one.
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Self::Ignored(reason)
            | Self::Invalid(reason)
            | Self::Misconfigured(reason)
            | Self::Unavailable { reason, .. } => Some(reason),
            _ => None,
        }
    }

    /// Whether it keeps Hookdeck from trying again.
    pub fn stops_retries(&self) -> bool {
        matches!(self, Self::Invalid(_) | Self::TooLarge)
    }

    /// The value of `Retry-After`, where we send one.
    fn retry_after(&self) -> Option<HeaderValue> {
        match self {
            _ if self.stops_retries() => Some(HeaderValue::from_static("-1")),
            Self::Unavailable { retry_after, .. } => {
                retry_after.map(|RetryAfter(seconds)| seconds.into())
            }
            _ => None,
        }
    }

    fn body(&self) -> Value {
        let mut body = json!({ "status": <&str>::from(self) });
        if let Some(reason) = self.reason() {
            body["reason"] = reason.into();
        }
        if let Self::Created { database, placement } = self {
            body["database"] =
                json!({ "name": database.name.as_str(), "region": database.region.as_str() });
            if let Some(id) = &database.id {
                body["database"]["id"] = id.as_str().into();
            }
            body["placement"] = json!({ "region": placement.region.as_str(), "reason": <&str>::from(placement.reason) });
        }
        body
    }

    /// The answer as a Function URL response, payload format 2.0.
    pub fn to_response(&self) -> ApiGatewayV2httpResponse {
        let mut response = ApiGatewayV2httpResponse::default();
        response.status_code = self.status().into();
        response.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(seconds) = self.retry_after() {
            response.headers.insert(RETRY_AFTER, seconds);
        }
        if *self == Self::MethodNotAllowed {
            response.headers.insert(ALLOW, HeaderValue::from_static("POST"));
        }
        response.body = Some(self.body().to_string().into());
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_after_is_between_a_second_and_an_hour() {
        for (asked, sent) in [(0, 1), (1, 1), (3600, 3600), (3601, 3600), (u64::MAX, 3600)] {
            assert_eq!(RetryAfter::from(Duration::from_secs(asked)), RetryAfter(sent));
        }
        assert_eq!(RetryAfter::from(Duration::from_millis(7001)), RetryAfter(8));
    }

    #[test]
    fn only_bytes_that_can_never_succeed_stop_the_retries() {
        let answers = [
            (Answer::Invalid("invalid_json"), Some("-1")),
            (Answer::TooLarge, Some("-1")),
            (Answer::Unauthorized, None),
            (Answer::NotFound, None),
            (Answer::MethodNotAllowed, None),
            (Answer::Misconfigured("access_denied"), None),
            (Answer::Unavailable { reason: "xata_error", retry_after: None }, None),
        ];
        for (answer, retry_after) in answers {
            assert_eq!(
                answer.retry_after(),
                retry_after.map(HeaderValue::from_static),
                "{answer:?}"
            );
        }
    }
}

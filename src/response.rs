//! The only responses that the function sends.
//!
//! Hookdeck takes 2xx as success and retries everything else, unless `Retry-After: -1` says that
//! the same bytes can never succeed (`docs/vendors/hookdeck.md`, "Retries and
//! Retry-After").

use std::time::Duration;

use http::HeaderValue;
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpResponse;
use serde::Serialize;
use strum::IntoStaticStr;

use crate::region::Placement;
use crate::xata::Database;

/// One stable `snake_case` word that says why; `docs/reference.md` lists them.
pub type Reason = &'static str;

/// The response to one delivery. The variant's name in `snake_case` is the `status` of its body.
#[derive(Debug, Clone, PartialEq, Eq, IntoStaticStr, Serialize)]
#[strum(serialize_all = "snake_case")]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Response {
    /// This delivery created the database. Xata has accepted it; its credentials may take seconds.
    Created {
        /// The database as Xata describes it.
        database: Database,
        /// The region that was asked for, and the reason for it.
        placement: Placement,
    },
    /// The database existed before this delivery.
    Exists,
    /// The user is deleted; the database stays.
    Retained,
    /// The user is deleted; the database is renamed and hibernated.
    Parked,
    /// The user is deleted, and so is the database.
    Removed,
    /// The user is deleted and has no database.
    Gone,
    /// Nothing to do.
    Ignored {
        /// Why.
        reason: Reason,
    },
    /// The signature of our Hookdeck project is missing or wrong. The bytes are the same for every
    /// cause.
    Unauthorized,
    /// The signature is right, but these bytes can never be handled.
    Invalid {
        /// Why.
        reason: Reason,
    },
    /// The body is larger than the limit.
    TooLarge,
    /// There is no such path. Hookdeck may retry: a mistyped destination URL must not lose events.
    NotFound,
    /// The method is not POST. Hookdeck may retry, for the same reason.
    MethodNotAllowed,
    /// Xata or Clerk is slow, failing, busy or limiting, or the time is up.
    Unavailable {
        /// Why.
        reason: Reason,
        /// When Hookdeck should retry; without it, Hookdeck's own schedule decides.
        #[serde(skip)]
        retry_after: Option<RetryAfter>,
    },
    /// Xata or Clerk refuses our settings; an operator has to act.
    Misconfigured {
        /// Why.
        reason: Reason,
    },
}

/// Seconds until Hookdeck should retry, 1 to 3600.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryAfter(u64);

impl From<Duration> for RetryAfter {
    /// Rounds up, because a retry that comes too early fails once more.
    fn from(wait: Duration) -> Self {
        let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0));
        Self(seconds.clamp(1, 3600))
    }
}

impl Response {
    /// The HTTP status.
    pub fn status(&self) -> u16 {
        match self {
            Self::Invalid { .. } => 400,
            Self::Unauthorized => 401,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::TooLarge => 413,
            Self::Misconfigured { .. } => 500,
            Self::Unavailable { .. } => 503,
            Self::Created { .. }
            | Self::Exists
            | Self::Retained
            | Self::Parked
            | Self::Removed
            | Self::Gone
            | Self::Ignored { .. } => 200,
        }
    }

    /// The body's `reason`, where there is one.
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Self::Ignored { reason }
            | Self::Invalid { reason }
            | Self::Misconfigured { reason }
            | Self::Unavailable { reason, .. } => Some(reason),
            _ => None,
        }
    }

    /// Whether Hookdeck gives the event up after this response.
    pub fn stops_retries(&self) -> bool {
        matches!(self, Self::Invalid { .. } | Self::TooLarge)
    }

    /// The value of `Retry-After`, where there is one.
    fn retry_after(&self) -> Option<HeaderValue> {
        match self {
            _ if self.stops_retries() => Some(HeaderValue::from_static("-1")),
            Self::Unavailable { retry_after, .. } => {
                retry_after.map(|RetryAfter(seconds)| seconds.into())
            }
            _ => None,
        }
    }

    /// The response in the payload format 2.0 of a Function URL.
    pub fn to_lambda(&self) -> ApiGatewayV2httpResponse {
        let mut response = ApiGatewayV2httpResponse::default();
        response.status_code = self.status().into();
        response.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(seconds) = self.retry_after() {
            response.headers.insert(RETRY_AFTER, seconds);
        }
        if *self == Self::MethodNotAllowed {
            response.headers.insert(ALLOW, HeaderValue::from_static("POST"));
        }
        response.body = serde_json::to_string(self).ok().map(Into::into);
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
    fn only_invalid_and_too_large_stop_the_retries() {
        let responses = [
            (Response::Invalid { reason: "invalid_json" }, Some("-1")),
            (Response::TooLarge, Some("-1")),
            (Response::Unauthorized, None),
            (Response::NotFound, None),
            (Response::MethodNotAllowed, None),
            (Response::Misconfigured { reason: "access_denied" }, None),
            (Response::Unavailable { reason: "xata_error", retry_after: None }, None),
        ];
        for (response, retry_after) in responses {
            assert_eq!(
                response.retry_after(),
                retry_after.map(HeaderValue::from_static),
                "{response:?}"
            );
        }
    }
}

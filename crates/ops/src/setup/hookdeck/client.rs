//! A client of Hookdeck's admin API. It retries, because the upsert of a connection may be repeated
//! (`docs/vendors/hookdeck.md`, "Upsert traps").

use std::time::Duration;

use anyhow::Result;
use http::header::RETRY_AFTER;
use http::{HeaderMap, Method, StatusCode};
use serde_json::Value;
use tokio::time::sleep;

use crate::service::{ApiError, Service};

/// The version of the API that this client is written for.
pub(super) const VERSION: &str = "2026-09-01";

/// The waits before the second, third and fourth attempt, where Hookdeck does not ask for another.
const PAUSES: [Duration; 3] =
    [Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2)];
/// Hookdeck's rate limit is per minute; a longer wait has another reason.
const MAX_PAUSE: Duration = Duration::from_secs(65);

pub(super) struct Client(pub(super) Service);

/// A request that failed, after all attempts.
pub(super) struct Failure {
    pub(super) error: ApiError,
    /// Whether any attempt may have taken effect.
    pub(super) may_have_applied: bool,
}

impl Client {
    pub(super) async fn get(&self, path: &str) -> Result<Value, ApiError> {
        self.send(Method::GET, path, None).await.map_err(|failure| failure.error)
    }

    /// Sends a request, again where that may help.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        let path = format!("/{VERSION}{path}");
        let (mut pauses, mut may_have_applied) = (PAUSES.into_iter(), false);
        loop {
            let pause = pauses.next();
            let (error, pause) = match self.0.send(method.clone(), &path, body).await {
                Ok(response) if response.status.is_success() => {
                    return serde_json::from_slice(&response.body).map_err(|_| Failure {
                        error: self.0.unreadable(),
                        may_have_applied: true,
                    });
                }
                Ok(response) => {
                    let error = self.rejection(&method, response.status);
                    let pause = pause.and_then(|pause| wait(&error, &response.headers, pause));
                    (error, pause)
                }
                Err(error) => {
                    let pause = pause.filter(|_| error.is_transient());
                    (error, pause)
                }
            };
            may_have_applied |= error.may_have_applied();
            match pause {
                Some(pause) => sleep(pause).await,
                None => return Err(Failure { error, may_have_applied }),
            }
        }
    }

    fn rejection(&self, method: &Method, status: StatusCode) -> ApiError {
        let error = self.0.rejected(status);
        match status.as_u16() {
            number @ (400 | 409 | 410 | 422) if method == Method::PUT => error.reworded(
                format!("Hookdeck does not accept the connection ({number})"),
                "check --url and the names; if they are right, its API has changed: set the \
                 differences up in its dashboard",
            ),
            _ => error,
        }
    }
}

/// How long to wait before the next attempt, if one may help.
fn wait(error: &ApiError, headers: &HeaderMap, otherwise: Duration) -> Option<Duration> {
    // A conflict is one of names, and lasts.
    if !error.is_transient() || error.status() == Some(StatusCode::CONFLICT) {
        return None;
    }
    // The value may have a fraction.
    let asked = headers.get(RETRY_AFTER).and_then(|it| it.to_str().ok()?.trim().parse().ok());
    let asked = asked.and_then(|seconds: f64| Duration::try_from_secs_f64(seconds).ok());
    Some(asked.unwrap_or(otherwise)).filter(|pause| *pause <= MAX_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::ServiceInfo;
    use secrecy::SecretString;

    #[test]
    fn a_transient_status_is_retried_after_the_wait_that_hookdeck_asks_for_up_to_a_limit() {
        let pause = Duration::from_secs(1);
        let key = SecretString::from("key");
        let service = Service::new(ServiceInfo::XATA, "https://api.example".to_owned(), &key);
        let waits = |status: u16, value: Option<&'static str>| {
            let value = value.map(|it| (RETRY_AFTER, http::HeaderValue::from_static(it)));
            let status = StatusCode::from_u16(status).expect("a status");
            wait(&service.rejected(status), &value.into_iter().collect(), pause)
        };
        assert_eq!(waits(500, None), Some(pause));
        assert_eq!(waits(429, Some("51.579")), Some(Duration::from_millis(51_579)));
        assert_eq!(waits(429, Some("3600")), None);
        for odd in ["soon", "-1", "NaN", "inf", ""] {
            assert_eq!(waits(503, Some(odd)), Some(pause), "{odd}");
        }
        for final_one in [400, 401, 404, 409, 422, 501] {
            assert_eq!(waits(final_one, Some("1")), None);
        }
    }
}

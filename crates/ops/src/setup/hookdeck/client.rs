//! Hookdeck's admin API, asked with patience: the upsert may be sent again and again (trap 6).

use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderMap, Method, StatusCode};
use per_user_db::http_client::{self, CallError};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::service::{Problem, Service};

/// The version of the API that is spoken here.
pub(crate) const VERSION: &str = "2026-09-01";

/// For one answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Before the second, the third and the fourth time, where Hookdeck does not say.
const PAUSES: [Duration; 3] =
    [Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2)];
/// Longer than that nobody waits for Hookdeck, whose limit is one of a minute (section 7).
const LONGEST_PAUSE: Duration = Duration::from_secs(65);
/// Room for a page of 255 connections.
const ANSWER_LIMIT_BYTES: usize = 4 * 1024 * 1024;

/// Hookdeck.
pub(super) struct Client(pub(super) Service);

/// A call that did not end well.
pub(super) struct Failed {
    pub(super) problem: Problem,
    /// Whether it is certain that nothing was changed.
    pub(super) is_certain: bool,
}

impl Client {
    pub(super) async fn get(&self, path: &str) -> Result<Value, Problem> {
        self.ask(Method::GET, path, None).await.map_err(|failed| failed.problem)
    }

    /// Asks, and asks again while that may help.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Failed> {
        let mut may_be_done = false;
        for pause in PAUSES.into_iter().map(Some).chain([None]) {
            let (problem, pause) = match self.ask_once(method.clone(), path, body).await {
                Ok((status, _, bytes)) if status.is_success() => {
                    return serde_json::from_slice(&bytes).map_err(|_| Failed {
                        problem: self.0.silent(CallError::Unreadable).into(),
                        is_certain: false,
                    });
                }
                Ok((status, headers, _)) => {
                    may_be_done |= !status.is_client_error();
                    (self.refusal(&method, status), pause.and_then(|it| wait(status, &headers, it)))
                }
                // Whoever is not there now will not be there in a second.
                Err(error @ CallError::Unreachable) => (self.0.silent(error).into(), None),
                Err(error) => {
                    may_be_done = true;
                    let is_passing = matches!(error, CallError::Broken | CallError::TimeUp);
                    (self.0.silent(error).into(), pause.filter(|_| is_passing))
                }
            };
            match pause {
                Some(pause) => sleep(pause).await,
                None => return Err(Failed { problem, is_certain: !may_be_done }),
            }
        }
        unreachable!("the last time has no pause after it")
    }

    async fn ask_once(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(StatusCode, HeaderMap, Vec<u8>), CallError> {
        let until = Instant::now() + PATIENCE;
        let path = format!("/{VERSION}{path}");
        let mut response = self.0.api.send(method, &path, body, until).await?;
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        let bytes = http_client::read(response, ANSWER_LIMIT_BYTES, until).await;
        // What is refused need not be read.
        let bytes = if status.is_success() { bytes? } else { bytes.unwrap_or_default() };
        Ok((status, headers, bytes))
    }

    fn refusal(&self, method: &Method, status: StatusCode) -> Problem {
        match status.as_u16() {
            number @ (400 | 409 | 410 | 422) if method == Method::PUT => Problem(format!(
                "Hookdeck does not accept the connection ({number}): check --url and the names; if \
                 they are right, its API has changed: set the differences up in its dashboard"
            )),
            _ => self.0.refused(status).into(),
        }
    }
}

/// How long to wait before asking again, if that may help.
fn wait(status: StatusCode, headers: &HeaderMap, otherwise: Duration) -> Option<Duration> {
    if ![429, 500, 502, 503, 504].contains(&status.as_u16()) {
        return None;
    }
    // It may have a fraction (section 7).
    let asked = headers.get(RETRY_AFTER).and_then(|it| it.to_str().ok()?.trim().parse().ok());
    let asked = asked.and_then(|seconds: f64| Duration::try_from_secs_f64(seconds).ok());
    Some(asked.unwrap_or(otherwise)).filter(|pause| *pause <= LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_waited_for_as_hookdeck_says_but_not_for_ever() {
        let pause = Duration::from_secs(1);
        let waits = |status: u16, value: Option<&'static str>| {
            let value = value.map(|it| (RETRY_AFTER, http::HeaderValue::from_static(it)));
            let status = StatusCode::from_u16(status).expect("a status");
            wait(status, &value.into_iter().collect(), pause)
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

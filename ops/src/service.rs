//! A service that is asked on an operator's behalf. What goes wrong is told with the service's name
//! and with what to check, and never in the service's own words.

use std::fmt;
use std::time::Duration;

use http::{Method, Response, StatusCode};
use per_user_db::http_client::api::{Answer, Api};
use per_user_db::http_client::{self, Body, CallError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;

/// For one answer; a long list takes a while.
const PATIENCE: Duration = Duration::from_secs(30);

/// An API, and how to speak of it.
pub(crate) struct Service {
    pub(crate) api: Api,
    pub(crate) url: String,
    pub(crate) words: Words,
}

/// A service's name, and the settings to check.
pub(crate) struct Words {
    pub(crate) name: &'static str,
    /// Where it is.
    pub(crate) url: &'static str,
    /// What opens it.
    pub(crate) key: &'static str,
    /// What leads nowhere, if it is wrong.
    pub(crate) path: &'static str,
}

/// What is in the way, and what to check.
#[derive(Clone, Serialize)]
#[serde(transparent)]
pub(crate) struct Problem(pub(crate) String);

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Service {
    /// Asks for a document of a few kilobytes.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Problem> {
        let answer = self.exchange(Method::GET, path, None).await?;
        if !answer.status.is_success() {
            return Err(self.refusal(answer.status));
        }
        answer.json().map_err(|error| self.silence(error))
    }

    /// Asks for a document of at most so many bytes.
    pub(crate) async fn get_long(
        &self,
        path: &str,
        limit_bytes: usize,
    ) -> Result<Vec<u8>, Problem> {
        let until = Instant::now() + PATIENCE;
        let response = self.api.send(Method::GET, path, None, until).await;
        let response: Response<Body> = response.map_err(|error| self.silence(error))?;
        if !response.status().is_success() {
            return Err(self.refusal(response.status()));
        }
        let body = http_client::read(response.into_body(), limit_bytes, until).await;
        body.map_err(|error| self.silence(error))
    }

    /// Sends a request. Without an answer, nobody knows whether it took effect.
    pub(crate) async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, Problem> {
        let answer = self.api.exchange(method, path, body, Instant::now() + PATIENCE).await;
        answer.map_err(|error| self.silence(error))
    }

    /// No answer, or none that can be read.
    pub(crate) fn silence(&self, error: CallError) -> Problem {
        let Words { name, url, .. } = self.words;
        let address = &self.url;
        Problem(match error {
            CallError::TimeUp => format!(
                "{name} at {address} did not answer within {} s: see its status",
                PATIENCE.as_secs()
            ),
            CallError::Unreachable | CallError::Broken => {
                format!(
                    "{name} at {address} cannot be reached, {error}: check {url} and the network"
                )
            }
            CallError::TooLong | CallError::Unreadable => {
                format!("{name} at {address} gave an answer that cannot be read: check {url}")
            }
        })
    }

    /// An answer other than 2xx.
    pub(crate) fn refusal(&self, status: StatusCode) -> Problem {
        let Words { name, key, path, .. } = self.words;
        let number = status.as_u16();
        Problem(match number {
            401 => format!("{name} refuses the key (401): check {key}"),
            403 => format!(
                "{name} does not let this key in (403): check {key}, its scopes, and {path}"
            ),
            404 => format!("{name} finds nothing there (404): check {path}"),
            409 | 423 | 429 => format!("{name} is busy ({number}): try again in a minute"),
            400..=499 => format!("{name} does not accept the request ({number}): check {path}"),
            _ => format!("{name} fails ({number}): see its status, and try again"),
        })
    }
}

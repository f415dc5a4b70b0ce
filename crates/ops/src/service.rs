//! A service that is asked on an operator's behalf. What goes wrong is told with the service's name
//! and with what to check, and never in the service's own words.

use std::fmt;
use std::time::Duration;

use http::{Method, StatusCode};
use per_user_db::Clock;
use per_user_db::http_client::json_api::{ApiResponse, JsonApi};
use per_user_db::http_client::{self, CallError, HttpClient};
use secrecy::SecretString;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;

/// For one answer; a long list takes a while.
const PATIENCE: Duration = Duration::from_secs(30);

/// Room for a list of a quarter of a million branches.
const DOCUMENT_LIMIT_BYTES: usize = 64 * 1024 * 1024;

/// An API, and how to speak of it.
pub(crate) struct Service {
    pub(crate) api: JsonApi,
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

impl Words {
    pub(crate) const XATA: Self = Self {
        name: "Xata",
        url: "XATA_API_URL",
        key: "XATA_API_KEY",
        path: "XATA_ORGANIZATION_ID and XATA_PROJECT_ID",
    };
    pub(crate) const LITE: Self = Self {
        name: "Xata Lite",
        url: "XATA_API_URL",
        key: "XATA_API_KEY",
        path: "XATA_WORKSPACE_SLUG or XATA_WORKSPACE_ID",
    };
    pub(crate) const CLERK: Self = Self {
        name: "Clerk",
        url: "CLERK_API_URL",
        key: "CLERK_SECRET_KEY",
        path: "CLERK_API_URL, which ends in /v1",
    };
    pub(crate) const HOOKDECK: Self = Self {
        name: "Hookdeck",
        url: "HOOKDECK_API_URL",
        key: "HOOKDECK_API_KEY",
        path: "HOOKDECK_API_URL, which ends without a version",
    };
}

/// What is in the way, and what to check.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub(crate) struct Problem(pub(crate) String);

/// Why a question has no answer.
pub(crate) struct Obstacle {
    /// Of the answer that came instead, if one came.
    pub(crate) status: Option<StatusCode>,
    pub(crate) what: String,
    pub(crate) mend: String,
}

impl Obstacle {
    /// Whether the service said no, rather than nothing or "later".
    pub(crate) fn is_refusal(&self) -> bool {
        let passes = [408, 409, 423, 429];
        self.status.is_some_and(|it| it.is_client_error() && !passes.contains(&it.as_u16()))
    }
}

impl From<Obstacle> for Problem {
    fn from(Obstacle { what, mend, .. }: Obstacle) -> Self {
        Self(format!("{what}: {mend}"))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Service {
    /// The service at this address, asked with this key.
    pub(crate) fn new(
        words: Words,
        url: String,
        key: &SecretString,
        client: HttpClient,
        clock: Clock,
    ) -> Self {
        Self { api: JsonApi::new(url.clone(), key, client, clock), url, words }
    }

    /// Asks for a document.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Obstacle> {
        let until = Instant::now() + PATIENCE;
        let response = self.api.send(Method::GET, path, None, until).await;
        let response = response.map_err(|error| self.silent(error))?;
        if !response.status().is_success() {
            return Err(self.refused(response.status()));
        }
        let body = http_client::read(response, DOCUMENT_LIMIT_BYTES, until).await;
        let body = body.map_err(|error| self.silent(error))?;
        serde_json::from_slice(&body).map_err(|_| self.silent(CallError::Unreadable))
    }

    /// Sends a request. Without an answer, nobody knows whether it took effect.
    pub(crate) async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<ApiResponse, Obstacle> {
        let answer = self.api.exchange(method, path, body, Instant::now() + PATIENCE).await;
        answer.map_err(|error| self.silent(error))
    }

    /// No answer, or none that can be read.
    pub(crate) fn silent(&self, error: CallError) -> Obstacle {
        let Words { name, url, .. } = self.words;
        let address = &self.url;
        let (what, mend) = match error {
            CallError::TimeUp => {
                let what = format!("did not answer within {} s", PATIENCE.as_secs());
                (what, "see its status".to_owned())
            }
            CallError::Unreachable | CallError::Broken => {
                (format!("cannot be reached, {error}"), format!("check {url} and the network"))
            }
            CallError::TooLong | CallError::Unreadable => {
                ("gave an answer that cannot be read".to_owned(), format!("check {url}"))
            }
        };
        Obstacle { status: None, what: format!("{name} at {address} {what}"), mend }
    }

    /// An answer other than 2xx.
    pub(crate) fn refused(&self, status: StatusCode) -> Obstacle {
        let Words { name, key, path, .. } = self.words;
        let number = status.as_u16();
        let (what, mend) = match number {
            401 => ("refuses the key", format!("check {key}")),
            403 => ("does not let this key in", format!("check {key}, its scopes, and {path}")),
            404 => ("finds nothing there", format!("check {path}")),
            409 | 423 | 429 => ("is busy", "try again in a minute".to_owned()),
            400..=499 => ("does not accept the request", format!("check {path}")),
            _ => ("fails", "see its status, and try again".to_owned()),
        };
        Obstacle { status: Some(status), what: format!("{name} {what} ({number})"), mend }
    }
}

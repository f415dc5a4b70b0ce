//! What every HTTP API of Xata's has in common: a bearer key, JSON both ways, and answers that may
//! be anything.

use std::time::Duration;

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, USER_AGENT};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::Full;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use super::{Created, Reason, Trouble};
use crate::Clock;
use crate::http_client::{self, Body, CallError, HttpClient};

/// An answer that is not a list is a few hundred bytes.
const ANSWER_LIMIT_BYTES: usize = 64 * 1024;

/// An API, asked with one key.
pub(super) struct Api {
    client: HttpClient,
    clock: Clock,
    url: String,
    authorization: HeaderValue,
}

/// An answer, read as far as it could be.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Result<Vec<u8>, Reason>,
}

impl Api {
    /// The API at `url`, which has no slash at its end.
    ///
    /// # Panics
    /// If the key cannot stand in a header, which [`settings`](crate::settings) rules out.
    pub(super) fn new(url: String, key: &SecretString, client: HttpClient, clock: Clock) -> Self {
        let mut authorization = HeaderValue::try_from(format!("Bearer {}", key.expose_secret()))
            .expect("settings take only keys of visible ASCII");
        authorization.set_sensitive(true);
        Self { client, clock, url, authorization }
    }

    /// Sends a request, its path made of path-safe ids only; none of the body is read yet.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        until: Instant,
    ) -> Result<Response<Body>, Trouble> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header(AUTHORIZATION, &self.authorization)
            .header(ACCEPT, "application/json")
            .header(USER_AGENT, http_client::USER_AGENT);
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request
            .body(Full::from(body.map(Value::to_string).unwrap_or_default()))
            .expect("the URL was parsed at start, and the ids in the path are path-safe");
        let sent = http_client::send(&self.client, request, until).await;
        sent.map_err(|error| Trouble::silent(reason(&error)))
    }

    /// Sends a request and reads the answer.
    pub(super) async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        until: Instant,
    ) -> Result<Answer, Trouble> {
        Ok(Answer::read(self.send(method, path, body, until).await?, until).await)
    }

    /// How long a header asks to wait: seconds, or a date (RFC 9110 section 10.2.3).
    pub(super) fn wait(&self, headers: &HeaderMap, name: &HeaderName) -> Option<Duration> {
        let value = headers.get(name)?.to_str().ok()?.trim();
        if let Ok(seconds) = value.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let date = httpdate::parse_http_date(value).ok()?;
        Some(date.duration_since((self.clock)()).unwrap_or_default())
    }
}

impl Answer {
    pub(super) async fn read(response: Response<Body>, until: Instant) -> Self {
        let (parts, body) = response.into_parts();
        let body = http_client::read(body, ANSWER_LIMIT_BYTES, until).await;
        let body = body.map_err(|error| reason(&error));
        Self { status: parts.status, headers: parts.headers, body }
    }

    /// The body as JSON of the form that is expected.
    pub(super) fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Reason> {
        let body = self.body.as_ref().map_err(|&reason| reason)?;
        serde_json::from_slice(body).map_err(|_| Reason::XataUnreadable)
    }

    /// What is in the way of a look-up that was answered like this; `classified` is what it would
    /// mean for a create.
    pub(super) fn trouble(&self, classified: Created) -> Trouble {
        classified.trouble().unwrap_or_else(|| Trouble::at(self.status, Reason::XataError))
    }

    /// The text of an error, or nothing: what stands in front of Xata answers in HTML.
    pub(super) fn message(&self) -> String {
        #[derive(Deserialize)]
        struct Error {
            message: String,
        }
        self.json().map_or_else(|_| String::new(), |error: Error| error.message)
    }
}

/// Why a call did not end in an answer.
pub(super) fn reason(error: &CallError) -> Reason {
    match error {
        CallError::TimeUp => Reason::XataTimeout,
        CallError::Broken(_) => Reason::XataUnreachable,
        CallError::TooLong => Reason::XataUnreadable,
    }
}

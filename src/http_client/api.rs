//! What the JSON APIs upstream have in common: a bearer key, JSON both ways, and answers that may be
//! anything.

use std::time::Duration;

use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER,
    USER_AGENT,
};
use reqwest::{Method, Request, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use super::{CallError, HttpClient};
use crate::Clock;

/// An answer that is not a list is a few hundred bytes; a user of Clerk's is a few thousand.
const ANSWER_LIMIT_BYTES: usize = 64 * 1024;

/// An API, asked with one key.
pub struct Api {
    client: HttpClient,
    clock: Clock,
    url: String,
    headers: HeaderMap,
}

/// An answer, read as far as it could be.
pub struct Answer {
    /// The status, which is there whatever became of the body.
    pub status: StatusCode,
    /// How long `Retry-After` asks to wait.
    pub retry_after: Option<Duration>,
    /// All headers.
    pub headers: HeaderMap,
    body: Result<Vec<u8>, CallError>,
}

impl Api {
    /// The API at `url`, which has no slash at its end.
    ///
    /// # Panics
    /// If the key cannot stand in a header, which [`settings`](crate::settings) rules out.
    pub fn new(url: String, key: &SecretString, client: HttpClient, clock: Clock) -> Self {
        let mut authorization = HeaderValue::try_from(format!("Bearer {}", key.expose_secret()))
            .expect("settings take only keys of visible ASCII");
        authorization.set_sensitive(true);
        let headers = [
            (AUTHORIZATION, authorization),
            (ACCEPT, HeaderValue::from_static("application/json")),
            (USER_AGENT, HeaderValue::from_static(super::USER_AGENT)),
        ];
        Self { client, clock, url, headers: headers.into_iter().collect() }
    }

    /// The same API, asked with one more header.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.insert(name, HeaderValue::from_static(value));
        self
    }

    /// Sends a request, its path made of path-safe ids only; none of the body is read yet.
    ///
    /// # Panics
    /// If the path cannot stand in a URL.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        until: Instant,
    ) -> Result<Response, CallError> {
        let url = format!("{}{path}", self.url).parse();
        let url = url.expect("the URL was parsed at start, and the ids in the path are path-safe");
        let mut request = Request::new(method, url);
        request.headers_mut().extend(self.headers.clone());
        if let Some(body) = body {
            let json = HeaderValue::from_static("application/json");
            request.headers_mut().insert(CONTENT_TYPE, json);
            *request.body_mut() = Some(body.to_string().into());
        }
        super::send(&self.client, request, until).await
    }

    /// Sends a request and reads the answer.
    pub async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        until: Instant,
    ) -> Result<Answer, CallError> {
        Ok(self.read(self.send(method, path, body, until).await?, until).await)
    }

    /// Reads an answer.
    pub async fn read(&self, mut response: Response, until: Instant) -> Answer {
        let headers = std::mem::take(response.headers_mut());
        Answer {
            status: response.status(),
            retry_after: self.wait(&headers, &RETRY_AFTER),
            headers,
            body: super::read(response, ANSWER_LIMIT_BYTES, until).await,
        }
    }

    /// How long a header asks to wait: seconds, or a date (RFC 9110 section 10.2.3).
    pub fn wait(&self, headers: &HeaderMap, name: &HeaderName) -> Option<Duration> {
        let value = headers.get(name)?.to_str().ok()?.trim();
        if let Ok(seconds) = value.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let date = httpdate::parse_http_date(value).ok()?;
        Some(date.duration_since((self.clock)()).unwrap_or_default())
    }
}

impl Answer {
    /// The body as JSON of the form that is expected.
    pub fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T, CallError> {
        let body = self.body.as_ref().map_err(|&error| error)?;
        serde_json::from_slice(body).map_err(|_| CallError::Unreadable)
    }
}

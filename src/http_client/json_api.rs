//! A JSON API that is called with a bearer key. A response may be anything: a proxy may have sent it.

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
use url::Url;

use super::{CallError, HttpClient};
use crate::Clock;

/// A response that is no list has a few hundred bytes; a user of Clerk has a few thousand.
const RESPONSE_LIMIT_BYTES: usize = 64 * 1024;

/// A client of an API, with one key.
pub struct JsonApi {
    client: HttpClient,
    clock: Clock,
    url: Url,
    headers: HeaderMap,
}

/// A response, whose body may have failed to arrive.
pub struct ApiResponse {
    /// The HTTP status.
    pub status: StatusCode,
    /// How long `Retry-After` asks to wait.
    pub retry_after: Option<Duration>,
    /// All headers.
    pub headers: HeaderMap,
    body: Result<Vec<u8>, CallError>,
}

impl JsonApi {
    /// The API at `url`, without a slash at its end.
    ///
    /// # Panics
    /// When that is no URL, or the key no header value; [`settings`](crate::settings) refuses both.
    pub fn new(url: &str, key: &SecretString, client: HttpClient, clock: Clock) -> Self {
        let mut authorization = HeaderValue::try_from(format!("Bearer {}", key.expose_secret()))
            .expect("settings take only keys of visible ASCII");
        authorization.set_sensitive(true);
        let headers = [
            (AUTHORIZATION, authorization),
            (ACCEPT, HeaderValue::from_static("application/json")),
            (USER_AGENT, HeaderValue::from_static(super::USER_AGENT)),
        ];
        let url = Url::parse(&format!("{url}/")).expect("settings take only URLs");
        Self { client, clock, url, headers: headers.into_iter().collect() }
    }

    /// Adds a header to every request.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.insert(name, HeaderValue::from_static(value));
        self
    }

    /// Sends a request and reads the head of the response. The path is below the API's URL, and holds
    /// only path-safe ids.
    ///
    /// # Panics
    /// When the path is no part of a URL.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        deadline: Instant,
    ) -> Result<Response, CallError> {
        let url = self.url.join(path.trim_start_matches('/'));
        let url = url.expect("the ids in the path are path-safe");
        let mut request = Request::new(method, url);
        *request.headers_mut() = self.headers.clone();
        if let Some(body) = body {
            let json = HeaderValue::from_static("application/json");
            request.headers_mut().insert(CONTENT_TYPE, json);
            let body = serde_json::to_vec(body).expect("every value is JSON");
            *request.body_mut() = Some(body.into());
        }
        super::send(&self.client, request, deadline).await
    }

    /// Sends a request and reads the response.
    pub async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        deadline: Instant,
    ) -> Result<ApiResponse, CallError> {
        Ok(self.read(self.send(method, path, body, deadline).await?, deadline).await)
    }

    /// Reads the body of a response.
    pub async fn read(&self, mut response: Response, deadline: Instant) -> ApiResponse {
        let headers = std::mem::take(response.headers_mut());
        ApiResponse {
            status: response.status(),
            retry_after: self.wait(&headers, &RETRY_AFTER),
            headers,
            body: super::read(response, RESPONSE_LIMIT_BYTES, deadline).await,
        }
    }

    /// The time that a header asks to wait: seconds or a date (RFC 9110, section 10.2.3).
    pub fn wait(&self, headers: &HeaderMap, name: &HeaderName) -> Option<Duration> {
        let value = headers.get(name)?.to_str().ok()?.trim();
        if let Ok(seconds) = value.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let date = httpdate::parse_http_date(value).ok()?;
        Some(date.duration_since((self.clock)()).unwrap_or_default())
    }
}

impl ApiResponse {
    /// Parses the body.
    ///
    /// # Errors
    /// When the body did not arrive, or has another form.
    pub fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T, CallError> {
        let body = self.body.as_ref().map_err(|&error| error)?;
        serde_json::from_slice(body).map_err(|_| CallError::Unreadable)
    }
}

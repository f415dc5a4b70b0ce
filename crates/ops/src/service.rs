//! A service that the tool calls for an operator. An error names the service and what to check; it
//! never repeats the service's own text, which may hold a secret.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use anyhow::bail;
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderName, Method, StatusCode};
use per_user_db::Clock;
use per_user_db::clerk::backend;
use per_user_db::http_client::json_api::{ApiResponse, JsonApi};
use per_user_db::http_client::{self, CallError, HttpClient};
use per_user_db::settings::base_url;
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::{Instant, sleep};

/// The time for one response. A long list takes a while.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Room for a list of a quarter of a million branches.
const DOCUMENT_LIMIT_BYTES: usize = 64 * 1024 * 1024;

/// How long a command about many users waits for a service, and the pauses in which it asks again.
const PATIENCE: Duration = Duration::from_mins(10);
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The pause where a limit is met that does not say when it ends.
const LIMIT_PAUSE: Duration = Duration::from_secs(10);
const LONGEST_LIMIT_PAUSE: Duration = Duration::from_hours(1);

const HOOKDECK_URL: &str = "https://api.hookdeck.com";

/// A client of one service.
pub(crate) struct Service {
    pub(crate) api: JsonApi,
    pub(crate) http_client: HttpClient,
    pub(crate) url: String,
    pub(crate) info: ServiceInfo,
}

/// A response whose status may be any.
pub(crate) struct Response {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// A service's name, and the settings to check when a call fails.
#[derive(Clone, Copy)]
pub(crate) struct ServiceInfo {
    pub(crate) name: &'static str,
    pub(crate) url_setting: &'static str,
    pub(crate) key_setting: &'static str,
    /// The settings that the paths are made of.
    pub(crate) path_settings: &'static str,
}

impl ServiceInfo {
    pub(crate) const XATA: Self = Self {
        name: "Xata",
        url_setting: "XATA_API_URL",
        key_setting: "XATA_API_KEY",
        path_settings: "XATA_ORGANIZATION_ID and XATA_PROJECT_ID",
    };
    pub(crate) const XATA_LITE: Self = Self {
        name: "Xata Lite",
        path_settings: "XATA_WORKSPACE_SLUG or XATA_WORKSPACE_ID",
        ..Self::XATA
    };
    const CLERK: Self = Self {
        name: "Clerk",
        url_setting: "CLERK_API_URL",
        key_setting: "CLERK_SECRET_KEY",
        path_settings: "CLERK_API_URL, which ends in /v1",
    };
    const HOOKDECK: Self = Self {
        name: "Hookdeck",
        url_setting: "HOOKDECK_API_URL",
        key_setting: "HOOKDECK_API_KEY",
        path_settings: "HOOKDECK_API_URL, which ends without a version",
    };
}

/// A call without a usable response: what happened, and what to do about it.
#[derive(Debug)]
pub(crate) struct ApiError {
    cause: Cause,
    pub(crate) what: String,
    pub(crate) mend: String,
    /// How long to wait before another request, where the service is limiting.
    pub(crate) retry_after: Option<Duration>,
}

#[derive(Debug, Clone, Copy)]
enum Cause {
    Call(CallError),
    Status(StatusCode),
}

impl ApiError {
    /// The same error in other words.
    pub(crate) fn reworded(self, what: impl Into<String>, mend: &str) -> Self {
        Self { what: what.into(), mend: mend.to_owned(), ..self }
    }

    /// The status of the response, where there was one.
    pub(crate) fn status(&self) -> Option<StatusCode> {
        match self.cause {
            Cause::Call(_) => None,
            Cause::Status(status) => Some(status),
        }
    }

    /// Whether the same request can succeed a little later.
    pub(crate) fn is_transient(&self) -> bool {
        match self.cause {
            Cause::Call(error) => matches!(error, CallError::Broken | CallError::TimeUp),
            Cause::Status(status) => is_transient(status),
        }
    }

    /// Whether the service refused the request for good.
    pub(crate) fn is_refusal(&self) -> bool {
        self.status().is_some_and(|status| status.is_client_error() && !is_transient(status))
    }

    /// Whether the request may have taken effect all the same.
    pub(crate) fn may_have_applied(&self) -> bool {
        match self.cause {
            Cause::Call(error) => error != CallError::Unreachable,
            Cause::Status(StatusCode::REQUEST_TIMEOUT) => true,
            Cause::Status(status) => !status.is_client_error(),
        }
    }
}

impl std::error::Error for ApiError {}

impl std::fmt::Display for ApiError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}: {}", self.what, self.mend)
    }
}

/// Whether a request that got this status can succeed a little later.
fn is_transient(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 409 | 423 | 429 | 500 | 502 | 503 | 504)
}

/// The system's clock.
pub(crate) fn clock() -> Clock {
    std::sync::Arc::new(SystemTime::now)
}

impl Service {
    /// The service at this URL, called with this key.
    pub(crate) fn new(info: ServiceInfo, url: String, key: &SecretString) -> Self {
        let http_client = http_client::live();
        let api = JsonApi::new(&url, key, http_client.clone(), clock());
        Self { api, http_client, url, info }
    }

    /// Clerk's Backend API.
    pub(crate) fn clerk(settings: backend::Settings) -> Self {
        let service = Self::new(ServiceInfo::CLERK, settings.url, &settings.key);
        Self { api: service.api.with_header(backend::VERSION.0, backend::VERSION.1), ..service }
    }

    /// Hookdeck's admin API; none without a key.
    pub(crate) fn hookdeck(variables: &BTreeMap<String, String>) -> anyhow::Result<Option<Self>> {
        let get = |name: &str| variables.get(name).map(|it| it.trim()).filter(|it| !it.is_empty());
        let Some(key) = get("HOOKDECK_API_KEY") else { return Ok(None) };
        if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            bail!("HOOKDECK_API_KEY has a blank, or a character that no key has: copy it again");
        }
        if key.starts_with("hd_org_") {
            bail!(
                "HOOKDECK_API_KEY is a key of an organization, and a project's key is needed: copy it from \
                 the project's settings in Hookdeck's dashboard"
            );
        }
        let Some(url) = base_url(get("HOOKDECK_API_URL").unwrap_or(HOOKDECK_URL)) else {
            bail!("HOOKDECK_API_URL must be an https URL, or an http URL of a loopback address");
        };
        Ok(Some(Self::new(ServiceInfo::HOOKDECK, url, &SecretString::from(key))))
    }

    /// Reads a document, which may be long.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ApiError> {
        let Response { status, body, headers } = self.send(Method::GET, path, None).await?;
        if !status.is_success() {
            let retry_after = self.retry_after(status, &headers);
            return Err(ApiError { retry_after, ..self.rejected(status) });
        }
        serde_json::from_slice(&body).map_err(|_| self.unreadable())
    }

    /// Reads a document, and waits where the service limits requests or fails for a while.
    pub(crate) async fn get_patiently<T: DeserializeOwned>(
        &self,
        path: &str,
    ) -> Result<T, ApiError> {
        let deadline = Instant::now() + PATIENCE;
        let mut pause = FIRST_PAUSE;
        loop {
            match self.get(path).await {
                Err(error) if error.is_transient() || error.retry_after.is_some() => {
                    let wait = error.retry_after.unwrap_or(pause);
                    if Instant::now() + wait > deadline {
                        return Err(error);
                    }
                    sleep(wait).await;
                    pause = LONGEST_PAUSE.min(pause * 2);
                }
                result => return result,
            }
        }
    }

    /// Sends a request, and reads the response, which may be long. The body of a rejection may be
    /// missing.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Response, ApiError> {
        let deadline = Instant::now() + TIMEOUT;
        let response = self.api.send(method, path, body, deadline).await;
        let mut response = response.map_err(|error| self.no_response(error))?;
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        let body = http_client::read(response, DOCUMENT_LIMIT_BYTES, deadline).await;
        match body {
            Err(error) if status.is_success() => Err(self.no_response(error)),
            body => Ok(Response { status, headers, body: body.unwrap_or_default() }),
        }
    }

    /// Sends a request, and reads the response, which must be short.
    pub(crate) async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<ApiResponse, ApiError> {
        let response = self.api.exchange(method, path, body, Instant::now() + TIMEOUT).await;
        response.map_err(|error| self.no_response(error))
    }

    /// How long a service that limits requests asks to wait: until its limit is reset, or ten seconds
    /// where it does not say (`docs/vendors/xata.md`, "Timeouts and rate limits").
    fn retry_after(&self, status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
        if status != StatusCode::TOO_MANY_REQUESTS {
            return None;
        }
        let names = [HeaderName::from_static("x-ratelimit-reset"), RETRY_AFTER];
        let wait = names.iter().find_map(|name| self.api.wait(headers, name));
        Some(wait.unwrap_or(LIMIT_PAUSE).clamp(Duration::from_secs(1), LONGEST_LIMIT_PAUSE))
    }

    /// The error of a call without a response, or with one that cannot be read.
    fn no_response(&self, error: CallError) -> ApiError {
        let ServiceInfo { name, url_setting, .. } = self.info;
        let address = &self.url;
        let (what, mend) = match error {
            CallError::TimeUp => (
                format!("did not answer within {} s", TIMEOUT.as_secs()),
                "see its status page".to_owned(),
            ),
            CallError::Unreachable | CallError::Broken => (
                format!("cannot be reached, {error}"),
                format!("check {url_setting} and the network"),
            ),
            CallError::TooLong | CallError::Unreadable => {
                ("sent a response that cannot be read".to_owned(), format!("check {url_setting}"))
            }
        };
        let what = format!("{name} at {address} {what}");
        ApiError { cause: Cause::Call(error), what, mend, retry_after: None }
    }

    /// The error of a response that is not what the service documents.
    pub(crate) fn unreadable(&self) -> ApiError {
        self.no_response(CallError::Unreadable)
    }

    /// The error of a response that is not a 2xx, with the pause that it asks for.
    pub(crate) fn rejected_response(&self, response: &ApiResponse) -> ApiError {
        let retry_after = self.retry_after(response.status, &response.headers);
        ApiError { retry_after, ..self.rejected(response.status) }
    }

    /// The error of a response that is not a 2xx.
    pub(crate) fn rejected(&self, status: StatusCode) -> ApiError {
        let ServiceInfo { name, key_setting: key, path_settings: path, .. } = self.info;
        let number = status.as_u16();
        let (what, mend) = match number {
            401 => ("refuses the key", format!("check {key}")),
            403 => ("denies this key access", format!("check {key}, its scopes, and {path}")),
            404 => ("finds nothing at this path", format!("check {path}")),
            409 | 423 | 429 => ("is busy", "try again in a minute".to_owned()),
            400..=499 => ("does not accept the request", format!("check {path}")),
            _ => ("fails", "see its status page, and try again".to_owned()),
        };
        let what = format!("{name} {what} ({number})");
        ApiError { cause: Cause::Status(status), what, mend, retry_after: None }
    }
}

//! The function: it has to refuse an event without a signature, and to ignore a signed event of an
//! unknown type.

use bytes::Bytes;
use cli::{delivery, environment};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Request, Response};
use per_user_db::hookdeck::DEFAULT_HEADER_PREFIX;
use per_user_db::http_client::{self, CallError, HttpClient};
use serde::Deserialize;

use super::checks::{Checks, State};
use super::settings::Variables;

/// Where the function takes deliveries, besides `/`.
pub(super) const WEBHOOK_PATH: &str = "/webhooks/clerk";

const EVENT: &[u8] = br#"{"type":"doctor.checked"}"#;

const UNAUTHORIZED: (u16, &str) = (401, "unauthorized");

/// The members of the function's responses.
#[derive(Deserialize)]
struct Body {
    status: String,
    reason: Option<String>,
}

/// What is wrong, and what to do about it.
type Fault = (State, String, &'static str);

pub(super) async fn check(url: &str, variables: &Variables, checks: &mut Checks) {
    checks.begin("asking the function");
    let client = http_client::live();
    for path in ["/", WEBHOOK_PATH] {
        let check = format!("function {path}");
        match check_path(&client, &format!("{url}{path}"), variables).await {
            Ok(what) => checks.ok(check, what),
            Err((state, what, mend)) => {
                return checks.add(check, state, what, mend); // the other path has the same fault
            }
        }
    }
}

async fn check_path(
    client: &HttpClient,
    url: &str,
    variables: &Variables,
) -> Result<&'static str, Fault> {
    let unsigned = send(client, url, HeaderMap::new()).await?;
    if !is_unauthorized(&unsigned) {
        return Err(unexpected(&unsigned, "without a signature"));
    }
    if variables.get("SVIX_CHECK").map(str::trim) == Some("enforce") {
        return Ok("refuses what is not signed; nothing signed was sent, as SVIX_CHECK=enforce \
                   takes only what Clerk signed");
    }
    let Some(secret) = variables.get("HOOKDECK_WEBHOOK_SECRET") else {
        return Ok("refuses what is not signed; nothing signed was sent, as \
                   HOOKDECK_WEBHOOK_SECRET is not given here");
    };
    let prefix = variables.get("HOOKDECK_HEADER_PREFIX").map_or(DEFAULT_HEADER_PREFIX, str::trim);
    let headers = delivery::headers(prefix, environment::first_secret(secret), EVENT, 1);
    let signed = send(client, url, headers.unwrap_or_default()).await?;
    match read(&signed) {
        Some(Body { status, reason: Some(reason) })
            if signed.status() == 200 && status == "ignored" && reason == "unhandled_type" =>
        {
            Ok("refuses what is not signed, and reads what is")
        }
        _ if is_unauthorized(&signed) => Err((
            State::Broken,
            "refuses our signature (401)".to_owned(),
            "the function has another HOOKDECK_WEBHOOK_SECRET, HOOKDECK_HEADER_PREFIX or \
             SVIX_CHECK than this environment: make them the same, and that of Hookdeck's project",
        )),
        _ => Err(unexpected(&signed, "with a signature")),
    }
}

async fn send(
    client: &HttpClient,
    url: &str,
    mut headers: HeaderMap,
) -> Result<Response<Bytes>, Fault> {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let mut request = Request::post(url)
        .body(Bytes::from_static(EVENT))
        .map_err(|_| (State::Broken, "cannot be asked".to_owned(), "check --url"))?;
    *request.headers_mut() = headers;
    delivery::send(client, request).await.map_err(|error| match error {
        CallError::TooLong => (
            State::Broken,
            "answers at length, as the function never does".to_owned(),
            "check --url: it is the output FunctionUrl of the stack",
        ),
        _ => (
            State::Broken,
            format!("does not answer, {error}"),
            "check --url, and whether the function is deployed; then the network",
        ),
    })
}

fn read(response: &Response<Bytes>) -> Option<Body> {
    serde_json::from_slice(response.body()).ok()
}

fn is_unauthorized(response: &Response<Bytes>) -> bool {
    read(response).is_some_and(|body| (response.status().as_u16(), &*body.status) == UNAUTHORIZED)
}

/// The fault of a response that the function should not send.
fn unexpected(response: &Response<Bytes>, how: &str) -> Fault {
    let number = response.status().as_u16();
    let (state, mend) = match number {
        403 => (
            State::Broken,
            "let every caller invoke the Function URL: AuthType NONE, and its permissions",
        ),
        404 => (State::Broken, "check --url: the path is / or /webhooks/clerk, and nothing else"),
        429 => (
            State::Warning,
            "try again; if it stays so, raise the function's concurrency, reserved or the account's",
        ),
        500..=599 => (State::Broken, "see the function's log, and its settings"),
        _ => (State::Broken, "check --url: it is the output FunctionUrl of the stack"),
    };
    (state, format!("answers {number} to an event {how}"), mend)
}

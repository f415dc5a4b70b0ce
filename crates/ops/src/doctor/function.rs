//! The function: it has to refuse what is not signed, and to ignore a signed event of a type that
//! nobody has.

use bytes::Bytes;
use cli::{delivery, environment};
use http::header::HOST;
use http::{HeaderMap, Request, Response, Uri};
use per_user_db::hookdeck::DEFAULT_HEADER_PREFIX;
use per_user_db::http_client::CallError;
use serde::Deserialize;

use super::Means;
use super::report::{Report, State};
use super::settings::Given;

/// Where it takes deliveries.
const PATHS: [&str; 2] = ["/", "/webhooks/clerk"];

const EVENT: &[u8] = br#"{"type":"doctor.checked"}"#;

/// What its answers say.
#[derive(Deserialize)]
struct Body {
    status: String,
    reason: Option<String>,
}

/// What is wrong, and the mend.
type Fault = (State, String, &'static str);

/// A URL on the command line, without a path that the function answers on.
pub(super) fn url(text: &str) -> Result<String, String> {
    let uri: Uri = text.parse().map_err(|_| "is no URL".to_owned())?;
    let is_http = matches!(uri.scheme_str(), Some("https" | "http"));
    let is_bare = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    if !is_http || !is_bare || text.contains(['?', '#']) {
        return Err("must be an http or https URL, without user, query and fragment".to_owned());
    }
    let base = text.trim_end_matches('/');
    Ok(base.strip_suffix(PATHS[1]).unwrap_or(base).trim_end_matches('/').to_owned())
}

pub(super) async fn examine(means: &Means, url: &str, given: &Given, report: &mut Report) {
    means.progress.set_message("asking the function");
    for path in PATHS {
        let check = format!("function {path}");
        match examine_path(means, &format!("{url}{path}"), given).await {
            Ok(what) => report.ok(check, what),
            Err((state, what, mend)) => {
                report.add(check, state, what, mend);
                return; // the other path is no other
            }
        }
    }
}

async fn examine_path(means: &Means, url: &str, given: &Given) -> Result<&'static str, Fault> {
    let unsigned = ask(means, url, HeaderMap::new()).await?;
    if read(&unsigned).is_none_or(|it| (unsigned.status().as_u16(), &*it.status) != UNAUTHORIZED) {
        return Err(odd(&unsigned, "without a signature"));
    }
    if given.get("SVIX_CHECK").map(str::trim) == Some("enforce") {
        return Ok("refuses what is not signed; nothing signed was sent, as SVIX_CHECK=enforce \
                   takes what Clerk signed only");
    }
    let Some(secret) = given.get("HOOKDECK_WEBHOOK_SECRET") else {
        return Ok("refuses what is not signed; nothing signed was sent, as \
                   HOOKDECK_WEBHOOK_SECRET is not given here");
    };
    let signed = ask(means, url, headers(environment::first_secret(secret), given)).await?;
    match read(&signed) {
        Some(Body { status, reason })
            if signed.status() == 200
                && status == "ignored"
                && reason.as_deref() == Some("unhandled_type") =>
        {
            Ok("refuses what is not signed, and reads what is")
        }
        Some(Body { status, .. }) if (signed.status().as_u16(), &*status) == UNAUTHORIZED => Err((
            State::Broken,
            "refuses our signature (401)".to_owned(),
            "the function has another HOOKDECK_WEBHOOK_SECRET, HOOKDECK_HEADER_PREFIX or \
             SVIX_CHECK than this environment: make them the same, and that of Hookdeck's project",
        )),
        _ => Err(odd(&signed, "with a signature")),
    }
}

const UNAUTHORIZED: (u16, &str) = (401, "unauthorized");

async fn ask(means: &Means, url: &str, mut headers: HeaderMap) -> Result<Response<Bytes>, Fault> {
    let unusable = (State::Broken, "cannot be asked".to_owned(), "check --url");
    let uri: Uri = url.parse().map_err(|_| unusable.clone())?;
    let host = uri.authority().and_then(|it| it.as_str().parse().ok()).ok_or(unusable)?;
    headers.insert(HOST, host);
    let json = http::HeaderValue::from_static("application/json");
    headers.insert(http::header::CONTENT_TYPE, json);
    let mut request = Request::new(Bytes::from_static(EVENT));
    (*request.method_mut(), *request.uri_mut(), *request.headers_mut()) =
        (http::Method::POST, uri, headers);
    delivery::send(&means.client, request).await.map_err(|error| match error {
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

fn headers(secret: &str, given: &Given) -> HeaderMap {
    let prefix = given.get("HOOKDECK_HEADER_PREFIX").map_or(DEFAULT_HEADER_PREFIX, str::trim);
    delivery::headers(prefix, secret, EVENT, 1).unwrap_or_default()
}

fn read(answer: &Response<Bytes>) -> Option<Body> {
    serde_json::from_slice(answer.body()).ok()
}

/// An answer that the function should not give.
fn odd(answer: &Response<Bytes>, how: &str) -> Fault {
    let number = answer.status().as_u16();
    let what = format!("answers {number} to an event {how}");
    let (state, mend) = match number {
        403 => {
            (State::Broken, "let anybody call the Function URL: AuthType NONE, and its permissions")
        }
        404 => (State::Broken, "check --url: the path is / or /webhooks/clerk, and nothing else"),
        429 => (
            State::Warning,
            "try again; if it stays so, raise the function's concurrency, reserved or the account's",
        ),
        500..=599 => (State::Broken, "see the function's log, and its settings"),
        _ => (State::Broken, "check --url: it is the output FunctionUrl of the stack"),
    };
    (state, what, mend)
}

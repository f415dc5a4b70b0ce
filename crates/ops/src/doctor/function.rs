//! The function: it has to refuse an event without a signature, to ignore a signed event of an unknown
//! type, and to listen to the instance of Clerk's key.

use bytes::Bytes;
use cli::delivery::{self, Signer};
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, Response};
use per_user_db::clerk::SAMPLE_USERS;
use per_user_db::handler::PATHS;
use per_user_db::http_client::{self, CallError, HttpClient};
use per_user_db::request::DOCTOR;
use serde::Deserialize;
use serde_json::json;

use super::checks::{Checks, State};
use super::settings::Variables;

const EVENT: Bytes = Bytes::from_static(br#"{"type":"doctor.checked"}"#);

const UNAUTHORIZED: (u16, &str) = (401, "unauthorized");

/// The members of the function's responses.
#[derive(Deserialize)]
struct Body {
    status: String,
    reason: Option<String>,
}

/// What is wrong, and what to do about it.
type Fault = (State, String, &'static str);

/// What is checked: the function here, with what its settings sign.
struct Target<'a> {
    client: HttpClient,
    url: &'a str,
    signer: Option<Signer<'a>>,
}

/// Checks the function; `instance` is that of Clerk's key, where it is known.
pub(super) async fn check(
    url: &str,
    variables: &Variables,
    instance: Option<&str>,
    checks: &mut Checks,
) {
    checks.begin("asking the function");
    let signer = match Signer::read(variables.all()) {
        Ok(signer) => signer,
        Err(error) => return checks.broken("function", format!("{error:#}"), "copy it again"),
    };
    let needs_svix = variables.get("SVIX_CHECK").map(str::trim) == Some("enforce");
    let missing = match &signer {
        None => Some(
            "what the function does with a signed event: HOOKDECK_WEBHOOK_SECRET is not given here",
        ),
        Some(signer) if needs_svix && !signer.has_svix() => Some(
            "what the function does with a signed event: CLERK_WEBHOOK_SIGNING_SECRET is not given \
             here, which SVIX_CHECK=enforce needs",
        ),
        Some(_) => None,
    };
    let signer = signer.filter(|_| missing.is_none());
    let target = Target { client: http_client::live(), url, signer };
    for path in PATHS {
        match target.check_path(path).await {
            Ok(what) => checks.ok(format!("function {path}"), what),
            Err((state, what, mend)) => {
                // The other checks have the same fault.
                return checks.add(format!("function {path}"), state, what, mend);
            }
        }
    }
    match (missing, instance) {
        (Some(missing), _) => checks.leave_out(missing),
        (None, None) => checks.leave_out(
            "whether the function handles the events of your users: CLERK_SECRET_KEY is not given here",
        ),
        (None, Some(instance)) => match target.check_instance(instance).await {
            Ok(what) => checks.ok("function's instance", what),
            Err((state, what, mend)) => checks.add("function's instance", state, what, mend),
        },
    }
}

impl Target<'_> {
    async fn check_path(&self, path: &str) -> Result<&'static str, Fault> {
        let unsigned = self.send(path, EVENT, HeaderMap::new()).await?;
        if !is_unauthorized(&unsigned) {
            return Err(unexpected(&unsigned, "without a signature"));
        }
        if self.signer.is_none() {
            return Ok("refuses what is not signed");
        }
        let signed = self.send_signed(path, EVENT).await?;
        if is_ignored(&signed, "unhandled_type") {
            return Ok("refuses what is not signed, and reads what is");
        }
        Err(if is_unauthorized(&signed) {
            (
                State::Broken,
                "refuses our signature (401)".to_owned(),
                "the function has another HOOKDECK_WEBHOOK_SECRET, HOOKDECK_HEADER_PREFIX or \
                 CLERK_WEBHOOK_SIGNING_SECRET than this environment: make them the same, and that of \
                 Hookdeck's project",
            )
        } else {
            unexpected(&signed, "with a signature")
        })
    }

    /// Sends an event of this instance whose user is Clerk's sample, so that nothing is done.
    async fn check_instance(&self, instance: &str) -> Result<&'static str, Fault> {
        let event = json!({
            "type": "user.created", "object": "event", "instance_id": instance,
            "data": { "object": "user", "id": SAMPLE_USERS[0] },
        });
        let response = self.send_signed(PATHS[0], event.to_string().into()).await?;
        if is_ignored(&response, "sample_event") {
            return Ok("handles the events of the instance of CLERK_SECRET_KEY");
        }
        let reason = read(&response).and_then(|body| body.reason).unwrap_or_default();
        if ["foreign_instance", "instance_not_listed"].contains(&reason.as_str()) {
            let what = format!("does not handle the events of {instance}: {reason}");
            let mend = "the function's CLERK_INSTANCE_ID does not list the instance of CLERK_SECRET_KEY: \
                        correct it and deploy, then retry the events since";
            return Err((State::Broken, what, mend));
        }
        Err(unexpected(&response, "of Clerk's sample user"))
    }

    async fn send_signed(&self, path: &str, event: Bytes) -> Result<Response<Bytes>, Fault> {
        let headers = self.signer.as_ref().and_then(|it| it.headers(&event, 1).ok());
        self.send(path, event, headers.unwrap_or_default()).await
    }

    async fn send(
        &self,
        path: &str,
        event: Bytes,
        mut headers: HeaderMap,
    ) -> Result<Response<Bytes>, Fault> {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, HeaderValue::from_static(DOCTOR));
        let mut request = Request::post(format!("{}{path}", self.url))
            .body(event)
            .map_err(|_| (State::Broken, "cannot be asked".to_owned(), "check --url"))?;
        *request.headers_mut() = headers;
        delivery::send(&self.client, request).await.map_err(|error| match error {
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
}

fn read(response: &Response<Bytes>) -> Option<Body> {
    serde_json::from_slice(response.body()).ok()
}

fn is_ignored(response: &Response<Bytes>, why: &str) -> bool {
    let reason = read(response).filter(|it| it.status == "ignored").and_then(|it| it.reason);
    response.status() == 200 && reason.as_deref() == Some(why)
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

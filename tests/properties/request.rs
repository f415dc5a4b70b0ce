//! Whatever Lambda hands us is a request, and gets no further than its signature allows.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use base64::{Engine, alphabet, engine::DecodePaddingMode};
use futures_util::FutureExt;
use per_user_db::Clock;
use per_user_db::function::Function;
use per_user_db::http_client::{self, Body};
use per_user_db::request::{BODY_LIMIT_BYTES, BodyError, Request};
use per_user_db::settings::Settings;
use per_user_db::telemetry::{Ids, Level, Log};
use per_user_db::worker::{Invocation, TIMEOUT, Worker};
use serde_json::Value;

/// Reads a payload, and hands it to a function whose secret nobody knows.
pub(crate) fn check(data: &[u8]) {
    let payload = String::from_utf8_lossy(data);
    let request = Request::read(&payload);
    assert_eq!(status(&payload), promised(&request));

    let Ok(tree) = serde_json::from_str::<Value>(&payload) else { return };
    let context = &tree["requestContext"];
    // Members in their order would do, too, and some names `serde_json` keeps for itself.
    if [&tree, context, &context["http"]].iter().any(|it| it.is_array())
        || payload.contains("$serde_json::private::")
    {
        return;
    }
    // What is read is what is there, though a member that is there twice spoils all of it ...
    let told = told(&tree);
    if !request.raw_path.is_empty() {
        assert_same(&request, told.as_ref().expect("members of the right types"));
    }
    // ... and what is spelled as we would is always read.
    assert_same(&Request::read(&tree.to_string()), &told.unwrap_or_default());
}

/// Path, method, headers, body, and whether that is base64.
type Told = (String, String, BTreeMap<String, String>, String, bool);

/// The second reader: each member may be missing, and none may be of another type.
fn told(payload: &Value) -> Option<Told> {
    let text = |pointer| payload.pointer(pointer).map_or(Some(""), Value::as_str);
    let is_object = |pointer| payload.pointer(pointer).is_none_or(Value::is_object);
    let headers = payload.get("headers").cloned().unwrap_or_else(|| serde_json::json!({}));
    let body = if payload["body"].is_null() { "" } else { payload["body"].as_str()? };
    let is_base64 = payload.get("isBase64Encoded").map_or(Some(false), Value::as_bool)?;
    let method = text("/requestContext/http/method")?.to_owned();
    if !["", "/requestContext", "/requestContext/http"].into_iter().all(is_object) {
        return None;
    }
    let headers = serde_json::from_value(headers).ok()?;
    Some((text("/rawPath")?.to_owned(), method, headers, body.to_owned(), is_base64))
}

fn assert_same(request: &Request, (path, method, headers, body, is_base64): &Told) {
    assert_eq!((request.raw_path.as_str(), request.method()), (path.as_str(), method.as_str()));
    for (name, value) in headers {
        let is_alone = headers.keys().filter(|other| other.eq_ignore_ascii_case(name)).count() == 1;
        let expected = Some(value.as_str()).filter(|value| !value.is_empty());
        let read = request.headers.get(&name.to_ascii_lowercase());
        assert!(!is_alone || read == expected, "{name}: {read:?}");
    }
    // Base64 is what encoding makes of some bytes, and nothing else that could mean the same bytes.
    let lenient = GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let decoded = GeneralPurpose::new(&alphabet::STANDARD, lenient).decode(body).ok();
    let expected = match decoded.filter(|bytes| STANDARD.encode(bytes) == *body) {
        _ if !is_base64 => Ok(body.clone().into_bytes()),
        Some(bytes) => Ok(bytes),
        None => Err(BodyError::NotBase64),
    };
    match request.body() {
        Err(BodyError::TooLarge) => assert!(expected.expect("bytes").len() > BODY_LIMIT_BYTES),
        read => assert_eq!(read.map(Cow::into_owned), expected),
    }
}

/// The promised order: path, method, size, signature.
fn promised(request: &Request) -> u16 {
    match request.body() {
        _ if !["/", "/webhooks/clerk"].contains(&request.raw_path.as_str()) => 404,
        _ if request.method() != "POST" => 405,
        Err(BodyError::TooLarge) => 413,
        _ => 401,
    }
}

/// The function's answer, which comes at once and without asking anybody.
fn status(payload: &str) -> u16 {
    let settings = [
        ("HOOKDECK_WEBHOOK_SECRET", "fake-signing-secret-that-no-input-is-signed-with"),
        ("XATA_API_KEY", "xau_fake"),
        ("XATA_ORGANIZATION_ID", "org123"),
        ("XATA_PROJECT_ID", "prj_a"),
    ];
    let settings = settings.into_iter().map(|(name, value)| (name.into(), value.into()));
    let settings = Settings::read(settings).expect("settings that work");
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_784_000);
    let client = http_client::boxed(tower::service_fn(asked));
    let clock: Clock = Arc::new(move || now);
    let function = Function::new(settings, client, clock.clone());
    let worker = Worker::new(function, clock, Arc::new(Log::new(Level::Off, |_| ())));
    let invocation = Invocation { payload, deadline: now + TIMEOUT, ids: Ids::default() };
    let answer = worker.handle(invocation).now_or_never();
    answer.expect("an answer without a wait").status()
}

async fn asked<R>(_: R) -> Result<http::Response<Body>, Infallible> {
    panic!("somebody was asked")
}

#[cfg(test)]
#[test]
fn a_request_is_what_its_payload_tells_and_is_refused() {
    let base64_body = include_str!("../../events/base64-body.json");
    let places = "/rawPath|/requestContext|/requestContext/http|/requestContext/http/method|\
        /isBase64Encoded|/body|/headers|/headers/x-hookdeck-signature|\
        /headers/X-Hookdeck-Signature";
    let values = r#"|null|true|true|false|7|[]|{}|"/"|"/webhooks/clerk"|"/x"|"POST"|"post"|"aGk="|
        "aGl="|"aGk"|"aGk=\n"|"_-8="|"="|"""#;
    crate::generate(check, crate::changed(base64_body, places, values));
}

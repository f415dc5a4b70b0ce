//! The event of a Lambda Function URL as an HTTP request.
//!
//! `lambda_http::run` is not used. It turns each payload that `lambda_http` cannot adapt into
//! Lambda's own error: a body that is not the base64 it claims to be makes it panic, and a control
//! character in a header or in a scanner's path makes it fail. Here [`Payload`] catches both, and the
//! handler answers 401 with a response of ours.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use http::HeaderMap;
use http::header::{AsHeaderName, USER_AGENT};
use lambda_http::Request;
use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use lambda_http::request::LambdaRequest;
use serde::{Deserialize, Deserializer};

/// The largest body that is handled, after base64 decoding. Clerk's events are a few KB.
pub const BODY_LIMIT_BYTES: usize = 1024 * 1024;

/// The `detail` of a payload that [`read`] cannot adapt.
pub const NO_HTTP_REQUEST: &str = "no_http_request";

/// The user agent of `cargo ops doctor`, which sends what must be refused. Its refusals are no reason
/// for an alarm; nothing else depends on it.
pub const DOCTOR: &str = "per-user-db-doctor";

/// Whether `cargo ops doctor` sent this, by its own account.
pub fn is_doctor(headers: &HeaderMap) -> bool {
    headers.get(USER_AGENT).is_some_and(|agent| agent == DOCTOR)
}

/// The payload of an invocation; none where it is no HTTP request that `lambda_http` can adapt.
#[derive(Debug)]
pub struct Payload(pub Option<Request>);

impl<'de> Deserialize<'de> for Payload {
    /// Reads the payload while Lambda's runtime does, and as the one kind of event that it can be, so that
    /// it is scanned once and not copied. After an error a part is left unread, which the runtime accepts.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IS_READING.set(true);
        let read = || {
            let event = ApiGatewayV2httpRequest::deserialize(deserializer)?;
            Ok::<_, D::Error>(Request::from(LambdaRequest::ApiGatewayV2(event)))
        };
        let request = catch_unwind(AssertUnwindSafe(read));
        IS_READING.set(false);
        Ok(Self(request.ok().and_then(Result::ok)))
    }
}

/// Reads the text of a payload.
pub fn read(payload: &str) -> Payload {
    serde_json::from_str(payload).unwrap_or(Payload(None))
}

thread_local! {
    static IS_READING: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread reads a [`Payload`]. Its panics are about the payload and are not logged.
pub fn is_reading() -> bool {
    IS_READING.get()
}

/// The text of a header. An empty value counts as absent, because proxies may send either.
pub fn header(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::{Engine, engine::general_purpose::STANDARD};
    use serde_json::{Value, json};

    fn event(changes: &Value) -> String {
        let mut event: Value =
            serde_json::from_str(include_str!("../events/user-created.json")).expect("an event");
        for (name, value) in changes.as_object().expect("members") {
            event[name] = value.clone();
        }
        event.to_string()
    }

    #[test]
    fn a_base64_body_is_decoded_and_a_text_body_is_not() {
        let body = |text: &str, is_base64: bool| {
            let event = event(&json!({ "body": text, "isBase64Encoded": is_base64 }));
            read(&event).0.expect("a request").into_body().to_vec()
        };
        assert_eq!(body(&STANDARD.encode(b"\xffhi"), true), b"\xffhi");
        assert_eq!(body("aGk=", false), b"aGk=");
    }

    #[test]
    fn a_payload_that_is_no_http_request_is_none() {
        let not_base64 = event(&json!({ "body": "not base64", "isBase64Encoded": true }));
        let control = event(&json!({ "headers": { "x": "\n" } }));
        let host = event(&json!({ "headers": { "host": "a b" } }));
        for payload in ["null", "[]", "7", "{}", r#"{"rawPath":7}"#, &not_base64, &control, &host] {
            assert!(read(payload).0.is_none(), "{payload}");
        }
    }

    #[test]
    fn a_header_that_is_not_text_counts_as_absent() {
        let event = event(&json!({ "headers": { "X-Name": "Zoe", "x": "Zo\u{eb}", "y": "" } }));
        let request = read(&event).0.expect("a request");
        let value = |name| header(request.headers(), name);
        assert_eq!((value("x-name"), value("x"), value("y")), (Some("Zoe"), None, None));
    }
}

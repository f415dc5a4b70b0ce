//! What arrived: the event of a Lambda Function URL, as `lambda_http` makes an HTTP request of it.

use std::cell::Cell;
use std::panic::catch_unwind;

use http::HeaderMap;
use lambda_http::Request;

/// The largest body we handle, after base64 decoding. Clerk's events are a few KB.
pub const BODY_LIMIT_BYTES: usize = 1024 * 1024;

/// Reads an invocation's payload.
///
/// What `lambda_http` cannot adapt, which it says by an error or by a panic (a body that is not the
/// base64 it is said to be), reads as a request without a path: `lambda_http::run` would make Lambda's
/// own error of it, and here everything gets an answer of ours.
pub fn read(payload: &str) -> Request {
    IS_READING.set(true);
    let request = catch_unwind(|| lambda_http::request::from_str(payload).ok());
    IS_READING.set(false);
    request.ok().flatten().unwrap_or_default()
}

thread_local! {
    static IS_READING: Cell<bool> = const { Cell::new(false) };
}

/// Whether a panic of just now is about what was sent, and so is nobody's to look at.
pub fn is_reading() -> bool {
    IS_READING.get()
}

/// The value of a header, where it is text; empty counts as absent, as HTTP intermediaries may send
/// either.
pub fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::{Engine, engine::general_purpose::STANDARD};
    use lambda_http::RequestExt;
    use serde_json::{Value, json};

    fn event(changes: Value) -> String {
        let mut event: Value =
            serde_json::from_str(include_str!("../events/user-created.json")).expect("an event");
        for (name, value) in changes.as_object().expect("members") {
            event[name] = value.clone();
        }
        event.to_string()
    }

    #[test]
    fn a_base64_body_is_decoded_and_a_text_body_is_taken_as_it_is() {
        let body = |text: &str, is_base64: bool| {
            read(&event(json!({ "body": text, "isBase64Encoded": is_base64 }))).into_body().to_vec()
        };
        assert_eq!(body(&STANDARD.encode(b"\xffhi"), true), b"\xffhi");
        assert_eq!(body("aGk=", false), b"aGk=");
    }

    #[test]
    fn what_is_no_http_request_reads_as_one_without_a_path() {
        let not_base64 = event(json!({ "body": "not base64", "isBase64Encoded": true }));
        let control = event(json!({ "headers": { "x": "\n" } }));
        let host = event(json!({ "headers": { "host": "a b" } }));
        for payload in ["null", "[]", "7", "{}", r#"{"rawPath":7}"#, &not_base64, &control, &host] {
            assert_eq!(read(payload).raw_http_path(), "", "{payload}");
        }
    }

    #[test]
    fn a_header_that_is_not_text_counts_as_absent() {
        let request =
            read(&event(json!({ "headers": { "X-Name": "Zoe", "x": "Zo\u{eb}", "y": "" } })));
        let value = |name| header(request.headers(), name);
        assert_eq!((value("x-name"), value("x"), value("y")), (Some("Zoe"), None, None));
    }
}

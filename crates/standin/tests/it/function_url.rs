//! Payload format 2.0, both ways.

use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};
use standin::function_url::{BodyEncoding, event, response};

fn request(body: &'static [u8]) -> Request<Bytes> {
    Request::post("/webhooks/clerk?a=1&b=2")
        .header("User-Agent", "Svix-Webhooks/1.x")
        .header("X-Twice", "one")
        .header("X-Twice", "two")
        .body(Bytes::from_static(body))
        .unwrap()
}

#[test]
fn a_request_becomes_an_event() {
    let event = event(&request(b"{}"), BodyEncoding::Text);
    assert_eq!(event["version"], "2.0");
    assert_eq!(event["rawPath"], "/webhooks/clerk");
    assert_eq!(event["rawQueryString"], "a=1&b=2");
    assert_eq!(
        event["headers"],
        json!({ "user-agent": "Svix-Webhooks/1.x", "x-twice": "one,two" })
    );
    assert_eq!(event["requestContext"]["http"]["method"], "POST");
    assert_eq!(event["requestContext"]["http"]["userAgent"], "Svix-Webhooks/1.x");
    assert_eq!((&event["body"], &event["isBase64Encoded"]), (&json!("{}"), &json!(false)));
}

#[test]
fn the_same_request_is_the_same_event() {
    let text = |encoding| event(&request(b"{}"), encoding).to_string();
    assert_eq!(text(BodyEncoding::Text), text(BodyEncoding::Text));
}

#[test]
fn a_body_is_base64_when_asked_for_or_not_text_and_absent_when_empty() {
    for (body, encoding, expected, is_base64) in [
        (&b"{}"[..], BodyEncoding::Base64, json!("e30="), true),
        (&b"\xff"[..], BodyEncoding::Text, json!("/w=="), true),
        (&b""[..], BodyEncoding::Text, Value::Null, false),
        (&b""[..], BodyEncoding::Base64, Value::Null, false),
    ] {
        let event = event(&request(body), encoding);
        assert_eq!(event.get("body").unwrap_or(&Value::Null), &expected);
        assert_eq!(event["isBase64Encoded"], is_base64);
    }
}

#[test]
fn a_result_becomes_a_response() {
    let answer = response(&json!({
        "statusCode": 503,
        "headers": { "retry-after": "5", "content-type": "text/plain" },
        "body": "bm8=",
        "isBase64Encoded": true,
    }))
    .unwrap();
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.headers()["retry-after"], "5");
    assert_eq!(answer.headers()["content-type"], "text/plain");
    assert_eq!(answer.body(), "no");
    let bare = response(&json!({ "statusCode": 204 })).unwrap();
    assert_eq!((bare.status().as_u16(), bare.body().len()), (204, 0));
}

#[test]
fn a_result_without_status_is_the_body() {
    for result in [json!({ "ok": true }), json!("text"), Value::Null] {
        let answer = response(&result).unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "application/json");
        assert_eq!(answer.body(), result.to_string().as_str());
    }
}

#[test]
fn a_result_that_is_no_response_is_refused() {
    for result in [
        json!({ "statusCode": "200" }),
        json!({ "statusCode": 99 }),
        json!({ "statusCode": 200, "headers": [] }),
        json!({ "statusCode": 200, "headers": { "a": "line\nbreak" } }),
        json!({ "statusCode": 200, "headers": { "not a name": "" } }),
        json!({ "statusCode": 200, "body": {} }),
        json!({ "statusCode": 200, "body": "%", "isBase64Encoded": true }),
    ] {
        assert!(response(&result).is_err(), "{result}");
    }
}

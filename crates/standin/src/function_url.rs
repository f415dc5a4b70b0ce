//! A Lambda Function URL: HTTP to payload format 2.0, and a function's result back to HTTP.
//!
//! Nothing here reads a clock or draws a number, so an event is the same byte for byte in every run.
//! (docs/vendors/hookdeck.md, "Function URL")

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// The id in the host name of the stand-in's Function URL.
const API_ID: &str = "abcdefghijklmnopqrstuvwxyz012345";
/// The invocation's id in every event.
const REQUEST_ID: &str = "6b1e2a3c-0000-4000-8000-000000000001";
/// The caller's address in every event, reserved for documentation.
const SOURCE_IP: &str = "203.0.113.7";
/// The time of every event in milliseconds since the Unix epoch; [`TIME`] is the same.
const TIME_EPOCH: u64 = 1_767_784_000_000;
/// The time of every event as text.
const TIME: &str = "07/Jan/2026:11:06:40 +0000";

/// How an event carries the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyEncoding {
    /// As it is; a body that is not UTF-8 has to be base64 all the same.
    Text,
    /// As base64, with `isBase64Encoded`.
    Base64,
}

/// The event a function gets for this request. A request without a body has no member `body`.
pub fn event(request: &Request<Bytes>, encoding: BodyEncoding) -> Value {
    let path = request.uri().path();
    let headers = joined(request.headers());
    let user_agent = headers.get(USER_AGENT.as_str()).cloned();
    let text = match encoding {
        BodyEncoding::Text => std::str::from_utf8(request.body()).ok(),
        BodyEncoding::Base64 => None,
    };
    let is_base64 = text.is_none() && !request.body().is_empty();
    let mut event = json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": request.uri().query().unwrap_or_default(),
        "headers": headers,
        "requestContext": {
            "accountId": "anonymous",
            "apiId": API_ID,
            "domainName": format!("{API_ID}.lambda-url.us-east-1.on.aws"),
            "domainPrefix": API_ID,
            "http": {
                "method": request.method().as_str(),
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": SOURCE_IP,
                "userAgent": user_agent.unwrap_or_else(|| "".into()),
            },
            "requestId": REQUEST_ID,
            "routeKey": "$default",
            "stage": "$default",
            "time": TIME,
            "timeEpoch": TIME_EPOCH,
        },
        "isBase64Encoded": is_base64,
    });
    if !request.body().is_empty() {
        event["body"] = match text {
            Some(text) => text.into(),
            None => STANDARD.encode(request.body()).into(),
        };
    }
    event
}

/// Lower-cased names; repeated headers are one, their values separated by commas.
fn joined(headers: &HeaderMap) -> Map<String, Value> {
    let values_of = |name| {
        let values = headers.get_all(name).iter();
        let texts: Vec<_> = values.map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
        texts.join(",")
    };
    headers.keys().map(|name| (name.as_str().to_owned(), values_of(name).into())).collect()
}

/// What a function returns.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FunctionResult {
    status_code: u16,
    headers: Option<HashMap<String, String>>,
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
}

/// The response to the caller for what a function returned.
/// A result without `statusCode` is itself the body of a 200, as JSON.
///
/// # Errors
///
/// Says what is wrong with a result that AWS would answer with a 502.
pub fn response(result: &impl Serialize) -> Result<Response<Bytes>, String> {
    let result = serde_json::to_value(result).map_err(|error| error.to_string())?;
    if result.get("statusCode").is_none() {
        return Ok(with_content_type(Response::new(Bytes::from(result.to_string()))));
    }
    let result = FunctionResult::deserialize(result).map_err(|error| error.to_string())?;
    let body = result.body.unwrap_or_default();
    let body = if result.is_base64_encoded {
        STANDARD.decode(body).map_err(|error| format!("body is not base64: {error}"))?
    } else {
        body.into()
    };
    let mut builder = Response::builder().status(result.status_code);
    for (name, value) in result.headers.unwrap_or_default() {
        builder = builder.header(name, value);
    }
    let response = builder.body(Bytes::from(body));
    response.map(with_content_type).map_err(|error| format!("not a response: {error}"))
}

fn with_content_type(mut response: Response<Bytes>) -> Response<Bytes> {
    response
        .headers_mut()
        .entry(CONTENT_TYPE)
        .or_insert(HeaderValue::from_static("application/json"));
    response
}

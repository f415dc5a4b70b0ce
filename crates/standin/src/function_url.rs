//! A Lambda Function URL: HTTP to payload format 2.0, and a function's result back to HTTP.
//!
//! Nothing here reads a clock or draws a number, so an event is the same byte for byte in every run.
//! The parts of `contracts/hookdeck.md` that depend on this format are in its sections 1 and 11 B 13.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// The id in the host name of the stand-in's Function URL.
pub const API_ID: &str = "abcdefghijklmnopqrstuvwxyz012345";
/// The invocation's id in every event.
pub const REQUEST_ID: &str = "6b1e2a3c-0000-4000-8000-000000000001";
/// The caller's address in every event, reserved for documentation.
pub const SOURCE_IP: &str = "203.0.113.7";
/// The time of every event in milliseconds since the Unix epoch; [`TIME`] is the same.
pub const TIME_EPOCH: u64 = 1_767_784_000_000;
/// The time of every event as text.
pub const TIME: &str = "07/Jan/2026:11:06:40 +0000";

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

/// The answer a caller gets for a function's result.
/// A result without `statusCode` is itself the body of a 200, as JSON.
///
/// # Errors
///
/// Says what is wrong with a result that AWS would answer with a 502.
pub fn response(result: &impl Serialize) -> Result<Response<Bytes>, String> {
    let result = &serde_json::to_value(result).map_err(|error| error.to_string())?;
    let Some(status) = result.get("statusCode") else {
        return Ok(with_content_type(Response::new(Bytes::from(result.to_string()))));
    };
    let status = status
        .as_u64()
        .and_then(|status| u16::try_from(status).ok())
        .and_then(|status| StatusCode::from_u16(status).ok())
        .ok_or_else(|| format!("statusCode is no status: {status}"))?;
    let mut response = Response::new(body(result)?);
    *response.status_mut() = status;
    match result.get("headers") {
        None | Some(Value::Null) => {}
        Some(Value::Object(headers)) => {
            for (name, value) in headers {
                let (name, value) = header(name, value)?;
                response.headers_mut().insert(name, value);
            }
        }
        Some(other) => return Err(format!("headers is no object: {other}")),
    }
    Ok(with_content_type(response))
}

fn header(name: &str, value: &Value) -> Result<(HeaderName, HeaderValue), String> {
    let text = value.as_str().and_then(|text| HeaderValue::from_str(text).ok());
    let value = text.ok_or_else(|| format!("header {name} has no usable value: {value}"))?;
    let name = HeaderName::try_from(name).map_err(|_| format!("no header name: {name}"))?;
    Ok((name, value))
}

fn body(result: &Value) -> Result<Bytes, String> {
    let text = match result.get("body") {
        None | Some(Value::Null) => return Ok(Bytes::new()),
        Some(Value::String(text)) => text,
        Some(other) => return Err(format!("body is no text: {other}")),
    };
    if result["isBase64Encoded"] == true {
        let bytes = STANDARD.decode(text);
        return bytes.map(Bytes::from).map_err(|error| format!("body is no base64: {error}"));
    }
    Ok(Bytes::from(text.clone()))
}

fn with_content_type(mut response: Response<Bytes>) -> Response<Bytes> {
    response
        .headers_mut()
        .entry(CONTENT_TYPE)
        .or_insert(HeaderValue::from_static("application/json"));
    response
}

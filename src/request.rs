//! What arrived: the event of a Lambda Function URL, payload format 2.0.
//!
//! We read it ourselves because the usual crate turns a header that is not ASCII, or a body that is
//! not base64, into Lambda's own error; here everything that Lambda can hand us becomes a
//! [`Request`], and so gets an answer of ours. Source: AWS Lambda developer guide, "Function URL
//! request and response payloads".

use std::borrow::Cow;
use std::collections::HashMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;

/// The largest body we handle, after base64 decoding. Clerk's events are a few KB.
pub const BODY_LIMIT_BYTES: usize = 1024 * 1024;

/// One HTTP request as the Function URL describes it. Every member is optional, so that whatever an
/// invocation carries is a request, if only one for a path that nobody serves.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Request {
    /// The path, percent-encoded as it was sent.
    pub raw_path: String,
    /// The headers.
    pub headers: Headers,
    #[serde(rename = "requestContext")]
    context: RequestContext,
    body: Option<String>,
    is_base64_encoded: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RequestContext {
    http: Http,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Http {
    method: String,
}

/// Why there are no body bytes to look at.
#[derive(Debug, PartialEq, Eq)]
pub enum BodyError {
    /// More than [`BODY_LIMIT_BYTES`].
    TooLarge,
    /// Said to be base64, and is not.
    NotBase64,
}

impl Request {
    /// Reads an invocation's payload. One that is no HTTP request at all reads as a request without
    /// a path.
    pub fn read(payload: &str) -> Self {
        serde_json::from_str(payload).unwrap_or_default()
    }

    /// The HTTP method, in upper case as HTTP has it.
    pub fn method(&self) -> &str {
        &self.context.http.method
    }

    /// The bytes that the sender signed.
    pub fn body(&self) -> Result<Cow<'_, [u8]>, BodyError> {
        let text = self.body.as_deref().unwrap_or_default();
        let bytes = if self.is_base64_encoded {
            Cow::Owned(STANDARD.decode(text).map_err(|_| BodyError::NotBase64)?)
        } else {
            Cow::Borrowed(text.as_bytes())
        };
        if bytes.len() > BODY_LIMIT_BYTES { Err(BodyError::TooLarge) } else { Ok(bytes) }
    }
}

/// Header values by lower-case name. A name that arrives in two spellings has no value that could
/// be trusted.
#[derive(Debug, Default, Deserialize)]
#[serde(from = "HashMap<String, String>")]
pub struct Headers(HashMap<String, String>);

impl Headers {
    /// The value of a header, its name given in lower case; empty counts as absent, as HTTP
    /// intermediaries may send either.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let mut headers = HashMap::new();
        for (name, value) in pairs {
            headers
                .entry(name.into().to_ascii_lowercase())
                .and_modify(|known: &mut String| known.push(',')) // as Lambda joins repeated headers: matches nothing
                .or_insert_with(|| value.into());
        }
        Self(headers)
    }
}

impl From<HashMap<String, String>> for Headers {
    fn from(pairs: HashMap<String, String>) -> Self {
        pairs.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(body: &str, base64: bool) -> String {
        serde_json::json!({ "body": body, "isBase64Encoded": base64 }).to_string()
    }

    #[test]
    fn a_base64_body_is_decoded_and_a_text_body_is_taken_as_it_is() {
        assert_eq!(Request::read(&request("aGk=", true)).body().as_deref(), Ok(&b"hi"[..]));
        assert_eq!(Request::read(&request("aGk=", false)).body().as_deref(), Ok(&b"aGk="[..]));
        assert_eq!(Request::read(&request("not base64", true)).body(), Err(BodyError::NotBase64));
    }

    #[test]
    fn an_absent_body_has_no_bytes() {
        assert_eq!(Request::read("{}").body().as_deref(), Ok(&b""[..]));
    }

    #[test]
    fn the_size_limit_counts_decoded_bytes() {
        let fits = "a".repeat(BODY_LIMIT_BYTES);
        assert!(Request::read(&request(&fits, false)).body().is_ok());
        assert!(Request::read(&request(&STANDARD.encode(&fits), true)).body().is_ok());
        let over = fits + "a";
        assert_eq!(Request::read(&request(&over, false)).body(), Err(BodyError::TooLarge));
        assert_eq!(
            Request::read(&request(&STANDARD.encode(&over), true)).body(),
            Err(BodyError::TooLarge)
        );
    }

    #[test]
    fn an_invocation_that_is_no_http_request_reads_as_one_without_a_path() {
        for payload in
            ["null", "[]", "7", r#"{"source":"aws.events","detail":{}}"#, r#"{"rawPath":7}"#]
        {
            assert_eq!(Request::read(payload).raw_path, "", "{payload}");
        }
    }

    #[test]
    fn a_header_that_is_not_ascii_is_a_header() {
        let request = Request::read(r#"{"headers":{"X-Name":"Zoë","x-empty":""}}"#);
        assert_eq!(request.headers.get("x-name"), Some("Zoë"));
        assert_eq!(request.headers.get("x-empty"), None);
    }
}

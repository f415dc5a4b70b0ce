//! The error answers of the service (section 11). The texts are ours: status and code are what counts.

use axum::response::{IntoResponse, Response};
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};

/// An error answer. The middleware writes its body, because that carries the request's trace id.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
    /// The parameter that is to blame.
    parameter: Option<String>,
    /// `Retry-After` in seconds.
    retry_after: Option<u64>,
}

impl Refusal {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), parameter: None, retry_after: None }
    }

    fn parameter(code: &'static str, parameter: &str, message: &str) -> Self {
        let refusal = Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, message);
        Self { parameter: Some(parameter.into()), ..refusal }
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "resource_not_found", message)
    }

    pub(super) fn unknown_user(user_id: &str) -> Self {
        Self::not_found(format!("no user was found with id {user_id}"))
    }

    pub(super) fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "method not allowed")
    }

    /// The contract names the code but not what it is for; no credentials at all is a guess.
    pub(super) fn unauthenticated() -> Self {
        let message = "the request has no Authorization header";
        Self::new(StatusCode::UNAUTHORIZED, "authentication_invalid", message)
    }

    pub(super) fn bad_authorization() -> Self {
        let message = "the Authorization header must be of the form 'Bearer <secret key>'";
        Self::new(StatusCode::UNAUTHORIZED, "authorization_header_format_invalid", message)
    }

    pub(super) fn bad_key() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "clerk_key_invalid", "the secret key is invalid")
    }

    pub(super) fn bad_version() -> Self {
        let message = "the API version is unknown, or given twice";
        Self::new(StatusCode::BAD_REQUEST, "api_version_invalid", message)
    }

    pub(super) fn bad_content_type() -> Self {
        let message = "the Content-Type of a body must be application/json";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_content_type", message)
    }

    pub(super) fn bad_body() -> Self {
        let message = "the body must be a JSON object";
        Self::new(StatusCode::BAD_REQUEST, "request_body_invalid", message)
    }

    pub(super) fn bad_query(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed_request_parameters", message)
    }

    pub(super) fn unknown(parameter: &str) -> Self {
        Self::parameter("form_param_unknown", parameter, "the parameter is not accepted here")
    }

    pub(super) fn wrong_type(parameter: &str) -> Self {
        Self::parameter("form_param_type_invalid", parameter, "the parameter has the wrong type")
    }

    pub(super) fn wrong_value(parameter: &str, message: &str) -> Self {
        Self::parameter("form_param_value_invalid", parameter, message)
    }

    pub(super) fn too_large(parameter: &str) -> Self {
        let message = "the metadata is above the limit";
        Self::parameter("form_param_exceeds_allowed_size", parameter, message)
    }

    pub(super) fn too_many_requests(seconds: u64) -> Self {
        let message = "too many requests, retry later";
        let refusal = Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", message);
        Self { retry_after: Some(seconds), ..refusal }
    }

    /// The answer with its body.
    pub(super) fn answer(self, trace_id: &str) -> Response {
        let Self { status, code, message, parameter, retry_after } = self;
        let mut error = json!({ "code": code, "message": message, "long_message": message });
        if let Some(parameter) = parameter {
            error["meta"] = json!({ "param_name": parameter });
        }
        let body: Value = json!({ "errors": [error], "clerk_trace_id": trace_id });
        let mut response = (status, axum::Json(body)).into_response();
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

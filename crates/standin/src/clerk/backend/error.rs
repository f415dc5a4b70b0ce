//! The error codes of the service (docs/vendors/clerk.md, "Backend API errors"). The texts are ours: clients read status and code.

use http::StatusCode;
use serde_json::json;

use crate::service::ErrorResponse;

pub(super) fn unauthorized(code: &str, message: &str) -> ErrorResponse {
    ErrorResponse::unauthorized(message).with("code", code)
}

pub(super) fn unknown_user(user_id: &str) -> ErrorResponse {
    ErrorResponse::not_found(format!("no user was found with id {user_id}"))
}

pub(super) fn bad_version() -> ErrorResponse {
    let message = "the API version is unknown, or given twice";
    ErrorResponse::bad_request(message).with("code", "api_version_invalid")
}

pub(super) fn bad_content_type() -> ErrorResponse {
    let message = "the Content-Type of a body must be application/json";
    ErrorResponse::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message)
        .with("code", "unsupported_content_type")
}

pub(super) fn bad_body() -> ErrorResponse {
    let message = "the body must be a JSON object";
    ErrorResponse::bad_request(message).with("code", "request_body_invalid")
}

pub(super) fn too_many_requests(seconds: u64) -> ErrorResponse {
    ErrorResponse::new(StatusCode::TOO_MANY_REQUESTS, "too many requests, retry later")
        .with("code", "too_many_requests")
        .with_retry_after(seconds)
}

pub(super) fn unknown_parameter(name: &str) -> ErrorResponse {
    parameter("form_param_unknown", name, "the parameter is not accepted here")
}

pub(super) fn wrong_type(name: &str) -> ErrorResponse {
    parameter("form_param_type_invalid", name, "the parameter has the wrong type")
}

pub(super) fn wrong_value(name: &str, message: &str) -> ErrorResponse {
    parameter("form_param_value_invalid", name, message)
}

pub(super) fn too_large(name: &str) -> ErrorResponse {
    parameter("form_param_exceeds_allowed_size", name, "the metadata is above the limit")
}

fn parameter(code: &str, name: &str, message: &str) -> ErrorResponse {
    ErrorResponse::unprocessable(message)
        .with("code", code)
        .with("meta", json!({ "param_name": name }))
}

/// The code of an error that belongs to its status.
pub(super) fn default_code(status: StatusCode) -> &'static str {
    match status {
        StatusCode::NOT_FOUND => "resource_not_found",
        StatusCode::METHOD_NOT_ALLOWED => "method_not_allowed",
        _ => "malformed_request_parameters",
    }
}

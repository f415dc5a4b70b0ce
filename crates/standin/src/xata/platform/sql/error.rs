//! The errors of the gateway.

use http::StatusCode;

use crate::service::ErrorResponse;

/// An error of the gateway itself.
pub(super) fn error(status: StatusCode, code: &str, message: impl Into<String>) -> ErrorResponse {
    ErrorResponse::new(status, message).with("code", code)
}

pub(super) fn bad_request(message: impl Into<String>) -> ErrorResponse {
    error(StatusCode::BAD_REQUEST, "BAD_REQUEST", message)
}

/// PostgreSQL refuses the connection. The gateway answers like any other error of PostgreSQL's.
pub(super) fn fatal(code: &str, message: impl Into<String>) -> ErrorResponse {
    error(StatusCode::BAD_REQUEST, code, message).with("severity", "FATAL")
}

/// The gateway has no PostgreSQL server, or the server does not answer.
pub(super) fn unreachable() -> ErrorResponse {
    error(StatusCode::INTERNAL_SERVER_ERROR, "XX000", "cannot connect to the database")
}

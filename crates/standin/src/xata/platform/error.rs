//! The error responses that several calls share.

use http::StatusCode;

use crate::service::ErrorResponse;

pub(super) fn invalid_parameter(name: &str, what: &str) -> ErrorResponse {
    ErrorResponse::bad_request(format!("invalid parameter [{name}]: {what}"))
}

pub(super) fn unknown_project(project: &str) -> ErrorResponse {
    ErrorResponse::not_found(format!("project [{project}] not found"))
}

pub(super) fn unknown_parent(parent: &str) -> ErrorResponse {
    ErrorResponse::not_found(format!("branch [{parent}]: not found"))
}

pub(super) fn name_taken(kind: &str, name: &str) -> ErrorResponse {
    ErrorResponse::new(StatusCode::CONFLICT, format!("{kind} [{name}] already exists"))
}

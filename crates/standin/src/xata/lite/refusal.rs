//! The error answers of the service (section 4). All wording but `invalid API key` is ours: no other text is known.

use axum::response::{IntoResponse, Response};
use http::StatusCode;

/// An error answer. The middleware writes its body, because that carries the request's id.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(super) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "invalid API key")
    }

    pub(super) fn unknown_workspace(workspace: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("workspace [{workspace}] not found"))
    }

    pub(super) fn unknown_database(name: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("database [{name}] not found"))
    }

    /// The region's status is 400 or 422; the contract does not know which (section 3.2).
    pub(super) fn unknown_region(region: &str) -> Self {
        Self::bad_request(format!("region [{region}] not found"))
    }

    pub(super) fn name_taken(status: StatusCode, name: &str) -> Self {
        let what = if status == StatusCode::LOCKED { "is locked" } else { "already exists" };
        Self::new(status, format!("database [{name}] {what}"))
    }

    /// The status is a guess of the contract's (section 6).
    pub(super) fn cap(workspace: &str, limit: usize) -> Self {
        let message = format!("workspace [{workspace}] has reached the limit of {limit} databases");
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, message)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

//! The error answers of the platform (sections 2, 3 and 6).

use axum::response::{IntoResponse, Response};
use http::StatusCode;

/// An error answer. The middleware writes its body, because that repeats the request's id.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) message: String,
    /// Seconds.
    pub(super) retry_after: Option<u16>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), retry_after: None }
    }

    pub(super) fn with_retry_after(mut self, seconds: u16) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(super) fn invalid_parameter(name: &str, what: &str) -> Self {
        Self::bad_request(format!("invalid parameter [{name}]: {what}"))
    }

    pub(super) fn unknown_region(region: &str) -> Self {
        let what = format!("invalid region: region {region} is not found");
        Self::invalid_parameter("region", &what)
    }

    pub(super) fn unknown_project(project: &str) -> Self {
        Self::not_found(format!("project [{project}] not found"))
    }

    pub(super) fn unknown_branch(branch: &str) -> Self {
        Self::not_found(format!("branch [{branch}] not found"))
    }

    pub(super) fn unknown_parent(parent: &str) -> Self {
        Self::not_found(format!("branch [{parent}]: not found"))
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    pub(super) fn name_taken(kind: &str, name: &str) -> Self {
        Self::new(StatusCode::CONFLICT, format!("{kind} [{name}] already exists"))
    }

    /// `what` is the thing whose quota is used up: `branches`, `project creations per hour`, …
    pub(super) fn organization_quota(
        status: StatusCode,
        organization: &str,
        limit: usize,
        what: &str,
    ) -> Self {
        Self::new(
            status,
            format!("organization [{organization}] has reached the limit of {limit} {what}"),
        )
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Value, json};

/// An error answer of the gateway.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) body: Value,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self { status, body: json!({ "message": message.into(), "code": code }) }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BAD_REQUEST", message)
    }

    /// PostgreSQL refuses the connection. It says so like any other error of its.
    pub(super) fn fatal(code: &str, message: impl Into<String>) -> Self {
        let mut refusal = Self::new(StatusCode::BAD_REQUEST, code, message);
        refusal.body["severity"] = "FATAL".into();
        refusal
    }

    /// There is no PostgreSQL behind the gateway, or it does not answer.
    pub(super) fn unreachable() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "XX000", "cannot connect to the database")
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(self.body)).into_response()
    }
}

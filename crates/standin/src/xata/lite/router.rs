//! The routes, and what happens to every request before and after its handler.

use std::collections::HashMap;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::HeaderValue;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, StatusCode};
use serde_json::json;

use super::call;
use super::refusal::Refusal;
use super::{Lite, create, databases};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

pub(super) fn router(lite: Lite) -> Router {
    Router::new()
        .route(call::DATABASES, get(databases::list))
        .route(
            call::DATABASE,
            get(databases::get)
                .put(create::create)
                .patch(databases::update)
                .delete(databases::delete),
        )
        .route(call::RENAME, post(databases::rename))
        .route(call::REGIONS, get(databases::regions))
        .route_layer(from_fn_with_state(lite.clone(), authorize))
        .fallback(async || Refusal::new(StatusCode::NOT_FOUND, "not found"))
        .method_not_allowed_fallback(async || {
            Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method not allowed")
        })
        .layer(from_fn_with_state(lite.clone(), identify))
        .layer(from_fn_with_state(lite.clone(), observe))
        .with_state(lite)
}

async fn observe(State(lite): State<Lite>, request: Request, next: Next) -> Response {
    lite.gate().pass(&call::CALLS, request, next).await
}

/// Gives the answer its request id (section 1), and an error its body (section 4).
async fn identify(State(lite): State<Lite>, request: Request, next: Next) -> Response {
    let id = lite.state().request_id();
    let mut response = next.run(request).await;
    if let Some(Refusal { status, message }) = response.extensions_mut().remove() {
        response = (status, Json(json!({ "id": id, "message": message }))).into_response();
    }
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// The bearer token first, then the workspace. Another workspace is 404, which section 4 declares for it;
/// 403 is only in the generic table.
async fn authorize(
    State(lite): State<Lite>,
    parameters: Result<Path<HashMap<String, String>>, PathRejection>,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    {
        let options = &lite.state().options;
        if bearer(request.headers()) != Some(options.api_key.as_str()) {
            return Err(Refusal::unauthorized());
        }
        let Path(parameters) = parameters
            .map_err(|rejection| Refusal::bad_request(format!("invalid path: {rejection}")))?;
        let workspace = parameters.get("workspace").map(String::as_str).unwrap_or_default();
        if workspace != options.workspace {
            return Err(Refusal::unknown_workspace(workspace));
        }
    }
    Ok(next.run(request).await)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

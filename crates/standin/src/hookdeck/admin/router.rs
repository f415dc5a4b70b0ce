//! The routes, and what happens to every request before its handler.

use std::collections::HashMap;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, put};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::refusal::Refusal;
use super::{Admin, OLD_VERSION, VERSION, call, handlers};

pub(super) fn router(admin: Admin) -> Router {
    Router::new()
        .route(call::CONNECTIONS, get(handlers::connections).put(handlers::upsert_connection))
        .route(call::CONNECTION, get(handlers::connection))
        .route(call::ENABLE, put(handlers::enable))
        .route(call::SOURCES, get(handlers::sources).put(handlers::upsert_source))
        .route(call::SOURCE, get(handlers::source))
        .route(call::DESTINATIONS, get(handlers::destinations).put(handlers::upsert_destination))
        .route(call::DESTINATION, get(handlers::destination))
        .route_layer(from_fn_with_state(admin.clone(), admit))
        .fallback(async || Refusal::not_found("there is no such path"))
        .method_not_allowed_fallback(async || Refusal::method_not_allowed())
        .layer(from_fn_with_state(admin.clone(), observe))
        .with_state(admin)
}

async fn observe(State(admin): State<Admin>, request: Request, next: Next) -> Response {
    admin.gate().pass(&call::CALLS, request, next).await
}

/// The version first, which is part of the path, then the key; the service's order is unknown.
async fn admit(
    State(admin): State<Admin>,
    parameters: Result<Path<HashMap<String, String>>, PathRejection>,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    let Path(parameters) = parameters.map_err(|it| Refusal::bad_request(it.body_text()))?;
    let version = parameters.get("version").map(String::as_str).unwrap_or_default();
    if ![VERSION, OLD_VERSION].contains(&version) {
        return Err(Refusal::not_found("there is no such version"));
    }
    let is_known = key(request.headers()).is_some_and(|key| key == admin.state().options.api_key);
    if !is_known {
        return Err(Refusal::unauthorized());
    }
    Ok(next.run(request).await)
}

/// The key as a bearer token, or as the user name of Basic with an empty password.
fn key(headers: &HeaderMap) -> Option<String> {
    let (scheme, rest) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.trim().to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
    pair.strip_suffix(':').map(str::to_owned)
}

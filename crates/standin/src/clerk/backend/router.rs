//! The routes, and what happens to every request before and after its handler.

use std::collections::HashMap;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Query, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, patch};
use http::header::AUTHORIZATION;
use http::{HeaderMap, Uri};

use super::Backend;
use super::options::Options;
use super::refusal::Refusal;
use super::{call, query, users};

const API_VERSION: &str = "clerk-api-version";

pub(super) fn router(backend: Backend) -> Router {
    Router::new()
        .route(call::INSTANCE, get(users::instance))
        .route(call::USERS, get(users::list))
        .route(call::COUNT, get(users::count))
        .route(call::USER, get(users::get).patch(users::update).delete(users::delete))
        .route(call::METADATA, patch(users::merge_metadata).put(users::replace_metadata))
        .route_layer(from_fn_with_state(backend.clone(), admit))
        .fallback(async || Refusal::not_found("there is no such path"))
        .method_not_allowed_fallback(async || Refusal::method_not_allowed())
        .layer(from_fn_with_state(backend.clone(), identify))
        .layer(from_fn_with_state(backend.clone(), observe))
        .with_state(backend)
}

async fn observe(State(backend): State<Backend>, request: Request, next: Next) -> Response {
    backend.gate().pass(&call::CALLS, request, next).await
}

/// Gives an error its body, with the request's trace id.
async fn identify(State(backend): State<Backend>, request: Request, next: Next) -> Response {
    let trace_id = backend.state().trace_id();
    let mut response = next.run(request).await;
    match response.extensions_mut().remove::<Refusal>() {
        Some(refusal) => refusal.answer(&trace_id),
        None => response,
    }
}

/// The key first, then the version, then the limit of the whole API; the service's order is unknown.
async fn admit(
    State(backend): State<Backend>,
    parameters: Result<Path<HashMap<String, String>>, PathRejection>,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    {
        let mut state = backend.state();
        authorize(&state.options, request.headers())?;
        let version = version(request.headers(), request.uri())?;
        if version.is_some_and(|version| version != state.options.api_version) {
            return Err(Refusal::bad_version());
        }
        parameters.map_err(|rejection| Refusal::bad_query(rejection.body_text()))?;
        state.admit()?;
    }
    Ok(next.run(request).await)
}

fn authorize(options: &Options, headers: &HeaderMap) -> Result<(), Refusal> {
    let given = headers.get(AUTHORIZATION).ok_or_else(Refusal::unauthenticated)?;
    let key = given.to_str().ok().and_then(|given| {
        let (scheme, key) = given.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| key.trim()).filter(|key| !key.is_empty())
    });
    match key {
        None => Err(Refusal::bad_authorization()),
        Some(key) if key == options.secret_key => Ok(()),
        Some(_) => Err(Refusal::bad_key()),
    }
}

/// The version that is asked for, in the header or in the query but not in both.
fn version(headers: &HeaderMap, uri: &Uri) -> Result<Option<String>, Refusal> {
    let in_header = headers.get(API_VERSION).map(|it| it.to_str().unwrap_or_default().to_owned());
    let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
        .map_err(|rejection| Refusal::bad_query(rejection.body_text()))?;
    let in_query = pairs.into_iter().find(|(name, _)| name == query::API_VERSION);
    match (in_header, in_query) {
        (Some(_), Some(_)) => Err(Refusal::bad_version()),
        (header, query) => Ok(header.or(query.map(|(_, version)| version))),
    }
}

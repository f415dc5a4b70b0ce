//! The routes, and what happens to every request before and after its handler.

use std::collections::HashMap;

use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::HeaderValue;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::header::{AUTHORIZATION, RETRY_AFTER};
use http::uri::PathAndQuery;
use http::{StatusCode, Uri};
use serde_json::json;
use tower::ServiceExt;

use super::call;
use super::refusal::Refusal;
use super::{Platform, branches, create, discovery, projects, sql};

const REQUEST_ID: &str = "x-request-id";
const LONGEST_REQUEST_ID: usize = 100;

pub(super) fn router(platform: Platform) -> Router {
    let routes = Router::new()
        .route(call::ORGANIZATIONS, get(discovery::organizations))
        .route(call::REGIONS, get(discovery::regions))
        .route(call::INSTANCE_TYPES, get(discovery::instance_types))
        .route(call::IMAGES, get(discovery::images))
        .route(call::ORGANIZATION_LIMITS, get(discovery::organization_limits))
        .route(call::DEFAULT_LIMITS, get(discovery::default_limits))
        .route(call::PROJECT_LIMITS, get(discovery::project_limits))
        .route(call::PROJECTS, get(projects::list).post(projects::create))
        .route(call::PROJECT, get(projects::get).patch(projects::patch).delete(projects::delete))
        .route(call::BRANCHES, get(branches::list).post(create::create))
        .route(
            call::BRANCH,
            get(branches::describe).patch(branches::patch).delete(branches::delete),
        )
        .route(call::CREDENTIALS, get(branches::credentials))
        .route(call::ROTATE, post(branches::rotate))
        .route_layer(from_fn_with_state(platform.clone(), authorize))
        // The key opens nothing here (section 9).
        .route(call::SQL, post(sql::answer).layer(DefaultBodyLimit::max(sql::REQUEST_LIMIT_BYTES)))
        .fallback(async || Refusal::not_found("Not Found"))
        .method_not_allowed_fallback(async || {
            Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed")
        })
        .layer(from_fn_with_state(platform.clone(), identify))
        .layer(from_fn_with_state(platform.clone(), observe))
        .with_state(platform);
    // Routing happens inside, so the slash has to go before it.
    Router::new().fallback_service(routes.map_request(without_trailing_slash))
}

fn without_trailing_slash(mut request: Request) -> Request {
    let uri = request.uri();
    let path = uri.path().trim_end_matches('/');
    if path.len() < uri.path().len() && !path.is_empty() {
        let rest = uri.query().map_or(path.to_owned(), |query| format!("{path}?{query}"));
        let mut parts = uri.clone().into_parts();
        parts.path_and_query = PathAndQuery::try_from(rest).ok();
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
    }
    request
}

async fn observe(State(platform): State<Platform>, request: Request, next: Next) -> Response {
    platform.gate().pass(&call::CALLS, request, next).await
}

/// Gives the answer its request id, and an error its body (section 2).
async fn identify(State(platform): State<Platform>, request: Request, next: Next) -> Response {
    let sent = request
        .headers()
        .get(REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .map(|text| text[..text.len().min(LONGEST_REQUEST_ID)].to_owned());
    let id = sent.clone().unwrap_or_else(|| platform.state().request_id());
    let mut response = next.run(request).await;
    if let Some(refusal) = response.extensions_mut().remove::<Refusal>() {
        response = error(&refusal, sent.as_deref(), &id);
    }
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

fn error(refusal: &Refusal, sent_id: Option<&str>, id: &str) -> Response {
    let message = match refusal.status {
        StatusCode::INTERNAL_SERVER_ERROR => format!("Internal Error (Request ID: {id})"),
        _ => refusal.message.clone(),
    };
    let body = match sent_id {
        Some(id) => json!({ "id": id, "message": message }),
        None => json!({ "message": message }),
    };
    let mut response = (refusal.status, Json(body)).into_response();
    if let Some(seconds) = refusal.retry_after {
        let headers = response.headers_mut();
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// The bearer token first, then the organization (section 1).
async fn authorize(
    State(platform): State<Platform>,
    Path(parameters): Path<HashMap<String, String>>,
    request: Request,
    next: Next,
) -> Response {
    let unauthorized = |message| Refusal::new(StatusCode::UNAUTHORIZED, message).into_response();
    let token = request
        .headers()
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim());
    let (is_key, is_member) = {
        let options = &platform.state().options;
        (
            token == Some(options.api_key.as_str()),
            parameters.get("organization").is_none_or(|it| *it == options.organization),
        )
    };
    match (token, is_key, is_member) {
        (None, ..) => unauthorized("no token found"),
        (Some(_), false, _) => unauthorized("invalid token"),
        (_, _, false) => Refusal::new(StatusCode::FORBIDDEN, "access denied").into_response(),
        _ => next.run(request).await,
    }
}

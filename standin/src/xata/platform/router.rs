//! The routes, and what happens to every request before and after its handler.

use std::collections::HashMap;
use std::convert::Infallible;

use axum::body::Body;
use axum::extract::{MatchedPath, Path, Request, State};
use axum::http::HeaderValue;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use futures_util::{TryStreamExt, stream};
use http::header::{AUTHORIZATION, RETRY_AFTER};
use http::uri::PathAndQuery;
use http::{StatusCode, Uri};
use http_body_util::BodyExt;
use serde_json::json;
use tower::ServiceExt;

use super::call::{self, Call};
use super::refusal::Refusal;
use super::{Observer, Platform, branches, create, discovery, projects};
use crate::fault::Reset;
use crate::record::Recorded;

const REQUEST_ID: &str = "x-request-id";
const LONGEST_REQUEST_ID: usize = 100;

pub(super) fn router(platform: Platform) -> Router {
    let routes = Router::new()
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

/// Records the request and lets the faults have it. Faults strike as an edge proxy or the network
/// would: before anything of the service proper, whose headers their answers lack.
async fn observe(State(platform): State<Platform>, request: Request, next: Next) -> Response {
    let call = request
        .extensions()
        .get::<MatchedPath>()
        .and_then(|path| Call::of(request.method(), path.as_str()));
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await.map(http_body_util::Collected::to_bytes) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let key = platform.log().begin(Recorded {
        method: head.method.clone(),
        path: head.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
        body: body.clone(),
        status: None,
    });
    let observer = platform.observer().clone();
    let seen = Request::from_parts(head.clone(), body.clone());
    if let Some(observer) = &observer {
        observer.asked(&seen);
    }
    let run = next.run(Request::from_parts(head, Body::from(body)));
    let run = async move {
        match observer {
            Some(observer) => show(observer.as_ref(), &seen, run.await).await,
            None => run.await,
        }
    };
    let response = platform.faults().strike(call, run).await;
    if response.extensions().get::<Reset>().is_none() {
        platform.log().finish(key, response.status().as_u16());
    }
    response
}

/// Shows the observer the whole of a true answer, and hands it on in the pieces it came in.
async fn show(observer: &dyn Observer, seen: &Request<Bytes>, response: Response) -> Response {
    let (head, body) = response.into_parts();
    // Our own handlers' bodies do not fail.
    let pieces: Vec<Bytes> = body.into_data_stream().try_collect().await.unwrap_or_default();
    let whole = Response::from_parts(head.clone(), Bytes::from(pieces.concat()));
    observer.answered(seen, &whole);
    let body = match &pieces[..] {
        [] | [_] => Body::from(whole.into_body()),
        _ => Body::from_stream(stream::iter(pieces.into_iter().map(Ok::<_, Infallible>))),
    };
    Response::from_parts(head, body)
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
            parameters.get("organization") == Some(&options.organization),
        )
    };
    match (token, is_key, is_member) {
        (None, ..) => unauthorized("no token found"),
        (Some(_), false, _) => unauthorized("invalid token"),
        (_, _, false) => Refusal::new(StatusCode::FORBIDDEN, "access denied").into_response(),
        _ => next.run(request).await,
    }
}

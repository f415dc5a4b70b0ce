//! The handlers.

use axum::Json;
use axum::extract::{Path, Query, State};
use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_TYPE, USER_AGENT};
use serde_json::{Map, Value, json};

use super::Backend;
use super::metadata::{self, Change};
use super::query::{Filter, Page};
use super::refusal::Refusal;

type Answer = Result<Json<Value>, Refusal>;
type Pairs = Query<Vec<(String, String)>>;

pub(super) async fn instance(State(backend): State<Backend>) -> Json<Value> {
    let options = &backend.state().options;
    Json(json!({
        "object": "instance",
        "id": options.instance_id,
        "environment_type": options.environment,
        "allowed_origins": null,
        "workspace_id": null,
    }))
}

pub(super) async fn list(State(backend): State<Backend>, Query(pairs): Pairs) -> Answer {
    let page = Page::read(&pairs)?;
    let state = backend.state();
    Ok(Json(state.page(&page)?.into_iter().map(super::state::User::object).collect()))
}

pub(super) async fn count(State(backend): State<Backend>, Query(pairs): Pairs) -> Answer {
    let count = backend.state().count(&Filter::read(&pairs)?);
    Ok(Json(json!({ "object": "total_count", "total_count": count })))
}

pub(super) async fn get(State(backend): State<Backend>, Path(user_id): Path<String>) -> Answer {
    Ok(Json(backend.state().known(&user_id)?.object()))
}

/// Of the attributes only the names are stood in for, the others are refused; metadata is refused by the service, too
/// (section 11).
pub(super) async fn update(
    State(backend): State<Backend>,
    Path(user_id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let body = object(&headers, &body)?;
    let changed = backend.state().change(&user_id, user_agent(&headers), |sign_up, _| {
        let mut changed = sign_up.clone();
        for (name, value) in body {
            let member = match &*name {
                "first_name" => &mut changed.first_name,
                "last_name" => &mut changed.last_name,
                _ => return Err(Refusal::unknown(&name)),
            };
            let Value::String(value) = value else { return Err(Refusal::wrong_type(&name)) };
            *member = value;
        }
        Ok(changed)
    });
    changed.map(Json)
}

pub(super) async fn merge_metadata(
    State(backend): State<Backend>,
    Path(user_id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    change_metadata(&backend, &user_id, &headers, &body, Change::Merge)
}

pub(super) async fn replace_metadata(
    State(backend): State<Backend>,
    Path(user_id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    change_metadata(&backend, &user_id, &headers, &body, Change::Replace)
}

fn change_metadata(
    backend: &Backend,
    user_id: &str,
    headers: &HeaderMap,
    body: &[u8],
    change: Change,
) -> Answer {
    let body = object(headers, body)?;
    let changed = backend.state().change(user_id, user_agent(headers), |sign_up, options| {
        metadata::changed(sign_up, change, body, options.most_metadata)
    });
    changed.map(Json)
}

pub(super) async fn delete(
    State(backend): State<Backend>,
    Path(user_id): Path<String>,
    headers: HeaderMap,
) -> Answer {
    backend.state().delete(&user_id, user_agent(&headers)).map(Json)
}

fn user_agent(headers: &HeaderMap) -> &str {
    headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// The members of a body. None at all are as good as no body: the document does not require one for metadata.
fn object(headers: &HeaderMap, body: &[u8]) -> Result<Map<String, Value>, Refusal> {
    if body.is_empty() {
        return Ok(Map::new());
    }
    let is_json = headers.get(CONTENT_TYPE).is_some_and(|value| {
        let essence = value.as_bytes().split(|byte| *byte == b';').next();
        essence.is_some_and(|it| it.trim_ascii().eq_ignore_ascii_case(b"application/json"))
    });
    if !is_json {
        return Err(Refusal::bad_content_type());
    }
    serde_json::from_slice(body).map_err(|_| Refusal::bad_body())
}

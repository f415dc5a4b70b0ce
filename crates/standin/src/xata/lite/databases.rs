//! The calls other than create (sections 3.1 and 3.3 to 3.5).

use axum::Json;
use axum::extract::{Path, State};
use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Value, json};

use super::Lite;
use super::decode::{self, RenameBody, UpdateBody, name};
use super::options::Status;
use super::refusal::Refusal;
use super::wire::Metadata;

/// All databases, by name; the service's order is unknown.
pub(super) async fn list(State(lite): State<Lite>) -> Json<Value> {
    let databases: Vec<Metadata> = lite.state().databases().map(Metadata::from).collect();
    Json(json!({ "databases": databases }))
}

pub(super) async fn get(
    State(lite): State<Lite>,
    Path((_, database)): Path<(String, String)>,
) -> Result<Json<Metadata>, Refusal> {
    let database = name("database", database)?;
    let state = lite.state();
    state.known(&database).map(|database| Json(Metadata::from(database)))
}

pub(super) async fn update(
    State(lite): State<Lite>,
    Path((_, database)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Metadata>, Refusal> {
    let database = name("database", database)?;
    let body: UpdateBody = decode::body(&headers, &body)?;
    let mut state = lite.state();
    let database = state.known_mut(&database)?;
    if body.ui.color.is_some() {
        database.color = body.ui.color;
    }
    Ok(Json(Metadata::from(&*database)))
}

/// 404 is not declared for an unknown name here, but the contract knows no other meaning for it (section 4).
pub(super) async fn rename(
    State(lite): State<Lite>,
    Path((_, database)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Metadata>, Refusal> {
    let database = name("database", database)?;
    let body: RenameBody = decode::body(&headers, &body)?;
    let new_name = name("database", decode::required("newName", body.new_name)?)?;
    let mut state = lite.state();
    state.rename(&database, &new_name).map(|database| Json(Metadata::from(database)))
}

pub(super) async fn delete(
    State(lite): State<Lite>,
    Path((_, database)): Path<(String, String)>,
) -> Result<Json<Value>, Refusal> {
    let database = name("database", database)?;
    lite.state().remove(&database)?;
    Ok(Json(json!({ "status": Status::Completed })))
}

pub(super) async fn regions(State(lite): State<Lite>) -> Json<Value> {
    Json(json!({ "regions": lite.state().options.regions }))
}

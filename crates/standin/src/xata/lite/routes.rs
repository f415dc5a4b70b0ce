//! The calls of the API, with the bodies that they take and answer.
//!
//! The wording of the errors is ours, except for `invalid API key`: no other text is known.

use std::collections::HashMap;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::options::{Options, Status};
use super::state::{Database, FIRST_BRANCH, Ui, Workspace, unknown_database};
use super::{Call, Lite};
use crate::clock::Clock;
use crate::id;
use crate::service::{
    Api, DELETE, ErrorResponse, GET, PATCH, POST, PUT, Route, bearer_token, is_json, route,
};

const LONGEST_NAME: usize = 255;

impl Api for Workspace {
    type Call = Call;
    type Options = Options;

    const PREFIXES: &'static [&'static str] = &["/workspaces/"];
    const REQUEST_ID: Option<HeaderName> = Some(HeaderName::from_static("x-request-id"));

    fn options(&mut self) -> &mut Options {
        &mut self.options
    }

    fn clock(&self) -> Clock {
        self.options.clock
    }

    fn routes() -> Vec<Route<Self>> {
        let databases = "/workspaces/{workspace}/dbs";
        let database = "/workspaces/{workspace}/dbs/{database}";
        let rename_path = "/workspaces/{workspace}/dbs/{database}/rename";
        vec![
            route(GET, databases, Call::ListDatabases, list),
            route(PUT, database, Call::CreateDatabase, create),
            route(GET, database, Call::GetDatabase, get),
            route(PATCH, database, Call::UpdateDatabase, update),
            route(POST, rename_path, Call::RenameDatabase, rename),
            route(DELETE, database, Call::DeleteDatabase, delete),
            route(GET, "/workspaces/{workspace}/regions", Call::ListRegions, regions),
        ]
    }

    /// The bearer token first, then the workspace. Another workspace is 404, which is declared for it;
    /// 403 is only in the general list of statuses.
    fn authorize(
        &mut self,
        _: Call,
        request: &Parts,
        parameters: &HashMap<String, String>,
    ) -> Result<(), ErrorResponse> {
        if bearer_token(&request.headers) != Some(&self.options.api_key) {
            return Err(ErrorResponse::unauthorized("invalid API key"));
        }
        let workspace = &parameters["workspace"];
        if *workspace != self.options.workspace {
            let message = format!("workspace [{workspace}] not found");
            return Err(ErrorResponse::not_found(message));
        }
        Ok(())
    }

    fn unrouted(status: StatusCode) -> ErrorResponse {
        let reason = status.canonical_reason().unwrap_or_default();
        ErrorResponse::new(status, reason.to_ascii_lowercase())
    }

    fn request_id(n: u64, _: &HeaderMap) -> String {
        id::text(id::BASE32, 20, &format!("lite request {n}"))
    }

    fn error_body(error: &ErrorResponse, request_id: &str, _: &HeaderMap) -> Value {
        json!({ "id": request_id, "message": error.message })
    }
}

/// `metadata` is not read: it belongs to the branch, and no call of the control plane shows it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CreateBody {
    region: Option<String>,
    branch_name: Option<String>,
    postgres_enabled: Option<bool>,
    #[serde(rename = "defaultClusterID")]
    default_cluster: Option<String>,
    ui: Option<Ui>,
}

#[derive(Debug, Deserialize)]
struct UpdateBody {
    ui: Option<Ui>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RenameBody {
    new_name: Option<String>,
}

/// All databases, by name; the service's order is unknown.
async fn list(State(lite): State<Lite>) -> Json<Value> {
    let state = lite.state();
    let databases: Vec<&Database> = state.databases().collect();
    Json(json!({ "databases": databases }))
}

async fn get(
    State(lite): State<Lite>,
    Path((_, database)): Path<(String, String)>,
) -> Result<Json<Database>, ErrorResponse> {
    let database = checked_name("database", database)?;
    lite.state().known(&database).cloned().map(Json)
}

async fn create(
    State(lite): State<Lite>,
    Path((_, name)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<(StatusCode, Json<Value>), ErrorResponse> {
    let (draft, latency) = {
        let options = &lite.state().options;
        (draft(options, name, &headers, &body)?, options.create_latency)
    };
    // Nothing is stored before the wait is over, so dropping this future creates nothing.
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    let mut state = lite.state();
    let created_at = state.options.clock.now();
    let (Database { name, branch, .. }, status) = state.create(Database { created_at, ..draft })?;
    let body = json!({ "databaseName": name, "branchName": branch, "status": status });
    Ok((StatusCode::CREATED, Json(body)))
}

/// Checks everything that does not depend on the other databases. The draft has no time yet.
fn draft(
    options: &Options,
    name: String,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Database, ErrorResponse> {
    let name = checked_name("database", name)?;
    let body: CreateBody = parsed(headers, body)?;
    let region = required("region", body.region)?;
    // Whether this is 400 or 422 is unknown.
    if !options.regions.iter().any(|known| known.id == region) {
        return Err(ErrorResponse::bad_request(format!("region [{region}] not found")));
    }
    let branch = body.branch_name.unwrap_or_else(|| FIRST_BRANCH.into());
    Ok(Database {
        name,
        region,
        created_at: Duration::ZERO,
        branch: checked_name("branch", branch)?,
        ui: body.ui.filter(|ui| ui.color.is_some()),
        postgres_enabled: body.postgres_enabled,
        default_cluster: body.default_cluster,
    })
}

async fn update(
    State(lite): State<Lite>,
    Path((_, database)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Database>, ErrorResponse> {
    let database = checked_name("database", database)?;
    let body: UpdateBody = parsed(&headers, &body)?;
    let mut state = lite.state();
    let database = state.known_mut(&database)?;
    database.ui = body.ui.filter(|ui| ui.color.is_some()).or(database.ui.take());
    Ok(Json(database.clone()))
}

/// The vendor's document does not say what an unknown name answers; 404 has no other meaning.
async fn rename(
    State(lite): State<Lite>,
    Path((_, database)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Database>, ErrorResponse> {
    let database = checked_name("database", database)?;
    let body: RenameBody = parsed(&headers, &body)?;
    let new_name = checked_name("database", required("newName", body.new_name)?)?;
    lite.state().rename(&database, &new_name).cloned().map(Json)
}

async fn delete(
    State(lite): State<Lite>,
    Path((_, database)): Path<(String, String)>,
) -> Result<Json<Value>, ErrorResponse> {
    let database = checked_name("database", database)?;
    lite.state().remove(&database).ok_or_else(|| unknown_database(&database))?;
    Ok(Json(json!({ "status": Status::Completed })))
}

async fn regions(State(lite): State<Lite>) -> Json<Value> {
    Json(json!({ "regions": lite.state().options.regions }))
}

/// Reads a body. A body without a `Content-Type` is refused with 400, as 415 is declared nowhere.
fn parsed<T: DeserializeOwned>(headers: &HeaderMap, body: &[u8]) -> Result<T, ErrorResponse> {
    if is_json(headers) != Some(true) {
        let message = "the Content-Type of a body must be application/json";
        return Err(ErrorResponse::bad_request(message));
    }
    serde_json::from_slice(body)
        .map_err(|error| ErrorResponse::bad_request(format!("invalid request body: {error}")))
}

/// The name of a database or a branch.
fn checked_name(kind: &str, name: String) -> Result<String, ErrorResponse> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-~".contains(&byte);
    if (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(is_allowed) {
        return Ok(name);
    }
    Err(ErrorResponse::bad_request(format!("invalid {kind} name [{name}]")))
}

fn required(member: &str, given: Option<String>) -> Result<String, ErrorResponse> {
    given
        .filter(|text| !text.is_empty())
        .ok_or_else(|| ErrorResponse::bad_request(format!("{member} is required")))
}

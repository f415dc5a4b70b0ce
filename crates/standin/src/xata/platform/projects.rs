//! The project calls.

use axum::Json;
use axum::extract::{Path, State};
use http::StatusCode;
use serde_json::{Value, json};

use super::decode::{self, ProjectBody};
use super::options::ScaleToZero;
use super::rows::{ProjectConfiguration, ProjectScaleToZero};
use super::{Platform, error};
use crate::service::ErrorResponse;

/// The configuration of a project that is created without one.
pub(super) const DEFAULT_CONFIGURATION: ProjectConfiguration = ProjectConfiguration {
    scale_to_zero: ProjectScaleToZero {
        base_branches: ScaleToZero::OFF,
        child_branches: ScaleToZero::OFF,
    },
    ip_filtering: None,
};

pub(super) async fn list(State(platform): State<Platform>) -> Json<Value> {
    let state = platform.state();
    let projects: Vec<_> = state.active_projects().collect();
    Json(json!({ "projects": projects }))
}

pub(super) async fn create(
    State(platform): State<Platform>,
    decode::Body(body): decode::Body<ProjectBody>,
) -> Result<(StatusCode, Json<Value>), ErrorResponse> {
    let mut state = platform.state();
    let name = decode::project_name(body.name)?;
    let configuration = match body.configuration {
        None => DEFAULT_CONFIGURATION,
        Some(given) => given.over(DEFAULT_CONFIGURATION)?,
    };
    state.admit_project()?;
    state.free_project_name(&name, None)?;
    let project = state.insert_project(None, name, configuration);
    Ok((StatusCode::CREATED, Json(json!(project))))
}

pub(super) async fn get(
    State(platform): State<Platform>,
    Path((_, id)): Path<(String, String)>,
) -> Result<Json<Value>, ErrorResponse> {
    Ok(Json(json!(platform.state().project(&id)?)))
}

pub(super) async fn patch(
    State(platform): State<Platform>,
    Path((_, id)): Path<(String, String)>,
    decode::Body(body): decode::Body<ProjectBody>,
) -> Result<Json<Value>, ErrorResponse> {
    let mut state = platform.state();
    let stored = state.project(&id)?;
    let name = match body.name {
        None => stored.name.clone(),
        given => decode::project_name(given)?,
    };
    let configuration = match body.configuration {
        None => stored.configuration.clone(),
        Some(given) => given.over(stored.configuration.clone())?,
    };
    state.free_project_name(&name, Some(&id))?;
    let now = state.options.clock.now();
    let project = state.project_mut(&id)?;
    project.name = name;
    project.configuration = configuration;
    project.updated_at = now;
    Ok(Json(json!(project)))
}

/// Deletes a project without branches. A project that is deleted already is 204 again.
pub(super) async fn delete(
    State(platform): State<Platform>,
    Path((_, id)): Path<(String, String)>,
) -> Result<StatusCode, ErrorResponse> {
    let mut state = platform.state();
    let project = state.projects.get_mut(&id);
    let project = project.ok_or_else(|| error::unknown_project(&id))?;
    if project.n_branches() > 0 {
        return Err(ErrorResponse::bad_request(format!(
            "project {id} is not empty. Please delete its branches first."
        )));
    }
    project.deleted = true;
    Ok(StatusCode::NO_CONTENT)
}

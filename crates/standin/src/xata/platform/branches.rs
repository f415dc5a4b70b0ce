//! The branch calls other than create.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::Value;

use super::Platform;
use super::decode::{self, PatchBranchBody, RotateBody};
use super::rows::{Branch, ROLE};
use super::state::Organization;
use super::{create, discovery, wire};
use crate::service::ErrorResponse;

pub(super) async fn list(
    State(platform): State<Platform>,
    Path((_, project)): Path<(String, String)>,
) -> Result<Response, ErrorResponse> {
    // A list is one query: it shows the rows of one moment, however long the answer takes to read.
    let branches: Vec<Arc<Branch>> = {
        let state = platform.state();
        state.project(&project)?.branches().cloned().collect()
    };
    let body = Body::from_stream(wire::list(branches));
    Ok(([(CONTENT_TYPE, "application/json")], body).into_response())
}

pub(super) async fn describe(
    State(platform): State<Platform>,
    Path((_, project, id)): Path<(String, String, String)>,
) -> Result<Json<Value>, ErrorResponse> {
    let state = platform.state();
    let branch = state.project(&project)?.branch(&id)?;
    Ok(Json(wire::described(branch, state.options.clock.now(), state.port())))
}

pub(super) async fn patch(
    State(platform): State<Platform>,
    Path((_, project, id)): Path<(String, String, String)>,
    decode::Body(body): decode::Body<PatchBranchBody>,
) -> Result<Json<Value>, ErrorResponse> {
    let mut state = platform.state();
    let body = checked(&state, &project, &id, body)?;
    let now = state.options.clock.now();
    let branch = state.project_mut(&project)?.change(&id, now, |branch| apply(branch, body))?;
    let connection_string = wire::connection_string(&branch, now, state.port());
    Ok(Json(wire::short(&branch, connection_string)))
}

fn checked(
    state: &Organization,
    project: &str,
    id: &str,
    body: PatchBranchBody,
) -> Result<PatchBranchBody, ErrorResponse> {
    if let Some(description) = &body.description {
        decode::description(description)?;
    }
    if let Some(name) = &body.name {
        decode::branch_name(Some(name.clone()))?;
    }
    let scale_to_zero = body.scale_to_zero.map(decode::scale_to_zero).transpose()?;
    create::size(body.cluster.replicas, body.cluster.storage)?;
    if let Some(instance_type) = &body.cluster.instance_type {
        discovery::allowed_instance_type(&state.options.quotas, instance_type)?;
    }
    let project = state.project(project)?;
    let branch = project.branch(id)?;
    if let Some(image) = &body.cluster.image {
        discovery::known_image(&branch.name, image)?;
    }
    if let Some(name) = &body.name {
        project.free_branch_name(name, Some(id))?;
    }
    Ok(PatchBranchBody { scale_to_zero, ..body })
}

fn apply(branch: &mut Branch, body: PatchBranchBody) {
    replace(&mut branch.name, body.name);
    replace(&mut branch.scale_to_zero, body.scale_to_zero);
    replace(&mut branch.hibernated, body.hibernate);
    let (configuration, given) = (&mut branch.configuration, body.cluster);
    replace(&mut configuration.image, given.image);
    replace(&mut configuration.instance_type, given.instance_type);
    replace(&mut configuration.replicas, given.replicas);
    replace(&mut configuration.storage, given.storage);
    let parameters = &mut configuration.postgres_configuration_parameters;
    replace(parameters, given.postgres_configuration_parameters);
    replace(&mut configuration.preload_libraries, given.preload_libraries);
    branch.description = body.description.or(branch.description.take());
}

fn replace<T>(member: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *member = given;
    }
}

pub(super) async fn delete(
    State(platform): State<Platform>,
    Path((_, project, id)): Path<(String, String, String)>,
) -> Result<StatusCode, ErrorResponse> {
    platform.state().project_mut(&project)?.remove(&id)?;
    platform.drop_data(id).await;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn credentials(
    State(platform): State<Platform>,
    Path((_, project, id)): Path<(String, String, String)>,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Json<Value>, ErrorResponse> {
    let state = platform.state();
    let branch = state.project(&project)?.branch(&id)?;
    only_our_role(query.get("username").map_or(ROLE, String::as_str))?;
    if state.options.clock.now() < branch.credentials_at {
        return Err(no_credentials(&id));
    }
    let with_host = state.options.credentials_with_host;
    Ok(Json(wire::credentials(branch, with_host, state.port())))
}

pub(super) async fn rotate(
    State(platform): State<Platform>,
    Path((_, project, id)): Path<(String, String, String)>,
    decode::Body(body): decode::Body<RotateBody>,
) -> Result<StatusCode, ErrorResponse> {
    let mut state = platform.state();
    let (now, takes) = (state.options.clock.now(), state.options.ready_after);
    let project = state.project_mut(&project)?;
    let branch = project.branch(&id)?;
    only_our_role(&body.username.unwrap_or_default())?;
    if now < branch.ready_at {
        return Err(no_credentials(&id));
    }
    if now < branch.credentials_at {
        return Err(ErrorResponse::new(StatusCode::INTERNAL_SERVER_ERROR, ""));
    }
    project.change(&id, now, |branch| {
        branch.rotate_password();
        branch.credentials_at = now + takes;
    })?;
    Ok(StatusCode::NO_CONTENT)
}

fn only_our_role(username: &str) -> Result<(), ErrorResponse> {
    if username == ROLE {
        return Ok(());
    }
    let message = "only the xata user credentials can be retrieved";
    Err(ErrorResponse::bad_request(message))
}

fn no_credentials(branch: &str) -> ErrorResponse {
    ErrorResponse::not_found(format!(
        "Credentials for username [{ROLE}] on branch [{branch}]: not found"
    ))
}

//! Creating a branch: the checks in the service's order, the project's lock, the transaction.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use http::StatusCode;
use serde_json::Value;
use tokio::sync::OwnedMutexGuard;

use super::Platform;
use super::decode::{self, ClusterBody, CreateBranchBody};
use super::options::Contention;
use super::rows::{ClusterConfiguration, Draft};
use super::state::Organization;
use super::{discovery, error, wire};
use crate::service::ErrorResponse;

const MOST_REPLICAS: i64 = 4;

pub(super) async fn create(
    State(platform): State<Platform>,
    Path((_, project)): Path<(String, String)>,
    body: Result<decode::Body<CreateBranchBody>, ErrorResponse>,
) -> Result<(StatusCode, Json<Value>), ErrorResponse> {
    // Every fault of the body is 400 here, another content type too.
    let decode::Body(body) =
        body.map_err(|error| ErrorResponse { status: StatusCode::BAD_REQUEST, ..error })?;
    let draft = draft(&platform.state(), &project, body)?;
    let _lock = lock(&platform, &project).await?;
    // The transaction is open now. Dropping this future rolls it back, as nothing is stored yet.
    let (latency, ready_after) = {
        let mut state = platform.state();
        state.admit_branch(&project, &draft)?;
        (state.options.create_latency, state.options.ready_after)
    };
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    let branch = platform.state().insert_branch(&project, draft, ready_after)?;
    platform.create_data(&branch).await;
    Ok((StatusCode::CREATED, Json(wire::short(&branch, None))))
}

/// What is checked before the lock.
fn draft(
    state: &Organization,
    project: &str,
    body: CreateBranchBody,
) -> Result<Draft, ErrorResponse> {
    if let Some(description) = &body.description {
        decode::description(description)?;
    }
    let name = decode::branch_name(body.name)?;
    let scale_to_zero = body.scale_to_zero.map(decode::scale_to_zero).transpose()?;
    let (parent, region, configuration) = match body.mode.as_deref() {
        Some("inherit") => inherited(state, project, body.parent)?,
        Some("custom") => custom(state, &name, body.configuration)?,
        mode => {
            let mode = mode.unwrap_or_default();
            let what = format!("unknown discriminator value: {mode}");
            return Err(error::invalid_parameter("body", &what));
        }
    };
    Ok(Draft {
        id: None,
        name,
        description: body.description,
        parent,
        region,
        configuration,
        scale_to_zero,
    })
}

type Origin = (Option<String>, String, ClusterConfiguration);

/// Everything comes from the parent, except that a child has one instance.
fn inherited(
    state: &Organization,
    project: &str,
    parent: Option<String>,
) -> Result<Origin, ErrorResponse> {
    let parent = parent.filter(|id| !id.is_empty()).ok_or_else(|| {
        error::invalid_parameter("parentID", "parentID is required for mode inherit")
    })?;
    let row = state.project(project)?.branch(&parent);
    let row = row.map_err(|_| error::unknown_parent(&parent))?;
    let configuration = ClusterConfiguration { replicas: 0, ..row.configuration.clone() };
    Ok((Some(parent), row.region.clone(), configuration))
}

fn custom(
    state: &Organization,
    name: &str,
    given: Option<ClusterBody>,
) -> Result<Origin, ErrorResponse> {
    let required = |member| error::invalid_parameter(member, "is required for mode custom");
    let given = given.ok_or_else(|| required("configuration"))?;
    let region = given.region.ok_or_else(|| required("region"))?;
    discovery::known_region(&state.options, &region)?;
    let image = given.image.ok_or_else(|| required("image"))?;
    discovery::known_image(name, &image)?;
    let instance_type = given.instance_type.ok_or_else(|| required("instanceType"))?;
    discovery::allowed_instance_type(&state.options.quotas, &instance_type)?;
    let replicas = given.replicas.ok_or_else(|| required("replicas"))?;
    size(Some(replicas), given.storage)?;
    let configuration = ClusterConfiguration {
        image,
        instance_type,
        replicas,
        storage: given.storage.unwrap_or(discovery::MOST_STORAGE),
        postgres_configuration_parameters: given
            .postgres_configuration_parameters
            .unwrap_or_default(),
        preload_libraries: given.preload_libraries.unwrap_or_default(),
    };
    Ok((None, region, configuration))
}

/// The numbers that a create and a patch may give.
pub(super) fn size(replicas: Option<i64>, storage: Option<i64>) -> Result<(), ErrorResponse> {
    if replicas.is_some_and(|replicas| !(0..=MOST_REPLICAS).contains(&replicas)) {
        let what = format!("must be between 0 and {MOST_REPLICAS}");
        return Err(error::invalid_parameter("replicas", &what));
    }
    if storage.is_some_and(|storage| !(1..=discovery::MOST_STORAGE).contains(&storage)) {
        let what = format!("must be between 1 and {}", discovery::MOST_STORAGE);
        return Err(error::invalid_parameter("storage", &what));
    }
    Ok(())
}

/// The advisory lock of a project id, even if there is no such project.
async fn lock(platform: &Platform, project: &str) -> Result<OwnedMutexGuard<()>, ErrorResponse> {
    let (lock, contention) = {
        let mut state = platform.state();
        let lock = state.locks.entry(project.to_owned()).or_default();
        (Arc::clone(lock), state.options.contention)
    };
    match contention {
        Contention::Queue => Ok(lock.lock_owned().await),
        Contention::Refuse { status, retry_after } => lock.try_lock_owned().map_err(|_| {
            let busy = ErrorResponse::new(status, format!("project [{project}] is busy"));
            if retry_after { busy.with_retry_after(1) } else { busy }
        }),
    }
}

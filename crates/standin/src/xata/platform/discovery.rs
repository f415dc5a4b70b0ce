//! Organizations, regions, instance types, images and limits.

use std::collections::HashMap;

use axum::Json;
use axum::extract::{Path, Query, State};
use serde_json::{Value, json};

use super::Platform;
use super::error;
use super::options::{Options, Quotas};
use crate::clock::rfc3339;
use crate::service::ErrorResponse;

/// Name, thousandths of a CPU, GB of memory. The price doubles from one to the next.
const INSTANCE_TYPES: [(&str, u32, u32); 8] = [
    ("xata.micro", 250, 1),
    ("xata.small", 500, 2),
    ("xata.medium", 1_000, 4),
    ("xata.large", 2_000, 8),
    ("xata.xlarge", 4_000, 16),
    ("xata.2xlarge", 8_000, 32),
    ("xata.4xlarge", 16_000, 64),
    ("xata.8xlarge", 32_000, 128),
];
const MICRO_HOURLY_RATE: f64 = 0.012;
const STORAGE_MONTHLY_RATE: f64 = 0.28;

/// Major and full version.
const POSTGRES_VERSIONS: [(&str, &str); 8] = [
    ("14", "14.22"),
    ("14", "14.23"),
    ("15", "15.18"),
    ("16", "16.14"),
    ("17", "17.9"),
    ("17", "17.10"),
    ("18", "18.3"),
    ("18", "18.4"),
];

/// What stands for an unlimited quota, which the answers cannot express.
const UNLIMITED: usize = i32::MAX as usize;
/// GiB; also the storage of a branch whose create names none.
pub(super) const MOST_STORAGE: i64 = 250;
const INSTANCES_PER_BRANCH: (u32, u32) = (1, 5);
const DESCRIPTION_LENGTH: u32 = 50;

/// Those that the key's owner belongs to.
pub(super) async fn organizations(State(platform): State<Platform>) -> Json<Value> {
    let state = platform.state();
    let Options { organization, organization_enabled, clock, .. } = &state.options;
    let status = if *organization_enabled { "enabled" } else { "disabled" };
    let status = json!({
        "status": status,
        "disabled_by_admin": false,
        "billing_status": "ok",
        "usage_tier": "t2",
        "last_updated": rfc3339(clock.now()),
    });
    Json(json!({ "organizations": [{ "id": organization, "name": "Stand-in", "status": status }] }))
}

pub(super) async fn regions(State(platform): State<Platform>) -> Json<Value> {
    Json(json!({ "regions": platform.state().options.regions }))
}

pub(super) async fn instance_types(
    State(platform): State<Platform>,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Json<Value>, ErrorResponse> {
    let region = required_region(&platform.state().options, &query)?;
    let surcharge = if region == "eu-central-1" { 1.15 } else { 1.0 };
    let instance_types: Vec<Value> = INSTANCE_TYPES
        .iter()
        .map(|(name, millicores, memory)| {
            let steps = f64::from(millicores / INSTANCE_TYPES[0].1);
            json!({
                "name": name,
                "vcpus": millicores,
                "ram": memory,
                "hourlyRate": MICRO_HOURLY_RATE * steps * surcharge,
                "storageMonthlyRate": STORAGE_MONTHLY_RATE,
                "region": "",
            })
        })
        .collect();
    Ok(Json(json!({ "instanceTypes": instance_types })))
}

pub(super) async fn images(
    State(platform): State<Platform>,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Json<Value>, ErrorResponse> {
    required_region(&platform.state().options, &query)?;
    let images: Vec<Value> = POSTGRES_VERSIONS
        .iter()
        .map(|(major, full)| {
            json!({ "name": format!("postgres:{full}"), "majorVersion": major, "fullVersion": full })
        })
        .collect();
    Ok(Json(json!({ "images": images })))
}

pub(super) async fn organization_limits(State(platform): State<Platform>) -> Json<Value> {
    let quotas = platform.state().options.quotas;
    let mut limits = limits(&quotas);
    limits["maxProjects"] = quotas.projects.unwrap_or(UNLIMITED).into();
    limits["maxProjectsPerHour"] = quotas.project_creations_per_hour.unwrap_or(UNLIMITED).into();
    limits["maxBranchesPerOrg"] = quotas.branches_per_organization.unwrap_or(UNLIMITED).into();
    Json(limits)
}

pub(super) async fn project_limits(
    State(platform): State<Platform>,
    Path((_, project)): Path<(String, String)>,
) -> Result<Json<Value>, ErrorResponse> {
    let state = platform.state();
    state.project(&project)?;
    Ok(Json(limits(&state.options.quotas)))
}

/// A fixed text of the service, not the quota that it enforces.
pub(super) async fn default_limits() -> Json<Value> {
    Json(json!({
        "maxInstances": INSTANCES_PER_BRANCH.1,
        "minInstances": INSTANCES_PER_BRANCH.0,
        "maxDescriptionLength": DESCRIPTION_LENGTH,
        "maxBranches": 100,
    }))
}

fn limits(quotas: &Quotas) -> Value {
    json!({
        "maxBranchesPerProject": quotas.branches_per_project.unwrap_or(UNLIMITED),
        "maxBranchesPerHour": quotas.branch_creations_per_hour.unwrap_or(UNLIMITED),
        "maxInstancesPerBranch": INSTANCES_PER_BRANCH.1,
        "minInstancesPerBranch": INSTANCES_PER_BRANCH.0,
        "maxAllowedInstanceType": quotas.largest_instance_millicores,
        "maxDescriptionLength": DESCRIPTION_LENGTH,
        "maxStorageGBPerBranch": MOST_STORAGE,
    })
}

fn required_region<'a>(
    options: &Options,
    query: &'a HashMap<String, String>,
) -> Result<&'a str, ErrorResponse> {
    let region = query.get("region").filter(|region| !region.is_empty());
    let region = region.ok_or_else(|| {
        ErrorResponse::bad_request(
            "Invalid format for parameter region: query parameter is required",
        )
    })?;
    known_region(options, region)?;
    Ok(region)
}

pub(super) fn known_region(options: &Options, region: &str) -> Result<(), ErrorResponse> {
    let is_known = options.regions.iter().any(|known| known.id == region);
    is_known.then_some(()).ok_or_else(|| {
        let what = format!("invalid region: region {region} is not found");
        error::invalid_parameter("region", &what)
    })
}

/// A listed image, or the alias of a listed major version.
pub(super) fn known_image(branch: &str, image: &str) -> Result<(), ErrorResponse> {
    let is_known = POSTGRES_VERSIONS.iter().any(|(major, full)| {
        image.strip_prefix("postgres:") == Some(full)
            || image.strip_prefix("postgresql:") == Some(major)
    });
    is_known.then_some(()).ok_or_else(|| {
        let message = format!("Branch [{branch}]: invalid image: image {image} is not found");
        ErrorResponse::bad_request(message)
    })
}

/// A listed instance type that the organization may use.
pub(super) fn allowed_instance_type(quotas: &Quotas, name: &str) -> Result<(), ErrorResponse> {
    let is_allowed = INSTANCE_TYPES.iter().any(|(known, millicores, _)| {
        *known == name && *millicores <= quotas.largest_instance_millicores
    });
    is_allowed.then_some(()).ok_or_else(|| {
        ErrorResponse::bad_request(format!("[instanceType]: instance type {name} is not available"))
    })
}

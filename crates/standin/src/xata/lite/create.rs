//! Creating a database (section 3.2).

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::Value;

use super::decode::{self, CreateBody};
use super::options::Options;
use super::refusal::Refusal;
use super::{Database, FIRST_BRANCH, Lite, wire};

pub(super) async fn create(
    State(lite): State<Lite>,
    Path((_, name)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<(StatusCode, Json<Value>), Refusal> {
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
    let (database, status) = state.create(Database { created_at, ..draft })?;
    Ok((StatusCode::CREATED, Json(wire::created(&database, status))))
}

/// Everything that can be checked without a look at the databases. It has no time yet.
fn draft(
    options: &Options,
    name: String,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Database, Refusal> {
    let name = decode::name("database", name)?;
    let body: CreateBody = decode::body(headers, body)?;
    let region = decode::required("region", body.region)?;
    if !options.regions.iter().any(|known| known.id == region) {
        return Err(Refusal::unknown_region(&region));
    }
    Ok(Database {
        name,
        region,
        created_at: Duration::ZERO,
        branch: decode::name("branch", body.branch_name.unwrap_or_else(|| FIRST_BRANCH.into()))?,
        color: body.ui.color,
        postgres_enabled: body.postgres_enabled,
        default_cluster: body.default_cluster,
    })
}

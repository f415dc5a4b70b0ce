//! The SQL gateway: `POST /sql` on a branch's hostname (docs/vendors/xata.md, "SQL over HTTP").
//!
//! The stand-in has one socket for all hostnames. The host inside the `Connection-String` header selects
//! the branch, as it does in the service. With the feature `postgres`, `Platform::use_postgres` gives the
//! gateway a PostgreSQL server, where each branch is a database; a child is created from its parent.
//! Without a server, the gateway answers that it cannot connect.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `request` | the header and the body |
//! | `error` | the error responses |
//! | `postgres` | the server: a database for each branch |
//! | `answer` | results and errors of the server, as the gateway writes them |

#[cfg(feature = "postgres")]
mod answer;
mod error;
#[cfg(feature = "postgres")]
pub mod postgres;
mod request;

use axum::Json;
use axum::body::{self, Body};
use axum::extract::State;
use http::{HeaderMap, StatusCode};
use serde_json::Value;

use self::error::{bad_request, error, fatal, unreachable};
use self::request::{ConnectionString, Modes, Request};
use super::Platform;
use super::rows::{Branch, Project, ROLE};
use super::state::Organization;
use super::wire;
use crate::service::ErrorResponse;

pub(super) const REQUEST_LIMIT_BYTES: usize = 64 * 1024 * 1024;

/// The only database of a branch.
const DATABASE: &str = "xata";

/// What follows the id in the first label of a hostname, by kind of endpoint.
const ENDPOINTS: [&str; 5] = ["-rw", "-ro", "-r", "-pooler", "-deprecated"];

/// A branch and its ancestors, the root first. It begins below the last ancestor that was deleted.
type Lineage = Vec<String>;

pub(super) async fn answer(
    State(platform): State<Platform>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, ErrorResponse> {
    let connection = ConnectionString::read(&headers)?;
    let modes = Modes::read(&headers)?;
    let body = body::to_bytes(body, REQUEST_LIMIT_BYTES).await;
    let body = body.map_err(|error| bad_request(error.to_string()))?;
    let request = Request::read(&body)?;
    let lineage = admit(&mut platform.state(), &connection)?;
    execute(&platform, lineage, modes, request).await.map(Json)
}

#[cfg(feature = "postgres")]
async fn execute(
    platform: &Platform,
    lineage: Lineage,
    modes: Modes,
    request: Request,
) -> Result<Value, ErrorResponse> {
    let server = platform.server().ok_or_else(unreachable)?;
    let (client, connection) = server.open(&lineage).await.map_err(|_| unreachable())?;
    let connection = tokio::spawn(connection);
    let answer = answer::run(&client, &modes, &request).await;
    // No connection is kept between calls, so the branch can be cloned after this one.
    drop(client);
    let _ = connection.await;
    answer
}

#[cfg(not(feature = "postgres"))]
#[expect(clippy::unused_async, reason = "the other one waits")]
async fn execute(_: &Platform, _: Lineage, _: Modes, _: Request) -> Result<Value, ErrorResponse> {
    Err(unreachable())
}

/// Finds the branch, if a client can connect to it with these credentials.
fn admit(
    state: &mut Organization,
    connection: &ConnectionString,
) -> Result<Lineage, ErrorResponse> {
    let now = state.options.clock.now();
    let label = connection.branch_label()?;
    let (project, id) = find(state, label).ok_or_else(|| {
        error(StatusCode::NOT_FOUND, "BRANCH_NOT_FOUND", format!("branch {label} not found"))
    })?;
    let filter = project.configuration.ip_filtering.as_ref();
    if filter.is_some_and(|filter| filter["enabled"] == true) {
        return Err(error(StatusCode::FORBIDDEN, "FORBIDDEN", "IP address not allowed"));
    }
    let branch = project.branch(&id).map_err(|_| unreachable())?;
    let sleeps_for_good = branch.hibernated && !branch.scale_to_zero.enabled;
    if now < branch.ready_at || sleeps_for_good {
        let message = format!("branch {id} is hibernated");
        return Err(error(StatusCode::CONFLICT, "BRANCH_HIBERNATED", message));
    }
    let (wakes, password) = (branch.hibernated, wire::password(branch));
    let (lineage, project) = (lineage(project, &id), project.id.clone());
    if wakes && let Ok(project) = state.project_mut(&project) {
        let _ = project.change(&id, now, |branch| branch.hibernated = false);
    }
    if (connection.user.as_str(), &connection.password) != (ROLE, &password) {
        let message = format!("password authentication failed for user \"{}\"", connection.user);
        return Err(fatal("28P01", message));
    }
    if connection.database != DATABASE {
        let message = format!("database \"{}\" does not exist", connection.database);
        return Err(fatal("3D000", message));
    }
    Ok(lineage)
}

fn find<'a>(state: &'a Organization, label: &str) -> Option<(&'a Project, String)> {
    let bare = ENDPOINTS.iter().find_map(|endpoint| label.strip_suffix(endpoint));
    [Some(label), bare].into_iter().flatten().find_map(|id| {
        let project = state.active_projects().find(|project| project.branch(id).is_ok())?;
        Some((project, id.to_owned()))
    })
}

fn lineage(project: &Project, id: &str) -> Lineage {
    let parent = |branch: &&Branch| project.branch(branch.parent.as_ref()?).ok().map(AsRef::as_ref);
    let branch = project.branch(id).ok().map(AsRef::as_ref);
    let upwards = std::iter::successors(branch, parent);
    let mut lineage: Vec<_> = upwards.map(|branch| branch.id.clone()).collect();
    lineage.reverse();
    lineage
}

#[cfg(feature = "postgres")]
impl Platform {
    /// Keeps the data of all branches on this server from now on. Existing branches begin empty.
    ///
    /// # Panics
    ///
    /// If the platform has a server already.
    pub fn use_postgres(&self, server: postgres::Server) {
        let previous = self.state().server.replace(server);
        assert!(previous.is_none(), "the platform has a server already");
    }

    fn server(&self) -> Option<postgres::Server> {
        self.state().server.clone()
    }

    /// Makes the database of a new branch. A client that hangs up meanwhile does not stop it.
    pub(super) async fn create_data(&self, branch: &Branch) {
        let Some(server) = self.server() else { return };
        let lineage = {
            let state = self.state();
            let project = state.active_projects().find(|it| it.branch(&branch.id).is_ok());
            project.map(|project| lineage(project, &branch.id)).unwrap_or_default()
        };
        // An error here occurs again when a client connects, and is answered then.
        let _ = tokio::spawn(async move { server.create(&lineage).await }).await;
    }

    /// Drops the database of a branch that is deleted.
    pub(super) async fn drop_data(&self, id: String) {
        let Some(server) = self.server() else { return };
        let _ = tokio::spawn(async move { server.drop(&id).await }).await;
    }
}

#[cfg(not(feature = "postgres"))]
#[expect(clippy::unused_async, reason = "the one with a server needs it")]
impl Platform {
    pub(super) async fn create_data(&self, _: &Branch) {}

    pub(super) async fn drop_data(&self, _: String) {}
}

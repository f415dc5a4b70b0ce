//! What a workspace stores, and the rules that hold for all of it.

use std::collections::BTreeMap;
use std::time::Duration;

use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::options::{Options, Status};
use crate::clock;
use crate::service::ErrorResponse;

/// The branch that every database begins with.
pub(super) const FIRST_BRANCH: &str = "main";

/// A database as it is stored, and as all calls but create show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Database {
    /// The name, unique within the workspace.
    pub name: String,
    /// Where it is.
    pub region: String,
    /// When it was created, since the Unix epoch.
    #[serde(serialize_with = "clock::serialize")]
    pub created_at: Duration,
    /// Its first branch.
    #[serde(skip)]
    pub branch: String,
    /// `ui`, all that can be stored on a database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ui: Option<Ui>,
    /// `postgresEnabled`, if the create gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub postgres_enabled: Option<bool>,
    /// `defaultClusterID`, if the create gave it.
    #[serde(rename = "defaultClusterID", skip_serializing_if = "Option::is_none")]
    pub default_cluster: Option<String>,
}

/// How the vendor's web page shows a database.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Ui {
    /// The color; a database whose `ui` has none is stored without `ui`.
    pub color: Option<String>,
}

/// The workspace.
#[derive(Debug, Default)]
pub struct Workspace {
    pub(super) options: Options,
    /// By name, compared exactly.
    databases: BTreeMap<String, Database>,
}

impl Workspace {
    pub(super) fn databases(&self) -> impl Iterator<Item = &Database> {
        self.databases.values()
    }

    pub(super) fn known(&self, name: &str) -> Result<&Database, ErrorResponse> {
        self.databases.get(name).ok_or_else(|| unknown_database(name))
    }

    pub(super) fn known_mut(&mut self, name: &str) -> Result<&mut Database, ErrorResponse> {
        self.databases.get_mut(name).ok_or_else(|| unknown_database(name))
    }

    /// Decides about a create in one step. Whether the service checks the name before the limit is unknown.
    pub(super) fn create(
        &mut self,
        database: Database,
    ) -> Result<(Database, Status), ErrorResponse> {
        let Options { workspace, duplicate, most_databases, status, .. } = &self.options;
        if let Some(existing) = self.databases.get(&database.name) {
            return match duplicate.error_status() {
                None => Ok((existing.clone(), Status::Completed)),
                Some(status) => Err(name_taken(status, &existing.name)),
            };
        }
        // The status is a guess.
        if let Some(limit) = most_databases.filter(|most| self.databases.len() >= *most) {
            return Err(ErrorResponse::unprocessable(format!(
                "workspace [{workspace}] has reached the limit of {limit} databases"
            )));
        }
        let status = *status;
        if status != Status::Failed {
            self.insert(database.clone())?;
        }
        Ok((database, status))
    }

    /// Stores a database whose name is free.
    pub(super) fn insert(&mut self, database: Database) -> Result<(), ErrorResponse> {
        if self.databases.contains_key(&database.name) {
            return Err(name_taken(StatusCode::UNPROCESSABLE_ENTITY, &database.name));
        }
        self.databases.insert(database.name.clone(), database);
        Ok(())
    }

    /// Renames a database. A taken name is 422; its own name changes nothing.
    pub(super) fn rename(
        &mut self,
        name: &str,
        new_name: &str,
    ) -> Result<&Database, ErrorResponse> {
        let renamed = Database { name: new_name.into(), ..self.known(name)?.clone() };
        if name != new_name {
            self.insert(renamed)?;
            self.remove(name);
        }
        self.known(new_name)
    }

    /// Removes a database. Its name is free at once, which is unknown of the service.
    pub(super) fn remove(&mut self, name: &str) -> Option<Database> {
        self.databases.remove(name)
    }
}

pub(super) fn unknown_database(name: &str) -> ErrorResponse {
    ErrorResponse::not_found(format!("database [{name}] not found"))
}

fn name_taken(status: StatusCode, name: &str) -> ErrorResponse {
    let what = if status == StatusCode::LOCKED { "is locked" } else { "already exists" };
    ErrorResponse::new(status, format!("database [{name}] {what}"))
}

//! Databases as the API shows them (sections 3.1 and 3.2).

use serde::Serialize;
use serde_json::{Value, json};

use super::Database;
use super::options::Status;
use crate::clock::rfc3339;

/// What list, get, update and rename answer; a create says something else.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metadata {
    name: String,
    region: String,
    created_at: String,
    #[serde(rename = "defaultClusterID", skip_serializing_if = "Option::is_none")]
    default_cluster: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    postgres_enabled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ui: Option<Ui>,
}

#[derive(Debug, Serialize)]
struct Ui {
    color: String,
}

impl From<&Database> for Metadata {
    fn from(database: &Database) -> Self {
        let Database {
            name,
            region,
            created_at,
            branch: _,
            color,
            postgres_enabled,
            default_cluster,
        } = database.clone();
        Self {
            name,
            region,
            created_at: rfc3339(created_at),
            default_cluster,
            postgres_enabled,
            ui: color.map(|color| Ui { color }),
        }
    }
}

pub(super) fn created(database: &Database, status: Status) -> Value {
    json!({ "databaseName": database.name, "branchName": database.branch, "status": status })
}

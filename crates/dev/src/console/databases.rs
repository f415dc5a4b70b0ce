//! The databases, as the stand-in has them and as the page shows them.

use per_user_db::provision::parse_parked_name;
use serde::Serialize;
use serde_json::Value;
use standin::xata::Xata;

/// A database as the stand-in has it.
#[derive(Clone, PartialEq)]
pub(super) struct Listed {
    pub(super) user: String,
    pub(super) id: String,
    pub(super) project: String,
    pub(super) region: String,
    pub(super) state: &'static str,
    /// As the entry at Clerk has it; none on Xata Lite.
    pub(super) entry_id: Option<String>,
}

/// A database as the page shows it.
#[derive(Clone, PartialEq, Serialize)]
pub(super) struct Database {
    user: String,
    id: String,
    project: String,
    region: String,
    state: &'static str,
    entry: &'static str,
    connect: Option<String>,
}

impl Database {
    /// The database beside the entry at Clerk, and how to connect to it.
    pub(super) fn new(listed: &Listed, entry: Option<&Value>, connect: Option<String>) -> Self {
        Self {
            user: listed.user.clone(),
            id: listed.id.clone(),
            project: listed.project.clone(),
            region: listed.region.clone(),
            state: listed.state,
            entry: compare(listed, entry),
            connect,
        }
    }
}

/// The databases of users, in order of creation.
pub(super) fn databases(xata: &Xata) -> Vec<Listed> {
    match xata {
        Xata::Platform(platform) => {
            let databases = platform.databases().into_iter().filter(|it| it.parent.is_some());
            let listed = databases.map(|it| {
                let parked = parse_parked_name(&it.name).map(|(user, _)| user.as_str().to_owned());
                let state = match (&parked, it.ready, it.hibernated) {
                    (Some(_), ..) => "parked",
                    (_, false, _) => "creating",
                    (_, _, true) => "asleep",
                    _ => "ready",
                };
                Listed {
                    user: parked.unwrap_or(it.name),
                    id: it.id.clone(),
                    project: it.project,
                    region: it.region,
                    state,
                    entry_id: Some(it.id),
                }
            });
            listed.collect()
        }
        Xata::Lite(lite) => {
            let mut databases = lite.databases();
            databases.sort_by_key(|it| it.created_at);
            let listed = databases.into_iter().map(|it| Listed {
                user: it.name.clone(),
                id: it.name,
                project: standin::xata::lite::Options::default().workspace,
                region: it.region,
                state: "ready",
                entry_id: None,
            });
            listed.collect()
        }
    }
}

/// Whether the entry at Clerk names this database.
fn compare(database: &Listed, entry: Option<&Value>) -> &'static str {
    if database.state == "parked" {
        return "none";
    }
    let Some(entry) = entry.filter(|it| it.is_object()) else { return "missing" };
    let agrees = entry["name"] == database.user.as_str()
        && entry["region"] == database.region.as_str()
        && entry["id"].as_str() == database.entry_id.as_deref();
    if agrees { "agrees" } else { "differs" }
}

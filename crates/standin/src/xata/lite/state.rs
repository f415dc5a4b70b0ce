//! All that a workspace has stored, and the rules that hold for the whole of it.

use std::collections::BTreeMap;

use http::StatusCode;

use super::Database;
use super::options::{Options, Status};
use super::refusal::Refusal;
use crate::id;

/// Everything stored.
#[derive(Debug)]
pub(super) struct State {
    pub(super) options: Options,
    /// By name, compared exactly (section 2).
    databases: BTreeMap<String, Database>,
    n_requests: u64,
}

impl State {
    pub(super) fn new(options: Options) -> Self {
        Self { options, databases: BTreeMap::new(), n_requests: 0 }
    }

    /// The id of a request (section 1).
    pub(super) fn request_id(&mut self) -> String {
        self.n_requests += 1;
        id::text(id::BASE32, 20, &format!("lite request {}", self.n_requests))
    }

    pub(super) fn databases(&self) -> impl Iterator<Item = &Database> {
        self.databases.values()
    }

    pub(super) fn database(&self, name: &str) -> Option<&Database> {
        self.databases.get(name)
    }

    /// The database, or the refusal for one that is not there.
    pub(super) fn known(&self, name: &str) -> Result<&Database, Refusal> {
        self.database(name).ok_or_else(|| Refusal::unknown_database(name))
    }

    pub(super) fn known_mut(&mut self, name: &str) -> Result<&mut Database, Refusal> {
        self.databases.get_mut(name).ok_or_else(|| Refusal::unknown_database(name))
    }

    /// Decides about a create, in one step. The name comes before the cap, an order that the contract does not know.
    pub(super) fn create(&mut self, database: Database) -> Result<(Database, Status), Refusal> {
        if let Some(existing) = self.database(&database.name) {
            return match self.options.duplicate.refusal() {
                None => Ok((existing.clone(), Status::Completed)),
                Some(status) => Err(Refusal::name_taken(status, &existing.name)),
            };
        }
        if let Some(limit) =
            self.options.most_databases.filter(|most| self.databases.len() >= *most)
        {
            return Err(Refusal::cap(&self.options.workspace, limit));
        }
        if self.options.status != Status::Failed {
            self.insert(database.clone())?;
        }
        Ok((database, self.options.status))
    }

    /// Stores a database whose name is free.
    pub(super) fn insert(&mut self, database: Database) -> Result<(), Refusal> {
        if self.databases.contains_key(&database.name) {
            return Err(Refusal::name_taken(StatusCode::UNPROCESSABLE_ENTITY, &database.name));
        }
        self.databases.insert(database.name.clone(), database);
        Ok(())
    }

    /// Renames a database; a taken name is 422 (section 3.2), its own changes nothing.
    pub(super) fn rename(&mut self, name: &str, new_name: &str) -> Result<&Database, Refusal> {
        let renamed = Database { name: new_name.into(), ..self.known(name)?.clone() };
        if name != new_name {
            self.insert(renamed)?;
            self.remove(name)?;
        }
        self.known(new_name)
    }

    /// Removes a database for good; its name is free at once, which the contract does not know (section 3.4).
    pub(super) fn remove(&mut self, name: &str) -> Result<(), Refusal> {
        self.databases.remove(name).map(drop).ok_or_else(|| Refusal::unknown_database(name))
    }
}

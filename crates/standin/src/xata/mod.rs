//! Xata: the current platform, and its predecessor Xata Lite.
//!
//! [`Xata`] is one of the two, for tests that only create and look up databases.

pub mod lite;
pub mod platform;

use std::time::Duration;

use axum::Router;

use self::lite::Lite;
use self::platform::{NewDatabase, Platform};
use crate::fault::{Chooser, Fault};
use crate::record::Recorded;

/// One of the two APIs. Clones are the same one.
#[derive(Clone, Debug)]
pub enum Xata {
    /// The platform.
    Platform(Platform),
    /// Xata Lite.
    Lite(Lite),
}

/// The calls that both APIs have, to aim a [`Fault`] at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Every call.
    Any,
    /// Making a database.
    Create,
    /// Finding a database: a list on the platform, a read of its name on Xata Lite.
    LookUp,
}

/// A database of either API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Database {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub region: String,
    /// Its id, on the platform.
    pub id: Option<String>,
}

impl Xata {
    /// All of its calls.
    pub fn router(&self) -> Router {
        match self {
            Self::Platform(platform) => platform.router(),
            Self::Lite(lite) => lite.router(),
        }
    }

    /// Adds a fault.
    pub fn fault(&self, fault: Fault<Call>) {
        match self {
            Self::Platform(platform) => platform.faults().push(fault.map(|on| match on {
                Call::Any => platform::Call::Any,
                Call::Create => platform::Call::CreateBranch,
                Call::LookUp => platform::Call::ListBranches,
            })),
            Self::Lite(lite) => lite.faults().push(fault.map(|on| match on {
                Call::Any => lite::Call::Any,
                Call::Create => lite::Call::CreateDatabase,
                Call::LookUp => lite::Call::GetDatabase,
            })),
        }
    }

    /// Chooses the effects on the calls that both APIs have.
    pub fn choose_with(&self, mut choose: Chooser<Call>) {
        match self {
            Self::Platform(platform) => {
                platform.faults().choose_with(Box::new(move |call| match call {
                    platform::Call::CreateBranch => choose(Call::Create),
                    platform::Call::ListBranches => choose(Call::LookUp),
                    _ => None,
                }));
            }
            Self::Lite(lite) => lite.faults().choose_with(Box::new(move |call| match call {
                lite::Call::CreateDatabase => choose(Call::Create),
                lite::Call::GetDatabase => choose(Call::LookUp),
                _ => None,
            })),
        }
    }

    /// Removes all faults.
    pub fn clear_faults(&self) {
        match self {
            Self::Platform(platform) => platform.faults().clear(),
            Self::Lite(lite) => lite.faults().clear(),
        }
    }

    /// How long a create takes from now on.
    pub fn set_create_latency(&self, latency: Duration) {
        match self {
            Self::Platform(platform) => platform.change(|it| it.create_latency = latency),
            Self::Lite(lite) => lite.change(|it| it.create_latency = latency),
        }
    }

    /// The requests received, in order of arrival.
    pub fn requests(&self) -> Vec<Recorded> {
        match self {
            Self::Platform(platform) => platform.requests(),
            Self::Lite(lite) => lite.requests(),
        }
    }

    /// Forgets the requests received so far.
    pub fn clear_requests(&self) {
        match self {
            Self::Platform(platform) => platform.clear_requests(),
            Self::Lite(lite) => lite.clear_requests(),
        }
    }

    /// Stores databases of these names; on the platform in this project.
    ///
    /// # Panics
    ///
    /// If a name is taken, or there is no such project.
    pub fn insert(&self, project: &str, region: &str, names: impl IntoIterator<Item = String>) {
        match self {
            Self::Platform(platform) => {
                platform
                    .insert(project, names.into_iter().map(|it| NewDatabase::root(&it, region)));
            }
            Self::Lite(lite) => lite.insert(region, names),
        }
    }

    /// The databases of this name, in all projects.
    pub fn databases_named(&self, name: &str) -> Vec<Database> {
        let database = |name, region, id| Database { name, region, id };
        match self {
            Self::Platform(platform) => {
                let found = platform.databases_named(name).into_iter();
                found.map(|it| database(it.name, it.region, Some(it.id))).collect()
            }
            Self::Lite(lite) => {
                let found = lite.databases_named(name).into_iter();
                found.map(|it| database(it.name, it.region, None)).collect()
            }
        }
    }
}

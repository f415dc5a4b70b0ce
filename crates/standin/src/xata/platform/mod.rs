//! The Xata platform API: organizations, projects, branches, and their SQL gateway (`contracts/xata-platform.md`, whose sections are cited).
//!
//! [`Platform::router`] answers as the service would; the other methods of [`Platform`] act behind its back:
//! they set a scene, or look at the outcome.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `options` | what is allowed, how long things take |
//! | `router` | routes, request ids, authorization, recording, faults |
//! | `call` | the names of the calls |
//! | `discovery`, `projects`, `create`, `branches` | the handlers |
//! | `decode`, `wire`, `refusal` | bodies in, bodies out, errors |
//! | `sql` | the SQL gateway in front of the branches |
//! | `state`, `rows` | what is stored |

mod branches;
mod call;
mod create;
mod decode;
mod discovery;
mod options;
mod projects;
mod refusal;
mod router;
mod rows;
pub mod sql;
mod state;
mod wire;

use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;

pub use self::call::Call;
pub use self::options::{Contention, Options, Quotas, Readiness, Region, ScaleToZero};

use self::rows::{Branch, ClusterConfiguration, Draft, Project};
use self::state::State;
use crate::clock::Clock;
use crate::gate::{Gate, gated};

/// The platform. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Platform(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    gate: Gate<Call>,
    #[cfg(feature = "postgres")]
    server: std::sync::OnceLock<sql::postgres::Server>,
}

/// A branch as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Database {
    /// The id, unique for ever.
    pub id: String,
    /// The name, unique within its project.
    pub name: String,
    /// The id of its project.
    pub project: String,
    /// Where it is.
    pub region: String,
    /// The id it was cloned from, even if that is gone; a root has none.
    pub parent: Option<String>,
    /// When it goes to sleep.
    pub scale_to_zero: ScaleToZero,
    /// Whether it reports itself healthy and has credentials.
    pub ready: bool,
}

/// A branch to put in place by hand.
#[derive(Clone, Debug)]
pub struct NewDatabase {
    /// The id; chosen when it is `None`.
    pub id: Option<String>,
    /// The name, free in its project.
    pub name: String,
    /// Where it is.
    pub region: String,
    /// The id of the branch it was cloned from; a root has none.
    pub parent: Option<String>,
}

impl NewDatabase {
    /// A root branch.
    pub fn root(name: &str, region: &str) -> Self {
        Self { id: None, name: name.into(), region: region.into(), parent: None }
    }
}

gated!(Platform, Call, State);

impl Platform {
    /// An empty platform.
    pub fn new(options: Options) -> Self {
        Self(Arc::new(Shared {
            state: Mutex::new(State::new(options)),
            gate: Gate::default(),
            #[cfg(feature = "postgres")]
            server: std::sync::OnceLock::new(),
        }))
    }

    /// All calls of sections 4 to 6 and 9. Routers of one platform share everything.
    pub fn router(&self) -> Router {
        router::router(self.clone())
    }

    /// Changes the settings; requests under way may have read the old ones.
    pub fn change(&self, change: impl FnOnce(&mut Options)) {
        change(&mut self.state().options);
    }

    /// The wall clock of its timestamps.
    pub fn clock(&self) -> Clock {
        self.state().options.clock
    }

    /// Puts a project in place, without branches.
    pub fn insert_project(&self, id: &str, name: &str) {
        let configuration = projects::DEFAULT_CONFIGURATION;
        self.state().insert_project(Some(id.into()), name.into(), configuration);
    }

    /// Puts a root branch in place to clone from: ready at once, named `template-` and the region.
    ///
    /// # Panics
    ///
    /// As [`Self::insert`] does.
    pub fn insert_template(&self, project: &str, id: &str, region: &str) {
        let template = NewDatabase {
            id: Some(id.into()),
            ..NewDatabase::root(&format!("template-{region}"), region)
        };
        self.insert(project, [template]);
    }

    /// Puts branches in place, ready at once and past all quotas, though they count towards them.
    ///
    /// # Panics
    ///
    /// If there is no such project, or a name is taken there.
    pub fn insert(&self, project: &str, databases: impl IntoIterator<Item = NewDatabase>) {
        let mut state = self.state();
        for database in databases {
            let draft = Draft {
                id: database.id,
                name: database.name,
                description: None,
                parent: database.parent,
                region: database.region,
                configuration: ClusterConfiguration::smallest(),
                scale_to_zero: None,
            };
            let inserted = state.insert_branch(project, draft, Duration::ZERO);
            inserted.unwrap_or_else(|refusal| panic!("{}", refusal.message));
        }
    }

    /// Removes a branch, whatever its project, and tells whether there was one.
    pub fn remove(&self, id: &str) -> bool {
        let mut state = self.state();
        state.projects.values_mut().any(|project| project.remove(id).is_ok())
    }

    /// Renames a branch, whatever its project.
    ///
    /// # Panics
    ///
    /// If there is no such branch, or the name is taken in its project.
    pub fn rename(&self, id: &str, name: &str) {
        let mut state = self.state();
        let now = state.options.clock.now();
        let project = state
            .projects
            .values_mut()
            .find(|project| project.branch(id).is_ok())
            .unwrap_or_else(|| panic!("there is no branch {id}"));
        let renamed = project
            .free_branch_name(name, Some(id))
            .and_then(|()| project.change(id, now, |branch| branch.name = name.into()));
        renamed.unwrap_or_else(|refusal| panic!("{}", refusal.message));
    }

    /// The active branches of all projects, templates included.
    pub fn databases(&self) -> Vec<Database> {
        let state = self.state();
        let now = state.options.clock.now();
        state
            .active_projects()
            .flat_map(|project| project.branches().map(move |branch| (project, branch)))
            .map(|(project, branch)| database(project, branch, now))
            .collect()
    }

    /// The active branches of this name, in all projects.
    pub fn databases_named(&self, name: &str) -> Vec<Database> {
        let state = self.state();
        let now = state.options.clock.now();
        state
            .active_projects()
            .filter_map(|project| Some((project, project.branch_named(name)?)))
            .map(|(project, branch)| database(project, branch, now))
            .collect()
    }
}

fn database(project: &Project, branch: &Branch, now: Duration) -> Database {
    Database {
        id: branch.id.clone(),
        name: branch.name.clone(),
        project: project.id.clone(),
        region: branch.region.clone(),
        parent: branch.parent.clone(),
        scale_to_zero: branch.scale_to_zero,
        ready: now >= branch.credentials_at,
    }
}

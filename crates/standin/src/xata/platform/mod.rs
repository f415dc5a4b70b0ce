//! The Xata platform API: organizations, projects and branches, and the databases of the branches
//! (docs/vendors/xata.md, whose marks \[Apr\], \[Jun\] and \[Late\] are used here).
//!
//! | file | what is in it |
//! | --- | --- |
//! | `options` | what is allowed, how long things take |
//! | `routes` | the routes, and what every request is checked for |
//! | `discovery`, `projects`, `create`, `branches` | the handlers |
//! | `decode`, `wire`, `error` | request bodies, response bodies, error responses |
//! | `postgres` | the databases of the branches, over PostgreSQL's wire protocol |
//! | `state`, `rows` | what is stored, and its rules |

mod branches;
mod create;
mod decode;
mod discovery;
mod error;
mod options;
pub mod postgres;
mod projects;
mod routes;
mod rows;
mod state;
mod wire;

use std::time::Duration;

pub use self::options::{Contention, Options, Quotas, Readiness, Region, ScaleToZero};

use self::rows::{Branch, ClusterConfiguration, Draft, Project};
use self::state::Organization;
use crate::fault;
use crate::service::Service;

/// The stand-in of one organization.
pub type Platform = Service<Organization>;

/// A call of the API, to aim a [`fault::Fault`] at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the vendor's document")]
pub enum Call {
    Any,
    ListRegions,
    ListInstanceTypes,
    ListImages,
    GetOrganizationLimits,
    GetDefaultLimits,
    GetProjectLimits,
    ListProjects,
    CreateProject,
    GetProject,
    PatchProject,
    DeleteProject,
    ListBranches,
    CreateBranch,
    DescribeBranch,
    PatchBranch,
    DeleteBranch,
    GetCredentials,
    RotateCredentials,
    ListOrganizations,
    /// No call of the API: a connection to a branch's database. A fault that hangs or resets does so before the
    /// password is asked for; one that trickles pauses once, and the connection is then as without a fault; any other
    /// one closes the connection.
    Connect,
}

impl fault::Call for Call {
    const ANY: Self = Self::Any;
}

/// A branch as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Database {
    /// The id, never used again.
    pub id: String,
    /// The name, unique within its project.
    pub name: String,
    /// The id of its project.
    pub project: String,
    /// Where it is.
    pub region: String,
    /// The id it was cloned from, even if that is gone; a root has none.
    pub parent: Option<String>,
    /// When it is hibernated.
    pub scale_to_zero: ScaleToZero,
    /// Whether it is hibernated by hand.
    pub hibernated: bool,
    /// Whether it reports itself healthy and has credentials.
    pub ready: bool,
}

/// A branch to store without a call of the API.
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

/// What a test does to the organization without a call of the API.
impl Platform {
    /// Stores a project without branches.
    pub fn insert_project(&self, id: &str, name: &str) {
        let configuration = projects::DEFAULT_CONFIGURATION;
        self.state().insert_project(Some(id.into()), name.into(), configuration);
    }

    /// Stores a root branch to clone from: ready at once, named `template-` and the region.
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

    /// Stores branches, ready at once. They count towards the quotas without being refused by them.
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
            inserted.unwrap_or_else(|error| panic!("{}", error.message));
        }
    }

    /// Removes a branch of any project and tells whether there was one.
    pub fn remove(&self, id: &str) -> bool {
        let mut state = self.state();
        state.projects.values_mut().any(|project| project.remove(id).is_ok())
    }

    /// The connection string of a branch of any project; none while it has no password.
    pub fn connection_string(&self, id: &str) -> Option<String> {
        let state = self.state();
        let (now, port) = (state.options.clock.now(), state.port());
        let branch = state.active_projects().find_map(|project| project.branch(id).ok())?;
        wire::connection_string(branch, now, port)
    }

    /// Renames a branch of any project.
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
        renamed.unwrap_or_else(|error| panic!("{}", error.message));
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
        hibernated: branch.hibernated,
        ready: now >= branch.credentials_at,
    }
}

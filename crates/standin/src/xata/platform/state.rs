//! What an organization stores, and the rules that hold for all of it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::StatusCode;
use tokio::sync::Mutex as AsyncMutex;

use super::error;
use super::options::{Options, Readiness};
use super::postgres::Databases;
use super::rows::{Branch, Draft, Project, ProjectConfiguration};
use crate::id;
use crate::service::ErrorResponse;

const HOUR: Duration = Duration::from_hours(1);

/// The organization. All times are since the Unix epoch.
#[derive(Debug, Default)]
pub struct Organization {
    pub(super) options: Options,
    pub(super) projects: BTreeMap<String, Project>,
    pub(super) locks: HashMap<String, Arc<AsyncMutex<()>>>,
    n_created: u64,
    project_creations: VecDeque<Duration>,
    branch_creations: VecDeque<Duration>,
    n_branches_ever: usize,
    pub(super) databases: Option<Databases>,
}

impl Organization {
    /// The port of 127.0.0.1 where clients connect to the branches, if they can.
    pub(super) fn port(&self) -> Option<u16> {
        self.databases.as_ref().map(|databases| databases.port)
    }

    pub(super) fn project(&self, id: &str) -> Result<&Project, ErrorResponse> {
        let project = self.projects.get(id).filter(|project| !project.deleted);
        project.ok_or_else(|| error::unknown_project(id))
    }

    pub(super) fn project_mut(&mut self, id: &str) -> Result<&mut Project, ErrorResponse> {
        let project = self.projects.get_mut(id);
        project.filter(|project| !project.deleted).ok_or_else(|| error::unknown_project(id))
    }

    pub(super) fn active_projects(&self) -> impl Iterator<Item = &Project> {
        self.projects.values().filter(|project| !project.deleted)
    }

    /// Refuses a project name that another active project has.
    pub(super) fn free_project_name(
        &self,
        name: &str,
        except: Option<&str>,
    ) -> Result<(), ErrorResponse> {
        let taken = self
            .active_projects()
            .any(|project| project.name == name && Some(project.id.as_str()) != except);
        if taken {
            return Err(error::name_taken("project", name));
        }
        Ok(())
    }

    /// Checks the quotas of a new project.
    pub(super) fn admit_project(&mut self) -> Result<(), ErrorResponse> {
        let created_lately = within_the_hour(&mut self.project_creations, self.options.clock.now());
        let n_active = self.active_projects().count();
        let quotas = self.options.quotas;
        self.quota(StatusCode::FORBIDDEN, quotas.projects, n_active, "projects")?;
        let hourly = quotas.project_creations_per_hour;
        let what = "project creations per hour";
        self.quota(StatusCode::TOO_MANY_REQUESTS, hourly, created_lately, what)
    }

    /// Refuses with this status when `n` of `what` are as many as the organization may have.
    fn quota(
        &self,
        status: StatusCode,
        limit: Option<usize>,
        n: usize,
        what: &str,
    ) -> Result<(), ErrorResponse> {
        let organization = &self.options.organization;
        match limit {
            Some(limit) if n >= limit => Err(ErrorResponse::new(
                status,
                format!("organization [{organization}] has reached the limit of {limit} {what}"),
            )),
            _ => Ok(()),
        }
    }

    pub(super) fn insert_project(
        &mut self,
        id: Option<String>,
        name: String,
        configuration: ProjectConfiguration,
    ) -> &Project {
        let now = self.options.clock.now();
        self.n_created += 1;
        let id = id.unwrap_or_else(|| {
            let seed = format!("project {}", self.n_created);
            format!("prj_{}", id::text(id::BASE32, 26, &seed))
        });
        self.project_creations.push_back(now);
        let project = Project::new(id.clone(), name, configuration, now);
        self.projects.insert(id.clone(), project);
        &self.projects[&id]
    }

    /// The cap on branches of a new organization, checked before the request is read.
    pub(super) fn admit_to_new_organization(&self) -> Result<(), ErrorResponse> {
        match self.options.quotas.new_organization_branches {
            Some(limit) if self.n_branches_ever >= limit => Err(ErrorResponse::new(
                StatusCode::FORBIDDEN,
                format!(
                    "Organization [{}] has reached the branch limit for new organizations",
                    self.options.organization
                ),
            )),
            _ => Ok(()),
        }
    }

    /// What the transaction of a create checks, in the service's order: quotas, project, parent, depth, name.
    pub(super) fn admit_branch(
        &mut self,
        project_id: &str,
        draft: &Draft,
    ) -> Result<(), ErrorResponse> {
        self.admit_to_branch_quotas(project_id)?;
        let project = self.project(project_id)?;
        if let Some(parent) = &draft.parent {
            project.admit_child(parent)?;
        }
        project.free_branch_name(&draft.name, None)
    }

    /// In the order of the service: organization, hour, project.
    fn admit_to_branch_quotas(&mut self, project_id: &str) -> Result<(), ErrorResponse> {
        let created_lately = within_the_hour(&mut self.branch_creations, self.options.clock.now());
        let n_in_project = self.project(project_id).map_or(0, Project::n_branches);
        let n_in_organization = self.active_projects().map(Project::n_branches).sum();
        let quotas = self.options.quotas;
        let organization = quotas.branches_per_organization;
        self.quota(StatusCode::FORBIDDEN, organization, n_in_organization, "branches")?;
        let hourly = quotas.branch_creations_per_hour;
        let what = "branch creations per hour";
        self.quota(StatusCode::TOO_MANY_REQUESTS, hourly, created_lately, what)?;
        match quotas.branches_per_project {
            Some(limit) if n_in_project >= limit => Err(ErrorResponse::bad_request(format!(
                "project [{project_id}] has reached the limit of {limit} branches"
            ))),
            _ => Ok(()),
        }
    }

    /// Stores a branch without a look at the quotas.
    /// The name is checked again: a rename may have taken it while the transaction was open.
    pub(super) fn insert_branch(
        &mut self,
        project_id: &str,
        draft: Draft,
        ready_after: Duration,
    ) -> Result<Arc<Branch>, ErrorResponse> {
        let now = self.options.clock.now();
        let region = self.options.regions.iter().find(|region| region.id == draft.region);
        let (public_access, backups_enabled) =
            region.map_or((true, true), |region| (region.public_access, region.backups_enabled));
        let readiness = self.options.readiness;
        let serial = self.n_created + 1;
        let project = self.project_mut(project_id)?;
        project.free_branch_name(&draft.name, None)?;

        let parent = draft.parent.as_ref().and_then(|parent| project.branch(parent).ok());
        let defaults = &project.configuration.scale_to_zero;
        let default = match &draft.parent {
            Some(_) => defaults.child_branches,
            None => defaults.base_branches,
        };
        let starts_at = parent.map_or(now, |parent| parent.ready_at.max(now));
        let ready_at = starts_at + ready_after;
        let branch = Arc::new(Branch {
            id: draft.id.unwrap_or_else(|| branch_id(serial)),
            name: draft.name,
            description: draft.description,
            region: draft.region,
            public_access,
            backups_enabled,
            configuration: draft.configuration,
            scale_to_zero: draft.scale_to_zero.unwrap_or(default),
            hibernated: false,
            created_at: now,
            updated_at: now,
            appears_at: match readiness {
                Readiness::HibernatedFirst => starts_at + ready_after / 2,
                Readiness::TransientFirst => now,
            },
            ready_at,
            credentials_at: ready_at,
            n_rotations: 0,
            row: OnceLock::new(),
            password: OnceLock::new(),
            depth: parent.map_or(0, |parent| parent.depth + 1),
            parent: draft.parent,
        });
        project.add(serial, Arc::clone(&branch));
        self.n_created = serial;
        self.n_branches_ever += 1;
        self.branch_creations.push_back(now);
        Ok(branch)
    }
}

/// 26 characters that begin with a letter.
fn branch_id(serial: u64) -> String {
    let seed = format!("branch {serial}");
    id::text(&id::BASE32[10..], 1, &seed) + &id::text(id::BASE32, 25, &seed)
}

/// How many of the creations lie less than an hour back; older ones are forgotten.
fn within_the_hour(creations: &mut VecDeque<Duration>, now: Duration) -> usize {
    while creations.front().is_some_and(|at| *at + HOUR <= now) {
        creations.pop_front();
    }
    creations.len()
}

//! All that a platform has stored, and the rules that hold for the whole of it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::sync::Mutex as AsyncMutex;

use super::options::{Options, Readiness};
use super::refusal::Refusal;
use super::rows::{Branch, Draft, Project, ProjectConfiguration};
use crate::id;

const HOUR: Duration = Duration::from_secs(3600);

/// Everything stored. All moments are times since the Unix epoch.
#[derive(Debug)]
pub(super) struct State {
    pub(super) options: Options,
    pub(super) projects: BTreeMap<String, Project>,
    pub(super) locks: HashMap<String, Arc<AsyncMutex<()>>>,
    n_created: u64,
    n_requests: u64,
    project_creations: VecDeque<Duration>,
    branch_creations: VecDeque<Duration>,
    n_branches_ever: usize,
}

impl State {
    pub(super) fn new(options: Options) -> Self {
        Self {
            options,
            projects: BTreeMap::new(),
            locks: HashMap::new(),
            n_created: 0,
            n_requests: 0,
            project_creations: VecDeque::new(),
            branch_creations: VecDeque::new(),
            n_branches_ever: 0,
        }
    }

    /// The id of a request that came without one (section 1).
    pub(super) fn request_id(&mut self) -> String {
        self.n_requests += 1;
        let seed = format!("request {}", self.n_requests);
        format!("req_{}", id::text(id::BASE32, 26, &seed))
    }

    /// A disabled organization can read and delete (section 2).
    pub(super) fn refuse_when_disabled(&self) -> Result<(), Refusal> {
        if self.options.organization_enabled {
            return Ok(());
        }
        let organization = &self.options.organization;
        let message = format!(
            "Organization [{organization}] is disabled, please check your billing settings or contact support"
        );
        Err(Refusal::new(StatusCode::FORBIDDEN, message))
    }

    pub(super) fn project(&self, id: &str) -> Result<&Project, Refusal> {
        let project = self.projects.get(id).filter(|project| !project.deleted);
        project.ok_or_else(|| Refusal::unknown_project(id))
    }

    pub(super) fn project_mut(&mut self, id: &str) -> Result<&mut Project, Refusal> {
        let project = self.projects.get_mut(id);
        project.filter(|project| !project.deleted).ok_or_else(|| Refusal::unknown_project(id))
    }

    pub(super) fn active_projects(&self) -> impl Iterator<Item = &Project> {
        self.projects.values().filter(|project| !project.deleted)
    }

    /// Refuses a project name that another active project has.
    pub(super) fn free_project_name(
        &self,
        name: &str,
        except: Option<&str>,
    ) -> Result<(), Refusal> {
        let taken = self
            .active_projects()
            .any(|project| project.name == name && Some(project.id.as_str()) != except);
        if taken {
            return Err(Refusal::name_taken("project", name));
        }
        Ok(())
    }

    /// The quotas of a new project (section 6.7).
    pub(super) fn admit_project(&mut self) -> Result<(), Refusal> {
        let created_lately = within_the_hour(&mut self.project_creations, self.options.clock.now());
        let Options { organization, quotas, .. } = &self.options;
        let refuse = |status, limit, what| {
            Err(Refusal::organization_quota(status, organization, limit, what))
        };
        match (quotas.projects, quotas.project_creations_per_hour) {
            (Some(limit), _) if self.active_projects().count() >= limit => {
                refuse(StatusCode::FORBIDDEN, limit, "projects")
            }
            (_, Some(limit)) if created_lately >= limit => {
                refuse(StatusCode::TOO_MANY_REQUESTS, limit, "project creations per hour")
            }
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

    /// The cap on branches of a new organization, checked before the request is read (section 6.2).
    pub(super) fn admit_to_new_organization(&self) -> Result<(), Refusal> {
        match self.options.quotas.new_organization_branches {
            Some(limit) if self.n_branches_ever >= limit => Err(Refusal::new(
                StatusCode::FORBIDDEN,
                format!(
                    "Organization [{}] has reached the branch limit for new organizations",
                    self.options.organization
                ),
            )),
            _ => Ok(()),
        }
    }

    /// What the transaction of a create checks, in its order: quotas, project, parent, depth, name (section 6.2).
    pub(super) fn admit_branch(&mut self, project_id: &str, draft: &Draft) -> Result<(), Refusal> {
        self.admit_to_branch_quotas(project_id)?;
        let project = self.project(project_id)?;
        if let Some(parent) = &draft.parent {
            project.admit_child(parent)?;
        }
        project.free_branch_name(&draft.name, None)
    }

    /// In the order of the source: organization, hour, project.
    fn admit_to_branch_quotas(&mut self, project_id: &str) -> Result<(), Refusal> {
        let created_lately = within_the_hour(&mut self.branch_creations, self.options.clock.now());
        let n_in_project = self.project(project_id).map_or(0, Project::n_branches);
        let n_in_organization: usize = self.active_projects().map(Project::n_branches).sum();
        let Options { organization, quotas, .. } = &self.options;
        let reached = |limit: Option<usize>, n| limit.filter(|limit| n >= *limit);
        if let Some(limit) = reached(quotas.branches_per_organization, n_in_organization) {
            let status = StatusCode::FORBIDDEN;
            return Err(Refusal::organization_quota(status, organization, limit, "branches"));
        }
        if let Some(limit) = reached(quotas.branch_creations_per_hour, created_lately) {
            let status = StatusCode::TOO_MANY_REQUESTS;
            let what = "branch creations per hour";
            return Err(Refusal::organization_quota(status, organization, limit, what));
        }
        if let Some(limit) = reached(quotas.branches_per_project, n_in_project) {
            return Err(Refusal::bad_request(format!(
                "project [{project_id}] has reached the limit of {limit} branches"
            )));
        }
        Ok(())
    }

    /// Stores a branch, whatever the quotas say.
    /// The name is checked again: a rename may have taken it while the transaction was open.
    pub(super) fn insert_branch(
        &mut self,
        project_id: &str,
        draft: Draft,
        ready_after: Duration,
    ) -> Result<Arc<Branch>, Refusal> {
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

/// 26 characters that begin with a letter (section 1).
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

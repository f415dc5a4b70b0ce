//! The rows: projects and their branches, and the rules that hold within a project.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error;
use super::options::ScaleToZero;
use crate::clock;
use crate::id;
use crate::service::ErrorResponse;

/// The only role of a branch.
pub(super) const ROLE: &str = "xata";

/// Children of a branch that is itself a child; a root has no limit.
const CHILDREN_OF_A_CHILD: usize = 100;
const DEEPEST: usize = 50;

/// A project, as the API shows it. All times are since the Unix epoch.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Project {
    pub(super) id: String,
    pub(super) name: String,
    #[serde(serialize_with = "clock::serialize")]
    pub(super) created_at: Duration,
    #[serde(serialize_with = "clock::serialize")]
    pub(super) updated_at: Duration,
    pub(super) configuration: ProjectConfiguration,
    /// A deleted project keeps its row: deleting it again is 204.
    #[serde(skip)]
    pub(super) deleted: bool,
    /// Active branches in order of creation. A list shows the rows as they were when it was asked for.
    #[serde(skip)]
    branches: BTreeMap<u64, Arc<Branch>>,
    #[serde(skip)]
    ids: HashMap<String, u64>,
    #[serde(skip)]
    names: HashMap<String, u64>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ProjectConfiguration {
    pub(super) scale_to_zero: ProjectScaleToZero,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ip_filtering: Option<serde_json::Value>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ProjectScaleToZero {
    pub(super) base_branches: ScaleToZero,
    pub(super) child_branches: ScaleToZero,
}

/// A branch, as a list of the API shows it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Branch {
    pub(super) id: String,
    pub(super) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) description: Option<String>,
    #[serde(serialize_with = "clock::serialize")]
    pub(super) created_at: Duration,
    #[serde(serialize_with = "clock::serialize")]
    pub(super) updated_at: Duration,
    #[serde(rename = "parentID")]
    pub(super) parent: Option<String>,
    pub(super) region: String,
    pub(super) public_access: bool,
    pub(super) backups_enabled: bool,
    #[serde(skip)]
    pub(super) configuration: ClusterConfiguration,
    #[serde(skip)]
    pub(super) scale_to_zero: ScaleToZero,
    #[serde(skip)]
    pub(super) hibernated: bool,
    /// Before this time it reports itself hibernated, without instances.
    #[serde(skip)]
    pub(super) appears_at: Duration,
    #[serde(skip)]
    pub(super) ready_at: Duration,
    #[serde(skip)]
    pub(super) credentials_at: Duration,
    #[serde(skip)]
    pub(super) n_rotations: u32,
    /// [`Self::password`], once it was asked for.
    #[serde(skip)]
    pub(super) password: OnceLock<String>,
    /// A root has 0.
    #[serde(skip)]
    pub(super) depth: usize,
    /// [`Self::row`], once it was asked for.
    #[serde(skip)]
    pub(super) row: OnceLock<String>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ClusterConfiguration {
    pub(super) image: String,
    pub(super) instance_type: String,
    pub(super) replicas: i64,
    pub(super) storage: i64,
    pub(super) postgres_configuration_parameters: BTreeMap<String, String>,
    pub(super) preload_libraries: Vec<String>,
}

/// A branch that passed validation.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) id: Option<String>,
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) parent: Option<String>,
    pub(super) region: String,
    pub(super) configuration: ClusterConfiguration,
    pub(super) scale_to_zero: Option<ScaleToZero>,
}

impl Branch {
    /// The branch in a list. Long lists are read again and again, so it is written once.
    pub(super) fn row(&self) -> &str {
        self.row.get_or_init(|| serde_json::to_string(self).expect("a row has text keys only"))
    }

    /// The password of its role, unlike that of any other branch.
    pub(super) fn password(&self) -> &str {
        self.password.get_or_init(|| {
            let seed = format!("password {} of {}", self.n_rotations, self.id);
            id::text(id::BASE62, 64, &seed)
        })
    }

    pub(super) fn rotate_password(&mut self) {
        self.n_rotations += 1;
        self.password = OnceLock::new();
    }
}

impl ClusterConfiguration {
    /// The configuration of a branch that a test stores.
    pub(super) fn smallest() -> Self {
        Self {
            image: "postgres:17.10".into(),
            instance_type: "xata.micro".into(),
            replicas: 0,
            storage: 250,
            postgres_configuration_parameters: BTreeMap::new(),
            preload_libraries: Vec::new(),
        }
    }
}

impl Project {
    pub(super) fn new(
        id: String,
        name: String,
        configuration: ProjectConfiguration,
        now: Duration,
    ) -> Self {
        Self {
            id,
            name,
            created_at: now,
            updated_at: now,
            configuration,
            deleted: false,
            branches: BTreeMap::new(),
            ids: HashMap::new(),
            names: HashMap::new(),
        }
    }

    pub(super) fn n_branches(&self) -> usize {
        self.branches.len()
    }

    pub(super) fn branches(&self) -> impl Iterator<Item = &Arc<Branch>> {
        self.branches.values()
    }

    pub(super) fn branch(&self, id: &str) -> Result<&Arc<Branch>, ErrorResponse> {
        let serial = self.ids.get(id);
        let branch = serial.and_then(|serial| self.branches.get(serial));
        branch.ok_or_else(|| unknown_branch(id))
    }

    pub(super) fn branch_named(&self, name: &str) -> Option<&Arc<Branch>> {
        self.branches.get(self.names.get(name)?)
    }

    pub(super) fn free_branch_name(
        &self,
        name: &str,
        except: Option<&str>,
    ) -> Result<(), ErrorResponse> {
        match self.branch_named(name) {
            Some(branch) if Some(branch.id.as_str()) != except => {
                Err(error::name_taken("branch", name))
            }
            _ => Ok(()),
        }
    }

    /// Whether the branch can have one more child.
    pub(super) fn admit_child(&self, parent_id: &str) -> Result<(), ErrorResponse> {
        let parent = self.branch(parent_id).map_err(|_| error::unknown_parent(parent_id))?;
        if parent.depth == 0 {
            return Ok(());
        }
        if parent.depth + 1 > DEEPEST {
            return Err(ErrorResponse::bad_request(format!(
                "branch [{parent_id}] has reached the maximum depth of {DEEPEST}"
            )));
        }
        let is_child = |branch: &&Arc<Branch>| branch.parent.as_deref() == Some(parent_id);
        if self.branches().filter(is_child).count() >= CHILDREN_OF_A_CHILD {
            return Err(ErrorResponse::bad_request(format!(
                "branch [{parent_id}] has reached the limit of {CHILDREN_OF_A_CHILD} children"
            )));
        }
        Ok(())
    }

    pub(super) fn add(&mut self, serial: u64, branch: Arc<Branch>) {
        self.ids.insert(branch.id.clone(), serial);
        self.names.insert(branch.name.clone(), serial);
        self.branches.insert(serial, branch);
    }

    pub(super) fn remove(&mut self, id: &str) -> Result<(), ErrorResponse> {
        let serial = self.ids.remove(id).ok_or_else(|| unknown_branch(id))?;
        if let Some(branch) = self.branches.remove(&serial) {
            self.names.remove(&branch.name);
        }
        Ok(())
    }

    /// Changes a branch. A list that is being sent keeps the row as it was.
    pub(super) fn change(
        &mut self,
        id: &str,
        now: Duration,
        change: impl FnOnce(&mut Branch),
    ) -> Result<Arc<Branch>, ErrorResponse> {
        let mut branch = Branch::clone(self.branch(id)?);
        let serial = self.ids[id];
        self.names.remove(&branch.name);
        change(&mut branch);
        branch.updated_at = now;
        branch.row = OnceLock::new();
        let branch = Arc::new(branch);
        self.add(serial, Arc::clone(&branch));
        Ok(branch)
    }
}

fn unknown_branch(id: &str) -> ErrorResponse {
    ErrorResponse::not_found(format!("branch [{id}] not found"))
}

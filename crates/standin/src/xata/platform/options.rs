//! The settings of a platform: what it allows, how long things take, how it behaves under contention.

use std::time::Duration;

use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::clock::Clock;

/// The settings of a [`super::Platform`]; changed at run time with [`super::Platform::change`].
#[derive(Clone, Debug)]
pub struct Options {
    /// The one organization there is.
    pub organization: String,
    /// The only bearer token that is accepted.
    pub api_key: String,
    /// The regions of the organization.
    pub regions: Vec<Region>,
    /// What the organization may have.
    pub quotas: Quotas,
    /// `false` refuses creates, patches and rotation with 403.
    pub organization_enabled: bool,
    /// `false` refuses the creation of branches with 503.
    pub creation_enabled: bool,
    /// How long a create stays inside its transaction. A client that hangs up meanwhile rolls it back.
    pub create_latency: Duration,
    /// What a create does while another one holds the lock of its project.
    pub contention: Contention,
    /// What a new branch reports before it is ready.
    pub readiness: Readiness,
    /// How long a new branch, or a rotated password, takes; a child's time begins when its parent is ready.
    pub ready_after: Duration,
    /// Whether the credentials name host, port and database too, as \[Late\] does.
    pub credentials_with_host: bool,
    /// The wall clock of all timestamps.
    pub clock: Clock,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            organization: "org123".into(),
            api_key: "xau_fake_local_development_key".into(),
            regions: vec![
                Region::aws("us-east-1"),
                Region::aws("us-west-2"),
                Region::aws("eu-central-1"),
                Region { provider: "gcp".into(), ..Region::aws("us-central1") },
            ],
            quotas: Quotas::UNLIMITED,
            organization_enabled: true,
            creation_enabled: true,
            create_latency: Duration::ZERO,
            contention: Contention::Queue,
            readiness: Readiness::HibernatedFirst,
            ready_after: Duration::from_secs(2),
            credentials_with_host: true,
            clock: Clock::start(),
        }
    }
}

impl Options {
    /// The same with one more region of Amazon's.
    #[must_use]
    pub fn with_region(mut self, id: &str) -> Self {
        self.regions.push(Region::aws(id));
        self
    }
}

/// A region as the discovery endpoint lists it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Region {
    /// The id, such as `eu-central-1`.
    pub id: String,
    /// Whether databases there can be reached from the internet.
    pub public_access: bool,
    /// Whether databases there are backed up.
    pub backups_enabled: bool,
    /// The owner of a private region.
    pub organization_id: Option<String>,
    /// `aws`, `gcp` or `custom`.
    pub provider: String,
}

impl Region {
    /// A public region of Amazon's.
    pub fn aws(id: &str) -> Self {
        Self {
            id: id.into(),
            public_access: true,
            backups_enabled: true,
            organization_id: None,
            provider: "aws".into(),
        }
    }
}

/// Limits of the organization; `None` is no limit.
#[derive(Clone, Copy, Debug)]
pub struct Quotas {
    /// Active projects.
    pub projects: Option<usize>,
    /// Projects created within an hour, deleted ones included.
    pub project_creations_per_hour: Option<usize>,
    /// Active branches of one project.
    pub branches_per_project: Option<usize>,
    /// Active branches of all projects.
    pub branches_per_organization: Option<usize>,
    /// Branches created within an hour, deleted ones included.
    pub branch_creations_per_hour: Option<usize>,
    /// Branches ever created, deleted ones included, while the organization counts as new.
    pub new_organization_branches: Option<usize>,
    /// The largest instance type, in thousandths of a CPU.
    pub largest_instance_millicores: u32,
}

impl Quotas {
    /// No limit but the size of the largest instance type.
    pub const UNLIMITED: Self = Self {
        projects: None,
        project_creations_per_hour: None,
        branches_per_project: None,
        branches_per_organization: None,
        branch_creations_per_hour: None,
        new_organization_branches: None,
        largest_instance_millicores: 32_000,
    };

    /// An organization without a payment method.
    pub const T1: Self = Self {
        projects: Some(10),
        project_creations_per_hour: Some(5),
        branches_per_project: Some(200),
        branches_per_organization: Some(200),
        branch_creations_per_hour: Some(100),
        new_organization_branches: None,
        largest_instance_millicores: 2_000,
    };

    /// An organization with a payment method.
    pub const T2: Self = Self {
        projects: Some(100),
        project_creations_per_hour: Some(20),
        branches_per_project: Some(100),
        branches_per_organization: Some(1_000),
        branch_creations_per_hour: Some(50),
        new_organization_branches: None,
        largest_instance_millicores: 32_000,
    };

    /// An organization with a payment method and large-scale storage.
    pub const T2_LARGE_STORAGE: Self = Self {
        branches_per_project: Some(1_000),
        branches_per_organization: Some(10_000),
        branch_creations_per_hour: Some(500),
        ..Self::T2
    };
}

/// What a create does while another one holds the lock of its project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contention {
    /// \[Apr\]\[Jun\]: it waits.
    Queue,
    /// \[Late\]: it fails at once. The message never says `already exists`.
    Refuse {
        /// 409, 423 or 429; the true one is unknown.
        status: StatusCode,
        /// Whether `Retry-After: 1` is sent along.
        retry_after: bool,
    },
}

/// What a new branch reports before it is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Hibernated without instances for the first half of the time, transient for the second.
    HibernatedFirst,
    /// Transient all the time.
    TransientFirst,
}

/// When an idle branch is hibernated (docs/vendors/xata.md, "Scale to zero").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScaleToZero {
    /// Whether it does.
    pub enabled: bool,
    /// After how many idle minutes, 1 to 1440.
    pub inactivity_period_minutes: i64,
}

impl ScaleToZero {
    /// The default of a project.
    pub(super) const OFF: Self = Self { enabled: false, inactivity_period_minutes: 30 };

    /// As the service stores it: 0 means 30, and nothing outside 1 to 1440 is taken.
    pub(super) fn normalized(self) -> Option<Self> {
        let inactivity_period_minutes = match self.inactivity_period_minutes {
            0 => 30,
            minutes @ 1..=1440 => minutes,
            _ => return None,
        };
        Some(Self { inactivity_period_minutes, ..self })
    }
}

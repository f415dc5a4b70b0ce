//! How many databases can still be created (`docs/vendors/xata.md`, "Quotas").

use std::time::{Duration, SystemTime};

use per_user_db::xata::ProjectId;
use serde::Deserialize;

use super::checks::{Checks, State};
use crate::organization::{ListedBranch, Organization};

/// From here on, a quota is nearly used up.
const WARN_AT_PERCENT: usize = 80;
const HOUR: Duration = Duration::from_hours(1);

#[derive(Deserialize)]
struct OrganizationLimits {
    #[serde(rename = "maxBranchesPerOrg")]
    branches: usize,
    #[serde(rename = "maxBranchesPerHour")]
    creations_per_hour: usize,
}

#[derive(Deserialize)]
struct ProjectLimits {
    #[serde(rename = "maxBranchesPerProject")]
    branches: usize,
}

/// How much of a quota is used.
struct Usage {
    used: usize,
    limit: usize,
}

impl Usage {
    fn words(&self) -> String {
        let Self { used, limit } = self;
        format!("{} left: {used} of {limit}", limit.saturating_sub(*used))
    }

    /// The state, where this is the one of a quota that is used up.
    fn state(&self, at_limit: State) -> State {
        if self.used >= self.limit {
            at_limit
        } else if self.used.saturating_mul(100) >= self.limit.saturating_mul(WARN_AT_PERCENT) {
            State::Warning
        } else {
            State::Ok
        }
    }
}

/// Checks the quotas of the settings' projects, and those of the organization, which count the
/// branches of all its projects.
pub(super) async fn check(
    organization: &Organization,
    visible: &[ProjectId],
    ours: &[&ProjectId],
    checks: &mut Checks,
) {
    let (mut n_branches, mut n_recent, mut n_unread) = (0, 0, 0);
    for (index, project) in visible.iter().enumerate() {
        let n_projects = visible.len();
        checks.begin(format!("counting the branches of project {} of {n_projects}", index + 1));
        let is_ours = ours.contains(&project);
        match organization.branches(project).await {
            Ok(branches) => {
                n_branches += branches.len();
                n_recent += branches.iter().filter(|it| is_recent(it)).count();
                if is_ours {
                    let n_parked = branches.iter().filter(|it| it.is_parked()).count();
                    check_project(organization, project, (branches.len(), n_parked), checks).await;
                }
            }
            Err(error) => {
                n_unread += 1;
                let has_no_response = error.status().is_none();
                if is_ours || has_no_response {
                    checks.error(project_check(project), error);
                }
                if has_no_response {
                    return; // each further request may take as long
                }
            }
        }
    }
    let check = "Xata organization";
    let limits: OrganizationLimits = match organization.get("/limits").await {
        Ok(limits) => limits,
        Err(error) => return checks.optional_error(check, error, "org:read"),
    };
    let seen = match n_unread {
        0 => format!("in all projects that the key sees ({})", visible.len()),
        n => format!("seen; projects that could not be read: {n}"),
    };
    let usage = Usage { used: n_branches, limit: limits.branches };
    let what = format!("{} branches {seen}", usage.words());
    add(check, usage.state(State::Broken), what, "ask Xata for more branches", checks);

    // Deleted branches count towards this quota, and no list has them.
    let usage = Usage { used: n_recent, limit: limits.creations_per_hour };
    let what = format!("{} created; deleted ones count, and are not seen", usage.words());
    let mend = "nothing, if it passes: Hookdeck tries again; else ask Xata for more";
    add("Xata creations within an hour", usage.state(State::Warning), what, mend, checks);
}

async fn check_project(
    organization: &Organization,
    project: &ProjectId,
    (n_branches, n_parked): (usize, usize),
    checks: &mut Checks,
) {
    let check = project_check(project);
    let limits: ProjectLimits =
        match organization.get(&format!("/projects/{}/limits", project.as_str())).await {
            Ok(limits) => limits,
            Err(error) => return checks.optional_error(&check, error, "project:read"),
        };
    let usage = Usage { used: n_branches, limit: limits.branches };
    let what = format!("{} branches", usage.words());
    let (what, mend) = match n_parked {
        0 => (what, "ask Xata for more branches, or add a project to XATA_PROJECT_ID"),
        n => (
            format!("{what}, {n} of them parked"),
            "delete old parked databases with cargo ops sweep, ask Xata for more branches, or add a \
             project to XATA_PROJECT_ID",
        ),
    };
    add(&check, usage.state(State::Broken), what, mend, checks);
}

fn project_check(project: &ProjectId) -> String {
    format!("Xata project {}", project.as_str())
}

fn add(check: &str, state: State, what: String, mend: &str, checks: &mut Checks) {
    match state {
        State::Ok => checks.ok(check, what),
        state => checks.add(check, state, what, mend),
    }
}

/// Whether the branch was created within the last hour.
fn is_recent(branch: &ListedBranch) -> bool {
    let created_at = branch.created_at.as_deref();
    let created_at = created_at.and_then(|date| humantime::parse_rfc3339(date).ok());
    let is_old = |it| SystemTime::now().duration_since(it).is_ok_and(|age| age >= HOUR);
    created_at.is_some_and(|it| !is_old(it))
}

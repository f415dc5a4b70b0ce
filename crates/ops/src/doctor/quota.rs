//! How many databases can still be made (`contracts/xata-platform.md` section 6.7).

use std::ops::AddAssign;
use std::time::{Duration, SystemTime};

use per_user_db::xata::ProjectId;
use serde::Deserialize;

use super::Means;
use super::report::{Report, State};
use super::template::tell;
use crate::fleet::moment;
use crate::organization::Organization;
use crate::service::Obstacle;

/// From here on, a quota is nearly used up.
const WARN_AT_PERCENT: usize = 80;
const HOUR: Duration = Duration::from_secs(3600);

/// The branches that there are.
#[derive(Clone, Copy, Default)]
struct Count {
    all: usize,
    of_this_hour: usize,
}

#[derive(Deserialize)]
struct OfOrganization {
    #[serde(rename = "maxBranchesPerOrg")]
    branches: usize,
    #[serde(rename = "maxBranchesPerHour")]
    creations_per_hour: usize,
}

#[derive(Deserialize)]
struct OfProject {
    #[serde(rename = "maxBranchesPerProject")]
    branches: usize,
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.all += other.all;
        self.of_this_hour += other.of_this_hour;
    }
}

/// Counts the branches of all projects of the organization, as its quotas are for all of them, and
/// tells of those that the settings name.
pub(super) async fn examine(
    means: &Means,
    xata: &Organization,
    visible: &[ProjectId],
    ours: &[&ProjectId],
    report: &mut Report,
) {
    let (mut sum, mut n_unread) = (Count::default(), 0);
    for (index, project) in visible.iter().enumerate() {
        let progress =
            format!("counting the branches of project {} of {}", index + 1, visible.len());
        means.progress.set_message(progress);
        let is_ours = ours.contains(&project);
        let check = format!("Xata project {}", project.as_str());
        match count(means, xata, project).await {
            Ok(count) => {
                sum += count;
                if is_ours {
                    examine_project(xata, project, &check, count, report).await;
                }
            }
            Err(obstacle) => {
                n_unread += 1;
                let is_silent = obstacle.status.is_none();
                if is_ours || is_silent {
                    report.obstacle(check, obstacle);
                }
                if is_silent {
                    return; // each further question may take as long
                }
            }
        }
    }
    let check = "Xata organization";
    let limits: OfOrganization = match xata.get("/limits").await {
        Ok(limits) => limits,
        Err(obstacle) => return tell(check, obstacle, "org:read", report),
    };
    let seen = match n_unread {
        0 => format!("in all projects that the key sees ({})", visible.len()),
        n => format!("seen; projects that could not be read: {n}"),
    };
    let mend = "ask Xata for more branches";
    let state = state(sum.all, limits.branches, State::Broken);
    let used = words(sum.all, limits.branches);
    tell_of_quota(check, state, format!("{used} branches {seen}"), mend, report);

    // Deleted branches count towards this quota, and no list has them.
    let (made, most) = (sum.of_this_hour, limits.creations_per_hour);
    let what = format!("{} made; deleted ones count, and are not seen", words(made, most));
    let mend = "nothing, if it passes: Hookdeck tries again; else ask Xata for more";
    let state = self::state(made, most, State::Warning);
    tell_of_quota("Xata creations within an hour", state, what, mend, report);
}

async fn examine_project(
    xata: &Organization,
    project: &ProjectId,
    check: &str,
    count: Count,
    report: &mut Report,
) {
    let limits: OfProject = match xata.get(&format!("/projects/{}/limits", project.as_str())).await
    {
        Ok(limits) => limits,
        Err(obstacle) => return tell(check, obstacle, "project:read", report),
    };
    let mend = "ask Xata for more branches, or add a project to XATA_PROJECT_ID";
    let state = state(count.all, limits.branches, State::Broken);
    let what = format!("{} branches", words(count.all, limits.branches));
    tell_of_quota(check, state, what, mend, report);
}

fn tell_of_quota(check: &str, state: State, what: String, mend: &str, report: &mut Report) {
    match state {
        State::Ok => report.ok(check, what),
        worse => report.add(check, worse, what, mend),
    }
}

fn state(used: usize, most: usize, at_the_end: State) -> State {
    if used >= most {
        at_the_end
    } else if used.saturating_mul(100) >= most.saturating_mul(WARN_AT_PERCENT) {
        State::Warning
    } else {
        State::Ok
    }
}

fn words(used: usize, most: usize) -> String {
    format!("{} left: {used} of {most}", most.saturating_sub(used))
}

async fn count(means: &Means, xata: &Organization, project: &ProjectId) -> Result<Count, Obstacle> {
    let branches = xata.branches(project).await?;
    let an_hour_ago = (means.clock)().duration_since(SystemTime::UNIX_EPOCH + HOUR);
    let an_hour_ago = an_hour_ago.ok().and_then(|it| moment(it.as_secs())).unwrap_or_default();
    // Both are dates in UTC, of which the later one is the greater text, up to the seconds.
    let is_later = |date: &&str| date.ends_with('Z') && date.get(..19) > an_hour_ago.get(..19);
    let dates = branches.iter().filter_map(|it| it.created_at.as_deref());
    Ok(Count { all: branches.len(), of_this_hour: dates.filter(is_later).count() })
}

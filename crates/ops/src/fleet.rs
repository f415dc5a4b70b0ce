//! The databases of all projects, as an operator sees and changes them: branches of Xata's platform
//! (`contracts/xata-platform.md` sections 6 and 7).

use http::{Method, StatusCode};
use per_user_db::clerk::UserId;
use per_user_db::provision::parked_since;
use per_user_db::region::Region;
use per_user_db::xata::{DatabaseId, DatabaseName, ProjectId, Projects};
use serde::Serialize;
use serde_json::Value;

use crate::organization::{Listed, Organization, State};
use crate::service::{Obstacle, Problem};

/// All projects of the settings.
pub(crate) struct Fleet {
    pub(crate) organization: Organization,
    pub(crate) projects: Projects,
}

/// A database. Its ids are safe in a path: they were checked when the list was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Branch {
    pub(crate) project: String,
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) region: String,
    /// As Xata writes it.
    pub(crate) created_at: Option<String>,
}

/// A database that was taken from a user, and can be given back.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Parked {
    #[serde(flatten)]
    pub(crate) branch: Branch,
    /// Since when, in seconds since the Unix epoch.
    pub(crate) since: u64,
    pub(crate) since_date: Option<String>,
}

/// What there is of one user.
pub(crate) struct Holdings {
    /// The project in which the user's database is looked for first.
    pub(crate) home: String,
    /// Those that carry the user's name; one in the home project comes first.
    pub(crate) databases: Vec<Branch>,
    /// The newest first.
    pub(crate) parked: Vec<Parked>,
    /// The projects of which nobody knows what they hold.
    pub(crate) unread: Vec<Unread>,
}

/// A project that could not be listed.
#[derive(Clone, Serialize)]
pub(crate) struct Unread {
    pub(crate) project: String,
    pub(crate) problem: Problem,
}

/// What became of a change.
pub(crate) enum Changed {
    Done,
    Refused(Problem),
    /// Nobody knows.
    Unclear(Problem),
}

impl Branch {
    /// The branch, unless its id or region is none.
    fn new(listed: Listed, project: &ProjectId) -> Option<Self> {
        let (id, region) = (
            DatabaseId::try_from(listed.id.as_str()).ok()?,
            Region::try_from(listed.region.as_str()).ok()?,
        );
        let is_date = |text: &String| {
            text.len() <= 40
                && text.bytes().all(|byte| byte.is_ascii_digit() || b"TZ:.+-".contains(&byte))
        };
        Some(Self {
            project: project.as_str().to_owned(),
            id: id.as_str().to_owned(),
            name: listed.name,
            region: region.as_str().to_owned(),
            created_at: listed.created_at.filter(is_date),
        })
    }

    /// Its id, and where it is.
    pub(crate) fn place(&self) -> String {
        format!("{} in {}", self.id, self.project)
    }
}

impl Fleet {
    /// Looks in every project for what there is of a user.
    pub(crate) async fn holdings(&self, user_id: &UserId) -> Holdings {
        let projects = self.projects.for_user(&DatabaseName::from(user_id));
        let mut holdings = Holdings {
            home: projects[0].as_str().to_owned(),
            databases: Vec::new(),
            parked: Vec::new(),
            unread: Vec::new(),
        };
        let is_theirs =
            |name: &str| name == user_id.as_str() || parked_since(name, user_id).is_some();
        for project in projects {
            let branches = match self.list(project, is_theirs).await {
                Ok(branches) => branches,
                Err(obstacle) => {
                    let project = project.as_str().to_owned();
                    holdings.unread.push(Unread { project, problem: obstacle.into() });
                    continue;
                }
            };
            for branch in branches {
                match parked_since(&branch.name, user_id) {
                    Some(since) => {
                        let since_date = moment(since);
                        holdings.parked.push(Parked { branch, since, since_date });
                    }
                    None => holdings.databases.push(branch),
                }
            }
        }
        holdings.parked.sort_by_key(|parked| std::cmp::Reverse(parked.since));
        holdings
    }

    /// The branches of a project that have a wanted name.
    async fn list(
        &self,
        project: &ProjectId,
        is_wanted: impl Fn(&str) -> bool,
    ) -> Result<Vec<Branch>, Obstacle> {
        let listed = self.organization.branches(project).await?;
        let wanted = listed.into_iter().filter(|listed| is_wanted(&listed.name));
        let unreadable = || self.organization.unreadable();
        wanted.map(|listed| Branch::new(listed, project).ok_or_else(unreadable)).collect()
    }

    /// What a database is called now, and how it is.
    pub(crate) async fn describe(&self, branch: &Branch) -> Result<(String, State), Problem> {
        match self.organization.describe(&branch.project, &branch.id).await {
            Ok(described) => Ok((described.name.clone(), described.state())),
            Err(Obstacle { status: Some(StatusCode::NOT_FOUND), .. }) => {
                let place = branch.place();
                Err(Problem(format!(
                    "Xata listed {place}, and does not find it: if that stays so, its deletion was \
                     interrupted; delete it in Xata once more"
                )))
            }
            Err(obstacle) => Err(obstacle.into()),
        }
    }

    /// Changes a database, by its id (section 6.4).
    pub(crate) async fn change(&self, branch: &Branch, change: &Value) -> Changed {
        let Organization { service, .. } = &self.organization;
        let path = format!("{}/{}", self.organization.branches_path(&branch.project), branch.id);
        let answer = match service.exchange(Method::PATCH, &path, Some(change)).await {
            Ok(answer) => answer,
            Err(obstacle) => return Changed::Unclear(obstacle.into()),
        };
        let problem = || service.refused(answer.status).into();
        match answer.status.as_u16() {
            200..=299 => Changed::Done,
            408 => Changed::Unclear(problem()),
            400..=499 => Changed::Refused(problem()),
            _ => Changed::Unclear(problem()),
        }
    }
}

/// A second since the Unix epoch as a date in UTC, if it is one of the calendar's four-digit years.
pub(crate) fn moment(second: u64) -> Option<String> {
    const YEAR_10_000: u64 = 253_402_300_800;
    let at = || std::time::UNIX_EPOCH + std::time::Duration::from_secs(second);
    (second < YEAR_10_000).then(|| humantime::format_rfc3339_seconds(at()).to_string())
}

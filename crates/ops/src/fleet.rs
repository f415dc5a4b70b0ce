//! The databases of users in all projects: branches of Xata's platform.

use std::cmp::Reverse;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::anyhow;
use http::StatusCode;
use per_user_db::clerk::UserId;
use per_user_db::provision::parse_parked_name;
use per_user_db::region::Region;
use per_user_db::xata::{DatabaseName, ProjectId, Projects};
use serde::Serialize;
use serde_json::json;

use crate::organization::{BranchDescription, ListedBranch, Organization};
use crate::service::ApiError;

/// All projects of the settings.
pub(crate) struct Fleet {
    pub(crate) organization: Organization,
    pub(crate) projects: Projects,
}

/// A database. Its ids are safe in a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Branch {
    pub(crate) project: String,
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) region: String,
    /// As Xata writes it.
    pub(crate) created_at: Option<String>,
}

/// A parked database of a user.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ParkedDatabase {
    pub(crate) user_id: String,
    #[serde(flatten)]
    pub(crate) branch: Branch,
    /// In seconds since the Unix epoch.
    pub(crate) since: u64,
    since_date: Option<String>,
}

/// The databases of one user.
pub(crate) struct UserDatabases {
    /// The project in which the user's database is looked up first.
    pub(crate) home: String,
    /// The databases that have the user's name; one in the home project comes first.
    pub(crate) databases: Vec<Branch>,
    /// The newest first.
    pub(crate) parked: Vec<ParkedDatabase>,
    /// Any of these may hold more databases of the user.
    pub(crate) unreadable: Vec<UnreadableProject>,
}

/// Why a database was not renamed.
#[derive(Debug)]
pub(crate) enum RenameError {
    /// Nothing was changed.
    Refused(ApiError),
    /// It may have the name.
    Unclear(String),
}

impl std::error::Error for RenameError {}

impl std::fmt::Display for RenameError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(error) => error.fmt(formatter),
            Self::Unclear(why) => write!(formatter, "it is unclear whether it was done: {why}"),
        }
    }
}

/// A project whose branches could not be listed.
#[derive(Clone, Serialize)]
pub(crate) struct UnreadableProject {
    pub(crate) project: String,
    pub(crate) problem: String,
}

impl UnreadableProject {
    fn new(project: &ProjectId, error: &ApiError) -> Self {
        Self { project: project.as_str().to_owned(), problem: error.to_string() }
    }
}

impl Branch {
    /// The branch, unless its id or region is malformed.
    fn new(listed: ListedBranch, project: &ProjectId) -> Option<Self> {
        Region::try_from(listed.region.as_str()).ok()?;
        let is_date = |text: &String| {
            text.len() <= 40
                && text.bytes().all(|byte| byte.is_ascii_digit() || b"TZ:.+-".contains(&byte))
        };
        listed.has_safe_id().then(|| Self {
            project: project.as_str().to_owned(),
            id: listed.id,
            name: listed.name,
            region: listed.region,
            created_at: listed.created_at.filter(is_date),
        })
    }

    /// The id, and where the database is.
    pub(crate) fn place(&self) -> String {
        format!("{} in {}", self.id, self.project)
    }
}

impl ParkedDatabase {
    /// The branch, if its name is that of a parked database.
    pub(crate) fn new(branch: &Branch) -> Option<Self> {
        let (user_id, since) = parse_parked_name(&branch.name)?;
        let (user_id, branch) = (user_id.to_string(), branch.clone());
        Some(Self { user_id, branch, since, since_date: rfc3339(since) })
    }

    /// How long it has been parked; nothing if it says a time to come.
    pub(crate) fn age(&self) -> Duration {
        let since = UNIX_EPOCH.checked_add(Duration::from_secs(self.since));
        since.and_then(|since| since.elapsed().ok()).unwrap_or_default()
    }

    pub(crate) fn since_words(&self) -> String {
        let date = self.since_date.as_deref().unwrap_or("a date out of range");
        format!("{date} ({})", self.since)
    }
}

impl Fleet {
    /// Finds a user's databases in all projects.
    pub(crate) async fn databases_of(&self, user_id: &UserId) -> UserDatabases {
        let projects = self.projects.for_user(&DatabaseName::from(user_id));
        let mut found = UserDatabases {
            home: projects[0].as_str().to_owned(),
            databases: Vec::new(),
            parked: Vec::new(),
            unreadable: Vec::new(),
        };
        for project in projects {
            match self.branches_of(user_id, project).await {
                Ok(branches) => {
                    for branch in branches {
                        match ParkedDatabase::new(&branch) {
                            Some(copy) => found.parked.push(copy),
                            None => found.databases.push(branch),
                        }
                    }
                }
                Err(error) => found.unreadable.push(UnreadableProject::new(project, &error)),
            }
        }
        found.parked.sort_by_key(|parked| Reverse(parked.since));
        found
    }

    /// The parked databases of all users, the oldest first, and the projects that could not be read.
    pub(crate) async fn parked(&self) -> (Vec<ParkedDatabase>, Vec<UnreadableProject>) {
        let (mut parked, mut unreadable) = (Vec::new(), Vec::new());
        for project in self.projects.iter() {
            let listed = match self.organization.branches(project).await {
                Ok(listed) => listed,
                Err(error) => {
                    unreadable.push(UnreadableProject::new(project, &error));
                    continue;
                }
            };
            let branches = listed.into_iter().filter_map(|it| Branch::new(it, project));
            parked.extend(branches.filter_map(|it| ParkedDatabase::new(&it)));
        }
        parked.sort_by_key(|copy| copy.since);
        (parked, unreadable)
    }

    /// All branches of all projects, but those with an id or a region that is none.
    pub(crate) async fn branches(&self) -> Result<Vec<Branch>, ApiError> {
        let mut branches = Vec::new();
        for project in self.projects.iter() {
            let listed = self.organization.branches_patiently(project).await?;
            branches.extend(listed.into_iter().filter_map(|it| Branch::new(it, project)));
        }
        Ok(branches)
    }

    /// The branches of a project that are, or were, this user's database.
    async fn branches_of(
        &self,
        user_id: &UserId,
        project: &ProjectId,
    ) -> Result<Vec<Branch>, ApiError> {
        let listed = self.organization.branches(project).await?;
        let is_theirs = |it: &ListedBranch| {
            let is_owner = |(owner, _): &(UserId, u64)| owner == user_id;
            it.name == user_id.as_str()
                || parse_parked_name(&it.name).as_ref().is_some_and(is_owner)
        };
        let unreadable = || self.organization.service.unreadable();
        let theirs = listed.into_iter().filter(is_theirs);
        theirs.map(|listed| Branch::new(listed, project).ok_or_else(unreadable)).collect()
    }

    /// The present name and state of a database.
    pub(crate) async fn describe(&self, branch: &Branch) -> anyhow::Result<BranchDescription> {
        let described = self.organization.describe(&branch.project, &branch.id).await;
        described.map_err(|error| match error.status() {
            Some(StatusCode::NOT_FOUND) => anyhow!(
                "Xata lists {}, and does not find it: if that lasts, its deletion was interrupted; \
                 delete it in Xata once more",
                branch.place()
            ),
            _ => error.into(),
        })
    }

    /// Renames a database, and wakes it where `is_woken`. After an unclear response, looks whether it has
    /// the name.
    pub(crate) async fn rename(
        &self,
        branch: &Branch,
        name: &str,
        is_woken: bool,
    ) -> Result<(), RenameError> {
        let mut change = json!({ "name": name });
        if is_woken {
            change["hibernate"] = false.into();
        }
        let changed = self.organization.patch_branch(&branch.project, &branch.id, &change).await;
        let Err(error) = changed else { return Ok(()) };
        if !error.may_have_applied() {
            return Err(RenameError::Refused(error));
        }
        match self.describe(branch).await {
            Ok(now) if now.name == name => Ok(()),
            Ok(_) => Err(RenameError::Refused(error)),
            Err(second) => Err(RenameError::Unclear(format!("{error}; {second}"))),
        }
    }
}

/// A second since the Unix epoch as a date in UTC, up to the year 9999.
pub(crate) fn rfc3339(second: u64) -> Option<String> {
    const YEAR_10_000: u64 = 253_402_300_800;
    let at = || UNIX_EPOCH + Duration::from_secs(second);
    (second < YEAR_10_000).then(|| humantime::format_rfc3339_seconds(at()).to_string())
}

//! The databases of all projects, as an operator sees and changes them: branches of Xata's platform
//! (`contracts/xata-platform.md` sections 6 and 7).

use std::borrow::Cow;

use http::{Method, StatusCode};
use per_user_db::clerk::UserId;
use per_user_db::http_client::CallError;
use per_user_db::provision::parked_since;
use per_user_db::region::Region;
use per_user_db::xata::{DatabaseId, DatabaseName, OrganizationId, ProjectId, Projects};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::service::{Problem, Service};

/// Room for a list of a quarter of a million branches.
pub(crate) const LIST_LIMIT_BYTES: usize = 64 * 1024 * 1024;

/// All projects of the settings.
pub(crate) struct Fleet {
    pub(crate) xata: Service,
    pub(crate) organization: OrganizationId,
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

/// How a database is (section 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    Healthy,
    Transient,
    Fault,
    Hibernated,
    /// A state that the contract does not know, or says nothing.
    Unspecified,
}

/// What became of a change.
pub(crate) enum Changed {
    Done,
    Refused(Problem),
    /// Nobody knows.
    Unclear(Problem),
}

impl Branch {
    /// Its id, and where it is.
    pub(crate) fn place(&self) -> String {
        format!("{} in {}", self.id, self.project)
    }
}

impl State {
    /// From Xata's word for it.
    pub(crate) fn read(word: Option<&str>) -> Self {
        match word {
            Some("STATUS_TYPE_HEALTHY") => Self::Healthy,
            Some("STATUS_TYPE_TRANSIENT") => Self::Transient,
            Some("STATUS_TYPE_FAULT") => Self::Fault,
            Some("STATUS_TYPE_HIBERNATED") => Self::Hibernated,
            _ => Self::Unspecified,
        }
    }

    /// In plain words.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Healthy => "awake",
            Self::Transient => "not ready: it is being made, copied or woken",
            Self::Fault => "at fault",
            Self::Hibernated => "asleep, or only just made",
            Self::Unspecified => "not told",
        }
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
                Err(problem) => {
                    let project = project.as_str().to_owned();
                    holdings.unread.push(Unread { project, problem });
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

    /// The branches of a project that have a wanted name (section 6.1).
    async fn list(
        &self,
        project: &ProjectId,
        is_wanted: impl Fn(&str) -> bool,
    ) -> Result<Vec<Branch>, Problem> {
        let list = self.xata.get_long(&self.branches(project.as_str()), LIST_LIMIT_BYTES).await?;
        let unreadable = || self.xata.silence(CallError::Unreadable);
        let List { branches } = serde_json::from_slice(&list).map_err(|_| unreadable())?;
        let wanted = branches.into_iter().filter(|listed| is_wanted(&listed.name));
        wanted.map(|listed| listed.into_branch(project).ok_or_else(unreadable)).collect()
    }

    /// What a database is called now, and how it is (section 6.3).
    pub(crate) async fn describe(&self, branch: &Branch) -> Result<(String, State), Problem> {
        let answer = self.xata.exchange(Method::GET, &self.branch(branch), None).await?;
        if answer.status == StatusCode::NOT_FOUND {
            let place = branch.place();
            return Err(Problem(format!(
                "Xata listed {place}, and does not find it: if that stays so, its deletion was \
                 interrupted; delete it in Xata once more"
            )));
        }
        if !answer.status.is_success() {
            return Err(self.xata.refusal(answer.status));
        }
        let described = answer.json().map_err(|error| self.xata.silence(error))?;
        let Described { name, status } = described;
        Ok((name, State::read(status.kind.as_deref())))
    }

    /// Changes a database, by its id (section 6.4).
    pub(crate) async fn change(&self, branch: &Branch, change: &Value) -> Changed {
        let path = self.branch(branch);
        let answer = match self.xata.exchange(Method::PATCH, &path, Some(change)).await {
            Ok(answer) => answer,
            Err(problem) => return Changed::Unclear(problem),
        };
        let problem = || self.xata.refusal(answer.status);
        match answer.status.as_u16() {
            200..=299 => Changed::Done,
            408 => Changed::Unclear(problem()),
            400..=499 => Changed::Refused(problem()),
            _ => Changed::Unclear(problem()),
        }
    }

    fn branches(&self, project: &str) -> String {
        format!("/organizations/{}/projects/{project}/branches", self.organization.as_str())
    }

    fn branch(&self, Branch { project, id, .. }: &Branch) -> String {
        format!("{}/{id}", self.branches(project))
    }
}

#[derive(Deserialize)]
struct List<'a> {
    #[serde(borrow)]
    branches: Vec<Listed<'a>>,
}

#[derive(Deserialize)]
struct Listed<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    region: Cow<'a, str>,
    #[serde(borrow, default, rename = "createdAt")]
    created_at: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Described {
    name: String,
    status: Status,
}

#[derive(Deserialize)]
struct Status {
    #[serde(rename = "statusType")]
    kind: Option<String>,
}

impl Listed<'_> {
    /// The branch, unless its id or region is none.
    fn into_branch(self, project: &ProjectId) -> Option<Branch> {
        let (id, region) =
            (DatabaseId::try_from(&*self.id).ok()?, Region::try_from(&*self.region).ok()?);
        let is_date = |text: &str| {
            text.len() <= 40
                && text.bytes().all(|byte| byte.is_ascii_digit() || b"TZ:.+-".contains(&byte))
        };
        Some(Branch {
            project: project.as_str().to_owned(),
            id: id.as_str().to_owned(),
            name: self.name.into_owned(),
            region: region.as_str().to_owned(),
            created_at: self.created_at.filter(|text| is_date(text)).map(Cow::into_owned),
        })
    }
}

/// A second since the Unix epoch as a date in UTC, if it is one of the calendar's four-digit years.
pub(crate) fn moment(second: u64) -> Option<String> {
    const YEAR_10_000: u64 = 253_402_300_800;
    let date = (second < YEAR_10_000)
        .then(|| standin::clock::rfc3339(std::time::Duration::from_secs(second)))?;
    Some(date.replace(".000Z", "Z"))
}

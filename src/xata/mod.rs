//! Xata's APIs: the platform of today and Xata Lite, behind [`Databases`].
//!
//! The result of a call says what is certain. A refused create has created nothing, yet it can hide a
//! database that exists, because Xata checks quotas before names. An unclear create may have taken
//! effect; only a look-up by name can tell. [`provision`](crate::provision) decides what follows.

mod list_reader;
pub mod lite;
pub mod platform;

use std::time::Duration;

use http::StatusCode;
use http::header::HeaderName;
use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use self::lite::Lite;
use self::platform::Platform;
use crate::error::{ErrorKind, UpstreamError};
use crate::http_client::CallError;
use crate::http_client::json_api::{ApiResponse, JsonApi};
use crate::region::Region;

/// The databases behind one of Xata's APIs.
pub enum Databases {
    /// The platform of today, where a database is a branch.
    Platform(Platform),
    /// Xata Lite, which was retired.
    Lite(Lite),
}

/// The database that a request is about, and the time by which its response is read.
#[derive(Clone, Copy)]
pub struct Target<'a> {
    /// The project.
    pub project: &'a ProjectId,
    /// The name.
    pub name: &'a DatabaseName,
    /// The deadline of the request.
    pub deadline: Instant,
}

impl Databases {
    /// Requests a new database once. At the deadline it gives up; the platform rolls back such a
    /// create where it can.
    pub async fn create(&self, target: Target<'_>, region: &Region) -> CreateResult {
        match self {
            Self::Platform(xata) => xata.create(target, region).await,
            Self::Lite(xata) => xata.create(target, region).await,
        }
    }

    /// Looks a name up in one project.
    pub async fn look_up(&self, target: Target<'_>) -> LookupResult {
        match self {
            Self::Platform(xata) => xata.look_up(target).await,
            Self::Lite(xata) => xata.look_up(target).await,
        }
    }

    /// Parks or deletes a database by its id.
    pub async fn remove(&self, target: Target<'_>, id: &DatabaseId, how: &Removal) -> RemoveResult {
        match self {
            Self::Platform(xata) => xata.remove(target, id, how).await,
            // The settings allow no removal with Xata Lite, which gets nothing beyond creation.
            Self::Lite(_) => Err(Failure::Refused(UpstreamError::new(ErrorKind::RequestRejected))),
        }
    }
}

/// What happens to the database of a deleted user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removal {
    /// It is deleted, which cannot be undone.
    Delete,
    /// It is renamed and hibernated in one change. Its old name is free at once.
    Park {
        /// The new name.
        name: String,
    },
}

/// A database as Xata describes it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Database {
    /// The project; the workspace on Xata Lite.
    #[serde(skip)]
    pub project: ProjectId,
    /// The name, which is the user's id.
    pub name: DatabaseName,
    /// The region that it is in.
    pub region: Region,
    /// Xata's id, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<DatabaseId>,
}

/// The result of a create.
pub type CreateResult = Result<Created, Failure>;

/// The result of a look-up: the database; none where the whole list was read without the name. The
/// error says why the list could not be read to its end.
pub type LookupResult = Result<Option<Database>, UpstreamError>;

/// The result of a removal.
pub type RemoveResult = Result<Removed, Failure>;

/// What a create has led to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Created {
    /// This request created the database.
    New(Database),
    /// Nothing was created: the name is taken.
    NameTaken,
}

/// What a removal has led to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Removed {
    /// This request parked or deleted the database.
    Done,
    /// There is no database of this id.
    Absent,
}

/// Why a change has no result.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Failure {
    /// Nothing was changed. After a create, a database of this name may exist all the same.
    Refused(UpstreamError),
    /// The change may have taken effect.
    Unclear(UpstreamError),
}

impl From<Failure> for UpstreamError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(error) | Failure::Unclear(error) => error,
        }
    }
}

/// Seconds until a rate limit admits the next request. A gateway may send it beside every response,
/// so it counts only where the limit is met.
const RATE_LIMIT_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// How long Xata asks to wait (`docs/vendors/xata.md`, "Timeouts and rate limits").
fn retry_after(api: &JsonApi, response: &ApiResponse) -> Option<Duration> {
    let is_limited = response.status == StatusCode::TOO_MANY_REQUESTS;
    let reset = is_limited.then(|| api.wait(&response.headers, &RATE_LIMIT_RESET)).flatten();
    reset.or(response.retry_after)
}

/// Why a call to Xata has no response that can be read.
fn error_kind(error: CallError) -> ErrorKind {
    match error {
        CallError::TimeUp => ErrorKind::XataTimeout,
        CallError::Unreachable | CallError::Broken => ErrorKind::XataUnreachable,
        CallError::TooLong | CallError::Unreadable => ErrorKind::XataUnreadable,
    }
}

/// The failure of a request without a response.
fn no_response(error: CallError) -> Failure {
    Failure::Unclear(UpstreamError::new(error_kind(error)))
}

/// The failure of a request whose response cannot be read.
fn unreadable(status: StatusCode) -> impl Fn(CallError) -> Failure {
    move |error| Failure::Unclear(UpstreamError::with_status(status, error_kind(error)))
}

/// Text that is no id of Xata's.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("1 to 255 letters, digits and _ - ~ : only")]
pub struct NotAnId;

macro_rules! path_safe_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        pub struct $name(String);

        impl $name {
            /// The id. It is safe in a URL path and in a log line.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<&str> for $name {
            type Error = NotAnId;

            fn try_from(text: &str) -> Result<Self, NotAnId> {
                let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"_-~:".contains(&byte);
                let well_formed = (1..=255).contains(&text.len()) && text.bytes().all(safe);
                well_formed.then(|| Self(text.to_owned())).ok_or(NotAnId)
            }
        }
    };
}

path_safe_id!(
    /// An organization of the platform.
    OrganizationId
);
path_safe_id!(
    /// A workspace of Xata Lite.
    WorkspaceId
);
path_safe_id!(
    /// A project. Users can be spread over several.
    ProjectId
);
path_safe_id!(
    /// The id of a database; on the platform a branch id.
    DatabaseId
);
path_safe_id!(
    /// The name of a database: the user id, with its upper and lower case.
    DatabaseName
);

/// The projects that users are spread over: at least one, each once.
#[derive(Debug, Clone)]
pub struct Projects(Vec<ProjectId>);

impl From<ProjectId> for Projects {
    fn from(only: ProjectId) -> Self {
        Self(vec![only])
    }
}

impl Projects {
    /// These projects; none when the list is empty or names one twice.
    pub fn new(projects: Vec<ProjectId>) -> Option<Self> {
        let distinct = projects.iter().collect::<std::collections::BTreeSet<_>>().len();
        (distinct > 0 && distinct == projects.len()).then_some(Self(projects))
    }

    /// The projects, in the order of the setting.
    pub fn iter(&self) -> impl Iterator<Item = &ProjectId> {
        self.0.iter()
    }

    /// The projects in the order in which a user's database is looked up; the home project is the
    /// first.
    ///
    /// The order is rendezvous hashing: the home project has the highest hash together with the
    /// name. So a project that joins the list becomes the home of its share of users and changes no
    /// other user's home. This function decides where existing data is found: it must never change.
    pub fn for_user(&self, name: &DatabaseName) -> Vec<&ProjectId> {
        let mut ranked: Vec<_> = self.0.iter().collect();
        ranked.sort_by_cached_key(|project| {
            let hash = Sha256::new()
                .chain_update(project.as_str())
                .chain_update([0])
                .chain_update(name.as_str());
            std::cmp::Reverse(hash.finalize())
        });
        ranked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn projects(ids: &[&str]) -> Projects {
        Projects::new(ids.iter().map(|&id| id.try_into().expect("an id")).collect())
            .expect("projects")
    }

    fn home(projects: &Projects, name: &str) -> String {
        projects.for_user(&name.try_into().expect("a name"))[0].as_str().to_owned()
    }

    #[test]
    fn an_id_with_characters_of_a_path_is_refused() {
        for text in ["", "..", "a/b", "a%2e", "a b", "a\n", "ü", &"a".repeat(256)] {
            assert_eq!(ProjectId::try_from(text), Err(NotAnId), "{text:?}");
        }
    }

    #[test]
    fn a_list_of_projects_is_not_empty_and_names_each_once() {
        let id = || ProjectId::try_from("prj_a").expect("an id");
        assert!(Projects::new(vec![]).is_none());
        assert!(Projects::new(vec![id(), id()]).is_none());
    }

    #[test]
    fn the_home_of_a_user_does_not_change() {
        let projects = projects(&["prj_a", "prj_b", "prj_c"]);
        let homes = [
            "user_37vVbDk2sV69GiZuqjqVZRkONtI",
            "user_37vctfO9XiVdjV0fLzIiUq2adSQ",
            "user_37vkC9iuSYGvbaFAnW3P3GIvrUW",
        ]
        .map(|name| home(&projects, name));
        // Calculated with another implementation of SHA-256.
        assert_eq!(homes, ["prj_c", "prj_c", "prj_a"]);
    }

    #[test]
    fn an_added_project_becomes_the_home_of_a_third_of_the_users() {
        let (before, after) =
            (projects(&["prj_a", "prj_b"]), projects(&["prj_c", "prj_b", "prj_a"]));
        let mut moved = 0;
        for user in 0..3000 {
            let name = format!("user_{user:010}");
            let (old, new) = (home(&before, &name), home(&after, &name));
            assert!(new == old || new == "prj_c");
            moved += usize::from(new != old);
        }
        assert!((900..1100).contains(&moved), "{moved} of 3000 moved to the third project");
    }
}

//! How to ask: the [`Databases`] port, and the API behind it.
//!
//! A call ends in a word that says what is certain. Made and taken are certain; a refusal is
//! certain not to have made anything, yet may hide a database that exists (quotas are checked
//! before names); everything else is in doubt, and only a look-up by name ends a doubt. What to do
//! about it is not decided here.

mod listing;
pub mod lite;
pub mod platform;

use futures_util::future::BoxFuture;
use http::StatusCode;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use crate::http_client::CallError;
use crate::region::Region;
use crate::trouble::{Reason, Trouble};

/// Whatever keeps databases by name.
pub trait Databases: Send + Sync {
    /// Asks once for a new database, and waits for the answer until the given time. Giving up
    /// breaks the call off, which the platform rolls back if it can.
    fn create<'a>(
        &'a self,
        project: &'a ProjectId,
        name: &'a DatabaseName,
        region: &'a Region,
        until: Instant,
    ) -> BoxFuture<'a, Created>;

    /// Looks a name up in one project.
    fn look_up<'a>(
        &'a self,
        project: &'a ProjectId,
        name: &'a DatabaseName,
        until: Instant,
    ) -> BoxFuture<'a, LookedUp>;

    /// Takes a database away, by its id.
    fn remove<'a>(
        &'a self,
        project: &'a ProjectId,
        id: &'a DatabaseId,
        removal: &'a Removal,
        until: Instant,
    ) -> BoxFuture<'a, Removed>;
}

/// How a database is taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removal {
    /// For good: there is no undo.
    Delete,
    /// Renamed and put to sleep, in one change. Its old name is free at once.
    Park {
        /// What it is called from then on.
        name: String,
    },
}

/// How certain the end of a call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certainty {
    /// It ended in a fact.
    Done,
    /// It was refused.
    Refused,
    /// Nobody knows what it came to.
    Unclear,
}

/// What became of a removal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Removed {
    /// By this call.
    Done,
    /// There is no database of this id any more.
    Absent,
    /// Not done.
    Refused(Trouble),
    /// Nobody knows.
    Unclear(Trouble),
}

/// What became of a create.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Created {
    /// The database is made, by this call.
    Made(Database),
    /// Not made: the name is taken.
    Taken,
    /// Not made, whether or not the name exists; the refusal may also be about us.
    Refused(Trouble),
    /// Nobody knows.
    Unclear(Trouble),
}

impl Removed {
    /// How certain that is.
    pub fn certainty(&self) -> Certainty {
        match self {
            Self::Done | Self::Absent => Certainty::Done,
            Self::Refused(_) => Certainty::Refused,
            Self::Unclear(_) => Certainty::Unclear,
        }
    }
}

impl LookedUp {
    /// How certain that is.
    pub fn certainty(&self) -> Certainty {
        match self {
            Self::Found(_) | Self::Absent => Certainty::Done,
            Self::Unknown(_) => Certainty::Unclear,
        }
    }
}

impl Created {
    /// How certain that is.
    pub fn certainty(&self) -> Certainty {
        match self {
            Self::Made(_) | Self::Taken => Certainty::Done,
            Self::Refused(_) => Certainty::Refused,
            Self::Unclear(_) => Certainty::Unclear,
        }
    }

    /// What is in the way of another request that is answered like such a create.
    fn trouble(self, status: StatusCode) -> Trouble {
        match self {
            Self::Refused(trouble) | Self::Unclear(trouble) => trouble,
            Self::Made(_) | Self::Taken => Trouble::at(status, Reason::XataError),
        }
    }
}

/// What a look-up found.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LookedUp {
    /// It is there.
    Found(Database),
    /// The whole list was read, and it is not on it.
    Absent,
    /// The list could not be had, or not to its end.
    Unknown(Trouble),
}

/// A database, as Xata tells of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Database {
    /// Where it is kept; the workspace on Xata Lite.
    pub project: ProjectId,
    /// Its name, the user's id.
    pub name: DatabaseName,
    /// Where it really is.
    pub region: Region,
    /// Xata's id of it, when known.
    pub id: Option<DatabaseId>,
}

/// Why a call to Xata did not end in an answer that can be read.
fn reason(error: CallError) -> Reason {
    match error {
        CallError::TimeUp => Reason::XataTimeout,
        CallError::Unreachable | CallError::Broken => Reason::XataUnreachable,
        CallError::TooLong | CallError::Unreadable => Reason::XataUnreadable,
    }
}

/// Text that cannot stand in a path of Xata's.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("1 to 255 letters, digits and _ - ~ : only")]
pub struct NotAnId;

macro_rules! path_safe_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// The id, safe in a URL path and in a log line.
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
    /// An organization (`contracts/xata-platform.md` section 3).
    OrganizationId
);
path_safe_id!(
    /// A workspace of Xata Lite (`contracts/xata-lite.md` section 2).
    WorkspaceId
);
path_safe_id!(
    /// A project: a shard of the fleet.
    ProjectId
);
path_safe_id!(
    /// A database's id; on the platform a branch id.
    DatabaseId
);
path_safe_id!(
    /// A database's name: the user id, case kept.
    DatabaseName
);

/// The projects that users are spread over; at least one.
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

    /// The projects in any order.
    pub fn iter(&self) -> impl Iterator<Item = &ProjectId> {
        self.0.iter()
    }

    /// The projects in the order in which this user's database is looked for, the home project
    /// first.
    ///
    /// Rendezvous hashing: the home is the project whose hash together with the name is the
    /// highest, so a project that joins the list becomes home to its share of users and changes
    /// nobody else's. The function is part of where data lives: it must never change.
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
    fn no_path_can_be_made_of_an_id() {
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
    fn the_home_of_a_user_is_the_same_for_ever() {
        let fleet = projects(&["prj_a", "prj_b", "prj_c"]);
        let homes = [
            "user_37vVbDk2sV69GiZuqjqVZRkONtI",
            "user_37vctfO9XiVdjV0fLzIiUq2adSQ",
            "user_37vkC9iuSYGvbaFAnW3P3GIvrUW",
        ]
        .map(|name| home(&fleet, name));
        // Worked out with another implementation of SHA-256.
        assert_eq!(homes, ["prj_c", "prj_c", "prj_a"]);
    }

    #[test]
    fn a_project_that_joins_takes_its_share_and_moves_nobody_else() {
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

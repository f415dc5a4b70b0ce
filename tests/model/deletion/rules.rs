//! The rules of deletion: the function's, and the function's with one rule changed.

use per_user_db::clerk::UserStatus;
use per_user_db::error::UpstreamError;
use per_user_db::provision::{Ensure, EnsureAction, Remove, RemoveAction};
use per_user_db::xata::{Failure, LookupResult, RemoveResult, Removed};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rules {
    /// The function's own code, with a Clerk key.
    Product,
    /// The function's own code, without a Clerk key.
    WithoutKey,
    /// Only deletions check the user.
    NoUserCheckOfSignUps,
    /// Treats a failed user check as a deleted user.
    FailedCheckMeansDeleted,
    /// A deletion does not wait until the sign-up is ten minutes old.
    NoWait,
    /// A deletion treats a failed look-up as the absence of the database.
    FailedLookUpMeansAbsent,
    /// A deletion treats a removal without a response as done.
    AcknowledgeOnTimeout,
    /// A deletion looks in the home project only.
    IgnoreOldProjects,
}

impl Rules {
    /// Whether a deletion waits until the sign-up is ten minutes old.
    pub fn deletion_waits(self) -> bool {
        !matches!(self, Self::WithoutKey | Self::NoWait)
    }

    pub fn sign_up(self, n_projects: usize, is_fresh: bool) -> (Ensure, EnsureAction) {
        let checks_user = !matches!(self, Self::WithoutKey | Self::NoUserCheckOfSignUps);
        Ensure::begin(n_projects, is_fresh, checks_user)
    }

    pub fn deletion(self, n_projects: usize) -> (Remove, RemoveAction) {
        let n_projects = if self == Self::IgnoreOldProjects { 1 } else { n_projects };
        Remove::begin(n_projects, self != Self::WithoutKey)
    }

    pub fn failed_user_check(self, error: UpstreamError) -> Result<UserStatus, UpstreamError> {
        if self == Self::FailedCheckMeansDeleted { Ok(UserStatus::Deleted) } else { Err(error) }
    }

    pub fn failed_look_up(self, error: UpstreamError) -> LookupResult {
        match self {
            Self::FailedLookUpMeansAbsent => Ok(None),
            _ => Err(error),
        }
    }

    pub fn removed(self, removed: RemoveResult) -> RemoveResult {
        match removed {
            Err(Failure::Unclear(_)) if self == Self::AcknowledgeOnTimeout => Ok(Removed::Done),
            removed => removed,
        }
    }
}

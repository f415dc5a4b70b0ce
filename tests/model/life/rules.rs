//! The rules of a user's coming and going: ours, and ours without one of them.

use per_user_db::clerk::UserStatus;
use per_user_db::error::UpstreamError;
use per_user_db::provision::{Ensure, EnsureAction, Remove, RemoveAction};
use per_user_db::xata::{Failure, LookupResult, RemoveResult, Removed};

/// Who decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rules {
    /// The function's own code, with a key of Clerk's.
    Ours,
    /// The function's own code, without a key.
    WithoutKey,
    /// Sign-ups ask nobody, deletions ask Clerk.
    SignUpsAskNobody,
    /// Takes a Clerk that cannot be asked for one that does not know the user.
    BelieveSilence,
    /// A deletion acts at once, however young the sign-up is.
    DoNotWait,
    /// A deletion takes a list that could not be read for one without the database.
    BelieveUnreadLists,
    /// A deletion takes a removal without an answer for one that worked.
    AcknowledgeOnTimeout,
    /// A deletion asks the home project only.
    IgnoreOldProjects,
}

impl Rules {
    /// Whether a deletion has to wait until the sign-up is ten minutes old.
    pub fn wait(self) -> bool {
        !matches!(self, Self::WithoutKey | Self::DoNotWait)
    }

    pub fn sign_up(self, n_projects: usize, is_fresh: bool) -> (Ensure, EnsureAction) {
        let asks = !matches!(self, Self::WithoutKey | Self::SignUpsAskNobody);
        Ensure::begin(n_projects, is_fresh, asks)
    }

    pub fn deletion(self, n_projects: usize) -> (Remove, RemoveAction) {
        let n_projects = if self == Self::IgnoreOldProjects { 1 } else { n_projects };
        Remove::begin(n_projects, self != Self::WithoutKey)
    }

    /// What either takes a Clerk for that could not be asked.
    pub fn silence(self, error: UpstreamError) -> Result<UserStatus, UpstreamError> {
        if self == Self::BelieveSilence { Ok(UserStatus::Deleted) } else { Err(error) }
    }

    /// What a deletion takes a list for that could not be read.
    pub fn unread(self, error: UpstreamError) -> LookupResult {
        match self {
            Self::BelieveUnreadLists => Ok(None),
            _ => Err(error),
        }
    }

    /// What a deletion takes a removal for that was not answered as it should be.
    pub fn removed(self, removed: RemoveResult) -> RemoveResult {
        match removed {
            Err(Failure::Unclear(_)) if self == Self::AcknowledgeOnTimeout => Ok(Removed::Done),
            removed => removed,
        }
    }
}

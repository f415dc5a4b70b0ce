//! The rules of provisioning: ours, and some that others live by and that lose users.

use per_user_db::error::{ErrorKind, UpstreamError};
use per_user_db::provision::{Ensure, EnsureAction, EnsureOutcome};
use per_user_db::xata::{CreateResult, Created, Failure};

/// Who decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rules {
    /// The function's own code.
    Ours,
    /// Looks first, and takes a name that turns out to be taken for an error, as the tutorial does.
    ListThenCreate,
    /// Takes a create without an answer for one that worked.
    AcknowledgeOnTimeout,
    /// Takes a refusal at quota for the absence of the database.
    BelieveTheQuota,
    /// Asks the home project only, whenever.
    IgnoreOldProjects,
}

impl Rules {
    pub fn begin(self, n_projects: usize, fresh: bool) -> (Ensure, EnsureAction) {
        match self {
            Self::ListThenCreate => {
                (Ensure::begin(n_projects, fresh, false).0, EnsureAction::LookUp(0))
            }
            Self::IgnoreOldProjects => Ensure::begin(n_projects, true, false),
            _ => Ensure::begin(n_projects, fresh, false),
        }
    }

    pub fn after_create(self, machine: &mut Ensure, created: CreateResult) -> EnsureAction {
        match (self, created) {
            (Self::ListThenCreate, Ok(Created::NameTaken)) => {
                EnsureAction::Stop(Err(UpstreamError::new(ErrorKind::RequestRejected)))
            }
            (Self::AcknowledgeOnTimeout, Err(Failure::Unclear(_))) => {
                EnsureAction::Stop(Ok(EnsureOutcome::Created(None)))
            }
            (Self::BelieveTheQuota, Err(Failure::Refused(error)))
                if error.kind == ErrorKind::StandingQuota =>
            {
                EnsureAction::Stop(Err(error))
            }
            (_, created) => machine.after_create(created),
        }
    }
}

//! The rules of provisioning: ours, and some that others live by and that lose users.

use per_user_db::provision::{Action, Ensure, Outcome};
use per_user_db::trouble::{Reason, Trouble};
use per_user_db::xata::Created;

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
    pub fn begin(self, n_projects: usize, fresh: bool) -> (Ensure, Action) {
        match self {
            Self::ListThenCreate => (Ensure::begin(n_projects, fresh, false).0, Action::LookUp(0)),
            Self::IgnoreOldProjects => Ensure::begin(n_projects, true, false),
            _ => Ensure::begin(n_projects, fresh, false),
        }
    }

    pub fn after_create(self, machine: &mut Ensure, created: Created) -> Action {
        match (self, created) {
            (Self::ListThenCreate, Created::Taken) => {
                Action::Stop(Err(Trouble::silent(Reason::RequestRejected)))
            }
            (Self::AcknowledgeOnTimeout, Created::Unclear(_)) => {
                Action::Stop(Ok(Outcome::Created(None)))
            }
            (Self::BelieveTheQuota, Created::Refused(trouble))
                if trouble.reason == Reason::StandingQuota =>
            {
                Action::Stop(Err(trouble))
            }
            (_, created) => machine.after_create(created),
        }
    }
}

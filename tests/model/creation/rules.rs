//! The rules of creation: the function's, and simpler ones that violate an invariant.

use per_user_db::error::{ErrorKind, UpstreamError};
use per_user_db::provision::{Ensure, EnsureAction, EnsureOutcome};
use per_user_db::xata::{CreateResult, Created, Failure};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rules {
    /// The function's own code.
    Product,
    /// Lists before each create, and treats a taken name as an error, as the tutorial does.
    ListThenCreate,
    /// Treats a create without a response as done.
    AcknowledgeOnTimeout,
    /// Treats a quota error as the absence of the database.
    TrustQuotaError,
    /// Looks in the home project only.
    IgnoreOldProjects,
    /// Acknowledges a sign-up whose directory entry could not be written.
    BestEffortEntry,
}

impl Rules {
    pub fn begin(self, n_projects: usize, fresh: bool, has_clerk: bool) -> (Ensure, EnsureAction) {
        match self {
            Self::ListThenCreate => {
                (Ensure::begin(n_projects, fresh, has_clerk).0, EnsureAction::LookUp(0))
            }
            Self::IgnoreOldProjects => Ensure::begin(n_projects, true, has_clerk),
            _ => Ensure::begin(n_projects, fresh, has_clerk),
        }
    }

    pub fn after_failed_write(self, machine: &mut Ensure, error: UpstreamError) -> EnsureAction {
        match self {
            Self::BestEffortEntry => EnsureAction::Stop(Ok(EnsureOutcome::Created(None))),
            _ => machine.after_write(Err(error)),
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
            (Self::TrustQuotaError, Err(Failure::Refused(error)))
                if error.kind == ErrorKind::StandingQuota =>
            {
                EnsureAction::Stop(Err(error))
            }
            (_, created) => machine.after_create(created),
        }
    }
}

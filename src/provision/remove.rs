//! The decisions of a deletion: a deleted user's database is parked or deleted.

use crate::clerk::UserStatus;
use crate::error::{ErrorKind, UpstreamError};
use crate::xata::{DatabaseId, Failure, LookupResult, RemoveResult, Removed};

/// What is certain about the database of a deleted user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemoveOutcome {
    /// This delivery parked or deleted it.
    Done,
    /// There is none any more.
    Absent,
    /// Clerk still has the user, and nothing was done.
    UserExists,
}

/// The next thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemoveAction {
    /// Ask Clerk for the user.
    CheckUser,
    /// Look up in the project of this rank; 0 is the home project.
    LookUp(usize),
    /// Park or delete this database, in the project of this rank.
    Remove(usize, DatabaseId),
    /// Stop with this result.
    Stop(Result<RemoveOutcome, UpstreamError>),
}

/// The state of one delivery's decisions. It knows no clock and no network.
///
/// It changes one database, found by the user's exact name and addressed by its id, so that a
/// database which takes the name meanwhile stays. It repeats no change: Hookdeck retries.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Remove {
    n_projects: usize,
    rank: usize,
    /// Why the outcome of the change is unknown.
    unclear: Option<UpstreamError>,
}

impl Remove {
    /// The first action: ask Clerk where there is a key, then look in the home project.
    pub fn begin(n_projects: usize, has_clerk: bool) -> (Self, RemoveAction) {
        let action = if has_clerk { RemoveAction::CheckUser } else { RemoveAction::LookUp(0) };
        (Self { n_projects, rank: 0, unclear: None }, action)
    }

    /// The action after Clerk was asked for the user.
    pub fn after_user_check(&mut self, status: Result<UserStatus, UpstreamError>) -> RemoveAction {
        match status {
            Ok(UserStatus::Deleted) => RemoveAction::LookUp(self.rank),
            Ok(UserStatus::Exists(_)) => RemoveAction::Stop(Ok(RemoveOutcome::UserExists)),
            Err(error) => RemoveAction::Stop(Err(error)),
        }
    }

    /// The action after a look-up.
    pub fn after_look_up(&mut self, result: LookupResult) -> RemoveAction {
        match (result, self.unclear.take()) {
            (Ok(None), Some(_)) => RemoveAction::Stop(Ok(RemoveOutcome::Done)),
            (Ok(Some(_)), Some(error)) | (Err(error), _) => RemoveAction::Stop(Err(error)),
            (Ok(Some(database)), None) => match database.id {
                Some(id) => RemoveAction::Remove(self.rank, id),
                None => RemoveAction::Stop(Err(UpstreamError::new(ErrorKind::XataUnreadable))),
            },
            (Ok(None), None) if self.rank + 1 < self.n_projects => {
                self.rank += 1;
                RemoveAction::LookUp(self.rank)
            }
            (Ok(None), None) => RemoveAction::Stop(Ok(RemoveOutcome::Absent)),
        }
    }

    /// The action after the change.
    pub fn after_remove(&mut self, result: RemoveResult) -> RemoveAction {
        match result {
            Ok(Removed::Done) => RemoveAction::Stop(Ok(RemoveOutcome::Done)),
            Ok(Removed::Absent) => RemoveAction::Stop(Ok(RemoveOutcome::Absent)),
            Err(Failure::Refused(error)) => RemoveAction::Stop(Err(error)),
            Err(Failure::Unclear(error)) => {
                self.unclear = Some(error);
                RemoveAction::LookUp(self.rank)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xata::Database;

    fn database() -> Database {
        let (project, name) = ("prj_a".try_into(), "user_abcdefghij".try_into());
        let (project, name) = (project.expect("a project"), name.expect("a name"));
        let region = "us-east-1".try_into().expect("a region");
        Database { project, name, region, id: Some(id()) }
    }

    fn id() -> DatabaseId {
        "b0".try_into().expect("an id")
    }

    fn error() -> UpstreamError {
        UpstreamError::new(ErrorKind::XataTimeout)
    }

    #[test]
    fn projects_are_looked_up_until_the_database_is_found() {
        let (mut machine, action) = Remove::begin(2, false);
        assert_eq!(action, RemoveAction::LookUp(0));
        assert_eq!(machine.after_look_up(Ok(None)), RemoveAction::LookUp(1));
        let mut other = machine.clone();
        assert_eq!(other.after_look_up(Ok(None)), RemoveAction::Stop(Ok(RemoveOutcome::Absent)));
        assert_eq!(machine.after_look_up(Ok(Some(database()))), RemoveAction::Remove(1, id()));
        assert_eq!(
            machine.after_remove(Ok(Removed::Done)),
            RemoveAction::Stop(Ok(RemoveOutcome::Done))
        );
    }

    #[test]
    fn a_database_that_disappears_before_its_removal_is_absent() {
        let (mut machine, _) = Remove::begin(1, false);
        machine.after_look_up(Ok(Some(database())));
        assert_eq!(
            machine.after_remove(Ok(Removed::Absent)),
            RemoveAction::Stop(Ok(RemoveOutcome::Absent))
        );
    }

    #[test]
    fn an_unclear_removal_is_looked_up() {
        let (mut machine, _) = Remove::begin(2, false);
        machine.after_look_up(Ok(None));
        machine.after_look_up(Ok(Some(database())));
        assert_eq!(machine.after_remove(Err(Failure::Unclear(error()))), RemoveAction::LookUp(1));
        let mut other = machine.clone();
        assert_eq!(other.after_look_up(Ok(Some(database()))), RemoveAction::Stop(Err(error())));
        assert_eq!(machine.after_look_up(Ok(None)), RemoveAction::Stop(Ok(RemoveOutcome::Done)));
    }

    #[test]
    fn a_failed_look_up_is_not_an_absence() {
        let (mut machine, _) = Remove::begin(1, false);
        let unknown = Err(error());
        assert_eq!(machine.after_look_up(unknown), RemoveAction::Stop(Err(error())));
    }
}

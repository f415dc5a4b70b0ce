//! A user who left: the decisions of a deletion.

use crate::clerk::Presence;
use crate::trouble::{Reason, Trouble};
use crate::xata::{DatabaseId, LookedUp, Removed};

/// What became of the database of a user who left. Only certainties.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parting {
    /// It was parked, or deleted, by this delivery.
    Done,
    /// There was none any more.
    Gone,
    /// Clerk still knows the user, and nothing was done.
    UserHere,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Ask Clerk whether the user is there.
    Ask,
    /// Look up in the project of this rank, 0 being the home.
    LookUp(usize),
    /// Take this database away, which is in the project of this rank.
    Remove(usize, DatabaseId),
    /// Stop: this is what is certain, or what is in the way.
    Stop(Result<Parting, Trouble>),
}

/// The decisions for one delivery. Pure: it knows no clock and no network.
///
/// It touches one database, found by the user's exact name, and by its id, so that nothing which
/// takes the name meanwhile is touched instead. It tries nothing twice: Hookdeck does.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Remove {
    projects: usize,
    rank: usize,
    /// What the removal came to, if nobody knows.
    doubt: Option<Trouble>,
}

impl Remove {
    /// Begins with Clerk, where it can be asked, and then with a look into the home project.
    pub fn begin(projects: usize, clerk: bool) -> (Self, Action) {
        let action = if clerk { Action::Ask } else { Action::LookUp(0) };
        (Self { projects, rank: 0, doubt: None }, action)
    }

    /// Says what to do after Clerk was asked.
    pub fn after_asking(&mut self, presence: Result<Presence, Trouble>) -> Action {
        match presence {
            Ok(Presence::Gone) => Action::LookUp(self.rank),
            Ok(Presence::Here) => Action::Stop(Ok(Parting::UserHere)),
            Err(trouble) => Action::Stop(Err(trouble)),
        }
    }

    /// Says what to do after a look-up.
    pub fn after_look_up(&mut self, looked_up: LookedUp) -> Action {
        match (looked_up, self.doubt.take()) {
            (LookedUp::Absent, Some(_)) => Action::Stop(Ok(Parting::Done)),
            (LookedUp::Found(_), Some(trouble)) | (LookedUp::Unknown(trouble), _) => {
                Action::Stop(Err(trouble))
            }
            (LookedUp::Found(database), None) => match database.id {
                Some(id) => Action::Remove(self.rank, id),
                None => Action::Stop(Err(Trouble::silent(Reason::XataUnreadable))),
            },
            (LookedUp::Absent, None) if self.rank + 1 < self.projects => {
                self.rank += 1;
                Action::LookUp(self.rank)
            }
            (LookedUp::Absent, None) => Action::Stop(Ok(Parting::Gone)),
        }
    }

    /// Says what to do after a removal.
    pub fn after_remove(&mut self, removed: Removed) -> Action {
        match removed {
            Removed::Done => Action::Stop(Ok(Parting::Done)),
            Removed::Absent => Action::Stop(Ok(Parting::Gone)),
            Removed::Refused(trouble) => Action::Stop(Err(trouble)),
            Removed::Unclear(trouble) => {
                self.doubt = Some(trouble);
                Action::LookUp(self.rank)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xata::Database;

    fn found() -> LookedUp {
        let (project, name) = ("prj_a".try_into(), "user_abcdefghij".try_into());
        let (project, name) = (project.expect("a project"), name.expect("a name"));
        let region = "us-east-1".try_into().expect("a region");
        LookedUp::Found(Database { project, name, region, id: Some(id()) })
    }

    fn id() -> DatabaseId {
        "b0".try_into().expect("an id")
    }

    fn trouble() -> Trouble {
        Trouble::silent(Reason::XataTimeout)
    }

    #[test]
    fn each_project_is_looked_into_until_the_database_is_found() {
        let (mut machine, action) = Remove::begin(2, false);
        assert_eq!(action, Action::LookUp(0));
        assert_eq!(machine.after_look_up(LookedUp::Absent), Action::LookUp(1));
        let mut other = machine.clone();
        assert_eq!(other.after_look_up(LookedUp::Absent), Action::Stop(Ok(Parting::Gone)));
        assert_eq!(machine.after_look_up(found()), Action::Remove(1, id()));
        assert_eq!(machine.after_remove(Removed::Done), Action::Stop(Ok(Parting::Done)));
    }

    #[test]
    fn what_is_gone_when_it_is_to_be_removed_is_gone() {
        let (mut machine, _) = Remove::begin(1, false);
        machine.after_look_up(found());
        assert_eq!(machine.after_remove(Removed::Absent), Action::Stop(Ok(Parting::Gone)));
    }

    #[test]
    fn an_unclear_removal_is_looked_up_before_it_is_believed() {
        let (mut machine, _) = Remove::begin(2, false);
        machine.after_look_up(LookedUp::Absent);
        machine.after_look_up(found());
        assert_eq!(machine.after_remove(Removed::Unclear(trouble())), Action::LookUp(1));
        let mut other = machine.clone();
        assert_eq!(other.after_look_up(found()), Action::Stop(Err(trouble())));
        assert_eq!(machine.after_look_up(LookedUp::Absent), Action::Stop(Ok(Parting::Done)));
    }

    #[test]
    fn a_list_that_could_not_be_read_is_no_absence() {
        let (mut machine, _) = Remove::begin(1, false);
        let unknown = LookedUp::Unknown(trouble());
        assert_eq!(machine.after_look_up(unknown), Action::Stop(Err(trouble())));
    }
}

//! Make it so: one user, one database, from any state of the world; and none for a user who left,
//! where the settings ask for that.
//!
//! The decisions are machines without IO ([`Ensure`], [`Remove`]): told what happened last, they say
//! what to do next. The drivers ([`ensure()`], [`remove()`]) do it. This is the only place that decides
//! to try again.
//!
//! What it rests on: Xata refuses a second database of one name in one project, so a create can be
//! repeated; a refusal at quota may hide a database that exists, and an unclear create may have
//! worked, so neither is believed before a look-up by name; a look-up that did not read the whole
//! list is no absence.

mod ensure;
mod remove;

use std::time::Duration;

use tokio::time::{Instant, sleep};

pub use self::ensure::{Action, Ensure, Outcome};
pub use self::remove::{Action as RemoveAction, Parting, Remove};

use crate::clerk::UserId;
use crate::region::Region;
use crate::xata::{DatabaseName, Databases, Projects, Reason, Removal, Trouble};

/// The time one delivery has.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// By then there must be an answer.
    answer_by: Instant,
    /// By then a change must have ended, so that its outcome can still be looked up.
    change_by: Instant,
}

impl Budget {
    /// Plans the time that is left. A create gets nearly all of it, since breaking it off undoes
    /// it.
    pub fn new(left: Duration) -> Self {
        let now = Instant::now();
        let for_look_up = (left / 5).min(Duration::from_secs(5));
        Self { answer_by: now + left, change_by: now + left - for_look_up }
    }

    /// By then there must be an answer.
    pub fn answer_by(&self) -> Instant {
        self.answer_by
    }
}

/// Sees to it that the user has one database, or says what is in the way.
pub async fn ensure(
    databases: &dyn Databases,
    projects: &Projects,
    user_id: &UserId,
    region: &Region,
    fresh: bool,
    budget: Budget,
) -> Result<Outcome, Trouble> {
    let name = DatabaseName::from(user_id);
    let projects = projects.for_user(&name);
    let (mut machine, mut action) = Ensure::begin(projects.len(), fresh);
    loop {
        let begins = Instant::now();
        action = match action {
            Action::Stop(result) => return result,
            Action::Create if begins < budget.change_by => machine
                .after_create(databases.create(projects[0], &name, region, budget.change_by).await),
            Action::LookUp(rank) if begins < budget.answer_by => machine
                .after_look_up(databases.look_up(projects[rank], &name, budget.answer_by).await),
            Action::Pause(pause) if begins + pause < budget.change_by => {
                sleep(pause).await;
                machine.after_pause()
            }
            Action::Create | Action::LookUp(_) | Action::Pause(_) => {
                return Err(Trouble::silent(Reason::TimeUp));
            }
        };
    }
}

/// Takes the database away of a user who left, or says what is in the way.
pub async fn remove(
    databases: &dyn Databases,
    projects: &Projects,
    user_id: &UserId,
    removal: &Removal,
    budget: Budget,
) -> Result<Parting, Trouble> {
    let name = DatabaseName::from(user_id);
    let projects = projects.for_user(&name);
    let (mut machine, mut action) = Remove::begin(projects.len());
    loop {
        let begins = Instant::now();
        action = match action {
            RemoveAction::Stop(result) => return result,
            RemoveAction::LookUp(rank) if begins < budget.answer_by => machine
                .after_look_up(databases.look_up(projects[rank], &name, budget.answer_by).await),
            RemoveAction::Remove(rank, id) if begins < budget.change_by => {
                let (project, until) = (projects[rank], budget.change_by);
                machine.after_remove(databases.remove(project, &id, removal, until).await)
            }
            RemoveAction::LookUp(_) | RemoveAction::Remove(..) => {
                return Err(Trouble::silent(Reason::TimeUp));
            }
        };
    }
}

impl From<&UserId> for DatabaseName {
    fn from(user_id: &UserId) -> Self {
        user_id.as_str().try_into().expect("the alphabet of user ids is part of that of names")
    }
}

//! Make it so: one user, one database, from any state of the world; and none for a user who left,
//! where the settings ask for that.
//!
//! The decisions are machines without IO ([`Ensure`], [`Remove`]): told what happened last, they say
//! what to do next. The drivers ([`ensure()`], [`remove()`]) do it. This is the only place that decides
//! to try again.
//!
//! Clerk, where a key was given, is asked first whether the user is there: before a database is taken
//! away, and before one is made for anything but the first delivery of an event that just happened.
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

use crate::clerk::{Backend, Presence, UserId};
use crate::region::Region;
use crate::trouble::{Reason, Trouble};
use crate::xata::{Certainty, DatabaseName, Databases, Projects, Removal};

/// Clerk gets no more for an answer: it has seconds, or an outage (`contracts/clerk.md` section 13,
/// rule 8).
pub const CLERK_PATIENCE: Duration = Duration::from_secs(5);

/// What Xata was asked, for the metrics.
#[derive(Debug, Default)]
pub struct Calls(Vec<(Certainty, Duration)>);

impl Calls {
    /// What each took.
    pub fn latencies(&self) -> impl Iterator<Item = Duration> {
        self.0.iter().map(|(_, took)| *took)
    }

    /// How many came to this.
    pub fn count(&self, certainty: Certainty) -> usize {
        self.0.iter().filter(|(it, _)| *it == certainty).count()
    }

    fn note(&mut self, begun: Instant, certainty: Certainty) {
        self.0.push((certainty, begun.elapsed()));
    }
}

/// Who is asked.
#[derive(Clone, Copy)]
pub struct Upstream<'a> {
    /// Xata.
    pub databases: &'a dyn Databases,
    /// The projects to ask about.
    pub projects: &'a Projects,
    /// Clerk, where a key was given.
    pub clerk: Option<&'a Backend>,
    /// The Clerk instance that the event names.
    pub instance: Option<&'a str>,
}

impl Upstream<'_> {
    async fn presence(&self, user_id: &UserId, budget: Budget) -> Result<Presence, Trouble> {
        match self.clerk {
            Some(clerk) => clerk.presence(user_id, self.instance, budget.clerk_by()).await,
            None => Ok(Presence::Here),
        }
    }
}

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

    /// By then Clerk must have answered what it is asked now.
    pub fn clerk_by(&self) -> Instant {
        self.answer_by.min(Instant::now() + CLERK_PATIENCE)
    }
}

/// Sees to it that the user has one database, or says what is in the way.
pub async fn ensure(
    upstream: Upstream<'_>,
    user_id: &UserId,
    region: &Region,
    fresh: bool,
    budget: Budget,
    calls: &mut Calls,
) -> Result<Outcome, Trouble> {
    let Upstream { databases, clerk, .. } = upstream;
    let name = DatabaseName::from(user_id);
    let projects = upstream.projects.for_user(&name);
    let (mut machine, mut action) = Ensure::begin(projects.len(), fresh, clerk.is_some());
    loop {
        let begins = Instant::now();
        action = match action {
            Action::Stop(result) => return result,
            Action::Ask if begins < budget.answer_by => {
                machine.after_asking(upstream.presence(user_id, budget).await)
            }
            Action::Create if begins < budget.change_by => {
                let (project, until) = (projects[0], budget.change_by);
                let created = databases.create(project, &name, region, until).await;
                calls.note(begins, created.certainty());
                machine.after_create(created)
            }
            Action::LookUp(rank) if begins < budget.answer_by => {
                let looked_up = databases.look_up(projects[rank], &name, budget.answer_by).await;
                calls.note(begins, looked_up.certainty());
                machine.after_look_up(looked_up)
            }
            Action::Pause(pause) if begins + pause < budget.change_by => {
                sleep(pause).await;
                machine.after_pause()
            }
            Action::Ask | Action::Create | Action::LookUp(_) | Action::Pause(_) => {
                return Err(Trouble::silent(Reason::TimeUp));
            }
        };
    }
}

/// Takes the database away of a user who left, or says what is in the way.
pub async fn remove(
    upstream: Upstream<'_>,
    user_id: &UserId,
    removal: &Removal,
    budget: Budget,
    calls: &mut Calls,
) -> Result<Parting, Trouble> {
    let Upstream { databases, clerk, .. } = upstream;
    let name = DatabaseName::from(user_id);
    let projects = upstream.projects.for_user(&name);
    let (mut machine, mut action) = Remove::begin(projects.len(), clerk.is_some());
    loop {
        let begins = Instant::now();
        action = match action {
            RemoveAction::Stop(result) => return result,
            RemoveAction::Ask if begins < budget.answer_by => {
                machine.after_asking(upstream.presence(user_id, budget).await)
            }
            RemoveAction::LookUp(rank) if begins < budget.answer_by => {
                let looked_up = databases.look_up(projects[rank], &name, budget.answer_by).await;
                calls.note(begins, looked_up.certainty());
                machine.after_look_up(looked_up)
            }
            RemoveAction::Remove(rank, id) if begins < budget.change_by => {
                let (project, until) = (projects[rank], budget.change_by);
                let removed = databases.remove(project, &id, removal, until).await;
                calls.note(begins, removed.certainty());
                machine.after_remove(removed)
            }
            RemoveAction::Ask | RemoveAction::LookUp(_) | RemoveAction::Remove(..) => {
                return Err(Trouble::silent(Reason::TimeUp));
            }
        };
    }
}

/// What a user's database is called once it is parked, in a second since the Unix epoch.
pub fn parked_name(user_id: &UserId, second: u64) -> String {
    format!("parked/{user_id}/{second}")
}

/// Since which second the database of this name is parked, if it is one of this user's.
pub fn parked_since(name: &str, user_id: &UserId) -> Option<u64> {
    name.strip_prefix("parked/")?.strip_prefix(user_id.as_str())?.strip_prefix('/')?.parse().ok()
}

impl From<&UserId> for DatabaseName {
    fn from(user_id: &UserId) -> Self {
        user_id.as_str().try_into().expect("the alphabet of user ids is part of that of names")
    }
}

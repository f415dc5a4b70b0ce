//! One user, one database, from every state that deliveries can meet; and none for a deleted user,
//! where the settings ask for that.
//!
//! The decisions are state machines without IO ([`Ensure`], [`Remove`]): given the last result, they
//! name the next action. [`Provisioner`] performs the actions within the time of a delivery. No other
//! module decides to retry.
//!
//! The decisions rest on three facts. Xata refuses a second database of one name in one project, so
//! a create can be repeated. A refusal at quota can hide a database that exists, and an unclear
//! create may have taken effect, so both are followed by a look-up. A look-up that did not read the
//! whole list proves no absence.

mod ensure;
mod remove;

use std::time::{Duration, SystemTime};

use tokio::time::{Instant, sleep};

pub use self::ensure::{Ensure, EnsureAction, EnsureOutcome};
pub use self::remove::{Remove, RemoveAction, RemoveOutcome};

use crate::clerk::{BackendClient, CLERK_TIMEOUT, DirectoryEntry, UserId, UserStatus};
use crate::error::{ErrorKind, UpstreamError};
use crate::region::Region;
use crate::xata::{
    Database, DatabaseId, DatabaseName, Databases, Failure, LookupResult, ProjectId, Projects,
    Removal, Target,
};

/// An older event may concern a user who was served under other settings, or who was deleted since.
pub const MAX_FRESH_AGE: Duration = Duration::from_mins(5);

/// The time after a sign-up in which a deletion waits. Longer than [`MAX_FRESH_AGE`] and one delivery
/// together, so that no fresh delivery of the sign-up, which does not ask Clerk, can follow.
pub const DELETION_DELAY: Duration = Duration::from_mins(10);

/// Whether a delivery can create without asking or looking first.
pub fn is_fresh(is_first_attempt: bool, event_age: Option<Duration>) -> bool {
    is_first_attempt && event_age.is_some_and(|age| age <= MAX_FRESH_AGE)
}

/// The rest of [`DELETION_DELAY`]; none once it is over. The sign-up is at least as old as its
/// deletion, and as old as the user's id says.
pub fn deletion_wait(
    user_id: &UserId,
    event_age: Option<Duration>,
    now: SystemTime,
) -> Option<Duration> {
    let id_age = user_id.created_at().and_then(|at| now.duration_since(at).ok());
    let wait = DELETION_DELAY.saturating_sub(id_age.max(event_age)?);
    (!wait.is_zero()).then_some(wait)
}

/// The name of a user's parked database, which tells since when.
pub fn parked_name(user_id: &UserId, now: SystemTime) -> String {
    let seconds = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    format!("parked/{user_id}/{seconds}")
}

/// Whose parked database has this name, and the second since the Unix epoch at which it was parked.
pub fn parse_parked_name(name: &str) -> Option<(UserId, u64)> {
    let (user_id, since) = name.strip_prefix("parked/")?.split_once('/')?;
    Some((user_id.try_into().ok()?, since.parse().ok()?))
}

impl From<&UserId> for DatabaseName {
    fn from(user_id: &UserId) -> Self {
        user_id.as_str().try_into().expect("every user id is a database name")
    }
}

impl From<&Database> for DirectoryEntry {
    fn from(database: &Database) -> Self {
        let Database { id, name, project, region } = database;
        Self {
            id: id.as_ref().map(DatabaseId::as_str).map(str::to_owned),
            name: name.as_str().to_owned(),
            project: project.as_str().to_owned(),
            region: region.as_str().to_owned(),
        }
    }
}

/// What is certain after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallOutcome {
    /// It ended with a fact.
    Done,
    /// It was refused.
    Refused,
    /// Its effect is unknown.
    Unclear,
}

/// The requests to Xata and their latencies, for the metrics.
#[derive(Debug, Default)]
pub struct CallLog(pub Vec<(CallOutcome, Duration)>);

impl CallLog {
    fn add<T>(&mut self, sent_at: Instant, result: &Result<T, Failure>) {
        let outcome = match result {
            Ok(_) => CallOutcome::Done,
            Err(Failure::Refused(_)) => CallOutcome::Refused,
            Err(Failure::Unclear(_)) => CallOutcome::Unclear,
        };
        self.0.push((outcome, sent_at.elapsed()));
    }
}

/// What became of a user's directory entry at Clerk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryResult {
    /// This delivery wrote it.
    Written,
    /// It named the database before.
    Unchanged,
    /// The user is deleted, and has no entry.
    UserGone,
    /// It may not name the database.
    Failed(ErrorKind),
}

/// A create that gets less time is likely to be broken off. It takes seconds.
const MIN_CREATE: Duration = Duration::from_secs(5);

/// The time of one delivery.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_field_names, reason = "each is the end of a part of the time")]
pub struct TimeBudget {
    answer_by: Instant,
    /// Earlier where an entry has to be written at Clerk afterwards.
    look_up_by: Instant,
    /// Earlier still, so that the outcome of a change can still be looked up.
    change_by: Instant,
}

impl TimeBudget {
    /// Divides the time that is left. A create gets nearly all of it, because Xata rolls back one
    /// whose client gives up.
    pub fn new(left: Duration) -> Self {
        let now = Instant::now();
        let answer_by = now + left;
        let look_up = (left / 5).min(Duration::from_secs(5));
        Self { answer_by, look_up_by: answer_by, change_by: answer_by - look_up }
    }

    /// Keeps time for writing an entry at Clerk after the last request to Xata.
    #[must_use]
    pub fn with_entry(self) -> Self {
        let left = self.answer_by.saturating_duration_since(Instant::now());
        let entry = (left / 5).min(CLERK_TIMEOUT);
        let Self { answer_by, look_up_by, change_by } = self;
        Self { answer_by, look_up_by: look_up_by - entry, change_by: change_by - entry }
    }

    /// When the response must be ready.
    pub fn answer_by(&self) -> Instant {
        self.answer_by
    }

    /// When Clerk must have answered a request that is sent now.
    pub fn clerk_by(&self) -> Instant {
        self.answer_by.min(Instant::now() + CLERK_TIMEOUT)
    }
}

/// Performs the actions that the decisions name, for one database.
pub struct Provisioner<'a> {
    /// Xata.
    pub databases: &'a Databases,
    /// The projects to look in.
    pub projects: &'a Projects,
    /// The name of the database.
    pub name: DatabaseName,
    /// The user at Clerk, where there is a key.
    pub user: Option<UserAtClerk<'a>>,
    /// The time for all of it.
    pub budget: TimeBudget,
    /// What is done, for the log and the metrics.
    pub progress: &'a mut Progress,
}

/// What a delivery has done, whatever its result is.
#[derive(Debug, Default)]
pub struct Progress {
    /// The requests to Xata.
    pub calls: CallLog,
    /// The database that this delivery created.
    pub created: Option<Database>,
    /// What became of the directory entry, where one was needed.
    pub entry: Option<EntryResult>,
}

/// How to reach a user at Clerk.
#[derive(Clone, Copy)]
pub struct UserAtClerk<'a> {
    /// Clerk.
    pub clerk: &'a BackendClient,
    /// The user.
    pub user_id: &'a UserId,
    /// The instance that the event names.
    pub instance: Option<&'a str>,
}

impl Provisioner<'_> {
    /// Makes sure that the user has one database.
    ///
    /// # Errors
    /// When Xata or Clerk prevents it, or the time is up.
    pub async fn ensure(
        mut self,
        region: &Region,
        is_fresh: bool,
    ) -> Result<EnsureOutcome, UpstreamError> {
        let ranked = self.projects.for_user(&self.name);
        let (mut machine, mut action) = Ensure::begin(ranked.len(), is_fresh, self.user.is_some());
        loop {
            action = match action {
                EnsureAction::Stop(result) => return self.stop(result),
                EnsureAction::CheckUser => machine.after_user_check(self.user_status().await),
                EnsureAction::LookUp(rank) => {
                    machine.after_look_up(self.look_up(ranked[rank]).await?)
                }
                EnsureAction::Create => {
                    let target = self.target(ranked[0], self.budget.change_by);
                    let sent_at = before(target.deadline)?;
                    let result = self.databases.create(target, region).await;
                    self.progress.calls.add(sent_at, &result);
                    machine.after_create(result)
                }
                EnsureAction::Pause(pause) => {
                    if Instant::now() + pause + MIN_CREATE > self.budget.change_by {
                        machine.without_pause()
                    } else {
                        sleep(pause).await;
                        machine.after_pause()
                    }
                }
                EnsureAction::WriteEntry(database) => {
                    self.progress.created = machine.created().cloned();
                    machine.after_write(self.write_entry(&database).await)
                }
            };
        }
    }

    /// Parks or deletes the database of a deleted user.
    ///
    /// # Errors
    /// When Xata or Clerk prevents it, or the time is up.
    pub async fn remove(mut self, removal: &Removal) -> Result<RemoveOutcome, UpstreamError> {
        let ranked = self.projects.for_user(&self.name);
        let (mut machine, mut action) = Remove::begin(ranked.len(), self.user.is_some());
        loop {
            action = match action {
                RemoveAction::Stop(result) => return result,
                RemoveAction::CheckUser => machine.after_user_check(self.user_status().await),
                RemoveAction::LookUp(rank) => {
                    machine.after_look_up(self.look_up(ranked[rank]).await?)
                }
                RemoveAction::Remove(rank, id) => {
                    let target = self.target(ranked[rank], self.budget.change_by);
                    let sent_at = before(target.deadline)?;
                    let result = self.databases.remove(target, &id, removal).await;
                    self.progress.calls.add(sent_at, &result);
                    machine.after_remove(result)
                }
            };
        }
    }

    async fn user_status(&self) -> Result<UserStatus, UpstreamError> {
        let Some(UserAtClerk { clerk, user_id, instance }) = self.user else {
            return Ok(UserStatus::Exists(None));
        };
        before(self.budget.answer_by)?;
        clerk.user_status(user_id, instance, self.budget.clerk_by()).await
    }

    /// Tells the application at Clerk where the database is.
    async fn write_entry(&mut self, database: &Database) -> Result<UserStatus, UpstreamError> {
        let Some(UserAtClerk { clerk, user_id, instance }) = self.user else {
            return Ok(UserStatus::Exists(None));
        };
        let result = match before(self.budget.answer_by) {
            Ok(_) => {
                let (entry, deadline) = (database.into(), self.budget.clerk_by());
                clerk.write_entry(user_id, instance, &entry, deadline).await
            }
            Err(error) => Err(error),
        };
        self.progress.entry = Some(match &result {
            Ok(UserStatus::Exists(_)) => EntryResult::Written,
            Ok(UserStatus::Deleted) => EntryResult::UserGone,
            Err(error) => EntryResult::Failed(error.kind),
        });
        result
    }

    fn stop(
        self,
        result: Result<EnsureOutcome, UpstreamError>,
    ) -> Result<EnsureOutcome, UpstreamError> {
        let progress = self.progress;
        match &result {
            Ok(EnsureOutcome::Created(created)) => progress.created.clone_from(created),
            Ok(EnsureOutcome::Exists(_)) if self.user.is_some() => {
                progress.entry.get_or_insert(EntryResult::Unchanged);
            }
            _ => {}
        }
        result
    }

    async fn look_up(&mut self, project: &ProjectId) -> Result<LookupResult, UpstreamError> {
        let target = self.target(project, self.budget.look_up_by);
        let sent_at = before(target.deadline)?;
        let result = self.databases.look_up(target).await;
        self.progress.calls.add(sent_at, &result.clone().map_err(Failure::Unclear));
        Ok(result)
    }

    fn target<'a>(&'a self, project: &'a ProjectId, deadline: Instant) -> Target<'a> {
        Target { project, name: &self.name, deadline }
    }
}

/// The time now, where the deadline is not over.
fn before(deadline: Instant) -> Result<Instant, UpstreamError> {
    let now = Instant::now();
    if now < deadline { Ok(now) } else { Err(UpstreamError::new(ErrorKind::TimeUp)) }
}

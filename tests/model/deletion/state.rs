//! The state of the model of deletion.

use per_user_db::clerk::UserStatus;
use per_user_db::provision::{
    Ensure, EnsureAction, EnsureOutcome, Remove, RemoveAction, RemoveOutcome,
};
use per_user_db::xata::{Created, Database, DatabaseId, LookupResult, Removed};

use super::Removal;
use crate::creation::{self, Effect, sort_by_hash};

pub use crate::creation::MAX_REQUESTS;

/// More than the work left for a running delivery without a fault.
const MAX_DELIVERY_WORK: u32 = 4 * (MAX_REQUESTS as u32 + 1);

/// How often each of these can still happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Budget {
    /// Failed requests, lost responses, crashes.
    pub faults: u8,
    /// Deletions of an existing user, at most one.
    pub forgeries: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub environment: Environment,
    /// One or two copies of the sign-up, in no order.
    pub sign_ups: [Event<Ensure>; 2],
    /// One or two copies of the deletion, and a forged one, in no order.
    pub deletions: [Event<Remove>; 3],
    pub budget: Budget,
}

/// The state outside the deliveries.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Environment {
    pub user: UserState,
    /// The sign-up is ten minutes old.
    pub is_settled: bool,
    /// The user's databases, by the rank of the project. A parked database does not count.
    pub databases: [Option<StoredDatabase>; 2],
    /// The number of databases ever created, which is the id of the next one.
    pub n_created: u8,
    pub detached: Detached,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UserState {
    Deleted,
    /// Deleted, but Clerk still reports the user.
    Deleting,
    Exists,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StoredDatabase {
    pub id: u8,
    /// Removals that no process waits for and that may still take effect.
    pub detached: u8,
}

/// Creates that no process waits for and that may still take effect, by the kind of their delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Detached {
    pub of_fresh: u8,
    pub of_late: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event<M> {
    Unsent,
    Pending(LastAttempt),
    Running(Delivery<M>),
    Acknowledged,
}

/// The result of an event's last delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LastAttempt {
    Failed,
    /// The retry comes when the sign-up is ten minutes old.
    TooEarly,
    None,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Delivery<M> {
    pub machine: M,
    pub phase: Phase,
    pub is_fresh: bool,
    pub n_requests: u8,
    pub had_fault: bool,
}

/// The current work of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    CheckUser,
    Create,
    LookUp(usize),
    /// The rank of the project, and the id of the database.
    Remove(usize, u8),
    Pause,
    WriteEntry,
    Respond(Outcome),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// `created`, `exists`.
    HasDatabase,
    /// `user_gone`.
    UserGone,
    /// `removed`, `parked`.
    Removed,
    /// `gone`.
    Gone,
    /// `retained`.
    Retained,
    Failed,
}

impl From<EnsureAction> for Phase {
    fn from(next: EnsureAction) -> Self {
        match next {
            EnsureAction::CheckUser => Self::CheckUser,
            EnsureAction::Create => Self::Create,
            EnsureAction::LookUp(rank) => Self::LookUp(rank),
            EnsureAction::Pause(_) => Self::Pause,
            EnsureAction::WriteEntry(_) => Self::WriteEntry,
            EnsureAction::Stop(Ok(EnsureOutcome::Created(_) | EnsureOutcome::Exists(_))) => {
                Self::Respond(Outcome::HasDatabase)
            }
            EnsureAction::Stop(Ok(EnsureOutcome::UserGone)) => Self::Respond(Outcome::UserGone),
            EnsureAction::Stop(Err(_)) => Self::Respond(Outcome::Failed),
        }
    }
}

impl From<RemoveAction> for Phase {
    fn from(next: RemoveAction) -> Self {
        match next {
            RemoveAction::CheckUser => Self::CheckUser,
            RemoveAction::LookUp(rank) => Self::LookUp(rank),
            RemoveAction::Remove(rank, id) => {
                Self::Remove(rank, id.as_str().parse().expect("an id of this model"))
            }
            RemoveAction::Stop(Ok(RemoveOutcome::Done)) => Self::Respond(Outcome::Removed),
            RemoveAction::Stop(Ok(RemoveOutcome::Absent)) => Self::Respond(Outcome::Gone),
            RemoveAction::Stop(Ok(RemoveOutcome::UserExists)) => Self::Respond(Outcome::Retained),
            RemoveAction::Stop(Err(_)) => Self::Respond(Outcome::Failed),
        }
    }
}

impl<M> Delivery<M> {
    pub fn begin<A: Into<Phase>>((machine, next): (M, A), is_fresh: bool) -> Self {
        let phase = Phase::Pause;
        let mut delivery = Self { machine, phase, is_fresh, n_requests: 0, had_fault: false };
        delivery.advance(next.into());
        delivery
    }

    pub fn advance(&mut self, next: Phase) {
        self.phase = next;
        self.n_requests += u8::from(!matches!(next, Phase::Pause | Phase::Respond(_)));
    }
}

impl<M> Event<M> {
    pub fn running(&mut self) -> &mut Delivery<M> {
        match self {
            Self::Running(delivery) => delivery,
            _ => unreachable!("the event is not running"),
        }
    }

    pub fn finish(&mut self) {
        *self = match self.running().phase {
            Phase::Respond(Outcome::Failed) => Self::Pending(LastAttempt::Failed),
            _ => Self::Acknowledged,
        };
    }

    pub fn delivery(&self) -> Option<&Delivery<M>> {
        match self {
            Self::Running(delivery) => Some(delivery),
            _ => None,
        }
    }

    fn is_over(&self) -> bool {
        matches!(self, Self::Unsent | Self::Acknowledged)
    }

    /// A bound on the actions left for the event.
    fn work_left(&self) -> u32 {
        match self {
            Self::Acknowledged => 0,
            Self::Pending(LastAttempt::Failed) => MAX_DELIVERY_WORK,
            Self::Pending(LastAttempt::TooEarly) => MAX_DELIVERY_WORK + 1,
            Self::Pending(LastAttempt::None) => MAX_DELIVERY_WORK + 2,
            Self::Unsent => MAX_DELIVERY_WORK + 3,
            Self::Running(delivery) => {
                let requests = MAX_REQUESTS.saturating_sub(delivery.n_requests);
                let phase_work = match delivery.phase {
                    Phase::Respond(_) => 1,
                    Phase::Pause => 2,
                    _ => 3,
                };
                let fault_work = if delivery.had_fault { MAX_DELIVERY_WORK } else { 0 };
                4 * u32::from(requests) + phase_work + fault_work
            }
        }
    }
}

impl Environment {
    /// The response of Clerk.
    pub fn user_status(&self) -> UserStatus {
        match self.user {
            UserState::Exists | UserState::Deleting => UserStatus::Exists(None),
            UserState::Deleted => UserStatus::Deleted,
        }
    }

    pub fn look_up(&self, rank: usize) -> LookupResult {
        self.databases[rank].map_or(Ok(None), |database| {
            let id = DatabaseId::try_from(database.id.to_string().as_str()).expect("an id");
            Ok(Some(Database { id: Some(id), ..creation::database() }))
        })
    }

    pub fn create(&mut self, rank: usize) -> Created {
        if self.databases[rank].is_some() {
            return Created::NameTaken;
        }
        self.databases[rank] = Some(StoredDatabase { id: self.n_created, detached: 0 });
        self.n_created += 1;
        Created::New(creation::database())
    }

    pub fn create_without_response(&mut self, effect: Effect, is_fresh: bool) {
        match effect {
            Effect::None => {}
            Effect::Applied => drop(self.create(0)),
            Effect::Detached if is_fresh => self.detached.of_fresh += 1,
            Effect::Detached => self.detached.of_late += 1,
        }
    }

    pub fn remove(&mut self, rank: usize, id: u8, removal: Removal) -> Removed {
        let removed = self.databases[rank].take_if(|database| database.id == id);
        // A parked database can be parked again, because a patch addresses it by its id.
        match removal {
            Removal::Delete if removed.is_none() => Removed::Absent,
            Removal::Delete | Removal::Park => Removed::Done,
        }
    }

    pub fn remove_without_response(&mut self, effect: Effect, rank: usize, id: u8) {
        // A removal of a database that is gone has no effect.
        let database = self.databases[rank].as_mut();
        let Some(database) = database.filter(|database| database.id == id) else { return };
        match effect {
            Effect::None => {}
            Effect::Applied => self.databases[rank] = None,
            Effect::Detached => database.detached += 1,
        }
    }

    pub fn n_databases(&self) -> usize {
        self.databases.iter().flatten().count()
    }

    fn n_detached(&self) -> u8 {
        let removals = self.databases.iter().flatten().map(|database| database.detached);
        self.detached.of_fresh + self.detached.of_late + removals.sum::<u8>()
    }
}

impl State {
    /// All events are acknowledged, and no request can take effect any more.
    pub fn is_at_rest(&self) -> bool {
        let is_over = self.sign_ups.iter().all(Event::is_over);
        is_over && self.deletions.iter().all(Event::is_over) && self.environment.n_detached() == 0
    }

    pub fn running_sign_ups(&self) -> impl Iterator<Item = &Delivery<Ensure>> {
        self.sign_ups.iter().filter_map(Event::delivery)
    }

    pub fn running_deletions(&self) -> impl Iterator<Item = &Delivery<Remove>> {
        self.deletions.iter().filter_map(Event::delivery)
    }

    /// The outcomes of the deliveries that are about to respond, and whether they had a fault.
    pub fn responses(&self) -> impl Iterator<Item = (Outcome, bool)> {
        let sign_ups = self.running_sign_ups().map(|it| (it.phase, it.had_fault));
        let deletions = self.running_deletions().map(|it| (it.phase, it.had_fault));
        sign_ups.chain(deletions).filter_map(|(phase, had_fault)| match phase {
            Phase::Respond(outcome) => Some((outcome, had_fault)),
            _ => None,
        })
    }

    pub fn responds_with(&self, outcome: Outcome) -> bool {
        self.responses().any(|(it, _)| it == outcome)
    }

    pub fn user_exists(&self) -> bool {
        self.environment.user == UserState::Exists
    }

    /// Sends copies of the deletion.
    pub fn send(&mut self, n_copies: usize) {
        let unsent = self.deletions.iter_mut().filter(|event| **event == Event::Unsent);
        unsent.take(n_copies).for_each(|event| *event = Event::Pending(LastAttempt::None));
    }

    pub fn sort_events(&mut self) {
        sort_by_hash(&mut self.sign_ups);
        sort_by_hash(&mut self.deletions);
    }

    /// The budget, and a bound on the other actions. Each action makes it less, so every path ends.
    pub fn work_left(&self) -> (u32, u32) {
        let user = match self.environment.user {
            UserState::Deleted => 0,
            UserState::Deleting => 1,
            UserState::Exists => 2,
        };
        (
            u32::from(self.budget.faults) + u32::from(self.budget.forgeries),
            self.sign_ups.iter().map(Event::work_left).sum::<u32>()
                + self.deletions.iter().map(Event::work_left).sum::<u32>()
                + u32::from(self.environment.n_detached())
                + u32::from(!self.environment.is_settled)
                + user,
        )
    }
}

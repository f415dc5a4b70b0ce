//! The state of the model of creation.

use std::hash::{DefaultHasher, Hash, Hasher};

use per_user_db::error::ErrorKind;
use per_user_db::provision::{Ensure, EnsureAction as Next, EnsureOutcome};

use super::project_of;

/// The limit of a delivery: a look-up in each of two projects, six creates, a look-up after each of
/// three unclear ones, and a last look-up; at Clerk, a user check and a write.
pub const MAX_REQUESTS: u8 = 2 + 6 + 3 + 1 + 2;

/// More than the work left for a running delivery without a fault.
const MAX_DELIVERY_WORK: u32 = 4 * (MAX_REQUESTS as u32);

/// How often each of these can still happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Budget {
    /// Failed requests, lost responses, crashes.
    pub faults: u8,
    /// Removals of a database by an operator.
    pub removals: u8,
    /// Times that a quota is reached.
    pub quotas: u8,
    /// Quota errors of an event before Hookdeck gives it up.
    pub refusals: u8,
    /// Added projects, at most one.
    pub additions: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub users: Vec<User>,
    pub n_projects: usize,
    pub at_quota: bool,
    pub budget: Budget,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct User {
    /// Whether each project has a database of the user.
    pub databases: [bool; 2],
    /// An operator has removed a database.
    pub was_removed: bool,
    /// The project that the directory entry names.
    pub entry: Option<usize>,
    /// The number of projects at the first delivery.
    pub known_since: Option<usize>,
    /// Creates in each project that no process waits for and that may still take effect.
    pub detached: [u8; 2],
    /// Two copies of the sign-up, in no order.
    pub events: [Event; 2],
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::large_enum_variant, reason = "most events are running")]
pub enum Event {
    Pending {
        is_first: bool,
        n_refusals: u8,
    },
    Running(Delivery),
    Acknowledged,
    /// Hookdeck has given the event up.
    Lost,
}

impl Default for Event {
    fn default() -> Self {
        Self::Pending { is_first: true, n_refusals: 0 }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Delivery {
    pub machine: Ensure,
    pub phase: Phase,
    pub n_projects: usize,
    pub n_requests: u8,
    /// Quota errors of the event's earlier deliveries.
    pub n_refusals: u8,
    pub had_fault: bool,
    /// The user has had a database since the delivery began.
    pub saw_database: bool,
    /// The user has been without a database since the delivery began.
    pub saw_no_database: bool,
}

/// The current work of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    CheckUser,
    Create,
    LookUp(usize),
    Pause,
    /// The project of the database.
    WriteEntry(usize),
    Respond(Outcome),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    Done,
    QuotaReached,
    Failed,
}

impl User {
    pub fn n_databases(&self) -> usize {
        self.databases.iter().filter(|it| **it).count()
    }

    pub fn has_database(&self) -> bool {
        self.n_databases() > 0
    }

    /// Whether the directory entry names the database.
    pub fn has_entry(&self) -> bool {
        self.entry.is_some_and(|project| self.databases[project])
    }

    pub fn running(&mut self, event: usize) -> &mut Delivery {
        match &mut self.events[event] {
            Event::Running(delivery) => delivery,
            other => unreachable!("{other:?} is not running"),
        }
    }

    pub fn running_mut(&mut self) -> impl Iterator<Item = &mut Delivery> {
        self.events.iter_mut().filter_map(|event| match event {
            Event::Running(delivery) => Some(delivery),
            _ => None,
        })
    }

    pub fn deliveries(&self) -> impl Iterator<Item = &Delivery> {
        self.events.iter().filter_map(|event| match event {
            Event::Running(delivery) => Some(delivery),
            _ => None,
        })
    }

    /// Updates what the running deliveries have seen, and sorts the events, whose order has no
    /// meaning.
    pub fn observe(&mut self) {
        let has_database = self.has_database();
        for event in &mut self.events {
            if let Event::Running(delivery) = event {
                delivery.saw_database |= has_database;
                delivery.saw_no_database |= !has_database;
            }
        }
        sort_by_hash(&mut self.events);
    }
}

/// Sorts events that have no order, so that equal states are found to be equal.
pub fn sort_by_hash(events: &mut [impl Hash]) {
    events.sort_by_cached_key(|event| {
        let mut hasher = DefaultHasher::new();
        event.hash(&mut hasher);
        hasher.finish()
    });
}

impl Delivery {
    pub fn advance(&mut self, next: Next) {
        self.phase = match next {
            Next::Create => Phase::Create,
            Next::LookUp(rank) => Phase::LookUp(rank),
            Next::Pause(_) => Phase::Pause,
            Next::CheckUser => Phase::CheckUser,
            Next::WriteEntry(database) => Phase::WriteEntry(project_of(&database)),
            Next::Stop(Ok(EnsureOutcome::Created(_) | EnsureOutcome::Exists(_))) => {
                Phase::Respond(Outcome::Done)
            }
            Next::Stop(Ok(EnsureOutcome::UserGone)) => unreachable!("no user is deleted"),
            Next::Stop(Err(error)) if error.kind == ErrorKind::StandingQuota => {
                Phase::Respond(Outcome::QuotaReached)
            }
            Next::Stop(Err(_)) => Phase::Respond(Outcome::Failed),
        };
        self.n_requests += u8::from(!matches!(self.phase, Phase::Pause | Phase::Respond(_)));
    }
}

impl Event {
    /// A bound on the actions left for the event.
    fn work_left(&self, max_refusals: u8) -> u32 {
        let tries = |n_refusals: u8| 100 * u32::from(max_refusals - n_refusals);
        match self {
            Self::Acknowledged | Self::Lost => 0,
            Self::Pending { n_refusals, .. } => tries(*n_refusals) + MAX_DELIVERY_WORK,
            Self::Running(delivery) => {
                let requests = MAX_REQUESTS.saturating_sub(delivery.n_requests);
                let phase_work = match delivery.phase {
                    Phase::Pause => 2,
                    Phase::Respond(_) => 1,
                    _ => 3,
                };
                let fault_work = if delivery.had_fault { MAX_DELIVERY_WORK } else { 0 };
                tries(delivery.n_refusals) + 4 * u32::from(requests) + phase_work + fault_work
            }
        }
    }
}

impl State {
    /// A create takes effect, except at quota.
    pub fn apply(&mut self, user: usize, project: usize) {
        if !self.at_quota {
            self.users[user].databases[project] = true;
        }
    }

    /// The budget, and a bound on the other actions. Each action makes it less, so every path ends.
    pub fn work_left(&self, max_refusals: u8) -> (u32, u32) {
        let Budget { faults, removals, quotas, additions, .. } = self.budget;
        let events = self.users.iter().flat_map(|user| &user.events);
        let detached = self.users.iter().flat_map(|user| user.detached).map(u32::from);
        (
            [faults, removals, quotas, additions].into_iter().map(u32::from).sum(),
            events.map(|event| event.work_left(max_refusals)).sum::<u32>()
                + detached.sum::<u32>()
                + u32::from(self.at_quota),
        )
    }

    pub fn responses(&self) -> impl Iterator<Item = (&User, &Delivery, Outcome)> {
        self.users.iter().flat_map(|user| {
            user.deliveries().filter_map(move |delivery| match delivery.phase {
                Phase::Respond(outcome) => Some((user, delivery, outcome)),
                _ => None,
            })
        })
    }
}

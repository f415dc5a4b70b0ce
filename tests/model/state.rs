//! What there is at a moment: databases, events, deliveries under way, and what can still go wrong.

use std::hash::{DefaultHasher, Hash, Hasher};

use per_user_db::error::ErrorKind;
use per_user_db::provision::{Ensure, EnsureAction as Next, EnsureOutcome};

/// More requests than this, and a delivery does not end: a look in each of two projects, six
/// creates, a look-up after each of three that were unclear, and one at the end.
pub const MOST_REQUESTS: u8 = 2 + 6 + 3 + 1;

/// How much can still go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Budget {
    /// Requests that fail, answers that are lost, processes that die.
    pub faults: u8,
    /// Databases that somebody removes by hand.
    pub removals: u8,
    /// Times that a quota is reached.
    pub quotas: u8,
    /// How often an event may be told that there is no room; then it is lost, until an operator
    /// makes room and retries it.
    pub refusals: u8,
    /// Times that a project joins; at most one.
    pub growths: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub users: [User; 2],
    pub n_projects: usize,
    pub at_quota: bool,
    pub left: Budget,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct User {
    /// In which projects there is one.
    pub databases: [bool; 2],
    /// Somebody removed one.
    pub was_removed: bool,
    /// How long the list of projects was at the first delivery.
    pub known_since: Option<usize>,
    /// Creates in each project that nobody waits for any more, and that may still take effect.
    pub detached: [u8; 2],
    /// The same sign-up, sent twice. In no order.
    pub events: [Event; 2],
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// To be delivered.
    Due {
        is_first: bool,
        n_refusals: u8,
    },
    Running(Delivery),
    Acknowledged,
    /// Told too often that there is no room.
    Lost,
}

impl Default for Event {
    fn default() -> Self {
        Self::Due { is_first: true, n_refusals: 0 }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Delivery {
    pub machine: Ensure,
    pub stage: Stage,
    pub n_projects: usize,
    pub n_requests: u8,
    /// How often the event was told before that there is no room.
    pub n_refusals: u8,
    /// Something went wrong on its way.
    pub was_struck: bool,
    /// At some moment since it began, the user had a database.
    pub saw_one: bool,
    /// At some moment since it began, the user had none.
    pub saw_none: bool,
}

/// What a delivery waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    Create,
    LookUp(usize),
    Pause,
    Answer(Verdict),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    Done,
    NoRoom,
    Failed,
}

impl User {
    pub fn n_databases(&self) -> usize {
        self.databases.iter().filter(|it| **it).count()
    }

    pub fn has_one(&self) -> bool {
        self.n_databases() > 0
    }

    pub fn running(&mut self, event: usize) -> &mut Delivery {
        match &mut self.events[event] {
            Event::Running(delivery) => delivery,
            other => unreachable!("{other:?} is not under way"),
        }
    }

    pub fn deliveries(&self) -> impl Iterator<Item = &Delivery> {
        self.events.iter().filter_map(|event| match event {
            Event::Running(delivery) => Some(delivery),
            _ => None,
        })
    }

    /// Lets what is under way see what there is, and forgets which event is which.
    pub fn settle(&mut self) {
        let has_one = self.has_one();
        for event in &mut self.events {
            if let Event::Running(delivery) = event {
                delivery.saw_one |= has_one;
                delivery.saw_none |= !has_one;
            }
        }
        self.events.sort_by_cached_key(|event| {
            let mut hasher = DefaultHasher::new();
            event.hash(&mut hasher);
            hasher.finish()
        });
    }
}

impl Delivery {
    pub fn go_on(&mut self, next: Next) {
        self.stage = match next {
            Next::Create => Stage::Create,
            Next::LookUp(rank) => Stage::LookUp(rank),
            Next::Pause(_) => Stage::Pause,
            Next::Stop(Ok(EnsureOutcome::Created(_) | EnsureOutcome::Exists(_))) => {
                Stage::Answer(Verdict::Done)
            }
            Next::CheckUser | Next::Stop(Ok(EnsureOutcome::UserGone)) => {
                unreachable!("nobody asks Clerk here")
            }
            Next::Stop(Err(error)) if error.kind == ErrorKind::StandingQuota => {
                Stage::Answer(Verdict::NoRoom)
            }
            Next::Stop(Err(_)) => Stage::Answer(Verdict::Failed),
        };
        self.n_requests += u8::from(matches!(self.stage, Stage::Create | Stage::LookUp(_)));
    }
}

impl Event {
    /// What is left of it.
    fn ahead(&self, most_refusals: u8) -> u32 {
        let tries = |n_refusals: u8| 100 * u32::from(most_refusals - n_refusals);
        match self {
            Self::Acknowledged | Self::Lost => 0,
            Self::Due { n_refusals, .. } => tries(*n_refusals) + 50,
            Self::Running(delivery) => {
                let requests = MOST_REQUESTS.saturating_sub(delivery.n_requests);
                let pace = match delivery.stage {
                    Stage::Create | Stage::LookUp(_) => 3,
                    Stage::Pause => 2,
                    Stage::Answer(_) => 1,
                };
                let strike = if delivery.was_struck { 50 } else { 0 };
                tries(delivery.n_refusals) + 4 * u32::from(requests) + pace + strike
            }
        }
    }
}

impl State {
    /// A create takes effect, if there is room.
    pub fn apply(&mut self, user: usize, project: usize) {
        if !self.at_quota {
            self.users[user].databases[project] = true;
        }
    }

    /// What can still go wrong, and then what is to be done. Each step makes it less: so every path
    /// ends.
    pub fn ahead(&self, most_refusals: u8) -> (u32, u32) {
        let Budget { faults, removals, quotas, growths, .. } = self.left;
        let events = self.users.iter().flat_map(|user| &user.events);
        let detached = self.users.iter().flat_map(|user| user.detached).map(u32::from);
        (
            [faults, removals, quotas, growths].into_iter().map(u32::from).sum(),
            events.map(|event| event.ahead(most_refusals)).sum::<u32>()
                + detached.sum::<u32>()
                + u32::from(self.at_quota),
        )
    }

    pub fn answers(&self) -> impl Iterator<Item = (&User, &Delivery, Verdict)> {
        self.users.iter().flat_map(|user| {
            user.deliveries().filter_map(move |delivery| match delivery.stage {
                Stage::Answer(verdict) => Some((user, delivery, verdict)),
                _ => None,
            })
        })
    }
}

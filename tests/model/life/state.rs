//! What there is at a moment: the user, their databases, and what is sent about them.

use std::hash::{DefaultHasher, Hash, Hasher};

use per_user_db::clerk::UserStatus;
use per_user_db::provision::{
    Ensure, EnsureAction, EnsureOutcome, Remove, RemoveAction, RemoveOutcome,
};
use per_user_db::xata::{
    CreateResult, Created, Database, DatabaseId, LookupResult, RemoveResult, Removed,
};

use super::Removal;
use crate::fleet::{self, Effect};

/// More requests than this, and a delivery does not end: Clerk is asked, and then Xata as often as
/// without Clerk.
pub const MOST_REQUESTS: u8 = 1 + crate::state::MOST_REQUESTS;

/// More than is ahead of a delivery to which nothing happened.
const AHEAD: u32 = 4 * (MOST_REQUESTS as u32 + 1);

/// How much can still go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Budget {
    /// Requests that fail, answers that are lost, processes that die.
    pub faults: u8,
    /// Deletions that somebody sends though the user is there; at most one.
    pub forgeries: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub world: World,
    /// The same sign-up, sent once or twice. In no order.
    pub sign_ups: [Event<Ensure>; 2],
    /// The same deletion, sent once or twice, and one that should not be. In no order.
    pub deletions: [Event<Remove>; 3],
    pub left: Budget,
}

/// What there is apart from events.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    pub user: User,
    /// The sign-up is ten minutes old.
    pub is_settled: bool,
    /// The user's databases, by the rank of their projects. A parked one is none.
    pub databases: [Option<Kept>; 2],
    /// How many there ever were; the next one's id.
    pub n_made: u8,
    pub detached: Detached,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum User {
    /// Left, and Clerk says so.
    Gone,
    /// Left, and Clerk does not say so yet.
    Leaving,
    Here,
}

/// A database of the user's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Kept {
    pub id: u8,
    /// Removals of it that nobody waits for any more, and that may still take effect.
    pub detached: u8,
}

/// Creates that nobody waits for any more, and that may still take effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Detached {
    pub of_fresh: u8,
    pub of_late: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event<M> {
    /// Not sent, or not yet.
    Unsent,
    /// To be delivered.
    Due(Past),
    Running(Delivery<M>),
    Acknowledged,
}

/// What became of an event's earlier deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Past {
    Failed,
    /// It is to come back when the sign-up is ten minutes old.
    TooEarly,
    /// There are none.
    Nothing,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Delivery<M> {
    pub machine: M,
    pub stage: Stage,
    pub is_fresh: bool,
    pub n_requests: u8,
    /// Something went wrong on its way.
    pub was_struck: bool,
}

/// What a delivery waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    Ask,
    Create,
    LookUp(usize),
    /// Of the database of this id, in the project of this rank.
    Remove(usize, u8),
    Pause,
    Answer(Verdict),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// `created`, `exists`.
    Served,
    /// `user_gone`.
    UserGone,
    /// `removed`, `parked`.
    Removed,
    /// `gone`.
    NoneLeft,
    /// `retained`.
    Retained,
    Failed,
}

impl From<EnsureAction> for Stage {
    fn from(next: EnsureAction) -> Self {
        match next {
            EnsureAction::CheckUser => Self::Ask,
            EnsureAction::Create => Self::Create,
            EnsureAction::LookUp(rank) => Self::LookUp(rank),
            EnsureAction::Pause(_) => Self::Pause,
            EnsureAction::Stop(Ok(EnsureOutcome::Created(_) | EnsureOutcome::Exists(_))) => {
                Self::Answer(Verdict::Served)
            }
            EnsureAction::Stop(Ok(EnsureOutcome::UserGone)) => Self::Answer(Verdict::UserGone),
            EnsureAction::Stop(Err(_)) => Self::Answer(Verdict::Failed),
        }
    }
}

impl From<RemoveAction> for Stage {
    fn from(next: RemoveAction) -> Self {
        match next {
            RemoveAction::CheckUser => Self::Ask,
            RemoveAction::LookUp(rank) => Self::LookUp(rank),
            RemoveAction::Remove(rank, id) => {
                Self::Remove(rank, id.as_str().parse().expect("an id of ours"))
            }
            RemoveAction::Stop(Ok(RemoveOutcome::Done)) => Self::Answer(Verdict::Removed),
            RemoveAction::Stop(Ok(RemoveOutcome::Absent)) => Self::Answer(Verdict::NoneLeft),
            RemoveAction::Stop(Ok(RemoveOutcome::UserExists)) => Self::Answer(Verdict::Retained),
            RemoveAction::Stop(Err(_)) => Self::Answer(Verdict::Failed),
        }
    }
}

impl<M> Delivery<M> {
    pub fn begin<A: Into<Stage>>((machine, next): (M, A), is_fresh: bool) -> Self {
        let stage = Stage::Pause;
        let mut delivery = Self { machine, stage, is_fresh, n_requests: 0, was_struck: false };
        delivery.go_on(next.into());
        delivery
    }

    pub fn go_on(&mut self, next: Stage) {
        self.stage = next;
        self.n_requests += u8::from(!matches!(next, Stage::Pause | Stage::Answer(_)));
    }
}

impl<M> Event<M> {
    pub fn running(&mut self) -> &mut Delivery<M> {
        match self {
            Self::Running(delivery) => delivery,
            _ => unreachable!("it is not under way"),
        }
    }

    pub fn hear(&mut self) {
        *self = match self.running().stage {
            Stage::Answer(Verdict::Failed) => Self::Due(Past::Failed),
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

    /// What is left of it.
    fn ahead(&self) -> u32 {
        match self {
            Self::Acknowledged => 0,
            Self::Due(Past::Failed) => AHEAD,
            Self::Due(Past::TooEarly) => AHEAD + 1,
            Self::Due(Past::Nothing) => AHEAD + 2,
            Self::Unsent => AHEAD + 3,
            Self::Running(delivery) => {
                let requests = MOST_REQUESTS.saturating_sub(delivery.n_requests);
                let pace = match delivery.stage {
                    Stage::Answer(_) => 1,
                    Stage::Pause => 2,
                    _ => 3,
                };
                let strike = if delivery.was_struck { AHEAD } else { 0 };
                4 * u32::from(requests) + pace + strike
            }
        }
    }
}

impl World {
    /// What Clerk says.
    pub fn presence(&self) -> UserStatus {
        match self.user {
            User::Here | User::Leaving => UserStatus::Exists,
            User::Gone => UserStatus::Deleted,
        }
    }

    pub fn look_up(&self, rank: usize) -> LookupResult {
        self.databases[rank].map_or(Ok(None), |kept| {
            let id = DatabaseId::try_from(kept.id.to_string().as_str()).expect("an id");
            Ok(Some(Database { id: Some(id), ..fleet::database() }))
        })
    }

    pub fn create(&mut self, rank: usize) -> CreateResult {
        if self.databases[rank].is_some() {
            return Ok(Created::NameTaken);
        }
        self.databases[rank] = Some(Kept { id: self.n_made, detached: 0 });
        self.n_made += 1;
        Ok(Created::New(fleet::database()))
    }

    pub fn create_unheard(&mut self, effect: Effect, is_fresh: bool) {
        match effect {
            Effect::None => {}
            Effect::Applied => drop(self.create(0)),
            Effect::Detached if is_fresh => self.detached.of_fresh += 1,
            Effect::Detached => self.detached.of_late += 1,
        }
    }

    pub fn remove(&mut self, rank: usize, id: u8, removal: Removal) -> RemoveResult {
        let removed = self.databases[rank].take_if(|kept| kept.id == id);
        // One that is parked already is parked once more, by its id.
        match removal {
            Removal::Delete if removed.is_none() => Ok(Removed::Absent),
            Removal::Delete | Removal::Park => Ok(Removed::Done),
        }
    }

    pub fn remove_unheard(&mut self, effect: Effect, rank: usize, id: u8) {
        // Where it is gone already, there is nothing that a removal could change.
        let Some(kept) = self.databases[rank].as_mut().filter(|kept| kept.id == id) else { return };
        match effect {
            Effect::None => {}
            Effect::Applied => self.databases[rank] = None,
            Effect::Detached => kept.detached += 1,
        }
    }

    pub fn n_databases(&self) -> usize {
        self.databases.iter().flatten().count()
    }

    fn n_detached(&self) -> u8 {
        let removals = self.databases.iter().flatten().map(|kept| kept.detached);
        self.detached.of_fresh + self.detached.of_late + removals.sum::<u8>()
    }
}

impl State {
    /// What was sent is acknowledged, and nothing can take effect any more.
    pub fn is_at_rest(&self) -> bool {
        let is_over = self.sign_ups.iter().all(Event::is_over);
        is_over && self.deletions.iter().all(Event::is_over) && self.world.n_detached() == 0
    }

    pub fn running_sign_ups(&self) -> impl Iterator<Item = &Delivery<Ensure>> {
        self.sign_ups.iter().filter_map(Event::delivery)
    }

    pub fn running_deletions(&self) -> impl Iterator<Item = &Delivery<Remove>> {
        self.deletions.iter().filter_map(Event::delivery)
    }

    /// What is about to be answered, and whether something went wrong on the way to it.
    pub fn answers(&self) -> impl Iterator<Item = (Verdict, bool)> {
        let sign_ups = self.running_sign_ups().map(|it| (it.stage, it.was_struck));
        let deletions = self.running_deletions().map(|it| (it.stage, it.was_struck));
        sign_ups.chain(deletions).filter_map(|(stage, was_struck)| match stage {
            Stage::Answer(verdict) => Some((verdict, was_struck)),
            _ => None,
        })
    }

    pub fn answers_with(&self, verdict: Verdict) -> bool {
        self.answers().any(|(it, _)| it == verdict)
    }

    pub fn is_here(&self) -> bool {
        self.world.user == User::Here
    }

    /// Sends a deletion.
    pub fn send(&mut self, n_copies: usize) {
        let unsent = self.deletions.iter_mut().filter(|event| **event == Event::Unsent);
        unsent.take(n_copies).for_each(|event| *event = Event::Due(Past::Nothing));
    }

    /// Forgets which event is which.
    pub fn forget_the_order(&mut self) {
        fn key(event: &impl Hash) -> u64 {
            let mut hasher = DefaultHasher::new();
            event.hash(&mut hasher);
            hasher.finish()
        }
        self.sign_ups.sort_by_cached_key(key);
        self.deletions.sort_by_cached_key(key);
    }

    /// What can still go wrong, and then what is to be done. Each step makes it less: so every path
    /// ends.
    pub fn ahead(&self) -> (u32, u32) {
        let user = match self.world.user {
            User::Gone => 0,
            User::Leaving => 1,
            User::Here => 2,
        };
        (
            u32::from(self.left.faults) + u32::from(self.left.forgeries),
            self.sign_ups.iter().map(Event::ahead).sum::<u32>()
                + self.deletions.iter().map(Event::ahead).sum::<u32>()
                + u32::from(self.world.n_detached())
                + u32::from(!self.world.is_settled)
                + user,
        )
    }
}

//! One user who comes and may go, what is sent about that, and all that can happen to it.
//!
//! A step is what it is in [`crate::fleet`], or the user leaves, or time passes. Of time nothing is
//! left but this: once the sign-up is ten minutes old, no delivery of it is fresh any more, and
//! nothing of a fresh one is under way. `user.updated` is nowhere here: the function answers it
//! without asking anybody.

mod rules;
mod state;

use std::time::Duration;

use per_user_db::error::{ErrorKind, UpstreamError};
use per_user_db::provision::{Ensure, Remove};
use per_user_db::xata::{CreateResult, Failure, RemoveResult};
use stateright::{Model, Property};

pub use self::rules::Rules;
pub use self::state::Budget;
use self::state::{
    Delivery, Detached, Event, MOST_REQUESTS, Past, Stage, State, User, Verdict, World,
};
use crate::fleet::{Effect, Fault};

/// A life of which everything that can happen is explored.
#[derive(Clone, Debug)]
pub struct Life {
    /// Who decides.
    pub rules: Rules,
    pub leaving: Leaving,
    pub removal: Removal,
    /// One or two. With two, the user may be one who was served when there was only the other one.
    pub n_projects: usize,
    /// What can go wrong, and how often.
    pub budget: Budget,
}

/// What may be going on when a deletion is handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaving {
    /// As docs/reliability.md says: of the deliveries of the sign-up that found the user there, or
    /// did not ask, nothing is under way any more.
    WhenQuiet,
    /// A late one may be under way.
    WhileDelivering,
    /// What a late one asked of Xata may be.
    WhileXataWorks,
    /// What a fresh one asked of Xata may be, ten minutes after the sign-up.
    AfterTenMinutes,
    /// Clerk may still know the user.
    BeforeClerkKnows,
}

/// How a database is taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    Delete,
    /// It stays, by another name.
    Park,
}

/// Something that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// To the sign-up at this place.
    SignUp(usize, Turn),
    /// To the deletion at this place.
    Deletion(usize, Turn),
    /// A detached create ends, in effect or not.
    DetachedCreate { is_fresh: bool, applied: bool },
    /// A detached removal ends, in effect or not.
    DetachedRemoval { rank: usize, applied: bool },
    /// The sign-up is ten minutes old.
    Settle,
    /// The user leaves, and so many copies of the deletion are sent.
    Leave(usize),
    /// Clerk does not know the user any more.
    Forget,
    /// Somebody sends a deletion though the user is there.
    Forge,
}

/// What happens to an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Its delivery begins; whether it passes for fresh.
    Begin(bool),
    /// What it asked is done, and said; or a pause is over.
    GoOn,
    /// Hookdeck hears the answer.
    Hear,
    Fault(Fault),
}

impl Life {
    /// A user of the function as it is, with two projects.
    pub fn new(budget: Budget) -> Self {
        let (rules, leaving, removal) = (Rules::Ours, Leaving::WhenQuiet, Removal::Delete);
        Self { rules, leaving, removal, n_projects: 2, budget }
    }

    /// Whether a deletion may be handled.
    fn is_quiet(&self, state: &State) -> bool {
        let may_change = |stage| !matches!(stage, Stage::Ask | Stage::Answer(_));
        let runs = state.running_sign_ups().any(|it| !it.is_fresh && may_change(it.stage));
        let remains = state.world.detached.of_late > 0;
        (!runs || self.leaving == Leaving::WhileDelivering)
            && (!remains || self.leaving == Leaving::WhileXataWorks)
    }

    fn may_settle(&self, state: &State) -> bool {
        let runs = state.running_sign_ups().any(|it| it.is_fresh);
        let remains = state.world.detached.of_fresh > 0;
        !state.world.is_settled && !runs && (!remains || self.leaving == Leaving::AfterTenMinutes)
    }

    fn sign_up_turns(state: &State, event: &Event<Ensure>) -> Vec<Turn> {
        match event {
            Event::Due(Past::Nothing) if !state.world.is_settled => {
                vec![Turn::Begin(false), Turn::Begin(true)]
            }
            Event::Due(_) => vec![Turn::Begin(false)],
            Event::Running(delivery) => Self::running_turns(state.left, delivery.stage),
            Event::Unsent | Event::Acknowledged => vec![],
        }
    }

    fn deletion_turns(&self, state: &State, event: &Event<Remove>) -> Vec<Turn> {
        match event {
            Event::Due(Past::TooEarly) if !state.world.is_settled => vec![],
            Event::Due(_) if state.world.user != User::Here && !self.is_quiet(state) => vec![],
            Event::Due(_) => vec![Turn::Begin(false)],
            Event::Running(delivery) => Self::running_turns(state.left, delivery.stage),
            Event::Unsent | Event::Acknowledged => vec![],
        }
    }

    fn running_turns(left: Budget, stage: Stage) -> Vec<Turn> {
        let is_answer = matches!(stage, Stage::Answer(_));
        let mut turns = vec![if is_answer { Turn::Hear } else { Turn::GoOn }];
        if left.faults > 0 {
            turns.extend(faults(stage).into_iter().map(Turn::Fault));
        }
        turns
    }

    fn take_sign_up(&self, state: &mut State, event: usize, turn: Turn) {
        let (world, event) = (&mut state.world, &mut state.sign_ups[event]);
        match turn {
            Turn::Begin(is_fresh) => {
                let begun = self.rules.sign_up(self.n_projects, is_fresh);
                *event = Event::Running(Delivery::begin(begun, is_fresh));
            }
            Turn::Hear => event.hear(),
            Turn::GoOn => {
                let Delivery { machine, stage, .. } = event.running();
                let next = match *stage {
                    Stage::Ask => machine.after_user_check(Ok(world.presence())),
                    Stage::LookUp(rank) => machine.after_look_up(world.look_up(rank)),
                    Stage::Create => machine.after_create(world.create(0)),
                    Stage::Pause => machine.after_pause(),
                    Stage::Remove(..) | Stage::Answer(_) => unreachable!("it asks for neither"),
                };
                event.running().go_on(next.into());
            }
            Turn::Fault(fault) => {
                state.left.faults -= 1;
                let Delivery { machine, stage, is_fresh, was_struck, .. } = event.running();
                *was_struck = true;
                if *stage == Stage::Create {
                    world.create_unheard(effect(fault), *is_fresh);
                }
                if matches!(fault, Fault::Death(_)) {
                    *event = Event::Due(Past::Failed);
                    return;
                }
                let next = match stage {
                    Stage::Ask => machine.after_user_check(self.rules.silence(unavailable())),
                    Stage::Create => machine.after_create(created(fault)),
                    _ => machine.after_look_up(Err(timeout())),
                };
                event.running().go_on(next.into());
            }
        }
    }

    fn take_deletion(&self, state: &mut State, event: usize, turn: Turn) {
        let (world, event) = (&mut state.world, &mut state.deletions[event]);
        match turn {
            Turn::Begin(_) if self.rules.wait() && !world.is_settled => {
                *event = Event::Due(Past::TooEarly);
            }
            Turn::Begin(is_fresh) => {
                let begun = self.rules.deletion(self.n_projects);
                *event = Event::Running(Delivery::begin(begun, is_fresh));
            }
            Turn::Hear => event.hear(),
            Turn::GoOn => {
                let Delivery { machine, stage, .. } = event.running();
                let next = match *stage {
                    Stage::Ask => machine.after_user_check(Ok(world.presence())),
                    Stage::LookUp(rank) => machine.after_look_up(world.look_up(rank)),
                    Stage::Remove(rank, id) => {
                        machine.after_remove(world.remove(rank, id, self.removal))
                    }
                    _ => unreachable!("it asks for neither"),
                };
                event.running().go_on(next.into());
            }
            Turn::Fault(fault) => {
                state.left.faults -= 1;
                let Delivery { machine, stage, was_struck, .. } = event.running();
                *was_struck = true;
                if let Stage::Remove(rank, id) = *stage {
                    world.remove_unheard(effect(fault), rank, id);
                }
                if matches!(fault, Fault::Death(_)) {
                    *event = Event::Due(Past::Failed);
                    return;
                }
                let next = match stage {
                    Stage::Ask => machine.after_user_check(self.rules.silence(unavailable())),
                    Stage::Remove(..) => machine.after_remove(self.rules.removed(removed(fault))),
                    _ => machine.after_look_up(self.rules.unread(timeout())),
                };
                event.running().go_on(next.into());
            }
        }
    }
}

/// What can go wrong there.
fn faults(stage: Stage) -> Vec<Fault> {
    let changes = matches!(stage, Stage::Create | Stage::Remove(..));
    let effects = if changes { &Effect::ALL[..] } else { &[Effect::None] };
    let mut faults: Vec<_> = effects.iter().copied().map(Fault::Death).collect();
    if !matches!(stage, Stage::Pause | Stage::Answer(_)) {
        faults.extend(effects.iter().copied().map(Fault::NoAnswer));
    }
    faults.extend(match stage {
        Stage::Create => &[Fault::Contention, Fault::KeyRefused, Fault::Outage][..],
        Stage::Remove(..) => &[Fault::Contention],
        _ => &[],
    });
    faults
}

fn effect(fault: Fault) -> Effect {
    match fault {
        Fault::NoAnswer(effect) | Fault::Death(effect) => effect,
        Fault::Contention | Fault::KeyRefused | Fault::Outage => Effect::None,
    }
}

fn created(fault: Fault) -> CreateResult {
    match fault {
        Fault::Contention => Err(Failure::Refused(UpstreamError::new(ErrorKind::Contention))),
        Fault::KeyRefused => Err(Failure::Refused(UpstreamError::new(ErrorKind::KeyRefused))),
        Fault::Outage => Err(Failure::Unclear(UpstreamError {
            retry_after: Some(Duration::from_secs(30)),
            ..UpstreamError::new(ErrorKind::XataError)
        })),
        Fault::NoAnswer(_) | Fault::Death(_) => Err(Failure::Unclear(timeout())),
    }
}

fn removed(fault: Fault) -> RemoveResult {
    match fault {
        Fault::Contention => Err(Failure::Refused(UpstreamError::new(ErrorKind::Contention))),
        _ => Err(Failure::Unclear(timeout())),
    }
}

fn timeout() -> UpstreamError {
    UpstreamError::new(ErrorKind::XataTimeout)
}

fn unavailable() -> UpstreamError {
    UpstreamError::new(ErrorKind::ClerkUnavailable)
}

/// The events that differ, and their places; of two in the same state the future is the same.
fn distinct<M: PartialEq>(events: &[Event<M>]) -> impl Iterator<Item = (usize, &Event<M>)> {
    events.iter().enumerate().filter(|&(n, event)| n == 0 || *event != events[n - 1])
}

impl Model for Life {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        let world = World {
            user: User::Here,
            is_settled: false,
            databases: [None, None],
            n_made: 0,
            detached: Detached::default(),
        };
        let new = || Event::Due(Past::Nothing);
        let old = || Event::Due(Past::Failed);
        let state = |world: &World, sign_ups| State {
            world: world.clone(),
            sign_ups,
            deletions: [Event::Unsent, Event::Unsent, Event::Unsent],
            left: self.budget,
        };
        let mut states = vec![state(&world, [new(), Event::Unsent]), state(&world, [new(), new()])];
        if self.n_projects == 2 {
            // Served by a project that was the only one; the sign-up was old before another joined.
            let mut world = world;
            let _result = world.create(1);
            states.push(state(&world, [old(), Event::Unsent]));
            states.push(state(&world, [old(), old()]));
        }
        states
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        for (n, event) in distinct(&state.sign_ups) {
            let turns = Self::sign_up_turns(state, event).into_iter();
            steps.extend(turns.map(|turn| Step::SignUp(n, turn)));
        }
        for (n, event) in distinct(&state.deletions) {
            let turns = self.deletion_turns(state, event).into_iter();
            steps.extend(turns.map(|turn| Step::Deletion(n, turn)));
        }
        let World { user, databases, detached, .. } = &state.world;
        for applied in [true, false] {
            if detached.of_fresh > 0 {
                steps.push(Step::DetachedCreate { is_fresh: true, applied });
            }
            if detached.of_late > 0 {
                steps.push(Step::DetachedCreate { is_fresh: false, applied });
            }
            for (rank, kept) in databases.iter().enumerate() {
                if kept.is_some_and(|kept| kept.detached > 0) {
                    steps.push(Step::DetachedRemoval { rank, applied });
                }
            }
        }
        if self.may_settle(state) {
            steps.push(Step::Settle);
        }
        match user {
            User::Here => {
                steps.extend([Step::Leave(1), Step::Leave(2)]);
                if state.left.forgeries > 0 {
                    steps.push(Step::Forge);
                }
            }
            User::Leaving => steps.push(Step::Forget),
            User::Gone => {}
        }
    }

    fn next_state(&self, before: &State, step: Step) -> Option<State> {
        let mut state = before.clone();
        let applied_or_not = |applied| if applied { Effect::Applied } else { Effect::None };
        match step {
            Step::SignUp(event, turn) => self.take_sign_up(&mut state, event, turn),
            Step::Deletion(event, turn) => self.take_deletion(&mut state, event, turn),
            Step::DetachedCreate { is_fresh, applied } => {
                let Detached { of_fresh, of_late } = &mut state.world.detached;
                *(if is_fresh { of_fresh } else { of_late }) -= 1;
                state.world.create_unheard(applied_or_not(applied), is_fresh);
            }
            Step::DetachedRemoval { rank, applied } => {
                let kept = state.world.databases[rank].as_mut().expect("it is there");
                kept.detached -= 1;
                let id = kept.id;
                state.world.remove_unheard(applied_or_not(applied), rank, id);
            }
            Step::Settle => state.world.is_settled = true,
            Step::Leave(n_copies) => {
                let knows = self.leaving != Leaving::BeforeClerkKnows;
                state.world.user = if knows { User::Gone } else { User::Leaving };
                state.send(n_copies);
            }
            Step::Forget => state.world.user = User::Gone,
            Step::Forge => {
                state.left.forgeries -= 1;
                state.send(1);
            }
        }
        state.forget_the_order();
        let is_less = state.ahead() < before.ahead();
        assert!(is_less || self.rules != Rules::Ours, "{before:?} {state:?}");
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always("one user, one database", |_, state: &State| {
                state.world.n_databases() <= 1
            }),
            Property::always("nothing is taken from who is here", |_, state: &State| {
                let is_whole = state.world.n_databases() == usize::from(state.world.n_made);
                is_whole || !state.is_here()
            }),
            Property::always("what is acknowledged is there", |_, state: &State| {
                let is_there = state.world.n_databases() == 1;
                is_there || !state.is_here() || !state.answers_with(Verdict::Served)
            }),
            Property::always("a delivery fails for a cause", |_, state: &State| {
                let mut answers = state.answers();
                answers.all(|(verdict, was_struck)| was_struck || verdict != Verdict::Failed)
            }),
            Property::always("a delivery ends", |_, state: &State| {
                let sign_ups = state.running_sign_ups().map(|it| it.n_requests);
                let deletions = state.running_deletions().map(|it| it.n_requests);
                sign_ups.chain(deletions).all(|n_requests| n_requests <= MOST_REQUESTS)
            }),
            Property::always("what is sent is acknowledged", |life: &Self, state: &State| {
                let mut steps = vec![];
                life.actions(state, &mut steps);
                !steps.is_empty() || state.is_at_rest()
            }),
            Property::always("at rest, who is here has one", |_, state: &State| {
                !state.is_at_rest() || !state.is_here() || state.world.n_databases() == 1
            }),
            Property::always("at rest, who is gone has none", |_, state: &State| {
                !state.is_at_rest() || state.is_here() || state.world.n_databases() == 0
            }),
        ];
        // And none of it holds only because nothing happens.
        let mut sometimes = |what, condition| {
            properties.push(Property::sometimes(what, condition));
        };
        sometimes("everything runs at once", |_, state: &State| {
            state.running_sign_ups().count() == 2 && state.running_deletions().count() == 2
        });
        sometimes("a deletion comes too early", |_, state| {
            state.deletions.contains(&Event::Due(Past::TooEarly))
        });
        sometimes("a sign-up comes too late", |_, state| state.answers_with(Verdict::UserGone));
        sometimes("a database is taken away", |_, state| state.answers_with(Verdict::Removed));
        sometimes("there is none any more", |_, state| state.answers_with(Verdict::NoneLeft));
        sometimes("somebody stays", |_, state| state.is_at_rest() && state.is_here());
        sometimes("somebody leaves a database", |_, state| {
            state.is_at_rest() && !state.is_here() && state.world.n_made > 0
        });
        sometimes("somebody leaves before there is one", |_, state| {
            state.is_at_rest() && !state.is_here() && state.world.n_made == 0
        });
        if self.n_projects == 2 {
            sometimes("an old database is taken away", |_, state| {
                state.running_deletions().any(|it| matches!(it.stage, Stage::Remove(1, _)))
            });
        }
        if self.budget.forgeries > 0 {
            sometimes("a forged deletion takes nothing", |_, state| {
                state.is_here() && state.answers_with(Verdict::Retained)
            });
        }
        if self.budget.faults > 0 {
            sometimes("nobody waits for a removal", |_, state| {
                state.world.databases.iter().flatten().any(|kept| kept.detached > 0)
            });
        }
        properties
    }
}

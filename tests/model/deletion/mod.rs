//! The model of deletion: one user who signs up and may be deleted, and the deliveries of both events.
//!
//! The actions are those of [`crate::creation`], the deletion of the user, and the passage of time.
//! Time is one flag: once the sign-up is ten minutes old, none of its deliveries is fresh, and no
//! request of a fresh delivery is in progress. `user.updated` is not modelled, because the function
//! ignores it without a request.

mod rules;
mod state;

use per_user_db::error::{ErrorKind, UpstreamError};
use per_user_db::provision::{Ensure, Remove};
use stateright::{Model, Property};

pub use self::rules::Rules;
pub use self::state::Budget;
use self::state::{
    Delivery, Detached, Environment, Event, LastAttempt, MAX_REQUESTS, Outcome, Phase, State,
    UserState,
};
use crate::creation::{Effect, Fault, timeout};

#[derive(Clone, Debug)]
pub struct DeletionModel {
    pub rules: Rules,
    pub overlap: Overlap,
    pub removal: Removal,
    /// One or two. With two, the database can be in the older project, which is not the home.
    pub n_projects: usize,
    pub budget: Budget,
}

/// What can be in progress when a deletion is handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlap {
    /// No delivery of the sign-up that has passed its user check (docs/reliability.md).
    None,
    /// A late delivery of the sign-up.
    LateDelivery,
    /// A create of a late delivery.
    LateCreate,
    /// A create of a fresh delivery, ten minutes after the sign-up.
    FreshCreate,
    /// Clerk's own deletion: Clerk still reports the user.
    StaleClerk,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    Delete,
    /// The database is renamed.
    Park,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// An action of this copy of the sign-up.
    SignUp(usize, EventAction),
    /// An action of this copy of the deletion.
    Deletion(usize, EventAction),
    /// A detached create ends, with or without effect.
    DetachedCreate { is_fresh: bool, applied: bool },
    /// A detached removal ends, with or without effect.
    DetachedRemoval { rank: usize, applied: bool },
    /// The sign-up becomes ten minutes old.
    Settle,
    /// The user is deleted, and this number of copies of the event is sent.
    DeleteUser(usize),
    /// Clerk stops reporting a deleted user.
    UpdateClerk,
    /// A deletion of an existing user is sent.
    ForgeDeletion,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventAction {
    /// A delivery begins, fresh or not.
    Begin(bool),
    /// A request takes effect and gets its response, or a pause ends.
    Continue,
    /// Hookdeck receives the response.
    Respond,
    Fault(Fault),
}

impl DeletionModel {
    /// The function's rules with two projects.
    pub fn new(budget: Budget) -> Self {
        let (rules, overlap, removal) = (Rules::Product, Overlap::None, Removal::Delete);
        Self { rules, overlap, removal, n_projects: 2, budget }
    }

    /// Whether the deletion of a deleted user can be handled.
    fn can_handle_deletion(&self, state: &State) -> bool {
        let can_create =
            |phase| !matches!(phase, Phase::CheckUser | Phase::WriteEntry | Phase::Respond(_));
        let is_running = state.running_sign_ups().any(|it| !it.is_fresh && can_create(it.phase));
        let has_detached = state.environment.detached.of_late > 0;
        (!is_running || self.overlap == Overlap::LateDelivery)
            && (!has_detached || self.overlap == Overlap::LateCreate)
    }

    fn can_settle(&self, state: &State) -> bool {
        let is_running = state.running_sign_ups().any(|it| it.is_fresh);
        let has_detached = state.environment.detached.of_fresh > 0;
        !state.environment.is_settled
            && !is_running
            && (!has_detached || self.overlap == Overlap::FreshCreate)
    }

    fn sign_up_actions(state: &State, event: &Event<Ensure>) -> Vec<EventAction> {
        match event {
            Event::Pending(LastAttempt::None) if !state.environment.is_settled => {
                vec![EventAction::Begin(false), EventAction::Begin(true)]
            }
            Event::Pending(_) => vec![EventAction::Begin(false)],
            Event::Running(delivery) => Self::running_actions(state.budget, delivery.phase),
            Event::Unsent | Event::Acknowledged => vec![],
        }
    }

    fn deletion_actions(&self, state: &State, event: &Event<Remove>) -> Vec<EventAction> {
        match event {
            Event::Pending(LastAttempt::TooEarly) if !state.environment.is_settled => vec![],
            Event::Pending(_)
                if state.environment.user != UserState::Exists
                    && !self.can_handle_deletion(state) =>
            {
                vec![]
            }
            Event::Pending(_) => vec![EventAction::Begin(false)],
            Event::Running(delivery) => Self::running_actions(state.budget, delivery.phase),
            Event::Unsent | Event::Acknowledged => vec![],
        }
    }

    fn running_actions(budget: Budget, phase: Phase) -> Vec<EventAction> {
        let mut event_actions = vec![match phase {
            Phase::Respond(_) => EventAction::Respond,
            _ => EventAction::Continue,
        }];
        if budget.faults > 0 {
            event_actions.extend(faults(phase).into_iter().map(EventAction::Fault));
        }
        event_actions
    }

    fn apply_sign_up_action(&self, state: &mut State, event: usize, action: EventAction) {
        let (environment, event) = (&mut state.environment, &mut state.sign_ups[event]);
        match action {
            EventAction::Begin(is_fresh) => {
                let machine = self.rules.sign_up(self.n_projects, is_fresh);
                *event = Event::Running(Delivery::begin(machine, is_fresh));
            }
            EventAction::Respond => event.finish(),
            EventAction::Continue => {
                let Delivery { machine, phase, .. } = event.running();
                let next = match *phase {
                    Phase::CheckUser => machine.after_user_check(Ok(environment.user_status())),
                    Phase::LookUp(rank) => machine.after_look_up(environment.look_up(rank)),
                    Phase::Create => machine.after_create(Ok(environment.create(0))),
                    Phase::Pause => machine.after_pause(),
                    Phase::WriteEntry => machine.after_write(Ok(environment.user_status())),
                    Phase::Remove(..) | Phase::Respond(_) => unreachable!("no phase of a sign-up"),
                };
                event.running().advance(next.into());
            }
            EventAction::Fault(fault) => {
                state.budget.faults -= 1;
                let Delivery { machine, phase, is_fresh, had_fault, .. } = event.running();
                *had_fault = true;
                if *phase == Phase::Create {
                    environment.create_without_response(fault.effect(), *is_fresh);
                }
                if matches!(fault, Fault::Crash(_)) {
                    *event = Event::Pending(LastAttempt::Failed);
                    return;
                }
                let next = match phase {
                    Phase::CheckUser => {
                        machine.after_user_check(self.rules.failed_user_check(unavailable()))
                    }
                    Phase::Create => machine.after_create(fault.result()),
                    Phase::WriteEntry => machine.after_write(Err(unavailable())),
                    _ => machine.after_look_up(Err(timeout())),
                };
                event.running().advance(next.into());
            }
        }
    }

    fn apply_deletion_action(&self, state: &mut State, event: usize, action: EventAction) {
        let (environment, event) = (&mut state.environment, &mut state.deletions[event]);
        match action {
            EventAction::Begin(_) if self.rules.deletion_waits() && !environment.is_settled => {
                *event = Event::Pending(LastAttempt::TooEarly);
            }
            EventAction::Begin(is_fresh) => {
                let machine = self.rules.deletion(self.n_projects);
                *event = Event::Running(Delivery::begin(machine, is_fresh));
            }
            EventAction::Respond => event.finish(),
            EventAction::Continue => {
                let Delivery { machine, phase, .. } = event.running();
                let next = match *phase {
                    Phase::CheckUser => machine.after_user_check(Ok(environment.user_status())),
                    Phase::LookUp(rank) => machine.after_look_up(environment.look_up(rank)),
                    Phase::Remove(rank, id) => {
                        machine.after_remove(Ok(environment.remove(rank, id, self.removal)))
                    }
                    _ => unreachable!("no phase of a deletion"),
                };
                event.running().advance(next.into());
            }
            EventAction::Fault(fault) => {
                state.budget.faults -= 1;
                let Delivery { machine, phase, had_fault, .. } = event.running();
                *had_fault = true;
                if let Phase::Remove(rank, id) = *phase {
                    environment.remove_without_response(fault.effect(), rank, id);
                }
                if matches!(fault, Fault::Crash(_)) {
                    *event = Event::Pending(LastAttempt::Failed);
                    return;
                }
                let next = match phase {
                    Phase::CheckUser => {
                        machine.after_user_check(self.rules.failed_user_check(unavailable()))
                    }
                    Phase::Remove(..) => machine.after_remove(self.rules.removed(fault.result())),
                    _ => machine.after_look_up(self.rules.failed_look_up(timeout())),
                };
                event.running().advance(next.into());
            }
        }
    }
}

/// The faults of a phase.
fn faults(phase: Phase) -> Vec<Fault> {
    let has_effect = matches!(phase, Phase::Create | Phase::Remove(..));
    let effects = if has_effect { &Effect::ALL[..] } else { &[Effect::None] };
    let mut faults: Vec<_> = effects.iter().copied().map(Fault::Crash).collect();
    if !matches!(phase, Phase::Pause | Phase::Respond(_)) {
        faults.extend(effects.iter().copied().map(Fault::NoResponse));
    }
    faults.extend(match phase {
        Phase::Create => &[Fault::Contention, Fault::KeyRefused, Fault::Outage][..],
        Phase::Remove(..) => &[Fault::Contention],
        _ => &[],
    });
    faults
}

fn unavailable() -> UpstreamError {
    UpstreamError::new(ErrorKind::ClerkUnavailable)
}

/// The distinct events and their indexes. Two events in the same state have the same actions.
fn distinct<M: PartialEq>(events: &[Event<M>]) -> impl Iterator<Item = (usize, &Event<M>)> {
    events.iter().enumerate().filter(|&(n, event)| n == 0 || *event != events[n - 1])
}

impl Model for DeletionModel {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let environment = Environment {
            user: UserState::Exists,
            is_settled: false,
            databases: [None, None],
            n_created: 0,
            detached: Detached::default(),
        };
        let new = || Event::Pending(LastAttempt::None);
        let old = || Event::Pending(LastAttempt::Failed);
        let state = |environment: &Environment, sign_ups| State {
            environment: environment.clone(),
            sign_ups,
            deletions: [Event::Unsent, Event::Unsent, Event::Unsent],
            budget: self.budget,
        };
        let mut states =
            vec![state(&environment, [new(), Event::Unsent]), state(&environment, [new(), new()])];
        if self.n_projects == 2 {
            // The database was created in the older project before the home was added.
            let mut environment = environment;
            let _created = environment.create(1);
            states.push(state(&environment, [old(), Event::Unsent]));
            states.push(state(&environment, [old(), old()]));
        }
        states
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (n, event) in distinct(&state.sign_ups) {
            let event_actions = Self::sign_up_actions(state, event).into_iter();
            actions.extend(event_actions.map(|action| Action::SignUp(n, action)));
        }
        for (n, event) in distinct(&state.deletions) {
            let event_actions = self.deletion_actions(state, event).into_iter();
            actions.extend(event_actions.map(|action| Action::Deletion(n, action)));
        }
        let Environment { user, databases, detached, .. } = &state.environment;
        for applied in [true, false] {
            if detached.of_fresh > 0 {
                actions.push(Action::DetachedCreate { is_fresh: true, applied });
            }
            if detached.of_late > 0 {
                actions.push(Action::DetachedCreate { is_fresh: false, applied });
            }
            for (rank, database) in databases.iter().enumerate() {
                if database.is_some_and(|database| database.detached > 0) {
                    actions.push(Action::DetachedRemoval { rank, applied });
                }
            }
        }
        if self.can_settle(state) {
            actions.push(Action::Settle);
        }
        match user {
            UserState::Exists => {
                actions.extend([Action::DeleteUser(1), Action::DeleteUser(2)]);
                if state.budget.forgeries > 0 {
                    actions.push(Action::ForgeDeletion);
                }
            }
            UserState::Deleting => actions.push(Action::UpdateClerk),
            UserState::Deleted => {}
        }
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut state = before.clone();
        let applied_or_not = |applied| if applied { Effect::Applied } else { Effect::None };
        match action {
            Action::SignUp(event, action) => self.apply_sign_up_action(&mut state, event, action),
            Action::Deletion(event, action) => {
                self.apply_deletion_action(&mut state, event, action);
            }
            Action::DetachedCreate { is_fresh, applied } => {
                let Detached { of_fresh, of_late } = &mut state.environment.detached;
                *(if is_fresh { of_fresh } else { of_late }) -= 1;
                state.environment.create_without_response(applied_or_not(applied), is_fresh);
            }
            Action::DetachedRemoval { rank, applied } => {
                let database = state.environment.databases[rank].as_mut().expect("a database");
                database.detached -= 1;
                let id = database.id;
                state.environment.remove_without_response(applied_or_not(applied), rank, id);
            }
            Action::Settle => state.environment.is_settled = true,
            Action::DeleteUser(n_copies) => {
                state.environment.user = match self.overlap {
                    Overlap::StaleClerk => UserState::Deleting,
                    _ => UserState::Deleted,
                };
                state.send(n_copies);
            }
            Action::UpdateClerk => state.environment.user = UserState::Deleted,
            Action::ForgeDeletion => {
                state.budget.forgeries -= 1;
                state.send(1);
            }
        }
        state.sort_events();
        let has_less_work = state.work_left() < before.work_left();
        assert!(has_less_work || self.rules != Rules::Product, "{before:?} {state:?}");
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always("one user, one database", |_, state: &State| {
                state.environment.n_databases() <= 1
            }),
            Property::always("no database of an existing user is removed", |_, state: &State| {
                let Environment { n_created, .. } = state.environment;
                let has_all = state.environment.n_databases() == usize::from(n_created);
                has_all || !state.user_exists()
            }),
            Property::always("an acknowledged user has a database", |_, state: &State| {
                let has_database = state.environment.n_databases() == 1;
                has_database || !state.user_exists() || !state.responds_with(Outcome::HasDatabase)
            }),
            Property::always("a delivery fails only with a cause", |_, state: &State| {
                let mut responses = state.responses();
                responses.all(|(outcome, had_fault)| had_fault || outcome != Outcome::Failed)
            }),
            Property::always("a delivery has a bounded number of requests", |_, state: &State| {
                let sign_ups = state.running_sign_ups().map(|it| it.n_requests);
                let deletions = state.running_deletions().map(|it| it.n_requests);
                sign_ups.chain(deletions).all(|n_requests| n_requests <= MAX_REQUESTS)
            }),
            Property::always("every event is acknowledged", |model: &Self, state: &State| {
                let mut actions = vec![];
                model.actions(state, &mut actions);
                !actions.is_empty() || state.is_at_rest()
            }),
            Property::always("at rest, an existing user has one database", |_, state: &State| {
                !state.is_at_rest() || !state.user_exists() || state.environment.n_databases() == 1
            }),
            Property::always("at rest, a deleted user has no database", |_, state: &State| {
                !state.is_at_rest() || state.user_exists() || state.environment.n_databases() == 0
            }),
        ];
        // These show that the model reaches the states that the invariants are about.
        let mut sometimes = |what, condition| {
            properties.push(Property::sometimes(what, condition));
        };
        sometimes("all deliveries run at once", |_, state: &State| {
            state.running_sign_ups().count() == 2 && state.running_deletions().count() == 2
        });
        sometimes("a deletion is too early", |_, state| {
            state.deletions.contains(&Event::Pending(LastAttempt::TooEarly))
        });
        sometimes("a sign-up is of a deleted user", |_, state| {
            state.responds_with(Outcome::UserGone)
        });
        sometimes("a database is removed", |_, state| state.responds_with(Outcome::Removed));
        sometimes("a database is gone before its removal", |_, state| {
            state.responds_with(Outcome::Gone)
        });
        sometimes("a user stays", |_, state| state.is_at_rest() && state.user_exists());
        sometimes("a user with a database is deleted", |_, state| {
            state.is_at_rest() && !state.user_exists() && state.environment.n_created > 0
        });
        sometimes("a user without a database is deleted", |_, state| {
            state.is_at_rest() && !state.user_exists() && state.environment.n_created == 0
        });
        if self.n_projects == 2 {
            sometimes("a database in the old project is removed", |_, state| {
                state.running_deletions().any(|it| matches!(it.phase, Phase::Remove(1, _)))
            });
        }
        if self.budget.forgeries > 0 {
            sometimes("a forged deletion is retained", |_, state| {
                state.user_exists() && state.responds_with(Outcome::Retained)
            });
        }
        if self.budget.faults > 0 {
            sometimes("a removal is detached", |_, state| {
                state.environment.databases.iter().flatten().any(|database| database.detached > 0)
            });
        }
        properties
    }
}

//! The model of creation: one user or two, and two deliveries of each sign-up.
//!
//! An action is a delivery that begins, a request that takes effect and gets its response, a crash of
//! the process, or a change by an operator. A response and the decision that follows it are one
//! action, because no other part of the system sees a decision before the next request takes effect.

mod rules;
mod state;

use std::time::Duration;

use per_user_db::clerk::UserStatus;
use per_user_db::error::{ErrorKind, UpstreamError};
use per_user_db::xata::{
    CreateResult, Created, Database, DatabaseName, Failure, ProjectId, Projects,
};
use stateright::{Model, Property};

pub use self::rules::Rules;
pub use self::state::{Budget, MAX_REQUESTS, sort_by_hash};
use self::state::{Delivery, Event, Outcome, Phase, State, User};

#[derive(Clone, Debug)]
pub struct CreationModel {
    pub rules: Rules,
    /// Whether there is a Clerk key.
    pub has_clerk: bool,
    /// The responses to a create of a taken name.
    pub duplicates: Vec<CreateResult>,
    pub addition: ProjectAddition,
    pub budget: Budget,
    /// For each user, the order of look-ups in a list of one project and in a list of two.
    pub orders: Vec<[Vec<usize>; 2]>,
}

/// When an operator can add a project to the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProjectAddition {
    /// While no delivery is in progress and no earlier event can be fresh (docs/reliability.md).
    WhenStopped,
    /// At any time.
    WhileDelivering,
    /// While no delivery is in progress; earlier events can still be fresh.
    WithinMinutes,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    Event {
        user: usize,
        event: usize,
        action: EventAction,
    },
    /// A detached create ends, with or without effect.
    Detached {
        user: usize,
        project: usize,
        applied: bool,
    },
    /// An operator removes a database.
    Remove {
        user: usize,
        project: usize,
    },
    AddProject,
    ReachQuota,
    LiftQuota,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventAction {
    /// A delivery begins, fresh or not.
    Begin(bool),
    /// Xata handles the create. `None` is the refusal at quota.
    Create(Option<CreateResult>),
    LookUp,
    /// Clerk handles the request.
    AskClerk,
    EndPause,
    /// There is no time for the pause.
    SkipPause,
    /// Hookdeck receives the response.
    Respond,
    Fault(Fault),
}

/// A fault of a request, or of the process during it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A refusal without effect: the project is busy.
    Contention,
    /// A refusal without effect: Xata cannot check the key.
    KeyRefused,
    /// A 5xx without effect that asks for a retry after 30 s.
    Outage,
    /// The response is lost.
    NoResponse(Effect),
    /// The process ends, and Hookdeck receives no response.
    Crash(Effect),
}

impl Fault {
    /// The effect of the request that the fault interrupts.
    pub fn effect(self) -> Effect {
        match self {
            Self::NoResponse(effect) | Self::Crash(effect) => effect,
            Self::Contention | Self::KeyRefused | Self::Outage => Effect::None,
        }
    }

    /// The result of the request that the fault interrupts.
    pub fn result<T>(self) -> Result<T, Failure> {
        Err(match self {
            Self::Contention => Failure::Refused(UpstreamError::new(ErrorKind::Contention)),
            Self::KeyRefused => Failure::Refused(UpstreamError::new(ErrorKind::KeyRefused)),
            Self::Outage => Failure::Unclear(UpstreamError {
                retry_after: Some(Duration::from_secs(30)),
                ..UpstreamError::new(ErrorKind::XataError)
            }),
            Self::NoResponse(_) | Self::Crash(_) => Failure::Unclear(timeout()),
        })
    }
}

/// The error of a request to Clerk that the fault interrupts.
fn clerk_error(fault: Fault) -> UpstreamError {
    UpstreamError::new(match fault {
        Fault::KeyRefused => ErrorKind::ClerkKeyRefused,
        _ => ErrorKind::ClerkUnavailable,
    })
}

pub fn timeout() -> UpstreamError {
    UpstreamError::new(ErrorKind::XataTimeout)
}

/// The effect of a request whose response is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    None,
    Applied,
    /// The request may take effect later.
    Detached,
}

impl Effect {
    pub const ALL: [Self; 3] = [Self::None, Self::Applied, Self::Detached];
}

impl CreationModel {
    /// The platform. The home of the first user is the first project, that of the second user is
    /// the added project.
    pub fn new(budget: Budget) -> Self {
        let ids = PROJECTS.map(|id| ProjectId::try_from(id).expect("an id"));
        let order = |name: &str, n: usize| {
            let projects = Projects::new(ids[..n].to_vec()).expect("projects");
            let order = projects.for_user(&name.try_into().expect("a name"));
            let index = |id: &ProjectId| ids.iter().position(|it| it == id).expect("one of them");
            order.into_iter().map(index).collect::<Vec<_>>()
        };
        let orders = ["user_1", "user_2"].map(|name| [order(name, 1), order(name, 2)]);
        assert_eq!([orders[0][1][0], orders[1][1][0]], [0, 1], "the homes of the users");
        Self {
            rules: Rules::Product,
            has_clerk: false,
            duplicates: vec![Ok(Created::NameTaken)],
            addition: ProjectAddition::WhenStopped,
            budget,
            orders: orders.into(),
        }
    }

    /// The platform with a Clerk key, and the second user only: no request for a user's entry depends
    /// on another user, and one user allows more faults.
    pub fn of_one_user_with_clerk(budget: Budget) -> Self {
        let two_users = Self::new(budget);
        Self { has_clerk: true, orders: two_users.orders[1..].to_vec(), ..two_users }
    }

    fn project(&self, user: usize, n_projects: usize, rank: usize) -> usize {
        self.orders[user][n_projects - 1][rank]
    }

    fn can_add_project(&self, state: &State) -> bool {
        let is_quiet = |user: &User| {
            user.detached == [0, 0]
                && !user.events.iter().any(|event| matches!(event, Event::Running(_)))
        };
        let is_allowed =
            self.addition == ProjectAddition::WhileDelivering || state.users.iter().all(is_quiet);
        state.budget.additions > 0 && is_allowed
    }

    /// Whether the first attempt of an event of this user can be fresh.
    fn can_be_fresh(&self, state: &State, user: &User) -> bool {
        self.addition != ProjectAddition::WhenStopped
            || user.known_since.is_none_or(|n_projects| n_projects == state.n_projects)
    }

    fn event_actions(&self, state: &State, user: usize, event: &Event) -> Vec<EventAction> {
        let crashes = |effects: &[Effect]| effects.iter().copied().map(Fault::Crash).collect();
        let (mut event_actions, faults): (Vec<_>, Vec<_>) = match event {
            Event::Acknowledged | Event::Lost => (vec![], vec![]),
            Event::Pending { is_first, .. }
                if *is_first && self.can_be_fresh(state, &state.users[user]) =>
            {
                (vec![EventAction::Begin(false), EventAction::Begin(true)], vec![])
            }
            Event::Pending { .. } => (vec![EventAction::Begin(false)], vec![]),
            Event::Running(delivery) => match delivery.phase {
                Phase::Create => {
                    let home = self.project(user, delivery.n_projects, 0);
                    let responses = match state.users[user].databases[home] {
                        _ if state.at_quota => vec![None],
                        true => self.duplicates.iter().cloned().map(Some).collect(),
                        false => vec![Some(Ok(Created::New(database_in(home))))],
                    };
                    let mut faults: Vec<_> = crashes(&Effect::ALL);
                    faults.extend(Effect::ALL.map(Fault::NoResponse));
                    faults.extend([Fault::Contention, Fault::KeyRefused, Fault::Outage]);
                    (responses.into_iter().map(EventAction::Create).collect(), faults)
                }
                Phase::LookUp(_) => {
                    let mut faults: Vec<_> = crashes(&[Effect::None]);
                    faults.push(Fault::NoResponse(Effect::None));
                    (vec![EventAction::LookUp], faults)
                }
                Phase::Pause => {
                    let actions = vec![EventAction::EndPause, EventAction::SkipPause];
                    (actions, crashes(&[Effect::None]))
                }
                Phase::CheckUser => {
                    let mut faults: Vec<_> = crashes(&[Effect::None]);
                    faults.extend([Fault::NoResponse(Effect::None), Fault::KeyRefused]);
                    (vec![EventAction::AskClerk], faults)
                }
                Phase::WriteEntry(_) => {
                    let effects = [Effect::None, Effect::Applied];
                    let mut faults: Vec<_> = crashes(&effects);
                    faults.extend(effects.map(Fault::NoResponse));
                    faults.push(Fault::KeyRefused);
                    (vec![EventAction::AskClerk], faults)
                }
                Phase::Respond(_) => (vec![EventAction::Respond], crashes(&[Effect::None])),
            },
        };
        if state.budget.faults > 0 {
            event_actions.extend(faults.into_iter().map(EventAction::Fault));
        }
        event_actions
    }

    fn apply_event_action(
        &self,
        state: &mut State,
        user: usize,
        event: usize,
        action: EventAction,
    ) {
        let next = match action {
            EventAction::Begin(fresh) => return self.begin(state, user, event, fresh),
            EventAction::Fault(fault) => return self.apply_fault(state, user, event, fault),
            EventAction::Create(result) => {
                let home = self.project(user, state.users[user].running(event).n_projects, 0);
                state.apply(user, home);
                let refused = Err(Failure::Refused(UpstreamError::new(ErrorKind::StandingQuota)));
                let machine = &mut state.users[user].running(event).machine;
                self.rules.after_create(machine, result.unwrap_or(refused))
            }
            EventAction::LookUp => {
                let delivery = state.users[user].running(event);
                let Phase::LookUp(rank) = delivery.phase else { unreachable!() };
                let project = self.project(user, delivery.n_projects, rank);
                let exists = state.users[user].databases[project];
                let found = if exists { Ok(Some(database_in(project))) } else { Ok(None) };
                state.users[user].running(event).machine.after_look_up(found)
            }
            EventAction::AskClerk => {
                let user = &mut state.users[user];
                if let Phase::WriteEntry(project) = user.running(event).phase {
                    user.entry = Some(project);
                }
                let entry = user.entry.map(|project| (&database_in(project)).into());
                let status = Ok(UserStatus::Exists(entry));
                let Delivery { machine, phase, .. } = user.running(event);
                match phase {
                    Phase::CheckUser => machine.after_user_check(status),
                    _ => machine.after_write(status),
                }
            }
            EventAction::EndPause => state.users[user].running(event).machine.after_pause(),
            EventAction::SkipPause => state.users[user].running(event).machine.without_pause(),
            EventAction::Respond => {
                let delivery = state.users[user].running(event);
                let Phase::Respond(outcome) = delivery.phase else { unreachable!() };
                let n_refusals = delivery.n_refusals + u8::from(outcome == Outcome::QuotaReached);
                state.users[user].events[event] = match outcome {
                    Outcome::Done => Event::Acknowledged,
                    _ if n_refusals > self.budget.refusals => Event::Lost,
                    _ => Event::Pending { is_first: false, n_refusals },
                };
                return;
            }
        };
        state.users[user].running(event).advance(next);
    }

    fn begin(&self, state: &mut State, user: usize, event: usize, fresh: bool) {
        let n_projects = state.n_projects;
        let user = &mut state.users[user];
        let Event::Pending { n_refusals, .. } = user.events[event] else { unreachable!() };
        user.known_since.get_or_insert(n_projects);
        let (machine, next) = self.rules.begin(n_projects, fresh, self.has_clerk);
        let has_database = user.has_database();
        let mut delivery = Delivery {
            machine,
            phase: Phase::Pause,
            n_projects,
            n_requests: 0,
            n_refusals,
            had_fault: false,
            saw_database: has_database,
            saw_no_database: !has_database,
        };
        delivery.advance(next);
        user.events[event] = Event::Running(delivery);
    }

    fn apply_fault(&self, state: &mut State, user: usize, event: usize, fault: Fault) {
        state.budget.faults -= 1;
        let project = self.project(user, state.users[user].running(event).n_projects, 0);
        match (fault.effect(), state.users[user].running(event).phase) {
            (Effect::None, _) => {}
            (Effect::Applied, Phase::WriteEntry(project)) => {
                state.users[user].entry = Some(project);
            }
            (Effect::Applied, _) => state.apply(user, project),
            (Effect::Detached, _) => state.users[user].detached[project] += 1,
        }
        let delivery = state.users[user].running(event);
        delivery.had_fault = true;
        if matches!(fault, Fault::Crash(_)) {
            let n_refusals = delivery.n_refusals;
            state.users[user].events[event] = Event::Pending { is_first: false, n_refusals };
            return;
        }
        let next = match delivery.phase {
            Phase::Create => self.rules.after_create(&mut delivery.machine, fault.result()),
            Phase::CheckUser => delivery.machine.after_user_check(Err(clerk_error(fault))),
            Phase::WriteEntry(_) => {
                self.rules.after_failed_write(&mut delivery.machine, clerk_error(fault))
            }
            _ => delivery.machine.after_look_up(Err(timeout())),
        };
        delivery.advance(next);
    }
}

const PROJECTS: [&str; 2] = ["prj_a", "prj_b"];

pub fn database() -> Database {
    database_in(0)
}

fn database_in(project: usize) -> Database {
    Database {
        project: PROJECTS[project].try_into().expect("a project"),
        name: DatabaseName::try_from("user_1").expect("a name"),
        region: "us-east-1".try_into().expect("a region"),
        id: None,
    }
}

fn project_of(database: &Database) -> usize {
    PROJECTS.iter().position(|it| *it == database.project.as_str()).expect("one of them")
}

impl Model for CreationModel {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let users = vec![User::default(); self.orders.len()];
        vec![State { users, n_projects: 1, at_quota: false, budget: self.budget }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (user, it) in state.users.iter().enumerate() {
            // Two events in the same state have the same actions.
            let n_events = if it.events[0] == it.events[1] { 1 } else { 2 };
            for event in 0..n_events {
                let event_actions = self.event_actions(state, user, &it.events[event]).into_iter();
                actions.extend(event_actions.map(|action| Action::Event { user, event, action }));
            }
            for project in 0..2 {
                if it.detached[project] > 0 {
                    actions.extend([true, false].map(|applied| Action::Detached {
                        user,
                        project,
                        applied,
                    }));
                }
                if it.databases[project] && state.budget.removals > 0 {
                    actions.push(Action::Remove { user, project });
                }
            }
        }
        if self.can_add_project(state) {
            actions.push(Action::AddProject);
        }
        if state.at_quota {
            actions.push(Action::LiftQuota);
        } else if state.budget.quotas > 0 {
            actions.push(Action::ReachQuota);
        }
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut state = before.clone();
        match action {
            Action::Event { user, event, action } => {
                self.apply_event_action(&mut state, user, event, action);
            }
            Action::Detached { user, project, applied } => {
                state.users[user].detached[project] -= 1;
                if applied {
                    state.apply(user, project);
                }
            }
            Action::Remove { user, project } => {
                state.budget.removals -= 1;
                state.users[user].databases[project] = false;
                state.users[user].was_removed = true;
                // With a key, a name that was taken and is free again fails a delivery.
                if self.has_clerk {
                    state.users[user].running_mut().for_each(|delivery| delivery.had_fault = true);
                }
            }
            Action::AddProject => {
                state.budget.additions -= 1;
                state.n_projects += 1;
            }
            Action::ReachQuota => {
                state.budget.quotas -= 1;
                state.at_quota = true;
            }
            Action::LiftQuota => state.at_quota = false,
        }
        state.users.iter_mut().for_each(User::observe);
        let max_refusals = self.budget.refusals;
        let has_less_work = state.work_left(max_refusals) < before.work_left(max_refusals);
        assert!(has_less_work || self.rules != Rules::Product, "{before:?} {state:?}");
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always("one user, one database", |_, state: &State| {
                state.users.iter().all(|user| user.n_databases() <= 1)
            }),
            Property::always("an acknowledged user has a database", |_, state: &State| {
                state.responses().all(|(user, delivery, outcome)| {
                    let exists = user.has_database() || user.was_removed;
                    outcome != Outcome::Done || (delivery.saw_database && exists)
                })
            }),
            Property::always("a delivery fails only with a cause", |_, state: &State| {
                state.responses().all(|(_, delivery, outcome)| match outcome {
                    Outcome::Done => true,
                    Outcome::QuotaReached => delivery.had_fault || delivery.saw_no_database,
                    Outcome::Failed => delivery.had_fault,
                })
            }),
            Property::always("a delivery has a bounded number of requests", |_, state: &State| {
                let mut deliveries = state.users.iter().flat_map(User::deliveries);
                deliveries.all(|delivery| delivery.n_requests <= MAX_REQUESTS)
            }),
            Property::always(
                "at rest, every user has a database",
                |model: &Self, state: &State| {
                    state.users.iter().all(|user| {
                        let is_over = |event| matches!(event, &Event::Acknowledged | &Event::Lost);
                        let is_at_rest = user.events.iter().all(is_over) && user.detached == [0, 0];
                        let is_lost = user.events.contains(&Event::Lost);
                        let had_database = user.n_databases() == 1 || user.was_removed;
                        !is_at_rest || had_database || (is_lost && model.budget.quotas > 0)
                    })
                },
            ),
        ];
        if self.has_clerk {
            properties.push(Property::always(
                "an acknowledged user has an entry",
                |_, state: &State| {
                    state.responses().all(|(user, _, outcome)| {
                        outcome != Outcome::Done || user.has_entry() || user.was_removed
                    })
                },
            ));
            properties.push(Property::always(
                "an acknowledged user keeps the entry",
                |_, state: &State| {
                    state.users.iter().all(|user| {
                        let is_acknowledged = user.events.contains(&Event::Acknowledged);
                        !is_acknowledged || user.has_entry() || user.was_removed
                    })
                },
            ));
            properties.push(Property::sometimes("a retry writes the entry", |_, state: &State| {
                let is_retry = |it: &Delivery| {
                    it.saw_database
                        && !it.saw_no_database
                        && matches!(it.phase, Phase::WriteEntry(_))
                };
                state.users.iter().any(|user| user.deliveries().any(is_retry))
            }));
        }
        // These show that the model reaches the states that the invariants are about.
        properties.push(Property::sometimes("both events run at once", |_, state: &State| {
            state.users.iter().all(|user| user.deliveries().count() == 2)
        }));
        if self.budget.additions > 0 {
            properties.push(Property::sometimes(
                "a database in the old project is found",
                |_, state: &State| {
                    let user = state.users.last().expect("a user");
                    let mut responses = state.responses();
                    state.n_projects == 2
                        && user.databases == [true, false]
                        && responses.any(|(it, delivery, outcome)| {
                            it == user && delivery.n_projects == 2 && outcome == Outcome::Done
                        })
                },
            ));
        }
        if self.budget.quotas > 0 {
            properties.push(Property::sometimes(
                "an event is lost at quota",
                |_, state: &State| {
                    state.users.iter().any(|user| user.events.contains(&Event::Lost))
                },
            ));
        }
        properties
    }
}

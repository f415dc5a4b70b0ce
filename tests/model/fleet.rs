//! Two users, what is sent about them, and all that can happen to it.
//!
//! A step is one thing that happens: a delivery begins, a request takes effect and is answered, a
//! process dies, an operator acts. An answer and the decision that follows it are one step, because
//! nobody can see a decision before the next request takes effect.

use std::time::Duration;

use per_user_db::error::{ErrorKind, UpstreamError};
use per_user_db::xata::{
    CreateResult, Created, Database, DatabaseName, Failure, ProjectId, Projects,
};
use stateright::{Model, Property};

use crate::rules::Rules;
use crate::state::{Budget, Delivery, Event, MOST_REQUESTS, Stage, State, User, Verdict};

/// A fleet of which everything that can happen is explored.
#[derive(Clone, Debug)]
pub struct Fleet {
    /// Who decides.
    pub rules: Rules,
    /// How Xata answers a create when the name is taken.
    pub duplicates: Vec<CreateResult>,
    /// When an operator may add a project to the list.
    pub growth: Growth,
    /// What can go wrong, and how often.
    pub budget: Budget,
    /// For each user, the projects in the order in which they are asked: of a list of one, of two.
    pub orders: [[Vec<usize>; 2]; 2],
}

/// When an operator may add a project to the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Growth {
    /// As docs/reliability.md says: while no delivery is under way, and after all events before it
    /// have grown old.
    Stopped,
    /// Any time.
    WhileDelivering,
    /// While no delivery is under way; the events before it are still young after it.
    WithinMinutes,
}

/// Something that happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// To this user's event at this place.
    Event(usize, usize, Turn),
    /// A detached create ends, in effect or not.
    Detached {
        user: usize,
        project: usize,
        applied: bool,
    },
    /// Somebody removes a database by hand.
    Remove {
        user: usize,
        project: usize,
    },
    /// A project joins the list.
    Grow,
    ReachQuota,
    LiftQuota,
}

/// What happens to an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Its delivery begins; whether it passes for fresh.
    Begin(bool),
    /// Xata does what it is asked to, and says so. At quota it does nothing, and says that.
    Create(Option<CreateResult>),
    LookUp,
    Elapse,
    /// Hookdeck hears the answer.
    Hear,
    Fault(Fault),
}

/// What goes wrong with a request, or with the process that waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Not done, and said so: the project is busy.
    Contention,
    /// Not done, and said so: the key could not be checked.
    KeyRefused,
    /// Not done, for half a minute.
    Outage,
    /// No answer.
    NoAnswer(Effect),
    /// The process ends; Hookdeck hears nothing.
    Death(Effect),
}

/// What became of the request that was under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    None,
    Applied,
    /// It may take effect later.
    Detached,
}

impl Effect {
    pub const ALL: [Self; 3] = [Self::None, Self::Applied, Self::Detached];
}

impl Fleet {
    /// A fleet on the platform, whose first user has the old project for a home and whose second
    /// has the one that joins.
    pub fn new(budget: Budget) -> Self {
        let ids = ["prj_a", "prj_b"].map(|id| ProjectId::try_from(id).expect("an id"));
        let order = |name: &str, n: usize| {
            let projects = Projects::new(ids[..n].to_vec()).expect("projects");
            let order = projects.for_user(&name.try_into().expect("a name"));
            let index = |id: &ProjectId| ids.iter().position(|it| it == id).expect("one of them");
            order.into_iter().map(index).collect::<Vec<_>>()
        };
        let orders = ["user_1", "user_2"].map(|name| [order(name, 1), order(name, 2)]);
        assert_eq!([orders[0][1][0], orders[1][1][0]], [0, 1], "a user of each project");
        Self {
            rules: Rules::Ours,
            duplicates: vec![Ok(Created::NameTaken)],
            growth: Growth::Stopped,
            budget,
            orders,
        }
    }

    fn project(&self, user: usize, n_projects: usize, rank: usize) -> usize {
        self.orders[user][n_projects - 1][rank]
    }

    fn may_grow(&self, state: &State) -> bool {
        let is_quiet = |user: &User| {
            user.detached == [0, 0]
                && !user.events.iter().any(|event| matches!(event, Event::Running(_)))
        };
        let is_stopped = self.growth == Growth::WhileDelivering || state.users.iter().all(is_quiet);
        state.left.growths > 0 && is_stopped
    }

    /// Whether the first attempt of an event of this user can be fresh.
    fn is_young(&self, state: &State, user: &User) -> bool {
        self.growth != Growth::Stopped
            || user.known_since.is_none_or(|n_projects| n_projects == state.n_projects)
    }

    fn turns(&self, state: &State, user: usize, event: &Event) -> Vec<Turn> {
        let deaths = |effects: &[Effect]| effects.iter().copied().map(Fault::Death).collect();
        let (mut turns, faults): (Vec<_>, Vec<_>) = match event {
            Event::Acknowledged | Event::Lost => (vec![], vec![]),
            Event::Due { is_first, .. }
                if *is_first && self.is_young(state, &state.users[user]) =>
            {
                (vec![Turn::Begin(false), Turn::Begin(true)], vec![])
            }
            Event::Due { .. } => (vec![Turn::Begin(false)], vec![]),
            Event::Running(delivery) => match delivery.stage {
                Stage::Create => {
                    let home = self.project(user, delivery.n_projects, 0);
                    let answers = match state.users[user].databases[home] {
                        _ if state.at_quota => vec![None],
                        true => self.duplicates.iter().cloned().map(Some).collect(),
                        false => vec![Some(Ok(Created::New(database())))],
                    };
                    let mut faults: Vec<_> = deaths(&Effect::ALL);
                    faults.extend(Effect::ALL.map(Fault::NoAnswer));
                    faults.extend([Fault::Contention, Fault::KeyRefused, Fault::Outage]);
                    (answers.into_iter().map(Turn::Create).collect(), faults)
                }
                Stage::LookUp(_) => {
                    let mut faults: Vec<_> = deaths(&[Effect::None]);
                    faults.push(Fault::NoAnswer(Effect::None));
                    (vec![Turn::LookUp], faults)
                }
                Stage::Pause => (vec![Turn::Elapse], deaths(&[Effect::None])),
                Stage::Answer(_) => (vec![Turn::Hear], deaths(&[Effect::None])),
            },
        };
        if state.left.faults > 0 {
            turns.extend(faults.into_iter().map(Turn::Fault));
        }
        turns
    }

    fn take(&self, state: &mut State, user: usize, event: usize, turn: Turn) {
        let next = match turn {
            Turn::Begin(fresh) => return self.begin(state, user, event, fresh),
            Turn::Fault(fault) => return self.fault(state, user, event, fault),
            Turn::Create(answer) => {
                let home = self.project(user, state.users[user].running(event).n_projects, 0);
                state.apply(user, home);
                let refused = Err(Failure::Refused(UpstreamError::new(ErrorKind::StandingQuota)));
                let machine = &mut state.users[user].running(event).machine;
                self.rules.after_create(machine, answer.unwrap_or(refused))
            }
            Turn::LookUp => {
                let delivery = state.users[user].running(event);
                let Stage::LookUp(rank) = delivery.stage else { unreachable!() };
                let project = self.project(user, delivery.n_projects, rank);
                let is_there = state.users[user].databases[project];
                let found = if is_there { Ok(Some(database())) } else { Ok(None) };
                state.users[user].running(event).machine.after_look_up(found)
            }
            Turn::Elapse => state.users[user].running(event).machine.after_pause(),
            Turn::Hear => {
                let delivery = state.users[user].running(event);
                let Stage::Answer(verdict) = delivery.stage else { unreachable!() };
                let n_refusals = delivery.n_refusals + u8::from(verdict == Verdict::NoRoom);
                state.users[user].events[event] = match verdict {
                    Verdict::Done => Event::Acknowledged,
                    _ if n_refusals > self.budget.refusals => Event::Lost,
                    _ => Event::Due { is_first: false, n_refusals },
                };
                return;
            }
        };
        state.users[user].running(event).go_on(next);
    }

    fn begin(&self, state: &mut State, user: usize, event: usize, fresh: bool) {
        let n_projects = state.n_projects;
        let user = &mut state.users[user];
        let Event::Due { n_refusals, .. } = user.events[event] else { unreachable!() };
        user.known_since.get_or_insert(n_projects);
        let (machine, next) = self.rules.begin(n_projects, fresh);
        let has_one = user.has_one();
        let mut delivery = Delivery {
            machine,
            stage: Stage::Pause,
            n_projects,
            n_requests: 0,
            n_refusals,
            was_struck: false,
            saw_one: has_one,
            saw_none: !has_one,
        };
        delivery.go_on(next);
        user.events[event] = Event::Running(delivery);
    }

    fn fault(&self, state: &mut State, user: usize, event: usize, fault: Fault) {
        state.left.faults -= 1;
        let awaited = state.users[user].running(event).stage;
        let effect = match fault {
            Fault::NoAnswer(effect) | Fault::Death(effect) => effect,
            Fault::Contention | Fault::KeyRefused | Fault::Outage => Effect::None,
        };
        let project = self.project(user, state.users[user].running(event).n_projects, 0);
        match effect {
            Effect::None => {}
            Effect::Applied => state.apply(user, project),
            Effect::Detached => state.users[user].detached[project] += 1,
        }
        let delivery = state.users[user].running(event);
        delivery.was_struck = true;
        let error = UpstreamError::new(ErrorKind::XataTimeout);
        let created = match fault {
            Fault::Death(_) => {
                let n_refusals = delivery.n_refusals;
                state.users[user].events[event] = Event::Due { is_first: false, n_refusals };
                return;
            }
            Fault::NoAnswer(_) if awaited != Stage::Create => {
                let unknown = Err(error);
                let next = delivery.machine.after_look_up(unknown);
                return delivery.go_on(next);
            }
            Fault::NoAnswer(_) => Err(Failure::Unclear(error)),
            Fault::Contention => Err(Failure::Refused(UpstreamError::new(ErrorKind::Contention))),
            Fault::KeyRefused => Err(Failure::Refused(UpstreamError::new(ErrorKind::KeyRefused))),
            Fault::Outage => Err(Failure::Unclear(UpstreamError {
                retry_after: Some(Duration::from_secs(30)),
                ..UpstreamError::new(ErrorKind::XataError)
            })),
        };
        let next = self.rules.after_create(&mut delivery.machine, created);
        delivery.go_on(next);
    }
}

pub fn database() -> Database {
    Database {
        project: "prj_a".try_into().expect("a project"),
        name: DatabaseName::try_from("user_1").expect("a name"),
        region: "us-east-1".try_into().expect("a region"),
        id: None,
    }
}

impl Model for Fleet {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        let users = <[User; 2]>::default();
        vec![State { users, n_projects: 1, at_quota: false, left: self.budget }]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        for (user, it) in state.users.iter().enumerate() {
            // Two events in the same state have the same future.
            let n_events = if it.events[0] == it.events[1] { 1 } else { 2 };
            for (event, its) in it.events.iter().enumerate().take(n_events) {
                let turns = self.turns(state, user, its).into_iter();
                steps.extend(turns.map(|turn| Step::Event(user, event, turn)));
            }
            for project in 0..2 {
                if it.detached[project] > 0 {
                    steps.extend([true, false].map(|applied| Step::Detached {
                        user,
                        project,
                        applied,
                    }));
                }
                if it.databases[project] && state.left.removals > 0 {
                    steps.push(Step::Remove { user, project });
                }
            }
        }
        if self.may_grow(state) {
            steps.push(Step::Grow);
        }
        if state.at_quota {
            steps.push(Step::LiftQuota);
        } else if state.left.quotas > 0 {
            steps.push(Step::ReachQuota);
        }
    }

    fn next_state(&self, before: &State, step: Step) -> Option<State> {
        let mut state = before.clone();
        match step {
            Step::Event(user, event, turn) => self.take(&mut state, user, event, turn),
            Step::Detached { user, project, applied } => {
                state.users[user].detached[project] -= 1;
                if applied {
                    state.apply(user, project);
                }
            }
            Step::Remove { user, project } => {
                state.left.removals -= 1;
                state.users[user].databases[project] = false;
                state.users[user].was_removed = true;
            }
            Step::Grow => {
                state.left.growths -= 1;
                state.n_projects += 1;
            }
            Step::ReachQuota => {
                state.left.quotas -= 1;
                state.at_quota = true;
            }
            Step::LiftQuota => state.at_quota = false,
        }
        state.users.iter_mut().for_each(User::settle);
        let most_refusals = self.budget.refusals;
        let is_less = state.ahead(most_refusals) < before.ahead(most_refusals);
        assert!(is_less || self.rules != Rules::Ours, "{before:?} {state:?}");
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always("one user, one database", |_, state: &State| {
                state.users.iter().all(|user| user.n_databases() <= 1)
            }),
            Property::always("what is acknowledged is there", |_, state: &State| {
                state.answers().all(|(user, delivery, verdict)| {
                    let is_there = user.has_one() || user.was_removed;
                    verdict != Verdict::Done || (delivery.saw_one && is_there)
                })
            }),
            Property::always("a delivery fails for a cause", |_, state: &State| {
                state.answers().all(|(_, delivery, verdict)| match verdict {
                    Verdict::Done => true,
                    Verdict::NoRoom => delivery.was_struck || delivery.saw_none,
                    Verdict::Failed => delivery.was_struck,
                })
            }),
            Property::always("a delivery ends", |_, state: &State| {
                let mut deliveries = state.users.iter().flat_map(User::deliveries);
                deliveries.all(|delivery| delivery.n_requests <= MOST_REQUESTS)
            }),
            Property::always("at rest, everybody is served", |fleet: &Fleet, state: &State| {
                state.users.iter().all(|user| {
                    let is_over = |event| matches!(event, &Event::Acknowledged | &Event::Lost);
                    let is_at_rest = user.events.iter().all(is_over) && user.detached == [0, 0];
                    let is_lost = user.events.contains(&Event::Lost);
                    let is_served = user.n_databases() == 1 || user.was_removed;
                    !is_at_rest || is_served || (is_lost && fleet.budget.quotas > 0)
                })
            }),
        ];
        // And none of it holds only because nothing happens.
        properties.push(Property::sometimes("both events run at once", |_, state: &State| {
            state.users.iter().all(|user| user.deliveries().count() == 2)
        }));
        if self.budget.growths > 0 {
            properties.push(Property::sometimes(
                "an old database is adopted",
                |_, state: &State| {
                    let [_, user] = &state.users;
                    let mut answers = state.answers();
                    state.n_projects == 2
                        && user.databases == [true, false]
                        && answers.any(|(it, delivery, verdict)| {
                            it == user && delivery.n_projects == 2 && verdict == Verdict::Done
                        })
                },
            ));
        }
        if self.budget.quotas > 0 {
            properties.push(Property::sometimes("there is no room", |_, state: &State| {
                state.users.iter().any(|user| user.events.contains(&Event::Lost))
            }));
        }
        properties
    }
}

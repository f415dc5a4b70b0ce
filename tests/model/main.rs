//! Every order of everything that can happen to users, explored with the function's own decisions
//! ([`per_user_db::provision::Ensure`], [`per_user_db::provision::Remove`]).
//!
//! [`Fleet`]: two users sign up, and each sign-up is sent twice. Each delivery may be struck: a busy project,
//! a key that cannot be checked, an outage, an answer that is lost before or after its effect, a
//! create that takes effect later, a process that dies at any of its awaits. Meanwhile a quota is
//! reached and lifted, a project joins the list, and somebody removes a database by hand.
//!
//! [`Life`]: one user signs up and may leave, and each of the two is sent twice; a deletion may also
//! be sent of a user who is there. Deliveries are struck likewise, and Clerk may not answer.
//!
//! All of this is counted, so every path ends, which each step asserts; and each state that can be
//! reached is checked.
#![allow(clippy::print_stderr, reason = "it says how much was explored")]
#![allow(missing_docs, unreachable_pub, reason = "nobody calls a test")]

mod fleet;
mod life;
mod rules;
mod state;

use std::fmt::Debug;
use std::hash::Hash;
use std::io::Write as _;

use per_user_db::error::{ErrorKind, UpstreamError};
use per_user_db::xata::{Created, Failure};
use stateright::{Checker, CheckerBuilder, Expectation, HasDiscoveries, Model, Property};

use crate::fleet::{Fleet, Growth};
use crate::life::{Leaving, Life, Removal, Rules as LifeRules};
use crate::rules::Rules;
use crate::state::Budget;

const NOTHING: Budget = Budget { faults: 0, removals: 0, quotas: 0, refusals: 0, growths: 0 };

/// What `cargo test` explores; each line within seconds.
const SMALL: [Budget; 4] = [
    Budget { faults: 2, ..NOTHING },
    Budget { faults: 1, quotas: 1, ..NOTHING },
    Budget { faults: 1, removals: 1, growths: 1, ..NOTHING },
    Budget { removals: 1, quotas: 1, growths: 1, ..NOTHING },
];

/// What `MODEL=large` explores.
const LARGE: [Budget; 3] = [
    Budget { faults: 3, ..NOTHING },
    Budget { faults: 2, removals: 1, growths: 1, ..NOTHING },
    Budget { faults: 1, removals: 1, quotas: 1, refusals: 1, growths: 1 },
];

fn check<M>(model: M) -> CheckerBuilder<M>
where
    M: Model<State: Hash + Send + Sync> + Send + Sync + 'static,
{
    model.checker().threads(std::thread::available_parallelism().map_or(1, Into::into))
}

/// All of its promises hold. Says how much was explored even where the output of tests is kept back.
fn holds<M>(what: &str, budget: impl Debug, model: M)
where
    M: Model<State: Clone + Debug + Hash + PartialEq + Send + Sync> + Send + Sync + 'static,
    M::Action: Clone + Debug + PartialEq,
{
    let checker = check(model).spawn_bfs().join();
    let n_states = checker.unique_state_count();
    let _ = writeln!(std::io::stderr(), "model: {what}, {budget:?}: {n_states} states");
    checker.assert_properties();
}

/// This promise is broken, by the shortest story that breaks it.
fn breaks<M>(promise: &'static str, model: M)
where
    M: Model<State: Clone + Hash + PartialEq + Send + Sync> + Send + Sync + 'static,
    M::Action: Clone + PartialEq,
{
    let until = HasDiscoveries::AnyOf([promise].into());
    let path = check(model).finish_when(until).spawn_bfs().join().discovery(promise);
    assert!(path.is_some(), "nothing breaks \"{promise}\"");
}

/// This promise is broken, and no other one.
fn breaks_nothing_but<M>(promise: &'static str, model: M)
where
    M: Model<State: Clone + Hash + PartialEq + Send + Sync> + Send + Sync + 'static,
    M::Action: Clone + PartialEq,
{
    let is_promise = |it: &Property<M>| it.expectation == Expectation::Always;
    let promises = model.properties().into_iter().filter(is_promise).map(|it| it.name);
    let promises: Vec<_> = promises.collect();
    let stories = check(model).spawn_bfs().join().discoveries();
    let broken: Vec<_> = promises.into_iter().filter(|it| stories.contains_key(it)).collect();
    assert_eq!(broken, [promise]);
}

fn budgets() -> Vec<Budget> {
    match std::env::var("MODEL").as_deref() {
        Ok("large") => [&SMALL[..], &LARGE].concat(),
        _ => SMALL.to_vec(),
    }
}

#[test]
fn everybody_gets_one_database_on_the_platform() {
    for budget in budgets() {
        holds("platform", budget, Fleet::new(budget));
    }
}

#[test]
fn everybody_gets_one_database_on_xata_lite() {
    // Whatever it answers when the name is taken (contracts/xata-lite.md section 3.2).
    let refused = |reason| Err(Failure::Refused(UpstreamError::new(reason)));
    let duplicates = vec![
        Ok(Created::New(fleet::database())),
        refused(ErrorKind::Locked),
        refused(ErrorKind::RequestRejected),
    ];
    for budget in budgets().into_iter().filter(|budget| budget.growths == 0) {
        let fleet = Fleet { duplicates: duplicates.clone(), ..Fleet::new(budget) };
        holds("Lite", budget, fleet);
    }
}

#[test]
fn listing_before_creating_fails_copies_that_arrive_together() {
    let fleet = Fleet { rules: Rules::ListThenCreate, ..Fleet::new(NOTHING) };
    breaks("a delivery fails for a cause", fleet);
}

#[test]
fn acknowledging_a_create_without_an_answer_loses_users() {
    let budget = Budget { faults: 1, ..NOTHING };
    let fleet = Fleet { rules: Rules::AcknowledgeOnTimeout, ..Fleet::new(budget) };
    breaks("what is acknowledged is there", fleet);
}

#[test]
fn believing_a_quota_denies_databases_that_exist() {
    let budget = Budget { quotas: 1, ..NOTHING };
    let fleet = Fleet { rules: Rules::BelieveTheQuota, ..Fleet::new(budget) };
    breaks("a delivery fails for a cause", fleet);
}

#[test]
fn ignoring_the_older_projects_makes_second_databases() {
    let budget = Budget { growths: 1, ..NOTHING };
    let fleet = Fleet { rules: Rules::IgnoreOldProjects, ..Fleet::new(budget) };
    breaks("one user, one database", fleet);
}

/// Why the function is stopped for five minutes before a project joins (docs/reliability.md).
#[test]
fn a_project_that_joins_while_the_function_runs_can_make_a_second_database() {
    let budget = Budget { growths: 1, ..NOTHING };
    for growth in [Growth::WhileDelivering, Growth::WithinMinutes] {
        breaks("one user, one database", Fleet { growth, ..Fleet::new(budget) });
    }
}

const GONE: &str = "at rest, who is gone has none";
const HERE: &str = "at rest, who is here has one";
const ROBBED: &str = "nothing is taken from who is here";

const UNEVENTFUL: life::Budget = life::Budget { faults: 0, forgeries: 0 };
const ONE_FAULT: life::Budget = life::Budget { faults: 1, ..UNEVENTFUL };
const A_FORGERY: life::Budget = life::Budget { forgeries: 1, ..UNEVENTFUL };

fn lives() -> Vec<life::Budget> {
    let small = [life::Budget { faults: 2, ..UNEVENTFUL }, life::Budget { faults: 1, ..A_FORGERY }];
    let large = [life::Budget { faults: 4, ..UNEVENTFUL }, life::Budget { faults: 3, ..A_FORGERY }];
    match std::env::var("MODEL").as_deref() {
        Ok("large") => [small, large].concat(),
        _ => small.to_vec(),
    }
}

#[test]
fn who_stays_has_one_database_and_who_left_has_none() {
    for budget in lives() {
        for (removal, n_projects) in
            [(Removal::Delete, 1), (Removal::Delete, 2), (Removal::Park, 1), (Removal::Park, 2)]
        {
            let what = format!("life, {removal:?}, n_projects: {n_projects}");
            holds(&what, budget, Life { removal, n_projects, ..Life::new(budget) });
        }
    }
}

/// Why a deletion wants quiet (docs/reliability.md).
#[test]
fn a_sign_up_that_is_under_way_while_its_user_leaves_can_outlast_the_deletion() {
    for leaving in [Leaving::WhileDelivering, Leaving::WhileXataWorks, Leaving::AfterTenMinutes] {
        breaks_nothing_but(GONE, Life { leaving, ..Life::new(ONE_FAULT) });
    }
}

#[test]
fn a_clerk_that_lags_behind_its_events_keeps_databases_of_users_who_left() {
    let leaving = Leaving::BeforeClerkKnows;
    breaks_nothing_but(GONE, Life { leaving, ..Life::new(ONE_FAULT) });
}

#[test]
fn without_a_key_a_replay_resurrects_and_a_forgery_robs() {
    breaks(GONE, Life { rules: LifeRules::WithoutKey, ..Life::new(UNEVENTFUL) });
    breaks(ROBBED, Life { rules: LifeRules::WithoutKey, ..Life::new(A_FORGERY) });
}

#[test]
fn a_late_sign_up_that_does_not_ask_resurrects() {
    breaks(GONE, Life { rules: LifeRules::SignUpsAskNobody, ..Life::new(UNEVENTFUL) });
}

#[test]
fn a_deletion_that_does_not_wait_is_undone_by_a_fresh_sign_up() {
    breaks(GONE, Life { rules: LifeRules::DoNotWait, ..Life::new(UNEVENTFUL) });
}

#[test]
fn taking_clerks_silence_for_an_absence_loses_users_and_robs_them() {
    breaks(HERE, Life { rules: LifeRules::BelieveSilence, ..Life::new(ONE_FAULT) });
    let budget = life::Budget { faults: 1, forgeries: 1 };
    breaks(ROBBED, Life { rules: LifeRules::BelieveSilence, ..Life::new(budget) });
}

#[test]
fn taking_a_list_that_could_not_be_read_for_an_absence_keeps_databases_of_users_who_left() {
    breaks(GONE, Life { rules: LifeRules::BelieveUnreadLists, ..Life::new(ONE_FAULT) });
}

#[test]
fn taking_a_removal_without_an_answer_for_done_keeps_databases_of_users_who_left() {
    breaks(GONE, Life { rules: LifeRules::AcknowledgeOnTimeout, ..Life::new(ONE_FAULT) });
}

#[test]
fn looking_in_the_home_project_only_keeps_databases_of_users_who_left() {
    breaks(GONE, Life { rules: LifeRules::IgnoreOldProjects, ..Life::new(UNEVENTFUL) });
}

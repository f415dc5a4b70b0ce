//! Every order of everything that can happen to two users, explored with the function's own
//! decisions ([`per_user_db::provision::Ensure`]).
//!
//! Two users sign up, and each sign-up is sent twice. Each delivery may be struck: a busy project,
//! a key that cannot be checked, an outage, an answer that is lost before or after its effect, a
//! create that takes effect later, a process that dies at any of its awaits. Meanwhile a quota is
//! reached and lifted, a project joins the list, and somebody removes a database by hand. All of
//! this is counted, so every path ends, which each step asserts; and each state that can be reached
//! is checked.
#![allow(clippy::print_stderr, reason = "it says how much was explored")]
#![allow(missing_docs, unreachable_pub, reason = "nobody calls a test")]

mod fleet;
mod rules;
mod state;

use std::io::Write as _;

use per_user_db::trouble::{Reason, Trouble};
use per_user_db::xata::Created;
use stateright::{Checker, Model};

use crate::fleet::{Fleet, Growth};
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

fn explore(fleet: Fleet) -> impl Checker<Fleet> {
    let threads = std::thread::available_parallelism().map_or(1, Into::into);
    fleet.checker().threads(threads).spawn_bfs().join()
}

/// Says how much was explored even where the output of tests is kept back.
fn report(what: &str, budget: Budget, n_states: usize) {
    let _ = writeln!(std::io::stderr(), "model: {what}, {budget:?}: {n_states} states");
}

fn holds(what: &str, fleet: Fleet) {
    let budget = fleet.budget;
    let checker = explore(fleet);
    report(what, budget, checker.unique_state_count());
    checker.assert_properties();
}

/// The promise that is broken, by the shortest story that breaks it.
fn breaks(promise: &'static str, fleet: Fleet) {
    let path = explore(fleet).discovery(promise);
    assert!(path.is_some(), "nothing breaks \"{promise}\"");
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
        holds("platform", Fleet::new(budget));
    }
}

#[test]
fn everybody_gets_one_database_on_xata_lite() {
    // Whatever it answers when the name is taken (contracts/xata-lite.md section 3.2).
    let refused = |reason| Created::Refused(Trouble::silent(reason));
    let duplicates = vec![
        Created::Made(fleet::database()),
        refused(Reason::Locked),
        refused(Reason::RequestRejected),
    ];
    for budget in budgets().into_iter().filter(|budget| budget.growths == 0) {
        holds("Lite", Fleet { duplicates: duplicates.clone(), ..Fleet::new(budget) });
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

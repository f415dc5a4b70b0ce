//! Model checking: every order of deliveries, faults and changes by an operator, with the function's
//! own decisions ([`per_user_db::provision::Ensure`], [`per_user_db::provision::Remove`]).
//!
//! [`CreationModel`]: two users sign up, and each sign-up is sent twice. The faults are a busy project,
//! a key that cannot be checked, an outage, a response that is lost before or after the request's
//! effect, a create that takes effect later, and a crash at any await. Meanwhile a quota is reached
//! and lifted, a project is added, and an operator removes a database. With a Clerk key, requests to
//! Clerk fail, too, and there is mostly one user, who allows more faults.
//!
//! [`DeletionModel`]: one user signs up and may be deleted, and each event is sent twice. A deletion of
//! an existing user may be sent, too. The faults are the same, and Clerk may not respond.
//!
//! Each of these happens a limited number of times, so every path ends, which each action asserts.
//! Each reachable state is checked.
#![allow(clippy::print_stderr, reason = "a test prints the number of states")]
#![allow(missing_docs, unreachable_pub, reason = "no other crate uses a test")]

mod creation;
mod deletion;

use std::fmt::Debug;
use std::hash::Hash;
use std::io::Write as _;

use per_user_db::error::{ErrorKind, UpstreamError};
use per_user_db::xata::{Created, Failure};
use stateright::{Checker, CheckerBuilder, Expectation, HasDiscoveries, Model, Property};

use crate::creation::{Budget, CreationModel, ProjectAddition, Rules};
use crate::deletion::{DeletionModel, Overlap, Removal, Rules as DeletionRules};

const EMPTY: Budget = Budget { faults: 0, removals: 0, quotas: 0, refusals: 0, additions: 0 };

/// The budgets of `cargo test`. Each takes seconds.
const SMALL: [Budget; 4] = [
    Budget { faults: 2, ..EMPTY },
    Budget { faults: 1, quotas: 1, ..EMPTY },
    Budget { faults: 1, removals: 1, additions: 1, ..EMPTY },
    Budget { removals: 1, quotas: 1, additions: 1, ..EMPTY },
];

/// The budgets of `MODEL=large`, which contain those of `cargo test`.
const LARGE: [Budget; 4] = [
    Budget { faults: 3, ..EMPTY },
    Budget { faults: 2, removals: 1, additions: 1, ..EMPTY },
    Budget { faults: 1, quotas: 1, refusals: 1, ..EMPTY },
    Budget { removals: 1, quotas: 1, refusals: 1, additions: 1, ..EMPTY },
];

fn check<M>(model: M) -> CheckerBuilder<M>
where
    M: Model<State: Hash + Send + Sync> + Send + Sync + 'static,
{
    model.checker().threads(std::thread::available_parallelism().map_or(1, Into::into))
}

/// Checks all invariants. Prints the number of states even where the output of tests is captured.
fn assert_holds<M>(name: &str, budget: impl Debug, model: M)
where
    M: Model<State: Clone + Debug + Hash + PartialEq + Send + Sync> + Send + Sync + 'static,
    M::Action: Clone + Debug + PartialEq,
{
    let checker = check(model).spawn_bfs().join();
    let n_states = checker.unique_state_count();
    let _ = writeln!(std::io::stderr(), "model: {name}, {budget:?}: {n_states} states");
    checker.assert_properties();
}

/// Checks that an invariant is violated.
fn assert_violates<M>(invariant: &'static str, model: M)
where
    M: Model<State: Clone + Hash + PartialEq + Send + Sync> + Send + Sync + 'static,
    M::Action: Clone + PartialEq,
{
    let until = HasDiscoveries::AnyOf([invariant].into());
    let path = check(model).finish_when(until).spawn_bfs().join().discovery(invariant);
    assert!(path.is_some(), "no path violates \"{invariant}\"");
}

/// Checks that an invariant is violated, and no other one.
fn assert_violates_only<M>(invariant: &'static str, model: M)
where
    M: Model<State: Clone + Hash + PartialEq + Send + Sync> + Send + Sync + 'static,
    M::Action: Clone + PartialEq,
{
    let is_invariant = |it: &Property<M>| it.expectation == Expectation::Always;
    let invariants = model.properties().into_iter().filter(is_invariant).map(|it| it.name);
    let mut violated: Vec<_> = invariants.collect();
    let discoveries = check(model).spawn_bfs().join().discoveries();
    violated.retain(|it| discoveries.contains_key(it));
    assert_eq!(violated, [invariant]);
}

fn budgets<'a, B>(small: &'a [B], large: &'a [B]) -> &'a [B] {
    if std::env::var("MODEL").is_ok_and(|value| value == "large") { large } else { small }
}

#[test]
fn every_user_gets_one_database_on_the_platform() {
    for &budget in budgets(&SMALL, &LARGE) {
        assert_holds("platform", budget, CreationModel::new(budget));
    }
}

#[test]
fn with_a_clerk_key_every_acknowledged_user_has_an_entry() {
    let small = [&SMALL[..], &[Budget { faults: 3, ..EMPTY }]].concat();
    let large = [&LARGE[..], &[Budget { faults: 4, removals: 1, ..EMPTY }]].concat();
    for &budget in budgets(&small, &large) {
        let model = CreationModel::of_one_user_with_clerk(budget);
        assert_holds("one user with a Clerk key", budget, model);
    }
    for &budget in budgets(&[], &[Budget { faults: 1, ..EMPTY }]) {
        let model = CreationModel { has_clerk: true, ..CreationModel::new(budget) };
        assert_holds("two users with a Clerk key", budget, model);
    }
}

#[test]
fn acknowledging_a_sign_up_without_its_entry_leaves_users_without_one() {
    let (rules, budget) = (Rules::BestEffortEntry, Budget { faults: 1, ..EMPTY });
    let model = CreationModel { rules, ..CreationModel::of_one_user_with_clerk(budget) };
    assert_violates("an acknowledged user has an entry", model);
}

#[test]
fn every_user_gets_one_database_on_xata_lite() {
    // The status for a taken name is unknown (docs/vendors/xata.md, "Lite: creating a database").
    let refused = |reason| Err(Failure::Refused(UpstreamError::new(reason)));
    let duplicates = vec![
        Ok(Created::New(creation::database())),
        refused(ErrorKind::Locked),
        refused(ErrorKind::RequestRejected),
    ];
    for &budget in budgets(&SMALL, &LARGE).iter().filter(|budget| budget.additions == 0) {
        let model = CreationModel { duplicates: duplicates.clone(), ..CreationModel::new(budget) };
        assert_holds("Lite", budget, model);
    }
}

/// Checks that creation with other rules violates an invariant.
fn creation_violates(invariant: &'static str, rules: Rules, budget: Budget) {
    assert_violates(invariant, CreationModel { rules, ..CreationModel::new(budget) });
}

#[test]
fn listing_before_creating_fails_concurrent_deliveries() {
    creation_violates("a delivery fails only with a cause", Rules::ListThenCreate, EMPTY);
}

#[test]
fn acknowledging_a_create_without_a_response_loses_users() {
    let budget = Budget { faults: 1, ..EMPTY };
    let rules = Rules::AcknowledgeOnTimeout;
    creation_violates("an acknowledged user has a database", rules, budget);
}

#[test]
fn trusting_a_quota_error_denies_databases_that_exist() {
    let budget = Budget { quotas: 1, ..EMPTY };
    creation_violates("a delivery fails only with a cause", Rules::TrustQuotaError, budget);
}

#[test]
fn ignoring_the_older_projects_creates_second_databases() {
    let budget = Budget { additions: 1, ..EMPTY };
    creation_violates("one user, one database", Rules::IgnoreOldProjects, budget);
}

/// The reason why the function is stopped for five minutes before a project is added
/// (docs/reliability.md).
#[test]
fn a_project_added_while_the_function_runs_can_cause_a_second_database() {
    let budget = Budget { additions: 1, ..EMPTY };
    for addition in [ProjectAddition::WhileDelivering, ProjectAddition::WithinMinutes] {
        let model = CreationModel { addition, ..CreationModel::new(budget) };
        assert_violates("one user, one database", model);
    }
}

const DELETED_HAS_NONE: &str = "at rest, a deleted user has no database";
const EXISTING_HAS_ONE: &str = "at rest, an existing user has one database";
const EXISTING_KEEPS: &str = "no database of an existing user is removed";

const NO_FAULT: deletion::Budget = deletion::Budget { faults: 0, forgeries: 0 };
const ONE_FAULT: deletion::Budget = deletion::Budget { faults: 1, ..NO_FAULT };
const ONE_FORGERY: deletion::Budget = deletion::Budget { forgeries: 1, ..NO_FAULT };

/// Checks that deletion with other rules violates an invariant.
fn deletion_violates(invariant: &'static str, rules: DeletionRules, budget: deletion::Budget) {
    assert_violates(invariant, DeletionModel { rules, ..DeletionModel::new(budget) });
}

#[test]
fn an_existing_user_has_one_database_and_a_deleted_user_has_none() {
    let budget = |faults, forgeries| deletion::Budget { faults, forgeries };
    let small = [(Removal::Delete, 2), (Removal::Park, 1)];
    let large = [&small[..], &[(Removal::Delete, 1), (Removal::Park, 2)]].concat();
    for &budget in budgets(&[budget(2, 0), budget(1, 1)], &[budget(3, 0), budget(2, 1)]) {
        for &(removal, n_projects) in budgets(&small, &large) {
            let name = format!("deletion, {removal:?}, n_projects: {n_projects}");
            let model = DeletionModel { removal, n_projects, ..DeletionModel::new(budget) };
            assert_holds(&name, budget, model);
        }
    }
}

/// The reason for the conditions of a deletion in docs/reliability.md.
#[test]
fn a_deletion_beside_a_sign_up_or_a_stale_clerk_can_keep_a_database() {
    for overlap in
        [Overlap::LateDelivery, Overlap::LateCreate, Overlap::FreshCreate, Overlap::StaleClerk]
    {
        let model = DeletionModel { overlap, ..DeletionModel::new(ONE_FAULT) };
        assert_violates_only(DELETED_HAS_NONE, model);
    }
}

#[test]
fn without_a_key_a_replay_recreates_and_a_forgery_removes_a_database() {
    deletion_violates(DELETED_HAS_NONE, DeletionRules::WithoutKey, NO_FAULT);
    deletion_violates(EXISTING_KEEPS, DeletionRules::WithoutKey, ONE_FORGERY);
}

#[test]
fn treating_a_failed_user_check_as_a_deleted_user_loses_users_and_databases() {
    let rules = DeletionRules::FailedCheckMeansDeleted;
    deletion_violates(EXISTING_HAS_ONE, rules, ONE_FAULT);
    deletion_violates(EXISTING_KEEPS, rules, deletion::Budget { forgeries: 1, ..ONE_FAULT });
}

#[test]
fn other_rules_keep_or_recreate_databases_of_deleted_users() {
    for (rules, budget) in [
        (DeletionRules::NoUserCheckOfSignUps, NO_FAULT),
        (DeletionRules::NoWait, NO_FAULT),
        (DeletionRules::FailedLookUpMeansAbsent, ONE_FAULT),
        (DeletionRules::AcknowledgeOnTimeout, ONE_FAULT),
        (DeletionRules::IgnoreOldProjects, NO_FAULT),
    ] {
        deletion_violates(DELETED_HAS_NONE, rules, budget);
    }
}

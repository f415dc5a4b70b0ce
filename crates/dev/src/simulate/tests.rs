//! The invariants must notice when a precondition of theirs is taken away.

use std::time::Duration;

use standin::clerk::user_id_at;
use standin::clock::START;

use super::invariants;
use super::run;
use super::scenario::{Plan, Scenario};
use crate::services::Api;

const PLAN: Plan =
    Plan { users: 5, faults_per_cent: 10, concurrency: 2, one_process: false, outage_hours: None };

/// The violations in some scenarios with deleted users, after this change to each.
fn violations(change: fn(&mut Scenario)) -> Vec<String> {
    let scenarios = (0..400).map(|seed| Scenario::draw(seed, PLAN));
    let scenarios = scenarios.filter(|it| it.users.iter().any(|user| user.deleted_at.is_some()));
    let mut violations = Vec::new();
    for mut scenario in scenarios {
        change(&mut scenario);
        violations.extend(run::simulate(scenario, false).expect("the run ends").violations);
    }
    violations
}

fn assert_has(violations: &[String], text: &str) {
    assert!(violations.iter().any(|it| it.contains(text)), "{text}: {violations:?}");
}

#[test]
fn unchanged_scenarios_violate_nothing() {
    assert_eq!(violations(|_| {}), <[String; 0]>::default());
}

#[test]
fn eight_deliveries_at_once_in_one_process_violate_nothing() {
    let violations = violations(|scenario| {
        (scenario.concurrency, scenario.one_process) = (8, true);
    });
    assert_eq!(violations, <[String; 0]>::default());
}

#[test]
fn without_a_clerk_key_repeated_sign_ups_restore_databases_and_false_deletions_remove_them() {
    let violations = violations(|scenario| scenario.has_clerk_key = false);
    let restored = ["a database was created for a deleted user", "ends with [D"];
    let removed = ["was removed", "answered removed: the user exists", "ends with []"];
    for text in restored.into_iter().chain(removed) {
        assert_has(&violations, text);
    }
}

#[test]
fn the_sign_up_undoes_a_deletion_that_does_not_wait() {
    // The user ids claim an earlier sign-up, after which no deletion has to wait.
    let violations = violations(|scenario| {
        for (seed, user) in (0..).zip(&mut scenario.users) {
            let signed_up_at = START + user.signed_up_at;
            let second = signed_up_at.saturating_sub(Duration::from_hours(1)).as_secs();
            user.id = user_id_at(seed, second);
        }
    });
    for text in ["a database was created for a deleted user", "ends with [D"] {
        assert_has(&violations, text);
    }
}

#[test]
fn the_end_of_a_load_notices_a_second_database() {
    let scenario = Scenario { n_projects: 2, ..Scenario::draw(0, PLAN) };
    run::runtime().expect("a runtime").block_on(async {
        let simulation = run::Simulation::new(Scenario { api: Api::Platform, ..scenario });
        let fixture = &simulation.expect("a world").fixture;
        let user = &fixture.scenario.users[0];
        let violations = || {
            invariants::check_end_of_load(fixture);
            std::mem::take(&mut fixture.record.lock().violations)
        };
        for (n_databases, project) in
            ["prj_00000000000000000000000dev", "prj_second"].iter().enumerate()
        {
            assert_eq!(violations().len(), 0, "with {n_databases}");
            fixture.services.xata.insert(project, user.region, [user.id.clone()]);
        }
        assert_has(&violations(), "has two databases");
    });
}

//! `ops audit`.

use serde_json::{Value, json};
use standin::clerk::{SignUp, user_id};
use standin::fault::{CannedResponse, Effect, Fault};
use standin::xata::platform::NewDatabase;

use super::world::{Fleet, REGION};
use crate::world::PROJECTS;

/// The kinds of the findings, and whom they are about.
fn findings(report: &Value) -> Vec<(String, String)> {
    let text = |finding: &Value, name: &str| finding[name].as_str().unwrap().to_owned();
    let findings = report["findings"].as_array().unwrap().iter();
    findings.map(|it| (text(it, "kind"), text(it, "user"))).collect()
}

fn finding(kind: &str, user: &str) -> (String, String) {
    (kind.to_owned(), user.to_owned())
}

/// Everything that can differ, once.
fn broken() -> (Fleet, [String; 6]) {
    let fleet = Fleet::start(200);
    let [unlinked, wrong, twice, elsewhere, gone] = [1, 2, 3, 4, 5].map(|n| fleet.users[n].clone());
    let missing = user_id(900);
    let clerk = &fleet.world.clerk;
    clerk.insert(SignUp::new(&missing));
    clerk.change_user(&unlinked, |it| it.private_metadata = json!({}));
    let entry = json!({ "id": "other", "name": wrong, "project": PROJECTS[0], "region": REGION });
    clerk.change_user(&wrong, |it| it.private_metadata = json!({ "database": entry }));
    let other = PROJECTS.into_iter().find(|it| *it != Fleet::home(&twice)).unwrap();
    fleet.world.xata.insert(other, [NewDatabase::root(&twice, REGION)]);
    clerk.change_user(&elsewhere, |it| it.private_metadata["db_region"] = json!("us-east-1"));
    clerk.remove(&gone);
    fleet.world.insert(PROJECTS[0], "a-branch-of-ours");
    fleet.world.insert(PROJECTS[0], &format!("parked/{}/1700000000", user_id(901)));
    (fleet, [missing, unlinked, wrong, twice, elsewhere, gone])
}

#[test]
fn a_healthy_fleet_has_no_finding_and_costs_no_request_for_each_database() {
    let fleet = Fleet::start(30);
    let report = fleet.document(&["audit"], 0);
    assert_eq!((&report["users"], &report["databases"]), (&json!(30), &json!(30)));
    let requests = fleet.world.xata.requests().len() + fleet.world.clerk.requests().len();
    assert!(requests <= 2 + 3, "{requests}");
}

#[test]
fn everything_that_differs_is_found_once() {
    let (fleet, [missing, unlinked, wrong, twice, elsewhere, gone]) = broken();
    let report = fleet.document(&["audit"], 3);
    let mut expected = vec![
        finding("missing_database", &missing),
        finding("missing_entry", &unlinked),
        finding("wrong_entry", &wrong),
        finding("several_databases", &twice),
        finding("wrong_region", &elsewhere),
        finding("user_gone", &gone),
        finding("unknown_branch", "a-branch-of-ours"),
    ];
    let mut found = findings(&report);
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    assert_eq!(report["parked"], 1);
    assert_eq!(fleet.world.changes(), [""; 0]);
    let table = fleet.run(&["audit"]);
    assert!(table.code == 3 && table.out.contains("user without a database"), "{}", table.out);
}

#[test]
fn a_repair_gives_users_what_they_lack_and_parks_only_on_demand() {
    let (fleet, [missing, unlinked, wrong, twice, elsewhere, gone]) = broken();
    let left = [
        finding("several_databases", &twice),
        finding("unknown_branch", "a-branch-of-ours"),
        finding("wrong_region", &elsewhere),
    ];
    let repaired = fleet.document(&["audit", "--fix", "missing,entries", "--yes"], 3);
    let mut found = findings(&repaired);
    found.sort();
    assert_eq!(found, [&left[..2], &[finding("user_gone", &gone)], &left[2..]].concat());
    for user in [&missing, &unlinked, &wrong] {
        assert_eq!(fleet.entry(user)["id"], json!(fleet.database(user).id));
    }
    fleet.document(&["audit", "--fix", "orphans"], 3);
    assert_eq!(fleet.world.xata.databases_named(&gone).len(), 1);
    let parked = fleet.document(&["audit", "--fix", "orphans", "--yes"], 3);
    let mut found = findings(&parked);
    found.sort();
    assert_eq!(found, left);
    let all = fleet.world.xata.databases();
    assert_eq!(all.iter().filter(|it| it.name.starts_with(&format!("parked/{gone}/"))).count(), 1);
}

#[test]
fn what_differs_only_at_the_first_look_is_no_finding() {
    let fleet = Fleet::start(3);
    let short = CannedResponse::new(http::StatusCode::OK)
        .with_body("application/json", r#"{"branches":[]}"#);
    let call = standin::xata::platform::Call::ListBranches;
    for _ in PROJECTS {
        fleet.world.xata.faults().push(Fault::once(call, Effect::Answer(short.clone())));
    }
    let report = fleet.document(&["audit"], 0);
    assert_eq!((&report["cleared"], &report["findings"]), (&json!(3), &json!([])));
}

#[test]
fn many_orphans_at_once_are_the_sign_of_a_mistake_and_nothing_is_parked() {
    let fleet = Fleet::start(30);
    for user in &fleet.users[..15] {
        fleet.world.clerk.remove(user);
    }
    let outcome = fleet.run(&["audit", "--fix", "orphans", "--yes"]);
    assert!(outcome.code == 1 && outcome.error.contains("15 of 30 databases"), "{}", outcome.error);
    let other = [("CLERK_INSTANCE_ID", "ins_other")];
    let outcome = fleet.run_with(&["audit", "--fix", "orphans", "--yes"], &other);
    assert!(outcome.code == 1 && outcome.error.contains("CLERK_INSTANCE_ID must list"));
    assert_eq!(fleet.world.changes(), [""; 0]);
}

#[test]
fn clerk_s_limit_is_waited_for_and_a_finding_that_cannot_be_looked_at_does_not_count() {
    let (fleet, _) = broken();
    let limit = CannedResponse::new(http::StatusCode::TOO_MANY_REQUESTS).with_retry_after("1");
    let calls = standin::clerk::backend::Call::GetUserList;
    fleet.world.clerk.faults().push(Fault::once(calls, Effect::Answer(limit.clone())));
    let look = standin::clerk::backend::Call::GetUser;
    fleet.world.clerk.faults().push(Fault::once(look, Effect::Answer(limit)));
    assert_eq!(findings(&fleet.document(&["audit"], 3)).len(), 7);
    let broken = CannedResponse::new(http::StatusCode::INTERNAL_SERVER_ERROR);
    fleet.world.clerk.faults().push(Fault::always(look, Effect::Answer(broken)));
    let outcome = fleet.run(&["audit"]);
    assert!(outcome.code == 1 && outcome.error.contains("could not be looked at again"));
    assert!(!outcome.out.contains("user without a database"), "{}", outcome.out);
}

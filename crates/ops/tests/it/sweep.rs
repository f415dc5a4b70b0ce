//! `ops parked` and `ops sweep`.

use std::time::{Duration, SystemTime};

use http::StatusCode;
use serde_json::{Value, json};
use standin::clerk::user_id;
use standin::fault::{CannedResponse, Effect, Fault};
use standin::xata::platform::Call;

use crate::world::{Outcome, World};

const DAY: Duration = Duration::from_hours(24);

/// The second that lies so many days back.
fn days_ago(days: u32) -> u64 {
    let at = SystemTime::now() - days * DAY;
    at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

/// A world in which the user has left.
fn world() -> World {
    let world = World::start();
    world.clerk.remove(&world.user);
    world
}

fn sweep(world: &World, flags: &[&str]) -> Outcome {
    let instance = [("CLERK_INSTANCE_ID", &*world.instance)];
    world.run_command(&[&["sweep"], flags].concat(), &instance)
}

/// Each row of a sweep: the id, what became of it, and why.
fn rows(outcome: &Outcome) -> Vec<(String, String, String)> {
    let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    let document = outcome.json();
    let rows = document["rows"].as_array().unwrap().iter();
    rows.map(|row| (text(row, "id"), text(row, "outcome"), text(row, "why"))).collect()
}

fn row(id: &str, outcome: &str) -> (String, String, String) {
    (id.to_owned(), outcome.to_owned(), String::new())
}

#[test]
fn the_parked_databases_of_all_users_and_projects_are_listed_the_oldest_first() {
    let world = world();
    let none = world.run_command(&["parked"], &[]);
    assert_eq!((none.code, none.out.as_str()), (0, "Nothing is parked.\n"));
    let newer = world.park(world.home, days_ago(1));
    let other = format!("parked/{}/{}", user_id(2), days_ago(40));
    let older = world.insert(world.elsewhere, &other);
    for name in
        ["parked/", "parked/somebody/1", "parked/user_x", &format!("{other}/x"), &user_id(3)]
    {
        world.insert(world.home, name);
    }
    let document = world.run_command(&["parked", "--json"], &[]).json();
    let parked = document["parked"].as_array().unwrap();
    assert_eq!(parked.iter().map(|it| &it["id"]).collect::<Vec<_>>(), [&*older, &*newer]);
    assert_eq!(
        (&parked[0]["user_id"], &parked[0]["project"]),
        (&json!(user_id(2)), &json!(world.elsewhere))
    );
    let table = world.run_command(&["parked"], &[]);
    assert!(
        table.out.contains("40") && table.out.ends_with("2 databases are parked.\n"),
        "{}",
        table.out
    );
    assert_eq!(world.changes(), [""; 0]);
}

#[test]
fn a_project_that_cannot_be_read_is_an_error_and_nothing_is_deleted() {
    let world = world();
    world.park(world.home, days_ago(40));
    world.xata.faults().push(Fault::always(Call::ListBranches, Effect::ResetBefore));
    let parked = world.run_command(&["parked"], &[]);
    assert!(parked.code == 1 && parked.error.contains("could not be read"), "{}", parked.error);
    let outcome = sweep(&world, &["--yes"]);
    assert!(
        outcome.code == 1 && outcome.error.contains("nothing was deleted"),
        "{}",
        outcome.error
    );
    assert_eq!(world.changes(), [""; 0]);
}

#[test]
fn without_yes_a_sweep_changes_nothing_and_with_it_deletes_what_is_old() {
    let world = world();
    let recent = world.park(world.home, days_ago(29));
    let old = world.park(world.elsewhere, days_ago(31));
    let dry = sweep(&world, &["--json"]);
    assert_eq!((dry.code, rows(&dry)), (3, vec![row(&old, "planned")]));
    let table = sweep(&world, &[]);
    assert!(table.out.ends_with("1 would be deleted. Nothing was changed: --yes deletes them.\n"));
    assert_eq!(world.changes(), [""; 0]);

    let done = sweep(&world, &["--yes", "--json"]);
    assert_eq!((done.code, rows(&done)), (0, vec![row(&old, "deleted")]));
    let run = format!(".ops/runs/{}/ledger.jsonl", done.json()["run"].as_str().unwrap());
    let ledger = std::fs::read_to_string(world.directory.path().join(run)).unwrap();
    assert!(ledger.contains(&old) && ledger.contains(r#""to":"deleted""#), "{ledger}");
    let [change] = &world.changes()[..] else { panic!("one change: {:?}", world.changes()) };
    assert!(change.starts_with("DELETE ") && change.ends_with(&format!("/branches/{old}")));
    let again = sweep(&world, &["--yes"]);
    assert_eq!((again.code, again.out.as_str()), (0, "No database has been parked for so long.\n"));
    let all = sweep(&world, &["--grace", "12h", "--json"]);
    assert_eq!((all.code, rows(&all)), (3, vec![row(&recent, "planned")]));
}

#[test]
fn the_oldest_are_deleted_up_to_the_cap() {
    let world = world();
    let ids = [50, 60, 40].map(|days| world.park(world.home, days_ago(days)));
    let outcome = sweep(&world, &["--yes", "--cap", "2", "--json"]);
    let expected = [row(&ids[1], "deleted"), row(&ids[0], "deleted"), row(&ids[2], "beyond_cap")];
    assert_eq!((outcome.code, rows(&outcome)), (0, expected.to_vec()));
}

#[test]
fn the_database_of_a_user_whom_clerk_knows_is_kept() {
    let world = World::start();
    world.park(world.home, days_ago(40));
    let outcome = sweep(&world, &["--yes", "--json"]);
    let [(_, kept, why)] = &rows(&outcome)[..] else { panic!("one row") };
    assert_eq!((outcome.code, kept.as_str()), (0, "kept"));
    assert!(why.contains(&format!("cargo ops unpark {}", world.user)), "{why}");
    assert_eq!(world.changes(), [""; 0]);
}

#[test]
fn a_database_that_was_given_back_meanwhile_is_kept() {
    let world = world();
    world.park(world.home, days_ago(40));
    let body = json!({ "name": world.user, "region": "eu-central-1", "status": {} }).to_string();
    let answer = CannedResponse::new(StatusCode::OK).with_body("application/json", body);
    world.fault(Call::DescribeBranch, Effect::Answer(answer));
    let outcome = sweep(&world, &["--yes", "--json"]);
    assert_eq!((outcome.code, rows(&outcome)[0].1.as_str()), (0, "kept"));
    assert_eq!(world.changes(), [""; 0]);
}

#[test]
fn a_failed_look_at_clerk_or_xata_deletes_nothing() {
    for (call, says) in [("clerk", "could not be asked"), ("xata", "Xata")] {
        let world = world();
        world.park(world.home, days_ago(40));
        match call {
            "clerk" => world
                .clerk
                .faults()
                .push(Fault::always(standin::clerk::backend::Call::GetUser, Effect::ResetBefore)),
            _ => world.xata.faults().push(Fault::always(Call::DescribeBranch, Effect::ResetBefore)),
        }
        let outcome = sweep(&world, &["--yes"]);
        assert!(
            outcome.code == 1 && outcome.out.contains(says),
            "{}{}",
            outcome.out,
            outcome.error
        );
        assert!(
            outcome.error.contains("1 of 1 could not be checked or deleted"),
            "{}",
            outcome.error
        );
        assert_eq!(world.changes(), [""; 0]);
    }
}

#[test]
fn after_a_lost_answer_the_actual_state_decides() {
    for (effect, code, outcome) in
        [(Effect::ResetAfter, 0, "deleted"), (Effect::ResetBefore, 1, "failed")]
    {
        let world = world();
        world.park(world.home, days_ago(40));
        world.fault(Call::DeleteBranch, effect);
        let done = sweep(&world, &["--yes", "--json"]);
        assert_eq!((done.code, rows(&done)[0].1.as_str()), (code, outcome), "{}", done.error);
        assert_eq!(sweep(&world, &["--yes"]).code, 0);
        assert_eq!(world.run_command(&["parked"], &[]).out, "Nothing is parked.\n");
    }
}

#[test]
fn a_sweep_needs_the_key_of_the_only_instance() {
    let world = world();
    world.park(world.home, days_ago(40));
    let both = format!("{},ins_other", world.instance);
    for (changes, says) in [
        (vec![("CLERK_SECRET_KEY", ""), ("CLERK_API_URL", "")], "CLERK_SECRET_KEY is missing"),
        (vec![], "CLERK_INSTANCE_ID must list the instance"),
        (vec![("CLERK_INSTANCE_ID", "ins_other")], "CLERK_INSTANCE_ID must list the instance"),
        (vec![("CLERK_INSTANCE_ID", &*both)], "and no other"),
    ] {
        let outcome = world.run_command(&["sweep", "--yes"], &changes);
        assert!(outcome.code == 1 && outcome.error.contains(says), "{}", outcome.error);
    }
    assert_eq!(world.changes(), [""; 0]);
    assert_eq!(world.run_command(&["sweep", "--grace", "soon"], &[]).code, 2);
}

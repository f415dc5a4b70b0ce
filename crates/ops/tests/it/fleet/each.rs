//! `ops each`. What needs a PostgreSQL server is skipped without one, which is said.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::world::{Fleet, REGION};

fn each(fleet: &Fleet, flags: &[&str], script: &str, code: i32) -> Value {
    let command = [&["each", "--yes", "--json"], flags, &["--", "sh", "-c", script]].concat();
    let outcome = fleet.run(&command);
    assert_eq!(outcome.code, code, "{}{}", outcome.out, outcome.error);
    outcome.json()
}

/// The output of the program for a user's database, in the only run.
fn log(fleet: &Fleet, user: &str) -> String {
    let name = format!("logs/{}.log", fleet.database(user).id);
    fs::read_to_string(fleet.runs()[0].join(name)).unwrap()
}

#[test]
fn a_program_finds_its_database_in_its_environment_and_none_of_our_keys() {
    let Some(fleet) = Fleet::with_postgres(3) else { return };
    let report = each(&fleet, &["--url-as", "MY_URL"], "env | sort", 0);
    assert_eq!(report["count"]["changed"], 3);
    for user in &fleet.users {
        let log = log(&fleet, user);
        let has = |line: &str| log.lines().any(|it| it == line);
        let branch = fleet.database(user).id;
        for line in [
            &format!("PER_USER_DB_USER={user}"),
            &format!("PER_USER_DB_BRANCH={branch}"),
            &format!("PER_USER_DB_REGION={REGION}"),
            "PGUSER=xata",
            "PGDATABASE=xata",
            "PGPASSWORD=***",
        ] {
            assert!(has(line), "{line}: {log}");
        }
        for url in ["MY_URL", "DIRECT_URL"] {
            assert!(log.contains(&format!("{url}=postgresql://xata:***@127.0.0.1:")), "{log}");
        }
        assert!(!log.contains("XATA_") && !log.contains("CLERK_"), "{log}");
    }
}

#[test]
fn a_program_that_fails_is_shown_with_its_last_lines_and_stops_the_run_as_a_canary() {
    let Some(fleet) = Fleet::with_postgres(4) else { return };
    let script = r#"echo first; echo "password $PGPASSWORD" >&2; echo last; exit 7"#;
    let outcome = fleet.run(&["each", "--yes", "--canary", "1", "--", "sh", "-c", script]);
    let out = outcome.out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(out.contains("exit_7") && out.contains("password ***"), "{out}");
    assert_eq!(outcome.code, 1);
    let (_, ledger) = fleet.ledger();
    assert_eq!(ledger.len(), 2, "{ledger:?}");
    let missing = fleet.run(&["each", "--yes", "--", "no-such-program"]);
    assert!(missing.out.contains("not_started"), "{}", missing.out);
}

#[test]
fn at_the_timeout_a_program_ends_with_all_that_it_has_started() {
    let Some(fleet) = Fleet::with_postgres(1) else { return };
    let mark = fleet.world.directory.path().join("alive");
    let script = format!("(sleep 3; touch {}) & sleep 600", mark.display());
    let report = each(&fleet, &["--timeout", "1s"], &script, 1);
    assert_eq!((&report["count"]["unclear"], &report["count"]["failed"]), (&json!(1), &json!(0)));
    let children = Command::new("pgrep").args(["-f", mark.to_str().unwrap()]).output();
    if let Ok(children) = children {
        assert_eq!(String::from_utf8(children.stdout).unwrap(), "");
    }
}

#[test]
fn a_program_that_was_cut_off_is_run_again_only_on_demand() {
    let Some(fleet) = Fleet::with_postgres(2) else { return };
    let mark = fleet.world.directory.path().join("begun");
    let script = format!("echo x >>{}; sleep 600", mark.display());
    let mut child = fleet.spawn(&[
        "each",
        "--yes",
        "--parallel",
        "1",
        "--canary",
        "0",
        "--",
        "sh",
        "-c",
        &script,
    ]);
    let end = Instant::now() + Duration::from_mins(1);
    while !mark.exists() {
        assert!(Instant::now() < end, "no program");
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let (run, _) = fleet.ledger();
    let other = fleet.run(&["each", "--yes", "--resume", &run, "--", "true"]);
    assert!(other.error.contains("start a new run"), "{}", other.error);
    fs::write(&mark, "").unwrap();
    let script = script.as_str();
    let resumed = each(&fleet, &["--resume", &run, "--timeout", "5s", "--canary", "0"], script, 1);
    assert_eq!(resumed["count"]["unclear"], 2, "{resumed}");
    assert_eq!(resumed["failures"]["cut_off"]["count"], 1, "{resumed}");
    assert_eq!(fs::read_to_string(&mark).unwrap(), "x\n");
    let flags = ["--resume", &run, "--rerun-unclear", "--timeout", "5s", "--canary", "0"];
    each(&fleet, &flags, script, 1);
    assert_eq!(fs::read_to_string(&mark).unwrap(), "x\nx\nx\n");
}

#[test]
fn a_sleeping_database_is_awake_when_the_program_starts() {
    let Some(fleet) = Fleet::with_postgres(1) else { return };
    let user = fleet.users[0].clone();
    fleet.world.hibernate(&fleet.database(&user).id);
    each(&fleet, &[], "true", 0);
    assert_eq!(fleet.connections(), [fleet.database(&user).id]);
}

#[test]
fn without_a_program_the_usage_is_wrong() {
    let fleet = Fleet::start(1);
    for arguments in [
        &["each"][..],
        &["each", "--rerun-unclear", "--", "true"],
        &["each", "--parallel", "0", "--", "true"],
    ] {
        assert_eq!(fleet.run(arguments).code, 2, "{arguments:?}");
    }
}

//! How a run begins, stops and goes on, whatever the command is.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use standin::fault::{CannedResponse, Effect, Fault};
use standin::xata::platform::Call;

use super::world::Fleet;

/// Databases, of which the seventh to be connected to does not answer: a run does six, and does not end
/// before it is ended.
fn fleet() -> Option<Fleet> {
    let fleet = Fleet::with_postgres(12)?;
    fleet.write("schema/1_applied.sql", "create table applied ();");
    let hang = Fault { on: Call::Connect, skip: 6, times: 1, effect: Effect::HangBefore };
    fleet.world.xata.faults().push(hang);
    Some(fleet)
}

/// Waits until the only run has recorded so many databases as done.
fn await_done(fleet: &Fleet, n: usize) {
    let end = Instant::now() + Duration::from_mins(1);
    loop {
        let ledger = fleet.runs().first().map(|run| fs::read_to_string(run.join("ledger.jsonl")));
        let ledger = ledger.and_then(Result::ok).unwrap_or_default();
        if ledger.matches(r#""step":"done""#).count() >= n {
            return;
        }
        assert!(Instant::now() < end, "{ledger}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

const MIGRATE: [&str; 5] = ["migrate", "schema", "--yes", "--parallel", "2"];

#[test]
fn a_run_that_is_killed_goes_on_and_applies_no_file_twice() {
    let Some(fleet) = fleet() else { return };
    let mut child = fleet.spawn(&MIGRATE);
    await_done(&fleet, 6);
    child.kill().unwrap();
    child.wait().unwrap();
    let (run, _) = fleet.ledger();
    fleet.world.xata.faults().clear();
    // A crash may cut a line off.
    let path = fleet.runs()[0].join("ledger.jsonl");
    let torn = fs::read_to_string(&path).unwrap() + r#"{"time":"2026-"#;
    fs::write(&path, torn).unwrap();
    let resumed = fleet.document(&[&MIGRATE[..], &["--resume", &run]].concat(), 0);
    assert_eq!(resumed["count"]["done_before"], 6, "{resumed}");
    // `create table` fails where it is applied a second time.
    let (_, ledger) = fleet.ledger();
    assert!(ledger.iter().all(|line| line["step"] != "failed"), "{ledger:?}");
}

#[test]
fn an_interrupt_stops_soon_and_says_how_to_go_on() {
    let Some(fleet) = fleet() else { return };
    let child = fleet.spawn(&MIGRATE);
    await_done(&fleet, 6);
    let interrupt = ["-INT".to_owned(), child.id().to_string()];
    assert!(Command::new("kill").args(interrupt).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{error}");
    let (run, _) = fleet.ledger();
    fleet.world.xata.faults().clear();
    assert!(
        error
            .contains(&format!("interrupted; go on with: cargo ops migrate schema --resume {run}"))
    );
    fleet.document(&[&MIGRATE[..], &["--resume", &run]].concat(), 0);
}

#[test]
fn one_process_at_a_time_works_on_a_run() {
    let Some(fleet) = Fleet::with_postgres(1) else { return };
    fleet.write("schema/1_applied.sql", "create table applied ();");
    fleet.document(&["migrate", "schema", "--yes"], 0);
    let (run, _) = fleet.ledger();
    let ledger = fs::File::open(fleet.runs()[0].join("ledger.jsonl")).unwrap();
    ledger.lock().unwrap();
    let second = fleet.run(&[&MIGRATE[..], &["--resume", &run]].concat());
    assert!(
        second.code == 1 && second.error.contains("another process works on run"),
        "{}",
        second.error
    );
    drop(ledger);
    fleet.document(&[&MIGRATE[..], &["--resume", &run]].concat(), 0);
}

#[test]
fn two_runs_at_once_apply_each_file_once() {
    let Some(fleet) = Fleet::with_postgres(12) else { return };
    fleet.write("schema/1_applied.sql", "create table applied (); select pg_sleep(0.1);");
    let runs = [fleet.spawn(&MIGRATE), fleet.spawn(&MIGRATE)];
    for run in runs {
        let output = run.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
fn a_run_waits_as_long_as_xata_asks_and_loses_nothing() {
    let Some(fleet) = Fleet::with_postgres(3) else { return };
    fleet.write("schema/1_a.sql", "create table a ();");
    let limit = CannedResponse::new(http::StatusCode::TOO_MANY_REQUESTS).with_retry_after("1");
    for call in [Call::ListBranches, Call::GetCredentials, Call::GetCredentials] {
        fleet.world.xata.faults().push(Fault::once(call, Effect::Answer(limit.clone())));
    }
    let report = fleet.document(&["migrate", "schema", "--yes", "--retries", "0"], 0);
    assert_eq!(report["count"]["changed"], 5);
}

#[test]
fn the_ledger_is_the_operator_s_alone_and_not_for_git() {
    use std::os::unix::fs::PermissionsExt;
    let Some(fleet) = Fleet::with_postgres(1) else { return };
    fleet.write("schema/1_a.sql", "create table a ();");
    fleet.document(&["migrate", "schema", "--yes"], 0);
    let run = &fleet.runs()[0];
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(run), mode(&run.join("ledger.jsonl"))), (0o700, 0o600));
    assert_eq!(
        fs::read_to_string(fleet.world.directory.path().join(".ops/.gitignore")).unwrap(),
        "*\n"
    );
}

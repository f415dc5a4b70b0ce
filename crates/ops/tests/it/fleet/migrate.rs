//! `ops migrate`. What needs a PostgreSQL server is skipped without one, which is said.

use std::fs;
use std::time::{Duration, Instant};

use http::StatusCode;
use serde_json::{Value, json};
use standin::clerk::SignUp;
use standin::fault::{CannedResponse, Effect, Fault};
use standin::xata::platform::{Call, NewDatabase};
use tokio_postgres::NoTls;

use super::world::{Fleet, REGION};
use crate::world::PROJECTS;

const NOTES: &str = "create table notes (id int generated always as identity, text text not null);
insert into notes (text) values ('first');";
const TITLE: &str = "alter table notes add column title text;
insert into notes (text) values ('second');";
const VERSIONS: &str = "select version, success from _sqlx_migrations order by version";

/// Users with databases, and a schema of one file, which is not applied.
fn fleet(n_users: u64) -> Option<Fleet> {
    let fleet = Fleet::with_postgres(n_users)?;
    fleet.write("schema/1_create_notes.sql", NOTES);
    Some(fleet)
}

/// The same, where the file is applied.
fn migrated(n_users: u64) -> Option<Fleet> {
    let fleet = fleet(n_users)?;
    fleet.document(&["migrate", "schema", "--yes"], 0);
    fs::remove_dir_all(fleet.world.directory.path().join(".ops")).unwrap();
    fleet.world.xata.clear_requests();
    Some(fleet)
}

fn migrate(fleet: &Fleet, flags: &[&str], code: i32) -> Value {
    fleet.document(&[&["migrate", "schema", "--yes"], flags].concat(), code)
}

/// The steps that a ledger records of a database, in order.
fn steps(ledger: &[Value], branch: &str) -> Vec<String> {
    let lines = ledger.iter().filter(|line| line["branch"] == branch);
    lines.map(|line| line["step"].as_str().unwrap().to_owned()).collect()
}

/// How often a call was sent.
fn n_calls(fleet: &Fleet, path_end: &str) -> usize {
    let requests = fleet.world.xata.requests();
    requests.iter().filter(|it| it.path.split('?').next().unwrap().ends_with(path_end)).count()
}

#[test]
fn the_templates_come_first_then_every_user_and_each_gets_every_file_once() {
    let Some(fleet) = fleet(7) else { return };
    fleet.write("schema/2_add_title.sql", TITLE);
    let report = migrate(&fleet, &[], 0);
    assert_eq!((&report["databases"], &report["count"]["changed"]), (&json!(9), &json!(9)));
    let connections = fleet.connections();
    assert_eq!(connections.len(), 9);
    assert!(connections[..2].iter().all(|id| id.starts_with("template")), "{connections:?}");
    assert_eq!(n_calls(&fleet, "/credentials"), 9);
    assert_eq!(n_calls(&fleet, "/branches"), 2 * PROJECTS.len());
    for user in &fleet.users {
        let expected =
            json!([{ "version": 1, "success": true }, { "version": 2, "success": true }]);
        assert_eq!(fleet.sql(user, VERSIONS), expected);
        assert_eq!(fleet.sql(user, "select count(*)::int n from notes"), json!([{ "n": 2 }]));
    }
    let again = migrate(&fleet, &[], 0);
    assert_eq!(again["count"]["unchanged"], 9);
}

#[test]
fn a_failure_among_the_canaries_stops_the_run() {
    let Some(fleet) = migrated(8) else { return };
    for user in &fleet.users {
        fleet.sql(user, "insert into notes (text) values ('of-a-row')");
    }
    for project in PROJECTS {
        fleet.world.sql(&format!("template{project}"), "delete from notes");
    }
    fleet.write(
        "schema/2_number.sql",
        "select 1;\n\nalter table notes\n  alter column text type int using text::int;",
    );
    let before = fleet.connections().len();
    let canary = ["migrate", "schema", "--yes", "--canary", "1", "--json"];
    let outcome = fleet.run(&canary);
    assert_eq!(outcome.code, 1, "{}", outcome.out);
    assert_eq!(
        outcome.json()["failures"]["22P02"]["message"],
        "2_number.sql, statement 2, line 3: invalid input syntax for type integer: \"…\" (SQLSTATE 22P02)"
    );
    assert!(outcome.error.contains("1 failed among the canaries"), "{}", outcome.error);
    let (run, ledger) = fleet.ledger();
    assert!(outcome.error.contains(&format!("cargo ops migrate schema --resume {run}")));
    assert_eq!(fleet.connections().len() - before, 3);
    assert_eq!(ledger.len(), 6);
}

#[test]
fn a_resumed_run_works_only_on_what_is_not_done() {
    let Some(fleet) = migrated(8) else { return };
    let bad = fleet.users[3].clone();
    fleet.sql(&bad, "create table titles ()");
    fleet.write("schema/2_titles.sql", "create table titles (text text);");
    let stopped = migrate(&fleet, &["--canary", "0"], 1);
    assert_eq!((&stopped["count"]["changed"], &stopped["count"]["failed"]), (&json!(9), &json!(1)));
    assert_eq!(stopped["failures"]["42P07"]["users"], json!([bad]));
    let run = stopped["run"].as_str().unwrap();
    fleet.sql(&bad, "drop table titles");
    fleet.world.xata.clear_requests();
    let before = fleet.connections().len();
    let resumed = migrate(&fleet, &["--resume", run], 0);
    let count = &resumed["count"];
    assert_eq!((&count["changed"], &count["done_before"]), (&json!(1), &json!(9)));
    assert_eq!(fleet.connections()[before..], [fleet.database(&bad).id]);
    assert_eq!(n_calls(&fleet, "/credentials"), 1);
    let (_, ledger) = fleet.ledger();
    assert_eq!(steps(&ledger, &fleet.database(&bad).id), ["started", "failed", "started", "done"]);
}

#[test]
fn a_run_is_resumed_with_its_own_files_organization_and_selection_only() {
    let Some(fleet) = migrated(2) else { return };
    fleet.write("schema/2_bad.sql", "selekt;");
    let stopped = migrate(&fleet, &[], 1);
    let run = stopped["run"].as_str().unwrap();
    fleet.write("schema/2_bad.sql", "select 1;");
    let resume = ["migrate", "schema", "--yes", "--resume", run];
    assert!(fleet.run(&resume).error.contains("start a new run"));
    fleet.write("schema/2_bad.sql", "selekt;");
    let sample = fleet.run(&[&resume[..], &["--sample", "1"]].concat());
    assert!(sample.error.contains("the selection of the run"), "{}", sample.error);
    let none = fleet.run(&["migrate", "schema", "--yes", "--resume", "2026-none"]);
    assert!(none.error.contains("there is no run 2026-none"), "{}", none.error);
    let path = fleet.run(&["migrate", "schema", "--yes", "--resume", "../x"]);
    assert!(path.error.contains("../x is no run"), "{}", path.error);
    assert_eq!([sample.code, none.code, path.code], [1; 3]);
}

#[test]
fn a_lost_answer_to_a_commit_is_looked_up_and_no_file_is_applied_twice() {
    let Some(fleet) = migrated(3) else { return };
    fleet.write("schema/2_add_title.sql", TITLE);
    fleet.world.xata.cut_after("COMMIT");
    let report = migrate(&fleet, &["--parallel", "1"], 0);
    assert_eq!(report["count"]["failed"], 0);
    let (_, ledger) = fleet.ledger();
    assert_eq!(ledger.iter().filter(|line| line["code"] == "connection").count(), 1, "{ledger:?}");
    for project in PROJECTS {
        let rows = fleet.world.sql(&format!("template{project}"), "select text from notes");
        assert_eq!(rows, json!([{ "text": "first" }, { "text": "second" }]));
    }
}

#[test]
fn a_database_made_meanwhile_is_migrated_at_the_end() {
    let Some(fleet) = fleet(2) else { return };
    fleet.write("schema/2_slow.sql", "select pg_sleep(0.5);");
    let child = fleet.spawn(&["migrate", "schema", "--yes"]);
    let end = Instant::now() + Duration::from_mins(1);
    while fleet.connections().is_empty() {
        assert!(Instant::now() < end, "no connection");
        std::thread::sleep(Duration::from_millis(10));
    }
    let late = standin::clerk::user_id(50);
    fleet.world.xata.insert(Fleet::home(&late), [NewDatabase::root(&late, REGION)]);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(
        fleet.sql(&late, "select max(version)::int v from _sqlx_migrations"),
        json!([{ "v": 2 }])
    );
}

#[test]
fn a_run_whose_last_look_fails_says_what_it_has_done() {
    let Some(fleet) = fleet(2) else { return };
    let refusal = CannedResponse::new(StatusCode::FORBIDDEN);
    fleet.world.xata.faults().push(Fault {
        on: Call::ListBranches,
        skip: 2, // the first list of each project
        times: u32::MAX,
        effect: Effect::Answer(refusal),
    });
    let outcome = fleet.run(&["migrate", "schema", "--yes"]);
    assert!(outcome.code == 1 && outcome.out.contains("4 databases: 4 changed"), "{}", outcome.out);
    assert!(outcome.error.contains("those created meanwhile are not known"), "{}", outcome.error);
}

#[test]
fn a_directory_that_disagrees_with_a_database_is_refused_at_the_first_template() {
    let Some(fleet) = migrated(1) else { return };
    let failure = |code: &str| {
        let report = migrate(&fleet, &["--parallel", "1"], 1);
        assert_eq!(report["count"]["failed"], 1, "{report}");
        report["failures"][code]["message"]
            .as_str()
            .unwrap_or_else(|| panic!("{report}"))
            .to_owned()
    };
    fleet.write("schema/1_create_notes.sql", &format!("{NOTES}\n"));
    assert!(failure("changed_file").contains("1_create_notes.sql was changed"));
    fleet.remove("schema/1_create_notes.sql");
    fleet.write("schema/2_add_title.sql", TITLE);
    assert!(failure("missing_file").contains("version 1 was applied"));
    fleet.remove("schema/2_add_title.sql");
    fleet.write("schema/0001_create_notes.sql", NOTES);
    fleet.write("schema/0003_add_title.sql", TITLE);
    migrate(&fleet, &[], 0);
    fleet.write("schema/0002_late.sql", "select 1;");
    assert!(failure("late_file").contains("lower than 3"));
}

#[test]
fn files_that_no_run_can_apply_are_refused_before_any_request() {
    let fleet = Fleet::start(1);
    for (name, text, why) in [
        ("01-notes.sql", "select 1;", "1_create_notes.sql, or sqlx ignores"),
        ("1_b.sql", "select 1;", "have the same version, 1"),
        ("2_b.down.sql", "select 1;", "leads back"),
        ("2_b.sql", "-- migrate:up\nselect 1;", "a file of dbmate"),
        ("2_b.sql", "-- no-transaction\nselect 1; select 2;", "has 2 statements"),
        ("2_b.sql", "select 1;\ncommit;", "2_b.sql, line 2: COMMIT"),
        ("2_b.sql", "select 'x", "2_b.sql, line 1"),
    ] {
        fleet.write("schema/1_a.sql", "select 1;");
        fleet.write(&format!("schema/{name}"), text);
        let outcome = fleet.run(&["migrate", "schema", "--yes"]);
        assert!(outcome.code == 1 && outcome.error.contains(why), "{name}: {}", outcome.error);
        fleet.remove(&format!("schema/{name}"));
    }
    fleet.write("empty/README.md", "");
    for (directory, why) in
        [("empty", "has no file whose name is like"), ("nowhere", "cannot be read")]
    {
        let outcome = fleet.run(&["migrate", directory]);
        assert!(outcome.code == 1 && outcome.error.contains(why), "{}", outcome.error);
    }
    assert_eq!(fleet.world.xata.requests().len(), 0);
}

#[test]
fn without_a_yes_nothing_is_connected_to_and_the_preview_tells_the_price() {
    let fleet = Fleet::start(4);
    fleet.write("schema/1_a.sql", "select 1;");
    for flags in [&["--dry-run"][..], &[]] {
        let outcome = fleet.run(&[&["migrate", "schema"], flags].concat());
        assert_eq!(outcome.code, 3);
        for words in ["6: 6 in eu-central-1", "at most 6", "6 × 30 min × $0.0138 an hour", "$0.04"]
        {
            assert!(outcome.out.contains(words), "{words}: {}", outcome.out);
        }
    }
    assert_eq!(fleet.document(&["migrate", "schema"], 3)["preview"]["databases"], 6);
    assert_eq!((n_calls(&fleet, "/credentials"), fleet.runs().len()), (0, 0));
    let sample = fleet.run(&["migrate", "schema", "--dry-run", "--sample", "2"]);
    assert!(
        sample.out.contains("2: 2 in eu-central-1")
            && sample.out.contains("templates are left out")
    );
    let nobody = fleet.run(&["migrate", "schema", "--region", "us-east-1"]);
    assert!(nobody.code == 1 && nobody.error.contains("no database to work on"));
}

#[test]
fn the_status_tells_who_is_behind_and_changes_nothing() {
    let Some(fleet) = migrated(3) else { return };
    fleet.write("schema/2_add_title.sql", TITLE);
    let some = ["migrate", "schema", "--yes", "--user", &fleet.users[0]];
    fleet.document(&some, 0);
    let status = fleet.document(&["migrate", "schema", "--status", "--yes"], 3);
    let versions = status["versions"].as_array().unwrap();
    let shown: Vec<_> = versions.iter().map(|it| (&it["version"], &it["databases"])).collect();
    assert_eq!(shown, [(&json!(1), &json!(4)), (&json!(2), &json!(1))]);
    migrate(&fleet, &[], 0);
    let table = fleet.run(&["migrate", "schema", "--status", "--yes"]);
    assert_eq!(table.code, 0, "{}", table.error);
}

#[test]
fn an_index_is_built_without_a_transaction_and_a_broken_one_is_named() {
    let Some(fleet) = migrated(2) else { return };
    let user = fleet.users[0].clone();
    fleet.sql(&user, "insert into notes (text) values ('first')");
    fleet.write("schema/2_index.sql", "-- no-transaction\ncreate unique index concurrently if not exists only_one on notes (text);");
    let report = migrate(&fleet, &["--canary", "0"], 1);
    let failure = &report["failures"]["23505"];
    assert_eq!(failure["users"], json!([user]));
    assert!(failure["message"].as_str().unwrap().contains("only_one"), "{failure}");
    let run = report["run"].as_str().unwrap();
    let again = migrate(&fleet, &["--resume", run], 1);
    assert!(again["failures"]["invalid_index"]["message"].as_str().unwrap().contains("only_one"));
    fleet.sql(&user, "drop index only_one");
    fleet.sql(&user, "delete from notes");
    migrate(&fleet, &["--resume", run], 0);
    for user in &fleet.users {
        let index = "select indisvalid from pg_index where indexrelid = 'only_one'::regclass";
        assert_eq!(fleet.sql(user, index), json!([{ "indisvalid": true }]));
    }
}

#[test]
fn a_lock_that_an_application_holds_fails_after_a_while_and_nothing_queues_behind_it() {
    let Some(fleet) = migrated(2) else { return };
    let user = fleet.users[0].clone();
    let access = fleet.world.xata.connection_string(&fleet.database(&user).id).unwrap();
    let application = fleet.world.runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(&access, NoTls).await.unwrap();
        tokio::spawn(connection);
        client.batch_execute("begin; select from notes").await.unwrap();
        client
    });
    fleet.write("schema/2_add_title.sql", TITLE);
    let flags = ["--canary", "0", "--retries", "0"];
    let report = migrate(&fleet, &flags, 1);
    assert_eq!(report["failures"]["55P03"]["users"], json!([user]), "{report}");
    drop(application);
    migrate(&fleet, &flags, 0);
}

#[test]
fn a_record_of_an_earlier_version_is_adopted_by_the_contents_of_its_files() {
    let Some(fleet) = Fleet::with_postgres(2) else { return };
    let sha256 = "7d3bf6d9ea0ea7ccf5d2c8bbde9ce2f2d5d6ecf3bfa17e3e9e8bfc0d3a9e3f10";
    let databases = PROJECTS.map(|project| format!("template{project}"));
    let databases = databases.into_iter().chain(fleet.users.iter().map(|it| fleet.database(it).id));
    let databases: Vec<_> = databases.collect();
    let record = |database: &str, sha256: &str| {
        for statement in [
            "create schema if not exists per_user_db",
            "create table if not exists per_user_db.schema_files (name text primary key, sha256 text \
             not null, applied_at timestamptz not null default now())",
            "delete from per_user_db.schema_files",
            &format!("insert into per_user_db.schema_files values ('01-notes.sql', '{sha256}')"),
        ] {
            fleet.world.sql(database, statement);
        }
    };
    for database in &databases {
        record(database, sha256);
    }
    fleet.write("schema/1_notes.sql", "create table notes ();\n");
    let refused = migrate(&fleet, &[], 1);
    assert!(
        refused["failures"]["changed_file"]["message"].as_str().unwrap().contains("in its place")
    );
    // printf 'create table notes ();\n' | sha256sum
    let sha256 = "8a5bbe1dae9b1669e5dc106bfaa48e517d3515bb07af8fad1c68c1b340a4d870";
    for database in &databases {
        record(database, sha256);
        fleet.world.sql(database, "create table notes ()");
    }
    fleet.write("schema/2_text.sql", "alter table notes add text text;");
    migrate(&fleet, &[], 0);
    for user in &fleet.users {
        assert_eq!(
            fleet.sql(user, "select max(version)::int v, count(*)::int n from _sqlx_migrations"),
            json!([{ "v": 2, "n": 2 }])
        );
    }
}

#[test]
fn a_database_that_is_being_created_is_waited_for_and_one_asleep_by_hand_is_named() {
    let Some(fleet) = migrated(2) else { return };
    let (half_made, asleep) = (standin::clerk::user_id(60), fleet.users[1].clone());
    fleet.world.clerk.insert(SignUp::new(&half_made));
    fleet.document(&["backfill", "--yes"], 0);
    let id = fleet.database(&asleep).id;
    let scale_to_zero = json!({ "enabled": false, "inactivityPeriodMinutes": 30 });
    fleet.world.patch(&id, &json!({ "hibernate": true, "scaleToZero": scale_to_zero }));
    fs::remove_dir_all(fleet.world.directory.path().join(".ops")).unwrap();
    fleet.write("schema/2_add_title.sql", TITLE);
    let report = migrate(&fleet, &["--canary", "0"], 1);
    let failure = &report["failures"]["57P01"];
    assert_eq!((&failure["users"], &report["count"]["failed"]), (&json!([asleep]), &json!(1)));
    assert!(failure["message"].as_str().unwrap().contains("wake it in Xata"), "{failure}");
    let (_, ledger) = fleet.ledger();
    let steps = steps(&ledger, &fleet.database(&half_made).id);
    assert_eq!(steps.last().unwrap(), "done", "{steps:?}");
}

#[test]
fn a_key_without_the_scope_is_told_at_the_first_template() {
    let fleet = Fleet::start(3);
    fleet.write("schema/1_a.sql", "select 1;");
    let refusal = Effect::Answer(CannedResponse::message(StatusCode::FORBIDDEN, "access denied"));
    fleet.world.xata.faults().push(Fault::always(Call::GetCredentials, refusal));
    let report = migrate(&fleet, &["--parallel", "1"], 1);
    let failure = &report["failures"]["http_403"];
    assert_eq!(failure["count"], 1, "{report}");
    assert!(failure["message"].as_str().unwrap().contains("its scopes"), "{failure}");
}

#[test]
fn wrong_settings_are_named_before_anything_is_changed() {
    let fleet = Fleet::start(1);
    fleet.write("schema/1_a.sql", "select 1;");
    let run = |changes: &[(&str, &str)]| {
        let outcome = fleet.run_with(&["migrate", "schema", "--yes"], changes);
        assert_eq!(outcome.code, 1);
        outcome.error
    };
    assert!(run(&[("XATA_API_KEY", "xau_wrong")]).contains("check XATA_API_KEY"));
    let templates = format!("prj_a/{REGION}=gone,prj_b/{REGION}=templateprj_b");
    assert!(run(&[("XATA_TEMPLATES", &templates)]).contains("XATA_TEMPLATES names gone"));
    assert_eq!(n_calls(&fleet, "/credentials"), 0);
}

//! `ops user`.

use http::StatusCode;
use serde_json::{Value, json};
use standin::clerk::backend;
use standin::fault::{CannedResponse, Effect, Fault};
use standin::xata::platform::Call;

use crate::world::World;
use crate::{ops, run, unused_url};

/// The report, and its findings.
fn report(world: &World, changes: &[(&'static str, &str)]) -> (Value, Vec<String>) {
    let outcome = world.run_with("user", &["--json"], changes);
    let report = outcome.json();
    let findings = report["findings"].as_array().unwrap().iter();
    let text = |finding: &Value, name: &str| finding[name].as_str().unwrap().to_owned();
    let findings = findings.map(|it| format!("{}: {}", text(it, "what"), text(it, "mend")));
    let findings: Vec<_> = findings.collect();
    let code = if findings.is_empty() { 0 } else { 3 };
    assert_eq!((outcome.code, outcome.error.as_str()), (code, ""), "{}", outcome.out);
    (report, findings)
}

const REPLAY: &str = "replay the user.created event in Hookdeck";

#[test]
fn a_user_with_a_database_and_an_entry_has_no_findings() {
    let world = World::start();
    let id = world.insert(world.home, &world.user);
    world.write_entry(&world.entry(world.home, &id));
    let outcome = world.run("user", &[]);
    assert_eq!((outcome.code, outcome.error.as_str()), (0, ""));
    let (home, instance) = (world.home, &world.instance);
    for (name, value) in [
        ("user", &*world.user),
        ("id made", "2026-01-07T15:02:34Z"),
        ("at Clerk", &format!("here: instance {instance} knows the user")),
        ("home project", home),
        ("database", &id),
        ("project", home),
        ("region", "eu-central-1"),
        ("created", "2026-01-07T11:06:40."),
        ("state", "awake"),
        ("entry at Clerk", "matches the database"),
        ("parked", "none"),
    ] {
        let row = |line: &str| {
            let line = line.trim_matches(['│', ' ']);
            line.strip_prefix(name).is_some_and(|rest| rest.trim_start().starts_with(value))
        };
        assert!(outcome.out.lines().any(row), "{name} {value}: {}", outcome.out);
    }
    assert!(outcome.out.ends_with("Nothing to do.\n"), "{}", outcome.out);
    assert_eq!(world.changes(), [""; 0]);
    let (report, findings) = report(&world, &[]);
    assert_eq!(findings, [""; 0]);
    assert_eq!(report["entry"]["verdict"], "as_it_should_be");
    assert_eq!(report["databases"][0]["state"], "healthy");
}

#[test]
fn a_database_outside_the_home_project_is_found_and_marked() {
    let world = World::start();
    let id = world.insert(world.elsewhere, &world.user);
    world.write_entry(&world.entry(world.elsewhere, &id));
    let (report, findings) = report(&world, &[]);
    assert_eq!(findings, [""; 0]);
    assert_eq!(
        (&report["home_project"], &report["databases"][0]["id"]),
        (&json!(world.home), &json!(id))
    );
    assert_eq!(report["databases"][0]["is_home"], false);
    let out = world.run("user", &[]).out;
    assert!(out.contains(&format!("{}, which is not the home", world.elsewhere)), "{out}");
}

#[test]
fn two_databases_are_both_listed_the_one_in_the_home_project_first() {
    let world = World::start();
    let other = world.insert(world.elsewhere, &world.user);
    let id = world.insert(world.home, &world.user);
    world.write_entry(&world.entry(world.elsewhere, &other));
    let (report, findings) = report(&world, &[]);
    let ids: Vec<_> = report["databases"].as_array().unwrap().iter().map(|it| &it["id"]).collect();
    assert_eq!(ids, [&json!(id), &json!(other)]);
    // The entry tells which one the application uses.
    assert_eq!(
        (&report["entry"]["verdict"], &report["entry"]["id"]),
        (&json!("as_it_should_be"), &json!(other))
    );
    assert!(findings.len() == 1 && findings[0].starts_with("several databases:"), "{findings:?}");
}

#[test]
fn a_user_without_a_database_needs_a_replay_of_the_sign_up() {
    let world = World::start();
    let (report, findings) = report(&world, &[]);
    assert_eq!(findings, [format!("no database: {REPLAY}")]);
    assert_eq!((&report["clerk"]["presence"], &report["databases"]), (&json!("here"), &json!([])));
    let out = world.run("user", &[]).out;
    assert!(out.contains(&format!("no database: {REPLAY}\n")), "{out}");
}

#[test]
fn a_deleted_user_with_a_database_needs_a_replay_of_the_deletion() {
    let world = World::start();
    world.insert(world.home, &world.user);
    world.clerk.remove(&world.user);
    for removal in ["park", "delete"] {
        let (report, findings) = report(&world, &[("ON_USER_DELETED", removal)]);
        let mend = "replay the user.deleted event in Hookdeck";
        assert_eq!(findings, [format!("user gone at Clerk, database still there: {mend}")]);
        assert_eq!(report["entry"], Value::Null);
    }
    let (_, findings) = report(&world, &[]);
    assert!(findings[0].contains("ON_USER_DELETED is retain here"), "{findings:?}");
}

#[test]
fn a_deleted_user_is_reported_with_the_instance() {
    let world = World::start();
    world.clerk.remove(&world.user);
    let (report, findings) = report(&world, &[]);
    assert_eq!(findings, [""; 0]);
    assert_eq!(report["clerk"], json!({ "presence": "gone", "instance": world.instance }));
    let out = world.run("user", &[]).out;
    assert!(
        out.contains(&format!("gone: instance {} does not know the user", world.instance)),
        "{out}"
    );
}

#[test]
fn a_key_of_an_unlisted_instance_proves_no_deletion() {
    let world = World::start();
    world.clerk.remove(&world.user);
    let outcome =
        world.run_with("user", &["--json"], &[("CLERK_INSTANCE_ID", "ins_other,ins_more")]);
    assert_eq!(outcome.code, 1);
    let problem = outcome.json()["clerk"]["problem"].as_str().unwrap().to_owned();
    assert!(problem.contains(&world.instance) && problem.contains("CLERK_SECRET_KEY"), "{problem}");
    let listed = format!("ins_other,{}", world.instance);
    assert_eq!(report(&world, &[("CLERK_INSTANCE_ID", &listed)]).0["clerk"]["presence"], "gone");
}

#[test]
fn without_a_key_clerk_is_not_asked() {
    let world = World::start();
    let without = [("CLERK_SECRET_KEY", ""), ("CLERK_API_URL", "")];
    let (report, findings) = report(&world, &without);
    assert_eq!(findings, [format!("no database: if the user still exists, {REPLAY}")]);
    assert_eq!(report["clerk"], json!({ "presence": "not_asked" }));
    assert_eq!(world.clerk.requests(), []);
    let out = world.run_with("user", &[], &without).out;
    assert!(out.contains("not asked: CLERK_SECRET_KEY is not set"), "{out}");
}

#[test]
fn an_entry_that_is_missing_or_differs_needs_a_replay_of_the_sign_up() {
    let world = World::start();
    let id = world.insert(world.home, &world.user);
    let (document, findings) = report(&world, &[]);
    assert_eq!(document["entry"]["verdict"], "missing");
    assert_eq!(findings, [format!("entry missing at Clerk: {REPLAY}")]);

    let good = world.entry(world.home, &id);
    for (member, value, difference) in [
        ("region", json!("us-east-1"), "region is eu-central-1, and the entry says us-east-1"),
        ("id", json!("b0"), &format!("id is {id}, and the entry says b0")),
        ("project", json!(null), &format!("project is {}, and the entry has no", world.home)),
        (
            "name",
            json!("postgresql://x:y@z"),
            &format!("name is {}, and the entry has no", world.user),
        ),
    ] {
        let mut entry = good.clone();
        entry[member] = value;
        world.write_entry(&entry);
        let (document, findings) = report(&world, &[]);
        assert_eq!(findings, [format!("entry at Clerk differs: {REPLAY}")]);
        let differences = document["entry"]["differences"].as_array().unwrap();
        assert!(differences[0].as_str().unwrap().starts_with(difference), "{differences:?}");
        assert_eq!(differences.len(), 1);
    }
    // What an application adds is its own.
    let mut entry = good;
    entry["status"] = json!("ready");
    entry["password"] = json!("planted-secret");
    world.write_entry(&entry);
    assert_eq!(report(&world, &[]).0["entry"]["verdict"], "as_it_should_be");
}

#[test]
fn metadata_without_room_for_the_entry_is_named_with_its_size() {
    let world = World::start();
    world.insert(world.home, &world.user);
    let plan = json!({ "plan": "x".repeat(8000) });
    world.clerk.change_user(&world.user, |user| user.private_metadata = plan);
    let (_, findings) = report(&world, &[]);
    let room = "make room in the user's metadata at Clerk, which has 80";
    let [finding] = &findings[..] else { panic!("{findings:?}") };
    assert!(finding.starts_with(&format!("entry missing at Clerk: {room}")), "{finding}");
    assert!(finding.ends_with(&format!("bytes of 8192; then {REPLAY}")), "{finding}");
}

#[test]
fn an_entry_of_another_form_is_not_shown() {
    let world = World::start();
    world.insert(world.home, &world.user);
    for entry in [
        json!("planted-secret"),
        json!(["planted-secret"]),
        json!({ "id": { "planted-secret": 1 } }),
    ] {
        world.write_entry(&entry);
        assert_eq!(report(&world, &[]).0["entry"]["verdict"], "differs");
    }
}

#[test]
fn an_entry_without_a_database_differs_and_shows_its_region() {
    let world = World::start();
    world.write_entry(&world.entry(world.home, "b0"));
    let (report, findings) = report(&world, &[]);
    assert_eq!(findings, [format!("no database: {REPLAY}")]);
    assert_eq!(
        (&report["entry"]["verdict"], &report["entry"]["region"]),
        (&json!("differs"), &json!("eu-central-1"))
    );
    let out = world.run("user", &[]).out;
    assert!(out.contains("differs: the user has no database"), "{out}");
}

#[test]
fn the_users_parked_copies_are_listed_newest_first() {
    let world = World::start();
    let older = world.park(world.home, 1_767_800_000);
    let newer = world.park(world.elsewhere, 1_767_900_000);
    for other in [
        format!("parked/{}x/1767800000", world.user),
        format!("parked/{}/yesterday", world.user),
        format!("parked/{}", world.user),
        world.user.to_lowercase(),
        format!("{}x", world.user),
    ] {
        world.insert(world.home, &other);
    }
    let (document, findings) = report(&world, &[]);
    let parked = document["parked"].as_array().unwrap();
    assert_eq!(parked.len(), 2);
    assert_eq!((&parked[0]["id"], &parked[1]["id"]), (&json!(newer), &json!(older)));
    assert_eq!(
        (&parked[0]["since"], &parked[0]["since_date"]),
        (&json!(1_767_900_000), &json!("2026-01-08T19:20:00Z"))
    );
    assert_eq!(
        (&parked[0]["project"], &parked[0]["region"]),
        (&json!(world.elsewhere), &json!("eu-central-1"))
    );
    let unpark = format!("cargo ops unpark {}", world.user);
    assert!(
        findings[0].starts_with("no database, but a parked copy: give it back"),
        "{findings:?}"
    );
    assert!(findings[0].contains(&unpark), "{findings:?}");

    world.clerk.remove(&world.user);
    assert_eq!(report(&world, &[]).1, [""; 0]);
}

#[test]
fn a_parked_copy_beside_the_database_of_an_existing_user_is_a_finding() {
    let world = World::start();
    let id = world.insert(world.home, &world.user);
    world.write_entry(&world.entry(world.home, &id));
    world.park(world.home, u64::MAX);
    let (report, findings) = report(&world, &[]);
    assert!(findings[0].starts_with("a parked copy beside the database:"), "{findings:?}");
    assert_eq!(report["parked"][0]["since_date"], Value::Null);
}

#[test]
fn the_state_of_a_database_is_shown_in_plain_words() {
    let world = World::start();
    let id = world.insert(world.home, &world.user);
    world.write_entry(&world.entry(world.home, &id));
    for (kind, word, words) in [
        ("STATUS_TYPE_TRANSIENT", "transient", "not ready"),
        ("STATUS_TYPE_FAULT", "fault", "at fault"),
        ("STATUS_TYPE_HIBERNATED", "hibernated", "asleep"),
        ("STATUS_TYPE_OF_TOMORROW", "unspecified", "unknown to this tool"),
    ] {
        let status = json!({ "statusType": kind });
        let body =
            json!({ "name": world.user, "region": "us-east-1", "status": status }).to_string();
        let answer = CannedResponse::new(StatusCode::OK).with_body("application/json", body);
        world.fault(Call::DescribeBranch, Effect::Answer(answer.clone()));
        let (report, findings) = report(&world, &[]);
        assert_eq!(report["databases"][0]["state"], word);
        assert_eq!(findings.is_empty(), word != "fault", "{findings:?}");
        world.fault(Call::DescribeBranch, Effect::Answer(answer));
        let out = world.run("user", &[]).out;
        assert!(out.contains(&format!("state          {words}")), "{out}");
    }
}

/// A run that cannot ask everything: the document, and the table.
fn problem(world: &World, changes: &[(&'static str, &str)]) -> (Value, String) {
    let outcome = world.run_with("user", &["--json"], changes);
    assert_eq!(outcome.code, 1, "{}", outcome.out);
    assert!(outcome.error.contains("not everything could be asked"), "{}", outcome.error);
    let outcome_of_table = world.run_with("user", &[], changes);
    assert_eq!(outcome_of_table.code, 1);
    assert!(!outcome_of_table.out.contains("Nothing to do"), "{}", outcome_of_table.out);
    (outcome.json(), outcome_of_table.out)
}

#[test]
fn an_error_of_clerk_is_reported_with_what_to_check() {
    let world = World::start();
    world.insert(world.home, &world.user);
    let unused = unused_url();
    let xata_url = format!("{unused}/v1");
    for (variable, value, says) in [
        (
            "CLERK_SECRET_KEY",
            "sk_test_another",
            "Clerk refuses the key (401): check CLERK_SECRET_KEY",
        ),
        ("CLERK_API_URL", &*xata_url, "cannot be reached, no connection: check CLERK_API_URL"),
    ] {
        let (report, table) = problem(&world, &[(variable, value)]);
        assert!(table.contains("could not be asked: Clerk") && table.contains(says), "{table}");
        assert_eq!(report["clerk"]["presence"], "unknown");
        // Xata's databases are listed all the same.
        assert_eq!(report["databases"].as_array().unwrap().len(), 1);
    }
}

#[test]
fn a_404_without_clerks_code_proves_no_deletion() {
    let world = World::start();
    world.insert(world.home, &world.user);
    let page = Effect::Answer(CannedResponse::html(StatusCode::NOT_FOUND));
    world.clerk.faults().push(Fault::always(backend::Call::GetUser, page));
    let (report, table) = problem(&world, &[]);
    assert_eq!(
        (&report["clerk"]["presence"], &report["findings"]),
        (&json!("unknown"), &json!([]))
    );
    assert!(table.contains("check CLERK_API_URL, which ends in /v1"), "{table}");
}

#[test]
fn an_error_of_xata_is_reported_with_what_to_check() {
    let world = World::start();
    world.insert(world.home, &world.user);
    let unused = unused_url();
    for (variable, value, says) in [
        ("XATA_API_KEY", "xau_another", "Xata refuses the key (401): check XATA_API_KEY"),
        ("XATA_API_URL", &*unused, "cannot be reached, no connection: check XATA_API_URL"),
        (
            "XATA_ORGANIZATION_ID",
            "org_other",
            "check XATA_API_KEY, its scopes, and XATA_ORGANIZATION_ID",
        ),
        (
            "XATA_PROJECT_ID",
            "prj_nowhere",
            "prj_nowhere: Xata finds nothing at this path (404): check XATA_ORG",
        ),
    ] {
        let (report, table) = problem(&world, &[(variable, value)]);
        assert!(table.contains(says) && table.contains("none seen"), "{table}");
        // An unread project may hold a database, so there is no finding.
        assert_eq!((&report["databases"], &report["findings"]), (&json!([]), &json!([])));
    }
}

#[test]
fn a_truncated_list_proves_no_absence() {
    let world = World::start();
    let id = world.insert(world.home, &world.user);
    world.write_entry(&world.entry(world.home, &id));
    for effect in [
        Effect::TruncatedAfter,
        Effect::Answer(CannedResponse::html(StatusCode::OK)),
        Effect::Answer(CannedResponse::message(
            StatusCode::INTERNAL_SERVER_ERROR,
            "planted-secret",
        )),
    ] {
        world.xata.faults().push(Fault::always(Call::ListBranches, effect));
        let (report, _) = problem(&world, &[]);
        assert_eq!(report["unread"].as_array().unwrap().len(), 2);
        assert_eq!(
            (&report["entry"]["verdict"], &report["findings"]),
            (&json!("not_compared"), &json!([]))
        );
        world.xata.faults().clear();
    }
}

#[test]
fn a_list_is_not_read_beyond_its_limit() {
    let world = World::start();
    let endless = CannedResponse::new(StatusCode::OK)
        .with_body("application/json", vec![b' '; 64 * 1024 * 1024 + 1]);
    world.xata.faults().push(Fault::always(Call::ListBranches, Effect::Answer(endless)));
    let (report, _) = problem(&world, &[]);
    assert_eq!(report["unread"].as_array().unwrap().len(), 2);
}

#[test]
fn one_project_that_cannot_be_read_does_not_hide_what_is_in_the_other() {
    let world = World::start();
    world.insert(world.elsewhere, &world.user);
    // The home project is asked first.
    let failure = Effect::Answer(CannedResponse::html(StatusCode::BAD_GATEWAY));
    world.fault(Call::ListBranches, failure);
    let report = world.run("user", &["--json"]).json();
    assert_eq!(report["unread"][0]["project"], world.home);
    assert_eq!(report["databases"][0]["project"], world.elsewhere);
    assert_eq!(report["findings"], json!([]));
}

#[test]
fn a_database_that_is_listed_and_not_found_is_reported() {
    let world = World::start();
    world.insert(world.home, &world.user);
    let gone = CannedResponse::message(StatusCode::NOT_FOUND, "branch [x] not found");
    world.xata.faults().push(Fault::always(Call::DescribeBranch, Effect::Answer(gone)));
    let (report, table) = problem(&world, &[]);
    assert_eq!(report["databases"][0]["state"], Value::Null);
    assert!(table.contains("its deletion was interrupted"), "{table}");
}

#[test]
fn a_malformed_user_id_is_wrong_usage() {
    for id in ["", "nobody", "user_short", "user_../../../admin", "org_37vz6BwG1KEMgL1JMSppdaytVY4"]
    {
        for command in ["user", "unpark"] {
            let (code, out, error) = run(&mut ops(&[command, id]));
            assert_eq!((code, out.as_str()), (2, ""), "{id}");
            assert!(error.contains("user_ and 10 to 64 letters and digits"), "{error}");
        }
    }
}

#[test]
fn a_missing_setting_is_named_and_the_signing_secret_is_not_needed() {
    for command in ["user", "unpark"] {
        let (code, _, error) = run(&mut ops(&[command, "user_37vz6BwG1KEMgL1JMSppdaytVY4"]));
        assert_eq!(code, 1);
        assert!(error.contains("XATA_API_KEY is missing") && error.contains(".env"), "{error}");
    }
}

#[test]
fn xata_lite_is_refused() {
    for command in ["user", "unpark"] {
        let mut command = ops(&[command, "user_37vz6BwG1KEMgL1JMSppdaytVY4"]);
        command.env("XATA_API_KEY", "xau_x").env("XATA_API_URL", "http://127.0.0.1:1");
        let (code, _, error) = run(command.env("XATA_WORKSPACE_SLUG", "ws-abc123"));
        assert_eq!(code, 1);
        assert!(error.contains("this command is for Xata's platform of today"), "{error}");
    }
}

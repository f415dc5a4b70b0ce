//! `ops unpark`.

use http::StatusCode;
use serde_json::{Value, json};
use standin::clerk::backend;
use standin::fault::{CannedResponse, Effect, Fault};
use standin::xata::platform::Call;

use crate::world::World;

const SINCE: u64 = 1_767_800_000;

/// The document of a run that ends with this code.
fn report(world: &World, flags: &[&str], code: i32) -> Value {
    let outcome = world.run("unpark", &[&["--json"], flags].concat());
    assert_eq!(outcome.code, code, "{}{}", outcome.out, outcome.error);
    assert_eq!(outcome.error.is_empty(), code != 1, "{}", outcome.error);
    outcome.json()
}

/// Checks that this copy is the user's database again.
fn is_back(world: &World, id: &str) {
    let [database] = &world.named(&world.user)[..] else { panic!("one database") };
    assert_eq!(database.id, id);
}

/// The table alone.
fn table(out: &str) -> Vec<&str> {
    out.lines().filter(|line| line.starts_with(['┌', '│', '└'])).collect()
}

#[test]
fn the_newest_copy_is_given_back_and_the_entry_is_written() {
    let world = World::start();
    let older = world.park(world.home, SINCE);
    let newest = world.park(world.elsewhere, SINCE + 1);
    let document = report(&world, &[], 0);
    assert_eq!(
        (&document["outcome"], &document["copy"]["id"]),
        (&json!("unparked"), &json!(newest))
    );
    is_back(&world, &newest);
    assert_eq!(world.named(&format!("parked/{}/{SINCE}", world.user))[0].id, older);
    assert_eq!(document["other_copies"][0]["since"], SINCE);

    let requests = world.xata.requests();
    let changes: Vec<_> = requests.iter().filter(|it| it.method != "GET").collect();
    let [change] = &changes[..] else { panic!("one change: {changes:?}") };
    assert!(change.path.ends_with(&format!("/projects/{}/branches/{newest}", world.elsewhere)));
    let body: Value = serde_json::from_slice(&change.body).unwrap();
    assert_eq!(body, json!({ "name": world.user, "hibernate": false }));
    let entry = world.entry(world.elsewhere, &newest);
    assert_eq!(world.metadata(), json!({ "database": entry, "plan": "planted-secret" }));
}

#[test]
fn the_copy_that_since_names_is_given_back() {
    let world = World::start();
    let older = world.park(world.home, SINCE);
    world.park(world.home, SINCE + 1);
    let outcome = world.run("unpark", &["--since", "7"]);
    assert_eq!(outcome.code, 1);
    let seconds = format!("{}, {SINCE}", SINCE + 1);
    assert!(outcome.error.contains(&seconds), "{}", outcome.error);
    assert_eq!(world.changes(), [""; 0]);
    report(&world, &["--since", &SINCE.to_string()], 0);
    is_back(&world, &older);
}

#[test]
fn a_taken_name_is_refused_in_every_project() {
    for project in crate::world::PROJECTS {
        let world = World::start();
        world.park(world.home, SINCE);
        let id = world.insert(project, &world.user);
        let document = report(&world, &[], 1);
        assert_eq!((&document["outcome"], &document["clerk"]), (&json!("refused"), &Value::Null));
        let error = world.run("unpark", &[]).error;
        assert!(
            error.contains(&format!("{id} in {project}")) && error.contains("To go on"),
            "{error}"
        );
        assert_eq!(world.changes(), [""; 0]);
    }
}

#[test]
fn a_dry_run_shows_the_same_plan_and_changes_nothing() {
    let world = World::start();
    let id = world.park(world.home, SINCE);
    let document = report(&world, &["--dry-run"], 3);
    assert_eq!((&document["outcome"], &document["dry_run"]), (&json!("planned"), &json!(true)));
    let dry = world.run("unpark", &["--dry-run"]);
    assert!(dry.out.ends_with("Nothing was changed: this is a dry run.\n"), "{}", dry.out);
    assert_eq!(world.changes(), [""; 0]);

    let done = world.run("unpark", &[]);
    assert_eq!(table(&dry.out), table(&done.out));
    for cell in [
        &*id,
        "2026-01-07T15:33:20Z (1767800000)",
        &format!("parked/{0}/{SINCE} → {0}", world.user),
        &format!("here: instance {}", world.instance),
        "entry at Clerk   is written",
    ] {
        assert!(dry.out.contains(cell), "{cell}: {}", dry.out);
    }
    assert!(done.out.ends_with("The entry at Clerk is written.\n"), "{}", done.out);
    is_back(&world, &id);
}

#[test]
fn a_second_run_finds_nothing_to_do() {
    let world = World::start();
    let id = world.park(world.home, SINCE);
    report(&world, &[], 0);
    let changes = world.changes();
    assert_eq!(report(&world, &[], 0)["outcome"], "nothing_parked");
    let again = world.run("unpark", &[]);
    let says = format!("Nothing is parked, and the user has a database: {id} in {}.\n", world.home);
    assert_eq!((again.code, again.out), (0, says));
    assert_eq!(world.changes(), changes);
}

#[test]
fn without_a_copy_and_without_a_database_there_is_nothing_to_give_back() {
    let world = World::start();
    let document = report(&world, &[], 1);
    assert_eq!(document["outcome"], "refused");
    assert!(document["message"].as_str().unwrap().contains("user.created"), "{document}");
}

#[test]
fn a_user_who_is_gone_at_clerk_gets_the_database_back_without_an_entry() {
    let world = World::start();
    let id = world.park(world.home, SINCE);
    world.clerk.remove(&world.user);
    let outcome = world.run("unpark", &[]);
    assert_eq!(outcome.code, 0);
    is_back(&world, &id);
    for part in
        ["gone: instance", &world.instance, "is not written", "Clerk says that the user is gone"]
    {
        assert!(outcome.out.contains(part), "{part}: {}", outcome.out);
    }
    assert_eq!(world.changes().len(), 1);
}

#[test]
fn without_a_key_no_entry_is_written() {
    let world = World::start();
    let id = world.park(world.home, SINCE);
    let without = [("CLERK_SECRET_KEY", ""), ("CLERK_API_URL", "")];
    let outcome = world.run_with("unpark", &[], &without);
    assert_eq!(outcome.code, 0);
    assert!(outcome.out.contains("CLERK_SECRET_KEY is not set."), "{}", outcome.out);
    is_back(&world, &id);
    assert_eq!(world.clerk.requests(), []);
}

#[test]
fn an_entry_that_cannot_be_written_is_a_failure_with_what_to_do() {
    let fails = |call| {
        let world = World::start();
        let error = CannedResponse::html(StatusCode::BAD_GATEWAY);
        world.clerk.faults().push(Fault::always(call, Effect::Answer(error)));
        (world, "Clerk fails (502)", None)
    };
    let refused = (World::start(), "check CLERK_SECRET_KEY", Some("sk_test_another"));
    for (world, says, key) in
        [fails(backend::Call::GetUser), fails(backend::Call::UpdateUserMetadata), refused]
    {
        let id = world.park(world.home, SINCE);
        let changes: Vec<_> = key.map(|key| ("CLERK_SECRET_KEY", key)).into_iter().collect();
        let outcome = world.run_with("unpark", &["--json"], &changes);
        assert_eq!(
            (outcome.code, &outcome.json()["outcome"]),
            (1, &json!("unparked_without_entry"))
        );
        for part in ["the database is back", says, "replay the user.created event in Hookdeck"] {
            assert!(outcome.error.contains(part), "{part}: {}", outcome.error);
        }
        is_back(&world, &id);
    }
}

#[test]
fn after_a_lost_response_the_name_decides_the_outcome() {
    let error = || CannedResponse::html(StatusCode::BAD_GATEWAY);
    for (effect, is_done) in [
        (Effect::ResetAfter, true),
        (Effect::AnswerAfter(error()), true),
        (Effect::ResetBefore, false),
        (Effect::Answer(error()), false),
    ] {
        let world = World::start();
        let id = world.park(world.home, SINCE);
        world.fault(Call::PatchBranch, effect.clone());
        let outcome = world.run("unpark", &["--json"]);
        let (code, said) = if is_done { (0, "unparked") } else { (1, "refused") };
        assert_eq!((outcome.code, &outcome.json()["outcome"]), (code, &json!(said)), "{effect:?}");
        if !is_done {
            assert!(outcome.error.contains("Run this again"), "{}", outcome.error);
            assert_eq!(world.named(&world.user), []);
            report(&world, &[], 0);
        }
        is_back(&world, &id);
    }
}

#[test]
fn a_change_whose_result_cannot_be_read_is_unclear() {
    let world = World::start();
    world.park(world.home, SINCE);
    world.fault(Call::PatchBranch, Effect::ResetAfter);
    let failure = Effect::Answer(CannedResponse::html(StatusCode::BAD_GATEWAY));
    world.xata.faults().push(Fault::always(Call::DescribeBranch, failure));
    let document = report(&world, &[], 1);
    assert_eq!(document["outcome"], "unclear");
    assert_eq!(report(&world, &[], 0)["outcome"], "nothing_parked");
}

#[test]
fn a_refused_change_leaves_the_copy_as_it_is() {
    for (status, says) in [
        (StatusCode::FORBIDDEN, "check XATA_API_KEY"),
        (StatusCode::CONFLICT, "busy (409)"),
        (StatusCode::NOT_FOUND, "404"),
    ] {
        let world = World::start();
        world.park(world.home, SINCE);
        world.fault(
            Call::PatchBranch,
            Effect::Answer(CannedResponse::message(status, "planted-secret")),
        );
        let document = report(&world, &[], 1);
        assert_eq!(document["outcome"], "refused");
        assert!(document["message"].as_str().unwrap().contains(says), "{document}");
        assert_eq!(world.metadata()["database"], Value::Null);
    }
}

#[test]
fn nothing_is_done_while_a_project_cannot_be_read() {
    let world = World::start();
    world.park(world.home, SINCE);
    let failure = Effect::Answer(CannedResponse::html(StatusCode::BAD_GATEWAY));
    world.xata.faults().push(Fault { on: Call::ListBranches, skip: 1, times: 1, effect: failure });
    let document = report(&world, &[], 1);
    let message = document["message"].as_str().unwrap();
    assert!(
        message.contains(world.elsewhere) && message.contains("could not be read"),
        "{message}"
    );
    assert_eq!(world.changes(), [""; 0]);
}

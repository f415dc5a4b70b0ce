//! Errors of `ops setup hookdeck`.

use http::StatusCode;
use serde_json::{Value, json};
use standin::fault::{CannedResponse, Effect, Fault};
use standin::hookdeck::admin::{Call, Replacement};

use super::{SECRET, URL, World, changed, desired};

#[test]
fn a_taken_name_is_refused_with_the_flag_that_chooses_another() {
    let source = json!({ "name": "clerk", "type": "WEBHOOK" });
    let destination = json!({ "name": "per-user-db", "type": "MOCK_API", "config": {} });
    let mut elsewhere = desired();
    elsewhere["destination"]["name"] = json!("other");
    for swap in [Replacement::Refuse, Replacement::Another, Replacement::Ignore] {
        let worlds = [(); 3].map(|()| World::with(|options| options.on_replacement = swap));
        worlds[0].admin.put_source(&source);
        worlds[1].admin.put_destination(&destination);
        worlds[2].admin.put_connection(&elsewhere);
        let parts: [&[&str]; 3] = [
            &["the source clerk", "WEBHOOK", "--source"],
            &["the destination per-user-db", "MOCK_API", "--name"],
            &["the connection per-user-db", "to the destination other", "--name"],
        ];
        for (world, parts) in worlds.iter().zip(parts) {
            let outcome = world.second(&[]);
            assert_eq!((outcome.code, world.puts().len()), (1, 0));
            for part in parts.iter().chain(&["nothing was changed"]) {
                assert!(outcome.error.contains(part), "{part}: {}", outcome.error);
            }
            let names = ["--source", "clerk-2", "--name", "per-user-db-2"];
            assert_eq!(world.second(&names).code, 0);
        }
    }
}

#[test]
fn wrong_usage_is_exit_code_2() {
    let world = World::start();
    for (flags, says) in [
        (&["--url", "http://abc.example/"][..], "https"),
        (&["--url", "http://127.0.0.1:9000/"], "--cli"),
        (&["--url", "abc"], "https"),
        (&["--url", URL, "--cli"], "cannot be used with"),
        (&[], "--cli"),
        (&["--url", URL, "--name", "per user db"], "hyphens"),
        (&["--cli", "webhooks"], "begins with /"),
    ] {
        let outcome = world.run_with(flags, &[]);
        assert_eq!(outcome.code, 2, "{flags:?}: {}", outcome.error);
        assert!(outcome.error.contains(says), "{says}: {}", outcome.error);
    }
    assert_eq!(world.admin.requests(), []);
}

#[test]
fn an_invalid_setting_is_named_with_what_to_do() {
    let world = World::start();
    for (name, value, says) in [
        ("HOOKDECK_API_KEY", "", "dashboard"),
        ("HOOKDECK_API_KEY", "a b", "copy it again"),
        ("HOOKDECK_API_KEY", "hd_another", "check HOOKDECK_API_KEY"),
        ("HOOKDECK_API_URL", "http://api.example/", "loopback"),
        ("HOOKDECK_API_URL", "http://127.0.0.1:1", "check HOOKDECK_API_URL and the network"),
        ("CLERK_WEBHOOK_SIGNING_SECRET", "planted", "copy it again"),
        ("CLERK_WEBHOOK_SECRET", "whsec_planted!", "copy it again"),
    ] {
        let outcome = world.run_with(&["--url", URL], &[(name, value)]);
        assert_eq!(outcome.code, 1, "{name}: {}", outcome.out);
        for part in [name, says] {
            assert!(outcome.error.contains(part), "{part}: {}", outcome.error);
        }
    }
    let both = ["CLERK_WEBHOOK_SIGNING_SECRET", "CLERK_WEBHOOK_SECRET"].map(|name| (name, SECRET));
    assert!(world.run_with(&["--url", URL], &both).error.contains("unset one"));
    let with_version = format!("{}/2026-09-01", world.url);
    let outcome = world.run_with(&["--url", URL], &[("HOOKDECK_API_URL", &with_version)]);
    assert!(outcome.error.contains("without a version"), "{}", outcome.error);
    world.watch.take_violations(); // there is no such operation, which is the point
    assert_eq!(world.puts(), [Value::Null; 0]);
}

#[test]
fn transient_errors_are_retried() {
    let answer = |status| CannedResponse::message(status, "planted");
    for effect in [
        Effect::Answer(answer(StatusCode::TOO_MANY_REQUESTS).with_retry_after("0.25")),
        Effect::Answer(answer(StatusCode::INTERNAL_SERVER_ERROR)),
        Effect::AnswerAfter(answer(StatusCode::BAD_GATEWAY)),
        Effect::ResetBefore,
        Effect::ResetAfter,
        Effect::TruncatedAfter,
    ] {
        let world = World::start();
        world.fault(Call::UpsertConnection, 2, effect.clone());
        world.fault(Call::GetSources, 1, effect.clone());
        let outcome = world.second(&[]);
        assert_eq!((outcome.code, world.puts().len()), (0, 3), "{effect:?}: {}", outcome.error);
        assert_eq!(world.secret(), SECRET);
        world.assert_in_sync();
    }
}

#[test]
fn after_lost_responses_the_actual_state_decides_the_outcome() {
    let world = World::start();
    world.fault(Call::UpsertConnection, u32::MAX, Effect::ResetAfter);
    let outcome = world.second(&["--json"]);
    assert_eq!(
        (outcome.code, &outcome.json()["outcome"]),
        (0, &json!("done")),
        "{}",
        outcome.error
    );
    world.admin.faults().clear();
    world.assert_in_sync();
}

#[test]
fn a_failed_change_reports_what_exists_and_a_second_run_finishes_it() {
    let error =
        || Effect::Answer(CannedResponse::message(StatusCode::INTERNAL_SERVER_ERROR, "planted"));
    let busy =
        CannedResponse::message(StatusCode::TOO_MANY_REQUESTS, "planted").with_retry_after("3600");
    for (effect, said, says) in [
        (error(), "failed", "the source clerk exists"),
        (Effect::Answer(busy), "refused", "nothing was changed"),
        (
            Effect::Answer(CannedResponse::new(StatusCode::UNPROCESSABLE_ENTITY)),
            "refused",
            "(422): check --url",
        ),
        (
            Effect::Answer(CannedResponse::new(StatusCode::FORBIDDEN)),
            "refused",
            "check HOOKDECK_API_KEY",
        ),
    ] {
        let world = World::start();
        world.admin.put_source(&json!({ "name": "clerk", "type": "SVIX" }));
        world.fault(Call::UpsertConnection, u32::MAX, effect);
        let outcome = world.second(&["--json"]);
        assert_eq!((outcome.code, &outcome.json()["outcome"]), (1, &json!(said)));
        assert!(outcome.error.contains(says), "{says}: {}", outcome.error);
        world.admin.faults().clear();
        assert_eq!(world.second(&[]).code, 0);
        world.assert_in_sync();
    }
}

#[test]
fn a_change_that_hookdeck_accepts_and_does_not_apply_is_incomplete() {
    let world = World::start();
    let taken = CannedResponse::new(StatusCode::OK).with_body("application/json", "{}");
    world.fault(Call::UpsertConnection, 1, Effect::Answer(taken));
    let outcome = world.second(&["--json"]);
    assert_eq!((outcome.code, &outcome.json()["outcome"]), (1, &json!("incomplete")));
    assert!(outcome.error.contains("connection per-user-db"), "{}", outcome.error);
    assert_eq!(world.second(&[]).code, 0);
}

#[test]
fn a_member_that_hookdeck_drops_is_noticed() {
    for (member, what) in [("delivery_policy", "deliveries"), ("path_forwarding_disabled", "path")]
    {
        let world = World::with(|options| options.unknown_members = vec![member]);
        let outcome = world.second(&[]);
        assert_eq!(outcome.code, 1, "{}", outcome.out);
        let says = format!("still differ: destination per-user-db: {what}");
        assert!(outcome.error.contains(&says), "{}", outcome.error);
    }
}

#[test]
fn a_change_whose_result_cannot_be_read_is_unclear() {
    let world = World::start();
    world.fault(Call::UpsertConnection, u32::MAX, Effect::ResetAfter);
    let failure = Effect::Answer(CannedResponse::html(StatusCode::BAD_GATEWAY));
    let later = Fault { on: Call::GetSources, skip: 1, times: u32::MAX, effect: failure };
    world.admin.faults().push(later);
    let outcome = world.second(&["--json"]);
    assert_eq!((outcome.code, &outcome.json()["outcome"]), (1, &json!("unclear")));
    assert!(outcome.error.contains("Run this again"), "{}", outcome.error);
}

#[test]
fn another_connection_of_the_source_is_noted() {
    let world = World::start();
    let mut by_hand = changed("/name", json!("by-hand"));
    by_hand["destination"]["name"] = json!("xata-lambda");
    world.admin.put_connection(&by_hand);
    let outcome = world.second(&["--json"]);
    assert!(outcome.json()["notes"][0].as_str().unwrap().contains("by-hand"), "{}", outcome.out);
    assert_eq!((outcome.code, world.admin.connections("by-hand").len()), (0, 1));
}

#[test]
fn a_hidden_secret_is_not_done_when_the_request_failed() {
    let world = World::with(|options| options.reveals_auth = false);
    world.second(&[]);
    let error = CannedResponse::message(StatusCode::INTERNAL_SERVER_ERROR, "planted");
    world.fault(Call::UpsertConnection, u32::MAX, Effect::Answer(error));
    let outcome = world.second(&["--json"]);
    assert_eq!((outcome.code, &outcome.json()["outcome"]), (1, &json!("failed")));
}

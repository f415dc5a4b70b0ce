//! End to end: the stand-in of Hookdeck's delivery engine, the Function URL, the function, Xata.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use serde_json::json;
use standin::clerk::{SignUp, user_id};
use standin::fault::{Effect, Fault};
use standin::function_url::{self, BodyEncoding};
use standin::hookdeck::{Connection, Engine, EventStatus, from_fn};
use standin::xata::{Call, Xata};

use crate::test_app::{Api, CLERK, MINUTE, SECRET, TestApp, message, take_log, user_created};

fn engine(app: &Arc<TestApp>) -> Engine {
    let connection = Connection {
        path: "/webhooks/clerk".into(),
        secret: SECRET.into(),
        concurrency: Some(2),
        clock: match &app.xata {
            Xata::Platform(platform) => platform.clock(),
            Xata::Lite(lite) => lite.clock(),
        },
        ..Connection::default()
    };
    let app = app.clone();
    let destination = from_fn(move |request| {
        let app = app.clone();
        async move {
            let event = function_url::event(&request, BodyEncoding::Base64).to_string();
            let deadline = (app.clock)() + Duration::from_secs(55);
            let response = app.handle(&event, deadline).await;
            Ok(function_url::response(&response.to_lambda())?)
        }
    });
    Engine::new(connection, destination)
}

#[tokio::test(start_paused = true)]
async fn a_hundred_sign_ups_delivered_twice_create_a_hundred_databases() {
    for api in Api::BOTH {
        let app = Arc::new(TestApp::with_api(api, &[]));
        app.xata.set_create_latency(Duration::from_millis(700));
        let engine = engine(&app);
        engine.duplicate(100);
        for seed in 1..=100 {
            engine.ingest(HeaderMap::new(), user_created(seed).into());
        }
        engine.settle().await;
        assert!(engine.events().iter().all(|event| event.status == EventStatus::Successful));
        for seed in 1..=100 {
            assert_eq!(app.databases(&user_id(seed)).len(), 1, "user {seed}");
        }
    }
}

/// Each event costs Clerk at least one request, and a development instance answers 100 in 10 s.
#[tokio::test(start_paused = true)]
async fn three_hundred_users_imported_at_clerk_s_development_limit_get_three_hundred_entries() {
    let app = Arc::new(TestApp::with_settings(&CLERK));
    let engine = engine(&app);
    for seed in 1..=300 {
        app.clerk.insert(SignUp::new(&user_id(seed)));
        engine.ingest(HeaderMap::new(), user_created(seed).into());
    }
    engine.settle().await;
    assert!(engine.events().iter().all(|event| event.status == EventStatus::Successful));
    let limited = app.clerk.requests().iter().filter(|it| it.status == Some(429)).count();
    assert!(limited > 0, "the import meets the limit");
    for seed in 1..=300 {
        let [database] = &app.databases(&user_id(seed))[..] else { panic!("one database") };
        let user = app.clerk.user(&user_id(seed)).expect("a user");
        assert_eq!(user.private_metadata["database"]["id"], json!(database.id), "user {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_two_hours_with_a_retry_after_loses_no_event() {
    for api in Api::BOTH {
        let app = Arc::new(TestApp::with_api(api, &[]));
        let down = message(503, "masked").with_retry_after("30");
        app.xata.fault(Fault::always(Call::Any, Effect::Answer(down)));
        let engine = engine(&app);
        for seed in 1..=20 {
            engine.ingest(HeaderMap::new(), user_created(seed).into());
        }
        tokio::time::sleep(120 * MINUTE).await;
        app.xata.clear_faults();
        engine.settle().await;
        for event in engine.events() {
            assert_eq!(
                event.status,
                EventStatus::Successful,
                "after {} attempts",
                event.attempts.len()
            );
        }
        for seed in 1..=20 {
            assert_eq!(app.databases(&user_id(seed)).len(), 1, "user {seed}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_refused_with_a_wrong_secret_succeeds_after_the_secret_is_corrected() {
    let app = Arc::new(TestApp::new());
    let engine = engine(&app);
    engine.change(|connection| connection.secret = "mistyped".into());
    engine.ingest(HeaderMap::new(), user_created(1).into());
    tokio::time::sleep(MINUTE).await;
    engine.change(|connection| connection.secret = SECRET.into());
    engine.settle().await;
    let [event] = &engine.events()[..] else { panic!("one event") };
    assert_eq!((event.status, event.attempts[0].status), (EventStatus::Successful, Some(401)));
}

#[tokio::test(start_paused = true)]
async fn an_event_that_can_never_be_handled_is_tried_once_and_logged_as_lost() {
    let app = Arc::new(TestApp::new());
    let engine = engine(&app);
    let _ = take_log();
    engine.ingest(HeaderMap::new(), Bytes::from_static(b"{\"type\":\"user.created\"}"));
    engine.settle().await;
    let [event] = &engine.events()[..] else { panic!("one event") };
    assert_eq!((event.status, event.attempts.len()), (EventStatus::Failed, 1));
    let [line] = &take_log()[..] else { panic!("one attempt") };
    assert_eq!((&line["level"], &line["last_attempt"]), (&json!("ERROR"), &json!(true)));
}

#[tokio::test(start_paused = true)]
async fn an_event_that_hookdeck_gives_up_is_logged_once_as_an_error_with_its_user() {
    let app = Arc::new(TestApp::new());
    app.xata.fault(Fault::always(Call::Any, Effect::ResetBefore));
    let engine = engine(&app);
    let _ = take_log();
    engine.ingest(HeaderMap::new(), user_created(1).into());
    engine.settle().await;
    let lines = take_log();
    let [event] = &engine.events()[..] else { panic!("one event") };
    assert_eq!((event.status, lines.len()), (EventStatus::Failed, event.attempts.len()));
    let (last, before) = lines.split_last().expect("attempts");
    for (line, attempt) in before.iter().zip(1..) {
        let trigger = if attempt == 1 { "INITIAL" } else { "AUTOMATIC" };
        assert_eq!((&line["level"], &line["attempt"]), (&json!("WARN"), &json!(attempt)));
        assert_eq!((&line["trigger"], &line["last_attempt"]), (&json!(trigger), &json!(null)));
    }
    assert_eq!((&last["level"], &last["last_attempt"]), (&json!("ERROR"), &json!(true)));
    assert_eq!(
        (&last["user_id"], &last["event_id"]),
        (&json!(user_id(1)), &json!(event.id.as_ref()))
    );

    // The operator sees the result of a manual retry, so it is no error.
    engine.retry(&event.id);
    engine.settle().await;
    let [manual] = &take_log()[..] else { panic!("one attempt") };
    assert_eq!((&manual["level"], &manual["trigger"]), (&json!("WARN"), &json!("MANUAL")));
}

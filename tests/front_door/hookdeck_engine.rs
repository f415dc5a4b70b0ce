//! The whole way: Hookdeck's engine, the Function URL, the function, Xata.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::json;
use standin::clerk::{SignUp, user_id};
use standin::fault::{CannedResponse, Effect, Fault};
use standin::function_url::{self, BodyEncoding};
use standin::hookdeck::{Connection, Engine, EventStatus, from_fn};
use standin::xata::{Call, Xata};

use crate::world::{Api, SECRET, World, take_log};

fn engine(world: &Arc<World>) -> Engine {
    let connection = Connection {
        path: "/webhooks/clerk".into(),
        secret: SECRET.into(),
        concurrency: Some(2),
        clock: match &world.xata {
            Xata::Platform(platform) => platform.clock(),
            Xata::Lite(lite) => lite.clock(),
        },
        ..Connection::default()
    };
    let world = world.clone();
    let destination = from_fn(move |request| {
        let world = world.clone();
        async move {
            let event = function_url::event(&request, BodyEncoding::Base64).to_string();
            let deadline = (world.clock)() + Duration::from_secs(55);
            let answer = world.handle(&event, deadline).await;
            Ok(function_url::response(&answer.to_lambda())?)
        }
    });
    Engine::new(connection, destination)
}

fn event(seed: u64) -> Bytes {
    SignUp::new(&user_id(seed)).user_created().into()
}

#[tokio::test(start_paused = true)]
async fn a_hundred_sign_ups_delivered_twice_make_a_hundred_databases() {
    for api in Api::BOTH {
        let world = Arc::new(World::on(api, &[]));
        world.xata.set_create_latency(Duration::from_millis(700));
        let engine = engine(&world);
        engine.duplicate(100);
        for seed in 1..=100 {
            engine.ingest(HeaderMap::new(), event(seed));
        }
        engine.settle().await;
        assert!(engine.events().iter().all(|event| event.status == EventStatus::Successful));
        for seed in 1..=100 {
            assert_eq!(world.databases(&user_id(seed)).len(), 1, "user {seed}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_hours_that_asks_to_be_asked_again_loses_nobody() {
    for api in Api::BOTH {
        let world = Arc::new(World::on(api, &[]));
        let down = CannedResponse::message(StatusCode::SERVICE_UNAVAILABLE, "masked")
            .with_retry_after("30");
        world.xata.fault(Fault::always(Call::Any, Effect::Answer(down)));
        let engine = engine(&world);
        for seed in 1..=20 {
            engine.ingest(HeaderMap::new(), event(seed));
        }
        tokio::time::sleep(Duration::from_secs(2 * 3600)).await;
        world.xata.clear_faults();
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
            assert_eq!(world.databases(&user_id(seed)).len(), 1, "user {seed}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_was_wrong_is_mended_and_the_stored_event_still_counts() {
    let world = Arc::new(World::new());
    let engine = engine(&world);
    engine.change(|connection| connection.secret = "mistyped".into());
    engine.ingest(HeaderMap::new(), event(1));
    tokio::time::sleep(Duration::from_secs(60)).await;
    engine.change(|connection| connection.secret = SECRET.into());
    engine.settle().await;
    let [event] = &engine.events()[..] else { panic!("one event") };
    assert_eq!((event.status, event.attempts[0].status), (EventStatus::Successful, Some(401)));
}

#[tokio::test(start_paused = true)]
async fn bytes_that_can_never_be_handled_are_tried_once() {
    let world = Arc::new(World::new());
    let engine = engine(&world);
    engine.ingest(HeaderMap::new(), Bytes::from_static(b"{\"type\":\"user.created\"}"));
    engine.settle().await;
    let [event] = &engine.events()[..] else { panic!("one event") };
    assert_eq!((event.status, event.attempts.len()), (EventStatus::Failed, 1));
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_given_up_is_an_error_once_with_its_user() {
    let world = Arc::new(World::new());
    world.xata.fault(Fault::always(Call::Any, Effect::ResetBefore));
    let engine = engine(&world);
    let _ = take_log();
    engine.ingest(HeaderMap::new(), event(1));
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

    // Whoever retries it by hand sees for themselves.
    engine.retry(&event.id);
    engine.settle().await;
    let [by_hand] = &take_log()[..] else { panic!("one attempt") };
    assert_eq!((&by_hand["level"], &by_hand["trigger"]), (&json!("WARN"), &json!("MANUAL")));
}

#[tokio::test(start_paused = true)]
async fn an_event_that_can_never_be_handled_is_given_up_at_once() {
    let world = Arc::new(World::new());
    let engine = engine(&world);
    let _ = take_log();
    engine.ingest(HeaderMap::new(), Bytes::from_static(b"{\"type\":\"user.created\"}"));
    engine.settle().await;
    let [line] = &take_log()[..] else { panic!("one attempt") };
    assert_eq!((&line["level"], &line["last_attempt"]), (&json!("ERROR"), &json!(true)));
}

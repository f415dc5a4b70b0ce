//! The delivery engine: timeouts, duplicates, concurrency, scale, and a router as destination.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response};
use standin::fault::{Effect, Fault};
use standin::hookdeck::{
    AttemptError, Connection, Destination, Engine, EventStatus, RetryRule, from_fn, from_router,
};
use standin::xata::platform::{Call, Options, Platform};
use tokio::time::{Instant, sleep};

use crate::hookdeck::scripted;

const SECOND: Duration = Duration::from_secs(1);

/// How many deliveries are open, were open at most, and were finished.
#[derive(Default)]
struct Gauge {
    open: AtomicUsize,
    most: AtomicUsize,
    finished: AtomicUsize,
}

/// A destination that answers 200 after this time.
fn slow(takes: Duration) -> (Destination, Arc<Gauge>) {
    let gauge = Arc::<Gauge>::default();
    let kept = Arc::clone(&gauge);
    let destination = from_fn(move |_| {
        let gauge = Arc::clone(&kept);
        async move {
            let open = gauge.open.fetch_add(1, Ordering::SeqCst) + 1;
            gauge.most.fetch_max(open, Ordering::SeqCst);
            sleep(takes).await;
            gauge.open.fetch_sub(1, Ordering::SeqCst);
            gauge.finished.fetch_add(1, Ordering::SeqCst);
            Ok(Response::new(Bytes::new()))
        }
    });
    (destination, gauge)
}

#[tokio::test(start_paused = true)]
async fn a_timed_out_destination_goes_on_and_the_event_is_retried() {
    let (destination, gauge) = slow(61 * SECOND);
    let connection = Connection {
        retry: Some(RetryRule { count: 1, ..RetryRule::default() }),
        ..Connection::default()
    };
    let engine = Engine::new(connection, destination);
    engine.ingest(HeaderMap::new(), Bytes::new());
    engine.settle().await;
    let event = engine.events().remove(0);
    assert_eq!(event.status, EventStatus::Failed);
    assert!(event.attempts.iter().all(|attempt| attempt.error == Some(AttemptError::Timeout)));
    assert_eq!(event.attempts[1].started_after, 90 * SECOND);
    sleep(2 * SECOND).await;
    assert_eq!(gauge.finished.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_can_be_delivered_twice_at_the_same_moment() {
    let (destination, seen) = scripted(&[(200, ""), (500, "")]);
    let engine = Engine::new(Connection::default(), destination);
    engine.duplicate(1);
    engine.ingest(HeaderMap::new(), Bytes::new());
    engine.ingest(HeaderMap::new(), Bytes::new());
    engine.settle().await;
    let events = engine.events();
    let numbers =
        |n: usize| events[n].attempts.iter().map(|attempt| attempt.number).collect::<Vec<_>>();
    // The first copy's 200 counts; the other event was delivered once.
    assert_eq!((events[0].status, numbers(0)), (EventStatus::Successful, vec![1, 1]));
    assert!(numbers(1).iter().is_sorted_by(|a, b| a < b));
    let requests = seen.lock().unwrap();
    assert_eq!(requests[0].headers(), requests[1].headers());
}

#[tokio::test(start_paused = true)]
async fn a_concurrency_limit_holds_and_nothing_is_dropped() {
    let (destination, gauge) = slow(SECOND);
    let connection = Connection { concurrency: Some(3), ..Connection::default() };
    let engine = Engine::new(connection, destination);
    let started = Instant::now();
    for _ in 0..10 {
        engine.ingest(HeaderMap::new(), Bytes::new());
    }
    engine.settle().await;
    assert_eq!(gauge.most.load(Ordering::SeqCst), 3);
    assert_eq!(started.elapsed(), 4 * SECOND);
    assert!(engine.events().iter().all(|event| event.status == EventStatus::Successful));
}

#[tokio::test(start_paused = true)]
async fn without_a_limit_two_events_of_one_body_are_open_at_once() {
    let (destination, gauge) = slow(SECOND);
    let engine = Engine::new(Connection::default(), destination);
    engine.ingest(HeaderMap::new(), Bytes::new());
    engine.ingest(HeaderMap::new(), Bytes::new());
    engine.settle().await;
    assert_eq!(gauge.most.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn the_time_scale_divides_what_is_waited_and_not_what_is_computed() {
    let (destination, _) = scripted(&[(500, ""), (200, "")]);
    let connection = Connection { time_scale: 100.0, ..Connection::default() };
    let engine = Engine::new(connection, destination);
    engine.ingest(HeaderMap::new(), Bytes::new());
    engine.settle().await;
    let event = engine.events().remove(0);
    assert_eq!(event.attempts[0].next_in, Some(30 * SECOND));
    assert_eq!(event.attempts[1].started_after, Duration::from_millis(300));
}

#[tokio::test(start_paused = true)]
async fn a_router_is_a_destination_and_its_reset_a_broken_connection() {
    let platform = Platform::new(Options::default());
    platform.faults().push(Fault::once(Call::Any, Effect::ResetBefore));
    let engine = Engine::new(Connection::default(), from_router(platform.router()));
    engine.ingest(HeaderMap::new(), Bytes::new());
    sleep(31 * SECOND).await;
    let attempts = engine.events().remove(0).attempts;
    assert!(
        matches!(&attempts[0].error, Some(AttemptError::Connection(text)) if text.contains("reset"))
    );
    assert_eq!(attempts[1].status, Some(404));
    assert_eq!(attempts[1].body, r#"{"message":"Not Found"}"#);
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_panics_is_a_broken_connection() {
    let destination = from_fn(|_| async { panic!("on purpose") });
    let connection = Connection { retry: None, ..Connection::default() };
    let engine = Engine::new(connection, destination);
    engine.ingest(HeaderMap::new(), Bytes::new());
    engine.settle().await;
    let event = engine.events().remove(0);
    assert_eq!(event.status, EventStatus::Failed);
    assert!(matches!(event.attempts[0].error, Some(AttemptError::Connection(_))));
}

#[tokio::test(start_paused = true)]
async fn spaced_deliveries_begin_one_after_the_other_retries_included() {
    // Four a minute, as Hookdeck spreads them.
    let connection = Connection { spacing: 15 * SECOND, ..Connection::default() };
    let engine = Engine::new(connection, scripted(&[(503, ""), (200, "")]).0);
    for _ in 0..3 {
        engine.ingest(HeaderMap::new(), Bytes::new());
    }
    engine.settle().await;
    let starts = engine.events().into_iter().map(|event| {
        let attempts = event.attempts.into_iter();
        attempts.map(|attempt| attempt.started_after.as_secs()).collect::<Vec<_>>()
    });
    // The retry is due after 30 s, when the third event begins.
    assert_eq!(starts.collect::<Vec<_>>(), [vec![0, 45], vec![15], vec![30]]);
}

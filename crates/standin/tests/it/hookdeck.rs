//! The delivery engine: headers, schedule, `Retry-After`, commands.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use standin::hookdeck::{
    Connection, Destination, Engine, Event, EventStatus, LastRetryHeader, RetryRule, Trigger,
    from_fn, signature,
};
use tokio::time::Instant;

const BODY: &str =
    r#"{"data":{"id":"user_2abc","object":"user"},"object":"event","type":"user.created"}"#;

/// One scripted answer: status and `Retry-After`.
type Scripted = (u16, &'static str);
type Seen = Arc<Mutex<Vec<Request<Bytes>>>>;

/// A destination that gives these answers in turn, the last one for ever, and keeps the requests.
pub(crate) fn scripted(answers: &'static [Scripted]) -> (Destination, Seen) {
    let seen = Seen::default();
    let kept = Arc::clone(&seen);
    let destination = from_fn(move |request| {
        let mut seen = kept.lock().unwrap();
        let (status, retry_after) = answers[seen.len().min(answers.len() - 1)];
        seen.push(request);
        let mut response = Response::builder().status(status);
        if !retry_after.is_empty() {
            response = response.header("retry-after", retry_after);
        }
        std::future::ready(Ok(response.body(Bytes::new()).unwrap()))
    });
    (destination, seen)
}

async fn delivered(
    connection: Connection,
    answers: &'static [Scripted],
) -> (Event, Vec<Request<Bytes>>) {
    let (destination, seen) = scripted(answers);
    let engine = Engine::new(connection, destination);
    engine.ingest(HeaderMap::new(), Bytes::from_static(BODY.as_bytes()));
    engine.settle().await;
    let requests = seen.lock().unwrap().clone();
    (engine.events().remove(0), requests)
}

fn retrying(count: u32) -> Connection {
    let retry = RetryRule { count, ..RetryRule::default() };
    Connection { retry: Some(retry), ..Connection::default() }
}

fn starts(event: &Event) -> Vec<u64> {
    event.attempts.iter().map(|attempt| attempt.started_after.as_secs()).collect()
}

fn statuses(event: &Event) -> Vec<Option<u16>> {
    event.attempts.iter().map(|attempt| attempt.status).collect()
}

#[test]
fn a_delivery_has_the_signature_of_the_worked_example() {
    for (secret, body, expected) in [
        ("hookdeck-signing-secret-new", BODY, "iSkxFUEicLS22EwYJvK9d6gmc87Fg6rpgUGLyHAGPIw="),
        ("hookdeck-signing-secret-old", BODY, "cD/2HeHhq4Z7aFnNOz2Cdss6t4LFYr5QVls0s6Zrftc="),
        ("hookdeck-signing-secret-new", "", "DPJ/QIHlmrfKJmwcHV5NhJTF+uJe2jtg00913uo7ohU="),
    ] {
        assert_eq!(signature(secret, body.as_bytes()), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_schedule_of_hours_takes_no_time_and_keeps_its_delays() {
    let wall = std::time::Instant::now();
    let (event, requests) = delivered(Connection::default(), &[(500, "")]).await;
    assert_eq!(event.status, EventStatus::Failed);
    let delays: Vec<u64> =
        event.attempts.iter().filter_map(|one| Some(one.next_in?.as_secs())).collect();
    assert_eq!(delays, [30, 60, 120, 240, 480, 960, 1920, 3840, 7680, 15360]);
    // 10 retries from 30 s span 8.5 hours.
    assert_eq!(starts(&event)[10], 30 * 1023);
    let announced: Vec<&str> = requests
        .iter()
        .map(|request| request.headers()["x-hookdeck-will-retry-after"].to_str().unwrap())
        .collect();
    assert_eq!(announced[..3], ["30", "60", "120"]);
    assert_eq!(announced[10], "");
    assert!(wall.elapsed() < Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn attempts_differ_only_in_count_trigger_and_the_next_delay() {
    let (event, requests) = delivered(Connection::default(), &[(500, ""), (200, "")]).await;
    assert_eq!(event.status, EventStatus::Successful);
    let [first, second] = &requests[..] else { panic!("{requests:?}") };
    let header =
        |request: &Request<Bytes>, name: &str| request.headers()[name].to_str().unwrap().to_owned();
    for (name, one, two) in [
        ("x-hookdeck-attempt-count", "1", "2"),
        ("x-hookdeck-attempt-trigger", "INITIAL", "AUTOMATIC"),
        ("x-hookdeck-will-retry-after", "30", "60"),
    ] {
        assert_eq!((header(first, name).as_str(), header(second, name).as_str()), (one, two));
    }
    let rest = |request: &Request<Bytes>| {
        let mut headers = request.headers().clone();
        for name in ["attempt-count", "attempt-trigger", "will-retry-after"] {
            headers.remove(format!("x-hookdeck-{name}"));
        }
        headers
    };
    assert_eq!(rest(first), rest(second));
    assert_eq!(first.body(), second.body());
    let id = event.id.as_ref();
    assert!(id.starts_with("evt_") && id.len() == 22, "{id}");
    assert_eq!(header(first, "x-hookdeck-eventid"), id);
    assert_eq!(header(first, "idempotency-key"), id);
    assert!(header(first, "x-hookdeck-requestid").starts_with("req_"));
}

#[tokio::test(start_paused = true)]
async fn the_providers_headers_stay_and_ours_cannot_be_forged() {
    let (destination, seen) = scripted(&[(200, "")]);
    let connection = Connection {
        secret: "new".into(),
        previous_secret: Some("old".into()),
        verified: false,
        header_prefix: "x-acme".into(),
        ..Connection::default()
    };
    let engine = Engine::new(connection, destination);
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("svix-id", "msg_2abc"),
        ("host", "hkdk.events"),
        ("connection", "close"),
        ("x-acme-verified", "true"),
    ] {
        headers.insert(name, value.parse().unwrap());
    }
    engine.ingest(headers, Bytes::from_static(b"{}"));
    engine.settle().await;
    let requests = seen.lock().unwrap();
    let headers = requests[0].headers();
    assert_eq!(headers["svix-id"], "msg_2abc");
    assert!(!headers.contains_key("host") && !headers.contains_key("connection"));
    assert_eq!(headers["x-acme-verified"], "false");
    assert_eq!(headers["x-acme-signature"], signature("new", b"{}").as_str());
    assert_eq!(headers["x-acme-signature-2"], signature("old", b"{}").as_str());
}

#[tokio::test(start_paused = true)]
async fn without_a_rule_there_is_one_attempt_and_the_header_may_be_left_out() {
    let connection = Connection {
        retry: None,
        last_retry_header: LastRetryHeader::Omitted,
        ..Connection::default()
    };
    let (event, requests) = delivered(connection, &[(500, "")]).await;
    assert_eq!((event.status, requests.len()), (EventStatus::Failed, 1));
    assert!(!requests[0].headers().contains_key("x-hookdeck-will-retry-after"));
}

#[tokio::test(start_paused = true)]
async fn retry_after_minus_one_ends_the_retries() {
    let (event, requests) = delivered(Connection::default(), &[(500, ""), (400, "-1")]).await;
    assert_eq!((event.status, requests.len()), (EventStatus::Failed, 2));
}

#[tokio::test(start_paused = true)]
async fn each_deferral_uses_up_one_retry() {
    let connection = retrying(3);
    let (event, _) = delivered(connection, &[(503, "5"), (503, "5"), (503, ""), (503, "5")]).await;
    // Two deferrals of 5 s, then the rule's third delay; the fourth answer has no retry left to defer.
    assert_eq!(starts(&event), [0, 5, 10, 130]);
    assert_eq!(event.status, EventStatus::Failed);
}

#[tokio::test(start_paused = true)]
async fn retry_after_needs_no_rule_but_ends_at_fifty() {
    let connection = Connection { retry: None, ..Connection::default() };
    let (event, _) = delivered(connection, &[(429, "1")]).await;
    assert_eq!(event.attempts.len(), 51);
}

#[tokio::test(start_paused = true)]
async fn a_date_is_met_a_past_one_is_now_and_a_far_one_is_a_week() {
    let connection = || retrying(1);
    for (answers, start) in [
        (&[(503, "Wed, 07 Jan 2026 11:07:40 GMT"), (200, "")][..], 60),
        (&[(503, "Sun, 06 Nov 1994 08:49:37 GMT"), (200, "")][..], 0),
        (&[(503, "99999999"), (200, "")][..], 604_800),
        (&[(503, "soon"), (200, "")][..], 30),
    ] {
        let (event, _) = delivered(connection(), answers).await;
        assert_eq!(starts(&event), [0, start], "{answers:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_status_list_decides_and_exclusions_alone_repeat_a_success() {
    let listed = |codes: &[&str]| Connection {
        retry: Some(RetryRule {
            count: 2,
            response_status_codes: Some(codes.iter().map(ToString::to_string).collect()),
            ..RetryRule::default()
        }),
        ..Connection::default()
    };
    let (event, _) = delivered(listed(&[">=500"]), &[(401, "")]).await;
    assert_eq!((event.status, event.attempts.len()), (EventStatus::Failed, 1));
    let (event, _) = delivered(listed(&["!410"]), &[(200, "")]).await;
    assert_eq!((event.status, event.attempts.len()), (EventStatus::Successful, 3));
    let (event, _) = delivered(Connection::default(), &[(302, ""), (204, "")]).await;
    assert_eq!(statuses(&event), [Some(302), Some(204)]);
}

#[tokio::test(start_paused = true)]
async fn a_changed_secret_counts_from_the_next_attempt_on() {
    let (destination, seen) = scripted(&[(401, ""), (200, "")]);
    let engine = Engine::new(Connection::default(), destination);
    engine.ingest(HeaderMap::new(), Bytes::new());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(engine.events()[0].status, EventStatus::Scheduled);
    engine.change(|connection| connection.secret = "mended".into());
    engine.settle().await;
    assert_eq!(
        seen.lock().unwrap()[1].headers()["x-hookdeck-signature"],
        signature("mended", b"").as_str()
    );
}

#[tokio::test(start_paused = true)]
async fn a_manual_success_cancels_the_schedule() {
    let (destination, _) = scripted(&[(500, ""), (200, "")]);
    let engine = Engine::new(Connection::default(), destination);
    let id = engine.ingest(HeaderMap::new(), Bytes::new());
    tokio::time::sleep(Duration::from_secs(1)).await;
    engine.retry(&id);
    let started = Instant::now();
    engine.settle().await;
    assert_eq!(started.elapsed(), Duration::ZERO);
    // Even a success can be sent again, without end.
    engine.retry(&id);
    engine.settle().await;
    let event = engine.events().remove(0);
    let triggers: Vec<Trigger> = event.attempts.iter().map(|attempt| attempt.trigger).collect();
    assert_eq!(triggers, [Trigger::Initial, Trigger::Manual, Trigger::Manual]);
    assert_eq!(event.attempts.last().unwrap().number, 3);
    assert_eq!(event.status, EventStatus::Successful);
}

#[tokio::test(start_paused = true)]
async fn a_manual_failure_leaves_the_schedule_as_it_is() {
    let (destination, _) = scripted(&[(500, ""), (500, ""), (200, "")]);
    let engine = Engine::new(Connection::default(), destination);
    let id = engine.ingest(HeaderMap::new(), Bytes::new());
    tokio::time::sleep(Duration::from_secs(10)).await;
    engine.retry(&id);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(engine.events()[0].status, EventStatus::Scheduled);
    engine.settle().await;
    assert_eq!(starts(&engine.events()[0]), [0, 10, 30]);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_event_is_not_tried_again() {
    let (destination, _) = scripted(&[(500, "")]);
    let engine = Engine::new(Connection::default(), destination);
    let id = engine.ingest(HeaderMap::new(), Bytes::new());
    tokio::time::sleep(Duration::from_secs(1)).await;
    engine.cancel(&id);
    engine.settle().await;
    let event = engine.events().remove(0);
    assert_eq!((event.status, event.attempts.len()), (EventStatus::Cancelled, 1));
}

#[tokio::test(start_paused = true)]
async fn a_pause_holds_new_events_and_due_retries_until_it_ends() {
    let (destination, _) = scripted(&[(500, ""), (200, "")]);
    let engine = Engine::new(Connection::default(), destination);
    engine.ingest(HeaderMap::new(), Bytes::new());
    tokio::time::sleep(Duration::from_secs(1)).await;
    engine.pause();
    engine.ingest(HeaderMap::new(), Bytes::new());
    engine.settle().await;
    let held: Vec<EventStatus> = engine.events().iter().map(|event| event.status).collect();
    assert_eq!(held, [EventStatus::Hold, EventStatus::Hold]);
    engine.unpause();
    engine.settle().await;
    for event in engine.events() {
        assert_eq!(event.status, EventStatus::Successful);
        assert_eq!(event.attempts.last().unwrap().trigger, Trigger::Unpause);
    }
}

#[tokio::test(start_paused = true)]
async fn ids_are_the_same_in_every_run() {
    let ids = || {
        let (destination, _) = scripted(&[(200, "")]);
        let engine = Engine::new(Connection::default(), destination);
        [(); 2].map(|()| engine.ingest(HeaderMap::new(), Bytes::new()))
    };
    assert_eq!(ids(), ids());
    assert_ne!(ids()[0], ids()[1]);
}

#[tokio::test(start_paused = true)]
async fn an_observer_sees_an_event_come_in_and_each_change_of_it() {
    let (destination, _) = scripted(&[(503, ""), (200, "")]);
    let engine = Engine::new(retrying(3), destination);
    let seen = Arc::new(Mutex::new(Vec::new()));
    engine.observe({
        let seen = Arc::clone(&seen);
        move |event, body| {
            assert_eq!(body, BODY);
            seen.lock().unwrap().push((event.status, event.attempts.len()));
        }
    });
    let body = || Bytes::from_static(BODY.as_bytes());
    engine.ingest(HeaderMap::new(), body());
    engine.settle().await;
    let expected = [
        (EventStatus::Queued, 0),
        (EventStatus::Scheduled, 1),
        (EventStatus::Queued, 1),
        (EventStatus::Successful, 2),
    ];
    assert_eq!(std::mem::take(&mut *seen.lock().unwrap()), expected);

    engine.pause();
    let held = engine.ingest(HeaderMap::new(), body());
    engine.cancel(&held);
    engine.retry(&held);
    engine.settle().await;
    let expected = [
        (EventStatus::Hold, 0),
        (EventStatus::Cancelled, 0),
        (EventStatus::Queued, 0),
        (EventStatus::Successful, 1),
    ];
    assert_eq!(*seen.lock().unwrap(), expected);
}

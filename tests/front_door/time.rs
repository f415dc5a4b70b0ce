//! The response is ready before the deadline, whatever Xata does.

use std::time::{Duration, SystemTime};

use http::HeaderValue;
use standin::clerk::{SignUp, user_id};
use standin::fault::{Effect, Fault};
use standin::xata::Call;
use tokio::time::Instant;

use crate::test_app::{
    ALL_PROJECTS, Api, CLERK, DELETE, TestApp, delivery, message, payload, retry, user_created,
};

fn sign_up_payload() -> String {
    let event = user_created(1);
    payload(&delivery(event))
}

#[tokio::test(start_paused = true)]
async fn the_response_is_before_the_deadline_when_requests_hang_or_trickle() {
    let trickle = || Effect::Trickle { chunk: 1, every: Duration::from_secs(3) };
    for (on_create, on_list) in [
        (Effect::HangBefore, None),
        (Effect::HangBefore, Some(Effect::HangBefore)),
        (Effect::HangAfter, Some(trickle())),
        (trickle(), Some(trickle())),
        (Effect::ResetBefore, Some(Effect::HangBefore)),
    ] {
        for (api, seconds) in Api::each_with(&[2, 10, 55]) {
            let app = TestApp::with_api(api, &[]);
            app.xata.fault(Fault::always(Call::Create, on_create.clone()));
            if let Some(on_list) = &on_list {
                app.xata.fault(Fault::always(Call::LookUp, on_list.clone()));
            }
            let started_at = Instant::now();
            let deadline = (app.clock)() + Duration::from_secs(seconds);
            let response = app.invoke_with_deadline(&sign_up_payload(), deadline).await;
            let took = started_at.elapsed();
            assert!(took < Duration::from_secs(seconds), "{took:?} of {seconds} s, {on_create:?}");
            assert!([200, 503].contains(&response.status), "{:?}", response.row());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_create_gets_nearly_all_of_the_time() {
    let app = TestApp::new();
    app.xata.set_create_latency(Duration::from_secs(45));
    let response = app.invoke(&sign_up_payload()).await;
    assert_eq!((response.outcome(), app.requests().len()), ("created", 1));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_far_in_the_past_is_no_deadline() {
    let app = TestApp::new();
    // `cargo lambda watch` 1.9.2 sends such deadlines.
    let epoch = SystemTime::UNIX_EPOCH + Duration::from_mins(10);
    assert_eq!(app.invoke_with_deadline(&sign_up_payload(), epoch).await.outcome(), "created");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_after_hookdeck_s_timeout_is_shortened() {
    let app = TestApp::new();
    app.xata.fault(Fault::always(Call::Any, Effect::HangBefore));
    let (started_at, deadline) = (Instant::now(), (app.clock)() + Duration::from_hours(1));
    let response = app.invoke_with_deadline(&sign_up_payload(), deadline).await;
    assert_eq!(response.status, 503);
    assert!(started_at.elapsed() < Duration::from_secs(55));
}

#[tokio::test(start_paused = true)]
async fn without_time_left_no_request_is_sent_and_the_response_is_503() {
    let created = user_created(1);
    let deleted = SignUp::new(&user_id(1)).user_deleted(1_767_866_800_000);
    // The first delivery starts with a create, the others with a look-up.
    for (changes, request) in [
        (&[][..], delivery(created.clone())),
        (&ALL_PROJECTS, retry(created, 2)),
        (&[DELETE], delivery(deleted)),
    ] {
        let app = TestApp::with_settings(changes);
        for late in [Duration::ZERO, Duration::from_secs(5)] {
            let deadline = (app.clock)() - late;
            let response = app.invoke_with_deadline(&payload(&request), deadline).await;
            assert_eq!(response.row(), (503, "unavailable", Some("time_up"), None));
        }
        assert_eq!(app.requests(), []);
    }
}

#[tokio::test(start_paused = true)]
async fn a_busy_project_is_looked_up_when_the_next_pause_does_not_fit() {
    let busy = message(409, "busy").with_retry_after("1");
    for settings in [&[][..], &CLERK] {
        for (seconds, has_database) in [(3, false), (10, false), (20, false), (20, true)] {
            let app = TestApp::with_settings(settings);
            app.clerk.insert(SignUp::new(&user_id(1)));
            if has_database {
                app.xata.insert("prj_a", "eu-central-1", [user_id(1)]);
            }
            app.xata.fault(Fault::always(Call::Create, Effect::Answer(busy.clone())));
            let (started_at, deadline) =
                (Instant::now(), (app.clock)() + Duration::from_secs(seconds));
            let response = app.invoke_with_deadline(&sign_up_payload(), deadline).await;
            if has_database {
                assert_eq!(response.row(), (200, "exists", None, None));
            } else {
                let (status, outcome, reason, retry_after) = response.row();
                let found = (status, outcome, reason);
                assert_eq!(found, (503, "unavailable", Some("contention")), "{seconds} s");
                assert_eq!(retry_after, Some("1"), "Xata's own value");
            }
            assert!(started_at.elapsed() < Duration::from_secs(seconds - 1));
            assert_eq!(app.methods().last().map(String::as_str), Some("GET"));
            assert!(seconds < 20 || app.methods().len() > 2, "pauses that fit are made");
        }
    }
}

/// A rate limit of Xata's gateway.
#[tokio::test(start_paused = true)]
async fn x_ratelimit_reset_counts_like_retry_after() {
    for api in Api::BOTH {
        for (status, reset, row) in [
            (429, "40", (503, "unavailable", Some("rate_limited"), Some("40"))),
            (429, "soon", (503, "unavailable", Some("rate_limited"), None)),
            (503, "40", (503, "unavailable", Some("xata_error"), None)),
        ] {
            let app = TestApp::with_api(api, &[]);
            let mut limited = message(status, "slow down");
            limited.headers.insert("x-ratelimit-reset", HeaderValue::from_static(reset));
            app.xata.fault(Fault::always(Call::Create, Effect::Answer(limited)));
            let response = app.invoke(&sign_up_payload()).await;
            assert_eq!(response.row(), row, "{api:?} {status} {reset}");
        }
    }
    // A short limit is waited out, as with `Retry-After`.
    let app = TestApp::new();
    let mut limited = message(429, "slow down");
    limited.headers.insert("x-ratelimit-reset", HeaderValue::from_static("3"));
    app.xata.fault(Fault::once(Call::Create, Effect::Answer(limited)));
    let started_at = Instant::now();
    assert_eq!(app.invoke(&sign_up_payload()).await.row(), (200, "created", None, None));
    assert!(started_at.elapsed() >= Duration::from_secs(3));
}

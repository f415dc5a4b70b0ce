//! Creating databases: Xata's responses and faults, and the outcome of the delivery.

use std::convert::Infallible;
use std::time::Duration;

use http::StatusCode;
use per_user_db::http_client;
use standin::clerk::user_id;
use standin::fault::{CannedResponse, Effect, Fault};
use standin::xata::Call;
use standin::xata::platform::{Contention, Quotas};

use crate::test_app::{Api, TestApp, delivery, message, refusal, user_created};

fn once(effect: Effect) -> Fault<Call> {
    Fault::once(Call::Create, effect)
}

fn statuses(app: &TestApp) -> Vec<String> {
    let requests = app.requests().into_iter();
    requests.map(|(method, status)| format!("{method} {}", status.unwrap_or_default())).collect()
}

#[tokio::test(start_paused = true)]
async fn an_unclear_create_that_took_effect_is_looked_up_and_is_created() {
    let effects = [
        Effect::ResetAfter,
        Effect::HangAfter,
        Effect::TruncatedAfter,
        Effect::AnswerAfter(CannedResponse::html(StatusCode::BAD_GATEWAY)),
        Effect::AnswerAfter(CannedResponse::html(StatusCode::CREATED)),
        Effect::AnswerAfter(message(500, "Internal Error")),
        Effect::AnswerAfter(CannedResponse::new(StatusCode::NO_CONTENT)),
        Effect::AnswerAfter(message(408, "Request Timeout")),
    ];
    for (api, effect) in Api::each_with(&effects) {
        let app = TestApp::with_api(api, &[]);
        app.xata.fault(once(effect.clone()));
        let response = app.deliver(user_created(1)).await;
        assert_eq!(response.row(), (200, "created", None, None), "{effect:?}");
        let [database] = &app.databases(&user_id(1))[..] else { panic!("{effect:?}") };
        assert_eq!(response.body["database"]["id"].as_str(), database.id.as_deref(), "{effect:?}");
        assert_eq!(app.requests().len(), 2, "a create and a look-up: {effect:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_unclear_create_without_effect_is_repeated() {
    let effects = [Effect::ResetBefore, refusal(500, "Internal Error"), refusal(502, "x")];
    for (api, effect) in Api::each_with(&effects) {
        let app = TestApp::with_api(api, &[]);
        app.xata.fault(once(effect.clone()));
        let response = app.deliver(user_created(1)).await;
        assert_eq!(response.row(), (200, "created", None, None), "{effect:?}");
        assert_eq!(app.databases(&user_id(1)).len(), 1, "{effect:?}");
        assert_eq!(app.requests().len(), 3, "create, look-up, create: {effect:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_create_that_takes_effect_after_the_look_up_is_not_repeated() {
    for api in Api::BOTH {
        let app = TestApp::with_api(api, &[]);
        app.xata.set_create_latency(Duration::from_secs(52));
        // The function times out, and Xata finishes the create later.
        app.xata.fault(once(Effect::Detached));
        let first = app.deliver(user_created(1)).await;
        assert_eq!((first.status, first.outcome()), (503, "unavailable"));
        app.xata.set_create_latency(Duration::ZERO);
        let second = app.deliver(user_created(1)).await;
        assert_eq!((second.status, app.databases(&user_id(1)).len()), (200, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_create_of_a_database_that_exists_is_exists() {
    for effect in [
        refusal(403, "organization [org123] has reached the limit of 10 branches"),
        refusal(400, "project [prj_a] has reached the limit of 10 branches"),
        refusal(429, "organization [org123] has reached the limit of 50 branch creations per hour"),
        refusal(400, "invalid image"),
        refusal(403, "Organization [org123] is disabled, please check your billing settings"),
        refusal(404, "[tpl-a-1]: not found"),
        refusal(412, "parent is unhealthy"),
    ] {
        let app = TestApp::new();
        app.xata.insert("prj_a", "eu-central-1", [user_id(1)]);
        app.xata.fault(once(effect.clone()));
        let response = app.deliver(user_created(1)).await;
        assert_eq!(response.row(), (200, "exists", None, None), "{effect:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_create_is_misconfigured_or_unavailable() {
    let never = (500, "misconfigured");
    let later = (503, "unavailable");
    for (status, text, (response_status, outcome), reason) in [
        (403, "organization [o] has reached the limit of 10 branches", never, "standing_quota"),
        (
            403,
            "Organization [o] has reached the branch limit for new organizations",
            never,
            "standing_quota",
        ),
        (400, "project [p] has too many branches", never, "standing_quota"),
        (
            403,
            "Organization [o] is disabled, please check your billing",
            never,
            "organization_disabled",
        ),
        (403, "access denied", never, "access_denied"),
        (404, "project [p] not found", never, "not_found"),
        (400, "invalid image", never, "request_rejected"),
        (415, "Unsupported Media Type", never, "request_rejected"),
        (429, "[o] has reached the limit of 50 branch creations per hour", later, "hourly_quota"),
        (429, "slow down", later, "rate_limited"),
        (412, "parent is unhealthy", later, "template_unhealthy"),
    ] {
        let app = TestApp::new();
        app.xata.fault(Fault::always(Call::Create, refusal(status, text)));
        let response = app.deliver(user_created(1)).await;
        let expected = (response_status, outcome, Some(reason), None);
        assert_eq!(response.row(), expected, "{status} {text}");
        assert_eq!(statuses(&app), [format!("POST {status}"), "GET 200".into()], "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_standing_quota_and_an_hourly_quota_have_their_own_reasons() {
    let app = TestApp::new();
    app.deliver(user_created(1)).await;
    app.platform()
        .change(|options| options.quotas = Quotas { branches_per_project: Some(4), ..Quotas::T2 });
    assert_eq!(app.deliver(user_created(1)).await.outcome(), "exists");
    let full = app.deliver(user_created(2)).await;
    assert_eq!(full.row(), (500, "misconfigured", Some("standing_quota"), None));

    app.platform().change(|options| {
        options.quotas = Quotas { branch_creations_per_hour: Some(1), ..Quotas::UNLIMITED }
    });
    let this_hour = app.deliver(user_created(2)).await;
    assert_eq!(this_hour.row(), (503, "unavailable", Some("hourly_quota"), None));
    tokio::time::advance(Duration::from_secs(3601)).await;
    assert_eq!(app.deliver(user_created(2)).await.outcome(), "created");
}

#[tokio::test(start_paused = true)]
async fn a_create_is_repeated_until_contention_ends() {
    for status in [409, 423, 429] {
        for retry_after in [true, false] {
            // A 429 without Retry-After is a rate limit.
            if (status, retry_after) == (429, false) {
                continue;
            }
            let app = TestApp::new();
            let status = StatusCode::from_u16(status).unwrap();
            app.platform().change(|options| {
                options.create_latency = Duration::from_millis(1500);
                options.contention = Contention::Refuse { status, retry_after };
            });
            let platform = app.platform().clone();
            let other = tokio::spawn(async move { create_other(&platform).await });
            tokio::task::yield_now().await;
            let response = app.deliver(user_created(1)).await;
            assert_eq!(response.row(), (200, "created", None, None), "{status} {retry_after}");
            other.await.unwrap();
        }
    }
}

/// Another client creates a database in the same project.
async fn create_other(xata: &standin::xata::platform::Platform) {
    use tower::ServiceExt;
    let body = r#"{"name":"other","mode":"inherit","parentID":"tpl-a-0"}"#;
    let request = http::Request::post("/organizations/org123/projects/prj_a/branches")
        .header("authorization", "Bearer xau_fake_local_development_key")
        .body(axum::body::Body::from(body))
        .unwrap();
    let response = xata.router().oneshot(request).await.unwrap();
    assert_eq!(response.status(), 201);
}

#[tokio::test(start_paused = true)]
async fn a_taken_name_with_a_retry_after_is_contention() {
    let app = TestApp::new();
    let busy = message(409, "branch [x] already exists").with_retry_after("1");
    app.xata.fault(once(Effect::Answer(busy)));
    assert_eq!(app.deliver(user_created(1)).await.row(), (200, "created", None, None));
}

#[tokio::test(start_paused = true)]
async fn lasting_contention_is_deferred_by_different_times() {
    let app = TestApp::new();
    app.xata.fault(Fault::always(Call::Create, refusal(409, "project is busy")));
    let mut waits = Vec::new();
    for seed in 1..=20 {
        let response = app.deliver(user_created(seed)).await;
        let (status, _, reason, retry_after) = response.row();
        assert_eq!((status, reason), (503, Some("contention")));
        waits.push(retry_after.unwrap().parse::<u64>().unwrap());
    }
    assert!(waits.iter().all(|wait| (5..=30).contains(wait)), "{waits:?}");
    waits.sort_unstable();
    waits.dedup();
    assert!(waits.len() > 5, "the retries collide: {waits:?}");
}

#[tokio::test(start_paused = true)]
async fn a_create_is_repeated_when_the_key_is_refused_once() {
    let app = TestApp::new();
    app.xata.fault(once(refusal(401, "invalid token")));
    assert_eq!(app.deliver(user_created(1)).await.row(), (200, "created", None, None));
}

#[tokio::test(start_paused = true)]
async fn a_look_up_that_fails_is_not_an_absence() {
    // HTTP framing is complete, the JSON is not.
    let cut = r#"{"branches":[{"id":"a","name":"b","region":"us-east-1"}"#;
    for (on_list, reason) in [
        (Effect::ResetBefore, "xata_unreachable"),
        (Effect::TruncatedAfter, "xata_unreachable"),
        (Effect::HangBefore, "xata_timeout"),
        (Effect::Answer(CannedResponse::html(StatusCode::OK)), "xata_unreadable"),
        (refusal(200, "no list"), "xata_unreadable"),
        (
            Effect::Answer(CannedResponse::new(StatusCode::OK).with_body("application/json", cut)),
            "xata_unreadable",
        ),
        (refusal(500, "x"), "xata_error"),
        (refusal(429, "slow down"), "rate_limited"),
    ] {
        let app = TestApp::new();
        app.xata.fault(once(Effect::ResetBefore));
        app.xata.fault(Fault::once(Call::LookUp, on_list.clone()));
        let response = app.deliver(user_created(1)).await;
        assert_eq!(response.row(), (503, "unavailable", Some(reason), None), "{on_list:?}");
        assert_eq!(app.databases(&user_id(1)), [], "{on_list:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_is_read_up_to_64_mib() {
    for (n_extra_bytes, row) in
        [(0, (200, "created", None, None)), (1, (503, "unavailable", Some("list_too_long"), None))]
    {
        let app = TestApp::new();
        let (start, end) = (r#"{"branches":["#, "]}");
        let blanks = 64 * 1024 * 1024 - start.len() - end.len() + n_extra_bytes;
        let list = [start, &" ".repeat(blanks), end].concat();
        let list = CannedResponse::new(StatusCode::OK).with_body("application/json", list);
        app.xata.fault(once(Effect::ResetBefore));
        app.xata.fault(Fault::once(Call::LookUp, Effect::Answer(list)));
        assert_eq!(app.deliver(user_created(1)).await.row(), row, "{n_extra_bytes} more");
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_of_xata_can_be_a_date_and_is_limited_to_an_hour() {
    // The clock of the tests starts at 2026-01-07T11:06:40Z.
    for (asked, sent) in [
        ("Wed, 07 Jan 2026 11:08:40 GMT", Some("120")),
        ("Wed, 07 Jan 2026 11:00:00 GMT", Some("1")),
        ("86400", Some("3600")),
        ("0", Some("1")),
        ("-1", None),
        ("soon", None),
    ] {
        let app = TestApp::new();
        let busy = message(429, "slow down").with_retry_after(asked);
        app.xata.fault(Fault::always(Call::Any, Effect::Answer(busy)));
        let response = app.deliver(user_created(1)).await;
        assert_eq!((response.status, response.row().3), (503, sent), "{asked}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_database_in_another_region_is_reported_and_logged_as_an_error() {
    let app = TestApp::with_settings(&[(
        "XATA_TEMPLATES",
        "us-east-1=tpl-a-0,eu-central-1=tpl-a-0,ap-southeast-2=tpl-a-2",
    )]);
    let response = app.deliver(user_created(1)).await;
    assert_eq!(response.row(), (200, "created", None, None));
    assert_eq!(response.body["database"]["region"], "us-east-1");
    assert_eq!(response.body["placement"]["region"], "eu-central-1");
    assert_eq!(response.log_line["level"], "ERROR");
    assert_eq!(response.log_line["wrong_region"], "us-east-1");
}

#[tokio::test(start_paused = true)]
async fn without_templates_each_database_is_a_root_branch() {
    let app =
        TestApp::with_settings(&[("XATA_TEMPLATES", ""), ("XATA_SCALE_TO_ZERO_MINUTES", "off")]);
    assert_eq!(app.deliver(user_created(1)).await.row(), (200, "created", None, None));
    let [database] = &app.platform().databases_named(&user_id(1))[..] else { panic!("one") };
    assert_eq!((database.parent.as_deref(), database.region.as_str()), (None, "eu-central-1"));
    assert!(!database.scale_to_zero.enabled);
}

#[tokio::test(start_paused = true)]
async fn concurrent_deliveries_of_one_event_create_one_database() {
    for api in Api::BOTH {
        let app = TestApp::with_api(api, &[]);
        app.xata.set_create_latency(Duration::from_millis(300));
        let deliver = || app.outcome(delivery(user_created(1)));
        let (one, two, three) = tokio::join!(deliver(), deliver(), deliver());
        let mut outcomes = [one, two, three];
        outcomes.sort_unstable();
        assert_eq!(outcomes, ["created", "exists", "exists"]);
        assert_eq!(app.databases(&user_id(1)).len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_redirect_is_not_followed() {
    for api in Api::BOTH {
        let app = TestApp::with_api(api, &[]);
        let moved = CannedResponse::new(StatusCode::TEMPORARY_REDIRECT);
        app.xata.fault(Fault::always(Call::Any, Effect::Answer(moved)));
        let response = app.deliver(user_created(1)).await;
        assert_eq!(response.row(), (503, "unavailable", Some("xata_error"), None));
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_answered_503() {
    let app =
        TestApp::with_client(http_client::boxed(tower::service_fn(|_: reqwest::Request| async {
            panic!("a bug") as Result<reqwest::Response, Infallible>
        })));
    let response = app.deliver(user_created(1)).await;
    assert_eq!(response.row(), (503, "unavailable", Some("internal_error"), None));
}

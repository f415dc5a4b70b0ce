//! What Xata can answer, and what it means for the user.

use std::convert::Infallible;
use std::time::Duration;

use http::StatusCode;
use per_user_db::http_client;
use standin::clerk::{SignUp, user_id};
use standin::fault::{CannedResponse, Effect, Fault};
use standin::xata::Call;
use standin::xata::platform::{Contention, Quotas};

use crate::world::{Api, World, delivery};

fn event(seed: u64) -> Vec<u8> {
    SignUp::new(&user_id(seed)).user_created()
}

fn message(status: u16, text: &str) -> Effect {
    Effect::Answer(CannedResponse::message(StatusCode::from_u16(status).unwrap(), text))
}

/// Each effect with each API.
fn on_both(effects: &[Effect]) -> impl Iterator<Item = (Api, Effect)> {
    Api::BOTH.into_iter().flat_map(|api| effects.iter().map(move |it| (api, it.clone())))
}

fn once(effect: Effect) -> Fault<Call> {
    Fault::once(Call::Create, effect)
}

fn statuses(world: &World) -> Vec<String> {
    let requests = world.requests().into_iter();
    requests.map(|(method, status)| format!("{method} {}", status.unwrap_or_default())).collect()
}

#[tokio::test(start_paused = true)]
async fn an_unclear_create_that_worked_is_found_and_counts_as_created() {
    let effects = [
        Effect::ResetAfter,
        Effect::HangAfter,
        Effect::TruncatedAfter,
        Effect::AnswerAfter(CannedResponse::html(StatusCode::BAD_GATEWAY)),
        Effect::AnswerAfter(CannedResponse::html(StatusCode::CREATED)),
        Effect::AnswerAfter(CannedResponse::message(
            StatusCode::INTERNAL_SERVER_ERROR,
            "Internal Error",
        )),
        Effect::AnswerAfter(CannedResponse::new(StatusCode::NO_CONTENT)),
        Effect::AnswerAfter(CannedResponse::message(
            StatusCode::REQUEST_TIMEOUT,
            "Request Timeout",
        )),
    ];
    for (api, effect) in on_both(&effects) {
        let world = World::on(api, &[]);
        world.xata.fault(once(effect.clone()));
        let answered = world.deliver(event(1)).await;
        assert_eq!(answered.row(), (200, "created", None, None), "{effect:?}");
        let [database] = &world.databases(&user_id(1))[..] else { panic!("{effect:?}") };
        assert_eq!(answered.body["database"]["id"].as_str(), database.id.as_deref(), "{effect:?}");
        assert_eq!(world.requests().len(), 2, "a create and a look-up: {effect:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_unclear_create_that_did_not_work_is_done_again() {
    let effects = [Effect::ResetBefore, message(500, "Internal Error"), message(502, "x")];
    for (api, effect) in on_both(&effects) {
        let world = World::on(api, &[]);
        world.xata.fault(once(effect.clone()));
        let answered = world.deliver(event(1)).await;
        assert_eq!(answered.row(), (200, "created", None, None), "{effect:?}");
        assert_eq!(world.databases(&user_id(1)).len(), 1, "{effect:?}");
        assert_eq!(world.requests().len(), 3, "create, look-up, create: {effect:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_create_that_worked_only_after_the_look_up_is_still_the_only_one() {
    for api in Api::BOTH {
        let world = World::on(api, &[]);
        world.xata.set_create_latency(Duration::from_secs(52));
        // The client gives up first; Xata, unaware of it, finishes meanwhile.
        world.xata.fault(once(Effect::Detached));
        let first = world.deliver(event(1)).await;
        assert_eq!((first.status, first.word("status")), (503, "unavailable"));
        world.xata.set_create_latency(Duration::ZERO);
        let second = world.deliver(event(1)).await;
        assert_eq!((second.status, world.databases(&user_id(1)).len()), (200, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_hides_a_database_is_seen_through() {
    for effect in [
        message(403, "organization [org123] has reached the limit of 10 branches"),
        message(400, "project [prj_a] has reached the limit of 10 branches"),
        message(429, "organization [org123] has reached the limit of 50 branch creations per hour"),
        message(400, "invalid image"),
        message(403, "Organization [org123] is disabled, please check your billing settings"),
        message(404, "[tpl-a-1]: not found"),
        message(412, "parent is unhealthy"),
    ] {
        let world = World::new();
        world.xata.insert("prj_a", "eu-central-1", [user_id(1)]);
        world.xata.fault(once(effect.clone()));
        let answered = world.deliver(event(1)).await;
        assert_eq!(answered.row(), (200, "exists", None, None), "{effect:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_hides_nothing_says_who_has_to_act() {
    let person = (500, "misconfigured");
    let time = (503, "unavailable");
    for (status, text, (answer, word), reason) in [
        (403, "organization [o] has reached the limit of 10 branches", person, "standing_quota"),
        (
            403,
            "Organization [o] has reached the branch limit for new organizations",
            person,
            "standing_quota",
        ),
        (400, "project [p] has too many branches", person, "standing_quota"),
        (
            403,
            "Organization [o] is disabled, please check your billing",
            person,
            "organization_disabled",
        ),
        (403, "access denied", person, "access_denied"),
        (404, "project [p] not found", person, "not_found"),
        (400, "invalid image", person, "request_rejected"),
        (415, "Unsupported Media Type", person, "request_rejected"),
        (429, "[o] has reached the limit of 50 branch creations per hour", time, "hourly_quota"),
        (429, "slow down", time, "rate_limited"),
        (412, "parent is unhealthy", time, "template_unhealthy"),
    ] {
        let world = World::new();
        world.xata.fault(Fault::always(Call::Create, message(status, text)));
        let answered = world.deliver(event(1)).await;
        assert_eq!(answered.row(), (answer, word, Some(reason), None), "{status} {text}");
        assert_eq!(statuses(&world), [format!("POST {status}"), "GET 200".into()], "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_real_quotas_are_met_in_the_order_that_xata_checks_them() {
    let world = World::new();
    world.deliver(event(1)).await;
    world
        .platform()
        .change(|options| options.quotas = Quotas { branches_per_project: Some(4), ..Quotas::T2 });
    assert_eq!(world.deliver(event(1)).await.word("status"), "exists");
    let full = world.deliver(event(2)).await;
    assert_eq!(full.row(), (500, "misconfigured", Some("standing_quota"), None));

    world.platform().change(|options| {
        options.quotas = Quotas { branch_creations_per_hour: Some(1), ..Quotas::UNLIMITED }
    });
    let this_hour = world.deliver(event(2)).await;
    assert_eq!(this_hour.row(), (503, "unavailable", Some("hourly_quota"), None));
    tokio::time::advance(Duration::from_secs(3601)).await;
    assert_eq!(world.deliver(event(2)).await.word("status"), "created");
}

#[tokio::test(start_paused = true)]
async fn contention_in_every_shape_is_waited_out() {
    for status in [409, 423, 429] {
        for retry_after in [true, false] {
            // Without Retry-After a 429 is a limit, as far as anybody can tell.
            if (status, retry_after) == (429, false) {
                continue;
            }
            let world = World::new();
            let status = StatusCode::from_u16(status).unwrap();
            world.platform().change(|options| {
                options.create_latency = Duration::from_millis(1500);
                options.contention = Contention::Refuse { status, retry_after };
            });
            let (one, two) = (world.platform().clone(), &world);
            let rival = tokio::spawn(async move { create_beside(&one).await });
            tokio::task::yield_now().await;
            let answered = two.deliver(event(1)).await;
            assert_eq!(answered.row(), (200, "created", None, None), "{status} {retry_after}");
            rival.await.unwrap();
        }
    }
}

/// Somebody else creates in the same project.
async fn create_beside(xata: &standin::xata::platform::Platform) {
    use tower::ServiceExt;
    let body = r#"{"name":"other","mode":"inherit","parentID":"tpl-a-0"}"#;
    let request = http::Request::post("/organizations/org123/projects/prj_a/branches")
        .header("authorization", "Bearer xau_fake_local_development_key")
        .body(axum::body::Body::from(body))
        .unwrap();
    let answer = xata.router().oneshot(request).await.unwrap();
    assert_eq!(answer.status(), 201);
}

#[tokio::test(start_paused = true)]
async fn a_taken_name_that_is_to_be_asked_for_again_is_contention() {
    let world = World::new();
    let status = StatusCode::CONFLICT;
    let busy = CannedResponse::message(status, "branch [x] already exists").with_retry_after("1");
    world.xata.fault(once(Effect::Answer(busy)));
    assert_eq!(world.deliver(event(1)).await.row(), (200, "created", None, None));
}

#[tokio::test(start_paused = true)]
async fn contention_that_stays_goes_back_to_hookdeck_with_a_spread() {
    let world = World::new();
    world.xata.fault(Fault::always(Call::Create, message(409, "project is busy")));
    let mut waits = Vec::new();
    for seed in 1..=20 {
        let answered = world.deliver(event(seed)).await;
        let (status, _, reason, retry_after) = answered.row();
        assert_eq!((status, reason), (503, Some("contention")));
        waits.push(retry_after.unwrap().parse::<u64>().unwrap());
    }
    assert!(waits.iter().all(|wait| (5..=30).contains(wait)), "{waits:?}");
    waits.sort_unstable();
    waits.dedup();
    assert!(waits.len() > 5, "users meet again: {waits:?}");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_xata_cannot_check_just_now_is_tried_once_more() {
    let world = World::new();
    world.xata.fault(once(message(401, "invalid token")));
    assert_eq!(world.deliver(event(1)).await.row(), (200, "created", None, None));
}

#[tokio::test(start_paused = true)]
async fn a_look_up_that_cannot_be_finished_is_never_an_absence() {
    // What the connection says is whole is not.
    let cut = r#"{"branches":[{"id":"a","name":"b","region":"us-east-1"}"#;
    for (on_list, reason) in [
        (Effect::ResetBefore, "xata_unreachable"),
        (Effect::TruncatedAfter, "xata_unreachable"),
        (Effect::HangBefore, "xata_timeout"),
        (Effect::Answer(CannedResponse::html(StatusCode::OK)), "xata_unreadable"),
        (message(200, "no list"), "xata_unreadable"),
        (
            Effect::Answer(CannedResponse::new(StatusCode::OK).with_body("application/json", cut)),
            "xata_unreadable",
        ),
        (message(500, "x"), "xata_error"),
        (message(429, "slow down"), "rate_limited"),
    ] {
        let world = World::new();
        world.xata.fault(once(Effect::ResetBefore));
        world.xata.fault(Fault::once(Call::LookUp, on_list.clone()));
        let answered = world.deliver(event(1)).await;
        assert_eq!(answered.row(), (503, "unavailable", Some(reason), None), "{on_list:?}");
        assert_eq!(world.databases(&user_id(1)), [], "{on_list:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_is_read_up_to_64_mib_and_beyond_that_it_is_unknown() {
    for (bytes_beyond, row) in
        [(0, (200, "created", None, None)), (1, (503, "unavailable", Some("list_too_long"), None))]
    {
        let world = World::new();
        let (start, end) = (r#"{"branches":["#, "]}");
        let blanks = 64 * 1024 * 1024 - start.len() - end.len() + bytes_beyond;
        let list = [start, &" ".repeat(blanks), end].concat();
        let list = CannedResponse::new(StatusCode::OK).with_body("application/json", list);
        world.xata.fault(once(Effect::ResetBefore));
        world.xata.fault(Fault::once(Call::LookUp, Effect::Answer(list)));
        assert_eq!(world.deliver(event(1)).await.row(), row, "{bytes_beyond} more");
    }
}

#[tokio::test(start_paused = true)]
async fn upstream_s_time_may_be_a_date_and_is_kept_within_an_hour() {
    // The world's clock starts at 2026-01-07T11:06:40Z.
    for (asked, sent) in [
        ("Wed, 07 Jan 2026 11:08:40 GMT", Some("120")),
        ("Wed, 07 Jan 2026 11:00:00 GMT", Some("1")),
        ("86400", Some("3600")),
        ("0", Some("1")),
        ("-1", None),
        ("soon", None),
    ] {
        let world = World::new();
        let busy = CannedResponse::message(StatusCode::TOO_MANY_REQUESTS, "slow down")
            .with_retry_after(asked);
        world.xata.fault(Fault::always(Call::Any, Effect::Answer(busy)));
        let answered = world.deliver(event(1)).await;
        assert_eq!((answered.status, answered.row().3), (503, sent), "{asked}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_template_of_another_region_is_told_and_is_an_error_in_the_log() {
    let world = World::with(&[(
        "XATA_TEMPLATES",
        "us-east-1=tpl-a-0,eu-central-1=tpl-a-0,ap-southeast-2=tpl-a-2",
    )]);
    let answered = world.deliver(event(1)).await;
    assert_eq!(answered.row(), (200, "created", None, None));
    assert_eq!(answered.body["database"]["region"], "us-east-1");
    assert_eq!(answered.body["placement"]["region"], "eu-central-1");
    assert_eq!(answered.line["level"], "ERROR");
    assert_eq!(answered.line["wrong_region"], "us-east-1");
}

#[tokio::test(start_paused = true)]
async fn without_templates_each_database_is_a_root_of_its_own() {
    let world = World::with(&[("XATA_TEMPLATES", ""), ("XATA_SCALE_TO_ZERO_MINUTES", "off")]);
    assert_eq!(world.deliver(event(1)).await.row(), (200, "created", None, None));
    let [database] = &world.platform().databases_named(&user_id(1))[..] else { panic!("one") };
    assert_eq!((database.parent.as_deref(), database.region.as_str()), (None, "eu-central-1"));
    assert!(!database.scale_to_zero.enabled);
}

#[tokio::test(start_paused = true)]
async fn copies_of_one_event_at_the_same_moment_make_one_database() {
    for api in Api::BOTH {
        let world = World::on(api, &[]);
        world.xata.set_create_latency(Duration::from_millis(300));
        let payload = standin::function_url::event(
            &delivery(event(1)),
            standin::function_url::BodyEncoding::Text,
        );
        let payload = payload.to_string();
        let deadline = (world.clock)() + Duration::from_secs(55);
        let copies = [(); 3].map(|()| world.handle(&payload, deadline));
        let [one, two, three] = copies;
        let (one, two, three) = tokio::join!(one, two, three);
        let mut words = [one, two, three].map(|answer| <&str>::from(&answer));
        words.sort_unstable();
        assert_eq!(words, ["created", "exists", "exists"]);
        assert_eq!(world.databases(&user_id(1)).len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_redirect_is_not_followed() {
    for api in Api::BOTH {
        let world = World::on(api, &[]);
        let moved = CannedResponse::new(StatusCode::TEMPORARY_REDIRECT);
        world.xata.fault(Fault::always(Call::Any, Effect::Answer(moved)));
        let answered = world.deliver(event(1)).await;
        assert_eq!(answered.row(), (503, "unavailable", Some("xata_error"), None));
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_retryable_answer_of_ours() {
    let world =
        World::with_client(http_client::boxed(tower::service_fn(|_: reqwest::Request| async {
            panic!("a bug") as Result<reqwest::Response, Infallible>
        })));
    let answered = world.deliver(event(1)).await;
    assert_eq!(answered.row(), (503, "unavailable", Some("internal_error"), None));
}

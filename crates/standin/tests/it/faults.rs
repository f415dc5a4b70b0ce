//! What goes wrong on the way, and what the platform holds afterwards.

use std::time::Duration;

use http::{Method, StatusCode};
use standin::fault::{CannedResponse, Effect, Fault};
use standin::serve;
use standin::xata::platform::Call;
use tokio::time::{Instant, timeout};
use tower::ServiceExt;

use crate::helpers::{BRANCHES, World, child, request};

const SECOND: Duration = Duration::from_secs(1);

fn gateway_timeout() -> CannedResponse {
    CannedResponse::html(StatusCode::GATEWAY_TIMEOUT)
}

/// Strikes one create, and tells what the client saw (none: no answer) and whether the branch is there.
async fn struck(effect: Effect) -> (Option<u16>, bool) {
    let world = World::new();
    world.platform.faults().push(Fault::once(Call::CreateBranch, effect));
    let create = world.try_call(Method::POST, BRANCHES, Some(child("user_a")));
    let status = match timeout(60 * SECOND, create).await {
        Ok(Ok(answer)) => Some(answer.status),
        Ok(Err(_)) | Err(_) => None,
    };
    assert_eq!(world.platform.faults().n_left(), 0);
    assert_eq!(world.clone_template("user_b").await.status, 201);
    (status, !world.platform.databases_named("user_a").is_empty())
}

#[tokio::test(start_paused = true)]
async fn each_effect_strikes_before_or_after_the_change() {
    for (effect, expected) in [
        (Effect::Answer(gateway_timeout()), (Some(504), false)),
        (Effect::AnswerAfter(gateway_timeout()), (Some(504), true)),
        (Effect::ResetBefore, (None, false)),
        (Effect::ResetAfter, (None, true)),
        (Effect::HangBefore, (None, false)),
        (Effect::HangAfter, (None, true)),
        (Effect::TruncatedAfter, (None, true)),
        (Effect::Trickle { chunk: 10, every: Duration::from_millis(1) }, (Some(201), true)),
        (Effect::Detached, (Some(201), true)),
    ] {
        let name = format!("{effect:?}");
        assert_eq!(struck(effect).await, expected, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_truncated_answer_has_the_right_head_and_half_a_body() {
    let world = World::new();
    world.platform.faults().push(Fault::once(Call::ListBranches, Effect::TruncatedAfter));
    let service = serve::service(world.platform.router());
    let response = service.oneshot(request(Method::GET, BRANCHES, None)).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/json");
    let whole = world.get(BRANCHES).await.body.len();
    assert_eq!(response.headers()["content-length"], whole.to_string().as_str());
    let error = http_body_util::BodyExt::collect(response.into_body()).await.unwrap_err();
    assert!(error.to_string().contains("reset"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_trickled_body_takes_its_time_and_is_whole() {
    let world = World::new();
    let whole = world.get(BRANCHES).await.body;
    let effect = Effect::Trickle { chunk: 10, every: SECOND };
    world.platform.faults().push(Fault::once(Call::ListBranches, effect));
    let started = Instant::now();
    assert_eq!(world.get(BRANCHES).await.body, whole);
    assert_eq!(started.elapsed().as_secs(), whole.len().div_ceil(10) as u64);
}

#[tokio::test(start_paused = true)]
async fn a_detached_create_commits_after_the_client_has_looked() {
    let world = World::with(|options| options.create_latency = 5 * SECOND);
    world.platform.faults().push(Fault::once(Call::CreateBranch, Effect::Detached));
    assert!(timeout(SECOND, world.clone_template("user_a")).await.is_err());
    let listed = world.get(BRANCHES).await.json();
    assert_eq!(listed["branches"].as_array().unwrap().len(), 1);
    // The lock makes the second create wait for the first, and then it is a duplicate.
    assert_eq!(world.clone_template("user_a").await.status, 409);
}

#[tokio::test(start_paused = true)]
async fn a_fault_skips_strikes_and_is_over() {
    let world = World::new();
    world.platform.faults().push(Fault {
        on: Call::Any,
        skip: 1,
        times: 2,
        effect: Effect::Answer(
            CannedResponse::message(StatusCode::TOO_MANY_REQUESTS, "slow down")
                .with_retry_after("7"),
        ),
    });
    let mut statuses = Vec::new();
    for name in ["a", "b", "c", "d"] {
        statuses.push(world.clone_template(name).await.status);
    }
    assert_eq!(statuses, [201, 429, 429, 201]);
}

#[tokio::test(start_paused = true)]
async fn faults_aim_at_one_call_and_come_in_their_order() {
    let world = World::new();
    let faults = world.platform.faults();
    let answer = |status| Effect::Answer(CannedResponse::new(status));
    faults.push(Fault::once(Call::CreateBranch, answer(StatusCode::BAD_GATEWAY)));
    faults.push(Fault::always(Call::CreateBranch, answer(StatusCode::SERVICE_UNAVAILABLE)));
    assert_eq!(world.get(BRANCHES).await.status, 200);
    assert_eq!(world.clone_template("user_a").await.status, 502);
    assert_eq!(world.clone_template("user_a").await.status, 503);
    assert_eq!(world.clone_template("user_a").await.status, 503);
    faults.clear();
    assert_eq!(world.clone_template("user_a").await.status, 201);
}

#[tokio::test(start_paused = true)]
async fn every_request_is_recorded_and_a_reset_has_no_status() {
    let world = World::new();
    world.platform.faults().push(Fault::once(Call::CreateBranch, Effect::ResetAfter));
    assert!(world.try_call(Method::POST, BRANCHES, Some(child("user_a"))).await.is_err());
    world.get("/nowhere?at=all").await;
    let requests = world.platform.requests();
    let seen: Vec<_> = requests
        .iter()
        .map(|request| (request.method.as_str(), request.path.as_str(), request.status))
        .collect();
    assert_eq!(seen, [("POST", BRANCHES, None), ("GET", "/nowhere?at=all", Some(404))]);
    assert_eq!(requests[0].body, child("user_a").to_string().as_str());
    world.platform.clear_requests();
    assert!(world.platform.requests().is_empty());
}

//! Faults of the platform.

use std::time::Duration;

use http::{Method, StatusCode};
use standin::fault::{CannedResponse, Effect, Fault};
use standin::serve;
use standin::xata::platform::Call;
use tokio::time::{Instant, timeout};
use tower::ServiceExt;

use crate::helpers::{BRANCHES, Client, World, child, effects, request, summary};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn each_effect_comes_before_or_after_the_change() {
    for (effect, status, changes) in effects(201) {
        let name = format!("{effect:?}");
        let world = World::new();
        let create = request(Method::POST, BRANCHES, Some(child("user_a")));
        let fault = Fault::once(Call::CreateBranch, effect);
        let seen = world.status_with(world.platform.faults(), fault, create).await;
        assert_eq!(world.clone_template("user_b").await.status, 201);
        let exists = !world.platform.databases_named("user_a").is_empty();
        assert_eq!((seen, exists), (status, changes), "{name}");
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
async fn a_fault_skips_calls_applies_and_ends() {
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
    assert!(world.send(request(Method::POST, BRANCHES, Some(child("user_a")))).await.is_err());
    world.get("/nowhere?at=all").await;
    let requests = world.platform.requests();
    assert_eq!(
        summary(&requests),
        [("POST", BRANCHES, None), ("GET", "/nowhere?at=all", Some(404))]
    );
    assert_eq!(requests[0].body, child("user_a").to_string().as_str());
    world.platform.clear_requests();
    assert!(world.platform.requests().is_empty());
}

//! Faults of Xata Lite.

use http::Method;
use serde_json::json;
use standin::fault::{Effect, Fault};
use standin::xata::lite::{Call, rate_limited};

use super::{DATABASES, USER_A, Workspace};
use crate::helpers::{Client, effects, request, summary};

#[tokio::test(start_paused = true)]
async fn each_effect_comes_before_or_after_the_change() {
    for (effect, status, changes) in effects(201) {
        let name = format!("{effect:?}");
        let workspace = Workspace::new();
        let put = request(Method::PUT, USER_A, Some(json!({ "region": "eu-west-1" })));
        let fault = Fault::once(Call::CreateDatabase, effect);
        let seen = workspace.status_with(workspace.lite.faults(), fault, put).await;
        assert_eq!((seen, workspace.region().is_some()), (status, changes), "{name}");
        // A look-up shows the truth after every response.
        assert_eq!(workspace.get(USER_A).await.status == 200, changes, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_says_when_it_ends_and_has_processed_nothing() {
    let workspace = Workspace::new();
    // An epoch instead of seconds is what puts the old SDK to sleep for decades.
    for reset in ["3", "1767784060", "soon"] {
        let effect = Effect::Answer(rate_limited(reset));
        workspace.lite.faults().push(Fault::once(Call::Any, effect));
        let limited = workspace.create("eu-west-1").await;
        assert_eq!(limited.status, 429);
        assert_eq!(limited.headers["x-ratelimit-reset"], reset);
    }
    assert_eq!(workspace.region(), None);
    assert_eq!(workspace.create("eu-west-1").await.status, 201);
}

#[tokio::test(start_paused = true)]
async fn a_fault_applies_only_to_the_call_that_it_is_aimed_at() {
    let workspace = Workspace::new();
    workspace.lite.insert("eu-west-1", ["user_a"]);
    let rename = format!("{USER_A}/rename");
    let calls = [
        (Call::ListDatabases, Method::GET, DATABASES),
        (Call::CreateDatabase, Method::PUT, USER_A),
        (Call::GetDatabase, Method::GET, USER_A),
        (Call::UpdateDatabase, Method::PATCH, USER_A),
        (Call::RenameDatabase, Method::POST, &rename),
        (Call::DeleteDatabase, Method::DELETE, USER_A),
        (Call::ListRegions, Method::GET, "/workspaces/tutorial-abc123/regions"),
    ];
    workspace.assert_each_fault_is_for_one_call(workspace.lite.faults(), &calls).await;
}

#[tokio::test(start_paused = true)]
async fn every_request_is_recorded_and_a_reset_has_no_status() {
    let workspace = Workspace::new();
    workspace.create("eu-west-1").await;
    workspace.lite.faults().push(Fault::once(Call::GetDatabase, Effect::ResetBefore));
    assert!(workspace.send(request(Method::GET, USER_A, None)).await.is_err());
    let requests = workspace.lite.requests();
    assert_eq!(summary(&requests), [("PUT", USER_A, Some(201)), ("GET", USER_A, None)]);
    assert_eq!(requests[0].body, r#"{"region":"eu-west-1"}"#);
    workspace.lite.clear_requests();
    assert_eq!(workspace.lite.requests(), []);
}

//! What goes wrong on the way to Xata Lite.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::json;
use standin::fault::{CannedResponse, Effect, Fault};
use standin::xata::lite::{Call, rate_limited};
use tokio::time::timeout;

use super::{DATABASES, SECOND, USER_A, Workspace};
use crate::helpers::request;

#[tokio::test(start_paused = true)]
async fn each_fault_strikes_before_or_after_the_change() {
    let page = || CannedResponse::html(StatusCode::CREATED);
    for (effect, expected) in [
        (Effect::Answer(page()), (Some(201), false)),
        (Effect::AnswerAfter(page()), (Some(201), true)),
        (Effect::ResetBefore, (None, false)),
        (Effect::ResetAfter, (None, true)),
        (Effect::HangBefore, (None, false)),
        (Effect::HangAfter, (None, true)),
        (Effect::TruncatedAfter, (None, true)),
        (Effect::Trickle { chunk: 10, every: Duration::from_millis(1) }, (Some(201), true)),
        (Effect::Detached, (Some(201), true)),
    ] {
        let name = format!("{effect:?}");
        let workspace = Workspace::new();
        workspace.lite.faults().push(Fault::once(Call::CreateDatabase, effect));
        let put = request(Method::PUT, USER_A, Some(json!({ "region": "eu-west-1" })));
        let answer = timeout(60 * SECOND, workspace.send(put)).await;
        let status = answer.ok().and_then(Result::ok).map(|answer| answer.status);
        assert_eq!((status, workspace.region().is_some()), expected, "{name}");
        assert_eq!(workspace.lite.faults().n_left(), 0, "{name}");
        // The rule that survives every answer: look the name up.
        let there = workspace.get(USER_A).await.status == 200;
        assert_eq!(there, expected.1, "{name}");
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
async fn a_fault_strikes_only_the_call_it_is_aimed_at() {
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
    for (aim, ..) in &calls {
        for (call, method, path) in &calls {
            workspace.lite.faults().clear();
            let effect = Effect::Answer(CannedResponse::new(StatusCode::BAD_GATEWAY));
            workspace.lite.faults().push(Fault::once(*aim, effect));
            let answer = workspace.call(method.clone(), path, None).await;
            assert_eq!(answer.status == 502, aim == call, "{aim:?} {call:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_request_is_recorded_and_a_reset_has_no_status() {
    let workspace = Workspace::new();
    workspace.create("eu-west-1").await;
    workspace.lite.faults().push(Fault::once(Call::GetDatabase, Effect::ResetBefore));
    assert!(workspace.send(request(Method::GET, USER_A, None)).await.is_err());
    let requests = workspace.lite.requests();
    let seen: Vec<_> = requests
        .iter()
        .map(|request| (request.method.as_str(), request.path.as_str(), request.status))
        .collect();
    assert_eq!(seen, [("PUT", USER_A, Some(201)), ("GET", USER_A, None)]);
    assert_eq!(requests[0].body, r#"{"region":"eu-west-1"}"#);
    workspace.lite.clear_requests();
    assert_eq!(workspace.lite.requests(), []);
}

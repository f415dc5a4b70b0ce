//! What goes wrong on the way to Clerk.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Value, json};
use standin::clerk::backend::Call;
use standin::clerk::user_id;
use standin::fault::{CannedResponse, Effect, Fault};
use tokio::time::timeout;

use super::{Instance, SECOND, metadata, request, user};

fn body() -> Value {
    json!({ "private_metadata": { "database": "there" } })
}

#[tokio::test(start_paused = true)]
async fn each_fault_strikes_before_or_after_the_change_and_its_event() {
    let page = || CannedResponse::html(StatusCode::BAD_GATEWAY);
    for (effect, expected) in [
        (Effect::Answer(page()), (Some(502), 0)),
        (Effect::AnswerAfter(page()), (Some(502), 1)),
        (Effect::ResetBefore, (None, 0)),
        (Effect::ResetAfter, (None, 1)),
        (Effect::HangBefore, (None, 0)),
        (Effect::HangAfter, (None, 1)),
        (Effect::TruncatedAfter, (None, 1)),
        (Effect::Trickle { chunk: 100, every: Duration::from_millis(1) }, (Some(200), 1)),
        (Effect::Detached, (Some(200), 1)),
    ] {
        let name = format!("{effect:?}");
        let instance = Instance::new();
        instance.backend.faults().push(Fault::once(Call::UpdateUserMetadata, effect));
        let patch = request(Method::PATCH, &metadata(1), Some(body()));
        let answer = timeout(60 * SECOND, instance.send(patch)).await;
        let status = answer.ok().and_then(Result::ok).map(|answer| answer.status);
        assert_eq!((status, instance.backend.take_events().len()), expected, "{name}");
        let stored = instance.backend.user(&user_id(1)).unwrap().private_metadata;
        assert_eq!(stored == json!({ "database": "there" }), expected.1 == 1, "{name}");
        assert_eq!(instance.backend.faults().n_left(), 0, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_fault_strikes_only_the_call_it_is_aimed_at() {
    let instance = Instance::new();
    instance.backend.change(|options| *options = options.clone().unlimited());
    let (user, metadata) = (user(1), metadata(1));
    let calls = [
        (Call::GetInstance, Method::GET, "/v1/instance"),
        (Call::GetUserList, Method::GET, "/v1/users?limit=1"),
        (Call::GetUsersCount, Method::GET, "/v1/users/count"),
        (Call::GetUser, Method::GET, &user),
        (Call::UpdateUser, Method::PATCH, &user),
        (Call::UpdateUserMetadata, Method::PATCH, &metadata),
        (Call::ReplaceUserMetadata, Method::PUT, &metadata),
        (Call::DeleteUser, Method::DELETE, &user),
    ];
    for (aim, ..) in &calls {
        for (call, method, path) in &calls {
            instance.backend.faults().clear();
            let effect = Effect::Answer(CannedResponse::new(StatusCode::BAD_GATEWAY));
            instance.backend.faults().push(Fault::once(*aim, effect));
            let body = (method != Method::GET && method != Method::DELETE).then(|| json!({}));
            let answer = instance.call(method.clone(), path, body).await;
            assert_eq!(answer.status == 502, aim == call, "{aim:?} {call:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_request_is_recorded_and_a_reset_has_no_status() {
    let instance = Instance::new();
    instance.call(Method::PATCH, &metadata(1), Some(body())).await;
    instance.backend.faults().push(Fault::once(Call::GetUser, Effect::ResetBefore));
    assert!(instance.send(request(Method::GET, &user(1), None)).await.is_err());
    let requests = instance.backend.requests();
    let seen: Vec<_> = requests
        .iter()
        .map(|request| (request.method.as_str(), request.path.as_str(), request.status))
        .collect();
    assert_eq!(seen, [("PATCH", &*metadata(1), Some(200)), ("GET", &*user(1), None)]);
    assert_eq!(requests[0].body, r#"{"private_metadata":{"database":"there"}}"#);
    instance.backend.clear_requests();
    assert_eq!(instance.backend.requests(), []);
}

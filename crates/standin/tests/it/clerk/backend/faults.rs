//! Faults of Clerk's Backend API.

use http::Method;
use serde_json::{Value, json};
use standin::clerk::backend::Call;
use standin::clerk::user_id;
use standin::fault::{Effect, Fault};

use super::{Instance, metadata, request, user};
use crate::helpers::{Client, effects, summary};

fn body() -> Value {
    json!({ "private_metadata": { "database": "there" } })
}

#[tokio::test(start_paused = true)]
async fn each_effect_comes_before_or_after_the_change_and_its_event() {
    for (effect, status, changes) in effects(200) {
        let name = format!("{effect:?}");
        let instance = Instance::new();
        let patch = request(Method::PATCH, &metadata(1), Some(body()));
        let fault = Fault::once(Call::UpdateUserMetadata, effect);
        let seen = instance.status_with(instance.backend.faults(), fault, patch).await;
        let n_events = instance.backend.take_events().len();
        assert_eq!((seen, n_events), (status, usize::from(changes)), "{name}");
        let stored = instance.backend.user(&user_id(1)).unwrap().private_metadata;
        assert_eq!(stored == json!({ "database": "there" }), changes, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_fault_applies_only_to_the_call_that_it_is_aimed_at() {
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
    instance.assert_each_fault_is_for_one_call(instance.backend.faults(), &calls).await;
}

#[tokio::test(start_paused = true)]
async fn every_request_is_recorded_and_a_reset_has_no_status() {
    let instance = Instance::new();
    instance.call(Method::PATCH, &metadata(1), Some(body())).await;
    instance.backend.faults().push(Fault::once(Call::GetUser, Effect::ResetBefore));
    assert!(instance.send(request(Method::GET, &user(1), None)).await.is_err());
    let requests = instance.backend.requests();
    assert_eq!(summary(&requests), [("PATCH", &*metadata(1), Some(200)), ("GET", &*user(1), None)]);
    assert_eq!(requests[0].body, r#"{"private_metadata":{"database":"there"}}"#);
    instance.backend.clear_requests();
    assert_eq!(instance.backend.requests(), []);
}

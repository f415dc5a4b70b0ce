//! The Backend API against Clerk's own document.

use http::Method;
use http::header::AUTHORIZATION;
use serde_json::json;
use standin::clerk::{SignUp, user_id};
use standin::conformance::{CLERK_DEVIATIONS, Specification, unavailable};

use super::{Instance, LENIENT, metadata, request, user};
use crate::helpers::Client;

#[test]
fn the_document_is_read_or_a_reason_is_given() {
    assert_eq!(Specification::clerk_backend().is_some(), unavailable().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_wrong_user_fails_a_check_that_names_operation_place_and_fault() {
    let instance = Instance::new();
    if instance.checker.n_validated().is_none() {
        return;
    }
    instance.backend.change_user(&user_id(1), |it| it.public_metadata = json!(7));
    assert_eq!(instance.get(&user(1)).await.status, 200);
    let words: Vec<_> =
        instance.checker.take_violations().iter().map(ToString::to_string).collect();
    assert_eq!(
        words,
        ["GetUser response 200, \"/public_metadata\" breaks `type`: 7 is not of type \"object\""]
    );
}

#[tokio::test(start_paused = true)]
async fn a_user_that_signed_up_without_anything_is_as_specified() {
    let instance = Instance::with(|_| {});
    instance.backend.insert(SignUp {
        private_metadata: serde_json::Value::Null,
        email_local_part: None,
        ..SignUp::new(&user_id(1))
    });
    assert_eq!(instance.get(&user(1)).await.status, 200);
    instance.checker.assert_clean();
}

#[tokio::test(start_paused = true)]
async fn every_known_deviation_is_observed() {
    let instance = Instance::new();
    if instance.checker.n_validated().is_none() {
        return;
    }
    instance.get("/v1/users/count?starting_after=user_1").await;
    let mut versioned = request(Method::GET, "/v1/instance?__clerk_api_version=2026-05-12", None);
    versioned.headers_mut().remove("Clerk-API-Version");
    assert_eq!(instance.send(versioned).await.unwrap().status, 200);
    instance.backend.change(|options| options.most_requests = Some(0));
    let (user, metadata) = (user(1), metadata(1));
    for (method, path) in [
        (Method::GET, "/v1/instance"),
        (Method::GET, "/v1/users"),
        (Method::GET, "/v1/users/count"),
        (Method::GET, &user),
        (Method::PATCH, &user),
        (Method::PATCH, &metadata),
        (Method::PUT, &metadata),
        (Method::DELETE, &user),
    ] {
        assert_eq!(instance.call(method, path, None).await.status, 429);
    }
    let met = instance.checker.observed_deviations();
    for known in CLERK_DEVIATIONS.iter().chain(&LENIENT) {
        assert!(met.contains(&known), "this deviation was not observed: {known:?}");
    }
    // A wrong key is declared for a user, and not for the count.
    let mut stranger = request(Method::GET, &user, None);
    stranger.headers_mut().remove(AUTHORIZATION);
    assert_eq!(instance.send(stranger).await.unwrap().status, 401);
    assert_eq!(instance.checker.observed_deviations().len(), met.len());
}

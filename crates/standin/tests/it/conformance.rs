//! The platform against Xata's own document.

use std::panic::{AssertUnwindSafe, catch_unwind};

use http::Method;
use standin::conformance::{DEVIATIONS, Specification, unavailable};
use standin::xata::platform::Region;

use crate::helpers::{BRANCHES, Client, LENIENT, World, child};

const REGIONS: &str = "/organizations/org123/regions";

#[test]
fn the_document_is_read_or_a_reason_is_given() {
    assert_eq!(Specification::xata_platform().is_some(), unavailable().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_wrong_field_fails_a_check_that_names_operation_place_and_fault() {
    let world = World::with(|options| {
        options.regions = vec![Region { provider: "moon".into(), ..Region::aws("mare-1") }];
    });
    if world.checker.n_validated().is_none() {
        return;
    }
    assert_eq!(world.get(REGIONS).await.status, 200);
    let failed = catch_unwind(AssertUnwindSafe(|| world.checker.assert_clean())).unwrap_err();
    assert_eq!(
        failed.downcast_ref::<String>().unwrap(),
        "not as specified:\nlistRegions response 200, \"/regions/0/provider\" breaks `enum`: \
         \"moon\" is not one of \"aws\", \"gcp\" or \"custom\""
    );
    assert_eq!(world.checker.take_violations().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_taken_against_the_document_fails_a_check() {
    let world = World::new();
    if world.checker.n_validated().is_none() {
        return;
    }
    let mut body = child("user_a");
    body["colour"] = "blue".into();
    assert_eq!(world.call(Method::POST, BRANCHES, Some(body)).await.status, 201);
    let violations = world.checker.take_violations();
    let words: Vec<_> = violations.iter().map(ToString::to_string).collect();
    assert_eq!(
        words,
        [
            "createBranch request, \"/colour\" breaks `unevaluatedProperties`: is not in the document"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn every_known_deviation_is_observed() {
    let world = World::new();
    if world.checker.n_validated().is_none() {
        return;
    }
    let created = world.clone_template("user_a").await.json();
    let branch = format!("{BRANCHES}/{}", created["id"].as_str().unwrap());
    world.get(&branch).await;
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    world.get(&format!("{branch}/credentials?username=xata")).await;
    for limits in ["limits", "projects/prj_shard_one/limits"] {
        world.get(&format!("/organizations/org123/{limits}")).await;
    }
    let mut body = child("user_b");
    body["scaleToZero"] = serde_json::Value::Null;
    assert_eq!(world.call(Method::POST, BRANCHES, Some(body)).await.status, 201);
    let met = world.checker.observed_deviations();
    for known in DEVIATIONS.iter().chain(&LENIENT) {
        assert!(met.contains(&known), "this deviation was not observed: {known:?}");
    }
}

//! The exchanges with Xata's platform are checked against Xata's OpenAPI document.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use serde_json::{Value, json};
use standin::conformance::{Specification, Violation, unavailable};
use standin::interceptor::Observer;

use crate::test_app::{TestApp, user_created};

/// Changes a body.
type Edit = fn(&mut Value);

/// Records the last exchange.
#[derive(Debug, Default)]
struct Last(Mutex<Option<(Request<Bytes>, Response<Bytes>)>>);

impl Observer for Last {
    fn on_request(&self, _: &Request<Bytes>) {}

    fn on_response(&self, request: &Request<Bytes>, response: &Response<Bytes>) {
        *self.0.lock().unwrap() = Some((request.clone(), response.clone()));
    }
}

/// The exchange that creates a database.
async fn create() -> (Request<Bytes>, Response<Bytes>) {
    let app = TestApp::new();
    let last = Arc::new(Last::default());
    app.platform().observe(last.clone());
    assert_eq!(app.deliver(user_created(1)).await.outcome(), "created");
    last.0.lock().unwrap().take().unwrap()
}

fn edited(body: &Bytes, edit: impl FnOnce(&mut Value)) -> Bytes {
    let mut body = serde_json::from_slice(body).unwrap();
    edit(&mut body);
    body.to_string().into()
}

/// The operation, pointer and keyword of each violation.
fn places(violations: &[Violation]) -> Vec<[&str; 3]> {
    violations.iter().map(|it| [&*it.operation, &*it.pointer, &*it.keyword]).collect()
}

#[test]
fn the_document_is_read_or_its_absence_has_a_reason() {
    assert_eq!(Specification::xata_platform().is_some(), unavailable().is_none());
}

#[tokio::test(start_paused = true)]
async fn the_request_and_the_response_of_a_delivery_are_checked() {
    let app = TestApp::new();
    let before = app.watch.as_ref().unwrap().n_validated();
    assert_eq!(app.deliver(user_created(1)).await.outcome(), "created");
    assert_eq!(app.watch.as_ref().unwrap().n_validated(), before.map(|n| n + 2));
}

#[tokio::test(start_paused = true)]
async fn a_renamed_member_of_a_response_is_a_violation() {
    let Some(specification) = Specification::xata_platform() else { return };
    let (request, response) = create().await;
    assert_eq!(specification.validate_response(&request, &response), []);
    let broken = response.map(|body| {
        edited(&body, |body| {
            let region = body.as_object_mut().unwrap().remove("region").unwrap();
            body["reigon"] = region;
        })
    });
    assert_eq!(
        places(&specification.validate_response(&request, &broken)),
        [
            ["createBranch", "/region", "required"],
            ["createBranch", "/reigon", "additionalProperties"],
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_wrong_request_is_a_violation() {
    let Some(specification) = Specification::xata_platform() else { return };
    let (request, _) = create().await;
    assert_eq!(specification.validate_request(&request), []);
    let edits: [(Edit, &str, &str); 5] = [
        (|body| body["name"] = 7.into(), "/name", "type"),
        (|body| body["mode"] = "inherits".into(), "/mode", "enum"),
        (|body| body["parent"] = body["parentID"].take(), "", "oneOf"),
        (|body| body["scale"] = json!(1), "/scale", "unevaluatedProperties"),
        (|body| body["scaleToZero"]["enabled"] = json!("yes"), "/scaleToZero/enabled", "type"),
    ];
    for (edit, pointer, keyword) in edits {
        let (head, body) = request.clone().into_parts();
        let broken = Request::from_parts(head, edited(&body, edit));
        let violations = specification.validate_request(&broken);
        let found = places(&violations);
        assert!(found.contains(&["createBranch", pointer, keyword]), "{violations:#?}");
    }
    for (path, expected) in [
        ("/organizations/org123/branches", ["POST /organizations/org123/branches", "", "paths"]),
        ("/organizations/org123/projects?n=1", ["createProject", "query n", "parameters"]),
    ] {
        let mut elsewhere = request.clone();
        *elsewhere.uri_mut() = path.parse().unwrap();
        let violations = specification.validate_request(&elsewhere);
        assert!(places(&violations).contains(&expected), "{violations:#?}");
    }
}

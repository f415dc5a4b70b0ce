//! Clerk's Backend API: what a client sees, what the instance stores afterwards, and which events it causes.

mod conformance;
mod exchanges;
mod faults;
mod limits;
mod metadata;
mod paging;
mod requests;

use std::time::Duration;

use axum::Router;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{Method, Request};
use http_body_util::Full;
use serde_json::{Value, json};
use standin::clerk::backend::{Backend, Options};
use standin::clerk::{SignUp, user_id};
use standin::conformance::{Checker, Deviation, Requests, Side};
use standin::serve;
use standin::xata::lite::Lite;
use tower::ServiceExt;

use crate::helpers::{self, Answer, Client};

const VERSION: &str = "2026-05-12";
const AGENT: &str = "per-user-db/test";
const SECOND: Duration = Duration::from_secs(1);

/// What the stand-in accepts beside its document, as these tests show.
const LENIENT: [Deviation; 2] = [
    query("GetInstance", "query __clerk_api_version", "the version may be a parameter of any call"),
    query("GetUsersCount", "query starting_after", "the vendor's client repeats it there"),
];

const fn query(operation: &'static str, pointer: &'static str, why: &'static str) -> Deviation {
    Deviation { operation, side: Side::Request, pointer, keyword: "parameters", why }
}

/// An instance, and a client that has the key. No test passes in which an answer, or a request that was accepted, is not
/// as specified.
struct Instance {
    backend: Backend,
    checker: Checker,
    router: Router,
}

impl Instance {
    /// With one user, `user_id(1)`.
    fn new() -> Self {
        let instance = Self::with(|_| {});
        instance.backend.insert(SignUp::new(&user_id(1)));
        instance
    }

    /// Without users.
    fn with(change: impl FnOnce(&mut Options)) -> Self {
        let mut options = Options::default();
        change(&mut options);
        let backend = Backend::new(options);
        let checker = Checker::clerk(&backend, Requests::Accepted(&LENIENT));
        let router = backend.router();
        Self { backend, checker, router }
    }
}

impl Client for Instance {
    fn router(&self) -> Router {
        self.router.clone()
    }

    fn request(&self, method: Method, path: &str, body: Option<Value>) -> Request<Full<Bytes>> {
        request(method, path, body)
    }
}

fn request(method: Method, path: &str, body: Option<Value>) -> Request<Full<Bytes>> {
    let mut request = helpers::request(method, path, body);
    let key = format!("Bearer {}", Options::default().secret_key).parse().unwrap();
    request.headers_mut().insert(AUTHORIZATION, key);
    request.headers_mut().insert("clerk-api-version", VERSION.parse().unwrap());
    request.headers_mut().insert(USER_AGENT, AGENT.parse().unwrap());
    request
}

fn user(n: u64) -> String {
    format!("/v1/users/{}", user_id(n))
}

fn metadata(n: u64) -> String {
    format!("{}/metadata", user(n))
}

/// Status and first error code.
fn error_of(answer: &Answer) -> (u16, String) {
    let body = answer.json();
    let [error] = &body["errors"].as_array().unwrap()[..] else { panic!("{body}") };
    assert!(error["message"].is_string() && error["long_message"].is_string(), "{body}");
    assert_eq!(body["clerk_trace_id"].as_str().map(str::len), Some(32), "{body}");
    assert_eq!(answer.headers[CONTENT_TYPE], "application/json");
    (answer.status, error["code"].as_str().unwrap().to_owned())
}

fn error(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

fn events(instance: &Instance) -> Vec<Value> {
    let bodies = instance.backend.take_events().into_iter();
    bodies.map(|body| serde_json::from_slice(&body).unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn the_key_belongs_to_one_instance() {
    let instance = Instance::new().get("/v1/instance").await.json();
    let event: Value = serde_json::from_slice(&SignUp::new(&user_id(1)).user_created()).unwrap();
    assert_eq!(instance["id"], event["instance_id"]);
    assert_eq!(instance["environment_type"], "development");
    let other = Instance::with(|options| {
        let secret_key = options.secret_key.clone();
        *options = Options { secret_key, instance_id: "ins_other".into(), ..Options::production() };
    });
    let other = other.get("/v1/instance").await.json();
    assert_eq!(
        (&other["id"], &other["environment_type"]),
        (&json!("ins_other"), &json!("production"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_user_is_the_one_of_the_sign_up_event() {
    let instance = Instance::new();
    let event: Value = serde_json::from_slice(&SignUp::new(&user_id(1)).user_created()).unwrap();
    let found = instance.get(&user(1)).await;
    assert_eq!((found.status, found.json()), (200, event["data"].clone()));
    assert_eq!(instance.get("/v1/users").await.json(), json!([event["data"]]));
    assert_eq!(events(&instance), [] as [Value; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_user_is_gone_and_causes_one_event() {
    let instance = Instance::new();
    let deleted = instance.call(Method::DELETE, &user(1), None).await;
    let left = json!({ "object": "user", "id": user_id(1), "deleted": true });
    assert_eq!((deleted.status, deleted.json()), (200, left.clone()));
    let caused = events(&instance);
    assert_eq!(caused.len(), 1);
    assert_eq!((&caused[0]["type"], &caused[0]["data"]), (&json!("user.deleted"), &left));
    assert_eq!(
        caused[0]["event_attributes"]["http_request"],
        json!({ "client_ip": "", "user_agent": AGENT })
    );
    assert_eq!(caused[0]["instance_id"], Options::default().instance_id);
    for (method, path) in [
        (Method::DELETE, user(1)),
        (Method::GET, user(1)),
        (Method::PATCH, user(1)),
        (Method::PATCH, metadata(1)),
        (Method::PUT, metadata(1)),
    ] {
        let gone = instance.call(method.clone(), &path, None).await;
        assert_eq!(error_of(&gone), error(404, "resource_not_found"), "{method} {path}");
    }
    assert_eq!(events(&instance), [] as [Value; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_change_by_the_test_is_visible_and_causes_no_event() {
    let instance = Instance::new();
    instance.backend.insert(SignUp::new(&user_id(2)));
    instance.backend.change_user(&user_id(2), |it| it.private_metadata = json!({ "a": 1 }));
    assert_eq!(instance.get(&user(2)).await.json()["private_metadata"], json!({ "a": 1 }));
    assert!(instance.backend.remove(&user_id(2)));
    assert!(!instance.backend.remove(&user_id(2)));
    assert_eq!(instance.get(&user(2)).await.status, 404);
    instance.backend.change(|options| options.api_version = "2030-01-01".into());
    assert_eq!(instance.get(&user(1)).await.status, 400);
    assert_eq!(events(&instance), [] as [Value; 0]);
}

#[tokio::test(start_paused = true)]
async fn the_api_shares_a_socket_with_another_stand_in() {
    let instance = Instance::new();
    let router =
        instance.backend.beside(Lite::new(standin::xata::lite::Options::default()).router());
    let status = |path: &str| {
        let request = request(Method::GET, path, None);
        let answer = serve::service(router.clone()).oneshot(request);
        async { answer.await.unwrap().status().as_u16() }
    };
    assert_eq!(status("/v1/instance").await, 200);
    assert_eq!(status("/workspaces/tutorial-abc123/dbs").await, 401);
    assert_eq!(instance.backend.requests().len(), 1);
}

//! A client of the platform whose methods are the calls it makes.

use axum::Router;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use standin::conformance::{Checker, Deviation, Requests, Side};
use standin::serve;
use standin::xata::platform::{Options, Platform};
use tower::{BoxError, ServiceExt};

pub(crate) const PROJECT: &str = "prj_shard_one";
pub(crate) const TEMPLATE: &str = "atemplateineurope000000000";
pub(crate) const KEY: &str = "xau_fake_local_development_key";
pub(crate) const BRANCHES: &str = "/organizations/org123/projects/prj_shard_one/branches";

/// What the stand-in takes beside its document, as these tests show.
pub(crate) const LENIENT: [Deviation; 1] = [Deviation {
    operation: "createBranch",
    side: Side::Request,
    pointer: "/scaleToZero",
    keyword: "type",
    why: "null is read as absent, as the service's language does",
}];

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn message(&self) -> String {
        self.json()["message"].as_str().unwrap().to_owned()
    }
}

/// One project with one template, and a client that has the key. No test passes in which an answer,
/// or a request that was taken, is not as specified.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) platform: Platform,
    pub(crate) watch: Checker,
    router: Router,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut Options)) -> Self {
        let mut options = Options::default();
        change(&mut options);
        let platform = Platform::new(options);
        platform.insert_project(PROJECT, "shard-one");
        platform.insert_template(PROJECT, TEMPLATE, "eu-central-1");
        let watch = Checker::platform(&platform, Requests::Accepted(&LENIENT));
        let router = platform.router();
        Self { platform, watch, router }
    }

    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Result<Answer, BoxError> {
        let response = serve::service(self.router.clone()).oneshot(request).await?;
        let (head, body) = response.into_parts();
        Ok(Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body: body.collect().await?.to_bytes(),
        })
    }

    pub(crate) async fn try_call(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Answer, BoxError> {
        self.send(request(method, path, body)).await
    }

    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        self.try_call(method, path, body).await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }

    pub(crate) async fn clone_template(&self, name: &str) -> Answer {
        self.call(Method::POST, BRANCHES, Some(child(name))).await
    }
}

pub(crate) fn request(method: Method, path: &str, body: Option<Value>) -> Request<Full<Bytes>> {
    let body = body.map(|body| body.to_string()).unwrap_or_default();
    Request::builder()
        .method(method)
        .uri(path)
        .header(AUTHORIZATION, format!("Bearer {KEY}"))
        .header(CONTENT_TYPE, "application/json")
        .body(Full::from(body))
        .unwrap()
}

pub(crate) fn child(name: &str) -> Value {
    json!({
        "name": name,
        "mode": "inherit",
        "parentID": TEMPLATE,
        "scaleToZero": { "enabled": true, "inactivityPeriodMinutes": 30 },
    })
}

pub(crate) fn root(name: &str) -> Value {
    json!({
        "name": name,
        "mode": "custom",
        "configuration": {
            "region": "eu-central-1",
            "image": "postgresql:17",
            "instanceType": "xata.micro",
            "replicas": 0,
        },
    })
}

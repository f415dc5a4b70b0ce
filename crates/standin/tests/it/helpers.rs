//! Clients of the stand-ins whose methods are the calls they make.

use std::time::Duration;

use axum::Router;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use standin::conformance::{Checker, Deviation, Requests, Side};
use standin::fault::{Call, CannedResponse, Effect, Fault, Faults};
use standin::record::Recorded;
use standin::serve;
use standin::xata::platform::{Options, Platform};
use tokio::time::timeout;
use tower::{BoxError, ServiceExt};

pub(crate) const PROJECT: &str = "prj_shard_one";
pub(crate) const TEMPLATE: &str = "atemplateineurope000000000";
pub(crate) const KEY: &str = "xau_fake_local_development_key";
pub(crate) const BRANCHES: &str = "/organizations/org123/projects/prj_shard_one/branches";

/// What the stand-in accepts beside its document, as these tests show.
pub(crate) const LENIENT: [Deviation; 1] = [Deviation {
    operation: "createBranch",
    side: Side::Request,
    pointer: "/scaleToZero",
    keyword: "type",
    why: "null is read as absent, as the service's language does",
}];

/// A response with its whole body.
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

/// A client of a stand-in, in memory.
pub(crate) trait Client {
    fn router(&self) -> Router;

    /// A request with the key and the headers that every call needs.
    fn request(&self, method: Method, path: &str, body: Option<Value>) -> Request<Full<Bytes>> {
        request(method, path, body)
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Answer, BoxError> {
        let response = serve::service(self.router()).oneshot(request).await?;
        let (head, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        self.send(self.request(method, path, body)).await.unwrap()
    }

    async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }

    /// Sends a request, and asserts which fault is used for which call: only the one that it is aimed at.
    async fn assert_each_fault_is_for_one_call<C: Call>(
        &self,
        faults: &Faults<C>,
        calls: &[(C, Method, &str)],
    ) {
        for (aim, ..) in calls {
            for (call, method, path) in calls {
                faults.clear();
                let effect = Effect::Answer(CannedResponse::new(StatusCode::BAD_GATEWAY));
                faults.push(Fault::once(*aim, effect));
                let has_body = method != Method::GET && method != Method::DELETE;
                let answer = self.call(method.clone(), path, has_body.then(|| json!({}))).await;
                assert_eq!(answer.status == 502, aim == call, "{aim:?} {call:?}");
            }
        }
    }

    /// The status that a client sees of a request, if any, when this fault is used for it.
    async fn status_with<C: Call>(
        &self,
        faults: &Faults<C>,
        fault: Fault<C>,
        request: Request<Full<Bytes>>,
    ) -> Option<u16> {
        faults.push(fault);
        let answer = timeout(Duration::from_mins(1), self.send(request)).await;
        assert_eq!(faults.n_left(), 0);
        answer.ok().and_then(Result::ok).map(|answer| answer.status)
    }
}

/// Every effect on a call that answers `status`: what the client sees (none: no response), and whether the change is made.
pub(crate) fn effects(status: u16) -> Vec<(Effect, Option<u16>, bool)> {
    let page = || CannedResponse::html(StatusCode::GATEWAY_TIMEOUT);
    vec![
        (Effect::Answer(page()), Some(504), false),
        (Effect::AnswerAfter(page()), Some(504), true),
        (Effect::ResetBefore, None, false),
        (Effect::ResetAfter, None, true),
        (Effect::HangBefore, None, false),
        (Effect::HangAfter, None, true),
        (Effect::TruncatedAfter, None, true),
        (Effect::Trickle { chunk: 10, every: Duration::from_millis(1) }, Some(status), true),
        (Effect::Detached, Some(status), true),
    ]
}

/// Method, path and status of each recorded request.
pub(crate) fn summary(requests: &[Recorded]) -> Vec<(&str, &str, Option<u16>)> {
    let requests = requests.iter();
    requests.map(|it| (it.method.as_str(), it.path.as_str(), it.status)).collect()
}

/// One project with one template, and a client that has the key. A test fails if a response, or a
/// request that was accepted, is not as specified.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) platform: Platform,
    pub(crate) checker: Checker,
    router: Router,
}

impl Client for World {
    fn router(&self) -> Router {
        self.router.clone()
    }
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut Options)) -> Self {
        Self::lenient(change, &LENIENT)
    }

    /// With a stand-in that is known to accept these deviations.
    pub(crate) fn lenient(
        change: impl FnOnce(&mut Options),
        deviations: &'static [Deviation],
    ) -> Self {
        let mut options = Options::default();
        change(&mut options);
        let platform = Platform::new(options);
        platform.insert_project(PROJECT, "shard-one");
        platform.insert_template(PROJECT, TEMPLATE, "eu-central-1");
        let checker = Checker::platform(&platform, Requests::Accepted(deviations));
        let router = platform.router();
        Self { platform, checker, router }
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

//! The function with in-memory stand-ins of Xata and Clerk, under a paused clock.

use std::cell::RefCell;
use std::io::Write;
use std::sync::{Arc, Once};
use std::time::{Duration, SystemTime};

use axum::Router;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, Request, StatusCode};
use per_user_db::handler::Handler;
use per_user_db::http_client::HttpClient;
use per_user_db::request;
use per_user_db::response::Response;
use per_user_db::settings::{Settings, SettingsError};
use per_user_db::telemetry::{InvocationIds, Metrics};
use per_user_db::worker::{Invocation, TIMEOUT, Worker};
use per_user_db::{Clock, http_client, telemetry};
use serde_json::Value;
use standin::clerk::backend::{self, Backend};
use standin::clerk::{SignUp, user_id};
use standin::conformance::{Checker, Requests};
use standin::fault::{CannedResponse, Effect};
use standin::function_url::{self, BodyEncoding};
use standin::hookdeck;
use standin::xata::lite::{self, Lite};
use standin::xata::platform::{self, Platform};
use standin::xata::{Database, Xata};
use tracing_subscriber::filter::LevelFilter;

pub const SECRET: &str = "fake-signing-secret";
/// The key of Xata's platform.
pub const KEY: &str = "xau_fake_local_development_key";
/// The settings of the Clerk stand-in.
pub const CLERK: [(&str, &str); 2] = [
    ("CLERK_SECRET_KEY", "sk_test_fake_local_development_key"),
    ("CLERK_API_URL", "http://localhost/v1"),
];
pub const PARK: (&str, &str) = ("ON_USER_DELETED", "park");
pub const DELETE: (&str, &str) = ("ON_USER_DELETED", "delete");
pub const PROJECTS: [&str; 3] = ["prj_a", "prj_b", "prj_c"];
/// The settings of all projects.
pub const ALL_PROJECTS: [(&str, &str); 2] = [
    ("XATA_PROJECT_ID", "prj_a,prj_b,prj_c"),
    (
        "XATA_TEMPLATES",
        "prj_a/us-east-1=tpl-a-0,prj_a/eu-central-1=tpl-a-1,prj_a/ap-southeast-2=tpl-a-2,\
         prj_b/us-east-1=tpl-b-0,prj_b/eu-central-1=tpl-b-1,prj_b/ap-southeast-2=tpl-b-2,\
         prj_c/us-east-1=tpl-c-0,prj_c/eu-central-1=tpl-c-1,prj_c/ap-southeast-2=tpl-c-2",
    ),
];
pub const REGIONS: [&str; 3] = ["us-east-1", "eu-central-1", "ap-southeast-2"];
pub const MINUTE: Duration = Duration::from_mins(1);

/// The API of Xata that the function uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    Platform,
    Lite,
}

impl Api {
    pub const BOTH: [Self; 2] = [Self::Platform, Self::Lite];

    /// Each case with each API.
    pub fn each_with<T: Clone>(cases: &[T]) -> impl Iterator<Item = (Self, T)> {
        Self::BOTH.into_iter().flat_map(|api| cases.iter().map(move |case| (api, case.clone())))
    }

    /// The settings of each test, unless it changes them.
    fn settings(self) -> Vec<(&'static str, &'static str)> {
        let common = [
            ("HOOKDECK_WEBHOOK_SECRET", SECRET),
            ("XATA_API_URL", "http://localhost"),
            ("REGION_BY_CONTINENT", "EU=eu-central-1,OC=ap-southeast-2"),
        ];
        let own: &[_] = match self {
            Self::Platform => &[
                ("XATA_API_KEY", KEY),
                ("XATA_ORGANIZATION_ID", "org123"),
                ("XATA_PROJECT_ID", "prj_a"),
                ("XATA_TEMPLATES", "us-east-1=tpl-a-0,eu-central-1=tpl-a-1,ap-southeast-2=tpl-a-2"),
            ],
            Self::Lite => &[
                ("XATA_API_KEY", "xau_fake_local_lite_key"),
                ("XATA_WORKSPACE_SLUG", "tutorial-abc123"),
            ],
        };
        [&common[..], own].concat()
    }
}

/// The function, the stand-ins of Xata and Clerk, and their common clock. A test fails where an
/// exchange with Xata's platform or Clerk leaves the vendor's OpenAPI document.
pub struct TestApp {
    pub api: Api,
    pub xata: Xata,
    /// Receives requests only with the settings in [`CLERK`].
    pub clerk: Backend,
    /// Checks the platform's exchanges; Xata Lite has no document.
    pub watch: Option<Checker>,
    _clerk_watch: Checker,
    pub clock: Clock,
    worker: Worker,
}

/// The response to a delivery, and what the delivery logs.
#[derive(Debug)]
pub struct TestResponse {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
    /// The body before parsing, for comparisons byte by byte.
    pub bytes: Bytes,
    /// The delivery's log line.
    pub log_line: Value,
    /// The log lines of all levels.
    pub log: Vec<Value>,
    /// The line of metrics.
    pub metrics: Value,
}

impl TestApp {
    pub fn new() -> Self {
        Self::with_settings(&[])
    }

    pub fn with_settings(changes: &[(&str, &str)]) -> Self {
        Self::with_api(Api::Platform, changes)
    }

    pub fn with_api(api: Api, changes: &[(&str, &str)]) -> Self {
        Self::with_routes(api, changes, Router::new())
    }

    /// The client of the function reaches these routes, too.
    pub fn with_routes(api: Api, changes: &[(&str, &str)], routes: Router) -> Self {
        let (xata, clock, watch) = match api {
            Api::Platform => {
                let platform = platform();
                let watch = Checker::platform(&platform, Requests::All);
                (Xata::Platform(platform.clone()), platform.clock(), Some(watch))
            }
            Api::Lite => {
                let lite = Lite::new(lite::Options::default());
                (Xata::Lite(lite.clone()), lite.clock(), None)
            }
        };
        let clerk = Backend::new(backend::Options { clock, ..backend::Options::default() });
        let clerk_watch = Checker::clerk(&clerk, Requests::All);
        let clock: Clock = Arc::new(move || SystemTime::UNIX_EPOCH + clock.now());
        let client = client(clerk.beside(routes.merge(xata.router())));
        let settings = settings(api, changes).expect("valid settings");
        let worker = worker(Handler::new(settings, client, clock.clone()), &clock);
        Self { api, xata, clerk, watch, _clerk_watch: clerk_watch, clock, worker }
    }

    /// The function sends its requests through this client.
    pub fn with_client(client: HttpClient) -> Self {
        let app = Self::new();
        let settings = settings(app.api, &[]).expect("valid settings");
        let worker = worker(Handler::new(settings, client, app.clock.clone()), &app.clock);
        app.with_worker(worker)
    }

    /// Changes the settings and keeps the stand-ins.
    pub fn redeploy(self, changes: &[(&str, &str)]) -> Self {
        let client = client(self.clerk.beside(self.xata.router()));
        let settings = settings(self.api, changes).expect("valid settings");
        let worker = worker(Handler::new(settings, client, self.clock.clone()), &self.clock);
        self.with_worker(worker)
    }

    pub fn with_worker(self, worker: Worker) -> Self {
        Self { worker, ..self }
    }

    /// The error of settings that stop the start.
    pub fn settings_error(changes: &[(&str, &str)]) -> String {
        settings(Api::Platform, changes).expect_err("invalid settings").to_string()
    }

    /// The platform's stand-in, for tests that do not use Xata Lite.
    pub fn platform(&self) -> &Platform {
        match &self.xata {
            Xata::Platform(platform) => platform,
            Xata::Lite(_) => panic!("this app uses Xata Lite"),
        }
    }

    /// Sends the first delivery of an event.
    pub async fn deliver(&self, body: impl Into<Bytes>) -> TestResponse {
        self.send(delivery(body)).await
    }

    /// Sends a request through the Function URL.
    pub async fn send(&self, request: Request<Bytes>) -> TestResponse {
        self.invoke(&payload(&request)).await
    }

    /// Invokes the function with a payload, with the deadline that Lambda sets.
    pub async fn invoke(&self, payload: &str) -> TestResponse {
        self.invoke_with_deadline(payload, (self.clock)() + TIMEOUT).await
    }

    pub async fn invoke_with_deadline(&self, payload: &str, deadline: SystemTime) -> TestResponse {
        let _ = (take_log(), take_metrics());
        let response = self.handle(payload, deadline).await;
        let response = function_url::response(&response.to_lambda()).expect("an HTTP response");
        let (log, metrics) = (lines(&LOG.take()), take_metrics());
        let ([log_line], [metrics]) = (&operator_lines(&log)[..], &metrics[..]) else {
            panic!("not one log line and one line of metrics: {log:#?}, {metrics:#?}")
        };
        assert_eq!(log_line["status"], response.status().as_u16(), "{log_line}");
        let (head, bytes) = response.into_parts();
        assert_eq!(head.headers["content-type"], "application/json");
        TestResponse {
            status: head.status.as_u16(),
            headers: head.headers,
            body: serde_json::from_slice(&bytes).expect("the body is JSON"),
            bytes,
            log_line: log_line.clone(),
            log,
            metrics: metrics.clone(),
        }
    }

    /// Invokes the function without reading the log, so that invocations can run at once.
    pub async fn handle(&self, payload: &str, deadline: SystemTime) -> Response {
        let ids = InvocationIds { request_id: Some("request-1".into()), trace_id: None };
        let payload = request::read(payload);
        self.worker.invoke(Invocation { payload, deadline, ids }).await
    }

    /// The outcome of a request, without reading the log.
    pub async fn outcome(&self, request: Request<Bytes>) -> &'static str {
        (&self.handle(&payload(&request), (self.clock)() + TIMEOUT).await).into()
    }

    /// The requests to Xata, as method and status.
    pub fn requests(&self) -> Vec<(String, Option<u16>)> {
        let requests = self.xata.requests();
        requests.into_iter().map(|it| (it.method.to_string(), it.status)).collect()
    }

    /// The methods of the requests to Xata.
    pub fn methods(&self) -> Vec<String> {
        self.requests().into_iter().map(|(method, _)| method).collect()
    }

    /// The requests to Clerk, as method and path.
    pub fn requests_to_clerk(&self) -> Vec<String> {
        let requests = self.clerk.requests();
        requests.into_iter().map(|it| format!("{} {}", it.method, it.path)).collect()
    }

    /// The databases of a user.
    pub fn databases(&self, user_id: &str) -> Vec<Database> {
        self.xata.databases_named(user_id)
    }
}

impl TestResponse {
    /// Status, outcome, reason and `Retry-After`, as in the table of `docs/reference.md`.
    pub fn row(&self) -> (u16, &str, Option<&str>, Option<&str>) {
        let retry_after = self.headers.get("retry-after").map(|it| it.to_str().expect("text"));
        (self.status, self.outcome(), self.body["reason"].as_str(), retry_after)
    }

    pub fn outcome(&self) -> &str {
        self.body["status"].as_str().unwrap_or_default()
    }

    /// All that the client or the log can show.
    pub fn output(&self) -> String {
        format!("{}{:?}{:?}", self.body, self.headers, self.log)
    }
}

/// Three projects, each with a template per region.
pub fn platform() -> Platform {
    let xata = Platform::new(platform::Options::default().with_region("ap-southeast-2"));
    for project in PROJECTS {
        xata.insert_project(project, project);
        for (index, region) in REGIONS.iter().enumerate() {
            let short = project.trim_start_matches("prj_");
            xata.insert_template(project, &format!("tpl-{short}-{index}"), region);
        }
    }
    xata
}

fn settings(api: Api, changes: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    let variables = api.settings().into_iter().chain(changes.iter().copied());
    Settings::read(variables.map(|(name, value)| (name.into(), value.into())))
}

/// A client whose requests reach these routes in memory.
pub fn client(routes: Router) -> HttpClient {
    http_client::boxed(standin::serve::client(routes))
}

/// A worker whose log and metrics the test reads.
pub fn worker(handler: Handler, clock: &Clock) -> Worker {
    static INIT: Once = Once::new();
    INIT.call_once(|| telemetry::init(LevelFilter::TRACE, || LogBuffer));
    let write = |line: &str| METRICS.with_borrow_mut(|lines| lines.push_str(line));
    Worker::new(handler, clock.clone(), Some(Metrics::new("per-user-db".into(), write)))
}

/// A file of `tests/vectors`.
pub fn vector_file(path: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/vectors/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// The headers of a vector, without those that HTTP cannot carry.
pub fn header_map(headers: &serde_json::Map<String, Value>) -> HeaderMap {
    let header = |(name, value): (&String, &Value)| {
        Some((name.parse::<HeaderName>().ok()?, value.as_str()?.parse().ok()?))
    };
    headers.iter().filter_map(header).collect()
}

/// The event of a user's sign-up.
pub fn user_created(seed: u64) -> Vec<u8> {
    SignUp::new(&user_id(seed)).user_created()
}

/// The Function URL event of a request.
pub fn payload(request: &Request<Bytes>) -> String {
    function_url::event(request, BodyEncoding::Text).to_string()
}

/// The first delivery of an event.
pub fn delivery(body: impl Into<Bytes>) -> Request<Bytes> {
    let body = body.into();
    Request::post("/webhooks/clerk")
        .header("content-type", "application/json")
        .header("x-hookdeck-signature", hookdeck::signature(SECRET, &body))
        .header("x-hookdeck-eventid", "evt_0001")
        .header("x-hookdeck-attempt-count", "1")
        .header("x-hookdeck-attempt-trigger", "INITIAL")
        .header("x-hookdeck-verified", "true")
        .body(body)
        .unwrap()
}

/// A retry of the same delivery.
pub fn retry(body: impl Into<Bytes>, attempt: u32) -> Request<Bytes> {
    let request = with_header(delivery(body), "x-hookdeck-attempt-trigger", "AUTOMATIC");
    with_header(request, "x-hookdeck-attempt-count", &attempt.to_string())
}

/// Sets a header of a request.
pub fn with_header(mut request: Request<Bytes>, name: &'static str, value: &str) -> Request<Bytes> {
    request.headers_mut().insert(name, value.parse().expect("a header value"));
    request
}

/// Removes a header of a request.
pub fn without_header(mut request: Request<Bytes>, name: &str) -> Request<Bytes> {
    request.headers_mut().remove(name);
    request
}

/// A service's response of this status, with a message.
pub fn message(status: u16, text: &str) -> CannedResponse {
    CannedResponse::message(StatusCode::from_u16(status).unwrap(), text)
}

/// The service sends [`message`] and does nothing.
pub fn refusal(status: u16, text: &str) -> Effect {
    Effect::Answer(message(status, text))
}

thread_local! {
    /// Each test has its own thread, and its runtime stays on it.
    static LOG: RefCell<String> = const { RefCell::new(String::new()) };
    static METRICS: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Collects the log of the test that runs on this thread.
pub struct LogBuffer;

impl Write for LogBuffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOG.with_borrow_mut(|log| log.push_str(str::from_utf8(bytes).expect("text")));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The log lines at `info` and above since the last call.
pub fn take_log() -> Vec<Value> {
    operator_lines(&lines(&LOG.take()))
}

/// The lines at `info` and above.
fn operator_lines(log: &[Value]) -> Vec<Value> {
    let is_detail = |line: &&Value| line["level"] == "DEBUG" || line["level"] == "TRACE";
    log.iter().filter(|line| !is_detail(line)).cloned().collect()
}

/// The lines of metrics since the last call.
pub fn take_metrics() -> Vec<Value> {
    lines(&METRICS.take())
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
}

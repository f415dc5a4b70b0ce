//! The function in a small world of stand-ins, in memory, under a paused clock.

use std::cell::RefCell;
use std::io::Write;
use std::sync::{Arc, Once};
use std::time::{Duration, SystemTime};

use axum::Router;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, Request};
use per_user_db::handler::Handler;
use per_user_db::http_client::HttpClient;
use per_user_db::settings::{Settings, SettingsError};
use per_user_db::telemetry::{InvocationIds, Metrics};
use per_user_db::worker::{Invocation, TIMEOUT, Worker};
use per_user_db::{Clock, http_client, telemetry};
use serde_json::Value;
use standin::clerk::backend::{self, Backend};
use standin::conformance::{Checker, Requests};
use standin::function_url::{self, BodyEncoding};
use standin::hookdeck;
use standin::xata::lite::{self, Lite};
use standin::xata::platform::{self, Platform};
use standin::xata::{Database, Xata};
use tracing_subscriber::filter::LevelFilter;

pub const SECRET: &str = "fake-signing-secret";
/// Settings with which Clerk is asked and told.
pub const CLERK: [(&str, &str); 2] = [
    ("CLERK_SECRET_KEY", "sk_test_fake_local_development_key"),
    ("CLERK_API_URL", "http://localhost/v1"),
];
pub const PROJECTS: [&str; 3] = ["prj_a", "prj_b", "prj_c"];
/// Settings with all of the projects.
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

/// Which of Xata's APIs the function speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    Platform,
    Lite,
}

impl Api {
    pub const BOTH: [Self; 2] = [Self::Platform, Self::Lite];

    /// What the function is told unless a test says otherwise.
    fn settings(self) -> Vec<(&'static str, &'static str)> {
        let common = [
            ("HOOKDECK_WEBHOOK_SECRET", SECRET),
            ("XATA_API_URL", "http://localhost"),
            ("REGION_BY_CONTINENT", "EU=eu-central-1,OC=ap-southeast-2"),
        ];
        let own: &[_] = match self {
            Self::Platform => &[
                ("XATA_API_KEY", "xau_fake_local_development_key"),
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

/// Xata, Clerk, the function, and the time they share. No test passes in which a request of the
/// function's to the platform or to Clerk, or an answer to it, is not as they specify.
pub struct World {
    pub api: Api,
    pub xata: Xata,
    /// Only asked with the settings in [`CLERK`].
    pub clerk: Backend,
    /// Of the platform; nobody specified Xata Lite.
    pub watch: Option<Checker>,
    _clerk_watch: Checker,
    pub clock: Clock,
    worker: Worker,
}

/// What came back from the front door.
#[derive(Debug)]
pub struct Answered {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
    /// The bytes of the body, for what must not differ by a byte.
    pub bytes: Bytes,
    /// The one line that the delivery left in the log.
    pub line: Value,
    /// Everything that was logged, at every level.
    pub log: Vec<Value>,
    /// The line with its metrics.
    pub metrics: Value,
}

impl World {
    /// A world with the platform and the usual settings.
    pub fn new() -> Self {
        Self::with(&[])
    }

    /// A world with the platform, whose settings differ in these.
    pub fn with(changes: &[(&str, &str)]) -> Self {
        Self::on(Api::Platform, changes)
    }

    /// A world with this API, whose settings differ in these.
    pub fn on(api: Api, changes: &[(&str, &str)]) -> Self {
        Self::build(api, changes, Router::new())
    }

    /// A world with the platform, and with these routes beside it.
    pub fn beside(changes: &[(&str, &str)], routes: Router) -> Self {
        Self::build(Api::Platform, changes, routes)
    }

    fn build(api: Api, changes: &[(&str, &str)], routes: Router) -> Self {
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
        let services = clerk.beside(routes.merge(xata.router()));
        let client = http_client::boxed(standin::serve::client(services));
        let settings = settings(api, changes).expect("settings that work");
        let worker = worker(settings, client, &clock);
        Self { api, xata, clerk, watch, _clerk_watch: clerk_watch, clock, worker }
    }

    /// A world with the platform, where the function asks Xata through this.
    pub fn with_client(client: HttpClient) -> Self {
        let world = Self::new();
        let settings = settings(world.api, &[]).expect("settings that work");
        let worker = worker(settings, client, &world.clock);
        Self { worker, ..world }
    }

    /// The same world when somebody has deployed other settings.
    pub fn redeployed(self, changes: &[(&str, &str)]) -> Self {
        let worker = Worker::new(self.function(changes), self.clock.clone(), metrics());
        self.working_as(worker)
    }

    /// A function in this world, with other settings.
    pub fn function(&self, changes: &[(&str, &str)]) -> Handler {
        let services = self.clerk.beside(self.xata.router());
        let client = http_client::boxed(standin::serve::client(services));
        let settings = settings(self.api, changes).expect("settings that work");
        Handler::new(settings, client, self.clock.clone())
    }

    /// The same world with another worker.
    pub fn working_as(self, worker: Worker) -> Self {
        Self { worker, ..self }
    }

    /// What the function says at start about settings that cannot work.
    pub fn refused(changes: &[(&str, &str)]) -> String {
        settings(Api::Platform, changes).expect_err("settings that cannot work").to_string()
    }

    /// The platform, in the tests that are about it alone.
    pub fn platform(&self) -> &Platform {
        match &self.xata {
            Xata::Platform(platform) => platform,
            Xata::Lite(_) => panic!("this world has Xata Lite"),
        }
    }

    /// Delivers an event as Hookdeck does the first time.
    pub async fn deliver(&self, body: impl Into<Bytes>) -> Answered {
        self.send(delivery(body)).await
    }

    /// Sends a request through the Function URL.
    pub async fn send(&self, request: Request<Bytes>) -> Answered {
        self.invoke(&function_url::event(&request, BodyEncoding::Text).to_string()).await
    }

    /// Hands the function a payload, as Lambda does, with the usual time.
    pub async fn invoke(&self, payload: &str) -> Answered {
        self.invoke_until(payload, (self.clock)() + TIMEOUT).await
    }

    /// Hands the function a payload that Lambda lets run until a deadline.
    pub async fn invoke_until(&self, payload: &str, deadline: SystemTime) -> Answered {
        let _ = (take_log(), take_metrics());
        let answer = self.handle(payload, deadline).await;
        let response = function_url::response(&answer.to_lambda()).expect("a response");
        let (log, metrics) = (lines(&LOG.take()), take_metrics());
        let ([line], [metrics]) = (&operators(&log)[..], &metrics[..]) else {
            panic!("one line a delivery, and one of metrics, not {log:#?} and {metrics:#?}")
        };
        assert_eq!(line["status"], response.status().as_u16(), "{line}");
        let (head, bytes) = response.into_parts();
        assert_eq!(head.headers["content-type"], "application/json");
        Answered {
            status: head.status.as_u16(),
            headers: head.headers,
            body: serde_json::from_slice(&bytes).expect("the body is JSON"),
            bytes,
            line: line.clone(),
            log,
            metrics: metrics.clone(),
        }
    }

    /// Hands the function a payload and leaves its answer and its lines alone.
    pub async fn handle(
        &self,
        payload: &str,
        deadline: SystemTime,
    ) -> per_user_db::response::Response {
        let ids = InvocationIds { request_id: Some("request-1".into()), trace_id: None };
        self.worker.invoke(Invocation { payload, deadline, ids }).await
    }

    /// The word that a request is answered with, its lines left alone, so that several can run at
    /// once.
    pub async fn answer(&self, request: Request<Bytes>) -> &'static str {
        let payload = function_url::event(&request, BodyEncoding::Text).to_string();
        (&self.handle(&payload, (self.clock)() + TIMEOUT).await).into()
    }

    /// The requests that Xata has seen, as method and status.
    pub fn requests(&self) -> Vec<(String, Option<u16>)> {
        let requests = self.xata.requests();
        requests.into_iter().map(|it| (it.method.to_string(), it.status)).collect()
    }

    /// The requests that Clerk has seen, as method and path.
    pub fn requests_to_clerk(&self) -> Vec<String> {
        let requests = self.clerk.requests();
        requests.into_iter().map(|it| format!("{} {}", it.method, it.path)).collect()
    }

    /// The databases of this user.
    pub fn databases(&self, user_id: &str) -> Vec<Database> {
        self.xata.databases_named(user_id)
    }
}

impl Answered {
    /// Status and words, as the promised table has them.
    pub fn row(&self) -> (u16, &str, Option<&str>, Option<&str>) {
        let retry_after = self.headers.get("retry-after").map(|it| it.to_str().expect("text"));
        (self.status, self.word("status"), self.body["reason"].as_str(), retry_after)
    }

    pub fn word(&self, member: &str) -> &str {
        self.body[member].as_str().unwrap_or_default()
    }
}

fn platform() -> Platform {
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

/// The headers of a vector; those that HTTP cannot carry are none.
pub fn header_map(headers: &serde_json::Map<String, Value>) -> HeaderMap {
    let header = |(name, value): (&String, &Value)| {
        Some((name.parse::<HeaderName>().ok()?, value.as_str()?.parse().ok()?))
    };
    headers.iter().filter_map(header).collect()
}

/// The request in which Hookdeck delivers an event the first time.
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

/// The same delivery when it is tried again.
pub fn retry(body: impl Into<Bytes>, attempt: u32) -> Request<Bytes> {
    let mut request = delivery(body);
    let headers = request.headers_mut();
    headers.insert("x-hookdeck-attempt-count", attempt.into());
    headers.insert("x-hookdeck-attempt-trigger", "AUTOMATIC".parse().expect("a value"));
    request
}

/// More than any delivery may take.
pub const LONG: Duration = Duration::from_secs(3600);

thread_local! {
    /// A test has a thread of its own, and its runtime stays on it.
    static LOG: RefCell<String> = const { RefCell::new(String::new()) };
    static METRICS: RefCell<String> = const { RefCell::new(String::new()) };
}

fn worker(settings: Settings, client: HttpClient, clock: &Clock) -> Worker {
    Worker::new(Handler::new(settings, client, clock.clone()), clock.clone(), metrics())
}

/// Where the log of a test goes.
pub struct Buffer;

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOG.with_borrow_mut(|log| log.push_str(str::from_utf8(bytes).expect("text")));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Where the function's metrics go; its log is kept, too, at the finest level.
pub fn metrics() -> Option<Metrics> {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| telemetry::init(LevelFilter::TRACE, || Buffer));
    let keep = |line: &str| METRICS.with_borrow_mut(|lines| lines.push_str(line));
    Some(Metrics::new("per-user-db".into(), keep))
}

/// What was logged since the last time, at `info` and above.
pub fn take_log() -> Vec<Value> {
    operators(&lines(&LOG.take()))
}

/// The lines at `info` and above.
fn operators(log: &[Value]) -> Vec<Value> {
    let is_finer = |line: &&Value| line["level"] == "DEBUG" || line["level"] == "TRACE";
    log.iter().filter(|line| !is_finer(line)).cloned().collect()
}

/// What was measured since the last time.
pub fn take_metrics() -> Vec<Value> {
    lines(&METRICS.take())
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
}

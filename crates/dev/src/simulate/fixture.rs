//! Xata and Clerk in memory, the client that reaches them, and the function with its settings.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::Context;
use fastrand::Rng;
use http::{HeaderValue, Method};
use per_user_db::handler::Handler;
use per_user_db::http_client::{self, HttpClient};
use per_user_db::provision::MAX_FRESH_AGE;
use per_user_db::secrets::SecretsManager;
use per_user_db::settings::{self, Settings, Variables};
use per_user_db::worker::{SecretRefresher, Worker};
use serde_json::json;
use standin::clerk::backend;
use standin::clock::Clock;
use standin::xata::{Database, Xata};
use tokio::time::{Instant, sleep};
use tower::{BoxError, ServiceExt, service_fn};

use super::faults;
use super::record::{DELIVERY, HEADER, SharedRecord};
use super::scenario::Scenario;
use super::users::User;
use crate::services::Services;

/// Clerk's key after its rotation.
pub(super) const ROTATED_KEY: &str = "sk_test_fake_rotated_key";

/// The members of the function's secret.
type Secret = BTreeMap<String, String>;

const CLERK_KEY: &str = "CLERK_SECRET_KEY";

/// The environment of a function whose secret is in AWS Secrets Manager.
const SECRETS_MANAGER: [(&str, &str); 4] = [
    ("SECRETS_ID", "per-user-db"),
    ("AWS_REGION", "us-east-1"),
    ("AWS_ACCESS_KEY_ID", "AKIAFAKE"),
    ("AWS_SECRET_ACCESS_KEY", "fake"),
];

/// The time that AWS Secrets Manager takes.
const SECRETS_LATENCY: Duration = Duration::from_secs(1);

/// Everything around the function.
pub(super) struct Fixture {
    pub(super) scenario: Scenario,
    pub(super) record: SharedRecord,
    /// Clerk is among them even where the function has no key for it.
    pub(super) services: Services,
    pub(super) clock: Clock,
    pub(super) started_at: Instant,
    client: HttpClient,
}

impl Fixture {
    pub(super) fn new(scenario: Scenario) -> anyhow::Result<Self> {
        let record = SharedRecord::new(scenario.seed, &scenario.users);
        let services = Services::new(scenario.api, scenario.n_projects, BTreeMap::new())?;
        services.xata.set_create_latency(scenario.create_latency);
        let clock = match &services.xata {
            Xata::Platform(platform) => {
                let n_templates = platform.databases().len();
                platform.change(|it| {
                    it.contention = scenario.contention;
                    // The templates count, too, in the first hour.
                    it.quotas.branch_creations_per_hour =
                        scenario.hourly_quota.map(|quota| quota + n_templates);
                    it.quotas.branches_per_project = scenario.room.map(|it| it.per_project);
                    it.quotas.branches_per_organization =
                        scenario.room.map(|it| it.per_organization);
                });
                platform.observe(Arc::new(record.clone()));
                platform.clock()
            }
            Xata::Lite(lite) => {
                lite.change(|it| it.duplicate = scenario.duplicate);
                lite.clock()
            }
        };
        let most_requests = Some(scenario.clerk_requests);
        let options = backend::Options { clock, most_requests, ..Default::default() };
        services.clerk.change(|it| *it = options);
        let started_at = Instant::now();
        faults::inject(&services, &scenario, started_at, &record);
        let client = client(&services, &scenario, &record);
        Ok(Self { scenario, record, services, clock, started_at, client })
    }

    pub(super) fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + self.clock.now()
    }

    /// A new process of the function. The last project is in its settings once it has been added.
    pub(super) fn function(&self) -> anyhow::Result<Worker> {
        let is_without_last = self
            .scenario
            .grows_after
            .is_some_and(|after| self.started_at.elapsed() < after + MAX_FRESH_AGE);
        let n_projects = self.scenario.n_projects - usize::from(is_without_last);
        let mut settings = self.services.settings("localhost", n_projects);
        settings.insert("ON_USER_DELETED", self.scenario.on_user_deleted.to_owned());
        settings.retain(|name, _| self.scenario.has_clerk_key || !name.starts_with("CLERK_"));
        settings.extend(SECRETS_MANAGER.map(|(name, value)| (name, value.to_owned())));
        let first_key = settings.remove(CLERK_KEY);
        let (started_at, wrong_key) = (self.started_at, self.scenario.wrong_key.clone());
        let secret = move || {
            let is_rotated = wrong_key.as_ref().is_some_and(|it| started_at.elapsed() >= it.end);
            let key = first_key.as_deref().map(|key| if is_rotated { ROTATED_KEY } else { key });
            key.map(|key| (CLERK_KEY.to_owned(), key.to_owned())).into_iter().collect::<Secret>()
        };
        let variables: Variables = Arc::new(move || {
            settings.iter().map(|(name, value)| (name.into(), value.into())).collect()
        });
        let clock = self.clock;
        let clock: per_user_db::Clock = Arc::new(move || SystemTime::UNIX_EPOCH + clock.now());
        let of_start = secret();
        let settings = Settings::read_with(variables(), &of_start)?;
        let handler = Handler::new(settings, self.client.clone(), clock.clone());
        let worker = Worker::new(handler, clock.clone(), None);
        if !self.scenario.one_process {
            return Ok(worker);
        }
        let source = settings::secrets(variables())?.context("SECRETS_ID is set")?;
        let manager = self.secrets_manager(secret);
        let source = SecretsManager::new(source, variables.clone(), manager, clock);
        let refresher = SecretRefresher::new(source, variables, self.client.clone(), of_start);
        Ok(worker.with_secret_refresher(refresher))
    }

    /// AWS Secrets Manager as one process sees it, which reads the secret at most once a minute.
    fn secrets_manager(
        &self,
        secret: impl Fn() -> Secret + Clone + Send + Sync + 'static,
    ) -> HttpClient {
        let last = Arc::new(Mutex::new(Instant::now()));
        let record = self.record.clone();
        http_client::boxed(service_fn(move |_: reqwest::Request| {
            let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
            if std::mem::replace(&mut *last, Instant::now()).elapsed() < Duration::from_mins(1) {
                record.lock().add_violation(0, "the secret was read twice in a minute");
            }
            let secret = secret.clone();
            async move {
                sleep(SECRETS_LATENCY).await;
                let body = json!({ "SecretString": json!(secret()).to_string() });
                Ok::<_, BoxError>(http::Response::new(body.to_string()).into())
            }
        }))
    }

    pub(super) fn databases(&self, user: &User) -> Vec<Database> {
        self.services.xata.databases_named(&user.id)
    }

    /// The names of all parked databases.
    pub(super) fn parked(&self) -> Vec<String> {
        let Xata::Platform(platform) = &self.services.xata else { return Vec::new() };
        let names = platform.databases().into_iter().map(|it| it.name);
        names.filter(|name| name.starts_with("parked/")).collect()
    }

    /// Whether the entry at Clerk names the user's database, so that an application finds it.
    pub(super) fn has_entry(&self, user: &User) -> bool {
        let Xata::Platform(platform) = &self.services.xata else { return false };
        let Some(at_clerk) = self.services.clerk.user(&user.id) else { return false };
        let [database] = &platform.databases_named(&user.id)[..] else { return false };
        let entry = json!({
            "id": database.id,
            "name": database.name,
            "project": database.project,
            "region": database.region,
            "status": "created",
        });
        at_clerk.private_metadata["database"] == entry
    }
}

/// The function's client for Xata and Clerk. Each request takes its time, and names the delivery that
/// sends it.
fn client(services: &Services, scenario: &Scenario, record: &SharedRecord) -> HttpClient {
    let service = standin::serve::client(services.router());
    let rng = Arc::new(Mutex::new(Rng::with_seed(scenario.seed ^ 3)));
    let latency_ms = scenario.request_latency_ms.clone();
    let record = record.clone();
    http_client::boxed(service_fn(move |mut request: reqwest::Request| {
        let (service, record) = (service.clone(), record.clone());
        let latency_ms = rng.lock().unwrap_or_else(PoisonError::into_inner).u64(latency_ms.clone());
        let delivery = DELIVERY.get();
        request.headers_mut().insert(HEADER, HeaderValue::from(delivery));
        let path = request.url().path();
        let is_to_clerk = path.starts_with("/v1/");
        let is_user_check = path.starts_with("/v1/users/") && request.method() == Method::GET;
        async move {
            sleep(Duration::from_millis(latency_ms)).await;
            let response = service.oneshot(request).await?;
            if is_to_clerk {
                record.lock().on_clerk(delivery, is_user_check, response.status());
            }
            Ok::<_, BoxError>(response)
        }
    }))
}

//! The stage of a world: Xata and Clerk in memory, the way to them, and the function with its
//! settings.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use axum::Router;
use fastrand::Rng;
use http::{HeaderValue, Method};
use per_user_db::handler::Handler;
use per_user_db::http_client::{self, HttpClient};
use per_user_db::region::Region;
use per_user_db::settings::OnUserDeleted;
use per_user_db::worker::Worker;
use serde_json::json;
use standin::clerk::backend::{self, Backend};
use standin::clock::Clock;
use standin::xata::{Database, Xata, lite};
use tokio::time::{Instant, sleep};
use tower::{ServiceExt, service_fn};

use super::ledger::{DELIVERY, HEADER, SharedLedger};
use super::mishap;
use super::people::SignUp;
use super::scenario::Scenario;
use crate::services::{self, Api};

/// Where the second and the third project are, beside the one of every local run.
const MORE_PROJECTS: [&str; 2] = ["prj_second", "prj_third"];

/// Everything around the function.
pub(super) struct Stage {
    pub(super) xata: Xata,
    /// Stands in every world; whether it is asked is the function's setting.
    pub(super) clerk: Backend,
    pub(super) clock: Clock,
    pub(super) began: Instant,
    regions: BTreeSet<Region>,
    client: HttpClient,
}

impl Stage {
    pub(super) fn new(scenario: &Scenario, ledger: &SharedLedger) -> anyhow::Result<Self> {
        let api = scenario.api;
        let regions = api.regions(&api.placement().into_iter().collect())?;
        let xata = api.xata(&regions);
        let clock = prepare(&xata, scenario, &regions);
        let clerk = Backend::new(backend::Options { clock, ..backend::Options::default() });
        let began = Instant::now();
        mishap::strike_xata(&xata, scenario, began, ledger);
        mishap::strike_clerk(&clerk, scenario, began, ledger);
        if let Xata::Platform(platform) = &xata {
            platform.observe(Arc::new(ledger.clone()));
        }
        let client = client(clerk.beside(xata.router()), scenario.seed, ledger);
        Ok(Self { xata, clerk, clock, began, regions, client })
    }

    /// The function, in a new process, with settings that list so many projects.
    pub(super) fn function(
        &self,
        scenario: &Scenario,
        n_projects: usize,
    ) -> anyhow::Result<Worker> {
        let api = scenario.api;
        let settings = api.settings("localhost", &self.regions);
        let mut settings: BTreeMap<_, _> = settings.into_iter().collect();
        settings.extend(api.placement());
        if api == Api::Platform {
            let projects: Vec<_> = [services::PROJECT]
                .iter()
                .chain(&MORE_PROJECTS)
                .take(n_projects)
                .copied()
                .collect();
            let places = projects
                .iter()
                .flat_map(|project| self.regions.iter().map(move |region| (project, region)));
            let templates: Vec<_> = places
                .map(|(project, region)| {
                    format!("{project}/{region}={}", template(project, region))
                })
                .collect();
            settings.insert("XATA_PROJECT_ID", projects.join(","));
            settings.insert("XATA_TEMPLATES", templates.join(","));
        }
        let on_user_deleted = match scenario.on_user_deleted {
            OnUserDeleted::Retain => "retain",
            OnUserDeleted::Park => "park",
            OnUserDeleted::Delete => "delete",
        };
        settings.insert("ON_USER_DELETED", on_user_deleted.to_owned());
        if scenario.asks_clerk {
            settings.insert("CLERK_SECRET_KEY", backend::Options::default().secret_key);
            settings.insert("CLERK_API_URL", "http://localhost/v1".to_owned());
        }
        let clock = self.clock;
        let clock: per_user_db::Clock = Arc::new(move || SystemTime::UNIX_EPOCH + clock.now());
        let function = Handler::new(
            cli::environment::settings(&settings)?,
            self.client.clone(),
            clock.clone(),
        );
        Ok(Worker::new(function, clock, None))
    }

    pub(super) fn databases(&self, sign_up: &SignUp) -> Vec<Database> {
        self.xata.databases_named(&sign_up.user_id)
    }

    /// The names of all databases that are parked, and whose they were.
    pub(super) fn parked(&self) -> BTreeMap<String, usize> {
        let Xata::Platform(platform) = &self.xata else { return BTreeMap::new() };
        let mut parked = BTreeMap::new();
        for database in platform.databases() {
            let whose = database.name.strip_prefix("parked/").and_then(|it| it.split('/').next());
            if let Some(user_id) = whose {
                *parked.entry(user_id.to_owned()).or_default() += 1;
            }
        }
        parked
    }

    /// Whether Clerk tells an application where the user's database is.
    pub(super) fn is_listed(&self, sign_up: &SignUp) -> bool {
        let Xata::Platform(platform) = &self.xata else { return false };
        let Some(user) = self.clerk.user(&sign_up.user_id) else { return false };
        let [database] = &platform.databases_named(&sign_up.user_id)[..] else { return false };
        let entry = json!({
            "id": database.id,
            "name": database.name,
            "project": database.project,
            "region": database.region,
            "status": "created",
        });
        user.private_metadata["database"] == entry
    }
}

/// Gives Xata its temper and its projects; its clock is everybody's.
fn prepare(xata: &Xata, scenario: &Scenario, regions: &BTreeSet<Region>) -> Clock {
    xata.set_create_latency(scenario.create_latency);
    match xata {
        Xata::Platform(platform) => {
            for project in &MORE_PROJECTS[..scenario.n_projects - 1] {
                platform.insert_project(project, project);
                for region in regions {
                    platform.insert_template(project, &template(project, region), region.as_str());
                }
            }
            let n_templates = platform.databases().len();
            platform.change(|it| {
                it.contention = scenario.contention;
                // The templates count, too, in the first hour.
                it.quotas.branch_creations_per_hour =
                    scenario.hourly_quota.map(|quota| quota + n_templates);
            });
            platform.clock()
        }
        Xata::Lite(lite) => {
            lite.change(|it: &mut lite::Options| it.duplicate = scenario.duplicate);
            lite.clock()
        }
    }
}

/// The way to Xata and Clerk, a few milliseconds long. Each request says for which delivery it is
/// made.
fn client(router: Router, seed: u64, ledger: &SharedLedger) -> HttpClient {
    let service = standin::serve::client(router);
    let rng = Arc::new(Mutex::new(Rng::with_seed(seed ^ 3)));
    let ledger = ledger.clone();
    http_client::boxed(service_fn(move |mut request: reqwest::Request| {
        let (service, ledger) = (service.clone(), ledger.clone());
        let latency = rng.lock().unwrap_or_else(PoisonError::into_inner).u64(1..200);
        let delivery = DELIVERY.get();
        request.headers_mut().insert(HEADER, HeaderValue::from(delivery));
        let path = request.url().path();
        let is_to_clerk = path.starts_with("/v1/");
        let is_question = path.starts_with("/v1/users/") && request.method() == Method::GET;
        async move {
            sleep(Duration::from_millis(latency)).await;
            let answer = service.oneshot(request).await;
            if let Ok(answer) = answer.as_ref()
                && is_to_clerk
            {
                ledger.lock().heard(delivery, is_question, answer.status());
            }
            answer
        }
    }))
}

fn template(project: &str, region: &Region) -> String {
    match project {
        services::PROJECT => services::template(region),
        other => format!("{other}-{region}"),
    }
}

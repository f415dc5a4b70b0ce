//! The run of a load: sign-ups at a rate, against the limits of all services, without faults.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use http::header::RETRY_AFTER;
use http::{Method, Request, Response, StatusCode};
use indicatif::ProgressBar;
use serde::Serialize;
use standin::hookdeck::{Connection, Engine, EventStatus, RetryRule, from_fn};
use standin::xata::Xata;
use standin::xata::lite::Duplicate;
use standin::xata::platform::Contention;
use tokio::time::{Instant, sleep, timeout};
use tower::BoxError;

use super::invariants;
use super::run::{RETRY_COUNT, Simulation, runtime};
use super::scenario::{Room, Scenario};
use super::users::User;
use crate::scale::{Limits, Load};
use crate::services::{Api, SIGNING_SECRET};

/// The longest that Hookdeck keeps an event, on any plan that has a price.
const MAX_RUN: Duration = Duration::from_hours(30 * 24);

/// Beyond so many samples, every other one is dropped and the interval doubles.
const MAX_SAMPLES: usize = 512;

/// The counts at one time.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Sample {
    /// Since the first sign-up.
    pub(crate) seconds: u64,
    pub(crate) signed_up: u64,
    pub(crate) acknowledged: u64,
    /// Failed at Hookdeck after the last retry.
    pub(crate) given_up: u64,
    pub(crate) deliveries: u64,
    /// Deliveries to which Lambda itself responded with 429.
    pub(crate) throttled: u64,
}

impl Sample {
    pub(crate) fn waiting(&self) -> u64 {
        self.signed_up - self.acknowledged - self.given_up
    }
}

/// A run that is over.
#[derive(Debug, Default, Serialize)]
pub(crate) struct LoadRun {
    pub(crate) samples: Vec<Sample>,
    /// By status, outcome and reason.
    pub(crate) responses: BTreeMap<String, u64>,
    pub(crate) creates: u64,
    pub(crate) look_ups: u64,
    pub(crate) clerk_requests: u64,
    /// From each sign-up to its acknowledgement, sorted.
    #[serde(skip)]
    pub(crate) waits: Vec<Duration>,
    pub(crate) violations: Vec<String>,
}

/// Runs a load until Hookdeck has nothing left to deliver, or for 30 days.
pub(crate) fn run(load: Load, limits: &Limits, bar: &ProgressBar) -> anyhow::Result<LoadRun> {
    runtime()?.block_on(async {
        let simulation = Arc::new(Simulation::new(scenario(load, limits))?);
        let state = Arc::new(State::new(limits, bar.clone()));
        let engine = engine(limits, &simulation, &state);
        let mut run = LoadRun::default();
        let all = async {
            simulation.take_steps(&engine).await;
            engine.settle().await;
        };
        tokio::select! {
            biased;
            _ = timeout(MAX_RUN, all) => {}
            () = templates_leave_the_hour(&simulation, limits) => {}
            () = run.watch(&simulation, &state) => {}
        }
        run.take_sample(&simulation, &state);
        invariants::check_end_of_load(&simulation.fixture);
        let record = &mut *simulation.fixture.record.lock();
        run.responses = std::mem::take(&mut record.counts.responses);
        run.waits.extend(record.users.iter().filter_map(|it| it.time_to_success));
        run.waits.sort_unstable();
        run.violations = std::mem::take(&mut record.violations);
        Ok(run)
    })
}

fn scenario(load: Load, limits: &Limits) -> Scenario {
    let mut rng = Rng::with_seed(0);
    let n_users = load.sign_ups;
    let at = |number| load.within().mul_f64(f64::from(number) / f64::from(n_users));
    let users = (0..n_users).map(|number| User::draw(&mut rng, Api::Platform, at(number), 0.0));
    Scenario {
        seed: 0,
        fault_rate: 0.0,
        api: Api::Platform,
        n_projects: limits.projects as usize,
        grows_after: None,
        concurrency: 0, // of the engine, which is made here
        one_process: false,
        create_latency: limits.create_latency(),
        contention: Contention::Queue,
        duplicate: Duplicate::Conflict,
        hourly_quota: Some(limits.creations_per_hour as usize),
        room: Some(Room {
            per_project: limits.branches_per_project as usize,
            per_organization: limits.branches_per_organization as usize,
        }),
        request_latency_ms: limits.request_latency_ms..limits.request_latency_ms + 1,
        ignores_hang_up: false,
        xata_outage: None,
        has_clerk_key: true,
        clerk_requests: limits.clerk_requests,
        clerk_outage: None,
        wrong_key: None,
        on_user_deleted: "retain",
        users: users.collect(),
    }
}

fn engine(limits: &Limits, simulation: &Arc<Simulation>, state: &Arc<State>) -> Engine {
    let connection = Connection {
        secret: SIGNING_SECRET.to_owned(),
        retry: Some(RetryRule { count: RETRY_COUNT, ..RetryRule::default() }),
        concurrency: limits.delivery.concurrency(),
        spacing: limits.spacing(),
        clock: simulation.fixture.clock,
        ..Connection::default()
    };
    let (simulation, of_destination) = (simulation.clone(), state.clone());
    let destination = from_fn(move |request| {
        let (simulation, state) = (simulation.clone(), of_destination.clone());
        async move { Box::pin(state.deliver(&simulation, &request)).await }
    });
    let engine = Engine::new(connection, destination);
    let state = state.clone();
    engine.observe(move |event, _| {
        let mut now = state.now();
        match event.status {
            EventStatus::Queued if event.attempts.is_empty() => now.signed_up += 1,
            EventStatus::Successful => now.acknowledged += 1,
            EventStatus::Failed => now.given_up += 1,
            _ => {}
        }
        state.bar.set_position(now.acknowledged + now.given_up);
    });
    engine
}

/// The hourly quota of the first hour is larger by the templates, which count. After it, it is not.
async fn templates_leave_the_hour(simulation: &Simulation, limits: &Limits) {
    sleep(Duration::from_hours(1)).await;
    if let Xata::Platform(platform) = &simulation.fixture.services.xata {
        let quota = Some(limits.creations_per_hour as usize);
        platform.change(|it| it.quotas.branch_creations_per_hour = quota);
    }
    std::future::pending::<()>().await;
}

/// What the deliveries of a run share.
struct State {
    now: Mutex<Sample>,
    n_running: AtomicUsize,
    lambda_concurrency: usize,
    started_at: Instant,
    bar: ProgressBar,
}

impl State {
    fn new(limits: &Limits, bar: ProgressBar) -> Self {
        Self {
            now: Mutex::default(),
            n_running: AtomicUsize::new(0),
            lambda_concurrency: limits.lambda_concurrency as usize,
            started_at: Instant::now(),
            bar,
        }
    }

    /// Never held over an await.
    fn now(&self) -> MutexGuard<'_, Sample> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One delivery, to which Lambda responds itself while too many are under way. Of the response only
    /// that is kept which Hookdeck acts on: there can be millions.
    async fn deliver(
        &self,
        simulation: &Simulation,
        request: &Request<Bytes>,
    ) -> Result<Response<Bytes>, BoxError> {
        self.now().deliveries += 1;
        if self.n_running.load(Ordering::Relaxed) >= self.lambda_concurrency {
            self.now().throttled += 1;
            let throttled = Response::builder().status(StatusCode::TOO_MANY_REQUESTS);
            return Ok(throttled.body(Bytes::new())?);
        }
        self.n_running.fetch_add(1, Ordering::Relaxed);
        let response = simulation.deliver(request).await;
        self.n_running.fetch_sub(1, Ordering::Relaxed);
        let mut response = response?.map(|_| Bytes::new());
        let retry_after = response.headers_mut().remove(RETRY_AFTER);
        response.headers_mut().clear();
        if let Some(retry_after) = retry_after {
            response.headers_mut().insert(RETRY_AFTER, retry_after);
        }
        Ok(response)
    }
}

impl LoadRun {
    /// Takes samples, first each second.
    async fn watch(&mut self, simulation: &Simulation, state: &State) {
        let mut interval = Duration::from_secs(1);
        loop {
            self.take_sample(simulation, state);
            if self.samples.len() > MAX_SAMPLES {
                let mut number = 0;
                self.samples.retain(|_| {
                    number += 1;
                    number % 2 == 1
                });
                interval *= 2;
            }
            sleep(interval).await;
        }
    }

    fn take_sample(&mut self, simulation: &Simulation, state: &State) {
        let services = &simulation.fixture.services;
        for request in services.xata.requests() {
            self.creates += u64::from(request.method == Method::POST);
            self.look_ups += u64::from(request.method == Method::GET);
        }
        self.clerk_requests += services.clerk.requests().len() as u64;
        // The stand-ins keep what they received, which would fill the memory.
        services.xata.clear_requests();
        services.clerk.clear_requests();
        services.clerk.take_events();
        let seconds = state.started_at.elapsed().as_secs();
        self.samples.push(Sample { seconds, ..*state.now() });
    }
}

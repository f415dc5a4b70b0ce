//! The run of a scenario: Hookdeck's engine, the function, and the stand-ins of Xata and Clerk in
//! memory, on a paused clock that jumps to the next timer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use per_user_db::provision::{MAX_FRESH_AGE, is_fresh};
use per_user_db::worker::Worker;
use standin::function_url;
use standin::hookdeck::{Connection, Engine, Event, EventStatus, RetryRule, from_fn};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tower::BoxError;

use super::counts::{Counts, Fault};
use super::fixture::{Fixture, ROTATED_KEY};
use super::invariants;
use super::record::{DELIVERY, Record};
use super::report::{EventTrace, Trace, UserTrace};
use super::scenario::Scenario;
use super::users::{Step, User};
use crate::server;
use crate::services::SIGNING_SECRET;

/// The retries that `cargo ops setup hookdeck` asks for: exponential, over 2.8 days.
pub(crate) const RETRY_COUNT: u32 = 13;

/// Longer than all retries of an event that is sent again.
const RUN_TIMEOUT: Duration = Duration::from_hours(336);

/// How often an operator retries the events that failed at Hookdeck, an hour apart.
const OPERATOR_RETRY_COUNT: u32 = 24;

/// A run that is under way.
pub(super) struct Simulation {
    pub(super) fixture: Fixture,
    /// None while the function is stopped; replaced when its process dies or its settings change.
    function: Mutex<Option<Arc<Process>>>,
}

/// A process of the function.
struct Process {
    worker: Worker,
    /// Whether all that it handles ends without a response.
    is_dead: watch::Sender<bool>,
}

/// A run that is over.
pub(crate) struct SimulationRun {
    pub(crate) counts: Counts,
    pub(crate) trace: Option<Trace>,
    pub(crate) violations: Vec<String>,
}

/// Runs a scenario to its end.
pub(crate) fn simulate(scenario: Scenario, with_trace: bool) -> anyhow::Result<SimulationRun> {
    runtime()?.block_on(async {
        let simulation = Arc::new(Simulation::new(scenario)?);
        let of_destination = simulation.clone();
        let destination = from_fn(move |request| {
            let simulation = of_destination.clone();
            async move { Box::pin(simulation.deliver(&request)).await }
        });
        let connection = Connection {
            secret: SIGNING_SECRET.to_owned(),
            retry: Some(RetryRule { count: RETRY_COUNT, ..RetryRule::default() }),
            concurrency: Some(simulation.fixture.scenario.concurrency as usize),
            clock: simulation.fixture.clock,
            ..Connection::default()
        };
        let engine = Engine::new(connection, destination);
        let end = timeout(RUN_TIMEOUT, simulation.run(&engine)).await;
        end.context("a delivery never ends")??;
        Ok(simulation.finish(&engine.events(), with_trace))
    })
}

/// A runtime whose clock jumps to the next timer.
pub(crate) fn runtime() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()
}

impl Simulation {
    pub(super) fn new(scenario: Scenario) -> anyhow::Result<Self> {
        let fixture = Fixture::new(scenario)?;
        let simulation = Self { fixture, function: Mutex::default() };
        simulation.start_function()?;
        Ok(simulation)
    }

    /// Sends the events, and waits until Hookdeck has delivered everything.
    async fn run(&self, engine: &Engine) -> anyhow::Result<()> {
        let users = async {
            self.take_steps(engine).await;
            anyhow::Ok(())
        };
        tokio::try_join!(users, self.add_project(), self.rotate_key())?;
        engine.settle().await;
        self.retry_failed_events(engine).await;
        Ok(())
    }

    /// What the users do, each at its time.
    pub(super) async fn take_steps(&self, engine: &Engine) {
        let users = self.fixture.scenario.users.iter().enumerate();
        let mut steps: Vec<_> = users
            .flat_map(|(user, it)| it.steps().map(move |(at, step)| (at, user, step)))
            .collect();
        steps.sort_by_key(|&(at, user, _)| (at, user));
        for (at, user, step) in steps {
            sleep_until(self.fixture.started_at + at).await;
            self.take(engine, user, step);
        }
    }

    fn take(&self, engine: &Engine, index: usize, step: Step) {
        let Fixture { scenario, services, record, .. } = &self.fixture;
        let user = &scenario.users[index];
        match step {
            Step::SignUp => services.clerk.insert(user.at_clerk()),
            Step::Delete => {
                services.clerk.remove(&user.id);
                record.lock().users[index].is_deleted = true;
            }
            Step::MakeRoom => {
                record.lock().counts.add_fault(Fault::MetadataFull, 1);
                if services.clerk.user(&user.id).is_some() {
                    services.clerk.change_user(&user.id, |it| {
                        if let Some(metadata) = it.private_metadata.as_object_mut() {
                            metadata.remove("plan");
                        }
                    });
                }
            }
            Step::Send(event_type) => {
                let event = engine.ingest(HeaderMap::new(), user.event(event_type));
                record.lock().events.insert(event.to_string(), (index, event_type));
            }
        }
    }

    /// An operator retries the events that Hookdeck shows as failed.
    async fn retry_failed_events(&self, engine: &Engine) {
        for round in 0..OPERATOR_RETRY_COUNT {
            let mut failed = engine.events();
            failed.retain(|event| event.status == EventStatus::Failed);
            if failed.is_empty() {
                break;
            }
            if round == 0 {
                self.check_that_all_retries_were_made(&failed);
            }
            sleep(Duration::from_hours(1)).await;
            for event in &failed {
                engine.retry(&event.id);
            }
            engine.settle().await;
        }
    }

    fn check_that_all_retries_were_made(&self, failed: &[Event]) {
        let mut record = self.fixture.record.lock();
        record.counts.add_fault(Fault::EventsGivenUp, failed.len());
        for event in failed.iter().filter(|it| it.attempts.len() <= RETRY_COUNT as usize) {
            let (user, _) = record.events[event.id.as_ref()];
            record.add_violation(user, &format!("{} failed before its last retry", event.id));
        }
    }

    /// An operator adds a project in the steps of `docs/reliability.md`, "When a project joins the
    /// list".
    async fn add_project(&self) -> anyhow::Result<()> {
        let Fixture { scenario, started_at, .. } = &self.fixture;
        let Some(after) = scenario.grows_after else { return Ok(()) };
        sleep_until(*started_at + after).await;
        *self.function() = None;
        sleep(MAX_FRESH_AGE).await;
        self.start_function()
    }

    /// Clerk's key is rotated; later the function starts with the new one, if it is not stopped, or can
    /// read it.
    async fn rotate_key(&self) -> anyhow::Result<()> {
        let Fixture { scenario, services, record, started_at, .. } = &self.fixture;
        let Some(wrong_key) = &scenario.wrong_key else { return Ok(()) };
        sleep_until(*started_at + wrong_key.start).await;
        record.lock().counts.add_fault(Fault::KeysRotated, 1);
        services.clerk.change(|it| ROTATED_KEY.clone_into(&mut it.secret_key));
        sleep_until(*started_at + wrong_key.end).await;
        let is_stopped = self.function().is_none();
        if is_stopped || scenario.one_process { Ok(()) } else { self.start_function() }
    }

    /// Starts the function in a new process.
    fn start_function(&self) -> anyhow::Result<()> {
        let process =
            Process { worker: self.fixture.function()?, is_dead: watch::Sender::default() };
        *self.function() = Some(Arc::new(process));
        Ok(())
    }

    /// A delivery, perhaps with a fault on its way.
    pub(super) async fn deliver(
        &self,
        request: &Request<Bytes>,
    ) -> Result<Response<Bytes>, BoxError> {
        let (fault, dies_after) = {
            let Record { rng, counts, .. } = &mut *self.fixture.record.lock();
            counts.deliveries += 1;
            let fault = (rng.f64() < self.fixture.scenario.fault_rate).then(|| rng.u8(..3));
            (fault, Duration::from_millis(rng.u64(0..3_000)))
        };
        let count = |fault| self.fixture.record.lock().counts.add_fault(fault, 1);
        match fault {
            None => self.invoke(request).await,
            Some(0) => {
                let process = self.function().clone();
                if let Ok(response) = timeout(dies_after, self.invoke(request)).await {
                    return response;
                }
                count(Fault::ProcessesDied);
                if let Some(process) = process.filter(|_| self.fixture.scenario.one_process) {
                    process.is_dead.send_replace(true);
                }
                let is_stopped = self.function().is_none();
                if !is_stopped {
                    self.start_function()?;
                }
                Err("the process died".into())
            }
            Some(1) => {
                count(Fault::AnswersLost);
                let _lost = self.invoke(request).await;
                Err("the response was lost".into())
            }
            Some(_) => {
                count(Fault::DeliveredTwiceAtOnce);
                tokio::join!(self.invoke(request), self.invoke(request)).0
            }
        }
    }

    /// One invocation of the function, whose response is checked.
    async fn invoke(&self, request: &Request<Bytes>) -> Result<Response<Bytes>, BoxError> {
        let fixture = &self.fixture;
        let Some(function) = self.function().clone() else {
            // Lambda's response where no concurrency is reserved.
            let throttled = Response::builder().status(StatusCode::TOO_MANY_REQUESTS);
            return Ok(throttled.body(Bytes::new())?);
        };
        let header = |name: &str| request.headers().get(name).and_then(|it| it.to_str().ok());
        let event = header("x-hookdeck-eventid").unwrap_or_default();
        let sent = fixture.record.lock().events.get(event).copied();
        let (user, event_type) = sent.ok_or("a delivery of an event that was not sent")?;
        let event_time = fixture.scenario.users[user].event_time(event_type);
        let age = fixture.started_at.elapsed().saturating_sub(event_time);
        let is_first = header("x-hookdeck-attempt-count") == Some("1");
        let is_fresh = is_fresh(is_first, Some(age));
        let delivery = fixture.record.lock().begin(user, event_type, is_fresh);
        let began_at = Instant::now();
        let invocation = server::invoke(&function.worker, request, fixture.now());
        let mut is_dead = function.is_dead.subscribe();
        let response = tokio::select! {
            biased; // the same seed is the same run
            _ = is_dead.wait_for(|it| *it) => return Err("the process died".into()),
            response = DELIVERY.scope(delivery, invocation) => response,
        };
        invariants::check_response(fixture, delivery, &response, began_at.elapsed());
        Ok(function_url::response(&response.to_lambda())?)
    }

    fn finish(&self, events: &[Event], with_trace: bool) -> SimulationRun {
        invariants::check_end(&self.fixture);
        let users = &self.fixture.scenario.users;
        let record = &mut *self.fixture.record.lock();
        for event in events.iter().filter(|it| it.status != EventStatus::Successful) {
            let (user, _) = record.events[event.id.as_ref()];
            record.add_violation(user, &format!("{} ended as {:?}", event.id, event.status));
        }
        let trace = with_trace.then(|| self.trace(events, record));
        let mut counts = std::mem::take(&mut record.counts);
        counts.times_to_success.extend(record.users.iter().filter_map(|it| it.time_to_success));
        let n_users = |is: fn(&User) -> bool| users.iter().filter(|it| is(it)).count();
        counts.users = users.len() as u64;
        counts.deleted_users.users = n_users(|it| it.deleted_at.is_some()) as u64;
        let services = &self.fixture.services;
        for request in services.xata.requests() {
            counts.creates += u64::from(request.method == Method::POST);
            counts.look_ups += u64::from(request.method == Method::GET);
        }
        for request in services.clerk.requests() {
            counts.clerk_requests += u64::from(request.method == Method::GET);
        }
        let n_sent_again = users.iter().map(User::n_sent_again).sum();
        counts.add_fault(Fault::EventsSentAgain, n_sent_again);
        counts.add_fault(Fault::EventsOvertaken, n_users(User::is_overtaken));
        counts.add_fault(Fault::FalseAlarms, n_users(User::has_false_deletion));
        SimulationRun { counts, trace, violations: std::mem::take(&mut record.violations) }
    }

    fn trace(&self, events: &[Event], record: &Record) -> Trace {
        let scenario = &self.fixture.scenario;
        let users = scenario.users.iter().zip(&record.users).enumerate();
        let users = users.map(|(index, (user, user_record))| {
            let events = events.iter().filter_map(|event| {
                let (user, event_type) = record.events[event.id.as_ref()];
                (user == index).then(|| EventTrace::new(event_type, event))
            });
            let left_after = user.deleted_at.map(|at| at.saturating_sub(user.signed_up_at));
            UserTrace {
                user: user.id.clone(),
                region: user.region,
                signed_up_after_seconds: user.signed_up_at.as_secs_f64(),
                served_after_seconds: user_record.time_to_success.map(|it| it.as_secs_f64()),
                left_after_seconds: left_after.map(|it| it.as_secs_f64()),
                is_left_behind: user_record.is_left_behind,
                events: events.collect(),
            }
        });
        let without_users = Scenario { users: Vec::new(), ..scenario.clone() };
        Trace { scenario: format!("{without_users:?}"), users: users.collect() }
    }

    /// Never held over an await.
    fn function(&self) -> MutexGuard<'_, Option<Arc<Process>>> {
        self.function.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

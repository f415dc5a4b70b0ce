//! A scenario, played: Hookdeck's engine, the function, and the stand-ins of Xata and Clerk in
//! memory, on a clock that jumps to whatever happens next.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::Context;
use bytes::Bytes;
use fastrand::Rng;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use per_user_db::telemetry::InvocationIds;
use per_user_db::worker::{Invocation, TIMEOUT, Worker};
use standin::function_url::{self, BodyEncoding};
use standin::hookdeck::{Connection, Destination, Engine, Event, EventStatus, RetryRule, from_fn};
use standin::record::Recorded;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tower::BoxError;

use super::judge;
use super::ledger::{DELIVERY, SharedLedger};
use super::people::{Kind, SignUp, Step};
use super::report::{Heard, Story};
use super::scenario::Scenario;
use super::stage::Stage;
use super::tally::Tally;
use crate::services;

/// What the setup asks Hookdeck for: 2.8 days, exponentially.
const RETRIES: u32 = 13;

/// Long enough for every retry of an event that was sent again; what is not over then never ends.
const PATIENCE: Duration = Duration::from_secs(14 * 24 * 3600);

/// How often, an hour apart, an operator retries what Hookdeck has given up.
const RETRIES_BY_HAND: u32 = 24;

/// How long the function is stopped before a project joins (docs/reliability.md).
const STOP: Duration = Duration::from_secs(5 * 60);

/// An event that is older is looked into before anything is made of it.
const FRESH: Duration = Duration::from_secs(5 * 60);

/// Everything that deliveries of one world share.
struct World {
    scenario: Scenario,
    stage: Stage,
    ledger: SharedLedger,
    running: Mutex<Running>,
}

struct Running {
    rng: Rng,
    /// None while it is stopped, and another when its process died or it was deployed with other
    /// settings.
    function: Option<Arc<Worker>>,
    /// How many its settings list.
    n_projects: usize,
    /// What each event of Hookdeck's tells, and of which user.
    events: BTreeMap<String, (usize, Kind)>,
}

/// A world that was played to its end.
pub(crate) struct Played {
    /// What was drawn, in words.
    pub(crate) world: String,
    pub(crate) tally: Tally,
    pub(crate) stories: Vec<Story>,
    /// The promises that were broken.
    pub(crate) wrong: Vec<String>,
}

/// Plays a scenario to its end, and tells the stories of its people if asked to.
pub(crate) fn play(scenario: Scenario, tells: bool) -> anyhow::Result<Played> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    runtime.block_on(async {
        let world = World::new(scenario)?;
        let engine = Engine::new(world.connection(), world.clone().destination());
        let over = timeout(PATIENCE, world.run(&engine)).await;
        over.context("some delivery never ends")??;
        let events = engine.events();
        let played = world.conclude(&events);
        let stories = if tells { world.stories(&events) } else { Vec::new() };
        Ok(Played { stories, ..played })
    })
}

impl World {
    fn new(scenario: Scenario) -> anyhow::Result<Arc<Self>> {
        let ledger = SharedLedger::new(&scenario.sign_ups);
        let stage = Stage::new(&scenario, &ledger)?;
        let n_projects = scenario.n_projects - usize::from(scenario.grows_after.is_some());
        let running = Running {
            rng: Rng::with_seed(scenario.seed ^ 2),
            function: Some(Arc::new(stage.function(&scenario, n_projects)?)),
            n_projects,
            events: BTreeMap::new(),
        };
        Ok(Arc::new(Self { scenario, stage, ledger, running: Mutex::new(running) }))
    }

    fn connection(&self) -> Connection {
        Connection {
            secret: services::SIGNING_SECRET.to_owned(),
            retry: Some(RetryRule { count: RETRIES, ..RetryRule::default() }),
            concurrency: Some(self.scenario.concurrency),
            clock: self.stage.clock,
            ..Connection::default()
        }
    }

    fn destination(self: Arc<Self>) -> Destination {
        from_fn(move |request| {
            let world = self.clone();
            async move { Box::pin(world.deliver(&request)).await }
        })
    }

    /// Everybody signs up, some leave, and Hookdeck delivers until there is nothing left to do.
    async fn run(self: &Arc<Self>, engine: &Engine) -> anyhow::Result<()> {
        let people = self.scenario.sign_ups.iter().enumerate();
        let mut steps: Vec<_> = people
            .flat_map(|(user, it)| it.steps().map(move |(at, step)| (at, user, step)))
            .collect();
        steps.sort_by_key(|&(at, user, _)| (at, user));
        let people = async {
            for (at, user, step) in steps {
                sleep_until(self.stage.began + at).await;
                self.take(engine, user, step);
            }
            anyhow::Ok(())
        };
        tokio::try_join!(people, self.grow())?;
        engine.settle().await;
        self.retry_by_hand(engine).await;
        self.complete_entries(engine).await;
        Ok(())
    }

    fn take(&self, engine: &Engine, user: usize, step: Step) {
        let sign_up = &self.scenario.sign_ups[user];
        match step {
            Step::SignUp => self.stage.clerk.insert(sign_up.at_clerk()),
            Step::Leave => {
                self.stage.clerk.remove(&sign_up.user_id);
                self.ledger.lock().users[user].has_left = true;
            }
            Step::Tell(kind) => {
                let event = engine.ingest(HeaderMap::new(), sign_up.event(kind));
                self.running().events.insert(event.to_string(), (user, kind));
            }
        }
    }

    /// An operator retries what is shown as failed.
    async fn retry_by_hand(&self, engine: &Engine) {
        for round in 0..RETRIES_BY_HAND {
            let mut failed = engine.events();
            failed.retain(|event| event.status == EventStatus::Failed);
            if failed.is_empty() {
                break;
            }
            if round == 0 {
                self.check_that_all_retries_were_made(&failed);
            }
            sleep(Duration::from_secs(3600)).await;
            for event in &failed {
                engine.retry(&event.id);
            }
            engine.settle().await;
        }
    }

    fn check_that_all_retries_were_made(&self, failed: &[Event]) {
        for event in failed {
            let (user, _) = self.running().events[event.id.as_ref()];
            let mut ledger = self.ledger.lock();
            ledger.tally.troubles.events_given_up += 1;
            if event.attempts.len() <= RETRIES as usize {
                ledger.complain(user, &format!("{} was given up before its last retry", event.id));
            }
        }
    }

    /// When all is over, an operator replays the sign-ups of those of whom Clerk cannot tell an
    /// application where their database is.
    async fn complete_entries(&self, engine: &Engine) {
        if !self.scenario.asks_clerk {
            return;
        }
        let is_missing = |sign_up: &SignUp| {
            let has_one = self.stage.databases(sign_up).len() == 1;
            sign_up.leaves_at.is_none() && has_one && !self.stage.is_listed(sign_up)
        };
        let people = self.scenario.sign_ups.iter().enumerate();
        let mut missing: BTreeSet<_> =
            people.filter(|(_, it)| is_missing(it)).map(|(user, _)| user).collect();
        {
            let mut ledger = self.ledger.lock();
            ledger.tally.troubles.entries_missing = missing.len() as u64;
            ledger.is_calm = true;
        }
        self.stage.clerk.change(|it| *it = it.clone().unlimited());
        for event in engine.events() {
            let (user, kind) = self.running().events[event.id.as_ref()];
            let is_acknowledged = event.status == EventStatus::Successful;
            if kind == Kind::Created && is_acknowledged && missing.remove(&user) {
                engine.retry(&event.id);
            }
        }
        engine.settle().await;
    }

    /// An operator adds a project as the documentation says.
    async fn grow(&self) -> anyhow::Result<()> {
        let Some(after) = self.scenario.grows_after else { return Ok(()) };
        sleep_until(self.stage.began + after).await;
        self.running().function = None;
        sleep(STOP).await;
        self.running().n_projects = self.scenario.n_projects;
        self.start()
    }

    /// Starts the function in a new process.
    fn start(&self) -> anyhow::Result<()> {
        let mut running = self.running();
        let function = self.stage.function(&self.scenario, running.n_projects)?;
        running.function = Some(Arc::new(function));
        Ok(())
    }

    /// A delivery, and what can become of it before Hookdeck hears of it.
    async fn deliver(&self, request: &Request<Bytes>) -> Result<Response<Bytes>, BoxError> {
        let (fate, dies_after) = {
            let is_calm = self.ledger.lock().is_calm;
            let rng = &mut self.running().rng;
            let fate = (rng.f64() < self.scenario.fault_rate).then(|| rng.u8(..3));
            (fate.filter(|_| !is_calm), Duration::from_millis(rng.u64(0..3_000)))
        };
        self.ledger.lock().tally.deliveries += 1;
        match fate {
            None => self.invoke(request).await,
            Some(0) => {
                let answer = timeout(dies_after, self.invoke(request)).await;
                if answer.is_err() {
                    self.ledger.lock().tally.troubles.processes_died += 1;
                    let is_stopped = self.running().function.is_none();
                    if !is_stopped {
                        self.start()?;
                    }
                }
                answer.unwrap_or_else(|_| Err("the process died".into()))
            }
            Some(1) => {
                self.ledger.lock().tally.troubles.answers_lost += 1;
                let _unheard = self.invoke(request).await;
                Err("the answer was lost".into())
            }
            Some(_) => {
                self.ledger.lock().tally.troubles.delivered_twice_at_once += 1;
                let both = (self.invoke(request), self.invoke(request));
                tokio::join!(both.0, both.1).0
            }
        }
    }

    /// One invocation, and what must be true of its answer.
    async fn invoke(&self, request: &Request<Bytes>) -> Result<Response<Bytes>, BoxError> {
        let Some(function) = self.running().function.clone() else {
            let throttled = Response::builder().status(StatusCode::TOO_MANY_REQUESTS);
            return Ok(throttled.body(Bytes::new())?); // AWS's answer
        };
        let header = |name: &str| request.headers().get(name).and_then(|it| it.to_str().ok());
        let event = header("x-hookdeck-eventid").unwrap_or_default();
        let sent = self.running().events.get(event).copied();
        let (user, kind) = sent.ok_or("a delivery of an event that nobody sent")?;
        let happened = self.scenario.sign_ups[user].happened(kind);
        let age = self.stage.began.elapsed().saturating_sub(happened);
        let is_first = header("x-hookdeck-attempt-count") == Some("1");
        let delivery = self.ledger.lock().begin(user, kind, is_first && age <= FRESH);
        let payload = function_url::event(request, BodyEncoding::Text).to_string();
        let (began, now) = (Instant::now(), SystemTime::UNIX_EPOCH + self.stage.clock.now());
        let deadline = now + TIMEOUT;
        let handled = function.invoke(Invocation {
            payload: &payload,
            deadline,
            ids: InvocationIds::default(),
        });
        let answer = DELIVERY.scope(delivery, handled).await;
        let (took, ledger) = (began.elapsed(), &mut self.ledger.lock());
        judge::answer(&self.scenario, &self.stage, ledger, delivery, &answer, took);
        Ok(function_url::response(&answer.to_lambda())?)
    }

    /// What came of it, but for the stories.
    fn conclude(&self, events: &[Event]) -> Played {
        let sign_ups = &self.scenario.sign_ups;
        let ledger = &mut *self.ledger.lock();
        judge::end(&self.scenario, &self.stage, ledger);
        for event in events {
            let (user, _) = self.running().events[event.id.as_ref()];
            if event.status != EventStatus::Successful {
                ledger.complain(user, &format!("{} ended as {:?}", event.id, event.status));
            }
        }
        let mut tally = std::mem::take(&mut ledger.tally);
        tally.times.extend(ledger.users.iter().filter_map(|it| it.served));
        let n = |is: fn(&SignUp) -> bool| sign_ups.iter().filter(|it| is(it)).count() as u64;
        tally.users = n(|_| true);
        tally.leavers.users = n(|it| it.leaves_at.is_some());
        let (xata, clerk) = (self.stage.xata.requests(), self.stage.clerk.requests());
        let n_of = |requests: &[Recorded], method| {
            requests.iter().filter(|it| it.method == method).count() as u64
        };
        tally.creates = n_of(&xata, Method::POST);
        tally.look_ups = n_of(&xata, Method::GET);
        tally.questions_to_clerk = n_of(&clerk, Method::GET);
        let troubles = &mut tally.troubles;
        troubles.events_sent_again = sign_ups.iter().map(|it| it.n_sent_again() as u64).sum();
        troubles.events_overtaken = n(|it| it.leaves_at.is_some() && it.is_overtaken());
        troubles.false_alarms = n(|it| it.leaves_at.is_none() && !it.deleted.is_empty());
        let world = self.scenario.describe();
        Played { world, tally, stories: Vec::new(), wrong: std::mem::take(&mut ledger.wrong) }
    }

    fn stories(&self, events: &[Event]) -> Vec<Story> {
        let (ledger, running) = (self.ledger.lock(), self.running());
        let people = self.scenario.sign_ups.iter().zip(&ledger.users).enumerate();
        people
            .map(|(user, (sign_up, seen))| {
                let heard = events.iter().filter_map(|event| {
                    let (whose, kind) = running.events[event.id.as_ref()];
                    (whose == user).then(|| Heard::new(kind, event))
                });
                Story::new(sign_up, heard.collect(), seen.served, seen.is_left_behind)
            })
            .collect()
    }

    /// Never held over an await.
    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! A scenario, played: Hookdeck's engine, the function and Xata's stand-in in memory, on a clock
//! that jumps to whatever happens next.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::Context;
use bytes::Bytes;
use fastrand::Rng;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::Full;
use per_user_db::function::Function;
use per_user_db::http_client::{self, HttpClient};
use per_user_db::region::Region;
use per_user_db::telemetry::{Ids, Level, Log};
use per_user_db::worker::{Invocation, TIMEOUT, Worker};
use standin::clerk;
use standin::clock::{Clock, START};
use standin::fault::Effect;
use standin::function_url::{self, BodyEncoding};
use standin::hookdeck::{
    Attempt, Connection, Destination, Engine, Event, EventStatus, RetryRule, Trigger, from_fn,
};
use standin::xata::{Database, Xata, lite};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tower::{BoxError, ServiceExt, service_fn};

use super::report::{Story, Tally};
use super::scenario::{Scenario, SignUp, effect, outage};
use crate::local::{self, Api};

/// What the setup asks Hookdeck for: 2.8 days, exponentially.
const RETRIES: u32 = 13;

/// Long enough for every retry of an event that was sent again; what is not over then never ends.
const PATIENCE: Duration = Duration::from_secs(14 * 24 * 3600);

/// How often, an hour apart, an operator retries what Hookdeck has given up.
const RETRIES_BY_HAND: u32 = 24;

/// How long the function is stopped before a project joins (docs/reliability.md).
const STOP: Duration = Duration::from_secs(5 * 60);

/// Where the second and the third project are, beside the one of every local run.
const MORE_PROJECTS: [&str; 2] = ["prj_second", "prj_third"];

/// Everything that deliveries of one world share.
struct World {
    scenario: Scenario,
    xata: Xata,
    /// None while it is stopped, and another when it was deployed with other settings.
    function: Mutex<Option<Arc<Worker>>>,
    client: HttpClient,
    regions: BTreeSet<Region>,
    clock: Clock,
    began: Instant,
    calls_struck: Arc<AtomicU64>,
    seen: Mutex<Seen>,
}

/// What happened so far.
struct Seen {
    rng: Rng,
    tally: Tally,
    /// By event.
    users: BTreeMap<String, usize>,
    /// When each user was first told to have a database.
    served: Vec<Option<Duration>>,
    /// What must not have happened.
    wrong: Vec<String>,
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

/// Plays a scenario to its end.
pub(crate) fn play(scenario: Scenario) -> anyhow::Result<Played> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    runtime.block_on(async {
        let world = World::new(scenario)?;
        let engine = Engine::new(world.connection(), world.clone().destination());
        let over = timeout(PATIENCE, world.run(&engine)).await;
        over.context("some delivery never ends")??;
        Ok(world.conclude(&engine.events()))
    })
}

impl World {
    fn new(scenario: Scenario) -> anyhow::Result<Arc<Self>> {
        let api = scenario.api;
        let regions = api.regions(&api.placement().into_iter().collect())?;
        let xata = api.xata(&regions);
        let (clock, client) = (prepare(&xata, &scenario, &regions), client(&xata, scenario.seed));
        let n_at_first = scenario.n_projects - usize::from(scenario.grows_after.is_some());
        let function = function(api, &regions, n_at_first, &client, clock)?;
        let began = Instant::now();
        let calls_struck = fates(&xata, &scenario, began);
        let seen = Seen {
            rng: Rng::with_seed(scenario.seed ^ 2),
            tally: Tally::default(),
            users: BTreeMap::new(),
            served: vec![None; scenario.sign_ups.len()],
            wrong: Vec::new(),
        };
        Ok(Arc::new(Self {
            function: Mutex::new(Some(Arc::new(function))),
            seen: Mutex::new(seen),
            calls_struck,
            scenario,
            xata,
            client,
            regions,
            clock,
            began,
        }))
    }

    fn connection(&self) -> Connection {
        Connection {
            secret: local::SIGNING_SECRET.to_owned(),
            retry: Some(RetryRule { count: RETRIES, ..RetryRule::default() }),
            concurrency: Some(self.scenario.concurrency),
            clock: self.clock,
            ..Connection::default()
        }
    }

    fn destination(self: Arc<Self>) -> Destination {
        from_fn(move |request| {
            let world = self.clone();
            async move { Box::pin(world.deliver(&request)).await }
        })
    }

    /// Everybody signs up, and Hookdeck delivers until there is nothing left to do.
    async fn run(self: &Arc<Self>, engine: &Engine) -> anyhow::Result<()> {
        let mut arrivals: Vec<(Duration, usize)> = Vec::new();
        for (user, sign_up) in self.scenario.sign_ups.iter().enumerate() {
            arrivals.push((sign_up.at, user));
            arrivals.extend(sign_up.again_after.map(|later| (sign_up.at + later, user)));
        }
        arrivals.sort_unstable();
        let sign_ups = async {
            for (at, user) in arrivals {
                sleep_until(self.began + at).await;
                let body = self.scenario.sign_ups[user].event();
                let event = engine.ingest(HeaderMap::new(), body);
                self.seen().users.insert(event.to_string(), user);
            }
            anyhow::Ok(())
        };
        tokio::try_join!(sign_ups, self.grow())?;
        engine.settle().await;
        self.retry_by_hand(engine).await;
        Ok(())
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
                self.seen().tally.troubles.events_given_up += failed.len() as u64;
            }
            sleep(Duration::from_secs(3600)).await;
            for event in &failed {
                engine.retry(&event.id);
            }
            engine.settle().await;
        }
    }

    /// An operator adds a project as the documentation says.
    async fn grow(&self) -> anyhow::Result<()> {
        let Some(after) = self.scenario.grows_after else { return Ok(()) };
        sleep_until(self.began + after).await;
        *self.function() = None;
        sleep(STOP).await;
        let Scenario { api, n_projects, .. } = self.scenario;
        let function = function(api, &self.regions, n_projects, &self.client, self.clock)?;
        *self.function() = Some(Arc::new(function));
        Ok(())
    }

    /// A delivery, and what can become of it before Hookdeck hears of it.
    async fn deliver(&self, request: &Request<Bytes>) -> Result<Response<Bytes>, BoxError> {
        let payload = function_url::event(request, BodyEncoding::Text).to_string();
        let event = request.headers().get("x-hookdeck-eventid");
        let event = event.and_then(|id| id.to_str().ok()).unwrap_or_default();
        let (user, fate, dies_after) = {
            let seen = &mut *self.seen();
            seen.tally.deliveries += 1;
            let fate = (seen.rng.f64() < self.scenario.fault_rate).then(|| seen.rng.u8(..3));
            let dies_after = Duration::from_millis(seen.rng.u64(0..3_000));
            (seen.users.get(event).copied(), fate, dies_after)
        };
        let user = user.ok_or("a delivery of an event that nobody sent")?;
        match fate {
            None => self.invoke(&payload, user).await,
            Some(0) => {
                let answer = timeout(dies_after, self.invoke(&payload, user)).await;
                self.seen().tally.troubles.processes_died += u64::from(answer.is_err());
                answer.unwrap_or_else(|_| Err("the process died".into()))
            }
            Some(1) => {
                self.seen().tally.troubles.answers_lost += 1;
                let _unheard = self.invoke(&payload, user).await;
                Err("the answer was lost".into())
            }
            Some(_) => {
                self.seen().tally.troubles.delivered_twice_at_once += 1;
                let both = (self.invoke(&payload, user), self.invoke(&payload, user));
                tokio::join!(both.0, both.1).0
            }
        }
    }

    /// One invocation, and what must be true of its answer.
    async fn invoke(&self, payload: &str, user: usize) -> Result<Response<Bytes>, BoxError> {
        let Some(function) = self.function().clone() else {
            let throttled = Response::builder().status(StatusCode::TOO_MANY_REQUESTS);
            return Ok(throttled.body(Bytes::new())?); // AWS's answer
        };
        let (began, now) = (Instant::now(), SystemTime::UNIX_EPOCH + self.clock.now());
        let answer = function
            .handle(Invocation { payload, deadline: now + TIMEOUT, ids: Ids::default() })
            .await;
        let took = began.elapsed();
        let word = <&str>::from(&answer);
        let reason = answer.reason().unwrap_or_default();
        let sign_up = &self.scenario.sign_ups[user];
        let databases = self.xata.databases_named(&sign_up.user_id);
        let seen = &mut *self.seen();
        let mut wrong = |what: String| seen.wrong.push(format!("{}: {what}", sign_up.user_id));
        match word {
            "created" | "exists" => {
                if !is_as_promised(&databases, sign_up) {
                    wrong(format!("answered {word} with {databases:?}"));
                }
                seen.served[user].get_or_insert(self.began.elapsed().saturating_sub(sign_up.at));
            }
            "unavailable" | "misconfigured" if reason != "internal_error" => {}
            _ => wrong(format!("answered {word} {reason}")),
        }
        if took >= TIMEOUT {
            seen.wrong.push(format!("{}: an answer after {took:?}", sign_up.user_id));
        }
        let answered = format!("{} {word} {reason}", answer.status());
        *seen.tally.answers.entry(answered.trim_end().to_owned()).or_default() += 1;
        Ok(function_url::response(&answer.to_response())?)
    }

    /// What came of it.
    fn conclude(&self, events: &[Event]) -> Played {
        let Seen { tally, users, served, wrong, .. } = &mut *self.seen();
        let sign_ups = &self.scenario.sign_ups;
        let mut events_of = vec![Vec::new(); sign_ups.len()];
        for event in events {
            let user = users[event.id.as_ref()];
            events_of[user].push(event);
            let (user_id, id, status) = (&sign_ups[user].user_id, &event.id, event.status);
            if status != EventStatus::Successful {
                wrong.push(format!("{user_id}: {id} ended as {status:?}"));
            }
            let by_hand = |attempt: &&Attempt| attempt.trigger == Trigger::Manual;
            let n_by_hand = event.attempts.iter().filter(by_hand).count();
            if n_by_hand > 0 && event.attempts.len() - n_by_hand <= RETRIES as usize {
                wrong.push(format!("{user_id}: {id} was given up before its last retry"));
            }
        }
        let mut stories = Vec::new();
        for ((sign_up, events), served) in sign_ups.iter().zip(&events_of).zip(served) {
            let databases = self.xata.databases_named(&sign_up.user_id);
            if !is_as_promised(&databases, sign_up) {
                wrong.push(format!("{}: ends with {databases:?}", sign_up.user_id));
            }
            tally.times.extend(*served);
            stories.push(Story::new(sign_up, events, *served));
        }
        let requests = self.xata.requests();
        tally.users = sign_ups.len() as u64;
        tally.look_ups = requests.iter().filter(|it| it.method == Method::GET).count() as u64;
        tally.creates = requests.len() as u64 - tally.look_ups;
        tally.troubles.calls_to_xata_struck = self.calls_struck.load(Ordering::Relaxed);
        tally.troubles.events_sent_again = (events.len() - sign_ups.len()) as u64;
        let world = self.scenario.describe();
        Played { world, tally: std::mem::take(tally), stories, wrong: std::mem::take(wrong) }
    }

    /// Never held over an await.
    fn function(&self) -> MutexGuard<'_, Option<Arc<Worker>>> {
        self.function.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Never held over an await.
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SignUp {
    fn event(&self) -> Bytes {
        let at = START + self.at;
        let sign_up = clerk::SignUp {
            client_ip: Some(self.client_ip.to_owned()),
            timestamp_ms: u64::try_from(at.as_millis()).unwrap_or(u64::MAX),
            ..clerk::SignUp::new(&self.user_id)
        };
        sign_up.user_created().into()
    }
}

fn is_as_promised(databases: &[Database], sign_up: &SignUp) -> bool {
    matches!(databases, [database] if database.region == sign_up.region)
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

/// Lets chance decide about every call. Returns how many it struck.
fn fates(xata: &Xata, scenario: &Scenario, began: Instant) -> Arc<AtomicU64> {
    let n_struck = Arc::new(AtomicU64::new(0));
    let counter = n_struck.clone();
    let mut rng = Rng::with_seed(scenario.seed ^ 1);
    let scenario = scenario.clone();
    xata.leave_to(Box::new(move |call| {
        let struck = if scenario.is_down(began.elapsed()) {
            Some(outage())
        } else {
            (rng.f64() < scenario.fault_rate).then(|| effect(&mut rng, call))
        };
        counter.fetch_add(u64::from(struck.is_some()), Ordering::Relaxed);
        struck.or(scenario.is_deaf.then_some(Effect::Detached))
    }));
    n_struck
}

/// The way to Xata, a few milliseconds long.
fn client(xata: &Xata, seed: u64) -> HttpClient {
    let service = standin::serve::service(xata.router());
    let rng = Arc::new(Mutex::new(Rng::with_seed(seed ^ 3)));
    http_client::boxed(service_fn(move |request: Request<Full<Bytes>>| {
        let service = service.clone();
        let latency = rng.lock().unwrap_or_else(PoisonError::into_inner).u64(1..200);
        async move {
            sleep(Duration::from_millis(latency)).await;
            service.oneshot(request).await
        }
    }))
}

fn template(project: &str, region: &Region) -> String {
    match project {
        local::PROJECT => local::template(region),
        other => format!("{other}-{region}"),
    }
}

/// The function, with settings that list so many projects.
fn function(
    api: Api,
    regions: &BTreeSet<Region>,
    n_projects: usize,
    client: &HttpClient,
    clock: Clock,
) -> anyhow::Result<Worker> {
    let mut settings: BTreeMap<_, _> = api.settings("localhost", regions).into_iter().collect();
    settings.extend(api.placement());
    if api == Api::Platform {
        let projects: Vec<_> =
            [local::PROJECT].iter().chain(&MORE_PROJECTS).take(n_projects).copied().collect();
        let templates: Vec<_> = projects
            .iter()
            .flat_map(|project| regions.iter().map(move |region| (project, region)))
            .map(|(project, region)| format!("{project}/{region}={}", template(project, region)))
            .collect();
        settings.insert("XATA_PROJECT_ID", projects.join(","));
        settings.insert("XATA_TEMPLATES", templates.join(","));
    }
    let clock: per_user_db::Clock = Arc::new(move || SystemTime::UNIX_EPOCH + clock.now());
    let function = Function::new(local::read(&settings)?, client.clone(), clock.clone());
    Ok(Worker::new(function, clock, Arc::new(Log::new(Level::Off, |_| ()))))
}

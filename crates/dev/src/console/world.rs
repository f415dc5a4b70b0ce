//! What runs: the stand-ins, Hookdeck's engine, the function; and what the page can do to them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use cli::delivery::Signer;
use cli::environment;
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use per_user_db::handler::Handler;
use per_user_db::hookdeck::DEFAULT_HEADER_PREFIX;
use per_user_db::region::Region;
use per_user_db::settings::Settings;
use per_user_db::telemetry::LogWriter;
use per_user_db::worker::Worker;
use per_user_db::{Clock, http_client};
use serde::Deserialize;
use serde_json::{Value, json};
use standin::clerk::{self, user_id_at};
use standin::hookdeck::{Connection, Engine, RetryRule, from_fn};
use standin::xata::Xata;
use tokio::runtime::Handle;

use super::api::Refusal;
use super::clock::ScaledClock;
use super::copies::{self, Form};
use super::databases::databases;
use super::delivery::{Carrier, FORGED, WRONG_SECRET};
use super::function::Function;
use super::journal::{Journal, Reading, since_epoch_ms};
use super::mask::Masks;
use super::places::{self, PLACES};
use super::switches::{self, Switch};
use super::trace;
use crate::services::{Api, Services};

/// Hookdeck's delays are divided by this, unless the page asks for another number.
const TIME_SCALE: f64 = 20.0;

/// How many deliveries are open at a time. Each has up to three copies, and each of these two ends of a
/// connection in this process, which may open 256 files on some systems.
const CONCURRENCY: usize = 20;

/// The path of every delivery.
const PATH: &str = "/webhooks/clerk";

/// How long Hookdeck waits for an answer. The function's time is not scaled, so neither is this.
const DELIVERY_TIMEOUT: Duration = Duration::from_mins(1);

/// Longer texts are refused.
const TEXT_LIMIT: usize = 200;

/// How many sign-ups a burst may have.
const MOST_SIGN_UPS: usize = 500;

/// What an action that costs money must say.
const CONFIRMATION: &str = "creates a real database, which costs money";

/// What the console is made of.
pub(crate) struct Setup {
    pub(crate) api: Api,
    /// None where the services are real.
    pub(crate) services: Option<Services>,
    /// The function's.
    pub(crate) variables: BTreeMap<String, String>,
    /// What Hookdeck signs with.
    pub(crate) secret: String,
    /// Whether a PostgreSQL server stands behind the stand-in.
    pub(crate) has_postgres: bool,
}

/// Everything that runs.
pub(crate) struct World {
    setup: Setup,
    engine: Engine,
    function: Arc<Function>,
    carrier: Arc<Carrier>,
    pub(super) journal: Arc<Journal>,
    clock: Arc<ScaledClock>,
    controls: Mutex<Controls>,
    masks: Masks,
    /// Where the function runs. The console has a thread of its own.
    runtime: Handle,
    regions: BTreeSet<Region>,
    is_log_quiet: Arc<AtomicBool>,
    function_url: OnceLock<String>,
}

/// What the page has set.
struct Controls {
    switches: BTreeSet<Switch>,
    is_paused: bool,
    time_scale: f64,
}

/// Who signs a user up.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Origin {
    #[default]
    Browser,
    /// A program, with Clerk's Backend API.
    Server,
}

/// A sign-up as the page asks for it. The texts may be anything.
#[derive(Default, Deserialize)]
pub(super) struct SignUp {
    place: Option<String>,
    ip: Option<String>,
    name: Option<String>,
    region: Option<String>,
    by: Option<Origin>,
}

impl World {
    /// Starts the function and the engine on the runtime of the caller.
    pub(crate) fn start(setup: Setup, settings: &Settings) -> anyhow::Result<Arc<Self>> {
        let journal = Arc::new(Journal::new(TIME_SCALE));
        let has_stand_ins = setup.services.is_some();
        let clock = Arc::new(ScaledClock::new(if has_stand_ins { TIME_SCALE } else { 1.0 }));
        let function = Arc::new(Function::new({
            let (variables, journal, clock) =
                (setup.variables.clone(), journal.clone(), clock.clone());
            Box::new(move || start_function(&variables, &journal, &clock))
        })?);
        let prefix = setup.variables.get("HOOKDECK_HEADER_PREFIX");
        let prefix = prefix.map_or(DEFAULT_HEADER_PREFIX, |it| it.trim()).to_owned();
        let carrier = Arc::new(Carrier {
            function: function.clone(),
            journal: journal.clone(),
            header_prefix: prefix.clone(),
            duplicates: AtomicBool::default(),
            duplicates_next: AtomicBool::default(),
            reorders: AtomicBool::default(),
            reorders_next: AtomicBool::default(),
            batch: Mutex::default(),
        });
        let connection = Connection {
            path: PATH.to_owned(),
            secret: setup.secret.clone(),
            header_prefix: prefix,
            concurrency: Some(CONCURRENCY),
            time_scale: TIME_SCALE,
            delivery_timeout: DELIVERY_TIMEOUT.mul_f64(TIME_SCALE),
            ..Connection::default()
        };
        let destination = from_fn({
            let carrier = carrier.clone();
            move |request| carrier.clone().deliver(request)
        });
        let engine = Engine::new(connection, destination);
        engine.observe({
            let journal = journal.clone();
            move |event, body| journal.observe(event, body)
        });
        let variables = setup.variables.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        Ok(Arc::new(Self {
            masks: Masks::new(variables),
            engine,
            function,
            carrier,
            journal,
            clock,
            controls: Mutex::new(Controls {
                switches: BTreeSet::new(),
                is_paused: false,
                time_scale: TIME_SCALE,
            }),
            runtime: Handle::current(),
            regions: settings.policy.allowed.clone(),
            is_log_quiet: Arc::new(AtomicBool::new(true)),
            function_url: OnceLock::new(),
            setup,
        }))
    }

    pub(crate) fn function(&self) -> Arc<Function> {
        self.function.clone()
    }

    pub(crate) fn services(&self) -> Option<&Services> {
        self.setup.services.as_ref()
    }

    /// The engine, whose connection the samples change for themselves.
    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Makes the connection as the page has set it.
    pub(crate) fn restore_connection(&self) {
        let (time_scale, is_wrong) = {
            let controls = self.controls();
            (controls.time_scale, controls.switches.contains(&Switch::WrongSecret))
        };
        let secret = if is_wrong { WRONG_SECRET } else { &self.setup.secret };
        self.engine.change(|it| {
            secret.clone_into(&mut it.secret);
            it.retry = Some(RetryRule::default());
            it.time_scale = time_scale;
            it.delivery_timeout = DELIVERY_TIMEOUT.mul_f64(time_scale);
        });
    }

    /// The writer of the function's log. Nothing is written to standard error before
    /// [`Self::unmute_log`].
    pub(crate) fn log_writer(&self) -> impl LogWriter + use<> {
        trace::log_writer(self.is_log_quiet.clone())
    }

    pub(crate) fn unmute_log(&self) {
        self.is_log_quiet.store(false, Ordering::Relaxed);
    }

    /// Where deliveries reach the function from outside.
    pub(crate) fn set_function_url(&self, url: &str) {
        let _second = self.function_url.set(format!("{}{PATH}", url.trim_end_matches('/')));
    }

    pub(super) fn snapshot(&self) -> Value {
        let mut snapshot = self.journal.snapshot();
        let settings = self.settings();
        let members = [
            ("mode", json!(if self.services().is_some() { "stand-ins" } else { "live" })),
            ("api", json!(if self.setup.api == Api::Platform { "platform" } else { "lite" })),
            ("postgres", json!(self.setup.has_postgres)),
            ("paused", settings["paused"].clone()),
            ("time_scale", settings["time_scale"].clone()),
            ("switches", settings["switches"].clone()),
            ("places", json!(PLACES)),
            ("regions", self.regions.iter().map(|it| places::region(it.as_str())).collect()),
        ];
        for (name, value) in members {
            snapshot[name] = value;
        }
        snapshot
    }

    fn settings(&self) -> Value {
        let controls = self.controls();
        json!({
            "paused": controls.is_paused,
            "time_scale": controls.time_scale,
            "switches": switches::shown(&controls.switches, self.services().is_some()),
        })
    }

    /// Sends the rows that wait, and reads what the stand-ins have where it is time.
    pub(super) fn refresh(&self) {
        if let Some(services) = self.services().filter(|_| self.journal.is_due()) {
            self.read(services);
        }
        self.journal.flush();
    }

    fn read(&self, services: &Services) {
        let began = Instant::now();
        self.journal.update(&Reading {
            began,
            databases: databases(&services.xata),
            entry: &|user| services.clerk.user(user)?.private_metadata.get("database").cloned(),
            connect: &|id| match &services.xata {
                Xata::Platform(platform) if self.setup.has_postgres => {
                    platform.connection_string(id).map(|it| format!("psql '{it}'"))
                }
                _ => None,
            },
        });
        // They would only grow.
        services.xata.clear_requests();
        services.clerk.clear_requests();
        services.clerk.take_events();
    }

    pub(super) fn detail(&self, id: &str) -> Result<Value, Refusal> {
        let mut detail = self.journal.detail(id).ok_or_else(unknown_event)?;
        self.masks.value(&mut detail);
        Ok(detail)
    }

    /// A copy of an event, as a delivery that is signed now.
    pub(super) fn copy(&self, id: &str, form: Form) -> Result<String, Refusal> {
        let (event, body) = self.journal.event(id).ok_or_else(unknown_event)?;
        let request = || -> anyhow::Result<Request<Bytes>> {
            let signer = Signer::read(&self.setup.variables)?;
            let signer = signer.unwrap_or_else(|| Signer::new(&self.setup.secret));
            let mut headers = signer.headers(&body, 1)?;
            let name = format!("{}-eventid", self.carrier.header_prefix);
            headers.insert(http::HeaderName::try_from(name)?, event.as_ref().parse()?);
            let mut request = Request::post(PATH).body(body)?;
            *request.headers_mut() = headers;
            Ok(request)
        };
        let request = request().map_err(|error| failure(&error))?;
        let url = self.function_url.get().map_or(PATH, String::as_str);
        Ok(copies::write(form, &request, url))
    }

    /// Refuses what costs money unless the page says so.
    pub(super) fn confirm(&self, confirmation: Option<&str>) -> Result<(), Refusal> {
        if self.services().is_some() || confirmation == Some(CONFIRMATION) {
            return Ok(());
        }
        let text = format!("Against the real Xata, this {CONFIRMATION}: it has to be confirmed.");
        Err(Refusal::conflict(text))
    }

    pub(super) fn sign_up(&self, input: &SignUp) -> Result<String, Refusal> {
        let SignUp { place, ip, name, region, by } = input;
        let texts = [("place", place), ("ip", ip), ("name", name), ("region", region)];
        for (what, text) in texts {
            if text.as_ref().is_some_and(|it| it.chars().count() > TEXT_LIMIT) {
                let text = format!("The text of {what} is longer than {TEXT_LIMIT} characters.");
                return Err(Refusal::bad_request(text));
            }
        }
        let place = match place {
            Some(id) => PLACES.iter().find(|it| it.id == id).map(|it| it.ip).ok_or_else(|| {
                Refusal::bad_request("There is no such place; an address can be given as ip.")
            })?,
            None => "",
        };
        let mut sign_up = self.new_user();
        sign_up.client_ip = Some(ip.clone().unwrap_or_else(|| place.to_owned()));
        let name = name.as_deref().unwrap_or_default();
        let (first, last) = name.split_once(' ').unwrap_or((name, ""));
        (sign_up.first_name, sign_up.last_name) = (first.to_owned(), last.to_owned());
        if let Some(region) = region {
            sign_up.private_metadata = json!({ "db_region": region });
        }
        if matches!(by, Some(Origin::Server)) {
            "clerk/clerk-sdk-go@v3.0.0".clone_into(&mut sign_up.user_agent);
        }
        Ok(self.send(sign_up, HeaderMap::new()))
    }

    /// Many sign-ups at once, from places at random.
    pub(super) fn burst(&self, count: usize) -> Result<(), Refusal> {
        if !(1..=MOST_SIGN_UPS).contains(&count) {
            let text = format!("A burst has 1 to {MOST_SIGN_UPS} sign-ups.");
            return Err(Refusal::bad_request(text));
        }
        for _ in 0..count {
            let mut sign_up = self.new_user();
            let place = PLACES[fastrand::usize(..PLACES.len())];
            sign_up.client_ip = Some(place.ip.to_owned());
            self.send(sign_up, HeaderMap::new());
        }
        Ok(())
    }

    /// A user who signs up now, without a name.
    fn new_user(&self) -> clerk::SignUp {
        let now_ms = since_epoch_ms(self.clock.now());
        let user = user_id_at(fastrand::u64(..), now_ms / 1000);
        clerk::SignUp {
            timestamp_ms: now_ms,
            first_name: String::new(),
            last_name: String::new(),
            email_local_part: Some("someone".to_owned()),
            ..clerk::SignUp::new(&user)
        }
    }

    /// Signs a user up: Clerk stores the user, and tells Hookdeck with these headers.
    fn send(&self, sign_up: clerk::SignUp, headers: HeaderMap) -> String {
        let (user, event) = (sign_up.user_id.clone(), sign_up.user_created());
        if let Some(services) = self.services() {
            services.clerk.insert(sign_up);
        }
        self.ingest(headers, event.into());
        user
    }

    /// The engine spawns tasks where it is called.
    fn ingest(&self, headers: HeaderMap, body: Bytes) {
        let _runtime = self.runtime.enter();
        self.engine.ingest(headers, body);
    }

    pub(super) fn delete(&self, user: &str) -> Result<(), Refusal> {
        let Some(services) = self.services() else {
            let text = "A real user is deleted in Clerk's dashboard, which sends the event.";
            return Err(Refusal::new(StatusCode::NOT_IMPLEMENTED, text));
        };
        let gone = || Refusal::not_found("There is no such user, or not any more.");
        let sign_up = services.clerk.user(user).ok_or_else(gone)?;
        services.clerk.remove(user);
        let now_ms = since_epoch_ms(self.clock.now());
        self.ingest(HeaderMap::new(), sign_up.user_deleted(now_ms).into());
        Ok(())
    }

    pub(super) fn switch(&self, id: &str, on: bool) -> Result<(), Refusal> {
        let switch: Switch =
            id.parse().map_err(|_| Refusal::not_found("There is no such switch."))?;
        if switch.is_upstream() && self.services().is_none() {
            let text = "The real services cannot be switched; start without --live.";
            return Err(Refusal::conflict(text));
        }
        {
            let mut controls = self.controls();
            if on {
                controls.switches.insert(switch);
            } else {
                controls.switches.remove(&switch);
            }
            let is_on = |switch| controls.switches.contains(&switch);
            let (duplicates, reorders) =
                (is_on(Switch::HookdeckDuplicates), is_on(Switch::HookdeckReorders));
            self.carrier.duplicates.store(duplicates, Ordering::Relaxed);
            self.carrier.reorders.store(reorders, Ordering::Relaxed);
            if let Some(services) = self.services() {
                switches::apply(&controls.switches, services);
            }
        }
        self.restore_connection();
        self.tell_settings();
        Ok(())
    }

    pub(super) fn act(&self, id: &str, confirmation: Option<&str>) -> Result<(), Refusal> {
        match id {
            "kill_function" => {
                self.function.kill().map_err(|error| failure(&error))?;
            }
            "duplicate_next" => self.carrier.duplicates_next.store(true, Ordering::Relaxed),
            "reorder_next" => self.carrier.reorders_next.store(true, Ordering::Relaxed),
            "replay_old" => {
                self.confirm(confirmation)?;
                let event = self.journal.old_sign_up();
                let event = event.ok_or_else(|| Refusal::conflict("There is no sign-up yet."))?;
                self.ingest(HeaderMap::new(), event);
            }
            "wrong_secret_event" => {
                let mark = (FORGED, HeaderValue::from_static("1"));
                self.send(self.new_user(), HeaderMap::from_iter([mark]));
            }
            _ => return Err(Refusal::not_found("There is no such action.")),
        }
        Ok(())
    }

    pub(super) fn retry(&self, id: &str) -> Result<(), Refusal> {
        let (event, _) = self.journal.event(id).ok_or_else(unknown_event)?;
        let _runtime = self.runtime.enter();
        self.engine.retry(&event);
        Ok(())
    }

    pub(super) fn cancel(&self, id: &str) -> Result<(), Refusal> {
        let (event, _) = self.journal.event(id).ok_or_else(unknown_event)?;
        self.engine.cancel(&event);
        Ok(())
    }

    pub(super) fn pause(&self, on: bool) {
        self.controls().is_paused = on;
        if on {
            self.engine.pause();
        } else {
            let _runtime = self.runtime.enter();
            self.engine.unpause();
        }
        self.tell_settings();
    }

    pub(super) fn set_time_scale(&self, value: f64) -> Result<(), Refusal> {
        if !(1.0..=100.0).contains(&value) {
            return Err(Refusal::bad_request("The time scale is a number from 1 to 100."));
        }
        self.controls().time_scale = value;
        self.journal.set_time_scale(value);
        if self.services().is_some() {
            self.clock.set_scale(value);
        }
        self.restore_connection();
        self.tell_settings();
        Ok(())
    }

    fn tell_settings(&self) {
        self.journal.tell("settings", &self.settings());
    }

    /// Never held over an await.
    fn controls(&self) -> MutexGuard<'_, Controls> {
        lock(&self.controls)
    }
}

/// The settings of the function.
pub(crate) fn read(variables: &BTreeMap<String, String>) -> anyhow::Result<Settings> {
    let variables = variables.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    Ok(environment::settings(&variables)?)
}

/// The function with these settings. Its calls are recorded.
fn start_function(
    variables: &BTreeMap<String, String>,
    journal: &Arc<Journal>,
    clock: &Arc<ScaledClock>,
) -> anyhow::Result<Worker> {
    let settings = read(variables)?;
    let clerk_url = settings.clerk.as_ref().map(|it| it.url.clone());
    let client = trace::client(http_client::live(), journal.clone(), clerk_url);
    let real: Clock = Arc::new(SystemTime::now);
    let clock = clock.clone();
    let scaled: Clock = Arc::new(move || clock.now());
    // The deadline of a delivery is one of the real clock.
    Ok(Worker::new(Handler::new(settings, client, scaled), real, None))
}

fn unknown_event() -> Refusal {
    Refusal::not_found("There is no such event, or it is too long ago.")
}

fn failure(error: &anyhow::Error) -> Refusal {
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}."))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

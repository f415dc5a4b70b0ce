//! An organization at Xata, a directory for a schema, and the command that sets them up.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use per_user_db::request;
use per_user_db::settings::Settings;
use per_user_db::telemetry::InvocationIds;
use per_user_db::worker::{Invocation, TIMEOUT};
use serde_json::Value;
use standin::conformance::{Checker, Requests};
use standin::xata::platform::postgres::{self, Server};
use standin::xata::platform::{Options, Platform};
use tokio::runtime::Runtime;

use crate::world::Outcome;
use crate::{branches, file, ops, run, runtime, serve, worker};

/// Text that no output may contain: the key, and any connection string.
const SECRETS: [&str; 2] = ["xau_", "postgresql://"];

pub(crate) struct World {
    pub(crate) xata: Platform,
    pub(crate) url: String,
    pub(crate) server: Option<Server>,
    directory: PathBuf,
    runtime: Runtime,
    _watch: Checker,
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

impl World {
    /// Without SQL behind the branches.
    pub(crate) fn start() -> Self {
        static WORLDS: AtomicU32 = AtomicU32::new(0);
        let runtime = runtime();
        let xata = Platform::new(Options { ready_after: Duration::ZERO, ..Options::default() });
        let watch = Checker::platform(&xata, Requests::All);
        let url = serve(&runtime, xata.router());
        let serial = WORLDS.fetch_add(1, Ordering::Relaxed);
        let name = format!("ops-setup-xata-{}-{serial}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory).unwrap();
        Self { xata, url, server: None, directory, runtime, _watch: watch }
    }

    /// With a real PostgreSQL behind them; none, with a message, where there is no server.
    pub(crate) fn with_sql() -> Option<Self> {
        let url = postgres::url()?;
        let mut world = Self::start();
        let server = world.runtime.block_on(Server::connect(&url)).unwrap();
        world.runtime.block_on(world.xata.use_postgres(server.clone())).unwrap();
        world.server = Some(server);
        Some(world)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.directory.join(name), text).unwrap();
    }

    pub(crate) fn remove(&self, name: &str) {
        fs::remove_file(self.directory.join(name)).unwrap();
    }

    pub(crate) fn schema(&self) -> [&str; 2] {
        ["--schema", self.directory.to_str().unwrap()]
    }

    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        let options = Options::default();
        vec![
            ("XATA_API_KEY", options.api_key),
            ("XATA_API_URL", self.url.clone()),
            ("XATA_ORGANIZATION_ID", options.organization),
        ]
    }

    /// Runs `ops setup xata` with these settings changed, an empty one being taken away.
    pub(crate) fn run_with(&self, flags: &[&str], changes: &[(&str, &str)]) -> Outcome {
        let mut command = ops(&[&["setup", "xata"], flags].concat());
        command.envs(self.settings()).envs(changes.iter().copied());
        let (code, out, error) = run(&mut command);
        for secret in SECRETS {
            assert!(!out.contains(secret) && !error.contains(secret), "{secret}: {out}{error}");
        }
        Outcome { code, out, error }
    }

    pub(crate) fn run(&self, flags: &[&str]) -> Outcome {
        self.run_with(flags, &[])
    }

    /// Runs it with the schema.
    pub(crate) fn apply(&self, flags: &[&str]) -> Outcome {
        self.run(&[&self.schema(), flags].concat())
    }

    /// The document of a run with the schema that must end with this code.
    pub(crate) fn document(&self, flags: &[&str], code: i32) -> Value {
        let outcome = self.apply(&[&["--json"], flags].concat());
        assert_eq!(outcome.code, code, "{}{}", outcome.out, outcome.error);
        outcome.json()
    }

    /// Two runs at the same time.
    pub(crate) fn apply_twice_at_once(&self) -> [i32; 2] {
        let arguments = [&["setup", "xata"][..], &self.schema()].concat();
        let start = || {
            let mut command = ops(&arguments);
            command.envs(self.settings()).stdout(Stdio::null()).stderr(Stdio::null());
            command.spawn().unwrap()
        };
        [start(), start()].map(|mut child| child.wait().unwrap().code().unwrap())
    }

    /// The requests that change something at Xata.
    pub(crate) fn changes(&self) -> Vec<String> {
        let requests = self.xata.requests().into_iter();
        let changes = requests.filter(|it| it.method != "GET");
        changes.map(|it| format!("{} {}", it.method, it.path)).collect()
    }

    /// The id of a template.
    pub(crate) fn template(&self, region: &str) -> String {
        let found = self.xata.databases_named(&format!("template-{region}"));
        let [template] = &found[..] else { panic!("one template in {region}: {found:?}") };
        template.id.clone()
    }

    /// Lets the function answer an event that it is sent, with the settings of a document.
    pub(crate) fn deliver(&self, document: &Value, event: &str) -> Value {
        let printed = document["settings"].as_object().unwrap();
        let printed = printed.iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap()));
        let settings = self.settings();
        let settings = settings.iter().map(|(name, value)| (*name, value.as_str()));
        let secret = ("HOOKDECK_WEBHOOK_SECRET", "local-development-secret");
        let all = settings.chain(printed).chain([secret]);
        let settings = Settings::read(all.map(|(name, value)| (name.into(), value.into())));
        self.runtime.block_on(async {
            let worker = worker(settings.unwrap());
            let event = fs::read_to_string(file(&format!("events/{event}"))).unwrap();
            let payload = request::read(&event);
            let deadline = SystemTime::now() + TIMEOUT;
            let answer = worker
                .invoke(Invocation { payload, deadline, ids: InvocationIds::default() })
                .await;
            let answer = answer.to_lambda();
            serde_json::from_slice(&answer.body.unwrap()).unwrap()
        })
    }

    /// Runs a statement in a branch, and returns its rows.
    pub(crate) fn sql(&self, branch: &str, statement: &str) -> Value {
        branches::sql(&self.runtime, &self.xata, branch, statement)
    }

    /// Puts a branch to sleep, as an idle one with scale to zero is.
    pub(crate) fn hibernate(&self, branch: &str) {
        branches::hibernate(&self.runtime, &self.xata, &self.url, branch);
    }

    pub(crate) fn administer(&self, sql: &str) {
        let server = self.server.as_ref().unwrap();
        self.runtime.block_on(server.administer(sql)).unwrap();
    }
}

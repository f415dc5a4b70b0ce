//! The three services on one socket, and a directory with the repository's samconfig.toml.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use standin::clerk::backend::{self, Backend};
use standin::hookdeck::admin::{self, Admin};
use standin::xata::platform::{self, Platform};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::world::Outcome;
use crate::{file, ops, run, runtime, serve};

pub(super) const URL: &str = "https://abc.lambda-url.eu-west-1.on.aws/";
pub(super) const CLERK_KEY: &str = "sk_test_fake_local_development_key";
pub(super) const HOOKDECK_SECRET: &str = "planted-webhook-secret";
pub(super) const HOOKDECK_KEY: &str = "hd_fake_local_development_key";
pub(super) const XATA_KEY: &str = "xau_fake_local_development_key";
pub(super) const SIGNING_SECRET: &str = "whsec_cGxhbnRlZC1zZWNyZXQ=";

/// Text that no output may contain.
const SECRETS: [&str; 6] = ["sk_test_", "hd_fake", "xau_", "planted", "cGxhbnRlZC", "Bearer"];

pub(super) struct World {
    pub(super) xata: Platform,
    pub(super) clerk: Backend,
    pub(super) admin: Admin,
    pub(super) instance: String,
    url: String,
    directory: TempDir,
    _runtime: Runtime,
}

impl World {
    pub(super) fn start() -> Self {
        let runtime = runtime();
        let options = platform::Options { ready_after: Duration::ZERO, ..Default::default() };
        let xata = Platform::new(options);
        let of_clerk = backend::Options::default();
        let instance = of_clerk.instance_id.clone();
        let clerk = Backend::new(of_clerk.unlimited());
        let admin = Admin::new(admin::Options::default());
        let url = serve(&runtime, clerk.beside(admin.beside(xata.router())));
        let directory = tempfile::tempdir().unwrap();
        let world = Self { xata, clerk, admin, instance, url, directory, _runtime: runtime };
        fs::copy(file("samconfig.toml"), world.path("samconfig.toml")).unwrap();
        world
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The text of a file; empty where it does not exist.
    pub(super) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// The settings in `.env`.
    pub(super) fn stored(&self) -> BTreeMap<String, String> {
        dotenvy::from_path_iter(self.path(".env")).unwrap().map(Result::unwrap).collect()
    }

    /// The command, in the directory, with the addresses of the services and no key.
    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = ops(&[&["setup"], arguments].concat());
        command.current_dir(&self.directory);
        command.env("XATA_API_URL", &self.url).env("HOOKDECK_API_URL", &self.url);
        command.env("CLERK_API_URL", format!("{}/v1", self.url));
        command
    }

    /// Runs it with these variables only.
    pub(super) fn run_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Outcome {
        let (code, out, error) = run(self.command(arguments).envs(variables.iter().copied()));
        assert_no_secret(&format!("{out}{error}"));
        Outcome { code, out, error }
    }

    /// Runs it with the four keys, and these variables.
    pub(super) fn run(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Outcome {
        let keys = [
            ("CLERK_SECRET_KEY", CLERK_KEY),
            ("HOOKDECK_WEBHOOK_SECRET", HOOKDECK_SECRET),
            ("HOOKDECK_API_KEY", HOOKDECK_KEY),
            ("XATA_API_KEY", XATA_KEY),
        ];
        self.run_with(arguments, &[&keys[..], variables].concat())
    }

    /// The requests that change something, at each service.
    pub(super) fn changes(&self) -> Vec<String> {
        let requests =
            [self.xata.requests(), self.clerk.requests(), self.admin.requests()].concat();
        let changes = requests.into_iter().filter(|it| it.method != "GET");
        changes.map(|it| format!("{} {}", it.method, it.path)).collect()
    }
}

pub(super) fn assert_no_secret(output: &str) {
    for secret in SECRETS {
        assert!(!output.contains(secret), "{secret}: {output}");
    }
}

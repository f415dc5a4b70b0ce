//! Many users with their databases, and a directory to run the commands in.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use standin::clerk::{SignUp, user_id};
use standin::xata::platform::postgres::{self, Server};
use standin::xata::platform::{Database, NewDatabase};

use crate::world::{Outcome, PROJECTS, World};
use crate::{ops, run};

pub(crate) const REGION: &str = "eu-central-1";

/// Text that no output and no file of a run may contain: keys, passwords, personal data, and what is
/// in the rows of the databases.
const SECRETS: [&str; 7] =
    ["xau_", "sk_test", "Bearer", "postgresql:", "@example.com", "planted-secret", "of-a-row"];

pub(crate) struct Fleet {
    pub(crate) world: World,
    /// The ids of the users.
    pub(crate) users: Vec<String>,
    /// How many connections there were at the start.
    n_connections: usize,
}

impl Fleet {
    /// Users who each have a database, cloned from a template, and an entry at Clerk.
    pub(crate) fn start(n_users: u64) -> Self {
        let world = World::start();
        let users: Vec<_> = (1..=n_users).map(user_id).collect();
        let fleet = Self { world, users, n_connections: 0 };
        for user in &fleet.users {
            if *user != fleet.world.user {
                fleet.world.clerk.insert(SignUp::new(user));
            }
            let id = fleet.clone_template(user);
            fleet.link(user, &id);
        }
        fleet
    }

    /// The same with a PostgreSQL behind the databases; none, with a message, where there is no server.
    pub(crate) fn with_postgres(n_users: u64) -> Option<Self> {
        let url = postgres::url()?;
        let mut fleet = Self::start(n_users);
        fleet.world.runtime.block_on(async {
            let server = Server::connect(&url).await.unwrap();
            fleet.world.xata.use_postgres(server).await.unwrap();
        });
        // A clone is made now, and not from what its template is later.
        for database in fleet.world.xata.databases() {
            fleet.world.sql(&database.id, "select 1");
        }
        fleet.n_connections = fleet.connections().len();
        Some(fleet)
    }

    /// The branches that a client was connected to since the start.
    pub(crate) fn connections(&self) -> Vec<String> {
        self.world.xata.connections().split_off(self.n_connections)
    }

    /// The project in which a user's database belongs.
    pub(crate) fn home(user: &str) -> &'static str {
        let ids = PROJECTS.map(|project| project.try_into().unwrap()).to_vec();
        let projects = per_user_db::xata::Projects::new(ids).unwrap();
        let home = projects.for_user(&user.try_into().unwrap())[0].as_str().to_owned();
        PROJECTS.into_iter().find(|project| *project == home).unwrap()
    }

    /// Clones the template for a user, and returns the clone's id.
    pub(crate) fn clone_template(&self, user: &str) -> String {
        let project = Self::home(user);
        let parent = Some(format!("template{project}"));
        self.world
            .xata
            .insert(project, [NewDatabase { parent, ..NewDatabase::root(user, REGION) }]);
        self.database(user).id
    }

    /// Writes the entry that the function writes.
    pub(crate) fn link(&self, user: &str, id: &str) {
        let entry = json!({
            "id": id, "name": user, "project": Self::home(user), "region": REGION, "status": "created",
        });
        self.world.clerk.change_user(user, |it| it.private_metadata = json!({ "database": entry }));
    }

    /// The entry at Clerk.
    pub(crate) fn entry(&self, user: &str) -> Value {
        self.world.clerk.user(user).unwrap().private_metadata["database"].clone()
    }

    /// The only database of this name.
    pub(crate) fn database(&self, name: &str) -> Database {
        let found = self.world.xata.databases_named(name);
        let [database] = &found[..] else { panic!("one database of {name}: {found:?}") };
        database.clone()
    }

    /// Writes a file, and creates its directory.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.world.directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn remove(&self, name: &str) {
        fs::remove_file(self.world.directory.path().join(name)).unwrap();
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let templates = PROJECTS.map(|project| format!("{project}/{REGION}=template{project}"));
        let mut command = ops(arguments);
        command
            .current_dir(self.world.directory.path())
            .envs(self.world.settings.clone())
            .env("CLERK_INSTANCE_ID", &self.world.instance)
            .env("XATA_TEMPLATES", templates.join(","))
            .env("DEFAULT_REGION", REGION)
            .env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
    }

    /// Runs a command, and checks that its output has no secret.
    pub(crate) fn run(&self, arguments: &[&str]) -> Outcome {
        self.run_with(arguments, &[])
    }

    pub(crate) fn run_with(&self, arguments: &[&str], changes: &[(&str, &str)]) -> Outcome {
        let (code, out, error) = run(self.command(arguments).envs(changes.iter().copied()));
        self.check_secrets(&[&out, &error]);
        Outcome { code, out, error }
    }

    /// The document of a command that must end with this code.
    pub(crate) fn document(&self, arguments: &[&str], code: i32) -> Value {
        let outcome = self.run(&[arguments, &["--json"]].concat());
        assert_eq!(outcome.code, code, "{}{}", outcome.out, outcome.error);
        outcome.json()
    }

    /// Starts a command.
    pub(crate) fn spawn(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn check_secrets(&self, texts: &[&str]) {
        let passwords = self.world.passwords();
        for text in texts {
            let found = SECRETS.iter().copied().chain(passwords.iter().map(String::as_str));
            let found: Vec<_> = found.filter(|secret| text.contains(secret)).collect();
            assert!(found.is_empty(), "{found:?}: {text}");
        }
    }

    /// The directories of the runs so far, the oldest first.
    pub(crate) fn runs(&self) -> Vec<PathBuf> {
        let Ok(runs) = fs::read_dir(self.world.directory.path().join(".ops/runs")) else {
            return Vec::new();
        };
        let mut runs: Vec<_> = runs.map(|run| run.unwrap().path()).collect();
        runs.sort();
        runs
    }

    /// The only run so far, and the lines of its ledger, which has no secret.
    pub(crate) fn ledger(&self) -> (String, Vec<Value>) {
        let runs = self.runs();
        let [run] = &runs[..] else { panic!("one run: {runs:?}") };
        let text = fs::read_to_string(run.join("ledger.jsonl")).unwrap();
        self.check_secrets(&[&text, &fs::read_to_string(run.join("run.json")).unwrap()]);
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        (run.file_name().unwrap().to_str().unwrap().to_owned(), lines)
    }

    /// The rows that a statement returns in a user's database.
    pub(crate) fn sql(&self, name: &str, statement: &str) -> Value {
        self.world.sql(&self.database(name).id, statement)
    }
}

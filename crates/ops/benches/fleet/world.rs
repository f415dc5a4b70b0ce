//! Users with their databases, and `ops` as a program.

use std::fs::{self, File};
use std::ops::Range;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};
use standin::clerk::backend::{self, Backend};
use standin::clerk::{SignUp, user_id};
use standin::fault::{Effect, Fault};
use standin::xata::platform::postgres::Server;
use standin::xata::platform::{self, Call, NewDatabase, Platform};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio_postgres::{Client, NoTls};

use crate::support;

const REGION: &str = "eu-central-1";

/// How often a running program is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// How long a program may run.
const PATIENCE: Duration = Duration::from_mins(20);

/// The services, and a directory to run the commands in.
pub(crate) struct World {
    pub(crate) xata: Platform,
    pub(crate) runtime: Runtime,
    pub(crate) clerk: Backend,
    projects: Vec<String>,
    directory: TempDir,
    settings: Vec<(&'static str, String)>,
}

/// A program that has ended.
pub(crate) struct Ended {
    /// None where a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) time: Duration,
    /// The processor's time, in the system's ticks, which waits for no other program.
    pub(crate) ticks: u64,
    /// The peak of its resident memory.
    pub(crate) peak_kib: u64,
    out: String,
    error: String,
}

impl Ended {
    /// Checks how it ended.
    pub(crate) fn with_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}{}", self.out, self.error);
        self
    }

    /// The document that it printed.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("{}{}", self.out, self.error))
    }

    /// A number in the document.
    pub(crate) fn number(&self, pointer: &str) -> u64 {
        let document = self.json();
        document.pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("{document}"))
    }
}

impl World {
    /// Users who each have a database, cloned from the template of a project, and an entry at Clerk.
    pub(crate) fn new(n_users: u64, n_projects: usize) -> Self {
        let (xata_options, clerk_options) =
            (platform::Options::default(), backend::Options::default().unlimited());
        let projects: Vec<_> = (0..n_projects).map(|n| format!("prj_{n}")).collect();
        let template = |project: &String| format!("{project}/{REGION}=template{project}");
        let templates: Vec<_> = projects.iter().map(template).collect();
        let mut settings = vec![
            ("XATA_API_KEY", xata_options.api_key.clone()),
            ("XATA_ORGANIZATION_ID", xata_options.organization.clone()),
            ("XATA_PROJECT_ID", projects.join(",")),
            ("XATA_TEMPLATES", templates.join(",")),
            ("DEFAULT_REGION", REGION.to_owned()),
            ("CLERK_SECRET_KEY", clerk_options.secret_key.clone()),
            ("CLERK_INSTANCE_ID", clerk_options.instance_id.clone()),
        ];
        let (xata, clerk) = (Platform::new(xata_options), Backend::new(clerk_options));
        for project in &projects {
            xata.insert_project(project, project);
            xata.insert_template(project, &format!("template{project}"), REGION);
        }
        let runtime = support::runtime();
        let url = support::serve(&runtime, clerk.beside(xata.router()));
        settings.extend([("XATA_API_URL", url.clone()), ("CLERK_API_URL", format!("{url}/v1"))]);
        let directory = tempfile::tempdir().unwrap();
        let world = Self { xata, runtime, clerk, projects, directory, settings };
        world.add_users(0..n_users);
        world
    }

    /// More users, who have a database and an entry, too. In which project is no matter to these commands.
    fn add_users(&self, seeds: Range<u64>) {
        for seed in seeds {
            let (user, id) = (user_id(seed), format!("b{seed:025}"));
            let project = &self.projects[usize::try_from(seed).unwrap() % self.projects.len()];
            let entry = json!({
                "id": id, "name": user, "project": project, "region": REGION, "status": "created",
            });
            let private_metadata = json!({ "database": entry });
            self.clerk.insert(SignUp { private_metadata, ..SignUp::new(&user) });
            let parent = Some(format!("template{project}"));
            let database = NewDatabase { id: Some(id), parent, ..NewDatabase::root(&user, REGION) };
            self.xata.insert(project, [database]);
        }
    }

    /// Users who have nothing.
    pub(crate) fn add_users_without_databases(&self, seeds: Range<u64>) {
        for seed in seeds {
            self.clerk.insert(SignUp::new(&user_id(seed)));
        }
    }

    /// The same with a PostgreSQL database for each branch, which exists from now on.
    pub(crate) fn with_postgres(n_users: u64, n_projects: usize, url: &str) -> Self {
        let world = Self::new(n_users, n_projects);
        world.use_postgres(|| Server::connect(url));
        world.at_each_database(&async |client| client.batch_execute("select 1").await.unwrap());
        world
    }

    /// Keeps the data of all branches in one database.
    pub(crate) fn share_postgres(&self, url: &str) {
        self.use_postgres(|| Server::connect_shared(url));
    }

    fn use_postgres<F>(&self, connect: impl FnOnce() -> F)
    where
        F: Future<Output = Result<Server, tokio_postgres::Error>>,
    {
        self.runtime.block_on(async {
            let server = connect().await.unwrap();
            self.xata.use_postgres(server).await.unwrap();
        });
    }

    /// Lets every exchange with a database and with Xata's API last so long at least.
    pub(crate) fn set_round_trip(&self, round_trip: Duration) {
        self.xata.set_round_trip(round_trip);
        // Of a connection, it is the handshake of TCP.
        let late = Effect::Trickle { chunk: usize::MAX, every: round_trip };
        self.xata.faults().push(Fault::always(Call::Any, late));
    }

    /// Does this in every database, templates included, a few at a time.
    pub(crate) fn at_each_database<T>(&self, work: &impl AsyncFn(&Client) -> T) -> Vec<T> {
        let (mut databases, mut results) = (self.xata.databases(), Vec::new());
        databases.sort_by_key(|database| database.parent.is_some()); // a clone is made of a template that exists
        self.runtime.block_on(async {
            for some in databases.chunks(8) {
                let done = join_all(some.iter().map(async |database| {
                    let access = self.xata.connection_string(&database.id).unwrap();
                    let (client, connection) =
                        tokio_postgres::connect(&access, NoTls).await.unwrap();
                    let connection = tokio::spawn(connection);
                    let result = work(&client).await;
                    drop(client);
                    let _ended = connection.await;
                    result
                }));
                results.extend(done.await);
            }
        });
        results
    }

    /// The name and the connection string of every database, templates included.
    pub(crate) fn connection_strings(&self) -> Vec<(String, String)> {
        let access = |id: &str| self.xata.connection_string(id).unwrap();
        self.xata.databases().into_iter().map(|it| (it.name, access(&it.id))).collect()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file of the schema.
    pub(crate) fn write_schema(&self, name: &str, sql: &str) {
        fs::create_dir_all(self.path("schema")).unwrap();
        fs::write(self.path("schema").join(name), sql).unwrap();
    }

    /// Starts `ops`, which prints a document.
    pub(crate) fn start(&self, arguments: &[&str]) -> Program {
        let arguments = [arguments, &["--json"]].concat();
        let mut command: Command = support::command(env!("CARGO_BIN_EXE_ops"), &arguments);
        let (out, error) = (self.path("out"), self.path("error"));
        command
            .current_dir(self.directory.path())
            .envs(self.settings.clone())
            .stdout(File::create(&out).unwrap())
            .stderr(File::create(&error).unwrap());
        let n_done_before = self.n_done();
        let (since, child) = (Instant::now(), command.spawn().unwrap());
        Program { child, since, n_done_before, ticks: 0, peak_kib: 0, out, error }
    }

    /// Runs `ops` to its end.
    pub(crate) fn ops(&self, arguments: &[&str]) -> Ended {
        self.start(arguments).wait()
    }

    /// Lets a program run until it has recorded so many databases as done.
    pub(crate) fn await_done(&self, program: &mut Program, n: u64) {
        while self.n_done() < program.n_done_before + n {
            assert!(program.look().is_none(), "the program ended before {n} were done");
        }
    }

    /// How many databases all runs have recorded as done.
    fn n_done(&self) -> u64 {
        let read = |run: &PathBuf| fs::read_to_string(run.join("ledger.jsonl")).unwrap_or_default();
        let n_done = |run: &PathBuf| read(run).matches(r#""step":"done""#).count() as u64;
        self.runs().iter().map(n_done).sum()
    }

    /// The name of the newest run.
    pub(crate) fn newest_run(&self) -> String {
        self.runs().last().unwrap().file_name().unwrap().to_str().unwrap().to_owned()
    }

    /// The directories of the runs, the oldest first.
    fn runs(&self) -> Vec<PathBuf> {
        let Ok(runs) = fs::read_dir(self.path(".ops/runs")) else { return Vec::new() };
        let mut runs: Vec<_> = runs.map(|run| run.unwrap().path()).collect();
        runs.sort();
        runs
    }
}

/// A program that runs. After a panic it is not waited for.
pub(crate) struct Program {
    pub(crate) child: Child,
    since: Instant,
    n_done_before: u64,
    ticks: u64,
    peak_kib: u64,
    out: PathBuf,
    error: PathBuf,
}

impl Program {
    /// Looks at the program, and waits a moment where it still runs. None while it does.
    fn look(&mut self) -> Option<ExitStatus> {
        let read = |name: &str| fs::read_to_string(format!("/proc/{}/{name}", self.child.id()));
        let (status, stat) = (read("status").unwrap_or_default(), read("stat").unwrap_or_default());
        // Behind the name, which ends in a parenthesis, utime and stime are the 12th and the 13th.
        let (_, numbers) = stat.rsplit_once(") ").unwrap_or_default();
        let ticks = numbers.split(' ').skip(11).take(2).filter_map(|it| it.parse::<u64>().ok());
        self.ticks = self.ticks.max(ticks.sum());
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = line.and_then(|it| it.trim().strip_suffix(" kB")?.parse().ok());
        self.peak_kib = self.peak_kib.max(peak.unwrap_or_default());
        if let Some(status) = self.child.try_wait().unwrap() {
            return Some(status);
        }
        assert!(self.since.elapsed() < PATIENCE, "the program does not end");
        std::thread::sleep(LOOK_EVERY);
        None
    }

    pub(crate) fn wait(mut self) -> Ended {
        let status = loop {
            if let Some(status) = self.look() {
                break status;
            }
        };
        let read = |path: &PathBuf| fs::read_to_string(path).unwrap();
        let (out, error) = (read(&self.out), read(&self.error));
        let (code, time) = (status.code(), self.since.elapsed());
        Ended { code, time, ticks: self.ticks, peak_kib: self.peak_kib, out, error }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ended = self.child.kill();
    }
}

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use cli::output::{self, Status};
use per_user_db::clerk::UserId;
use serde::Serialize;
use sqlx::{Connection, Executor, Row};
use tokio::process::Command;

use crate::child;
use crate::context::Context;
use crate::fleet::{Branch, UnreadableProject, UserDatabases};

/// Write one user's database to a file, with `pg_dump`: for a user who asks for their data
///
/// The file is complete or does not exist: it gets its name at the end. It is readable by you alone.
/// `pg_dump` must not be older than the database; its version is checked first.
///
/// The settings are those of the function, from the environment or `.env`. Exit codes: 0 done, 1
/// failed, 2 wrong usage.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The user's id at Clerk, user_…
    #[arg(value_parser = |text: &str| UserId::try_from(text))]
    user: UserId,
    /// The file to write
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// The form of the file: SQL, or what `pg_restore` reads
    #[arg(long, value_enum, default_value_t = Format::Plain)]
    format: Format,
    /// Replace the file, if it exists
    #[arg(long)]
    force: bool,
    /// Print one JSON document instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Format {
    Plain,
    Custom,
    Tar,
}

#[derive(Serialize)]
struct Report {
    user_id: String,
    database: Branch,
    file: PathBuf,
    bytes: u64,
}

pub(crate) async fn run(arguments: Arguments) -> Result<ExitCode> {
    let Arguments { user, to, format, force, json } = arguments;
    ensure!(force || !to.exists(), "{} exists: --force replaces it", to.display());
    let program = pg_dump_version().await?;
    let context = Context::read()?;
    let spinner = output::spinner("looking for the database");
    let branch = find(&context, &user).await?;
    let organization = &context.fleet.organization;
    let credentials = organization.ready_credentials(&branch.project, &branch.id).await?;
    spinner.set_message("waking the database");
    let mut connection = credentials.connect().await?;
    let row = connection.fetch_one("show server_version_num").await?;
    let server: String = row.try_get(0)?;
    let server = server.parse::<u32>().unwrap_or_default() / 10_000;
    ensure!(
        program >= server,
        "pg_dump is of version {program}, and the database of version {server}: install the client \
         programs of PostgreSQL {server} or newer"
    );
    let directory = to.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let unwritable = || format!("{} cannot be written", to.display());
    let file = tempfile::NamedTempFile::new_in(directory).with_context(unwritable)?;
    let mut command = Command::new("pg_dump");
    child::prepare(&mut command, &credentials, "DATABASE_URL");
    command.args(["--no-owner", "--no-privileges", "--format", format.name(), "--file"]);
    command.arg(file.path());
    spinner.set_message("writing the file");
    let (status, text) = child::output(command, &credentials.password).await?;
    // Kept until here, so that the database does not fall asleep before pg_dump connects.
    let _already_closed = connection.close().await;
    spinner.finish_and_clear();
    ensure!(status.success(), "pg_dump failed ({status}): {}", text.trim().replace('\n', "; "));
    // A full disk shows here, before the file has its name.
    File::open(file.path()).and_then(|file| file.sync_all()).with_context(unwritable)?;
    let bytes = file.as_file().metadata().with_context(unwritable)?.len();
    let kept = if force { file.persist(&to) } else { file.persist_noclobber(&to) };
    kept.map_err(|error| error.error).with_context(unwritable)?;
    output::report(&Report { user_id: user.to_string(), database: branch, file: to, bytes }, json)
}

/// The user's only database.
async fn find(context: &Context, user: &UserId) -> Result<Branch> {
    let UserDatabases { mut databases, parked, unreadable, .. } =
        context.fleet.databases_of(user).await;
    if let Some(UnreadableProject { project, problem }) = unreadable.first() {
        bail!("{project} could not be read, and may hold the database: {problem}");
    }
    match (databases.pop(), &databases[..]) {
        (Some(only), []) => Ok(only),
        (Some(_), _) => Err(anyhow!("{user} has several databases: see `cargo ops user {user}`")),
        (None, _) if parked.is_empty() => Err(anyhow!("{user} has no database")),
        (None, _) => Err(anyhow!(
            "{user} has a parked copy and no database: give it back first, with `cargo ops unpark {user}`"
        )),
    }
}

/// The main version of the installed `pg_dump`.
async fn pg_dump_version() -> Result<u32> {
    let missing = "pg_dump cannot be started: install the client programs of PostgreSQL";
    let output = Command::new("pg_dump").arg("--version").output().await.context(missing)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let words = text
        .split_whitespace()
        .find_map(|word| word.split(|it: char| !it.is_ascii_digit()).next()?.parse().ok());
    words.with_context(|| format!("pg_dump does not tell its version, but {:?}", text.trim()))
}

impl Format {
    fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Custom => "custom",
            Self::Tar => "tar",
        }
    }
}

impl output::Report for Report {
    fn text(&self) -> Vec<String> {
        let Self { user_id, database, file, bytes } = self;
        let size = indicatif::HumanBytes(*bytes);
        vec![format!(
            "{}: the database of {user_id}, {}, {size}.",
            file.display(),
            database.place()
        )]
    }

    fn status(&self) -> Status {
        Status::Success
    }
}

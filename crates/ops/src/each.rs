use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use cli::output;
use sha2::{Digest, Sha256};
use sqlx::Connection;
use tokio::process::Command;
use tokio::time::timeout;

use crate::bulk::{Effort, Options, Outcome, Run, Selected, Selection, Session, Target, Work};
use crate::child;
use crate::context::Context;
use crate::failure::Failure;
use crate::fleet::Branch;
use crate::migrations::hex;

/// How many lines of a failed program's output are shown.
const SHOWN_LINES: usize = 3;

/// Run a program once for the database of each user: psql, prisma, drizzle-kit, atlas, pgroll, `pg_dump`
///
/// The program finds the database by its environment: `DATABASE_URL` (or --url-as) and `DIRECT_URL`,
/// PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE and PGSSLMODE, and `PER_USER_DB_USER`,
/// `PER_USER_DB_BRANCH` and `PER_USER_DB_REGION`. It gets none of the keys of this tool. The database is
/// awake when it starts.
///
/// An exit status of 0 is success. At --timeout the program is ended with all that it has started. Its
/// output, at most 64 KiB, is in .ops/runs/RUN/logs.
///
/// A program that was cut off may have changed something, so --resume leaves its database out, unless
/// --rerun-unclear says that the program can be run again.
///
/// The settings are those of the function, from the environment or `.env`. Exit codes: 0 done, 1
/// something failed, is unclear, or the run stopped, 2 wrong usage, 3 a preview and nothing was run, 130
/// interrupted.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The program and its arguments, after --
    #[arg(required = true, last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
    /// The variable with the database's URL
    #[arg(long, value_name = "NAME", default_value = "DATABASE_URL")]
    url_as: String,
    /// The templates, too, before the others: new databases are cloned from them
    #[arg(long)]
    templates: bool,
    /// With --resume: also the databases on which the program was cut off
    #[arg(long, requires = "resume")]
    rerun_unclear: bool,
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    options: Options,
}

struct Each<'a> {
    context: &'a Context,
    command: &'a [OsString],
    url_as: &'a str,
    timeout: Duration,
    rerun_unclear: bool,
    logs: PathBuf,
}

impl Work for Each<'_> {
    fn is_repeatable(&self) -> bool {
        self.rerun_unclear
    }

    async fn perform(&self, target: &Target) -> Result<Outcome, Failure> {
        let Some(Branch { project, id, region, .. }) = &target.branch else {
            return Ok(Outcome::Skipped("no_database"));
        };
        let organization = &self.context.fleet.organization;
        let credentials = organization.ready_credentials(project, id).await?;
        let connection = credentials.connect().await?;
        let _already_closed = connection.close().await;
        let [program, arguments @ ..] = self.command else {
            return Ok(Outcome::Skipped("no_program"));
        };
        let mut command = Command::new(program);
        child::prepare(&mut command, &credentials, self.url_as);
        command.args(arguments).envs([
            ("PER_USER_DB_USER", target.user.as_str()),
            ("PER_USER_DB_BRANCH", id),
            ("PER_USER_DB_REGION", region),
        ]);
        let run = timeout(self.timeout, child::output(command, &credentials.password)).await;
        let Ok(result) = run else {
            let time = humantime::format_duration(self.timeout);
            let message = format!("the program was ended after --timeout {time}, in the middle");
            return Err(Failure::permanent("timeout", message).unclear());
        };
        let result =
            result.map_err(|error| Failure::permanent("not_started", format!("{error:#}")));
        let (status, output) = result?;
        let log = self.logs.join(format!("{id}.log"));
        if !output.is_empty() {
            write_log(&log, &output).map_err(|error| {
                let message = format!("{} cannot be written: {error}", log.display());
                Failure::permanent("log", message).unclear()
            })?;
        }
        if status.success() {
            return Ok(Outcome::Changed { from: String::new(), to: String::new() });
        }
        let lines: Vec<_> = output.lines().filter(|line| !line.trim().is_empty()).collect();
        let last = lines[lines.len().saturating_sub(SHOWN_LINES)..].join(" | ");
        let code = status.code().map_or_else(|| "signal".to_owned(), |code| format!("exit_{code}"));
        let message = match last.as_str() {
            "" => format!("{status}, without output"),
            last => format!("{last} ({status}; all of it in {})", log.display()),
        };
        Err(Failure::permanent(code, message))
    }
}

fn write_log(path: &Path, text: &str) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?
        .write_all(text.as_bytes())
}

pub(crate) async fn run(arguments: Arguments) -> Result<ExitCode> {
    let Arguments { command, url_as, templates: with_templates, rerun_unclear, selection, options } =
        arguments;
    let context = Context::read()?;
    let words = command.iter().map(|word| word.to_string_lossy());
    let shown = shell_words::join(words);
    let digest = hex(&Sha256::digest(&shown));
    let session = Session::open(&context, "each", digest, selection, &options)?;
    let spinner = output::spinner("asking Xata");
    let branches = context.fleet.branches().await;
    spinner.finish_and_clear();
    let branches = branches?;
    let templates = if with_templates { context.templates(&branches)? } else { Vec::new() };
    let Selected { targets, notes } = session.selection().select(branches)?;
    let all: Vec<_> = templates.iter().chain(&targets).cloned().collect();
    if all.is_empty() {
        bail!("there is no database to work on");
    }
    let n_lists = context.fleet.projects.iter().count() as u64;
    let what = format!("run {shown}");
    let effort = Effort { what, requests: 1, fixed_requests: n_lists, wakes: true };
    let confirmed = session.confirm(&context, effort, &all, &options, notes).await?;
    let Some((ledger, before)) = confirmed else {
        return Ok(ExitCode::from(output::DRIFT));
    };
    let logs = ledger.logs()?;
    let each = Each {
        context: &context,
        command: &command,
        url_as: &url_as,
        timeout: options.timeout,
        rerun_unclear,
        logs,
    };
    // The program has this time of its own; waking comes before it.
    let options = Options { timeout: options.timeout + Duration::from_mins(2), ..options };
    let after = format!(" -- {shown}");
    let before_it = if with_templates { "cargo ops each --templates" } else { "cargo ops each" };
    let mut run = Run::new(&each, &options, ledger, before, (before_it, &after))?;
    run.phase("the templates", templates, 1).await;
    run.canary_and_rest(targets).await;
    output::report(&run.finish(), options.json)
}

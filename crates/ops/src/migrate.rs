use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use cli::output;
use serde::Serialize;

use crate::bulk::{
    Effort, Options, Outcome, Report, Run, Selected, Selection, Session, Target, Work, quoted,
};
use crate::context::Context;
use crate::failure::Failure;
use crate::fleet::Branch;
use crate::migrations::{Change, Database, Directory};

/// Apply a directory of SQL files to the templates, and then to the databases of all users
///
/// The files are those of the sqlx command line: `1_create_notes.sql`, `2_add_title.sql` and so on. Each is
/// one transaction and is recorded in the table `_sqlx_migrations`, so a file is applied once, and
/// `sqlx migrate info` agrees. A file whose first line is `-- no-transaction` holds one statement, such
/// as create index concurrently.
///
/// The templates come first, then a few users' databases (--canary), then all the others, then those
/// that were created meanwhile. A failure among the first two stops the run. Without a selection all
/// databases are migrated; with one, the templates are left out.
///
/// A connection wakes a database, which costs; the preview says how much. Every step is recorded in
/// .ops/runs, so a run that stopped goes on with --resume.
///
/// The settings are those of the function, from the environment or `.env`. Exit codes: 0 done, 1
/// something failed or the run stopped, 2 wrong usage, 3 a preview and nothing was changed, or
/// --status found a database behind, 130 interrupted.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The directory of the files
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Show which version each database has, and who is behind; change nothing
    #[arg(long, conflicts_with = "dry_run")]
    status: bool,
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    options: Options,
}

/// The files, applied to a database; with `versions`, only compared with it.
struct Migration<'a> {
    context: &'a Context,
    directory: &'a Directory,
    /// How many files each database has.
    versions: Option<RefCell<BTreeMap<usize, Vec<String>>>>,
}

impl Work for Migration<'_> {
    async fn perform(&self, target: &Target) -> Result<Outcome, Failure> {
        let Some(Branch { project, id, .. }) = &target.branch else {
            return Ok(Outcome::Skipped("no_database"));
        };
        let connection = self.context.fleet.organization.connect(project, id).await?;
        let mut database = Database::new(connection);
        let result = match &self.versions {
            None => database.migrate(self.directory, |_| {}).await.map(|Change { from, to }| {
                let changed = Outcome::Changed { from: from.to_string(), to: to.to_string() };
                if from == to { Outcome::Unchanged } else { changed }
            }),
            Some(versions) => database.n_applied(self.directory).await.map(|n_applied| {
                versions.borrow_mut().entry(n_applied).or_default().push(target.user.clone());
                Outcome::Unchanged
            }),
        };
        database.close().await;
        result
    }
}

pub(crate) async fn run(arguments: Arguments) -> Result<ExitCode> {
    let Arguments { directory: path, status, selection, options } = arguments;
    let directory = Directory::read(&path).await?;
    let context = Context::read()?;
    let verb = if status { "migrate --status" } else { "migrate" };
    let digest = directory.digest.clone();
    let session = Session::open(&context, verb, digest, selection, &options)?;
    let command = format!("cargo ops {verb} {}", quoted(&path));
    let selection = session.selection().clone();
    let with_templates = selection.is_everything();

    let spinner = output::spinner("asking Xata");
    let branches = context.fleet.branches().await;
    spinner.finish_and_clear();
    let branches = branches?;
    let listed: HashSet<String> = branches.iter().map(|branch| branch.id.clone()).collect();
    let templates = if with_templates { context.templates(&branches)? } else { Vec::new() };
    let Selected { targets, mut notes } = selection.select(branches)?;
    if !with_templates {
        let note = "the templates are left out, because only some databases are selected";
        notes.push(note.to_owned());
    }
    let all: Vec<_> = templates.iter().chain(&targets).cloned().collect();
    if all.is_empty() {
        bail!("there is no database to work on");
    }
    let n_lists = context.fleet.projects.iter().count() as u64;
    let n_files = output::count(directory.files.len(), "file");
    let what = if status {
        format!("compare with {n_files}")
    } else {
        format!("migrate to version {} ({n_files})", directory.newest())
    };
    let effort = Effort { what, requests: 1, fixed_requests: 2 * n_lists, wakes: true };
    let confirmed = session.confirm(&context, effort, &all, &options, notes).await?;
    let Some((ledger, before)) = confirmed else {
        return Ok(ExitCode::from(output::DRIFT));
    };
    let versions = status.then(RefCell::default);
    let migration = Migration { context: &context, directory: &directory, versions };
    let mut run = Run::new(&migration, &options, ledger, before, (&command, ""))?;
    run.phase("the templates", templates, 1).await;
    run.canary_and_rest(targets).await;
    if with_templates && !status && !run.is_stopped() {
        // A clone that was made meanwhile has the template's schema of before.
        match context.fleet.branches().await {
            Ok(mut branches) => {
                branches.retain(|branch| !listed.contains(&branch.id));
                let Selected { targets, .. } = selection.select(branches)?;
                run.phase("the databases created meanwhile", targets, options.max_failures).await;
            }
            Err(error) => run.stop(format!("those created meanwhile are not known: {error}")),
        }
    }
    let report = run.finish();
    match migration.versions {
        None => output::report(&report, options.json),
        Some(versions) => {
            output::report(&Status::new(report, &directory, versions.into_inner()), options.json)
        }
    }
}

/// Which version each database has.
#[derive(Serialize)]
struct Status {
    #[serde(flatten)]
    report: Report,
    newest: i64,
    versions: Vec<Version>,
}

#[derive(Serialize)]
struct Version {
    #[serde(rename = "version")]
    number: i64,
    /// How many files it misses.
    behind: usize,
    databases: usize,
    users: Vec<String>,
}

impl Status {
    fn new(report: Report, directory: &Directory, versions: BTreeMap<usize, Vec<String>>) -> Self {
        let versions = versions.into_iter().map(|(n_applied, users)| Version {
            number: directory.version_of(n_applied),
            behind: directory.files.len() - n_applied,
            databases: users.len(),
            users,
        });
        Self { report, newest: directory.newest(), versions: versions.collect() }
    }
}

impl output::Report for Status {
    fn text(&self) -> Vec<String> {
        let rows = self.versions.iter().map(|Version { number, behind, databases, users }| {
            let example = users.iter().take(3).cloned().collect::<Vec<_>>().join("\n");
            let example = if *behind > 0 { example } else { String::new() };
            [number.to_string(), behind.to_string(), databases.to_string(), example]
        });
        let table = output::listing(["version", "files behind", "databases", "such as"], rows);
        std::iter::once(table).chain(output::Report::text(&self.report)).collect()
    }

    fn status(&self) -> output::Status {
        match output::Report::status(&self.report) {
            output::Status::Success => {
                output::Status::drift_if(self.versions.iter().any(|it| it.behind > 0))
            }
            status => status,
        }
    }
}

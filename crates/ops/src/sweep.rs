use std::cell::RefCell;
use std::collections::HashMap;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use cli::output::{self, Status};
use http::StatusCode;
use per_user_db::clerk::UserId;
use serde::Serialize;

use crate::bulk::{self, Ledger, Options, Run, RunInfo, States, Target, Work};
use crate::context::Context;
use crate::directory::{Directory, UserLookup};
use crate::failure::Failure;
use crate::fleet::{Branch, ParkedDatabase, UnreadableProject};

/// Delete databases that have been parked for long: their users have left for good
///
/// Takes the oldest first. A database is deleted only if it still has its name parked/USER/SECONDS and
/// Clerk says that the user is gone; both are asked right before. A deletion cannot be undone, so
/// without --yes the command shows what it would delete, and changes nothing. What it deletes is
/// recorded in .ops/runs.
///
/// It needs `CLERK_SECRET_KEY`, and `CLERK_INSTANCE_ID` with the instance of that key alone: to the key
/// of another instance, every user is gone. The settings are those of the function, from the environment
/// or `.env`. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 there is something to delete, and nothing
/// was changed.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How long a database stays parked, such as 30d or 12h
    #[arg(long, default_value = "30d", value_parser = humantime::parse_duration)]
    grace: Duration,
    /// The most databases to delete in this run
    #[arg(long, default_value_t = 10, value_name = "NUMBER")]
    cap: usize,
    /// Delete them
    #[arg(long)]
    yes: bool,
    /// Print one JSON document instead of the table
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    dry_run: bool,
    /// The run whose ledger has what was deleted.
    run: Option<String>,
    rows: Vec<Row>,
}

/// A database that has been parked for longer than the grace time, and what became of it.
#[derive(Serialize)]
struct Row {
    #[serde(flatten)]
    copy: ParkedDatabase,
    #[serde(flatten)]
    outcome: Outcome,
}

#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", content = "why", rename_all = "snake_case")]
enum Outcome {
    /// It would be deleted with `--yes`.
    Planned,
    Deleted,
    /// It stays.
    Kept(String),
    /// It stays, because the cap is reached.
    BeyondCap,
    Failed(String),
    /// It may have been deleted.
    Unclear(String),
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let context = Context::read()?;
    let spinner = output::spinner("asking Xata and Clerk");
    let directory = context.only_directory().await;
    let (parked, unread) = context.fleet.parked().await;
    spinner.finish_and_clear();
    let (directory, _) = directory?;
    if let Some(UnreadableProject { project, problem }) = unread.first() {
        bail!("nothing was deleted: {project} could not be read: {problem}");
    }
    let is_old = |copy: &ParkedDatabase| copy.age() >= arguments.grace;
    let old: Vec<_> = parked.into_iter().filter(is_old).collect();
    let bar = output::bar("parked databases", old.len() as u64);
    let sweep = Sweep { context: &context, directory, outcomes: RefCell::default() };
    let mut report = Report { dry_run: !arguments.yes, run: None, rows: Vec::new() };
    let mut n_taken = 0;
    for copy in bar.wrap_iter(old.into_iter()) {
        let outcome = if n_taken >= arguments.cap {
            Outcome::BeyondCap
        } else {
            sweep.check(&copy.user_id, &copy.branch).await.err().unwrap_or(Outcome::Planned)
        };
        n_taken += usize::from(!matches!(outcome, Outcome::Kept(_) | Outcome::BeyondCap));
        report.rows.push(Row { copy, outcome });
    }
    bar.finish_and_clear();
    if arguments.yes {
        report.delete(&sweep).await?;
    }
    output::report(&report, arguments.json)
}

/// Deletes a database, after asking both services once more.
struct Sweep<'a> {
    context: &'a Context,
    directory: &'a Directory,
    /// By the ids of the databases.
    outcomes: RefCell<HashMap<String, Outcome>>,
}

impl Work for Sweep<'_> {
    async fn perform(&self, target: &Target) -> Result<bulk::Outcome, Failure> {
        let Some(branch) = &target.branch else {
            return Ok(bulk::Outcome::Skipped("no_database"));
        };
        let outcome = match self.check(&target.user, branch).await {
            Ok(()) => delete(self.context, branch).await,
            Err(stays) => stays,
        };
        self.outcomes.borrow_mut().insert(branch.id.clone(), outcome.clone());
        match outcome {
            Outcome::Failed(why) => Err(Failure::permanent("failed", why)),
            Outcome::Unclear(why) => Err(Failure::permanent("unclear", why).unclear()),
            Outcome::Deleted => {
                Ok(bulk::Outcome::Changed { from: branch.name.clone(), to: "deleted".to_owned() })
            }
            _ => Ok(bulk::Outcome::Skipped("kept")),
        }
    }
}

impl Sweep<'_> {
    /// Whether the database may be deleted now; else what follows.
    async fn check(&self, user_id: &str, branch: &Branch) -> Result<(), Outcome> {
        let Branch { project, id, name, .. } = branch;
        match self.context.fleet.organization.describe(project, id).await {
            Ok(now) if now.name == *name => {}
            Ok(_) => return Err(Outcome::Kept("it has another name now".to_owned())),
            Err(error) if error.status() == Some(StatusCode::NOT_FOUND) => {
                return Err(Outcome::Kept("it does not exist any more".to_owned()));
            }
            Err(error) => return Err(Outcome::Failed(error.to_string())),
        }
        let user_id = UserId::try_from(user_id);
        let user_id = user_id.map_err(|error| Outcome::Failed(error.to_string()))?;
        match self.directory.look_up(&user_id).await {
            UserLookup::NotFound { .. } => Ok(()),
            UserLookup::Found { .. } => {
                Err(Outcome::Kept(format!("Clerk knows the user: cargo ops unpark {user_id}")))
            }
            failed => Err(Outcome::Failed(failed.words())),
        }
    }
}

async fn delete(context: &Context, branch: &Branch) -> Outcome {
    let Branch { project, id, .. } = branch;
    let organization = &context.fleet.organization;
    let Err(error) = organization.delete_branch(project, id).await else {
        return Outcome::Deleted;
    };
    if !error.may_have_applied() {
        return Outcome::Failed(error.to_string());
    }
    match organization.describe(project, id).await {
        Ok(_) => Outcome::Failed(error.to_string()),
        Err(second) if second.status() == Some(StatusCode::NOT_FOUND) => Outcome::Deleted,
        Err(second) => Outcome::Unclear(format!("{error}; {second}")),
    }
}

impl Outcome {
    fn words(&self) -> String {
        match self {
            Self::Planned => "would be deleted".to_owned(),
            Self::Deleted => "deleted".to_owned(),
            Self::Kept(why) => format!("kept: {why}"),
            Self::BeyondCap => "kept: --cap is reached".to_owned(),
            Self::Failed(why) => format!("failed: {why}"),
            Self::Unclear(why) => format!("unclear: {why}"),
        }
    }

    fn is_error(&self) -> bool {
        matches!(self, Self::Failed(_) | Self::Unclear(_))
    }
}

impl Report {
    /// Deletes what is planned, one after the other, and keeps a ledger of it.
    async fn delete(&mut self, sweep: &Sweep<'_>) -> anyhow::Result<()> {
        let planned = self.rows.iter().filter(|row| row.outcome == Outcome::Planned);
        let targets: Vec<_> = planned
            .map(|Row { copy, .. }| Target::database(copy.user_id.clone(), copy.branch.clone()))
            .collect();
        if targets.is_empty() {
            return Ok(());
        }
        let info = RunInfo::new(sweep.context, "sweep", String::new());
        let (ledger, options) = (Ledger::create(&info)?, Options::one_by_one());
        self.run = Some(ledger.id.clone());
        let mut run = Run::new(sweep, &options, ledger, States::new(), ("cargo ops sweep", ""))?;
        run.phase("the parked databases", targets, 0).await;
        let run = run.finish_without_resume();
        let mut outcomes = sweep.outcomes.take();
        for Row { copy, outcome } in &mut self.rows {
            if let Some(done) = outcomes.remove(&copy.branch.id) {
                *outcome = done;
            } else if *outcome == Outcome::Planned {
                let why = run.stopped.as_deref().unwrap_or("the run stopped");
                *outcome = Outcome::Failed(why.to_owned());
            }
        }
        Ok(())
    }

    fn count(&self, is_it: impl Fn(&Outcome) -> bool) -> usize {
        self.rows.iter().filter(|row| is_it(&row.outcome)).count()
    }
}

impl output::Report for Report {
    fn text(&self) -> Vec<String> {
        if self.rows.is_empty() {
            return vec!["No database has been parked for so long.".to_owned()];
        }
        let rows = self.rows.iter().map(|Row { copy, outcome }| {
            let ParkedDatabase { user_id, branch, .. } = copy;
            [user_id.clone(), branch.id.clone(), copy.since_words(), outcome.words()]
        });
        let table = output::listing(["user", "database", "parked since", "what"], rows);
        let message = if self.dry_run {
            let n = self.count(|it| *it == Outcome::Planned);
            format!("{n} would be deleted. Nothing was changed: --yes deletes them.")
        } else {
            format!("{} deleted.", self.count(|it| *it == Outcome::Deleted))
        };
        vec![table, message]
    }

    fn status(&self) -> Status {
        match self.count(Outcome::is_error) {
            0 => Status::drift_if(self.count(|it| *it == Outcome::Planned) > 0),
            n => Status::Failure(format!(
                "{n} of {} could not be checked or deleted. Run this again: it looks first",
                self.rows.len()
            )),
        }
    }
}

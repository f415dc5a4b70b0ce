//! One way to work on many databases: select, show a preview, ask, run with bounds, record, resume.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `selection` | which databases |
//! | `preview` | what a run will ask, wake and cost, and the question before it |
//! | `session` | a run that is about to begin or to go on |
//! | `ledger` | what a run has done so far, on disk |
//! | `run` | the work, many databases at a time, until it is done or must stop |
//! | `report` | what a run has done, and how to go on |
//!
//! A command brings its [`Work`]. The ledger only saves work: the databases and the services are the
//! truth, so a command looks before it changes anything.

mod ledger;
mod preview;
mod report;
mod run;
mod selection;
mod session;

use std::path::Path;
use std::time::Duration;

use crate::failure::Failure;
use crate::fleet::Branch;

pub(crate) use self::ledger::{Ledger, RunInfo, States};
pub(crate) use self::preview::{Effort, Preview, is_confirmed};
pub(crate) use self::report::Report;
pub(crate) use self::run::Run;
pub(crate) use self::selection::{Selected, Selection, for_each_line, spread};
pub(crate) use self::session::Session;

/// How a run goes.
#[derive(clap::Args)]
#[command(next_help_heading = "Run")]
pub(crate) struct Options {
    /// How many databases to work on at the same time
    #[arg(long, value_name = "NUMBER", default_value_t = 8, value_parser = at_least_one)]
    pub(crate) parallel: usize,
    /// How many databases come first, alone: one failure among them stops the run [0: none]
    #[arg(long, value_name = "NUMBER", default_value_t = 5)]
    pub(crate) canary: usize,
    /// After how many failures the run stops [0: never]
    #[arg(long, value_name = "NUMBER", default_value_t = 10)]
    pub(crate) max_failures: usize,
    /// How often a failure that may pass is tried again
    #[arg(long, value_name = "NUMBER", default_value_t = 2)]
    pub(crate) retries: u32,
    /// The time for one database, such as 90s or 10m
    #[arg(long, default_value = "10m", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(crate) timeout: Duration,
    /// Go on with a run that stopped: it leaves out what is done
    #[arg(long, value_name = "RUN")]
    pub(crate) resume: Option<String>,
    /// Show what would be done, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask before the run
    #[arg(long)]
    pub(crate) yes: bool,
    /// Print one JSON document instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

impl Options {
    /// For a command that asks in its own way, and works on one target after the other.
    pub(crate) fn one_by_one() -> Self {
        Self {
            parallel: 1,
            canary: 0,
            max_failures: 0,
            retries: 0,
            timeout: Duration::from_mins(10),
            resume: None,
            dry_run: false,
            yes: true,
            json: true,
        }
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("it must be a number from 1 on".to_owned()),
        Ok(number) => Ok(number),
    }
}

/// What a run works on: a database, or a user who may have none yet.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// The id of the user; the name of a template.
    pub(crate) user: String,
    pub(crate) branch: Option<Branch>,
    pub(crate) region: Option<String>,
}

impl Target {
    pub(crate) fn database(user: String, branch: Branch) -> Self {
        Self { user, region: Some(branch.region.clone()), branch: Some(branch) }
    }

    /// What no other target of a run has.
    pub(crate) fn key(&self) -> &str {
        self.branch.as_ref().map_or(&self.user, |branch| &branch.id)
    }
}

/// What the work on one target led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Something was changed, from one version or state to another.
    Changed { from: String, to: String },
    /// Everything was as it should be.
    Unchanged,
    /// It is left out, for this reason in snake case.
    Skipped(&'static str),
}

/// What a command does with one target.
pub(crate) trait Work {
    /// Whether the work can be done again after a crash in the middle of it, because it looks first.
    fn is_repeatable(&self) -> bool {
        true
    }

    async fn perform(&self, target: &Target) -> Result<Outcome, Failure>;
}

/// A path as a word of a command line.
pub(crate) fn quoted(path: &Path) -> String {
    shell_words::quote(&path.to_string_lossy()).into_owned()
}

//! `ops setup` without a verb: from the keys to the first delivery. Each answer is stored at once, so
//! an interruption loses nothing, and another run goes on from there.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `settings` | the settings to ask for, where each is found, and its check |
//! | `files` | `.env`, and how a file is replaced |
//! | `samconfig` | the parameters in samconfig.toml |
//! | `flow` | the order of the steps, and the keys |
//! | `steps` | the steps after the keys |
//! | `report` | the output |

mod files;
mod flow;
mod report;
mod samconfig;
mod settings;
mod steps;

use std::io::{IsTerminal, stderr, stdin};
use std::path::PathBuf;
use std::process::ExitCode;

use cli::output;

use self::flow::Flow;

#[derive(clap::Args)]
#[group(skip)]
pub(super) struct Arguments {
    /// The directory of the schema: files such as `1_create_notes.sql`, in the order of their numbers
    #[arg(long, value_name = "DIR")]
    schema: Option<PathBuf>,
    /// Ask nothing: every value comes from the environment or `.env`
    #[arg(long)]
    yes: bool,
    /// Show what would be done, ask nothing and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON document at the end
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let as_json = arguments.json;
    let mode = match (arguments.dry_run, arguments.yes) {
        (true, _) => Mode::DryRun,
        (false, false) if stdin().is_terminal() && stderr().is_terminal() => Mode::Ask,
        _ => Mode::Given,
    };
    let mut flow = Flow::new(arguments, mode)?;
    flow.run().await?;
    output::report(&flow.report, as_json)
}

/// Where values come from that neither the environment nor `.env` has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// The operator is asked.
    Ask,
    /// Nothing is asked.
    Given,
    /// Nothing is asked or changed.
    DryRun,
}

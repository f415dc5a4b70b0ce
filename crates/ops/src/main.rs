//! `cargo ops`: what an operator runs, against the services that the settings name. It links no
//! stand-in.
//!
//! | file | command |
//! | --- | --- |
//! | `setup` | `cargo ops setup`: from the keys to Xata's templates, the deployment's parameters and Hookdeck's connection |
//! | `doctor` | `cargo ops doctor`: every setting, key, region, template and quota, checked |
//! | `user` | `cargo ops user`: one user's state at Clerk and in Xata |
//! | `parked` | `cargo ops parked`: the parked databases of all users |
//! | `unpark` | `cargo ops unpark`: gives a parked database back |
//! | `sweep` | `cargo ops sweep`: deletes those that have been parked for long |
//! | `migrate` | `cargo ops migrate`: SQL files, applied to the databases of all users |
//! | `each` | `cargo ops each`: a program, run once for each database |
//! | `backfill` | `cargo ops backfill`: a database for every user at Clerk |
//! | `audit` | `cargo ops audit`: all users and all databases, compared and repaired |
//! | `transfer` | `cargo ops transfer`: a database, handed to another user |
//! | `export` | `cargo ops export`: a user's data, in a file |
//!
//! `bulk` is the way in which a command works on many databases. `reconcile` compares users and
//! databases. `migrations` knows the files of a schema, `postgres` a connection to a database, and
//! `child` a program that works on one. `organization` is the client of Xata's platform, `directory`
//! that of Clerk, and `fleet` finds databases in all projects. They send through `service`, whose
//! errors say what to check; `failure` is an error in the work on one of many databases. `context`
//! reads the settings for the commands about users, and `prompt` asks on the terminal.

mod audit;
mod backfill;
mod bulk;
mod child;
mod context;
mod directory;
mod doctor;
mod each;
mod export;
mod failure;
mod fleet;
mod migrate;
mod migrations;
mod organization;
mod parked;
mod postgres;
mod prompt;
mod reconcile;
mod service;
mod setup;
mod sweep;
mod transfer;
mod unpark;
mod user;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Set up, check and repair the services around per-user-db
///
/// Exit codes: 0 done, 1 failed, 2 wrong usage, 3 a check or a dry run found something to do and
/// changed nothing.
#[derive(Parser)]
#[command(name = "cargo ops", bin_name = "cargo ops", version)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Setup(setup::Arguments),
    Doctor(doctor::Arguments),
    User(user::Arguments),
    Parked(parked::Arguments),
    Unpark(unpark::Arguments),
    Sweep(sweep::Arguments),
    Migrate(migrate::Arguments),
    Each(each::Arguments),
    Backfill(backfill::Arguments),
    Audit(audit::Arguments),
    Export(export::Arguments),
    Transfer(transfer::Arguments),
    #[command(hide = true)]
    Dev(Moved),
    #[command(hide = true)]
    Standins(Moved),
    #[command(hide = true)]
    Send(Moved),
    #[command(hide = true)]
    Simulate(Moved),
    #[command(hide = true)]
    Events(Moved),
}

/// The arguments of a command that moved.
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
struct Moved {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    _arguments: Vec<OsString>,
}

fn main() -> ExitCode {
    let result = match CommandLine::parse().command {
        Command::Setup(arguments) => cli::block_on(setup::run(arguments)),
        Command::Doctor(arguments) => cli::block_on(doctor::run(arguments)),
        Command::User(arguments) => cli::block_on(user::run(arguments)),
        Command::Parked(arguments) => cli::block_on(parked::run(arguments)),
        Command::Unpark(arguments) => cli::block_on(unpark::run(arguments)),
        Command::Sweep(arguments) => cli::block_on(sweep::run(arguments)),
        Command::Migrate(arguments) => cli::block_on(migrate::run(arguments)),
        Command::Each(arguments) => cli::block_on(each::run(arguments)),
        Command::Backfill(arguments) => cli::block_on(backfill::run(arguments)),
        Command::Audit(arguments) => cli::block_on(audit::run(arguments)),
        Command::Export(arguments) => cli::block_on(export::run(arguments)),
        Command::Transfer(arguments) => cli::block_on(transfer::run(arguments)),
        Command::Dev(_) => moved("cargo dev"),
        Command::Standins(_) => moved("cargo dev standins"),
        Command::Send(_) => moved("cargo dev send"),
        Command::Simulate(_) => moved("cargo dev simulate"),
        Command::Events(_) => moved("cargo dev events"),
    };
    cli::exit("cargo ops", result)
}

/// Names the new place of a command that moved.
#[expect(clippy::unnecessary_wraps, reason = "as every command")]
fn moved(command: &str) -> anyhow::Result<ExitCode> {
    cli::output::note(format_args!("cargo ops: this command is now `{command}`"));
    Ok(ExitCode::from(2))
}

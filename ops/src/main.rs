//! `ops`, the companion tool: everything around the function that must never be linked into it.
//!
//! | file | command |
//! | --- | --- |
//! | `dev` | `ops dev`: the stand-ins and the function in one process, and sample sign-ups |
//! | `standins` | `ops standins`: the stand-ins alone, for `cargo lambda watch` |
//! | `send` | `ops send`: one event, signed and delivered as Hookdeck does |
//! | `simulate` | `ops simulate`: sign-ups by the thousand, while things go wrong by chance |
//! | `events` | `ops events`: the files in `events/`, made anew |
//! | `user` | `ops user`: what is known of one user |
//! | `unpark` | `ops unpark`: a parked database, given back |
//! | `setup` | `ops setup`: the services around the function, set up |
//! | `doctor` | `ops doctor`: every setting, key, region, template and quota, checked |
//!
//! `local` is the world that the stand-ins make up, and `server` puts the function on a socket.
//!
//! `live` is the world that the settings name: `organization`, what there is at Xata; `fleet`, the
//! databases of all projects; and `directory`, what Clerk knows of a user. All ask through `service`,
//! which says what to check where something is in the way.

mod dev;
mod directory;
mod doctor;
mod events;
mod fleet;
mod live;
mod local;
mod organization;
mod send;
mod server;
mod service;
mod setup;
mod simulate;
mod standins;
mod unpark;
mod user;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The companion tool of per-user-db.
///
/// Exit codes: 0 done, 1 failed, 2 wrong usage, 3 something is not as it should be: a dry run or a look
/// has found it, and changed nothing.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// The exit code of a look that found something to do.
pub(crate) const DRIFT: u8 = 3;

#[derive(Subcommand)]
enum Command {
    Dev(dev::Arguments),
    Standins(standins::Arguments),
    Send(send::Arguments),
    Simulate(simulate::Arguments),
    Events(events::Arguments),
    User(user::Arguments),
    Unpark(unpark::Arguments),
    Setup(setup::Arguments),
    Doctor(doctor::Arguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.command {
        Command::Dev(arguments) => wait_for(dev::run(arguments)),
        Command::Standins(arguments) => wait_for(standins::run(arguments)),
        Command::Send(arguments) => wait_for(send::run(arguments)),
        Command::Simulate(arguments) => simulate::run(&arguments),
        Command::Events(arguments) => events::run(&arguments),
        Command::User(arguments) => wait_for(user::run(arguments)),
        Command::Unpark(arguments) => wait_for(unpark::run(arguments)),
        Command::Setup(arguments) => wait_for(setup::run(arguments)),
        Command::Doctor(arguments) => wait_for(doctor::run(arguments)),
    };
    match done {
        Ok(code) => code,
        // Whoever reads the output has had enough of it.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn wait_for(command: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(command)
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<std::io::Error>();
    error.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

#[expect(clippy::print_stderr, reason = "a command line tool speaks to a person")]
fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("ops: {error:#}");
    ExitCode::FAILURE
}

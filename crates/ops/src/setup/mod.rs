//! `ops setup`: the services around the function, set up so that running it again changes nothing.
//! Without a verb it asks, and runs the verbs.

mod guided;
pub(crate) mod hookdeck;
mod secrets;
mod xata;

use std::process::ExitCode;

/// Set up the services around the function; run again, it goes on where it stopped
///
/// Without a verb it asks for the keys one after the other, checks each with its service, and writes
/// each answer to `.env` at once. It runs `setup xata`, writes the parameters of `sam deploy` to
/// samconfig.toml, and tells the commands that deploy. Run after the deployment, it asks for the
/// function's URL, runs `setup hookdeck`, and tells what to do at Clerk. What `.env` or the environment
/// has already is checked and kept. It never prints a secret.
///
/// Without a terminal, or with --yes, nothing is asked: a missing value is listed with its source, and
/// nothing is set up.
///
/// Exit codes: 0 done as far as it goes without you, 1 failed, 2 wrong usage, 3 a dry run found
/// something to do, or values are missing and nothing was set up.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    guided: guided::Arguments,
}

#[derive(clap::Subcommand)]
enum Command {
    Hookdeck(hookdeck::Arguments),
    Secrets(secrets::Arguments),
    Xata(xata::Arguments),
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    match arguments.command {
        None => guided::run(arguments.guided).await,
        Some(Command::Hookdeck(arguments)) => hookdeck::run(arguments).await,
        Some(Command::Secrets(arguments)) => secrets::run(arguments),
        Some(Command::Xata(arguments)) => xata::run(arguments).await,
    }
}

//! `ops setup`: the services around the function, set up so that running it again changes nothing.

pub(crate) mod hookdeck;
mod xata;

use std::process::ExitCode;

/// Set up the services around the function; run again, it changes only what differs
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Hookdeck(hookdeck::Arguments),
    Xata(xata::Arguments),
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    match arguments.command {
        Command::Hookdeck(arguments) => hookdeck::run(arguments).await,
        Command::Xata(arguments) => xata::run(arguments).await,
    }
}

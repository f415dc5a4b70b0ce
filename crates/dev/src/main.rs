//! `cargo dev`: what a developer runs. The function never links any of it.
//!
//! | module | command |
//! | --- | --- |
//! | `stack` | `cargo dev`: the function and the stand-ins in one process, and sample sign-ups |
//! | `standins` | `cargo dev standins`: the stand-ins alone, for `cargo lambda watch` |
//! | `send` | `cargo dev send`: one event, signed and delivered as Hookdeck does |
//! | `events` | `cargo dev events`: writes the files in `events/` |
//! | `simulate` | `cargo dev simulate`: thousands of sign-ups, with faults drawn from a seed |
//! | `scale` | `cargo dev scale`: sign-ups at a rate, against the limits of all services, and what they cost |
//! | `bench` | `cargo dev bench`: what the function costs, beside an empty one |
//!
//! `console` is the page that `cargo dev` serves; `plot` draws the charts of `bench` and `scale`.
//! `services` makes the stand-ins of Xata and Clerk; `server` puts the function behind a Function
//! URL.

mod bench;
mod console;
mod events;
mod plot;
mod scale;
mod send;
mod server;
mod services;
mod simulate;
mod stack;
mod standins;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Try per-user-db on this machine: the function with stand-ins of Xata, Clerk and Hookdeck
///
/// Without a command, it sends sample events through Hookdeck's delivery engine, a dozen sign-ups
/// from around the world and one deletion, and shows a table of the results. Then it serves the
/// function on port 9000, at / and at /webhooks/clerk, for `hookdeck listen` or curl, and a console on
/// port 4000, which shows what happens.
///
/// Example: cargo dev --once --api lite
#[derive(Parser)]
#[command(name = "cargo dev", bin_name = "cargo dev", version)]
#[command(args_conflicts_with_subcommands = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    stack: stack::Arguments,
}

#[derive(Subcommand)]
enum Command {
    Standins(standins::Arguments),
    Send(send::Arguments),
    Events(events::Arguments),
    Simulate(simulate::Arguments),
    Scale(scale::Arguments),
    Bench(bench::Arguments),
}

fn main() -> ExitCode {
    let arguments = CommandLine::parse();
    let result = match arguments.command {
        None => cli::block_on(stack::run(arguments.stack)),
        Some(Command::Standins(arguments)) => cli::block_on(standins::run(arguments)),
        Some(Command::Send(arguments)) => cli::block_on(send::run(arguments)),
        Some(Command::Events(arguments)) => events::run(&arguments),
        Some(Command::Simulate(arguments)) => simulate::run(&arguments),
        Some(Command::Scale(arguments)) => scale::run(&arguments),
        Some(Command::Bench(arguments)) => cli::block_on(bench::run(arguments)),
    };
    cli::exit("cargo dev", result)
}

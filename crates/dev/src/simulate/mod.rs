mod counts;
mod faults;
mod fixture;
mod invariants;
mod ledger;
pub(crate) mod load;
mod record;
mod report;
mod run;
mod scenario;
#[cfg(test)]
mod tests;
mod users;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use anyhow::bail;
use cli::output;
use indicatif::ParallelProgressIterator;
use rayon::iter::{IntoParallelIterator, ParallelIterator};

pub(crate) use self::run::{RETRY_COUNT, runtime};

use self::counts::Counts;
use self::ledger::Ledger;
use self::report::{Failure, Report};
use self::scenario::{Plan, Scenario};

/// Simulate sign-ups and deletions with faults: Hookdeck's engine, the function, and the stand-ins of
/// Xata and Clerk, on a clock that jumps
///
/// Each seed draws its own scenario: the API, the projects, how Xata behaves, the faults. A run ends
/// when Hookdeck has nothing left to deliver. Then every remaining user must have exactly one
/// database, in the right region; every deleted user must have none; and no response may have been
/// false. One case is only counted, "left behind": see docs/reliability.md.
///
/// The same seed with the same options prints the same bytes. Use a release build for more than a
/// few thousand users: cargo run --release --package dev -- simulate
///
/// Example: cargo dev simulate --seed 12 --faults 20
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How many seeds to run
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    seeds: u64,
    /// Run only this seed, and show what happened to each user
    #[arg(long, conflicts_with = "seeds")]
    seed: Option<u64>,
    #[command(flatten)]
    plan: Plan,
    /// Keep a ledger in .ops/runs, which the console of `cargo dev` shows while the seeds run
    #[arg(long)]
    watch: bool,
    /// Print one JSON document instead of the table
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let (plan, with_trace) = (arguments.plan, arguments.seed.is_some());
    let seeds: Vec<_> = match arguments.seed {
        Some(seed) => vec![seed],
        None => (0..arguments.seeds).collect(),
    };
    let n_seeds = seeds.len() as u64;
    let ledger = arguments.watch.then(|| Ledger::create(n_seeds)).transpose()?;
    let runs = seeds.into_par_iter().progress_with(output::bar("seeds", n_seeds)).map(|seed| {
        let simulate = || run::simulate(Scenario::draw(seed, plan), with_trace);
        let run = catch_unwind(AssertUnwindSafe(simulate));
        let run = run.unwrap_or_else(|_| bail!("a panic; its message is above"));
        if let Some(ledger) = &ledger {
            match &run {
                Ok(run) => ledger.ended(seed, &run.violations),
                Err(error) => ledger.ended(seed, &[format!("{error:#}")]),
            }
        }
        (seed, run)
    });
    let (mut counts, mut failures, mut trace) = (Counts::default(), Vec::new(), None);
    // In the order of the seeds, whatever the order in which the runs ended.
    for (seed, run) in runs.collect::<Vec<_>>() {
        let violations = match run {
            Ok(run) => {
                counts.add(run.counts);
                trace = run.trace;
                run.violations
            }
            Err(error) => vec![format!("{error:#}")],
        };
        if !violations.is_empty() {
            failures.push(Failure { seed, violations, replay: plan.replay(seed) });
        }
    }
    let report = Report::new(plan, n_seeds, counts, failures, trace);
    if let Some(ledger) = &ledger {
        ledger.report(&report);
    }
    report.print(arguments.json)?;
    Ok(output::holds(report.holds()))
}

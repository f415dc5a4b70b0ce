mod counts;
mod faults;
mod fixture;
mod invariants;
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

use self::counts::Counts;
use self::report::{Failure, Report, Trace};
use self::run::SimulationRun;
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
    /// How many users sign up in each run
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    users: u32,
    /// The percentage of calls to Xata and Clerk, and of deliveries, that have a fault
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u8).range(0..=50))]
    faults: u8,
    /// How many deliveries Hookdeck keeps open at a time; the README sets up two
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    concurrency: u32,
    /// For how many hours Xata is down, from the first sign-up on. It responds with `Retry-After: 30`
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=168))]
    outage_hours: Option<u8>,
    /// Print one JSON document instead of the table
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let seeds = match arguments.seed {
        Some(seed) => vec![seed],
        None => (0..arguments.seeds).collect(),
    };
    let report = arguments.simulate(seeds);
    report.print(arguments.json)?;
    Ok(output::holds(report.holds()))
}

impl Arguments {
    fn plan(&self) -> Plan {
        Plan {
            users: self.users as usize,
            faults_per_cent: self.faults,
            concurrency: self.concurrency as usize,
            outage_hours: self.outage_hours,
        }
    }

    /// Runs the seeds in parallel; the report does not depend on their order.
    fn simulate(&self, seeds: Vec<u64>) -> Report {
        let n_seeds = seeds.len() as u64;
        let (mut counts, mut failures, mut trace) = (Counts::default(), Vec::new(), None);
        let runs = seeds.into_par_iter().progress_with(output::bar("seeds", n_seeds));
        for (seed, run) in runs.map(|seed| (seed, self.simulate_one(seed))).collect::<Vec<_>>() {
            let violations = match run {
                Ok(SimulationRun { counts: of_run, user_traces, violations }) => {
                    counts.add(of_run);
                    trace = self.seed.map(|seed| Trace {
                        scenario: Scenario::draw(seed, self.plan()).describe(),
                        users: user_traces,
                    });
                    violations
                }
                Err(error) => vec![format!("{error:#}")],
            };
            if !violations.is_empty() {
                failures.push(Failure { seed, violations, replay: self.replay(seed) });
            }
        }
        Report::new(self.plan(), n_seeds, counts, failures, trace)
    }

    fn simulate_one(&self, seed: u64) -> anyhow::Result<SimulationRun> {
        let scenario = Scenario::draw(seed, self.plan());
        let with_traces = self.seed.is_some();
        let run = catch_unwind(AssertUnwindSafe(|| run::simulate(scenario, with_traces)));
        run.unwrap_or_else(|_| bail!("a panic; its message is above"))
    }

    /// The command that repeats the run of this seed.
    fn replay(&self, seed: u64) -> String {
        let Self { users, faults, concurrency, .. } = self;
        let outage = self.outage_hours.map(|it| format!(" --outage-hours {it}"));
        let outage = outage.unwrap_or_default();
        format!(
            "cargo dev simulate --seed {seed} --users {users} --faults {faults} \
             --concurrency {concurrency}{outage}"
        )
    }
}

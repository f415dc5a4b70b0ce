mod judge;
mod ledger;
mod mishap;
mod people;
mod report;
mod scenario;
mod stage;
mod tally;
#[cfg(test)]
mod tests;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use anyhow::bail;
use indicatif::{ParallelProgressIterator, ProgressBar, ProgressStyle};
use rayon::iter::{IntoParallelIterator, ParallelIterator};

use self::report::{Failure, Report, Told};
use self::scenario::{Plan, Scenario};
use self::tally::Tally;
use self::world::Played;

/// Play sign-ups, and people who leave, through Hookdeck's engine, the function and the stand-ins
/// of Xata and Clerk, on a clock that jumps, while things go wrong by chance
///
/// Each seed is a world of its own: another API, other projects, another temper of Xata's, other
/// faults. It ends when Hookdeck has nothing left to deliver, and then everybody who stayed must
/// have exactly one database, in the right region; who left must have none; and nobody may have
/// been told so falsely. One case is counted instead, "left behind": docs/reliability.md says which.
/// The same seed with the same options prints the same bytes. Use a release build for more than a
/// few thousand users: cargo run --release --package dev -- simulate
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How many worlds to play
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    seeds: u64,
    /// Play this one only, and tell what happened to each user
    #[arg(long, conflicts_with = "seeds")]
    seed: Option<u64>,
    /// How many people sign up in each world
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    users: u32,
    /// How many of a hundred calls to Xata and Clerk, and of a hundred deliveries, go wrong
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u8).range(0..=50))]
    faults: u8,
    /// How many deliveries Hookdeck keeps open at a time; the README sets up two
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    concurrency: u32,
    /// Xata is down for so many hours from the first sign-up on, and asks to be tried again after 30
    /// seconds all along
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=168))]
    outage_hours: Option<u8>,
    /// Print one JSON document instead of the table
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let seeds: Vec<_> = match arguments.seed {
        Some(seed) => vec![seed],
        None => (0..arguments.seeds).collect(),
    };
    let bar = ProgressBar::new(seeds.len() as u64)
        .with_style(ProgressStyle::with_template("worlds {wide_bar} {pos}/{len}, {eta} left")?);
    let report = arguments.play(seeds, bar);
    report.print(arguments.json)?;
    Ok(if report.all_is_well() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
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

    /// Plays these worlds, several at a time; in which order changes nothing.
    fn play(&self, seeds: Vec<u64>, bar: ProgressBar) -> Report {
        let n_seeds = seeds.len() as u64;
        let worlds =
            seeds.into_par_iter().progress_with(bar).map(|seed| (seed, self.play_one(seed)));
        let (mut tally, mut failures) = (Tally::default(), Vec::new());
        let mut told = None;
        for (seed, world) in worlds.collect::<Vec<_>>() {
            let wrong = match world {
                Ok(Played { world, tally: its, stories, wrong }) => {
                    tally.add(its);
                    told = self.seed.map(|_| Told { world, stories });
                    wrong
                }
                Err(error) => vec![format!("{error:#}")],
            };
            if !wrong.is_empty() {
                failures.push(Failure { seed, wrong, replay: self.replay(seed) });
            }
        }
        Report::new(self.plan(), n_seeds, tally, failures, told)
    }

    fn play_one(&self, seed: u64) -> anyhow::Result<Played> {
        let scenario = Scenario::draw(seed, self.plan());
        let tells = self.seed.is_some(); // of thousands of worlds, nobody reads the stories
        let played = catch_unwind(AssertUnwindSafe(|| world::play(scenario, tells)));
        played.unwrap_or_else(|_| bail!("a panic; its text is above"))
    }

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

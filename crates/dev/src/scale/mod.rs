//! `cargo dev scale`: a load against the limits of the services.

mod backlog;
mod cost;
mod limits;
mod plan;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use cli::output;
use indicatif::HumanCount;
use serde::Serialize;

pub(crate) use self::limits::{Limits, Load};

use self::plan::Plan;
use crate::simulate::load::{self, LoadRun, Sample};

/// How many rows the table of a simulation has at most.
const MAX_ROWS: usize = 24;

/// How many sign-ups get through Hookdeck, Lambda, Clerk and Xata, how long the others wait, and what
/// they cost
///
/// Without limits on the command line, they are the largest that are known; docs/scale.md has their
/// sources, and the results for four loads.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Plan(PlanArguments),
    Simulate(SimulateArguments),
    Cost(cost::Arguments),
}

/// What a load needs of each service, what it exceeds first, and how long the backlog takes
///
/// Arithmetic only, in no time. Without --sign-ups and --within: 10, 1,000 and 10,000 a second for an
/// hour, and 100,000 in ten minutes.
///
/// Example: cargo dev scale plan --creations-per-hour 10000 --delivery 10000/hour
#[derive(clap::Args)]
struct PlanArguments {
    #[command(flatten)]
    load: Option<Load>,
    #[command(flatten)]
    limits: Limits,
    /// Print one JSON document instead of the table
    #[arg(long)]
    json: bool,
}

/// Let the sign-ups go through Hookdeck's engine, the function, and the stand-ins of Xata and Clerk with
/// these limits, on a clock that jumps
///
/// It ends when Hookdeck has nothing left to deliver, or after 30 days. Every user has one database at
/// most, and exactly one where the sign-up was acknowledged; otherwise the exit code is 1. The same
/// options print the same bytes. Use a release build for more than a few thousand sign-ups: cargo run
/// --release --package dev -- scale simulate
///
/// Example: cargo dev scale simulate --sign-ups 300 --within 1m --creations-per-hour 100 --delivery 100/hour
#[derive(clap::Args)]
struct SimulateArguments {
    #[command(flatten)]
    load: Load,
    #[command(flatten)]
    limits: Limits,
    /// Draw the backlog over time into this file, as SVG
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Print one JSON document instead of the table
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    match &arguments.command {
        Command::Plan(arguments) => plan(arguments),
        Command::Simulate(arguments) => simulate(arguments),
        Command::Cost(arguments) => cost::run(arguments),
    }
}

fn plan(arguments: &PlanArguments) -> anyhow::Result<ExitCode> {
    let hourly = |rate: u32| Load { sign_ups: rate * 3600, within_seconds: 3600 };
    let spike = Load { sign_ups: 100_000, within_seconds: 600 };
    let loads = match arguments.load {
        Some(load) => vec![load],
        None => vec![hourly(10), hourly(1_000), hourly(10_000), spike],
    };
    let plans: Vec<_> = loads.into_iter().map(|it| Plan::new(it, &arguments.limits)).collect();
    if arguments.json {
        output::json(&plans)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = output::table();
    let row = |name: &str, limit: String, cell: &dyn Fn(&Plan) -> String| {
        let cells = plans.iter().map(cell);
        [name.to_owned(), limit].into_iter().chain(cells).collect::<Vec<_>>()
    };
    table.set_header(row("", "limit".into(), &|it| {
        format!("{} in {}", count(f64::from(it.load.sign_ups)), time(it.load.within_seconds.into()))
    }));
    for index in 0..plans[0].stages.len() {
        let stage = &plans[0].stages[index];
        table.add_row(row(stage.name, count(stage.has), &|it| {
            let stage = &it.stages[index];
            let ratio = stage.ratio();
            let times = if ratio > 1.0 { format!(" ({} ×)", count(ratio)) } else { String::new() };
            format!("{}{times}", count(stage.needs))
        }));
    }
    let last = [
        ("sign-ups a second", (|it| count(it.load.rate())) as fn(&Plan) -> String),
        ("sign-ups a second that get through", |it| count(it.capacity.min(it.load.rate()))),
        ("exceeded most", |it| it.breaks_first().map_or("nothing", |it| it.name).to_owned()),
        ("waiting after the last sign-up", |it| count(it.waiting)),
        ("refused most, until retries run out", |it| it.refused_by.unwrap_or("nothing").to_owned()),
        ("done by retries alone, of a spike", |it| count(it.by_retries)),
        ("done if Hookdeck paces and Xata has room", |it| time(it.seconds)),
        ("Xata: projects, so that none waits", |it| count(it.projects_needed)),
        ("with so many, a late delivery takes", |it| time(it.late_delivery_seconds)),
        ("Xata: organizations, so that none waits", |it| count(it.organizations_needed)),
    ];
    for (name, cell) in last {
        table.add_row(row(name, String::new(), &cell));
    }
    output::line(table)?;
    Ok(ExitCode::SUCCESS)
}

#[derive(Serialize)]
struct Report<'a> {
    load: Load,
    limits: &'a Limits,
    /// What the arithmetic says.
    plan: Plan,
    #[serde(flatten)]
    run: LoadRun,
    seconds_waited: SecondsWaited,
}

#[derive(Serialize)]
struct SecondsWaited {
    median: u64,
    longest: u64,
}

fn simulate(arguments: &SimulateArguments) -> anyhow::Result<ExitCode> {
    let SimulateArguments { load, limits, .. } = arguments;
    let bar = output::bar("sign-ups", load.sign_ups.into());
    let run = load::run(*load, limits, &bar)?;
    bar.finish_and_clear();
    if let Some(path) = &arguments.plot {
        backlog::draw(path, &run.samples)?;
    }
    let waited = |index: usize| run.waits.get(index).map_or(0, Duration::as_secs);
    let n_done = run.waits.len();
    let seconds_waited =
        SecondsWaited { median: waited(n_done / 2), longest: waited(n_done.saturating_sub(1)) };
    let holds = run.violations.is_empty();
    let report =
        Report { load: *load, limits, plan: Plan::new(*load, limits), run, seconds_waited };
    if arguments.json {
        output::json(&report)?;
    } else {
        report.print()?;
    }
    Ok(output::holds(holds))
}

impl Report<'_> {
    fn print(&self) -> anyhow::Result<()> {
        let LoadRun { samples, responses, creates, look_ups, clerk_requests, violations, .. } =
            &self.run;
        let header = ["after", "signed up", "waiting", "done", "given up", "deliveries"];
        let step = samples.len().div_ceil(MAX_ROWS).max(1);
        let last = samples.len() - 1;
        let rows =
            samples.iter().enumerate().filter(|(index, _)| index % step == 0 || *index == last);
        let number = |n: u64| HumanCount(n).to_string();
        output::line(output::listing(
            header.map(Into::into),
            rows.map(|(_, it)| {
                let counts =
                    [it.signed_up, it.waiting(), it.acknowledged, it.given_up, it.deliveries];
                let [signed_up, waiting, done, given_up, deliveries] = counts.map(number);
                [whole_time(it.seconds), signed_up, waiting, done, given_up, deliveries]
            }),
        ))?;
        let mut table = output::table();
        let end: Sample = samples[last];
        for (name, n) in [
            ("creates at Xata", *creates),
            ("look-ups at Xata", *look_ups),
            ("requests to Clerk", *clerk_requests),
            ("429 by Lambda", end.throttled),
        ] {
            table.add_row([name, &number(n)]);
        }
        for (response, n) in responses {
            table.add_row([response, &number(*n)]);
        }
        table.add_row(["wait, median", &whole_time(self.seconds_waited.median)]);
        table.add_row(["wait, longest", &whole_time(self.seconds_waited.longest)]);
        output::line(table)?;
        for violation in violations {
            output::line(format_args!("broken: {violation}"))?;
        }
        if violations.is_empty() {
            output::line(format_args!(
                "{} sign-ups are acknowledged, each with exactly one database; Hookdeck has given up {}, and {} wait. No user has two.",
                number(end.acknowledged),
                number(end.given_up),
                number(end.waiting()),
            ))?;
        }
        Ok(())
    }
}

/// A number without more digits than it needs.
fn count(number: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is rounded")]
    if number < 10.0 && number.fract() > 0.005 {
        let text = format!("{number:.2}");
        text.trim_end_matches('0').to_owned()
    } else {
        HumanCount(number.round() as u64).to_string()
    }
}

fn time(seconds: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is rounded")]
    whole_time(seconds.round() as u64)
}

/// The two largest units of a time, such as `8d 8h`.
fn whole_time(seconds: u64) -> String {
    let units = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    let mut rest = seconds;
    let parts = units.map(|(size, unit)| {
        let n = rest / size;
        rest %= size;
        (n, unit)
    });
    let first = parts.iter().position(|(n, _)| *n > 0).unwrap_or(3);
    let shown = parts.iter().skip(first).take(2).filter(|(n, _)| *n > 0);
    let text: Vec<_> = shown.map(|(n, unit)| format!("{n}{unit}")).collect();
    if text.is_empty() { "0s".to_owned() } else { text.join(" ") }
}

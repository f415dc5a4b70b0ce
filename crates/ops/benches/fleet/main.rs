//! Measures the commands about many databases, and kills them: `cargo bench --workspace --profile dev
//! --bench fleet`, on Linux, with a PostgreSQL server in `STANDIN_POSTGRES`, which `.ci/postgres.sh start`
//! starts.
//!
//! The real `ops` runs as a program, in an empty directory, against the stand-ins of Xata and Clerk and
//! PostgreSQL databases.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `world` | users with their databases, and the program |
//! | `report` | the table, the document, and what fails |
//! | `requests`, `parallel`, `memory`, `kills`, `sqlx`, `thousand` | the sections |
#![allow(clippy::unwrap_used, reason = "a benchmark fails loudly")]

mod kills;
mod memory;
mod parallel;
mod report;
mod requests;
mod sqlx;
#[path = "../../../cli/tests/support/mod.rs"]
#[allow(dead_code, reason = "shared with tests, which use more of it")]
mod support;
mod thousand;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use cli::output;
use standin::xata::platform::postgres::VARIABLE;

use self::report::Report;

#[derive(Parser)]
#[command(name = "fleet", about = "Measures the commands about many databases, and kills them")]
struct Arguments {
    /// The sections [default: all but `thousand`]
    #[arg(value_enum, value_name = "SECTION")]
    sections: Vec<Section>,
    /// How many databases each section has; `memory` has ten times as many users in Clerk's lists
    #[arg(long, value_name = "NUMBER")]
    databases: Option<u64>,
    /// The sqlx command line, where it is not on the PATH
    #[arg(long, value_name = "PATH", default_value = "sqlx")]
    sqlx: PathBuf,
    /// Print one JSON document instead of the table
    #[arg(long)]
    json: bool,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Section {
    /// Requests to Xata's API, beside what docs/fleet.md promises
    Requests,
    /// Databases a second over a link with a round trip of 20 ms
    Parallel,
    /// The peak of resident memory, and whether time is linear
    Memory,
    /// `kill -9` at half, 20 times: every file is applied once
    Kills,
    /// What the sqlx command line says of the same databases
    Sqlx,
    /// A thousand databases, interrupted and killed
    Thousand,
}

fn main() -> ExitCode {
    let Arguments { sections, databases, sqlx, json, bench } = Arguments::parse();
    if !bench {
        return ExitCode::SUCCESS;
    }
    let Ok(postgres) = std::env::var(VARIABLE) else {
        output::note(format_args!(
            "{VARIABLE} names no PostgreSQL server: export {VARIABLE}=$(.ci/postgres.sh start)"
        ));
        return ExitCode::from(2);
    };
    let chosen = |section: Section| match &sections[..] {
        [] => section != Section::Thousand,
        sections => sections.contains(&section),
    };
    let mut report = Report::default();
    for section in Section::value_variants().iter().copied().filter(|it| chosen(*it)) {
        output::note(format_args!("{} ...", section.to_possible_value().unwrap().get_name()));
        let n = |default| databases.unwrap_or(default);
        match section {
            Section::Requests => requests::measure(&mut report, &postgres, n(12)),
            Section::Parallel => parallel::measure(&mut report, &postgres, n(48)),
            Section::Memory => memory::measure(&mut report, &postgres, n(10_000)),
            Section::Kills => kills::drill(&mut report, &postgres, n(40)),
            Section::Sqlx => sqlx::compare(&mut report, &postgres, n(12), &sqlx),
            Section::Thousand => thousand::drill(&mut report, &postgres, n(1_000)),
        }
    }
    report.print(json).unwrap()
}

//! What the function costs, beside an empty function on the same runtime.
//!
//! Both run as processes behind Lambda's Runtime API on a loopback port, built as they are released.
//!
//! | module | what it measures |
//! | --- | --- |
//! | `counts` | instructions, allocations and copies, which no other program on the machine changes |
//! | `times` | start, warm calls, processor time, memory over many calls |
//! | `against` | the same deliveries over HTTP, beside another program that handles them |
//! | `growth` | requests, bytes and memory, by the number of databases that exist |

mod against;
mod counts;
mod growth;
mod lab;
mod plots;
mod times;

use std::path::PathBuf;
use std::process::ExitCode;

use http::Uri;

/// Measure the function beside an empty one: start, warm calls, processor time, memory
///
/// Both programs are built by `cargo lambda`, as they are released, and started behind Lambda's Runtime
/// API on a loopback port. Runs alternate between the two. Times depend on the machine and on what else
/// runs there, so the ratio counts.
///
/// Example: cargo dev bench --plots docs/performance
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: Option<What>,
    /// Measure deliveries over HTTP instead, beside another program that handles them, such as `cargo
    /// lambda watch` or an implementation of your own. It must use the stand-ins that this command starts on
    /// port 9100, by the settings in events/local.env
    #[arg(long, value_name = "URL")]
    against: Option<Uri>,
    /// How often each program is started
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    starts: u32,
    /// How many warm calls of each kind are timed
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    calls: u32,
    /// Over how many calls the memory is watched
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u32).range(2_000..=10_000_000))]
    memory_calls: u32,
    /// Draw plots into this directory
    #[arg(long, value_name = "DIRECTORY")]
    plots: Option<PathBuf>,
    /// Print one JSON document instead of the table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    builds: Builds,
}

#[derive(clap::Subcommand)]
enum What {
    Counts(counts::Arguments),
    Growth(growth::Arguments),
}

#[derive(clap::Args)]
struct Builds {
    /// Measure this build of the function, and build none
    #[arg(long, value_name = "FILE")]
    function: Option<PathBuf>,
    /// Measure this build of examples/hello, and build none
    #[arg(long, value_name = "FILE")]
    hello: Option<PathBuf>,
}

pub(crate) async fn run(mut arguments: Arguments) -> anyhow::Result<ExitCode> {
    match (arguments.what.take(), arguments.against.take()) {
        (None, None) => times::run(arguments).await,
        (None, Some(url)) => against::run(arguments, url).await,
        (Some(What::Counts(arguments)), _) => counts::run(arguments).await,
        (Some(What::Growth(arguments)), _) => growth::run(arguments).await,
    }
}

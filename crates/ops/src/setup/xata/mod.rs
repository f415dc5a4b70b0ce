//! `ops setup xata`.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `settings` | what the environment says |
//! | `schema`, `statements` | the SQL files, and the statements in them |
//! | `cloud`, `sql` | how Xata and its SQL gateway are asked |
//! | `plan` | what there is, and what is to be done |
//! | `make`, `work` | how it is done |
//! | `report` | what is told of it |

mod cloud;
mod make;
mod plan;
mod report;
mod schema;
mod settings;
mod sql;
mod statements;
mod work;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{anyhow, bail};
use per_user_db::region::Region;

use self::cloud::Cloud;
use self::plan::Setup;
use self::report::Outcome;
use crate::service::Problem;
use cli::output::DRIFT;

/// Make the project and a template in each region, with your schema, for users' databases to be
/// cloned from
///
/// A template is a root branch that stays awake and has the default role only. Each file of --schema
/// is applied to each template as one transaction, and recorded there: run again, this adopts what
/// exists, goes on where it stopped, and applies only the files that are new. A file that was applied
/// never changes; what is to change is a new file, whose name comes after. In the end it prints the
/// settings to paste.
///
/// It needs `XATA_API_KEY`, with the scopes org:read project:write branch:write credentials:read;
/// `XATA_ORGANIZATION_ID`, unless the key sees one organization only; and, where they differ from the
/// defaults, the settings that place users in regions. All come from the environment or `.env`.
///
/// Exit codes: 0 done, 1 failed, 2 wrong usage, 3 a dry run found something to do.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The project's name; with --shards the first one's
    #[arg(long, default_value = "per-user-db", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    project: String,
    /// How many projects to spread users over: NAME, NAME-2, NAME-3, …
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=100))]
    shards: u16,
    /// A region to make a template in; may be repeated [default: where the settings place users]
    #[arg(long = "region", value_name = "ID", value_parser = region)]
    regions: Vec<Region>,
    /// The directory of the schema: its *.sql files, in the order of their names
    #[arg(long, value_name = "DIR")]
    schema: Option<PathBuf>,
    /// The image of new templates [default: `XATA_IMAGE`, or postgresql:17]
    #[arg(long)]
    image: Option<String>,
    /// The instance type of new templates [default: `XATA_INSTANCE_TYPE`, or xata.micro]
    #[arg(long, value_name = "TYPE")]
    instance_type: Option<String>,
    /// Show what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON document instead of the table
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Arguments { project, shards, regions, schema, image, instance_type, dry_run, json } =
        arguments;
    let told = |Problem(problem)| anyhow!("{problem}");
    let files = schema.map(|directory| schema::read(&directory)).transpose().map_err(told)?;
    let settings = settings::read(image, instance_type)?;
    let regions = chosen(regions, &settings);
    let known_projects = settings.projects.clone();
    let placed = settings.regions.clone();
    let names = (1..=shards).map(|shard| match shard {
        1 => project.clone(),
        shard => format!("{project}-{shard}"),
    });
    let cloud = Cloud::open(settings).await.map_err(told)?;
    let setup = Setup::plan(cloud, files, names.collect(), regions.clone()).await;
    let mut setup = setup.map_err(|Problem(problem)| anyhow!("{problem}. Nothing was changed"))?;

    let done = if dry_run { Ok(()) } else { setup.carry_out().await };
    let failure = done.err().map(|Problem(problem)| problem);
    let mut report = setup.report(dry_run, failure.as_deref(), &known_projects);
    for region in placed.difference(&regions.into_iter().collect()) {
        let region = region.as_str();
        report.warnings.push(format!(
            "the settings place users in {region}, too, and the function does not start without a \
             template there: run this with --region {region}, or without any"
        ));
    }
    report.print(json)?;
    match report.outcome {
        Outcome::Stopped => bail!("{}", report.message),
        Outcome::Planned => Ok(ExitCode::from(DRIFT)),
        Outcome::Done | Outcome::NothingToDo => Ok(ExitCode::SUCCESS),
    }
}

/// Each region once; without a choice, those that users are placed in.
fn chosen(mut given: Vec<Region>, settings: &settings::Settings) -> Vec<Region> {
    given.sort_unstable();
    given.dedup();
    if given.is_empty() { settings.regions.iter().cloned().collect() } else { given }
}

fn region(text: &str) -> Result<Region, String> {
    Region::try_from(text).map_err(|error| error.to_string())
}

//! `ops setup xata`.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `settings` | the settings in the environment |
//! | `client` | Xata's API, for projects and templates |
//! | `diff` | the desired and the actual state, and the steps between them |
//! | `apply` | the steps, applied |
//! | `report` | the output |

mod apply;
mod client;
mod diff;
mod report;
mod settings;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::anyhow;
use cli::{environment, output};
use per_user_db::region::Region;

use self::client::Client;
use self::diff::{Desired, Diff};
use self::settings::Settings;
use crate::migrations::Directory;

pub(crate) use self::report::Report;

/// The default name of the project.
const PROJECT: &str = "per-user-db";

/// Create the project and a template in each region, with your schema, from which users' databases are
/// cloned
///
/// A template is a root branch that stays awake and has the default role only. Each file of --schema,
/// such as `1_create_notes.sql`, is applied to each template as one transaction, and recorded as the sqlx
/// command line does: run again, this adopts what exists, goes on where it stopped, and applies only
/// the files that are new. A file that was applied must never change: a change is a new file with a
/// higher number, which `cargo ops migrate` applies to the templates and to every user's database. At
/// the end it prints the settings to paste.
///
/// It needs `XATA_API_KEY`, with the scopes org:read project:write branch:write credentials:read;
/// `XATA_ORGANIZATION_ID`, unless the key sees one organization only; and, where they differ from the
/// defaults, the settings that place users in regions. All come from the environment or `.env`.
///
/// Exit codes: 0 done, 1 failed, 2 wrong usage, 3 a dry run found something to do.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The project's name; with --shards the first one's
    #[arg(long, default_value = PROJECT, value_parser = clap::builder::NonEmptyStringValueParser::new())]
    project: String,
    /// How many projects to spread users over: NAME, NAME-2, NAME-3, …
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=100))]
    shards: u16,
    /// A region to create a template in; may be repeated [default: where the settings place users]
    #[arg(long = "region", value_name = "ID", value_parser = |text: &str| Region::try_from(text))]
    regions: Vec<Region>,
    /// The directory of the schema: files such as `1_create_notes.sql`, in the order of their numbers
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

impl Arguments {
    /// The arguments for one project, everything else being the default.
    pub(crate) fn new(project: Option<String>, schema: Option<PathBuf>, dry_run: bool) -> Self {
        Self {
            project: project.unwrap_or_else(|| PROJECT.to_owned()),
            shards: 1,
            regions: Vec::new(),
            schema,
            image: None,
            instance_type: None,
            dry_run,
            json: false,
        }
    }
}

/// What was compared and done.
pub(crate) struct Comparison {
    client: Client,
    diff: Diff,
    dry_run: bool,
    failure: Option<anyhow::Error>,
    known_projects: Vec<String>,
    /// Regions that the settings place users in, and that get no template.
    unserved: Vec<Region>,
}

impl Comparison {
    pub(crate) fn report(&self) -> Report<'_> {
        let Self { client, diff, dry_run, failure, known_projects, unserved } = self;
        let mut report = Report::new(client, diff, *dry_run, failure.as_ref(), known_projects);
        report.warnings.extend(unserved.iter().map(|region| {
            format!(
                "the settings place users in {region}, too, and the function does not start without \
                 a template there: run this with --region {region}, or without any"
            )
        }));
        report
    }
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let as_json = arguments.json;
    let run = execute(arguments, &environment::variables()?).await?;
    output::report(&run.report(), as_json)
}

/// Compares what Xata has with what the settings need, and changes it unless this is a dry run.
///
/// # Errors
/// When nothing was changed, because something cannot be read.
pub(crate) async fn execute(
    arguments: Arguments,
    variables: &BTreeMap<String, String>,
) -> anyhow::Result<Comparison> {
    let Arguments { project, shards, mut regions, schema, image, instance_type, dry_run, json: _ } =
        arguments;
    let schema = match schema {
        Some(path) => Some(Directory::read(&path).await?),
        None => None,
    };
    let settings = Settings::read(variables, image, instance_type)?;
    let (placed, known_projects) = (settings.regions.clone(), settings.projects.clone());
    if regions.is_empty() {
        regions.extend(placed.iter().cloned());
    }
    regions.sort_unstable();
    regions.dedup();
    let unserved = placed.into_iter().filter(|region| !regions.contains(region)).collect();
    let names = (1..=shards).map(|shard| match shard {
        1 => project.clone(),
        shard => format!("{project}-{shard}"),
    });
    let desired = Desired { projects: names.collect(), regions, schema };

    let spinner = output::spinner("asking Xata");
    let client = Client::new(settings).await?;
    let diff = Diff::new(&client, desired).await;
    let mut diff = diff.map_err(|error| anyhow!("{error}. Nothing was changed"))?;
    let failure = if dry_run { None } else { diff.apply(&client, &spinner).await.err() };
    spinner.finish_and_clear();
    Ok(Comparison { client, diff, dry_run, failure, known_projects, unserved })
}

mod report;
mod samples;

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use anyhow::{Context, bail};
use per_user_db::handler::Handler;
use per_user_db::settings::Settings;
use per_user_db::worker::Worker;
use per_user_db::{Clock, http_client, telemetry};
use standin::clerk::backend::Backend;
use standin::xata::Xata;

use cli::environment;

use crate::services::Api;
use crate::{server, services};

/// The long help of `cargo dev`.
pub(crate) const HELP: &str = "\
Try per-user-db on this machine: the function beside stand-ins of Xata, Clerk and Hookdeck.

Without a command, it plays a dozen sign-ups from around the world, and one deletion, through
Hookdeck's delivery engine and shows a table of the results. Then it serves the function on port
9000, at / and at /webhooks/clerk, for `hookdeck listen` or curl.";

/// The function and the stand-ins in one process.
#[derive(clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags are what a command line has")]
pub(crate) struct Arguments {
    /// Exit after the samples; 0 only if every user has exactly one database, and whoever left none
    #[arg(long)]
    once: bool,
    /// Print one JSON document instead of the table
    #[arg(long)]
    json: bool,
    /// Where the function listens, on 127.0.0.1
    #[arg(long, default_value_t = 9000)]
    port: u16,
    /// Which of Xata's APIs to stand in for
    #[arg(long, value_enum, default_value_t = Api::Platform, conflicts_with = "live")]
    api: Api,
    /// Use the real Xata that the settings in the environment or `.env` name, not its stand-in
    #[arg(long)]
    live: bool,
    /// Play the sample sign-ups with --live, too. They make real databases, which cost money
    #[arg(long, requires = "live")]
    samples: bool,
}

/// Settings of the user's that a local run follows; but ip-api, which leads out of this machine, is
/// asked with `--live` only.
const FOLLOWED: [&str; 5] =
    ["DEFAULT_REGION", "REGION_BY_CONTINENT", "REGION_BY_COUNTRY", "ALLOWED_REGIONS", "GEO_LOOKUP"];

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let with_samples = !arguments.live || arguments.samples;
    if arguments.once && !with_samples {
        bail!("with --live there is nothing to show --once, unless --samples is given, too");
    }
    let variables = environment::variables();
    let (settings, standins) = if arguments.live {
        (live(&variables)?, None)
    } else {
        beside_standins(arguments.api, &variables)?
    };
    let mut notes = settings.warnings.clone();
    if !arguments.live {
        let is_set = |name: &str| variables.contains_key(name);
        for (name, service) in [("XATA_API_KEY", "Xata"), ("CLERK_SECRET_KEY", "Clerk")] {
            if is_set(name) {
                notes.push(format!(
                    "{name} is set and not used: {service}'s stand-in answers, unless --live"
                ));
            }
        }
        if is_set("HOOKDECK_WEBHOOK_SECRET") {
            notes.push(
                "Real events are let in, but Clerk's stand-in knows nobody real: a fresh sign-up \
                 gets a database, and what depends on Clerk's word is answered foreign_key, unless \
                 --live"
                    .to_owned(),
            );
        }
    }
    for note in notes {
        writeln!(std::io::stderr(), "{note}")?;
    }
    let secret = variables.get("HOOKDECK_WEBHOOK_SECRET").filter(|_| arguments.live);
    let secret = secret
        .map_or(services::SIGNING_SECRET, |secret| environment::first_secret(secret))
        .to_owned();

    let listener = server::bind(arguments.port)?;
    let address = listener.local_addr()?;
    // The table comes first, and then the log.
    let is_heard = Arc::new(AtomicBool::new(false));
    let hears = is_heard.clone();
    telemetry::init(settings.log_level, move || -> Box<dyn Write> {
        if hears.load(Ordering::Relaxed) {
            Box::new(std::io::stderr())
        } else {
            Box::new(std::io::sink())
        }
    });
    let clock: Clock = Arc::new(SystemTime::now);
    let function = Handler::new(settings, http_client::live(), clock.clone());
    let worker = Arc::new(Worker::new(function, clock, None));
    let serving = tokio::spawn(standin::serve::serve(listener, server::router(worker)));

    let mut all_is_well = true;
    if with_samples {
        let played = samples::play(address, secret, standins.as_ref()).await?;
        let report = report::Report::new(&played, standins.as_ref());
        all_is_well = report.all_is_well();
        report.print(arguments.json)?;
    }
    if arguments.once {
        return Ok(if all_is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    is_heard.store(true, Ordering::Relaxed);
    welcome(address)?;
    tokio::select! {
        ended = serving => ended??,
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The services around the function.
pub(crate) struct Standins {
    xata: Xata,
    clerk: Backend,
}

impl Standins {
    /// Whether the database of a user who leaves is deleted; Xata Lite only keeps.
    fn deletes(&self) -> bool {
        matches!(self.xata, Xata::Platform(_))
    }
}

/// Settings for a run beside the stand-ins, which are started here. Of the user's own settings only
/// those that lead nowhere count, and their signing secret is accepted as well, so that
/// `hookdeck listen` gets through.
fn beside_standins(
    api: Api,
    variables: &BTreeMap<String, String>,
) -> anyhow::Result<(Settings, Option<Standins>)> {
    let followed = FOLLOWED.iter().filter_map(|&name| Some((name, variables.get(name)?.clone())));
    let followed = followed.filter(|(_, value)| value != "ip-api");
    let mut placement: BTreeMap<_, _> = followed.collect();
    if placement.is_empty() {
        placement.extend(api.placement());
    }
    let regions = api.regions(&placement)?;
    let listener = server::bind(0)?;
    let address = listener.local_addr()?.to_string();
    let settings = api.settings(&address, &regions).into_iter().chain(placement);
    let mut settings: BTreeMap<_, _> = settings.chain(services::clerk_settings(&address)).collect();
    if let Some(own) = variables.get("HOOKDECK_WEBHOOK_SECRET") {
        settings.insert("HOOKDECK_WEBHOOK_SECRET", format!("{},{own}", services::SIGNING_SECRET));
    }
    if let Some(level) = variables.get("LOG_LEVEL") {
        settings.insert("LOG_LEVEL", level.clone());
    }
    let standins = Standins { xata: api.xata(&regions), clerk: services::clerk() };
    if standins.deletes() {
        settings.insert("ON_USER_DELETED", "delete".to_owned());
    }
    let router = standins.clerk.beside(standins.xata.router());
    tokio::spawn(standin::serve::serve(listener, router));
    Ok((environment::settings(&settings)?, Some(standins)))
}

fn live(variables: &BTreeMap<String, String>) -> anyhow::Result<Settings> {
    let variables = variables.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    environment::settings(&variables)
        .context("--live takes the settings from the environment and .env")
}

fn welcome(address: SocketAddr) -> anyhow::Result<()> {
    let port = address.port();
    writeln!(
        std::io::stderr(),
        "The function listens on http://{address}/ and http://{address}/webhooks/clerk; Ctrl-C ends it.\n\
         Try it:\n  \
           cargo dev send events/user-created.json --to http://{address}/\n  \
           hookdeck listen {port} clerk --path /webhooks/clerk\n",
    )?;
    Ok(())
}

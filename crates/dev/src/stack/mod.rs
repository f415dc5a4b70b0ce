mod report;
mod sample_events;

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::{Context, bail};
use cli::{environment, output};
use per_user_db::telemetry;

use self::report::Report;
use crate::console::{self, Setup, World};
use crate::services::{Api, LOOPBACK, PORT, SIGNING_SECRET, Services};
use crate::{server, standins};

#[derive(clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct Arguments {
    /// Exit after the samples; 0 only if every user has exactly one database and every deleted user
    /// has none
    #[arg(long)]
    once: bool,
    /// Print one JSON document instead of the table
    #[arg(long)]
    json: bool,
    /// The function's port on 127.0.0.1; 0 takes any free one
    #[arg(long, default_value_t = 9000)]
    port: u16,
    /// Let Docker's containers reach the stand-ins, for `sam local invoke`
    #[arg(long, conflicts_with = "live")]
    docker: bool,
    /// The API of Xata that the stand-in has
    #[arg(long, value_enum, default_value_t = Api::Platform, conflicts_with = "live")]
    api: Api,
    /// Use the real Xata that the settings in the environment or `.env` name, not its stand-in
    #[arg(long)]
    live: bool,
    /// Send the sample events with --live, too. They create real databases, which cost money
    #[arg(long, requires = "live")]
    samples: bool,
    /// The port of the console on 127.0.0.1; 0 takes any free one. Without it: 4000, or any free one
    #[arg(long, value_name = "PORT", conflicts_with_all = ["once", "no_console"])]
    console_port: Option<u16>,
    /// Serve no console
    #[arg(long)]
    no_console: bool,
    /// Open the console in the browser
    #[arg(long, conflicts_with_all = ["once", "no_console"])]
    open: bool,
}

/// The settings of the environment that a run with stand-ins uses, too.
const PLACEMENT_SETTINGS: [&str; 5] =
    ["DEFAULT_REGION", "REGION_BY_CONTINENT", "REGION_BY_COUNTRY", "ALLOWED_REGIONS", "GEO_LOOKUP"];

/// The settings that a run with stand-ins ignores, with what it says about each.
const UNUSED_SETTINGS: [(&str, &str); 3] = [
    ("XATA_API_KEY", "XATA_API_KEY is set and not used: Xata's stand-in answers, unless --live"),
    (
        "CLERK_SECRET_KEY",
        "CLERK_SECRET_KEY is set and not used: Clerk's stand-in answers, unless --live",
    ),
    (
        "HOOKDECK_WEBHOOK_SECRET",
        "Real events are accepted, but Clerk's stand-in is another instance and knows no real user: a \
         sign-up gets a database and is answered foreign_key, unless --live",
    ),
];

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let with_samples = !arguments.live || arguments.samples;
    if arguments.once && !with_samples {
        bail!("--once with --live needs --samples: without samples, it has nothing to show");
    }
    let variables = environment::variables()?;
    let setup = if arguments.live {
        live(variables)
    } else {
        let unused = UNUSED_SETTINGS.iter().filter(|(name, _)| variables.contains_key(*name));
        unused.for_each(|(_, note)| output::note(note));
        with_stand_ins(arguments.api, arguments.docker, &variables).await?
    };
    let settings = console::read(&setup.variables);
    let settings = if arguments.live {
        settings.context("--live takes the settings from the environment and .env")?
    } else {
        settings?
    };
    settings.warnings.iter().for_each(output::note);

    let listener = server::listen(LOOPBACK, arguments.port)?;
    let address = listener.local_addr()?;
    let world = World::start(setup, &settings)?;
    telemetry::init(settings.log_level, world.log_writer());
    let serving = standin::serve::serve(listener, server::router(world.function()));
    let serving = tokio::spawn(serving);

    if with_samples {
        let runs = sample_events::send_all(&world, &settings.policy.default).await?;
        let report = Report::new(&runs, world.services());
        report.print(arguments.json)?;
        if arguments.once {
            return Ok(output::holds(report.holds()));
        }
    }
    // From now on: the log does not mix with the table.
    world.unmute_log();
    let function_url = format!("http://{address}/");
    world.set_function_url(&function_url);
    output::note(format_args!(
        "The function listens on {function_url} and {function_url}webhooks/clerk; Ctrl-C ends it.\n\
         Try it:\n  \
           cargo dev send events/user-created.json --to {function_url}\n  \
           hookdeck listen {} clerk --path /webhooks/clerk\n",
        address.port(),
    ));
    if !arguments.no_console {
        let console = console::serve(console::listen(arguments.console_port)?, world)?;
        let console_url = format!("http://{console}/");
        output::note(format_args!("The console is at {console_url}"));
        if arguments.open {
            console::open(&console_url);
        }
    }
    tokio::select! {
        ended = serving => ended??,
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The stand-ins, which listen, and the settings that point the function at them. Settings of the
/// environment count only where they cannot lead to a real service. Its signing secret is accepted,
/// too, for events that `hookdeck listen` forwards.
async fn with_stand_ins(
    api: Api,
    docker: bool,
    variables: &BTreeMap<String, String>,
) -> anyhow::Result<Setup> {
    let placement = PLACEMENT_SETTINGS.iter().filter_map(|&name| {
        let value = variables.get(name).filter(|value| *value != "ip-api")?;
        Some((name, value.clone()))
    });
    let services = Services::new(api, 1, placement.collect())?;
    let has_postgres = services.use_postgres().await?;
    // The port that the files in `events/` name, unless other stand-ins have it.
    let listener = server::listen(LOOPBACK, PORT).or_else(|_| server::listen(LOOPBACK, 0))?;
    let address = listener.local_addr()?;
    let mut settings = services.settings(&address.to_string(), 1);
    if let Some(own) = variables.get("HOOKDECK_WEBHOOK_SECRET") {
        settings.insert("HOOKDECK_WEBHOOK_SECRET", format!("{SIGNING_SECRET},{own}"));
    }
    if let Some(level) = variables.get("LOG_LEVEL") {
        settings.insert("LOG_LEVEL", level.clone());
    }
    if api == Api::Platform {
        // The samples show a user who leaves.
        let parks = variables.get("ON_USER_DELETED").is_some_and(|value| value == "park");
        let on_deleted = if parks { "park" } else { "delete" };
        settings.insert("ON_USER_DELETED", on_deleted.to_owned());
    }
    tokio::spawn(standin::serve::serve(listener, services.router()));
    if let Some(bridge) = standins::bridge(docker)? {
        let listener = server::listen(bridge, address.port())?;
        tokio::spawn(standin::serve::serve(listener, services.router()));
    }
    Ok(Setup {
        api,
        services: Some(services),
        variables: settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        secret: SIGNING_SECRET.to_owned(),
        has_postgres,
    })
}

/// The settings of the environment, which lead to the real services.
fn live(variables: BTreeMap<String, String>) -> Setup {
    let secret = variables.get("HOOKDECK_WEBHOOK_SECRET");
    let secret = secret.map_or(SIGNING_SECRET, |setting| environment::first_secret(setting));
    let is_lite = variables.contains_key("XATA_WORKSPACE_SLUG");
    Setup {
        api: if is_lite { Api::Lite } else { Api::Platform },
        services: None,
        secret: secret.to_owned(),
        has_postgres: false,
        variables,
    }
}

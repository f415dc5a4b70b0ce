//! `ops doctor` checks everything that a delivery depends on, and changes nothing.

mod checks;
mod clerk;
mod function;
mod hookdeck;
mod quota;
mod settings;
mod template;
mod xata;

use std::process::ExitCode;

use cli::delivery_policy::DeliveryPolicy;
use cli::output;
use per_user_db::handler::PATHS;
use per_user_db::settings::{Settings, Xata, base_url};
use per_user_db::xata::platform;

use self::checks::Checks;
use self::settings::Variables;
pub(crate) use self::settings::{NEEDED as NEEDED_SECRETS, PLACEHOLDERS};

/// Check every setting, key, region, template and quota, and the function itself
///
/// Asks Xata, and Clerk and Hookdeck where a key of theirs is set, whether they know what the
/// settings name, and how many databases can still be created. With --url, compares the connection at
/// Hookdeck with what `ops setup hookdeck` creates, and sends the function an event without a
/// signature, which it has to refuse, and two signed ones that it ignores: of an unknown type, and of
/// Clerk's sample user in the instance of the key. It changes nothing, causes no alarm, and shows no
/// secret.
///
/// The settings are those of the function, from the environment or `.env`; `HOOKDECK_API_KEY` is
/// for this tool alone. Exit codes: 0 nothing is broken, though there may be warnings; 1 failed; 2
/// wrong usage; 3 something is broken, or does not answer.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The function's URL: the output `FunctionUrl` of the stack
    #[arg(long, value_parser = url)]
    url: Option<String>,
    /// The pace of deliveries that Hookdeck is to have, as for `ops setup hookdeck`
    #[arg(long, value_name = "RATE/PERIOD", default_value_t = DeliveryPolicy::DEFAULT)]
    delivery: DeliveryPolicy,
    /// Print one JSON document instead of the table
    #[arg(long)]
    json: bool,
}

/// The base URL of the function, without the path of a webhook.
fn url(text: &str) -> Result<String, String> {
    let problem = "must be an https URL, or an http URL of a loopback address, without user, query \
                   and fragment";
    let base = base_url(text).ok_or_else(|| problem.to_owned())?;
    Ok(base.strip_suffix(PATHS[1]).unwrap_or(&base).trim_end_matches('/').to_owned())
}

/// What is broken at Xata, a sentence for each row, as [`run`] checks it.
pub(crate) async fn xata_faults(settings: &Settings, xata: &platform::Settings) -> Vec<String> {
    let mut checks = Checks::new(output::spinner("asking Xata"));
    xata::check(settings, xata, &mut checks).await;
    checks.finish();
    checks.faults()
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let url = arguments.url.as_deref();
    let mut checks = Checks::new(output::spinner("checking"));
    let variables = Variables::read()?;
    let mut instance = None;
    if let Some(settings) = variables.check(&mut checks) {
        match &settings.xata {
            _ if variables.get("XATA_API_KEY").is_none() => {
                checks.leave_out("Xata: XATA_API_KEY is not given here");
            }
            Xata::Platform(xata) => xata::check(&settings, xata, &mut checks).await,
            Xata::Lite(xata) => xata::check_lite(&settings.policy, xata, &mut checks).await,
        }
        match settings.clerk {
            Some(clerk) => instance = clerk::check(clerk, settings.instances, &mut checks).await,
            None => checks.leave_out("Clerk: CLERK_SECRET_KEY is not set"),
        }
    } else {
        checks.leave_out("Xata and Clerk: correct the settings first");
    }
    hookdeck::check(&variables, url, arguments.delivery, &mut checks).await;
    match url {
        Some(url) => function::check(url, &variables, instance.as_deref(), &mut checks).await,
        None => checks.leave_out("the function: --url is not given"),
    }
    checks.finish();
    output::report(&checks, arguments.json)
}

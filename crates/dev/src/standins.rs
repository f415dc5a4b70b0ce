use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;

use cli::output;
use standin::clerk::{SignUp, user_id};
use standin::hookdeck::admin::{self, Admin};

use crate::server;
use crate::services::{Api, Services};

/// How many users Clerk's stand-in knows. The users of `events/` are the first of them.
const USER_COUNT: u64 = 3000;

/// Run the stand-ins without the function, and print the settings that point the function at them
///
/// For use with `cargo lambda watch`, in two terminals:
///
///     cargo dev standins --env | tee .env.standins
///     cargo lambda watch --env-file .env.standins
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Arguments {
    /// The port on 127.0.0.1: Xata; Clerk's Backend API under /v1/; Hookdeck's admin API under its
    /// versions
    #[arg(long, default_value_t = 9100)]
    port: u16,
    /// The API of Xata
    #[arg(long, value_enum, default_value_t = Api::Platform)]
    api: Api,
    /// Print only the settings, as an .env file
    #[arg(long, conflicts_with = "json")]
    env: bool,
    /// Print only the settings, as one JSON document
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    // A caller that waits for the port finds the settings complete: they are printed before the
    // stand-ins listen.
    let socket = server::bind(arguments.port)?;
    let address = socket.local_addr()?.to_string();
    let services = Services::new(arguments.api, 1, BTreeMap::new())?;
    for seed in 0..USER_COUNT {
        services.clerk.insert(SignUp::new(&user_id(seed)));
    }
    let hookdeck = admin::Options::default();
    let mut settings = services.settings(&address, 1);
    settings.insert("HOOKDECK_API_URL", format!("http://{address}"));
    settings.insert("HOOKDECK_API_KEY", hookdeck.api_key.clone());
    if arguments.json {
        output::json(&settings)?;
    } else {
        if !arguments.env {
            output::line(format_args!(
                "The stand-ins listen on http://{address}; Ctrl-C ends them.\n\
                 Settings that point the function at them:\n"
            ))?;
        }
        for (name, value) in settings {
            // `cargo lambda watch --env-file` refuses an unquoted value that contains `=`.
            output::line(format_args!("{name}=\"{value}\""))?;
        }
    }
    std::io::stdout().flush()?;
    let router = Admin::new(hookdeck).beside(services.router());
    let listener = socket.listen(server::BACKLOG)?;
    tokio::select! {
        ended = standin::serve::serve(listener, router) => ended?,
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    Ok(ExitCode::SUCCESS)
}

use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;

use standin::clerk::{SignUp, user_id};
use standin::hookdeck::admin::{self, Admin};

use crate::server;
use crate::services::{self, Api};

/// How many users Clerk's stand-in knows. The users of `events/` are the first of them.
const USERS: u64 = 3000;

/// Run the stand-ins alone, and print the settings that point at them
///
/// For use with `cargo lambda watch`, in two terminals:
///
///     cargo dev standins --env | tee .env.standins
///     cargo lambda watch --env-file .env.standins
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Arguments {
    /// Where they listen, on 127.0.0.1: Xata; Clerk's Backend API under /v1/; Hookdeck's admin API under
    /// its versions
    #[arg(long, default_value_t = 9100)]
    port: u16,
    /// Which of Xata's APIs to stand in for
    #[arg(long, value_enum, default_value_t = Api::Platform)]
    api: Api,
    /// Print the settings and nothing else, in the form of an .env file
    #[arg(long, conflicts_with = "json")]
    env: bool,
    /// Print the settings and nothing else, as one JSON document
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    // Whoever waits until somebody listens finds the settings whole.
    let socket = server::reserve(arguments.port)?;
    let address = socket.local_addr()?;
    let mut out = std::io::stdout();
    if !arguments.env && !arguments.json {
        writeln!(out, "The stand-ins listen on http://{address}; Ctrl-C ends them.")?;
        writeln!(out, "Settings that point the function at them:\n")?;
    }
    let api = arguments.api;
    let placement = api.placement();
    let regions = api.regions(&BTreeMap::from(placement.clone()))?;
    let address = address.to_string();
    let settings = api.settings(&address, &regions).into_iter().chain(placement);
    let hookdeck = admin::Options::default();
    let of_ops = [
        ("HOOKDECK_API_URL", format!("http://{address}")),
        ("HOOKDECK_API_KEY", hookdeck.api_key.clone()),
    ];
    let settings = settings.chain(services::clerk_settings(&address)).chain(of_ops);
    if arguments.json {
        let settings: BTreeMap<_, _> = settings.collect();
        writeln!(out, "{}", serde_json::to_string_pretty(&settings)?)?;
    } else {
        for (name, value) in settings {
            // Quoted: the reader of `cargo lambda watch --env-file` refuses a bare value with `=` in it.
            writeln!(out, "{name}=\"{value}\"")?;
        }
    }
    out.flush()?;
    let clerk = services::clerk();
    for seed in 0..USERS {
        clerk.insert(SignUp::new(&user_id(seed)));
    }
    let router = clerk.beside(Admin::new(hookdeck).beside(api.xata(&regions).router()));
    let listener = server::listen(socket)?;
    tokio::select! {
        ended = standin::serve::serve(listener, router) => ended?,
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    Ok(ExitCode::SUCCESS)
}

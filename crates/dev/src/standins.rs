use std::collections::BTreeMap;
use std::net::IpAddr;
use std::process::{Command, ExitCode};

use anyhow::{Context, bail};
use cli::output;
use standin::clerk::{SignUp, user_id};
use standin::hookdeck::admin::{self, Admin};

use crate::server;
use crate::services::{Api, LOOPBACK, PORT, Services, Variables};

/// How many users Clerk's stand-in knows. The users of `events/` are the first of them.
const USER_COUNT: u64 = 3000;

/// The last line of the output. From then on the stand-ins answer.
const READY: &str = "# ready";

/// Run the stand-ins without the function, for `cargo lambda watch` and `sam local invoke`
///
/// The files `events/local.env` and `events/local-env.json` point the function at them:
///
///     cargo dev standins --docker
///     cargo lambda watch --env-file events/local.env
///     sam build && sam local invoke --event events/user-created.json
///
/// The settings are printed, too; the last line is `# ready`, and from then on the stand-ins answer.
///
/// Where `STANDIN_POSTGRES` is the URL of a PostgreSQL server with a superuser, the databases of Xata's
/// stand-in are there, and psql connects with the connection strings that the stand-in answers.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Arguments {
    /// The port: Xata; Clerk's Backend API under /v1/; Hookdeck's admin API under its versions
    #[arg(long, default_value_t = PORT)]
    port: u16,
    /// Listen on this address, too, and not on 127.0.0.1 only; may be repeated
    #[arg(long, value_name = "ADDRESS")]
    listen: Vec<IpAddr>,
    /// Listen, too, where Docker's containers reach this machine, for `sam local invoke`
    #[arg(long)]
    docker: bool,
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
    let services = Services::new(arguments.api, 1, BTreeMap::new())?;
    services.use_postgres().await?;
    for seed in 0..USER_COUNT {
        services.clerk.insert(SignUp::new(&user_id(seed)));
    }
    let hookdeck = admin::Options::default();
    let key = hookdeck.api_key.clone();
    let router = Admin::new(hookdeck).beside(services.router());

    let first = server::listen(LOOPBACK, arguments.port)?;
    let address = first.local_addr()?;
    let mut listeners = vec![first];
    for ip in arguments.listen.into_iter().chain(bridge(arguments.docker)?) {
        listeners.push(server::listen(ip, address.port())?);
    }
    let mut settings = services.settings(&address.to_string(), 1);
    settings.insert("HOOKDECK_API_URL", format!("http://{address}"));
    settings.insert("HOOKDECK_API_KEY", key);
    if arguments.json {
        output::json(&settings)?;
    } else if arguments.env {
        output::line(env_file(&settings) + READY)?;
    } else {
        output::line(format_args!(
            "The stand-ins listen on http://{address}; Ctrl-C ends them.\n\
             Settings that point the function at them, which events/local.env has, too:\n\n{}{READY}",
            env_file(&settings)
        ))?;
    }
    let mut serving = tokio::task::JoinSet::new();
    for listener in listeners {
        serving.spawn(standin::serve::serve(listener, router.clone()));
    }
    tokio::select! {
        Some(ended) = serving.join_next() => ended??,
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Settings as an `.env` file. `cargo lambda watch --env-file` refuses an unquoted value that contains
/// `=`.
pub(crate) fn env_file(settings: &Variables) -> String {
    let line = |(name, value): (&&str, &String)| format!("{name}=\"{value}\"\n");
    settings.iter().map(line).collect::<Vec<_>>().concat()
}

/// The address of this machine in Docker's default network. Docker Desktop forwards to loopback, so
/// only Linux needs it.
pub(crate) fn bridge(is_wanted: bool) -> anyhow::Result<Option<IpAddr>> {
    if !is_wanted || !cfg!(target_os = "linux") {
        return Ok(None);
    }
    let format = "{{range .IPAM.Config}}{{println .Gateway}}{{end}}";
    let mut docker = Command::new("docker");
    let output = docker.args(["network", "inspect", "bridge", "--format", format]).output();
    let output =
        output.context("cannot run docker; install it, or give the address with --listen")?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        bail!("Docker does not answer; is it running? It says: {}", error.trim());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let address = text.lines().find_map(|line| line.trim().parse().ok());
    address.map(Some).context("Docker's network `bridge` has no address; give one with --listen")
}

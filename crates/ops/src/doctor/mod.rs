//! Whether everything is as it has to be, without changing anything.

mod clerk;
mod function;
mod hookdeck;
mod lite;
mod platform;
mod quota;
mod report;
mod settings;
mod template;

use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use per_user_db::Clock;
use per_user_db::http_client::{self, HttpClient};
use per_user_db::settings::Xata;

use self::report::{Report, State};
use self::settings::Given;
use cli::output::DRIFT;

/// Check every setting, key, region, template and quota, and the function itself
///
/// Asks Xata, and Clerk and Hookdeck where a key of theirs is set, whether they know what the
/// settings name, and how many databases can still be made. With --url, compares the connection at
/// Hookdeck with what `ops setup hookdeck` makes, and sends the function an event without a signature,
/// which it has to refuse, and a signed one of a type that it ignores. It changes nothing, and shows no
/// secret.
///
/// The settings are those of the function, from the environment or `.env`; `HOOKDECK_API_KEY` is
/// for this tool alone. Exit codes: 0 nothing is broken, though there may be warnings; 1 failed; 2
/// wrong usage; 3 something is broken, or does not answer.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Where the function is: its Function URL
    #[arg(long, value_parser = function::url)]
    url: Option<String>,
    /// Print one JSON document instead of the table
    #[arg(long)]
    json: bool,
}

/// Whatever is quicker needs no progress shown.
const QUICK: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(100);

/// What every check asks with.
struct Means {
    client: HttpClient,
    clock: Clock,
    progress: ProgressBar,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let progress = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden())
        .with_style(ProgressStyle::with_template("{spinner} {msg}")?);
    let clock = Arc::new(SystemTime::now) as Clock;
    let means = Means { client: http_client::live(), clock, progress };
    let mut examination = pin!(examine(&means, arguments.url.as_deref()));
    let report = tokio::select! {
        report = &mut examination => report,
        () = tokio::time::sleep(QUICK) => {
            means.progress.set_draw_target(ProgressDrawTarget::stderr());
            means.progress.enable_steady_tick(TICK);
            examination.await
        }
    };
    means.progress.finish_and_clear();
    report.print(arguments.json)?;
    Ok(match report.state() {
        State::Ok | State::Warning => ExitCode::SUCCESS,
        State::Broken => ExitCode::from(DRIFT),
    })
}

async fn examine(means: &Means, url: Option<&str>) -> Report {
    let mut report = Report::default();
    let given = Given::read();
    if let Some(settings) = given.examine(&mut report) {
        match &settings.xata {
            _ if !given.has("XATA_API_KEY") => {
                report.leave_out("Xata: XATA_API_KEY is not given here");
            }
            Xata::Platform(xata) => platform::examine(means, &settings, xata, &mut report).await,
            Xata::Lite(xata) => lite::examine(means, &settings.policy, xata, &mut report).await,
        }
        match settings.clerk {
            Some(clerk) => clerk::examine(means, clerk, &settings.instances, &mut report).await,
            None => report.leave_out("Clerk: CLERK_SECRET_KEY is not set"),
        }
    } else {
        report.leave_out("Xata and Clerk: the settings have to be mended first");
    }
    hookdeck::examine(means, &given, url, &mut report).await;
    match url {
        Some(url) => function::examine(means, url, &given, &mut report).await,
        None => report.leave_out("the function: --url does not say where it is"),
    }
    report
}

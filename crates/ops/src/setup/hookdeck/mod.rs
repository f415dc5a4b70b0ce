//! `ops setup hookdeck` (`contracts/hookdeck.md` section 8, whose traps are cited).
//!
//! | file | what is in it |
//! | --- | --- |
//! | `settings` | the arguments, the key and the secret, as they can be used |
//! | `client` | Hookdeck's admin API, asked with patience |
//! | `there` | what is there |
//! | `wish` | what is wanted, and the one request that asks for it |
//! | `difference` | where the two differ, and why it matters |
//! | `report` | what is told |

mod client;
mod difference;
mod report;
mod settings;
mod there;
mod wish;

use std::process::ExitCode;

use anyhow::bail;
use http::Method;
use indicatif::{ProgressBar, ProgressStyle};

use self::client::{Client, Failed};
use self::difference::Plan;
use self::report::{Outcome, Report};
use self::there::{Secret, There};
use self::wish::{Target, Wish};
use crate::service::{Problem, Service};
use cli::output::DRIFT;

pub(crate) use self::client::VERSION;
pub(crate) use self::settings::function_url;

/// What everything is called that nobody gave another name.
const SOURCE: &str = "clerk";
const NAME: &str = "per-user-db";

/// Connect Clerk to the function through Hookdeck: a source, a destination and the rules between them
///
/// One request makes it, or changes what differs, and what differs is shown first. It works twice: the
/// first run prints the URL that Clerk needs; with the signing secret that Clerk then shows, the second
/// makes Hookdeck check that events are Clerk's. A later run without the secret never loses it.
///
/// Set `HOOKDECK_API_KEY`, and `CLERK_WEBHOOK_SIGNING_SECRET` as soon as you have it, in the
/// environment or in `.env`; `HOOKDECK_API_URL` replaces the address, `https://api.hookdeck.com`. Exit
/// codes: 0 done, 1 failed, 2 wrong usage, 3 a dry run has found differences.
#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("target").args(["url", "cli"]).required(true))]
pub(crate) struct Arguments {
    /// The function's URL: the output `FunctionUrl` of `sam deploy`
    #[arg(long, value_parser = settings::function_url)]
    url: Option<String>,
    /// Forward to this machine instead, to this path, by `hookdeck listen`
    #[arg(long, value_name = "PATH", num_args = 0..=1, default_missing_value = "/webhooks/clerk", value_parser = settings::path)]
    cli: Option<String>,
    /// The source's name
    #[arg(long, default_value = SOURCE, value_parser = settings::name)]
    source: String,
    /// The name of connection and destination [default: per-user-db, or per-user-db-local with --cli]
    #[arg(long, value_parser = settings::name)]
    name: Option<String>,
    /// Show what would be changed, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON document instead of the table
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let (dry_run, as_json) = (arguments.dry_run, arguments.json);
    let settings::Settings { client, wish, notes } = settings::read(arguments)?;
    let spinner = ProgressBar::new_spinner() // hidden where nobody looks
        .with_style(ProgressStyle::with_template("{spinner} {msg}, {elapsed}")?)
        .with_message("asking Hookdeck");
    spinner.enable_steady_tick(std::time::Duration::from_millis(100));
    let mut report = Report::new(&wish, dry_run, notes);
    match There::read(&client, &wish).await {
        Err(problem) => report.end(Outcome::Refused, format!("nothing was changed: {problem}")),
        Ok(there) => {
            if let Some(obstacle) = wish.obstacle(&there) {
                report.end(Outcome::Refused, format!("nothing was changed: {obstacle}"));
            } else {
                let plan = Plan::new(&wish, &there);
                report.plan(&plan, &there);
                if !as_json {
                    spinner.suspend(|| report.print_plan())?;
                }
                if plan.is_nothing() {
                    report.end(Outcome::Unchanged, "Everything is as it should be.");
                } else if !dry_run {
                    spinner.set_message("changing the connection");
                    carry_out(&client, &wish, &there, &mut report).await;
                } else if plan.is_done() {
                    let all = "Everything that can be seen is as it should be.";
                    report.end(Outcome::Unchanged, all);
                } else {
                    report.end(Outcome::Planned, "Nothing was changed: this is a dry run.");
                }
            }
        }
    }
    spinner.finish_and_clear();
    report.print(as_json)?;
    match report.outcome {
        Outcome::Planned => Ok(ExitCode::from(DRIFT)),
        outcome if outcome.is_failure() => bail!("{}", report.message),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Sends the one request, and looks at what came of it, whatever the answer was.
async fn carry_out(client: &Client, wish: &wish::Wish, there: &There, report: &mut Report) {
    let sent = client.ask(Method::PUT, "/connections", Some(&wish.request(there))).await;
    let mut now = There::read(client, wish).await;
    // The upsert enables the connection; about its source and destination nobody knows (trap 5).
    if let (Ok(_), Ok(there)) = (&sent, &now) {
        let id = there.connection.as_ref().filter(|_| there.is_disabled()).map(|it| it.id.clone());
        if let Some(id) = id {
            // Whether that was done is seen below.
            let _ = client.ask(Method::PUT, &format!("/connections/{id}/enable"), None).await;
            now = There::read(client, wish).await;
        }
    }
    let now = now.map(|there| (Plan::new(wish, &there), there));
    // A secret that nobody can see may be the old one, unless the new one was taken.
    let is_sent = sent.is_ok();
    let is_done = |left: &Plan| left.is_done() && (is_sent || !left.is_secret_unseen);
    match (sent, now) {
        (_, Ok((left, there))) if is_done(&left) => report.done(&there),
        (Ok(_), Ok((left, there))) => report.incomplete(&left, &there),
        (Err(Failed { problem, is_certain: true }), _) => {
            report.end(Outcome::Refused, format!("nothing was changed: {problem}"));
        }
        (Err(Failed { problem, .. }), Ok((_, there))) => {
            let left = there.inventory(wish);
            let message = format!(
                "it could not be finished: {problem}. Now {left}; not all is as wanted. Run this \
                 again: it looks first"
            );
            report.end(Outcome::Failed, message);
        }
        (Err(Failed { problem, .. }), Err(_)) => {
            let message = format!(
                "nobody knows whether it was done: {problem}. Run this again: it looks first"
            );
            report.end(Outcome::Unclear, message);
        }
        (Ok(_), Err(problem)) => {
            let message = format!(
                "Hookdeck has taken it, and it could not be read again: {problem}. Run this again: \
                 it looks first"
            );
            report.end(Outcome::Unclear, message);
        }
    }
}

/// How a connection is, for `ops doctor`.
pub(crate) enum Standing {
    AsWanted,
    Absent,
    /// What is not as wanted.
    Amiss(Vec<String>),
}

/// Looks at the connection to the function at this URL, or to its other path.
pub(crate) async fn standing(service: Service, url: &str) -> Result<Standing, Problem> {
    let client = Client(service);
    let wish = |url| Wish {
        source: SOURCE.to_owned(),
        name: NAME.to_owned(),
        target: Target::Http(url),
        secret: None,
    };
    let wishes = [wish(url.to_owned()), wish(format!("{url}webhooks/clerk"))];
    let there = There::read(&client, &wishes[0]).await?;
    if there.connection.is_none() {
        return Ok(Standing::Absent);
    }
    let plans = wishes.map(|wish| Plan::new(&wish, &there).differences);
    let differences = plans.into_iter().min_by_key(Vec::len).unwrap_or_default();
    let mut amiss: Vec<_> = differences.iter().map(|it| it.row()[0].to_owned()).collect();
    if there.secret == Secret::Missing {
        amiss.push(format!("source {SOURCE}: no secret, so anybody can send"));
    }
    Ok(if amiss.is_empty() { Standing::AsWanted } else { Standing::Amiss(amiss) })
}

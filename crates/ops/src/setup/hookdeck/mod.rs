//! `ops setup hookdeck` (`docs/vendors/hookdeck.md`, "Connection upsert"; its "Upsert traps" are
//! cited by number).
//!
//! | file | what is in it |
//! | --- | --- |
//! | `settings` | the arguments, the key and the secret, checked |
//! | `client` | Hookdeck's admin API, with retries |
//! | `actual` | what Hookdeck has |
//! | `desired` | what it should have, and the one request that asks for it |
//! | `diff` | the differences, and why each matters |
//! | `apply` | the request, and a second look at its result |
//! | `report` | the output |

mod actual;
mod apply;
mod client;
mod desired;
mod diff;
mod report;
mod settings;

use std::collections::BTreeMap;
use std::process::ExitCode;

use cli::delivery_policy::DeliveryPolicy;
use cli::{environment, output};
use serde::de::IgnoredAny;

use self::actual::Secret;
use self::client::{Client, VERSION};
use self::desired::{Desired, Target};
use self::diff::Diff;
use self::settings::{NAME, SOURCE, Settings};
use crate::service::{ApiError, Service};

pub(crate) use self::report::Report;
pub(crate) use self::settings::{Arguments, delivery_flag, function_url, signing_secret};

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let as_json = arguments.json;
    let report = execute(arguments, &environment::variables()?).await?;
    output::report(&report, as_json)
}

/// Compares what Hookdeck has with the desired state, and changes it unless this is a dry run.
///
/// # Errors
/// When a setting cannot work, or is missing.
pub(crate) async fn execute(
    arguments: Arguments,
    variables: &BTreeMap<String, String>,
) -> anyhow::Result<Report> {
    let dry_run = arguments.dry_run;
    let Settings { client, desired, notes } = Settings::read(arguments, variables)?;
    let spinner = output::spinner("asking Hookdeck");
    let mut report = Report::new(&desired, dry_run, notes);
    let (outcome, message) = apply::run(&client, &desired, &mut report).await;
    report.finish(outcome, message);
    spinner.finish_and_clear();
    Ok(report)
}

/// Checks that Hookdeck's API accepts the key.
pub(crate) async fn check_key(service: &Service) -> Result<(), ApiError> {
    service.get::<IgnoredAny>(&format!("/{VERSION}/connections?limit=1")).await.map(drop)
}

/// The actual state of a connection, beside the desired one.
pub(crate) enum Drift {
    InSync,
    Absent,
    /// What differs.
    Drifted(Vec<String>),
}

/// Compares the connection to the function at this URL, or to its other path.
pub(crate) async fn drift(
    service: Service,
    url: &str,
    delivery: DeliveryPolicy,
) -> Result<Drift, ApiError> {
    let client = Client(service);
    let desired = |url| Desired {
        source: SOURCE.to_owned(),
        name: NAME.to_owned(),
        target: Target::Http(url, delivery),
        secret: None,
    };
    let either = [desired(url.to_owned()), desired(format!("{url}webhooks/clerk"))];
    let actual = either[0].read_actual(&client).await?;
    if actual.connection.is_none() {
        return Ok(Drift::Absent);
    }
    let diffs = either.map(|desired| Diff::new(&desired, &actual).differences);
    let nearest = diffs.into_iter().min_by_key(Vec::len).unwrap_or_default();
    let mut differences: Vec<_> = nearest.into_iter().map(|it| it.what).collect();
    if actual.secret == Secret::Missing {
        differences.push(format!("source {SOURCE}: no secret, so any sender is accepted"));
    }
    Ok(if differences.is_empty() { Drift::InSync } else { Drift::Drifted(differences) })
}

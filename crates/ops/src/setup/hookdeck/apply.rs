//! Compares, sends the one request, and reads again what Hookdeck has, whatever the response was.

use http::Method;

use super::actual::Actual;
use super::client::{Client, Failure};
use super::desired::Desired;
use super::diff::Diff;
use super::report::{Outcome, Report};

const AGAIN: &str = "Run this again: it looks first";

pub(super) async fn run(
    client: &Client,
    desired: &Desired,
    report: &mut Report,
) -> (Outcome, String) {
    let actual = match desired.read_actual(client).await {
        Ok(actual) => actual,
        Err(error) => return (Outcome::Refused, format!("nothing was changed: {error}")),
    };
    if let Some(conflict) = desired.conflict(&actual) {
        return (Outcome::Refused, format!("nothing was changed: {conflict}"));
    }
    let diff = Diff::new(desired, &actual);
    report.add_diff(&diff, &actual);
    if diff.needs_no_request() {
        (Outcome::Unchanged, "Nothing differs.".to_owned())
    } else if !report.dry_run {
        apply(client, desired, &actual, report).await
    } else if diff.differences.is_empty() {
        (Outcome::Unchanged, "Nothing that Hookdeck shows differs.".to_owned())
    } else {
        (Outcome::Planned, "Nothing was changed: this is a dry run.".to_owned())
    }
}

async fn apply(
    client: &Client,
    desired: &Desired,
    actual: &Actual,
    report: &mut Report,
) -> (Outcome, String) {
    let sent = client.send(Method::PUT, "/connections", Some(&desired.request(actual))).await;
    let mut now = desired.read_actual(client).await;
    // The upsert enables the connection, and perhaps neither source nor destination (trap 5).
    if let (Ok(_), Ok(actual)) = (&sent, &now)
        && let Some(connection) = actual.connection.as_ref().filter(|_| actual.is_disabled())
    {
        let path = format!("/connections/{}/enable", connection.id);
        let _ = client.send(Method::PUT, &path, None).await; // the diff below has the result
        now = desired.read_actual(client).await;
    }
    let now = now.map(|actual| {
        report.see(&actual);
        (Diff::new(desired, &actual), actual)
    });
    match (sent, now) {
        // A hidden secret may be the old one, unless Hookdeck accepted the request.
        (sent, Ok((left, _)))
            if left.differences.is_empty() && (sent.is_ok() || !left.is_secret_hidden) =>
        {
            (Outcome::Done, format!("Done: {} → {}.", desired.source, desired.name))
        }
        (Ok(_), Ok((left, _))) => {
            let left: Vec<_> = left.differences.into_iter().map(|it| it.what).collect();
            let message = format!(
                "Hookdeck accepted the change, and these still differ: {}. Run this again in a \
                 minute; if they stay, change them in Hookdeck's dashboard",
                left.join(", ")
            );
            (Outcome::Incomplete, message)
        }
        (Err(Failure { error, may_have_applied: false }), _) => {
            (Outcome::Refused, format!("nothing was changed: {error}"))
        }
        (Err(Failure { error, .. }), Ok((_, actual))) => {
            let inventory = actual.inventory(&desired.source, &desired.name);
            let message = format!("it could not be finished: {error}. Now {inventory}. {AGAIN}");
            (Outcome::Failed, message)
        }
        (Err(Failure { error, .. }), Err(_)) => {
            (Outcome::Unclear, format!("it is unclear whether it was done: {error}. {AGAIN}"))
        }
        (Ok(_), Err(error)) => {
            let message = format!(
                "Hookdeck accepted the change, and it could not be read again: {error}. {AGAIN}"
            );
            (Outcome::Unclear, message)
        }
    }
}

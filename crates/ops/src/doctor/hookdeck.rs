//! Hookdeck: whether its API takes the key, and whether the connection is as `ops setup hookdeck`
//! makes it.

use serde::de::IgnoredAny;

use super::Means;
use super::report::Report;
use super::settings::Given;
use crate::live;
use crate::setup::hookdeck::{Standing, VERSION, function_url, standing};

pub(super) async fn examine(means: &Means, given: &Given, url: Option<&str>, report: &mut Report) {
    means.progress.set_message("asking Hookdeck");
    let (client, clock) = (means.client.clone(), means.clock.clone());
    let check = "Hookdeck key";
    let service = match live::hookdeck(given.all(), client, clock) {
        Ok(Some(service)) => service,
        Ok(None) => return report.leave_out("Hookdeck: HOOKDECK_API_KEY is not set"),
        Err(error) => {
            return report.broken(
                check,
                error.to_string(),
                "correct it, in the environment or .env",
            );
        }
    };
    match service.get::<IgnoredAny>(&format!("/{VERSION}/connections?limit=1")).await {
        Ok(_) => report.ok(check, "accepted"),
        Err(obstacle) => return report.obstacle(check, obstacle),
    }
    let url = match url.map(function_url) {
        Some(Ok(url)) => url,
        Some(Err(_)) => return report.leave_out("Hookdeck's connection: it cannot reach --url"),
        None => {
            return report.leave_out("Hookdeck's connection: --url does not say where it leads");
        }
    };
    let (check, mend) = ("Hookdeck connection", format!("cargo ops setup hookdeck --url {url}"));
    match standing(service, &url).await {
        Ok(Standing::AsWanted) => report.ok(check, "as it should be"),
        Ok(Standing::Absent) => {
            let what = "there is none from clerk to per-user-db";
            report.warning(check, what, format!("{mend}, unless yours has other names"));
        }
        Ok(Standing::Amiss(what)) => report.broken(check, what.join("; "), mend),
        Err(problem) => report.broken(check, problem.to_string(), mend),
    }
}

//! Hookdeck: its API accepts the key, and the connection is as `ops setup hookdeck` creates it.

use cli::delivery_policy::DeliveryPolicy;

use super::checks::Checks;
use super::settings::Variables;
use crate::service::Service;
use crate::setup::hookdeck::{Drift, check_key, delivery_flag, drift, function_url};

pub(super) async fn check(
    variables: &Variables,
    url: Option<&str>,
    delivery: DeliveryPolicy,
    checks: &mut Checks,
) {
    checks.begin("asking Hookdeck");
    let check = "Hookdeck key";
    let service = match Service::hookdeck(variables.all()) {
        Ok(Some(service)) => service,
        Ok(None) => return checks.leave_out("Hookdeck: HOOKDECK_API_KEY is not set"),
        Err(error) => {
            let mend = "correct it, in the environment or .env";
            return checks.broken(check, error.to_string(), mend);
        }
    };
    match check_key(&service).await {
        Ok(()) => checks.ok(check, "accepted"),
        Err(error) => return checks.error(check, error),
    }
    let url = match url.map(function_url) {
        Some(Ok(url)) => url,
        Some(Err(_)) => return checks.leave_out("Hookdeck's connection: it cannot reach --url"),
        None => return checks.leave_out("Hookdeck's connection: --url is not given"),
    };
    let check = "Hookdeck connection";
    let mend = format!("cargo ops setup hookdeck --url {url}{}", delivery_flag(delivery));
    match drift(service, &url, delivery).await {
        Ok(Drift::InSync) => checks.ok(check, "in sync with the settings"),
        Ok(Drift::Absent) => {
            let what = "there is none from clerk to per-user-db";
            checks.warning(check, what, format!("{mend}, unless yours has other names"));
        }
        Ok(Drift::Drifted(what)) => checks.broken(check, what.join("; "), mend),
        Err(error) => checks.broken(check, error.to_string(), mend),
    }
}

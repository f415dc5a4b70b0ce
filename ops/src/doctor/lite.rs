//! Xata Lite, as far as there is anything to ask (`contracts/xata-lite.md` section 3.5). That it
//! was retired is a warning of the settings.

use per_user_db::http_client::CallError;
use per_user_db::http_client::api::Api;
use per_user_db::region::Policy;
use per_user_db::xata::lite::Settings;

use super::Means;
use super::platform::{Regions, examine_regions};
use super::report::Report;
use crate::service::{Service, Words};

const LIMIT_BYTES: usize = 64 * 1024;

pub(super) async fn examine(
    means: &Means,
    policy: &Policy,
    settings: &Settings,
    report: &mut Report,
) {
    means.progress.set_message("asking Xata Lite");
    let (client, clock) = (means.client.clone(), means.clock.clone());
    let xata = Service {
        api: Api::new(settings.url.clone(), &settings.key, client, clock),
        url: settings.url.clone(),
        words: Words {
            name: "Xata Lite",
            url: "XATA_API_URL",
            key: "XATA_API_KEY",
            path: "XATA_WORKSPACE_SLUG or XATA_WORKSPACE_ID",
        },
    };
    let path = format!("/workspaces/{}/regions", settings.workspace.as_str());
    let regions = xata
        .ask(&path, LIMIT_BYTES)
        .await
        .and_then(|body| Regions::read(&body).ok_or_else(|| xata.silent(CallError::Unreadable)));
    match regions {
        Ok(regions) => {
            report.ok("Xata key", "accepted");
            examine_regions(&regions, policy, report);
        }
        Err(obstacle) => report.obstacle("Xata key", obstacle),
    }
}

//! Xata Lite, as far as there is anything to ask (`contracts/xata-lite.md` section 3.5). That it
//! was retired is a warning of the settings.

use per_user_db::region::PlacementPolicy;
use per_user_db::xata::lite::Settings;

use super::Means;
use super::platform::examine_regions;
use super::report::Report;
use crate::organization::regions;
use crate::service::{Service, Words};

pub(super) async fn examine(
    means: &Means,
    policy: &PlacementPolicy,
    settings: &Settings,
    report: &mut Report,
) {
    means.progress.set_message("asking Xata Lite");
    let (client, clock) = (means.client.clone(), means.clock.clone());
    let xata = Service::new(Words::LITE, settings.url.clone(), &settings.key, client, clock);
    match regions(&xata, &format!("/workspaces/{}/regions", settings.workspace.as_str())).await {
        Ok(regions) => {
            report.ok("Xata key", "accepted");
            examine_regions(&regions, policy, report);
        }
        Err(obstacle) => report.obstacle("Xata key", obstacle),
    }
}

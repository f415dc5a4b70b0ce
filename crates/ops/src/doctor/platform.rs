//! Xata's platform: the key, the organization and its projects, the regions, and what databases are
//! made of (`contracts/xata-platform.md` sections 4 to 7).

use per_user_db::region::PlacementPolicy;
use per_user_db::settings::Settings;
use per_user_db::xata::platform::{self, Source};

use super::report::Report;
use super::{Means, quota, template};
use crate::live;
use crate::service::Obstacle;

pub(super) async fn examine(
    means: &Means,
    settings: &Settings,
    platform: &platform::Settings,
    report: &mut Report,
) {
    means.progress.set_message("asking Xata");
    let xata = live::organization(platform, means.client.clone(), means.clock.clone());
    let visible: Vec<_> = match xata.projects().await {
        Ok(visible) => visible.into_iter().map(|project| project.id).collect(),
        Err(obstacle) => return tell_of_no_projects(obstacle, report),
    };
    report.ok("Xata key", "accepted");
    let known: Vec<_> = settings.projects.iter().filter(|it| visible.contains(it)).collect();
    for project in settings.projects.iter().filter(|it| !visible.contains(it)) {
        report.broken(
            format!("Xata project {}", project.as_str()),
            format!("is none of the projects that the key sees ({})", visible.len()),
            "correct XATA_PROJECT_ID, or give the key all projects",
        );
    }
    match xata.regions().await {
        Ok(regions) => {
            examine_regions(&regions, &settings.policy, report);
            let allowed = settings.policy.allowed.iter();
            let allowed: Vec<_> =
                allowed.filter(|it| regions.iter().any(|id| id == it.as_str())).collect();
            match &platform.source {
                Source::Templates(templates) => {
                    for ((project, region), id) in templates {
                        if known.contains(&project) && allowed.contains(&region) {
                            let check = format!("Xata template {region} in {}", project.as_str());
                            means.progress.set_message(format!("asking for the {check}"));
                            template::examine(&xata, project, region, id, check, report).await;
                        }
                    }
                }
                Source::Root { image, instance_type } => {
                    template::examine_root(&xata, &allowed, image, instance_type, report).await;
                }
            }
        }
        Err(obstacle) => report.obstacle("Xata regions", obstacle),
    }
    quota::examine(means, &xata, &visible, &known, report).await;
}

/// The first question: what is wrong with its answer tells of the key, or of the organization.
fn tell_of_no_projects(obstacle: Obstacle, report: &mut Report) {
    if obstacle.is_refusal() && obstacle.status.is_some_and(|status| status != 401) {
        report.ok("Xata key", "accepted");
        let mend = "correct XATA_ORGANIZATION_ID, or give the key the scope project:read";
        report.broken("Xata organization", obstacle.what, mend);
    } else {
        report.obstacle("Xata key", obstacle);
    }
}

/// Whether there is every region that users can be placed in.
pub(super) fn examine_regions(regions: &[String], policy: &PlacementPolicy, report: &mut Report) {
    for region in &policy.allowed {
        let check = format!("Xata region {region}");
        if regions.iter().any(|id| id == region.as_str()) {
            report.ok(check, "exists");
        } else {
            report.broken(
                check,
                format!("does not exist; there are {}", regions.join(", ")),
                "correct DEFAULT_REGION, REGION_BY_CONTINENT, REGION_BY_COUNTRY or ALLOWED_REGIONS",
            );
        }
    }
}

//! Xata: the key, the organization and its projects, the regions, and what databases are created
//! from. Of Xata Lite, only the key and the regions can be checked; that it was retired is a warning
//! of the settings.

use per_user_db::region::{PlacementPolicy, Region};
use per_user_db::settings::Settings;
use per_user_db::xata::platform::{self, Source};
use per_user_db::xata::{ProjectId, lite};

use super::checks::Checks;
use super::{quota, template};
use crate::organization::{Organization, region_ids};
use crate::service::{ApiError, Service, ServiceInfo};

pub(super) async fn check(settings: &Settings, xata: &platform::Settings, checks: &mut Checks) {
    checks.begin("asking Xata");
    let organization = Organization::new(xata);
    let visible: Vec<_> = match organization.projects().await {
        Ok(visible) => visible.into_iter().map(|project| project.id).collect(),
        Err(error) => return first_error(error, checks),
    };
    checks.ok("Xata key", "accepted");
    let (ours, missing): (Vec<_>, Vec<_>) =
        settings.projects.iter().partition(|it| visible.contains(it));
    for project in missing {
        checks.broken(
            format!("Xata project {}", project.as_str()),
            format!("is none of the projects that the key sees ({})", visible.len()),
            "correct XATA_PROJECT_ID, or give the key all projects",
        );
    }
    match organization.regions().await {
        Ok(known) => {
            let regions = check_regions(&known, &settings.policy, checks);
            check_source(&organization, &xata.source, &ours, &regions, checks).await;
        }
        Err(error) => checks.error("Xata regions", error),
    }
    quota::check(&organization, &visible, &ours, checks).await;
}

/// An error of the first call concerns the key or the organization.
fn first_error(error: ApiError, checks: &mut Checks) {
    if error.is_refusal() && error.status().is_some_and(|status| status != 401) {
        checks.ok("Xata key", "accepted");
        let mend = "correct XATA_ORGANIZATION_ID, or give the key the scope project:read";
        checks.broken("Xata organization", error.what, mend);
    } else {
        checks.error("Xata key", error);
    }
}

/// Checks what databases are created from, in the regions that exist.
async fn check_source(
    organization: &Organization,
    source: &Source,
    ours: &[&ProjectId],
    regions: &[&Region],
    checks: &mut Checks,
) {
    match source {
        Source::Templates(templates) => {
            for ((project, region), id) in templates {
                if ours.contains(&project) && regions.contains(&region) {
                    template::check(organization, project, region, id, checks).await;
                }
            }
        }
        Source::Root { image, instance_type } => {
            template::check_offers(organization, regions, image, instance_type, checks).await;
        }
    }
}

/// Checks the regions that users can be placed in, and returns those that exist.
fn check_regions<'a>(
    known: &[String],
    policy: &'a PlacementPolicy,
    checks: &mut Checks,
) -> Vec<&'a Region> {
    let (existing, missing): (Vec<_>, Vec<_>) =
        policy.allowed.iter().partition(|region| known.iter().any(|id| id == region.as_str()));
    for region in &existing {
        checks.ok(format!("Xata region {region}"), "exists");
    }
    for region in missing {
        checks.broken(
            format!("Xata region {region}"),
            format!("does not exist; there are {}", known.join(", ")),
            "correct DEFAULT_REGION, REGION_BY_CONTINENT, REGION_BY_COUNTRY or ALLOWED_REGIONS",
        );
    }
    existing
}

pub(super) async fn check_lite(
    policy: &PlacementPolicy,
    settings: &lite::Settings,
    checks: &mut Checks,
) {
    checks.begin("asking Xata Lite");
    let service = Service::new(ServiceInfo::XATA_LITE, settings.url.clone(), &settings.key);
    let path = format!("/workspaces/{}/regions", settings.workspace.as_str());
    match region_ids(&service, &path).await {
        Ok(known) => {
            checks.ok("Xata key", "accepted");
            check_regions(&known, policy, checks);
        }
        Err(error) => checks.error("Xata key", error),
    }
}

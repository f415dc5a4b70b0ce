//! What databases are made of: templates, or an image and an instance type.

use http::StatusCode;
use per_user_db::region::Region;
use per_user_db::xata::{DatabaseId, ProjectId};

use super::report::{Report, State};
use crate::organization::{self, Described, Organization};
use crate::service::Obstacle;

/// A shortcoming: how bad, what, and the mend.
type Shortcoming = (State, String, &'static str);

/// Whether new databases can be cloned of it: a root branch in its region, healthy and kept awake.
pub(super) async fn examine(
    xata: &Organization,
    project: &ProjectId,
    region: &Region,
    id: &DatabaseId,
    check: String,
    report: &mut Report,
) {
    let template = match xata.describe(project.as_str(), id.as_str()).await {
        Ok(template) => template,
        Err(Obstacle { status: Some(StatusCode::NOT_FOUND), .. }) => {
            let what = "is not in its project (404)";
            return report.broken(check, what, "correct XATA_TEMPLATES, or make it anew");
        }
        Err(obstacle) => return report.obstacle(check, obstacle),
    };
    let shortcomings = shortcomings(&template, region);
    let Some(state) = shortcomings.iter().map(|(state, ..)| *state).max() else {
        return report.ok(check, "a root branch, healthy and kept awake");
    };
    let what: Vec<_> = shortcomings.iter().map(|(_, what, _)| what.as_str()).collect();
    let mend: Vec<_> = shortcomings.iter().map(|(.., mend)| *mend).collect();
    report.add(check, state, what.join("; "), mend.join("; "));
}

fn shortcomings(template: &Described, region: &Region) -> Vec<Shortcoming> {
    let mut found = Vec::new();
    if template.region != region.as_str() {
        let what = match Region::try_from(template.region.as_str()) {
            Ok(other) => format!("is in {other}"),
            Err(_) => "is in another region".to_owned(),
        };
        found.push((State::Broken, what, "correct XATA_TEMPLATES, or make one in its region"));
    }
    if template.parent.is_some() {
        let what = "is no root branch, so it can have 100 clones only".to_owned();
        found.push((State::Broken, what, "make a root branch, and set XATA_TEMPLATES to it"));
    }
    let sleeps = template.may_sleep();
    let and_keep = "wake it in Xata, and switch its scale to zero off";
    let (state, what, mend) = match template.state() {
        organization::State::Healthy if !sleeps => return found,
        organization::State::Healthy => {
            let mend = "switch its scale to zero off in Xata";
            (State::Warning, "is awake, but goes to sleep when idle", mend)
        }
        organization::State::Hibernated => (State::Broken, "is asleep", and_keep),
        organization::State::Fault => {
            (State::Broken, "is at fault", "see it in Xata; it may recover")
        }
        organization::State::Transient => {
            let mend = "nothing, if it passes: clones wait for it";
            (State::Warning, "is not ready: it is being made or woken", mend)
        }
        organization::State::Unspecified => {
            (State::Warning, "is in a state that Xata does not tell", "see it in Xata")
        }
    };
    found.push((state, what.to_owned(), mend));
    found
}

/// Whether root branches can be made of this image and instance type in all of the regions.
pub(super) async fn examine_root(
    xata: &Organization,
    regions: &[&Region],
    image: &str,
    instance_type: &str,
    report: &mut Report,
) {
    let (mut without_image, mut without_type) = (Vec::new(), Vec::new());
    for region in regions {
        match xata.offer(region).await {
            Ok(offer) => {
                without_image.extend(offer.images_but_for(image).map(|_| region.as_str()));
                without_type
                    .extend(offer.instance_types_but_for(instance_type).map(|_| region.as_str()));
            }
            Err(obstacle) => return tell("Xata image and type", obstacle, "org:read", report),
        }
    }
    tell_of_offer("Xata instance type", "XATA_INSTANCE_TYPE", &without_type, report);
    tell_of_offer("Xata image", "XATA_IMAGE", &without_image, report);
}

fn tell_of_offer(check: &str, variable: &str, lacking: &[&str], report: &mut Report) {
    if lacking.is_empty() {
        report.ok(check, format!("{variable} is offered in every region"));
    } else {
        let what = format!("{variable} is not offered in {}", lacking.join(", "));
        report.broken(check, what, format!("set {variable} to one that Xata lists"));
    }
}

/// Whatever the function itself does not need is no breakage when a narrow key may not see it.
pub(super) fn tell(check: &str, obstacle: Obstacle, scope: &str, report: &mut Report) {
    if obstacle.is_refusal() {
        let what = format!("not told: {}", obstacle.what);
        report.warning(check, what, format!("to have it checked, give the key the scope {scope}"));
    } else {
        report.obstacle(check, obstacle);
    }
}

//! What databases are created from: templates, or an image and an instance type.

use http::StatusCode;
use per_user_db::region::Region;
use per_user_db::xata::{DatabaseId, ProjectId};

use super::checks::{Checks, State};
use crate::organization::{BranchDescription, BranchState, Organization};

/// What is wrong with a template, and what to do about it.
type Fault = (State, String, &'static str);

/// Checks that a template can be cloned well: a root branch in its region, healthy and kept awake.
pub(super) async fn check(
    organization: &Organization,
    project: &ProjectId,
    region: &Region,
    id: &DatabaseId,
    checks: &mut Checks,
) {
    let check = format!("Xata template {region} in {}", project.as_str());
    checks.begin(format!("asking for the {check}"));
    let faults = match organization.describe(project.as_str(), id.as_str()).await {
        Ok(template) => faults(&template, region),
        Err(error) if error.status() == Some(StatusCode::NOT_FOUND) => {
            let what = "is not in its project (404)";
            return checks.broken(check, what, "correct XATA_TEMPLATES, or create it again");
        }
        Err(error) => return checks.error(check, error),
    };
    let Some(state) = faults.iter().map(|(state, ..)| *state).max() else {
        return checks.ok(check, "a root branch, healthy and kept awake");
    };
    let what: Vec<_> = faults.iter().map(|(_, what, _)| what.as_str()).collect();
    let mend: Vec<_> = faults.iter().map(|(.., mend)| *mend).collect();
    checks.add(check, state, what.join("; "), mend.join("; "));
}

fn faults(template: &BranchDescription, region: &Region) -> Vec<Fault> {
    let mut faults = Vec::new();
    if template.region != region.as_str() {
        let what = match Region::try_from(template.region.as_str()) {
            Ok(other) => format!("is in {other}"),
            Err(_) => "is in another region".to_owned(),
        };
        faults.push((State::Broken, what, "correct XATA_TEMPLATES, or create one in its region"));
    }
    if template.parent.is_some() {
        let what = "is no root branch, so it can have 100 clones only".to_owned();
        faults.push((State::Broken, what, "create a root branch, and set XATA_TEMPLATES to it"));
    }
    let (state, what, mend) = match template.state() {
        BranchState::Healthy if !template.may_hibernate() => return faults,
        BranchState::Healthy => (
            State::Warning,
            "is awake, but goes to sleep when idle",
            "switch its scale to zero off in Xata",
        ),
        BranchState::Hibernated => {
            (State::Broken, "is asleep", "wake it in Xata, and switch its scale to zero off")
        }
        BranchState::Fault => (State::Broken, "is at fault", "see it in Xata; it may recover"),
        BranchState::Transient => (
            State::Warning,
            "is not ready: it is being created or woken",
            "nothing, if it passes: clones wait for it",
        ),
        BranchState::Unspecified => {
            (State::Warning, "is in a state that this tool does not know", "see it in Xata")
        }
    };
    faults.push((state, what.to_owned(), mend));
    faults
}

/// Checks that root branches can have this image and instance type in all of the regions.
pub(super) async fn check_offers(
    organization: &Organization,
    regions: &[&Region],
    image: &str,
    instance_type: &str,
    checks: &mut Checks,
) {
    let (mut without_image, mut without_type) = (Vec::new(), Vec::new());
    for region in regions {
        match organization.offer(region).await {
            Ok(offer) => {
                without_image.extend(offer.images_without(image).map(|_| region.as_str()));
                without_type
                    .extend(offer.instance_types_without(instance_type).map(|_| region.as_str()));
            }
            Err(error) => return checks.optional_error("Xata image and type", error, "org:read"),
        }
    }
    for (check, variable, regions) in [
        ("Xata instance type", "XATA_INSTANCE_TYPE", without_type),
        ("Xata image", "XATA_IMAGE", without_image),
    ] {
        if regions.is_empty() {
            checks.ok(check, format!("{variable} is offered in every region"));
        } else {
            let what = format!("{variable} is not offered in {}", regions.join(", "));
            checks.broken(check, what, format!("set {variable} to one that Xata lists"));
        }
    }
}

//! What databases are made of: templates, or an image and an instance type.

use http::StatusCode;
use per_user_db::region::Region;
use per_user_db::xata::{DatabaseId, ProjectId};
use serde::Deserialize;

use super::platform::Xata;
use super::report::{Report, State};
use crate::fleet;
use crate::service::Obstacle;

/// As far as it matters (section 6.3).
#[derive(Deserialize)]
struct Described {
    region: String,
    #[serde(rename = "parentID")]
    parent: Option<String>,
    status: Status,
    #[serde(rename = "scaleToZero")]
    scale_to_zero: Option<ScaleToZero>,
}

#[derive(Deserialize)]
struct Status {
    #[serde(rename = "statusType")]
    kind: Option<String>,
}

#[derive(Deserialize)]
struct ScaleToZero {
    enabled: bool,
}

/// A shortcoming: how bad, what, and the mend.
type Shortcoming = (State, String, &'static str);

/// Whether new databases can be cloned of it: a root branch in its region, healthy and kept awake.
pub(super) async fn examine(
    xata: &Xata<'_>,
    project: &ProjectId,
    region: &Region,
    id: &DatabaseId,
    report: &mut Report,
) {
    let check = format!("Xata template {region} in {}", project.as_str());
    xata.means.progress.set_message(format!("asking for the {check}"));
    let path = format!("/projects/{}/branches/{}", project.as_str(), id.as_str());
    let template: Described = match xata.get(&path).await {
        Ok(template) => template,
        Err(Obstacle { status: Some(StatusCode::NOT_FOUND), .. }) => {
            let what = "is not in its project (404)";
            return report.broken(check, what, "correct XATA_TEMPLATES, or make it anew");
        }
        Err(obstacle) => return report.obstacle(check, obstacle),
    };
    let shortcomings = template.shortcomings(region);
    let Some(state) = shortcomings.iter().map(|(state, ..)| *state).max() else {
        return report.ok(check, "a root branch, healthy and kept awake");
    };
    let what: Vec<_> = shortcomings.iter().map(|(_, what, _)| what.as_str()).collect();
    let mend: Vec<_> = shortcomings.iter().map(|(.., mend)| *mend).collect();
    report.add(check, state, what.join("; "), mend.join("; "));
}

impl Described {
    fn shortcomings(&self, region: &Region) -> Vec<Shortcoming> {
        let mut found = Vec::new();
        if self.region != region.as_str() {
            let what = match Region::try_from(self.region.as_str()) {
                Ok(other) => format!("is in {other}"),
                Err(_) => "is in another region".to_owned(),
            };
            found.push((State::Broken, what, "correct XATA_TEMPLATES, or make one in its region"));
        }
        if self.parent.is_some() {
            let what = "is no root branch, so it can have 100 clones only".to_owned();
            found.push((State::Broken, what, "make a root branch, and set XATA_TEMPLATES to it"));
        }
        let sleeps = self.scale_to_zero.as_ref().is_some_and(|it| it.enabled);
        let and_keep = "wake it in Xata, and switch its scale to zero off";
        let (state, what, mend) = match fleet::State::read(self.status.kind.as_deref()) {
            fleet::State::Healthy if !sleeps => return found,
            fleet::State::Healthy => {
                let mend = "switch its scale to zero off in Xata";
                (State::Warning, "is awake, but goes to sleep when idle", mend)
            }
            fleet::State::Hibernated => (State::Broken, "is asleep", and_keep),
            fleet::State::Fault => (State::Broken, "is at fault", "see it in Xata; it may recover"),
            fleet::State::Transient => {
                let mend = "nothing, if it passes: clones wait for it";
                (State::Warning, "is not ready: it is being made or woken", mend)
            }
            fleet::State::Unspecified => {
                (State::Warning, "is in a state that Xata does not tell", "see it in Xata")
            }
        };
        found.push((state, what.to_owned(), mend));
        found
    }
}

/// Whether root branches can be made of this image and instance type in all of the regions.
pub(super) async fn examine_root(
    xata: &Xata<'_>,
    regions: &[&Region],
    image: &str,
    instance_type: &str,
    report: &mut Report,
) {
    #[derive(Deserialize)]
    struct Types {
        #[serde(rename = "instanceTypes")]
        types: Vec<Type>,
    }
    #[derive(Deserialize)]
    struct Type {
        name: String,
    }
    #[derive(Deserialize)]
    struct Images {
        images: Vec<Image>,
    }
    #[derive(Deserialize)]
    struct Image {
        name: String,
        #[serde(rename = "majorVersion")]
        major: Option<String>,
    }
    let check = "Xata instance type";
    let mut lacking = Vec::new();
    for region in regions {
        match xata.get::<Types>(&format!("/instanceTypes?region={region}")).await {
            Ok(Types { types }) if types.iter().any(|it| it.name == instance_type) => {}
            Ok(_) => lacking.push(region.as_str()),
            Err(obstacle) => return tell(check, obstacle, "org:read", report),
        }
    }
    tell_of_offer(check, "XATA_INSTANCE_TYPE", &lacking, report);

    let check = "Xata image";
    let mut lacking = Vec::new();
    // The alias of a major version is taken without being listed (section 4).
    let alias = image.strip_prefix("postgresql:");
    for region in regions {
        match xata.get::<Images>(&format!("/images?region={region}")).await {
            Ok(Images { images }) => {
                let is_it = |listed: &Image| {
                    listed.name == image || alias.is_some() && alias == listed.major.as_deref()
                };
                if !images.iter().any(is_it) {
                    lacking.push(region.as_str());
                }
            }
            Err(obstacle) => return tell(check, obstacle, "org:read", report),
        }
    }
    tell_of_offer(check, "XATA_IMAGE", &lacking, report);
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

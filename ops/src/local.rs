//! The world that the stand-ins make up: one organization, one project, a template per region.
//! Everything in it is fixed, so that settings written down once keep pointing at it.

use std::collections::{BTreeMap, BTreeSet};

use per_user_db::region::Region;
use standin::xata::platform::{Options, Platform};

/// Signs deliveries where no real Hookdeck project is at hand. It protects nothing.
pub(crate) const SIGNING_SECRET: &str = "local-development-secret";

/// Where people are placed when nobody chose.
pub(crate) const REGION_BY_CONTINENT: (&str, &str) =
    ("REGION_BY_CONTINENT", "EU=eu-central-1,OC=ap-southeast-2");

const PROJECT: &str = "prj_00000000000000000000000dev";

/// The regions that [`REGION_BY_CONTINENT`] and the default lead to.
pub(crate) fn regions() -> BTreeSet<Region> {
    let ids = ["us-east-1", "eu-central-1", "ap-southeast-2"];
    ids.into_iter().filter_map(|id| id.try_into().ok()).collect()
}

/// Xata, with the project, and a template in each of these regions.
pub(crate) fn xata(regions: &BTreeSet<Region>) -> Platform {
    let known: Vec<_> = Options::default().regions.into_iter().map(|region| region.id).collect();
    let more = regions.iter().map(Region::as_str).filter(|id| !known.iter().any(|it| it == id));
    let platform = Platform::new(more.fold(Options::default(), Options::with_region));
    platform.insert_project(PROJECT, "per-user-db");
    for region in regions {
        platform.insert_template(PROJECT, &template(region), region.as_str());
    }
    platform
}

/// The settings that point at a Xata stand-in on this address.
pub(crate) fn settings(xata_address: &str) -> Vec<(&'static str, String)> {
    let options = Options::default();
    vec![
        ("HOOKDECK_WEBHOOK_SECRET", SIGNING_SECRET.to_owned()),
        ("XATA_API_KEY", options.api_key),
        ("XATA_API_URL", format!("http://{xata_address}")),
        ("XATA_ORGANIZATION_ID", options.organization),
        ("XATA_PROJECT_ID", PROJECT.to_owned()),
    ]
}

/// The setting that names the templates in these regions.
pub(crate) fn templates(regions: &BTreeSet<Region>) -> (&'static str, String) {
    let pairs: Vec<_> =
        regions.iter().map(|region| format!("{region}={}", template(region))).collect();
    ("XATA_TEMPLATES", pairs.join(","))
}

/// A branch id, 26 characters that begin with a letter, which tells its region.
fn template(region: &Region) -> String {
    format!("t{:0>25.25}", region.as_str().replace('-', ""))
}

/// The first secret that a delivery can be signed with, of a setting that may list several.
pub(crate) fn first_secret(setting: &str) -> &str {
    setting.split(',').next().unwrap_or_default()
}

/// The variables of the environment and of `.env`. The environment wins; an empty value counts as
/// not set.
pub(crate) fn variables() -> BTreeMap<String, String> {
    let file = dotenvy::dotenv_iter().into_iter().flatten().filter_map(Result::ok);
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    file.chain(environment).filter(|(_, value)| !value.is_empty()).collect()
}

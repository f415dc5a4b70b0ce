//! The world that the stand-ins make up: one organization with one project and a template per
//! region, or one workspace of Xata Lite; and one instance of Clerk. Everything in it is fixed, so
//! that settings written down once keep pointing at it.

use std::collections::{BTreeMap, BTreeSet};

use per_user_db::region::Region;
use standin::clerk::backend::{self, Backend};
use standin::xata::{Xata, lite, platform};

/// Signs deliveries where no real Hookdeck project is at hand. It protects nothing.
pub(crate) const SIGNING_SECRET: &str = "local-development-secret";

pub(crate) const PROJECT: &str = "prj_00000000000000000000000dev";

/// Which of Xata's APIs is stood in for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Api {
    /// The platform of today
    Platform,
    /// Xata Lite, as in the tutorial; it was retired
    Lite,
}

impl Api {
    /// Xata, with whatever is needed to make databases in these regions.
    pub(crate) fn xata(self, regions: &BTreeSet<Region>) -> Xata {
        match self {
            Self::Platform => Xata::Platform(platform(regions)),
            Self::Lite => Xata::Lite(lite(regions)),
        }
    }

    /// The settings that point at a stand-in on this address, where users are placed in these
    /// regions.
    pub(crate) fn settings(
        self,
        address: &str,
        regions: &BTreeSet<Region>,
    ) -> Vec<(&'static str, String)> {
        let common = [
            ("HOOKDECK_WEBHOOK_SECRET", SIGNING_SECRET.to_owned()),
            ("XATA_API_URL", format!("http://{address}")),
        ];
        let own = match self {
            Self::Platform => {
                let options = platform::Options::default();
                let templates: Vec<_> =
                    regions.iter().map(|region| format!("{region}={}", template(region))).collect();
                vec![
                    ("XATA_API_KEY", options.api_key),
                    ("XATA_ORGANIZATION_ID", options.organization),
                    ("XATA_PROJECT_ID", PROJECT.to_owned()),
                    ("XATA_TEMPLATES", templates.join(",")),
                ]
            }
            Self::Lite => {
                let options = lite::Options::default();
                vec![("XATA_API_KEY", options.api_key), ("XATA_WORKSPACE_SLUG", options.workspace)]
            }
        };
        common.into_iter().chain(own).collect()
    }

    /// The regions that users are placed in by these settings.
    pub(crate) fn regions(
        self,
        placement: &BTreeMap<&'static str, String>,
    ) -> anyhow::Result<BTreeSet<Region>> {
        let mut settings: BTreeMap<_, _> =
            self.settings("127.0.0.1", &BTreeSet::new()).into_iter().collect();
        settings.extend(placement.clone());
        Ok(cli::environment::settings(&settings)?.policy.allowed)
    }

    /// Where people are placed when nobody chose.
    pub(crate) fn placement(self) -> [(&'static str, String); 1] {
        let europe = match self {
            Self::Platform => "eu-central-1",
            Self::Lite => "eu-west-1",
        };
        [("REGION_BY_CONTINENT", format!("EU={europe},OC=ap-southeast-2"))]
    }
}

fn platform(regions: &BTreeSet<Region>) -> platform::Platform {
    let known = platform::Options::default().regions;
    let more = regions.iter().filter(|region| !known.iter().any(|it| it.id == region.as_str()));
    let options =
        more.map(Region::as_str).fold(platform::Options::default(), platform::Options::with_region);
    let platform = platform::Platform::new(options);
    platform.insert_project(PROJECT, "per-user-db");
    for region in regions {
        platform.insert_template(PROJECT, &template(region), region.as_str());
    }
    platform
}

fn lite(regions: &BTreeSet<Region>) -> lite::Lite {
    let region = |id: &Region| lite::Region { id: id.to_string(), name: id.to_string() };
    let regions = regions.iter().map(region).collect();
    lite::Lite::new(lite::Options { regions, ..lite::Options::default() })
}

/// Clerk's Backend API, of an instance without users. Only changes of one user are limited.
pub(crate) fn clerk() -> Backend {
    Backend::new(backend::Options { most_requests: None, ..backend::Options::default() })
}

/// The settings that point at it on this address.
pub(crate) fn clerk_settings(address: &str) -> [(&'static str, String); 2] {
    [
        ("CLERK_API_URL", format!("http://{address}/v1")),
        ("CLERK_SECRET_KEY", backend::Options::default().secret_key),
    ]
}

/// A branch id, 26 characters that begin with a letter, which tells its region.
pub(crate) fn template(region: &Region) -> String {
    format!("t{:0>25.25}", region.as_str().replace('-', ""))
}

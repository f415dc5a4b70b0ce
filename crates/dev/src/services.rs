//! The stand-ins of Xata and Clerk: an organization with its projects and a template per region, or
//! one workspace of Xata Lite; and one Clerk instance. Their ids and keys are fixed, so settings that
//! were written down once stay valid.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use anyhow::anyhow;
use axum::Router;
use per_user_db::region::Region;
use standin::clerk::backend::{self, Backend};
use standin::xata::platform::postgres::{Server, VARIABLE};
use standin::xata::{Xata, lite, platform};

/// Where everything listens unless a flag says otherwise: only this machine can connect.
pub(crate) const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// The port of the stand-ins, which the settings in `events/` name.
pub(crate) const PORT: u16 = 9100;

/// Signs deliveries where no Hookdeck project is configured. It protects nothing.
pub(crate) const SIGNING_SECRET: &str = "local-development-secret";

/// The first projects, in the order in which they are used. Only the simulations have more than one.
pub(crate) const PROJECTS: [&str; 3] =
    ["prj_00000000000000000000000dev", "prj_second", "prj_third"];

/// Settings by the name of their variable.
pub(crate) type Variables = BTreeMap<&'static str, String>;

/// One of Xata's two APIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Api {
    /// The current platform
    Platform,
    /// Xata Lite, which the tutorial uses and which is retired
    Lite,
}

/// The stand-ins, and the settings that point the function at them.
pub(crate) struct Services {
    pub(crate) api: Api,
    pub(crate) xata: Xata,
    pub(crate) clerk: Backend,
    placement: Variables,
    regions: BTreeSet<Region>,
}

impl Services {
    /// Stand-ins with so many projects, in the regions that these settings of the placement allow.
    /// Without any, the settings are an example: on the platform, which has no region in Asia and
    /// Oceania, users from there get the one that is nearest.
    pub(crate) fn new(
        api: Api,
        n_projects: usize,
        mut placement: Variables,
    ) -> anyhow::Result<Self> {
        if placement.is_empty() {
            let regions = match api {
                Api::Platform => "EU=eu-central-1,OC=us-west-2,AS=us-west-2",
                Api::Lite => "EU=eu-west-1,OC=ap-southeast-2",
            };
            placement.insert("REGION_BY_CONTINENT", regions.to_owned());
        }
        let mut settings = fixed_settings(api, "127.0.0.1");
        settings.extend(placement.clone());
        let regions = cli::environment::settings(&settings)?.policy.allowed;
        let xata = match api {
            Api::Platform => Xata::Platform(platform(n_projects, &regions)),
            Api::Lite => Xata::Lite(lite(&regions)),
        };
        // Only changes of one user are limited.
        let clerk = Backend::new(backend::Options { most_requests: None, ..Default::default() });
        Ok(Self { api, xata, clerk, placement, regions })
    }

    /// Keeps the data of the platform's databases on the PostgreSQL server that the environment names, and
    /// tells whether it names one.
    pub(crate) async fn use_postgres(&self) -> anyhow::Result<bool> {
        let url = std::env::var(VARIABLE).ok().filter(|url| !url.is_empty());
        let (Some(url), Xata::Platform(platform)) = (url, &self.xata) else {
            return Ok(false);
        };
        let server = Server::connect(&url).await;
        let server = server.map_err(|error| anyhow!("{VARIABLE} cannot be used: {error}"))?;
        platform.use_postgres(server).await?;
        Ok(true)
    }

    pub(crate) fn router(&self) -> Router {
        self.clerk.beside(self.xata.router())
    }

    /// The settings of a function that uses the stand-ins at this address, and the first so many
    /// projects.
    pub(crate) fn settings(&self, address: &str, n_projects: usize) -> Variables {
        let mut settings = fixed_settings(self.api, address);
        if self.api == Api::Platform {
            let mut templates = Vec::new();
            let projects: Vec<_> = (0..n_projects).map(project_id).collect();
            for (number, project) in projects.iter().enumerate() {
                let project = if n_projects > 1 { format!("{project}/") } else { String::new() };
                let template = |it| format!("{project}{it}={}", template_id(number, it));
                templates.extend(self.regions.iter().map(template));
            }
            settings.insert("XATA_PROJECT_ID", projects.join(","));
            settings.insert("XATA_TEMPLATES", templates.join(","));
        }
        settings.extend(self.placement.clone());
        settings
    }
}

fn fixed_settings(api: Api, address: &str) -> Variables {
    let mut settings = BTreeMap::from([
        ("HOOKDECK_WEBHOOK_SECRET", SIGNING_SECRET.to_owned()),
        ("XATA_API_URL", format!("http://{address}")),
        ("CLERK_API_URL", format!("http://{address}/v1")),
        ("CLERK_SECRET_KEY", backend::Options::default().secret_key),
    ]);
    match api {
        Api::Platform => {
            let options = platform::Options::default();
            settings.insert("XATA_API_KEY", options.api_key);
            settings.insert("XATA_ORGANIZATION_ID", options.organization);
            settings.insert("XATA_PROJECT_ID", PROJECTS[0].to_owned());
        }
        Api::Lite => {
            let options = lite::Options::default();
            settings.insert("XATA_API_KEY", options.api_key);
            settings.insert("XATA_WORKSPACE_SLUG", options.workspace);
        }
    }
    settings
}

fn platform(n_projects: usize, regions: &BTreeSet<Region>) -> platform::Platform {
    let mut options = platform::Options::default();
    for region in regions.iter().map(Region::as_str) {
        if !options.regions.iter().any(|it| it.id == region) {
            options = options.with_region(region);
        }
    }
    let platform = platform::Platform::new(options);
    for number in 0..n_projects {
        let project = project_id(number);
        platform.insert_project(&project, "per-user-db");
        for region in regions {
            let id = template_id(number, region);
            platform.insert_template(&project, &id, region.as_str());
        }
    }
    platform
}

fn lite(regions: &BTreeSet<Region>) -> lite::Lite {
    let region = |id: &Region| lite::Region { id: id.to_string(), name: id.to_string() };
    let regions = regions.iter().map(region).collect();
    lite::Lite::new(lite::Options { regions, ..lite::Options::default() })
}

fn project_id(number: usize) -> String {
    PROJECTS.get(number).map_or_else(|| format!("prj_{number}"), ToString::to_string)
}

/// A branch id, 26 characters that begin with a letter.
fn template_id(project: usize, region: &Region) -> String {
    let project = if project < 10 { project.to_string() } else { format!("{project}p") };
    let width = 25 - project.len();
    format!("t{project}{:0>width$.width$}", region.as_str().replace('-', ""))
}

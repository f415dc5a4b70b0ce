//! What the environment and `.env` say, before there is a project or a template.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{anyhow, bail};
use per_user_db::Clock;
use per_user_db::http_client::{self, HttpClient};
use per_user_db::region::Region;
use per_user_db::settings::Xata;
use per_user_db::xata::OrganizationId;
use per_user_db::xata::platform::{self, Source};

use crate::service::{Service, Words};
use cli::environment;

/// The settings that say what is asked, and where users are placed. No other can be in the way.
const READ: [&str; 8] = [
    "XATA_API_KEY",
    "XATA_API_URL",
    "XATA_IMAGE",
    "XATA_INSTANCE_TYPE",
    "DEFAULT_REGION",
    "REGION_BY_CONTINENT",
    "REGION_BY_COUNTRY",
    "ALLOWED_REGIONS",
];

/// Either one chooses Xata Lite.
const LITE: [&str; 2] = ["XATA_WORKSPACE_SLUG", "XATA_WORKSPACE_ID"];

/// What the settings say.
pub(super) struct Settings {
    pub(super) service: Service,
    pub(super) client: HttpClient,
    pub(super) clock: Clock,
    /// With what a template is made of: a root branch that stays awake.
    pub(super) xata: platform::Settings,
    pub(super) image: String,
    pub(super) instance_type: String,
    /// None if Xata has to be asked.
    pub(super) organization: Option<OrganizationId>,
    /// Where users are placed.
    pub(super) regions: BTreeSet<Region>,
    /// The projects that users are spread over so far.
    pub(super) projects: Vec<String>,
}

/// Reads them as the function does. An option of the command line replaces a setting.
pub(super) fn read(
    image: Option<String>,
    instance_type: Option<String>,
) -> anyhow::Result<Settings> {
    let variables = environment::variables();
    if let Some(name) = LITE.into_iter().find(|name| variables.contains_key(*name)) {
        bail!("{name} chooses Xata Lite, which has no templates: unset it");
    }
    let id = variables.get("XATA_ORGANIZATION_ID").map(|id| id.trim()).filter(|id| !id.is_empty());
    let organization = id.map(OrganizationId::try_from).transpose();
    let organization =
        organization.map_err(|problem| anyhow!("XATA_ORGANIZATION_ID is no id: {problem}"))?;

    let mut known: BTreeMap<_, _> = READ
        .into_iter()
        .filter_map(|name| Some((name, variables.get(name)?.clone())))
        .chain([
            ("HOOKDECK_WEBHOOK_SECRET", "nobody signs here".to_owned()),
            ("XATA_ORGANIZATION_ID", "to-be-found".to_owned()),
            ("XATA_PROJECT_ID", "to-be-made".to_owned()),
        ])
        .collect();
    known.extend(image.map(|image| ("XATA_IMAGE", image)));
    known.extend(instance_type.map(|it| ("XATA_INSTANCE_TYPE", it)));
    known.insert("XATA_SCALE_TO_ZERO_MINUTES", "off".to_owned()); // templates stay awake
    let settings = environment::settings(&known)
        .map_err(|error| anyhow!("{error}; it is read from the environment or .env"))?;
    let Xata::Platform(xata) = settings.xata else {
        bail!("the settings choose Xata Lite, which has no templates");
    };
    let Source::Root { image, instance_type } = &xata.source else {
        bail!("XATA_TEMPLATES is not read here");
    };
    let (image, instance_type) = (image.clone(), instance_type.clone());
    let (client, clock) = (http_client::live(), Arc::new(SystemTime::now) as Clock);
    let words = Words { path: "XATA_ORGANIZATION_ID", ..Words::XATA };
    let service = Service::new(words, xata.url.clone(), &xata.key, client.clone(), clock.clone());
    let projects = variables.get("XATA_PROJECT_ID").map(String::as_str).unwrap_or_default();
    let projects = projects.split(',').map(str::trim).filter(|id| !id.is_empty());
    Ok(Settings {
        service,
        client,
        clock,
        xata,
        image,
        instance_type,
        organization,
        regions: settings.policy.allowed,
        projects: projects.map(str::to_owned).collect(),
    })
}

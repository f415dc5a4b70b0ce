//! The settings of the function that are known before there is a project or a template.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{anyhow, bail};
use cli::environment;
use per_user_db::region::Region;
use per_user_db::settings::Xata;
use per_user_db::xata::OrganizationId;
use per_user_db::xata::platform::{self, Source};

use crate::service::{Service, ServiceInfo};

/// The settings that are read; an error in another one must not stop this command.
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

pub(super) struct Settings {
    pub(super) service: Service,
    /// With the source of a template: a root branch that stays awake.
    pub(super) xata: platform::Settings,
    pub(super) image: String,
    pub(super) instance_type: String,
    /// None if Xata has to be asked.
    pub(super) organization: Option<OrganizationId>,
    /// The regions that users are placed in.
    pub(super) regions: BTreeSet<Region>,
    /// The projects that users are spread over so far.
    pub(super) projects: Vec<String>,
}

impl Settings {
    /// Reads the settings as the function does. An option of the command line replaces a setting.
    pub(super) fn read(
        variables: &BTreeMap<String, String>,
        image: Option<String>,
        instance_type: Option<String>,
    ) -> anyhow::Result<Self> {
        if let Some(name) = LITE.into_iter().find(|name| variables.contains_key(*name)) {
            bail!("{name} chooses Xata Lite, which has no templates: unset it");
        }
        let id = variables.get("XATA_ORGANIZATION_ID").map(|id| id.trim());
        let organization = id.filter(|id| !id.is_empty()).map(OrganizationId::try_from).transpose();
        let organization = organization
            .map_err(|problem| anyhow!("XATA_ORGANIZATION_ID is not an id: {problem}"))?;

        let mut known: BTreeMap<_, _> = READ
            .into_iter()
            .filter_map(|name| Some((name, variables.get(name)?.clone())))
            .chain([
                ("HOOKDECK_WEBHOOK_SECRET", "unused".to_owned()),
                ("XATA_ORGANIZATION_ID", "unused".to_owned()),
                ("XATA_PROJECT_ID", "unused".to_owned()),
                ("XATA_SCALE_TO_ZERO_MINUTES", "off".to_owned()), // templates stay awake
            ])
            .collect();
        known.extend(image.map(|image| ("XATA_IMAGE", image)));
        known.extend(instance_type.map(|it| ("XATA_INSTANCE_TYPE", it)));
        let settings = environment::settings(&known)
            .map_err(|error| anyhow!("{error}; it is read from the environment or .env"))?;
        let Xata::Platform(xata) = settings.xata else {
            bail!("the settings choose Xata Lite, which has no templates");
        };
        let Source::Root { image, instance_type } = &xata.source else {
            bail!("XATA_TEMPLATES is not read here");
        };
        let info = ServiceInfo { path_settings: "XATA_ORGANIZATION_ID", ..ServiceInfo::XATA };
        let projects = variables.get("XATA_PROJECT_ID").map(String::as_str).unwrap_or_default();
        let projects = projects.split(',').map(str::trim).filter(|id| !id.is_empty());
        Ok(Self {
            service: Service::new(info, xata.url.clone(), &xata.key),
            image: image.clone(),
            instance_type: instance_type.clone(),
            organization,
            regions: settings.policy.allowed,
            projects: projects.map(str::to_owned).collect(),
            xata,
        })
    }
}

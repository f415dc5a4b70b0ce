//! The settings of Xata's two APIs.

use std::collections::BTreeMap;
use std::ffi::OsString;

use super::environment::{Environment, parse};
use super::{SAM_LOCAL, SettingsError};
use crate::Clock;
use crate::http_client::HttpClient;
use crate::region::{PlacementPolicy, Region};
use crate::xata::platform::{self, Platform, Source};
use crate::xata::{DatabaseId, Databases, ProjectId, Projects, lite};

/// One of Xata's two APIs, and its settings.
#[derive(Debug)]
pub enum Xata {
    /// The platform of today.
    Platform(platform::Settings),
    /// Xata Lite, which was retired.
    Lite(lite::Settings),
}

impl Xata {
    /// A client with these settings.
    pub fn databases(&self, client: HttpClient, clock: Clock) -> Databases {
        match self {
            Self::Platform(settings) => Databases::Platform(Platform::new(settings, client, clock)),
            Self::Lite(settings) => Databases::Lite(lite::Lite::new(settings, client, clock)),
        }
    }
}

/// The address of Xata, which no secret is needed for.
///
/// # Errors
/// When it is none.
pub fn xata_url(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<String, SettingsError> {
    url(&Environment::collect(variables, &["XATA_API_URL", SAM_LOCAL])?)
}

fn url(env: &Environment) -> Result<String, SettingsError> {
    env.url("XATA_API_URL", platform::DEFAULT_URL)
}

/// The two names of the workspace. A workspace selects Xata Lite.
const WORKSPACE: [&str; 2] = ["XATA_WORKSPACE_SLUG", "XATA_WORKSPACE_ID"];

/// The name and the value of the setting that selects Xata Lite.
///
/// # Errors
/// When the settings select both APIs, or name the workspace twice.
pub(super) fn workspace(env: &Environment) -> Result<Option<(&'static str, &str)>, SettingsError> {
    let of_platform = ["XATA_ORGANIZATION_ID", "XATA_PROJECT_ID"];
    let is_set = |name: &&&str| env.optional(name).is_some();
    let platform = of_platform.iter().find(is_set);
    // The tutorial's settings: both names, and no address, because Lite had a public one.
    if let Some(name) = WORKSPACE.iter().find(is_set)
        && platform.is_none()
        && env.optional("XATA_API_URL").is_none()
    {
        let problem = "chooses Xata Lite, the tutorial's API, which was retired: unset \
            XATA_WORKSPACE_SLUG and XATA_WORKSPACE_ID, and set XATA_ORGANIZATION_ID and \
            XATA_PROJECT_ID (docs/from-the-tutorial.md), or set XATA_API_URL to keep Lite";
        return Err(SettingsError::new(name, problem));
    }
    let Some((name, workspace)) = env.either(WORKSPACE)? else { return Ok(None) };
    if let Some(other) = platform {
        let problem = format!("chooses Xata Lite, and {other} the platform; unset one");
        return Err(SettingsError::new(name, problem));
    }
    Ok(Some((name, workspace)))
}

/// Reads the settings of Xata Lite, whose only project is the workspace.
pub(super) fn lite(
    env: &Environment,
    (name, text): (&'static str, &str),
) -> Result<(Projects, Xata), SettingsError> {
    // `slug-abc123` or `abc123` (docs/vendors/xata.md, "Lite: names").
    let tail = text.rsplit_once('-').map_or(text, |(_, tail)| tail);
    let is_slug = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if !is_slug || tail.len() != 6 {
        let problem = "is no workspace id: an optional slug and hyphen, then six letters or digits";
        return Err(SettingsError::new(name, problem));
    }
    env.warn(
        "Xata Lite was retired on 2026-02-28; the platform of today takes XATA_ORGANIZATION_ID and \
         XATA_PROJECT_ID"
            .to_owned(),
    );
    let workspace = parse(name, text)?;
    let url = env.url("XATA_API_URL", "")?;
    let settings = lite::Settings { url, key: env.key("XATA_API_KEY")?, workspace };
    Ok((Projects::from(parse::<ProjectId>(name, text)?), Xata::Lite(settings)))
}

/// Reads the settings of the platform.
pub(super) fn platform(
    env: &Environment,
    policy: &PlacementPolicy,
) -> Result<(Projects, Xata), SettingsError> {
    let key = env.key("XATA_API_KEY")?;
    let name = "XATA_ORGANIZATION_ID";
    let organization = env.required(name, "set it to the id of your Xata organization")?;
    let organization = parse(name, organization)?;
    let projects = projects(env)?;
    let settings = platform::Settings {
        url: url(env)?,
        key,
        organization,
        source: source(env, &projects, policy)?,
        scale_to_zero_minutes: scale_to_zero(env)?,
    };
    Ok((projects, Xata::Platform(settings)))
}

fn projects(env: &Environment) -> Result<Projects, SettingsError> {
    let name = "XATA_PROJECT_ID";
    env.required(name, "set it to the id of your Xata project, prj_…")?;
    let ids = env.list(name)?.into_iter().map(|id| parse(name, id)).collect::<Result<_, _>>()?;
    Projects::new(ids).ok_or_else(|| SettingsError::new(name, "names a project twice"))
}

fn source(
    env: &Environment,
    projects: &Projects,
    policy: &PlacementPolicy,
) -> Result<Source, SettingsError> {
    let name = "XATA_TEMPLATES";
    let pairs = env.pairs(name)?;
    if pairs.is_empty() {
        let text = |name, default: &str| env.optional(name).unwrap_or(default).to_owned();
        return Ok(Source::Root {
            image: text("XATA_IMAGE", "postgresql:17"),
            instance_type: text("XATA_INSTANCE_TYPE", "xata.micro"),
        });
    }
    let only = projects.iter().next().filter(|_| projects.iter().count() == 1);
    let mut templates = BTreeMap::new();
    for (index, (place, id)) in pairs.into_iter().enumerate() {
        let bad =
            |problem: &str| SettingsError::new(name, format!("entry {} {problem}", index + 1));
        let (project, region) = match (place.split_once('/'), only) {
            (Some((project, region)), _) => {
                let known = projects.iter().find(|known| known.as_str() == project);
                (known.ok_or_else(|| bad("names a project that XATA_PROJECT_ID does not"))?, region)
            }
            (None, Some(only)) => (only, place),
            (None, None) => {
                return Err(bad("must be project/region=id, as there are several projects"));
            }
        };
        let (region, id): (Region, DatabaseId) = (parse(name, region)?, parse(name, id)?);
        if !policy.allowed.contains(&region) {
            env.warn(format!(
                "{name} has a template for {region}, where ALLOWED_REGIONS lets no user be placed"
            ));
        }
        if templates.insert((project.clone(), region), id).is_some() {
            return Err(bad("is a second template for its project and region"));
        }
    }
    for project in projects.iter() {
        let has = |region: &&Region| templates.contains_key(&(project.clone(), (*region).clone()));
        if let Some(region) = policy.allowed.iter().find(|region| !has(region)) {
            let project = project.as_str();
            let problem =
                format!("has no template for {region} in {project}, where users can be placed");
            return Err(SettingsError::new(name, problem));
        }
    }
    Ok(Source::Templates(templates))
}

fn scale_to_zero(env: &Environment) -> Result<Option<u32>, SettingsError> {
    let name = "XATA_SCALE_TO_ZERO_MINUTES";
    match env.optional(name).unwrap_or("30") {
        "off" => Ok(None),
        minutes => match minutes.parse() {
            Ok(minutes @ 1..=1440) => Ok(Some(minutes)),
            _ => Err(SettingsError::new(name, "must be off, or minutes from 1 to 1440")),
        },
    }
}

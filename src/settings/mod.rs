//! The environment, turned into types once, at start.
//!
//! Names, defaults and meanings are promised; the README has the table. A value that cannot work
//! stops the start with one line that names the variable and never quotes what might be a secret.
//! An empty value counts as not set, as deployment templates leave optional ones, except where a
//! secret is expected.

mod environment;
mod placement;

use std::collections::BTreeMap;
use std::ffi::OsString;

use http::Uri;
use secrecy::SecretString;
use tracing::level_filters::LevelFilter;

use crate::clerk::Instances;
use crate::hookdeck::{self, Verifier};
use crate::region::{Policy, Region};
use crate::xata::platform::{self, Source};
use crate::xata::{DatabaseId, ProjectId, Projects};
use environment::Environment;

/// What the function is told about its world.
#[derive(Debug)]
pub struct Settings {
    /// `HOOKDECK_WEBHOOK_SECRET`, `HOOKDECK_HEADER_PREFIX`, `REQUIRE_SOURCE_VERIFIED`.
    pub verifier: Verifier,
    /// `CLERK_INSTANCE_ID`.
    pub instances: Instances,
    /// `DEFAULT_REGION`, `REGION_BY_CONTINENT`, `REGION_BY_COUNTRY`, `ALLOWED_REGIONS`,
    /// `GEO_LOOKUP`.
    pub policy: Policy,
    /// `XATA_PROJECT_ID`.
    pub projects: Projects,
    /// The other `XATA_…` variables.
    pub platform: platform::Settings,
    /// `LOG_LEVEL`.
    pub log_level: LevelFilter,
    /// What someone set that has no effect, one sentence each.
    pub warnings: Vec<String>,
}

/// A value that cannot work.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable} {problem}")]
pub struct SettingsError {
    /// The variable to look at.
    pub variable: &'static str,
    /// What is wrong with it, and what would be right.
    pub problem: String,
}

impl SettingsError {
    fn new(variable: &'static str, problem: impl Into<String>) -> Self {
        Self { variable, problem: problem.into() }
    }
}

/// Every variable that this version reads.
pub const VARIABLES: [&str; 19] = [
    "HOOKDECK_WEBHOOK_SECRET",
    "HOOKDECK_HEADER_PREFIX",
    "REQUIRE_SOURCE_VERIFIED",
    "XATA_API_KEY",
    "XATA_API_URL",
    "XATA_ORGANIZATION_ID",
    "XATA_PROJECT_ID",
    "XATA_TEMPLATES",
    "XATA_IMAGE",
    "XATA_INSTANCE_TYPE",
    "XATA_SCALE_TO_ZERO_MINUTES",
    "DEFAULT_REGION",
    "REGION_BY_CONTINENT",
    "REGION_BY_COUNTRY",
    "ALLOWED_REGIONS",
    "GEO_LOOKUP",
    "ON_USER_DELETED",
    "CLERK_INSTANCE_ID",
    "LOG_LEVEL",
];

/// Promised variables that this version does not support. Set, they stop the start: a promise is
/// never silently ignored.
const NOT_YET: [&str; 11] = [
    "XATA_WORKSPACE_SLUG",
    "XATA_WORKSPACE_ID",
    "GEOIP_DATABASE",
    "IP_API_URL",
    "IP_API_KEY",
    "CLERK_SECRET_KEY",
    "CLERK_API_URL",
    "CLERK_WEBHOOK_SIGNING_SECRET",
    "CLERK_WEBHOOK_SECRET",
    "SVIX_CHECK",
    "SECRETS_ID",
];

/// Variables of ours that belong to the companion tool.
const OF_OPS: [&str; 2] = ["HOOKDECK_API_KEY", "HOOKDECK_API_URL"];

impl Settings {
    /// Reads the settings from environment variables.
    ///
    /// # Errors
    /// The first value that is missing or cannot work.
    pub fn read(
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, SettingsError> {
        let env = Environment::collect(variables, &[&VARIABLES[..], &NOT_YET, &OF_OPS].concat())?;
        for name in NOT_YET {
            // `SVIX_CHECK=off` asks for nothing.
            if env.optional(name).is_some_and(|value| (name, value) != ("SVIX_CHECK", "off")) {
                return Err(SettingsError::new(name, "is not supported yet; unset it"));
            }
        }
        match env.optional("ON_USER_DELETED") {
            None | Some("retain") => {}
            Some("park" | "delete") => {
                return Err(SettingsError::new("ON_USER_DELETED", "supports only retain yet"));
            }
            Some(_) => return Err(SettingsError::new("ON_USER_DELETED", "must be retain")),
        }
        let mut warnings: Vec<_> = env
            .unknown()
            .iter()
            .map(|name| {
                format!("{name} is set, but no setting has that name; see the README's table")
            })
            .collect();
        let verifier = verifier(&env)?;
        let policy = placement::policy(&env)?;
        let projects = projects(&env)?;
        let platform = platform(&env, &projects, &policy, &mut warnings)?;
        Ok(Self {
            verifier,
            instances: match env.list("CLERK_INSTANCE_ID")? {
                ids if ids.is_empty() => Instances::Any,
                ids => Instances::Only(ids.into_iter().map(str::to_owned).collect()),
            },
            policy,
            projects,
            platform,
            log_level: env.optional("LOG_LEVEL").unwrap_or("info").parse().map_err(|_| {
                SettingsError::new("LOG_LEVEL", "must be off, error, warn, info, debug or trace")
            })?,
            warnings,
        })
    }
}

fn verifier(env: &Environment) -> Result<Verifier, SettingsError> {
    let name = "HOOKDECK_WEBHOOK_SECRET";
    let secrets: Vec<_> = env.secret(name)?.split(',').collect();
    if secrets.iter().any(|secret| secret.is_empty() || secret.trim() != *secret) {
        return Err(SettingsError::new(
            name,
            "has an empty member, or blanks around one; it is taken as it is",
        ));
    }
    let prefix = env.optional("HOOKDECK_HEADER_PREFIX").unwrap_or(hookdeck::DEFAULT_HEADER_PREFIX);
    if !prefix.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Err(SettingsError::new(
            "HOOKDECK_HEADER_PREFIX",
            "must be letters, digits and hyphens",
        ));
    }
    let require_source_verified = match env.optional("REQUIRE_SOURCE_VERIFIED") {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => {
            return Err(SettingsError::new("REQUIRE_SOURCE_VERIFIED", "must be true or false"));
        }
    };
    Verifier::new(
        secrets.into_iter().map(SecretString::from).collect(),
        prefix,
        require_source_verified,
    )
    .map_err(|_| SettingsError::new(name, "is empty"))
}

fn projects(env: &Environment) -> Result<Projects, SettingsError> {
    let name = "XATA_PROJECT_ID";
    let ids = env.list(name)?;
    if ids.is_empty() {
        return Err(SettingsError::new(
            name,
            "is missing; set it to the id of your Xata project, prj_…",
        ));
    }
    let ids = ids.into_iter().map(ProjectId::try_from).collect::<Result<_, _>>();
    let ids = ids.map_err(|problem| {
        SettingsError::new(name, format!("has a member that is no id: {problem}"))
    })?;
    Projects::new(ids).ok_or_else(|| SettingsError::new(name, "names a project twice"))
}

fn platform(
    env: &Environment,
    projects: &Projects,
    policy: &Policy,
    warnings: &mut Vec<String>,
) -> Result<platform::Settings, SettingsError> {
    let key = env.secret("XATA_API_KEY")?;
    if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(SettingsError::new(
            "XATA_API_KEY",
            "has a blank, or a character that no key has",
        ));
    }
    let organization = env
        .optional("XATA_ORGANIZATION_ID")
        .ok_or_else(|| {
            SettingsError::new(
                "XATA_ORGANIZATION_ID",
                "is missing; set it to the id of your Xata organization",
            )
        })?
        .try_into()
        .map_err(|problem| {
            SettingsError::new("XATA_ORGANIZATION_ID", format!("is no id: {problem}"))
        })?;
    Ok(platform::Settings {
        url: url(env, "XATA_API_URL", platform::DEFAULT_URL)?,
        key: key.into(),
        organization,
        source: source(env, projects, policy, warnings)?,
        scale_to_zero_minutes: scale_to_zero(env)?,
    })
}

fn source(
    env: &Environment,
    projects: &Projects,
    policy: &Policy,
    warnings: &mut Vec<String>,
) -> Result<Source, SettingsError> {
    let name = "XATA_TEMPLATES";
    let text = |name, default: &str| env.optional(name).unwrap_or(default).to_owned();
    let pairs = env.pairs(name)?;
    if pairs.is_empty() {
        return Ok(Source::Root {
            image: text("XATA_IMAGE", "postgresql:17"),
            instance_type: text("XATA_INSTANCE_TYPE", "xata.micro"),
        });
    }
    for ignored in ["XATA_IMAGE", "XATA_INSTANCE_TYPE"] {
        if env.optional(ignored).is_some() {
            warnings.push(format!(
                "{ignored} has no effect: with XATA_TEMPLATES, databases are like their template"
            ));
        }
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
        let region = Region::try_from(region)
            .map_err(|problem| bad(&format!("has a place that is {problem}")))?;
        let id = DatabaseId::try_from(id)
            .map_err(|problem| bad(&format!("has an id that is none: {problem}")))?;
        if !policy.allowed.contains(&region) {
            warnings.push(format!(
                "{name} has a template for {region}, where ALLOWED_REGIONS lets nobody be placed"
            ));
        }
        if templates.insert((project.clone(), region), id).is_some() {
            return Err(bad("is a second template for its project and region"));
        }
    }
    for project in projects.iter() {
        for region in &policy.allowed {
            if !templates.contains_key(&(project.clone(), region.clone())) {
                let problem = format!(
                    "has no template for {region} in {}, where users can be placed",
                    project.as_str()
                );
                return Err(SettingsError::new(name, problem));
            }
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

/// An address that secrets may be sent to: https, or http to this machine. Without a slash at its
/// end.
fn url(env: &Environment, name: &'static str, default: &str) -> Result<String, SettingsError> {
    let text = env.optional(name).unwrap_or(default).trim_end_matches('/');
    let bad =
        || SettingsError::new(name, "must be an https URL, or an http URL of a loopback address");
    let uri: Uri = text.parse().map_err(|_| bad())?;
    let authority = uri.authority().ok_or_else(bad)?;
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let is_loopback = host == "localhost"
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    let is_safe =
        uri.scheme_str() == Some("https") || (uri.scheme_str() == Some("http") && is_loopback);
    let is_bare = uri.query().is_none() && !authority.as_str().contains('@');
    if is_safe && is_bare { Ok(text.to_owned()) } else { Err(bad()) }
}

#[cfg(test)]
mod tests;

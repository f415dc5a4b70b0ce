//! The environment, turned into types once, at start.
//!
//! Names, defaults and meanings are promised; the README has the table. A value that cannot work
//! stops the start with one line that names the variable and never quotes what might be a secret.
//! An empty value counts as not set, as deployment templates leave optional ones, except where a
//! secret is expected.

mod environment;
mod placement;
mod secrets;
mod xata;

use std::collections::BTreeMap;
use std::ffi::OsString;

use secrecy::{ExposeSecret, SecretString};
use tracing_subscriber::filter::LevelFilter;

use crate::clerk::{Instances, backend, svix};
use crate::hookdeck::{self, Verifier};
use crate::region::Policy;
use crate::xata::Projects;
use environment::Environment;

pub use self::secrets::secrets;
pub use self::xata::Xata;

/// What the function is told about its world.
#[derive(Debug)]
pub struct Settings {
    /// `HOOKDECK_WEBHOOK_SECRET`, `HOOKDECK_HEADER_PREFIX`, `REQUIRE_SOURCE_VERIFIED`.
    pub verifier: Verifier,
    /// `SVIX_CHECK`, `CLERK_WEBHOOK_SIGNING_SECRET` or `CLERK_WEBHOOK_SECRET`.
    pub svix: svix::Check,
    /// `CLERK_INSTANCE_ID`.
    pub instances: Instances,
    /// `DEFAULT_REGION`, `REGION_BY_CONTINENT`, `REGION_BY_COUNTRY`, `ALLOWED_REGIONS`,
    /// `GEO_LOOKUP`.
    pub policy: Policy,
    /// `XATA_PROJECT_ID`; the workspace on Xata Lite.
    pub projects: Projects,
    /// The other `XATA_…` variables.
    pub xata: Xata,
    /// `CLERK_SECRET_KEY`, `CLERK_API_URL`.
    pub clerk: Option<backend::Settings>,
    /// `ON_USER_DELETED`.
    pub on_user_deleted: OnUserDeleted,
    /// `LOG_LEVEL`.
    pub log_level: LevelFilter,
    /// What someone set that has no effect, one sentence each.
    pub warnings: Vec<String>,
}

/// What becomes of a user's database when they leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnUserDeleted {
    /// It stays.
    Retain,
    /// It is renamed and put to sleep, which can be undone.
    Park,
    /// It is deleted, which cannot.
    Delete,
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
pub const VARIABLES: [&str; 30] = [
    "SECRETS_ID",
    "HOOKDECK_WEBHOOK_SECRET",
    "HOOKDECK_HEADER_PREFIX",
    "REQUIRE_SOURCE_VERIFIED",
    "XATA_API_KEY",
    "XATA_API_URL",
    "XATA_WORKSPACE_SLUG",
    "XATA_WORKSPACE_ID",
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
    "GEOIP_DATABASE",
    "IP_API_URL",
    "IP_API_KEY",
    "ON_USER_DELETED",
    "CLERK_SECRET_KEY",
    "CLERK_API_URL",
    "CLERK_INSTANCE_ID",
    "CLERK_WEBHOOK_SIGNING_SECRET",
    "CLERK_WEBHOOK_SECRET",
    "SVIX_CHECK",
    "LOG_LEVEL",
];

/// Those that may be members of the secret instead.
pub const SECRETS: [&str; 6] = [
    "HOOKDECK_WEBHOOK_SECRET",
    "XATA_API_KEY",
    "CLERK_SECRET_KEY",
    "CLERK_WEBHOOK_SIGNING_SECRET",
    "CLERK_WEBHOOK_SECRET",
    "IP_API_KEY",
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
        Self::read_with(variables, &BTreeMap::new())
    }

    /// Reads the settings from environment variables, and from the members of the secret that
    /// `SECRETS_ID` names.
    ///
    /// # Errors
    /// The first value that is missing, given twice, or cannot work.
    pub fn read_with(
        variables: impl IntoIterator<Item = (OsString, OsString)>,
        secret: &BTreeMap<String, String>,
    ) -> Result<Self, SettingsError> {
        let mut env = Environment::collect(variables, &[&VARIABLES[..], &OF_OPS].concat())?;
        env.add(secret)?;
        let unknown = env.unknown().iter().map(|name| {
            format!("{name} is set, but no setting has that name; see the README's table")
        });
        let odd = secret.keys().filter(|name| !SECRETS.contains(&name.as_str()));
        let odd = odd.map(|name| format!("{name} has no effect as a member of the secret"));
        let mut warnings: Vec<_> = unknown.chain(odd).collect();
        let verifier = verifier(&env)?;
        let workspace = xata::workspace(&env)?;
        let policy = placement::policy(&env, workspace.is_some(), &mut warnings)?;
        let (projects, xata) = match workspace {
            Some(workspace) => xata::lite(&env, workspace, &mut warnings)?,
            None => xata::platform(&env, &policy, &mut warnings)?,
        };
        Ok(Self {
            verifier,
            svix: svix_check(&env)?,
            instances: match env.list("CLERK_INSTANCE_ID")? {
                ids if ids.is_empty() => Instances::Any,
                ids => Instances::Only(ids.into_iter().map(str::to_owned).collect()),
            },
            policy,
            projects,
            xata,
            clerk: clerk(&env, &mut warnings)?,
            on_user_deleted: on_user_deleted(&env, workspace.is_some())?,
            log_level: env.optional("LOG_LEVEL").unwrap_or("info").parse().map_err(|_| {
                SettingsError::new("LOG_LEVEL", "must be off, error, warn, info, debug or trace")
            })?,
            warnings,
        })
    }
}

fn on_user_deleted(env: &Environment, is_lite: bool) -> Result<OnUserDeleted, SettingsError> {
    let chosen = match env.optional("ON_USER_DELETED") {
        None | Some("retain") => return Ok(OnUserDeleted::Retain),
        Some("park") => OnUserDeleted::Park,
        Some("delete") => OnUserDeleted::Delete,
        Some(_) => {
            let problem = "must be retain, park or delete";
            return Err(SettingsError::new("ON_USER_DELETED", problem));
        }
    };
    if is_lite {
        let problem = "must be retain with Xata Lite, which gets nothing beyond creation";
        return Err(SettingsError::new("ON_USER_DELETED", problem));
    }
    Ok(chosen)
}

fn clerk(
    env: &Environment,
    warnings: &mut Vec<String>,
) -> Result<Option<backend::Settings>, SettingsError> {
    let name = "CLERK_SECRET_KEY";
    if env.optional(name).is_none() {
        if env.optional("CLERK_API_URL").is_some() {
            warnings.push(format!("CLERK_API_URL has no effect without {name}"));
        }
        return Ok(None);
    }
    let key = env.key(name)?;
    // The other key that Clerk shows is the publishable one, pk_… (contracts/clerk.md section 11).
    if !key.expose_secret().starts_with("sk_") {
        return Err(SettingsError::new(name, "is no secret key of Clerk's: they begin with sk_"));
    }
    Ok(Some(backend::Settings { url: env.url("CLERK_API_URL", backend::DEFAULT_URL)?, key }))
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

/// The names of Clerk's signing secret: Clerk's own, and the tutorial's.
const SVIX_SECRET: [&str; 2] = ["CLERK_WEBHOOK_SIGNING_SECRET", "CLERK_WEBHOOK_SECRET"];

fn svix_check(env: &Environment) -> Result<svix::Check, SettingsError> {
    let check = match env.optional("SVIX_CHECK") {
        None | Some("off") => return Ok(svix::Check::Off),
        Some("report") => svix::Check::Report,
        Some("enforce") => svix::Check::Enforce,
        Some(_) => {
            return Err(SettingsError::new("SVIX_CHECK", "must be off, report or enforce"));
        }
    };
    let name = match SVIX_SECRET.map(|name| env.optional(name).is_some()) {
        [true, true] => {
            let problem = format!("and {} are the same setting; unset one", SVIX_SECRET[1]);
            return Err(SettingsError::new(SVIX_SECRET[0], problem));
        }
        [false, true] => SVIX_SECRET[1],
        [true, false] => SVIX_SECRET[0],
        [false, false] => {
            return Err(SettingsError::new(SVIX_SECRET[0], "is missing; SVIX_CHECK needs it"));
        }
    };
    let secrets: Vec<_> = env.list(name)?.into_iter().map(SecretString::from).collect();
    let problem = "must be as Clerk shows it: whsec_ and base64";
    Ok(check(svix::Secrets::parse(&secrets).map_err(|_| SettingsError::new(name, problem))?))
}

#[cfg(test)]
mod tests;

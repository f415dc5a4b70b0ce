//! The settings, parsed from the environment at start.
//!
//! `docs/reference.md` has the table of names, defaults and meanings. A value that cannot work stops
//! the start with one line that names the variable and quotes nothing that may be a secret. An empty
//! value counts as not set, because deployment templates leave optional settings empty; only a
//! required secret may not be empty.

mod environment;
mod placement;
mod secrets;
mod xata;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use strum::{EnumString, VariantNames};
use tracing_subscriber::filter::LevelFilter;

use crate::clerk::{Instances, backend, svix};
use crate::hookdeck::{self, HeaderNames, Verifier};
use crate::region::PlacementPolicy;
use crate::xata::Projects;
use environment::Environment;

pub use self::environment::base_url;
pub use self::secrets::{credentials, secrets};
pub use self::xata::{Xata, xata_url};

/// The environment variables of now: the process's, or a test's.
pub type Variables = Arc<dyn Fn() -> Vec<(OsString, OsString)> + Send + Sync>;

/// The settings of the function.
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
    pub policy: PlacementPolicy,
    /// `XATA_PROJECT_ID`; the workspace on Xata Lite.
    pub projects: Projects,
    /// The other `XATA_…` variables.
    pub xata: Xata,
    /// `CLERK_SECRET_KEY`, `CLERK_API_URL`.
    pub clerk: Option<backend::Settings>,
    /// `ON_USER_DELETED`.
    pub on_user_deleted: OnUserDeleted,
    /// `LOG_LEVEL`, else `AWS_LAMBDA_LOG_LEVEL`.
    pub log_level: LevelFilter,
    /// One sentence for each setting that has no effect.
    pub warnings: Vec<String>,
}

/// What happens to the database of a deleted user.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, EnumString, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum OnUserDeleted {
    /// It stays.
    #[default]
    Retain,
    /// It is renamed and hibernated, which can be undone.
    Park,
    /// It is deleted, which cannot be undone.
    Delete,
}

/// A value that cannot work.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable} {problem}")]
pub struct SettingsError {
    /// The variable.
    pub variable: &'static str,
    /// What is wrong with its value, and what would be right.
    pub problem: String,
}

impl SettingsError {
    fn new(variable: &'static str, problem: impl Into<String>) -> Self {
        Self { variable, problem: problem.into() }
    }
}

/// The variables that the function reads.
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

/// The variables that may be members of the secret instead.
pub const SECRETS: [&str; 6] = [
    "HOOKDECK_WEBHOOK_SECRET",
    "XATA_API_KEY",
    "CLERK_SECRET_KEY",
    "CLERK_WEBHOOK_SIGNING_SECRET",
    "CLERK_WEBHOOK_SECRET",
    "IP_API_KEY",
];

/// Variables that only `cargo ops` reads.
const OPS_VARIABLES: [&str; 2] = ["HOOKDECK_API_KEY", "HOOKDECK_API_URL"];

/// Variables that are no mistake where the settings do not read them: `cargo ops` does, the start
/// does, or Lambda sets them.
const READ_ELSEWHERE: [&str; 7] = [
    OPS_VARIABLES[0],
    OPS_VARIABLES[1],
    SVIX_SECRET[0],
    SVIX_SECRET[1],
    "SECRETS_ID",
    LAMBDA_LOG_LEVEL,
    SAM_LOCAL,
];

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
        let names = [&VARIABLES[..], &OPS_VARIABLES, &[LAMBDA_LOG_LEVEL, SAM_LOCAL]].concat();
        let mut env = Environment::collect(variables, &names)?;
        env.add(secret)?;
        let verifier = verifier(&env)?;
        let workspace = xata::workspace(&env)?;
        let policy = placement::policy(&env, workspace.is_some())?;
        let (projects, xata) = match workspace {
            Some(workspace) => xata::lite(&env, workspace)?,
            None => xata::platform(&env, &policy)?,
        };
        Ok(Self {
            verifier,
            svix: svix_check(&env)?,
            instances: instances(&env)?,
            policy,
            projects,
            xata,
            clerk: clerk(&env)?,
            on_user_deleted: on_user_deleted(&env, workspace.is_some())?,
            log_level: log_level(&env)?,
            warnings: env.into_warnings(),
        })
    }
}

fn on_user_deleted(env: &Environment, is_lite: bool) -> Result<OnUserDeleted, SettingsError> {
    let name = "ON_USER_DELETED";
    let choice = env.choice(name)?;
    if is_lite && choice != OnUserDeleted::Retain {
        let problem = "must be retain with Xata Lite, which gets nothing beyond creation";
        return Err(SettingsError::new(name, problem));
    }
    Ok(choice)
}

/// SAM sets it to `true` in the containers of `sam local`.
const SAM_LOCAL: &str = "AWS_SAM_LOCAL";

/// Lambda's own setting of the level, which its console and `template.yaml` can set.
const LAMBDA_LOG_LEVEL: &str = "AWS_LAMBDA_LOG_LEVEL";

fn log_level(env: &Environment) -> Result<LevelFilter, SettingsError> {
    if let Some(level) = env.optional("LOG_LEVEL") {
        let problem = "must be off, error, warn, info, debug or trace";
        return level.parse().map_err(|_| SettingsError::new("LOG_LEVEL", problem));
    }
    let level = env.optional(LAMBDA_LOG_LEVEL).map(|level| match level {
        "FATAL" => Ok(LevelFilter::ERROR), // tracing has no such level
        level => level.parse(),
    });
    Ok(level.and_then(Result::ok).unwrap_or(LevelFilter::INFO))
}

fn instances(env: &Environment) -> Result<Instances, SettingsError> {
    let name = "CLERK_INSTANCE_ID";
    let ids = env.list(name)?;
    let is_id = |id: &&str| {
        let rest = id.strip_prefix("ins_").unwrap_or_default();
        !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    // Events of every other instance are acknowledged and forgotten, so a mistake here loses users.
    if !ids.iter().all(is_id) {
        let problem = "must be ids of instances, ins_…, as the events and Clerk's API have them";
        return Err(SettingsError::new(name, problem));
    }
    Ok(if ids.is_empty() {
        Instances::Any
    } else {
        Instances::Only(ids.into_iter().map(str::to_owned).collect())
    })
}

fn clerk(env: &Environment) -> Result<Option<backend::Settings>, SettingsError> {
    let name = "CLERK_SECRET_KEY";
    if env.optional(name).is_none() {
        return Ok(None);
    }
    let key = env.key(name)?;
    // Clerk shows a publishable key, pk_…, beside it.
    if !key.expose_secret().starts_with("sk_") {
        return Err(SettingsError::new(name, "is no secret key of Clerk's: they begin with sk_"));
    }
    Ok(Some(backend::Settings { url: env.url("CLERK_API_URL", backend::DEFAULT_URL)?, key }))
}

fn verifier(env: &Environment) -> Result<Verifier, SettingsError> {
    let name = "HOOKDECK_WEBHOOK_SECRET";
    let secrets: Vec<_> = env.secret(name)?.split(',').collect();
    if secrets.iter().any(|secret| secret.is_empty() || secret.trim() != *secret) {
        let problem = "has an empty member, or blanks around one; it is taken as it is";
        return Err(SettingsError::new(name, problem));
    }
    let prefix_name = "HOOKDECK_HEADER_PREFIX";
    let prefix = env.optional(prefix_name).unwrap_or(hookdeck::DEFAULT_HEADER_PREFIX);
    let problem = || SettingsError::new(prefix_name, "must be letters, digits and hyphens");
    if !prefix.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Err(problem());
    }
    let names = HeaderNames::new(prefix).map_err(|_| problem())?;
    let require_source_verified = env.choice::<Flag>("REQUIRE_SOURCE_VERIFIED")? == Flag::True;
    let secrets = secrets.into_iter().map(SecretString::from).collect();
    Verifier::new(secrets, names, require_source_verified)
        .map_err(|_| SettingsError::new(name, "is empty"))
}

#[derive(Default, PartialEq, Eq, EnumString, VariantNames)]
#[strum(serialize_all = "snake_case")]
enum Flag {
    True,
    #[default]
    False,
}

/// The names of Clerk's signing secret: Clerk's own, and the tutorial's.
pub const SVIX_SECRET: [&str; 2] = ["CLERK_WEBHOOK_SIGNING_SECRET", "CLERK_WEBHOOK_SECRET"];

#[derive(Default, EnumString, VariantNames)]
#[strum(serialize_all = "snake_case")]
enum SvixCheck {
    #[default]
    Off,
    Report,
    Enforce,
}

fn svix_check(env: &Environment) -> Result<svix::Check, SettingsError> {
    let check = match env.choice("SVIX_CHECK")? {
        SvixCheck::Off => return Ok(svix::Check::Off),
        SvixCheck::Report => svix::Check::Report,
        SvixCheck::Enforce => svix::Check::Enforce,
    };
    let Some((name, _)) = env.either(SVIX_SECRET)? else {
        return Err(SettingsError::new(SVIX_SECRET[0], "is missing; SVIX_CHECK needs it"));
    };
    let secrets: Vec<_> = env.list(name)?.into_iter().map(SecretString::from).collect();
    let problem = "must be as Clerk shows it: whsec_ and base64";
    Ok(check(svix::Secrets::parse(&secrets).map_err(|_| SettingsError::new(name, problem))?))
}

#[cfg(test)]
mod tests;

//! The settings that an operator has to find: where each is, and its check. The checks are those of
//! `ops doctor`, `setup xata` and `setup hookdeck`.

use std::collections::BTreeMap;

use cli::environment;
use http::StatusCode;
use per_user_db::settings::{Settings, SettingsError, Xata};
use per_user_db::xata::OrganizationId;
use serde::Serialize;

use crate::directory::{Directory, Instance};
use crate::doctor::PLACEHOLDERS;
use crate::organization::{Organization, organizations};
use crate::service::{ApiError, Service};
use crate::setup::hookdeck;

pub(super) type Variables = BTreeMap<String, String>;

/// A setting to ask for.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Question {
    pub(super) name: &'static str,
    /// Where its value is shown.
    pub(super) source: &'static str,
    #[serde(skip)]
    pub(super) is_secret: bool,
}

pub(super) const CLERK_SECRET_KEY: Question = Question {
    name: "CLERK_SECRET_KEY",
    source: "Clerk's dashboard: Configure, API keys, Secret keys; it begins with sk_",
    is_secret: true,
};
pub(super) const HOOKDECK_WEBHOOK_SECRET: Question = Question {
    name: "HOOKDECK_WEBHOOK_SECRET",
    source: "Hookdeck's dashboard: Settings, Project, Secrets, the signing secret",
    is_secret: true,
};
pub(super) const HOOKDECK_API_KEY: Question = Question {
    name: "HOOKDECK_API_KEY",
    source: "Hookdeck's dashboard: Settings, Project, API keys",
    is_secret: true,
};
pub(super) const XATA_API_KEY: Question = Question {
    name: "XATA_API_KEY",
    source: "Xata's console: the organization's settings, API keys; a key of the organization, xao_…, \
             with the scopes org:read project:write branch:write credentials:read, for all projects \
             and all branches",
    is_secret: true,
};
pub(super) const XATA_ORGANIZATION_ID: Question = Question {
    name: "XATA_ORGANIZATION_ID",
    source: "Xata's console: the organization's settings, its id",
    is_secret: false,
};
pub(super) const FUNCTION_URL: Question =
    Question { name: "FUNCTION_URL", source: "the stack's output FunctionUrl", is_secret: false };
pub(super) const CLERK_WEBHOOK_SIGNING_SECRET: Question = Question {
    name: "CLERK_WEBHOOK_SIGNING_SECRET",
    source: "Clerk's dashboard: Configure, Webhooks, the endpoint's page, Signing Secret; it begins with \
             whsec_",
    is_secret: true,
};

/// What is needed before anything can be done, in the order of the questions.
pub(super) const KEYS: [Question; 4] =
    [CLERK_SECRET_KEY, HOOKDECK_WEBHOOK_SECRET, HOOKDECK_API_KEY, XATA_API_KEY];

/// A value that passed its check.
pub(super) struct Accepted {
    /// What the check found, in words.
    pub(super) what: String,
    /// A setting that the service told.
    pub(super) found: Option<(&'static str, String)>,
}

impl Accepted {
    fn as_is(what: impl Into<String>) -> Self {
        Self { what: what.into(), found: None }
    }
}

/// Why a value did not pass.
pub(super) enum Rejected {
    /// Another value is needed.
    Value(String),
    /// The check could not be made.
    Check(String),
}

impl From<ApiError> for Rejected {
    fn from(error: ApiError) -> Self {
        match error.status() {
            Some(StatusCode::UNAUTHORIZED) => Self::Value(error.what),
            _ if error.is_refusal() => Self::Value(error.to_string()),
            _ => Self::Check(error.to_string()),
        }
    }
}

impl Question {
    /// Checks the setting's value with its service, where the service can tell.
    pub(super) async fn check(self, variables: &Variables) -> Result<Accepted, Rejected> {
        match self.name {
            "CLERK_SECRET_KEY" => clerk(self, variables).await,
            "HOOKDECK_API_KEY" => {
                let service = Service::hookdeck(variables);
                let service = service.map_err(|error| Rejected::Value(error.to_string()))?;
                let problem = || Rejected::Value("HOOKDECK_API_KEY is missing".to_owned());
                hookdeck::check_key(&service.ok_or_else(problem)?).await?;
                Ok(Accepted::as_is("Hookdeck accepts it"))
            }
            "XATA_API_KEY" => xata(self, variables).await,
            "FUNCTION_URL" => match hookdeck::function_url(&variables[self.name]) {
                Ok(url) => Ok(Accepted::as_is(url)),
                Err(problem) => Err(Rejected::Value(format!("FUNCTION_URL {problem}"))),
            },
            "CLERK_WEBHOOK_SIGNING_SECRET" => {
                let secret = hookdeck::signing_secret(variables, &mut Vec::new());
                secret.map_err(|error| Rejected::Value(error.to_string()))?;
                Ok(Accepted::as_is("a signing secret of Clerk's"))
            }
            _ => {
                self.read(variables, &[])?;
                Ok(Accepted::as_is("it can work; only the deployed function can tell more"))
            }
        }
    }

    /// The function's settings with these variables only; the others cannot be an error.
    fn read(self, variables: &Variables, others: &[&'static str]) -> Result<Settings, Rejected> {
        let mut known: BTreeMap<_, _> =
            PLACEHOLDERS.into_iter().map(|(name, value)| (name, value.to_owned())).collect();
        let names = [&[self.name], others].concat();
        known.extend(names.into_iter().filter_map(|it| Some((it, variables.get(it)?.clone()))));
        environment::settings(&known).map_err(|error| {
            let SettingsError { variable, .. } = error;
            let problem = error.to_string();
            if variable == self.name { Rejected::Value(problem) } else { Rejected::Check(problem) }
        })
    }
}

async fn clerk(question: Question, variables: &Variables) -> Result<Accepted, Rejected> {
    let settings = question.read(variables, &["CLERK_API_URL", "CLERK_INSTANCE_ID"])?;
    let missing = || Rejected::Value("CLERK_SECRET_KEY is missing".to_owned());
    let clerk = Service::clerk(settings.clerk.ok_or_else(missing)?);
    let directory = Directory::new(clerk, settings.instances);
    let instance = directory.instance().await?;
    if !directory.lists(&instance) {
        return Err(Rejected::Value(format!(
            "it is a key of instance {}, which CLERK_INSTANCE_ID does not list; if the key is right, take \
             CLERK_INSTANCE_ID out of .env",
            instance.id
        )));
    }
    let Instance { id, environment_type } = instance;
    let kind = match environment_type.as_deref() {
        Some("development") => "development ",
        Some("production") => "production ",
        _ => "",
    };
    let found = Some(("CLERK_INSTANCE_ID", id.clone()));
    let found = found.filter(|(name, _)| !variables.contains_key(*name));
    Ok(Accepted { what: format!("{kind}instance {id}"), found })
}

/// Checks the key, and the organization where it is known.
async fn xata(question: Question, variables: &Variables) -> Result<Accepted, Rejected> {
    let name = XATA_ORGANIZATION_ID.name;
    let organization = organization(question, variables)?;
    if !variables.contains_key(name) {
        organizations(&organization.service).await?;
        return Ok(Accepted::as_is("Xata accepts it"));
    }
    let regions = organization.regions().await?.len();
    Ok(Accepted::as_is(format!("organization {}, {regions} regions", organization.id.as_str())))
}

/// The organizations that the key sees.
pub(super) async fn visible_organizations(
    variables: &Variables,
) -> Result<Vec<OrganizationId>, Rejected> {
    let organization = organization(XATA_API_KEY, variables)?;
    Ok(organizations(&organization.service).await?)
}

/// The organization, with the id of a placeholder where it is not known.
pub(super) fn organization(
    question: Question,
    variables: &Variables,
) -> Result<Organization, Rejected> {
    let names = [XATA_API_KEY.name, "XATA_API_URL", XATA_ORGANIZATION_ID.name];
    match question.read(variables, &names)?.xata {
        Xata::Platform(xata) => Ok(Organization::new(&xata)),
        Xata::Lite(_) => Err(Rejected::Check("the settings choose Xata Lite".to_owned())),
    }
}

//! The services that the settings in the environment and in `.env` name, for the commands of an
//! operator.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{anyhow, bail};
use http::Uri;
use per_user_db::Clock;
use per_user_db::clerk::{UserId, backend};
use per_user_db::http_client::{self, HttpClient};
use per_user_db::settings::{OnUserDeleted, Xata};
use per_user_db::xata::platform;
use secrecy::SecretString;

use crate::directory::{Directory, Known};
use crate::fleet::Fleet;
use crate::organization::Organization;
use crate::service::{Service, Words};
use cli::environment;

const HOOKDECK_URL: &str = "https://api.hookdeck.com";

/// What an operator's command works with.
pub(crate) struct Live {
    pub(crate) fleet: Fleet,
    /// None without a key.
    pub(crate) directory: Option<Directory>,
    pub(crate) on_user_deleted: OnUserDeleted,
}

impl Live {
    /// Reads the settings as the function does; but nobody signs here, so the signing secret may be
    /// missing.
    pub(crate) fn read() -> anyhow::Result<Self> {
        let mut variables = environment::variables();
        let secret = variables.entry("HOOKDECK_WEBHOOK_SECRET".to_owned());
        secret.or_insert_with(|| "nobody signs here".to_owned());
        let variables = variables.iter().map(|(name, value)| (name.as_str(), value.clone()));
        let settings = environment::settings(&variables.collect()).map_err(|error| {
            anyhow!("{error}; the settings are the function's, from the environment or .env")
        })?;
        for warning in &settings.warnings {
            writeln!(std::io::stderr(), "{warning}")?;
        }
        let Xata::Platform(xata) = settings.xata else {
            bail!(
                "this command is for Xata's platform of today, and the settings choose Xata Lite, \
                 which gets nothing beyond creation"
            );
        };
        let (client, clock) = (http_client::live(), Arc::new(SystemTime::now) as Clock);
        let organization = organization(&xata, client.clone(), clock.clone());
        let fleet = Fleet { organization, projects: settings.projects };
        let directory = settings.clerk.map(|settings_of_clerk| Directory {
            clerk: clerk(settings_of_clerk, client, clock),
            instances: settings.instances,
        });
        Ok(Self { fleet, directory, on_user_deleted: settings.on_user_deleted })
    }

    /// What Clerk knows of a user.
    pub(crate) async fn known(&self, user_id: &UserId) -> Known {
        match &self.directory {
            Some(directory) => directory.look_up(user_id).await,
            None => Known::NotAsked,
        }
    }
}

/// The organization at Xata's platform.
pub(crate) fn organization(
    settings: &platform::Settings,
    client: HttpClient,
    clock: Clock,
) -> Organization {
    let service = Service::new(Words::XATA, settings.url.clone(), &settings.key, client, clock);
    Organization { service, id: settings.organization.clone() }
}

/// Clerk's Backend API.
pub(crate) fn clerk(settings: backend::Settings, client: HttpClient, clock: Clock) -> Service {
    let service = Service::new(Words::CLERK, settings.url, &settings.key, client, clock);
    Service { api: service.api.with_header(backend::VERSION.0, backend::VERSION.1), ..service }
}

/// Hookdeck's admin API; none without a key.
pub(crate) fn hookdeck(
    variables: &BTreeMap<String, String>,
    client: HttpClient,
    clock: Clock,
) -> anyhow::Result<Option<Service>> {
    let get = |name: &str| variables.get(name).map(|it| it.trim()).filter(|it| !it.is_empty());
    let Some(key) = get("HOOKDECK_API_KEY") else { return Ok(None) };
    if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        bail!("HOOKDECK_API_KEY has a blank, or a character that no key has: copy it again");
    }
    let url = get("HOOKDECK_API_URL").unwrap_or(HOOKDECK_URL).trim_end_matches('/').to_owned();
    let is_api = Address::of(&url).is_some_and(|it| it.is_https || it.is_loopback);
    if !is_api || url.contains(['?', '#', '@']) {
        bail!("HOOKDECK_API_URL must be an https URL, or an http URL of a loopback address");
    }
    Ok(Some(Service::new(Words::HOOKDECK, url, &SecretString::from(key), client, clock)))
}

/// Where a URL leads.
pub(crate) struct Address {
    pub(crate) is_https: bool,
    pub(crate) is_loopback: bool,
    /// In lower case.
    pub(crate) authority: String,
    pub(crate) path: String,
}

impl Address {
    /// Of an http or https URL.
    pub(crate) fn of(text: &str) -> Option<Self> {
        let uri: Uri = text.parse().ok()?;
        let is_https = match uri.scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let authority = uri.authority()?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let is_ip = host.parse::<IpAddr>().is_ok_and(|it| it.is_loopback());
        let is_loopback = is_ip || host == "localhost" || host.ends_with(".localhost");
        let port = authority.as_str().rsplit_once(':').filter(|(_, port)| !port.ends_with(']'));
        if host.is_empty() || (port.is_some() && authority.port_u16().is_none()) {
            return None;
        }
        let authority = authority.as_str().to_ascii_lowercase();
        Some(Self { is_https, is_loopback, authority, path: uri.path().to_owned() })
    }
}

/// A user id on the command line.
pub(crate) fn user_id(text: &str) -> Result<UserId, String> {
    UserId::try_from(text).map_err(|error| error.to_string())
}

//! The services that the settings in the environment and in `.env` name, for the commands of an
//! operator.

use std::io::Write;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{anyhow, bail};
use per_user_db::Clock;
use per_user_db::clerk::{UserId, backend};
use per_user_db::http_client::api::Api;
use per_user_db::http_client::{self, HttpClient};
use per_user_db::settings::{OnUserDeleted, Xata};

use crate::directory::{Directory, Known};
use crate::fleet::Fleet;
use crate::local;
use crate::service::{Service, Words};

/// How to speak of Xata's platform.
pub(crate) const XATA: Words = Words {
    name: "Xata",
    url: "XATA_API_URL",
    key: "XATA_API_KEY",
    path: "XATA_ORGANIZATION_ID and XATA_PROJECT_ID",
};

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
        let mut variables = local::variables();
        let secret = variables.entry("HOOKDECK_WEBHOOK_SECRET".to_owned());
        secret.or_insert_with(|| "nobody signs here".to_owned());
        let variables = variables.iter().map(|(name, value)| (name.as_str(), value.clone()));
        let settings = local::read(&variables.collect()).map_err(|error| {
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
        let fleet = Fleet {
            xata: Service {
                api: Api::new(xata.url.clone(), &xata.key, client.clone(), clock.clone()),
                url: xata.url,
                words: XATA,
            },
            organization: xata.organization,
            projects: settings.projects,
        };
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

/// Clerk's Backend API.
pub(crate) fn clerk(
    backend::Settings { url, key }: backend::Settings,
    client: HttpClient,
    clock: Clock,
) -> Service {
    let api = Api::new(url.clone(), &key, client, clock);
    let api = api.with(backend::VERSION.0, backend::VERSION.1);
    let words = Words {
        name: "Clerk",
        url: "CLERK_API_URL",
        key: "CLERK_SECRET_KEY",
        path: "CLERK_API_URL, which ends in /v1",
    };
    Service { api, url, words }
}

/// A user id on the command line.
pub(crate) fn user_id(text: &str) -> Result<UserId, String> {
    UserId::try_from(text).map_err(|error| error.to_string())
}

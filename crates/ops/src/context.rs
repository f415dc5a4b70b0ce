//! The services that the function's settings name, for the commands about one user.

use anyhow::{anyhow, bail};
use cli::{environment, output};
use per_user_db::clerk::UserId;
use per_user_db::settings::{OnUserDeleted, Xata};

use crate::directory::{Directory, UserLookup};
use crate::fleet::Fleet;
use crate::organization::Organization;
use crate::service::Service;

/// What a command about one user works with.
pub(crate) struct Context {
    pub(crate) fleet: Fleet,
    /// None without a key.
    pub(crate) directory: Option<Directory>,
    pub(crate) on_user_deleted: OnUserDeleted,
}

impl Context {
    /// Reads the settings as the function does. The signing secret may be missing, because these
    /// commands sign nothing.
    pub(crate) fn read() -> anyhow::Result<Self> {
        let mut variables = environment::variables()?;
        let secret = variables.entry("HOOKDECK_WEBHOOK_SECRET".to_owned());
        secret.or_insert_with(|| "unused".to_owned());
        let variables = variables.iter().map(|(name, value)| (name.as_str(), value.clone()));
        let settings = environment::settings(&variables.collect()).map_err(|error| {
            anyhow!("{error}; the settings are the function's, from the environment or .env")
        })?;
        settings.warnings.iter().for_each(output::note);
        let Xata::Platform(xata) = settings.xata else {
            bail!(
                "this command is for Xata's platform of today, and the settings choose Xata Lite, \
                 which gets nothing beyond creation"
            );
        };
        let fleet = Fleet { organization: Organization::new(&xata), projects: settings.projects };
        let directory = settings
            .clerk
            .map(|clerk| Directory { clerk: Service::clerk(clerk), instances: settings.instances });
        Ok(Self { fleet, directory, on_user_deleted: settings.on_user_deleted })
    }

    /// Looks a user up at Clerk.
    pub(crate) async fn look_up(&self, user_id: &UserId) -> UserLookup {
        match &self.directory {
            Some(directory) => directory.look_up(user_id).await,
            None => UserLookup::NotAsked,
        }
    }
}

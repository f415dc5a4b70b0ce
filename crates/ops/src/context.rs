//! The services that the function's settings name, for the commands about users.

use anyhow::{anyhow, bail};
use cli::{environment, output};
use per_user_db::clerk::backend::BackendClient;
use per_user_db::clerk::{Instances, UserId};
use per_user_db::http_client;
use per_user_db::region::PlacementPolicy;
use per_user_db::settings::{OnUserDeleted, Xata};
use per_user_db::xata::platform::{self, Source};

use crate::bulk::Target;
use crate::directory::{Directory, Instance, UserLookup};
use crate::fleet::{Branch, Fleet};
use crate::organization::Organization;
use crate::service::{Service, clock};

/// What a command about users works with.
pub(crate) struct Context {
    pub(crate) fleet: Fleet,
    /// None without a key.
    pub(crate) directory: Option<Directory>,
    pub(crate) on_user_deleted: OnUserDeleted,
    pub(crate) xata: platform::Settings,
    pub(crate) policy: PlacementPolicy,
    /// With the same key as the directory.
    pub(crate) clerk: Option<BackendClient>,
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
        let policy = settings.policy;
        let fleet = Fleet { organization: Organization::new(&xata), projects: settings.projects };
        let clerk = settings.clerk.as_ref();
        let clerk = clerk.map(|clerk| BackendClient::new(clerk, http_client::live(), clock()));
        let directory =
            settings.clerk.map(|clerk| Directory::new(Service::clerk(clerk), settings.instances));
        Ok(Self {
            fleet,
            directory,
            on_user_deleted: settings.on_user_deleted,
            xata,
            policy,
            clerk,
        })
    }

    /// Clerk, if its key belongs to the only instance whose events count: to the key of another
    /// instance, every user is gone.
    pub(crate) async fn only_directory(&self) -> anyhow::Result<(&Directory, Instance)> {
        let Some(directory) = &self.directory else {
            bail!("CLERK_SECRET_KEY is missing: only Clerk knows which users there are");
        };
        let instance = directory.instance().await?;
        match &directory.instances {
            Instances::Only(listed) if *listed == [instance.id.as_str()] => {
                Ok((directory, instance))
            }
            _ => Err(anyhow!(
                "CLERK_INSTANCE_ID must list the instance of CLERK_SECRET_KEY, {}, and no other: to the \
                 key of another instance, every user is gone",
                instance.id
            )),
        }
    }

    /// The templates that the settings name.
    pub(crate) fn templates(&self, branches: &[Branch]) -> anyhow::Result<Vec<Target>> {
        let Source::Templates(templates) = &self.xata.source else { return Ok(Vec::new()) };
        let found = templates.values().map(|id| {
            let branch = branches.iter().find(|branch| branch.id == id.as_str());
            let branch = branch.ok_or_else(|| {
                anyhow!("XATA_TEMPLATES names {}, and no project has such a branch", id.as_str())
            })?;
            Ok(Target::database(branch.name.clone(), branch.clone()))
        });
        found.collect()
    }

    /// Looks a user up at Clerk.
    pub(crate) async fn look_up(&self, user_id: &UserId) -> UserLookup {
        match &self.directory {
            Some(directory) => directory.look_up(user_id).await,
            None => UserLookup::NotAsked,
        }
    }
}

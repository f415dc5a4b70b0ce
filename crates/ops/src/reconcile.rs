//! The users at Clerk and the databases in Xata, compared: what `ops backfill` and `ops audit` share.

use std::collections::HashMap;
use std::collections::hash_map::Entry as MapEntry;
use std::time::{Duration, SystemTime};

use anyhow::Result;
use http::StatusCode;
use per_user_db::clerk::{UserId, UserStatus};
use per_user_db::provision::{
    EnsureOutcome, Progress, Provisioner, RemoveOutcome, TimeBudget, UserAtClerk, parked_name,
};
use per_user_db::region::{PlacementPolicy, Preferences};
use per_user_db::settings::Xata;
use per_user_db::xata::platform::Source;
use per_user_db::xata::{Databases, Removal};

use crate::bulk::{Outcome, Target, Work};
use crate::context::Context;
use crate::directory::Directory;
use crate::failure::Failure;
use crate::fleet::{Branch, ParkedDatabase};
use crate::service::clock;

/// The function still has users who signed up more recently in its hands.
pub(crate) const MIN_AGE: Duration = Duration::from_mins(15);

/// Three creates fit, each of which Xata's edge ends after 60 s.
const CREATE_TIMEOUT: Duration = Duration::from_mins(4);

/// All branches of all projects, by what they are.
#[derive(Default)]
pub(crate) struct Branches {
    /// By the user's id. A user has one, unless something went wrong.
    pub(crate) of_users: HashMap<String, Vec<Branch>>,
    pub(crate) parked: Vec<ParkedDatabase>,
    /// No template, and not named by a user's id.
    pub(crate) others: Vec<Branch>,
}

impl Branches {
    pub(crate) async fn read(context: &Context) -> Result<Self> {
        let is_template = |branch: &Branch| match &context.xata.source {
            Source::Templates(templates) => templates.values().any(|id| id.as_str() == branch.id),
            Source::Root { .. } => false,
        };
        let mut branches = Self::default();
        for branch in context.fleet.branches().await? {
            if let Some(copy) = ParkedDatabase::new(&branch) {
                branches.parked.push(copy);
            } else if UserId::try_from(branch.name.as_str()).is_ok() {
                match branches.of_users.entry(branch.name.clone()) {
                    // Room for one: a vector that is pushed to has room for four.
                    MapEntry::Vacant(none) => drop(none.insert(vec![branch])),
                    MapEntry::Occupied(mut some) => some.get_mut().push(branch),
                }
            } else if !is_template(&branch) {
                branches.others.push(branch);
            }
        }
        Ok(branches)
    }
}

/// Whether a user signed up so long ago that the function is done with them.
pub(crate) fn is_settled(created_at: SystemTime) -> bool {
    created_at.elapsed().is_ok_and(|age| age >= MIN_AGE)
}

/// The region that the metadata asks for which only a backend writes, where the database is in another
/// one.
pub(crate) fn region_asked_instead(
    policy: &PlacementPolicy,
    preferences: &Preferences,
    database: &Branch,
) -> Option<String> {
    let backend = Preferences { unsafe_metadata: None, ..preferences.clone() };
    match policy.preferred(&backend) {
        Ok((wanted, _)) => {
            wanted.map(|it| it.region.to_string()).filter(|region| *region != database.region)
        }
        // The text is not a region, or none that is allowed.
        Err(_) => backend.private_metadata.or(backend.public_metadata),
    }
}

/// Gives a user what they lack. A target with a database gets the directory entry, one without gets
/// the database, too, by the decisions with which the function makes it.
pub(crate) struct Repair<'a> {
    context: &'a Context,
    directory: &'a Directory,
    databases: Databases,
    instance: String,
}

impl<'a> Repair<'a> {
    pub(crate) fn new(context: &'a Context, directory: &'a Directory, instance: String) -> Self {
        let http_client = context.fleet.organization.service.http_client.clone();
        let databases = Xata::Platform(context.xata.clone()).databases(http_client, clock());
        Self { context, directory, databases, instance }
    }

    fn provisioner<'b>(
        &'b self,
        user_id: &'b UserId,
        progress: &'b mut Progress,
    ) -> Provisioner<'b> {
        let clerk = self.context.clerk.as_ref();
        let instance = Some(self.instance.as_str());
        Provisioner {
            databases: &self.databases,
            projects: &self.context.fleet.projects,
            name: user_id.into(),
            user: clerk.map(|clerk| UserAtClerk { clerk, user_id, instance }),
            budget: TimeBudget::new(CREATE_TIMEOUT).with_entry(),
            progress,
        }
    }

    async fn create(&self, target: &Target) -> Result<Outcome, Failure> {
        let user_id = user_id(target)?;
        let region = target.region.as_deref().and_then(|region| region.try_into().ok());
        let Some(region) = region else { return Ok(Outcome::Skipped("no_region")) };
        let mut progress = Progress::default();
        // Every project was listed without the user's database, so that the first request creates it.
        let outcome = self.provisioner(&user_id, &mut progress).ensure(&region, true).await?;
        Ok(match outcome {
            EnsureOutcome::UserGone => Outcome::Skipped("user_gone"),
            EnsureOutcome::Created(_) => changed("no database", "created"),
            EnsureOutcome::Exists(_) => changed("no database", "exists"),
        })
    }

    async fn link(&self, target: &Target, database: &Branch) -> Result<Outcome, Failure> {
        match self.directory.write_entry(&user_id(target)?, database).await {
            Ok(UserStatus::Exists(_)) => Ok(changed("no entry", "entry")),
            Ok(UserStatus::Deleted) => Ok(Outcome::Skipped("user_gone")),
            Err(error) if error.status() == Some(StatusCode::UNPROCESSABLE_ENTITY) => {
                let message =
                    "the user's metadata at Clerk has no room for the entry: make room in it";
                Err(Failure::permanent("clerk_metadata_full", message))
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl Work for Repair<'_> {
    async fn perform(&self, target: &Target) -> Result<Outcome, Failure> {
        match &target.branch {
            Some(database) => self.link(target, database).await,
            None => self.create(target).await,
        }
    }
}

/// Parks the databases of users who are gone, by the decisions with which the function parks them.
pub(crate) struct Park<'a>(pub(crate) &'a Repair<'a>);

impl Work for Park<'_> {
    async fn perform(&self, target: &Target) -> Result<Outcome, Failure> {
        let user_id = user_id(target)?;
        let removal = Removal::Park { name: parked_name(&user_id, SystemTime::now()) };
        let mut progress = Progress::default();
        let outcome = self.0.provisioner(&user_id, &mut progress).remove(&removal).await?;
        Ok(match outcome {
            RemoveOutcome::Done => changed("user gone", "parked"),
            RemoveOutcome::Absent => Outcome::Unchanged,
            RemoveOutcome::UserExists => Outcome::Skipped("user_exists"),
        })
    }
}

fn changed(from: &str, to: &str) -> Outcome {
    Outcome::Changed { from: from.to_owned(), to: to.to_owned() }
}

fn user_id(target: &Target) -> Result<UserId, Failure> {
    UserId::try_from(target.user.as_str())
        .map_err(|error| Failure::permanent("invalid_user_id", error.to_string()))
}

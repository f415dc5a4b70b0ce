//! What Clerk knows of a user: whether the user exists, and the directory entry, which tells an
//! application where the user's database is (`docs/vendors/clerk.md`, "Backend API" and "Writing
//! metadata"). No other member of the user is read.

use anyhow::anyhow;
use http::Method;
use per_user_db::clerk::backend::is_user_not_found;
use per_user_db::clerk::{DirectoryEntry, Instances, UserId, UserStatus};
use per_user_db::region::Region;
use per_user_db::xata::{DatabaseId, ProjectId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::fleet::Branch;
use crate::service::{ApiError, Service};

/// The users of the instance that the key belongs to.
pub(crate) struct Directory {
    pub(crate) clerk: Service,
    /// The instances whose events count.
    pub(crate) instances: Instances,
}

/// The instance that a key belongs to.
#[derive(Deserialize)]
pub(crate) struct Instance {
    pub(crate) id: String,
    pub(crate) environment_type: Option<String>,
}

/// What Clerk says of a user.
#[derive(Serialize)]
#[serde(tag = "presence", rename_all = "snake_case")]
pub(crate) enum UserLookup {
    /// There is no key.
    NotAsked,
    #[serde(rename = "unknown")]
    Failed { problem: String },
    /// The instance has no such user.
    #[serde(rename = "gone")]
    NotFound { instance: String },
    #[serde(rename = "here")]
    Found {
        instance: String,
        #[serde(skip)]
        entry: Option<Entry>,
        /// The size of all metadata, as JSON.
        #[serde(skip)]
        metadata_bytes: usize,
    },
}

/// What Clerk keeps for a user (`docs/vendors/clerk.md`, "Metadata"). Whether for each kind of metadata
/// or for all together is unknown; here, for all.
pub(crate) const METADATA_LIMIT_BYTES: usize = 8 * 1024;

/// An entry has less, its place in the metadata included.
const ENTRY_BYTES: usize = 512;

/// The members of the entry that can be read.
#[derive(Clone, Serialize)]
pub(crate) struct Entry {
    id: Option<String>,
    name: Option<String>,
    project: Option<String>,
    pub(crate) region: Option<String>,
}

impl UserLookup {
    /// The size of the metadata where it leaves no room for an entry.
    pub(crate) fn full_metadata_bytes(&self) -> Option<usize> {
        match *self {
            Self::Found { metadata_bytes, .. } => {
                (metadata_bytes + ENTRY_BYTES > METADATA_LIMIT_BYTES).then_some(metadata_bytes)
            }
            _ => None,
        }
    }

    /// In a few words.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::NotAsked => "not asked: CLERK_SECRET_KEY is not set".to_owned(),
            Self::Failed { problem } => format!("could not be asked: {problem}"),
            Self::NotFound { instance } => format!(
                "gone: instance {instance} does not know the user, nor any user of another instance"
            ),
            Self::Found { instance, .. } => format!("here: instance {instance} knows the user"),
        }
    }
}

impl Directory {
    /// The instance of the key.
    pub(crate) async fn instance(&self) -> Result<Instance, ApiError> {
        let instance: Instance = self.clerk.get("/instance").await?;
        let is_id = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if instance.id.bytes().all(is_id) { Ok(instance) } else { Err(self.clerk.unreadable()) }
    }

    /// Whether events of this instance count.
    pub(crate) fn lists(&self, instance: &Instance) -> bool {
        match &self.instances {
            Instances::Any => true,
            Instances::Only(listed) => listed.contains(&instance.id),
        }
    }

    /// Looks a user up, after checking that the key belongs to an instance whose events count: to
    /// the key of another instance, every user is a 404.
    pub(crate) async fn look_up(&self, user_id: &UserId) -> UserLookup {
        let lookup = self.try_look_up(user_id).await;
        lookup.unwrap_or_else(|error| UserLookup::Failed { problem: error.to_string() })
    }

    async fn try_look_up(&self, user_id: &UserId) -> anyhow::Result<UserLookup> {
        #[derive(Deserialize)]
        struct User {
            id: String,
            #[serde(default)]
            private_metadata: Value,
            #[serde(default)]
            public_metadata: Value,
            #[serde(default)]
            unsafe_metadata: Value,
        }
        let instance = self.instance().await?;
        if !self.lists(&instance) {
            return Err(anyhow!(
                "CLERK_SECRET_KEY is a key of instance {}, which CLERK_INSTANCE_ID does not list: \
                 to it every user would be gone",
                instance.id
            ));
        }
        let instance = instance.id;
        let response = self.clerk.exchange(Method::GET, &format!("/users/{user_id}"), None).await?;
        if is_user_not_found(&response) {
            return Ok(UserLookup::NotFound { instance });
        }
        if !response.status.is_success() {
            return Err(self.clerk.rejected(response.status).into());
        }
        match response.json::<User>() {
            Ok(user) if user.id == user_id.as_str() => {
                let User { private_metadata, public_metadata, unsafe_metadata, .. } = user;
                let entry = private_metadata.get("database").filter(|it| !it.is_null());
                let entry = entry.map(Entry::read);
                let kinds = [&private_metadata, &public_metadata, &unsafe_metadata];
                let metadata_bytes = kinds.map(|it| it.to_string().len()).iter().sum();
                Ok(UserLookup::Found { instance, entry, metadata_bytes })
            }
            _ => Err(self.clerk.unreadable().into()),
        }
    }

    /// Merges the entry into the user's metadata, as the function does.
    pub(crate) async fn write_entry(
        &self,
        user_id: &UserId,
        database: &Branch,
    ) -> Result<UserStatus, ApiError> {
        let Branch { id, name, project, region, .. } = database.clone();
        let entry = DirectoryEntry { id: Some(id), name, project, region };
        let path = format!("/users/{user_id}/metadata");
        let response = self.clerk.exchange(Method::PATCH, &path, Some(&entry.merge_body())).await?;
        match response.status {
            status if status.is_success() => Ok(UserStatus::Exists(Some(entry))),
            _ if is_user_not_found(&response) => Ok(UserStatus::Deleted),
            status => Err(self.clerk.rejected(status)),
        }
    }
}

impl Entry {
    /// Reads only values of the form that the function writes, because an application may keep other
    /// data under this name.
    fn read(entry: &Value) -> Self {
        let text = |name: &str| entry[name].as_str();
        let keep = |text: &str| text.to_owned();
        Self {
            id: text("id").filter(|it| DatabaseId::try_from(*it).is_ok()).map(keep),
            name: text("name").filter(|it| UserId::try_from(*it).is_ok()).map(keep),
            project: text("project").filter(|it| ProjectId::try_from(*it).is_ok()).map(keep),
            region: text("region").filter(|it| Region::try_from(*it).is_ok()).map(keep),
        }
    }

    /// The members that differ from the database, in words.
    pub(crate) fn differences(&self, database: &Branch) -> Vec<String> {
        let members = [
            ("id", &self.id, &database.id),
            ("name", &self.name, &database.name),
            ("project", &self.project, &database.project),
            ("region", &self.region, &database.region),
        ];
        let wrong = members.into_iter().filter(|(_, entry, actual)| entry.as_ref() != Some(actual));
        wrong
            .map(|(member, entry, actual)| match entry {
                Some(entry) => format!("{member} is {actual}, and the entry says {entry}"),
                None => format!("{member} is {actual}, and the entry has no readable value"),
            })
            .collect()
    }
}

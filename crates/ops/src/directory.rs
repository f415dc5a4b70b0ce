//! What Clerk knows of a user: whether the user exists, and the directory entry, which tells an
//! application where the user's database is (`docs/vendors/clerk.md`, "Backend API" and "Writing
//! metadata"). No other member of the user is read.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::anyhow;
use http::Method;
use per_user_db::clerk::backend::is_user_not_found;
use per_user_db::clerk::{DirectoryEntry, Instances, UserId, UserStatus};
use per_user_db::region::{Preferences, Region};
use per_user_db::xata::{DatabaseId, ProjectId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use tokio::time::sleep;

use crate::fleet::Branch;
use crate::service::{ApiError, Service};

/// The users of the instance that the key belongs to.
pub(crate) struct Directory {
    clerk: Service,
    /// The instances whose events count.
    pub(crate) instances: Instances,
    /// The key's, once Clerk has named it: it never changes.
    instance: OnceCell<Instance>,
}

/// The instance that a key belongs to.
#[derive(Clone, Deserialize)]
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
        #[serde(skip)]
        preferences: Preferences,
        /// The size of all metadata, as JSON.
        #[serde(skip)]
        metadata_bytes: usize,
    },
}

/// How many users Clerk lists at once.
const PAGE: usize = 500;

/// How often a look-up waits because Clerk limits requests.
const MAX_WAITS: usize = 100;

/// A user in Clerk's list.
pub(crate) struct ListedUser {
    pub(crate) id: UserId,
    pub(crate) created_at: SystemTime,
    pub(crate) entry: Option<Entry>,
    pub(crate) preferences: Preferences,
}

impl ListedUser {
    fn read(json: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct User {
            id: String,
            created_at: u64,
            #[serde(default)]
            private_metadata: Value,
        }
        let User { id, created_at, private_metadata } = serde_json::from_str(json).ok()?;
        Some(Self {
            id: UserId::try_from(id.as_str()).ok()?,
            created_at: UNIX_EPOCH.checked_add(Duration::from_millis(created_at))?,
            entry: Entry::of(&private_metadata),
            preferences: Preferences::of_user(json),
        })
    }
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

    fn from_result(result: anyhow::Result<Self>) -> Self {
        result.unwrap_or_else(|error| Self::Failed { problem: error.to_string() })
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
    pub(crate) fn new(clerk: Service, instances: Instances) -> Self {
        Self { clerk, instances, instance: OnceCell::new() }
    }

    /// The instance of the key.
    pub(crate) async fn instance(&self) -> Result<Instance, ApiError> {
        let ask = async || {
            let instance: Instance = self.clerk.get("/instance").await?;
            let is_id = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
            if instance.id.bytes().all(is_id) { Ok(instance) } else { Err(self.clerk.unreadable()) }
        };
        self.instance.get_or_try_init(ask).await.cloned()
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
        UserLookup::from_result(self.try_look_up(user_id).await)
    }

    /// The same, for a command about many users, which waits where Clerk limits requests.
    pub(crate) async fn look_up_patiently(&self, user_id: &UserId) -> UserLookup {
        let mut n_waits = 0;
        loop {
            let result = self.try_look_up(user_id).await;
            let error = result.as_ref().err().and_then(|error| error.downcast_ref::<ApiError>());
            match error.and_then(|error| error.retry_after) {
                Some(wait) if n_waits < MAX_WAITS => sleep(wait).await,
                _ => return UserLookup::from_result(result),
            }
            n_waits += 1;
        }
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
            return Err(self.clerk.rejected_response(&response).into());
        }
        let json: &RawValue = response.json().map_err(|_| self.clerk.unreadable())?;
        match serde_json::from_str::<User>(json.get()) {
            Ok(user) if user.id == user_id.as_str() => {
                let User { private_metadata, public_metadata, unsafe_metadata, .. } = user;
                let entry = Entry::of(&private_metadata);
                let kinds = [&private_metadata, &public_metadata, &unsafe_metadata];
                let metadata_bytes = kinds.map(|it| it.to_string().len()).iter().sum();
                let preferences = Preferences::of_user(json.get());
                Ok(UserLookup::Found { instance, entry, preferences, metadata_bytes })
            }
            _ => Err(self.clerk.unreadable().into()),
        }
    }

    /// Reads all users, those who signed up first at the beginning, a page at a time.
    pub(crate) async fn for_each_user(
        &self,
        mut see: impl FnMut(&ListedUser),
    ) -> anyhow::Result<()> {
        #[derive(Deserialize)]
        struct Count {
            total_count: usize,
        }
        let Count { total_count } = self.clerk.get_patiently("/users/count").await?;
        let (mut n_seen, mut before) = (0, Vec::<ListedUser>::new());
        loop {
            let page = self.page_after(before.last()).await?;
            let is_new = |user: &ListedUser| before.iter().all(|other| other.id != user.id);
            let new: Vec<_> = page.iter().filter(|user| is_new(user)).collect();
            n_seen += new.len();
            new.into_iter().for_each(&mut see);
            if page.len() < PAGE {
                break;
            }
            before = page;
        }
        // To a list that ends early, the users after its end would look gone.
        if n_seen + total_count / 100 < total_count {
            return Err(anyhow!(
                "Clerk counts {total_count} users and lists {n_seen}: try again later"
            ));
        }
        Ok(())
    }

    /// The next page. Where the last user of the page before is gone meanwhile, Clerk may not take them
    /// as the place to go on from; then the time of their sign-up is that place.
    async fn page_after(&self, last: Option<&ListedUser>) -> Result<Vec<ListedUser>, ApiError> {
        let path = format!("/users?limit={PAGE}&order_by=created_at");
        let users: Vec<Box<RawValue>> = match last {
            None => self.clerk.get_patiently(&path).await?,
            Some(ListedUser { id, created_at, .. }) => {
                let after = format!("{path}&starting_after={id}");
                match self.clerk.get_patiently(&after).await {
                    Err(error) if error.is_refusal() => {
                        let since = created_at.duration_since(UNIX_EPOCH).unwrap_or_default();
                        let since = since.as_millis().saturating_sub(1);
                        let after = format!("{path}&created_at_after={since}");
                        self.clerk.get_patiently(&after).await?
                    }
                    users => users?,
                }
            }
        };
        let users: Option<_> = users.iter().map(|user| ListedUser::read(user.get())).collect();
        users.ok_or_else(|| self.clerk.unreadable())
    }

    /// Removes the entry from a user's metadata.
    pub(crate) async fn clear_entry(&self, user_id: &UserId) -> Result<(), ApiError> {
        let path = format!("/users/{user_id}/metadata");
        let body = json!({ "private_metadata": { "database": null } });
        let response = self.clerk.exchange(Method::PATCH, &path, Some(&body)).await?;
        match response.status {
            status if status.is_success() || is_user_not_found(&response) => Ok(()),
            _ => Err(self.clerk.rejected_response(&response)),
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
            _ => Err(self.clerk.rejected_response(&response)),
        }
    }
}

impl Entry {
    /// The entry in the private metadata of a user.
    fn of(private_metadata: &Value) -> Option<Self> {
        private_metadata.get("database").filter(|it| !it.is_null()).map(Self::read)
    }

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

    /// Whether the entry is about this database, whatever its name is.
    pub(crate) fn names(&self, database: &Branch) -> bool {
        self.id.as_ref() == Some(&database.id)
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

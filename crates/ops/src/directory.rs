//! What Clerk knows of a user: whether they are there, and the entry that tells an application where
//! their database is (`contracts/clerk.md` section 11). Nothing else of a user is looked at.

use http::Method;
use per_user_db::clerk::backend::is_user_not_found;
use per_user_db::clerk::{self, Instances, UserId};
use per_user_db::http_client::CallError;
use per_user_db::region::Region;
use per_user_db::xata::{DatabaseId, ProjectId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::fleet::Branch;
use crate::service::{Problem, Service};

/// The users of the instance that the key belongs to.
pub(crate) struct Directory {
    pub(crate) clerk: Service,
    /// Those whose events count.
    pub(crate) instances: Instances,
}

/// What Clerk knows of a user.
#[derive(Serialize)]
#[serde(tag = "presence", rename_all = "snake_case")]
pub(crate) enum Known {
    /// There is no key to ask with.
    NotAsked,
    /// It could not be asked.
    Unknown { problem: Problem },
    /// This instance knows no such user.
    Gone { instance: String },
    /// This instance does.
    Here {
        instance: String,
        #[serde(skip)]
        entry: Option<Entry>,
    },
}

/// What the entry says, as far as it can be read.
#[derive(Clone, Serialize)]
pub(crate) struct Entry {
    pub(crate) id: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) project: Option<String>,
    pub(crate) region: Option<String>,
}

/// What became of the entry.
pub(crate) enum Told {
    Written,
    /// The user is gone.
    Gone,
    Failed(Problem),
}

#[derive(Deserialize)]
struct Instance {
    id: String,
}

#[derive(Deserialize)]
struct User {
    id: String,
    private_metadata: Option<Metadata>,
}

#[derive(Deserialize)]
struct Metadata {
    database: Option<Value>,
}

impl Known {
    /// In a few words.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::NotAsked => "not asked: CLERK_SECRET_KEY is not set".to_owned(),
            Self::Unknown { problem } => format!("could not be asked: {problem}"),
            Self::Gone { instance } => format!(
                "gone: instance {instance} does not know the user, nor anybody of another instance"
            ),
            Self::Here { instance, .. } => format!("here: instance {instance} knows the user"),
        }
    }
}

impl Directory {
    /// Asks for a user.
    ///
    /// To a key of another instance everybody is gone, so the answer names the instance, which must
    /// be one whose events count.
    pub(crate) async fn look_up(&self, user_id: &UserId) -> Known {
        self.ask(user_id).await.unwrap_or_else(|problem| Known::Unknown { problem })
    }

    async fn ask(&self, user_id: &UserId) -> Result<Known, Problem> {
        let unreadable = || Problem::from(self.clerk.silent(CallError::Unreadable));
        let Instance { id: instance } = self.clerk.get("/instance").await?;
        if !instance.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err(unreadable());
        }
        if let Instances::Only(known) = &self.instances
            && !known.contains(&instance)
        {
            return Err(Problem(format!(
                "CLERK_SECRET_KEY is a key of instance {instance}, which CLERK_INSTANCE_ID does \
                 not list: to it everybody would be gone"
            )));
        }
        let answer = self.clerk.exchange(Method::GET, &format!("/users/{user_id}"), None).await?;
        if is_user_not_found(&answer) {
            return Ok(Known::Gone { instance });
        }
        if !answer.status.is_success() {
            return Err(self.clerk.refused(answer.status).into());
        }
        let user: User = answer.json().map_err(|_| unreadable())?;
        if user.id != user_id.as_str() {
            return Err(unreadable());
        }
        let entry = user.private_metadata.and_then(|metadata| metadata.database);
        Ok(Known::Here { instance, entry: entry.as_ref().map(Entry::read) })
    }

    /// Writes the entry as the function does. What else stands in the user's metadata stays.
    pub(crate) async fn tell(&self, user_id: &UserId, database: &Branch) -> Told {
        let Branch { id, name, project, region, .. } = database;
        let body = clerk::DirectoryEntry { id: Some(id), name, project, region }.merge_body();
        let path = format!("/users/{user_id}/metadata");
        match self.clerk.exchange(Method::PATCH, &path, Some(&body)).await {
            Ok(answer) if answer.status.is_success() => Told::Written,
            Ok(answer) if is_user_not_found(&answer) => Told::Gone,
            Ok(answer) => Told::Failed(self.clerk.refused(answer.status).into()),
            Err(obstacle) => Told::Failed(obstacle.into()),
        }
    }
}

impl Entry {
    /// Takes nothing but what has the form of ours: whatever else an application keeps under this
    /// name is its own.
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

    /// Where it says something else than is the case.
    pub(crate) fn differences(&self, database: &Branch) -> Vec<String> {
        let members = [
            ("id", &self.id, &database.id),
            ("name", &self.name, &database.name),
            ("project", &self.project, &database.project),
            ("region", &self.region, &database.region),
        ];
        let wrong = members.into_iter().filter(|(_, says, is)| says.as_ref() != Some(is));
        wrong
            .map(|(member, says, is)| match says {
                Some(says) => format!("{member} is {is}, and it says {says}"),
                None => format!("{member} is {is}, and it says nothing that can be read"),
            })
            .collect()
    }
}

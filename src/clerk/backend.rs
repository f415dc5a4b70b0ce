//! Clerk's Backend API: whether a user is there, and the entry that tells an application where the
//! user's database is (`contracts/clerk.md` sections 7 and 11).

use std::sync::OnceLock;

use http::{Method, StatusCode};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::UserId;
use crate::Clock;
use crate::http_client::HttpClient;
use crate::http_client::api::{Answer, Api};
use crate::trouble::{Reason, Trouble};

/// The public address.
pub const DEFAULT_URL: &str = "https://api.clerk.com/v1";

/// The version that the contract describes. Without one, which applies is not documented.
pub const VERSION: (&str, &str) = ("clerk-api-version", "2026-05-12");

/// What Clerk is asked with.
#[derive(Debug)]
pub struct Settings {
    /// Without a slash at its end.
    pub url: String,
    /// The secret key of one instance.
    pub key: SecretString,
}

/// The Backend API of the instance that the key belongs to.
pub struct Backend {
    api: Api,
    /// That instance, once it has been asked for.
    instance: OnceLock<String>,
}

/// Where a user's database is, as an application reads it in the user's private metadata.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// Xata's id of it; Xata Lite has none.
    pub id: Option<&'a str>,
    /// Its name.
    pub name: &'a str,
    /// Where it is kept.
    pub project: &'a str,
    /// Where it really is.
    pub region: &'a str,
}

impl Entry<'_> {
    /// The body of the request that merges it into a user's metadata. A member that is not known is
    /// left as it is.
    pub fn merge(&self) -> Value {
        let Self { id, name, project, region } = self;
        let mut entry =
            json!({ "name": name, "project": project, "region": region, "status": "created" });
        if let Some(id) = id {
            entry["id"] = (*id).into();
        }
        json!({ "private_metadata": { "database": entry } })
    }
}

/// Whether there is a user of this id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// There is.
    Here,
    /// There is none any more, and ids are not used twice.
    Gone,
}

/// Whatever has an id.
#[derive(Deserialize)]
struct Identified {
    id: String,
}

impl Backend {
    /// A client for these settings.
    pub fn new(settings: Settings, client: HttpClient, clock: Clock) -> Self {
        let api = Api::new(settings.url, &settings.key, client, clock);
        Self { api: api.with(VERSION.0, VERSION.1), instance: OnceLock::new() }
    }

    /// Asks whether a user is there, of whom an event of this instance tells.
    ///
    /// Nobody is taken for gone before it is known that the key belongs to that instance: to the key
    /// of another, everybody is.
    pub async fn presence(
        &self,
        user_id: &UserId,
        instance: Option<&str>,
        until: Instant,
    ) -> Result<Presence, Trouble> {
        let answer = self.ask(Method::GET, &format!("/users/{user_id}"), None, until).await?;
        if answer.status.is_success() {
            return match answer.json() {
                Ok(Identified { id }) if id == user_id.as_str() => Ok(Presence::Here),
                _ => Err(unavailable(&answer)),
            };
        }
        if !is_gone(&answer) {
            return Err(classify(&answer));
        }
        if instance == Some(self.instance(until).await?) {
            Ok(Presence::Gone)
        } else {
            Err(Trouble::silent(Reason::ForeignKey))
        }
    }

    /// Merges the entry into a user's private metadata, which only an application's backend can read.
    /// What else stands there stays (section 11).
    pub async fn write(
        &self,
        user_id: &UserId,
        entry: &Entry<'_>,
        until: Instant,
    ) -> Result<Presence, Trouble> {
        let path = format!("/users/{user_id}/metadata");
        let answer = self.ask(Method::PATCH, &path, Some(&entry.merge()), until).await?;
        match answer.status {
            status if status.is_success() => Ok(Presence::Here),
            _ if is_gone(&answer) => Ok(Presence::Gone),
            _ => Err(classify(&answer)),
        }
    }

    /// The instance that the key belongs to. It is asked for once: a key belongs to one for ever.
    async fn instance(&self, until: Instant) -> Result<&str, Trouble> {
        if let Some(instance) = self.instance.get() {
            return Ok(instance);
        }
        let answer = self.ask(Method::GET, "/instance", None, until).await?;
        if !answer.status.is_success() {
            return Err(classify(&answer));
        }
        let Identified { id } = answer.json().map_err(|_| unavailable(&answer))?;
        Ok(self.instance.get_or_init(|| id))
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        until: Instant,
    ) -> Result<Answer, Trouble> {
        let answer = self.api.exchange(method, path, body, until).await;
        answer.map_err(|_| Trouble::silent(Reason::ClerkUnavailable))
    }
}

/// Whether Clerk says that there is no such user. A 404 in other words is not Clerk's, or about
/// another path.
pub fn is_gone(answer: &Answer) -> bool {
    #[derive(Deserialize)]
    struct Refusal {
        errors: Vec<Error>,
    }
    #[derive(Deserialize)]
    struct Error {
        code: String,
    }
    let says = |refusal: Refusal| {
        refusal.errors.first().is_some_and(|error| error.code == "resource_not_found")
    };
    answer.status == StatusCode::NOT_FOUND && answer.json().is_ok_and(says)
}

/// What an answer other than 2xx says (section 11, errors).
fn classify(answer: &Answer) -> Trouble {
    let reason = match answer.status.as_u16() {
        401 | 403 => Reason::ClerkKeyRefused,
        408 | 429 => return unavailable(answer),
        404 if !is_gone(answer) => return unavailable(answer),
        400..=499 => Reason::ClerkRequestRejected,
        _ => return unavailable(answer),
    };
    Trouble::at(answer.status, reason)
}

fn unavailable(answer: &Answer) -> Trouble {
    let retry_after = answer.retry_after;
    Trouble { retry_after, ..Trouble::at(answer.status, Reason::ClerkUnavailable) }
}

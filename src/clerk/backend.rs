//! Clerk's Backend API: whether a user exists, and the directory entry, which tells an application
//! where the user's database is (`docs/vendors/clerk.md`, "Backend API" and "Writing metadata").

use std::sync::OnceLock;
use std::time::Duration;

use http::{Method, StatusCode};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::{RawValue, Value};
use tokio::time::Instant;

use super::UserId;
use crate::Clock;
use crate::error::{ErrorKind, UpstreamError};
use crate::http_client::HttpClient;
use crate::http_client::json_api::{ApiResponse, JsonApi};
use crate::region::Preferences;

/// The public address.
pub const DEFAULT_URL: &str = "https://api.clerk.com/v1";

/// The API version that this client is written for. Clerk does not document which one applies without
/// the header.
pub const VERSION: (&str, &str) = ("clerk-api-version", "2026-05-12");

/// The time for one request. Clerk answers within seconds, or it is down.
pub const CLERK_TIMEOUT: Duration = Duration::from_secs(5);

/// The settings of the Backend API.
#[derive(Debug)]
pub struct Settings {
    /// Without a slash at its end.
    pub url: String,
    /// The secret key of one instance.
    pub key: SecretString,
}

/// A client of the Backend API, with the key of one instance.
pub struct BackendClient {
    api: JsonApi,
    /// The key's instance, once Clerk has named it.
    instance: OnceLock<String>,
}

/// Where a user's database is. An application's backend reads it in the user's private metadata.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
pub struct DirectoryEntry {
    /// Xata's id; Xata Lite has none.
    pub id: Option<String>,
    /// The database's name.
    pub name: String,
    /// The project that holds it.
    pub project: String,
    /// The region that it is in.
    pub region: String,
}

impl DirectoryEntry {
    /// The body of the request that merges the entry into a user's metadata. A member without a value
    /// stays as it is.
    pub fn merge_body(&self) -> Value {
        let Self { id, name, project, region } = self;
        let mut entry =
            json!({ "name": name, "project": project, "region": region, "status": "created" });
        if let Some(id) = id {
            entry["id"] = id.as_str().into();
        }
        json!({ "private_metadata": { "database": entry } })
    }
}

/// Whether a user exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserStatus {
    /// Clerk knows the user, who has this entry; none where there is none that can be read.
    Exists(Option<DirectoryEntry>),
    /// Clerk has deleted the user. It never uses an id twice.
    Deleted,
}

/// The members of a user that the function reads.
#[derive(Deserialize)]
struct User {
    id: String,
    private_metadata: Option<Value>,
}

#[derive(Deserialize)]
struct Identified {
    id: String,
}

impl BackendClient {
    /// A client with these settings.
    pub fn new(settings: &Settings, client: HttpClient, clock: Clock) -> Self {
        let api = JsonApi::new(&settings.url, &settings.key, client, clock);
        Self { api: api.with_header(VERSION.0, VERSION.1), instance: OnceLock::new() }
    }

    /// Asks for a user of whom an event of this instance tells.
    ///
    /// Returns `Deleted` only after checking that the key belongs to the event's instance: to the key
    /// of another instance, every user is a 404.
    pub async fn user_status(
        &self,
        user_id: &UserId,
        instance: Option<&str>,
        deadline: Instant,
    ) -> Result<UserStatus, UpstreamError> {
        let response = self.send(Method::GET, &format!("/users/{user_id}"), None, deadline).await?;
        self.read_user(&response, user_id, instance, deadline).await
    }

    /// The regions that a user's metadata asks for now; none if Clerk has deleted the user, as
    /// [`user_status`](Self::user_status) knows it.
    pub async fn preferences(
        &self,
        user_id: &UserId,
        instance: Option<&str>,
        deadline: Instant,
    ) -> Result<Option<Preferences>, UpstreamError> {
        let response = self.send(Method::GET, &format!("/users/{user_id}"), None, deadline).await?;
        Ok(match self.read_user(&response, user_id, instance, deadline).await? {
            UserStatus::Exists(_) => {
                let user: &RawValue = response.json().map_err(|_| unavailable(&response))?;
                Some(Preferences::of_user(user.get()))
            }
            UserStatus::Deleted => None,
        })
    }

    /// Merges the entry into a user's private metadata. The other members stay.
    ///
    /// Returns what [`user_status`](Self::user_status) does.
    pub async fn write_entry(
        &self,
        user_id: &UserId,
        instance: Option<&str>,
        entry: &DirectoryEntry,
        deadline: Instant,
    ) -> Result<UserStatus, UpstreamError> {
        let path = format!("/users/{user_id}/metadata");
        let body = entry.merge_body();
        let response = self.send(Method::PATCH, &path, Some(&body), deadline).await?;
        if response.status == StatusCode::UNPROCESSABLE_ENTITY {
            let kind = ErrorKind::ClerkMetadataFull;
            return Err(UpstreamError::with_status(response.status, kind));
        }
        self.read_user(&response, user_id, instance, deadline).await
    }

    /// The user in a response. A proxy's page is none.
    async fn read_user(
        &self,
        response: &ApiResponse,
        user_id: &UserId,
        instance: Option<&str>,
        deadline: Instant,
    ) -> Result<UserStatus, UpstreamError> {
        if response.status.is_success() {
            return match response.json() {
                Ok(User { id, private_metadata }) if id == user_id.as_str() => {
                    let entry = private_metadata
                        .and_then(|it| DirectoryEntry::deserialize(it.get("database")?).ok());
                    Ok(UserStatus::Exists(entry))
                }
                _ => Err(unavailable(response)),
            };
        }
        if !is_user_not_found(response) {
            return Err(classify(response));
        }
        if instance == Some(self.instance(deadline).await?) {
            Ok(UserStatus::Deleted)
        } else {
            Err(UpstreamError::new(ErrorKind::ForeignKey))
        }
    }

    /// The instance of the key. One request per process is enough, because it never changes.
    pub async fn instance(&self, deadline: Instant) -> Result<&str, UpstreamError> {
        if let Some(instance) = self.instance.get() {
            return Ok(instance);
        }
        let response = self.send(Method::GET, "/instance", None, deadline).await?;
        if !response.status.is_success() {
            return Err(classify(&response));
        }
        let Identified { id } = response.json().map_err(|_| unavailable(&response))?;
        Ok(self.instance.get_or_init(|| id))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        deadline: Instant,
    ) -> Result<ApiResponse, UpstreamError> {
        let response = self.api.exchange(method, path, body, deadline).await;
        response.map_err(|_| UpstreamError::new(ErrorKind::ClerkUnavailable))
    }
}

/// Whether Clerk says that there is no such user. A 404 without this code may come from a proxy, or
/// be about another path.
pub fn is_user_not_found(response: &ApiResponse) -> bool {
    #[derive(Deserialize)]
    struct Body {
        errors: Vec<Error>,
    }
    #[derive(Deserialize)]
    struct Error {
        code: String,
    }
    let says_so =
        |body: Body| body.errors.first().is_some_and(|error| error.code == "resource_not_found");
    response.status == StatusCode::NOT_FOUND && response.json().is_ok_and(says_so)
}

/// What a response other than 2xx says (`docs/vendors/clerk.md`, "Backend API errors").
fn classify(response: &ApiResponse) -> UpstreamError {
    let kind = match response.status.as_u16() {
        401 | 403 => ErrorKind::ClerkKeyRefused,
        408 | 429 => return unavailable(response),
        404 if !is_user_not_found(response) => return unavailable(response),
        400..=499 => ErrorKind::ClerkRequestRejected,
        _ => return unavailable(response),
    };
    UpstreamError::with_status(response.status, kind)
}

fn unavailable(response: &ApiResponse) -> UpstreamError {
    let error = UpstreamError::with_status(response.status, ErrorKind::ClerkUnavailable);
    UpstreamError { retry_after: response.retry_after, ..error }
}

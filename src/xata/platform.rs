//! The Xata platform of today: a database is a branch, created by one POST with a name of ours
//! (`docs/vendors/xata.md`).

use std::collections::BTreeMap;
use std::time::Duration;

use http::{Method, StatusCode};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::list_reader::{Branch, ListReader, Progress};
use super::{
    CreateResult, Database, DatabaseId, DatabaseName, LookupResult, OrganizationId, ProjectId,
    Removal, RemoveResult, error_kind, no_response, unreadable,
};
use crate::Clock;
use crate::error::{ErrorKind, UpstreamError};
use crate::http_client::json_api::{ApiResponse, JsonApi};
use crate::http_client::{self, CallError, HttpClient};
use crate::region::Region;

/// The public address.
pub const DEFAULT_URL: &str = "https://api.xata.tech";

/// Room for a list of a quarter of a million branches. The highest known quota is 10,000.
const LIST_LIMIT_BYTES: usize = 64 * 1024 * 1024;

/// Contention clears within seconds; a 429 that asks for longer is a limit.
const MAX_CONTENTION: Duration = Duration::from_secs(5);

/// The settings of the platform.
#[derive(Debug)]
pub struct Settings {
    /// Without a slash at its end.
    pub url: String,
    /// The bearer key.
    pub key: SecretString,
    /// The organization of the projects.
    pub organization: OrganizationId,
    /// What new databases are made from.
    pub source: Source,
    /// Minutes without a connection after which a database sleeps; none keeps it awake, and billed.
    pub scale_to_zero_minutes: Option<u32>,
}

/// What new databases are made from.
#[derive(Debug)]
pub enum Source {
    /// The template of each project and region, a root branch that is cloned.
    Templates(BTreeMap<(ProjectId, Region), DatabaseId>),
    /// Each database is a root branch of its own.
    Root {
        /// Such as `postgresql:17`.
        image: String,
        /// Such as `xata.micro`.
        instance_type: String,
    },
}

/// A client of the platform, with the key of one organization.
pub struct Platform {
    api: JsonApi,
    organization: OrganizationId,
    source: Source,
    scale_to_zero_minutes: Option<u32>,
}

impl Platform {
    /// A client with these settings.
    pub fn new(settings: Settings, client: HttpClient, clock: Clock) -> Self {
        let Settings { url, key, organization, source, scale_to_zero_minutes } = settings;
        let api = JsonApi::new(url, &key, client, clock);
        Self { api, organization, source, scale_to_zero_minutes }
    }

    fn branches(&self, project: &ProjectId) -> String {
        let (organization, project) = (self.organization.as_str(), project.as_str());
        format!("/organizations/{organization}/projects/{project}/branches")
    }

    /// The body of a create; none where there is no template to clone.
    fn create_body(
        &self,
        project: &ProjectId,
        name: &DatabaseName,
        region: &Region,
    ) -> Option<Value> {
        let mut body = match &self.source {
            Source::Templates(templates) => {
                let template = templates.get(&(project.clone(), region.clone()))?;
                json!({ "mode": "inherit", "parentID": template.as_str() })
            }
            Source::Root { image, instance_type } => json!({
                "mode": "custom",
                "configuration": {
                    "region": region.as_str(), "image": image, "instanceType": instance_type, "replicas": 0,
                },
            }),
        };
        body["name"] = name.as_str().into();
        // Always sent, because the meaning of an absent one depends on the project. Xata requires the
        // period even where it is disabled.
        let minutes = self.scale_to_zero_minutes;
        body["scaleToZero"] = json!({ "enabled": minutes.is_some(), "inactivityPeriodMinutes": minutes.unwrap_or(30) });
        Some(body)
    }

    pub(super) async fn create(
        &self,
        project: &ProjectId,
        name: &DatabaseName,
        region: &Region,
        deadline: Instant,
    ) -> CreateResult {
        let Some(body) = self.create_body(project, name, region) else {
            return CreateResult::Refused(UpstreamError::new(ErrorKind::NotFound));
        };
        let path = self.branches(project);
        let response = match self.api.exchange(Method::POST, &path, Some(&body), deadline).await {
            Ok(response) if response.status.is_success() => response,
            Ok(response) => return classify(&response),
            Err(error) => return CreateResult::Unclear(no_response(error)),
        };
        match response.json().and_then(|branch| created(branch, project, name)) {
            Ok(database) => CreateResult::Created(database),
            Err(error) => CreateResult::Unclear(unreadable(response.status, error)),
        }
    }

    pub(super) async fn look_up(
        &self,
        project: &ProjectId,
        name: &DatabaseName,
        deadline: Instant,
    ) -> LookupResult {
        let path = self.branches(project);
        let response = match self.api.send(Method::GET, &path, None, deadline).await {
            Ok(response) => response,
            Err(error) => return LookupResult::Unknown(no_response(error)),
        };
        if response.status() == StatusCode::OK {
            let result = find(response, project, name, deadline).await;
            return result.unwrap_or_else(|kind| {
                LookupResult::Unknown(UpstreamError::with_status(StatusCode::OK, kind))
            });
        }
        let response = self.api.read(response, deadline).await;
        LookupResult::Unknown(classify(&response).into_error(response.status))
    }

    /// Deletes, or renames and hibernates in one change.
    pub(super) async fn remove(
        &self,
        project: &ProjectId,
        id: &DatabaseId,
        removal: &Removal,
        deadline: Instant,
    ) -> RemoveResult {
        let path = format!("{}/{}", self.branches(project), id.as_str());
        let (method, body) = match removal {
            Removal::Delete => (Method::DELETE, None),
            Removal::Park { name } => {
                (Method::PATCH, Some(json!({ "name": name, "hibernate": true })))
            }
        };
        let response = match self.api.exchange(method, &path, body.as_ref(), deadline).await {
            Ok(response) => response,
            Err(error) => return RemoveResult::Unclear(no_response(error)),
        };
        match response.status.as_u16() {
            200..=299 => RemoveResult::Done,
            404 => RemoveResult::Absent,
            _ => match classify(&response) {
                CreateResult::Unclear(error) => RemoveResult::Unclear(error),
                refused => RemoveResult::Refused(refused.into_error(response.status)),
            },
        }
    }
}

/// What a response other than 2xx says about a create (`docs/vendors/xata.md`, "Errors" and
/// "Quotas"). The text only tells a taken name from contention, and one kind from another.
fn classify(response: &ApiResponse) -> CreateResult {
    let (status, retry_after, message) = (response.status, response.retry_after, message(response));
    let error = |kind| UpstreamError { retry_after, ..UpstreamError::with_status(status, kind) };
    let refused = |kind| CreateResult::Refused(error(kind));
    let says = |text: &str| message.contains(text);
    match status.as_u16() {
        409 if retry_after.is_none() && says("already exists") => CreateResult::NameTaken,
        409 | 423 => refused(ErrorKind::Contention),
        429 if retry_after.is_some_and(|wait| wait <= MAX_CONTENTION) => {
            refused(ErrorKind::Contention)
        }
        429 if says("per hour") => refused(ErrorKind::HourlyQuota),
        429 => refused(ErrorKind::RateLimited),
        // May pass: Xata's own check of keys can fail.
        401 => refused(ErrorKind::KeyRefused),
        400 | 403 if says("reached the") || says("too many branches") => {
            refused(ErrorKind::StandingQuota)
        }
        403 if says("is disabled") => refused(ErrorKind::OrganizationDisabled),
        403 => refused(ErrorKind::AccessDenied),
        404 => refused(ErrorKind::NotFound),
        412 => refused(ErrorKind::TemplateUnhealthy),
        408 => CreateResult::Unclear(error(ErrorKind::XataTimeout)),
        400..=499 => refused(ErrorKind::RequestRejected),
        _ => CreateResult::Unclear(error(ErrorKind::XataError)),
    }
}

/// The text of an error. Empty where there is none: a proxy in front of Xata answers in HTML.
fn message(response: &ApiResponse) -> String {
    #[derive(Deserialize)]
    struct Error {
        message: String,
    }
    response.json().map_or_else(|_| String::new(), |error: Error| error.message)
}

/// The database in the response to a create, if it is the one that was asked for.
fn created(
    branch: Branch,
    project: &ProjectId,
    name: &DatabaseName,
) -> Result<Database, CallError> {
    let database = branch.into_database(project).filter(|database| database.name == *name);
    database.ok_or(CallError::Unreadable)
}

/// Reads a list until it names the database.
async fn find(
    mut response: reqwest::Response,
    project: &ProjectId,
    name: &DatabaseName,
    deadline: Instant,
) -> Result<LookupResult, ErrorKind> {
    let mut reader = ListReader::new(name.as_str());
    let mut read_bytes = 0;
    while let Some(chunk) =
        http_client::next_chunk(&mut response, deadline).await.map_err(error_kind)?
    {
        read_bytes += chunk.len();
        if read_bytes > LIST_LIMIT_BYTES {
            return Err(ErrorKind::ListTooLong);
        }
        match reader.read(&chunk) {
            Progress::More => {}
            Progress::Found(branch) => {
                let database = branch.into_database(project);
                return database.map(LookupResult::Found).ok_or(ErrorKind::XataUnreadable);
            }
            Progress::Unreadable => return Err(ErrorKind::XataUnreadable),
        }
    }
    if reader.is_complete() { Ok(LookupResult::Absent) } else { Err(ErrorKind::XataUnreadable) }
}

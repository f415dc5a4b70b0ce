//! The Xata platform of today: a database is a branch, created by one POST with a name of ours
//! (`docs/vendors/xata.md`).

use std::collections::BTreeMap;
use std::time::Duration;

use http::{Method, StatusCode};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};

use super::list_reader::{Branch, ListReader, Progress};
use super::{
    CreateResult, Created, DatabaseId, Failure, LookupResult, OrganizationId, ProjectId, Removal,
    RemoveResult, Removed, Target, no_response, retry_after, unreadable,
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
#[derive(Debug, Clone)]
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
#[derive(Debug, Clone)]
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
    settings: Settings,
}

impl Platform {
    /// A client with these settings.
    pub fn new(settings: &Settings, client: HttpClient, clock: Clock) -> Self {
        let api = JsonApi::new(&settings.url, &settings.key, client, clock);
        Self { api, settings: settings.clone() }
    }

    fn branches(&self, project: &ProjectId) -> String {
        let (organization, project) = (self.settings.organization.as_str(), project.as_str());
        format!("/organizations/{organization}/projects/{project}/branches")
    }

    /// The body of a create; none where there is no template to clone.
    fn create_body(&self, target: Target<'_>, region: &Region) -> Option<Value> {
        let mut body = match &self.settings.source {
            Source::Templates(templates) => {
                let template = templates.get(&(target.project.clone(), region.clone()))?;
                json!({ "mode": "inherit", "parentID": template })
            }
            Source::Root { image, instance_type } => json!({
                "mode": "custom",
                "configuration": {
                    "region": region, "image": image, "instanceType": instance_type, "replicas": 0,
                },
            }),
        };
        body["name"] = target.name.as_str().into();
        // Always sent, because the meaning of an absent one depends on the project. Xata requires the
        // period even where it is disabled.
        let minutes = self.settings.scale_to_zero_minutes;
        body["scaleToZero"] = json!({ "enabled": minutes.is_some(), "inactivityPeriodMinutes": minutes.unwrap_or(30) });
        Some(body)
    }

    pub(super) async fn create(&self, target: Target<'_>, region: &Region) -> CreateResult {
        let Some(body) = self.create_body(target, region) else {
            return Err(Failure::Refused(UpstreamError::new(ErrorKind::NotFound)));
        };
        let path = self.branches(target.project);
        let response = self.api.exchange(Method::POST, &path, Some(&body), target.deadline).await;
        let response = response.map_err(no_response)?;
        if response.status.is_success() {
            let unreadable = unreadable(response.status);
            let branch: Branch = response.json().map_err(&unreadable)?;
            let database = branch.into_database(target.project);
            let database = database.filter(|database| database.name == *target.name);
            return database.map(Created::New).ok_or_else(|| unreadable(CallError::Unreadable));
        }
        if response.status == StatusCode::CONFLICT
            && response.retry_after.is_none()
            && message(&response).contains("already exists")
        {
            return Ok(Created::NameTaken);
        }
        Err(classify(&self.api, &response))
    }

    /// Reads the project's list until it names the database.
    pub(super) async fn look_up(&self, target: Target<'_>) -> LookupResult {
        let path = self.branches(target.project);
        let response = self.api.send(Method::GET, &path, None, target.deadline).await;
        let mut response = response.map_err(no_response)?;
        let status = response.status();
        if status != StatusCode::OK {
            let response = self.api.read(response, target.deadline).await;
            return Err(classify(&self.api, &response).into());
        }
        let error = |kind| UpstreamError::with_status(status, kind);
        let mut reader = ListReader::new(target.name.as_str());
        let mut read_bytes = 0;
        while let Some(chunk) = http_client::next_chunk(&mut response, target.deadline)
            .await
            .map_err(unreadable(status))?
        {
            read_bytes += chunk.len();
            if read_bytes > LIST_LIMIT_BYTES {
                return Err(error(ErrorKind::ListTooLong));
            }
            match reader.read(&chunk) {
                Progress::More => {}
                Progress::Found(branch) => {
                    let database = branch.into_database(target.project);
                    return database.map(Some).ok_or(error(ErrorKind::XataUnreadable));
                }
                Progress::Unreadable => return Err(error(ErrorKind::XataUnreadable)),
            }
        }
        if reader.is_complete() { Ok(None) } else { Err(error(ErrorKind::XataUnreadable)) }
    }

    /// Deletes, or renames and hibernates in one change.
    pub(super) async fn remove(
        &self,
        target: Target<'_>,
        id: &DatabaseId,
        how: &Removal,
    ) -> RemoveResult {
        let path = format!("{}/{}", self.branches(target.project), id.as_str());
        let (method, body) = match how {
            Removal::Delete => (Method::DELETE, None),
            Removal::Park { name } => {
                (Method::PATCH, Some(json!({ "name": name, "hibernate": true })))
            }
        };
        let response = self.api.exchange(method, &path, body.as_ref(), target.deadline).await;
        let response = response.map_err(no_response)?;
        match response.status.as_u16() {
            200..=299 => Ok(Removed::Done),
            404 => Ok(Removed::Absent),
            _ => Err(classify(&self.api, &response)),
        }
    }
}

/// Why a response is no success (`docs/vendors/xata.md`, "Errors" and "Quotas"). The status decides;
/// the text only tells one kind from another.
fn classify(api: &JsonApi, response: &ApiResponse) -> Failure {
    let (status, message) = (response.status, message(response));
    let retry_after = retry_after(api, response);
    let error = |kind| UpstreamError { retry_after, ..UpstreamError::with_status(status, kind) };
    let refused = |kind| Failure::Refused(error(kind));
    let says = |text: &str| message.contains(text);
    match status.as_u16() {
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
        408 => Failure::Unclear(error(ErrorKind::XataTimeout)),
        400..=499 => refused(ErrorKind::RequestRejected),
        _ => Failure::Unclear(error(ErrorKind::XataError)),
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

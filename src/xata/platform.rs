//! The Xata platform of today: a database is a branch, made by one POST that we name
//! (`contracts/xata-platform.md`, whose sections are the § below).

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::{Method, StatusCode};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::listing::{Element, Listing, Progress};
use super::{
    Created, Database, DatabaseId, DatabaseName, Databases, LookedUp, OrganizationId, ProjectId,
    Removal, Removed, reason,
};
use crate::Clock;
use crate::http_client::api::{Answer, Api};
use crate::http_client::{self, CallError, HttpClient};
use crate::region::Region;
use crate::trouble::{Reason, Trouble};

/// The public address of the platform (§1).
pub const DEFAULT_URL: &str = "https://api.xata.tech";

/// Room for a list of a quarter of a million branches. The highest quota we know of is 10,000
/// (§6.7).
const LIST_LIMIT_BYTES: usize = 64 * 1024 * 1024;

/// Contention clears within seconds; a 429 that asks for longer is a limit (§8).
const LONGEST_CONTENTION: Duration = Duration::from_secs(5);

/// What the platform is asked with.
#[derive(Debug)]
pub struct Settings {
    /// Without a slash at its end.
    pub url: String,
    /// The bearer key.
    pub key: SecretString,
    /// Whose projects these are.
    pub organization: OrganizationId,
    /// What new databases are made of.
    pub source: Source,
    /// Minutes of idleness after which a database sleeps; none keeps it awake, and billed.
    pub scale_to_zero_minutes: Option<u32>,
}

/// What new databases are made of (§6.2).
#[derive(Debug)]
pub enum Source {
    /// Clones of the root branch that each project keeps for each region.
    Templates(BTreeMap<(ProjectId, Region), DatabaseId>),
    /// Root branches of their own.
    Root {
        /// Such as `postgresql:17`.
        image: String,
        /// Such as `xata.micro`.
        instance_type: String,
    },
}

/// The platform's API, asked with one organization's key.
pub struct Platform {
    api: Api,
    organization: OrganizationId,
    source: Source,
    scale_to_zero_minutes: Option<u32>,
}

impl Platform {
    /// A client for these settings.
    pub fn new(settings: Settings, client: HttpClient, clock: Clock) -> Self {
        let Settings { url, key, organization, source, scale_to_zero_minutes } = settings;
        let api = Api::new(url, &key, client, clock);
        Self { api, organization, source, scale_to_zero_minutes }
    }

    fn branches(&self, project: &ProjectId) -> String {
        let (organization, project) = (self.organization.as_str(), project.as_str());
        format!("/organizations/{organization}/projects/{project}/branches")
    }

    /// The body of a create; none when there is no template to clone.
    fn creation(&self, project: &ProjectId, name: &DatabaseName, region: &Region) -> Option<Value> {
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
        // Always sent: what an omitted one means depends on the project (§6.2). The period is
        // required even where it does not count (§10).
        let minutes = self.scale_to_zero_minutes;
        body["scaleToZero"] = json!({ "enabled": minutes.is_some(), "inactivityPeriodMinutes": minutes.unwrap_or(30) });
        Some(body)
    }

    async fn create(
        &self,
        project: &ProjectId,
        name: &DatabaseName,
        region: &Region,
        until: Instant,
    ) -> Created {
        let Some(body) = self.creation(project, name, region) else {
            return Created::Refused(Trouble::silent(Reason::NotFound));
        };
        let path = self.branches(project);
        let answer = match self.api.exchange(Method::POST, &path, Some(&body), until).await {
            Ok(answer) => answer,
            Err(error) => return Created::Unclear(Trouble::silent(reason(error))),
        };
        if !answer.status.is_success() {
            return classify(&answer);
        }
        match answer.json().and_then(|branch| made(branch, project, name)) {
            Ok(database) => Created::Made(database),
            Err(error) => Created::Unclear(Trouble::at(answer.status, reason(error))),
        }
    }

    async fn look_up(&self, project: &ProjectId, name: &DatabaseName, until: Instant) -> LookedUp {
        let path = self.branches(project);
        let response = match self.api.send(Method::GET, &path, None, until).await {
            Ok(response) => response,
            Err(error) => return LookedUp::Unknown(Trouble::silent(reason(error))),
        };
        if response.status() == StatusCode::OK {
            return find(response, project, name, until)
                .await
                .unwrap_or_else(|reason| LookedUp::Unknown(Trouble::at(StatusCode::OK, reason)));
        }
        let answer = self.api.read(response, until).await;
        LookedUp::Unknown(classify(&answer).trouble(answer.status))
    }

    /// Deletes, or renames and puts to sleep in one change (§6.4, 6.5).
    async fn remove(
        &self,
        project: &ProjectId,
        id: &DatabaseId,
        removal: &Removal,
        until: Instant,
    ) -> Removed {
        let path = format!("{}/{}", self.branches(project), id.as_str());
        let (method, body) = match removal {
            Removal::Delete => (Method::DELETE, None),
            Removal::Park { name } => {
                (Method::PATCH, Some(json!({ "name": name, "hibernate": true })))
            }
        };
        let answer = match self.api.exchange(method, &path, body.as_ref(), until).await {
            Ok(answer) => answer,
            Err(error) => return Removed::Unclear(Trouble::silent(reason(error))),
        };
        match answer.status.as_u16() {
            200..=299 => Removed::Done,
            404 => Removed::Absent,
            _ => match classify(&answer) {
                Created::Unclear(trouble) => Removed::Unclear(trouble),
                refused => Removed::Refused(refused.trouble(answer.status)),
            },
        }
    }
}

/// What an answer other than 2xx says about a create (§2, 6.2, 6.7, 8). Statuses decide; text only
/// tells a taken name from contention, and one reason from another.
fn classify(answer: &Answer) -> Created {
    let (status, retry_after, message) = (answer.status, answer.retry_after, message(answer));
    let trouble = |reason| Trouble { retry_after, ..Trouble::at(status, reason) };
    let refused = |reason| Created::Refused(trouble(reason));
    let says = |text: &str| message.contains(text);
    match status.as_u16() {
        409 if retry_after.is_none() && says("already exists") => Created::Taken,
        409 | 423 => refused(Reason::Contention),
        429 if retry_after.is_some_and(|wait| wait <= LONGEST_CONTENTION) => {
            refused(Reason::Contention)
        }
        429 if says("per hour") => refused(Reason::HourlyQuota),
        429 => refused(Reason::RateLimited),
        // May be passing: the check of keys can itself fail (§2).
        401 => refused(Reason::KeyRefused),
        400 | 403 if says("reached the") || says("too many branches") => {
            refused(Reason::StandingQuota)
        }
        403 if says("is disabled") => refused(Reason::OrganizationDisabled),
        403 => refused(Reason::AccessDenied),
        404 => refused(Reason::NotFound),
        412 => refused(Reason::TemplateUnhealthy),
        408 => Created::Unclear(trouble(Reason::XataTimeout)),
        400..=499 => refused(Reason::RequestRejected),
        _ => Created::Unclear(trouble(Reason::XataError)),
    }
}

/// The text of an error, or nothing: what stands in front of Xata answers in HTML.
fn message(answer: &Answer) -> String {
    #[derive(Deserialize)]
    struct Error {
        message: String,
    }
    answer.json().map_or_else(|_| String::new(), |error: Error| error.message)
}

/// The database that an answer to a create tells of, if it is the one we asked for.
fn made(branch: Element, project: &ProjectId, name: &DatabaseName) -> Result<Database, CallError> {
    let database = branch.into_database(project).filter(|database| database.name == *name);
    database.ok_or(CallError::Unreadable)
}

/// Reads a list up to the name that is looked for.
async fn find(
    mut response: reqwest::Response,
    project: &ProjectId,
    name: &DatabaseName,
    until: Instant,
) -> Result<LookedUp, Reason> {
    let mut listing = Listing::new(name.as_str());
    let mut read_bytes = 0;
    while let Some(chunk) = http_client::next_chunk(&mut response, until).await.map_err(reason)? {
        read_bytes += chunk.len();
        if read_bytes > LIST_LIMIT_BYTES {
            return Err(Reason::ListTooLong);
        }
        match listing.read(&chunk) {
            Progress::More => {}
            Progress::Found(element) => {
                let database = element.into_database(project);
                return database.map(LookedUp::Found).ok_or(Reason::XataUnreadable);
            }
            Progress::Unreadable => return Err(Reason::XataUnreadable),
        }
    }
    if listing.is_complete() { Ok(LookedUp::Absent) } else { Err(Reason::XataUnreadable) }
}

impl Databases for Platform {
    fn create<'a>(
        &'a self,
        project: &'a ProjectId,
        name: &'a DatabaseName,
        region: &'a Region,
        until: Instant,
    ) -> BoxFuture<'a, Created> {
        Box::pin(self.create(project, name, region, until))
    }

    fn look_up<'a>(
        &'a self,
        project: &'a ProjectId,
        name: &'a DatabaseName,
        until: Instant,
    ) -> BoxFuture<'a, LookedUp> {
        Box::pin(self.look_up(project, name, until))
    }

    fn remove<'a>(
        &'a self,
        project: &'a ProjectId,
        id: &'a DatabaseId,
        removal: &'a Removal,
        until: Instant,
    ) -> BoxFuture<'a, Removed> {
        Box::pin(self.remove(project, id, removal, until))
    }
}

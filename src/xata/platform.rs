//! The Xata platform of today: a database is a branch, made by one POST that we name
//! (`contracts/xata-platform.md`, whose sections are the § below).

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::Full;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::listing::{Element, Listing, Progress};
use super::{
    Created, Database, DatabaseId, DatabaseName, Databases, LookedUp, OrganizationId, ProjectId,
    Reason, Trouble,
};
use crate::Clock;
use crate::http_client::{self, Body, CallError, HttpClient};
use crate::region::Region;

/// The public address of the platform (§1).
pub const DEFAULT_URL: &str = "https://api.xata.tech";

/// An answer to a create, or an error, is a few hundred bytes.
const ANSWER_LIMIT_BYTES: usize = 64 * 1024;

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
    client: HttpClient,
    clock: Clock,
    settings: Settings,
    authorization: HeaderValue,
}

impl Platform {
    /// A client for these settings.
    ///
    /// # Panics
    /// If the key cannot stand in a header, which [`settings`](crate::settings) rules out.
    pub fn new(settings: Settings, client: HttpClient, clock: Clock) -> Self {
        let mut authorization =
            HeaderValue::try_from(format!("Bearer {}", settings.key.expose_secret()))
                .expect("settings take only keys of visible ASCII");
        authorization.set_sensitive(true);
        Self { client, clock, settings, authorization }
    }

    fn request(
        &self,
        method: Method,
        project: &ProjectId,
        body: Option<&Value>,
    ) -> Request<Full<Bytes>> {
        let Settings { url, organization, .. } = &self.settings;
        let (organization, project) = (organization.as_str(), project.as_str());
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{url}/organizations/{organization}/projects/{project}/branches"))
            .header(AUTHORIZATION, &self.authorization)
            .header(ACCEPT, "application/json")
            .header(USER_AGENT, http_client::USER_AGENT);
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        request
            .body(Full::from(body.map(Value::to_string).unwrap_or_default()))
            .expect("the parts are valid: the URL was parsed at start, the ids are path-safe")
    }

    /// The body of a create; none when there is no template to clone.
    fn creation(&self, project: &ProjectId, name: &DatabaseName, region: &Region) -> Option<Value> {
        let mut body = match &self.settings.source {
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
        let minutes = self.settings.scale_to_zero_minutes;
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
        let request = self.request(Method::POST, project, Some(&body));
        let (status, headers, body) = match http_client::send(&self.client, request, until).await {
            Err(error) => return Created::Unclear(Trouble::silent(broken(&error))),
            Ok(answer) => {
                let (parts, body) = answer.into_parts();
                match http_client::read(body, ANSWER_LIMIT_BYTES, until).await {
                    Ok(body) => (parts.status, parts.headers, body),
                    // The status alone tells enough, unless a success cannot say what it made.
                    Err(error) if parts.status.is_success() => {
                        return Created::Unclear(Trouble::at(parts.status, broken(&error)));
                    }
                    Err(_) => (parts.status, parts.headers, Vec::new()),
                }
            }
        };
        if status.is_success() {
            return match made(&body, name) {
                Some(database) => Created::Made(database),
                None => Created::Unclear(Trouble::at(status, Reason::XataUnreadable)),
            };
        }
        classify(status, self.retry_after(&headers), &message(&body))
    }

    async fn look_up(&self, project: &ProjectId, name: &DatabaseName, until: Instant) -> LookedUp {
        let request = self.request(Method::GET, project, None);
        let answer = match http_client::send(&self.client, request, until).await {
            Ok(answer) => answer,
            Err(error) => return LookedUp::Unknown(Trouble::silent(broken(&error))),
        };
        if answer.status() == StatusCode::OK {
            return find(answer.into_body(), name, until)
                .await
                .unwrap_or_else(|reason| LookedUp::Unknown(Trouble::at(StatusCode::OK, reason)));
        }
        LookedUp::Unknown(self.refused_look_up(answer, until).await)
    }

    async fn refused_look_up(&self, answer: Response<Body>, until: Instant) -> Trouble {
        let (parts, body) = answer.into_parts();
        let body = http_client::read(body, ANSWER_LIMIT_BYTES, until).await.unwrap_or_default();
        match classify(parts.status, self.retry_after(&parts.headers), &message(&body)) {
            Created::Refused(trouble) | Created::Unclear(trouble) => trouble,
            Created::Made(_) | Created::Taken => Trouble::at(parts.status, Reason::XataError),
        }
    }

    /// `Retry-After` in seconds or as a date (RFC 9110 section 10.2.3).
    fn retry_after(&self, headers: &HeaderMap) -> Option<Duration> {
        let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        match value.parse() {
            Ok(seconds) => Some(Duration::from_secs(seconds)),
            Err(_) => Some(
                httpdate::parse_http_date(value)
                    .ok()?
                    .duration_since((self.clock)())
                    .unwrap_or_default(),
            ),
        }
    }
}

/// What an answer other than 2xx says about a create (§2, 6.2, 6.7, 8). Statuses decide; text only
/// tells a taken name from contention, and one reason from another.
fn classify(status: StatusCode, retry_after: Option<Duration>, message: &str) -> Created {
    let trouble = |reason| Trouble { reason, retry_after, status: Some(status.as_u16()) };
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

fn broken(error: &CallError) -> Reason {
    match error {
        CallError::TimeUp => Reason::XataTimeout,
        CallError::Broken(_) => Reason::XataUnreachable,
        CallError::TooLong => Reason::XataUnreadable,
    }
}

/// The text of an error, or nothing: the edge answers in HTML.
fn message(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Error {
        message: String,
    }
    serde_json::from_slice::<Error>(body).map_or_else(|_| String::new(), |error| error.message)
}

/// The database that an answer to a create tells of, if it is the one we asked for.
fn made(body: &[u8], name: &DatabaseName) -> Option<Database> {
    let branch: Element = serde_json::from_slice(body).ok()?;
    (branch.name == name.as_str()).then(|| branch.into_database())?
}

/// Reads a list up to the name that is looked for.
async fn find(mut body: Body, name: &DatabaseName, until: Instant) -> Result<LookedUp, Reason> {
    let mut listing = Listing::new(name.as_str());
    let mut read_bytes = 0;
    while let Some(chunk) =
        http_client::next_chunk(&mut body, until).await.map_err(|error| broken(&error))?
    {
        read_bytes += chunk.len();
        if read_bytes > LIST_LIMIT_BYTES {
            return Err(Reason::ListTooLong);
        }
        match listing.read(&chunk) {
            Progress::More => {}
            Progress::Found(element) => {
                return element.into_database().map(LookedUp::Found).ok_or(Reason::XataUnreadable);
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
}

//! Xata Lite, the API of the tutorial that this product replaces (`contracts/xata-lite.md`, whose
//! sections are the § below). The service was retired on 2026-02-28; it is kept for whoever runs
//! something like it, and gets nothing beyond creation.

use std::time::Duration;

use futures_util::future::BoxFuture;
use http::header::HeaderName;
use http::{Method, StatusCode};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use super::{
    Created, Database, DatabaseId, DatabaseName, Databases, LookedUp, ProjectId, Removal, Removed,
    WorkspaceId, reason,
};
use crate::Clock;
use crate::http_client::api::{Answer, Api};
use crate::http_client::{CallError, HttpClient};
use crate::region::Region;
use crate::trouble::{Reason, Trouble};

/// Seconds until the rate limit lets us through again (§4).
const RATE_LIMIT_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// What Xata Lite is asked with.
#[derive(Debug)]
pub struct Settings {
    /// Without a slash at its end.
    pub url: String,
    /// The bearer key.
    pub key: SecretString,
    /// Where the databases are.
    pub workspace: WorkspaceId,
}

/// Xata Lite's control plane, asked with one key.
pub struct Lite {
    api: Api,
    workspace: WorkspaceId,
}

/// The answer to a create (§3.2).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Creation {
    database_name: String,
    #[serde(default)]
    status: Option<String>,
}

/// A database as it is read: under another member than it is created (§3.1).
#[derive(Deserialize)]
struct Metadata {
    name: String,
    region: String,
}

impl Lite {
    /// A client for these settings.
    pub fn new(settings: Settings, client: HttpClient, clock: Clock) -> Self {
        let api = Api::new(settings.url, &settings.key, client, clock);
        Self { api, workspace: settings.workspace }
    }

    fn path(&self, name: &DatabaseName) -> String {
        format!("/workspaces/{}/dbs/{}", self.workspace.as_str(), name.as_str())
    }

    async fn create(
        &self,
        project: &ProjectId,
        name: &DatabaseName,
        region: &Region,
        until: Instant,
    ) -> Created {
        let body = json!({ "region": region.as_str() });
        let answer =
            match self.api.exchange(Method::PUT, &self.path(name), Some(&body), until).await {
                Ok(answer) => answer,
                Err(error) => return Created::Unclear(Trouble::silent(reason(error))),
            };
        if !answer.status.is_success() {
            return self.classify(&answer);
        }
        match answer.json::<Creation>() {
            // A failure that calls itself a success; whether it left something is for a look-up to
            // say.
            Ok(creation) if creation.status.as_deref() == Some("failed") => {
                Created::Unclear(Trouble::at(answer.status, Reason::XataError))
            }
            Ok(creation) if creation.database_name == name.as_str() => {
                let (name, region) = (name.clone(), region.clone());
                Created::Made(Database { project: project.clone(), name, region, id: None })
            }
            Ok(_) => Created::Unclear(Trouble::at(answer.status, Reason::XataUnreadable)),
            Err(error) => Created::Unclear(Trouble::at(answer.status, reason(error))),
        }
    }

    async fn look_up(&self, project: &ProjectId, name: &DatabaseName, until: Instant) -> LookedUp {
        let answer = match self.api.exchange(Method::GET, &self.path(name), None, until).await {
            Ok(answer) => answer,
            Err(error) => return LookedUp::Unknown(Trouble::silent(reason(error))),
        };
        match answer.status.as_u16() {
            200 => match answer.json().and_then(|metadata| found(&metadata, project, name)) {
                Ok(database) => LookedUp::Found(database),
                Err(error) => LookedUp::Unknown(Trouble::at(answer.status, reason(error))),
            },
            404 => LookedUp::Absent,
            _ => LookedUp::Unknown(self.classify(&answer).trouble(answer.status)),
        }
    }

    fn classify(&self, answer: &Answer) -> Created {
        let reset = self.api.wait(&answer.headers, &RATE_LIMIT_RESET);
        classify(answer.status, reset.or(answer.retry_after))
    }
}

/// What an answer other than 2xx says about a create (§3.2, §4). How a name that is taken is
/// answered was never documented: 409, 422 and 423 are all looked up.
fn classify(status: StatusCode, retry_after: Option<Duration>) -> Created {
    let trouble = |reason| Trouble { retry_after, ..Trouble::at(status, reason) };
    let refused = |reason| Created::Refused(trouble(reason));
    match status.as_u16() {
        401 => refused(Reason::KeyRefused),
        403 => refused(Reason::AccessDenied),
        404 => refused(Reason::NotFound),
        409 | 423 => refused(Reason::Locked),
        408 => Created::Unclear(trouble(Reason::XataTimeout)),
        429 => refused(Reason::RateLimited),
        400..=499 => refused(Reason::RequestRejected),
        _ => Created::Unclear(trouble(Reason::XataError)),
    }
}

fn found(
    metadata: &Metadata,
    project: &ProjectId,
    name: &DatabaseName,
) -> Result<Database, CallError> {
    match metadata.region.as_str().try_into() {
        Ok(region) if metadata.name == name.as_str() => {
            Ok(Database { project: project.clone(), name: name.clone(), region, id: None })
        }
        _ => Err(CallError::Unreadable),
    }
}

/// A workspace is the only project there is.
impl Databases for Lite {
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

    /// Never asked for: the settings refuse it, since Xata Lite gets nothing beyond creation.
    fn remove<'a>(
        &'a self,
        _: &'a ProjectId,
        _: &'a DatabaseId,
        _: &'a Removal,
        _: Instant,
    ) -> BoxFuture<'a, Removed> {
        Box::pin(async { Removed::Refused(Trouble::silent(Reason::RequestRejected)) })
    }
}

//! Xata Lite, the API of the tutorial that this product replaces (`docs/vendors/xata.md`, "Xata
//! Lite"). The service was retired on 2026-02-28. It is kept for compatible servers and gets nothing
//! beyond creation.

use std::time::Duration;

use http::header::HeaderName;
use http::{Method, StatusCode};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use super::{
    CreateResult, Database, DatabaseName, LookupResult, ProjectId, WorkspaceId, no_response,
    unreadable,
};
use crate::Clock;
use crate::error::{ErrorKind, UpstreamError};
use crate::http_client::json_api::{ApiResponse, JsonApi};
use crate::http_client::{CallError, HttpClient};
use crate::region::Region;

/// Seconds until the rate limit admits the next request.
const RATE_LIMIT_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// The settings of Xata Lite.
#[derive(Debug)]
pub struct Settings {
    /// Without a slash at its end.
    pub url: String,
    /// The bearer key.
    pub key: SecretString,
    /// The workspace that holds the databases.
    pub workspace: WorkspaceId,
}

/// A client of Xata Lite's control plane.
pub struct Lite {
    api: JsonApi,
    workspace: WorkspaceId,
}

/// The response to a create.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CreatedDatabase {
    database_name: String,
    #[serde(default)]
    status: Option<String>,
}

/// The response to a look-up. Its members differ from those of a create.
#[derive(Deserialize)]
struct ExistingDatabase {
    name: String,
    region: String,
}

impl Lite {
    /// A client with these settings.
    pub fn new(settings: Settings, client: HttpClient, clock: Clock) -> Self {
        let api = JsonApi::new(settings.url, &settings.key, client, clock);
        Self { api, workspace: settings.workspace }
    }

    fn path(&self, name: &DatabaseName) -> String {
        format!("/workspaces/{}/dbs/{}", self.workspace.as_str(), name.as_str())
    }

    pub(super) async fn create(
        &self,
        project: &ProjectId,
        name: &DatabaseName,
        region: &Region,
        deadline: Instant,
    ) -> CreateResult {
        let (path, body) = (self.path(name), json!({ "region": region.as_str() }));
        let response = match self.api.exchange(Method::PUT, &path, Some(&body), deadline).await {
            Ok(response) if response.status.is_success() => response,
            Ok(response) => return self.classify(&response),
            Err(error) => return CreateResult::Unclear(no_response(error)),
        };
        let status = response.status;
        match response.json::<CreatedDatabase>() {
            // A failure in a 200. Only a look-up can tell whether a database is left.
            Ok(created) if created.status.as_deref() == Some("failed") => {
                CreateResult::Unclear(UpstreamError::with_status(status, ErrorKind::XataError))
            }
            Ok(created) if created.database_name == name.as_str() => {
                let (name, region) = (name.clone(), region.clone());
                CreateResult::Created(Database { project: project.clone(), name, region, id: None })
            }
            Ok(_) => CreateResult::Unclear(unreadable(status, CallError::Unreadable)),
            Err(error) => CreateResult::Unclear(unreadable(status, error)),
        }
    }

    pub(super) async fn look_up(
        &self,
        project: &ProjectId,
        name: &DatabaseName,
        deadline: Instant,
    ) -> LookupResult {
        let response = match self.api.exchange(Method::GET, &self.path(name), None, deadline).await
        {
            Ok(response) => response,
            Err(error) => return LookupResult::Unknown(no_response(error)),
        };
        match response.status.as_u16() {
            200 => match response.json().and_then(|found| existing(&found, project, name)) {
                Ok(database) => LookupResult::Found(database),
                Err(error) => LookupResult::Unknown(unreadable(response.status, error)),
            },
            404 => LookupResult::Absent,
            _ => LookupResult::Unknown(self.classify(&response).into_error(response.status)),
        }
    }

    fn classify(&self, response: &ApiResponse) -> CreateResult {
        let reset = self.api.wait(&response.headers, &RATE_LIMIT_RESET);
        classify(response.status, reset.or(response.retry_after))
    }
}

/// What a response other than 2xx says about a create. How Xata Lite refuses a name that is taken was
/// never documented, so 409, 422 and 423 are all looked up.
fn classify(status: StatusCode, retry_after: Option<Duration>) -> CreateResult {
    let error = |kind| UpstreamError { retry_after, ..UpstreamError::with_status(status, kind) };
    let refused = |kind| CreateResult::Refused(error(kind));
    match status.as_u16() {
        401 => refused(ErrorKind::KeyRefused),
        403 => refused(ErrorKind::AccessDenied),
        404 => refused(ErrorKind::NotFound),
        409 | 423 => refused(ErrorKind::Locked),
        408 => CreateResult::Unclear(error(ErrorKind::XataTimeout)),
        429 => refused(ErrorKind::RateLimited),
        400..=499 => refused(ErrorKind::RequestRejected),
        _ => CreateResult::Unclear(error(ErrorKind::XataError)),
    }
}

fn existing(
    found: &ExistingDatabase,
    project: &ProjectId,
    name: &DatabaseName,
) -> Result<Database, CallError> {
    match found.region.as_str().try_into() {
        Ok(region) if found.name == name.as_str() => {
            Ok(Database { project: project.clone(), name: name.clone(), region, id: None })
        }
        _ => Err(CallError::Unreadable),
    }
}

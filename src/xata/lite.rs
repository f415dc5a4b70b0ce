//! Xata Lite, the API of the tutorial that this product replaces (`docs/vendors/xata.md`, "Xata
//! Lite"). The service was retired on 2026-02-28. It is kept for compatible servers and gets nothing
//! beyond creation.

use http::{Method, StatusCode};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;

use super::{
    CreateResult, Created, Database, DatabaseName, Failure, LookupResult, Target, WorkspaceId,
    no_response, retry_after, unreadable,
};
use crate::Clock;
use crate::error::{ErrorKind, UpstreamError};
use crate::http_client::json_api::{ApiResponse, JsonApi};
use crate::http_client::{CallError, HttpClient};
use crate::region::Region;

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
    pub fn new(settings: &Settings, client: HttpClient, clock: Clock) -> Self {
        let api = JsonApi::new(&settings.url, &settings.key, client, clock);
        Self { api, workspace: settings.workspace.clone() }
    }

    fn path(&self, name: &DatabaseName) -> String {
        format!("/workspaces/{}/dbs/{}", self.workspace.as_str(), name.as_str())
    }

    pub(super) async fn create(&self, target: Target<'_>, region: &Region) -> CreateResult {
        let (path, body) = (self.path(target.name), json!({ "region": region.as_str() }));
        let response = self.api.exchange(Method::PUT, &path, Some(&body), target.deadline).await;
        let response = response.map_err(no_response)?;
        if !response.status.is_success() {
            return Err(self.classify(&response));
        }
        let unreadable = unreadable(response.status);
        let created: CreatedDatabase = response.json().map_err(&unreadable)?;
        if created.status.as_deref() == Some("failed") {
            // A failure in a 200. Only a look-up can tell whether a database is left.
            let error = UpstreamError::with_status(response.status, ErrorKind::XataError);
            return Err(Failure::Unclear(error));
        }
        if created.database_name != target.name.as_str() {
            return Err(unreadable(CallError::Unreadable));
        }
        Ok(Created::New(database(target, region.clone())))
    }

    pub(super) async fn look_up(&self, target: Target<'_>) -> LookupResult {
        let path = self.path(target.name);
        let response = self.api.exchange(Method::GET, &path, None, target.deadline).await;
        let response = response.map_err(no_response)?;
        if response.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        if response.status != StatusCode::OK {
            return Err(self.classify(&response).into());
        }
        let unreadable = unreadable(response.status);
        let found: ExistingDatabase = response.json().map_err(&unreadable)?;
        match found.region.as_str().try_into() {
            Ok(region) if found.name == target.name.as_str() => Ok(Some(database(target, region))),
            _ => Err(unreadable(CallError::Unreadable).into()),
        }
    }

    /// What a response other than 2xx says about a create. How Xata Lite refuses a name that is taken
    /// was never documented, so 409, 422 and 423 are all looked up.
    fn classify(&self, response: &ApiResponse) -> Failure {
        let status = response.status;
        let retry_after = retry_after(&self.api, response);
        let error =
            |kind| UpstreamError { retry_after, ..UpstreamError::with_status(status, kind) };
        let refused = |kind| Failure::Refused(error(kind));
        match status.as_u16() {
            401 => refused(ErrorKind::KeyRefused),
            403 => refused(ErrorKind::AccessDenied),
            404 => refused(ErrorKind::NotFound),
            409 | 423 => refused(ErrorKind::Locked),
            408 => Failure::Unclear(error(ErrorKind::XataTimeout)),
            429 => refused(ErrorKind::RateLimited),
            400..=499 => refused(ErrorKind::RequestRejected),
            _ => Failure::Unclear(error(ErrorKind::XataError)),
        }
    }
}

fn database(target: Target<'_>, region: Region) -> Database {
    Database { project: target.project.clone(), name: target.name.clone(), region, id: None }
}

//! Request bodies, and the checks that need nothing but the body.

use std::collections::BTreeMap;

use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::error;
use super::options::ScaleToZero;
use super::rows::{ProjectConfiguration, ProjectScaleToZero};
use crate::service::{ErrorResponse, is_json};

const LONGEST_DESCRIPTION: usize = 50;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ProjectBody {
    pub(super) name: Option<String>,
    pub(super) configuration: Option<PartialConfiguration>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PartialConfiguration {
    scale_to_zero: Option<ProjectScaleToZero>,
    ip_filtering: Option<serde_json::Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CreateBranchBody {
    pub(super) name: Option<String>,
    pub(super) description: Option<String>,
    pub(super) scale_to_zero: Option<ScaleToZero>,
    pub(super) mode: Option<String>,
    #[serde(rename = "parentID")]
    pub(super) parent: Option<String>,
    pub(super) configuration: Option<ClusterBody>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ClusterBody {
    pub(super) region: Option<String>,
    pub(super) image: Option<String>,
    pub(super) instance_type: Option<String>,
    pub(super) replicas: Option<i64>,
    pub(super) storage: Option<i64>,
    pub(super) postgres_configuration_parameters: Option<BTreeMap<String, String>>,
    pub(super) preload_libraries: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PatchBranchBody {
    pub(super) name: Option<String>,
    pub(super) description: Option<String>,
    pub(super) scale_to_zero: Option<ScaleToZero>,
    pub(super) hibernate: Option<bool>,
    /// Its region is ignored: a branch stays where it is.
    #[serde(flatten)]
    pub(super) cluster: ClusterBody,
}

#[derive(Debug, Deserialize)]
pub(super) struct RotateBody {
    pub(super) username: Option<String>,
}

/// A JSON body. The content type may be missing, but not another one.
pub(super) struct Body<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = ErrorResponse;

    async fn from_request(request: Request, state: &S) -> Result<Self, ErrorResponse> {
        if is_json(request.headers()) == Some(false) {
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Err(ErrorResponse::new(status, "Unsupported Media Type"));
        }
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|rejection| ErrorResponse::new(rejection.status(), rejection.body_text()))?;
        let bytes: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        serde_json::from_slice(bytes)
            .map(Self)
            .map_err(|error| ErrorResponse::bad_request(format!("invalid request body: {error}")))
    }
}

impl PartialConfiguration {
    /// Lays the given parts over the stored ones.
    pub(super) fn over(
        self,
        stored: ProjectConfiguration,
    ) -> Result<ProjectConfiguration, ErrorResponse> {
        let scale_to_zero = match self.scale_to_zero {
            None => stored.scale_to_zero,
            Some(given) => ProjectScaleToZero {
                base_branches: scale_to_zero(given.base_branches)?,
                child_branches: scale_to_zero(given.child_branches)?,
            },
        };
        Ok(ProjectConfiguration {
            scale_to_zero,
            ip_filtering: self.ip_filtering.or(stored.ip_filtering),
        })
    }
}

pub(super) fn scale_to_zero(given: ScaleToZero) -> Result<ScaleToZero, ErrorResponse> {
    given.normalized().ok_or_else(|| {
        let what = "inactivityPeriodMinutes must be between 1 and 1440";
        error::invalid_parameter("scaleToZero", what)
    })
}

pub(super) fn branch_name(name: Option<String>) -> Result<String, ErrorResponse> {
    name.filter(|name| !name.is_empty())
        .ok_or_else(|| error::invalid_parameter("name", "branch name is required"))
}

pub(super) fn project_name(name: Option<String>) -> Result<String, ErrorResponse> {
    name.filter(|name| !name.is_empty())
        .ok_or_else(|| ErrorResponse::bad_request("invalid project name []"))
}

/// The narrow rule of \[Jun\]: what it accepts, the later rules accept too.
pub(super) fn description(text: &str) -> Result<(), ErrorResponse> {
    if text.chars().count() > LONGEST_DESCRIPTION {
        let message = format!("max length is {LONGEST_DESCRIPTION}");
        return Err(ErrorResponse::bad_request(message));
    }
    let may_follow = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b' ';
    let is_valid = text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric)
        && text.bytes().all(may_follow);
    if !is_valid {
        return Err(ErrorResponse::bad_request(format!("invalid branch description [{text}]")));
    }
    Ok(())
}

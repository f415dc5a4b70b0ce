//! Request bodies and the checks that need nothing but the body (sections 1, 3, 5 and 6.2).

use std::collections::BTreeMap;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::options::ScaleToZero;
use super::refusal::Refusal;
use super::rows::{ProjectConfiguration, ProjectScaleToZero};

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
    #[serde(default)]
    pub(super) postgres_configuration_parameters: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) preload_libraries: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PatchBranchBody {
    pub(super) name: Option<String>,
    pub(super) description: Option<String>,
    pub(super) scale_to_zero: Option<ScaleToZero>,
    pub(super) hibernate: Option<bool>,
    pub(super) image: Option<String>,
    pub(super) instance_type: Option<String>,
    pub(super) replicas: Option<i64>,
    pub(super) storage: Option<i64>,
    pub(super) postgres_configuration_parameters: Option<BTreeMap<String, String>>,
    pub(super) preload_libraries: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct RotateBody {
    pub(super) username: Option<String>,
}

/// Reads a body. `wrong_type` is the status for another content type than JSON:
/// 415, but creating a branch wraps it in a 400 (section 2).
pub(super) fn body<T: DeserializeOwned>(
    headers: &HeaderMap,
    bytes: &[u8],
    wrong_type: StatusCode,
) -> Result<T, Refusal> {
    let is_json = headers.get(CONTENT_TYPE).is_none_or(|value| {
        let essence = value.as_bytes().split(|byte| *byte == b';').next();
        essence
            .is_some_and(|essence| essence.trim_ascii().eq_ignore_ascii_case(b"application/json"))
    });
    if !is_json {
        return Err(Refusal::new(wrong_type, "Unsupported Media Type"));
    }
    let bytes = if bytes.is_empty() { b"{}" } else { bytes };
    serde_json::from_slice(bytes)
        .map_err(|error| Refusal::bad_request(format!("invalid request body: {error}")))
}

impl PartialConfiguration {
    /// Lays the given parts over the stored ones.
    pub(super) fn over(
        self,
        stored: ProjectConfiguration,
    ) -> Result<ProjectConfiguration, Refusal> {
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

pub(super) fn scale_to_zero(given: ScaleToZero) -> Result<ScaleToZero, Refusal> {
    given.normalized().ok_or_else(|| {
        let what = "inactivityPeriodMinutes must be between 1 and 1440";
        Refusal::invalid_parameter("scaleToZero", what)
    })
}

pub(super) fn branch_name(name: Option<String>) -> Result<String, Refusal> {
    name.filter(|name| !name.is_empty())
        .ok_or_else(|| Refusal::invalid_parameter("name", "branch name is required"))
}

pub(super) fn project_name(name: Option<String>) -> Result<String, Refusal> {
    name.filter(|name| !name.is_empty())
        .ok_or_else(|| Refusal::bad_request("invalid project name []"))
}

/// The narrow rule of \[Jun\]: what passes here passes later too (section 3).
pub(super) fn description(text: &str) -> Result<(), Refusal> {
    if text.chars().count() > LONGEST_DESCRIPTION {
        let message = format!("max length is {LONGEST_DESCRIPTION}");
        return Err(Refusal::bad_request(message));
    }
    let may_follow = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b' ';
    let is_valid = text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric)
        && text.bytes().all(may_follow);
    if !is_valid {
        return Err(Refusal::bad_request(format!("invalid branch description [{text}]")));
    }
    Ok(())
}

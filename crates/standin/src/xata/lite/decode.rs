//! Request bodies, and the checks that need nothing but the request (sections 1 to 3).

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::refusal::Refusal;

const LONGEST_NAME: usize = 255;

/// `metadata` is not read: it belongs to the branch, and no call of the control plane shows it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CreateBody {
    pub(super) region: Option<String>,
    pub(super) branch_name: Option<String>,
    pub(super) postgres_enabled: Option<bool>,
    #[serde(rename = "defaultClusterID")]
    pub(super) default_cluster: Option<String>,
    #[serde(default)]
    pub(super) ui: Ui,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct UpdateBody {
    #[serde(default)]
    pub(super) ui: Ui,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Ui {
    pub(super) color: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RenameBody {
    pub(super) new_name: Option<String>,
}

/// Reads a body. One without its `Content-Type` is refused, the only header that is known to be required
/// beside `Authorization` (section 1); with 400, as 415 is declared nowhere.
pub(super) fn body<T: DeserializeOwned>(headers: &HeaderMap, bytes: &[u8]) -> Result<T, Refusal> {
    let is_json = headers.get(CONTENT_TYPE).is_some_and(|value| {
        let essence = value.as_bytes().split(|byte| *byte == b';').next();
        essence
            .is_some_and(|essence| essence.trim_ascii().eq_ignore_ascii_case(b"application/json"))
    });
    if !is_json {
        return Err(Refusal::bad_request("the Content-Type of a body must be application/json"));
    }
    serde_json::from_slice(bytes)
        .map_err(|error| Refusal::bad_request(format!("invalid request body: {error}")))
}

/// The name of a database or a branch (section 2).
pub(super) fn name(kind: &str, name: String) -> Result<String, Refusal> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-~".contains(&byte);
    if (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(allowed) {
        return Ok(name);
    }
    Err(Refusal::bad_request(format!("invalid {kind} name [{name}]")))
}

/// A member that must be there and must not be empty.
pub(super) fn required(member: &str, given: Option<String>) -> Result<String, Refusal> {
    given
        .filter(|text| !text.is_empty())
        .ok_or_else(|| Refusal::bad_request(format!("{member} is required")))
}

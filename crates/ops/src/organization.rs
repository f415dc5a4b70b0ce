//! An organization of Xata's platform, seen with one key (`docs/vendors/xata.md`, "Regions, instance
//! types and images" to "Readiness").

use http::{Method, StatusCode};
use per_user_db::http_client::json_api::ApiResponse;
use per_user_db::provision::parse_parked_name;
use per_user_db::region::Region;
use per_user_db::xata::{DatabaseId, OrganizationId, ProjectId, platform};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::service::{ApiError, Service, ServiceInfo};

/// An organization, and the client of its API.
pub(crate) struct Organization {
    pub(crate) service: Service,
    pub(crate) id: OrganizationId,
}

/// A project that the key sees.
pub(crate) struct Project {
    pub(crate) id: ProjectId,
    pub(crate) name: String,
}

/// A branch in its project's list. The texts are Xata's, and unchecked.
#[derive(Deserialize)]
pub(crate) struct ListedBranch {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) region: String,
    #[serde(rename = "parentID")]
    pub(crate) parent: Option<String>,
    #[serde(rename = "createdAt")]
    pub(crate) created_at: Option<String>,
}

#[derive(Deserialize)]
struct BranchList {
    branches: Vec<ListedBranch>,
}

/// A branch as Xata describes it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BranchDescription {
    pub(crate) name: String,
    pub(crate) region: String,
    #[serde(rename = "parentID")]
    pub(crate) parent: Option<String>,
    status: Status,
    scale_to_zero: Option<ScaleToZero>,
    connection_string: Option<String>,
}

#[derive(Deserialize)]
struct Status {
    #[serde(rename = "statusType")]
    state: Option<BranchState>,
}

#[derive(Deserialize)]
struct ScaleToZero {
    enabled: bool,
}

/// The state of a branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all(serialize = "snake_case"))]
pub(crate) enum BranchState {
    #[serde(rename(deserialize = "STATUS_TYPE_HEALTHY"))]
    Healthy,
    #[serde(rename(deserialize = "STATUS_TYPE_TRANSIENT"))]
    Transient,
    #[serde(rename(deserialize = "STATUS_TYPE_FAULT"))]
    Fault,
    #[serde(rename(deserialize = "STATUS_TYPE_HIBERNATED"))]
    Hibernated,
    /// Xata gives no state, or one that its documents do not have.
    #[serde(other)]
    Unspecified,
}

/// The images and instance types of root branches in a region.
pub(crate) struct Offer {
    images: Vec<Image>,
    instance_types: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Image {
    name: String,
    major_version: Option<String>,
}

impl Organization {
    pub(crate) fn new(settings: &platform::Settings) -> Self {
        let service = Service::new(ServiceInfo::XATA, settings.url.clone(), &settings.key);
        Self { service, id: settings.organization.clone() }
    }

    /// A path below the organization.
    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/organizations/{}{rest}", self.id.as_str())
    }

    /// The path of a project's branches. The id must be safe in a path, as every [`ProjectId`] is.
    pub(crate) fn branches_path(&self, project: &str) -> String {
        self.path(&format!("/projects/{project}/branches"))
    }

    /// Reads a document about the organization.
    pub(crate) async fn get<T: DeserializeOwned>(&self, rest: &str) -> Result<T, ApiError> {
        self.service.get(&self.path(rest)).await
    }

    /// The ids of the regions.
    pub(crate) async fn regions(&self) -> Result<Vec<String>, ApiError> {
        region_ids(&self.service, &self.path("/regions")).await
    }

    pub(crate) async fn offer(&self, region: &Region) -> Result<Offer, ApiError> {
        #[derive(Deserialize)]
        struct Images {
            images: Vec<Image>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Types {
            instance_types: Vec<Named>,
        }
        #[derive(Deserialize)]
        struct Named {
            name: String,
        }
        let Images { images } = self.get(&format!("/images?region={region}")).await?;
        let types: Types = self.get(&format!("/instanceTypes?region={region}")).await?;
        let instance_types = types.instance_types.into_iter().map(|it| it.name).collect();
        Ok(Offer { images, instance_types })
    }

    /// The projects that the key sees.
    pub(crate) async fn projects(&self) -> Result<Vec<Project>, ApiError> {
        #[derive(Deserialize)]
        struct List {
            projects: Vec<Listed>,
        }
        #[derive(Deserialize)]
        struct Listed {
            id: String,
            name: String,
        }
        let List { projects } = self.get("/projects").await?;
        let checked = projects.into_iter().map(|Listed { id, name }| {
            let id = ProjectId::try_from(id.as_str()).map_err(|_| self.service.unreadable())?;
            Ok(Project { id, name })
        });
        checked.collect()
    }

    /// All branches of a project.
    pub(crate) async fn branches(
        &self,
        project: &ProjectId,
    ) -> Result<Vec<ListedBranch>, ApiError> {
        let list: BranchList = self.service.get(&self.branches_path(project.as_str())).await?;
        Ok(list.branches)
    }

    /// The same, for a command about many users, which waits where Xata does not answer for a while.
    pub(crate) async fn branches_patiently(
        &self,
        project: &ProjectId,
    ) -> Result<Vec<ListedBranch>, ApiError> {
        let path = self.branches_path(project.as_str());
        let list: BranchList = self.service.get_patiently(&path).await?;
        Ok(list.branches)
    }

    /// The description of a branch. Both ids must be safe in a path.
    pub(crate) async fn describe(
        &self,
        project: &str,
        branch: &str,
    ) -> Result<BranchDescription, ApiError> {
        self.service.get(&format!("{}/{branch}", self.branches_path(project))).await
    }

    /// Changes members of a branch. Both ids must be safe in a path.
    pub(crate) async fn patch_branch(
        &self,
        project: &str,
        branch: &str,
        change: &Value,
    ) -> Result<(), ApiError> {
        self.send_to_branch(Method::PATCH, project, branch, Some(change)).await
    }

    /// Deletes a branch for good. Both ids must be safe in a path.
    pub(crate) async fn delete_branch(&self, project: &str, branch: &str) -> Result<(), ApiError> {
        self.send_to_branch(Method::DELETE, project, branch, None).await
    }

    async fn send_to_branch(
        &self,
        method: Method,
        project: &str,
        branch: &str,
        body: Option<&Value>,
    ) -> Result<(), ApiError> {
        let path = format!("{}/{branch}", self.branches_path(project));
        let ApiResponse { status, .. } = self.service.exchange(method, &path, body).await?;
        if status.is_success() { Ok(()) } else { Err(self.service.rejected(status)) }
    }
}

/// The organizations that the key sees; none where Xata does not let the key ask.
pub(crate) async fn organizations(service: &Service) -> Result<Vec<OrganizationId>, ApiError> {
    #[derive(Deserialize)]
    struct List {
        organizations: Vec<Listed>,
    }
    #[derive(Deserialize)]
    struct Listed {
        id: String,
    }
    let list: List = match service.get("/organizations").await {
        Ok(list) => list,
        Err(error) if error.is_refusal() && error.status() != Some(StatusCode::UNAUTHORIZED) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(error),
    };
    let ids = list.organizations.iter().map(|it| OrganizationId::try_from(it.id.as_str()));
    ids.collect::<Result<_, _>>().map_err(|_| service.unreadable())
}

/// The ids of the regions at this path. Xata Lite's list has the same form.
pub(crate) async fn region_ids(service: &Service, path: &str) -> Result<Vec<String>, ApiError> {
    #[derive(Deserialize)]
    struct List {
        regions: Vec<Region>,
    }
    #[derive(Deserialize)]
    struct Region {
        id: String,
    }
    let List { regions } = service.get(path).await?;
    Ok(regions.into_iter().map(|region| region.id).collect())
}

impl ListedBranch {
    /// Whether the name is that of a parked database.
    pub(crate) fn is_parked(&self) -> bool {
        parse_parked_name(&self.name).is_some()
    }

    /// Whether the id is safe in a path.
    pub(crate) fn has_safe_id(&self) -> bool {
        DatabaseId::try_from(self.id.as_str()).is_ok()
    }
}

impl BranchDescription {
    pub(crate) fn state(&self) -> BranchState {
        self.status.state.unwrap_or(BranchState::Unspecified)
    }

    /// Whether the branch hibernates when it is idle.
    pub(crate) fn may_hibernate(&self) -> bool {
        self.scale_to_zero.as_ref().is_some_and(|it| it.enabled)
    }

    /// The host and the port, in older versions of Xata.
    pub(crate) fn address(&self) -> Option<(String, Option<u16>)> {
        let uri: http::Uri = self.connection_string.as_ref()?.parse().ok()?;
        Some((uri.host()?.to_owned(), uri.port_u16()))
    }
}

impl BranchState {
    /// In plain words.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Healthy => "awake",
            Self::Transient => "not ready: it is being created, copied or woken",
            Self::Fault => "at fault",
            Self::Hibernated => "asleep, or only just created",
            Self::Unspecified => "unknown to this tool",
        }
    }
}

impl Offer {
    /// The images to choose from, where this one is not offered. The alias of a major version is
    /// accepted without being listed.
    pub(crate) fn images_without(&self, image: &str) -> Option<Vec<&str>> {
        let major = image.strip_prefix("postgresql:");
        let is_it = |offered: &Image| {
            offered.name == image || major.is_some() && major == offered.major_version.as_deref()
        };
        let names = || self.images.iter().map(|image| image.name.as_str()).collect();
        (!self.images.iter().any(is_it)).then(names)
    }

    /// The instance types to choose from, where this one is not offered.
    pub(crate) fn instance_types_without(&self, instance_type: &str) -> Option<Vec<&str>> {
        let names: Vec<_> = self.instance_types.iter().map(String::as_str).collect();
        (!names.contains(&instance_type)).then_some(names)
    }
}

//! An organization of Xata's platform, seen with one key (`contracts/xata-platform.md` sections 4, 6
//! and 7). Nothing is changed here.

use per_user_db::http_client::CallError;
use per_user_db::region::Region;
use per_user_db::xata::{OrganizationId, ProjectId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::service::{Obstacle, Service};

/// An organization, and the service that it is at.
pub(crate) struct Organization {
    pub(crate) service: Service,
    pub(crate) id: OrganizationId,
}

/// A project that the key sees.
pub(crate) struct Project {
    pub(crate) id: ProjectId,
    pub(crate) name: String,
}

/// A branch as its project's list has it (section 6.1). Its texts are Xata's.
#[derive(Deserialize)]
pub(crate) struct Listed {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) region: String,
    #[serde(rename = "parentID")]
    pub(crate) parent: Option<String>,
    #[serde(rename = "createdAt")]
    pub(crate) created_at: Option<String>,
}

/// A branch as it describes itself (section 6.3).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Described {
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
    kind: Option<String>,
}

#[derive(Deserialize)]
struct ScaleToZero {
    enabled: bool,
}

/// How a branch is (section 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    Healthy,
    Transient,
    Fault,
    Hibernated,
    /// A state that the contract does not know, or says nothing.
    Unspecified,
}

/// What root branches can be made of in a region.
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

#[derive(Deserialize)]
struct Regions {
    regions: Vec<Identified>,
}

#[derive(Deserialize)]
struct Identified {
    id: String,
}

impl Organization {
    /// A path below the organization.
    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/organizations/{}{rest}", self.id.as_str())
    }

    /// The branches of a project, by its id.
    pub(crate) fn branches_path(&self, project: &str) -> String {
        self.path(&format!("/projects/{project}/branches"))
    }

    /// Asks for a document about the organization.
    pub(crate) async fn get<T: DeserializeOwned>(&self, rest: &str) -> Result<T, Obstacle> {
        self.service.get(&self.path(rest)).await
    }

    /// An answer that cannot be read.
    pub(crate) fn unreadable(&self) -> Obstacle {
        self.service.silent(CallError::Unreadable)
    }

    /// The ids of the regions.
    pub(crate) async fn regions(&self) -> Result<Vec<String>, Obstacle> {
        regions(&self.service, &self.path("/regions")).await
    }

    pub(crate) async fn offer(&self, region: &Region) -> Result<Offer, Obstacle> {
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
    pub(crate) async fn projects(&self) -> Result<Vec<Project>, Obstacle> {
        #[derive(Deserialize)]
        struct List {
            projects: Vec<Named>,
        }
        #[derive(Deserialize)]
        struct Named {
            id: String,
            name: String,
        }
        let List { projects } = self.get("/projects").await?;
        let checked = projects.into_iter().map(|Named { id, name }| {
            let id = ProjectId::try_from(id.as_str()).map_err(|_| self.unreadable())?;
            Ok(Project { id, name })
        });
        checked.collect()
    }

    /// All branches of a project.
    pub(crate) async fn branches(&self, project: &ProjectId) -> Result<Vec<Listed>, Obstacle> {
        #[derive(Deserialize)]
        struct List {
            branches: Vec<Listed>,
        }
        let List { branches } = self.service.get(&self.branches_path(project.as_str())).await?;
        Ok(branches)
    }

    /// How a branch is now; by ids that are safe in a path.
    pub(crate) async fn describe(&self, project: &str, id: &str) -> Result<Described, Obstacle> {
        self.service.get(&format!("{}/{id}", self.branches_path(project))).await
    }
}

/// The ids of the regions that a service lists at this path: Xata Lite's list has the same form.
pub(crate) async fn regions(service: &Service, path: &str) -> Result<Vec<String>, Obstacle> {
    let Regions { regions } = service.get(path).await?;
    Ok(regions.into_iter().map(|region| region.id).collect())
}

impl Described {
    pub(crate) fn state(&self) -> State {
        match self.status.kind.as_deref() {
            Some("STATUS_TYPE_HEALTHY") => State::Healthy,
            Some("STATUS_TYPE_TRANSIENT") => State::Transient,
            Some("STATUS_TYPE_FAULT") => State::Fault,
            Some("STATUS_TYPE_HIBERNATED") => State::Hibernated,
            _ => State::Unspecified,
        }
    }

    /// Whether it goes to sleep when idle.
    pub(crate) fn may_sleep(&self) -> bool {
        self.scale_to_zero.as_ref().is_some_and(|it| it.enabled)
    }

    /// The host that it is reached at, in older versions of Xata.
    pub(crate) fn host(&self) -> Option<String> {
        let uri: http::Uri = self.connection_string.as_ref()?.parse().ok()?;
        Some(uri.authority()?.host().to_owned())
    }
}

impl State {
    /// In plain words.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Healthy => "awake",
            Self::Transient => "not ready: it is being made, copied or woken",
            Self::Fault => "at fault",
            Self::Hibernated => "asleep, or only just made",
            Self::Unspecified => "not told",
        }
    }
}

impl Offer {
    /// The images, if this one is not among them. The alias of a major version is taken without being
    /// listed (section 4).
    pub(crate) fn images_but_for(&self, wanted: &str) -> Option<Vec<&str>> {
        let major = wanted.strip_prefix("postgresql:");
        let is_it = |image: &Image| {
            image.name == wanted || major.is_some() && major == image.major_version.as_deref()
        };
        let names = || self.images.iter().map(|image| image.name.as_str()).collect();
        (!self.images.iter().any(is_it)).then(names)
    }

    /// The instance types, if this one is not among them.
    pub(crate) fn instance_types_but_for(&self, wanted: &str) -> Option<Vec<&str>> {
        let names: Vec<_> = self.instance_types.iter().map(String::as_str).collect();
        (!names.contains(&wanted)).then_some(names)
    }
}

//! What there is at Xata: the organization, its regions and projects, and a project's templates
//! (`contracts/xata-platform.md` sections 4 to 7).

use http::{Method, StatusCode};
use per_user_db::http_client::{CallError, HttpClient};
use per_user_db::region::Region;
use per_user_db::settings::Xata;
use per_user_db::xata::{DatabaseId, Databases, OrganizationId, ProjectId};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::settings::Settings;
use super::sql::Gateway;
use crate::service::{Problem, Service};

/// Room for a list of a quarter of a million branches.
const LIST_LIMIT_BYTES: usize = 64 * 1024 * 1024;

/// An organization, seen with a key.
pub(super) struct Cloud {
    pub(super) service: Service,
    client: HttpClient,
    pub(super) organization: OrganizationId,
    /// Makes root branches that stay awake.
    pub(super) databases: Box<dyn Databases>,
    pub(super) image: String,
    pub(super) instance_type: String,
}

/// A branch that has a template's name.
pub(super) struct Listed {
    pub(super) id: DatabaseId,
    pub(super) region: String,
    pub(super) parent: Option<String>,
}

/// How a branch is.
pub(super) struct Described {
    pub(super) is_healthy: bool,
    pub(super) is_hibernated: bool,
    pub(super) may_sleep: bool,
    pub(super) words: &'static str,
    /// Of the host that it is reached at, in older versions of Xata.
    host: Option<String>,
}

impl Cloud {
    /// Finds the organization, unless the settings name it.
    pub(super) async fn open(settings: Settings) -> Result<Self, Problem> {
        let Settings { service, client, clock, mut xata, image, instance_type, .. } = settings;
        let organization = match settings.organization {
            Some(organization) => organization,
            None => only_organization(&service).await?,
        };
        xata.organization = organization.clone();
        let databases = Xata::Platform(xata).databases(client.clone(), clock);
        Ok(Self { service, client, organization, databases, image, instance_type })
    }

    /// The ids of the regions.
    pub(super) async fn regions(&self) -> Result<Vec<String>, Problem> {
        #[derive(Deserialize)]
        struct Regions {
            regions: Vec<Region>,
        }
        #[derive(Deserialize)]
        struct Region {
            id: String,
        }
        let Regions { regions } = self.service.get(&self.path("/regions")).await?;
        Ok(regions.into_iter().map(|region| region.id).collect())
    }

    /// Checks that a template can be made of the image and the instance type in a region.
    pub(super) async fn check_offer(&self, region: &Region) -> Result<(), Problem> {
        #[derive(Deserialize)]
        struct Images {
            images: Vec<Image>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Image {
            name: String,
            major_version: String,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Types {
            instance_types: Vec<Type>,
        }
        #[derive(Deserialize)]
        struct Type {
            name: String,
        }
        let ask = |what| self.path(&format!("/{what}?region={}", region.as_str()));
        let Images { images } = self.service.get(&ask("images")).await?;
        let is_it = |image: &Image| {
            let alias = format!("postgresql:{}", image.major_version);
            [&image.name, &alias].contains(&&self.image)
        };
        if !images.iter().any(is_it) {
            let names = images.iter().map(|image| image.name.as_str());
            return Err(not_offered("image", &self.image, region, names, "--image or XATA_IMAGE"));
        }
        let Types { instance_types } = self.service.get(&ask("instanceTypes")).await?;
        if !instance_types.iter().any(|it| it.name == self.instance_type) {
            let names = instance_types.iter().map(|it| it.name.as_str());
            let options = "--instance-type or XATA_INSTANCE_TYPE";
            return Err(not_offered("instance type", &self.instance_type, region, names, options));
        }
        Ok(())
    }

    /// The project of this name.
    pub(super) async fn project(&self, name: &str) -> Result<Option<ProjectId>, Problem> {
        #[derive(Deserialize)]
        struct Projects {
            projects: Vec<Project>,
        }
        #[derive(Deserialize)]
        struct Project {
            id: String,
            name: String,
        }
        let Projects { projects } = self.list(&self.path("/projects")).await?;
        let found = projects.into_iter().find(|project| project.name == name);
        found.map(|project| self.id(&project.id)).transpose()
    }

    /// The branch of this name.
    pub(super) async fn branch(
        &self,
        project: &ProjectId,
        name: &str,
    ) -> Result<Option<Listed>, Problem> {
        #[derive(Deserialize)]
        struct Branches {
            branches: Vec<Branch>,
        }
        #[derive(Deserialize)]
        struct Branch {
            id: String,
            name: String,
            region: String,
            #[serde(rename = "parentID")]
            parent: Option<String>,
        }
        let Branches { branches } = self.list(&self.branches(project)).await?;
        let found = branches.into_iter().find(|branch| branch.name == name);
        let listed = |Branch { id, region, parent, .. }: Branch| {
            Ok(Listed { id: self.id(&id)?, region, parent })
        };
        found.map(listed).transpose()
    }

    /// How a branch is, now.
    pub(super) async fn describe(
        &self,
        project: &ProjectId,
        id: &DatabaseId,
    ) -> Result<Described, Problem> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Branch {
            status: Status,
            connection_string: Option<String>,
            scale_to_zero: Option<ScaleToZero>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Status {
            status_type: Option<String>,
        }
        #[derive(Deserialize)]
        struct ScaleToZero {
            enabled: bool,
        }
        let path = format!("{}/{}", self.branches(project), id.as_str());
        let branch: Branch = self.service.get(&path).await?;
        let kind = branch.status.status_type.unwrap_or_default();
        let host = branch
            .connection_string
            .and_then(|text| Some(text.parse::<http::Uri>().ok()?.authority()?.host().to_owned()));
        Ok(Described {
            is_healthy: kind == "STATUS_TYPE_HEALTHY",
            is_hibernated: kind == "STATUS_TYPE_HIBERNATED",
            may_sleep: branch.scale_to_zero.is_some_and(|it| it.enabled),
            words: match kind.as_str() {
                "STATUS_TYPE_HEALTHY" => "healthy",
                "STATUS_TYPE_TRANSIENT" => "being made or woken",
                "STATUS_TYPE_HIBERNATED" => "asleep, or only just made",
                "STATUS_TYPE_FAULT" => "at fault",
                _ => "in a state that is not told",
            },
            host,
        })
    }

    /// The way to ask a branch; none until it has its password.
    pub(super) async fn gateway(
        &self,
        project: &ProjectId,
        id: &DatabaseId,
        described: &Described,
    ) -> Result<Option<Gateway>, Problem> {
        #[derive(Deserialize)]
        struct Credentials {
            password: String,
            hostname: Option<String>,
            dbname: Option<String>,
        }
        let path = format!("{}/{}/credentials?username=xata", self.branches(project), id.as_str());
        let answer = self.service.exchange(Method::GET, &path, None).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        if !answer.status.is_success() {
            return Err(self.service.refusal(answer.status));
        }
        let unreadable = || self.service.silence(CallError::Unreadable);
        let Credentials { password, hostname, dbname } = answer.json().map_err(|_| unreadable())?;
        let host = hostname.as_deref().or(described.host.as_deref()).ok_or_else(unreadable)?;
        let database = dbname.as_deref().unwrap_or("xata");
        let (client, url) = (self.client.clone(), &self.service.url);
        Gateway::new(client, url, host, database, &password).map(Some).ok_or_else(unreadable)
    }

    pub(super) fn path(&self, rest: &str) -> String {
        format!("/organizations/{}{rest}", self.organization.as_str())
    }

    pub(super) fn branches(&self, project: &ProjectId) -> String {
        self.path(&format!("/projects/{}/branches", project.as_str()))
    }

    async fn list<T: DeserializeOwned>(&self, path: &str) -> Result<T, Problem> {
        let list = self.service.get_long(path, LIST_LIMIT_BYTES).await?;
        serde_json::from_slice(&list).map_err(|_| self.service.silence(CallError::Unreadable))
    }

    /// An id that is safe in a path.
    fn id<'a, T: TryFrom<&'a str>>(&self, text: &'a str) -> Result<T, Problem> {
        T::try_from(text).map_err(|_| self.service.silence(CallError::Unreadable))
    }
}

/// The organization, if the key sees one only.
async fn only_organization(service: &Service) -> Result<OrganizationId, Problem> {
    let name = "XATA_ORGANIZATION_ID";
    let answer = service.exchange(Method::GET, "/organizations", None).await?;
    if answer.status == StatusCode::UNAUTHORIZED {
        return Err(service.refusal(answer.status));
    }
    let list = answer.json::<Value>().ok().filter(|_| answer.status.is_success());
    let list = list.as_ref().and_then(|list| list["organizations"].as_array());
    let ids = list.map(|list| list.iter().filter_map(|it| it["id"].as_str()).collect::<Vec<_>>());
    let found = match ids.as_deref() {
        Some([only]) => OrganizationId::try_from(*only).ok(),
        Some(ids) if ids.len() > 1 => {
            let ids = ids.join(", ");
            let ids = ids.replace(|it: char| !it.is_ascii_graphic() && it != ' ', "?");
            return Err(Problem(format!("{name} is missing, and this key sees several: {ids}")));
        }
        _ => None,
    };
    found.ok_or_else(|| {
        Problem(format!("{name} is missing, and Xata does not tell this key which it is: set it"))
    })
}

fn not_offered<'a>(
    what: &str,
    name: &str,
    region: &Region,
    offered: impl Iterator<Item = &'a str>,
    options: &str,
) -> Problem {
    let offered: Vec<_> = offered.collect();
    let (region, offered) = (region.as_str(), offered.join(", "));
    Problem(format!(
        "Xata has no {what} {name} in {region}: choose another with {options}, of {offered}"
    ))
}

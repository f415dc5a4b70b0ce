//! What there is at Xata: the organization, its regions and projects, and a project's templates
//! (`contracts/xata-platform.md` sections 4 to 7).

use http::{Method, StatusCode};
use per_user_db::http_client::HttpClient;
use per_user_db::region::Region;
use per_user_db::settings::Xata;
use per_user_db::xata::{DatabaseId, Databases, OrganizationId, ProjectId};
use serde::Deserialize;
use serde_json::Value;

use super::settings::Settings;
use super::sql::Gateway;
use crate::organization::{self, Described, Organization};
use crate::service::{Obstacle, Problem, Service};

/// An organization, seen with a key.
pub(super) struct Cloud {
    pub(super) organization: Organization,
    client: HttpClient,
    /// Makes root branches that stay awake.
    pub(super) databases: Databases,
    pub(super) image: String,
    pub(super) instance_type: String,
}

/// A branch that has a template's name.
pub(super) struct Listed {
    pub(super) id: DatabaseId,
    pub(super) region: String,
    pub(super) parent: Option<String>,
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
        let organization = Organization { service, id: organization };
        Ok(Self { organization, client, databases, image, instance_type })
    }

    /// Checks that a template can be made of the image and the instance type in a region.
    pub(super) async fn check_offer(&self, region: &Region) -> Result<(), Problem> {
        let offer = self.organization.offer(region).await?;
        let lacks = |what, name: &str, offered: Vec<&str>, options| {
            let (region, offered) = (region.as_str(), offered.join(", "));
            Err(Problem(format!(
                "Xata has no {what} {name} in {region}: choose another with {options}, of {offered}"
            )))
        };
        if let Some(images) = offer.images_but_for(&self.image) {
            return lacks("image", &self.image, images, "--image or XATA_IMAGE");
        }
        if let Some(types) = offer.instance_types_but_for(&self.instance_type) {
            let options = "--instance-type or XATA_INSTANCE_TYPE";
            return lacks("instance type", &self.instance_type, types, options);
        }
        Ok(())
    }

    /// The project of this name.
    pub(super) async fn project(&self, name: &str) -> Result<Option<ProjectId>, Obstacle> {
        let projects = self.organization.projects().await?;
        Ok(projects.into_iter().find(|project| project.name == name).map(|project| project.id))
    }

    /// The branch of this name.
    pub(super) async fn branch(
        &self,
        project: &ProjectId,
        name: &str,
    ) -> Result<Option<Listed>, Obstacle> {
        let branches = self.organization.branches(project).await?;
        let found = branches.into_iter().find(|branch| branch.name == name);
        let listed = |organization::Listed { id, region, parent, .. }| {
            let id = DatabaseId::try_from(id.as_str());
            let id = id.map_err(|_| self.organization.unreadable())?;
            Ok(Listed { id, region, parent })
        };
        found.map(listed).transpose()
    }

    /// How a branch is, now.
    pub(super) async fn describe(
        &self,
        project: &ProjectId,
        id: &DatabaseId,
    ) -> Result<Described, Obstacle> {
        self.organization.describe(project.as_str(), id.as_str()).await
    }

    /// The way to ask a branch; none until it has its password.
    pub(super) async fn gateway(
        &self,
        project: &ProjectId,
        id: &DatabaseId,
        described: &Described,
    ) -> Result<Option<Gateway>, Obstacle> {
        #[derive(Deserialize)]
        struct Credentials {
            password: String,
            hostname: Option<String>,
            dbname: Option<String>,
        }
        let Organization { service, .. } = &self.organization;
        let branches = self.organization.branches_path(project.as_str());
        let path = format!("{branches}/{}/credentials?username=xata", id.as_str());
        let answer = service.exchange(Method::GET, &path, None).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        if !answer.status.is_success() {
            return Err(service.refused(answer.status));
        }
        let unreadable = || self.organization.unreadable();
        let Credentials { password, hostname, dbname } = answer.json().map_err(|_| unreadable())?;
        let host = hostname.or_else(|| described.host()).ok_or_else(unreadable)?;
        let database = dbname.as_deref().unwrap_or("xata");
        let (client, url) = (self.client.clone(), &service.url);
        Gateway::new(client, url, &host, database, &password).map(Some).ok_or_else(unreadable)
    }
}

/// The organization, if the key sees one only.
async fn only_organization(service: &Service) -> Result<OrganizationId, Problem> {
    let name = "XATA_ORGANIZATION_ID";
    let answer = service.exchange(Method::GET, "/organizations", None).await?;
    if answer.status == StatusCode::UNAUTHORIZED {
        return Err(service.refused(answer.status).into());
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

//! A client of Xata's platform for projects and templates. Every change can be repeated: a name is
//! taken only once, and a change of a branch says what the branch should be.

use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use http::{Method, StatusCode};
use per_user_db::error::{ErrorKind, UpstreamError};
use per_user_db::http_client::json_api::ApiResponse;
use per_user_db::provision::{Progress, Provisioner, TimeBudget};
use per_user_db::region::Region;
use per_user_db::settings::Xata;
use per_user_db::xata::{DatabaseName, Databases, OrganizationId, ProjectId, Projects};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::settings::Settings;
use crate::failure::{Failure, upstream_words};
use crate::migrations::{Database, Directory};
use crate::organization::{
    BranchDescription, BranchState, ListedBranch, Organization, organizations,
};
use crate::service::{ApiError, Service, clock};

/// Three creates fit, each of which Xata's edge ends after 60 s.
const CREATE_TIMEOUT: Duration = Duration::from_mins(4);

const MAX_ATTEMPTS: usize = 4;
pub(super) const PAUSE: Duration = Duration::from_secs(1);

/// An organization, seen with a key.
pub(super) struct Client {
    pub(super) organization: Organization,
    /// Creates root branches that stay awake.
    databases: Databases,
    pub(super) image: String,
    pub(super) instance_type: String,
}

/// What a template has of the schema, once it is healthy and has its credentials.
#[derive(Default)]
pub(super) struct ReadyTemplate {
    /// How many files are applied; none without a schema.
    pub(super) n_applied: Option<usize>,
    /// Roles that can log in, besides the default one.
    pub(super) extra_roles: Vec<String>,
}

impl ReadyTemplate {
    pub(super) async fn read(database: &mut Database, schema: &Directory) -> Result<Self, Failure> {
        let n_applied = Some(database.n_applied(schema).await?);
        Ok(Self { n_applied, extra_roles: database.extra_roles().await? })
    }
}

/// Repeats an attempt whose error may pass.
pub(super) async fn retry<T, E>(
    mut attempt: impl AsyncFnMut() -> Result<T, E>,
    may_pass: impl Fn(&E) -> bool,
) -> Result<T, E> {
    for _ in 1..MAX_ATTEMPTS {
        match attempt().await {
            Err(error) if may_pass(&error) => sleep(PAUSE).await,
            result => return result,
        }
    }
    attempt().await
}

impl Client {
    /// Finds the organization, unless the settings name it.
    pub(super) async fn new(settings: Settings) -> Result<Self> {
        let Settings { service, mut xata, image, instance_type, organization, .. } = settings;
        let id = match organization {
            Some(id) => id,
            None => only_organization(&service).await?,
        };
        xata.organization = id.clone();
        let databases = Xata::Platform(xata).databases(service.http_client.clone(), clock());
        Ok(Self { organization: Organization { service, id }, databases, image, instance_type })
    }

    /// Checks that Xata offers the regions.
    pub(super) async fn check_regions(&self, regions: &[Region]) -> Result<()> {
        let known = self.organization.regions().await?;
        match regions.iter().find(|region| !known.iter().any(|id| id == region.as_str())) {
            None => Ok(()),
            Some(region) => bail!(
                "Xata has no region {region} for this organization: choose with --region, or correct \
                 DEFAULT_REGION, REGION_BY_CONTINENT, REGION_BY_COUNTRY and ALLOWED_REGIONS; it has {}",
                known.join(", ")
            ),
        }
    }

    /// Checks that Xata offers the image and the instance type in a region.
    pub(super) async fn check_offer(&self, region: &Region) -> Result<()> {
        let offer = self.organization.offer(region).await?;
        let missing = |what, name: &str, offered: Vec<&str>, options| {
            let offered = offered.join(", ");
            anyhow!(
                "Xata has no {what} {name} in {region}: choose another with {options}, of {offered}"
            )
        };
        if let Some(images) = offer.images_without(&self.image) {
            return Err(missing("image", &self.image, images, "--image or XATA_IMAGE"));
        }
        if let Some(types) = offer.instance_types_without(&self.instance_type) {
            let options = "--instance-type or XATA_INSTANCE_TYPE";
            return Err(missing("instance type", &self.instance_type, types, options));
        }
        Ok(())
    }

    /// Creates a project, which costs nothing; or finds it, where it was created meanwhile.
    pub(super) async fn create_project(&self, name: &str) -> Result<ProjectId, ApiError> {
        let Organization { service, .. } = &self.organization;
        let (path, body) = (self.organization.path("/projects"), json!({ "name": name }));
        let attempt = async || {
            let error = match service.exchange(Method::POST, &path, Some(&body)).await {
                Ok(response) => project_error(service, &response),
                Err(error) => error,
            };
            // The response of a successful create may be lost, and a refusal at quota may hide a
            // project that exists.
            let projects = self.organization.projects().await?;
            let project = projects.into_iter().find(|project| project.name == name);
            project.map(|project| project.id).ok_or(error)
        };
        let may_pass = |error: &ApiError| {
            !error.is_refusal() && error.status() != Some(StatusCode::TOO_MANY_REQUESTS)
        };
        retry(attempt, may_pass).await
    }

    /// Creates a root branch that stays awake, by the decisions with which the function creates a
    /// user's database; or finds it, where it was created meanwhile.
    pub(super) async fn create_template(
        &self,
        project: &ProjectId,
        name: &str,
        region: &Region,
    ) -> Result<ListedBranch> {
        let provisioner = Provisioner {
            databases: &self.databases,
            projects: &Projects::from(project.clone()),
            name: DatabaseName::try_from(name)?,
            user: None,
            budget: TimeBudget::new(CREATE_TIMEOUT),
            progress: &mut Progress::default(),
        };
        provisioner.ensure(region, true).await.map_err(|error| self.create_error(&error))?;
        let branches = self.organization.branches(project).await?;
        self.find_branch(branches, name)?
            .ok_or_else(|| anyhow!("Xata created {name}, and does not list it yet"))
    }

    /// The branch of this name.
    pub(super) fn find_branch(
        &self,
        branches: impl IntoIterator<Item = ListedBranch>,
        name: &str,
    ) -> Result<Option<ListedBranch>, ApiError> {
        match branches.into_iter().find(|branch| branch.name == name) {
            Some(branch) if !branch.has_safe_id() => Err(self.organization.service.unreadable()),
            found => Ok(found),
        }
    }

    pub(super) async fn change_branch(
        &self,
        project: &ProjectId,
        branch: &ListedBranch,
        change: &Value,
    ) -> Result<(), ApiError> {
        let attempt =
            async || self.organization.patch_branch(project.as_str(), &branch.id, change).await;
        retry(attempt, |error| error.is_transient() || error.status().is_none()).await
    }

    /// Describes a template and, once it is ready, reads what it has of the schema.
    pub(super) async fn read_template(
        &self,
        project: &ProjectId,
        branch: &ListedBranch,
        schema: Option<&Directory>,
    ) -> Result<(BranchDescription, Option<ReadyTemplate>)> {
        let (project, branch) = (project.as_str(), branch.id.as_str());
        let described = self.organization.describe(project, branch).await?;
        if described.state() != BranchState::Healthy {
            return Ok((described, None));
        }
        let Some(credentials) = self.organization.credentials(project, branch).await? else {
            return Ok((described, None));
        };
        let ready = match schema {
            None => ReadyTemplate::default(),
            Some(schema) => {
                let mut database = Database::new(credentials.connect().await?);
                let ready = ReadyTemplate::read(&mut database, schema).await;
                database.close().await;
                ready?
            }
        };
        Ok((described, Some(ready)))
    }

    /// Why Xata does not create a template, and what to do about it.
    fn create_error(&self, error: &UpstreamError) -> anyhow::Error {
        if error.kind != ErrorKind::RequestRejected {
            return anyhow!(upstream_words(error));
        }
        let status = error.status.map(|status| format!(" ({status})")).unwrap_or_default();
        let (image, instance_type) = (&self.image, &self.instance_type);
        anyhow!(
            "Xata does not accept the template{status}: check the image {image} and the instance type \
             {instance_type}"
        )
    }
}

/// Why a project was not created by this request.
fn project_error(service: &Service, response: &ApiResponse) -> ApiError {
    #[derive(Deserialize)]
    struct Body {
        message: String,
    }
    if response.status.is_success() {
        return service.unreadable(); // but the list may have the project
    }
    let message = response.json().map_or_else(|_| String::new(), |it: Body| it.message);
    let says = |text: &str| message.contains(text);
    let error = service.rejected(response.status);
    let (what, mend) = match response.status.as_u16() {
        403 if says("reached the") => (
            "the quota of projects is reached (403)",
            "ask Xata for more, or delete projects that are not needed",
        ),
        403 if says("is disabled") => ("the organization is disabled (403)", "see Xata's billing"),
        403 => (
            "Xata does not let this key create projects (403)",
            "it needs project:write, unrestricted in projects; or create the project in Xata, and \
             run this again",
        ),
        429 if says("per hour") => {
            ("the quota of new projects an hour is reached (429)", "wait until the hour is over")
        }
        _ => return error,
    };
    error.reworded(what, mend)
}

/// The organization, where the key sees only one.
async fn only_organization(service: &Service) -> Result<OrganizationId> {
    let mut ids = organizations(service).await?;
    match (ids.pop(), &ids[..]) {
        (Some(only), []) => Ok(only),
        (Some(last), others) => {
            let ids = others.iter().chain([&last]).map(OrganizationId::as_str).collect::<Vec<_>>();
            let ids = ids.join(", ");
            bail!("XATA_ORGANIZATION_ID is missing, and this key sees several: {ids}");
        }
        (None, _) => {
            bail!("XATA_ORGANIZATION_ID is missing, and Xata does not say which it is: set it")
        }
    }
}

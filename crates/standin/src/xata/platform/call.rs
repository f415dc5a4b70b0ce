//! The calls of the API, and where each is routed.

use http::Method;

use crate::fault;

/// A call of the API, to aim a [`fault::Fault`] at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the contract's sections 4 to 6 and 9")]
pub enum Call {
    Any,
    ListRegions,
    ListInstanceTypes,
    ListImages,
    GetOrganizationLimits,
    GetDefaultLimits,
    GetProjectLimits,
    ListProjects,
    CreateProject,
    GetProject,
    PatchProject,
    DeleteProject,
    ListBranches,
    CreateBranch,
    DescribeBranch,
    PatchBranch,
    DeleteBranch,
    GetCredentials,
    RotateCredentials,
    ListOrganizations,
    RunSql,
}

impl fault::Call for Call {
    const ANY: Self = Self::Any;
}

/// Of the authentication API, on the same address (`openapi/xata-auth.yaml`).
pub(super) const ORGANIZATIONS: &str = "/organizations";
pub(super) const REGIONS: &str = "/organizations/{organization}/regions";
pub(super) const INSTANCE_TYPES: &str = "/organizations/{organization}/instanceTypes";
pub(super) const IMAGES: &str = "/organizations/{organization}/images";
pub(super) const ORGANIZATION_LIMITS: &str = "/organizations/{organization}/limits";
pub(super) const PROJECTS: &str = "/organizations/{organization}/projects";
/// A literal segment: no project has this id.
pub(super) const DEFAULT_LIMITS: &str = "/organizations/{organization}/projects/limits";
pub(super) const PROJECT: &str = "/organizations/{organization}/projects/{project}";
pub(super) const PROJECT_LIMITS: &str = "/organizations/{organization}/projects/{project}/limits";
pub(super) const BRANCHES: &str = "/organizations/{organization}/projects/{project}/branches";
pub(super) const BRANCH: &str =
    "/organizations/{organization}/projects/{project}/branches/{branch}";
pub(super) const CREDENTIALS: &str =
    "/organizations/{organization}/projects/{project}/branches/{branch}/credentials";
pub(super) const ROTATE: &str =
    "/organizations/{organization}/projects/{project}/branches/{branch}/credentials/rotate";
/// On the hostname of a branch.
pub(super) const SQL: &str = "/sql";

pub(super) const CALLS: [(Method, &str, Call); 20] = [
    (Method::GET, REGIONS, Call::ListRegions),
    (Method::GET, INSTANCE_TYPES, Call::ListInstanceTypes),
    (Method::GET, IMAGES, Call::ListImages),
    (Method::GET, ORGANIZATION_LIMITS, Call::GetOrganizationLimits),
    (Method::GET, DEFAULT_LIMITS, Call::GetDefaultLimits),
    (Method::GET, PROJECT_LIMITS, Call::GetProjectLimits),
    (Method::GET, PROJECTS, Call::ListProjects),
    (Method::POST, PROJECTS, Call::CreateProject),
    (Method::GET, PROJECT, Call::GetProject),
    (Method::PATCH, PROJECT, Call::PatchProject),
    (Method::DELETE, PROJECT, Call::DeleteProject),
    (Method::GET, BRANCHES, Call::ListBranches),
    (Method::POST, BRANCHES, Call::CreateBranch),
    (Method::GET, BRANCH, Call::DescribeBranch),
    (Method::PATCH, BRANCH, Call::PatchBranch),
    (Method::DELETE, BRANCH, Call::DeleteBranch),
    (Method::GET, CREDENTIALS, Call::GetCredentials),
    (Method::POST, ROTATE, Call::RotateCredentials),
    (Method::GET, ORGANIZATIONS, Call::ListOrganizations),
    (Method::POST, SQL, Call::RunSql),
];

//! The routes, and what every request is checked for.

use std::collections::HashMap;

use http::request::Parts;
use http::{HeaderMap, HeaderName, StatusCode};
use serde_json::{Value, json};

use super::options::Options;
use super::state::Organization;
use super::{Call, branches, create, discovery, projects};
use crate::clock::Clock;
use crate::id;
use crate::service::{Api, DELETE, ErrorResponse, GET, PATCH, POST, Route, bearer_token, route};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const LONGEST_REQUEST_ID: usize = 100;
/// How many seconds a client should wait while creation is switched off.
const SWITCHED_OFF_FOR: u64 = 30;

impl Api for Organization {
    type Call = Call;
    type Options = Options;

    const PREFIXES: &'static [&'static str] = &["/organizations"];
    const IGNORES_TRAILING_SLASH: bool = true;
    const REQUEST_ID: Option<HeaderName> = Some(REQUEST_ID);

    fn options(&mut self) -> &mut Options {
        &mut self.options
    }

    fn clock(&self) -> Clock {
        self.options.clock
    }

    fn routes() -> Vec<Route<Self>> {
        let organization = "/organizations/{organization}";
        let projects = &format!("{organization}/projects");
        let project = &format!("{projects}/{{project}}");
        let branches = &format!("{project}/branches");
        let branch = &format!("{branches}/{{branch}}");
        let credentials = &format!("{branch}/credentials");
        let rotate = &format!("{credentials}/rotate");
        // A literal segment: no project has this id.
        let default_limits = &format!("{projects}/limits");
        let limits = &format!("{organization}/limits");
        let project_limits = &format!("{project}/limits");
        let regions = &format!("{organization}/regions");
        let instance_types = &format!("{organization}/instanceTypes");
        let images = &format!("{organization}/images");
        vec![
            route(GET, "/organizations", Call::ListOrganizations, discovery::organizations),
            route(GET, regions, Call::ListRegions, discovery::regions),
            route(GET, instance_types, Call::ListInstanceTypes, discovery::instance_types),
            route(GET, images, Call::ListImages, discovery::images),
            route(GET, limits, Call::GetOrganizationLimits, discovery::organization_limits),
            route(GET, default_limits, Call::GetDefaultLimits, discovery::default_limits),
            route(GET, project_limits, Call::GetProjectLimits, discovery::project_limits),
            route(GET, projects, Call::ListProjects, projects::list),
            route(POST, projects, Call::CreateProject, projects::create),
            route(GET, project, Call::GetProject, projects::get),
            route(PATCH, project, Call::PatchProject, projects::patch),
            route(DELETE, project, Call::DeleteProject, projects::delete),
            route(GET, branches, Call::ListBranches, branches::list),
            route(POST, branches, Call::CreateBranch, create::create),
            route(GET, branch, Call::DescribeBranch, branches::describe),
            route(PATCH, branch, Call::PatchBranch, branches::patch),
            route(DELETE, branch, Call::DeleteBranch, branches::delete),
            route(GET, credentials, Call::GetCredentials, branches::credentials),
            route(POST, rotate, Call::RotateCredentials, branches::rotate),
        ]
    }

    /// The bearer token first, then the organization.
    fn authorize(
        &mut self,
        call: Call,
        request: &Parts,
        parameters: &HashMap<String, String>,
    ) -> Result<(), ErrorResponse> {
        let token = bearer_token(&request.headers)
            .ok_or_else(|| ErrorResponse::unauthorized("no token found"))?;
        if token != self.options.api_key {
            return Err(ErrorResponse::unauthorized("invalid token"));
        }
        let organization = &self.options.organization;
        if parameters.get("organization").is_some_and(|it| it != organization) {
            return Err(ErrorResponse::new(StatusCode::FORBIDDEN, "access denied"));
        }
        self.admit(call)
    }

    /// The id that the client sent, if it did.
    fn request_id(n: u64, headers: &HeaderMap) -> String {
        match headers.get(REQUEST_ID).and_then(|value| value.to_str().ok()) {
            Some(text) => text[..text.len().min(LONGEST_REQUEST_ID)].to_owned(),
            None => format!("req_{}", id::text(id::BASE32, 26, &format!("request {n}"))),
        }
    }

    fn error_body(error: &ErrorResponse, request_id: &str, headers: &HeaderMap) -> Value {
        let mut body = json!({ "message": error.message });
        if error.status == StatusCode::INTERNAL_SERVER_ERROR {
            body["message"] = format!("Internal Error (Request ID: {request_id})").into();
        }
        if headers.contains_key(REQUEST_ID) {
            body["id"] = request_id.into();
        }
        body
    }
}

impl Organization {
    /// What is checked before the body is read. A disabled organization can read and delete.
    fn admit(&self, call: Call) -> Result<(), ErrorResponse> {
        let Options { organization, organization_enabled, creation_enabled, .. } = &self.options;
        let is_limited = matches!(
            call,
            Call::CreateProject
                | Call::PatchProject
                | Call::CreateBranch
                | Call::PatchBranch
                | Call::RotateCredentials
        );
        if is_limited && !organization_enabled {
            let message = format!(
                "Organization [{organization}] is disabled, please check your billing settings or contact support"
            );
            return Err(ErrorResponse::new(StatusCode::FORBIDDEN, message));
        }
        if call != Call::CreateBranch {
            return Ok(());
        }
        if !creation_enabled {
            let status = StatusCode::SERVICE_UNAVAILABLE;
            return Err(ErrorResponse::new(status, "Service Unavailable")
                .with_retry_after(SWITCHED_OFF_FOR));
        }
        self.admit_to_new_organization()
    }
}

//! Where the services are known to deviate from their documents. Nothing else is allowed, and a test
//! observes each deviation.

use super::violation::{Side, Violation};

/// One place where a service is known to deviate from its document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deviation {
    /// The document's name of the operation.
    pub operation: &'static str,
    /// Request or response.
    pub side: Side,
    /// JSON pointer into the body.
    pub pointer: &'static str,
    /// The keyword of the schema that is violated.
    pub keyword: &'static str,
    /// What the service does, and how we know.
    pub why: &'static str,
}

impl Deviation {
    pub(super) fn allows(&self, violation: &Violation) -> bool {
        self.operation == violation.operation
            && self.side == violation.side
            && self.pointer == violation.pointer
            && self.keyword == violation.keyword
    }
}

const fn response(
    operation: &'static str,
    pointer: &'static str,
    keyword: &'static str,
    why: &'static str,
) -> Deviation {
    Deviation { operation, side: Side::Response, pointer, keyword, why }
}

const NO_INSTANCE: &str =
    "a branch has no instance before it exists and while it is hibernated (xata.md, \"Readiness\")";
const CREDENTIALS: &str = "[Late] the credentials contain the host, too (xata.md, \"Credentials\")";
const LIMITS: &str = "[Late] the limits contain the storage, too (xata.md, \"Limits endpoints\")";

/// What Xata's platform is known to answer beside its document.
pub const DEVIATIONS: [Deviation; 7] = [
    response("describeBranch", "/status/instanceCount", "minimum", NO_INSTANCE),
    response("getBranchCredentials", "/hostname", "additionalProperties", CREDENTIALS),
    response("getBranchCredentials", "/port", "additionalProperties", CREDENTIALS),
    response("getBranchCredentials", "/dbname", "additionalProperties", CREDENTIALS),
    response("getBranchCredentials", "/connectionString", "additionalProperties", CREDENTIALS),
    response("getOrganizationLimits", "/maxStorageGBPerBranch", "unevaluatedProperties", LIMITS),
    response("getProjectLimits", "/maxStorageGBPerBranch", "additionalProperties", LIMITS),
];

const fn clerk(operation: &'static str) -> Deviation {
    let why = "the errors of key, version, content type and rate limits are the same for all calls \
               (clerk.md, \"Backend API errors\"); the document declares some of them for some calls";
    response(operation, "", "responses", why)
}

/// What Clerk's Backend API is known to answer beside its document.
pub const CLERK_DEVIATIONS: [Deviation; 8] = [
    clerk("GetInstance"),
    clerk("GetUserList"),
    clerk("GetUsersCount"),
    clerk("GetUser"),
    clerk("UpdateUser"),
    clerk("UpdateUserMetadata"),
    clerk("ReplaceUserMetadata"),
    clerk("DeleteUser"),
];

const fn hookdeck(operation: &'static str) -> Deviation {
    let why =
        "a wrong key is 401 (hookdeck.md, \"Admin API\"), which the document does not declare";
    response(operation, "", "responses", why)
}

/// What Hookdeck's admin API is known to answer beside its document.
pub const HOOKDECK_DEVIATIONS: [Deviation; 5] = [
    hookdeck("getConnections"),
    hookdeck("upsertConnection"),
    hookdeck("getSources"),
    hookdeck("getSource"),
    hookdeck("getDestinations"),
];

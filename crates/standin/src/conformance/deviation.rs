//! Where the services are known to leave their documents. Nothing else is excused, and a test meets each.

use super::{Side, Violation};

/// One place where a service is known not to keep to its document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deviation {
    /// The document's name of the operation.
    pub operation: &'static str,
    /// Which half of the exchange.
    pub side: Side,
    /// JSON pointer into the body.
    pub pointer: &'static str,
    /// The keyword of the schema that is not kept.
    pub keyword: &'static str,
    /// What the service does, and how we know.
    pub why: &'static str,
}

impl Deviation {
    pub(super) fn excuses(&self, violation: &Violation) -> bool {
        self.operation == violation.operation
            && self.side == violation.side
            && self.pointer == violation.pointer
            && self.keyword == violation.keyword
    }
}

const fn late_credentials(pointer: &'static str) -> Deviation {
    Deviation {
        operation: "getBranchCredentials",
        side: Side::Response,
        pointer,
        keyword: "additionalProperties",
        why: "[Late] the credentials name the host too (xata-platform.md section 6.6)",
    }
}

const fn late_limit(operation: &'static str, keyword: &'static str) -> Deviation {
    Deviation {
        operation,
        side: Side::Response,
        pointer: "/maxStorageGBPerBranch",
        keyword,
        why: "[Late] the limits name the storage, too (xata-platform.md section 4)",
    }
}

/// What Xata's platform is known to answer beside its document.
pub const DEVIATIONS: [Deviation; 8] = [
    Deviation {
        operation: "describeBranch",
        side: Side::Response,
        pointer: "/status/instanceCount",
        keyword: "minimum",
        why: "a branch has no instance before it exists and while it sleeps (xata-platform.md sections 6.3 and 7)",
    },
    late_credentials("/hostname"),
    late_credentials("/port"),
    late_credentials("/dbname"),
    late_credentials("/connectionString"),
    late_limit("getOrganizationLimits", "unevaluatedProperties"),
    late_limit("getProjectLimits", "additionalProperties"),
    undeclared(
        "query",
        "the gateway refuses with more statuses than its document has (xata-platform.md section 9)",
    ),
];

const fn undeclared(operation: &'static str, why: &'static str) -> Deviation {
    Deviation { operation, side: Side::Response, pointer: "", keyword: "responses", why }
}

const fn clerk_undeclared(operation: &'static str) -> Deviation {
    undeclared(
        operation,
        "what the key, the version, the content type and the rate limits refuse is said once for all calls \
         (clerk.md section 11), not in the document, which declares some of it for some calls",
    )
}

const fn hookdeck_undeclared(operation: &'static str) -> Deviation {
    undeclared(
        operation,
        "a wrong key is 401 (hookdeck.md section 7), which the document does not say",
    )
}

/// What Clerk's Backend API is known to answer beside its document.
pub const CLERK_DEVIATIONS: [Deviation; 8] = [
    clerk_undeclared("GetInstance"),
    clerk_undeclared("GetUserList"),
    clerk_undeclared("GetUsersCount"),
    clerk_undeclared("GetUser"),
    clerk_undeclared("UpdateUser"),
    clerk_undeclared("UpdateUserMetadata"),
    clerk_undeclared("ReplaceUserMetadata"),
    clerk_undeclared("DeleteUser"),
];

/// What Hookdeck's admin API is known to answer beside its document.
pub const HOOKDECK_DEVIATIONS: [Deviation; 5] = [
    hookdeck_undeclared("getConnections"),
    hookdeck_undeclared("upsertConnection"),
    hookdeck_undeclared("getSources"),
    hookdeck_undeclared("getSource"),
    hookdeck_undeclared("getDestinations"),
];

//! The calls of the API, and where each is routed.

use http::Method;

use crate::fault;

/// A call of the API, to aim a [`fault::Fault`] at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the contract's section 3")]
pub enum Call {
    Any,
    ListDatabases,
    CreateDatabase,
    GetDatabase,
    UpdateDatabase,
    RenameDatabase,
    DeleteDatabase,
    ListRegions,
}

impl fault::Call for Call {
    const ANY: Self = Self::Any;
}

pub(super) const DATABASES: &str = "/workspaces/{workspace}/dbs";
pub(super) const DATABASE: &str = "/workspaces/{workspace}/dbs/{database}";
pub(super) const RENAME: &str = "/workspaces/{workspace}/dbs/{database}/rename";
pub(super) const REGIONS: &str = "/workspaces/{workspace}/regions";

pub(super) const CALLS: [(Method, &str, Call); 7] = [
    (Method::GET, DATABASES, Call::ListDatabases),
    (Method::PUT, DATABASE, Call::CreateDatabase),
    (Method::GET, DATABASE, Call::GetDatabase),
    (Method::PATCH, DATABASE, Call::UpdateDatabase),
    (Method::POST, RENAME, Call::RenameDatabase),
    (Method::DELETE, DATABASE, Call::DeleteDatabase),
    (Method::GET, REGIONS, Call::ListRegions),
];

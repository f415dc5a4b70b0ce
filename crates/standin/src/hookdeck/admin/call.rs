//! The calls of the API, and where each is routed.

use http::Method;

use crate::fault;

/// A call of the API, to aim a [`fault::Fault`] at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the vendor's document")]
pub enum Call {
    Any,
    GetConnections,
    UpsertConnection,
    GetConnection,
    EnableConnection,
    GetSources,
    UpsertSource,
    GetSource,
    GetDestinations,
    UpsertDestination,
    GetDestination,
}

impl fault::Call for Call {
    const ANY: Self = Self::Any;
}

pub(super) const CONNECTIONS: &str = "/{version}/connections";
pub(super) const CONNECTION: &str = "/{version}/connections/{id}";
pub(super) const ENABLE: &str = "/{version}/connections/{id}/enable";
pub(super) const SOURCES: &str = "/{version}/sources";
pub(super) const SOURCE: &str = "/{version}/sources/{id}";
pub(super) const DESTINATIONS: &str = "/{version}/destinations";
pub(super) const DESTINATION: &str = "/{version}/destinations/{id}";

pub(super) const CALLS: [(Method, &str, Call); 10] = [
    (Method::GET, CONNECTIONS, Call::GetConnections),
    (Method::PUT, CONNECTIONS, Call::UpsertConnection),
    (Method::GET, CONNECTION, Call::GetConnection),
    (Method::PUT, ENABLE, Call::EnableConnection),
    (Method::GET, SOURCES, Call::GetSources),
    (Method::PUT, SOURCES, Call::UpsertSource),
    (Method::GET, SOURCE, Call::GetSource),
    (Method::GET, DESTINATIONS, Call::GetDestinations),
    (Method::PUT, DESTINATIONS, Call::UpsertDestination),
    (Method::GET, DESTINATION, Call::GetDestination),
];

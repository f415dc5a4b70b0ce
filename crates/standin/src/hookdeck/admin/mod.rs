//! Hookdeck's admin API: the sources, destinations and connections of one project (docs/vendors/hookdeck.md, "Admin API").
//!
//! It has only what the setup of a connection needs. Where the service's behaviour is unknown, [`Options`] selects it.
//! The connections stored here deliver nothing: [`super::Engine`] does, and is independent of this API.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `routes` | the calls, and what every request is checked for |
//! | `options` | the settings |
//! | `input` | what a body may contain |
//! | `state`, `upsert` | what is stored, and how it changes |

mod input;
mod options;
mod routes;
mod state;
mod upsert;

use serde_json::Value;

pub use self::options::{OLD_VERSION, Options, Replacement, VERSION};

use self::state::{Project, Role, Secrets};
use crate::fault;
use crate::service::{ErrorResponse, Service};

/// The stand-in of one project.
pub type Admin = Service<Project>;

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

/// What a test does to the project without a call of the API.
impl Admin {
    /// Creates or changes a connection, as `PUT /connections` of the current version does.
    ///
    /// # Panics
    ///
    /// If that call would be refused.
    pub fn put_connection(&self, body: &Value) -> Value {
        accepted(self.state().upsert_connection(body, VERSION), body)
    }

    /// Creates or changes a source, likewise.
    ///
    /// # Panics
    ///
    /// If that call would be refused.
    pub fn put_source(&self, body: &Value) -> Value {
        accepted(self.state().upsert_endpoint(Role::Source, body, VERSION), body)
    }

    /// Creates or changes a destination, likewise.
    ///
    /// # Panics
    ///
    /// If that call would be refused.
    pub fn put_destination(&self, body: &Value) -> Value {
        accepted(self.state().upsert_endpoint(Role::Destination, body, VERSION), body)
    }

    /// All connections of this name, secrets included.
    pub fn connections(&self, name: &str) -> Vec<Value> {
        let state = self.state();
        let connections = state.connections.iter().filter(|it| it.name == name);
        connections.map(|it| state.show_connection(it, Secrets::Shown)).collect()
    }

    /// The source of this name, secrets included.
    pub fn source(&self, name: &str) -> Option<Value> {
        let state = self.state();
        let source = state.endpoints(Role::Source).find(|it| it.name == name)?;
        Some(state.show_endpoint(source, Secrets::Shown))
    }

    /// Disables all sources, destinations and connections of this name.
    pub fn disable(&self, name: &str) {
        let mut state = self.state();
        let now = state.now();
        for endpoint in state.endpoints.iter_mut().filter(|it| it.name == name) {
            endpoint.disabled_at = Some(now.clone());
        }
        for connection in state.connections.iter_mut().filter(|it| it.name == name) {
            connection.disabled_at = Some(now.clone());
        }
    }

    /// Pauses the connections of this name.
    pub fn pause(&self, name: &str) {
        let mut state = self.state();
        let now = state.now();
        for connection in state.connections.iter_mut().filter(|it| it.name == name) {
            connection.paused_at = Some(now.clone());
        }
    }
}

fn accepted(upserted: Result<Value, ErrorResponse>, body: &Value) -> Value {
    upserted.unwrap_or_else(|error| panic!("{error:?}: {body}"))
}

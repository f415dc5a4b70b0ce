//! What a project stores, and how the API shows it.

use serde::Serialize;
use serde_json::{Value, json};

use super::input::{Object, spelled_out};
use super::options::Options;
use crate::clock::rfc3339;
use crate::id;
use crate::service::ErrorResponse;

/// The project.
#[derive(Debug, Default)]
pub struct Project {
    pub(super) options: Options,
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) connections: Vec<Connection>,
    n_ids: u64,
}

/// What an endpoint is of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Source,
    Destination,
}

impl Role {
    pub(super) const fn id_prefix(self) -> &'static str {
        match self {
            Self::Source => "src",
            Self::Destination => "des",
        }
    }
}

/// A source or a destination.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Endpoint {
    #[serde(skip)]
    pub(super) role: Role,
    pub(super) id: String,
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) config: Object,
    pub(super) description: Value,
    pub(super) disabled_at: Option<String>,
    pub(super) created_at: String,
    pub(super) updated_at: String,
}

/// A connection.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Connection {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) description: Value,
    #[serde(skip)]
    pub(super) source_id: String,
    #[serde(skip)]
    pub(super) destination_id: String,
    pub(super) rules: Vec<Value>,
    pub(super) disabled_at: Option<String>,
    pub(super) paused_at: Option<String>,
    pub(super) created_at: String,
    pub(super) updated_at: String,
}

impl Connection {
    pub(super) fn has(&self, endpoint: &Endpoint) -> bool {
        [&self.source_id, &self.destination_id].contains(&&endpoint.id)
    }
}

/// Whether `auth` is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Secrets {
    /// `auth` is empty, as most clients see it.
    Masked,
    Shown,
}

impl Project {
    pub(super) fn now(&self) -> String {
        rfc3339(self.options.clock.now())
    }

    pub(super) fn next_id(&mut self, prefix: &str) -> String {
        self.n_ids += 1;
        format!("{prefix}_{}", id::text(id::BASE62, 12, &format!("hookdeck {}", self.n_ids)))
    }

    pub(super) fn endpoints(&self, role: Role) -> impl Iterator<Item = &Endpoint> {
        self.endpoints.iter().filter(move |it| it.role == role)
    }

    pub(super) fn endpoint(&self, role: Role, id: &str) -> Result<&Endpoint, ErrorResponse> {
        let endpoint = self.endpoints(role).find(|it| it.id == id);
        endpoint.ok_or_else(|| ErrorResponse::not_found("there is nothing with this id"))
    }

    pub(super) fn connection(&self, id: &str) -> Result<&Connection, ErrorResponse> {
        let connection = self.connections.iter().find(|it| it.id == id);
        connection.ok_or_else(|| ErrorResponse::not_found("there is no such connection"))
    }

    /// Enables a connection with its source and its destination.
    pub(super) fn enable(&mut self, id: &str) -> Result<Value, ErrorResponse> {
        let connection = self.connections.iter_mut().find(|it| it.id == id);
        if let Some(connection) = connection {
            connection.disabled_at = None;
            for endpoint in self.endpoints.iter_mut().filter(|it| connection.has(it)) {
                endpoint.disabled_at = None;
            }
        }
        self.connection(id).map(|it| self.show_connection(it, Secrets::Masked))
    }

    pub(super) fn show_endpoint(&self, endpoint: &Endpoint, secrets: Secrets) -> Value {
        let mut shown = json!(endpoint);
        shown["team_id"] = self.options.project.as_str().into();
        let is_authenticated = endpoint.config.get("auth").is_some_and(|auth| !auth.is_null());
        if endpoint.role == Role::Source {
            shown["authenticated"] = is_authenticated.into();
            shown["url"] = format!("https://hkdk.events/{}", &endpoint.id[4..]).into();
        }
        if secrets == Secrets::Masked && endpoint.config.contains_key("auth") {
            shown["config"]["auth"] = json!({});
        }
        shown
    }

    pub(super) fn show_connection(&self, connection: &Connection, secrets: Secrets) -> Value {
        let endpoint = |role, id| {
            let endpoint = self.endpoint(role, id);
            endpoint.map(|it| self.show_endpoint(it, secrets)).unwrap_or_default()
        };
        let mut shown = json!(connection);
        shown["team_id"] = self.options.project.as_str().into();
        shown["source"] = endpoint(Role::Source, &connection.source_id);
        shown["destination"] = endpoint(Role::Destination, &connection.destination_id);
        let source = shown["source"]["name"].as_str();
        shown["full_name"] = source.map(|it| format!("{it} -> {}", connection.name)).into();
        if self.options.spells_out_rules {
            shown["rules"] = connection.rules.iter().map(spelled_out).collect();
        }
        shown
    }
}

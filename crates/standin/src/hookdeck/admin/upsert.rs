//! How an upsert changes what is stored (docs/vendors/hookdeck.md, "Connection upsert" and "Upsert traps").
//!
//! Everything is checked before anything is changed.

use serde_json::{Value, json};

use super::input::{self, Object, given, named, refuse, text};
use super::options::{Options, Replacement};
use super::state::{Connection, Endpoint, Project, Role, Secrets};
use crate::service::ErrorResponse;

impl Project {
    pub(super) fn upsert_endpoint(
        &mut self,
        role: Role,
        body: &Value,
        version: &str,
    ) -> Result<Value, ErrorResponse> {
        let endpoint = self.new_endpoint(role, body, version)?;
        let shown = self.show_endpoint(&endpoint, Secrets::Masked);
        store(&mut self.endpoints, endpoint, |it| &it.id);
        Ok(shown)
    }

    pub(super) fn upsert_connection(
        &mut self,
        body: &Value,
        version: &str,
    ) -> Result<Value, ErrorResponse> {
        let (body, name) = named(body, "body", input::CONNECTION)?;
        let source = self.endpoint_of(Role::Source, &body, version)?;
        let destination = self.endpoint_of(Role::Destination, &body, version)?;
        let rules = given(&body, "rules").map(input::rules).transpose()?;
        let is_it = |it: &&Connection| it.name == name;
        let stored = self.connections.iter().filter(is_it);
        let stored = stored.clone().find(|it| it.has(&source) && it.has(&destination));
        let stored = match (stored, self.connections.iter().find(is_it)) {
            (None, Some(other)) => match self.options.on_replacement {
                Replacement::Refuse => {
                    let message = "the source and destination of a connection cannot be changed";
                    return refuse(message);
                }
                Replacement::Ignore => Some(other),
                Replacement::Another => None,
            },
            (stored, _) => stored,
        };
        let now = self.now();
        let mut connection = match stored.cloned() {
            Some(connection) => connection,
            None => Connection {
                id: self.next_id("web"),
                name,
                description: Value::Null,
                source_id: source.id.clone(),
                destination_id: destination.id.clone(),
                rules: Vec::new(),
                disabled_at: None,
                paused_at: None,
                created_at: now.clone(),
                updated_at: now.clone(),
            },
        };
        if let Some(description) = body.get("description") {
            connection.description = description.clone();
        }
        // Without rules the stored ones stay; with rules all are replaced ("Upsert traps", 1).
        if let Some(rules) = rules {
            connection.rules = rules;
        }
        connection.disabled_at = None; // "Upsert traps", 5
        connection.updated_at = now;
        for mut endpoint in [source, destination] {
            if self.options.enables_parts {
                endpoint.disabled_at = None;
            }
            store(&mut self.endpoints, endpoint, |it| &it.id);
        }
        let shown = self.show_connection(&connection, Secrets::Masked);
        store(&mut self.connections, connection, |it| &it.id);
        Ok(shown)
    }

    /// The source or destination of a connection, which is given as an object or by its id.
    fn endpoint_of(
        &mut self,
        role: Role,
        body: &Object,
        version: &str,
    ) -> Result<Endpoint, ErrorResponse> {
        let (name, id_name) = match role {
            Role::Source => ("source", "source_id"),
            Role::Destination => ("destination", "destination_id"),
        };
        match (given(body, name), text(body, id_name)) {
            (Some(endpoint), None) => self.new_endpoint(role, endpoint, version),
            (None, Some(id)) => match self.endpoint(role, id) {
                Ok(endpoint) => Ok(endpoint.clone()),
                Err(error) => refuse(error.message),
            },
            _ => refuse(format!("either {name} or {id_name} is required")),
        }
    }

    /// The source or destination as it will be stored.
    fn new_endpoint(
        &mut self,
        role: Role,
        body: &Value,
        version: &str,
    ) -> Result<Endpoint, ErrorResponse> {
        let (at, members) = match role {
            Role::Source => ("source", input::SOURCE),
            Role::Destination => ("destination", input::DESTINATION),
        };
        let (body, name) = named(body, at, members)?;
        let stored = self.endpoints(role).find(|it| it.name == name).cloned();
        let kind = match (text(&body, "type"), role, &stored) {
            (Some(kind), ..) => kind.to_owned(),
            // A source without a type is a webhook, even if it was something else ("Upsert traps", 2).
            (None, Role::Source, _) => "WEBHOOK".to_owned(),
            (None, Role::Destination, Some(stored)) => stored.kind.clone(),
            (None, Role::Destination, None) => return refuse("destination.type is required"),
        };
        let config = match role {
            Role::Source => input::source_config(&kind, &body)?,
            Role::Destination => {
                let unknown = &self.options.unknown_members;
                let config = input::destination_config(&kind, &body, version, unknown)?;
                completed(config, stored.is_none())
            }
        };
        let now = self.now();
        let mut endpoint = match stored {
            Some(endpoint) => endpoint,
            None => Endpoint {
                role,
                id: self.next_id(role.id_prefix()),
                name,
                kind: kind.clone(),
                config: Object::new(),
                description: Value::Null,
                disabled_at: None,
                created_at: now.clone(),
                updated_at: now.clone(),
            },
        };
        let Options { merges_config, keeps_secret, .. } = self.options;
        let is_same_kind = endpoint.kind == kind;
        let secret = endpoint.config.get("auth").cloned();
        if merges_config && is_same_kind {
            merge(&mut endpoint.config, config);
        } else {
            endpoint.config = config;
        }
        if let (true, true, "SVIX", Some(secret)) = (keeps_secret, is_same_kind, &*kind, secret) {
            endpoint.config.entry("auth").or_insert(secret);
        }
        endpoint.kind = kind;
        if let Some(description) = body.get("description") {
            endpoint.description = description.clone();
        }
        endpoint.updated_at = now;
        Ok(endpoint)
    }
}

/// The config of a destination in the form of the current version, with the authentication of a new one.
fn completed(mut config: Object, is_new: bool) -> Object {
    if config.contains_key("rate_limit") {
        let (rate, period) = (config.remove("rate_limit"), config.remove("rate_limit_period"));
        config.insert("delivery_policy".into(), json!({ "rate": rate, "period": period }));
    }
    if is_new && !config.contains_key("auth_type") {
        config.insert("auth_type".into(), "HOOKDECK_SIGNATURE".into());
        config.insert("auth".into(), json!({}));
    }
    config
}

fn merge(into: &mut Object, from: Object) {
    for (name, value) in from {
        match (into.get_mut(&name), value) {
            // A new secret replaces all of the old one.
            (Some(Value::Object(into)), Value::Object(from)) if name != "auth" => merge(into, from),
            (_, value) => drop(into.insert(name, value)),
        }
    }
}

fn store<T>(all: &mut Vec<T>, one: T, id: fn(&T) -> &str) {
    match all.iter_mut().find(|it| id(it) == id(&one)) {
        Some(stored) => *stored = one,
        None => all.push(one),
    }
}

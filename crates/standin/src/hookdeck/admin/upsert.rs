//! How what is stored changes (section 8). Everything is checked before anything is changed.

use serde_json::{Value, json};

use super::OLD_VERSION;
use super::Replacement;
use super::input::{self, Object, given, object, refuse};
use super::rules;
use super::state::{Link, Part, Project};
use crate::service::ErrorResponse;

const PART: [&str; 4] = ["name", "type", "description", "config"];
const CONNECTION: [&str; 7] =
    ["name", "description", "source", "source_id", "destination", "destination_id", "rules"];

impl Project {
    pub(super) fn upsert_source(&mut self, body: &Value) -> Result<Value, ErrorResponse> {
        let source = self.new_source(body)?;
        let id = source.id.clone();
        store(&mut self.sources, source);
        self.source(&id, false)
    }

    pub(super) fn upsert_destination(
        &mut self,
        body: &Value,
        version: &str,
    ) -> Result<Value, ErrorResponse> {
        let destination = self.new_destination(body, version)?;
        let id = destination.id.clone();
        store(&mut self.destinations, destination);
        self.destination(&id, false)
    }

    pub(super) fn upsert_connection(
        &mut self,
        body: &Value,
        version: &str,
    ) -> Result<Value, ErrorResponse> {
        let body = object(body, "body", &CONNECTION)?;
        let name = input::name(body, "body")?;
        input::description(body, "body")?;
        let source = match (given(body, "source"), given(body, "source_id")) {
            (Some(source), None) => self.new_source(source)?,
            (None, Some(id)) => known(&self.sources, id)?,
            _ => return refuse("either source or source_id is required"),
        };
        let destination = match (given(body, "destination"), given(body, "destination_id")) {
            (Some(destination), None) => self.new_destination(destination, version)?,
            (None, Some(id)) => known(&self.destinations, id)?,
            _ => return refuse("either destination or destination_id is required"),
        };
        let rules = given(body, "rules").map(rules::rules).transpose()?;
        let is_it = |it: &&Link| it.name == name;
        let is_here = |it: &&Link| it.source_id == source.id && it.destination_id == destination.id;
        let there = self.connections.iter().filter(is_it).find(is_here);
        let there = match (there, self.connections.iter().find(is_it), self.options.on_replacement)
        {
            (None, Some(_), Replacement::Refuse) => {
                return refuse("the source and destination of a connection cannot be changed");
            }
            (None, Some(elsewhere), Replacement::Ignore) => Some(elsewhere),
            (there, ..) => there,
        };
        let now = self.now();
        let mut link = match there.cloned() {
            Some(link) => link,
            None => Link {
                id: self.next_id("web"),
                name: name.to_owned(),
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
            link.description = description.clone();
        }
        // Without rules the stored ones stay; with them all are replaced (trap 1).
        if let Some(rules) = rules {
            link.rules = rules;
        }
        link.disabled_at = None; // trap 5
        link.updated_at = now;
        let enabled = (source.id.clone(), destination.id.clone());
        store(&mut self.sources, source);
        store(&mut self.destinations, destination);
        if self.options.enables_parts {
            self.enable_parts(&enabled.0, &enabled.1);
        }
        match self.connections.iter_mut().find(|it| it.id == link.id) {
            Some(stored) => *stored = link.clone(),
            None => self.connections.push(link.clone()),
        }
        Ok(self.answer(&link))
    }

    /// The source as it will be.
    fn new_source(&mut self, body: &Value) -> Result<Part, ErrorResponse> {
        let body = object(body, "source", &PART)?;
        let name = input::name(body, "source")?;
        input::description(body, "source")?;
        let kind = input::source_type(body)?;
        let empty = json!({});
        let config = input::source_config(kind, given(body, "config").unwrap_or(&empty))?;
        let there = self.sources.iter().find(|it| it.name == name).cloned();
        let keeps_secret = self.options.keeps_secret && kind == "SVIX";
        let secret = there.as_ref().filter(|it| keeps_secret && it.kind == kind);
        let secret = secret.and_then(|it| it.config.get("auth").cloned());
        let mut source = self.part(there, "src", body, kind, config);
        if let Some(secret) = secret {
            source.config.entry("auth").or_insert(secret);
        }
        Ok(source)
    }

    /// The destination as it will be. Its type has no default.
    fn new_destination(&mut self, body: &Value, version: &str) -> Result<Part, ErrorResponse> {
        let body = object(body, "destination", &PART)?;
        let name = input::name(body, "destination")?;
        input::description(body, "destination")?;
        let there = self.destinations.iter().find(|it| it.name == name).cloned();
        let kind = input::destination_type(body)?.map(str::to_owned);
        let Some(kind) = kind.or_else(|| there.as_ref().map(|it| it.kind.clone())) else {
            return refuse("destination.type is required");
        };
        let empty = json!({});
        let config = given(body, "config").unwrap_or(&empty);
        let mut config = input::destination_config(&kind, config, version)?;
        if version == OLD_VERSION && config.contains_key("rate_limit") {
            let (rate, period) = (config.remove("rate_limit"), config.remove("rate_limit_period"));
            config.insert("delivery_policy".into(), json!({ "rate": rate, "period": period }));
        }
        // What a new destination authenticates with, unless it is told.
        if there.is_none() && !config.contains_key("auth_type") {
            config.insert("auth_type".into(), "HOOKDECK_SIGNATURE".into());
            config.insert("auth".into(), json!({}));
        }
        Ok(self.part(there, "des", body, &kind, config))
    }

    fn part(
        &mut self,
        there: Option<Part>,
        prefix: &str,
        body: &Object,
        kind: &str,
        config: Object,
    ) -> Part {
        let now = self.now();
        let mut part = match there {
            Some(part) => part,
            None => Part {
                id: self.next_id(prefix),
                name: body["name"].as_str().unwrap_or_default().to_owned(),
                kind: kind.to_owned(),
                config: Object::new(),
                description: Value::Null,
                disabled_at: None,
                created_at: now.clone(),
                updated_at: now.clone(),
            },
        };
        if self.options.merges_config && part.kind == kind {
            merge(&mut part.config, config);
        } else {
            part.config = config;
        }
        kind.clone_into(&mut part.kind);
        if let Some(description) = body.get("description") {
            part.description = description.clone();
        }
        part.updated_at = now;
        part
    }
}

fn merge(into: &mut Object, from: Object) {
    for (name, value) in from {
        match (into.get_mut(&name), value) {
            // A secret is one thing, and a new one replaces it whole.
            (Some(Value::Object(into)), Value::Object(from)) if name != "auth" => merge(into, from),
            (_, value) => drop(into.insert(name, value)),
        }
    }
}

fn known(parts: &[Part], id: &Value) -> Result<Part, ErrorResponse> {
    let part = parts.iter().find(|it| id == &*it.id);
    part.cloned().ok_or_else(|| ErrorResponse::unprocessable("there is nothing with that id"))
}

fn store(parts: &mut Vec<Part>, part: Part) {
    match parts.iter_mut().find(|it| it.id == part.id) {
        Some(stored) => *stored = part,
        None => parts.push(part),
    }
}

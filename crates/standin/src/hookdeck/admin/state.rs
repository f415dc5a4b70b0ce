//! All that a project has stored, and how it is answered.

use serde_json::{Value, json};

use super::Options;
use super::input::Object;
use super::rules::spelled_out;
use crate::clock::rfc3339;
use crate::id;
use crate::service::ErrorResponse;

/// Everything stored.
#[derive(Debug)]
pub struct Project {
    pub(super) options: Options,
    pub(super) sources: Vec<Part>,
    pub(super) destinations: Vec<Part>,
    pub(super) connections: Vec<Link>,
    n_ids: u64,
}

/// A source or a destination.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) config: Object,
    pub(super) description: Value,
    pub(super) disabled_at: Option<String>,
    pub(super) created_at: String,
    pub(super) updated_at: String,
}

/// A connection.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) description: Value,
    pub(super) source_id: String,
    pub(super) destination_id: String,
    pub(super) rules: Vec<Value>,
    pub(super) disabled_at: Option<String>,
    pub(super) paused_at: Option<String>,
    pub(super) created_at: String,
    pub(super) updated_at: String,
}

/// Who looks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sight {
    /// A client: `auth` comes back empty.
    Masked,
    /// A client that may see `auth`, and the tests.
    Whole,
}

impl Project {
    pub(super) fn new(options: Options) -> Self {
        let (sources, destinations) = (Vec::new(), Vec::new());
        Self { options, sources, destinations, connections: Vec::new(), n_ids: 0 }
    }

    pub(super) fn now(&self) -> String {
        rfc3339(self.options.clock.now())
    }

    pub(super) fn next_id(&mut self, prefix: &str) -> String {
        self.n_ids += 1;
        format!("{prefix}_{}", id::text(id::BASE62, 12, &format!("hookdeck {}", self.n_ids)))
    }

    pub(super) fn sources(&self) -> Vec<Value> {
        self.sources.iter().map(|it| self.source_answer(it, Sight::Masked)).collect()
    }

    pub(super) fn destinations(&self) -> Vec<Value> {
        self.destinations.iter().map(|it| self.destination_answer(it, Sight::Masked)).collect()
    }

    pub(super) fn connections(&self) -> Vec<Value> {
        self.connections.iter().map(|it| self.link_answer(it, Sight::Masked)).collect()
    }

    pub(super) fn source(&self, id: &str, with_auth: bool) -> Result<Value, ErrorResponse> {
        let source = self.sources.iter().find(|it| it.id == id);
        let source = source.ok_or_else(|| ErrorResponse::not_found("there is no such source"))?;
        Ok(self.source_answer(source, self.sight(with_auth)))
    }

    pub(super) fn destination(&self, id: &str, with_auth: bool) -> Result<Value, ErrorResponse> {
        let destination = self.destinations.iter().find(|it| it.id == id);
        let destination =
            destination.ok_or_else(|| ErrorResponse::not_found("there is no such destination"))?;
        Ok(self.destination_answer(destination, self.sight(with_auth)))
    }

    pub(super) fn connection(&self, id: &str) -> Result<Value, ErrorResponse> {
        let link = self.connections.iter().find(|it| it.id == id);
        let link = link.ok_or_else(|| ErrorResponse::not_found("there is no such connection"))?;
        Ok(self.link_answer(link, Sight::Masked))
    }

    /// Enables a connection with its source and its destination (section 9).
    pub(super) fn enable(&mut self, id: &str) -> Result<Value, ErrorResponse> {
        let link = self.connections.iter_mut().find(|it| it.id == id);
        let link = link.ok_or_else(|| ErrorResponse::not_found("there is no such connection"))?;
        link.disabled_at = None;
        let (source, destination) = (link.source_id.clone(), link.destination_id.clone());
        self.enable_parts(&source, &destination);
        self.connection(id)
    }

    pub(super) fn enable_parts(&mut self, source: &str, destination: &str) {
        let parts = self.sources.iter_mut().chain(&mut self.destinations);
        for part in parts.filter(|it| it.id == source || it.id == destination) {
            part.disabled_at = None;
        }
    }

    pub(super) fn disable(&mut self, name: &str) {
        let now = Some(self.now());
        let parts = self.sources.iter_mut().chain(&mut self.destinations);
        for part in parts.filter(|it| it.name == name) {
            part.disabled_at.clone_from(&now);
        }
        for link in self.connections.iter_mut().filter(|it| it.name == name) {
            link.disabled_at.clone_from(&now);
        }
    }

    pub(super) fn pause(&mut self, name: &str) {
        let now = Some(self.now());
        for link in self.connections.iter_mut().filter(|it| it.name == name) {
            link.paused_at.clone_from(&now);
        }
    }

    pub(super) fn connections_named(&self, name: &str) -> Vec<Value> {
        let links = self.connections.iter().filter(|it| it.name == name);
        links.map(|it| self.link_answer(it, Sight::Whole)).collect()
    }

    pub(super) fn source_named(&self, name: &str) -> Option<Value> {
        let source = self.sources.iter().find(|it| it.name == name)?;
        Some(self.source_answer(source, Sight::Whole))
    }

    pub(super) fn answer(&self, link: &Link) -> Value {
        self.link_answer(link, Sight::Masked)
    }

    fn sight(&self, with_auth: bool) -> Sight {
        if with_auth && self.options.reveals_auth { Sight::Whole } else { Sight::Masked }
    }

    fn source_answer(&self, source: &Part, sight: Sight) -> Value {
        let mut answer = self.part_answer(source, sight);
        // Whether a secret is configured (section 8, "Answer").
        let is_authenticated = source.config.get("auth").is_some_and(|auth| !auth.is_null());
        answer["authenticated"] = is_authenticated.into();
        answer["url"] = format!("https://hkdk.events/{}", &source.id[4..]).into();
        answer
    }

    fn destination_answer(&self, destination: &Part, sight: Sight) -> Value {
        self.part_answer(destination, sight)
    }

    fn part_answer(&self, part: &Part, sight: Sight) -> Value {
        let mut config = part.config.clone();
        if let (Sight::Masked, Some(auth)) = (sight, config.get_mut("auth")) {
            *auth = json!({});
        }
        json!({
            "id": part.id,
            "name": part.name,
            "description": part.description,
            "team_id": self.options.project,
            "type": part.kind,
            "config": config,
            "disabled_at": part.disabled_at,
            "created_at": part.created_at,
            "updated_at": part.updated_at,
        })
    }

    fn link_answer(&self, link: &Link, sight: Sight) -> Value {
        let source = self.sources.iter().find(|it| it.id == link.source_id);
        let destination = self.destinations.iter().find(|it| it.id == link.destination_id);
        let source = source.map(|it| self.source_answer(it, sight)).unwrap_or_default();
        let destination =
            destination.map(|it| self.destination_answer(it, sight)).unwrap_or_default();
        let rule = |rule: &Value| {
            if self.options.spells_out_rules { spelled_out(rule) } else { rule.clone() }
        };
        let full_name = source["name"].as_str().map(|source| format!("{source} -> {}", link.name));
        json!({
            "id": link.id,
            "name": link.name,
            "full_name": full_name,
            "description": link.description,
            "team_id": self.options.project,
            "source": source,
            "destination": destination,
            "rules": link.rules.iter().map(rule).collect::<Vec<_>>(),
            "disabled_at": link.disabled_at,
            "paused_at": link.paused_at,
            "created_at": link.created_at,
            "updated_at": link.updated_at,
        })
    }
}

//! What is wanted, and the one request that asks for it.

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};

use super::there::{Model, There};

/// How many deliveries Hookdeck keeps open at a time: docs/reliability.md says why.
const CONCURRENCY: u32 = 2;
/// The function may take 55 s, and Hookdeck waits for 60 s unless it is told otherwise.
const SHORTEST_TIMEOUT: u64 = 60;

/// A source for Clerk's events, and a destination for them, both joined by rules.
pub(super) struct Wish {
    pub(super) source: String,
    /// Of connection and destination.
    pub(super) name: String,
    pub(super) target: Target,
    /// Clerk's signing secret, once it is known.
    pub(super) secret: Option<SecretString>,
}

/// Where deliveries go.
pub(super) enum Target {
    /// To the function, at this URL.
    Http(String),
    /// To whoever runs `hookdeck listen`, at this path.
    Cli(String),
}

impl Target {
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Http(_) => "HTTP",
            Self::Cli(_) => "CLI",
        }
    }

    /// The member of the config that tells where, and its value.
    pub(super) fn place(&self) -> (&'static str, &str) {
        match self {
            Self::Http(url) => ("url", url),
            Self::Cli(path) => ("path", path),
        }
    }
}

/// Only what we handle. An exponential schedule from 30 s with 13 retries spans 2.8 days, within the
/// shortest time that Hookdeck keeps events; and there is no list of statuses, outside which events
/// would be lost. Nothing is deduplicated, or what was sent again after a failure would be, too.
pub(super) fn rules() -> [Value; 2] {
    [
        json!({ "type": "filter", "body": { "type": { "$in": ["user.created", "user.deleted"] } } }),
        json!({ "type": "retry", "strategy": "exponential", "interval": 30_000, "count": 13 }),
    ]
}

/// `delivery_policy`, which only an HTTP destination has.
pub(super) fn delivery_policy() -> Value {
    json!({ "rate": CONCURRENCY, "period": "concurrent" })
}

/// Whether a timeout of the destination leaves the function its time.
pub(super) fn is_long_enough(timeout: &Value) -> bool {
    timeout.as_u64().is_none_or(|seconds| seconds >= SHORTEST_TIMEOUT)
}

impl Wish {
    /// What stands where ours should be, and cannot be changed into it.
    pub(super) fn obstacle(&self, there: &There) -> Option<String> {
        let Self { source, name, target, .. } = self;
        let kind = |it: &Model| {
            let kind = it.value["type"].as_str().unwrap_or_default().to_owned();
            let is_word =
                kind.bytes().all(|it| it.is_ascii_uppercase() || b"_0123456789".contains(&it));
            if is_word && kind.len() < 50 { kind } else { "another".to_owned() }
        };
        if let Some(kind) = there.source.as_ref().map(kind).filter(|kind| kind != "SVIX") {
            return Some(format!(
                "the source {source} is there, of type {kind}, and Clerk needs one of type SVIX. Rename \
                 or delete it in Hookdeck, or choose another name with --source"
            ));
        }
        let wanted = target.kind();
        if let Some(kind) = there.destination.as_ref().map(kind).filter(|kind| kind != wanted) {
            return Some(format!(
                "the destination {name} is there, of type {kind}, and {wanted} is wanted. Rename or \
                 delete it in Hookdeck, or choose another name with --name"
            ));
        }
        // Which of the two the upsert would change, or whether it would move one, nobody knows (trap 4).
        there.namesakes.first().map(|it| {
            let end = |end: &str| Model { id: "?".to_owned(), value: it.value[end].clone() }.shown_name();
            format!(
                "the connection {name} is there, from the source {} to the destination {}. Rename or \
                 delete it in Hookdeck, or choose another name with --name",
                end("source"),
                end("destination"),
            )
        })
    }

    /// The body of `PUT /connections`. It names whatever is ours, and hands back what is there and
    /// not ours, so that it does not matter whether a member that is not named is kept.
    pub(super) fn request(&self, there: &There) -> Value {
        let mut request = json!({
            "name": self.name,
            "destination": self.destination(there.destination.as_ref()),
            "rules": rules(),
        });
        keep(&mut request, there.connection.as_ref().map(|it| &it.value), &["description"]);
        match (&there.source, &self.secret) {
            // Sent inline without its secret, it would lose it (trap 2).
            (Some(source), None) => request["source_id"] = source.id.clone().into(),
            (source, secret) => {
                request["source"] = self.source(source.as_ref(), secret.as_ref());
            }
        }
        request
    }

    fn source(&self, there: Option<&Model>, secret: Option<&SecretString>) -> Value {
        let mut source = json!({ "name": self.source, "type": "SVIX" });
        if let Some(secret) = secret {
            let secret = secret.expose_secret();
            source["config"] = json!({ "auth": { "webhook_secret_key": secret } });
            let config = there.map(|it| &it.value["config"]);
            keep(&mut source["config"], config, &["allowed_http_methods", "custom_response"]);
        }
        keep(&mut source, there.map(|it| &it.value), &["description"]);
        source
    }

    fn destination(&self, there: Option<&Model>) -> Value {
        let (place, value) = self.target.place();
        // `auth_type` without `auth` is refused (trap 3).
        let mut config = json!({
            place: value,
            "path_forwarding_disabled": true,
            "auth_type": "HOOKDECK_SIGNATURE",
            "auth": {},
        });
        if let Target::Http(_) = self.target {
            config["delivery_policy"] = delivery_policy();
        }
        if let Some(there) = there {
            if !there.config("delivery_policy")["groups"].is_null() {
                config["delivery_policy"]["groups"] = Value::Null;
            }
            let method = there.config("http_method");
            if !method.is_null() {
                config["http_method"] = if method == "POST" { method.clone() } else { Value::Null };
            }
            let timeout = there.config("delivery_timeout");
            if !timeout.is_null() {
                let timeout = Some(timeout).filter(|it| is_long_enough(it));
                config["delivery_timeout"] = timeout.cloned().unwrap_or_default();
            }
        }
        let (name, kind) = (&self.name, self.target.kind());
        let mut destination = json!({ "name": name, "type": kind, "config": config });
        keep(&mut destination, there.map(|it| &it.value), &["description"]);
        destination
    }
}

/// Hands back members that are there.
fn keep(into: &mut Value, from: Option<&Value>, names: &[&str]) {
    let from: Option<&Map<_, _>> = from.and_then(Value::as_object);
    for name in names {
        if let Some(value) = from.and_then(|from| from.get(*name)).filter(|it| !it.is_null()) {
            into[*name] = value.clone();
        }
    }
}

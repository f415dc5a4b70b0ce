//! The desired state, and the one request that asks for it.

use cli::delivery_policy::DeliveryPolicy;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};

use super::actual::{Actual, Model};
use super::client::Client;
use crate::service::ApiError;

/// The function may take 55 s. 60 s is Hookdeck's default.
const MIN_TIMEOUT_SECONDS: u64 = 60;

/// A source for Clerk's events, a destination for them, and the connection between the two.
pub(super) struct Desired {
    pub(super) source: String,
    /// The name of connection and destination.
    pub(super) name: String,
    pub(super) target: Target,
    /// Clerk's signing secret, where it is given.
    pub(super) secret: Option<SecretString>,
}

/// Where deliveries go.
pub(super) enum Target {
    /// The function, at this URL, with so many deliveries.
    Http(String, DeliveryPolicy),
    /// The machine that runs `hookdeck listen`, at this path.
    Cli(String),
}

impl Target {
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Http(..) => "HTTP",
            Self::Cli(_) => "CLI",
        }
    }

    /// The member of the destination's config that says where, and its value.
    pub(super) fn place(&self) -> (&'static str, &str) {
        match self {
            Self::Http(url, _) => ("url", url),
            Self::Cli(path) => ("path", path),
        }
    }
}

/// The filter passes only the types that the function handles. The exponential schedule from 30 s with
/// 13 retries spans 2.8 days, within the shortest time that Hookdeck keeps events. There is no list of
/// statuses, because an event that fails with another status would be lost; and no deduplication,
/// because it would drop an event that is sent again after a failure.
pub(super) fn rules() -> [Value; 2] {
    [
        json!({ "type": "filter", "body": { "type": { "$in": ["user.created", "user.deleted"] } } }),
        json!({ "type": "retry", "strategy": "exponential", "interval": 30_000, "count": 13 }),
    ]
}

/// Whether a timeout of the destination is long enough for the function.
pub(super) fn is_long_enough(timeout: &Value) -> bool {
    timeout.as_u64().is_none_or(|seconds| seconds >= MIN_TIMEOUT_SECONDS)
}

impl Desired {
    pub(super) async fn read_actual(&self, client: &Client) -> Result<Actual, ApiError> {
        Actual::read(client, &self.source, &self.name, self.secret.as_ref()).await
    }

    /// What has a desired name already, and cannot be changed into the desired state.
    pub(super) fn conflict(&self, actual: &Actual) -> Option<String> {
        let Self { source, name, target, .. } = self;
        let kind = |it: &Model| {
            let kind = it.value["type"].as_str().unwrap_or_default().to_owned();
            let is_word =
                kind.bytes().all(|it| it.is_ascii_uppercase() || b"_0123456789".contains(&it));
            if is_word && kind.len() < 50 { kind } else { "another".to_owned() }
        };
        if let Some(kind) = actual.source.as_ref().map(kind).filter(|kind| kind != "SVIX") {
            return Some(format!(
                "the source {source} exists, of type {kind}, and Clerk needs one of type SVIX. Rename \
                 or delete it in Hookdeck, or choose another name with --source"
            ));
        }
        let desired = target.kind();
        if let Some(kind) = actual.destination.as_ref().map(kind).filter(|kind| kind != desired) {
            return Some(format!(
                "the destination {name} exists, of type {kind}, and it must be {desired}. Rename or \
                 delete it in Hookdeck, or choose another name with --name"
            ));
        }
        // Hookdeck does not document what the upsert would do with it (trap 4).
        actual.namesakes.first().map(|it| {
            let end =
                |end: &str| Model { id: "?".to_owned(), value: it.value[end].clone() }.shown_name();
            format!(
                "the connection {name} exists, from the source {} to the destination {}. Rename or \
                 delete it in Hookdeck, or choose another name with --name",
                end("source"),
                end("destination"),
            )
        })
    }

    /// The body of `PUT /connections`. It has every desired member, and repeats the members that the
    /// operator may have set, so that it does not matter whether Hookdeck keeps a member that is
    /// missing.
    pub(super) fn request(&self, actual: &Actual) -> Value {
        let mut request = json!({
            "name": self.name,
            "destination": self.destination(actual.destination.as_ref()),
            "rules": rules(),
        });
        keep(&mut request, actual.connection.as_ref().map(|it| &it.value), &["description"]);
        match (&actual.source, &self.secret) {
            // An inline source without its secret would lose it (trap 2).
            (Some(source), None) => request["source_id"] = source.id.clone().into(),
            (source, secret) => {
                request["source"] = self.source(source.as_ref(), secret.as_ref());
            }
        }
        request
    }

    fn source(&self, actual: Option<&Model>, secret: Option<&SecretString>) -> Value {
        let mut source = json!({ "name": self.source, "type": "SVIX" });
        if let Some(secret) = secret {
            let secret = secret.expose_secret();
            source["config"] = json!({ "auth": { "webhook_secret_key": secret } });
            let config = actual.map(|it| &it.value["config"]);
            keep(&mut source["config"], config, &["allowed_http_methods", "custom_response"]);
        }
        keep(&mut source, actual.map(|it| &it.value), &["description"]);
        source
    }

    fn destination(&self, actual: Option<&Model>) -> Value {
        let (place, value) = self.target.place();
        // `auth_type` without `auth` is refused (trap 3).
        let mut config = json!({
            place: value,
            "path_forwarding_disabled": true,
            "auth_type": "HOOKDECK_SIGNATURE",
            "auth": {},
        });
        // Only an HTTP destination has one.
        if let Target::Http(_, policy) = self.target {
            config["delivery_policy"] = json!(policy);
        }
        if let Some(actual) = actual {
            if !actual.config("delivery_policy")["groups"].is_null() {
                config["delivery_policy"]["groups"] = Value::Null;
            }
            let method = actual.config("http_method");
            if !method.is_null() {
                config["http_method"] = if method == "POST" { method.clone() } else { Value::Null };
            }
            let timeout = actual.config("delivery_timeout");
            if !timeout.is_null() {
                let timeout = Some(timeout).filter(|it| is_long_enough(it));
                config["delivery_timeout"] = timeout.cloned().unwrap_or_default();
            }
        }
        let (name, kind) = (&self.name, self.target.kind());
        let mut destination = json!({ "name": name, "type": kind, "config": config });
        keep(&mut destination, actual.map(|it| &it.value), &["description"]);
        destination
    }
}

/// Copies the members that have a value.
fn keep(into: &mut Value, from: Option<&Value>, names: &[&str]) {
    let from: Option<&Map<_, _>> = from.and_then(Value::as_object);
    for name in names {
        if let Some(value) = from.and_then(|from| from.get(*name)).filter(|it| !it.is_null()) {
            into[*name] = value.clone();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_terraform_configuration_of_the_docs_is_the_desired_state() {
        let docs = include_str!("../../../../../docs/deploy.md");
        let (_, rest) = docs.split_once("```hcl").expect("a block");
        let (hcl, _) = rest.split_once("```").expect("its end");
        let hcl: String = hcl.split_whitespace().collect();
        let target = Target::Http("var.function_url".to_owned(), DeliveryPolicy::DEFAULT);
        let desired =
            Desired { source: "clerk".into(), name: "per-user-db".into(), target, secret: None };
        let destination = desired.destination(None);
        let [filter, retry] = rules();
        let objects = [&destination["config"], &destination["config"]["delivery_policy"], &retry];
        for (name, value) in objects.iter().flat_map(|it| it.as_object().expect("an object")) {
            let value = match (name.as_str(), value) {
                ("type", _) | (_, Value::Object(_)) => continue,
                ("url", _) => "var.function_url".to_owned(),
                (_, value) => value.to_string(),
            };
            assert!(hcl.contains(&format!("{name}={value}")), "{name}={value}");
        }
        let types = filter["body"]["type"]["$in"].to_string();
        assert!(hcl.contains(&format!(r#"type={{"$in"={types}}}"#)), "{types}");
    }
}

//! What a body may contain: unknown members are dropped, known ones must have their form.

use serde_json::{Map, Value, json};

use super::options::OLD_VERSION;
use crate::service::ErrorResponse;

pub(super) type Object = Map<String, Value>;

/// A member of an object, and its form. A member that is null counts as absent.
type Member = (&'static str, Form);

pub(super) enum Form {
    Is(fn(&Value) -> bool),
    OneOf(&'static [&'static str]),
    Whole(u64, u64),
    Members(&'static [Member]),
}

const ANY: Form = Form::Is(|_| true);
const OBJECT: Form = Form::Is(Value::is_object);
const TEXT: Form = Form::Is(Value::is_string);
const NAME: Form = Form::Is(is_name);
const DESCRIPTION: Form = Form::Is(|it| it.as_str().is_some_and(|text| text.len() <= 500));
const METHODS: &[&str] = &["POST", "PUT", "PATCH", "DELETE", "GET"];
const PERIOD: Form = Form::OneOf(&["second", "minute", "hour", "concurrent"]);

pub(super) const CONNECTION: &[Member] = &[
    ("name", NAME),
    ("description", DESCRIPTION),
    ("source", OBJECT),
    ("source_id", TEXT),
    ("destination", OBJECT),
    ("destination_id", TEXT),
    ("rules", Form::Is(Value::is_array)),
];

/// Of the service's many types these are known; it has none for Clerk.
pub(super) const SOURCE: &[Member] = &[
    ("name", NAME),
    ("description", DESCRIPTION),
    ("type", Form::OneOf(&["WEBHOOK", "SVIX", "PUBLISH_API", "HTTP"])),
    ("config", Form::Members(SOURCE_CONFIG)),
];

const SOURCE_CONFIG: &[Member] = &[
    ("auth", OBJECT),
    ("auth_type", TEXT),
    ("allowed_http_methods", Form::Is(is_list_of_methods)),
    (
        "custom_response",
        Form::Members(&[("content_type", Form::OneOf(&["json", "text", "xml"])), ("body", ANY)]),
    ),
];

pub(super) const DESTINATION: &[Member] = &[
    ("name", NAME),
    ("description", DESCRIPTION),
    ("type", Form::OneOf(&["HTTP", "CLI", "MOCK_API"])),
    ("config", Form::Members(DESTINATION_CONFIG)),
];

const DESTINATION_CONFIG: &[Member] = &[
    ("url", Form::Is(is_url)),
    ("path", TEXT),
    ("path_forwarding_disabled", Form::Is(Value::is_boolean)),
    ("http_method", Form::OneOf(METHODS)),
    ("auth_type", Form::OneOf(AUTH_TYPES)),
    ("auth", OBJECT),
    ("delivery_timeout", Form::Whole(1, 900)),
    ("rate_limit", Form::Whole(1, u64::MAX)),
    ("rate_limit_period", PERIOD),
    (
        "delivery_policy",
        Form::Members(&[("rate", Form::Whole(1, u64::MAX)), ("period", PERIOD), ("groups", ANY)]),
    ),
];

const AUTH_TYPES: &[&str] = &[
    "HOOKDECK_SIGNATURE",
    "CUSTOM_SIGNATURE",
    "BASIC_AUTH",
    "API_KEY",
    "BEARER_TOKEN",
    "OAUTH2_CLIENT_CREDENTIALS",
    "OAUTH2_AUTHORIZATION_CODE",
    "AWS_SIGNATURE",
    "GCP_SERVICE_ACCOUNT",
];

/// Every type of rule with its members, and those that are required.
const RULES: [(&str, &[Member], &[&str]); 5] = [
    (
        "retry",
        &[
            ("type", TEXT),
            ("strategy", Form::OneOf(&["linear", "exponential"])),
            ("interval", Form::Whole(0, u64::MAX)),
            ("count", Form::Whole(0, u64::MAX)),
            ("response_status_codes", Form::Is(is_list_of_codes)),
        ],
        &["strategy"],
    ),
    (
        "filter",
        &[("type", TEXT), ("headers", ANY), ("body", ANY), ("query", ANY), ("path", ANY)],
        &[],
    ),
    ("transform", &[("type", TEXT), ("transformation_id", ANY), ("transformation", ANY)], &[]),
    ("delay", &[("type", TEXT), ("delay", ANY)], &["delay"]),
    (
        "deduplicate",
        &[
            ("type", TEXT),
            ("window", Form::Whole(1000, 3_600_000)),
            ("include_fields", ANY),
            ("exclude_fields", ANY),
        ],
        &["window"],
    ),
];

pub(super) fn refuse<T>(message: impl Into<String>) -> Result<T, ErrorResponse> {
    Err(ErrorResponse::unprocessable(message))
}

/// The members of an object that are known. The service drops others without a word ("Upsert traps", 11).
pub(super) fn object(value: &Value, at: &str, members: &[Member]) -> Result<Object, ErrorResponse> {
    let Some(given) = value.as_object() else { return refuse(format!("{at} must be an object")) };
    let mut object = Object::new();
    for (name, form) in members {
        let Some(value) = given.get(*name) else { continue };
        let at = format!("{at}.{name}");
        let mut value = value.clone();
        let has_form = match form {
            _ if value.is_null() => true,
            Form::Is(test) => test(&value),
            Form::OneOf(texts) => value.as_str().is_some_and(|text| texts.contains(&text)),
            Form::Whole(least, most) => {
                value.as_u64().is_some_and(|n| (*least..=*most).contains(&n))
            }
            Form::Members(members) => {
                value = self::object(&value, &at, members)?.into();
                true
            }
        };
        if !has_form {
            return refuse(format!("{at} is not valid"));
        }
        object.insert((*name).to_owned(), value);
    }
    Ok(object)
}

/// An object that has a name, too.
pub(super) fn named(
    value: &Value,
    at: &str,
    members: &[Member],
) -> Result<(Object, String), ErrorResponse> {
    let object = object(value, at, members)?;
    match text(&object, "name").map(str::to_owned) {
        Some(name) => Ok((object, name)),
        None => refuse(format!("{at}.name is required")),
    }
}

/// A member, unless it is absent or null.
pub(super) fn given<'a>(object: &'a Object, name: &str) -> Option<&'a Value> {
    object.get(name).filter(|value| !value.is_null())
}

pub(super) fn text<'a>(object: &'a Object, name: &str) -> Option<&'a str> {
    object.get(name).and_then(Value::as_str)
}

/// The config of a source of this type.
pub(super) fn source_config(kind: &str, source: &Object) -> Result<Object, ErrorResponse> {
    let mut config = config(source);
    if kind == "SVIX" {
        config.remove("auth_type");
    }
    let is_svix = kind == "SVIX" || text(&config, "auth_type") == Some("SVIX");
    if let (true, Some(auth)) = (is_svix, given(&config, "auth")) {
        let auth = object(auth, "source.config.auth", &[("webhook_secret_key", TEXT)])?;
        if text(&auth, "webhook_secret_key").is_none() {
            return refuse("source.config.auth.webhook_secret_key is required");
        }
    }
    Ok(config)
}

/// The config of a destination of this type. A CLI destination has no rate.
pub(super) fn destination_config(
    kind: &str,
    destination: &Object,
    version: &str,
    unknown: &[&str],
) -> Result<Object, ErrorResponse> {
    let mut config = config(destination);
    let (required, of_other_types): (_, &[&str]) = match kind {
        "HTTP" => (Some("url"), &["path"]),
        "CLI" => (Some("path"), &["url", "rate_limit", "rate_limit_period", "delivery_policy"]),
        _ => (None, &["url", "path"]),
    };
    let of_other_version = match version {
        OLD_VERSION => ["delivery_timeout", "delivery_policy"],
        _ => ["rate_limit", "rate_limit_period"],
    };
    for name in of_other_types.iter().chain(&of_other_version).chain(unknown) {
        config.remove(*name);
    }
    if let Some(name) = required.filter(|name| given(&config, name).is_none()) {
        return refuse(format!("destination.config.{name} is required"));
    }
    if given(&config, "auth_type").is_some() != given(&config, "auth").is_some() {
        return refuse("destination.config needs both auth_type and auth, or neither");
    }
    Ok(config)
}

fn config(endpoint: &Object) -> Object {
    endpoint.get("config").and_then(Value::as_object).cloned().unwrap_or_default()
}

pub(super) fn rules(rules: &Value) -> Result<Vec<Value>, ErrorResponse> {
    let rules = rules.as_array().into_iter().flatten();
    rules.map(rule).collect()
}

fn rule(rule: &Value) -> Result<Value, ErrorResponse> {
    let kind = rule["type"].as_str().unwrap_or_default();
    let Some((_, members, required)) = RULES.iter().find(|(known, ..)| *known == kind) else {
        return refuse("rules: a rule has an unknown type");
    };
    let rule = object(rule, &format!("rules.{kind}"), members)?;
    if let Some(name) = required.iter().find(|name| given(&rule, name).is_none()) {
        return refuse(format!("rules.{kind}.{name} is required"));
    }
    if given(&rule, "include_fields").is_some() && given(&rule, "exclude_fields").is_some() {
        return refuse(format!("rules.{kind} has both kinds of fields"));
    }
    Ok(rule.into())
}

/// A rule with every member that may be null.
pub(super) fn spelled_out(rule: &Value) -> Value {
    let optional: &[&str] = match rule["type"].as_str() {
        Some("retry") => &["interval", "count", "response_status_codes"],
        Some("filter") => &["headers", "body", "query", "path"],
        _ => &[],
    };
    let mut whole = json!({});
    for name in optional {
        whole[*name] = Value::Null;
    }
    for (name, value) in rule.as_object().into_iter().flatten() {
        whole[name] = value.clone();
    }
    whole
}

/// The pattern is `^[A-z0-9-_]+$`, which allows the characters between `Z` and `a`, too.
fn is_name(value: &Value) -> bool {
    let is_allowed = |byte: u8| matches!(byte, b'A'..=b'z' | b'0'..=b'9' | b'-');
    value
        .as_str()
        .is_some_and(|name| (1..=155).contains(&name.len()) && name.bytes().all(is_allowed))
}

fn is_url(value: &Value) -> bool {
    value.as_str().is_some_and(|url| url.starts_with("https://") || url.starts_with("http://"))
}

/// A source cannot be restricted to GET.
fn is_list_of_methods(value: &Value) -> bool {
    let is_method = |it: &Value| it.as_str().is_some_and(|it| it != "GET" && METHODS.contains(&it));
    value.as_array().is_some_and(|methods| methods.iter().all(is_method))
}

fn is_list_of_codes(value: &Value) -> bool {
    let is_code = |it: &Value| it.as_str().is_some_and(is_code);
    value.as_array().is_some_and(|it| (1..=10).contains(&it.len()) && it.iter().all(is_code))
}

/// `^(?:([2-5]\d{2})-([2-5]\d{2})|([><=]{1,2})([2-5]\d{2})|!?([2-5]\d{2}))$`
fn is_code(text: &str) -> bool {
    let is_status = |text: &str| {
        text.len() == 3
            && text.bytes().all(|byte| byte.is_ascii_digit())
            && matches!(text.as_bytes()[0], b'2'..=b'5')
    };
    if let Some((low, high)) = text.split_once('-') {
        return is_status(low) && is_status(high);
    }
    let status = text.trim_start_matches(['>', '<', '=']);
    match text.len() - status.len() {
        0 => is_status(status.strip_prefix('!').unwrap_or(status)),
        1 | 2 => is_status(status),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_listed_in_the_forms_of_the_pattern_only() {
        for good in ["500", "!501", "500-599", ">=500", "<300", "==404"] {
            assert!(is_code(good), "{good}");
        }
        for bad in ["", "99", "600", "5xx", "!!500", "!500-599", "500-", ">>=500", "!>500"] {
            assert!(!is_code(bad), "{bad}");
        }
    }
}

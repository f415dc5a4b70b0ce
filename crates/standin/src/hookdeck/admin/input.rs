//! What a body may hold: unknown members are refused, known ones must have their form (section 8).

use serde_json::{Map, Value};

use super::OLD_VERSION;
use crate::service::ErrorResponse;

pub(super) type Object = Map<String, Value>;

const LONGEST_NAME: usize = 155;
const LONGEST_DESCRIPTION: usize = 500;
/// Of the many types the contract names these; there is none for Clerk.
const SOURCE_TYPES: [&str; 4] = ["WEBHOOK", "SVIX", "PUBLISH_API", "HTTP"];
const DESTINATION_TYPES: [&str; 3] = ["HTTP", "CLI", "MOCK_API"];
const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];
const AUTH_TYPES: [&str; 9] = [
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
const PERIODS: [&str; 4] = ["second", "minute", "hour", "concurrent"];

pub(super) fn refuse<T>(message: impl Into<String>) -> Result<T, ErrorResponse> {
    Err(ErrorResponse::unprocessable(message))
}

/// An object that has these members at most.
pub(super) fn object<'a>(
    value: &'a Value,
    at: &str,
    members: &[&str],
) -> Result<&'a Object, ErrorResponse> {
    let Some(object) = value.as_object() else { return refuse(format!("{at} must be an object")) };
    match object.keys().find(|name| !members.contains(&name.as_str())) {
        Some(name) => refuse(format!("{at}.{name} is not allowed")),
        None => Ok(object),
    }
}

/// A member, unless it is absent or null.
pub(super) fn given<'a>(object: &'a Object, name: &str) -> Option<&'a Value> {
    object.get(name).filter(|value| !value.is_null())
}

/// A member that must be one of these texts, if it is given.
pub(super) fn one_of(
    object: &Object,
    at: &str,
    name: &str,
    texts: &[&str],
) -> Result<(), ErrorResponse> {
    match given(object, name) {
        Some(value) if !value.as_str().is_some_and(|text| texts.contains(&text)) => {
            refuse(format!("{at}.{name} must be one of {}", texts.join(", ")))
        }
        _ => Ok(()),
    }
}

/// A member that must be a whole number in this range, if it is given.
pub(super) fn whole(
    object: &Object,
    at: &str,
    name: &str,
    range: std::ops::RangeInclusive<u64>,
) -> Result<(), ErrorResponse> {
    match given(object, name) {
        Some(value) if !value.as_u64().is_some_and(|number| range.contains(&number)) => {
            refuse(format!("{at}.{name} must be a whole number in {range:?}"))
        }
        _ => Ok(()),
    }
}

/// A name, by the pattern `^[A-z0-9-_]+$`, which lets a few signs between `Z` and `a` through.
pub(super) fn name<'a>(object: &'a Object, at: &str) -> Result<&'a str, ErrorResponse> {
    let is_allowed = |byte: u8| matches!(byte, b'A'..=b'z' | b'0'..=b'9' | b'-');
    let name = object.get("name").and_then(Value::as_str).unwrap_or_default();
    let is_good = !name.is_empty() && name.len() <= LONGEST_NAME && name.bytes().all(is_allowed);
    if is_good { Ok(name) } else { refuse(format!("{at}.name is missing or not allowed")) }
}

pub(super) fn description(object: &Object, at: &str) -> Result<(), ErrorResponse> {
    match given(object, "description") {
        Some(Value::String(text)) if text.len() <= LONGEST_DESCRIPTION => Ok(()),
        None => Ok(()),
        Some(_) => refuse(format!("{at}.description is not a text of at most 500")),
    }
}

/// The type of a source; without one it is a `WEBHOOK`, even where it was another (trap 2).
pub(super) fn source_type(source: &Object) -> Result<&str, ErrorResponse> {
    one_of(source, "source", "type", &SOURCE_TYPES)?;
    Ok(given(source, "type").and_then(Value::as_str).unwrap_or("WEBHOOK"))
}

pub(super) fn destination_type(destination: &Object) -> Result<Option<&str>, ErrorResponse> {
    one_of(destination, "destination", "type", &DESTINATION_TYPES)?;
    Ok(given(destination, "type").and_then(Value::as_str))
}

/// The config of a source of this type.
pub(super) fn source_config(kind: &str, config: &Value) -> Result<Object, ErrorResponse> {
    const AT: &str = "source.config";
    let common = ["auth", "allowed_http_methods", "custom_response"];
    let members: &[&str] = if kind == "SVIX" {
        &common
    } else {
        &["auth", "allowed_http_methods", "custom_response", "auth_type"]
    };
    let config = object(config, AT, members)?;
    if let Some(auth) = given(config, "auth") {
        let is_svix = kind == "SVIX" || config.get("auth_type") == Some(&"SVIX".into());
        if is_svix {
            let auth = object(auth, "source.config.auth", &["webhook_secret_key"])?;
            if !auth.get("webhook_secret_key").is_some_and(Value::is_string) {
                return refuse("source.config.auth.webhook_secret_key must be a text");
            }
        } else if !auth.is_object() {
            return refuse("source.config.auth must be an object");
        }
    }
    if let Some(methods) = given(config, "allowed_http_methods") {
        let is_method = |it: &Value| it.as_str().is_some_and(|it| METHODS[1..].contains(&it));
        if !methods.as_array().is_some_and(|methods| methods.iter().all(is_method)) {
            return refuse("source.config.allowed_http_methods must be a list of methods");
        }
    }
    if let Some(response) = given(config, "custom_response") {
        let response =
            object(response, "source.config.custom_response", &["content_type", "body"])?;
        one_of(response, AT, "content_type", &["json", "text", "xml"])?;
    }
    Ok(config.clone())
}

/// The config of a destination of this type.
pub(super) fn destination_config(
    kind: &str,
    config: &Value,
    version: &str,
) -> Result<Object, ErrorResponse> {
    const AT: &str = "destination.config";
    let mut members = vec!["path_forwarding_disabled", "http_method", "auth_type", "auth"];
    let is_old = version == OLD_VERSION;
    members.extend(match kind {
        "HTTP" => Some("url"),
        "CLI" => Some("path"),
        _ => None,
    });
    if !is_old {
        members.push("delivery_timeout");
    }
    // Never for a CLI destination (section 5).
    match (kind, is_old) {
        ("CLI", _) => {}
        (_, true) => members.extend(["rate_limit", "rate_limit_period"]),
        (_, false) => members.push("delivery_policy"),
    }
    let config = object(config, AT, &members)?;
    let place = match kind {
        "HTTP" => Some("url"),
        "CLI" => Some("path"),
        _ => None,
    };
    if let Some(place) = place.filter(|place| !config.get(*place).is_some_and(Value::is_string)) {
        return refuse(format!("{AT}.{place} is required"));
    }
    let is_url = |text: &str| text.starts_with("https://") || text.starts_with("http://");
    if given(config, "url").and_then(Value::as_str).is_some_and(|url| !is_url(url)) {
        return refuse(format!("{AT}.url must be a URL"));
    }
    if given(config, "path_forwarding_disabled").is_some_and(|flag| !flag.is_boolean()) {
        return refuse(format!("{AT}.path_forwarding_disabled must be true or false"));
    }
    one_of(config, AT, "http_method", &METHODS)?;
    one_of(config, AT, "auth_type", &AUTH_TYPES)?;
    whole(config, AT, "delivery_timeout", 1..=900)?;
    whole(config, AT, "rate_limit", 1..=u64::MAX)?;
    one_of(config, AT, "rate_limit_period", &PERIODS)?;
    if let Some(policy) = given(config, "delivery_policy") {
        let at = "destination.config.delivery_policy";
        let policy = object(policy, at, &["rate", "period", "groups"])?;
        whole(policy, at, "rate", 1..=u64::MAX)?;
        one_of(policy, at, "period", &PERIODS)?;
    }
    match (given(config, "auth_type"), given(config, "auth")) {
        (Some(_), None) => refuse(format!("{AT}.auth is required")),
        (None, Some(_)) => refuse(format!("{AT}.auth_type is required")),
        (_, Some(auth)) if !auth.is_object() => refuse(format!("{AT}.auth must be an object")),
        _ => Ok(config.clone()),
    }
}

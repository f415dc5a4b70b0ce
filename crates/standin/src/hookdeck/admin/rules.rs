//! What the rules of a connection may be (sections 4, 5 and 8).

use serde_json::{Value, json};

use super::input::{given, object, one_of, refuse, whole};
use crate::service::ErrorResponse;

/// Every type of rule, with its members.
const RULES: [(&str, &[&str]); 5] = [
    ("retry", &["type", "strategy", "interval", "count", "response_status_codes"]),
    ("filter", &["type", "headers", "body", "query", "path"]),
    ("transform", &["type", "transformation_id", "transformation"]),
    ("delay", &["type", "delay"]),
    ("deduplicate", &["type", "window", "include_fields", "exclude_fields"]),
];
const MOST_CODES: usize = 10;

pub(super) fn rules(value: &Value) -> Result<Vec<Value>, ErrorResponse> {
    let Some(rules) = value.as_array() else { return refuse("rules must be a list") };
    rules.iter().map(rule).collect()
}

fn rule(rule: &Value) -> Result<Value, ErrorResponse> {
    let kind = rule["type"].as_str().unwrap_or_default();
    let Some((_, members)) = RULES.iter().find(|(known, _)| *known == kind) else {
        return refuse("rules: a rule has an unknown type");
    };
    let at = &format!("rules.{kind}");
    let given_rule = object(rule, at, members)?;
    match kind {
        "retry" => {
            one_of(given_rule, at, "strategy", &["linear", "exponential"])?;
            whole(given_rule, at, "interval", 0..=u64::MAX)?;
            whole(given_rule, at, "count", 0..=u64::MAX)?;
            if given(given_rule, "strategy").is_none() {
                return refuse(format!("{at}.strategy is required"));
            }
            if let Some(codes) = given(given_rule, "response_status_codes") {
                let is_code = |it: &Value| it.as_str().is_some_and(is_code);
                let codes = codes.as_array().filter(|codes| codes.iter().all(is_code));
                if !codes.is_some_and(|codes| (1..=MOST_CODES).contains(&codes.len())) {
                    return refuse(format!("{at}.response_status_codes cannot be read"));
                }
            }
        }
        "delay" if given(given_rule, "delay").is_none() => {
            return refuse(format!("{at}.delay is required"));
        }
        "deduplicate" => {
            whole(given_rule, at, "window", 1000..=3_600_000)?;
            if given(given_rule, "window").is_none() {
                return refuse(format!("{at}.window is required"));
            }
            let fields = ["include_fields", "exclude_fields"];
            if fields.iter().all(|name| given(given_rule, name).is_some()) {
                return refuse(format!("{at} has both kinds of fields"));
            }
        }
        _ => {}
    }
    Ok(rule.clone())
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

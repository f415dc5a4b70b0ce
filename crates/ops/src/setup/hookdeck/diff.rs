//! The differences between the actual and the desired state, and why each matters.

use serde::Serialize;
use serde_json::{Value, json};
use url::Url;

use super::actual::{Actual, Model, Secret};
use super::desired::{self, Desired, Target};

/// One difference, in words.
#[derive(Clone, Serialize)]
pub(super) struct Difference {
    pub(super) what: String,
    pub(super) now: String,
    pub(super) becomes: String,
    pub(super) why: &'static str,
}

/// All differences.
pub(super) struct Diff {
    pub(super) differences: Vec<Difference>,
    /// Whether Hookdeck hides the secret, which may differ.
    pub(super) is_secret_hidden: bool,
}

impl Diff {
    pub(super) fn new(desired: &Desired, actual: &Actual) -> Self {
        let is_secret_hidden = actual.secret == Secret::Hidden;
        let mut diff = Self { differences: Vec::new(), is_secret_hidden };
        diff.source(desired, actual);
        diff.destination(desired, actual.destination.as_ref());
        diff.connection(desired, actual.connection.as_ref());
        diff
    }

    pub(super) fn needs_no_request(&self) -> bool {
        self.differences.is_empty() && !self.is_secret_hidden
    }

    fn add(
        &mut self,
        what: impl Into<String>,
        now: impl Into<String>,
        becomes: impl Into<String>,
        why: &'static str,
    ) {
        let (what, now, becomes) = (what.into(), now.into(), becomes.into());
        self.differences.push(Difference { what, now, becomes, why });
    }

    fn source(&mut self, desired: &Desired, actual: &Actual) {
        let what = format!("source {}", desired.source);
        let secret = format!("{what}: secret");
        let why = "without it, Hookdeck accepts and signs events of any sender";
        match &actual.source {
            None => self.add(&what, "–", "of type SVIX", "Clerk's webhooks are Svix's"),
            Some(source) => self.disabled(&what, source),
        }
        match (actual.secret, &desired.secret) {
            (Secret::Missing, Some(_)) => self.add(secret, "–", "yours", why),
            (Secret::Different, _) => {
                self.add(
                    secret,
                    "another",
                    "yours",
                    "Hookdeck drops every event that Clerk signs with the other one",
                );
            }
            _ => {}
        }
    }

    fn destination(&mut self, desired: &Desired, actual: Option<&Model>) {
        let what = format!("destination {}", desired.name);
        let (place, target) = desired.target.place();
        let Some(actual) = actual else {
            let becomes = match &desired.target {
                Target::Http(url, policy) => {
                    format!("{url}, signed, {}", policy_shown(&json!(policy)))
                }
                Target::Cli(path) => format!("{path} of this machine, signed"),
            };
            return self.add(what, "–", becomes, "where deliveries go");
        };
        self.disabled(&what, actual);
        let of = |member: &str| format!("{what}: {member}");
        let now = actual.config(place).as_str().unwrap_or_default();
        if !is_same_place(now, target) {
            self.add(of(place), place_shown(now), target, "where deliveries go");
        }
        if actual.config("path_forwarding_disabled") != true {
            let why = "the function answers 404 to an appended path";
            self.add(of("path forwarding"), "on", "off", why);
        }
        let auth = actual.config("auth_type");
        if auth != "HOOKDECK_SIGNATURE" {
            let why = "the function refuses deliveries without Hookdeck's signature";
            let now = if auth.is_null() { "–" } else { "another" };
            self.add(of("authentication"), now, "Hookdeck signature", why);
        }
        if let Target::Http(_, policy) = desired.target {
            let (now, wanted) = (actual.config("delivery_policy"), json!(policy));
            if !same_members(now, &wanted) {
                let why = "Xata refuses creates at the same time; --delivery sets another pace";
                self.add(of("deliveries"), policy_shown(now), policy_shown(&wanted), why);
            }
        }
        let method = actual.config("http_method");
        if !method.is_null() && method != "POST" {
            let why = "the function answers 405 to all but POST";
            self.add(of("method"), "another", "POST, as it came", why);
        }
        let timeout = actual.config("delivery_timeout");
        if !desired::is_long_enough(timeout) {
            let now = format!("{timeout} s");
            self.add(of("timeout"), now, "60 s", "the function may take 55 s");
        }
    }

    fn connection(&mut self, desired: &Desired, actual: Option<&Model>) {
        let what = format!("connection {}", desired.name);
        let Some(actual) = actual else {
            let becomes =
                format!("{} → {}, a filter and a retry rule", desired.source, desired.name);
            return self.add(what, "–", becomes, "what connects the two");
        };
        self.disabled(&what, actual);
        let nothing = Vec::new();
        let mut stored: Vec<&Value> =
            actual.value["rules"].as_array().unwrap_or(&nothing).iter().collect();
        for rule in desired::rules() {
            let kind = rule["type"].as_str().unwrap_or_default();
            let of_kind: Vec<_> = stored.iter().filter(|it| it["type"] == kind).copied().collect();
            stored.retain(|it| it["type"] != kind);
            if of_kind.len() == 1 && same_members(of_kind[0], &rule) {
                continue;
            }
            let now = match of_kind[..] {
                [] => "–".to_owned(),
                [rule] => shown(rule),
                _ => "several".to_owned(),
            };
            let why = if kind == "filter" {
                "the function handles these two"
            } else {
                why_retry(&of_kind)
            };
            self.add(format!("{what}: {kind} rule"), now, shown(&rule), why);
        }
        for rule in stored {
            let (kind, why) = match rule["type"].as_str() {
                Some("transform") => (
                    "transform",
                    "it rewrites the signed bytes, so Clerk's signature does not match",
                ),
                Some("deduplicate") => {
                    ("deduplicate", "it drops an event that is sent again after a failure")
                }
                Some("delay") => ("delay", "the user has no database during the delay"),
                _ => ("unknown", "this tool does not know it"),
            };
            self.add(format!("{what}: {kind} rule"), shown(rule), "–", why);
        }
    }

    fn disabled(&mut self, what: &str, actual: &Model) {
        if actual.is_disabled() {
            self.add(what, "disabled", "enabled", "nothing is delivered while it is disabled");
        }
    }
}

/// A delivery policy in words.
fn policy_shown(policy: &Value) -> String {
    match (policy["rate"].as_u64(), policy["period"].as_str()) {
        _ if !policy["groups"].is_null() => "in groups".to_owned(),
        (Some(rate), Some("concurrent")) => format!("{rate} at a time"),
        (Some(rate), Some(period @ ("second" | "minute"))) => format!("{rate} a {period}"),
        (Some(rate), Some("hour")) => format!("{rate} an hour"),
        _ => "unlimited".to_owned(),
    }
}

fn why_retry(actual: &[&Value]) -> &'static str {
    match actual {
        [] => "without it, an event that fails once is lost",
        [rule] if !rule["response_status_codes"].is_null() => {
            "an event that fails with a status that is not listed is lost"
        }
        _ => "events outlast an outage of up to 2.8 days",
    }
}

/// A rule in words, without values that may be secret.
fn shown(rule: &Value) -> String {
    match rule["type"].as_str() {
        Some("retry") => {
            let strategy = if rule["strategy"] == "linear" { "linear" } else { "exponential" };
            let seconds = match rule["interval"].as_u64() {
                Some(milliseconds) => format!("from {} s", milliseconds / 1000),
                None => "from an unknown delay".to_owned(),
            };
            let count = rule["count"].as_u64().map_or("some".to_owned(), |it| it.to_string());
            let listed = rule["response_status_codes"].as_array().map_or(0, Vec::len);
            let listed = if listed > 0 { ", listed statuses only" } else { "" };
            format!("{strategy} {seconds}, {count} times{listed}")
        }
        Some("filter") if same_members(rule, &desired::rules()[0]) => {
            "type is user.created or user.deleted".to_owned()
        }
        Some("filter") => "another".to_owned(),
        Some("delay") => match rule["delay"].as_u64() {
            Some(milliseconds) => format!("{milliseconds} ms"),
            None => "exists".to_owned(),
        },
        _ => "exists".to_owned(),
    }
}

/// Whether two objects have the same members. Null equals absent.
fn same_members(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => one.keys().chain(other.keys()).all(|name| {
            let of = |object: &serde_json::Map<_, _>| object.get(name).cloned().unwrap_or_default();
            same_members(&of(one), &of(other))
        }),
        _ => one == other,
    }
}

/// Whether two URLs or two paths are the same place.
fn is_same_place(one: &str, other: &str) -> bool {
    one == other || Url::parse(one).is_ok_and(|one| Url::parse(other) == Ok(one))
}

/// A place in the actual state, without parts that may be secret.
fn place_shown(text: &str) -> String {
    if text.starts_with('/') {
        return text.split('?').next().unwrap_or_default().to_owned();
    }
    let Ok(mut url) = Url::parse(text) else { return "another".to_owned() };
    url.set_query(None);
    url.set_fragment(None);
    match (url.set_username(""), url.set_password(None)) {
        (Ok(()), Ok(())) => url.to_string(),
        _ => "another".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use standin::hookdeck::matches;

    #[test]
    fn the_filter_passes_only_the_two_types_that_the_function_handles() {
        let [filter, _] = desired::rules();
        for (kind, passes) in [
            ("user.created", true),
            ("user.deleted", true),
            ("user.updated", false),
            ("user", false),
            ("session.created", false),
        ] {
            assert_eq!(matches(&filter["body"], &json!({ "type": kind })), passes, "{kind}");
        }
        assert!(!matches(&filter["body"], &json!({})));
    }

    #[test]
    fn the_retry_schedule_is_shorter_than_the_three_days_that_hookdeck_keeps_events() {
        let [_, retry] = desired::rules();
        let (first, count) = (retry["interval"].as_f64(), retry["count"].as_i64());
        let (first, count) = (first.expect("a delay"), count.expect("a count"));
        let days = first / 1000.0 * (2_f64.powi(count.try_into().expect("few")) - 1.0) / 86_400.0;
        assert!((2.8..3.0).contains(&days), "{days}");
        assert!(retry.get("response_status_codes").is_none());
    }

    #[test]
    fn a_null_member_equals_an_absent_one() {
        let rule = json!({ "type": "retry", "count": 13 });
        assert!(same_members(&rule, &json!({ "type": "retry", "count": 13, "codes": null })));
        assert!(!same_members(&rule, &json!({ "type": "retry", "count": 13, "codes": ["500"] })));
        assert!(!same_members(&rule, &json!({ "type": "retry" })));
    }

    #[test]
    fn places_are_compared_as_urls_and_shown_without_secrets() {
        assert!(is_same_place("https://A.example", "https://a.example/"));
        assert!(!is_same_place("https://a.example/", "https://a.example/x"));
        assert_eq!(place_shown("https://u:p@a.example:1/x?key=1"), "https://a.example:1/x");
    }
}

//! Where what is there and what is wanted differ, and why it matters.

use http::Uri;
use serde::Serialize;
use serde_json::Value;

use super::there::{Model, Secret, There};
use super::wish::{self, Target, Wish};

/// One thing that is not as wanted.
#[derive(Clone, Serialize)]
pub(super) struct Difference {
    what: String,
    now: String,
    becomes: String,
    why: &'static str,
}

/// What is to be done.
pub(super) struct Plan {
    pub(super) differences: Vec<Difference>,
    /// Nobody can see whether the source has the secret that is given.
    pub(super) is_secret_unseen: bool,
}

impl Plan {
    pub(super) fn new(wish: &Wish, there: &There) -> Self {
        let is_secret_unseen = there.secret == Secret::Unseen;
        let mut plan = Self { differences: Vec::new(), is_secret_unseen };
        plan.source(wish, there);
        plan.destination(wish, there.destination.as_ref());
        plan.connection(wish, there.connection.as_ref());
        plan
    }

    /// Whether no request is needed.
    pub(super) fn is_nothing(&self) -> bool {
        self.is_done() && !self.is_secret_unseen
    }

    /// Whether everything that can be seen is as wanted.
    pub(super) fn is_done(&self) -> bool {
        self.differences.is_empty()
    }

    fn note(
        &mut self,
        what: impl Into<String>,
        now: impl Into<String>,
        becomes: impl Into<String>,
        why: &'static str,
    ) {
        let (what, now, becomes) = (what.into(), now.into(), becomes.into());
        self.differences.push(Difference { what, now, becomes, why });
    }

    fn source(&mut self, wish: &Wish, there: &There) {
        let what = format!("source {}", wish.source);
        let secret = format!("{what}: secret");
        let checks = "without it, Hookdeck signs whatever anybody sends there";
        match &there.source {
            None => self.note(&what, "–", "of type SVIX", "Clerk's webhooks are Svix's"),
            Some(source) => self.disabled(&what, source),
        }
        match (there.secret, &wish.secret) {
            (Secret::Missing, Some(_)) => self.note(secret, "–", "yours", checks),
            (Secret::Different, _) => {
                self.note(
                    secret,
                    "another",
                    "yours",
                    "Hookdeck drops what the wrong one did not sign",
                );
            }
            _ => {}
        }
    }

    fn destination(&mut self, wish: &Wish, there: Option<&Model>) {
        let what = format!("destination {}", wish.name);
        let (place, wanted) = wish.target.place();
        let Some(there) = there else {
            let becomes = match &wish.target {
                Target::Http(url) => format!("{url}, signed, two at a time"),
                Target::Cli(path) => format!("{path} of this machine, signed"),
            };
            return self.note(what, "–", becomes, "where deliveries go");
        };
        self.disabled(&what, there);
        let of = |member: &str| format!("{what}: {member}");
        let now = there.config(place).as_str().unwrap_or_default();
        if !is_same_place(now, wanted) {
            self.note(of(place), place_shown(now), wanted, "where deliveries go");
        }
        let forwarding = there.config("path_forwarding_disabled");
        if forwarding != true {
            let why = "the function answers 404 to a path that is added";
            self.note(of("path forwarding"), "on", "off", why);
        }
        let auth = there.config("auth_type");
        if auth != "HOOKDECK_SIGNATURE" {
            let why = "the function refuses what Hookdeck did not sign";
            let now = if auth.is_null() { "–" } else { "another" };
            self.note(of("authentication"), now, "Hookdeck signature", why);
        }
        let policy = there.config("delivery_policy");
        let is_two = || same_members(policy, &wish::delivery_policy());
        if matches!(wish.target, Target::Http(_)) && !is_two() {
            let now = match (policy["rate"].as_u64(), policy["period"].as_str()) {
                _ if !policy["groups"].is_null() => "in groups".to_owned(),
                (Some(rate), Some("concurrent")) => format!("{rate} at a time"),
                (Some(rate), Some("second" | "minute" | "hour")) => {
                    format!("{rate} a {}", policy["period"].as_str().unwrap_or_default())
                }
                _ => "unlimited".to_owned(),
            };
            let why = "many at a time refuse each other at Xata";
            self.note(of("deliveries"), now, "2 at a time", why);
        }
        let method = there.config("http_method");
        if !method.is_null() && method != "POST" {
            let why = "the function answers 405 to all but POST";
            self.note(of("method"), "another", "as it came: POST", why);
        }
        let timeout = there.config("delivery_timeout");
        if !wish::is_long_enough(timeout) {
            let why = "the function may take 55 s";
            self.note(of("timeout"), format!("{timeout} s"), "60 s", why);
        }
    }

    fn connection(&mut self, wish: &Wish, there: Option<&Model>) {
        let what = format!("connection {}", wish.name);
        let Some(there) = there else {
            let becomes = format!("{} → {}, a filter and a retry rule", wish.source, wish.name);
            return self.note(what, "–", becomes, "what joins the two");
        };
        self.disabled(&what, there);
        let nothing = Vec::new();
        let mut stored: Vec<&Value> =
            there.value["rules"].as_array().unwrap_or(&nothing).iter().collect();
        for rule in wish::rules() {
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
            self.note(format!("{what}: {kind} rule"), now, shown(&rule), why);
        }
        for rule in stored {
            let (kind, why) = match rule["type"].as_str() {
                Some("transform") => {
                    ("transform", "it rewrites the bytes that are signed: Clerk's signature breaks")
                }
                Some("deduplicate") => {
                    ("deduplicate", "it swallows what is sent again after a failure")
                }
                Some("delay") => ("delay", "a sign-up that waits has no database meanwhile"),
                _ => ("unknown", "nobody here knows what it does"),
            };
            self.note(format!("{what}: {kind} rule"), shown(rule), "–", why);
        }
    }

    fn disabled(&mut self, what: &str, there: &Model) {
        if there.is_disabled() {
            self.note(what, "disabled", "enabled", "nothing is delivered meanwhile");
        }
    }
}

fn why_retry(there: &[&Value]) -> &'static str {
    match there {
        [] => "without it, an event that fails once is lost",
        [rule] if !rule["response_status_codes"].is_null() => {
            "an event that fails with a status that is not listed is lost"
        }
        _ => "an outage of up to 2.8 days is outlasted, and no event is given up before",
    }
}

/// A rule in words, without anything secret that may be in it.
fn shown(rule: &Value) -> String {
    match rule["type"].as_str() {
        Some("retry") => {
            let strategy = if rule["strategy"] == "linear" { "linear" } else { "exponential" };
            let seconds = match rule["interval"].as_u64() {
                Some(milliseconds) => format!("from {} s", milliseconds / 1000),
                None => "from nobody knows when".to_owned(),
            };
            let count = rule["count"].as_u64().map_or("some".to_owned(), |it| it.to_string());
            let listed = rule["response_status_codes"].as_array().map_or(0, Vec::len);
            let listed = if listed > 0 { ", listed statuses only" } else { "" };
            format!("{strategy} {seconds}, {count} times{listed}")
        }
        Some("filter") if same_members(rule, &wish::rules()[0]) => {
            "type is user.created or user.deleted".to_owned()
        }
        Some("filter") => "another".to_owned(),
        Some("delay") => match rule["delay"].as_u64() {
            Some(milliseconds) => format!("{milliseconds} ms"),
            None => "there".to_owned(),
        },
        _ => "there".to_owned(),
    }
}

/// Whether two objects have the same members; null is as good as absent.
fn same_members(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => one.keys().chain(other.keys()).all(|name| {
            let of = |object: &serde_json::Map<_, _>| object.get(name).cloned().unwrap_or_default();
            same_members(&of(one), &of(other))
        }),
        _ => one == other,
    }
}

/// Whether two URLs or two paths lead to the same place, however they are written.
fn is_same_place(one: &str, other: &str) -> bool {
    let parsed = |text: &str| text.parse::<Uri>().ok();
    one == other || parsed(one).is_some_and(|one| Some(one) == parsed(other))
}

/// A stored place, without what may be secret in it.
fn place_shown(text: &str) -> String {
    let Ok(uri) = text.parse::<Uri>() else { return "another".to_owned() };
    match (uri.host(), uri.path()) {
        (Some(host), path) => {
            let port = uri.port().map(|port| format!(":{port}")).unwrap_or_default();
            format!("{}://{host}{port}{path}", uri.scheme_str().unwrap_or_default())
        }
        (None, path) => path.to_owned(),
    }
}

impl Difference {
    /// What, how it is, how it becomes, and why.
    pub(super) fn row(&self) -> [&str; 4] {
        [&self.what, &self.now, &self.becomes, self.why]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use standin::hookdeck::matches;

    #[test]
    fn the_filter_lets_both_types_through_and_nothing_else() {
        let [filter, _] = wish::rules();
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
    fn the_schedule_spans_less_than_the_three_days_that_hookdeck_keeps_events() {
        let [_, retry] = wish::rules();
        let (first, count) = (retry["interval"].as_f64(), retry["count"].as_i64());
        let (first, count) = (first.expect("a delay"), count.expect("a count"));
        let days = first / 1000.0 * (2_f64.powi(count.try_into().expect("few")) - 1.0) / 86_400.0;
        assert!((2.8..3.0).contains(&days), "{days}");
        assert!(retry.get("response_status_codes").is_none());
    }

    #[test]
    fn null_is_as_good_as_absent() {
        let rule = json!({ "type": "retry", "count": 13 });
        assert!(same_members(&rule, &json!({ "type": "retry", "count": 13, "codes": null })));
        assert!(!same_members(&rule, &json!({ "type": "retry", "count": 13, "codes": ["500"] })));
        assert!(!same_members(&rule, &json!({ "type": "retry" })));
    }

    #[test]
    fn a_place_is_the_same_however_it_is_written_and_shows_no_secret() {
        assert!(is_same_place("https://A.example", "https://a.example/"));
        assert!(!is_same_place("https://a.example/", "https://a.example/x"));
        assert_eq!(place_shown("https://u:p@a.example:1/x?key=1"), "https://a.example:1/x");
    }
}

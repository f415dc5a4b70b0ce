//! `ops setup hookdeck`, against the stand-in of Hookdeck's admin API. Every request is held against
//! Hookdeck's own document.

mod errors;

use http::Method;
use serde_json::{Value, json};
use standin::conformance::{Checker, Requests, Specification};
use standin::fault::{Effect, Fault};
use standin::hookdeck::admin::{Admin, Call, Options};
use tokio::runtime::Runtime;

use crate::world::Outcome;
use crate::{ops, run, runtime, serve};

const URL: &str = "https://abc.lambda-url.eu-west-1.on.aws/";
const SECRET: &str = "whsec_cGxhbnRlZC1zZWNyZXQ=";
/// Text that no output may contain.
const SECRETS: [&str; 4] = ["cGxhbnRlZC", "hd_fake", "Bearer", "planted"];

struct World {
    admin: Admin,
    watch: Checker,
    url: String,
    _runtime: Runtime,
}

impl World {
    fn with(change: impl FnOnce(&mut Options)) -> Self {
        let mut options = Options::default();
        change(&mut options);
        let runtime = runtime();
        let admin = Admin::new(options);
        let watch = Checker::hookdeck(&admin, Requests::All);
        let url = serve(&runtime, admin.router());
        Self { admin, watch, url, _runtime: runtime }
    }

    fn start() -> Self {
        Self::with(|_| {})
    }

    /// Runs it with these settings changed, an empty one being taken away.
    fn run_with(&self, flags: &[&str], changes: &[(&str, &str)]) -> Outcome {
        let mut command = ops(&[&["setup", "hookdeck"], flags].concat());
        command.env("HOOKDECK_API_URL", &self.url);
        command.env("HOOKDECK_API_KEY", Options::default().api_key);
        command.envs(changes.iter().copied());
        let (code, out, error) = run(&mut command);
        for secret in SECRETS {
            assert!(!out.contains(secret) && !error.contains(secret), "{secret}: {out}{error}");
        }
        Outcome { code, out, error }
    }

    /// Runs it without the secret.
    fn first(&self, flags: &[&str]) -> Outcome {
        self.run_with(&[&["--url", URL], flags].concat(), &[])
    }

    /// Runs it with the secret.
    fn second(&self, flags: &[&str]) -> Outcome {
        let secret = [("CLERK_WEBHOOK_SIGNING_SECRET", SECRET)];
        self.run_with(&[&["--url", URL], flags].concat(), &secret)
    }

    fn secret(&self) -> Value {
        self.admin.source("clerk").unwrap()["config"]["auth"]["webhook_secret_key"].clone()
    }

    fn connection(&self) -> Value {
        let mut connections = self.admin.connections("per-user-db");
        assert_eq!(connections.len(), 1);
        connections.remove(0)
    }

    /// The bodies of the changes that were asked for.
    fn puts(&self) -> Vec<Value> {
        let requests = self.admin.requests();
        let puts = requests.iter().filter(|it| it.method == Method::PUT);
        puts.map(|it| serde_json::from_slice(&it.body).unwrap_or_default()).collect()
    }

    fn fault(&self, call: Call, times: u32, effect: Effect) {
        self.admin.faults().push(Fault { on: call, skip: 0, times, effect });
    }

    /// Checks that a dry run finds no difference.
    fn assert_in_sync(&self) {
        let outcome = self.run_with(&["--url", URL, "--dry-run"], &[]);
        assert_eq!(outcome.code, 0, "{}{}", outcome.out, outcome.error);
    }
}

/// The request of a first run with the secret.
fn desired() -> Value {
    json!({
        "name": "per-user-db",
        "source": {
            "name": "clerk",
            "type": "SVIX",
            "config": { "auth": { "webhook_secret_key": SECRET } },
        },
        "destination": {
            "name": "per-user-db",
            "type": "HTTP",
            "config": {
                "url": URL,
                "path_forwarding_disabled": true,
                "auth_type": "HOOKDECK_SIGNATURE",
                "auth": {},
                "delivery_policy": { "rate": 2, "period": "concurrent" },
            },
        },
        "rules": [
            { "type": "filter", "body": { "type": { "$in": ["user.created", "user.deleted"] } } },
            { "type": "retry", "strategy": "exponential", "interval": 30000, "count": 13 },
        ],
    })
}

/// The same, changed at this place.
fn changed(pointer: &str, value: Value) -> Value {
    let mut body = desired();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    body.pointer_mut(parent).unwrap()[name] = value;
    body
}

/// Null equals absent.
fn without_nulls(value: &Value) -> Value {
    let Some(members) = value.as_object() else { return value.clone() };
    let given = members.iter().filter(|(_, value)| !value.is_null());
    given.map(|(name, value)| (name.clone(), without_nulls(value))).collect()
}

fn whats(document: &Value) -> Vec<&str> {
    document["differences"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["what"].as_str().unwrap())
        .collect()
}

#[test]
fn one_request_asks_for_all_of_it_and_keeps_to_the_leaf_schemas() {
    let world = World::start();
    let outcome = world.second(&[]);
    assert_eq!(outcome.code, 0, "{}", outcome.error);
    assert_eq!(world.puts(), [desired()]);
    let Some(document) = Specification::hookdeck_admin() else { return };
    let body = desired();
    for (schema, pointer) in [
        ("SourceTypeConfigSVIX", "/source/config"),
        ("SourceConfigSvixAuth", "/source/config/auth"),
        ("DestinationTypeConfigHTTP", "/destination/config"),
        ("DestinationConfigHTTPAuthHookdeckSignatureDefault", "/destination/config/auth"),
        ("DestinationDeliveryPolicy", "/destination/config/delivery_policy"),
        ("FilterRule", "/rules/0"),
        ("RetryRule", "/rules/1"),
    ] {
        let value = body.pointer(pointer).unwrap();
        assert_eq!(document.validate_value(schema, value), [""; 0], "{schema}");
    }
}

#[test]
fn the_first_run_prints_the_url_and_the_second_adds_the_secret_and_a_third_without_it_loses_nothing()
 {
    for keeps_secret in [false, true] {
        let world = World::with(|options| options.keeps_secret = keeps_secret);
        let outcome = world.first(&[]);
        let url = world.admin.source("clerk").unwrap()["url"].as_str().unwrap().to_owned();
        for part in
            [&url, "CLERK_WEBHOOK_SIGNING_SECRET", "HOOKDECK_WEBHOOK_SECRET", "user.deleted"]
        {
            assert!(outcome.out.contains(part), "{part}: {}", outcome.out);
        }
        assert_eq!((outcome.code, world.secret()), (0, Value::Null));
        let outcome = world.second(&[]);
        assert!(!outcome.out.contains("In Clerk, add"), "{}", outcome.out);
        assert_eq!((outcome.code, world.secret()), (0, json!(SECRET)));
        assert_eq!(world.first(&["--json"]).json()["outcome"], "unchanged");
        // Even where something else has to be changed.
        world.run_with(&["--url", "https://other.example/"], &[]);
        assert_eq!(world.connection()["destination"]["config"]["url"], "https://other.example/");
        assert_eq!(world.secret(), SECRET);
        assert_eq!(world.puts().len(), 3);
    }
}

#[test]
fn run_again_it_asks_for_nothing() {
    for spells_out_rules in [false, true] {
        let world = World::with(|options| options.spells_out_rules = spells_out_rules);
        world.second(&[]);
        for _ in 0..2 {
            let outcome = world.second(&["--json"]);
            assert_eq!((outcome.code, &outcome.json()["outcome"]), (0, &json!("unchanged")));
        }
        assert_eq!(world.puts().len(), 1);
    }
}

#[test]
fn deliveries_have_the_pace_that_is_given_and_two_at_a_time_without_one() {
    let world = World::start();
    world.second(&["--delivery", "499/hour"]);
    let policy = || world.connection()["destination"]["config"]["delivery_policy"].clone();
    assert_eq!(policy(), json!({ "rate": 499, "period": "hour" }));
    let again = world.second(&["--delivery", "499/hour", "--json"]).json();
    assert_eq!(again["outcome"], "unchanged");
    let next = again["next"].to_string();
    assert!(next.contains(&format!("cargo ops doctor --url {URL} --delivery 499/hour")), "{next}");
    let document = world.second(&["--json"]).json();
    assert_eq!(whats(&document), ["destination per-user-db: deliveries"]);
    let difference = &document["differences"][0];
    assert_eq!(
        (&difference["now"], &difference["becomes"]),
        (&json!("499 an hour"), &json!("2 at a time"))
    );
    assert_eq!(policy(), json!({ "rate": 2, "period": "concurrent" }));
    for flags in [&["--url", URL, "--delivery", "0/hour"][..], &["--cli", "--delivery", "9/second"]]
    {
        let outcome = world.run_with(flags, &[]);
        assert!(outcome.code == 2 && outcome.error.contains("--delivery"), "{}", outcome.error);
    }
}

#[test]
fn a_new_secret_replaces_the_old_one() {
    let world = World::start();
    world.second(&[]);
    let other = [("CLERK_WEBHOOK_SECRET", "whsec_b3RoZXI=,whsec_cGxhbnRlZC1zZWNyZXQ=")];
    let outcome = world.run_with(&["--url", URL, "--json"], &other);
    assert_eq!(whats(&outcome.json()), ["source clerk: secret"]);
    assert!(outcome.json()["notes"][0].as_str().unwrap().contains("the first"), "{}", outcome.out);
    assert_eq!(world.secret(), "whsec_b3RoZXI=");
}

#[test]
fn a_secret_that_hookdeck_does_not_show_is_sent_again_and_is_no_difference() {
    let world = World::with(|options| options.reveals_auth = false);
    world.second(&[]);
    let dry = world.second(&["--dry-run", "--json"]);
    assert_eq!((dry.code, &dry.json()["secret"]), (0, &json!("unseen")));
    assert_eq!((world.second(&[]).code, world.puts().len()), (0, 2));
    assert_eq!(world.secret(), SECRET);
}

#[test]
fn a_dry_run_shows_the_same_plan_and_changes_nothing_and_says_by_its_exit_code_that_something_differs()
 {
    let world = World::start();
    let (dry, text) = (world.second(&["--dry-run", "--json"]), world.second(&["--dry-run"]));
    assert_eq!((dry.code, text.code, world.puts().len()), (3, 3, 0));
    let dry = dry.json();
    assert_eq!(dry["outcome"], "planned");
    for what in whats(&dry) {
        assert!(text.out.contains(what), "{what}: {}", text.out);
    }
    let real = world.second(&["--json"]).json();
    assert_eq!(dry["differences"], real["differences"]);
    assert_eq!(world.second(&["--dry-run"]).code, 0);
}

#[test]
fn every_difference_is_shown_with_its_reason_and_replaced() {
    for merges_config in [false, true] {
        for (pointer, value, what) in [
            (
                "/rules/2",
                json!({ "type": "transform", "transformation_id": "trs_1" }),
                "transform rule",
            ),
            ("/rules/2", json!({ "type": "deduplicate", "window": 60000 }), "deduplicate rule"),
            ("/rules/2", json!({ "type": "delay", "delay": 1000 }), "delay rule"),
            ("/rules/2", json!({ "type": "filter", "headers": { "a": "planted" } }), "filter rule"),
            ("/rules/0/body", json!({ "type": "user.created" }), "filter rule"),
            ("/rules/1/count", json!(5), "retry rule"),
            ("/rules/1/response_status_codes", json!(["500"]), "retry rule"),
            ("/rules", json!([]), "retry rule"),
            ("/destination/config/url", json!("https://u:planted@b.example/?planted"), "url"),
            ("/destination/config/path_forwarding_disabled", json!(false), "path forwarding"),
            (
                "/destination/config/delivery_policy",
                json!({ "rate": 9, "period": "second" }),
                "deliveries",
            ),
            (
                "/destination/config/delivery_policy/groups",
                json!({ "key": "body.a", "rate": 1, "rate_period": "second" }),
                "deliveries",
            ),
            ("/destination/config/http_method", json!("GET"), "method"),
            ("/destination/config/delivery_timeout", json!(10), "timeout"),
        ] {
            let world = World::with(|options| options.merges_config = merges_config);
            let mut there = desired();
            if pointer == "/rules/2" {
                there["rules"].as_array_mut().unwrap().push(value);
            } else {
                there = changed(pointer, value);
            }
            world.admin.put_connection(&there);
            let dry = world.first(&["--dry-run", "--json"]);
            let document = dry.json();
            let found = document["differences"].as_array().unwrap().iter();
            let mut found = found.filter(|it| it["what"].as_str().unwrap().ends_with(what));
            let why = found.next().unwrap_or_else(|| panic!("{what}: {document}"))["why"].as_str();
            assert!(dry.code == 3 && why.unwrap().len() > 10, "{what}: {document}");
            let outcome = world.first(&[]);
            assert_eq!(outcome.code, 0, "{what}: {}{}", outcome.out, outcome.error);
            world.assert_in_sync();
            let now = world.connection();
            assert_eq!(now["rules"], desired()["rules"]);
            let config = without_nulls(&now["destination"]["config"]);
            assert_eq!(config, desired()["destination"]["config"], "{what}");
        }
    }
}

#[test]
fn another_authentication_becomes_hookdeck_s_signature() {
    let world = World::start();
    let mut there = desired();
    there["destination"]["config"]["auth_type"] = json!("BEARER_TOKEN");
    there["destination"]["config"]["auth"] = json!({ "token": "planted" });
    world.admin.put_connection(&there);
    assert_eq!(
        whats(&world.first(&["--json"]).json()),
        ["destination per-user-db: authentication"]
    );
    let config = &world.connection()["destination"]["config"];
    assert_eq!((&config["auth_type"], &config["auth"]), (&json!("HOOKDECK_SIGNATURE"), &json!({})));
}

#[test]
fn harmless_settings_of_the_operator_stay() {
    for merges_config in [false, true] {
        let world = World::with(|options| options.merges_config = merges_config);
        let mut there = desired();
        there["description"] = json!("ours");
        there["destination"]["config"]["delivery_timeout"] = json!(90);
        there["destination"]["config"]["http_method"] = json!("POST");
        there["source"]["config"] = json!({ "allowed_http_methods": ["POST"] });
        there["rules"] = json!([]);
        world.admin.put_connection(&there);
        assert_eq!(world.second(&[]).code, 0);
        let now = world.connection();
        assert_eq!(now["description"], "ours");
        assert_eq!(now["source"]["config"]["allowed_http_methods"], json!(["POST"]));
        assert_eq!(now["destination"]["config"]["delivery_timeout"], 90);
        assert_eq!(now["destination"]["config"]["http_method"], "POST");
    }
}

#[test]
fn disabled_parts_are_enabled_and_a_pause_stays_and_is_noted() {
    for enables_parts in [false, true] {
        let world = World::with(|options| options.enables_parts = enables_parts);
        world.second(&[]);
        for name in ["clerk", "per-user-db"] {
            world.admin.disable(name);
        }
        world.admin.pause("per-user-db");
        let dry = world.first(&["--dry-run", "--json"]).json();
        assert_eq!(
            whats(&dry),
            ["source clerk", "destination per-user-db", "connection per-user-db"]
        );
        let outcome = world.first(&[]);
        assert!(outcome.code == 0 && outcome.out.contains("paused"), "{}", outcome.out);
        world.assert_in_sync();
        assert!(world.connection()["paused_at"].is_string());
        assert_eq!(world.secret(), SECRET);
    }
}

#[test]
fn cli_sets_up_what_hookdeck_listen_forwards() {
    let world = World::start();
    world.second(&[]);
    for (flags, path) in [(&["--cli"][..], "/webhooks/clerk"), (&["--cli", "/"], "/")] {
        let outcome = world.run_with(flags, &[]);
        assert!(
            outcome.code == 0 && outcome.out.contains("hookdeck listen 9000 clerk"),
            "{}",
            outcome.out
        );
        let local = world.admin.connections("per-user-db-local").remove(0);
        let config = json!({
            "path": path,
            "path_forwarding_disabled": true,
            "auth_type": "HOOKDECK_SIGNATURE",
            "auth": {},
        });
        assert_eq!(
            (&local["destination"]["type"], &local["destination"]["config"]),
            (&json!("CLI"), &config)
        );
        assert_eq!(local["rules"], desired()["rules"]);
        if let Some(document) = Specification::hookdeck_admin() {
            assert_eq!(document.validate_value("DestinationTypeConfigCLI", &config), [""; 0]);
        }
    }
    assert_eq!(world.secret(), SECRET);
    world.assert_in_sync();
}

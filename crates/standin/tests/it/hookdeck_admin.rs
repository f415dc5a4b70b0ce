//! Hookdeck's admin API (docs/vendors/hookdeck.md, "Connection upsert"), validated against Hookdeck's document.

use axum::Router;
use http::header::AUTHORIZATION;
use http::{Method, Request};
use serde_json::{Value, json};
use standin::conformance::{Checker, HOOKDECK_DEVIATIONS, Requests};
use standin::fault::{Effect, Fault};
use standin::hookdeck::admin::{Admin, Call, Options, Replacement};

use crate::helpers::{Client, request};

const CONNECTIONS: &str = "/2026-09-01/connections";
const OLD: &str = "/2025-07-01/connections";

struct World {
    admin: Admin,
    checker: Checker,
}

impl Client for World {
    fn router(&self) -> Router {
        self.admin.router()
    }
}

impl World {
    fn with(change: impl FnOnce(&mut Options)) -> Self {
        let mut options = Options::default();
        change(&mut options);
        let admin = Admin::new(options);
        let checker = Checker::hookdeck(&admin, Requests::Accepted(&[]));
        Self { admin, checker }
    }

    fn new() -> Self {
        Self::with(|_| {})
    }

    async fn send(
        &self,
        key: &str,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> (u16, Value) {
        let mut request = request(method, path, body);
        request.headers_mut().insert(AUTHORIZATION, key.parse().unwrap());
        let answer = Client::send(self, request).await.unwrap();
        (answer.status, answer.json())
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let key = format!("Bearer {}", Options::default().api_key);
        self.send(&key, method, path, body).await
    }

    async fn get(&self, path: &str) -> Value {
        let (status, body) = self.call(Method::GET, path, None).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    async fn put(&self, body: Value) -> (u16, Value) {
        self.call(Method::PUT, CONNECTIONS, Some(body)).await
    }

    async fn taken(&self, body: Value) -> Value {
        let (status, answer) = self.put(body).await;
        assert_eq!(status, 200, "{answer}");
        answer
    }

    fn secret(&self) -> Value {
        self.admin.source("clerk").unwrap()["config"]["auth"]["webhook_secret_key"].clone()
    }
}

/// The example of the vendor's documentation.
fn connection() -> Value {
    json!({
        "name": "per-user-db",
        "source": {
            "name": "clerk",
            "type": "SVIX",
            "config": { "auth": { "webhook_secret_key": "whsec_AAAA" } },
        },
        "destination": {
            "name": "per-user-db",
            "type": "HTTP",
            "config": {
                "url": "https://abc.lambda-url.eu-west-1.on.aws/",
                "path_forwarding_disabled": true,
                "auth_type": "HOOKDECK_SIGNATURE",
                "auth": {},
                "delivery_policy": { "rate": 2, "period": "concurrent" },
            },
        },
        "rules": [
            { "type": "filter", "body": { "type": "user.created" } },
            { "type": "retry", "strategy": "exponential", "interval": 30000, "count": 13 },
        ],
    })
}

fn changed(pointer: &str, value: Value) -> Value {
    let mut body = connection();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    body.pointer_mut(parent).unwrap()[name] = value;
    body
}

fn without(pointer: &str) -> Value {
    let mut body = connection();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    body.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name);
    body
}

#[tokio::test(start_paused = true)]
async fn an_upsert_makes_and_changes_by_name_and_keeps_the_ids() {
    let world = World::new();
    let made = world.taken(connection()).await;
    for (pointer, prefix) in [("/id", "web_"), ("/source/id", "src_"), ("/destination/id", "des_")]
    {
        assert!(made.pointer(pointer).unwrap().as_str().unwrap().starts_with(prefix), "{made}");
    }
    assert_eq!(
        (&made["source"]["authenticated"], &made["rules"][1]["count"]),
        (&json!(true), &json!(13))
    );
    let again = world.taken(changed("/destination/config/url", json!("https://b.example/"))).await;
    for pointer in ["/id", "/source/id", "/source/url", "/destination/id"] {
        assert_eq!(made.pointer(pointer), again.pointer(pointer), "{pointer}");
    }
    assert_eq!(again["destination"]["config"]["url"], "https://b.example/");
    assert_eq!(world.get(CONNECTIONS).await["count"], 1);
}

#[tokio::test(start_paused = true)]
async fn secrets_are_masked_unless_they_are_asked_for() {
    let world = World::new();
    let made = world.taken(connection()).await;
    assert_eq!(made["source"]["config"]["auth"], json!({}));
    let path = format!("/2026-09-01/sources/{}", made["source"]["id"].as_str().unwrap());
    assert_eq!(world.get(&path).await["config"]["auth"], json!({}));
    let path = format!("{path}?include=config.auth");
    assert_eq!(world.get(&path).await["config"]["auth"]["webhook_secret_key"], "whsec_AAAA");
    world.admin.change(|options| options.reveals_auth = false);
    assert_eq!(world.get(&path).await["config"]["auth"], json!({}));
}

#[tokio::test(start_paused = true)]
async fn a_source_without_its_secret_loses_it_and_one_without_type_is_a_webhook() {
    for (keeps, left) in [(false, Value::Null), (true, json!("whsec_AAAA"))] {
        let world = World::with(|options| options.keeps_secret = keeps);
        world.taken(connection()).await;
        let answer = world.taken(without("/source/config")).await;
        assert_eq!((world.secret(), answer["source"]["authenticated"] == true), (left, keeps));
        let answer = world.taken(changed("/source", json!({ "name": "clerk" }))).await;
        assert_eq!((world.secret(), &answer["source"]["type"]), (Value::Null, &json!("WEBHOOK")));
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_by_its_id_stays_as_it_is() {
    let world = World::new();
    let made = world.taken(connection()).await;
    let mut body = without("/source");
    body["source_id"] = made["source"]["id"].clone();
    let answer = world.taken(body).await;
    assert_eq!(
        (world.secret(), &answer["source"]["authenticated"]),
        (json!("whsec_AAAA"), &json!(true))
    );
}

#[tokio::test(start_paused = true)]
async fn rules_stay_unless_they_are_given_and_then_all_are_replaced() {
    let world = World::with(|options| options.spells_out_rules = true);
    world.taken(connection()).await;
    assert_eq!(world.taken(without("/rules")).await["rules"].as_array().unwrap().len(), 2);
    let answer = world.taken(changed("/rules", json!([{ "type": "delay", "delay": 5 }]))).await;
    assert_eq!(answer["rules"], json!([{ "type": "delay", "delay": 5 }]));
    let answer = world.taken(changed("/rules", json!([{ "type": "filter" }]))).await;
    let nothing =
        json!({ "type": "filter", "headers": null, "body": null, "query": null, "path": null });
    assert_eq!(answer["rules"], json!([nothing]));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_violates_the_schema_is_refused_and_changes_nothing() {
    let world = World::new();
    for body in [
        json!([]),
        changed("/name", json!("per user db")),
        without("/name"),
        without("/source"),
        changed("/source_id", json!("src_1")),
        changed("/source/type", json!("CLERK")),
        changed("/source/config/auth", json!({})),
        changed("/source/config/allowed_http_methods", json!(["FETCH"])),
        without("/destination/type"),
        without("/destination/config"),
        changed("/destination/config/url", json!("abc")),
        without("/destination/config/auth"),
        without("/destination/config/auth_type"),
        changed("/destination/config/delivery_timeout", json!(901)),
        changed("/destination/config/delivery_policy/rate", json!(0)),
        changed("/destination/config/delivery_policy/period", json!("day")),
        changed("/rules", json!([{ "type": "transformation" }])),
        changed("/rules", json!([{ "type": "retry" }])),
        changed(
            "/rules",
            json!([{ "type": "retry", "strategy": "linear", "response_status_codes": [500] }]),
        ),
        changed(
            "/rules",
            json!([{ "type": "retry", "strategy": "linear", "response_status_codes": [] }]),
        ),
        changed("/rules", json!([{ "type": "deduplicate", "window": 999 }])),
        changed("/rules", json!([{ "type": "deduplicate" }])),
        changed("/rules", json!([{ "type": "delay" }])),
    ] {
        let (status, answer) = world.put(body.clone()).await;
        assert_eq!((status, &answer["code"]), (422, &json!("UNPROCESSABLE_ENTITY")), "{body}");
    }
    assert_eq!(world.get("/2026-09-01/sources").await["count"], 0);
    assert_eq!(world.call(Method::PUT, CONNECTIONS, None).await.0, 400);
}

#[tokio::test(start_paused = true)]
async fn members_that_are_not_known_are_dropped_at_every_depth() {
    let world = World::with(|options| options.unknown_members = vec!["delivery_timeout"]);
    // The document allows no other members; the service does not hold to it.
    world.admin.observe(std::sync::Arc::new(Ignore));
    let mut body = connection();
    body["colour"] = json!("blue");
    body["source"]["config"]["auth"]["encoding"] = json!("hex");
    body["destination"]["config"]["delivery_timeout"] = json!(60);
    body["destination"]["config"]["delivery_policy"]["burst"] = json!(1);
    body["rules"][0]["mood"] = json!("good");
    let answer = world.taken(body).await;
    for word in ["blue", "hex", "delivery_timeout", "burst", "mood"] {
        assert!(!answer.to_string().contains(word), "{answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_version_has_its_own_members_for_the_rate_and_drops_the_other_s() {
    let world = World::with(|options| options.merges_config = true);
    // The old version has another document.
    world.admin.observe(std::sync::Arc::new(Ignore));
    let policy = |answer: &Value| answer["destination"]["config"]["delivery_policy"].clone();
    let mut body = without("/destination/config/delivery_policy");
    body["destination"]["config"]["rate_limit"] = json!(5);
    body["destination"]["config"]["rate_limit_period"] = json!("second");
    let (_, answer) = world.call(Method::PUT, OLD, Some(body.clone())).await;
    assert_eq!(policy(&answer), json!({ "rate": 5, "period": "second" }));
    // The new version answers 200, and the stored policy stays.
    body["destination"]["config"]["rate_limit"] = json!(7);
    assert_eq!(policy(&world.taken(body).await), json!({ "rate": 5, "period": "second" }));
    let (_, answer) = world.call(Method::PUT, OLD, Some(connection())).await;
    assert_eq!(policy(&answer), json!({ "rate": 5, "period": "second" }));
}

#[tokio::test(start_paused = true)]
async fn a_cli_destination_has_a_path_and_no_rate() {
    let world = World::new();
    let cli = |config: Value| json!({ "name": "cli", "type": "CLI", "config": config });
    let policy = json!({ "rate": 2, "period": "second" });
    let config = json!({ "path": "/", "delivery_policy": policy });
    world.admin.observe(std::sync::Arc::new(Ignore));
    let answer = world.taken(changed("/destination", cli(config))).await;
    assert_eq!(answer["destination"]["config"].get("delivery_policy"), None);
    assert_eq!(world.put(changed("/destination", cli(json!({})))).await.0, 422);
}

#[tokio::test(start_paused = true)]
async fn an_inline_config_replaces_the_whole_or_changes_what_it_names() {
    for (merges, left) in [(false, Value::Null), (true, json!("GET"))] {
        let world = World::with(|options| options.merges_config = merges);
        world.taken(changed("/destination/config/http_method", json!("GET"))).await;
        let answer = world.taken(connection()).await;
        assert_eq!(answer["destination"]["config"]["http_method"], left);
        let answer = world.taken(changed("/destination/config/http_method", Value::Null)).await;
        assert_eq!(answer["destination"]["config"]["http_method"], Value::Null);
    }
}

#[tokio::test(start_paused = true)]
async fn the_name_of_a_connection_with_another_destination_does_as_the_switch_says() {
    for (swap, status, n) in [
        (Replacement::Refuse, 422, 1),
        (Replacement::Another, 200, 2),
        (Replacement::Ignore, 200, 1),
    ] {
        let world = World::with(|options| options.on_replacement = swap);
        world.taken(connection()).await;
        assert_eq!(world.put(changed("/destination/name", json!("other"))).await.0, status);
        let named = world.admin.connections("per-user-db");
        assert_eq!((named.len(), &named[0]["destination"]["name"]), (n, &json!("per-user-db")));
    }
}

#[tokio::test(start_paused = true)]
async fn an_upsert_enables_the_connection_and_perhaps_its_parts_and_leaves_a_pause_alone() {
    for enables_parts in [false, true] {
        let world = World::with(|options| options.enables_parts = enables_parts);
        world.taken(connection()).await;
        for name in ["clerk", "per-user-db"] {
            world.admin.disable(name);
        }
        world.admin.pause("per-user-db");
        let list = "/2026-09-01/connections?name=per-user-db";
        assert_eq!(world.get(list).await["count"], 0);
        let listed = world.get(&format!("{list}&disabled=true")).await["models"][0].clone();
        assert!(listed["disabled_at"].is_string(), "{listed}");
        let answer = world.taken(connection()).await;
        assert!(answer["disabled_at"].is_null() && answer["paused_at"].is_string(), "{answer}");
        for part in ["source", "destination"] {
            assert_eq!(answer[part]["disabled_at"].is_null(), enables_parts);
        }
        let enable = format!("{CONNECTIONS}/{}/enable", answer["id"].as_str().unwrap());
        let (status, answer) = world.call(Method::PUT, &enable, None).await;
        assert_eq!((status, &answer["source"]["disabled_at"]), (200, &Value::Null));
    }
}

#[tokio::test(start_paused = true)]
async fn lists_are_filtered_and_a_misspelt_filter_is_none() {
    let world = World::new();
    let made = world.taken(connection()).await;
    world.taken(changed("/name", json!("second"))).await;
    let id = made["source"]["id"].as_str().unwrap();
    for (query, count) in [
        ("", 2),
        ("?name=second", 1),
        ("?name=third", 0),
        (&format!("?source_id={id}"), 2),
        ("?source_id=src_other", 0),
        ("?limit=1", 1),
    ] {
        assert_eq!(world.get(&format!("{CONNECTIONS}{query}")).await["count"], count, "{query}");
    }
    assert_eq!(world.get("/2026-09-01/sources?name=clerk").await["models"][0]["id"], id);
    assert_eq!(world.get("/2026-09-01/destinations?name=clerk").await["count"], 0);
    // The document has no such parameter, so the checker would report a violation.
    world.admin.observe(std::sync::Arc::new(Ignore));
    assert_eq!(world.get(&format!("{CONNECTIONS}?nmae=third")).await["count"], 2);
    assert_eq!(world.get(&format!("{CONNECTIONS}?source_id%5B0%5D={id}")).await["count"], 2);
}

#[derive(Debug)]
struct Ignore;

impl standin::interceptor::Observer for Ignore {
    fn on_request(&self, _: &Request<bytes::Bytes>) {}
    fn on_response(&self, _: &Request<bytes::Bytes>, _: &http::Response<bytes::Bytes>) {}
}

#[tokio::test(start_paused = true)]
async fn the_key_is_accepted_as_bearer_and_as_basic_and_no_other_key_is() {
    let world = World::new();
    let basic = "Basic aGRfZmFrZV9sb2NhbF9kZXZlbG9wbWVudF9rZXk6"; // the key, and a colon
    assert_eq!(world.send(basic, Method::GET, CONNECTIONS, None).await.0, 200);
    let paths =
        ["connections", "sources", "sources/src_1", "destinations"].map(|it| (Method::GET, it));
    for (method, path) in paths.into_iter().chain([(Method::PUT, "connections")]) {
        for key in ["", "Bearer other", "Basic b3RoZXI6", "Basic !", "Digest a"] {
            let path = format!("/2026-09-01/{path}");
            let body = (method == Method::PUT).then(connection);
            let (status, answer) = world.send(key, method.clone(), &path, body).await;
            assert_eq!((status, &answer["code"]), (401, &json!("UNAUTHORIZED")), "{path} {key}");
        }
    }
    let met = world.checker.observed_deviations();
    let is_met = |known| met.is_empty() || met.contains(&known);
    assert!(HOOKDECK_DEVIATIONS.iter().all(is_met), "{met:?}");
}

#[tokio::test(start_paused = true)]
async fn a_missing_version_source_or_path_is_404() {
    let world = World::new();
    for path in ["/2024-03-01/connections", "/2026-09-01/sources/src_1", "/2026-09-01/issues", "/"]
    {
        assert_eq!(world.call(Method::GET, path, None).await.0, 404, "{path}");
    }
    assert_eq!(world.call(Method::DELETE, CONNECTIONS, None).await.0, 405);
}

#[tokio::test(start_paused = true)]
async fn a_fault_applies_to_its_call_and_every_request_is_recorded() {
    let world = World::new();
    world.admin.faults().push(Fault::once(Call::UpsertConnection, Effect::ResetAfter));
    world.get(CONNECTIONS).await;
    let mut request = request(Method::PUT, CONNECTIONS, Some(connection()));
    let key = format!("Bearer {}", Options::default().api_key).parse().unwrap();
    request.headers_mut().insert(AUTHORIZATION, key);
    assert!(Client::send(&world, request).await.is_err());
    assert_eq!(world.admin.connections("per-user-db").len(), 1);
    let statuses: Vec<_> = world.admin.requests().iter().map(|it| it.status).collect();
    assert_eq!(statuses, [Some(200), None]);
    world.admin.clear_requests();
    assert_eq!(world.admin.requests(), []);
}

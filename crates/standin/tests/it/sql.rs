//! The SQL gateway. What needs a PostgreSQL server is skipped without one, which is said.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use serde_json::{Value, json};
use standin::conformance::{Deviation, Side};
use standin::xata::platform::sql::postgres::{self, Server};

use crate::helpers::{self, BRANCHES, Client, TEMPLATE, child, request};

const LENIENT: [Deviation; 1] = [Deviation {
    operation: "query",
    side: Side::Request,
    pointer: "",
    keyword: "type",
    why: "a batch may be a bare list, as the document says in words; its schema does not",
}];

/// A project with one template, and a client of the gateway.
struct World(helpers::World);

impl World {
    fn without_server() -> Self {
        Self(helpers::World::lenient(|options| options.ready_after = Duration::ZERO, &LENIENT))
    }

    /// None where there is no server.
    async fn start() -> Option<Self> {
        let server = Server::connect(&postgres::url()?).await.unwrap();
        let world = Self::without_server();
        world.0.platform.use_postgres(server);
        Some(world)
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> (u16, Value) {
        let answer = self.0.send(request).await.unwrap();
        (answer.status, serde_json::from_slice(&answer.body).unwrap_or_default())
    }

    async fn connection_string(&self, branch: &str) -> String {
        let path = format!("{BRANCHES}/{branch}/credentials?username=xata");
        let (_, credentials) = self.send(request(Method::GET, &path, None)).await;
        credentials["connectionString"].as_str().unwrap().to_owned()
    }

    async fn post(&self, connection: &str, body: &Value, more: &[(&str, &str)]) -> (u16, Value) {
        let mut request = Request::post("/sql").header("Neon-Connection-String", connection);
        for (name, value) in more {
            request = request.header(*name, *value);
        }
        self.send(request.body(Full::from(body.to_string())).unwrap()).await
    }

    /// Sends a query to a branch.
    async fn sql(&self, branch: &str, body: Value) -> (u16, Value) {
        self.post(&self.connection_string(branch).await, &body, &[]).await
    }

    /// Clones the template, and returns the clone's id.
    async fn tenant(&self, name: &str) -> String {
        let (status, branch) = self.send(request(Method::POST, BRANCHES, Some(child(name)))).await;
        assert_eq!(status, 201, "{branch}");
        branch["id"].as_str().unwrap().to_owned()
    }
}

fn query(text: &str) -> Value {
    json!({ "query": text })
}

fn batch(texts: &[&str]) -> Value {
    json!({ "queries": texts.iter().map(|text| query(text)).collect::<Vec<_>>() })
}

#[tokio::test]
async fn without_a_server_the_gateway_cannot_connect() {
    let (status, body) = World::without_server().sql(TEMPLATE, query("select 1")).await;
    assert_eq!((status, &body["code"]), (500, &json!("XX000")));
}

#[tokio::test]
async fn only_the_right_connection_string_is_accepted() {
    let world = World::without_server();
    let right = world.connection_string(TEMPLATE).await;
    for (connection, body, status, code) in [
        ("", query("select 1"), 401, "UNAUTHORIZED"),
        ("https://example.com", query("select 1"), 401, "UNAUTHORIZED"),
        ("postgresql://xata:x@localhost/xata", query("select 1"), 400, "INVALID_HOST"),
        (
            "postgresql://xata:x@nobody.eu-central-1.xata.tech/xata",
            query("select 1"),
            404,
            "BRANCH_NOT_FOUND",
        ),
        (&right.replace("xata:", "xata:x"), query("select 1"), 400, "28P01"),
        (&right.replace("//xata:", "//root:"), query("select 1"), 400, "28P01"),
        (&right.replace("tech/xata", "tech/other"), query("select 1"), 400, "3D000"),
        (&right, json!({ "select": 1 }), 400, "BAD_REQUEST"),
        (&right, batch(&["select 1"; 101]), 400, "BAD_REQUEST"),
    ] {
        let (got, body) = world.post(connection, &body, &[]).await;
        assert_eq!((got, &body["code"]), (status, &json!(code)), "{connection} {body}");
    }
    let of_pooler = right.replace(".eu-central-1", "-pooler.eu-central-1");
    let (_, body) = world.post(&of_pooler, &query("select 1"), &[]).await;
    assert_eq!(body["code"], "XX000");
}

#[tokio::test]
async fn a_query_wakes_a_hibernated_branch_only_if_it_scales_to_zero() {
    let world = World::without_server();
    let connection = world.connection_string(TEMPLATE).await;
    let path = format!("{BRANCHES}/{TEMPLATE}");
    for (enabled, code, kind) in
        [(false, "BRANCH_HIBERNATED", "HIBERNATED"), (true, "XX000", "HEALTHY")]
    {
        let scale_to_zero = json!({ "enabled": enabled, "inactivityPeriodMinutes": 30 });
        let sleep = json!({ "hibernate": true, "scaleToZero": scale_to_zero });
        world.send(request(Method::PATCH, &path, Some(sleep))).await;
        let (_, body) = world.post(&connection, &query("select 1"), &[]).await;
        assert_eq!(body["code"], code);
        let (_, branch) = world.send(request(Method::GET, &path, None)).await;
        assert_eq!(branch["status"]["statusType"], format!("STATUS_TYPE_{kind}"));
    }
}

#[tokio::test]
async fn a_branch_that_is_being_created_counts_as_hibernated() {
    let world = World::without_server();
    let connection = world.connection_string(TEMPLATE).await;
    world.0.platform.change(|options| options.ready_after = Duration::from_secs(3600));
    let id = world.tenant("user_a").await;
    let (status, body) = world.post(&connection.replace(TEMPLATE, &id), &query(""), &[]).await;
    assert_eq!((status, &body["code"]), (409, &json!("BRANCH_HIBERNATED")));
}

#[tokio::test]
async fn results_are_typed_as_the_gateway_types_them() {
    let Some(world) = World::start().await else { return };
    let text = "select 1::int4 as i, 2::int8 as l, 1.50::numeric as n, true as b, null::int as z, \
                '{\"a\":[1]}'::jsonb as j, timestamp '2026-01-02 03:04:05' as t, 'ü' as s";
    let (status, body) = world.sql(TEMPLATE, query(text)).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(
        (&body["command"], &body["rowCount"], &body["rowAsArray"]),
        (&json!("SELECT"), &json!(1), &json!(false))
    );
    let row = json!({
        "i": 1, "l": "2", "n": "1.50", "b": true, "z": null, "j": { "a": [1] },
        "t": "2026-01-02 03:04:05", "s": "ü",
    });
    assert_eq!(body["rows"], json!([row]));
    let field = json!({
        "name": "i", "tableID": 0, "columnID": 0, "dataTypeID": 23, "dataTypeSize": 4,
        "dataTypeModifier": -1, "format": "text",
    });
    assert_eq!(body["fields"][0], field);

    let connection = world.connection_string(TEMPLATE).await;
    let modes = [("array-mode", "true"), ("raw-text-output", "true")];
    let (_, body) = world.post(&connection, &query("select 1 as i, true as b"), &modes).await;
    assert_eq!(body["rows"], json!([["1", "t"]]));
}

#[tokio::test]
async fn parameters_take_the_types_of_their_places() {
    let Some(world) = World::start().await else { return };
    let text = "select $1::int + 1 as n, $2::text as s, $3::bool as b, $4::text as z";
    let body = json!({ "query": text, "params": [41, "it's \\ \"so\"", false, null] });
    let (status, body) = world.sql(TEMPLATE, body).await;
    assert_eq!(status, 200, "{body}");
    let row = json!({ "n": 42, "s": "it's \\ \"so\"", "b": false, "z": null });
    assert_eq!(body["rows"], json!([row]));
    let (status, body) = world.sql(TEMPLATE, query("select $1::int")).await;
    assert_eq!((status, &body["code"]), (400, &json!("08P01")));
}

#[tokio::test]
async fn a_query_is_one_statement() {
    let Some(world) = World::start().await else { return };
    let (status, body) = world.sql(TEMPLATE, query("select 1; select 2")).await;
    assert_eq!((status, &body["code"]), (400, &json!("42601")));
    let (status, body) = world.sql(TEMPLATE, query("-- a comment\ncreate table a (id int);")).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!((&body["command"], &body["rowCount"]), (&json!("CREATE"), &Value::Null));
}

#[tokio::test]
async fn a_batch_is_one_transaction() {
    let Some(world) = World::start().await else { return };
    let (status, body) =
        world.sql(TEMPLATE, batch(&["create table a (id int)", "insert into b values (1)"])).await;
    assert_eq!((status, &body["code"]), (400, &json!("42P01")));
    assert_eq!((&body["position"], &body["severity"]), (&json!("13"), &json!("ERROR")));
    let (_, body) = world.sql(TEMPLATE, query("select to_regclass('a') as a")).await;
    assert_eq!(body["rows"], json!([{ "a": null }]));

    let (_, body) = world.sql(TEMPLATE, batch(&["create index concurrently i on a (id)"])).await;
    assert_eq!(body["code"], "25001");

    let both = batch(&["create table a (id int)", "insert into a values (1), (2)"]);
    let (status, body) = world.sql(TEMPLATE, both["queries"].clone()).await;
    assert_eq!((status, &body["results"][1]["rowCount"]), (200, &json!(2)), "{body}");
    let connection = world.connection_string(TEMPLATE).await;
    let read_only = [("batch-read-only", "true"), ("batch-isolation-level", "Serializable")];
    let (_, body) = world.post(&connection, &batch(&["delete from a"]), &read_only).await;
    assert_eq!(body["code"], "25006");
}

#[tokio::test]
async fn nothing_is_kept_between_calls() {
    let Some(world) = World::start().await else { return };
    world.sql(TEMPLATE, query("create temp table a (id int)")).await;
    let (_, body) = world.sql(TEMPLATE, query("select * from a")).await;
    assert_eq!(body["code"], "42P01");
}

#[tokio::test]
async fn a_child_begins_with_its_parents_data_and_then_has_its_own() {
    let Some(world) = World::start().await else { return };
    let schema = batch(&["create table notes (text text)", "insert into notes values ('first')"]);
    assert_eq!(world.sql(TEMPLATE, schema).await.0, 200);
    let (ann, ben) = (world.tenant("user_ann").await, world.tenant("user_ben").await);
    world.sql(TEMPLATE, query("insert into notes values ('too late')")).await;
    world.sql(&ann, query("insert into notes values ('of Ann')")).await;
    for (branch, expected) in [(&ann, json!(["first", "of Ann"])), (&ben, json!(["first"]))] {
        let notes = "select json_agg(text order by text) as notes from notes";
        let (_, body) = world.sql(branch, query(notes)).await;
        assert_eq!(body["rows"][0]["notes"], expected);
    }
}

#[tokio::test]
async fn the_role_is_no_superuser_and_owns_its_database() {
    let Some(world) = World::start().await else { return };
    let text = "select current_user::text as name, rolsuper, rolbypassrls, rolcreaterole \
                from pg_roles where rolname = current_user";
    let (_, body) = world.sql(TEMPLATE, query(text)).await;
    let role =
        json!({ "name": "xata", "rolsuper": false, "rolbypassrls": true, "rolcreaterole": true });
    assert_eq!(body["rows"], json!([role]));
    assert_eq!(world.sql(TEMPLATE, query("create extension citext")).await.0, 200);
}

#[tokio::test]
async fn a_deleted_branch_is_removed_from_the_server_too() {
    let Some(world) = World::start().await else { return };
    let id = world.tenant("user_ann").await;
    let database = query("select current_database()::text as name");
    let (_, body) = world.sql(&id, database.clone()).await;
    let count = format!(
        "select count(*)::int as n from pg_database where datname = '{}'",
        body["rows"][0]["name"].as_str().unwrap()
    );
    assert_eq!(world.sql(TEMPLATE, query(&count)).await.1["rows"][0]["n"], 1);
    world.send(request(Method::DELETE, &format!("{BRANCHES}/{id}"), None)).await;
    assert_eq!(world.sql(TEMPLATE, query(&count)).await.1["rows"][0]["n"], 0);
}

#[tokio::test]
async fn a_response_over_ten_megabytes_is_refused() {
    let Some(world) = World::start().await else { return };
    let (status, body) = world.sql(TEMPLATE, query("select repeat('x', 11000000) as x")).await;
    assert_eq!((status, &body["code"]), (507, &json!("RESPONSE_TOO_LARGE")));
}

//! The databases of the branches. What needs a PostgreSQL server is skipped without one, which is said.

use std::net::Ipv4Addr;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use standin::fault::{Effect, Fault};
use standin::xata::platform::postgres::{self, Server};
use standin::xata::platform::{Call, Options};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, Error, NoTls};

use crate::helpers::{self, BRANCHES, Client as _, TEMPLATE, child};

/// A project with one template, and a server.
struct World(helpers::World);

impl World {
    /// None where there is no server.
    async fn start() -> Option<Self> {
        Self::with(|options| options.ready_after = Duration::ZERO).await
    }

    async fn with(change: impl FnOnce(&mut Options)) -> Option<Self> {
        let server = Server::connect(&postgres::url()?).await.unwrap();
        let world = Self(helpers::World::with(change));
        world.0.platform.use_postgres(server).await.unwrap();
        Some(world)
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let answer = self.0.call(method, path, body).await;
        assert!(answer.status < 300, "{answer:?}");
        serde_json::from_slice(&answer.body).unwrap_or_default()
    }

    /// How a client connects to a branch.
    async fn access(&self, branch: &str) -> Config {
        let path = format!("{BRANCHES}/{branch}/credentials?username=xata");
        let credentials = self.call(Method::GET, &path, None).await;
        credentials["connectionString"].as_str().unwrap().parse().unwrap()
    }

    async fn connect(&self, branch: &str) -> Client {
        connect(&self.access(branch).await).await.unwrap()
    }

    /// Clones the template, and returns the clone's id.
    async fn tenant(&self, name: &str) -> String {
        let branch = self.call(Method::POST, BRANCHES, Some(child(name))).await;
        branch["id"].as_str().unwrap().to_owned()
    }

    /// Puts the template to sleep.
    async fn hibernate(&self, may_wake: bool) {
        let scale_to_zero = json!({ "enabled": may_wake, "inactivityPeriodMinutes": 30 });
        let sleep = json!({ "hibernate": true, "scaleToZero": scale_to_zero });
        self.call(Method::PATCH, &format!("{BRANCHES}/{TEMPLATE}"), Some(sleep)).await;
    }

    async fn status(&self) -> Value {
        let described = self.call(Method::GET, &format!("{BRANCHES}/{TEMPLATE}"), None).await;
        described["status"]["statusType"].clone()
    }

    fn fault(&self, effect: Effect) {
        self.0.platform.faults().push(Fault::once(Call::Connect, effect));
    }

    /// Connects to the template, and waits until this fault is used for it.
    async fn connect_with(&self, effect: Effect) -> JoinHandle<Result<Client, Error>> {
        self.fault(effect);
        let access = self.access(TEMPLATE).await;
        let connection = tokio::spawn(async move { connect(&access).await });
        while self.0.platform.faults().n_left() > 0 {
            tokio::task::yield_now().await;
        }
        connection
    }
}

async fn connect(access: &Config) -> Result<Client, Error> {
    let (client, connection) = access.connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// The state of PostgreSQL's refusal; none where the connection is closed without one.
async fn refusal(access: &Config) -> Option<SqlState> {
    connect(access).await.unwrap_err().code().cloned()
}

/// The first column of each row, as text.
async fn column(client: &Client, query: &str) -> Vec<String> {
    let rows = client.query(query, &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

const TEXTS: &str = "select text from notes order by text";

#[tokio::test]
async fn a_child_begins_with_its_parents_data_and_then_has_its_own() {
    let Some(world) = World::start().await else { return };
    let template = world.connect(TEMPLATE).await;
    template
        .batch_execute("create table notes (text text); insert into notes values ('first')")
        .await
        .unwrap();
    drop(template);
    let (ann, ben) = (world.tenant("user_ann").await, world.tenant("user_ben").await);
    let (at_ann, at_ben) = (world.connect(&ann).await, world.connect(&ben).await);
    at_ann.execute("insert into notes values ($1)", &[&"of Ann"]).await.unwrap();
    assert_eq!(column(&at_ann, TEXTS).await, ["first", "of Ann"]);
    assert_eq!(column(&at_ben, TEXTS).await, ["first"]);
    assert_eq!(column(&world.connect(TEMPLATE).await, TEXTS).await, ["first"]);
    assert_eq!(world.0.platform.connections(), [TEMPLATE, &ann, &ben, TEMPLATE]);
}

#[tokio::test]
async fn only_the_right_credentials_are_accepted() {
    let Some(world) = World::start().await else { return };
    let right = world.access(TEMPLATE).await;
    let changed = |change: fn(&mut Config) -> &mut Config| change(&mut right.clone()).clone();
    for (access, code) in [
        (changed(|it| it.password("guessed")), SqlState::INVALID_PASSWORD),
        (changed(|it| it.password("")), SqlState::INVALID_PASSWORD),
        (changed(|it| it.user("root")), SqlState::INVALID_PASSWORD),
        (changed(|it| it.dbname("other")), SqlState::INVALID_CATALOG_NAME),
    ] {
        assert_eq!(refusal(&access).await, Some(code), "{access:?}");
    }
    assert_eq!(world.0.platform.connections(), [""; 0]);
    connect(&right).await.unwrap();
}

#[tokio::test]
async fn a_password_is_gone_once_it_was_rotated() {
    let Some(world) = World::start().await else { return };
    let before = world.access(TEMPLATE).await;
    connect(&before).await.unwrap();
    let rotate = format!("{BRANCHES}/{TEMPLATE}/credentials/rotate");
    world.call(Method::POST, &rotate, Some(json!({ "username": "xata" }))).await;
    assert_eq!(refusal(&before).await, Some(SqlState::INVALID_PASSWORD));
    world.connect(TEMPLATE).await;
}

#[tokio::test]
async fn credentials_and_connection_string_name_the_port_for_all_branches() {
    let Some(world) = World::start().await else { return };
    let path = format!("{BRANCHES}/{TEMPLATE}");
    let shown = world.call(Method::GET, &format!("{path}/credentials"), None).await;
    let (password, port) = (shown["password"].as_str().unwrap(), shown["port"].as_u64().unwrap());
    let url = format!("postgresql://xata:{password}@127.0.0.1:{port}/xata");
    let place = (&shown["hostname"], &shown["dbname"], &shown["connectionString"]);
    assert_eq!(place, (&json!("127.0.0.1"), &json!("xata"), &json!(url)));

    let described = world.call(Method::GET, &path, None).await;
    let older = described["connectionString"].as_str().unwrap();
    assert_eq!(older, format!("{url}?sslmode=disable"));
    connect(&older.parse().unwrap()).await.unwrap();
}

#[tokio::test]
async fn a_connection_wakes_a_hibernated_branch_only_if_it_scales_to_zero() {
    let Some(world) = World::start().await else { return };
    let access = world.access(TEMPLATE).await;
    world.hibernate(false).await;
    assert_eq!(refusal(&access).await, Some(SqlState::ADMIN_SHUTDOWN));
    assert_eq!(world.status().await, "STATUS_TYPE_HIBERNATED");
    world.hibernate(true).await;
    connect(&access).await.unwrap();
    assert_eq!(world.status().await, "STATUS_TYPE_HEALTHY");
}

#[tokio::test]
async fn a_branch_that_is_being_created_does_not_accept_connections() {
    let Some(world) = World::start().await else { return };
    let later = World::with(|options| options.ready_after = Duration::from_hours(1)).await;
    let later = later.unwrap();
    // Both stand-ins choose the same id, and so the same password, which the second does not show yet.
    let id = world.tenant("user_a").await;
    assert_eq!(later.tenant("user_a").await, id);
    let password = world.access(&id).await.get_password().unwrap().to_owned();
    let mut access = later.access(TEMPLATE).await;
    assert_eq!(refusal(access.password(password)).await, Some(SqlState::ADMIN_SHUTDOWN));
}

#[tokio::test]
async fn an_ip_filter_closes_the_connection_without_a_word() {
    let Some(world) = World::start().await else { return };
    let access = world.access(TEMPLATE).await;
    let project = BRANCHES.strip_suffix("/branches").unwrap();
    let filter = json!({ "configuration": { "ipFiltering": { "enabled": true, "cidr": [] } } });
    world.call(Method::PATCH, project, Some(filter)).await;
    assert_eq!(refusal(&access).await, None);
}

#[tokio::test]
async fn the_parameters_of_a_session_reach_the_server_and_its_errors_the_client() {
    let Some(world) = World::start().await else { return };
    let mut access = world.access(TEMPLATE).await;
    let client = connect(access.options("-c statement_timeout=7s").application_name("fleet")).await;
    let client = client.unwrap();
    assert_eq!(column(&client, "select current_setting('statement_timeout')").await, ["7s"]);
    assert_eq!(column(&client, "select current_setting('application_name')").await, ["fleet"]);
    let unknown = refusal(access.options("-c nothing_known=1")).await;
    assert_eq!(unknown, Some(SqlState::UNDEFINED_OBJECT));
}

#[tokio::test]
async fn the_role_is_no_superuser_and_owns_its_database() {
    let Some(world) = World::start().await else { return };
    let client = world.connect(TEMPLATE).await;
    let role = "select format('%s %s %s %s', rolname, rolsuper, rolbypassrls, rolcreaterole) \
                from pg_roles where rolname = current_user";
    assert_eq!(column(&client, role).await, ["xata f t t"]);
    client.batch_execute("create extension citext").await.unwrap();
}

#[tokio::test]
async fn a_deleted_branch_is_removed_from_the_server_even_if_a_client_is_connected() {
    let Some(world) = World::start().await else { return };
    let id = world.tenant("user_ann").await;
    let client = world.connect(&id).await;
    let name = column(&client, "select current_database()::text").await.remove(0);
    world.call(Method::DELETE, &format!("{BRANCHES}/{id}"), None).await;
    assert!(client.simple_query("select 1").await.is_err());
    let find = format!("select datname::text from pg_database where datname = '{name}'");
    assert_eq!(column(&world.connect(TEMPLATE).await, &find).await, [""; 0]);
}

#[tokio::test]
async fn a_client_can_cancel_its_statement() {
    let Some(world) = World::start().await else { return };
    let client = world.connect(TEMPLATE).await;
    let cancel = client.cancel_token();
    let sleep = client.batch_execute("select pg_sleep(600)");
    let watch = async {
        let other = world.connect(TEMPLATE).await;
        let running = "select query from pg_stat_activity \
                       where datname = current_database() and wait_event = 'PgSleep'";
        while column(&other, running).await.is_empty() {}
        cancel.cancel_query(NoTls).await.unwrap();
    };
    let (ended, ()) = tokio::join!(sleep, watch);
    assert_eq!(ended.unwrap_err().code(), Some(&SqlState::QUERY_CANCELED));
}

#[tokio::test]
async fn a_fault_closes_a_connection_or_lets_it_hang_or_delays_it() {
    let Some(world) = World::start().await else { return };
    let access = world.access(TEMPLATE).await;
    world.fault(Effect::ResetBefore);
    assert_eq!(refusal(&access).await, None);

    let hour = Duration::from_hours(1);
    let hanging = world.connect_with(Effect::HangBefore).await;
    let delayed = world.connect_with(Effect::Trickle { chunk: 1, every: hour }).await;
    assert!(!delayed.is_finished());
    tokio::time::pause();
    tokio::time::advance(hour).await;
    tokio::time::resume();
    delayed.await.unwrap().unwrap();
    assert!(!hanging.is_finished());
    assert_eq!(world.0.platform.connections(), [TEMPLATE]);
    hanging.abort();
}

#[tokio::test]
async fn a_cut_loses_the_answer_of_what_was_done() {
    let Some(world) = World::start().await else { return };
    let mut client = world.connect(TEMPLATE).await;
    client.batch_execute("create table notes (text text)").await.unwrap();
    world.0.platform.cut_after("COMMIT");
    let transaction = client.transaction().await.unwrap();
    transaction.execute("insert into notes values ('kept')", &[]).await.unwrap();
    assert!(transaction.commit().await.unwrap_err().is_closed());
    assert_eq!(world.0.platform.n_cuts_left(), 0);
    // The server has ended that session: the next one needs not wait for it.
    let mut client = world.connect(TEMPLATE).await;
    assert_eq!(column(&client, TEXTS).await, ["kept"]);
    client.transaction().await.unwrap().commit().await.unwrap();
}

#[tokio::test]
async fn a_cut_finds_its_text_in_a_message_of_any_size() {
    let Some(world) = World::start().await else { return };
    let client = world.connect(TEMPLATE).await;
    world.0.platform.cut_after("-- the end");
    let long = format!("create table notes (text text); /* {} */ -- the end", "x".repeat(1 << 20));
    assert!(client.batch_execute(&long).await.unwrap_err().is_closed());
    assert_eq!(column(&world.connect(TEMPLATE).await, TEXTS).await, [""; 0]);
}

#[tokio::test]
async fn what_is_no_startup_packet_closes_the_connection() {
    let Some(world) = World::start().await else { return };
    let port = world.access(TEMPLATE).await.get_ports()[0];
    for packet in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0, 0, 0, 8, 0, 2, 0, 0], &[0, 0, 0, 1], &[]] {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
        stream.write_all(packet).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let _reset = stream.read_to_end(&mut answer).await;
        assert!(answer.is_empty(), "{packet:?}: {answer:?}");
    }
}

#[tokio::test]
async fn a_shared_server_keeps_all_branches_in_one_database() {
    let Some(url) = postgres::url() else { return };
    let world = World(helpers::World::with(|options| options.ready_after = Duration::ZERO));
    let server = Server::connect_shared(&url).await.unwrap();
    world.0.platform.use_postgres(server).await.unwrap();
    let ann = world.tenant("user_ann").await;
    world.connect(TEMPLATE).await.batch_execute("create table notes (text text)").await.unwrap();
    let ben = world.tenant("user_ben").await;
    world.call(Method::DELETE, &format!("{BRANCHES}/{ann}"), None).await;
    let at_ben = world.connect(&ben).await;
    at_ben.execute("insert into notes values ('of Ben')", &[]).await.unwrap();
    assert_eq!(column(&world.connect(TEMPLATE).await, TEXTS).await, ["of Ben"]);
}

#[tokio::test]
async fn a_round_trip_delays_each_exchange() {
    let Some(world) = World::start().await else { return };
    let round_trip = Duration::from_millis(50);
    world.0.platform.set_round_trip(round_trip);
    let since = Instant::now();
    let client = world.connect(TEMPLATE).await;
    assert!(since.elapsed() >= 2 * round_trip, "the first packet, and the password");
    let since = Instant::now();
    client.batch_execute("select 1; select 2").await.unwrap();
    let one = since.elapsed();
    assert!(one >= round_trip, "{one:?}");
    assert_eq!(world.0.platform.n_exchanges(), 3);
}

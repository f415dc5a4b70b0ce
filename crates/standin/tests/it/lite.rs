//! Xata Lite: what a client of the retired API sees, and what the workspace stores afterwards.

mod faults;

use std::time::Duration;

use axum::Router;
use http::Method;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http_body_util::Full;
use serde_json::json;
use standin::clerk::user_id;
use standin::xata::lite::{Duplicate, Lite, Options, Status};
use tokio::time::timeout;

use crate::helpers::{Answer, Client, KEY, request};

const SECOND: Duration = Duration::from_secs(1);
const DATABASES: &str = "/workspaces/tutorial-abc123/dbs";
const USER_A: &str = "/workspaces/tutorial-abc123/dbs/user_a";

/// An empty workspace, and a client that has the key.
struct Workspace {
    lite: Lite,
    router: Router,
}

impl Client for Workspace {
    fn router(&self) -> Router {
        self.router.clone()
    }
}

impl Workspace {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Options)) -> Self {
        let mut options = Options { api_key: KEY.into(), ..Options::default() };
        change(&mut options);
        let lite = Lite::new(options);
        let router = lite.router();
        Self { lite, router }
    }

    async fn create(&self, region: &str) -> Answer {
        self.call(Method::PUT, USER_A, Some(json!({ "region": region }))).await
    }

    fn region(&self) -> Option<String> {
        self.lite.databases_named("user_a").pop().map(|database| database.region)
    }
}

#[tokio::test(start_paused = true)]
async fn a_create_answers_its_own_shape_and_a_look_up_another() {
    let workspace = Workspace::new();
    let created = workspace.create("eu-west-1").await;
    assert_eq!(created.status, 201);
    assert_eq!(
        created.json(),
        json!({ "databaseName": "user_a", "branchName": "main", "status": "completed" })
    );
    let found = workspace.get(USER_A).await;
    assert_eq!(found.status, 200);
    assert_eq!(
        found.json(),
        json!({ "name": "user_a", "region": "eu-west-1", "createdAt": "2026-01-07T11:06:40.000Z" })
    );
    let listed = workspace.get(DATABASES).await;
    assert_eq!(listed.json(), json!({ "databases": [found.json()] }));
    assert!(found.headers.contains_key("x-request-id"));
}

#[tokio::test(start_paused = true)]
async fn a_create_may_have_every_member_that_the_vendor_names() {
    let workspace = Workspace::new();
    let body = json!({
        "region": "us-west-2", "branchName": "trunk", "postgresEnabled": true,
        "defaultClusterID": "shared-cluster", "ui": { "color": "blue" },
        "metadata": { "repository": "r", "branch": "b", "stage": "s", "labels": ["l"] },
    });
    let created = workspace.call(Method::PUT, USER_A, Some(body)).await;
    assert_eq!(created.json()["branchName"], "trunk");
    assert_eq!(
        workspace.get(USER_A).await.json(),
        json!({
            "name": "user_a", "region": "us-west-2", "createdAt": "2026-01-07T11:06:40.000Z",
            "defaultClusterID": "shared-cluster", "postgresEnabled": true, "ui": { "color": "blue" },
        })
    );
}

#[tokio::test(start_paused = true)]
async fn a_duplicate_is_answered_as_selected_and_never_moves_the_database() {
    for (duplicate, status) in [
        (None, 422),
        (Some(Duplicate::Created), 201),
        (Some(Duplicate::Conflict), 409),
        (Some(Duplicate::Unprocessable), 422),
        (Some(Duplicate::Locked), 423),
    ] {
        let workspace = Workspace::with(|options| {
            options.duplicate = duplicate.unwrap_or(options.duplicate);
        });
        assert_eq!(workspace.create("eu-west-1").await.status, 201);
        let before = workspace.lite.databases();
        tokio::time::advance(SECOND).await;
        let again = workspace.create("us-east-1").await;
        assert_eq!(again.status, status, "{duplicate:?}");
        assert_eq!(workspace.lite.databases(), before, "{duplicate:?}");
        match status {
            201 => assert_eq!(again.json()["databaseName"], "user_a"),
            _ => assert!(again.message().contains("user_a"), "{}", again.message()),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_creates_at_once_one_makes_the_database() {
    let workspace = Workspace::with(|options| options.create_latency = SECOND);
    let (first, second) =
        tokio::join!(workspace.create("eu-west-1"), workspace.create("us-east-1"));
    // Which of them wins is left to chance.
    let winner = match (first.status, second.status) {
        (201, 422) => "eu-west-1",
        (422, 201) => "us-east-1",
        statuses => panic!("{statuses:?}"),
    };
    assert_eq!(workspace.region().as_deref(), Some(winner));
    assert_eq!(workspace.lite.databases().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_pending_database_is_there_and_a_failed_one_is_not() {
    for (status, word, exists) in [
        (Status::Completed, "completed", 1),
        (Status::Pending, "pending", 1),
        (Status::Failed, "failed", 0),
    ] {
        let workspace = Workspace::with(|options| options.status = status);
        let created = workspace.create("eu-west-1").await;
        assert_eq!((created.status, created.json()["status"].as_str()), (201, Some(word)));
        assert_eq!(workspace.lite.databases().len(), exists, "{word}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_create_takes_its_time_and_a_client_that_hangs_up_has_created_nothing() {
    let workspace = Workspace::with(|options| options.create_latency = 5 * SECOND);
    assert!(timeout(4 * SECOND, workspace.create("eu-west-1")).await.is_err());
    tokio::time::sleep(60 * SECOND).await;
    assert_eq!(workspace.region(), None);
    let before = workspace.lite.clock().now();
    assert_eq!(workspace.create("eu-west-1").await.status, 201);
    // It counts from the moment it is there.
    let created_at = workspace.lite.databases()[0].created_at;
    assert!((before + 5 * SECOND..before + 6 * SECOND).contains(&created_at));
}

#[tokio::test(start_paused = true)]
async fn the_cap_refuses_new_names_and_knows_the_old_ones() {
    let workspace = Workspace::with(|options| {
        options.most_databases = Some(2);
        options.duplicate = Duplicate::Conflict;
    });
    workspace.lite.insert("eu-west-1", ["user_b"]);
    assert_eq!(workspace.create("eu-west-1").await.status, 201);
    assert_eq!(workspace.create("eu-west-1").await.status, 409);
    let third = format!("{DATABASES}/user_c");
    let body = Some(json!({ "region": "eu-west-1" }));
    assert_eq!(workspace.call(Method::PUT, &third, body.clone()).await.status, 422);
    assert!(workspace.lite.remove("user_b"));
    assert!(!workspace.lite.remove("user_b"));
    assert_eq!(workspace.call(Method::PUT, &third, body).await.status, 201);
}

#[tokio::test(start_paused = true)]
async fn names_are_checked_and_keep_their_case() {
    let workspace = Workspace::new();
    let long = "n".repeat(255);
    for (name, status) in [
        (user_id(1).as_str(), 201),
        ("User_A", 201),
        ("user_a", 201),
        ("-~_9", 201),
        (long.as_str(), 201),
        (&format!("{long}n"), 400),
        ("user.a", 400),
        ("user:a", 400),
        ("user%2Fa", 400),
        ("user%20a", 400),
        ("us%C3%A9r", 400),
        ("user%FF", 400),
        ("user%0A", 400),
    ] {
        let path = format!("{DATABASES}/{name}");
        let created = workspace.call(Method::PUT, &path, Some(json!({ "region": "eu-west-1" })));
        let created = created.await;
        assert_eq!(created.status, status, "{name}");
        assert_eq!(workspace.get(&path).await.status == 200, status == 201, "{name}");
        assert_eq!(created.json()["message"].is_string(), status == 400, "{name}");
    }
    assert_eq!(workspace.lite.databases_named("USER_A"), []);
    assert_eq!(workspace.lite.databases_named("User_A").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_bad_body_is_refused_and_nothing_is_created() {
    let workspace = Workspace::new();
    for body in [
        "",
        "{",
        "[]",
        "{}",
        r#"{"region":null}"#,
        r#"{"region":""}"#,
        r#"{"region":7}"#,
        r#"{"region":"eu-central-9"}"#,
        r#"{"region":"eu-west-1","branchName":"a b"}"#,
    ] {
        let mut put = request(Method::PUT, USER_A, None);
        *put.body_mut() = Full::from(body);
        assert_eq!(workspace.send(put).await.unwrap().status, 400, "{body}");
    }
    let mut untyped = request(Method::PUT, USER_A, Some(json!({ "region": "eu-west-1" })));
    untyped.headers_mut().remove(CONTENT_TYPE);
    assert_eq!(workspace.send(untyped).await.unwrap().status, 400);
    assert_eq!(workspace.lite.databases(), []);
}

#[tokio::test(start_paused = true)]
async fn only_the_key_of_the_workspace_is_accepted() {
    let workspace = Workspace::new();
    for authorization in [None, Some("Bearer xau_other"), Some("Basic xau_other"), Some("Bearer")] {
        let mut create = request(Method::PUT, USER_A, Some(json!({ "region": "eu-west-1" })));
        create.headers_mut().remove(AUTHORIZATION);
        if let Some(value) = authorization {
            create.headers_mut().insert(AUTHORIZATION, value.parse().unwrap());
        }
        let refused = workspace.send(create).await.unwrap();
        assert_eq!(refused.status, 401, "{authorization:?}");
        assert_eq!(refused.message(), "invalid API key");
    }
    assert_eq!(workspace.lite.databases(), []);
}

#[tokio::test(start_paused = true)]
async fn another_workspace_shows_and_changes_nothing() {
    let workspace = Workspace::new();
    workspace.lite.insert("eu-west-1", ["user_a"]);
    for (method, path) in [
        (Method::GET, "/dbs"),
        (Method::GET, "/dbs/user_a"),
        (Method::PUT, "/dbs/user_b"),
        (Method::DELETE, "/dbs/user_a"),
        (Method::GET, "/regions"),
    ] {
        let path = format!("/workspaces/other-xyz789{path}");
        let body = Some(json!({ "region": "eu-west-1" }));
        assert_eq!(workspace.call(method, &path, body).await.status, 404, "{path}");
    }
    assert_eq!(workspace.lite.databases().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_database_can_be_coloured_renamed_and_deleted() {
    let workspace = Workspace::new();
    assert_eq!(workspace.create("eu-west-1").await.status, 201);
    workspace.lite.insert("eu-west-1", ["taken"]);
    let body = Some(json!({ "ui": { "color": "red" } }));
    let coloured = workspace.call(Method::PATCH, USER_A, body).await;
    assert_eq!((coloured.status, &coloured.json()["ui"]), (200, &json!({ "color": "red" })));
    assert_eq!(
        workspace.call(Method::PATCH, USER_A, Some(json!({}))).await.json(),
        coloured.json()
    );

    let rename = format!("{USER_A}/rename");
    for (new_name, status) in
        [("taken", 422), ("a b", 400), ("", 400), ("user_a", 200), ("user_z", 200)]
    {
        let body = Some(json!({ "newName": new_name }));
        let renamed = workspace.call(Method::POST, &rename, body).await;
        assert_eq!(renamed.status, status, "{new_name}");
        if status == 200 {
            assert_eq!(renamed.json()["name"], new_name);
            assert_eq!(renamed.json()["createdAt"], coloured.json()["createdAt"]);
        }
    }
    let renamed = format!("{DATABASES}/user_z");
    let deleted = workspace.call(Method::DELETE, &renamed, None).await;
    assert_eq!((deleted.status, deleted.json()), (200, json!({ "status": "completed" })));
    assert_eq!(workspace.call(Method::DELETE, &renamed, None).await.status, 404);
    assert_eq!(workspace.lite.databases().len(), 1);
    assert_eq!(workspace.create("us-east-1").await.status, 201);
}

#[tokio::test(start_paused = true)]
async fn a_missing_database_or_path_is_404_with_a_message() {
    let workspace = Workspace::new();
    let rename = format!("{USER_A}/rename");
    for (method, path, body) in [
        (Method::GET, USER_A, None),
        (Method::PATCH, USER_A, Some(json!({ "ui": { "color": "red" } }))),
        (Method::DELETE, USER_A, None),
        (Method::POST, rename.as_str(), Some(json!({ "newName": "user_b" }))),
        (Method::GET, "/nowhere", None),
    ] {
        let missing = workspace.call(method, path, body).await;
        assert_eq!(missing.status, 404, "{path}");
        assert!(missing.message().contains("not found"), "{path}");
    }
    assert_eq!(workspace.call(Method::POST, USER_A, None).await.status, 405);
}

#[tokio::test(start_paused = true)]
async fn the_regions_are_those_of_the_old_service() {
    let workspace = Workspace::new();
    let listed = workspace.get("/workspaces/tutorial-abc123/regions").await.json();
    let ids: Vec<_> = listed["regions"].as_array().unwrap().iter().map(|row| &row["id"]).collect();
    assert_eq!(ids, ["ap-southeast-2", "eu-central-1", "eu-west-1", "us-east-1", "us-west-2"]);
    assert!(listed["regions"][0]["name"].is_string());
}

#[tokio::test(start_paused = true)]
async fn a_workspace_of_100_000_is_listed_whole_and_looked_up_by_name() {
    let workspace = Workspace::new();
    workspace.lite.insert("eu-west-1", (0..100_000).map(|n| format!("user_{n:027}")));
    let listed = workspace.get(DATABASES).await.json();
    assert_eq!(listed["databases"].as_array().unwrap().len(), 100_000);
    let found = workspace.get(&format!("{DATABASES}/user_{:027}", 99_999)).await;
    assert!(found.body.len() < 200);
}

#[tokio::test(start_paused = true)]
async fn settings_can_change_while_it_runs() {
    let workspace = Workspace::new();
    workspace.lite.change(|options| options.status = Status::Failed);
    assert_eq!(workspace.create("eu-west-1").await.json()["status"], "failed");
    workspace.lite.change(|options| options.status = Status::Completed);
    assert_eq!(workspace.create("eu-west-1").await.json()["status"], "completed");
}

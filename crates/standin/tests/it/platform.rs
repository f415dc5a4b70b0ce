//! Everything of the platform but creating and listing branches.

use std::time::Duration;

use http::Method;
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};
use standin::xata::platform::{NewDatabase, Quotas, Readiness};

use crate::helpers::{BRANCHES, Client, PROJECT, TEMPLATE, World, child, request, root};

const PROJECTS: &str = "/organizations/org123/projects";
const SECOND: Duration = Duration::from_secs(1);

async fn created(world: &World, name: &str) -> String {
    let id = world.clone_template(name).await.json()["id"].as_str().unwrap().to_owned();
    format!("{BRANCHES}/{id}")
}

async fn status(world: &World, branch: &str) -> (String, i64) {
    let shown = world.get(branch).await.json();
    let kind = shown["status"]["statusType"].as_str().unwrap().to_owned();
    (kind, shown["status"]["instanceCount"].as_i64().unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_branch_may_say_hibernated_before_it_exists() {
    let world = World::with(|options| options.ready_after = 4 * SECOND);
    let branch = created(&world, "user_a").await;
    assert_eq!(status(&world, &branch).await, ("STATUS_TYPE_HIBERNATED".into(), 0));
    tokio::time::sleep(2 * SECOND).await;
    assert_eq!(status(&world, &branch).await, ("STATUS_TYPE_TRANSIENT".into(), 1));
    tokio::time::sleep(2 * SECOND).await;
    assert_eq!(status(&world, &branch).await, ("STATUS_TYPE_HEALTHY".into(), 1));
}

#[tokio::test(start_paused = true)]
async fn a_branch_may_say_transient_until_it_is_healthy() {
    let world = World::with(|options| {
        options.ready_after = 4 * SECOND;
        options.readiness = Readiness::TransientFirst;
    });
    let branch = created(&world, "user_a").await;
    assert_eq!(status(&world, &branch).await.0, "STATUS_TYPE_TRANSIENT");
    tokio::time::sleep(4 * SECOND).await;
    assert_eq!(status(&world, &branch).await.0, "STATUS_TYPE_HEALTHY");
}

#[tokio::test(start_paused = true)]
async fn a_child_waits_for_its_parent() {
    let world = World::with(|options| options.ready_after = 4 * SECOND);
    let parent = world.call(Method::POST, BRANCHES, Some(root("parent"))).await.json();
    tokio::time::sleep(SECOND).await;
    let mut body = child("user_a");
    body["parentID"] = parent["id"].clone();
    assert_eq!(world.call(Method::POST, BRANCHES, Some(body)).await.status, 201);
    tokio::time::sleep(6 * SECOND).await;
    assert!(!world.platform.databases_named("user_a")[0].ready);
    tokio::time::sleep(SECOND).await;
    assert!(world.platform.databases_named("user_a")[0].ready);
}

#[tokio::test(start_paused = true)]
async fn credentials_and_connection_string_come_when_the_branch_is_ready() {
    let world = World::new();
    let branch = created(&world, "user_a").await;
    let id = branch.rsplit('/').next().unwrap();
    let credentials = format!("{branch}/credentials?username=xata");
    let early = world.get(&credentials).await;
    let message = format!("Credentials for username [xata] on branch [{id}]: not found");
    assert_eq!((early.status, early.message()), (404, message));
    assert_eq!(world.get(&branch).await.json()["connectionString"], Value::Null);

    tokio::time::sleep(2 * SECOND).await;
    let shown = world.get(&credentials).await.json();
    let password = shown["password"].as_str().unwrap();
    assert_eq!(password.len(), 64);
    let url = format!("postgresql://xata:{password}@{id}.eu-central-1.xata.tech/xata");
    assert_eq!(shown["connectionString"], url.as_str());
    let of_branch = world.get(&branch).await.json()["connectionString"].clone();
    assert_eq!(of_branch, format!("{url}?sslmode=require"));

    world.platform.change(|options| options.credentials_with_host = false);
    assert_eq!(world.get(&credentials).await.json().as_object().unwrap().len(), 2);
    let other = world.get(&format!("{branch}/credentials?username=root")).await;
    assert_eq!(other.message(), "only the xata user credentials can be retrieved");
}

#[tokio::test(start_paused = true)]
async fn a_rotation_takes_time_and_must_not_be_repeated_meanwhile() {
    let world = World::new();
    let branch = format!("{BRANCHES}/{TEMPLATE}");
    let rotate = format!("{branch}/credentials/rotate");
    let body = Some(json!({ "username": "xata" }));
    let before = world.get(&format!("{branch}/credentials")).await.json();
    assert_eq!(world.call(Method::POST, &rotate, body.clone()).await.status, 204);
    assert_eq!(world.get(&format!("{branch}/credentials")).await.status, 404);
    let again = world.call(Method::POST, &rotate, body).await;
    assert_eq!(again.status, 500);
    assert!(again.message().starts_with("Internal Error (Request ID: req_"));
    tokio::time::sleep(2 * SECOND).await;
    let after = world.get(&format!("{branch}/credentials")).await.json();
    assert_ne!(before["password"], after["password"]);
}

#[tokio::test(start_paused = true)]
async fn a_branch_is_patched_and_removed_once() {
    let world = World::new();
    world.platform.insert(PROJECT, [NewDatabase::root("taken", "us-east-1")]);
    let branch = created(&world, "user_a").await;
    let id = branch.rsplit('/').next().unwrap();
    let patch = async |body| world.call(Method::PATCH, &branch, Some(body)).await;
    assert_eq!(patch(json!({ "name": "taken" })).await.message(), "branch [taken] already exists");
    assert_eq!(patch(json!({ "name": "user_a" })).await.status, 200);
    assert_eq!(patch(json!({ "name": "parked" })).await.json()["name"], "parked");
    assert!(world.platform.databases_named("user_a").is_empty());
    tokio::time::sleep(2 * SECOND).await;
    assert_eq!(patch(json!({ "hibernate": true })).await.status, 200);
    assert_eq!(status(&world, &branch).await, ("STATUS_TYPE_HIBERNATED".into(), 0));

    assert_eq!(world.call(Method::DELETE, &branch, None).await.status, 204);
    let again = world.call(Method::DELETE, &branch, None).await;
    assert_eq!((again.status, again.message()), (404, format!("branch [{id}] not found")));
}

#[tokio::test(start_paused = true)]
async fn a_removed_parent_leaves_its_children_dangling() {
    let world = World::new();
    let branch = created(&world, "user_a").await;
    assert!(world.platform.remove(TEMPLATE));
    assert!(!world.platform.remove(TEMPLATE));
    assert_eq!(world.get(&branch).await.json()["parentID"], TEMPLATE);
}

#[tokio::test(start_paused = true)]
async fn projects_are_named_once_counted_and_deleted_when_empty() {
    let world = World::with(|options| options.quotas.projects = Some(2));
    let create =
        async |name| world.call(Method::POST, PROJECTS, Some(json!({ "name": name }))).await;
    assert_eq!(create("").await.message(), "invalid project name []");
    assert_eq!(create("shard-one").await.message(), "project [shard-one] already exists");
    let created = create("shard-two").await.json();
    assert_eq!(created["configuration"]["scaleToZero"]["childBranches"]["enabled"], false);
    let id = created["id"].as_str().unwrap();
    assert!(id.starts_with("prj_") && id.len() == 30, "{id}");
    let full = create("shard-one").await;
    let message = "organization [org123] has reached the limit of 2 projects";
    assert_eq!((full.status, full.message().as_str()), (403, message));

    let delete = async |id| world.call(Method::DELETE, &format!("{PROJECTS}/{id}"), None).await;
    assert_eq!(delete(id).await.status, 204);
    assert_eq!(delete(id).await.status, 204);
    assert_eq!(world.get(&format!("{PROJECTS}/{id}")).await.status, 404);
    assert_eq!(delete("prj_unknown").await.status, 404);
    let message = "project prj_shard_one is not empty. Please delete its branches first.";
    assert_eq!(delete(PROJECT).await.message(), message);
    assert_eq!(world.get(PROJECTS).await.json()["projects"].as_array().unwrap().len(), 1);
    assert_eq!(create("shard-two").await.status, 201);
}

#[tokio::test(start_paused = true)]
async fn the_key_and_the_organization_are_checked_first() {
    let world = World::new();
    let mut bare = request(Method::GET, PROJECTS, None);
    bare.headers_mut().remove("authorization");
    let answer = world.send(bare).await.unwrap();
    assert_eq!((answer.status, answer.message().as_str()), (401, "no token found"));

    let mut wrong = request(Method::GET, PROJECTS, None);
    wrong.headers_mut().insert("authorization", "Bearer xau_other".parse().unwrap());
    let answer = world.send(wrong).await.unwrap();
    assert_eq!((answer.status, answer.message().as_str()), (401, "invalid token"));

    let answer = world.get("/organizations/org999/projects").await;
    assert_eq!((answer.status, answer.message().as_str()), (403, "access denied"));
}

#[tokio::test(start_paused = true)]
async fn requests_have_ids_and_routes_have_edges() {
    let world = World::new();
    let mut known = request(Method::GET, "/organizations/org123/projects/prj_unknown", None);
    known.headers_mut().insert("x-request-id", "r".repeat(120).parse().unwrap());
    let answer = world.send(known).await.unwrap();
    assert_eq!(answer.headers["x-request-id"], "r".repeat(100).as_str());
    assert_eq!(
        answer.json(),
        json!({ "id": "r".repeat(100), "message": "project [prj_unknown] not found" })
    );

    let unknown = world.get("/nowhere").await;
    assert_eq!((unknown.status, unknown.json()), (404, json!({ "message": "Not Found" })));
    assert_eq!(unknown.headers["x-request-id"].len(), 30);
    assert_eq!(world.call(Method::PUT, PROJECTS, None).await.status, 405);
    assert_eq!(world.get(&format!("{PROJECTS}/")).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn the_content_type_may_be_missing_but_not_wrong() {
    let world = World::new();
    for (path, content_type, expected) in [
        (PROJECTS, None, 201),
        (PROJECTS, Some("text/plain"), 415),
        (BRANCHES, Some("text/plain"), 400),
        (BRANCHES, Some("application/json; charset=utf-8"), 201),
    ] {
        let body = if path == BRANCHES { child("user_a") } else { json!({ "name": "p" }) };
        let mut request = request(Method::POST, path, Some(body));
        match content_type {
            Some(text) => request.headers_mut().insert(CONTENT_TYPE, text.parse().unwrap()),
            None => request.headers_mut().remove(CONTENT_TYPE),
        };
        assert_eq!(world.send(request).await.unwrap().status, expected, "{path} {content_type:?}");
    }
    assert_eq!(
        world.call(Method::POST, BRANCHES, None).await.message(),
        "invalid parameter [name]: branch name is required"
    );
}

#[tokio::test(start_paused = true)]
async fn discovery_tells_regions_sizes_images_and_limits() {
    let world = World::with(|options| options.quotas = Quotas::T2_LARGE_STORAGE);
    let get = async |path: &str| world.get(&format!("/organizations/org123/{path}")).await;
    let regions = get("regions").await.json();
    let regions_of = |provider| {
        let regions = regions["regions"].as_array().unwrap().iter();
        regions.filter(|it| it["provider"] == provider).map(|it| &it["id"]).collect::<Vec<_>>()
    };
    assert_eq!(regions_of("aws"), ["us-east-1", "us-west-2", "eu-central-1"]);
    assert_eq!(regions_of("gcp"), ["us-central1"]);
    assert_eq!(
        regions["regions"][0],
        json!({"id":"us-east-1","publicAccess":true,"backupsEnabled":true,"organizationId":null,"provider":"aws"})
    );

    let types = get("instanceTypes?region=us-east-1").await.json();
    assert_eq!(types["instanceTypes"][7]["vcpus"], 32_000);
    assert_eq!(types["instanceTypes"][7]["hourlyRate"], 0.012 * 128.0);
    let missing = get("instanceTypes").await;
    assert!(
        missing.status == 400 && missing.message().contains("Invalid format for parameter region")
    );
    let message = "invalid parameter [region]: invalid region: region mars-1 is not found";
    assert_eq!(get("images?region=mars-1").await.message(), message);
    let images = get("images?region=us-east-1").await.json();
    assert!(
        images["images"]
            .as_array()
            .unwrap()
            .contains(&json!({"name":"postgres:17.10","majorVersion":"17","fullVersion":"17.10"}))
    );

    let limits = get("limits").await.json();
    assert_eq!(limits["maxBranchesPerProject"], 1000);
    assert_eq!(limits["maxProjects"], 100);
    assert_eq!(limits["maxStorageGBPerBranch"], 250);
    assert_eq!(limits.as_object().unwrap().len(), 10);
    let limits = get("projects/prj_shard_one/limits").await.json();
    assert_eq!(limits["maxBranchesPerHour"], 500);
    assert_eq!(limits.as_object().unwrap().len(), 7);
    assert_eq!(
        get("projects/limits").await.json(),
        json!({"maxInstances":5,"minInstances":1,"maxDescriptionLength":50,"maxBranches":100})
    );
}

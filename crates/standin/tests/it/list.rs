//! Listing branches, which is the only look-up by name there is.

use http_body_util::BodyExt;
use serde_json::Value;
use standin::serve;
use standin::xata::platform::NewDatabase;
use tower::ServiceExt;

use crate::helpers::{BRANCHES, Client, PROJECT, TEMPLATE, World, request};

fn many(n: usize) -> impl Iterator<Item = NewDatabase> {
    (0..n).map(|n| NewDatabase {
        parent: Some(TEMPLATE.into()),
        ..NewDatabase::root(&format!("user_{n:027}"), "eu-central-1")
    })
}

#[tokio::test(start_paused = true)]
async fn a_list_names_the_active_branches_of_one_project() {
    let world = World::new();
    assert_eq!(world.clone_template("user_a").await.status, 201);
    let listed = world.get(BRANCHES).await.json();
    let rows = listed["branches"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0]["id"], TEMPLATE);
    assert_eq!(rows[0]["parentID"], Value::Null);
    assert_eq!(rows[1]["name"], "user_a");
    assert_eq!(rows[1]["backupsEnabled"], true);
    assert!(rows[1].get("connectionString").is_none() && rows[1].get("status").is_none());

    world.platform.insert_project("prj_empty", "empty");
    let empty = world.get("/organizations/org123/projects/prj_empty/branches").await;
    assert_eq!(empty.json(), serde_json::json!({ "branches": [] }));
    assert_eq!(world.get("/organizations/org123/projects/prj_no/branches").await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn a_list_of_100_000_is_whole_and_is_written_while_it_is_read() {
    let world = World::new();
    world.platform.insert(PROJECT, many(100_000));
    assert_eq!(world.platform.databases().len(), 100_001);
    assert_eq!(world.get(BRANCHES).await.json()["branches"].as_array().unwrap().len(), 100_001);

    let service = serve::service(world.platform.router());
    let response = service.oneshot(request(http::Method::GET, BRANCHES, None)).await.unwrap();
    let mut body = response.into_body();
    let mut read = String::new();
    while !read.contains("user_000000000000000000000000100") {
        let piece = body.frame().await.unwrap().unwrap().into_data().unwrap();
        read.push_str(std::str::from_utf8(&piece).unwrap());
    }
    assert!(read.len() < 200_000, "{} bytes for the hundredth row", read.len());
}

#[tokio::test(start_paused = true)]
async fn a_list_shows_one_moment_however_slowly_it_is_read() {
    let world = World::new();
    world.platform.insert(PROJECT, many(1_000));
    let service = serve::service(world.platform.router());
    let response = service.oneshot(request(http::Method::GET, BRANCHES, None)).await.unwrap();
    for database in world.platform.databases() {
        world.platform.remove(&database.id);
    }
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let listed: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(listed["branches"].as_array().unwrap().len(), 1_001);
}

//! Creating a branch: order of checks, transaction, lock, quotas.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Value, json};
use standin::xata::platform::{Contention, NewDatabase, Quotas};
use tokio::time::{Instant, timeout};

use crate::helpers::{BRANCHES, Client, PROJECT, World, child, root};

const SECOND: Duration = Duration::from_secs(1);

async fn create(world: &World, body: Value) -> (u16, String) {
    let answer = world.call(Method::POST, BRANCHES, Some(body)).await;
    (answer.status, answer.json()["message"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_child_has_its_parents_region_and_no_connection_string_yet() {
    let world = World::new();
    let answer = world.clone_template("user_2abcDEF").await;
    assert_eq!(answer.status, 201);
    let shown = answer.json();
    assert_eq!(shown["name"], "user_2abcDEF");
    assert_eq!(shown["region"], "eu-central-1");
    assert_eq!(shown["parentID"], crate::helpers::TEMPLATE);
    assert_eq!(shown["connectionString"], Value::Null);
    assert_eq!(shown["createdAt"], "2026-01-07T11:06:40.000Z");
    let id = shown["id"].as_str().unwrap();
    assert!(id.len() == 26 && id.as_bytes()[0].is_ascii_lowercase(), "{id}");
}

#[tokio::test(start_paused = true)]
async fn a_name_is_unique_in_its_case_and_its_project_and_free_after_removal() {
    let world = World::new();
    assert_eq!(world.clone_template("user_a").await.status, 201);
    let again = world.clone_template("user_a").await;
    assert_eq!((again.status, again.message()), (409, "branch [user_a] already exists".into()));
    assert!(!again.headers.contains_key("retry-after"));
    assert_eq!(world.clone_template("user_A").await.status, 201);

    world.platform.insert_project("prj_two", "shard-two");
    world.platform.insert("prj_two", [NewDatabase::root("user_a", "us-east-1")]);
    let both = world.platform.databases_named("user_a");
    assert_eq!(
        both.iter().map(|one| one.project.as_str()).collect::<Vec<_>>(),
        [PROJECT, "prj_two"]
    );

    assert!(world.platform.remove(&both[0].id));
    assert_eq!(world.clone_template("user_a").await.status, 201);
}

#[tokio::test(start_paused = true)]
async fn quota_answers_come_before_the_duplicate_answer() {
    let quota = |change: fn(&mut Quotas)| World::with(|options| change(&mut options.quotas));
    // The template counts as one.
    for (world, status, message) in [
        (
            quota(|quotas| quotas.branches_per_project = Some(2)),
            400,
            "project [prj_shard_one] has reached the limit of 2 branches",
        ),
        (
            quota(|quotas| quotas.branches_per_organization = Some(2)),
            403,
            "organization [org123] has reached the limit of 2 branches",
        ),
        (
            quota(|quotas| quotas.branch_creations_per_hour = Some(2)),
            429,
            "organization [org123] has reached the limit of 2 branch creations per hour",
        ),
        (
            quota(|quotas| quotas.new_organization_branches = Some(2)),
            403,
            "Organization [org123] has reached the branch limit for new organizations",
        ),
    ] {
        assert_eq!(world.clone_template("user_a").await.status, 201);
        let again = world.clone_template("user_a").await;
        assert_eq!((again.status, again.message().as_str()), (status, message));
        assert!(!again.headers.contains_key("retry-after"));
        assert_eq!(world.platform.databases_named("user_a").len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn the_hourly_quota_counts_removed_branches_and_rolls() {
    let world = World::with(|options| options.quotas.branch_creations_per_hour = Some(2));
    let id = world.clone_template("user_a").await.json()["id"].as_str().unwrap().to_owned();
    assert!(world.platform.remove(&id));
    assert_eq!(world.clone_template("user_b").await.status, 429);
    tokio::time::sleep(3599 * SECOND).await;
    assert_eq!(world.clone_template("user_b").await.status, 429);
    tokio::time::sleep(SECOND).await;
    assert_eq!(world.clone_template("user_b").await.status, 201);
}

#[tokio::test(start_paused = true)]
async fn a_create_that_is_dropped_before_commit_leaves_nothing() {
    let world = World::with(|options| options.create_latency = 5 * SECOND);
    let create = world.clone_template("user_a");
    assert!(timeout(4 * SECOND, create).await.is_err());
    assert!(world.platform.databases_named("user_a").is_empty());
    assert_eq!(world.platform.requests()[0].status, None);
    // The lock was released.
    let started = Instant::now();
    assert_eq!(world.clone_template("user_a").await.status, 201);
    assert_eq!(started.elapsed(), 5 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn an_open_transaction_is_invisible_until_it_commits() {
    let world = World::with(|options| options.create_latency = 5 * SECOND);
    let creator = world.clone();
    let create = tokio::spawn(async move { creator.clone_template("user_a").await.status });
    tokio::time::sleep(4 * SECOND).await;
    assert!(world.platform.databases_named("user_a").is_empty());
    assert_eq!(create.await.unwrap(), 201);
    assert_eq!(world.platform.databases_named("user_a").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn creates_in_one_project_queue_and_the_second_of_a_name_is_a_duplicate() {
    let world = World::with(|options| options.create_latency = 5 * SECOND);
    let started = Instant::now();
    let (first, second, other) = tokio::join!(
        world.clone_template("user_a"),
        world.clone_template("user_a"),
        world.clone_template("user_b"),
    );
    assert_eq!([first.status, second.status, other.status], [201, 409, 201]);
    assert_eq!(started.elapsed(), 10 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn creates_in_two_projects_do_not_wait_for_each_other() {
    let world = World::with(|options| options.create_latency = 5 * SECOND);
    world.platform.insert_project("prj_two", "shard-two");
    let path = "/organizations/org123/projects/prj_two/branches";
    let started = Instant::now();
    let (one, two) = tokio::join!(
        world.clone_template("user_a"),
        world.call(Method::POST, path, Some(root("user_a"))),
    );
    assert_eq!([one.status, two.status], [201, 201]);
    assert_eq!(started.elapsed(), 5 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn contention_under_a_try_lock_is_refused_at_once_and_is_no_duplicate() {
    for (status, retry_after) in [
        (StatusCode::CONFLICT, true),
        (StatusCode::CONFLICT, false),
        (StatusCode::LOCKED, true),
        (StatusCode::TOO_MANY_REQUESTS, true),
    ] {
        let world = World::with(|options| {
            options.create_latency = 5 * SECOND;
            options.contention = Contention::Refuse { status, retry_after };
        });
        let (first, second) =
            tokio::join!(world.clone_template("user_a"), world.clone_template("user_a"));
        assert_eq!([first.status, second.status], [201, status.as_u16()]);
        let header = second.headers.get("retry-after").map(|value| value.to_str().unwrap());
        assert_eq!(header, retry_after.then_some("1"));
        assert!(!second.message().contains("already exists"));
        assert_eq!(
            world.clone_template("user_a").await.message(),
            "branch [user_a] already exists"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_rename_into_an_open_transaction_makes_it_a_duplicate() {
    let world = World::with(|options| options.create_latency = 5 * SECOND);
    world.platform.insert(PROJECT, [NewDatabase::root("elsewhere", "us-east-1")]);
    let id = world.platform.databases_named("elsewhere")[0].id.clone();
    let (created, ()) = tokio::join!(world.clone_template("user_a"), async {
        tokio::time::sleep(SECOND).await;
        world.platform.rename(&id, "user_a");
    });
    assert_eq!(created.status, 409);
    assert_eq!(world.platform.databases_named("user_a").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn checks_come_in_the_order_of_the_service() {
    let world = World::with(|options| {
        options.organization_enabled = false;
        options.creation_enabled = false;
        options.quotas.branches_per_organization = Some(1);
    });
    let worst = json!({ "description": "no_underscore", "mode": "other" });
    let disabled =
        "Organization [org123] is disabled, please check your billing settings or contact support";
    assert_eq!(create(&world, worst.clone()).await, (403, disabled.into()));

    world.platform.change(|options| options.organization_enabled = true);
    let answer = world.call(Method::POST, BRANCHES, Some(worst.clone())).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.headers["retry-after"], "30");

    world.platform.change(|options| options.creation_enabled = true);
    let (status, message) = create(&world, worst).await;
    assert!(status == 400 && message.contains("invalid branch description"), "{message}");

    for (body, expected) in [
        (json!({ "mode": "other" }), "invalid parameter [name]: branch name is required"),
        (json!({ "name": "n", "mode": "other" }), "unknown discriminator value"),
        (json!({ "name": "n", "mode": "inherit", "parentID": "nobody" }), "[nobody]: not found"),
        (child("n"), "organization [org123] has reached the limit of 1 branches"),
    ] {
        let (_, message) = create(&world, body).await;
        assert!(message.contains(expected), "{message:?} has no {expected:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_project_and_a_parent_elsewhere_are_not_found() {
    let world = World::new();
    let path = "/organizations/org123/projects/prj_unknown/branches";
    for body in [child("n"), root("n")] {
        let answer = world.call(Method::POST, path, Some(body)).await;
        assert_eq!(
            (answer.status, answer.message()),
            (404, "project [prj_unknown] not found".into())
        );
    }
    world.platform.insert_project("prj_two", "shard-two");
    let path = "/organizations/org123/projects/prj_two/branches";
    let answer = world.call(Method::POST, path, Some(child("n"))).await;
    assert_eq!(answer.status, 404);
    assert!(answer.message().contains("[atemplateineurope000000000]: not found"));
}

#[tokio::test(start_paused = true)]
async fn a_root_branch_needs_a_valid_region_image_size_and_replicas() {
    let world = World::with(|options| options.quotas = Quotas::T1);
    assert_eq!(create(&world, root("fine")).await.0, 201);
    for (member, value, expected) in [
        (
            "region",
            json!("mars-1"),
            "invalid parameter [region]: invalid region: region mars-1 is not found",
        ),
        ("region", Value::Null, "[region]"),
        ("image", json!("postgres:9"), "Branch [n]:"),
        ("image", Value::Null, "[image]"),
        ("instanceType", json!("xata.8xlarge"), "[instanceType]"),
        ("instanceType", Value::Null, "[instanceType]"),
        ("replicas", json!(5), "[replicas]"),
        ("replicas", Value::Null, "[replicas]"),
    ] {
        let mut body = root("n");
        body["configuration"][member] = value;
        let (status, message) = create(&world, body).await;
        assert!(status == 400 && message.contains(expected), "{member}: {status} {message}");
    }
    let without = json!({ "name": "n", "mode": "custom" });
    assert_eq!(create(&world, without).await.0, 400);
}

#[tokio::test(start_paused = true)]
async fn scale_to_zero_is_stored_checked_and_otherwise_the_projects() {
    let world = World::new();
    let patch = json!({ "configuration": { "scaleToZero": {
        "baseBranches": { "enabled": false, "inactivityPeriodMinutes": 30 },
        "childBranches": { "enabled": true, "inactivityPeriodMinutes": 7 },
    } } });
    let project = "/organizations/org123/projects/prj_shard_one";
    assert_eq!(world.call(Method::PATCH, project, Some(patch)).await.status, 200);

    for (name, minutes, stored) in [("a", Some(0), 30), ("b", Some(1440), 1440), ("c", None, 7)] {
        let mut body = child(name);
        match minutes {
            Some(minutes) => body["scaleToZero"]["inactivityPeriodMinutes"] = minutes.into(),
            None => body["scaleToZero"] = Value::Null,
        }
        assert_eq!(create(&world, body).await.0, 201);
        let scale_to_zero = world.platform.databases_named(name)[0].scale_to_zero;
        assert!(scale_to_zero.enabled);
        assert_eq!(scale_to_zero.inactivity_period_minutes, stored);
    }
    for minutes in [-1, 1441] {
        let mut body = child("d");
        body["scaleToZero"]["inactivityPeriodMinutes"] = minutes.into();
        assert_eq!(create(&world, body).await.0, 400);
    }
}

#[tokio::test(start_paused = true)]
async fn only_a_root_has_children_without_limit() {
    let world = World::new();
    for n in 0..101 {
        assert_eq!(world.clone_template(&format!("user_{n}")).await.status, 201);
    }
    let parent = world.platform.databases_named("user_0")[0].id.clone();
    for n in 0..101 {
        let mut body = child(&format!("grandchild_{n}"));
        body["parentID"] = parent.clone().into();
        let expected = if n < 100 { 201 } else { 400 };
        assert_eq!(create(&world, body).await.0, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lineage_ends_at_depth_fifty() {
    let world = World::new();
    let mut parent = crate::helpers::TEMPLATE.to_owned();
    for depth in 1..=51 {
        let mut body = child(&format!("depth_{depth}"));
        body["parentID"] = parent.clone().into();
        let answer = world.call(Method::POST, BRANCHES, Some(body)).await;
        assert_eq!(answer.status, if depth <= 50 { 201 } else { 400 });
        parent = answer.json()["id"].as_str().unwrap_or_default().to_owned();
    }
}

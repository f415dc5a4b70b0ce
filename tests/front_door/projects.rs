//! Users spread over several projects, and a list of projects that grows.

use std::time::Duration;

use standin::clerk::{SignUp, user_id};

use crate::world::{ALL_PROJECTS, World, retry};

const USERS: u64 = 30;

fn event(seed: u64) -> Vec<u8> {
    SignUp::new(&user_id(seed)).user_created()
}

#[tokio::test(start_paused = true)]
async fn users_are_spread_with_one_request_each() {
    let world = World::with(&ALL_PROJECTS);
    for seed in 1..=USERS {
        assert_eq!(world.deliver(event(seed)).await.row(), (200, "created", None, None));
    }
    assert_eq!(world.requests().len() as u64, USERS);
    for project in ["prj_a", "prj_b", "prj_c"] {
        let here =
            world.platform().databases().into_iter().filter(|it| it.project == project).count();
        // Its three templates, and its share.
        assert!(here > 3 + 3, "{here} in {project}");
    }
    // A known user, freshly announced again, costs one request, too.
    world.xata.clear_requests();
    assert_eq!(world.deliver(event(1)).await.word("status"), "exists");
    assert_eq!(world.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_list_that_grew_makes_no_second_database() {
    let world = World::new();
    for seed in 1..=USERS {
        assert_eq!(world.deliver(event(seed)).await.word("status"), "created");
    }
    let world = world.redeployed(&ALL_PROJECTS);
    tokio::time::advance(Duration::from_secs(5 * 60 + 1)).await;
    for seed in 1..=USERS {
        // A replay of the old event is a new Hookdeck event, so its first attempt.
        let replayed = world.deliver(event(seed)).await;
        assert_eq!(replayed.row(), (200, "exists", None, None));
        assert_eq!(world.databases(&user_id(seed)).len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_looks_in_every_project_before_it_creates() {
    let world = World::new();
    for seed in 1..=USERS {
        world.deliver(event(seed)).await;
    }
    let world = world.redeployed(&ALL_PROJECTS);
    for seed in 1..=USERS {
        assert_eq!(world.send(retry(event(seed), 2)).await.word("status"), "exists");
    }
    let new = world.send(retry(event(USERS + 1), 2)).await;
    assert_eq!(new.word("status"), "created");
    let last: Vec<_> =
        world.requests().into_iter().rev().take(4).map(|(method, _)| method).collect();
    assert_eq!(last, ["POST", "GET", "GET", "GET"]);
}

#[tokio::test(start_paused = true)]
async fn an_event_of_unknown_age_is_treated_as_old() {
    // Some of them have their home in the projects that join.
    let sparse = |seed| {
        format!(r#"{{"type":"user.created","data":{{"id":"{}"}}}}"#, user_id(seed)).into_bytes()
    };
    let world = World::new();
    for seed in 1..=USERS {
        world.deliver(sparse(seed)).await;
    }
    let world = world.redeployed(&ALL_PROJECTS);
    for seed in 1..=USERS {
        assert_eq!(world.deliver(sparse(seed)).await.word("status"), "exists");
    }
}

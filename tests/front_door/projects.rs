//! Users spread over several projects, and a project that is added to the list.

use std::time::Duration;

use standin::clerk::user_id;

use crate::test_app::{ALL_PROJECTS, PROJECTS, TestApp, retry, user_created};

const USERS: u64 = 30;

#[tokio::test(start_paused = true)]
async fn users_are_spread_over_the_projects_with_one_request_each() {
    let app = TestApp::with_settings(&ALL_PROJECTS);
    for seed in 1..=USERS {
        assert_eq!(app.deliver(user_created(seed)).await.row(), (200, "created", None, None));
    }
    assert_eq!(app.requests().len() as u64, USERS);
    for project in PROJECTS {
        let n_databases =
            app.platform().databases().into_iter().filter(|it| it.project == project).count();
        let n_templates = 3;
        assert!(n_databases > n_templates + 3, "{n_databases} in {project}");
    }
    // A fresh delivery of a known user is one request, too.
    app.xata.clear_requests();
    assert_eq!(app.deliver(user_created(1)).await.outcome(), "exists");
    assert_eq!(app.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_added_project_causes_no_second_database() {
    let app = TestApp::new();
    for seed in 1..=USERS {
        assert_eq!(app.deliver(user_created(seed)).await.outcome(), "created");
    }
    let app = app.redeploy(&ALL_PROJECTS);
    tokio::time::advance(Duration::from_secs(5 * 60 + 1)).await;
    for seed in 1..=USERS {
        // A replay from Clerk is a new Hookdeck event, so this is a first attempt.
        let replay = app.deliver(user_created(seed)).await;
        assert_eq!(replay.row(), (200, "exists", None, None));
        assert_eq!(app.databases(&user_id(seed)).len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_looks_in_every_project_before_it_creates() {
    let app = TestApp::new();
    for seed in 1..=USERS {
        app.deliver(user_created(seed)).await;
    }
    let app = app.redeploy(&ALL_PROJECTS);
    for seed in 1..=USERS {
        assert_eq!(app.send(retry(user_created(seed), 2)).await.outcome(), "exists");
    }
    let new = app.send(retry(user_created(USERS + 1), 2)).await;
    assert_eq!(new.outcome(), "created");
    assert!(app.methods().ends_with(&["GET", "GET", "GET", "POST"].map(str::to_owned)));
}

#[tokio::test(start_paused = true)]
async fn an_event_of_unknown_age_is_treated_as_old() {
    // The home of some of these users is an added project.
    let sparse = |seed| {
        format!(r#"{{"type":"user.created","data":{{"id":"{}"}}}}"#, user_id(seed)).into_bytes()
    };
    let app = TestApp::new();
    for seed in 1..=USERS {
        app.deliver(sparse(seed)).await;
    }
    let app = app.redeploy(&ALL_PROJECTS);
    for seed in 1..=USERS {
        assert_eq!(app.deliver(sparse(seed)).await.outcome(), "exists");
    }
}

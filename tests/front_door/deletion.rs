//! `user.deleted` without a Clerk key: the database is retained, parked or deleted.

use std::time::Duration;

use standin::clerk::{SignUp, user_id};
use standin::fault::{Effect, Fault};
use standin::xata::platform::Call;
use tokio::time::Instant;

use crate::test_app::{
    ALL_PROJECTS, DELETE, PARK, TestApp, delivery, message, payload, refusal, retry, user_created,
};

/// Each removal, the request that makes it, and its outcome.
const REMOVALS: [((&str, &str), Call, &str); 2] =
    [(PARK, Call::PatchBranch, "parked"), (DELETE, Call::DeleteBranch, "removed")];

fn deleted(seed: u64) -> Vec<u8> {
    SignUp::new(&user_id(seed)).user_deleted(1_767_866_800_000)
}

/// An app in which the first user has a database. Its recorded requests are cleared.
async fn app(changes: &[(&str, &str)]) -> TestApp {
    let app = TestApp::with_settings(changes);
    app.deliver(user_created(1)).await;
    app.xata.clear_requests();
    app
}

fn names(app: &TestApp) -> Vec<String> {
    let databases = app.platform().databases().into_iter().map(|it| it.name);
    databases.filter(|name| !name.starts_with("template-")).collect()
}

#[tokio::test(start_paused = true)]
async fn a_database_is_retained_by_default() {
    for changes in [&[][..], &[("ON_USER_DELETED", "retain")]] {
        let app = app(changes).await;
        assert_eq!(app.deliver(deleted(1)).await.row(), (200, "retained", None, None));
        assert_eq!((app.methods().len(), app.databases(&user_id(1)).len()), (0, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_parked_database_is_renamed_and_hibernated_in_one_request() {
    let app = app(&[PARK]).await;
    let [before] = &app.databases(&user_id(1))[..] else { panic!("one database") };
    assert_eq!(app.deliver(deleted(1)).await.row(), (200, "parked", None, None));
    assert_eq!(app.methods(), ["GET", "PATCH"]);
    let patch: serde_json::Value = serde_json::from_slice(&app.xata.requests()[1].body).unwrap();
    let now = (app.clock)().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let name = format!("parked/{}/{now}", user_id(1));
    assert_eq!(patch, serde_json::json!({ "name": name, "hibernate": true }));
    let [after] = &app.databases(&name)[..] else { panic!("one parked database") };
    assert_eq!(after.id, before.id);
    // The name is free, so a new sign-up of the same id gets a new database.
    assert_eq!(app.deliver(user_created(1)).await.outcome(), "created");
}

#[tokio::test(start_paused = true)]
async fn only_the_database_of_the_user_is_deleted() {
    let app = app(&[DELETE]).await;
    app.deliver(user_created(2)).await;
    // Similar to the user's id, but not equal to it.
    let others = [format!("parked/{}/1", user_id(1)), user_id(1).to_lowercase()];
    app.xata.insert("prj_a", "us-east-1", others.clone());
    app.xata.clear_requests();
    assert_eq!(app.deliver(deleted(1)).await.row(), (200, "removed", None, None));
    assert_eq!(app.methods(), ["GET", "DELETE"]);
    let mut left = names(&app);
    left.sort_unstable();
    let mut expected = [&others[..], &[user_id(2)]].concat();
    expected.sort_unstable();
    assert_eq!(left, expected);
}

#[tokio::test(start_paused = true)]
async fn the_deletion_of_a_user_without_a_database_is_gone() {
    for change in [PARK, DELETE] {
        let app = app(&[change]).await;
        app.deliver(deleted(1)).await;
        for body in [deleted(1), deleted(9)] {
            assert_eq!(app.deliver(body).await.row(), (200, "gone", None, None), "{change:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_database_that_disappears_between_look_up_and_removal_is_gone() {
    for (change, call, _) in REMOVALS {
        let app = app(&[change]).await;
        app.platform().faults().push(Fault::once(call, refusal(404, "branch [x] not found")));
        assert_eq!(app.deliver(deleted(1)).await.row(), (200, "gone", None, None), "{change:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_database_is_found_in_any_project() {
    for seed in 1..=8 {
        let app = TestApp::new();
        app.deliver(user_created(seed)).await;
        let app = app.redeploy(&[&ALL_PROJECTS[..], &[DELETE]].concat());
        assert_eq!(app.deliver(deleted(seed)).await.outcome(), "removed");
        assert_eq!(app.deliver(deleted(seed)).await.outcome(), "gone");
    }
}

#[tokio::test(start_paused = true)]
async fn an_unclear_removal_is_looked_up() {
    let error = message(500, "Internal Error");
    for (change, call, done) in REMOVALS {
        for (effect, status, outcome) in [
            (Effect::ResetAfter, 200, done),
            (Effect::HangAfter, 200, done),
            (Effect::AnswerAfter(error.clone()), 200, done),
            (Effect::ResetBefore, 503, "unavailable"),
            (Effect::Answer(error.clone()), 503, "unavailable"),
            (Effect::HangBefore, 503, "unavailable"),
        ] {
            let app = app(&[change]).await;
            app.platform().faults().push(Fault::once(call, effect.clone()));
            let response = app.deliver(deleted(1)).await;
            assert_eq!((response.status, response.outcome()), (status, outcome), "{effect:?}");
            assert_eq!(app.databases(&user_id(1)).is_empty(), status == 200, "{effect:?}");
            let again = app.send(retry(deleted(1), 2)).await;
            let expected = if status == 200 { "gone" } else { done };
            assert_eq!(again.row(), (200, expected, None, None), "{effect:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_removal_is_misconfigured_or_unavailable_and_keeps_the_database() {
    for (status, text, row) in [
        (403, "access denied", (500, "misconfigured", Some("access_denied"))),
        (401, "invalid token", (500, "misconfigured", Some("key_refused"))),
        (409, "branch was modified concurrently", (503, "unavailable", Some("contention"))),
        (429, "slow down", (503, "unavailable", Some("rate_limited"))),
    ] {
        for (change, call, _) in REMOVALS {
            let app = app(&[change]).await;
            app.platform().faults().push(Fault::once(call, refusal(status, text)));
            let response = app.deliver(deleted(1)).await;
            let (status, outcome, reason, _) = response.row();
            assert_eq!((status, outcome, reason), row);
            assert_eq!(app.databases(&user_id(1)).len(), 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_that_cannot_be_read_is_not_an_absence() {
    let app = app(&[DELETE]).await;
    app.platform().faults().push(Fault::always(Call::ListBranches, Effect::TruncatedAfter));
    let response = app.deliver(deleted(1)).await;
    assert_eq!(response.row(), (503, "unavailable", Some("xata_unreachable"), None));
    assert_eq!(app.databases(&user_id(1)).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn concurrent_deletions_and_a_deletion_beside_a_creation_leave_a_consistent_state() {
    for (change, _, done) in REMOVALS {
        let app = app(&[change]).await;
        let deletion = || app.outcome(delivery(deleted(1)));
        let (one, other) = tokio::join!(deletion(), deletion());
        for outcome in [one, other] {
            assert!([done, "gone"].contains(&outcome), "{outcome}");
        }
        assert!(app.databases(&user_id(1)).is_empty());

        app.xata.set_create_latency(Duration::from_secs(2));
        let creation = app.outcome(delivery(user_created(1)));
        let (creation, deletion) = tokio::join!(creation, deletion());
        assert_eq!(creation, "created");
        assert_eq!(app.databases(&user_id(1)).len(), usize::from(deletion == "gone"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_removal_is_not_begun_without_time_for_a_look_up_after_it() {
    let event = payload(&delivery(deleted(1)));
    let slow = Effect::Trickle { chunk: 100, every: Duration::from_secs(1) };
    let slow_app = async || {
        let app = app(&[DELETE]).await;
        app.platform().faults().push(Fault::always(Call::ListBranches, slow.clone()));
        app
    };
    let (app, started_at) = (slow_app().await, Instant::now());
    assert_eq!(app.invoke(&event).await.outcome(), "removed");
    let look_up = started_at.elapsed();

    let app = slow_app().await;
    // A second is reserved for the response, and a fifth of the rest for a look-up after the
    // removal.
    let deadline = (app.clock)() + look_up + Duration::from_millis(1500);
    let response = app.invoke_with_deadline(&event, deadline).await;
    assert_eq!(response.row(), (503, "unavailable", Some("time_up"), None));
    assert_eq!(app.methods(), ["GET"]);
}

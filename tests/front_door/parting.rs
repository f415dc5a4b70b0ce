//! What becomes of a user's database when they leave.

use std::time::Duration;

use http::StatusCode;
use standin::clerk::{SignUp, user_id};
use standin::fault::{CannedResponse, Effect, Fault};
use standin::function_url::{self, BodyEncoding};
use standin::xata::platform::Call;
use tokio::time::Instant;

use crate::world::{ALL_PROJECTS, World, delivery, retry};

const PARK: (&str, &str) = ("ON_USER_DELETED", "park");
const DELETE: (&str, &str) = ("ON_USER_DELETED", "delete");
fn created(seed: u64) -> Vec<u8> {
    SignUp::new(&user_id(seed)).user_created()
}

fn deleted(seed: u64) -> Vec<u8> {
    SignUp::new(&user_id(seed)).user_deleted(1_767_866_800_000)
}

/// A world in which the first user has a database, and has no requests behind it.
async fn world(changes: &[(&str, &str)]) -> World {
    let world = World::with(changes);
    world.deliver(created(1)).await;
    world.xata.clear_requests();
    world
}

fn methods(world: &World) -> Vec<String> {
    world.requests().into_iter().map(|(method, _)| method).collect()
}

fn names(world: &World) -> Vec<String> {
    let databases = world.platform().databases().into_iter().map(|it| it.name);
    databases.filter(|name| !name.starts_with("template-")).collect()
}

#[tokio::test(start_paused = true)]
async fn a_database_is_kept_unless_a_setting_says_otherwise() {
    for changes in [&[][..], &[("ON_USER_DELETED", "retain")]] {
        let world = world(changes).await;
        assert_eq!(world.deliver(deleted(1)).await.row(), (200, "retained", None, None));
        assert_eq!((methods(&world).len(), world.databases(&user_id(1)).len()), (0, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_parked_database_is_renamed_and_put_to_sleep_in_one_change() {
    let world = world(&[PARK]).await;
    let [before] = &world.databases(&user_id(1))[..] else { panic!("one database") };
    assert_eq!(world.deliver(deleted(1)).await.row(), (200, "parked", None, None));
    assert_eq!(methods(&world), ["GET", "PATCH"]);
    let patch: serde_json::Value = serde_json::from_slice(&world.xata.requests()[1].body).unwrap();
    let now = (world.clock)().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let name = format!("parked/{}/{now}", user_id(1));
    assert_eq!(patch, serde_json::json!({ "name": name, "hibernate": true }));
    let [after] = &world.databases(&name)[..] else { panic!("one parked database") };
    assert_eq!(after.id, before.id);
    // Its name is free: whoever comes back under it gets a new database.
    assert_eq!(world.deliver(created(1)).await.word("status"), "created");
}

#[tokio::test(start_paused = true)]
async fn a_deleted_database_is_gone_and_nobody_else_s_is() {
    let world = world(&[DELETE]).await;
    world.deliver(created(2)).await;
    // Alike, but not exactly the user's id.
    let others = [format!("parked/{}/1", user_id(1)), user_id(1).to_lowercase()];
    world.xata.insert("prj_a", "us-east-1", others.clone());
    world.xata.clear_requests();
    assert_eq!(world.deliver(deleted(1)).await.row(), (200, "removed", None, None));
    assert_eq!(methods(&world), ["GET", "DELETE"]);
    let mut left = names(&world);
    left.sort_unstable();
    let mut expected = [&others[..], &[user_id(2)]].concat();
    expected.sort_unstable();
    assert_eq!(left, expected);
}

#[tokio::test(start_paused = true)]
async fn what_is_absent_already_is_gone() {
    for change in [PARK, DELETE] {
        let world = world(&[change]).await;
        world.deliver(deleted(1)).await;
        for body in [deleted(1), deleted(9)] {
            assert_eq!(world.deliver(body).await.row(), (200, "gone", None, None), "{change:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_somebody_else_removes_between_look_up_and_change_is_gone() {
    for (change, call) in [(PARK, Call::PatchBranch), (DELETE, Call::DeleteBranch)] {
        let world = world(&[change]).await;
        let gone = CannedResponse::message(StatusCode::NOT_FOUND, "branch [x] not found");
        world.platform().faults().push(Fault::once(call, Effect::Answer(gone)));
        assert_eq!(world.deliver(deleted(1)).await.row(), (200, "gone", None, None), "{change:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_database_is_found_in_whatever_project_it_is() {
    for seed in 1..=8 {
        let world = World::new();
        world.deliver(created(seed)).await;
        let world = world.redeployed(&[&ALL_PROJECTS[..], &[DELETE]].concat());
        assert_eq!(world.deliver(deleted(seed)).await.word("status"), "removed");
        assert_eq!(world.deliver(deleted(seed)).await.word("status"), "gone");
    }
}

#[tokio::test(start_paused = true)]
async fn an_unclear_change_is_looked_up_before_it_is_believed() {
    let error = CannedResponse::message(StatusCode::INTERNAL_SERVER_ERROR, "Internal Error");
    for (change, call, done) in
        [(PARK, Call::PatchBranch, "parked"), (DELETE, Call::DeleteBranch, "removed")]
    {
        for (effect, status, word) in [
            (Effect::ResetAfter, 200, done),
            (Effect::HangAfter, 200, done),
            (Effect::AnswerAfter(error.clone()), 200, done),
            (Effect::ResetBefore, 503, "unavailable"),
            (Effect::Answer(error.clone()), 503, "unavailable"),
            (Effect::HangBefore, 503, "unavailable"),
        ] {
            let world = world(&[change]).await;
            world.platform().faults().push(Fault::once(call, effect.clone()));
            let answered = world.deliver(deleted(1)).await;
            assert_eq!((answered.status, answered.word("status")), (status, word), "{effect:?}");
            assert_eq!(world.databases(&user_id(1)).is_empty(), status == 200, "{effect:?}");
            let again = world.send(retry(deleted(1), 2)).await;
            let expected = if status == 200 { "gone" } else { done };
            assert_eq!(again.row(), (200, expected, None, None), "{effect:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_says_who_has_to_act_and_leaves_the_database_alone() {
    for (status, text, row) in [
        (403, "access denied", (500, "misconfigured", Some("access_denied"))),
        (401, "invalid token", (500, "misconfigured", Some("key_refused"))),
        (409, "branch was modified concurrently", (503, "unavailable", Some("contention"))),
        (429, "slow down", (503, "unavailable", Some("rate_limited"))),
    ] {
        for (change, call) in [(PARK, Call::PatchBranch), (DELETE, Call::DeleteBranch)] {
            let world = world(&[change]).await;
            let answer = CannedResponse::message(StatusCode::from_u16(status).unwrap(), text);
            world.platform().faults().push(Fault::once(call, Effect::Answer(answer)));
            let answered = world.deliver(deleted(1)).await;
            let (status, outcome, reason, _) = answered.row();
            assert_eq!((status, outcome, reason), row);
            assert_eq!(world.databases(&user_id(1)).len(), 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_that_cannot_be_read_is_no_absence() {
    let world = world(&[DELETE]).await;
    world.platform().faults().push(Fault::always(Call::ListBranches, Effect::TruncatedAfter));
    let answered = world.deliver(deleted(1)).await;
    assert_eq!(answered.row(), (503, "unavailable", Some("xata_unreachable"), None));
    assert_eq!(world.databases(&user_id(1)).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn two_deletions_at_once_and_one_beside_a_creation_end_in_a_promised_state() {
    for (change, done) in [(PARK, "parked"), (DELETE, "removed")] {
        let world = world(&[change]).await;
        let both = (world.answer(delivery(deleted(1))), world.answer(delivery(deleted(1))));
        let (one, other) = tokio::join!(both.0, both.1);
        for word in [one, other] {
            assert!([done, "gone"].contains(&word), "{word}");
        }
        assert!(world.databases(&user_id(1)).is_empty());

        world.xata.set_create_latency(Duration::from_secs(2));
        let both = (world.answer(delivery(created(1))), world.answer(delivery(deleted(1))));
        let (creation, deletion) = tokio::join!(both.0, both.1);
        assert_eq!(creation, "created");
        assert_eq!(world.databases(&user_id(1)).len(), usize::from(deletion == "gone"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_is_not_begun_when_it_could_not_be_looked_up_any_more() {
    let event = function_url::event(&delivery(deleted(1)), BodyEncoding::Text).to_string();
    let slow = Effect::Trickle { chunk: 100, every: Duration::from_secs(1) };
    let slow_world = async || {
        let world = world(&[DELETE]).await;
        world.platform().faults().push(Fault::always(Call::ListBranches, slow.clone()));
        world
    };
    let (world, begun) = (slow_world().await, Instant::now());
    assert_eq!(world.invoke(&event).await.word("status"), "removed");
    let look_up = begun.elapsed();

    let world = slow_world().await;
    // A second is kept back for the answer, and a fifth of the rest for a look-up after the change.
    let deadline = (world.clock)() + look_up + Duration::from_millis(1500);
    let answered = world.invoke_until(&event, deadline).await;
    assert_eq!(answered.row(), (503, "unavailable", Some("time_up"), None));
    assert_eq!(methods(&world), ["GET"]);
}

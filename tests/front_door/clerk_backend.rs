//! What Clerk is asked, and what it is told, once there is a key.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};
use standin::clerk::backend::Call;
use standin::clerk::{SignUp, user_id_at};
use standin::fault::{CannedResponse, Effect, Fault};
use standin::xata;

use crate::world::{ALL_PROJECTS, Api, CLERK, World, delivery, retry};

const MINUTE: Duration = Duration::from_secs(60);
const PARK: (&str, &str) = ("ON_USER_DELETED", "park");
const DELETE: (&str, &str) = ("ON_USER_DELETED", "delete");

/// Status and words, as [`Answered::row`](crate::world::Answered::row) tells them.
type Row = (u16, &'static str, Option<&'static str>, Option<&'static str>);

/// Whatever Clerk may answer when it cannot be asked, or refuses the key, and what follows.
fn refusals() -> Vec<(Effect, Row)> {
    let answer = |status: u16, body: &str| {
        Effect::Answer(CannedResponse::message(StatusCode::from_u16(status).unwrap(), body))
    };
    let limited = CannedResponse::message(StatusCode::TOO_MANY_REQUESTS, "slow down");
    let unavailable = (503, "unavailable", Some("clerk_unavailable"), None);
    vec![
        (answer(500, "down"), unavailable),
        (answer(302, "elsewhere"), unavailable),
        (answer(404, "an edge's own words"), unavailable),
        (
            Effect::Answer(limited.with_retry_after("7")),
            (503, "unavailable", Some("clerk_unavailable"), Some("7")),
        ),
        (Effect::HangBefore, unavailable),
        (Effect::ResetBefore, unavailable),
        (Effect::ResetAfter, unavailable),
        (Effect::TruncatedAfter, unavailable),
        (answer(401, "no"), (500, "misconfigured", Some("clerk_key_refused"), None)),
        (answer(403, "no"), (500, "misconfigured", Some("clerk_key_refused"), None)),
        (answer(400, "no"), (500, "misconfigured", Some("clerk_request_rejected"), None)),
    ]
}

/// A world with a key, in which Clerk knows this user.
fn world(changes: &[(&str, &str)], sign_up: &SignUp) -> World {
    let world = World::with(&[&CLERK[..], changes].concat());
    world.clerk.insert(sign_up.clone());
    world
}

/// Made in the second of the sign-up, as Clerk's are.
fn id() -> String {
    user_id_at(1, 1_767_784_000)
}

fn sign_up() -> SignUp {
    SignUp::new(&id())
}

fn deleted(sign_up: &SignUp) -> Vec<u8> {
    sign_up.user_deleted(sign_up.timestamp_ms + 3_600_000)
}

/// A world in which the user was served an hour ago.
async fn an_hour_later(changes: &[(&str, &str)]) -> World {
    let world = world(changes, &sign_up());
    assert_eq!(world.deliver(sign_up().user_created()).await.word("status"), "created");
    tokio::time::advance(60 * MINUTE).await;
    world.clerk.clear_requests();
    world.xata.clear_requests();
    world
}

fn entry(world: &World) -> Value {
    world.clerk.user(&id()).expect("a user").private_metadata["database"].clone()
}

#[tokio::test(start_paused = true)]
async fn a_fresh_sign_up_asks_nobody_and_tells_where_the_database_is() {
    let world = world(&[], &sign_up());
    let answered = world.deliver(sign_up().user_created()).await;
    assert_eq!(answered.row(), (200, "created", None, None));
    assert_eq!(answered.line["directory"], "written");
    assert_eq!(world.requests().len(), 1);
    let path = format!("PATCH /v1/users/{}/metadata", id());
    assert_eq!(world.requests_to_clerk(), [path]);
    let [database] = &world.databases(&id())[..] else { panic!("one database") };
    let expected = json!({
        "id": database.id, "name": id(), "project": "prj_a", "region": "eu-central-1",
        "status": "created",
    });
    assert_eq!(entry(&world), expected);
    // What this causes at Clerk comes back as an event, and goes no further.
    let events = world.clerk.take_events();
    let [updated] = &events[..] else { panic!("one event") };
    let answered = world.deliver(updated.clone()).await;
    assert_eq!(answered.row(), (200, "ignored", Some("unhandled_type"), None));
    assert_eq!((world.requests().len(), world.requests_to_clerk().len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn what_the_application_keeps_beside_the_entry_stays() {
    let world = world(&[], &sign_up());
    let theirs = json!({ "plan": "pro", "database": { "note": "ours to keep" }, "list": [1] });
    world.clerk.change_user(&id(), |user| user.private_metadata = theirs);
    world.deliver(sign_up().user_created()).await;
    let metadata = world.clerk.user(&id()).expect("a user").private_metadata;
    assert_eq!((&metadata["plan"], &metadata["list"]), (&json!("pro"), &json!([1])));
    assert_eq!(metadata["database"]["note"], "ours to keep");
    assert_eq!(metadata["database"]["name"], id());
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_cannot_be_written_is_a_warning_and_nothing_else() {
    let expect = async |world: &World, word: &str| {
        let answered = world.deliver(sign_up().user_created()).await;
        assert_eq!(answered.row(), (200, "created", None, None), "{word}");
        let line = &answered.line;
        assert_eq!((&line["level"], &line["directory"]), (&json!("WARN"), &json!(word)), "{line}");
        assert_eq!(world.databases(&id()).len(), 1);
        assert_eq!(world.requests_to_clerk().len(), 1, "one request, once");
    };
    for (effect, (_, _, reason, _)) in refusals() {
        if matches!(effect, Effect::TruncatedAfter) {
            continue; // a status of 2xx says enough
        }
        let world = world(&[], &sign_up());
        world.clerk.faults().push(Fault::always(Call::UpdateUserMetadata, effect));
        expect(&world, reason.expect("a reason")).await;
    }
    let left = world(&[], &sign_up());
    left.clerk.remove(&id());
    expect(&left, "user_gone").await;
    let full = world(&[], &sign_up());
    let huge = json!({ "theirs": "x".repeat(8100) });
    full.clerk.change_user(&id(), |user| user.private_metadata = huge.clone());
    expect(&full, "clerk_request_rejected").await;
    assert_eq!(full.clerk.user(&id()).expect("a user").private_metadata, huge);
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_finds_the_database_repairs_the_entry_and_a_fresh_copy_does_not() {
    for changes in [&[][..], &ALL_PROJECTS] {
        let world = an_hour_later(changes).await;
        let expected = entry(&world);
        world.clerk.change_user(&id(), |user| user.private_metadata = json!({}));
        let answered = world.send(retry(sign_up().user_created(), 2)).await;
        assert_eq!(answered.row(), (200, "exists", None, None));
        assert_eq!(answered.line["directory"], "written");
        assert_eq!(entry(&world), expected);
    }
    let world = world(&[], &sign_up());
    world.deliver(sign_up().user_created()).await;
    world.clerk.clear_requests();
    let answered = world.deliver(sign_up().user_created()).await;
    assert_eq!(answered.row(), (200, "exists", None, None));
    assert_eq!(world.requests_to_clerk(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_database_that_cannot_be_looked_up_for_its_entry_exists_all_the_same() {
    let world = an_hour_later(&[]).await;
    let list = Fault::always(xata::platform::Call::ListBranches, Effect::TruncatedAfter);
    world.platform().faults().push(list);
    let answered = world.deliver(sign_up().user_created()).await;
    assert_eq!(answered.row(), (200, "exists", None, None));
    assert_eq!(answered.line["directory"], "unknown");
}

#[tokio::test(start_paused = true)]
async fn a_create_whose_answer_was_lost_ends_with_an_entry() {
    let world = world(&[], &sign_up());
    world.xata.fault(Fault::once(xata::Call::Create, Effect::ResetAfter));
    let answered = world.deliver(sign_up().user_created()).await;
    assert_eq!(answered.row(), (200, "created", None, None));
    let [database] = &world.databases(&id())[..] else { panic!("one database") };
    assert_eq!(entry(&world)["id"], json!(database.id));
}

#[tokio::test(start_paused = true)]
async fn nobody_who_left_gets_a_database_from_an_event_that_is_late() {
    for changes in [&[][..], &ALL_PROJECTS] {
        let world = world(changes, &sign_up());
        world.clerk.remove(&id());
        let gone = (200, "ignored", Some("user_gone"), None);
        assert_eq!(world.send(retry(sign_up().user_created(), 2)).await.row(), gone);
        let mut by_hand = delivery(sign_up().user_created());
        let trigger = "MANUAL".parse().expect("a value");
        by_hand.headers_mut().insert("x-hookdeck-attempt-trigger", trigger);
        assert_eq!(world.send(by_hand).await.row(), gone);
        tokio::time::advance(6 * MINUTE).await;
        assert_eq!(world.deliver(sign_up().user_created()).await.row(), gone);
        let without_time = String::from_utf8(sign_up().user_created()).expect("text");
        let without_time = without_time.replace("\"timestamp\":", "\"timestamp_of\":");
        assert_eq!(world.deliver(without_time).await.row(), gone);
        assert_eq!(world.requests(), []);
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_stayed_gets_a_database_from_an_event_that_is_late() {
    for api in Api::BOTH {
        let world = World::on(api, &CLERK);
        world.clerk.insert(sign_up());
        tokio::time::advance(6 * MINUTE).await;
        let answered = world.deliver(sign_up().user_created()).await;
        assert_eq!(answered.row(), (200, "created", None, None), "{api:?}");
        assert_eq!(entry(&world)["region"], "eu-central-1");
    }
}

#[tokio::test(start_paused = true)]
async fn while_clerk_cannot_be_asked_a_late_event_makes_nothing() {
    for (effect, row) in refusals() {
        let world = world(&[], &sign_up());
        tokio::time::advance(6 * MINUTE).await;
        world.clerk.faults().push(Fault::always(Call::GetUser, effect.clone()));
        let answered = world.deliver(sign_up().user_created()).await;
        assert_eq!(answered.row(), row, "{effect:?}");
        assert_eq!(world.requests(), []);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_taken_from_a_user_whom_clerk_still_knows() {
    for change in [PARK, DELETE] {
        let world = an_hour_later(&[change]).await;
        let answered = world.deliver(deleted(&sign_up())).await;
        assert_eq!(answered.row(), (200, "retained", None, None));
        assert_eq!((world.requests(), world.databases(&id()).len()), (vec![], 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_user_who_left_loses_the_database_after_two_questions_of_which_one_is_asked_once() {
    for (change, done) in [(PARK, "parked"), (DELETE, "removed")] {
        let world = an_hour_later(&[change]).await;
        world.clerk.remove(&id());
        assert_eq!(world.deliver(deleted(&sign_up())).await.row(), (200, done, None, None));
        let user = format!("GET /v1/users/{}", id());
        assert_eq!(world.requests_to_clerk(), [&*user, "GET /v1/instance"]);
        let methods = world.requests().into_iter().map(|(method, _)| method);
        let change = if done == "parked" { "PATCH" } else { "DELETE" };
        assert_eq!(methods.collect::<Vec<_>>(), ["GET", change]);
        world.clerk.clear_requests();
        assert_eq!(world.deliver(deleted(&sign_up())).await.row(), (200, "gone", None, None));
        assert_eq!(world.requests_to_clerk(), [user]);
    }
}

#[tokio::test(start_paused = true)]
async fn while_clerk_cannot_be_asked_nothing_is_taken_away() {
    for call in [Call::GetUser, Call::GetInstance] {
        for (effect, row) in refusals() {
            let world = an_hour_later(&[DELETE]).await;
            world.clerk.remove(&id());
            world.clerk.faults().push(Fault::always(call, effect.clone()));
            let answered = world.deliver(deleted(&sign_up())).await;
            assert_eq!(answered.row(), row, "{call:?} {effect:?}");
            assert_eq!((world.requests(), world.databases(&id()).len()), (vec![], 1));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn to_the_key_of_another_instance_nobody_is_gone() {
    let foreign = (500, "misconfigured", Some("foreign_key"), None);
    for instance in [Some("ins_other"), None] {
        let sign_up = SignUp { instance_id: instance.map(str::to_owned), ..sign_up() };
        let world = World::with(&[&CLERK[..], &[DELETE]].concat());
        world.xata.insert("prj_a", "eu-central-1", [id()]);
        tokio::time::advance(60 * MINUTE).await;
        for body in [deleted(&sign_up), sign_up.user_created(), deleted(&sign_up)] {
            let answered = world.deliver(body).await;
            assert_eq!(answered.row(), foreign);
            assert_eq!(answered.line["level"], "ERROR");
        }
        assert_eq!((world.requests(), world.databases(&id()).len()), (vec![], 1));
        let asked = world.requests_to_clerk();
        assert_eq!(asked.iter().filter(|it| *it == "GET /v1/instance").count(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_about_another_user_is_no_answer() {
    let world = an_hour_later(&[DELETE]).await;
    for body in ["{}", "[]", "<html>", r#"{"id":"user_37vz6BwG1KEMgL1JMSppdaytVY5"}"#] {
        let answer =
            CannedResponse { body: body.into(), ..CannedResponse::message(StatusCode::OK, "") };
        world.clerk.faults().push(Fault::once(Call::GetUser, Effect::Answer(answer)));
        let answered = world.deliver(deleted(&sign_up())).await;
        assert_eq!(answered.row(), (503, "unavailable", Some("clerk_unavailable"), None), "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_deletion_waits_until_no_fresh_copy_of_the_sign_up_can_undo_it() {
    for (change, done) in [(PARK, "parked"), (DELETE, "removed")] {
        let sign_up = sign_up();
        let world = world(&[change], &sign_up);
        let left = || sign_up.user_deleted(sign_up.timestamp_ms + 60_000);
        tokio::time::advance(MINUTE).await;
        // Before its sign-up, and so without a database.
        world.clerk.remove(&sign_up.user_id);
        let early = world.deliver(left()).await;
        assert_eq!(early.row(), (503, "unavailable", Some("too_early"), Some("540")));
        assert_eq!((world.requests(), world.requests_to_clerk().len()), (vec![], 0));
        // From the fourth attempt on, Hookdeck's schedule decides.
        let fourth = world.send(retry(left(), 4)).await;
        assert_eq!(fourth.row(), (503, "unavailable", Some("too_early"), None));
        let created = world.deliver(sign_up.user_created()).await;
        assert_eq!(created.row(), (200, "created", None, None));
        assert_eq!(created.line["directory"], "user_gone");
        tokio::time::advance(9 * MINUTE).await;
        assert_eq!(world.send(retry(left(), 2)).await.row(), (200, done, None, None));
        let again = world.deliver(sign_up.user_created()).await;
        assert_eq!(again.row(), (200, "ignored", Some("user_gone"), None));
        assert_eq!(world.databases(&sign_up.user_id), []);
    }
}

#[tokio::test(start_paused = true)]
async fn an_id_that_tells_no_time_makes_a_deletion_wait_for_its_own_age_alone() {
    let sign_up = SignUp::new("user_abcdefghij");
    let world = World::with(&[&CLERK[..], &[DELETE]].concat());
    let body = sign_up.user_deleted(sign_up.timestamp_ms);
    let early = world.deliver(body.clone()).await;
    assert_eq!(early.row(), (503, "unavailable", Some("too_early"), Some("600")));
    tokio::time::advance(10 * MINUTE + Duration::from_secs(1)).await;
    assert_eq!(world.deliver(body).await.row(), (200, "gone", None, None));
}

#[tokio::test(start_paused = true)]
async fn clerk_gets_seconds_and_the_answer_comes_in_time() {
    let world = an_hour_later(&[]).await;
    world.clerk.faults().push(Fault::always(Call::GetUser, Effect::HangBefore));
    let begun = tokio::time::Instant::now();
    world.deliver(sign_up().user_created()).await;
    assert_eq!(begun.elapsed(), Duration::from_secs(5));

    // A create that takes nearly all of the time leaves less for the entry, never nothing answered.
    let slow = self::world(&[], &sign_up());
    slow.xata.set_create_latency(Duration::from_secs(48));
    slow.clerk.faults().push(Fault::always(Call::UpdateUserMetadata, Effect::HangBefore));
    let begun = tokio::time::Instant::now();
    let answered = slow.deliver(sign_up().user_created()).await;
    assert_eq!(answered.row(), (200, "created", None, None));
    assert!(begun.elapsed() <= Duration::from_secs(54), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn without_a_key_clerk_is_never_asked() {
    let world = World::with(&[DELETE]);
    let deletion = sign_up().user_deleted(sign_up().timestamp_ms);
    for body in [sign_up().user_created(), deletion.clone(), sign_up().user_created()] {
        assert_eq!(world.deliver(body).await.status, 200);
    }
    assert_eq!(world.send(retry(deletion, 2)).await.word("status"), "removed");
    assert_eq!(world.requests_to_clerk(), [""; 0]);
}

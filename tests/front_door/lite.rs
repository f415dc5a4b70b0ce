//! What is particular to Xata Lite.

use http::StatusCode;
use standin::clerk::{SignUp, user_id};
use standin::fault::{CannedResponse, Effect, Fault};
use standin::xata::lite::{Duplicate, Lite, Status, rate_limited};
use standin::xata::{Call, Xata};

use crate::world::{Api, World};

fn world() -> (World, Lite) {
    let world = World::on(Api::Lite, &[]);
    let Xata::Lite(lite) = world.xata.clone() else { panic!("Xata Lite") };
    (world, lite)
}

fn event() -> Vec<u8> {
    SignUp::new(&user_id(1)).user_created()
}

#[tokio::test(start_paused = true)]
async fn a_taken_name_is_survived_whatever_its_status() {
    for (duplicate, word) in [
        (Duplicate::Created, "created"),
        (Duplicate::Conflict, "exists"),
        (Duplicate::Unprocessable, "exists"),
        (Duplicate::Locked, "exists"),
    ] {
        let (world, lite) = world();
        lite.change(|options| options.duplicate = duplicate);
        world.deliver(event()).await;
        world.xata.clear_requests();
        let again = world.deliver(event()).await;
        assert_eq!(again.row(), (200, word, None, None), "{duplicate:?}");
        assert!(world.requests().len() <= 2, "{duplicate:?}");
        assert_eq!(world.databases(&user_id(1)).len(), 1, "{duplicate:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_inside_a_success_is_a_failure() {
    let (world, lite) = world();
    lite.change(|options| options.status = Status::Failed);
    let answered = world.deliver(event()).await;
    assert_eq!(answered.row(), (503, "unavailable", Some("xata_error"), None));
    lite.change(|options| options.status = Status::Pending);
    assert_eq!(world.deliver(event()).await.word("status"), "created");
}

#[tokio::test(start_paused = true)]
async fn an_answer_about_another_database_is_not_taken_for_ours() {
    let another = user_id(2);
    let created = serde_json::json!({ "databaseName": another, "status": "completed" });
    let read = serde_json::json!({ "name": another, "region": "us-east-1" });
    let answer = |status, body: serde_json::Value| {
        Effect::Answer(CannedResponse::new(status).with_body("application/json", body.to_string()))
    };
    let (world, _) = world();
    world.xata.fault(Fault::once(Call::Create, answer(StatusCode::CREATED, created)));
    assert_eq!(world.deliver(event()).await.word("status"), "created");
    assert_eq!(world.databases(&user_id(1)).len(), 1);

    world.xata.fault(Fault::always(Call::LookUp, answer(StatusCode::OK, read)));
    let answered = world.deliver(event()).await;
    assert_eq!(answered.row(), (503, "unavailable", Some("xata_unreadable"), None));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_without_a_database_behind_it_is_one() {
    for (status, answer, word, reason) in [
        (409, 503, "unavailable", "locked"),
        (423, 503, "unavailable", "locked"),
        (422, 500, "misconfigured", "request_rejected"),
        (400, 500, "misconfigured", "request_rejected"),
        (403, 500, "misconfigured", "access_denied"),
    ] {
        let (world, _) = world();
        let status = StatusCode::from_u16(status).unwrap();
        let refusal = Effect::Answer(CannedResponse::message(status, "no"));
        world.xata.fault(Fault::always(Call::Create, refusal));
        let answered = world.deliver(event()).await;
        assert_eq!(answered.row(), (answer, word, Some(reason), None), "{status}");
        assert_eq!(world.requests().len(), 2, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_s_reset_is_passed_on_within_an_hour() {
    for (reset, sent) in [("7", Some("7")), ("1767784000", Some("3600")), ("soon", None)] {
        let (world, _) = world();
        world.xata.fault(Fault::always(Call::Any, Effect::Answer(rate_limited(reset))));
        let answered = world.deliver(event()).await;
        assert_eq!(answered.row(), (503, "unavailable", Some("rate_limited"), sent), "{reset}");
    }
}

//! Behaviour of Xata Lite that the platform does not have.

use http::StatusCode;
use standin::clerk::user_id;
use standin::fault::{CannedResponse, Effect, Fault};
use standin::xata::lite::{Duplicate, Lite, Status, rate_limited};
use standin::xata::{Call, Xata};

use crate::test_app::{Api, TestApp, refusal, user_created};

fn app() -> (TestApp, Lite) {
    let app = TestApp::with_api(Api::Lite, &[]);
    let Xata::Lite(lite) = app.xata.clone() else { panic!("Xata Lite") };
    (app, lite)
}

#[tokio::test(start_paused = true)]
async fn a_taken_name_is_a_success_whatever_its_status() {
    for (duplicate, outcome) in [
        (Duplicate::Created, "created"),
        (Duplicate::Conflict, "exists"),
        (Duplicate::Unprocessable, "exists"),
        (Duplicate::Locked, "exists"),
    ] {
        let (app, lite) = app();
        lite.change(|options| options.duplicate = duplicate);
        app.deliver(user_created(1)).await;
        app.xata.clear_requests();
        let again = app.deliver(user_created(1)).await;
        assert_eq!(again.row(), (200, outcome, None, None), "{duplicate:?}");
        assert!(app.requests().len() <= 2, "{duplicate:?}");
        assert_eq!(app.databases(&user_id(1)).len(), 1, "{duplicate:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_status_failed_in_a_2xx_response_is_a_failure() {
    let (app, lite) = app();
    lite.change(|options| options.status = Status::Failed);
    let response = app.deliver(user_created(1)).await;
    assert_eq!(response.row(), (503, "unavailable", Some("xata_error"), None));
    lite.change(|options| options.status = Status::Pending);
    assert_eq!(app.deliver(user_created(1)).await.outcome(), "created");
}

#[tokio::test(start_paused = true)]
async fn a_response_about_another_database_is_unreadable() {
    let other = user_id(2);
    let created = serde_json::json!({ "databaseName": other, "status": "completed" });
    let read = serde_json::json!({ "name": other, "region": "us-east-1" });
    let reply = |status, body: serde_json::Value| {
        Effect::Answer(CannedResponse::new(status).with_body("application/json", body.to_string()))
    };
    let (app, _) = app();
    app.xata.fault(Fault::once(Call::Create, reply(StatusCode::CREATED, created)));
    assert_eq!(app.deliver(user_created(1)).await.outcome(), "created");
    assert_eq!(app.databases(&user_id(1)).len(), 1);

    app.xata.fault(Fault::always(Call::LookUp, reply(StatusCode::OK, read)));
    let response = app.deliver(user_created(1)).await;
    assert_eq!(response.row(), (503, "unavailable", Some("xata_unreadable"), None));
}

#[tokio::test(start_paused = true)]
async fn a_refused_create_without_a_database_has_a_reason() {
    for (status, response_status, outcome, reason) in [
        (409, 503, "unavailable", "locked"),
        (423, 503, "unavailable", "locked"),
        (422, 500, "misconfigured", "request_rejected"),
        (400, 500, "misconfigured", "request_rejected"),
        (403, 500, "misconfigured", "access_denied"),
    ] {
        let (app, _) = app();
        app.xata.fault(Fault::always(Call::Create, refusal(status, "no")));
        let response = app.deliver(user_created(1)).await;
        assert_eq!(response.row(), (response_status, outcome, Some(reason), None), "{status}");
        assert_eq!(app.requests().len(), 2, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_reset_of_a_rate_limit_is_the_retry_after_up_to_an_hour() {
    for (reset, sent) in [("7", Some("7")), ("1767784000", Some("3600")), ("soon", None)] {
        let (app, _) = app();
        app.xata.fault(Fault::always(Call::Any, Effect::Answer(rate_limited(reset))));
        let response = app.deliver(user_created(1)).await;
        assert_eq!(response.row(), (503, "unavailable", Some("rate_limited"), sent), "{reset}");
    }
}

//! The log lines of a delivery and of its outgoing requests.

use serde_json::{Value, json};
use standin::clerk::user_id;
use tracing_subscriber::filter::LevelFilter;

use crate::test_app::{
    LogBuffer, TestApp, TestResponse, delivery, retry, user_created, with_header,
};

/// The response to a sign-up that is logged from this level on.
async fn deliver_at(level: LevelFilter) -> TestResponse {
    let app = TestApp::new();
    let subscriber = per_user_db::telemetry::subscriber(level, || LogBuffer);
    let _default = tracing::subscriber::set_default(subscriber);
    app.deliver(user_created(1)).await
}

/// The lines of outgoing requests.
pub fn outgoing_requests(log: &[Value]) -> Vec<&Value> {
    let is_request =
        |line: &&Value| line["message"] == "close" && line["span"]["name"] == "request";
    log.iter().filter(is_request).collect()
}

#[tokio::test(start_paused = true)]
async fn the_line_of_a_delivery_has_the_documented_members() {
    let line = deliver_at(LevelFilter::INFO).await.log_line;
    let expected = json!({
        "level": "INFO", "message": "delivery created", "status": 200, "outcome": "created",
        "user_id": user_id(1), "event_id": "evt_0001", "attempt": 1, "trigger": "INITIAL",
        "region": "eu-central-1", "placement": "geo", "address": "public_v4", "event_age_s": 0,
        "duration_ms": 0, "request_id": "request-1",
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&line[name], value, "{name} of {line}");
    }
    // There is no `span` and no `spans`.
    let members = line.as_object().unwrap().keys().map(String::as_str);
    let others: Vec<_> = members.filter(|name| expected.get(*name).is_none()).collect();
    assert_eq!(others, ["timestamp"], "{line}");
}

#[tokio::test(start_paused = true)]
async fn the_line_of_a_refused_delivery_has_the_event_that_waits_marked_as_unverified() {
    let app = TestApp::new();
    for signature in ["", "AAAA"] {
        let refused = with_header(retry(user_created(1), 3), "x-hookdeck-signature", signature);
        let line = app.send(refused).await.log_line;
        assert_eq!((&line["event_id"], &line["attempt"]), (&json!("evt_0001"), &json!(3)));
        assert_eq!((&line["unverified"], line.get("last_attempt")), (&json!(true), None));
    }
    let hostile = with_header(delivery("{}"), "x-hookdeck-signature", "AAAA");
    let hostile = with_header(hostile, "x-hookdeck-eventid", "evt_1\",\"level\":\"ERROR");
    assert_eq!(app.send(hostile).await.log_line.get("event_id"), None);
    let line = app.deliver(user_created(1)).await.log_line;
    assert_eq!(line.get("unverified"), None);
}

#[tokio::test(start_paused = true)]
async fn at_info_a_delivery_is_one_line() {
    let response = deliver_at(LevelFilter::INFO).await;
    assert_eq!(response.log, [response.log_line]);
}

#[tokio::test(start_paused = true)]
async fn at_debug_the_line_of_an_outgoing_request_names_its_invocation() {
    let response = deliver_at(LevelFilter::DEBUG).await;
    let [line] = outgoing_requests(&response.log)[..] else { panic!("{:#?}", response.log) };
    assert_eq!(line["level"], "DEBUG");
    for (name, value) in [("host", json!("localhost")), ("method", json!("POST"))] {
        assert_eq!(line["span"][name], value, "{line}");
    }
    assert_eq!(line["span"]["status"], 201, "{line}");
    let spans = line["spans"].as_array().unwrap();
    let invocation = spans.iter().find(|span| span["name"] == "invocation").unwrap();
    assert_eq!(invocation["request_id"], "request-1", "{line}");
    let delivery = &response.log_line;
    assert_eq!(delivery["request_id"], "request-1", "{delivery}");
    assert!(delivery.get("span").is_none() && delivery.get("spans").is_none(), "{delivery}");
}

//! The metrics of a delivery, in `CloudWatch`'s embedded metric format.

use std::collections::BTreeMap;
use std::time::Duration;

use per_user_db::telemetry;
use per_user_db::telemetry::{METRICS, NAMESPACE};
use serde_json::{Value, json};
use standin::clerk::{self, SignUp, user_id};
use standin::fault::{Effect, Fault};
use standin::xata::Call;
use tracing_subscriber::filter::LevelFilter;

use crate::test_app::{
    CLERK, LogBuffer, TestApp, delivery, retry, take_log, take_metrics, user_created, with_header,
    without_header,
};

/// The values of a line's metrics, after checking the line against the format.
fn metrics(line: &Value) -> BTreeMap<String, Value> {
    assert_eq!(line["function"], "per-user-db");
    assert!(line["_aws"]["Timestamp"].as_u64().is_some_and(|at| at >= 1_767_784_000_000), "{line}");
    let [by_function, by_outcome] =
        line["_aws"]["CloudWatchMetrics"].as_array().unwrap().as_slice()
    else {
        panic!("two directives: {line}")
    };
    let deliveries = json!({
        "Namespace": NAMESPACE, "Dimensions": [["function", "outcome"]],
        "Metrics": [{ "Name": "Deliveries", "Unit": "Count" }],
    });
    assert_eq!(*by_outcome, deliveries);
    assert_eq!(by_function["Namespace"], NAMESPACE);
    assert_eq!(by_function["Dimensions"], json!([["function"]]));
    let listed = by_function["Metrics"].as_array().unwrap().iter();
    let listed = listed.map(|metric| {
        let (name, unit) = (metric["Name"].as_str().unwrap(), metric["Unit"].as_str().unwrap());
        assert!(METRICS.contains(&(name, unit)), "{metric}");
        let value = line[name].clone();
        let is_number = |value: &Value| value.is_u64();
        assert!(is_number(&value) || value.as_array().is_some_and(|all| all.iter().all(is_number)));
        (name.to_owned(), value)
    });
    listed.collect()
}

fn named(pairs: &[(&str, Value)]) -> BTreeMap<String, Value> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

#[tokio::test(start_paused = true)]
async fn a_sign_up_is_counted_and_timed() {
    let app = TestApp::new();
    app.xata.set_create_latency(Duration::from_millis(700));
    tokio::time::advance(Duration::from_secs(2)).await;
    let line = app.deliver(user_created(1)).await.metrics;
    let expected = [
        ("Deliveries", json!(1)),
        ("TimeToDatabase", json!(2469)), // the event is 231 ms after the start of the clock
        ("XataCallsDone", json!(1)),
        ("XataLatency", json!([700])),
    ];
    assert_eq!(metrics(&line), named(&expected));
    assert_eq!(line["outcome"], "created");
}

#[tokio::test(start_paused = true)]
async fn each_kind_of_failure_has_its_own_metric() {
    let app = TestApp::with_settings(&CLERK);
    let unsigned = without_header(delivery(user_created(1)), "x-hookdeck-signature");
    let line = app.send(unsigned).await.metrics;
    assert_eq!(metrics(&line), named(&[("Deliveries", json!(1)), ("SignatureFailures", json!(1))]));

    let with_retry_left =
        with_header(retry(user_created(1), 2), "x-hookdeck-will-retry-after", "600");
    let response = app.send(with_retry_left.clone()).await;
    assert_eq!(metrics(&response.metrics), named(&[("Deliveries", json!(1))]), "user gone");
    let line = response.log_line;
    assert_eq!((&line["outcome"], &line["reason"]), (&json!("ignored"), &json!("user_gone")));

    app.clerk.insert(SignUp::new(&user_id(1)));
    let down = Fault::always(clerk::backend::Call::UpdateUserMetadata, Effect::ResetBefore);
    app.clerk.faults().push(down);
    let fresh = app.deliver(user_created(1)).await.metrics;
    assert_eq!(metrics(&fresh)["DirectoryEntryFailed"], 1);

    let app = TestApp::with_settings(&[("XATA_ORGANIZATION_ID", "org999")]);
    let line = app.deliver(user_created(1)).await.metrics;
    let found = metrics(&line);
    assert_eq!((&found["Misconfigured"], &found["XataCallsRefused"]), (&json!(1), &json!(1)));
    assert_eq!(found["LastAttemptFailed"], 1, "Hookdeck announces no retry");

    let app = TestApp::new();
    app.xata.fault(Fault::always(Call::Any, Effect::ResetBefore));
    let found = metrics(&app.send(with_retry_left).await.metrics);
    assert!(found["XataCallsUnclear"].as_u64() > Some(1));
    assert!(!found.contains_key("LastAttemptFailed"));
}

#[tokio::test(start_paused = true)]
async fn a_log_level_that_hides_the_line_keeps_the_metrics() {
    let app = TestApp::new();
    let _ = (take_log(), take_metrics());
    let hidden =
        tracing::subscriber::set_default(telemetry::subscriber(LevelFilter::OFF, || LogBuffer));
    let request = delivery(user_created(1));
    assert_eq!(app.outcome(request).await, "created");
    drop(hidden);
    assert_eq!(take_log(), [] as [Value; 0]);
    let [line] = &take_metrics()[..] else { panic!("metrics") };
    assert_eq!(metrics(line)["Deliveries"], 1);
    let members: Vec<_> = line.as_object().unwrap().keys().collect();
    assert!(!members.iter().any(|name| ["user_id", "level", "message"].contains(&name.as_str())));
}

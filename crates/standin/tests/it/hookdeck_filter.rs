//! The filter of a connection.

use bytes::Bytes;
use http::{HeaderMap, Response};
use serde_json::{Value, json};
use standin::hookdeck::{Connection, Engine, EventStatus, from_fn, matches};

#[test]
fn the_filter_decides_as_the_published_engine_does() {
    let vectors = include_str!("../../../../tests/vectors/hookdeck-filter.json");
    let vectors: Value = serde_json::from_str(vectors).unwrap();
    let cases = vectors["vectors"].as_array().unwrap();
    assert_eq!(cases.len(), 50);
    for case in cases {
        let passed = matches(&case["schema"], &vectors["input"]);
        assert_eq!(passed, case["expected"].as_bool().unwrap(), "{case}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_does_not_match_the_filter_is_never_delivered() {
    let filter = json!({ "type": { "$in": ["user.created", "user.deleted"] } });
    let connection = Connection { filter: Some(filter), ..Connection::default() };
    let engine = Engine::new(connection, from_fn(|_| async { Ok(Response::new(Bytes::new())) }));
    for body in [r#"{"type":"user.created"}"#, r#"{"type":"session.created"}"#, "not JSON"] {
        engine.ingest(HeaderMap::new(), Bytes::from_static(body.as_bytes()));
    }
    engine.settle().await;
    let ends: Vec<_> = engine.events().iter().map(|it| (it.status, it.attempts.len())).collect();
    let filtered = (EventStatus::Filtered, 0);
    assert_eq!(ends, [(EventStatus::Successful, 1), filtered, filtered]);
}

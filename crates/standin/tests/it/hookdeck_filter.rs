//! The filter of a connection.

use bytes::Bytes;
use http::{HeaderMap, Response};
use serde_json::{Value, json};
use standin::clerk::user_id_at;
use standin::clock::START;
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

/// docs/scale.md: two organizations from the beginning, and one more for the users of a later time.
#[test]
fn filters_on_the_user_id_give_each_user_to_exactly_one_connection_for_good() {
    let later = START.as_secs() + 86_400;
    // The first six characters tell the second, in the order of time.
    let from = &user_id_at(0, later)[..11];
    let split = |id: Value| json!({ "data": { "id": id } });
    let even: Vec<_> = ('0'..='9').chain('A'..='U').map(String::from).collect();
    let odd: Vec<_> = ('V'..='Z').chain('a'..='z').map(String::from).collect();
    let filters = [
        split(json!({ "$lt": from, "$endsWith": even })),
        split(json!({ "$lt": from, "$endsWith": odd })),
        split(json!({ "$gte": from })),
    ];
    let mut counts = [0; 3];
    for (seed, second) in (0..2_000).zip((START.as_secs()..).step_by(86)) {
        let id = user_id_at(seed, second);
        let event = json!({ "type": "user.created", "data": { "id": id } });
        let taken: Vec<_> = (0..3).filter(|it| matches(&filters[*it], &event)).collect();
        let &[connection] = &taken[..] else { panic!("{id} goes to {taken:?}") };
        assert_eq!(connection == 2, second >= later, "{id}");
        counts[connection] += 1;
    }
    assert!(counts.iter().all(|count| *count > 400), "{counts:?}");
}

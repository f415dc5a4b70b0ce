//! `cargo dev send`.

use serde_json::{Value, json};

use crate::standins::standins;
use crate::{busy_port, dev, file, live_function, run};

#[test]
fn nobody_there_is_told_with_the_address() {
    let (listener, port) = busy_port();
    drop(listener);
    let url = format!("http://127.0.0.1:{port}/");
    let (code, _, error) =
        run(&mut dev(&["send", &file("events/user-created.json"), "--to", &url]));
    assert_eq!(code, 1);
    assert!(error.contains(&url), "{error}");
}

#[test]
fn a_file_that_is_not_there_or_is_empty_is_named() {
    let (code, _, error) = run(&mut dev(&["send", "/no/such/file.json"]));
    assert_eq!(code, 1);
    assert!(error.contains("/no/such/file.json"), "{error}");
    let (code, _, error) = run(&mut dev(&["send", "/dev/null"]));
    assert_eq!(code, 1);
    assert!(error.contains("empty"), "{error}");
}

#[test]
fn the_answer_is_one_document_for_machines() {
    let (_standins, settings) = standins();
    let (_function, url) = live_function(settings);
    let not_json = file("events/not-json.json");
    let (code, answer, _) = run(&mut dev(&["send", &not_json, "--to", &url, "--json"]));
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((code, &answer["status"], &answer["retry_after"]), (1, &json!(400), &json!("-1")));
    assert_eq!(answer["body"], json!({ "status": "invalid", "reason": "invalid_json" }));
}

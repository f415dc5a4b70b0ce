//! `cargo dev send`.

use serde_json::{Value, json};

use crate::standins::standins;
use crate::{busy_port, dev, file, live_function, run};

#[test]
fn the_error_names_the_url_of_a_function_that_does_not_answer() {
    let (listener, port) = busy_port();
    drop(listener);
    let url = format!("http://127.0.0.1:{port}/");
    let (code, _, error) =
        run(&mut dev(&["send", &file("events/user-created.json"), "--to", &url]));
    assert_eq!(code, 1);
    assert!(error.contains(&url), "{error}");
}

#[test]
fn the_error_names_a_file_that_is_missing_and_says_that_one_is_empty() {
    let (code, _, error) = run(&mut dev(&["send", "/no/such/file.json"]));
    assert_eq!(code, 1);
    assert!(error.contains("/no/such/file.json"), "{error}");
    let (code, _, error) = run(&mut dev(&["send", "/dev/null"]));
    assert_eq!(code, 1);
    assert!(error.contains("empty"), "{error}");
}

#[test]
fn with_json_the_response_is_one_document() {
    let (_standins, settings) = standins();
    let (_function, url) = live_function(settings);
    let not_json = file("events/not-json.json");
    let (code, answer, _) = run(&mut dev(&["send", &not_json, "--to", &url, "--json"]));
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((code, &answer["status"], &answer["retry_after"]), (1, &json!(400), &json!("-1")));
    assert_eq!(answer["body"], json!({ "status": "invalid", "reason": "invalid_json" }));
}

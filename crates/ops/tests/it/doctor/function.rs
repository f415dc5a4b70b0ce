//! The checks of the function.

use super::World;
use crate::{ops, run};

#[test]
fn a_function_with_another_secret_is_broken() {
    let world = World::start();
    let function = world.function(("HOOKDECK_WEBHOOK_SECRET", "another-secret"));
    let problem = world.only(3, &["--url", &function], &[]);
    let says = "function / | broken | refuses our signature (401) | the function has another";
    assert!(problem.starts_with(says), "{problem}");
}

#[test]
fn a_healthy_function_is_ok_with_every_form_of_its_url() {
    let world = World::start();
    let function = world.function(("HOOKDECK_HEADER_PREFIX", "X-Production"));
    let changes = [("HOOKDECK_HEADER_PREFIX", "X-Production")];
    for end in ["", "/", "/webhooks/clerk", "/webhooks/clerk/"] {
        let outcome = world.run_with(&["--url", &format!("{function}{end}")], &changes);
        assert_eq!((outcome.code, outcome.problems.len()), (0, 0), "{:?}", outcome.problems);
    }
}

#[test]
fn a_response_that_is_not_the_functions_is_reported_with_what_to_do() {
    let world = World::start();
    for (status, body, mend) in [
        (403, r#"{"Message":"Forbidden"}"#, "let every caller invoke the Function URL"),
        (404, r#"{"status":"not_found"}"#, "check --url: the path is /"),
        (502, "planted-page", "see the function's log"),
        (200, r#"{"status":"ignored","reason":"unhandled_type"}"#, "check --url: it is the output"),
        (401, "planted-page", "check --url: it is the output"),
    ] {
        let function = world.answering(status, body);
        let problem = world.only(3, &["--url", &function], &[]);
        let says = format!(
            "function / | broken | answers {status} to an event without a signature | {mend}"
        );
        assert!(problem.starts_with(&says), "{problem}");
    }
    let problem = world.only(0, &["--url", &world.answering(429, "")], &[]);
    assert!(problem.contains("raise the function's concurrency"), "{problem}");
}

#[test]
fn a_malformed_url_is_wrong_usage() {
    for url in ["", "example.com", "ftp://example.com", "https://a:b@example.com", "https://x/?y"] {
        let (code, out, _) = run(&mut ops(&["doctor", "--url", url]));
        assert_eq!((code, out.as_str()), (2, ""), "{url}");
    }
}

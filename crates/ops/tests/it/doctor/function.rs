//! What `ops doctor` says of the function.

use super::World;
use crate::{ops, run};

#[test]
fn a_function_with_another_secret_is_broken() {
    let world = World::start();
    let function = world.function(("HOOKDECK_WEBHOOK_SECRET", "somebody-elses"));
    let amiss = world.only(3, &["--url", &function], &[]);
    let says = "function / | broken | refuses our signature (401) | the function has another";
    assert!(amiss.starts_with(says), "{amiss}");
}

#[test]
fn a_function_that_answers_as_it_should_is_found_however_its_url_is_written() {
    let world = World::start();
    let function = world.function(("HOOKDECK_HEADER_PREFIX", "X-Production"));
    let changes = [("HOOKDECK_HEADER_PREFIX", "X-Production")];
    for end in ["", "/", "/webhooks/clerk", "/webhooks/clerk/"] {
        let outcome = world.run_with(&["--url", &format!("{function}{end}")], &changes);
        assert_eq!((outcome.code, outcome.amiss.len()), (0, 0), "{:?}", outcome.amiss);
    }
}

#[test]
fn any_other_answer_than_the_function_s_is_named_with_its_mend() {
    let world = World::start();
    for (status, body, mend) in [
        (403, r#"{"Message":"Forbidden"}"#, "let every caller invoke the Function URL"),
        (404, r#"{"status":"not_found"}"#, "check --url: the path is /"),
        (502, "planted-page", "see the function's log"),
        (200, r#"{"status":"ignored","reason":"unhandled_type"}"#, "check --url: it is the output"),
        (401, "planted-page", "check --url: it is the output"),
    ] {
        let function = world.answering(status, body);
        let amiss = world.only(3, &["--url", &function], &[]);
        let says = format!(
            "function / | broken | answers {status} to an event without a signature | {mend}"
        );
        assert!(amiss.starts_with(&says), "{amiss}");
    }
    let amiss = world.only(0, &["--url", &world.answering(429, "")], &[]);
    assert!(amiss.contains("raise the function's concurrency"), "{amiss}");
}

#[test]
fn a_url_that_is_none_is_wrong_usage() {
    for url in ["", "example.com", "ftp://example.com", "https://a:b@example.com", "https://x/?y"] {
        let (code, out, _) = run(&mut ops(&["doctor", "--url", url]));
        assert_eq!((code, out.as_str()), (2, ""), "{url}");
    }
}

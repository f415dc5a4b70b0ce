//! The checks of the function.

use std::sync::{Arc, Mutex};

use per_user_db::telemetry::Metrics;
use serde_json::Value;

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
fn a_function_that_does_not_handle_the_instance_of_the_key_is_broken() {
    let world = World::start();
    for (changes, reason) in [
        // With a Clerk key, the function knows that its own setting is wrong.
        (vec![("CLERK_INSTANCE_ID", "ins_other")], "instance_not_listed"),
        (
            vec![
                ("CLERK_INSTANCE_ID", "ins_other"),
                ("CLERK_SECRET_KEY", ""),
                ("CLERK_API_URL", ""),
            ],
            "foreign_instance",
        ),
    ] {
        let function = world.function_with_metrics(&changes, None);
        let problem = world.only(3, &["--url", &function], &[]);
        let says = "function's instance | broken | does not handle the events of ins_";
        assert!(problem.starts_with(says) && problem.contains(reason), "{problem}");
        assert!(problem.contains("CLERK_INSTANCE_ID does not list the instance"), "{problem}");
    }
}

#[test]
fn a_function_that_enforces_clerk_s_signature_gets_one() {
    let world = World::start();
    let svix = [("SVIX_CHECK", "enforce"), ("CLERK_WEBHOOK_SIGNING_SECRET", "whsec_ZmFrZQ==")];
    let function = world.function_with_metrics(&svix, None);
    let outcome = world.run_with(&["--url", &function], &svix);
    assert_eq!((outcome.code, outcome.problems.len()), (0, 0), "{:?}", outcome.problems);
    let elsewhere = ("CLERK_WEBHOOK_SIGNING_SECRET", "whsec_b3RoZXI=");
    let problem = world.only(3, &["--url", &function], &[svix[0], elsewhere]);
    assert!(problem.contains("refuses our signature (401)"), "{problem}");
}

#[test]
fn twenty_runs_have_no_metric_that_rings() {
    let world = World::start();
    let lines = Arc::new(Mutex::new(Vec::new()));
    let written = lines.clone();
    let write = move |line: &str| written.lock().unwrap().push(line.to_owned());
    let function =
        world.function_with_metrics(&[], Some(Metrics::new("per-user-db".to_owned(), write)));
    for _ in 0..20 {
        assert_eq!(world.run(&["--url", &function]).code, 0);
    }
    // A wrong secret here is no reason for an alarm there.
    world.run_with(&["--url", &function], &[("HOOKDECK_WEBHOOK_SECRET", "another")]);
    let lines = lines.lock().unwrap();
    // `run` runs the command twice: unsigned and signed to two paths, and the sample user.
    assert!(lines.len() > 2 * 20 * 5, "{}", lines.len());
    for line in lines.iter() {
        let line: Value = serde_json::from_str(line).unwrap();
        let metrics = line["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().unwrap();
        let names: Vec<_> = metrics.iter().map(|metric| metric["Name"].as_str().unwrap()).collect();
        assert_eq!(names, ["Deliveries"], "{line}");
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

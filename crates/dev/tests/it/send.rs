//! `cargo dev send`.

use serde_json::{Value, json};
use tempfile::TempDir;

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

/// A directory that is removed at the end of the test, with this `.env`.
fn directory(env: &[u8]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join(".env"), env).unwrap();
    directory
}

#[test]
fn a_delivery_has_the_header_prefix_and_clerk_s_signature_of_the_settings() {
    let (_standins, mut settings) = standins();
    settings.extend(
        [
            ("HOOKDECK_HEADER_PREFIX", "X-Production"),
            ("SVIX_CHECK", "enforce"),
            ("CLERK_WEBHOOK_SIGNING_SECRET", "whsec_ZmFrZQ==,whsec_cmV0aXJlZA=="),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    let (_function, url) = live_function(settings.clone());
    let send = || dev(&["send", &file("events/user-created.json"), "--to", &url]);
    let (code, out, _) = run(&mut send());
    assert_eq!((code, out.lines().next()), (1, Some("401 Unauthorized")), "{out}");
    let env = settings.iter().map(|(name, value)| format!("{name}='{value}'\n"));
    let directory = directory(env.collect::<String>().as_bytes());
    let (code, out, error) = run(send().current_dir(directory.path()));
    assert_eq!((code, out.lines().next()), (0, Some("200 OK")), "{out}{error}");
}

#[test]
fn an_event_that_the_function_ignores_ends_with_exit_code_3() {
    let (_standins, settings) = standins();
    let (_function, url) = live_function(settings);
    for flags in [&["--json"][..], &[]] {
        let ignored = file("events/session-created.json");
        let (code, out, _) = run(&mut dev(&[&["send", &ignored, "--to", &url], flags].concat()));
        assert_eq!(code, 3, "{out}");
        assert!(out.contains("unhandled_type"), "{out}");
    }
}

#[test]
fn a_line_of_the_env_file_that_cannot_be_read_is_an_error_that_names_it() {
    let good = "HOOKDECK_WEBHOOK_SECRET=fake\n# a comment\n\n";
    for bad in [
        "ALLOWED_REGIONS=us-east-1, eu-central-1",
        "planted-secret",
        "XATA_API_KEY='planted-secret",
        "XATA_API_KEY=\"planted-secret",
        "XATA API KEY=planted-secret",
        "=planted-secret",
    ] {
        let directory = directory(format!("{good}{bad}\nLOG_LEVEL=debug\n").as_bytes());
        let mut command = dev(&["send", &file("events/user-created.json")]);
        let (code, out, error) = run(command.current_dir(directory.path()));
        assert_eq!((code, out.as_str()), (1, ""), "{bad}: {error}");
        let place = format!("{}, line 4: ", directory.path().join(".env").display());
        assert!(error.contains(&place) && error.contains("single quotes"), "{bad}: {error}");
        assert!(!error.contains("planted-secret"), "{error}");
    }
}

#[test]
fn an_env_file_may_begin_with_a_byte_order_mark_and_lie_above() {
    let (_standins, settings) = standins();
    let (_function, url) = live_function(settings);
    // Without the file's secret, the development secret would be accepted.
    let directory = directory(b"\xef\xbb\xbfHOOKDECK_WEBHOOK_SECRET=another\r\n");
    let below = directory.path().join("below");
    std::fs::create_dir(&below).unwrap();
    let mut command = dev(&["send", &file("events/user-created.json"), "--to", &url]);
    let (_, out, _) = run(command.current_dir(below));
    assert!(out.starts_with("401"), "{out}");
    std::fs::write(directory.path().join(".env"), b"NAME=\xff").unwrap();
    let (code, _, error) = run(command.current_dir(directory.path()));
    assert!(code == 1 && error.contains(".env cannot be read"), "{error}");
}

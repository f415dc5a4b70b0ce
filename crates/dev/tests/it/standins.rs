//! `cargo dev standins`.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use per_user_db::settings::Xata;

use crate::{Background, busy_port, dev, file, live_function, run};

/// Running stand-ins, and the settings that they print.
pub(crate) fn standins() -> (Background, Vec<(String, String)>) {
    let mut command = dev(&["standins", "--env", "--port", "0"]);
    let mut process = Background(command.stdout(Stdio::piped()).spawn().unwrap());
    let lines = BufReader::new(process.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    let file = lines.take(11).collect::<Vec<_>>().join("\n");
    let settings = dotenvy::from_read_iter(file.as_bytes()).map(Result::unwrap).collect();
    (process, settings)
}

#[test]
fn the_printed_settings_are_an_env_file_that_the_function_accepts() {
    let (_standins, settings) = standins();
    let settings = settings.into_iter().map(|(name, value)| (name.into(), value.into()));
    let settings = per_user_db::settings::Settings::read(settings).expect("settings that work");
    assert_eq!(settings.warnings, [""; 0]);
    match settings.xata {
        Xata::Platform(platform) => assert!(platform.url.starts_with("http://127.0.0.1:")),
        Xata::Lite(_) => panic!("Xata Lite without --api lite"),
    }
    assert!(settings.clerk.expect("Clerk").url.ends_with("/v1"));
}

#[test]
fn with_json_the_settings_are_one_document() {
    let mut command = dev(&["standins", "--json", "--port", "0"]);
    let mut process = Background(command.stdout(Stdio::piped()).spawn().unwrap());
    let mut stdout = BufReader::new(process.0.stdout.take().unwrap());
    let mut documents = serde_json::Deserializer::from_reader(&mut stdout).into_iter();
    let settings: serde_json::Value = documents.next().unwrap().unwrap();
    assert_eq!(settings["XATA_ORGANIZATION_ID"], "org123");
}

#[test]
fn clerk_s_stand_in_knows_the_users_of_the_events() {
    let (_standins, settings) = standins();
    let (_function, url) = live_function(settings);
    for (event, status) in [
        ("user-created", "created"),
        ("base64-body", "exists"),
        ("user-created-oceania", "created"),
        ("user-created-ipv6", "created"),
        ("user-created-ipv6", "exists"),
        ("user-deleted", "retained"),
        ("session-created", "ignored"),
    ] {
        let event = file(&format!("events/{event}.json"));
        let (code, answer, error) = run(&mut dev(&["send", &event, "--to", &url]));
        assert_eq!(code, 0, "{event}: {answer}{error}");
        assert!(answer.contains(&format!("\"status\":\"{status}\"")), "{event}: {answer}");
    }
}

#[test]
fn the_error_about_a_busy_port_names_the_port_and_the_flag() {
    let (_listener, port) = busy_port();
    let (code, _, error) = run(&mut dev(&["standins", "--port", &port]));
    assert_eq!(code, 1);
    assert!(error.contains(&port) && error.contains("--port"), "{error}");
}

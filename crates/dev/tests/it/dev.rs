//! `cargo dev`.

use serde_json::{Value, json};
use standin::xata::platform::{Options, Platform};
use tokio::runtime::Runtime;

use crate::{busy_port, dev, file, live_function, run, runtime, serve};

#[test]
fn every_sample_user_gets_one_database() {
    let (code, table, _) = run(&mut dev(&["--once", "--port", "0"]));
    assert_eq!(code, 0, "{table}");
    let counts = "12 users, and 1 who left: 20 requests to Xata, 19 to Clerk.";
    assert!(table.contains(counts), "{table}");
}

#[test]
fn every_sample_user_gets_one_database_on_xata_lite() {
    let (code, table, notes) = run(&mut dev(&["--once", "--api", "lite", "--port", "0"]));
    assert_eq!(code, 0, "{table}");
    assert!(table.contains("12 users: 17 requests to Xata, 14 to Clerk."), "{table}");
    assert!(notes.contains("retired on 2026-02-28"), "{notes}");
}

#[test]
fn with_json_the_report_is_one_document_with_the_user_ids() {
    let (code, json, _) = run(&mut dev(&["--once", "--json", "--port", "0"]));
    let report: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, report["every_user_has_one_database"].as_bool()), (0, Some(true)));
    let users = report["users"].as_array().unwrap();
    assert_eq!(users.len(), 12);
    assert!(users.iter().all(|user| user["id"].as_str().unwrap().starts_with("user_")));
    let attempts: Vec<_> = users.iter().map(|user| user["attempts"].as_u64().unwrap()).collect();
    assert!(attempts.contains(&2), "a duplicate and a retry are among the samples: {attempts:?}");
}

#[test]
fn the_entry_of_every_remaining_user_names_the_database() {
    for api in ["platform", "lite"] {
        let mut command = dev(&["--once", "--json", "--port", "0", "--api", api]);
        let report: Value = serde_json::from_str(&run(&mut command).1).unwrap();
        let users = report["users"].as_array().unwrap();
        assert!(users.iter().all(|user| user["entry_agrees"] == true), "{report:#}");
    }
}

#[test]
fn a_deleted_user_ends_without_a_database_even_if_the_sign_up_is_sent_again() {
    let (code, json, _) = run(&mut dev(&["--once", "--json", "--port", "0"]));
    let report: Value = serde_json::from_str(&json).unwrap();
    let [left] = &report["left"].as_array().unwrap()[..] else {
        panic!("one deleted user: {report}")
    };
    assert_eq!(left["answers"], json!(["created", "removed", "ignored user_gone"]));
    assert_eq!((&left["databases"], &left["entry_agrees"]), (&json!([]), &Value::Null));
    assert_eq!(code, 0);
}

#[test]
fn the_error_about_a_busy_port_names_the_port_and_the_flag() {
    let (_listener, port) = busy_port();
    let (code, _, error) = run(&mut dev(&["--once", "--port", &port]));
    assert_eq!(code, 1);
    assert!(error.contains(&port) && error.contains("--port"), "{error}");
}

#[test]
fn settings_of_the_environment_do_not_replace_a_stand_in() {
    let mut command = dev(&["--once", "--port", "0"]);
    command.env("XATA_API_KEY", "xau_real").env("XATA_API_URL", "http://127.0.0.1:1");
    command.env("CLERK_SECRET_KEY", "sk_test_real").env("CLERK_API_URL", "http://127.0.0.1:1");
    command.env("HOOKDECK_WEBHOOK_SECRET", "real").env("ON_USER_DELETED", "retain");
    let (code, _, notes) = run(&mut command);
    assert_eq!(code, 0);
    for name in ["XATA_API_KEY", "CLERK_SECRET_KEY"] {
        assert!(notes.contains(&format!("{name} is set and not used")), "{notes}");
    }
    assert!(notes.contains("Clerk's stand-in is another instance"), "{notes}");
}

#[test]
fn geo_lookup_is_used_unless_it_sends_requests_to_another_machine() {
    let mut command = dev(&["--once", "--port", "0"]);
    let (code, table, error) = run(command.env("GEO_LOOKUP", "ip-api").env("IP_API_KEY", "k"));
    assert_eq!(code, 0, "{error}");
    assert!(table.contains("geo"), "{table}");
    let mut command = dev(&["--once", "--port", "0"]);
    let (code, table, error) = run(command.env("GEO_LOOKUP", "off"));
    assert_eq!(code, 0, "{error}");
    assert!(!table.contains("geo"), "{table}");
}

#[test]
fn the_stand_ins_offer_every_region_of_the_settings() {
    let mut command = dev(&["--once", "--json", "--port", "0"]);
    command.env("DEFAULT_REGION", "mars-north-1").env("REGION_BY_CONTINENT", "EU=moon-1");
    let (code, json, error) = run(&mut command);
    assert_eq!(code, 0, "{error}");
    let report: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(report["users"][0]["region"], "moon-1");
    assert_eq!(report["users"][2]["region"], "mars-north-1");
}

#[test]
fn with_live_the_samples_need_a_flag_of_their_own() {
    let (code, _, usage) = run(&mut dev(&["--samples"]));
    assert_eq!(code, 2);
    assert!(usage.contains("--live"), "{usage}");
    let (code, _, error) = run(&mut dev(&["--live", "--once"]));
    assert_eq!(code, 1);
    assert!(error.contains("--samples"), "{error}");
    let (code, _, error) = run(&mut dev(&["--live"]));
    assert_eq!(code, 1);
    assert!(error.contains("HOOKDECK_WEBHOOK_SECRET is missing"), "{error}");
}

#[test]
fn the_tutorial_s_settings_are_named_with_what_replaces_them() {
    let settings = [
        ("HOOKDECK_WEBHOOK_SECRET", "fake"),
        ("XATA_API_KEY", "xau_fake"),
        ("XATA_WORKSPACE_SLUG", "workspace-abc123"),
        ("XATA_WORKSPACE_ID", "abc123"),
    ];
    let (code, _, error) = run(dev(&["--live"]).envs(settings));
    assert_eq!(code, 1);
    assert!(error.contains("from-the-tutorial.md") && error.contains("XATA_PROJECT_ID"), "{error}");
}

/// A Xata outside the process of `cargo dev`.
struct ExternalXata {
    xata: Platform,
    url: String,
    _runtime: Runtime,
}

impl ExternalXata {
    fn start() -> Self {
        let (runtime, xata) = (runtime(), Platform::new(Options::default()));
        xata.insert_project("prj_a", "real");
        let url = serve(&runtime, xata.router());
        Self { xata, url, _runtime: runtime }
    }

    fn settings(&self) -> [(&'static str, String); 5] {
        [
            ("HOOKDECK_WEBHOOK_SECRET", "fake-real-secret".to_owned()),
            ("XATA_API_KEY", "xau_fake_local_development_key".to_owned()),
            ("XATA_API_URL", self.url.clone()),
            ("XATA_ORGANIZATION_ID", "org123".to_owned()),
            ("XATA_PROJECT_ID", "prj_a".to_owned()),
        ]
    }
}

#[test]
fn with_live_xata_receives_requests_only_for_delivered_events() {
    let external = ExternalXata::start();
    let settings = external.settings().map(|(name, value)| (name.to_owned(), value));
    let (_function, url) = live_function(settings);
    assert_eq!(external.xata.requests(), []);

    let mut send = dev(&["send", &file("events/user-created.json"), "--to", &url]);
    let (code, answer, error) = run(send.envs(external.settings()));
    assert_eq!(code, 0, "{answer}{error}");
    assert_eq!(external.xata.requests().len(), 1);
}

#[test]
fn with_live_and_samples_xata_has_the_databases_of_the_samples() {
    let external = ExternalXata::start();
    let mut command = dev(&["--live", "--samples", "--once", "--port", "0"]);
    let (code, table, error) = run(command.envs(external.settings()));
    assert_eq!(code, 0, "{table}{error}");
    assert_eq!(external.xata.databases().len(), 12);
}

//! `cargo dev`.

use serde_json::{Value, json};
use standin::xata::platform::{Options, Platform};
use tokio::runtime::Runtime;

use crate::{busy_port, dev, file, live_function, run, runtime, serve};

#[test]
fn a_newcomer_sees_every_user_get_one_database() {
    let (code, table, _) = run(&mut dev(&["--once", "--port", "0"]));
    assert_eq!(code, 0, "{table}");
    let counts = "12 users, and 1 who left: 19 requests to Xata, 18 to Clerk.";
    assert!(table.contains(counts), "{table}");
}

#[test]
fn whoever_ran_the_tutorial_sees_it_on_xata_lite() {
    let (code, table, notes) = run(&mut dev(&["--once", "--api", "lite", "--port", "0"]));
    assert_eq!(code, 0, "{table}");
    assert!(table.contains("12 users: 17 requests to Xata, 13 to Clerk."), "{table}");
    assert!(notes.contains("retired on 2026-02-28"), "{notes}");
}

#[test]
fn a_machine_gets_one_document_with_the_user_ids() {
    let (code, json, _) = run(&mut dev(&["--once", "--json", "--port", "0"]));
    let report: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, report["every_user_has_one_database"].as_bool()), (0, Some(true)));
    let users = report["users"].as_array().unwrap();
    assert_eq!(users.len(), 12);
    assert!(users.iter().all(|user| user["id"].as_str().unwrap().starts_with("user_")));
    let attempts: Vec<_> = users.iter().map(|user| user["attempts"].as_u64().unwrap()).collect();
    assert!(attempts.contains(&2), "a duplicate and a hiccup are part of the show: {attempts:?}");
}

#[test]
fn the_entry_of_everybody_who_stays_is_that_of_their_database() {
    for api in ["platform", "lite"] {
        let mut command = dev(&["--once", "--json", "--port", "0", "--api", api]);
        let report: Value = serde_json::from_str(&run(&mut command).1).unwrap();
        let users = report["users"].as_array().unwrap();
        assert!(users.iter().all(|user| user["entry_agrees"] == true), "{report:#}");
    }
}

#[test]
fn whoever_leaves_ends_without_a_database_even_if_their_sign_up_comes_again() {
    let (code, json, _) = run(&mut dev(&["--once", "--json", "--port", "0"]));
    let report: Value = serde_json::from_str(&json).unwrap();
    let [left] = &report["left"].as_array().unwrap()[..] else { panic!("one who left: {report}") };
    assert_eq!(left["answers"], json!(["created", "removed", "ignored user_gone"]));
    assert_eq!((&left["databases"], &left["entry_agrees"]), (&json!([]), &Value::Null));
    assert_eq!(code, 0);
}

#[test]
fn a_busy_port_is_named_with_the_flag_that_changes_it() {
    let (_listener, port) = busy_port();
    let (code, _, error) = run(&mut dev(&["--once", "--port", &port]));
    assert_eq!(code, 1);
    assert!(error.contains(&port) && error.contains("--port"), "{error}");
}

#[test]
fn settings_around_it_do_not_replace_a_stand_in() {
    let mut command = dev(&["--once", "--port", "0"]);
    command.env("XATA_API_KEY", "xau_real").env("XATA_API_URL", "http://127.0.0.1:1");
    command.env("CLERK_SECRET_KEY", "sk_test_real").env("CLERK_API_URL", "http://127.0.0.1:1");
    command.env("HOOKDECK_WEBHOOK_SECRET", "real").env("ON_USER_DELETED", "retain");
    let (code, _, notes) = run(&mut command);
    assert_eq!(code, 0);
    for name in ["XATA_API_KEY", "CLERK_SECRET_KEY"] {
        assert!(notes.contains(&format!("{name} is set and not used")), "{notes}");
    }
    assert!(notes.contains("Clerk's stand-in knows nobody real"), "{notes}");
}

#[test]
fn a_look_up_that_leads_out_of_this_machine_is_not_followed() {
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
fn regions_are_followed_even_where_the_stand_ins_know_none() {
    let mut command = dev(&["--once", "--json", "--port", "0"]);
    command.env("DEFAULT_REGION", "mars-north-1").env("REGION_BY_CONTINENT", "EU=moon-1");
    let (code, json, error) = run(&mut command);
    assert_eq!(code, 0, "{error}");
    let report: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(report["users"][0]["region"], "moon-1");
    assert_eq!(report["users"][2]["region"], "mars-north-1");
}

#[test]
fn samples_are_never_played_by_accident_where_they_cost_money() {
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

/// A Xata that counts as real: it is not in the process of `cargo dev`.
struct Real {
    xata: Platform,
    url: String,
    _runtime: Runtime,
}

impl Real {
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
fn a_real_xata_is_asked_only_for_what_is_delivered() {
    let real = Real::start();
    let settings = real.settings().map(|(name, value)| (name.to_owned(), value));
    let (_function, url) = live_function(settings);
    assert_eq!(real.xata.requests(), []);

    let mut send = dev(&["send", &file("events/user-created.json"), "--to", &url]);
    let (code, answer, error) = run(send.envs(real.settings()));
    assert_eq!(code, 0, "{answer}{error}");
    assert_eq!(real.xata.requests().len(), 1);
}

#[test]
fn a_real_xata_gets_the_samples_when_they_are_asked_for() {
    let real = Real::start();
    let mut command = dev(&["--live", "--samples", "--once", "--port", "0"]);
    let (code, table, error) = run(command.envs(real.settings()));
    assert_eq!(code, 0, "{table}{error}");
    assert_eq!(real.xata.databases().len(), 12);
}

//! The checks of Hookdeck.

use serde_json::json;
use standin::hookdeck::admin;

use super::{Outcome, World};
use crate::{ops, run};

/// A name that never resolves (RFC 6761, section 6.4).
const URL: &str = "https://function.invalid/";
const SECRET: (&str, &str) = ("CLERK_WEBHOOK_SIGNING_SECRET", "whsec_cGxhbnRlZC1zZWNyZXQ=");

impl World {
    fn hookdeck(&self) -> [(&'static str, String); 2] {
        let key = admin::Options::default().api_key;
        [("HOOKDECK_API_KEY", key), ("HOOKDECK_API_URL", self.url.clone())]
    }

    /// Runs it with Hookdeck's key.
    fn run_with_hookdeck(&self) -> Outcome {
        self.run_with_delivery(&[])
    }

    fn run_with_delivery(&self, flags: &[&str]) -> Outcome {
        let hookdeck = self.hookdeck();
        let changes = [0, 1].map(|index| (hookdeck[index].0, hookdeck[index].1.as_str()));
        self.run_with(&[&["--url", URL], flags].concat(), &changes)
    }

    fn set_up(&self, flags: &[&str]) {
        let mut command = ops(&[&["setup", "hookdeck"], flags].concat());
        let (code, _, error) = run(command.envs(self.hookdeck()).env(SECRET.0, SECRET.1));
        assert_eq!(code, 0, "{error}");
    }
}

#[test]
fn the_key_and_the_url_are_checked() {
    let world = World::start();
    let outcome = world.run_with_hookdeck();
    assert_eq!(outcome.says("Hookdeck key"), "accepted");
    let url = ("HOOKDECK_API_URL", &*world.url);
    let problem = world.only(3, &[], &[("HOOKDECK_API_KEY", "planted-other"), url]);
    assert!(
        problem.starts_with("Hookdeck key | broken | Hookdeck refuses the key (401)"),
        "{problem}"
    );
    for bad in ["http://example.com", "https://a:planted-b@example.com", "planted-url"] {
        let changes = [("HOOKDECK_API_KEY", "planted-key"), ("HOOKDECK_API_URL", bad)];
        let problem = world.only(3, &[], &changes);
        assert!(problem.contains("HOOKDECK_API_URL must be an https URL"), "{problem}");
    }
}

#[test]
fn a_connection_that_drifted_is_broken_and_setup_is_what_to_do() {
    let world = World::start();
    let outcome = world.run_with_hookdeck();
    assert_eq!(outcome.says("Hookdeck connection"), "there is none from clerk to per-user-db");

    world.set_up(&["--url", URL]);
    let outcome = world.run_with_hookdeck();
    assert_eq!(outcome.says("Hookdeck connection"), "in sync with the settings");

    world.set_up(&["--url", &format!("{URL}webhooks/clerk")]);
    let outcome = world.run_with_hookdeck();
    assert_eq!(
        outcome.says("Hookdeck connection"),
        "in sync with the settings",
        "on the other path"
    );

    world.set_up(&["--url", "https://another.invalid/"]);
    let outcome = world.run_with_hookdeck();
    assert_eq!(outcome.says("Hookdeck connection"), "destination per-user-db: url");
    let mend = format!("cargo ops setup hookdeck --url {URL}");
    assert!(
        outcome.problems.iter().any(|problems| problems.ends_with(&mend)),
        "{:?}",
        outcome.problems
    );
}

#[test]
fn a_pace_of_deliveries_is_in_sync_where_it_is_given() {
    let world = World::start();
    world.set_up(&["--url", URL, "--delivery", "499/hour"]);
    let outcome = world.run_with_delivery(&["--delivery", "499/hour"]);
    assert_eq!(outcome.says("Hookdeck connection"), "in sync with the settings");
    let outcome = world.run_with_delivery(&["--delivery", "500/hour"]);
    assert_eq!(outcome.says("Hookdeck connection"), "destination per-user-db: deliveries");
    let mend = format!("cargo ops setup hookdeck --url {URL} --delivery 500/hour");
    assert!(outcome.problems.iter().any(|it| it.ends_with(&mend)), "{:?}", outcome.problems);
}

#[test]
fn a_source_without_a_secret_is_broken() {
    let world = World::start();
    world.set_up(&["--url", URL]);
    world.admin.put_source(&json!({ "name": "clerk", "type": "SVIX" }));
    let outcome = world.run_with_hookdeck();
    assert_eq!(
        outcome.says("Hookdeck connection"),
        "source clerk: no secret, so any sender is accepted"
    );
}

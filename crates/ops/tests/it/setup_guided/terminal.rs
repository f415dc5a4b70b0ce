//! The questions, on a terminal.

use http::StatusCode;
use rexpect::process::WaitStatus;
use rexpect::session::{PtySession, spawn_command};
use serde_json::json;
use standin::fault::{CannedResponse, Effect, Fault};
use standin::xata::platform::Call;

use super::world::{
    CLERK_KEY, HOOKDECK_KEY, HOOKDECK_SECRET, SIGNING_SECRET, URL, World, XATA_KEY,
    assert_no_secret,
};

/// Ends a test that would wait for ever.
const LIMIT_MS: u64 = 10 * 60 * 1000;

/// The command on a terminal, and what it has shown so far.
struct Terminal {
    session: PtySession,
    shown: String,
}

impl Terminal {
    fn start(world: &World, arguments: &[&str]) -> Self {
        Self::start_with(world, arguments, &[])
    }

    fn start_with(world: &World, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = world.command(arguments);
        command.envs(variables.iter().copied());
        command.env("TERM", "dumb");
        Self { session: spawn_command(command, Some(LIMIT_MS)).unwrap(), shown: String::new() }
    }

    /// Waits for a text.
    fn expect(&mut self, text: &str) {
        let before = self.session.exp_string(text);
        self.shown += &before.unwrap_or_else(|error| panic!("no {text}: {error}"));
        self.shown += text;
    }

    /// Waits for the question about this setting, and answers it.
    fn answer(&mut self, name: &str, answer: &str) {
        self.expect(&format!("{name}:"));
        self.session.send_line(answer).unwrap();
    }

    fn answer_keys(&mut self) {
        self.answer("CLERK_SECRET_KEY", CLERK_KEY);
        self.answer("HOOKDECK_WEBHOOK_SECRET", HOOKDECK_SECRET);
        self.answer("HOOKDECK_API_KEY", HOOKDECK_KEY);
        self.answer("XATA_API_KEY", XATA_KEY);
    }

    /// Waits for the end; returns everything that was shown, and the exit code.
    fn end(mut self) -> (String, i32) {
        self.shown += &self.session.exp_eof().unwrap();
        assert_no_secret(&self.shown);
        match self.session.process().wait().unwrap() {
            WaitStatus::Exited(_, code) => (self.shown, code),
            status => panic!("{status:?}"),
        }
    }
}

#[test]
fn the_questions_lead_from_the_keys_to_the_end_and_each_answer_is_stored() {
    let world = World::start();
    let mut terminal = Terminal::start(&world, &[]);
    terminal.answer_keys();
    terminal.answer("Schema (Enter: none)", "");
    terminal.answer("FUNCTION_URL (Enter: later)", "http://127.0.0.1:9000/");
    terminal.expect("Hookdeck cannot reach this machine");
    terminal.answer("FUNCTION_URL (Enter: later)", URL);
    terminal.expect("Add Endpoint: https://");
    terminal.answer("CLERK_WEBHOOK_SIGNING_SECRET (Enter: later)", "whsec_no base64");
    terminal.expect("copy it again");
    terminal.answer("CLERK_WEBHOOK_SIGNING_SECRET (Enter: later)", SIGNING_SECRET);
    let (shown, code) = terminal.end();
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("Everything is set up."), "{shown}");
    let stored = world.stored();
    for (name, value) in [
        ("CLERK_SECRET_KEY", CLERK_KEY),
        ("CLERK_INSTANCE_ID", &world.instance),
        ("HOOKDECK_WEBHOOK_SECRET", HOOKDECK_SECRET),
        ("HOOKDECK_API_KEY", HOOKDECK_KEY),
        ("XATA_API_KEY", XATA_KEY),
        ("XATA_ORGANIZATION_ID", "org123"),
        ("FUNCTION_URL", URL),
        ("CLERK_WEBHOOK_SIGNING_SECRET", SIGNING_SECRET),
    ] {
        assert_eq!(stored[name], value);
    }
    let source = world.admin.source("clerk").unwrap();
    assert_eq!(source["config"]["auth"]["webhook_secret_key"], SIGNING_SECRET);
}

#[test]
fn a_refused_key_is_asked_for_again_and_not_stored() {
    let world = World::start();
    world.write(".env", "# mine\nCLERK_SECRET_KEY=sk_test_stale\nOTHER=1\n");
    let mut terminal = Terminal::start(&world, &[]);
    terminal.expect("Clerk refuses the key (401)");
    terminal.answer("CLERK_SECRET_KEY", "");
    terminal.answer("CLERK_SECRET_KEY", "sk_test_another");
    terminal.expect("Clerk refuses the key (401)");
    terminal.expect("Clerk's dashboard: Configure, API keys, Secret keys");
    terminal.answer("CLERK_SECRET_KEY", CLERK_KEY);
    terminal.expect("HOOKDECK_WEBHOOK_SECRET:");
    let after = world.read(".env");
    let begins = format!("# mine\nCLERK_SECRET_KEY='{CLERK_KEY}'\nOTHER=1\n");
    assert!(after.starts_with(&begins), "{after}");
    assert_no_secret(&terminal.shown);
}

#[test]
fn a_refused_key_of_the_environment_is_said_to_win_over_the_file() {
    let world = World::start();
    let refused = [("CLERK_SECRET_KEY", "sk_test_another")];
    let mut terminal = Terminal::start_with(&world, &[], &refused);
    terminal.expect("CLERK_SECRET_KEY is set in the environment, which wins over .env");
    terminal.answer("CLERK_SECRET_KEY", CLERK_KEY);
    terminal.expect("HOOKDECK_WEBHOOK_SECRET:");
    assert_eq!(world.stored()["CLERK_SECRET_KEY"], CLERK_KEY);
}

#[test]
fn one_of_several_organizations_is_asked_for() {
    let world = World::start();
    let two = json!({ "organizations": [{ "id": "org123" }, { "id": "org456" }] }).to_string();
    let two = CannedResponse::new(StatusCode::OK).with_body("application/json", two);
    world.xata.faults().push(Fault::always(Call::ListOrganizations, Effect::Answer(two)));
    let mut terminal = Terminal::start(&world, &[]);
    terminal.answer_keys();
    terminal.expect("the key sees org123, org456");
    terminal.answer("XATA_ORGANIZATION_ID", "org999");
    terminal.expect("XATA_ORGANIZATION_ID");
    terminal.expect("the key sees org123, org456");
    terminal.answer("XATA_ORGANIZATION_ID", "org123");
    terminal.expect("Schema (Enter: none):");
    assert_eq!(world.stored()["XATA_ORGANIZATION_ID"], "org123");
}

#[test]
fn after_an_interruption_it_asks_only_for_what_is_missing() {
    let world = World::start();
    let mut terminal = Terminal::start(&world, &[]);
    terminal.answer("CLERK_SECRET_KEY", CLERK_KEY);
    terminal.answer("HOOKDECK_WEBHOOK_SECRET", HOOKDECK_SECRET);
    terminal.expect("HOOKDECK_API_KEY:");
    drop(terminal);

    let mut terminal = Terminal::start(&world, &[]);
    terminal.answer("HOOKDECK_API_KEY", HOOKDECK_KEY);
    assert!(terminal.shown.contains("CLERK_SECRET_KEY              kept, development instance"));
    terminal.answer("XATA_API_KEY", XATA_KEY);
    terminal.answer("Schema (Enter: none)", "/nowhere");
    terminal.expect("/nowhere cannot be read");
    terminal.answer("Schema (Enter: none)", "");
    terminal.answer("FUNCTION_URL (Enter: later)", "");
    let (shown, code) = terminal.end();
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("Run this again after the deployment."), "{shown}");
    assert_eq!(shown.matches("sam build && sam deploy").count(), 1, "{shown}");

    let mut terminal = Terminal::start(&world, &[]);
    terminal.answer("FUNCTION_URL (Enter: later)", URL);
    terminal.answer("CLERK_WEBHOOK_SIGNING_SECRET (Enter: later)", "");
    let (shown, code) = terminal.end();
    assert_eq!(code, 0, "{shown}");
    assert!(
        !shown.contains("Schema") && shown.contains("XATA_TEMPLATES                kept"),
        "{shown}"
    );
}

#[test]
fn the_document_is_the_last_thing_that_is_shown() {
    let world = World::start();
    let mut terminal = Terminal::start(&world, &["--json"]);
    terminal.answer_keys();
    terminal.answer("Schema (Enter: none)", "");
    terminal.answer("FUNCTION_URL (Enter: later)", "");
    let (shown, code) = terminal.end();
    assert_eq!(code, 0, "{shown}");
    let document = &shown[shown.find("{\r\n").unwrap()..];
    let document: serde_json::Value = serde_json::from_str(document).unwrap();
    assert_eq!(document["outcome"], "awaits_deployment");
    assert_eq!(document["next"].as_array().unwrap().len(), 3);
}

#[test]
fn the_secrets_are_not_shown_on_a_terminal() {
    let world = World::start();
    world.write(".env", &format!("XATA_API_KEY={XATA_KEY}\nHOOKDECK_WEBHOOK_SECRET=planted\n"));
    let (shown, code) = Terminal::start(&world, &["secrets"]).end();
    assert_eq!(code, 1);
    assert!(shown.contains("Next1Secrets"), "{shown}");
}

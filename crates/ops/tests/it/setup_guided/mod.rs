//! `ops setup` without a verb, and `ops setup secrets`.

mod terminal;
mod world;

use std::fs;

use http::StatusCode;
use serde_json::{Value, json};
use standin::fault::{CannedResponse, Effect, Fault};
use standin::xata::platform::Call;

use self::world::{CLERK_KEY, HOOKDECK_SECRET, SIGNING_SECRET, URL, World, XATA_KEY};

/// The names in a list of the document.
fn names(document: &Value, list: &str) -> Vec<String> {
    let rows = document[list].as_array().unwrap().iter();
    rows.map(|row| row["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn with_the_keys_it_goes_as_far_as_the_deployment_and_then_to_the_end() {
    let world = World::start();
    let outcome = world.run(&["--yes"], &[]);
    assert_eq!(outcome.code, 0, "{}{}", outcome.out, outcome.error);
    for part in [
        &format!("development instance {}", world.instance),
        "HOOKDECK_API_KEY              kept, Hookdeck accepts it",
        "XATA_ORGANIZATION_ID          stored, org123",
        "XATA_TEMPLATES                stored, eu-central-1=",
        "Run this again after the deployment.",
        "  1. sam build && sam deploy",
        "  2. The command in the stack's output Next1Secrets",
        "  3. cargo ops setup again",
    ] {
        assert!(outcome.out.contains(part), "{part}: {}", outcome.out);
    }
    let stored = world.stored();
    let expected =
        ["CLERK_INSTANCE_ID", "XATA_ORGANIZATION_ID", "XATA_PROJECT_ID", "XATA_TEMPLATES"];
    assert!(
        stored.keys().eq(expected),
        "what the environment has stays there: {:?}",
        stored.keys()
    );
    let samconfig = world.read("samconfig.toml");
    for (name, parameter) in expected.iter().zip([
        "ClerkInstanceId",
        "XataOrganizationId",
        "XataProjectId",
        "XataTemplates",
    ]) {
        let line = format!("    \"{parameter}={}\",\n", stored[*name]);
        assert!(samconfig.contains(&line), "{line}: {samconfig}");
    }
    assert_eq!(samconfig.matches("    \"Architecture=").count(), 2, "{samconfig}");
    assert_eq!(world.admin.connections("per-user-db").len(), 0);

    let outcome = world.run(&["--yes"], &[("FUNCTION_URL", URL)]);
    assert_eq!(outcome.code, 0, "{}{}", outcome.out, outcome.error);
    let connection = &world.admin.connections("per-user-db")[0];
    assert_eq!(connection["destination"]["config"]["url"], URL);
    let source_url = world.admin.source("clerk").unwrap()["url"].as_str().unwrap().to_owned();
    let says = format!("Add Endpoint: {source_url}, subscribed to user.created and user.deleted");
    assert!(outcome.out.contains(&says), "{}", outcome.out);

    let everything = [("FUNCTION_URL", URL), ("CLERK_WEBHOOK_SIGNING_SECRET", SIGNING_SECRET)];
    let outcome = world.run(&["--yes"], &everything);
    assert_eq!(outcome.code, 0, "{}{}", outcome.out, outcome.error);
    let end = format!(
        "Everything is set up.\nNext:\n  1. Check everything: cargo ops doctor --url {URL}\n"
    );
    assert!(outcome.out.ends_with(&end), "{}", outcome.out);
    let source = world.admin.source("clerk").unwrap();
    assert_eq!(source["config"]["auth"]["webhook_secret_key"], SIGNING_SECRET);
}

#[test]
fn a_set_up_that_is_complete_is_checked_and_not_changed() {
    let world = World::start();
    let everything = [("FUNCTION_URL", URL), ("CLERK_WEBHOOK_SIGNING_SECRET", SIGNING_SECRET)];
    assert_eq!(world.run(&["--yes"], &everything).code, 0);
    let before = (world.changes(), world.read(".env"), world.read("samconfig.toml"));
    let outcome = world.run(&["--yes", "--json"], &everything);
    let document = outcome.json();
    assert_eq!((outcome.code, &document["outcome"]), (0, &json!("done")), "{document}");
    let rows = document["settings"].as_array().unwrap();
    assert!(rows.iter().all(|row| row["state"] == "kept"), "{document}");
    assert_eq!(document["parameters"], json!([]));
    assert_eq!(world.run(&["--dry-run"], &everything).code, 0);
    assert_eq!(before, (world.changes(), world.read(".env"), world.read("samconfig.toml")));
    // The source keeps its secret, where it is no longer given.
    assert_eq!(world.run(&["--yes", "--json"], &everything[..1]).json()["outcome"], "done");
}

#[test]
fn every_missing_value_is_listed_with_its_source_and_nothing_is_changed() {
    let world = World::start();
    let all = ["CLERK_SECRET_KEY", "HOOKDECK_WEBHOOK_SECRET", "HOOKDECK_API_KEY", "XATA_API_KEY"];
    for flags in [&["--yes"][..], &[], &["--dry-run"]] {
        let outcome = world.run_with(flags, &[]);
        assert_eq!(outcome.code, 3, "{}{}", outcome.out, outcome.error);
        for name in all {
            assert!(outcome.out.contains(&format!("\n{name}")) || outcome.out.starts_with(name));
        }
        assert!(outcome.out.contains("Clerk's dashboard: Configure, API keys"), "{}", outcome.out);
        assert!(outcome.out.contains("Nothing was set up"), "{}", outcome.out);
    }
    let outcome = world.run_with(&["--yes", "--json"], &[("CLERK_SECRET_KEY", CLERK_KEY)]);
    assert_eq!(outcome.code, 3);
    assert_eq!(names(&outcome.json(), "missing"), all[1..]);
    let outcome = world.run(&["--yes", "--json"], &[("HOOKDECK_API_KEY", "")]);
    assert_eq!(names(&outcome.json(), "missing"), ["HOOKDECK_API_KEY"]);
    assert!(!world.path(".env").exists());
    assert!(world.xata.requests().is_empty() && world.clerk.requests().is_empty());
}

#[test]
fn each_key_that_is_refused_is_named_with_its_source() {
    let world = World::start();
    for (name, value, says) in [
        ("CLERK_SECRET_KEY", "sk_test_another", "Clerk refuses the key (401)"),
        ("CLERK_SECRET_KEY", "pk_test_fake", "they begin with sk_"),
        ("CLERK_INSTANCE_ID", "ins_other", "which CLERK_INSTANCE_ID does not list"),
        ("HOOKDECK_WEBHOOK_SECRET", "two words ", "blanks around one"),
        ("HOOKDECK_API_KEY", "another", "Hookdeck refuses the key (401)"),
        ("HOOKDECK_API_KEY", "two words", "HOOKDECK_API_KEY has a blank"),
        ("XATA_API_KEY", "another", "Xata refuses the key (401)"),
        ("XATA_ORGANIZATION_ID", "other", "XATA_ORGANIZATION_ID"),
        ("CLERK_API_URL", "http://127.0.0.1:1", "check CLERK_API_URL and the network"),
        ("XATA_API_URL", "http://127.0.0.1:1", "check XATA_API_URL and the network"),
        ("DEFAULT_REGION", "mars-1", "Xata has no region mars-1"),
        ("XATA_WORKSPACE_SLUG", "a-abc123", "Xata Lite"),
        ("FUNCTION_URL", "http://127.0.0.1:9000/", "Hookdeck cannot reach this machine"),
    ] {
        let outcome = world.run(&["--yes"], &[(name, value)]);
        assert_eq!(outcome.code, 1, "{name}: {}{}", outcome.out, outcome.error);
        assert!(outcome.error.contains(says), "{says}: {}", outcome.error);
    }
    let outcome = world.run(&["--yes", "--schema", "/nowhere"], &[]);
    assert!(outcome.error.contains("/nowhere cannot be read"), "{}", outcome.error);
    let both = [("CLERK_SECRET_KEY", "sk_test_another"), ("XATA_API_KEY", "another")];
    let outcome = world.run(&["--yes"], &both);
    let needed = ["CLERK_SECRET_KEY: Clerk refuses", "XATA_API_KEY: Xata refuses", "org:read"];
    for part in needed {
        assert!(outcome.error.contains(part), "{part}: {}", outcome.error);
    }
    let outcome =
        world.run(&["--yes"], &[("CLERK_WEBHOOK_SIGNING_SECRET", "x"), ("FUNCTION_URL", URL)]);
    assert!(outcome.error.contains("whsec_"), "{}", outcome.error);
}

#[test]
fn a_dry_run_shows_what_would_be_done_and_changes_nothing() {
    let world = World::start();
    let samconfig = world.read("samconfig.toml");
    let outcome = world.run(&["--dry-run"], &[]);
    assert_eq!(outcome.code, 3, "{}{}", outcome.out, outcome.error);
    for part in [
        "CLERK_INSTANCE_ID             found, ins_",
        "create template",
        "XataOrganizationId",
        "Nothing was changed: this is a dry run.",
    ] {
        assert!(outcome.out.contains(part), "{part}: {}", outcome.out);
    }
    let outcome = world.run(&["--dry-run", "--json"], &[("FUNCTION_URL", URL)]);
    let document = outcome.json();
    assert_eq!(document["outcome"], "planned");
    assert_eq!(document["xata"]["outcome"], "planned");
    assert_eq!(document["hookdeck"]["outcome"], "planned");
    assert_eq!(world.changes(), [""; 0]);
    assert!(!world.path(".env").exists());
    assert_eq!(world.read("samconfig.toml"), samconfig);
}

#[test]
fn what_the_file_has_is_kept_and_only_its_owner_may_read_it() {
    let world = World::start();
    let text = format!("# mine\nCLERK_SECRET_KEY=\"{CLERK_KEY}\" # of the app\n\nOTHER=1");
    world.write(".env", &text);
    assert_eq!(world.run(&["--yes"], &[("CLERK_SECRET_KEY", "")]).code, 0);
    let after = world.read(".env");
    assert!(after.starts_with(&(text + "\nCLERK_INSTANCE_ID='ins_")), "{after}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(world.path(".env")), 0o600);
        let original = crate::file("samconfig.toml").into();
        assert_eq!(mode(world.path("samconfig.toml")), mode(original), "this one stays readable");
    }
    let left: Vec<_> =
        fs::read_dir(world.path("")).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "no other file stays: {left:?}");
}

#[test]
fn the_placement_of_the_settings_becomes_parameters() {
    let world = World::start();
    let placement = [("REGION_BY_CONTINENT", "EU=eu-central-1,OC=us-central1")];
    assert_eq!(world.run(&["--yes"], &placement).code, 0);
    let samconfig = world.read("samconfig.toml");
    let line = "    \"RegionByContinent=EU=eu-central-1,OC=us-central1\",\n";
    assert!(samconfig.contains(line) && !samconfig.contains("DefaultRegion"), "{samconfig}");

    // A region that joins gets its template, and the other ones stay.
    let before = world.stored()["XATA_TEMPLATES"].clone();
    assert_eq!(world.run(&["--yes"], &[placement[0], ("DEFAULT_REGION", "us-west-2")]).code, 0);
    let after = world.stored()["XATA_TEMPLATES"].clone();
    assert!(after.contains(",us-west-2="), "{after}");
    for template in before.split(',').filter(|it| !it.starts_with("us-east-1")) {
        assert!(after.contains(template), "{after}");
    }
}

#[test]
fn a_project_of_another_name_is_set_up_and_no_second_one_is_created() {
    let world = World::start();
    world.xata.insert_project("prj_mine", "mine");
    let outcome = world.run(&["--yes"], &[("XATA_PROJECT_ID", "prj_mine")]);
    assert_eq!(outcome.code, 0, "{}{}", outcome.out, outcome.error);
    assert!(world.xata.databases().iter().all(|it| it.project == "prj_mine"));
    let several = [("XATA_PROJECT_ID", "prj_mine,prj_other")];
    let outcome = world.run(&["--yes", "--schema", "."], &several);
    assert!(outcome.error.contains("--shards"), "{}", outcome.error);
}

#[test]
fn templates_that_are_gone_are_an_error() {
    let world = World::start();
    world.xata.insert_project("prj_mine", "mine");
    let names = [("XATA_PROJECT_ID", "prj_mine"), ("XATA_TEMPLATES", "eu-central-1=a,us-east-1=b")];
    let outcome = world.run(&["--yes"], &names);
    assert_eq!(outcome.code, 1, "{}", outcome.out);
    assert!(outcome.error.contains("is not in its project (404)"), "{}", outcome.error);
}

#[test]
fn a_stop_in_the_middle_keeps_what_was_done() {
    let world = World::start();
    world.xata.change(|options| options.quotas.branches_per_project = Some(1));
    let outcome = world.run(&["--yes"], &[]);
    assert_eq!(outcome.code, 1, "{}", outcome.out);
    assert!(outcome.error.contains("2 of 3 steps; run this again"), "{}", outcome.error);
    assert!(world.stored().contains_key("XATA_ORGANIZATION_ID"));
    world.xata.change(|options| options.quotas.branches_per_project = None);
    assert_eq!(world.run(&["--yes"], &[]).code, 0);
    assert_eq!(world.xata.databases().len(), 2);
}

#[test]
fn one_of_several_organizations_has_to_be_named() {
    let world = World::start();
    let two = json!({ "organizations": [{ "id": "org123" }, { "id": "org456" }] }).to_string();
    let two = CannedResponse::new(StatusCode::OK).with_body("application/json", two);
    world.xata.faults().push(Fault::always(Call::ListOrganizations, Effect::Answer(two)));
    let outcome = world.run(&["--yes"], &[]);
    assert_eq!(outcome.code, 3, "{}{}", outcome.out, outcome.error);
    assert!(outcome.out.contains("org123, org456"), "{}", outcome.out);
    let outcome = world.run(&["--yes", "--json"], &[]);
    assert_eq!(names(&outcome.json(), "missing"), ["XATA_ORGANIZATION_ID"]);
    assert_eq!(world.run(&["--yes"], &[("XATA_ORGANIZATION_ID", "org123")]).code, 0);
}

#[test]
fn outside_of_the_repository_nothing_is_asked_or_written() {
    let world = World::start();
    fs::remove_file(world.path("samconfig.toml")).unwrap();
    let outcome = world.run(&["--yes"], &[]);
    assert_eq!(outcome.code, 1);
    assert!(outcome.error.contains("run this in the repository"), "{}", outcome.error);
    assert!(world.clerk.requests().is_empty());
}

#[test]
fn in_a_directory_below_the_files_of_the_repository_are_found() {
    let world = World::start();
    fs::create_dir(world.path("below")).unwrap();
    let mut command = world.command(&["--yes"]);
    command.current_dir(world.path("below")).env("CLERK_SECRET_KEY", CLERK_KEY);
    command.env("HOOKDECK_WEBHOOK_SECRET", HOOKDECK_SECRET).env("XATA_API_KEY", XATA_KEY);
    let (code, ..) = crate::run(command.env("HOOKDECK_API_KEY", world::HOOKDECK_KEY));
    assert_eq!((code, world.path(".env").exists()), (0, true));
}

#[test]
fn the_secrets_are_one_json_object_for_a_pipe() {
    let world = World::start();
    world.write(".env", &format!("XATA_API_KEY='{XATA_KEY}'\nIP_API_KEY=\nHOOKDECK_API_KEY=x\n"));
    let mut command = world.command(&["secrets"]);
    command.env("HOOKDECK_WEBHOOK_SECRET", "new,old").env("CLERK_SECRET_KEY", CLERK_KEY);
    let (code, out, _) = crate::run(&mut command);
    let expected = json!({
        "XATA_API_KEY": XATA_KEY,
        "HOOKDECK_WEBHOOK_SECRET": "new,old",
        "CLERK_SECRET_KEY": CLERK_KEY,
    });
    assert_eq!((code, serde_json::from_str::<Value>(&out).unwrap()), (0, expected));
    let outcome = world.run_with(&["secrets"], &[]);
    assert_eq!((outcome.code, &*outcome.out), (1, ""), "half a secret must not be stored");
    assert!(outcome.error.contains("HOOKDECK_WEBHOOK_SECRET is missing"), "{}", outcome.error);
}

#[test]
fn the_stack_and_the_documentation_name_the_same_command_for_the_secrets() {
    let read = |name: &str| fs::read_to_string(crate::file(name)).unwrap();
    let command = |region: &str, id: &str| {
        format!(
            "cargo ops setup secrets | aws secretsmanager put-secret-value --region {region} \
             --secret-id {id} --secret-string file:///dev/stdin\n"
        )
    };
    let output = command("${AWS::Region}", "${Id}");
    assert!(read("template.yaml").contains(&output), "{output}");
    for name in ["docs/deploy.md", "docs/maintenance.md"] {
        assert!(read(name).contains(&command("REGION", "ARN")), "{name}");
    }
}

//! `ops setup xata`: projects and templates. What is about SQL is in `schema`.

mod schema;
mod world;

use http::StatusCode;
use serde_json::{Value, json};
use standin::fault::{CannedResponse, Effect, Fault};
use standin::xata::platform::{Call, Quotas, ScaleToZero};

use self::world::World;

fn steps(document: &Value) -> Vec<String> {
    let steps = document["steps"].as_array().unwrap().iter();
    steps
        .map(|step| {
            let region = step["region"].as_str().unwrap_or("–");
            format!(
                "{} {} {region}",
                step["step"].as_str().unwrap(),
                step["project"].as_str().unwrap()
            )
        })
        .collect()
}

/// The table alone, without the column that tells what is done.
fn table(out: &str) -> Vec<String> {
    let lines = out.lines().filter(|line| line.starts_with(['┌', '│', '└', '╞']));
    lines
        .map(|line| line.replace("to do", "").replace("done", "").replace([' ', '─', '═'], ""))
        .collect()
}

#[test]
fn a_project_and_a_template_in_each_region_of_the_settings_are_created() {
    let world = World::start();
    let outcome = world.run(&[]);
    assert_eq!(outcome.code, 0, "{}{}", outcome.out, outcome.error);
    let project = world.xata.databases()[0].project.clone();
    let (europe, america) = (world.template("eu-central-1"), world.template("us-east-1"));
    for line in [
        "XATA_ORGANIZATION_ID=\"org123\"".to_owned(),
        format!("XATA_PROJECT_ID=\"{project}\""),
        format!("XATA_TEMPLATES=\"eu-central-1={europe},us-east-1={america}\""),
    ] {
        assert!(outcome.out.contains(&line), "{line}: {}", outcome.out);
    }
    assert!(outcome.out.contains("same password in every tenant"), "{}", outcome.out);
    for template in world.xata.databases() {
        assert_eq!((template.parent, template.scale_to_zero.enabled), (None, false));
    }
    let bodies = world.xata.requests().into_iter().filter(|it| it.path.ends_with("/branches"));
    let bodies = bodies.filter(|it| it.method == "POST").map(|it| it.body);
    let bodies: Vec<Value> = bodies.map(|it| serde_json::from_slice(&it).unwrap()).collect();
    assert_eq!(bodies[0]["mode"], "custom");
    assert_eq!(bodies[0]["configuration"]["image"], "postgresql:17");
}

#[test]
fn a_second_run_adopts_what_exists_and_prints_the_same_settings() {
    let world = World::start();
    let first = world.run(&["--json"]).json();
    let changes = world.changes();
    let second = world.run(&["--json"]);
    assert_eq!((second.code, &second.json()["outcome"]), (0, &json!("nothing_to_do")));
    assert_eq!(second.json()["settings"], first["settings"]);
    assert_eq!(world.changes(), changes);
    let dry = world.run(&["--dry-run"]);
    assert_eq!(dry.code, 0);
    assert!(dry.out.starts_with("Nothing to do: 2 templates are in sync.\n"), "{}", dry.out);
}

#[test]
fn a_dry_run_shows_the_same_plan_and_ends_with_three() {
    let world = World::start();
    let dry = world.run(&["--dry-run"]);
    assert_eq!((dry.code, world.changes().len()), (3, 0), "{}{}", dry.out, dry.error);
    let document = world.run(&["--dry-run", "--json"]).json();
    assert_eq!((&document["outcome"], &document["settings"]), (&json!("planned"), &Value::Null));
    assert_eq!(
        steps(&document),
        [
            "create_project per-user-db –",
            "create_template per-user-db eu-central-1",
            "create_template per-user-db us-east-1"
        ]
    );
    assert_eq!(table(&dry.out), table(&world.run(&[]).out));
}

#[test]
fn several_projects_have_their_own_templates_and_the_first_is_adopted() {
    let world = World::start();
    assert_eq!(world.run(&["--project", "mine"]).code, 0);
    let outcome = world.run(&["--project", "mine", "--shards", "2", "--json"]);
    assert_eq!(outcome.code, 0, "{}", outcome.error);
    let document = outcome.json();
    assert_eq!(steps(&document).len(), 3, "{document}");
    let projects = document["settings"]["XATA_PROJECT_ID"].as_str().unwrap();
    let (first, second) = projects.split_once(',').unwrap();
    let templates = document["settings"]["XATA_TEMPLATES"].as_str().unwrap();
    for place in [first, second].map(|project| [project, "/eu-central-1="].concat()) {
        assert!(templates.contains(&place), "{templates}");
    }
    assert_eq!(world.deliver(&document, "user-created.json")["status"], "created");
}

#[test]
fn an_invalid_setting_is_named_and_nothing_is_created() {
    let world = World::start();
    for (flags, changes, says) in [
        (&[][..], &[("XATA_API_KEY", "wrong")][..], "check XATA_API_KEY"),
        (&[], &[("XATA_API_KEY", "")], "XATA_API_KEY is"),
        (&[], &[("XATA_ORGANIZATION_ID", "another")], "XATA_ORGANIZATION_ID"),
        (&[], &[("XATA_ORGANIZATION_ID", "a/b")], "XATA_ORGANIZATION_ID is not an id"),
        (&[], &[("XATA_API_URL", "http://127.0.0.1:1")], "check XATA_API_URL and the network"),
        (&[], &[("XATA_WORKSPACE_SLUG", "a-abc123")], "Xata Lite"),
        (&["--region", "mars-1"], &[], "no region mars-1"),
        (
            &[],
            &[("DEFAULT_REGION", "mars-1")],
            "it has us-east-1, us-west-2, eu-central-1, us-central1",
        ),
        (&["--image", "postgresql:9"], &[], "no image postgresql:9 in eu-central-1"),
        (&["--instance-type", "xata.nano"], &[], "no instance type xata.nano"),
        (&["--schema", "/nowhere"], &[], "/nowhere cannot be read"),
    ] {
        let outcome = world.run_with(flags, changes);
        assert_eq!(outcome.code, 1, "{says}: {}{}", outcome.out, outcome.error);
        assert!(outcome.error.contains(says), "{says}: {}", outcome.error);
    }
    assert_eq!(world.changes(), [""; 0]);
    assert_eq!(world.run(&["--shards", "0"]).code, 2);
    assert_eq!(world.run(&["--region", "Mars 1"]).code, 2);
}

#[test]
fn the_only_organization_that_the_key_sees_is_taken() {
    let world = World::start();
    let outcome = world.run_with(&["--json"], &[("XATA_ORGANIZATION_ID", "")]);
    assert_eq!((outcome.code, &outcome.json()["organization"]), (0, &json!("org123")));
    let two = json!({ "organizations": [{ "id": "org123" }, { "id": "org456" }] }).to_string();
    let two = CannedResponse::new(StatusCode::OK).with_body("application/json", two);
    world.xata.faults().push(Fault::once(Call::ListOrganizations, Effect::Answer(two)));
    let outcome = world.run_with(&[], &[("XATA_ORGANIZATION_ID", "")]);
    assert!(outcome.error.contains("sees several: org123, org456"), "{}", outcome.error);
}

#[test]
fn a_branch_that_has_a_templates_name_is_left_alone() {
    for is_child in [true, false] {
        let world = World::start();
        world.xata.insert_project("prj_a", "per-user-db");
        world.xata.insert_template("prj_a", "original", "us-east-1");
        let mut taken =
            standin::xata::platform::NewDatabase::root("template-eu-central-1", "us-east-1");
        if is_child {
            taken.region = "eu-central-1".into();
            taken.parent = Some("original".into());
        }
        world.xata.insert("prj_a", [taken]);
        let outcome = world.run(&[]);
        assert_eq!(outcome.code, 1, "{}", outcome.out);
        let says = if is_child { "is a clone of another branch" } else { "is in us-east-1" };
        for part in ["template-eu-central-1 in prj_a is taken", says, "Nothing was changed"] {
            assert!(outcome.error.contains(part), "{part}: {}", outcome.error);
        }
        assert_eq!(world.changes(), [""; 0]);
    }
}

#[test]
fn a_quota_stops_it_and_the_next_run_goes_on() {
    let world = World::start();
    world.xata.change(|options| options.quotas.projects = Some(0));
    let outcome = world.run(&[]);
    assert!(outcome.error.contains("quota of projects is reached (403)"), "{}", outcome.error);
    assert!(outcome.error.contains("No step was done; run this again"), "{}", outcome.error);

    let one = Quotas { branches_per_project: Some(1), ..Quotas::UNLIMITED };
    world.xata.change(|options| options.quotas = one);
    let outcome = world.run(&[]);
    assert_eq!(outcome.code, 1);
    for part in ["quota of branches is reached (400)", "What was done stays, 2 of 3 steps"] {
        assert!(outcome.error.contains(part), "{part}: {}", outcome.error);
    }
    assert!(!outcome.out.contains("XATA_TEMPLATES"), "{}", outcome.out);

    world.xata.change(|options| options.quotas = Quotas::UNLIMITED);
    let document = world.run(&["--json"]).json();
    assert_eq!(steps(&document), ["create_template per-user-db us-east-1"]);
}

#[test]
fn a_lost_response_creates_nothing_twice() {
    let error = || CannedResponse::html(StatusCode::BAD_GATEWAY);
    for call in [Call::CreateProject, Call::CreateBranch] {
        for effect in [
            Effect::ResetAfter,
            Effect::ResetBefore,
            Effect::AnswerAfter(error()),
            Effect::Answer(error()),
        ] {
            let world = World::start();
            world.xata.faults().push(Fault::once(call, effect.clone()));
            let outcome = world.run(&["--json"]);
            assert_eq!(outcome.code, 0, "{call:?} {effect:?}: {}", outcome.error);
            assert_eq!(world.xata.databases().len(), 2);
            assert_eq!(world.run(&["--json"]).json()["settings"], outcome.json()["settings"]);
        }
    }
}

#[test]
fn a_template_that_sleeps_is_woken_and_kept_awake() {
    let world = World::start();
    world.run(&[]);
    let id = world.template("eu-central-1");
    world.hibernate(&id);
    let dry = world.run(&["--dry-run", "--json"]);
    assert_eq!(dry.code, 3);
    assert_eq!(
        steps(&dry.json()),
        ["keep_awake per-user-db eu-central-1", "wake per-user-db eu-central-1"]
    );
    assert_eq!(world.run(&[]).code, 0);
    let template = world.xata.databases().into_iter().find(|it| it.id == id).unwrap();
    let awake = ScaleToZero { enabled: false, inactivity_period_minutes: 30 };
    assert_eq!(template.scale_to_zero, awake);
    assert_eq!(world.run(&["--json"]).json()["outcome"], "nothing_to_do");
}

#[test]
fn settings_that_the_function_would_refuse_are_noted() {
    let world = World::start();
    let changes = [("XATA_PROJECT_ID", "prj_old")];
    let outcome = world.run_with(&["--region", "us-east-1"], &changes);
    assert_eq!(outcome.code, 0, "{}", outcome.error);
    for part in ["place users in eu-central-1, too", "XATA_PROJECT_ID lists prj_old, too"] {
        assert!(outcome.out.contains(part), "{part}: {}", outcome.out);
    }
}

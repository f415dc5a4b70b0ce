//! The checks of Xata.

use std::time::{Duration, SystemTime};

use http::StatusCode;
use serde_json::{Value, json};
use standin::clock::rfc3339;
use standin::fault::{CannedResponse, Effect, Fault};
use standin::xata::lite::{self, Lite};
use standin::xata::platform::{Call, NewDatabase, Quotas, Region};

use super::{PROJECTS, REGIONS, World, serve};

impl World {
    /// Makes Xata answer every such call with this document.
    fn tell(&self, call: Call, document: &Value) {
        let answer =
            CannedResponse::new(StatusCode::OK).with_body("application/json", document.to_string());
        self.xata.faults().clear();
        self.xata.faults().push(Fault::always(call, Effect::Answer(answer)));
    }

    /// Changes every description of a template.
    fn describe(&self, template: &Value) {
        let mut described = json!({
            "name": "template",
            "region": REGIONS[0],
            "parentID": null,
            "status": { "statusType": "STATUS_TYPE_HEALTHY" },
            "scaleToZero": { "enabled": false, "inactivityPeriodMinutes": 30 },
        });
        for (name, value) in template.as_object().unwrap() {
            described[name] = value.clone();
        }
        self.tell(Call::DescribeBranch, &described);
    }
}

/// One project with a template in one region, so that one fault is one row.
const ONE: [(&str, &str); 3] = [
    ("XATA_PROJECT_ID", "prj_a"),
    ("XATA_TEMPLATES", "eu-central-1=prj_a-eu-central-1"),
    ("ALLOWED_REGIONS", "eu-central-1"),
];
const ONE_DEFAULT: (&str, &str) = ("DEFAULT_REGION", "eu-central-1");

fn one() -> Vec<(&'static str, &'static str)> {
    [&ONE[..], &[ONE_DEFAULT]].concat()
}

#[test]
fn a_key_or_an_organization_that_xata_does_not_know_is_broken() {
    let world = World::start();
    for (variable, value, says) in [
        (
            "XATA_API_KEY",
            "xau_x",
            "Xata key | broken | Xata refuses the key (401) | check XATA_API_KEY",
        ),
        (
            "XATA_ORGANIZATION_ID",
            "org_x",
            "Xata organization | broken | Xata denies this key access (403) | correct XATA_ORGAN",
        ),
    ] {
        let problem = world.only(3, &[], &[(variable, value)]);
        assert!(problem.starts_with(says), "{problem}");
    }
}

#[test]
fn a_project_that_is_not_there_is_broken() {
    let world = World::start();
    let templates = format!("{},prj_x/eu-central-1=a,prj_x/us-east-1=b", world.settings[5].1);
    let changes = [("XATA_PROJECT_ID", "prj_a,prj_b,prj_x"), ("XATA_TEMPLATES", &templates)];
    let problem = world.only(3, &[], &changes);
    let says = "Xata project prj_x | broken | is none of the projects that the key sees (2)";
    assert!(problem.starts_with(says), "{problem}");
}

#[test]
fn a_region_that_does_not_exist_is_broken() {
    let world = World::start();
    world.xata.change(|options| options.regions = vec![Region::aws(REGIONS[0])]);
    let problem = world.only(3, &[], &[]);
    let says = "Xata region us-east-1 | broken | does not exist; there are eu-central-1 | correct";
    assert!(problem.starts_with(says), "{problem}");
}

#[test]
fn a_template_that_is_missing_is_broken() {
    let world = World::start();
    world.xata.remove("prj_b-us-east-1");
    let problem = world.only(3, &[], &[]);
    let says = "Xata template us-east-1 in prj_b | broken | is not in its project (404) | correct";
    assert!(problem.starts_with(says), "{problem}");
}

#[test]
fn a_template_that_cannot_be_cloned_well_is_broken_or_a_warning() {
    let world = World::start();
    let in_state = |word: &str| json!({ "status": { "statusType": word } });
    for (template, code, state, what) in [
        (in_state("STATUS_TYPE_FAULT"), 3, "broken", "is at fault"),
        (in_state("STATUS_TYPE_HIBERNATED"), 3, "broken", "is asleep"),
        (in_state("STATUS_TYPE_TRANSIENT"), 0, "warning", "is not ready"),
        (in_state("planted-word"), 0, "warning", "is in a state that this tool does not know"),
        (
            json!({ "scaleToZero": { "enabled": true } }),
            0,
            "warning",
            "is awake, but goes to sleep",
        ),
        (json!({ "region": "us-east-1" }), 3, "broken", "is in us-east-1"),
        (json!({ "region": "planted-Region" }), 3, "broken", "is in another region"),
        (json!({ "parentID": "b0" }), 3, "broken", "is no root branch"),
    ] {
        world.describe(&template);
        let problem = world.only(code, &[], &one());
        let says = format!("Xata template eu-central-1 in prj_a | {state} | {what}");
        assert!(problem.starts_with(&says), "{problem}");
    }
}

#[test]
fn several_faults_of_a_template_are_one_row() {
    let world = World::start();
    let status = json!({ "statusType": "STATUS_TYPE_TRANSIENT" });
    world.describe(&json!({ "parentID": "b0", "status": status }));
    let problem = world.only(3, &[], &one());
    assert!(problem.contains("100 clones only; is not ready"), "{problem}");
}

#[test]
fn without_templates_the_image_and_the_instance_type_must_be_offered() {
    let world = World::start();
    let none = ("XATA_TEMPLATES", "");
    for image in ["", "postgresql:18", "postgres:17.10"] {
        let outcome = world.run_with(&[], &[none, ("XATA_IMAGE", image)]);
        assert_eq!((outcome.code, outcome.problems.len()), (0, 0), "{:?}", outcome.problems);
    }
    for (variable, value, check) in [
        ("XATA_IMAGE", "postgresql:71", "Xata image"),
        ("XATA_IMAGE", "postgres:17.1", "Xata image"),
        ("XATA_INSTANCE_TYPE", "xata.planted-", "Xata instance type"),
    ] {
        let problem = world.only(3, &[], &[none, (variable, value)]);
        let what = format!("{variable} is not offered in eu-central-1, us-east-1");
        assert!(problem.starts_with(&format!("{check} | broken | {what}")), "{problem}");
    }
}

#[test]
fn a_quota_that_is_nearly_used_up_is_a_warning_and_one_that_is_used_up_is_broken() {
    let world = World::start();
    let of_project = |n| Quotas { branches_per_project: Some(n), ..Quotas::UNLIMITED };
    let of_organization = |n| Quotas { branches_per_organization: Some(n), ..Quotas::UNLIMITED };
    // Two templates in each project, and 6 branches more in one that the settings do not name.
    world.xata.insert_project("prj_other", "other");
    let name = |n| NewDatabase::root(&format!("other-{n}"), REGIONS[0]);
    world.xata.insert("prj_other", (0..6).map(name));
    for (quotas, code, says) in [
        (of_organization(13), 0, None),
        (
            of_organization(12),
            0,
            Some("Xata organization | warning | 2 left: 10 of 12 branches in all projects"),
        ),
        (of_organization(10), 3, Some("Xata organization | broken | 0 left: 10 of 10 branches")),
        (of_project(3), 0, None),
        (
            of_project(2),
            3,
            Some("Xata project prj_a | broken | 0 left: 2 of 2 branches | ask Xata"),
        ),
    ] {
        world.xata.change(|options| options.quotas = quotas);
        let outcome = world.run_with(&[], &one());
        assert_eq!(outcome.code, code, "{:?}", outcome.problems);
        assert_eq!(outcome.problems.len(), usize::from(says.is_some()), "{:?}", outcome.problems);
        assert!(
            says.is_none_or(|says| outcome.problems[0].starts_with(says)),
            "{:?}",
            outcome.problems
        );
    }
}

#[test]
fn parked_databases_are_counted_and_near_the_quota_a_sweep_is_what_to_do() {
    let world = World::start();
    let parked = format!("parked/{}/1767800000", standin::clerk::user_id(1));
    world.xata.insert(PROJECTS[0], [NewDatabase::root(&parked, REGIONS[0])]);
    world.xata.change(|options| options.quotas = Quotas::T1);
    let outcome = world.run(&[]);
    let says = "197 left: 3 of 200 branches, 1 of them parked";
    assert_eq!((outcome.code, outcome.says("Xata project prj_a")), (0, says));
    let quotas = Quotas { branches_per_project: Some(3), ..Quotas::UNLIMITED };
    world.xata.change(|options| options.quotas = quotas);
    let problem = world.only(3, &[], &[]);
    let says =
        "0 left: 3 of 3 branches, 1 of them parked | delete old parked databases with cargo ops";
    assert!(problem.contains(says), "{problem}");
}

#[test]
fn branches_of_the_last_hour_count_towards_the_hourly_quota() {
    let world = World::start();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let made = |minutes_ago: u64| {
        let at = now.checked_sub(Duration::from_secs(minutes_ago * 60)).unwrap();
        let (id, name, region) = (format!("b{minutes_ago}"), minutes_ago.to_string(), REGIONS[0]);
        json!({ "id": id, "name": name, "region": region, "createdAt": rfc3339(at) })
    };
    // The same list for both projects: 4 within the hour, of 6.
    world.tell(Call::ListBranches, &json!({ "branches": [made(1), made(59), made(61)] }));
    for (most, says) in [
        (6, None),
        (5, Some("warning | 1 left: 4 of 5 created")),
        (4, Some("warning | 0 left: 4 of 4 created")),
    ] {
        let quotas = Quotas { branch_creations_per_hour: Some(most), ..Quotas::UNLIMITED };
        world.xata.change(|options| options.quotas = quotas);
        let outcome = world.run(&[]);
        assert_eq!((outcome.code, outcome.problems.len()), (0, usize::from(says.is_some())));
        let says = says.map(|says| format!("Xata creations within an hour | {says}"));
        assert!(
            says.is_none_or(|says| outcome.problems[0].starts_with(&says)),
            "{:?}",
            outcome.problems
        );
    }
}

#[test]
fn limits_that_a_narrow_key_may_not_see_are_a_warning() {
    let world = World::start();
    let refusal = CannedResponse::message(StatusCode::FORBIDDEN, "planted-message");
    let refusal = Fault::always(Call::GetOrganizationLimits, Effect::Answer(refusal));
    world.xata.faults().push(refusal);
    let problem = world.only(0, &[], &[]);
    assert!(
        problem.starts_with("Xata organization | warning | not checked: Xata denies"),
        "{problem}"
    );
    assert!(problem.ends_with("give the key the scope org:read"), "{problem}");
}

#[test]
fn xata_lite_is_a_warning_and_its_key_and_regions_are_checked() {
    let world = World::start();
    let options = lite::Options::default();
    let (key, workspace) = (options.api_key.clone(), options.workspace.clone());
    let url = serve(&world.runtime, Lite::new(options).router());
    let changes = [
        ("XATA_ORGANIZATION_ID", ""),
        ("XATA_PROJECT_ID", ""),
        ("XATA_TEMPLATES", ""),
        ("XATA_API_KEY", &*key),
        ("XATA_API_URL", &*url),
        ("XATA_WORKSPACE_SLUG", &*workspace),
    ];
    let problem = world.only(0, &[], &changes);
    assert!(problem.starts_with("settings | warning | Xata Lite was retired on"), "{problem}");
    let outcome = world.run_with(&[], &changes);
    assert_eq!(outcome.says("Xata region ap-southeast-2"), "exists");
    for (change, says) in [
        (("XATA_API_KEY", "xau_x"), "Xata key | broken | Xata Lite refuses the key (401)"),
        (("XATA_WORKSPACE_SLUG", "other-abc124"), "Xata key | broken | Xata Lite finds nothing"),
        (("DEFAULT_REGION", "us-west-1"), "Xata region us-west-1 | broken | does not exist"),
    ] {
        let outcome = world.run_with(&[], &[&changes[..], &[change]].concat());
        assert_eq!((outcome.code, outcome.problems.len()), (3, 2), "{:?}", outcome.problems);
        assert!(outcome.problems[1].starts_with(says), "{:?}", outcome.problems);
    }
}

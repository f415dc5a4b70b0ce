//! `ops doctor`.

mod function;
mod hookdeck;
mod xata;

use std::sync::Arc;
use std::time::SystemTime;

use axum::Router;
use axum::body::{Body, to_bytes};
use http::{Request, Response, StatusCode};
use per_user_db::request;
use per_user_db::settings::Settings;
use per_user_db::telemetry::{InvocationIds, Metrics};
use per_user_db::worker::{Invocation, TIMEOUT};
use serde_json::{Value, json};
use standin::clerk::backend::{self, Backend};
use standin::fault::{CannedResponse, Effect, Fault};
use standin::function_url::{self, BodyEncoding};
use standin::hookdeck::admin::{self, Admin};
use standin::xata::platform::{self, Call, Platform, Quotas};
use tokio::runtime::Runtime;

use crate::{ops, run, runtime, serve, unused_url, worker_with_metrics};

const PROJECTS: [&str; 2] = ["prj_a", "prj_b"];
const REGIONS: [&str; 2] = ["eu-central-1", "us-east-1"];
const SECRET: &str = "planted-signing-secret";

/// Text that no output may contain.
const SECRETS: [&str; 7] =
    ["xau_", "sk_test", "sk_live", "Bearer", "postgresql:", "planted-", "@example.com"];

/// Xata with two projects and a template for each region in both, a production instance of Clerk,
/// and the settings that name them.
struct World {
    xata: Platform,
    clerk: Backend,
    admin: Admin,
    url: String,
    settings: Vec<(&'static str, String)>,
    runtime: Runtime,
}

/// The result of a run: the exit code, the document, and the rows that are not ok as
/// `check | state | what | mend`.
struct Outcome {
    code: i32,
    document: Value,
    problems: Vec<String>,
}

impl Outcome {
    /// What the row of this check says.
    fn says(&self, check: &str) -> &str {
        let rows = self.document["checks"].as_array().unwrap();
        let row = rows.iter().find(|row| row["check"] == check);
        row.unwrap_or_else(|| panic!("no {check}: {rows:?}"))["what"].as_str().unwrap()
    }
}

impl World {
    fn start() -> Self {
        let runtime = runtime();
        let options = platform::Options::default();
        let of_clerk = backend::Options::production();
        let (api_key, organization) = (options.api_key.clone(), options.organization.clone());
        let (secret_key, instance) = (of_clerk.secret_key.clone(), of_clerk.instance_id.clone());
        let (xata, clerk) = (Platform::new(options), Backend::new(of_clerk));
        let mut templates = Vec::new();
        for project in PROJECTS {
            xata.insert_project(project, project);
            for region in REGIONS {
                let id = format!("{project}-{region}");
                xata.insert_template(project, &id, region);
                templates.push(format!("{project}/{region}={id}"));
            }
        }
        let admin = Admin::new(admin::Options::default());
        let url = serve(&runtime, clerk.beside(admin.beside(xata.router())));
        let settings = vec![
            ("HOOKDECK_WEBHOOK_SECRET", SECRET.to_owned()),
            ("XATA_API_KEY", api_key),
            ("XATA_API_URL", url.clone()),
            ("XATA_ORGANIZATION_ID", organization),
            ("XATA_PROJECT_ID", PROJECTS.join(",")),
            ("XATA_TEMPLATES", templates.join(",")),
            ("CLERK_SECRET_KEY", secret_key),
            ("CLERK_API_URL", format!("{url}/v1")),
            ("CLERK_INSTANCE_ID", instance),
        ];
        Self { xata, clerk, admin, url, settings, runtime }
    }

    /// Starts the function with these settings, this one changed, and returns where it is.
    fn function(&self, change: (&'static str, &str)) -> String {
        self.function_with_metrics(&[change], None)
    }

    fn function_with_metrics(
        &self,
        changes: &[(&'static str, &str)],
        metrics: Option<Metrics>,
    ) -> String {
        let settings = self.settings.iter().map(|(name, value)| (name.into(), value.into()));
        let changes = changes.iter().map(|(name, value)| (name.into(), value.into()));
        let settings = Settings::read(settings.chain(changes)).unwrap();
        let worker = Arc::new(worker_with_metrics(settings, metrics));
        let invoke = async move |request: Request<Body>| {
            let (head, body) = request.into_parts();
            let request = Request::from_parts(head, to_bytes(body, 1 << 20).await.unwrap());
            let event = function_url::event(&request, BodyEncoding::Text).to_string();
            let payload = request::read(&event);
            let deadline = SystemTime::now() + TIMEOUT;
            let answer = worker
                .invoke(Invocation { payload, deadline, ids: InvocationIds::default() })
                .await;
            function_url::response(&answer.to_lambda()).unwrap().map(Body::from)
        };
        serve(&self.runtime, Router::new().fallback(invoke))
    }

    /// A server that always sends the same response.
    fn answering(&self, status: u16, body: &'static str) -> String {
        let answer =
            async move || Response::builder().status(status).body(Body::from(body)).unwrap();
        serve(&self.runtime, Router::new().fallback(answer))
    }

    /// Runs it with these settings changed, an empty one being taken away; as a table, too, which
    /// comes to the same.
    fn run_with(&self, flags: &[&str], changes: &[(&'static str, &str)]) -> Outcome {
        let run = |more: &[&str]| {
            let mut command = ops(&[&["doctor"], flags, more].concat());
            command.envs(self.settings.clone()).envs(changes.iter().copied());
            let (code, out, error) = run(&mut command);
            for secret in SECRETS {
                assert!(!out.contains(secret) && !error.contains(secret), "{secret}: {out}{error}");
            }
            assert_eq!(error, "", "no progress where standard error is no terminal");
            (code, out)
        };
        let (code, out) = run(&["--json"]);
        let document: Value = serde_json::from_str(&out).unwrap();
        let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
        let rows = document["checks"].as_array().unwrap().iter();
        let rows = rows.map(|row| ["check", "state", "what", "mend"].map(|name| text(row, name)));
        let problems: Vec<_> =
            rows.filter(|row| row[1] != "ok").map(|row| row.join(" | ")).collect();
        let (code_of_table, table) = run(&[]);
        assert_eq!(code_of_table, code);
        assert_eq!(table.contains("Nothing to do."), problems.is_empty(), "{table}");
        Outcome { code, document, problems }
    }

    fn run(&self, flags: &[&str]) -> Outcome {
        self.run_with(flags, &[])
    }

    /// The only row that is not ok.
    fn only(&self, code: i32, flags: &[&str], changes: &[(&'static str, &str)]) -> String {
        let outcome = self.run_with(flags, changes);
        assert_eq!((outcome.code, outcome.problems.len()), (code, 1), "{:?}", outcome.problems);
        outcome.problems[0].clone()
    }
}

#[test]
fn a_complete_set_up_has_no_problems() {
    let world = World::start();
    world.xata.change(|options| options.quotas = Quotas::T1);
    let function = world.function(("LOG_LEVEL", "off"));
    let outcome = world.run(&["--url", &function]);
    assert_eq!((outcome.code, &outcome.document["state"]), (0, &json!("ok")));
    assert_eq!(outcome.problems, [""; 0]);
    for (check, what) in [
        ("setting XATA_TEMPLATES", "can work"),
        ("settings", "users are placed in eu-central-1, us-east-1"),
        ("Xata key", "accepted"),
        ("Xata region us-east-1", "exists"),
        ("Xata template us-east-1 in prj_b", "a root branch, healthy and kept awake"),
        ("Xata project prj_a", "198 left: 2 of 200 branches"),
        ("Xata organization", "196 left: 4 of 200 branches in all projects that the key sees (2)"),
        ("Xata creations within an hour", "100 left: 0 of 100 created"),
        ("Clerk key", "accepted"),
        ("Clerk instance", "ins_"),
        ("function /", "refuses what is not signed, and reads what is"),
        ("function /webhooks/clerk", "refuses what is not signed, and reads what is"),
        ("function's instance", "handles the events of the instance"),
    ] {
        assert!(outcome.says(check).starts_with(what), "{check}: {}", outcome.says(check));
    }
    let requests = [world.xata.requests(), world.clerk.requests()].concat();
    assert!(requests.iter().all(|it| it.method == "GET"), "nothing is changed");
}

#[test]
fn checks_that_are_left_out_are_listed_with_the_reason() {
    let world = World::start();
    let outcome = world.run_with(&[], &[("CLERK_SECRET_KEY", ""), ("CLERK_API_URL", "")]);
    let left_out = outcome.document["not_looked_at"].to_string();
    for what in ["Clerk: CLERK_SECRET_KEY", "Hookdeck: HOOKDECK_API_KEY", "the function: --url"] {
        assert!(left_out.contains(what), "{left_out}");
    }
}

#[test]
fn a_setting_that_cannot_work_is_broken_with_its_own_message() {
    let world = World::start();
    let problem = world.only(3, &[], &[("GEO_LOOKUP", "planted-word")]);
    let says = "setting GEO_LOOKUP | broken | must be offline, ip-api or off | correct it";
    assert!(problem.starts_with(says), "{problem}");
    let problem = world.only(3, &[], &[("HOOKDECK_WEBHOOK_SECRET", "")]);
    assert!(
        problem.starts_with("setting HOOKDECK_WEBHOOK_SECRET | broken | is missing"),
        "{problem}"
    );
    let both = [("GEO_LOOKUP", "x"), ("XATA_PROJECT_ID", "a/b"), ("LOG_LEVEL", "x")];
    let outcome = world.run_with(&[], &both);
    assert_eq!((outcome.code, outcome.problems.len()), (3, 3), "{:?}", outcome.problems);
    assert!(world.xata.requests().is_empty());
}

#[test]
fn a_setting_without_effect_is_a_warning() {
    let world = World::start();
    let problem = world.only(0, &[], &[("XATA_REGION", "x")]);
    assert!(problem.starts_with("settings | warning | XATA_REGION is set, but no"), "{problem}");
}

#[test]
fn secrets_in_secrets_manager_are_not_missing() {
    let world = World::start();
    let elsewhere = ("SECRETS_ID", "per-user-db");
    let outcome = world.run_with(&[], &[elsewhere]);
    assert_eq!((outcome.code, outcome.problems.len()), (0, 0), "{:?}", outcome.problems);
    assert!(outcome.says("secrets").contains("those in the environment are checked"));

    let function = world.function(("LOG_LEVEL", "off"));
    let without = [elsewhere, ("HOOKDECK_WEBHOOK_SECRET", ""), ("XATA_API_KEY", "")];
    let problem = world.only(0, &["--url", &function], &without);
    let mend = "set HOOKDECK_WEBHOOK_SECRET and XATA_API_KEY in the environment";
    assert!(problem.starts_with("secrets | warning |") && problem.contains(mend), "{problem}");
    let outcome = world.run_with(&["--url", &function], &without);
    assert_eq!(outcome.says("function /"), "refuses what is not signed");
    let left_out = outcome.document["not_looked_at"].to_string();
    for what in ["XATA_API_KEY is not given", "HOOKDECK_WEBHOOK_SECRET is not given"] {
        assert!(left_out.contains(what), "{left_out}");
    }
}

#[test]
fn a_service_that_does_not_answer_is_broken() {
    let world = World::start();
    let unused = unused_url();
    for (variable, check, service) in
        [("XATA_API_URL", "Xata key", "Xata"), ("CLERK_API_URL", "Clerk key", "Clerk")]
    {
        let problem = world.only(3, &[], &[(variable, &unused)]);
        let says = format!("{check} | broken | {service} at {unused} cannot be reached");
        assert!(
            problem.starts_with(&says) && problem.contains(&format!("check {variable}")),
            "{problem}"
        );
    }
    let hookdeck = [("HOOKDECK_API_KEY", "planted-key"), ("HOOKDECK_API_URL", &*unused)];
    let problem = world.only(3, &[], &hookdeck);
    assert!(problem.starts_with("Hookdeck key | broken | Hookdeck at"), "{problem}");
    let problem = world.only(3, &["--url", &unused], &[]);
    assert!(
        problem.starts_with("function / | broken | does not answer, no connection"),
        "{problem}"
    );
}

#[test]
fn an_outage_of_one_call_is_broken_and_the_other_checks_still_run() {
    let world = World::start();
    let page = Effect::Answer(CannedResponse::html(StatusCode::BAD_GATEWAY));
    world.xata.faults().push(Fault::always(Call::ListRegions, page));
    let problem = world.only(3, &[], &[]);
    assert!(problem.starts_with("Xata regions | broken | Xata fails (502)"), "{problem}");
    let outcome = world.run_with(&[], &[("CLERK_SECRET_KEY", "sk_test_x")]);
    assert_eq!((outcome.code, outcome.problems.len()), (3, 2), "{:?}", outcome.problems);
}

#[test]
fn a_clerk_key_that_is_wrong_or_foreign_is_broken_and_one_for_development_is_a_warning() {
    let world = World::start();
    let problem = world.only(3, &[], &[("CLERK_SECRET_KEY", "sk_test_x")]);
    assert!(problem.starts_with("Clerk key | broken | Clerk refuses the key (401)"), "{problem}");
    let problem = world.only(3, &[], &[("CLERK_INSTANCE_ID", "ins_other")]);
    assert!(problem.contains("which CLERK_INSTANCE_ID does not list"), "{problem}");
    world.clerk.change(|options| options.environment = "development".to_owned());
    let problem = world.only(0, &[], &[]);
    assert!(problem.starts_with("Clerk instance | warning | ins_"), "{problem}");
    assert!(problem.contains("a development instance"), "{problem}");
    world.clerk.change(|options| options.instance_id = "planted-instance".to_owned());
    let problem = world.only(3, &[], &[]);
    assert!(problem.contains("a response that cannot be read"), "{problem}");
}

#[test]
fn the_table_shows_check_state_what_and_mend() {
    let world = World::start();
    let mut command = ops(&["doctor"]);
    command.envs(world.settings.clone()).env("XATA_API_URL", &world.url);
    let (code, out, _) = run(command.env("CLERK_INSTANCE_ID", "ins_other"));
    assert_eq!(code, 3);
    let header = out.lines().nth(1).unwrap();
    let at: Vec<_> =
        ["check", "state", "what", "what to do"].map(|it| header.rfind(it).unwrap()).into();
    assert!(at.is_sorted(), "{out}");
    assert!(out.lines().any(|it| it.contains("Clerk instance") && it.contains("broken")), "{out}");
    assert!(out.contains("Not checked: Hookdeck: HOOKDECK_API_KEY is not set.\n"), "{out}");
}

//! With a Clerk key: user checks and directory entries through Clerk's Backend API.

use std::time::Duration;

use serde_json::{Value, json};
use standin::clerk::backend::Call;
use standin::clerk::{SignUp, user_id_at};
use standin::fault::{Effect, Fault};
use standin::xata;

use crate::test_app::{
    ALL_PROJECTS, Api, CLERK, DELETE, MINUTE, PARK, TestApp, delivery, message, refusal, retry,
    with_header,
};

/// The row of a response, see [`TestResponse::row`](crate::test_app::TestResponse::row).
type Row = (u16, &'static str, Option<&'static str>, Option<&'static str>);

/// Failures of a request to Clerk, and the row of the delivery that needs its response.
fn failures() -> Vec<(Effect, Row)> {
    let unavailable = (503, "unavailable", Some("clerk_unavailable"), None);
    vec![
        (refusal(500, "down"), unavailable),
        (refusal(302, "redirect"), unavailable),
        (refusal(404, "not an error of Clerk's API"), unavailable),
        (
            Effect::Answer(message(429, "slow down").with_retry_after("7")),
            (503, "unavailable", Some("clerk_unavailable"), Some("7")),
        ),
        (Effect::HangBefore, unavailable),
        (Effect::ResetBefore, unavailable),
        (Effect::ResetAfter, unavailable),
        (Effect::TruncatedAfter, unavailable),
        (refusal(401, "no"), (500, "misconfigured", Some("clerk_key_refused"), None)),
        (refusal(403, "no"), (500, "misconfigured", Some("clerk_key_refused"), None)),
        (refusal(400, "no"), (500, "misconfigured", Some("clerk_request_rejected"), None)),
    ]
}

/// An app with a Clerk key and a user that exists at Clerk.
fn app(changes: &[(&str, &str)], sign_up: &SignUp) -> TestApp {
    let app = TestApp::with_settings(&[&CLERK[..], changes].concat());
    app.clerk.insert(sign_up.clone());
    app
}

/// An id that contains the second of the sign-up.
fn id() -> String {
    user_id_at(1, 1_767_784_000)
}

fn sign_up() -> SignUp {
    SignUp::new(&id())
}

fn deleted(sign_up: &SignUp) -> Vec<u8> {
    sign_up.user_deleted(sign_up.timestamp_ms + 3_600_000)
}

/// An app in which the user signed up an hour ago and has a database.
async fn app_an_hour_later(changes: &[(&str, &str)]) -> TestApp {
    let app = app(changes, &sign_up());
    assert_eq!(app.deliver(sign_up().user_created()).await.outcome(), "created");
    tokio::time::advance(60 * MINUTE).await;
    app.clerk.clear_requests();
    app.xata.clear_requests();
    app
}

/// The user's directory entry.
fn entry(app: &TestApp) -> Value {
    app.clerk.user(&id()).expect("a user").private_metadata["database"].clone()
}

#[tokio::test(start_paused = true)]
async fn a_fresh_sign_up_is_not_checked_at_clerk_and_gets_a_directory_entry() {
    let app = app(&[], &sign_up());
    let response = app.deliver(sign_up().user_created()).await;
    assert_eq!(response.row(), (200, "created", None, None));
    assert_eq!(response.log_line["directory"], "written");
    assert_eq!(app.requests().len(), 1);
    let path = format!("PATCH /v1/users/{}/metadata", id());
    assert_eq!(app.requests_to_clerk(), [path]);
    let [database] = &app.databases(&id())[..] else { panic!("one database") };
    let expected = json!({
        "id": database.id, "name": id(), "project": "prj_a", "region": "eu-central-1",
        "status": "created",
    });
    assert_eq!(entry(&app), expected);
    // The entry causes a `user.updated`, which the function ignores.
    let events = app.clerk.take_events();
    let [updated] = &events[..] else { panic!("one event") };
    let response = app.deliver(updated.clone()).await;
    assert_eq!(response.row(), (200, "ignored", Some("unhandled_type"), None));
    assert_eq!((app.requests().len(), app.requests_to_clerk().len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn the_metadata_of_the_application_is_kept() {
    let app = app(&[], &sign_up());
    let existing = json!({ "plan": "pro", "database": { "note": "keep" }, "list": [1] });
    app.clerk.change_user(&id(), |user| user.private_metadata = existing);
    app.deliver(sign_up().user_created()).await;
    let metadata = app.clerk.user(&id()).expect("a user").private_metadata;
    assert_eq!((&metadata["plan"], &metadata["list"]), (&json!("pro"), &json!([1])));
    assert_eq!(metadata["database"]["note"], "keep");
    assert_eq!(metadata["database"]["name"], id());
}

#[tokio::test(start_paused = true)]
async fn a_sign_up_is_acknowledged_only_when_its_entry_is_written() {
    for api in Api::BOTH {
        for (effect, row) in failures() {
            let app = TestApp::with_api(api, &CLERK);
            app.clerk.insert(sign_up());
            app.clerk.faults().push(Fault::once(Call::UpdateUserMetadata, effect.clone()));
            let first = delivery(sign_up().user_created());
            let first = with_header(first, "x-hookdeck-will-retry-after", "30");
            let response = app.send(first).await;
            assert_eq!(response.row(), row, "{effect:?}");
            let line = &response.log_line;
            let level = if row.0 == 500 { "ERROR" } else { "WARN" };
            assert_eq!((&line["level"], &line["directory"]), (&json!(level), &json!(row.2)));
            assert_eq!(response.metrics["DirectoryEntryFailed"], 1);
            assert_eq!(app.databases(&id()).len(), 1, "the database exists meanwhile");
            assert_eq!(app.requests_to_clerk().len(), 1, "the write is not repeated");

            let response = app.send(retry(sign_up().user_created(), 2)).await;
            assert_eq!(response.row(), (200, "exists", None, None), "{effect:?}");
            assert_eq!(app.databases(&id()).len(), 1);
            assert_eq!(entry(&app)["name"], id());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn clerk_s_retry_after_is_passed_on_until_the_third_attempt() {
    let app = app(&[], &sign_up());
    let limited = Effect::Answer(message(429, "slow down").with_retry_after("7"));
    app.clerk.faults().push(Fault::always(Call::UpdateUserMetadata, limited));
    for (attempt, retry_after) in [(1, Some("7")), (3, Some("7")), (4, None)] {
        let response = app.send(retry(sign_up().user_created(), attempt)).await;
        let expected = (503, "unavailable", Some("clerk_unavailable"), retry_after);
        assert_eq!(response.row(), expected, "attempt {attempt}");
    }
}

#[tokio::test(start_paused = true)]
async fn metadata_without_room_for_the_entry_is_misconfigured_until_there_is_room() {
    let app = app(&[], &sign_up());
    let huge = json!({ "plan": "x".repeat(8100) });
    app.clerk.change_user(&id(), |user| user.private_metadata = huge.clone());
    for request in [delivery(sign_up().user_created()), retry(sign_up().user_created(), 2)] {
        let response = app.send(request).await;
        assert_eq!(response.row(), (500, "misconfigured", Some("clerk_metadata_full"), None));
        assert_eq!(response.log_line["upstream_status"], 422);
    }
    assert_eq!(app.clerk.user(&id()).expect("a user").private_metadata, huge);
    assert_eq!(app.databases(&id()).len(), 1);
    app.clerk.change_user(&id(), |user| user.private_metadata = json!({ "plan": "pro" }));
    let response = app.send(retry(sign_up().user_created(), 3)).await;
    assert_eq!(response.row(), (200, "exists", None, None));
    assert_eq!(entry(&app)["name"], id());
}

#[tokio::test(start_paused = true)]
async fn a_write_that_finds_the_user_deleted_is_ignored_with_a_warning() {
    let app = app(&[], &sign_up());
    app.clerk.remove(&id());
    let response = app.deliver(sign_up().user_created()).await;
    assert_eq!(response.row(), (200, "ignored", Some("user_gone"), None));
    let line = &response.log_line;
    assert_eq!((&line["level"], &line["directory"]), (&json!("WARN"), &json!("user_gone")));
    assert_eq!(app.requests_to_clerk().len(), 2, "the write, and the instance of the key");
}

#[tokio::test(start_paused = true)]
async fn a_fresh_sign_up_of_another_instance_than_the_key_s_is_foreign_key() {
    let sign_up = SignUp { instance_id: Some("ins_other".to_owned()), ..sign_up() };
    let app = TestApp::with_settings(&CLERK);
    let response = app.deliver(sign_up.user_created()).await;
    assert_eq!(response.row(), (500, "misconfigured", Some("foreign_key"), None));
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_is_missing_or_wrong_is_written_and_a_right_one_is_not_written_again() {
    let wrong = json!({ "database": { "name": id(), "project": "prj_x", "region": "us-east-1" } });
    for changes in [&[][..], &ALL_PROJECTS] {
        for is_first in [true, false] {
            let app = app(changes, &sign_up());
            assert_eq!(app.deliver(sign_up().user_created()).await.outcome(), "created");
            let right = app.clerk.user(&id()).expect("a user").private_metadata;
            for (metadata, word) in
                [(json!({}), "written"), (wrong.clone(), "written"), (right.clone(), "unchanged")]
            {
                app.clerk.change_user(&id(), |user| user.private_metadata = metadata);
                let _ = app.clerk.take_events();
                let event = sign_up().user_created();
                let request = if is_first { delivery(event) } else { retry(event, 2) };
                let response = app.send(request).await;
                assert_eq!(response.row(), (200, "exists", None, None));
                assert_eq!(response.log_line["directory"], word);
                assert_eq!(entry(&app), right["database"]);
                assert_eq!(app.clerk.take_events().is_empty(), word == "unchanged");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_database_that_cannot_be_looked_up_for_its_entry_is_unavailable() {
    let app = app_an_hour_later(&[]).await;
    let list = Fault::once(xata::platform::Call::ListBranches, Effect::TruncatedAfter);
    app.platform().faults().push(list);
    let response = app.deliver(sign_up().user_created()).await;
    assert_eq!(response.row(), (503, "unavailable", Some("xata_unreachable"), None));
    let again = app.send(retry(sign_up().user_created(), 2)).await;
    assert_eq!(again.row(), (200, "exists", None, None));
}

#[tokio::test(start_paused = true)]
async fn a_wrong_region_is_an_error_although_the_entry_is_not_written() {
    let app = app(
        &[("XATA_TEMPLATES", "us-east-1=tpl-a-0,eu-central-1=tpl-a-2,ap-southeast-2=tpl-a-2")],
        &sign_up(),
    );
    app.clerk.faults().push(Fault::once(Call::UpdateUserMetadata, Effect::ResetBefore));
    let response = app.deliver(sign_up().user_created()).await;
    assert_eq!(response.row(), (503, "unavailable", Some("clerk_unavailable"), None));
    let line = &response.log_line;
    let found = (&line["level"], &line["wrong_region"]);
    assert_eq!(found, (&json!("ERROR"), &json!("ap-southeast-2")), "{line}");
}

#[tokio::test(start_paused = true)]
async fn a_create_whose_response_is_lost_leads_to_an_entry() {
    let app = app(&[], &sign_up());
    app.xata.fault(Fault::once(xata::Call::Create, Effect::ResetAfter));
    let response = app.deliver(sign_up().user_created()).await;
    assert_eq!(response.row(), (200, "created", None, None));
    let [database] = &app.databases(&id())[..] else { panic!("one database") };
    assert_eq!(entry(&app)["id"], json!(database.id));
}

#[tokio::test(start_paused = true)]
async fn a_late_sign_up_of_a_deleted_user_is_ignored() {
    for changes in [&[][..], &ALL_PROJECTS] {
        let app = app(changes, &sign_up());
        app.clerk.remove(&id());
        let gone = (200, "ignored", Some("user_gone"), None);
        assert_eq!(app.send(retry(sign_up().user_created(), 2)).await.row(), gone);
        let first = delivery(sign_up().user_created());
        let manual = with_header(first, "x-hookdeck-attempt-trigger", "MANUAL");
        assert_eq!(app.send(manual).await.row(), gone);
        tokio::time::advance(6 * MINUTE).await;
        assert_eq!(app.deliver(sign_up().user_created()).await.row(), gone);
        let without_time = String::from_utf8(sign_up().user_created()).expect("text");
        let without_time = without_time.replace("\"timestamp\":", "\"timestamp_of\":");
        assert_eq!(app.deliver(without_time).await.row(), gone);
        assert_eq!(app.requests(), []);
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_sign_up_of_an_existing_user_creates_a_database() {
    for api in Api::BOTH {
        let app = TestApp::with_api(api, &CLERK);
        app.clerk.insert(sign_up());
        tokio::time::advance(6 * MINUTE).await;
        let response = app.deliver(sign_up().user_created()).await;
        assert_eq!(response.row(), (200, "created", None, None), "{api:?}");
        assert_eq!(entry(&app)["region"], "eu-central-1");
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_sign_up_creates_nothing_when_the_user_check_fails() {
    for (effect, row) in failures() {
        let app = app(&[], &sign_up());
        tokio::time::advance(6 * MINUTE).await;
        app.clerk.faults().push(Fault::always(Call::GetUser, effect.clone()));
        let response = app.deliver(sign_up().user_created()).await;
        assert_eq!(response.row(), row, "{effect:?}");
        assert_eq!(app.requests(), []);
    }
}

#[tokio::test(start_paused = true)]
async fn a_deletion_of_a_user_that_exists_at_clerk_is_retained() {
    for change in [PARK, DELETE] {
        let app = app_an_hour_later(&[change]).await;
        let response = app.deliver(deleted(&sign_up())).await;
        assert_eq!(response.row(), (200, "retained", None, None));
        assert_eq!((app.requests(), app.databases(&id()).len()), (vec![], 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_deletion_checks_the_user_each_time_and_the_instance_once() {
    for (change, done) in [(PARK, "parked"), (DELETE, "removed")] {
        let app = app_an_hour_later(&[change]).await;
        app.clerk.remove(&id());
        assert_eq!(app.deliver(deleted(&sign_up())).await.row(), (200, done, None, None));
        let user = format!("GET /v1/users/{}", id());
        assert_eq!(app.requests_to_clerk(), [&*user, "GET /v1/instance"]);
        let removal = if done == "parked" { "PATCH" } else { "DELETE" };
        assert_eq!(app.methods(), ["GET", removal]);
        app.clerk.clear_requests();
        assert_eq!(app.deliver(deleted(&sign_up())).await.row(), (200, "gone", None, None));
        assert_eq!(app.requests_to_clerk(), [user]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_deletion_removes_nothing_when_a_request_to_clerk_fails() {
    for call in [Call::GetUser, Call::GetInstance] {
        for (effect, row) in failures() {
            let app = app_an_hour_later(&[DELETE]).await;
            app.clerk.remove(&id());
            app.clerk.faults().push(Fault::always(call, effect.clone()));
            let response = app.deliver(deleted(&sign_up())).await;
            assert_eq!(response.row(), row, "{call:?} {effect:?}");
            assert_eq!((app.requests(), app.databases(&id()).len()), (vec![], 1));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_of_another_instance_than_the_key_s_is_foreign_key() {
    let foreign = (500, "misconfigured", Some("foreign_key"), None);
    for instance in [Some("ins_other"), None] {
        let sign_up = SignUp { instance_id: instance.map(str::to_owned), ..sign_up() };
        let app = TestApp::with_settings(&[&CLERK[..], &[DELETE]].concat());
        app.xata.insert("prj_a", "eu-central-1", [id()]);
        tokio::time::advance(60 * MINUTE).await;
        for body in [deleted(&sign_up), sign_up.user_created(), deleted(&sign_up)] {
            let response = app.deliver(body).await;
            assert_eq!(response.row(), foreign);
            assert_eq!(response.log_line["level"], "ERROR");
        }
        assert_eq!((app.requests(), app.databases(&id()).len()), (vec![], 1));
        let requests = app.requests_to_clerk();
        assert_eq!(requests.iter().filter(|it| *it == "GET /v1/instance").count(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_foreign_event_is_ignored_with_a_warning_and_a_metric() {
    let ours = sign_up().instance_id.expect("an instance");
    for changes in [vec![], CLERK.to_vec()] {
        let changes = [&changes[..], &[("CLERK_INSTANCE_ID", &*ours)]].concat();
        let app = TestApp::with_settings(&changes);
        for instance in [Some("ins_other"), None] {
            let foreign = SignUp { instance_id: instance.map(str::to_owned), ..sign_up() };
            for body in [foreign.user_created(), deleted(&foreign)] {
                let response = app.deliver(body).await;
                assert_eq!(response.row(), (200, "ignored", Some("foreign_instance"), None));
                assert_eq!(response.log_line["level"], "WARN");
                assert_eq!(response.metrics["ForeignInstance"], 1);
            }
        }
        assert_eq!(app.requests(), []);
        // The key's instance never changes, so one request per process is enough.
        let n_asked = usize::from(changes.len() > 1);
        assert_eq!(app.requests_to_clerk(), vec!["GET /v1/instance"; n_asked]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_foreign_event_is_misconfigured_if_the_instance_of_the_key_is_not_listed() {
    let app = app(&[("CLERK_INSTANCE_ID", "ins_staging,ins_old")], &sign_up());
    for body in [sign_up().user_created(), deleted(&sign_up())] {
        let response = app.deliver(body).await;
        let row = (500, "misconfigured", Some("instance_not_listed"), None);
        assert_eq!(response.row(), row);
        assert_eq!(response.log_line["level"], "ERROR");
    }
    assert_eq!(app.requests(), []);
    // Once the setting is right, the retry serves the user.
    let ours = sign_up().instance_id.expect("an instance");
    let app = app.redeploy(&[&CLERK[..], &[("CLERK_INSTANCE_ID", &ours)]].concat());
    assert_eq!(app.send(retry(sign_up().user_created(), 2)).await.outcome(), "created");
}

#[tokio::test(start_paused = true)]
async fn a_foreign_event_is_not_acknowledged_while_the_instance_of_the_key_is_unknown() {
    for (effect, row) in failures() {
        let app = app(&[("CLERK_INSTANCE_ID", "ins_other")], &sign_up());
        app.clerk.faults().push(Fault::always(Call::GetInstance, effect));
        assert_eq!(app.deliver(sign_up().user_created()).await.row(), row);
    }
}

#[tokio::test(start_paused = true)]
async fn a_region_that_a_backend_asks_for_and_may_not_have_is_misconfigured_until_it_is_allowed() {
    let not_allowed = (500, "misconfigured", Some("region_not_allowed"), None);
    for api in Api::BOTH {
        for (asked, word) in
            [("eu-west-9", "private_metadata"), ("eu central 1", "public_metadata")]
        {
            let mut sign_up = sign_up();
            match word {
                "private_metadata" => sign_up.private_metadata = json!({ "db_region": asked }),
                _ => sign_up.public_metadata = json!({ "db_region": asked }),
            }
            // What the browser asks for does not replace what a backend asks for.
            sign_up.unsafe_metadata = json!({ "db_region": "us-east-1" });
            let app = TestApp::with_api(api, &[]);
            let response = app.deliver(sign_up.user_created()).await;
            assert_eq!(response.row(), not_allowed, "{asked}");
            assert_eq!(response.log_line["level"], "ERROR");
            assert_eq!(response.log_line["detail"], word);
            assert_eq!(response.log_line["user_id"], *id());
            assert_eq!(app.requests(), []);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn once_clerk_or_the_setting_is_mended_a_retry_serves_a_user_with_a_region_that_was_refused()
{
    let asked = SignUp { private_metadata: json!({ "db_region": "eu-centrl-1" }), ..sign_up() };
    let app = app(&[], &asked);
    let first = app.deliver(asked.user_created()).await;
    assert_eq!(first.row(), (500, "misconfigured", Some("region_not_allowed"), None));
    let mended = json!({ "db_region": "us-east-1" });
    app.clerk.change_user(&id(), |user| user.private_metadata = mended);
    // The event still says what it said.
    let response = app.send(retry(asked.user_created(), 2)).await;
    assert_eq!(response.outcome(), "created");
    assert_eq!(
        response.body["placement"],
        json!({ "region": "us-east-1", "reason": "private_metadata" })
    );
    assert_eq!(entry(&app)["region"], "us-east-1");

    let asked = SignUp { private_metadata: json!({ "db_region": "us-east-1" }), ..sign_up() };
    let changes = [&CLERK[..], &[("ALLOWED_REGIONS", "eu-central-1,ap-southeast-2")]].concat();
    let changes = [&changes[..], &[("DEFAULT_REGION", "eu-central-1")]].concat();
    let app = TestApp::with_settings(&changes);
    app.clerk.insert(asked.clone());
    assert_eq!(app.deliver(asked.user_created()).await.status, 500);
    let app = app.redeploy(&CLERK);
    assert_eq!(app.send(retry(asked.user_created(), 2)).await.outcome(), "created");
}

#[tokio::test(start_paused = true)]
async fn a_user_with_a_region_that_is_refused_who_is_gone_or_cannot_be_asked_about_gets_no_database()
 {
    let asked = SignUp { private_metadata: json!({ "db_region": "mars" }), ..sign_up() };
    let app = TestApp::with_settings(&CLERK);
    let response = app.deliver(asked.user_created()).await;
    assert_eq!(response.row(), (200, "ignored", Some("user_gone"), None));
    for (effect, row) in failures() {
        app.clerk.faults().push(Fault::once(Call::GetUser, effect));
        assert_eq!(app.deliver(asked.user_created()).await.row(), row);
    }
    assert_eq!(app.requests(), []);
}

#[tokio::test(start_paused = true)]
async fn a_region_that_only_the_browser_asks_for_falls_through_with_a_warning() {
    let asked = SignUp { unsafe_metadata: json!({ "db_region": "mars" }), ..sign_up() };
    let response = TestApp::new().deliver(asked.user_created()).await;
    assert_eq!(response.outcome(), "created");
    assert_eq!(response.body["placement"]["reason"], "geo");
    assert_eq!(response.log_line["level"], "WARN");
    assert_eq!(response.log_line["preference_rejected"], true);
}

#[tokio::test(start_paused = true)]
async fn a_response_about_another_user_is_unavailable() {
    let app = app_an_hour_later(&[DELETE]).await;
    for body in ["{}", "[]", "<html>", r#"{"id":"user_37vz6BwG1KEMgL1JMSppdaytVY5"}"#] {
        let other = message(200, "").with_body("application/json", body);
        app.clerk.faults().push(Fault::once(Call::GetUser, Effect::Answer(other)));
        let response = app.deliver(deleted(&sign_up())).await;
        assert_eq!(response.row(), (503, "unavailable", Some("clerk_unavailable"), None), "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_deletion_waits_until_no_fresh_delivery_of_the_sign_up_can_undo_it() {
    for (change, done) in [(PARK, "parked"), (DELETE, "removed")] {
        let sign_up = sign_up();
        let app = app(&[change], &sign_up);
        let deleted = || sign_up.user_deleted(sign_up.timestamp_ms + 60_000);
        tokio::time::advance(MINUTE).await;
        // The deletion arrives before the sign-up, so the user has no database.
        app.clerk.remove(&sign_up.user_id);
        let early = app.deliver(deleted()).await;
        assert_eq!(early.row(), (503, "unavailable", Some("too_early"), Some("540")));
        assert_eq!((app.requests(), app.requests_to_clerk().len()), (vec![], 0));
        // From the fourth attempt on, there is no Retry-After, and Hookdeck's schedule decides.
        let fourth = app.send(retry(deleted(), 4)).await;
        assert_eq!(fourth.row(), (503, "unavailable", Some("too_early"), None));
        let created = app.deliver(sign_up.user_created()).await;
        assert_eq!(created.row(), (200, "ignored", Some("user_gone"), None));
        assert_eq!(app.databases(&sign_up.user_id).len(), 1);
        tokio::time::advance(9 * MINUTE).await;
        assert_eq!(app.send(retry(deleted(), 2)).await.row(), (200, done, None, None));
        let again = app.deliver(sign_up.user_created()).await;
        assert_eq!(again.row(), (200, "ignored", Some("user_gone"), None));
        assert_eq!(app.databases(&sign_up.user_id), []);
    }
}

#[tokio::test(start_paused = true)]
async fn with_an_id_without_a_time_the_age_of_the_deletion_counts() {
    let sign_up = SignUp::new("user_abcdefghij");
    let app = TestApp::with_settings(&[&CLERK[..], &[DELETE]].concat());
    let body = sign_up.user_deleted(sign_up.timestamp_ms);
    let early = app.deliver(body.clone()).await;
    assert_eq!(early.row(), (503, "unavailable", Some("too_early"), Some("600")));
    tokio::time::advance(10 * MINUTE + Duration::from_secs(1)).await;
    assert_eq!(app.deliver(body).await.row(), (200, "gone", None, None));
}

#[tokio::test(start_paused = true)]
async fn a_request_to_clerk_has_five_seconds_and_the_response_is_before_the_deadline() {
    let app = app_an_hour_later(&[]).await;
    app.clerk.faults().push(Fault::always(Call::GetUser, Effect::HangBefore));
    let started_at = tokio::time::Instant::now();
    app.deliver(sign_up().user_created()).await;
    assert_eq!(started_at.elapsed(), Duration::from_secs(5));

    // The slowest create, look-up and write fit, one after the other.
    let slow = self::app(&[], &sign_up());
    slow.xata.fault(Fault::always(xata::Call::Create, Effect::HangAfter));
    slow.clerk.faults().push(Fault::once(Call::UpdateUserMetadata, Effect::HangAfter));
    let started_at = tokio::time::Instant::now();
    let response = slow.deliver(sign_up().user_created()).await;
    assert_eq!(response.row(), (503, "unavailable", Some("clerk_unavailable"), None));
    assert_eq!(entry(&slow)["name"], id());
    assert_eq!(started_at.elapsed(), Duration::from_secs(44 + 5));
}

#[tokio::test(start_paused = true)]
async fn without_a_key_clerk_receives_no_request() {
    let app = TestApp::with_settings(&[DELETE]);
    let deletion = sign_up().user_deleted(sign_up().timestamp_ms);
    for body in [sign_up().user_created(), deletion.clone(), sign_up().user_created()] {
        assert_eq!(app.deliver(body).await.status, 200);
    }
    assert_eq!(app.send(retry(deletion, 2)).await.outcome(), "removed");
    assert_eq!(app.requests_to_clerk(), [""; 0]);
}

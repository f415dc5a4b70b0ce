//! Every row of the promised table.

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use serde_json::json;
use standin::clerk::{SignUp, user_id};
use standin::fault::{CannedResponse, Effect, Fault};
use standin::function_url::{self, BodyEncoding};
use standin::xata::Call;

use crate::world::{Api, World, delivery, retry};

fn sign_up() -> SignUp {
    SignUp::new(&user_id(1))
}

#[tokio::test(start_paused = true)]
async fn a_sign_up_is_created_and_says_what_and_where() {
    for api in Api::BOTH {
        let world = World::on(api, &[]);
        let answered = world.deliver(sign_up().user_created()).await;
        assert_eq!(answered.row(), (200, "created", None, None), "{api:?}");
        let [database] = &world.databases(&user_id(1))[..] else { panic!("one database") };
        let mut expected = json!({
            "status": "created",
            "database": { "name": user_id(1), "region": "eu-central-1" },
            "placement": { "region": "eu-central-1", "reason": "geo" },
        });
        if let Some(id) = &database.id {
            expected["database"]["id"] = id.as_str().into();
        }
        assert_eq!(answered.body, expected, "{api:?}");
        assert_eq!(database.region, "eu-central-1", "{api:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn on_the_platform_a_database_is_a_sleeping_child_of_its_region_s_template() {
    let world = World::new();
    world.deliver(sign_up().user_created()).await;
    let [database] = &world.platform().databases_named(&user_id(1))[..] else { panic!("one") };
    assert_eq!(database.parent.as_deref(), Some("tpl-a-1"));
    assert!(database.scale_to_zero.enabled);
}

#[tokio::test(start_paused = true)]
async fn a_second_delivery_finds_that_it_exists() {
    for api in Api::BOTH {
        let world = World::on(api, &[]);
        world.deliver(sign_up().user_created()).await;
        let again = world.deliver(sign_up().user_created()).await;
        assert_eq!(again.row(), (200, "exists", None, None));
        assert_eq!(world.databases(&user_id(1)).len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_deleted_user_s_database_is_retained() {
    for api in Api::BOTH {
        let world = World::on(api, &[]);
        world.deliver(sign_up().user_created()).await;
        let deleted = world.deliver(sign_up().user_deleted(1_767_784_100_000)).await;
        assert_eq!(deleted.row(), (200, "retained", None, None));
        assert_eq!(world.databases(&user_id(1)).len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_ours_to_do_is_ignored_without_a_request() {
    for api in Api::BOTH {
        let world = World::on(api, &[("CLERK_INSTANCE_ID", "ins_ours")]);
        let ours = SignUp { instance_id: Some("ins_ours".into()), ..sign_up() };
        let sample = SignUp { user_id: "user_2g7np7Hrk0SN6kj5EDMLDaKNL0S".into(), ..ours.clone() };
        let without_instance = SignUp { instance_id: None, ..sign_up() };
        let cases = [
            (ours.session_created(1), "unhandled_type"),
            (br#"{"type":""}"#.to_vec(), "unhandled_type"),
            (sample.user_created(), "sample_event"),
            (sample.user_deleted(1), "sample_event"),
            (sign_up().user_created(), "foreign_instance"),
            (sign_up().user_deleted(1), "foreign_instance"),
            (without_instance.user_created(), "foreign_instance"),
        ];
        for (body, reason) in cases {
            let answered = world.deliver(body).await;
            assert_eq!(answered.row(), (200, "ignored", Some(reason), None));
        }
        assert_eq!(world.requests(), []);
        assert_eq!(world.deliver(ours.user_created()).await.status, 200);
        assert_eq!(world.requests().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn every_refusal_of_a_signature_is_the_same_bytes_without_a_request() {
    for api in Api::BOTH {
        let world = World::on(api, &[("REQUIRE_SOURCE_VERIFIED", "true")]);
        let good = || delivery(sign_up().user_created());
        let without = |name: &str| {
            let mut request = good();
            request.headers_mut().remove(name);
            request
        };
        let with = |name: &'static str, value: &str| {
            let mut request = good();
            request.headers_mut().insert(name, value.parse().unwrap());
            request
        };
        let mut other_body = good();
        *other_body.body_mut() = Bytes::from_static(b"{}");
        let refused = [
            without("x-hookdeck-signature"),
            with("x-hookdeck-signature", "AAAA"),
            with("x-hookdeck-signature", "å"),
            other_body,
            without("x-hookdeck-verified"),
            with("x-hookdeck-verified", "false"),
        ];
        let mut bytes = Vec::new();
        for request in refused {
            let answered = world.send(request).await;
            assert_eq!(answered.row(), (401, "unauthorized", None, None));
            assert!(answered.line["detail"].is_string(), "the log knows why: {}", answered.line);
            bytes.push(answered.bytes);
        }
        assert!(bytes.iter().all(|body| body == &bytes[0]));
        assert_eq!(world.requests(), []);
        assert_eq!(world.send(good()).await.word("status"), "created");
    }
}

#[tokio::test(start_paused = true)]
async fn genuine_bytes_that_can_never_be_handled_stop_the_retries() {
    for api in Api::BOTH {
        let world = World::on(api, &[]);
        let cases: [(&[u8], &str); 14] = [
            (b"", "invalid_json"),
            (b"{\"type\":\"user.created\"", "invalid_json"),
            (b"\xff", "invalid_json"),
            (b"{\"type\":\"session.created\",\"x\":\"\xff\"}", "invalid_json"),
            (b"null", "invalid_payload"),
            (b"[\"user.created\",{\"id\":\"user_abcdefghij\"}]", "invalid_payload"),
            (b"{}", "invalid_payload"),
            (b"{\"type\":7}", "invalid_payload"),
            (b"{\"type\":\"user.created\"}", "invalid_payload"),
            (b"{\"type\":\"user.created\",\"data\":{\"id\":7}}", "invalid_payload"),
            (b"{\"type\":\"user.created\",\"data\":{}}", "missing_user_id"),
            (b"{\"type\":\"user.deleted\",\"data\":{\"id\":null}}", "missing_user_id"),
            (b"{\"type\":\"user.created\",\"data\":{\"id\":\"../dbs\"}}", "invalid_user_id"),
            (
                b"{\"type\":\"user.deleted\",\"data\":{\"id\":\"org_abcdefghij\"}}",
                "invalid_user_id",
            ),
        ];
        for (body, reason) in cases {
            let answered = world.deliver(body).await;
            assert_eq!(answered.row(), (400, "invalid", Some(reason), Some("-1")));
        }
        assert_eq!(world.requests(), []);
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_over_a_mebibyte_is_too_large_before_anything_is_looked_at() {
    let world = World::new();
    let huge = Request::post("/").body(Bytes::from(vec![b'a'; 1024 * 1024 + 1])).unwrap();
    for encoding in [BodyEncoding::Text, BodyEncoding::Base64] {
        let answered = world.invoke(&function_url::event(&huge, encoding).to_string()).await;
        assert_eq!(answered.row(), (413, "too_large", None, Some("-1")));
    }
}

#[tokio::test(start_paused = true)]
async fn a_mistyped_address_does_not_cancel_the_event() {
    for api in Api::BOTH {
        let world = World::on(api, &[]);
        for path in ["/webhooks", "/webhooks/clerk/", "//", "/WEBHOOKS/CLERK", "/webhooks/clerk%2f"]
        {
            let mut request = delivery(sign_up().user_created());
            *request.uri_mut() = path.parse().unwrap();
            let answered = world.send(request).await;
            assert_eq!(answered.row(), (404, "not_found", None, None), "{path}");
        }
        for method in [Method::GET, Method::PUT, Method::DELETE, Method::HEAD, Method::OPTIONS] {
            let mut request = delivery(sign_up().user_created());
            *request.method_mut() = method;
            let answered = world.send(request).await;
            assert_eq!(answered.row(), (405, "method_not_allowed", None, None));
            assert_eq!(answered.headers["allow"], "POST");
        }
        assert_eq!(world.requests(), []);
    }
}

#[tokio::test(start_paused = true)]
async fn an_invocation_that_is_no_http_request_is_unauthorized() {
    let world = World::new();
    for payload in ["{}", "null", "[]", r#"{"Records":[{"eventSource":"aws:sqs"}]}"#] {
        let answered = world.invoke(payload).await;
        assert_eq!(answered.row(), (401, "unauthorized", None, None), "{payload}");
        assert_eq!(answered.line["detail"], "no_http_request");
    }
}

#[tokio::test(start_paused = true)]
async fn both_paths_take_deliveries_and_the_query_does_not_matter() {
    for api in Api::BOTH {
        let world = World::on(api, &[]);
        for path in ["/", "/webhooks/clerk", "/?a=1"] {
            let mut request = delivery(sign_up().user_created());
            *request.uri_mut() = path.parse().unwrap();
            assert_eq!(world.send(request).await.status, 200, "{path}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_header_that_is_not_ascii_is_no_reason_to_fail() {
    for api in Api::BOTH {
        let world = World::on(api, &[]);
        let mut event =
            function_url::event(&delivery(sign_up().user_created()), BodyEncoding::Text);
        event["headers"]["x-hookdeck-connection-name"] = "Zoë".into();
        assert_eq!(world.invoke(&event.to_string()).await.word("status"), "created");
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_deferred_as_xata_asks_until_the_third_attempt() {
    for api in Api::BOTH {
        let world = World::on(api, &[]);
        let down = CannedResponse::message(StatusCode::SERVICE_UNAVAILABLE, "masked")
            .with_retry_after("30");
        world.xata.fault(Fault::always(Call::Create, Effect::Answer(down)));
        for (attempt, retry_after) in [(1, Some("30")), (3, Some("30")), (4, None), (50, None)] {
            let answered = world.send(retry(sign_up().user_created(), attempt)).await;
            let expected = (503, "unavailable", Some("xata_error"), retry_after);
            assert_eq!(answered.row(), expected, "attempt {attempt}");
            assert_eq!(answered.line["attempt"], attempt);
            assert_eq!(answered.line["upstream_status"], 503);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn settings_that_xata_refuses_are_misconfigured() {
    for (api, change, status, reason) in [
        (Api::Platform, ("XATA_API_KEY", "xau_wrong"), 401, "key_refused"),
        (Api::Platform, ("XATA_ORGANIZATION_ID", "org999"), 403, "access_denied"),
        (Api::Platform, ("XATA_PROJECT_ID", "prj_zzz"), 404, "not_found"),
        (Api::Lite, ("XATA_API_KEY", "xau_wrong"), 401, "key_refused"),
        (Api::Lite, ("XATA_WORKSPACE_SLUG", "other-zzz999"), 404, "not_found"),
    ] {
        let world = World::on(api, &[change]);
        let answered = world.deliver(sign_up().user_created()).await;
        assert_eq!(answered.row(), (500, "misconfigured", Some(reason), None), "{change:?}");
        assert_eq!(answered.line["level"], "ERROR");
        assert_eq!(answered.line["upstream_status"], status);
    }
}

#[tokio::test(start_paused = true)]
async fn a_line_says_who_what_and_which_delivery() {
    let world = World::new();
    let line = world.deliver(sign_up().user_created()).await.line;
    let expected = json!({
        "level": "INFO", "message": "delivery created", "status": 200, "outcome": "created",
        "user_id": user_id(1), "event_id": "evt_0001", "attempt": 1, "trigger": "INITIAL", "region": "eu-central-1",
        "placement": "geo", "address": "public_v4", "event_age_s": 0, "duration_ms": 0,
        "request_id": "request-1",
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&line[name], value, "{name} of {line}");
    }
    let members = line.as_object().unwrap().keys().map(String::as_str);
    let others: Vec<_> = members.filter(|name| expected.get(*name).is_none()).collect();
    assert_eq!(others, ["timestamp"], "{line}");
}

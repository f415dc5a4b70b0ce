//! Each row of the table of responses in `docs/reference.md`.

use bytes::Bytes;
use http::{Method, Request};
use serde_json::json;
use standin::clerk::{SignUp, user_id};
use standin::fault::{Effect, Fault};
use standin::function_url::{self, BodyEncoding};
use standin::xata::Call;

use crate::test_app::{
    Api, TestApp, delivery, message, retry, user_created, with_header, without_header,
};

fn sign_up() -> SignUp {
    SignUp::new(&user_id(1))
}

#[tokio::test(start_paused = true)]
async fn a_sign_up_is_created_with_its_database_and_placement() {
    for api in Api::BOTH {
        let app = TestApp::with_api(api, &[]);
        let response = app.deliver(user_created(1)).await;
        assert_eq!(response.row(), (200, "created", None, None), "{api:?}");
        let [database] = &app.databases(&user_id(1))[..] else { panic!("one database") };
        let mut expected = json!({
            "status": "created",
            "database": { "name": user_id(1), "region": "eu-central-1" },
            "placement": { "region": "eu-central-1", "reason": "geo" },
        });
        if let Some(id) = &database.id {
            expected["database"]["id"] = id.as_str().into();
        }
        assert_eq!(response.body, expected, "{api:?}");
        assert_eq!(database.region, "eu-central-1", "{api:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_platform_database_scales_to_zero_and_is_a_child_of_its_region_s_template() {
    let app = TestApp::new();
    app.deliver(user_created(1)).await;
    let [database] = &app.platform().databases_named(&user_id(1))[..] else { panic!("one") };
    assert_eq!(database.parent.as_deref(), Some("tpl-a-1"));
    assert!(database.scale_to_zero.enabled);
}

#[tokio::test(start_paused = true)]
async fn a_second_delivery_is_exists() {
    for api in Api::BOTH {
        let app = TestApp::with_api(api, &[]);
        app.deliver(user_created(1)).await;
        let again = app.deliver(user_created(1)).await;
        assert_eq!(again.row(), (200, "exists", None, None));
        assert_eq!(app.databases(&user_id(1)).len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_deleted_user_s_database_is_retained() {
    for api in Api::BOTH {
        let app = TestApp::with_api(api, &[]);
        app.deliver(user_created(1)).await;
        let deleted = app.deliver(sign_up().user_deleted(1_767_784_100_000)).await;
        assert_eq!(deleted.row(), (200, "retained", None, None));
        assert_eq!(app.databases(&user_id(1)).len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn events_of_other_types_samples_and_foreign_instances_are_ignored_without_a_request() {
    for api in Api::BOTH {
        let app = TestApp::with_api(api, &[("CLERK_INSTANCE_ID", "ins_ours")]);
        let ours = SignUp { instance_id: Some("ins_ours".into()), ..sign_up() };
        let sample = SignUp { user_id: "user_2g7np7Hrk0SN6kj5EDMLDaKNL0S".into(), ..ours.clone() };
        let without_instance = SignUp { instance_id: None, ..sign_up() };
        let cases = [
            (ours.session_created(1), "unhandled_type"),
            (br#"{"type":""}"#.to_vec(), "unhandled_type"),
            (sample.user_created(), "sample_event"),
            (sample.user_deleted(1), "sample_event"),
            (user_created(1), "foreign_instance"),
            (sign_up().user_deleted(1), "foreign_instance"),
            (without_instance.user_created(), "foreign_instance"),
        ];
        for (body, reason) in cases {
            let response = app.deliver(body).await;
            assert_eq!(response.row(), (200, "ignored", Some(reason), None));
        }
        assert_eq!(app.requests(), []);
        assert_eq!(app.deliver(ours.user_created()).await.status, 200);
        assert_eq!(app.requests().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn every_refused_signature_has_the_same_response_and_sends_no_request() {
    for api in Api::BOTH {
        let app = TestApp::with_api(api, &[("REQUIRE_SOURCE_VERIFIED", "true")]);
        let good = || delivery(user_created(1));
        let mut other_body = good();
        *other_body.body_mut() = Bytes::from_static(b"{}");
        let refused = [
            without_header(good(), "x-hookdeck-signature"),
            with_header(good(), "x-hookdeck-signature", "AAAA"),
            with_header(good(), "x-hookdeck-signature", "å"),
            other_body,
            without_header(good(), "x-hookdeck-verified"),
            with_header(good(), "x-hookdeck-verified", "false"),
        ];
        let mut bytes = Vec::new();
        for request in refused {
            let response = app.send(request).await;
            assert_eq!(response.row(), (401, "unauthorized", None, None));
            assert!(response.log_line["detail"].is_string(), "{}", response.log_line);
            bytes.push(response.bytes);
        }
        assert!(bytes.iter().all(|body| body == &bytes[0]));
        assert_eq!(app.requests(), []);
        assert_eq!(app.send(good()).await.outcome(), "created");
    }
}

#[tokio::test(start_paused = true)]
async fn an_invalid_body_with_a_valid_signature_stops_the_retries() {
    for api in Api::BOTH {
        let app = TestApp::with_api(api, &[]);
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
            let response = app.deliver(body).await;
            assert_eq!(response.row(), (400, "invalid", Some(reason), Some("-1")));
        }
        assert_eq!(app.requests(), []);
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_over_a_mebibyte_is_too_large_before_its_signature_is_verified() {
    let app = TestApp::new();
    let huge = Request::post("/").body(Bytes::from(vec![b'a'; 1024 * 1024 + 1])).unwrap();
    for encoding in [BodyEncoding::Text, BodyEncoding::Base64] {
        let response = app.invoke(&function_url::event(&huge, encoding).to_string()).await;
        assert_eq!(response.row(), (413, "too_large", None, Some("-1")));
    }
}

#[tokio::test(start_paused = true)]
async fn a_wrong_path_or_method_does_not_stop_the_retries() {
    for api in Api::BOTH {
        let app = TestApp::with_api(api, &[]);
        for path in ["/webhooks", "/webhooks/clerk/", "//", "/WEBHOOKS/CLERK", "/webhooks/clerk%2f"]
        {
            let mut request = delivery(user_created(1));
            *request.uri_mut() = path.parse().unwrap();
            let response = app.send(request).await;
            assert_eq!(response.row(), (404, "not_found", None, None), "{path}");
        }
        for method in [Method::GET, Method::PUT, Method::DELETE, Method::HEAD, Method::OPTIONS] {
            let mut request = delivery(user_created(1));
            *request.method_mut() = method;
            let response = app.send(request).await;
            assert_eq!(response.row(), (405, "method_not_allowed", None, None));
            assert_eq!(response.headers["allow"], "POST");
        }
        assert_eq!(app.requests(), []);
    }
}

#[tokio::test(start_paused = true)]
async fn an_invocation_that_is_no_http_request_is_unauthorized() {
    let app = TestApp::new();
    for payload in ["{}", "null", "[]", r#"{"Records":[{"eventSource":"aws:sqs"}]}"#] {
        let response = app.invoke(payload).await;
        assert_eq!(response.row(), (401, "unauthorized", None, None), "{payload}");
        assert_eq!(response.log_line["detail"], "no_http_request");
    }
}

#[tokio::test(start_paused = true)]
async fn both_paths_accept_deliveries_with_any_query() {
    for api in Api::BOTH {
        let app = TestApp::with_api(api, &[]);
        for path in ["/", "/webhooks/clerk", "/?a=1"] {
            let mut request = delivery(user_created(1));
            *request.uri_mut() = path.parse().unwrap();
            assert_eq!(app.send(request).await.status, 200, "{path}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_header_that_is_not_ascii_does_not_fail_a_delivery() {
    for api in Api::BOTH {
        let app = TestApp::with_api(api, &[]);
        let mut event = function_url::event(&delivery(user_created(1)), BodyEncoding::Text);
        event["headers"]["x-hookdeck-connection-name"] = "Zoë".into();
        assert_eq!(app.invoke(&event.to_string()).await.outcome(), "created");
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_of_xata_is_passed_on_until_the_third_attempt() {
    for api in Api::BOTH {
        let app = TestApp::with_api(api, &[]);
        let down = message(503, "masked").with_retry_after("30");
        app.xata.fault(Fault::always(Call::Create, Effect::Answer(down)));
        for (attempt, retry_after) in [(1, Some("30")), (3, Some("30")), (4, None), (50, None)] {
            let response = app.send(retry(user_created(1), attempt)).await;
            let expected = (503, "unavailable", Some("xata_error"), retry_after);
            assert_eq!(response.row(), expected, "attempt {attempt}");
            assert_eq!(response.log_line["attempt"], attempt);
            assert_eq!(response.log_line["upstream_status"], 503);
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
        let app = TestApp::with_api(api, &[change]);
        let response = app.deliver(user_created(1)).await;
        assert_eq!(response.row(), (500, "misconfigured", Some(reason), None), "{change:?}");
        assert_eq!(response.log_line["level"], "ERROR");
        assert_eq!(response.log_line["upstream_status"], status);
    }
}

//! The Clerk events of `tests/vectors/clerk-events` against their manifest.

use per_user_db::region::Address;
use serde_json::Value;

use crate::test_app::{Api, TestApp, vector_file};

fn manifest() -> Value {
    serde_json::from_slice(&vector_file("clerk-events.manifest.json")).unwrap()
}

#[tokio::test(start_paused = true)]
async fn every_event_has_the_outcome_of_the_manifest() {
    let manifest = manifest();
    let files = manifest["files"].as_array().unwrap();
    assert_eq!(files.len(), 42);
    for file in files {
        let body = vector_file(&format!("clerk-events/{}", file["file"].as_str().unwrap()));
        let expect = &file["expect"];
        match expect["pad"]["token"].as_str() {
            None => check(&body, expect, file).await,
            Some(token) => {
                for padded in expect["pad"]["expect"].as_array().unwrap() {
                    let size = usize::try_from(padded["size"].as_u64().unwrap()).unwrap();
                    let text = String::from_utf8(body.clone()).unwrap();
                    let body = text.replace(token, &"a".repeat(size)).into_bytes();
                    let mut expect = expect.clone();
                    expect["action"] = padded["action"].clone();
                    expect["reason"] = padded["reason"].clone();
                    check(&body, &expect, file).await;
                }
            }
        }
    }
}

async fn check(body: &[u8], expect: &Value, file: &Value) {
    for api in Api::BOTH {
        check_with(api, body, expect, file).await;
    }
}

async fn check_with(api: Api, body: &[u8], expect: &Value, file: &Value) {
    // Only the legacy event has no instance. It is accepted only where no instance is listed.
    let instances = match file["file"].as_str().unwrap() {
        "15-user-created-sparse-legacy.json" => "",
        _ => "ins_2r1MCXTfhzB11e2rVlwx3jYfyDo",
    };
    let app = TestApp::with_api(api, &[("CLERK_INSTANCE_ID", instances)]);
    let response = app.deliver(body.to_vec()).await;
    let row = response.row();
    let text = |name: &str| expect[name].as_str();
    match text("action").unwrap() {
        // Without a Clerk key, the function does not check that the user exists.
        "create_database" | "create_database_unless_user_gone" => {
            assert_eq!(row, (200, "created", None, None), "{file}");
            assert_eq!(response.body["database"]["name"], expect["user_id"], "{file}");
            let placed = &response.body["placement"]["region"];
            assert_eq!(response.body["database"]["region"], *placed, "{file}");
            let is_public = text("client_ip_class").is_some_and(|it| it.starts_with("public"));
            let region = match (text("region_preference"), text("geo_hint")) {
                (Some(preferred), _) => Some(preferred),
                (None, Some("EU")) => Some("eu-central-1"),
                (None, Some("OC")) => Some("ap-southeast-2"),
                // Without a hint, the compiled-in table decides the region of a public address.
                (None, None) if is_public && text("ip_trust").is_none() => None,
                (None, _) => Some("us-east-1"),
            };
            assert!(region.is_none_or(|region| placed == region), "{placed}: {file}");
            let class = if text("ip_trust").is_some() {
                Some("server_side")
            } else {
                text("client_ip_class")
            };
            if let Some(class) = class {
                assert_eq!(response.log_line["address"], class, "{file}");
            }
            let rejected = response.log_line.get("preference_rejected").is_some();
            assert_eq!(rejected, text("warning") == Some("region_preference_rejected"), "{file}");
        }
        "delete_database_if_enabled" => assert_eq!(row, (200, "retained", None, None), "{file}"),
        "ignore" => {
            let reason = match text("reason").unwrap() {
                "event_type_not_handled" => "unhandled_type",
                reason => reason,
            };
            assert_eq!(row, (200, "ignored", Some(reason), None), "{file}");
        }
        "reject_permanent" if text("reason") == Some("too_large") => {
            assert_eq!(row, (413, "too_large", None, Some("-1")), "{file}");
        }
        "reject_permanent" => {
            assert_eq!(row, (400, "invalid", text("reason"), Some("-1")), "{file}");
        }
        other => panic!("unknown action: {other}"),
    }
}

#[test]
fn every_address_class_of_the_manifest_is_known() {
    let manifest = manifest();
    let classes = manifest["client_ip_classes"].as_array().unwrap();
    let addresses = ["84.200.69.80", "2620:fe::fe", "10.0.0.1", "::1", "", "x"];
    let known = addresses.map(|ip| Address::classify(Some(ip), None).word());
    for class in classes {
        let class = class.as_str().unwrap();
        assert!(class == "absent" || known.contains(&class), "{class}");
    }
}

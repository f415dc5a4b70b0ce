//! The authored Clerk events, against their manifest.

use std::path::Path;

use per_user_db::region::Address;
use serde_json::Value;

use crate::world::{Api, World};

const VECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors");

fn read(path: &str) -> Vec<u8> {
    std::fs::read(Path::new(VECTORS).join(path)).unwrap()
}

#[tokio::test(start_paused = true)]
async fn every_event_of_the_manifest_is_handled_as_it_says() {
    let manifest: Value = serde_json::from_slice(&read("clerk-events.manifest.json")).unwrap();
    let files = manifest["files"].as_array().unwrap();
    assert_eq!(files.len(), 42);
    for file in files {
        let body = read(&format!("clerk-events/{}", file["file"].as_str().unwrap()));
        let expect = &file["expect"];
        match expect["pad"]["token"].as_str() {
            None => judge(&body, expect, file).await,
            Some(token) => {
                for padded in expect["pad"]["expect"].as_array().unwrap() {
                    let size = usize::try_from(padded["size"].as_u64().unwrap()).unwrap();
                    let text = String::from_utf8(body.clone()).unwrap();
                    let body = text.replace(token, &"a".repeat(size)).into_bytes();
                    let mut expect = expect.clone();
                    expect["action"] = padded["action"].clone();
                    expect["reason"] = padded["reason"].clone();
                    judge(&body, &expect, file).await;
                }
            }
        }
    }
}

async fn judge(body: &[u8], expect: &Value, file: &Value) {
    for api in Api::BOTH {
        judge_on(api, body, expect, file).await;
    }
}

async fn judge_on(api: Api, body: &[u8], expect: &Value, file: &Value) {
    // Only the sparse event of old names no instance, and is acceptable only where none is listed.
    let instances = match file["file"].as_str().unwrap() {
        "15-user-created-sparse-legacy.json" => "",
        _ => "ins_2r1MCXTfhzB11e2rVlwx3jYfyDo",
    };
    let world = World::on(api, &[("CLERK_INSTANCE_ID", instances)]);
    let answered = world.deliver(body.to_vec()).await;
    let row = answered.row();
    let text = |name: &str| expect[name].as_str();
    match text("action").unwrap() {
        // Without a Clerk key, nobody knows that the user is gone.
        "create_database" | "create_database_unless_user_gone" => {
            assert_eq!(row, (200, "created", None, None), "{file}");
            assert_eq!(answered.body["database"]["name"], expect["user_id"], "{file}");
            let placed = &answered.body["placement"]["region"];
            assert_eq!(answered.body["database"]["region"], *placed, "{file}");
            let is_public = text("client_ip_class").is_some_and(|it| it.starts_with("public"));
            let region = match (text("region_preference"), text("geo_hint")) {
                (Some(preferred), _) => Some(preferred),
                (None, Some("EU")) => Some("eu-central-1"),
                (None, Some("OC")) => Some("ap-southeast-2"),
                // Without a hint, where a public address leads is the table's business.
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
                assert_eq!(answered.line["address"], class, "{file}");
            }
            let rejected = answered.line.get("preference_rejected").is_some();
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
        other => panic!("an action that nobody knows: {other}"),
    }
}

#[test]
fn the_address_classes_are_those_of_the_contract() {
    let manifest: Value = serde_json::from_slice(&read("clerk-events.manifest.json")).unwrap();
    let classes = manifest["client_ip_classes"].as_array().unwrap();
    let ours = ["84.200.69.80", "2620:fe::fe", "10.0.0.1", "::1", "", "x"];
    let ours = ours.map(|ip| Address::classify(Some(ip), None).word());
    for class in classes {
        let class = class.as_str().unwrap();
        assert!(class == "absent" || ours.contains(&class), "{class}");
    }
}

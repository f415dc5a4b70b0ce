//! Clerk: its events, and its Backend API.

mod backend;

use serde_json::{Value, json};
use standin::clerk::{SignUp, user_id};

fn parsed(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

#[test]
fn user_ids_are_well_formed_and_depend_on_the_seed_alone() {
    let id = user_id(7);
    let tail = id.strip_prefix("user_").unwrap();
    assert!(tail.len() == 27 && tail.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{id}");
    assert_eq!(id, user_id(7));
    assert_ne!(id, user_id(8));
}

#[test]
fn a_sign_up_is_compact_json_with_sorted_keys() {
    let bytes = SignUp::new(&user_id(1)).user_created();
    // A JSON map of serde's is sorted, so writing it again must change nothing.
    let sorted: std::collections::BTreeMap<String, Value> = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(serde_json::to_vec(&sorted).unwrap(), bytes);
    assert!(bytes.starts_with(br#"{"data":{"backup_code_enabled":false,"#));
    assert!((1_500..4_000).contains(&bytes.len()));
}

#[test]
fn a_sign_up_is_the_full_user_object() {
    let sign_up = SignUp {
        unsafe_metadata: json!({ "db_region": "us-east-1" }),
        private_metadata: Value::Null,
        ..SignUp::new(&user_id(1))
    };
    let event = parsed(&sign_up.user_created());
    assert_eq!(event["type"], "user.created");
    assert_eq!(event["data"]["id"], sign_up.user_id);
    assert_eq!(event["data"]["unsafe_metadata"]["db_region"], "us-east-1");
    assert_eq!(event["data"]["private_metadata"], Value::Null);
    assert_eq!(event["data"]["email_addresses"][0]["email_address"], "mara.lindqvist@example.com");
    assert_eq!(
        event["data"]["email_addresses"][0]["id"],
        event["data"]["primary_email_address_id"]
    );
    assert_eq!(event["event_attributes"]["http_request"]["client_ip"], "84.200.69.80");
    assert_eq!(event["data"].as_object().unwrap().len(), 40);
}

#[test]
fn members_that_a_sign_up_lacks_are_absent() {
    let sign_up = SignUp {
        client_ip: None,
        instance_id: None,
        email_local_part: None,
        ..SignUp::new(&user_id(1))
    };
    let event = parsed(&sign_up.user_created());
    assert!(event.get("event_attributes").is_none() && event.get("instance_id").is_none());
    assert_eq!(event["data"]["email_addresses"], json!([]));
    assert_eq!(event["data"]["primary_email_address_id"], Value::Null);
}

#[test]
fn the_other_events_name_the_same_user() {
    let sign_up = SignUp::new(&user_id(1));
    let deleted = parsed(&sign_up.user_deleted(1_767_862_809_822));
    assert_eq!(
        deleted["data"],
        json!({ "deleted": true, "id": sign_up.user_id, "object": "user" })
    );
    assert_eq!(deleted["timestamp"], 1_767_862_809_822_u64);
    let session = parsed(&sign_up.session_created(1_767_862_809_822));
    assert_eq!(session["data"]["user_id"], sign_up.user_id);
    assert_eq!(session["type"], "session.created");
}

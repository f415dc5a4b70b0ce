//! The event of a body is that of a reference implementation, which parses the body to a tree.

use std::time::{Duration, SystemTime};

use per_user_db::clerk::{Event, IgnoreReason, Instances, Intent, InvalidReason, SignUp, UserId};
use per_user_db::region::{Hints, Preferences};
use serde_json::Value;

/// The configured instance, which is that of `tests/vectors/`.
const INSTANCE: &str = "ins_2r1MCXTfhzB11e2rVlwx3jYfyDo";

/// `serde_json`'s errors for valid JSON that it cannot parse to a tree: a number or a depth beyond
/// its limits, or half of a surrogate pair.
const LIMIT_ERRORS: [&str; 4] = [
    "number out of range",
    "recursion limit exceeded",
    "lone leading surrogate in hex escape",
    "unexpected end of hex escape",
];

/// Reads a body with any instance, and with [`INSTANCE`] only.
pub(crate) fn check(data: &[u8]) {
    for instances in [Instances::Any, Instances::Only(vec![INSTANCE.to_owned()])] {
        let event = Event::read(data, &instances);
        let Ok(text) = std::str::from_utf8(data) else {
            assert_eq!(event, Err(InvalidReason::InvalidJson), "not UTF-8");
            continue;
        };
        if let Ok(Event {
            intent: Intent::Provision(SignUp { user_id, .. }) | Intent::Remove(user_id),
            ..
        }) = &event
        {
            let id = user_id.as_str();
            let tail = id.strip_prefix("user_").expect("a prefix");
            assert!(
                (10..=64).contains(&tail.len())
                    && tail.chars().all(|it| it.is_ascii_alphanumeric())
            );
            assert!(text.contains(id) || text.contains('\\'), "{id} is not from the body");
        }
        // `serde_json` reserves this member, and does not parse an object with it to a tree.
        if text.contains("$serde_json::private::") {
            continue;
        }
        match serde_json::from_str::<Value>(text) {
            Ok(tree) => compare(&event, text, &tree, &instances),
            Err(error)
                if LIMIT_ERRORS.iter().any(|reason| error.to_string().starts_with(reason)) => {}
            Err(error) => assert_eq!(event, Err(InvalidReason::InvalidJson), "{error}"),
        }
    }
}

fn compare(event: &Result<Event, InvalidReason>, text: &str, tree: &Value, instances: &Instances) {
    let expected = reference(tree, instances);
    assert_eq!(without_preferences(event), without_preferences(&expected));
    // A preference that is no string keeps its spelling, which is the same in the tree's own text.
    assert_eq!(Event::read(tree.to_string().as_bytes(), instances), expected);

    // An unknown member can have any depth and size, unless the event has to be read by way of a tree.
    if let Some((before, after)) = text.split_once('{')
        && tree.as_object().is_some_and(|members| !members.is_empty())
        && !repeats_a_name(text, tree)
    {
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        let odd = format!(r#"{before}{{"no member":[{deep},1e999,"\ud800"],{after}"#);
        assert_eq!(&Event::read(odd.as_bytes(), instances), event);
    }
}

/// Whether an object has two members of one name. The tree has the last one only, and so fewer colons.
fn repeats_a_name(text: &str, tree: &Value) -> bool {
    let colons =
        |json: &str| json.replace(r"\u003a", ":").replace(r"\u003A", ":").matches(':').count();
    colons(&tree.to_string()) < colons(text)
}

fn without_preferences(event: &Result<Event, InvalidReason>) -> String {
    let Ok(Event { intent: Intent::Provision(sign_up), occurred_at, instance }) = event else {
        return format!("{event:?}");
    };
    let SignUp { user_id, hints: Hints { client_ip, user_agent, .. } } = sign_up;
    format!("{user_id} {client_ip:?} {user_agent:?} {occurred_at:?} {instance:?}")
}

/// The reference implementation.
fn reference(event: &Value, instances: &Instances) -> Result<Event, InvalidReason> {
    let envelope = event.as_object().ok_or(InvalidReason::InvalidPayload)?;
    let kind = envelope.get("type").and_then(Value::as_str).ok_or(InvalidReason::InvalidPayload)?;
    let occurred_at = event["timestamp"].as_u64().map(|timestamp| {
        let in_seconds = timestamp < 100_000_000_000;
        let unit = if in_seconds { Duration::from_secs } else { Duration::from_millis };
        SystemTime::UNIX_EPOCH + unit(timestamp)
    });
    let intent = if ["user.created", "user.deleted"].contains(&kind) {
        user_intent(event, kind == "user.deleted", instances)?
    } else {
        Intent::Ignore(IgnoreReason::UnhandledType)
    };
    let instance = event["instance_id"].as_str().map(str::to_owned);
    Ok(Event { intent, occurred_at, instance })
}

fn user_intent(
    event: &Value,
    is_deletion: bool,
    instances: &Instances,
) -> Result<Intent, InvalidReason> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let user = event["data"].as_object().ok_or(InvalidReason::InvalidPayload)?;
    let id = match user.get("id") {
        None | Some(Value::Null) => return Err(InvalidReason::MissingUserId),
        Some(Value::String(id)) => id.as_str(),
        Some(_) => return Err(InvalidReason::InvalidPayload),
    };
    let user_id = UserId::try_from(id).map_err(|_| InvalidReason::InvalidUserId)?;
    let instance = event["instance_id"].as_str();
    let is_sample_user = [
        "user_29w83sxmDNGwOuEthce5gg56FcC",
        "user_29wBMCtzATuFJut8jO2VNTVekS4",
        "user_2g7np7Hrk0SN6kj5EDMLDaKNL0S",
    ]
    .contains(&id);
    let sample_instances = [Some("ins_123"), Some("ins_2g7np7Hrk0SN6kj5EDMLDaKNL0S")];
    if sample_instances.contains(&instance) || (instance.is_none() && is_sample_user) {
        return Ok(Intent::Ignore(IgnoreReason::SampleEvent));
    }
    if *instances != Instances::Any && instance != Some(INSTANCE) {
        return Ok(Intent::Ignore(IgnoreReason::ForeignInstance));
    }
    if is_sample_user {
        return Ok(Intent::Ignore(IgnoreReason::SampleEvent));
    }
    if is_deletion {
        return Ok(Intent::Remove(user_id));
    }
    let preference = |kind: &str| match &event["data"][kind]["db_region"] {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    let request = &event["event_attributes"]["http_request"];
    Ok(Intent::Provision(SignUp {
        user_id,
        hints: Hints {
            preferences: Preferences {
                private_metadata: preference("private_metadata"),
                public_metadata: preference("public_metadata"),
                unsafe_metadata: preference("unsafe_metadata"),
            },
            client_ip: text(&request["client_ip"]),
            user_agent: text(&request["user_agent"]),
        },
    }))
}

#[cfg(test)]
#[test]
fn an_event_with_members_of_any_kind_is_that_of_the_reference_implementation() {
    let user_created =
        include_str!("../vectors/clerk-events/08-user-created-unsafe-metadata-region.json");
    let pointers = "/type|/timestamp|/instance_id|/data|/data/id|/data/private_metadata|\
        /data/public_metadata/db_region|/data/unsafe_metadata/db_region|/event_attributes|\
        /event_attributes/http_request|/event_attributes/http_request/client_ip";
    let values = r#"|null|true|7|-1|1.5|99999999999|100000000000|[]|[7]|{}|"text"|"ins_123"|
        "user.deleted"|"session.created"|"user_abcdefghij"|"user_abcdefghi"|"user_abc_efghij"|
        "user_29w83sxmDNGwOuEthce5gg56FcC"|{"id":"user_abcdefghij"}|{"id":7}|{"db_region":[1]}|
        {"http_request":{"user_agent":"x"}}"#;
    crate::generate(check, crate::changed(user_created, pointers, values));
}

//! What a body asks of us is what a second reader of it says, who knows JSON as a tree.

use std::time::{Duration, SystemTime};

use per_user_db::clerk::{Event, IgnoreReason, Instances, Intent, InvalidReason, SignUp, UserId};
use per_user_db::region::Hints;
use serde_json::Value;

/// The instance that is ours once instances are listed; the one of `tests/vectors/`.
const OURS: &str = "ins_2r1MCXTfhzB11e2rVlwx3jYfyDo";

/// What is JSON by its grammar, and yet no tree to `serde_json`: a number or a depth beyond its
/// limits, half of a surrogate pair.
const NO_TREE: [&str; 4] = [
    "number out of range",
    "recursion limit exceeded",
    "lone leading surrogate in hex escape",
    "unexpected end of hex escape",
];

/// Reads a body, with every instance ours and with only [`OURS`].
pub(crate) fn check(data: &[u8]) {
    for instances in [Instances::Any, Instances::Only(vec![OURS.to_owned()])] {
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
        // An object with this member, which `serde_json` keeps for itself, is no tree to it either.
        if text.contains("$serde_json::private::") {
            continue;
        }
        match serde_json::from_str::<Value>(text) {
            Ok(tree) => agrees(&event, text, &tree, &instances),
            Err(error) if NO_TREE.iter().any(|reason| error.to_string().starts_with(reason)) => {}
            Err(error) => assert_eq!(event, Err(InvalidReason::InvalidJson), "{error}"),
        }
    }
}

fn agrees(event: &Result<Event, InvalidReason>, text: &str, tree: &Value, instances: &Instances) {
    let expected = expected(tree, instances);
    assert_eq!(but_for_metadata(event), but_for_metadata(&expected));
    // A preference that is no text is kept as it is spelled: here in the same way.
    assert_eq!(Event::read(tree.to_string().as_bytes(), instances), expected);

    // What nobody reads may be of any depth and size.
    if let Some((before, after)) = text.split_once('{')
        && tree.as_object().is_some_and(|members| !members.is_empty())
    {
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        let odd = format!(r#"{before}{{"no member":[{deep},1e999,"\ud800"],{after}"#);
        assert_eq!(&Event::read(odd.as_bytes(), instances), event);
    }
}

fn but_for_metadata(event: &Result<Event, InvalidReason>) -> String {
    let Ok(Event { intent: Intent::Provision(sign_up), occurred_at, instance }) = event else {
        return format!("{event:?}");
    };
    let SignUp { user_id, hints: Hints { client_ip, user_agent, .. } } = sign_up;
    format!("{user_id} {client_ip:?} {user_agent:?} {occurred_at:?} {instance:?}")
}

/// The second reader.
fn expected(event: &Value, instances: &Instances) -> Result<Event, InvalidReason> {
    let envelope = event.as_object().ok_or(InvalidReason::InvalidPayload)?;
    let kind = envelope.get("type").and_then(Value::as_str).ok_or(InvalidReason::InvalidPayload)?;
    let occurred_at = event["timestamp"].as_u64().map(|timestamp| {
        let in_seconds = timestamp < 100_000_000_000;
        let unit = if in_seconds { Duration::from_secs } else { Duration::from_millis };
        SystemTime::UNIX_EPOCH + unit(timestamp)
    });
    let intent = if ["user.created", "user.deleted"].contains(&kind) {
        of_user(event, kind == "user.deleted", instances)?
    } else {
        Intent::Ignore(IgnoreReason::UnhandledType)
    };
    let instance = event["instance_id"].as_str().map(str::to_owned);
    Ok(Event { intent, occurred_at, instance })
}

fn of_user(
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
    let is_sample = [
        "user_29w83sxmDNGwOuEthce5gg56FcC",
        "user_29wBMCtzATuFJut8jO2VNTVekS4",
        "user_2g7np7Hrk0SN6kj5EDMLDaKNL0S",
    ]
    .contains(&id)
        || instance.is_some_and(|it| it == "ins_123" || it == "ins_2g7np7Hrk0SN6kj5EDMLDaKNL0S");
    if is_sample {
        return Ok(Intent::Ignore(IgnoreReason::SampleEvent));
    }
    if *instances != Instances::Any && instance != Some(OURS) {
        return Ok(Intent::Ignore(IgnoreReason::ForeignInstance));
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
            private_metadata: preference("private_metadata"),
            public_metadata: preference("public_metadata"),
            unsafe_metadata: preference("unsafe_metadata"),
            client_ip: text(&request["client_ip"]),
            user_agent: text(&request["user_agent"]),
        },
    }))
}

#[cfg(test)]
#[test]
fn an_event_with_members_of_any_kind_is_read_as_a_tree_of_json_is() {
    let user_created =
        include_str!("../vectors/clerk-events/08-user-created-unsafe-metadata-region.json");
    let places = "/type|/timestamp|/instance_id|/data|/data/id|/data/private_metadata|\
        /data/public_metadata/db_region|/data/unsafe_metadata/db_region|/event_attributes|\
        /event_attributes/http_request|/event_attributes/http_request/client_ip";
    let values = r#"|null|true|7|-1|1.5|99999999999|100000000000|[]|[7]|{}|"text"|"ins_123"|
        "user.deleted"|"session.created"|"user_abcdefghij"|"user_abcdefghi"|"user_abc_efghij"|
        "user_29w83sxmDNGwOuEthce5gg56FcC"|{"id":"user_abcdefghij"}|{"id":7}|{"db_region":[1]}|
        {"http_request":{"user_agent":"x"}}"#;
    crate::generate(check, crate::changed(user_created, places, values));
}

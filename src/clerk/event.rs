//! Clerk's events (`docs/vendors/clerk.md`, "Envelope" to "Sample events").
//!
//! The reader is tolerant, because events grow. An event of another type needs a string `type` only,
//! and a handled one a well-formed `data.id`. A member of another JSON type than documented counts as
//! absent, and the depth of an unknown member does not matter. Of two members of one name the last
//! counts, as in JavaScript.

use std::time::{Duration, SystemTime};

use serde::Deserialize;
use serde_json::value::{RawValue, Value};
use strum::{IntoStaticStr, VariantNames};

use super::UserId;
use super::object::Object;
use crate::region::{Hints, Preferences};

/// Users of Clerk's sample events ("Send Example"). Their events are signed and look real.
pub const SAMPLE_USERS: [&str; 3] = [
    "user_29w83sxmDNGwOuEthce5gg56FcC",
    "user_29wBMCtzATuFJut8jO2VNTVekS4",
    "user_2g7np7Hrk0SN6kj5EDMLDaKNL0S",
];
/// Instances of Clerk's sample events.
const SAMPLE_INSTANCES: [&str; 2] = ["ins_2g7np7Hrk0SN6kj5EDMLDaKNL0S", "ins_123"];

/// What a delivery's body says.
#[derive(Debug, PartialEq)]
pub struct Event {
    /// What the function should do.
    pub intent: Intent,
    /// When it happened, where the event says so.
    pub occurred_at: Option<SystemTime>,
    /// The Clerk instance in which it happened, where the event says so.
    pub instance: Option<String>,
}

/// What the function should do about an event.
#[derive(Debug, PartialEq)]
pub enum Intent {
    /// `user.created`: make sure that the user has a database.
    Provision(SignUp),
    /// `user.deleted`: treat the database as the settings say.
    Remove(UserId),
    /// Nothing.
    Ignore(IgnoreReason),
}

/// A new user.
#[derive(Debug, PartialEq)]
pub struct SignUp {
    /// The user.
    pub user_id: UserId,
    /// What decides the region of the database.
    pub hints: Hints,
}

/// Why an event is ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum IgnoreReason {
    /// The function handles no events of this type.
    UnhandledType,
    /// It is one of Clerk's sample events.
    SampleEvent,
    /// Its instance is not among those of the settings.
    ForeignInstance,
    /// Clerk has deleted the user.
    UserGone,
}

/// Why a body can never be handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum InvalidReason {
    /// It is not JSON.
    InvalidJson,
    /// It is JSON, but no event: no object, no string `type`, a `data` that is no object, or an id
    /// that is no string.
    InvalidPayload,
    /// It is an event of a user without the user's id.
    MissingUserId,
    /// The id is no Clerk user id.
    InvalidUserId,
}

/// The Clerk instances whose events are handled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Instances {
    /// Every instance.
    Any,
    /// These. An event that names no instance is from none of them.
    Only(Vec<String>),
}

impl Instances {
    /// Whether events of this instance are handled.
    pub fn contains(&self, instance: Option<&str>) -> bool {
        match self {
            Self::Any => true,
            Self::Only(known) => {
                instance.is_some_and(|instance| known.iter().any(|id| id == instance))
            }
        }
    }
}

/// The members of an event that are read. The JSON of a value is parsed when its type matters.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Envelope<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    timestamp: Option<&'a RawValue>,
    #[serde(borrow)]
    instance_id: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Object<User<'a>>,
    #[serde(borrow)]
    event_attributes: Object<EventAttributes<'a>>,
}

/// A user, in an event and in a response of Clerk's API.
#[derive(Deserialize, Default)]
#[serde(default)]
struct User<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    private_metadata: Object<Metadata<'a>>,
    #[serde(borrow)]
    public_metadata: Object<Metadata<'a>>,
    #[serde(borrow)]
    unsafe_metadata: Object<Metadata<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Metadata<'a> {
    #[serde(borrow)]
    db_region: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct EventAttributes<'a> {
    #[serde(borrow)]
    http_request: Object<HttpRequest<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct HttpRequest<'a> {
    #[serde(borrow)]
    client_ip: Option<&'a RawValue>,
    #[serde(borrow)]
    user_agent: Option<&'a RawValue>,
}

/// A value, where it has this type.
fn value<'a, T: Deserialize<'a>>(json: Option<&'a RawValue>) -> Option<T> {
    serde_json::from_str(json?.get()).ok()
}

impl Event {
    /// Reads a body whose signature has been checked.
    ///
    /// # Errors
    /// When these bytes can never be handled.
    pub fn read(body: &[u8], instances: &Instances) -> Result<Self, InvalidReason> {
        let text = std::str::from_utf8(body).map_err(|_| InvalidReason::InvalidJson)?;
        let without_repetition;
        let envelope: Object<Envelope<'_>> = if let Ok(envelope) = serde_json::from_str(text) {
            envelope
        } else {
            without_repetition = last_of_each_name(text)?;
            serde_json::from_str(&without_repetition).map_err(|_| InvalidReason::InvalidPayload)?
        };
        let envelope = envelope.0.ok_or(InvalidReason::InvalidPayload)?;
        let kind: String = value(envelope.kind).ok_or(InvalidReason::InvalidPayload)?;
        let occurred_at = value(envelope.timestamp).map(time_of);
        let instance: Option<String> = value(envelope.instance_id);
        let intent = match kind.as_str() {
            "user.created" | "user.deleted" => {
                user_intent(&kind, envelope, instance.as_deref(), instances)?
            }
            _ => Intent::Ignore(IgnoreReason::UnhandledType),
        };
        Ok(Self { intent, occurred_at, instance })
    }
}

impl Preferences {
    /// Reads those of a user, as Clerk's API describes one.
    pub fn of_user(json: &str) -> Self {
        let user: Object<User<'_>> = serde_json::from_str(json).unwrap_or_default();
        user.0.as_ref().map(Self::from).unwrap_or_default()
    }
}

impl From<&User<'_>> for Preferences {
    fn from(user: &User<'_>) -> Self {
        // A value of another JSON type as its JSON text.
        let db_region = |metadata: &Object<Metadata<'_>>| {
            let json = metadata.0.as_ref()?.db_region;
            value(json).or_else(|| Some(json?.get().to_owned()))
        };
        Self {
            private_metadata: db_region(&user.private_metadata),
            public_metadata: db_region(&user.public_metadata),
            unsafe_metadata: db_region(&user.unsafe_metadata),
        }
    }
}

/// The same JSON with the last of the members of each name. serde refuses to read a name twice.
fn last_of_each_name(text: &str) -> Result<String, InvalidReason> {
    serde_json::from_str(text).map(|tree: Value| tree.to_string()).map_err(|_| {
        let is_json = serde_json::from_str::<&RawValue>(text).is_ok();
        if is_json { InvalidReason::InvalidPayload } else { InvalidReason::InvalidJson }
    })
}

/// The intent of an event of a user.
fn user_intent(
    kind: &str,
    envelope: Envelope<'_>,
    instance: Option<&str>,
    instances: &Instances,
) -> Result<Intent, InvalidReason> {
    let user = envelope.data.0.ok_or(InvalidReason::InvalidPayload)?;
    let id = user.id.ok_or(InvalidReason::MissingUserId)?;
    let id: String = value(Some(id)).ok_or(InvalidReason::InvalidPayload)?;
    let user_id = UserId::try_from(id.as_str()).map_err(|_| InvalidReason::InvalidUserId)?;
    let is_sample_user = SAMPLE_USERS.contains(&user_id.as_str());
    if instance.map_or(is_sample_user, |id| SAMPLE_INSTANCES.contains(&id)) {
        return Ok(Intent::Ignore(IgnoreReason::SampleEvent));
    }
    if !instances.contains(instance) {
        return Ok(Intent::Ignore(IgnoreReason::ForeignInstance));
    }
    if is_sample_user {
        return Ok(Intent::Ignore(IgnoreReason::SampleEvent));
    }
    if kind == "user.deleted" {
        return Ok(Intent::Remove(user_id));
    }
    let attributes = envelope.event_attributes.0.unwrap_or_default();
    let request = attributes.http_request.0.unwrap_or_default();
    Ok(Intent::Provision(SignUp {
        user_id,
        hints: Hints {
            preferences: Preferences::from(&user),
            client_ip: value(request.client_ip),
            user_agent: value(request.user_agent),
        },
    }))
}

/// Clerk writes milliseconds; its sample events write seconds.
fn time_of(timestamp: u64) -> SystemTime {
    let since_epoch = if timestamp < 100_000_000_000 {
        Duration::from_secs(timestamp)
    } else {
        Duration::from_millis(timestamp)
    };
    SystemTime::UNIX_EPOCH + since_epoch
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(body: &str) -> Result<Event, InvalidReason> {
        Event::read(body.as_bytes(), &Instances::Any)
    }

    fn sign_up(body: &str) -> SignUp {
        match event(body).expect("an event").intent {
            Intent::Provision(sign_up) => sign_up,
            other => panic!("no sign-up: {other:?}"),
        }
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_invalid_even_in_an_ignored_member() {
        let body = b"{\"type\":\"session.created\",\"extra\":\"\xff\"}";
        assert_eq!(Event::read(body, &Instances::Any), Err(InvalidReason::InvalidJson));
    }

    #[test]
    fn an_ignored_type_needs_no_data() {
        for data in ["", r#","data":null"#, r#","data":7"#, r#","data":{"id":7}"#] {
            let event = event(&format!(r#"{{"type":"session.created"{data}}}"#)).expect("an event");
            assert_eq!(event.intent, Intent::Ignore(IgnoreReason::UnhandledType));
        }
    }

    #[test]
    fn ignored_members_can_have_any_depth() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        let body = format!(
            r#"{{"type":"user.created","x":{deep},"event_attributes":{deep},
            "data":{{"id":"user_abcdefghij","y":{deep}}}}}"#
        );
        assert_eq!(sign_up(&body).user_id.as_str(), "user_abcdefghij");
    }

    #[test]
    fn wrong_types_inside_metadata_and_attributes_never_fail_the_event() {
        let sign_up = sign_up(
            r#"{"type":"user.created","event_attributes":{"http_request":{"client_ip":7,"user_agent":[]}},"data":
            {"id":"user_abcdefghij","private_metadata":[1],"public_metadata":{"db_region":["x"]},"unsafe_metadata":{"db_region":null}}}"#,
        );
        let preferences =
            Preferences { public_metadata: Some(r#"["x"]"#.to_owned()), ..Preferences::default() };
        assert_eq!(sign_up.hints, Hints { preferences, ..Hints::default() });
    }

    #[test]
    fn an_array_in_place_of_an_object_is_invalid() {
        let data = r#"{"id":"user_abcdefghij"}"#;
        assert_eq!(
            event(&format!(r#"["user.created",{data}]"#)),
            Err(InvalidReason::InvalidPayload)
        );
        let body = r#"{"type":"user.created","data":["user_abcdefghij"]}"#;
        assert_eq!(event(body), Err(InvalidReason::InvalidPayload));
    }

    #[test]
    fn the_last_of_two_members_of_one_name_counts() {
        let body = r#"{"type":"x","type":"user.created","data":{"id":7},
            "data":{"id":"user_aaaaaaaaaa","id":"user_bbbbbbbbbb","x":1,"x":2}}"#;
        assert_eq!(sign_up(body).user_id.as_str(), "user_bbbbbbbbbb");
    }

    #[test]
    fn an_event_without_an_instance_is_foreign_when_instances_are_configured() {
        let body = br#"{"type":"user.created","data":{"id":"user_abcdefghij"}}"#;
        let ours = Instances::Only(vec!["ins_ours".to_owned()]);
        let event = Event::read(body, &ours).expect("an event");
        assert_eq!(event.intent, Intent::Ignore(IgnoreReason::ForeignInstance));
    }

    #[test]
    fn a_timestamp_is_in_milliseconds_or_in_the_seconds_of_a_sample() {
        let at = |timestamp: &str| {
            event(&format!(r#"{{"type":"x","timestamp":{timestamp}}}"#))
                .expect("an event")
                .occurred_at
        };
        let expected = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_783_000_000));
        assert_eq!(at("1783000000"), expected);
        assert_eq!(at("1783000000000"), expected);
        for unreadable in ["null", "-5", "1.5", "\"1783000000\"", "1e400"] {
            assert_eq!(at(unreadable), None, "{unreadable}");
        }
    }
}

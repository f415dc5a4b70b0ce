//! Clerk's events (`docs/vendors/clerk.md`, "Envelope" to "Sample events").
//!
//! The reader is tolerant, because events grow. An event of another type needs a string `type` only,
//! and a handled one a well-formed `data.id`. A member of another JSON type than documented counts as
//! absent, and the depth of an unknown member does not matter.

use std::borrow::{Borrow, Cow};
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use serde_json::value::RawValue;
use strum::{IntoStaticStr, VariantNames};

use super::UserId;
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

/// The members of a JSON object, each parsed when it is read.
struct Object<'a>(BTreeMap<Name<'a>, &'a RawValue>);

/// The name of a member, copied only where it is written with escapes.
#[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl Borrow<str> for Name<'_> {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl<'a> Object<'a> {
    fn read(text: &'a str) -> Option<Self> {
        serde_json::from_str(text).ok().map(Self)
    }

    /// The value of a member, where it exists and has this type.
    fn get<T: Deserialize<'a>>(&self, name: &str) -> Option<T> {
        serde_json::from_str(self.0.get(name)?.get()).ok()
    }

    fn object(&self, name: &str) -> Option<Self> {
        Self::read(self.0.get(name)?.get())
    }

    /// The `db_region` of this kind of metadata; a value of another JSON type as its JSON text.
    fn preference(&self, metadata: &str) -> Option<String> {
        let metadata = self.object(metadata)?;
        let raw = metadata.0.get("db_region")?.get();
        metadata.get("db_region").or_else(|| (raw != "null").then(|| raw.to_owned()))
    }
}

impl Event {
    /// Reads a body whose signature has been checked.
    ///
    /// # Errors
    /// When these bytes can never be handled.
    pub fn read(body: &[u8], instances: &Instances) -> Result<Self, InvalidReason> {
        let text = std::str::from_utf8(body).map_err(|_| InvalidReason::InvalidJson)?;
        let envelope = Object::read(text).ok_or_else(|| {
            let is_json = serde_json::from_str::<&RawValue>(text).is_ok();
            if is_json { InvalidReason::InvalidPayload } else { InvalidReason::InvalidJson }
        })?;
        let kind: String = envelope.get("type").ok_or(InvalidReason::InvalidPayload)?;
        let occurred_at = envelope.get("timestamp").map(time_of);
        let instance: Option<String> = envelope.get("instance_id");
        let intent = match kind.as_str() {
            "user.created" | "user.deleted" => {
                user_intent(&kind, &envelope, instance.as_deref(), instances)?
            }
            _ => Intent::Ignore(IgnoreReason::UnhandledType),
        };
        Ok(Self { intent, occurred_at, instance })
    }
}

impl Preferences {
    /// Reads those of a user, as Clerk's API describes one.
    pub fn of_user(json: &str) -> Self {
        Object::read(json).as_ref().map(Self::from).unwrap_or_default()
    }
}

impl From<&Object<'_>> for Preferences {
    fn from(user: &Object<'_>) -> Self {
        Self {
            private_metadata: user.preference("private_metadata"),
            public_metadata: user.preference("public_metadata"),
            unsafe_metadata: user.preference("unsafe_metadata"),
        }
    }
}

/// The intent of an event of a user.
fn user_intent(
    kind: &str,
    envelope: &Object<'_>,
    instance: Option<&str>,
    instances: &Instances,
) -> Result<Intent, InvalidReason> {
    let user = envelope.object("data").ok_or(InvalidReason::InvalidPayload)?;
    let raw_id = user.0.get("id").map(|raw| raw.get()).filter(|raw| *raw != "null");
    let raw_id = raw_id.ok_or(InvalidReason::MissingUserId)?;
    let id: String = serde_json::from_str(raw_id).map_err(|_| InvalidReason::InvalidPayload)?;
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
    let request = envelope.object("event_attributes").and_then(|it| it.object("http_request"));
    Ok(Intent::Provision(SignUp {
        user_id,
        hints: Hints {
            preferences: Preferences::from(&user),
            client_ip: request.as_ref().and_then(|request| request.get("client_ip")),
            user_agent: request.as_ref().and_then(|request| request.get("user_agent")),
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
            r#"{{"type":"user.created","x":{deep},"data":{{"id":"user_abcdefghij","y":{deep}}}}}"#
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

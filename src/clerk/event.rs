//! Clerk's envelope, read with tolerance: only a string `type` is needed to be ignored, and only a
//! well-formed `data.id` to be handled. Members of other types than documented count as absent,
//! unknown ones are skipped, and nothing here depends on how deep an ignored member nests
//! (`contracts/clerk.md` sections 2 to 6).

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use serde_json::value::RawValue;
use strum::{IntoStaticStr, VariantNames};

use super::UserId;

/// Ids of Clerk's sample events ("Send Example"). They are signed, and look real (section 6).
const SAMPLE_USERS: [&str; 3] = [
    "user_29w83sxmDNGwOuEthce5gg56FcC",
    "user_29wBMCtzATuFJut8jO2VNTVekS4",
    "user_2g7np7Hrk0SN6kj5EDMLDaKNL0S",
];
const SAMPLE_INSTANCES: [&str; 2] = ["ins_2g7np7Hrk0SN6kj5EDMLDaKNL0S", "ins_123"];

/// What a delivery's body says.
#[derive(Debug, PartialEq)]
pub struct Event {
    /// What it asks of us.
    pub intent: Intent,
    /// When it happened, if it says so.
    pub happened: Option<SystemTime>,
    /// The Clerk instance in which it happened, if it says so.
    pub instance: Option<String>,
}

/// What an event asks of us.
#[derive(Debug, PartialEq)]
pub enum Intent {
    /// `user.created`: the user is to have a database.
    Provision(SignUp),
    /// `user.deleted`.
    Remove(UserId),
    /// Nothing.
    Ignore(Ignored),
}

/// A new user, and what is said of where they are.
#[derive(Debug, PartialEq)]
pub struct SignUp {
    /// Whose database it will be.
    pub user_id: UserId,
    /// The three kinds of metadata.
    pub metadata: Metadata,
    /// Address of the client that caused the event, as text. Personal: it must not reach a log.
    pub client_ip: Option<String>,
    /// What software that client was.
    pub user_agent: Option<String>,
}

/// The region that each kind of metadata asks for, under the key `db_region`. Text of any content,
/// a value of another JSON type as its JSON text; either can only ever be compared with what is
/// allowed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// Written by the application's backend only.
    pub private: Option<String>,
    /// Written by the application's backend only.
    pub public: Option<String>,
    /// Written by the user's browser.
    pub r#unsafe: Option<String>,
}

/// Why there is nothing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Ignored {
    /// Not a type that we handle.
    UnhandledType,
    /// One of Clerk's sample events.
    SampleEvent,
    /// From an instance that is not ours.
    ForeignInstance,
    /// Clerk does not know the user any more.
    UserGone,
}

/// Why a body can never be handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Invalid {
    /// Not JSON.
    InvalidJson,
    /// JSON, but not an event: no object, no string `type`, `data` that is no object, an id that is
    /// no string.
    InvalidPayload,
    /// An event of a user, but of which?
    MissingUserId,
    /// An id that is none of Clerk's.
    InvalidUserId,
}

/// The Clerk instances whose events count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Instances {
    /// Every instance.
    Any,
    /// These, and no event that does not name one of them.
    Only(Vec<String>),
}

impl Instances {
    fn contain(&self, instance: Option<&str>) -> bool {
        match self {
            Self::Any => true,
            Self::Only(known) => {
                instance.is_some_and(|instance| known.iter().any(|id| id == instance))
            }
        }
    }
}

/// The members of a JSON object, each read only when it is asked for.
struct Object<'a>(HashMap<String, &'a RawValue>);

impl<'a> Object<'a> {
    fn read(text: &'a str) -> Option<Self> {
        serde_json::from_str(text).ok().map(Self)
    }

    /// The value of a member, if it is there and has the type we expect.
    fn get<T: Deserialize<'a>>(&self, name: &str) -> Option<T> {
        serde_json::from_str(self.0.get(name)?.get()).ok()
    }

    fn object(&self, name: &str) -> Option<Self> {
        Self::read(self.0.get(name)?.get())
    }

    /// The region that a user's metadata of this kind asks for.
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
    /// When no retry of these bytes could ever be handled.
    pub fn read(body: &[u8], instances: &Instances) -> Result<Self, Invalid> {
        // Skipped members are not validated by the parser, so the whole text is checked first.
        let text = std::str::from_utf8(body).map_err(|_| Invalid::InvalidJson)?;
        let whole: &RawValue = serde_json::from_str(text).map_err(|_| Invalid::InvalidJson)?;
        let envelope = Object::read(whole.get()).ok_or(Invalid::InvalidPayload)?;
        let kind: String = envelope.get("type").ok_or(Invalid::InvalidPayload)?;
        let happened = envelope.get("timestamp").map(moment);
        let instance: Option<String> = envelope.get("instance_id");
        let intent = match kind.as_str() {
            "user.created" | "user.deleted" => {
                of_user(&kind, &envelope, instance.as_deref(), instances)?
            }
            _ => Intent::Ignore(Ignored::UnhandledType),
        };
        Ok(Self { intent, happened, instance })
    }
}

/// What an event asks for one user, unless it is nobody's or not ours.
fn of_user(
    kind: &str,
    envelope: &Object<'_>,
    instance: Option<&str>,
    instances: &Instances,
) -> Result<Intent, Invalid> {
    let user = envelope.object("data").ok_or(Invalid::InvalidPayload)?;
    let raw_id = user.0.get("id").map(|raw| raw.get()).filter(|raw| *raw != "null");
    let raw_id = raw_id.ok_or(Invalid::MissingUserId)?;
    let id: String = serde_json::from_str(raw_id).map_err(|_| Invalid::InvalidPayload)?;
    let user_id = UserId::try_from(id.as_str()).map_err(|_| Invalid::InvalidUserId)?;
    if SAMPLE_USERS.contains(&user_id.as_str())
        || instance.is_some_and(|id| SAMPLE_INSTANCES.contains(&id))
    {
        return Ok(Intent::Ignore(Ignored::SampleEvent));
    }
    if !instances.contain(instance) {
        return Ok(Intent::Ignore(Ignored::ForeignInstance));
    }
    if kind == "user.deleted" {
        return Ok(Intent::Remove(user_id));
    }
    let request = envelope.object("event_attributes").and_then(|it| it.object("http_request"));
    Ok(Intent::Provision(SignUp {
        user_id,
        metadata: Metadata {
            private: user.preference("private_metadata"),
            public: user.preference("public_metadata"),
            r#unsafe: user.preference("unsafe_metadata"),
        },
        client_ip: request.as_ref().and_then(|request| request.get("client_ip")),
        user_agent: request.as_ref().and_then(|request| request.get("user_agent")),
    }))
}

/// Clerk writes milliseconds; its sample events write seconds (section 2).
fn moment(timestamp: u64) -> SystemTime {
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

    fn event(body: &str) -> Result<Event, Invalid> {
        Event::read(body.as_bytes(), &Instances::Any)
    }

    fn sign_up(body: &str) -> SignUp {
        match event(body).expect("an event").intent {
            Intent::Provision(sign_up) => sign_up,
            other => panic!("no sign-up: {other:?}"),
        }
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_not_json_even_in_a_member_we_ignore() {
        let body = b"{\"type\":\"session.created\",\"extra\":\"\xff\"}";
        assert_eq!(Event::read(body, &Instances::Any), Err(Invalid::InvalidJson));
    }

    #[test]
    fn an_ignored_type_needs_no_data() {
        for data in ["", r#","data":null"#, r#","data":7"#, r#","data":{"id":7}"#] {
            let event = event(&format!(r#"{{"type":"session.created"{data}}}"#)).expect("an event");
            assert_eq!(event.intent, Intent::Ignore(Ignored::UnhandledType));
        }
    }

    #[test]
    fn depth_in_ignored_members_does_not_matter() {
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
        assert_eq!((sign_up.client_ip, sign_up.user_agent), (None, None));
        let metadata =
            Metadata { private: None, public: Some(r#"["x"]"#.to_owned()), r#unsafe: None };
        assert_eq!(sign_up.metadata, metadata);
    }

    #[test]
    fn an_array_is_not_an_object_whatever_stands_in_it() {
        let data = r#"{"id":"user_abcdefghij"}"#;
        assert_eq!(event(&format!(r#"["user.created",{data}]"#)), Err(Invalid::InvalidPayload));
        let body = r#"{"type":"user.created","data":["user_abcdefghij"]}"#;
        assert_eq!(event(body), Err(Invalid::InvalidPayload));
    }

    #[test]
    fn an_event_without_an_instance_is_foreign_once_instances_are_listed() {
        let body = br#"{"type":"user.created","data":{"id":"user_abcdefghij"}}"#;
        let ours = Instances::Only(vec!["ins_ours".to_owned()]);
        let event = Event::read(body, &ours).expect("an event");
        assert_eq!(event.intent, Intent::Ignore(Ignored::ForeignInstance));
    }

    #[test]
    fn a_timestamp_is_in_milliseconds_or_in_the_seconds_of_a_sample() {
        let at = |timestamp: &str| {
            event(&format!(r#"{{"type":"x","timestamp":{timestamp}}}"#)).expect("an event").happened
        };
        let expected = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_783_000_000));
        assert_eq!(at("1783000000"), expected);
        assert_eq!(at("1783000000000"), expected);
        for unreadable in ["null", "-5", "1.5", "\"1783000000\"", "1e400"] {
            assert_eq!(at(unreadable), None, "{unreadable}");
        }
    }
}

//! The users of a run: when each signs up and is deleted, and when Hookdeck receives the events.

use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use serde_json::json;
use standin::clerk;
use standin::clock::START;
use strum::IntoStaticStr;

use crate::services::Api;

/// Public addresses that belong to no user, with the region that each leads to: on the platform, and
/// on Xata Lite.
const CLIENTS: [(&str, &str, &str); 6] = [
    ("84.200.69.80", "eu-central-1", "eu-west-1"),
    ("2001:67c:2e8:22::c100:68b", "eu-central-1", "eu-west-1"),
    ("1.1.1.1", "us-west-2", "ap-southeast-2"),
    ("8.8.8.8", "us-east-1", "us-east-1"),
    ("192.168.1.20", "us-east-1", "us-east-1"),
    ("", "us-east-1", "us-east-1"),
];

/// The type of an event about a user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, IntoStaticStr)]
pub(crate) enum EventType {
    #[default]
    #[strum(serialize = "user.created")]
    Created,
    #[strum(serialize = "user.deleted")]
    Deleted,
}

/// A user. All times are since the start of the run.
#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) id: String,
    client_ip: &'static str,
    /// The region that the database must be in.
    pub(crate) region: &'static str,
    pub(crate) signed_up_at: Duration,
    pub(crate) deleted_at: Option<Duration>,
    /// The user's metadata is full before.
    pub(crate) has_room_at: Option<Duration>,
    /// When Hookdeck receives `user.created`: at least once.
    created_events_at: Vec<Duration>,
    /// When Hookdeck receives `user.deleted`; for a user that still exists, a false one.
    deleted_events_at: Vec<Duration>,
}

/// What happens at some time.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    SignUp,
    Delete,
    /// The application makes room in the user's metadata.
    MakeRoom,
    /// Hookdeck receives an event.
    Send(EventType),
}

impl User {
    /// A user who is never deleted.
    pub(crate) fn draw(rng: &mut Rng, api: Api, at: Duration, fault_rate: f64) -> Self {
        let (client_ip, on_platform, on_lite) = *one_of(rng, &CLIENTS);
        let later = later(rng);
        let id = clerk::user_id_at(rng.u64(..), (START + at).as_secs());
        let is_sent_again = rng.f64() < fault_rate;
        Self {
            id,
            client_ip,
            region: if api == Api::Platform { on_platform } else { on_lite },
            signed_up_at: at,
            deleted_at: None,
            has_room_at: None,
            created_events_at: [at]
                .into_iter()
                .chain(is_sent_again.then_some(at + later))
                .collect(),
            deleted_events_at: Vec::new(),
        }
    }

    /// Deletes the user within seconds or a day. With faults, the events of the sign-up and of the
    /// deletion meet, overtake each other and are sent again.
    pub(crate) fn delete(&mut self, rng: &mut Rng, with_faults: bool) {
        let max_ms = *one_of(rng, &[10_000, 120_000, 600_000, 700_000, 3_600_000, 86_400_000]);
        let mut at = self.signed_up_at + Duration::from_millis(rng.u64(0..max_ms));
        let within_seconds = Duration::from_millis(rng.u64(0..3_000));
        if let Some(copy) = self.created_events_at.get(1).filter(|_| rng.bool()) {
            at = *copy + within_seconds; // while a delivery of the sign-up is under way
        }
        let sent_at = at + Duration::from_millis(*one_of(rng, &[0, 0, 50, 2_000, 60_000, 600_000]));
        self.deleted_at = Some(at);
        self.deleted_events_at = vec![sent_at];
        if !with_faults {
            return;
        }
        if rng.u8(..4) == 0 {
            self.deleted_events_at.push(sent_at + later(rng));
        }
        if rng.u8(..5) == 0 {
            self.created_events_at[0] = sent_at + later(rng);
        }
        if rng.bool() {
            self.created_events_at.push(sent_at + later(rng));
        }
    }

    /// Sends `user.deleted` although the user still exists.
    pub(crate) fn send_false_deletion(&mut self, rng: &mut Rng) {
        self.deleted_events_at = vec![self.signed_up_at + later(rng)];
    }

    /// Fills the user's metadata, for seconds or hours.
    pub(crate) fn fill_metadata(&mut self, rng: &mut Rng) {
        let seconds = *one_of(rng, &[10, 600, 7_200, 86_400]);
        self.has_room_at = Some(self.signed_up_at + Duration::from_secs(seconds));
    }

    /// What happens, and when.
    pub(crate) fn steps(&self) -> impl Iterator<Item = (Duration, Step)> {
        let send = |event_type| move |&at: &Duration| (at, Step::Send(event_type));
        [(self.signed_up_at, Step::SignUp)]
            .into_iter()
            .chain(self.deleted_at.map(|at| (at, Step::Delete)))
            .chain(self.has_room_at.map(|at| (at, Step::MakeRoom)))
            .chain(self.created_events_at.iter().map(send(EventType::Created)))
            .chain(self.deleted_events_at.iter().map(send(EventType::Deleted)))
    }

    /// The time in an event of this type.
    pub(crate) fn event_time(&self, event_type: EventType) -> Duration {
        match event_type {
            EventType::Created => self.signed_up_at,
            EventType::Deleted => {
                self.deleted_at.or(self.deleted_events_at.first().copied()).unwrap_or_default()
            }
        }
    }

    /// The user as Clerk stores it.
    pub(crate) fn at_clerk(&self) -> clerk::SignUp {
        clerk::SignUp {
            client_ip: Some(self.client_ip.to_owned()),
            timestamp_ms: timestamp_ms(self.signed_up_at),
            private_metadata: match self.has_room_at {
                Some(_) => json!({ "plan": "x".repeat(8_100) }),
                None => clerk::SignUp::new(&self.id).private_metadata,
            },
            ..clerk::SignUp::new(&self.id)
        }
    }

    pub(crate) fn event(&self, event_type: EventType) -> Bytes {
        let body = match event_type {
            EventType::Created => self.at_clerk().user_created(),
            EventType::Deleted => {
                self.at_clerk().user_deleted(timestamp_ms(self.event_time(event_type)))
            }
        };
        body.into()
    }

    /// How many events were sent again.
    pub(crate) fn n_sent_again(&self) -> usize {
        self.created_events_at.len() - 1 + self.deleted_events_at.len().saturating_sub(1)
    }

    /// Whether Hookdeck received the deletion before the sign-up.
    pub(crate) fn is_overtaken(&self) -> bool {
        let first = self.deleted_events_at.iter().min().filter(|_| self.deleted_at.is_some());
        first.is_some_and(|first| self.created_events_at.iter().all(|at| at > first))
    }

    pub(crate) fn has_false_deletion(&self) -> bool {
        self.deleted_at.is_none() && !self.deleted_events_at.is_empty()
    }
}

pub(super) fn one_of<'a, T>(rng: &mut Rng, choices: &'a [T]) -> &'a T {
    &choices[rng.usize(..choices.len())]
}

/// How much later an event is sent again.
fn later(rng: &mut Rng) -> Duration {
    Duration::from_secs(*one_of(rng, &[0, 0, 2, 60, 600, 90_000]))
}

fn timestamp_ms(since_start: Duration) -> u64 {
    u64::try_from((START + since_start).as_millis()).unwrap_or(u64::MAX)
}

//! What is counted in a run, and summed over all runs.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use strum::{EnumIter, IntoStaticStr};

#[derive(Debug, Default, Serialize)]
pub(crate) struct Counts {
    pub(crate) users: u64,
    #[serde(rename = "leavers")]
    pub(crate) deleted_users: DeletedUsers,
    pub(crate) deliveries: u64,
    pub(crate) creates: u64,
    pub(crate) look_ups: u64,
    pub(crate) clerk_requests: u64,
    /// By the name of the [`Fault`].
    #[serde(rename = "troubles")]
    pub(crate) faults: BTreeMap<&'static str, u64>,
    /// By status, outcome and reason.
    #[serde(rename = "answers")]
    pub(crate) responses: BTreeMap<String, u64>,
    /// From each sign-up to the first response that the user has a database.
    #[serde(skip)]
    pub(crate) times_to_success: Vec<Duration>,
}

#[derive(Debug, Default, Serialize)]
pub(crate) struct DeletedUsers {
    pub(crate) users: u64,
    /// Those that end with an empty database: a repeated sign-up was under way when the user was
    /// deleted. Clerk had confirmed the user, and the deletion was complete before the create.
    pub(crate) left_behind: u64,
    pub(crate) seeds_of_left_behind: Vec<u64>,
}

/// A fault, or what an operator does after one.
#[derive(Clone, Copy, Debug, EnumIter, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Fault {
    FaultyRequestsToXata,
    FaultyRequestsToClerk,
    ProcessesDied,
    AnswersLost,
    DeliveredTwiceAtOnce,
    EventsSentAgain,
    /// Hookdeck received the deletion of a user before the sign-up.
    EventsOvertaken,
    /// Hookdeck received the deletion of a user that still exists.
    FalseAlarms,
    /// Failed at Hookdeck after the last retry; then retried by an operator.
    EventsGivenUp,
    /// Clerk's key was rotated before the function's settings had the new one.
    KeysRotated,
    /// Users whose metadata had no room for the entry, until the application made some.
    MetadataFull,
}

impl Counts {
    pub(crate) fn add_fault(&mut self, fault: Fault, n: usize) {
        *self.faults.entry(fault.into()).or_default() += n as u64;
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.users += other.users;
        self.deleted_users.users += other.deleted_users.users;
        self.deleted_users.left_behind += other.deleted_users.left_behind;
        self.deleted_users.seeds_of_left_behind.extend(other.deleted_users.seeds_of_left_behind);
        self.deliveries += other.deliveries;
        self.creates += other.creates;
        self.look_ups += other.look_ups;
        self.clerk_requests += other.clerk_requests;
        self.times_to_success.extend(other.times_to_success);
        for (fault, n) in other.faults {
            *self.faults.entry(fault).or_default() += n;
        }
        for (response, n) in other.responses {
            *self.responses.entry(response).or_default() += n;
        }
    }
}

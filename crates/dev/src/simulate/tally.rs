//! What is counted in a world, and summed over all of them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) users: u64,
    pub(crate) leavers: Leavers,
    pub(crate) deliveries: u64,
    pub(crate) creates: u64,
    pub(crate) look_ups: u64,
    pub(crate) questions_to_clerk: u64,
    pub(crate) troubles: Troubles,
    pub(crate) answers: BTreeMap<String, u64>,
    /// From sign-up to the first answer that the user has a database.
    pub(crate) times: Vec<Duration>,
}

/// Those who left.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Leavers {
    pub(crate) users: u64,
    /// Those of them who end with an empty database. A repeated sign-up was under way when they
    /// left: Clerk had said that they are there, and their deletion was through before the create.
    pub(crate) left_behind: u64,
    /// The worlds where that happened.
    pub(crate) seeds_of_left_behind: Vec<u64>,
}

/// What went wrong, and how often.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Troubles {
    pub(crate) calls_to_xata_struck: u64,
    pub(crate) calls_to_clerk_struck: u64,
    pub(crate) processes_died: u64,
    pub(crate) answers_lost: u64,
    pub(crate) delivered_twice_at_once: u64,
    pub(crate) events_sent_again: u64,
    /// Hookdeck heard that somebody left before it heard of them.
    pub(crate) events_overtaken: u64,
    /// Hookdeck heard that somebody left who did not.
    pub(crate) false_alarms: u64,
    /// By Hookdeck, after its last retry; then retried by hand.
    pub(crate) events_given_up: u64,
    /// Of users who stayed, at Clerk, before somebody replayed their sign-ups.
    pub(crate) entries_missing: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        self.users += other.users;
        self.deliveries += other.deliveries;
        self.creates += other.creates;
        self.look_ups += other.look_ups;
        self.questions_to_clerk += other.questions_to_clerk;
        let (ours, theirs) = (&mut self.leavers, other.leavers);
        ours.users += theirs.users;
        ours.left_behind += theirs.left_behind;
        ours.seeds_of_left_behind.extend(theirs.seeds_of_left_behind);
        let (ours, theirs) = (&mut self.troubles, other.troubles);
        ours.calls_to_xata_struck += theirs.calls_to_xata_struck;
        ours.calls_to_clerk_struck += theirs.calls_to_clerk_struck;
        ours.processes_died += theirs.processes_died;
        ours.answers_lost += theirs.answers_lost;
        ours.delivered_twice_at_once += theirs.delivered_twice_at_once;
        ours.events_sent_again += theirs.events_sent_again;
        ours.events_overtaken += theirs.events_overtaken;
        ours.false_alarms += theirs.false_alarms;
        ours.events_given_up += theirs.events_given_up;
        ours.entries_missing += theirs.entries_missing;
        self.times.extend(other.times);
        for (answer, n) in other.answers {
            *self.answers.entry(answer).or_default() += n;
        }
    }
}

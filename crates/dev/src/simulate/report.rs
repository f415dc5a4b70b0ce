//! The result of many runs, or of one.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

use cli::output;
use serde::Serialize;
use serde_json::Value;
use standin::hookdeck::{AttemptError, Event};
use strum::IntoEnumIterator;

use super::counts::{Counts, DeletedUsers, Fault};
use super::scenario::Plan;
use super::users::EventType;

/// What happened to one user.
#[derive(Serialize)]
pub(crate) struct UserTrace {
    pub(crate) user: String,
    pub(crate) region: &'static str,
    pub(crate) signed_up_after_seconds: f64,
    pub(crate) served_after_seconds: Option<f64>,
    pub(crate) left_after_seconds: Option<f64>,
    pub(crate) is_left_behind: bool,
    pub(crate) events: Vec<EventTrace>,
}

#[derive(Serialize)]
pub(crate) struct EventTrace {
    #[serde(rename = "type")]
    event_type: &'static str,
    /// Each with its start, since the event, and its result.
    attempts: Vec<String>,
}

/// A seed whose run violates an invariant.
#[derive(Serialize)]
pub(crate) struct Failure {
    pub(crate) seed: u64,
    #[serde(rename = "wrong")]
    pub(crate) violations: Vec<String>,
    /// The command that repeats the run.
    pub(crate) replay: String,
}

/// Nothing in it depends on the machine.
#[derive(Serialize)]
pub(crate) struct Report {
    plan: Plan,
    seeds: u64,
    users: u64,
    #[serde(rename = "leavers")]
    deleted_users: DeletedUsers,
    deliveries: u64,
    deliveries_per_user: f64,
    creates_per_user: f64,
    look_ups_per_user: f64,
    #[serde(rename = "questions_to_clerk_per_user")]
    user_checks_per_user: f64,
    time_to_success: TimeToSuccess,
    #[serde(rename = "troubles")]
    faults: BTreeMap<&'static str, u64>,
    #[serde(rename = "answers")]
    responses: BTreeMap<String, u64>,
    failures: Vec<Failure>,
    #[serde(rename = "told", skip_serializing_if = "Option::is_none")]
    trace: Option<Trace>,
}

/// The details of a single run.
#[derive(Serialize)]
pub(crate) struct Trace {
    #[serde(rename = "world")]
    pub(crate) scenario: String,
    #[serde(rename = "stories")]
    pub(crate) users: Vec<UserTrace>,
}

/// Seconds from a sign-up to the first response that the user has a database.
#[derive(Serialize)]
struct TimeToSuccess {
    median: f64,
    nine_of_ten: f64,
    ninety_nine_of_a_hundred: f64,
    longest: f64,
}

impl EventTrace {
    pub(crate) fn new(event_type: EventType, event: &Event) -> Self {
        let attempts = event.attempts.iter().map(|attempt| {
            let result = match (attempt.status, &attempt.error) {
                (Some(status), _) => format!("{status} {}", reason_or_status(&attempt.body)),
                (None, Some(AttemptError::Connection(error))) => error.clone(),
                (None, _) => "no response".to_owned(),
            };
            format!("{} s: {}", attempt.started_after.as_secs(), result.trim_end())
        });
        Self { event_type: event_type.as_str(), attempts: attempts.collect() }
    }
}

fn reason_or_status(body: &[u8]) -> String {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let word = body["reason"].as_str().or(body["status"].as_str());
    word.unwrap_or_default().to_owned()
}

impl Report {
    pub(crate) fn new(
        plan: Plan,
        seeds: u64,
        mut counts: Counts,
        failures: Vec<Failure>,
        trace: Option<Trace>,
    ) -> Self {
        for fault in Fault::iter() {
            counts.add_fault(fault, 0); // a fault that never happened is part of the report
        }
        counts.times_to_success.sort_unstable();
        let seconds = |per_mille| percentile(&counts.times_to_success, per_mille);
        let per_user = |n| round(ratio(n, counts.users));
        Self {
            plan,
            seeds,
            users: counts.users,
            deliveries: counts.deliveries,
            deliveries_per_user: per_user(counts.deliveries),
            creates_per_user: per_user(counts.creates),
            look_ups_per_user: per_user(counts.look_ups),
            user_checks_per_user: per_user(counts.user_checks),
            time_to_success: TimeToSuccess {
                median: seconds(500),
                nine_of_ten: seconds(900),
                ninety_nine_of_a_hundred: seconds(990),
                longest: seconds(1000),
            },
            deleted_users: counts.deleted_users,
            faults: counts.faults,
            responses: counts.responses,
            failures,
            trace,
        }
    }

    /// Whether no run violates an invariant.
    pub(crate) fn holds(&self) -> bool {
        self.failures.is_empty()
    }

    pub(crate) fn print(&self, as_json: bool) -> anyhow::Result<()> {
        if as_json {
            return output::json(self);
        }
        if let Some(trace) = &self.trace {
            output::line(format_args!("{}\n{}", trace.scenario, trace.table()))?;
        }
        output::line(self.table())?;
        for Failure { seed, violations, replay } in &self.failures {
            output::line(format_args!("seed {seed} breaks a promise:"))?;
            for violation in violations {
                output::line(format_args!("  {violation}"))?;
            }
            output::line(format_args!("  to repeat the run: {replay}"))?;
        }
        if self.holds() {
            output::line(self.conclusion())?;
        }
        Ok(())
    }

    /// What holds for every user when no run violates an invariant.
    fn conclusion(&self) -> String {
        let DeletedUsers { users, left_behind, seeds_of_left_behind } = &self.deleted_users;
        let remaining = "has exactly one database, in the right region";
        let seeds: Vec<_> = seeds_of_left_behind.iter().map(u64::to_string).collect();
        match (users, left_behind) {
            (0, _) => format!("Every user {remaining}."),
            (_, 0) => format!("Every remaining user {remaining}; no deleted user has one."),
            (_, n) => format!(
                "Every remaining user {remaining}; no deleted user has one, except {n} whose sign-up \
                 was repeated during the deletion (--seed {}).",
                seeds.join(", "),
            ),
        }
    }

    /// The name of a fault's row is that of its member in the JSON document.
    fn table(&self) -> impl Display {
        let mut table = output::table();
        let time = &self.time_to_success;
        for (name, value) in [
            ("seeds", self.seeds.to_string()),
            ("users", self.users.to_string()),
            ("deleted users", self.deleted_users.users.to_string()),
            ("left behind", self.deleted_users.left_behind.to_string()),
            ("deliveries per user", self.deliveries_per_user.to_string()),
            ("creates per user", self.creates_per_user.to_string()),
            ("look-ups per user", self.look_ups_per_user.to_string()),
            ("requests to Clerk per user", self.user_checks_per_user.to_string()),
            ("time to success, median", format!("{} s", time.median)),
            ("90 %", format!("{} s", time.nine_of_ten)),
            ("99 %", format!("{} s", time.ninety_nine_of_a_hundred)),
            ("longest", format!("{} s", time.longest)),
        ] {
            table.add_row([name, &value]);
        }
        for (fault, n) in &self.faults {
            table.add_row([fault.replace('_', " "), n.to_string()]);
        }
        for (response, n) in &self.responses {
            table.add_row([response, &n.to_string()]);
        }
        table
    }
}

impl Trace {
    fn table(&self) -> impl Display {
        let mut table = output::table();
        table.set_header(["user", "region", "signed up", "served after", "left after", "attempts"]);
        for user in &self.users {
            let seconds =
                |it: Option<f64>| it.map_or("never".to_owned(), |it| format!("{it:.1} s"));
            let left_behind = if user.is_left_behind { ", left behind" } else { "" };
            let event = |it: &EventTrace| format!("{}: {}", it.event_type, it.attempts.join(", "));
            table.add_row([
                &user.user,
                user.region,
                &seconds(Some(user.signed_up_after_seconds)),
                &seconds(user.served_after_seconds),
                &(seconds(user.left_after_seconds) + left_behind),
                &user.events.iter().map(event).collect::<Vec<_>>().join("\n"),
            ]);
        }
        table
    }
}

/// The longest of the shortest so many of a thousand, in seconds. The times are sorted.
fn percentile(times: &[Duration], per_mille: usize) -> f64 {
    let last = times.len().saturating_sub(1);
    let time = times.get(last * per_mille / 1000).copied().unwrap_or_default();
    round(time.as_secs_f64())
}

#[expect(clippy::cast_precision_loss, reason = "the report rounds it")]
fn ratio(n: u64, of: u64) -> f64 {
    n as f64 / of.max(1) as f64
}

fn round(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

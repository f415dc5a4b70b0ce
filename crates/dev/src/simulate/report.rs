//! The result of many runs, or of one.

use std::collections::BTreeMap;
use std::fmt::Display;

use cli::output;
use serde::Serialize;
use serde_json::Value;
use standin::hookdeck::{AttemptError, Event};
use strum::IntoEnumIterator;

use super::counts::{Counts, DeletedUsers, Fault};
use super::scenario::Plan;
use super::users::EventType;

/// Nothing in it depends on the machine.
#[derive(Serialize)]
pub(crate) struct Report {
    plan: Plan,
    seeds: u64,
    #[serde(flatten)]
    counts: Counts,
    #[serde(flatten)]
    averages: BTreeMap<&'static str, f64>,
    /// Seconds from a sign-up to the first response that the user has a database.
    time_to_success: BTreeMap<&'static str, f64>,
    failures: Vec<Failure>,
    #[serde(rename = "told", skip_serializing_if = "Option::is_none")]
    trace: Option<Trace>,
}

/// A seed whose run violates an invariant.
#[derive(Serialize)]
pub(crate) struct Failure {
    pub(crate) seed: u64,
    pub(crate) violations: Vec<String>,
    /// The command that repeats the run.
    pub(crate) replay: String,
}

/// The details of a single run.
#[derive(Serialize)]
pub(crate) struct Trace {
    pub(crate) scenario: String,
    #[serde(rename = "stories")]
    pub(crate) users: Vec<UserTrace>,
}

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

impl EventTrace {
    pub(crate) fn new(event_type: EventType, event: &Event) -> Self {
        let attempts = event.attempts.iter().map(|attempt| {
            let result = match (attempt.status, &attempt.error) {
                (Some(status), _) => {
                    let body: Value = serde_json::from_slice(&attempt.body).unwrap_or_default();
                    let word = body["reason"].as_str().or(body["status"].as_str());
                    format!("{status} {}", word.unwrap_or_default())
                }
                (None, Some(AttemptError::Connection(error))) => error.clone(),
                (None, _) => "no response".to_owned(),
            };
            format!("{} s: {}", attempt.started_after.as_secs(), result.trim_end())
        });
        Self { event_type: event_type.into(), attempts: attempts.collect() }
    }
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
            counts.add_fault(fault, 0); // the report lists faults that never happened, too
        }
        counts.times_to_success.sort_unstable();
        // The longest of the shortest so many of a thousand.
        let seconds = |per_mille: usize| {
            let last = counts.times_to_success.len().saturating_sub(1);
            let time = counts.times_to_success.get(last * per_mille / 1000);
            round(time.copied().unwrap_or_default().as_secs_f64())
        };
        #[expect(clippy::cast_precision_loss, reason = "the result is rounded")]
        let per_user = |n: u64| round(n as f64 / counts.users.max(1) as f64);
        Self {
            plan,
            seeds,
            averages: BTreeMap::from([
                ("deliveries_per_user", per_user(counts.deliveries)),
                ("creates_per_user", per_user(counts.creates)),
                ("look_ups_per_user", per_user(counts.look_ups)),
                ("clerk_requests_per_user", per_user(counts.clerk_requests)),
            ]),
            time_to_success: BTreeMap::from([
                ("median", seconds(500)),
                ("nine_of_ten", seconds(900)),
                ("ninety_nine_of_a_hundred", seconds(990)),
                ("longest", seconds(1000)),
            ]),
            counts,
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
            output::line(&trace.scenario)?;
            for user in &trace.users {
                output::line(serde_json::to_string(user)?)?;
            }
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
        let DeletedUsers { left_behind, seeds_of_left_behind, .. } = &self.counts.deleted_users;
        let seeds: Vec<_> = seeds_of_left_behind.iter().map(u64::to_string).collect();
        let except = match left_behind {
            0 => String::new(),
            n => format!(", except {n} left behind (--seed {})", seeds.join(", ")),
        };
        format!(
            "Every remaining user has exactly one database, in the right region; \
             no deleted user has one{except}."
        )
    }

    /// Most rows have the name of their member in the JSON document.
    fn table(&self) -> impl Display {
        let mut table = output::table();
        let words = |name: &str| name.replace('_', " ");
        let Counts { users, deleted_users, faults, responses, .. } = &self.counts;
        for (name, n) in [
            ("seeds", self.seeds),
            ("users", *users),
            ("deleted users", deleted_users.users),
            ("left behind", deleted_users.left_behind),
        ] {
            table.add_row([name, &n.to_string()]);
        }
        for (name, average) in &self.averages {
            table.add_row([words(name), average.to_string()]);
        }
        for (name, seconds) in &self.time_to_success {
            table.add_row([format!("time to success, {}", words(name)), format!("{seconds} s")]);
        }
        for (fault, n) in faults {
            table.add_row([words(fault), n.to_string()]);
        }
        for (response, n) in responses {
            table.add_row([response, &n.to_string()]);
        }
        table
    }
}

fn round(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

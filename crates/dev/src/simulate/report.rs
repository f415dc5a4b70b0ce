//! What came of many worlds, or of one.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use comfy_table::{Table, presets};
use serde::Serialize;
use standin::hookdeck::{AttemptError, Event};

use super::people::{Kind, SignUp};
use super::scenario::Plan;
use super::tally::{Leavers, Tally, Troubles};

/// What happened to one user.
#[derive(Serialize)]
pub(crate) struct Story {
    user: String,
    region: &'static str,
    signed_up_after_seconds: f64,
    served_after_seconds: Option<f64>,
    left_after_seconds: Option<f64>,
    is_left_behind: bool,
    events: Vec<Heard>,
}

/// An event about a user.
#[derive(Serialize)]
pub(crate) struct Heard {
    #[serde(rename = "type")]
    event_type: &'static str,
    /// When each attempt left, since the event came, and what Hookdeck heard.
    attempts: Vec<String>,
}

/// A world that broke a promise.
#[derive(Serialize)]
pub(crate) struct Failure {
    pub(crate) seed: u64,
    /// The promises that were broken.
    pub(crate) wrong: Vec<String>,
    /// The command that plays it again.
    pub(crate) replay: String,
}

/// What came of a run. Nothing in it depends on the machine.
#[derive(Serialize)]
pub(crate) struct Report {
    plan: Plan,
    seeds: u64,
    users: u64,
    leavers: Leavers,
    deliveries: u64,
    deliveries_per_user: f64,
    creates_per_user: f64,
    look_ups_per_user: f64,
    questions_to_clerk_per_user: f64,
    time_to_success: TimeToSuccess,
    troubles: Troubles,
    answers: BTreeMap<String, u64>,
    failures: Vec<Failure>,
    /// Of a single world.
    #[serde(skip_serializing_if = "Option::is_none")]
    told: Option<Told>,
}

/// What a single world was like, and what happened there.
#[derive(Serialize)]
pub(crate) struct Told {
    pub(crate) world: String,
    pub(crate) stories: Vec<Story>,
}

/// Seconds from sign-up to the first answer that the user has a database.
#[derive(Serialize)]
struct TimeToSuccess {
    median: f64,
    nine_of_ten: f64,
    ninety_nine_of_a_hundred: f64,
    longest: f64,
}

impl Story {
    pub(crate) fn new(
        sign_up: &SignUp,
        events: Vec<Heard>,
        served: Option<Duration>,
        is_left_behind: bool,
    ) -> Self {
        let seconds = |it: Duration| it.as_secs_f64();
        Self {
            user: sign_up.user_id.clone(),
            region: sign_up.region,
            signed_up_after_seconds: seconds(sign_up.at),
            served_after_seconds: served.map(seconds),
            left_after_seconds: sign_up.leaves_at.map(|at| seconds(at.saturating_sub(sign_up.at))),
            is_left_behind,
            events,
        }
    }
}

impl Heard {
    pub(crate) fn new(kind: Kind, event: &Event) -> Self {
        let attempts = event.attempts.iter().map(|attempt| {
            let left = attempt.started_after.as_secs();
            let answer = match (attempt.status, &attempt.error) {
                (Some(status), _) => format!("{status} {}", word(&attempt.body)),
                (None, Some(AttemptError::Connection(why))) => why.clone(),
                (None, _) => "no answer".to_owned(),
            };
            format!("{left} s: {}", answer.trim_end())
        });
        let event_type = match kind {
            Kind::Created => "user.created",
            Kind::Deleted => "user.deleted",
        };
        Self { event_type, attempts: attempts.collect() }
    }
}

/// The word in an answer that says most.
fn word(body: &[u8]) -> String {
    let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let word = body["reason"].as_str().or(body["status"].as_str());
    word.unwrap_or_default().to_owned()
}

impl Report {
    pub(crate) fn new(
        plan: Plan,
        seeds: u64,
        mut tally: Tally,
        failures: Vec<Failure>,
        told: Option<Told>,
    ) -> Self {
        tally.times.sort_unstable();
        let per_user = |n: u64| round(ratio(n, tally.users));
        Self {
            plan,
            seeds,
            users: tally.users,
            leavers: tally.leavers,
            deliveries: tally.deliveries,
            deliveries_per_user: per_user(tally.deliveries),
            creates_per_user: per_user(tally.creates),
            look_ups_per_user: per_user(tally.look_ups),
            questions_to_clerk_per_user: per_user(tally.questions_to_clerk),
            time_to_success: TimeToSuccess {
                median: per_mille(&tally.times, 500),
                nine_of_ten: per_mille(&tally.times, 900),
                ninety_nine_of_a_hundred: per_mille(&tally.times, 990),
                longest: per_mille(&tally.times, 1000),
            },
            troubles: tally.troubles,
            answers: tally.answers,
            failures,
            told,
        }
    }

    pub(crate) fn all_is_well(&self) -> bool {
        self.failures.is_empty()
    }

    pub(crate) fn print(&self, as_json: bool) -> anyhow::Result<()> {
        let mut out = std::io::stdout();
        if as_json {
            writeln!(out, "{}", serde_json::to_string_pretty(self)?)?;
            return Ok(());
        }
        if let Some(Told { world, stories }) = &self.told {
            writeln!(out, "{world}\n{}", story_table(stories))?;
        }
        writeln!(out, "{}", self.table())?;
        for Failure { seed, wrong, replay } in &self.failures {
            writeln!(out, "seed {seed} breaks a promise:")?;
            for what in wrong {
                writeln!(out, "  {what}")?;
            }
            writeln!(out, "  play it again: {replay}")?;
        }
        if self.all_is_well() {
            writeln!(out, "{}", self.verdict())?;
        }
        Ok(())
    }

    /// What is true of every user, if no promise was broken.
    fn verdict(&self) -> String {
        let stayed = "has exactly one database, in the right region";
        if self.leavers.users == 0 {
            return format!("Every user {stayed}.");
        }
        let but = match self.leavers.left_behind {
            0 => String::new(),
            n => format!(
                ", but {n} whose sign-up was repeated as they left (--seed {})",
                list(&self.leavers.seeds_of_left_behind)
            ),
        };
        format!("Everybody who stayed {stayed}; nobody who left has one{but}.")
    }

    fn table(&self) -> Table {
        let mut table = table();
        let time = &self.time_to_success;
        table.add_row(["worlds", &self.seeds.to_string()]);
        table.add_row(["users", &self.users.to_string()]);
        table.add_row(["of whom left", &self.leavers.users.to_string()]);
        table.add_row(["left behind", &self.leavers.left_behind.to_string()]);
        for (name, per_user) in [
            ("deliveries a user", self.deliveries_per_user),
            ("creates a user", self.creates_per_user),
            ("look-ups a user", self.look_ups_per_user),
            ("questions to Clerk a user", self.questions_to_clerk_per_user),
        ] {
            table.add_row([name, &per_user.to_string()]);
        }
        for (name, seconds) in [
            ("time to success, median", time.median),
            ("90 %", time.nine_of_ten),
            ("99 %", time.ninety_nine_of_a_hundred),
            ("longest", time.longest),
        ] {
            table.add_row([name, &format!("{seconds} s")]);
        }
        let troubles = &self.troubles;
        for (name, n) in [
            ("calls to Xata that went wrong", troubles.calls_to_xata_struck),
            ("calls to Clerk that went wrong", troubles.calls_to_clerk_struck),
            ("processes that died", troubles.processes_died),
            ("answers that were lost", troubles.answers_lost),
            ("deliveries made twice at once", troubles.delivered_twice_at_once),
            ("events sent again", troubles.events_sent_again),
            ("sign-ups overtaken by their deletion", troubles.events_overtaken),
            ("deletions of users who are there", troubles.false_alarms),
            ("events given up, and retried by hand", troubles.events_given_up),
            ("entries missing before a replay", troubles.entries_missing),
        ] {
            table.add_row([name, &n.to_string()]);
        }
        for (answer, n) in &self.answers {
            table.add_row([answer, &n.to_string()]);
        }
        table
    }
}

fn list(numbers: &[u64]) -> String {
    numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
}

fn story_table(stories: &[Story]) -> Table {
    let mut table = table();
    table.set_header(["user", "region", "signed up", "served after", "left after", "attempts"]);
    for story in stories {
        let seconds = |it: Option<f64>| it.map(|it| format!("{it:.1} s"));
        let served = seconds(story.served_after_seconds);
        let behind = if story.is_left_behind { ", left behind" } else { "" };
        let left = seconds(story.left_after_seconds).map(|it| it + behind);
        let heard = |it: &Heard| format!("{}: {}", it.event_type, it.attempts.join(", "));
        let events: Vec<_> = story.events.iter().map(heard).collect();
        table.add_row([
            story.user.as_str(),
            story.region,
            &format!("{:.1} s", story.signed_up_after_seconds),
            served.as_deref().unwrap_or("never"),
            left.as_deref().unwrap_or("never"),
            &events.join("\n"),
        ]);
    }
    table
}

fn table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    table
}

/// The longest of the shortest so many of a thousand, in seconds. Of sorted times.
fn per_mille(times: &[Duration], share: usize) -> f64 {
    let last = times.len().saturating_sub(1);
    let time = times.get(last * share / 1000).copied().unwrap_or_default();
    round(time.as_secs_f64())
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn ratio(n: u64, of: u64) -> f64 {
    n as f64 / of.max(1) as f64
}

fn round(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

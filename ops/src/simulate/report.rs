//! What came of many worlds, or of one.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use comfy_table::{Table, presets};
use serde::Serialize;
use standin::hookdeck::{AttemptError, Event};

use super::scenario::{Plan, SignUp};

/// What is counted in a world, and summed over all of them.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) users: u64,
    pub(crate) deliveries: u64,
    pub(crate) creates: u64,
    pub(crate) look_ups: u64,
    pub(crate) troubles: Troubles,
    pub(crate) answers: BTreeMap<String, u64>,
    /// From sign-up to the first answer that the user has a database.
    pub(crate) times: Vec<Duration>,
}

/// What went wrong, and how often.
#[derive(Default, Serialize)]
pub(crate) struct Troubles {
    pub(crate) calls_to_xata_struck: u64,
    pub(crate) processes_died: u64,
    pub(crate) answers_lost: u64,
    pub(crate) delivered_twice_at_once: u64,
    pub(crate) events_sent_again: u64,
    /// By Hookdeck, after its last retry; then retried by hand.
    pub(crate) events_given_up: u64,
}

/// What happened to one user.
#[derive(Serialize)]
pub(crate) struct Story {
    user: String,
    region: &'static str,
    signed_up_after_seconds: f64,
    served_after_seconds: Option<f64>,
    /// For each event about the user, when each attempt left and what Hookdeck heard.
    events: Vec<Vec<String>>,
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
    deliveries: u64,
    deliveries_per_user: f64,
    creates_per_user: f64,
    look_ups_per_user: f64,
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

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        self.users += other.users;
        self.deliveries += other.deliveries;
        self.creates += other.creates;
        self.look_ups += other.look_ups;
        let (ours, theirs) = (&mut self.troubles, other.troubles);
        ours.calls_to_xata_struck += theirs.calls_to_xata_struck;
        ours.processes_died += theirs.processes_died;
        ours.answers_lost += theirs.answers_lost;
        ours.delivered_twice_at_once += theirs.delivered_twice_at_once;
        ours.events_sent_again += theirs.events_sent_again;
        ours.events_given_up += theirs.events_given_up;
        self.times.extend(other.times);
        for (answer, n) in other.answers {
            *self.answers.entry(answer).or_default() += n;
        }
    }
}

impl Story {
    pub(crate) fn new(sign_up: &SignUp, events: &[&Event], served: Option<Duration>) -> Self {
        let heard = |event: &&Event| {
            let attempts = event.attempts.iter().map(|attempt| {
                let left = attempt.started_after.as_secs();
                let answer = match (attempt.status, &attempt.error) {
                    (Some(status), _) => status.to_string(),
                    (None, Some(AttemptError::Connection(why))) => why.clone(),
                    (None, _) => "no answer".to_owned(),
                };
                format!("{left} s: {answer}")
            });
            attempts.collect()
        };
        Self {
            user: sign_up.user_id.clone(),
            region: sign_up.region,
            signed_up_after_seconds: sign_up.at.as_secs_f64(),
            served_after_seconds: served.map(|it| it.as_secs_f64()),
            events: events.iter().map(heard).collect(),
        }
    }
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
            deliveries: tally.deliveries,
            deliveries_per_user: per_user(tally.deliveries),
            creates_per_user: per_user(tally.creates),
            look_ups_per_user: per_user(tally.look_ups),
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
            writeln!(out, "Every user has exactly one database, in the right region.")?;
        }
        Ok(())
    }

    fn table(&self) -> Table {
        let mut table = table();
        let time = &self.time_to_success;
        table.add_row(["worlds", &self.seeds.to_string()]);
        table.add_row(["users", &self.users.to_string()]);
        for (name, per_user) in [
            ("deliveries a user", self.deliveries_per_user),
            ("creates a user", self.creates_per_user),
            ("look-ups a user", self.look_ups_per_user),
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
            ("processes that died", troubles.processes_died),
            ("answers that were lost", troubles.answers_lost),
            ("deliveries made twice at once", troubles.delivered_twice_at_once),
            ("events sent again", troubles.events_sent_again),
            ("events given up, and retried by hand", troubles.events_given_up),
        ] {
            table.add_row([name, &n.to_string()]);
        }
        for (answer, n) in &self.answers {
            table.add_row([answer, &n.to_string()]);
        }
        table
    }
}

fn story_table(stories: &[Story]) -> Table {
    let mut table = table();
    table.set_header(["user", "region", "signed up", "served after", "attempts"]);
    for story in stories {
        let served = story.served_after_seconds.map(|it| format!("{it:.1} s"));
        let events: Vec<_> = story.events.iter().map(|it| it.join(", ")).collect();
        table.add_row([
            story.user.as_str(),
            story.region,
            &format!("{:.1} s", story.signed_up_after_seconds),
            served.as_deref().unwrap_or("never"),
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

//! What a seed draws: how Xata and Clerk behave, and the users.

use std::ops::Range;
use std::time::Duration;

use fastrand::Rng;
use http::StatusCode;
use serde::Serialize;
use standin::xata::lite::Duplicate;
use standin::xata::platform::Contention;

use super::users::{User, one_of};
use crate::services::Api;

/// The share of deleted users in the runs that have any.
const DELETED_SHARE: f64 = 0.3;

/// What all seeds of a report have in common.
#[derive(Clone, Copy, Debug, clap::Args, Serialize)]
pub(crate) struct Plan {
    /// How many users sign up in each run
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) users: u32,
    /// The percentage of requests to Xata and Clerk, and of deliveries, that have a fault
    #[arg(long = "faults", value_name = "PERCENTAGE", default_value_t = 10)]
    #[arg(value_parser = clap::value_parser!(u8).range(0..=50))]
    pub(crate) faults_per_cent: u8,
    /// How many deliveries Hookdeck keeps open at a time; `ops setup hookdeck` sets two
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) concurrency: u32,
    /// One process of the function handles all open deliveries, as on Lambda Managed Instances: its
    /// death ends them all, and it learns Clerk's new key from AWS Secrets Manager
    #[arg(long)]
    pub(crate) one_process: bool,
    /// For how many hours Xata is down, from the first sign-up on. It responds with `Retry-After: 30`
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=168))]
    pub(crate) outage_hours: Option<u8>,
}

impl Plan {
    /// The command that repeats the run of a seed.
    pub(crate) fn replay(&self, seed: u64) -> String {
        let Self { users, faults_per_cent, concurrency, one_process, outage_hours } = self;
        let one_process = if *one_process { " --one-process" } else { "" };
        let outage = outage_hours.map(|it| format!(" --outage-hours {it}")).unwrap_or_default();
        format!(
            "cargo dev simulate --seed {seed} --users {users} --faults {faults_per_cent} \
             --concurrency {concurrency}{one_process}{outage}"
        )
    }
}

/// How many databases Xata has room for, templates included.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    pub(crate) per_project: usize,
    pub(crate) per_organization: usize,
}

/// What one seed draws, or a load brings.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) seed: u64,
    pub(crate) fault_rate: f64,
    pub(crate) api: Api,
    /// The number of projects at the end.
    pub(crate) n_projects: usize,
    /// When the last project is added.
    pub(crate) grows_after: Option<Duration>,
    pub(crate) concurrency: u32,
    pub(crate) one_process: bool,
    pub(crate) create_latency: Duration,
    /// What Xata does with two creates at a time in one project.
    pub(crate) contention: Contention,
    /// What Xata Lite responds to a create whose name is taken.
    pub(crate) duplicate: Duplicate,
    /// How many databases may be created in an hour.
    pub(crate) hourly_quota: Option<usize>,
    /// How many databases a project and the organization may have.
    pub(crate) room: Option<Room>,
    /// How long a request to Xata or Clerk takes, in milliseconds.
    pub(crate) request_latency_ms: Range<u64>,
    /// Whether Xata completes a change whose client hung up.
    pub(crate) ignores_hang_up: bool,
    pub(crate) xata_outage: Option<Range<Duration>>,
    /// Whether the function has a key of Clerk's.
    pub(crate) has_clerk_key: bool,
    /// How many requests Clerk answers in ten seconds.
    pub(crate) clerk_requests: u32,
    pub(crate) clerk_outage: Option<Range<Duration>>,
    /// While Clerk has another key than the settings.
    pub(crate) wrong_key: Option<Range<Duration>>,
    /// The value of `ON_USER_DELETED`.
    pub(crate) on_user_deleted: &'static str,
    pub(crate) users: Vec<User>,
}

impl Scenario {
    pub(crate) fn draw(seed: u64, plan: Plan) -> Self {
        let mut rng = Rng::with_seed(seed);
        let fault_rate = f64::from(plan.faults_per_cent) / 100.0;
        let api = if rng.u8(..4) == 0 { Api::Lite } else { Api::Platform };
        let max_gap_ms = *one_of(&mut rng, &[0, 200, 5_000, 60_000]);
        let mut at = Duration::ZERO;
        let users = (0..plan.users).map(|_| {
            at += Duration::from_millis(rng.u64(0..=max_gap_ms));
            User::draw(&mut rng, api, at, fault_rate)
        });
        let users: Vec<_> = users.collect();
        let n_projects = if api == Api::Platform { rng.usize(1..=3) } else { 1 };
        let grows = n_projects > 1 && rng.bool();
        let drawn_outage = outage(&mut rng, at, fault_rate);
        let hours = |hours| Duration::ZERO..Duration::from_secs(3600 * u64::from(hours));
        let busy = |status, retry_after| Contention::Refuse { status, retry_after };
        let contentions = [
            Contention::Queue,
            Contention::Queue,
            busy(StatusCode::CONFLICT, true),
            busy(StatusCode::CONFLICT, false),
            busy(StatusCode::LOCKED, true),
            busy(StatusCode::TOO_MANY_REQUESTS, true),
        ];
        let duplicates =
            [Duplicate::Created, Duplicate::Conflict, Duplicate::Unprocessable, Duplicate::Locked];
        let mut scenario = Self {
            seed,
            fault_rate,
            api,
            n_projects,
            grows_after: grows.then(|| at.mul_f64(rng.f64())),
            concurrency: plan.concurrency,
            one_process: plan.one_process,
            create_latency: Duration::from_millis(*one_of(&mut rng, &[0, 300, 2_000, 8_000])),
            contention: *one_of(&mut rng, &contentions),
            duplicate: *one_of(&mut rng, &duplicates),
            hourly_quota: (api == Api::Platform && rng.u8(..8) == 0)
                .then(|| plan.users.div_ceil(3) as usize),
            room: None,
            request_latency_ms: 1..200,
            ignores_hang_up: rng.bool(),
            xata_outage: plan.outage_hours.map(hours).or(drawn_outage),
            has_clerk_key: false,
            clerk_requests: 100, // a development instance
            clerk_outage: None,
            wrong_key: None,
            on_user_deleted: "retain",
            users,
        };
        if api == Api::Platform {
            scenario.draw_clerk(&mut Rng::with_seed(seed ^ 4), at);
        }
        scenario
    }

    /// Draws whether the function has a key of Clerk's, and the deleted users: those of a third of the
    /// scenarios on the platform. On Xata Lite no database is ever deleted.
    fn draw_clerk(&mut self, rng: &mut Rng, last_sign_up: Duration) {
        let with_deletions = rng.u8(..3) == 0;
        self.has_clerk_key = with_deletions || rng.u8(..4) > 0;
        if !self.has_clerk_key {
            return;
        }
        self.clerk_outage = outage(rng, last_sign_up, self.fault_rate);
        self.on_user_deleted = *one_of(rng, &["park", "delete"]);
        for user in &mut self.users {
            if with_deletions && rng.f64() < DELETED_SHARE {
                user.delete(rng, self.fault_rate > 0.0);
            } else if rng.f64() < self.fault_rate {
                user.send_false_deletion(rng);
            }
        }
        self.wrong_key = outage(rng, last_sign_up, self.fault_rate);
        for user in &mut self.users {
            if rng.f64() < self.fault_rate / 10.0 {
                user.fill_metadata(rng);
            }
        }
    }
}

/// An outage of up to two hours, in an eighth of the scenarios with faults.
fn outage(rng: &mut Rng, last_sign_up: Duration, fault_rate: f64) -> Option<Range<Duration>> {
    let duration = Duration::from_secs(rng.u64(0..7_200));
    let start = last_sign_up.mul_f64(rng.f64());
    (fault_rate > 0.0 && rng.u8(..8) == 0).then(|| start..start + duration)
}

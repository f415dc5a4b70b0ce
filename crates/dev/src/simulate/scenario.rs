//! What a seed draws: a Xata of some temper, a Clerk beside it, people who sign up and leave.

use std::ops::Range;
use std::time::Duration;

use fastrand::Rng;
use http::StatusCode;
use per_user_db::settings::OnUserDeleted;
use serde::Serialize;
use standin::xata::lite::Duplicate;
use standin::xata::platform::Contention;

use super::people::SignUp;
use crate::services::Api;

/// How many of those who may leave do.
const LEAVERS: f64 = 0.3;

/// What is fixed for all seeds of a run.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Plan {
    /// People who sign up.
    pub(crate) users: usize,
    /// How likely it is that something goes wrong with a call or a delivery.
    pub(crate) faults_per_cent: u8,
    /// Deliveries that Hookdeck keeps open at a time.
    pub(crate) concurrency: usize,
    /// Xata is down for so long from the first sign-up on. None leaves it to the seed.
    pub(crate) outage_hours: Option<u8>,
}

/// A world to play.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) seed: u64,
    pub(crate) fault_rate: f64,
    pub(crate) api: Api,
    /// How many projects there are in the end.
    pub(crate) n_projects: usize,
    /// When the last of them joins the list.
    pub(crate) grows_after: Option<Duration>,
    /// Deliveries that Hookdeck keeps open at a time.
    pub(crate) concurrency: usize,
    pub(crate) create_latency: Duration,
    /// What Xata does when two create in one project.
    pub(crate) contention: Contention,
    /// What Xata Lite answers when the name is taken.
    pub(crate) duplicate: Duplicate,
    /// How many databases may be made in an hour.
    pub(crate) hourly_quota: Option<usize>,
    /// Xata goes on with a change when nobody waits for it any more.
    pub(crate) is_deaf: bool,
    /// When Xata is down.
    pub(crate) outage: Option<Range<Duration>>,
    /// The function has a key of Clerk's.
    pub(crate) asks_clerk: bool,
    /// When Clerk is down.
    pub(crate) clerk_outage: Option<Range<Duration>>,
    pub(crate) on_user_deleted: OnUserDeleted,
    pub(crate) sign_ups: Vec<SignUp>,
}

impl Scenario {
    /// The world of this seed.
    pub(crate) fn draw(seed: u64, plan: Plan) -> Self {
        let mut rng = Rng::with_seed(seed);
        let fault_rate = f64::from(plan.faults_per_cent) / 100.0;
        let api = if rng.u8(..4) == 0 { Api::Lite } else { Api::Platform };
        let pace = *one_of(&mut rng, &[0, 200, 5_000, 60_000]);
        let mut at = Duration::ZERO;
        let sign_ups: Vec<_> = (0..plan.users)
            .map(|_| {
                at += Duration::from_millis(rng.u64(0..=pace));
                SignUp::draw(&mut rng, api, at, fault_rate)
            })
            .collect();
        let n_projects = if api == Api::Platform { rng.usize(1..=3) } else { 1 };
        let grows = n_projects > 1 && rng.bool();
        let drawn_outage = outage(&mut rng, at, fault_rate);
        let hours = |hours| Duration::ZERO..Duration::from_secs(3600 * u64::from(hours));
        let world = Self {
            seed,
            fault_rate,
            api,
            n_projects,
            grows_after: grows.then(|| at.mul_f64(rng.f64())),
            concurrency: plan.concurrency,
            create_latency: Duration::from_millis(*one_of(&mut rng, &[0, 300, 2_000, 8_000])),
            contention: *one_of(
                &mut rng,
                &[
                    Contention::Queue,
                    Contention::Queue,
                    busy(StatusCode::CONFLICT, true),
                    busy(StatusCode::CONFLICT, false),
                    busy(StatusCode::LOCKED, true),
                    busy(StatusCode::TOO_MANY_REQUESTS, true),
                ],
            ),
            duplicate: *one_of(
                &mut rng,
                &[
                    Duplicate::Created,
                    Duplicate::Conflict,
                    Duplicate::Unprocessable,
                    Duplicate::Locked,
                ],
            ),
            hourly_quota: (api == Api::Platform && rng.u8(..8) == 0)
                .then(|| plan.users.div_ceil(3)),
            is_deaf: rng.bool(),
            outage: plan.outage_hours.map(hours).or(drawn_outage),
            asks_clerk: false,
            clerk_outage: None,
            on_user_deleted: OnUserDeleted::Retain,
            sign_ups,
        };
        world.with_clerk(&mut Rng::with_seed(seed ^ 4), at)
    }

    /// Puts a Clerk into the world, and has some people leave: in a third of those on the platform.
    /// On Xata Lite nothing is ever taken away.
    fn with_clerk(mut self, rng: &mut Rng, last_sign_up: Duration) -> Self {
        if self.api == Api::Lite {
            return self;
        }
        let some_leave = rng.u8(..3) == 0;
        self.asks_clerk = some_leave || rng.u8(..4) > 0;
        if !self.asks_clerk {
            return self;
        }
        self.clerk_outage = outage(rng, last_sign_up, self.fault_rate);
        self.on_user_deleted = *one_of(rng, &[OnUserDeleted::Park, OnUserDeleted::Delete]);
        for sign_up in &mut self.sign_ups {
            if some_leave && rng.f64() < LEAVERS {
                sign_up.leave(rng, self.fault_rate > 0.0);
            } else if rng.f64() < self.fault_rate {
                sign_up.raise_false_alarm(rng);
            }
        }
        self
    }

    /// What was drawn, in words.
    pub(crate) fn describe(&self) -> String {
        let seconds = |it: Duration| format!("{:.1} s", it.as_secs_f64());
        let down = |who: &str, outage: &Range<Duration>| {
            format!("{who} is down from {} to {}", seconds(outage.start), seconds(outage.end))
        };
        let mut words = vec![
            format!("{} project(s) on {:?}", self.n_projects, self.api),
            format!("a create takes {}", seconds(self.create_latency)),
        ];
        words.extend(self.grows_after.map(|at| format!("a project joins after {}", seconds(at))));
        match self.api {
            Api::Platform => words.push(format!("contention: {:?}", self.contention)),
            Api::Lite => words.push(format!("a taken name: {:?}", self.duplicate)),
        }
        words.extend(self.hourly_quota.map(|quota| format!("{quota} databases an hour")));
        words.extend(self.is_deaf.then(|| "Xata does not notice who hangs up".to_owned()));
        words.extend(self.outage.as_ref().map(|outage| down("Xata", outage)));
        if self.asks_clerk {
            words.push(format!("with a key of Clerk's; who leaves: {:?}", self.on_user_deleted));
        }
        words.extend(self.clerk_outage.as_ref().map(|outage| down("Clerk", outage)));
        words.join("; ")
    }
}

/// In an eighth of the worlds where things go wrong, somebody is down for up to two hours.
fn outage(rng: &mut Rng, last_sign_up: Duration, fault_rate: f64) -> Option<Range<Duration>> {
    let lasts = Duration::from_secs(rng.u64(0..7_200));
    let begins = last_sign_up.mul_f64(rng.f64());
    (fault_rate > 0.0 && rng.u8(..8) == 0).then(|| begins..begins + lasts)
}

fn busy(status: StatusCode, retry_after: bool) -> Contention {
    Contention::Refuse { status, retry_after }
}

pub(super) fn one_of<'a, T>(rng: &mut Rng, choices: &'a [T]) -> &'a T {
    &choices[rng.usize(..choices.len())]
}

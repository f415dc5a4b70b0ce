//! What a seed draws: people who sign up, a Xata of some temper, and what goes wrong.

use std::ops::Range;
use std::time::Duration;

use fastrand::Rng;
use http::StatusCode;
use serde::Serialize;
use standin::clerk;
use standin::fault::{Answer, Effect};
use standin::xata::Call;
use standin::xata::lite::Duplicate;
use standin::xata::platform::Contention;

use crate::local::Api;

/// Addresses that belong to nobody who signs up, and where people there are placed.
const CLIENTS: [(&str, Home); 6] = [
    ("84.200.69.80", Home::Europe),
    ("2001:67c:2e8:22::c100:68b", Home::Europe),
    ("1.1.1.1", Home::Oceania),
    ("8.8.8.8", Home::Elsewhere),
    ("192.168.1.20", Home::Elsewhere),
    ("", Home::Elsewhere),
];

#[derive(Clone, Copy)]
enum Home {
    Europe,
    Oceania,
    Elsewhere,
}

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
    /// Xata goes on with a create when nobody waits for it any more.
    pub(crate) is_deaf: bool,
    /// When Xata is down.
    pub(crate) outage: Option<Range<Duration>>,
    pub(crate) sign_ups: Vec<SignUp>,
}

/// A person who signs up.
#[derive(Clone, Debug)]
pub(crate) struct SignUp {
    pub(crate) user_id: String,
    pub(crate) client_ip: &'static str,
    /// The region they must end in.
    pub(crate) region: &'static str,
    /// Since the beginning.
    pub(crate) at: Duration,
    /// Clerk sends the event again so much later.
    pub(crate) again_after: Option<Duration>,
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
        let down_for = Duration::from_secs(rng.u64(0..7_200));
        let down_from = at.mul_f64(rng.f64());
        let outage = match plan.outage_hours {
            Some(hours) => Some(Duration::ZERO..Duration::from_secs(3600 * u64::from(hours))),
            None => (fault_rate > 0.0 && rng.u8(..8) == 0).then(|| down_from..down_from + down_for),
        };
        Self {
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
            outage,
            sign_ups,
        }
    }

    /// What was drawn, in words.
    pub(crate) fn describe(&self) -> String {
        let seconds = |it: Duration| format!("{:.1} s", it.as_secs_f64());
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
        words.extend(self.outage.as_ref().map(|outage| {
            format!("down from {} to {}", seconds(outage.start), seconds(outage.end))
        }));
        words.join("; ")
    }

    pub(crate) fn is_down(&self, since_start: Duration) -> bool {
        self.outage.as_ref().is_some_and(|outage| outage.contains(&since_start))
    }
}

impl SignUp {
    fn draw(rng: &mut Rng, api: Api, at: Duration, fault_rate: f64) -> Self {
        let (client_ip, home) = *one_of(rng, &CLIENTS);
        let region = match (home, api) {
            (Home::Europe, Api::Platform) => "eu-central-1",
            (Home::Europe, Api::Lite) => "eu-west-1",
            (Home::Oceania, _) => "ap-southeast-2",
            (Home::Elsewhere, _) => "us-east-1",
        };
        let later = Duration::from_secs(*one_of(rng, &[0, 0, 2, 60, 600, 90_000]));
        Self {
            user_id: clerk::user_id(rng.u64(..)),
            client_ip,
            region,
            at,
            again_after: (rng.f64() < fault_rate).then_some(later),
        }
    }
}

/// One of the ways in which a call to Xata goes wrong.
pub(crate) fn effect(rng: &mut Rng, call: Call) -> Effect {
    let status = |status: u16| StatusCode::from_u16(status).unwrap_or_default();
    let message = |code: u16, text: &str| Answer::message(status(code), text);
    match rng.u8(..17) {
        0 => Effect::Answer(message(500, "Internal Error")),
        1 => Effect::Answer(Answer::html(status(502))),
        2 => Effect::Answer(message(503, "Service Unavailable").with_retry_after("30")),
        3 => Effect::Answer(Answer::html(status(429))),
        4 => Effect::Answer(message(401, "invalid token")),
        5 => Effect::Answer(message(409, "project is busy").with_retry_after("1")),
        6 => Effect::Answer(message(403, "organization [o] has reached the limit of 9 branches")),
        7 => Effect::Answer(message(412, "parent is unhealthy")),
        8 => Effect::AnswerAfter(message(500, "Internal Error")),
        9 => Effect::AnswerAfter(Answer::html(status(504))),
        10 if call == Call::Create => Effect::AnswerAfter(Answer::html(status(201))),
        11 => Effect::ResetBefore,
        12 => Effect::ResetAfter,
        13 => Effect::HangBefore,
        14 => Effect::HangAfter,
        15 => Effect::Trickle { chunk: 8, every: Duration::from_secs(2) },
        _ => Effect::TruncatedAfter,
    }
}

/// Xata is down.
pub(crate) fn outage() -> Effect {
    let answer = Answer::message(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable");
    Effect::Answer(answer.with_retry_after("30"))
}

fn busy(status: StatusCode, retry_after: bool) -> Contention {
    Contention::Refuse { status, retry_after }
}

fn one_of<'a, T>(rng: &mut Rng, choices: &'a [T]) -> &'a T {
    &choices[rng.usize(..choices.len())]
}

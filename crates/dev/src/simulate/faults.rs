//! The faults of the calls to Xata and Clerk.

use std::ops::Range;
use std::time::Duration;

use fastrand::Rng;
use http::StatusCode;
use standin::fault::{CannedResponse, Effect};
use standin::xata::{Call, Xata, platform};
use tokio::time::Instant;

use super::counts::Fault;
use super::record::SharedRecord;
use super::scenario::Scenario;
use super::users::one_of;
use crate::services::Services;

/// Draws the faults of one service.
struct FaultSource {
    rng: Rng,
    fault_rate: f64,
    outage: Option<Range<Duration>>,
    started_at: Instant,
    record: SharedRecord,
}

impl FaultSource {
    /// The effect on the next call, which is then recorded as a fault.
    fn next(&mut self, fault: Fault, draw: impl FnOnce(&mut Rng) -> Effect) -> Option<Effect> {
        let mut record = self.record.lock();
        let now = self.started_at.elapsed();
        let effect = if self.outage.as_ref().is_some_and(|outage| outage.contains(&now)) {
            unavailable()
        } else {
            (self.rng.f64() < self.fault_rate).then(|| draw(&mut self.rng))?
        };
        record.counts.add_fault(fault, 1);
        Some(effect)
    }
}

/// Lets the calls to Xata and Clerk fail by chance.
pub(super) fn inject(
    services: &Services,
    scenario: &Scenario,
    started_at: Instant,
    record: &SharedRecord,
) {
    let source = |seed, outage: &Option<Range<Duration>>| FaultSource {
        rng: Rng::with_seed(scenario.seed ^ seed),
        fault_rate: scenario.fault_rate,
        outage: outage.clone(),
        started_at,
        record: record.clone(),
    };
    let mut source_of_xata = source(1, &scenario.xata_outage);
    let ignores_hang_up = scenario.ignores_hang_up;
    let mut next = move |is_create| {
        let effect =
            source_of_xata.next(Fault::FaultyRequestsToXata, |rng| xata_effect(rng, is_create));
        effect.or(ignores_hang_up.then_some(Effect::Detached))
    };
    match &services.xata {
        // Parking and deleting databases, too.
        Xata::Platform(it) => {
            it.faults()
                .choose_with(Box::new(move |call| next(call == platform::Call::CreateBranch)));
        }
        Xata::Lite(_) => {
            services.xata.choose_with(Box::new(move |call| next(call == Call::Create)));
        }
    }
    let mut source_of_clerk = source(5, &scenario.clerk_outage);
    let next = move |_| source_of_clerk.next(Fault::FaultyRequestsToClerk, clerk_effect);
    services.clerk.faults().choose_with(Box::new(next));
}

fn xata_effect(rng: &mut Rng, is_create: bool) -> Effect {
    match rng.u8(..17) {
        0 => Effect::Answer(message(500, "Internal Error")),
        1 => Effect::Answer(html(502)),
        2 => unavailable(),
        3 => Effect::Answer(html(429)),
        4 => Effect::Answer(message(401, "invalid token")),
        5 => Effect::Answer(message(409, "project is busy").with_retry_after("1")),
        6 => Effect::Answer(message(403, "organization [o] has reached the limit of 9 branches")),
        7 => Effect::Answer(message(412, "parent is unhealthy")),
        8 => Effect::AnswerAfter(message(500, "Internal Error")),
        9 => Effect::AnswerAfter(html(504)),
        10 if is_create => Effect::AnswerAfter(html(201)),
        11 => Effect::ResetBefore,
        12 => Effect::ResetAfter,
        13 => Effect::HangBefore,
        14 => Effect::HangAfter,
        15 => Effect::Trickle { chunk: 8, every: Duration::from_secs(2) },
        _ => Effect::TruncatedAfter,
    }
}

/// One of them is a 404 that is not Clerk's: it must not count as a deleted user.
fn clerk_effect(rng: &mut Rng) -> Effect {
    match rng.u8(..15) {
        0 => Effect::Answer(message(500, "Internal Error")),
        1 => Effect::Answer(html(502)),
        2 => unavailable(),
        3 => Effect::Answer(html(429)),
        4 => Effect::Answer(message(429, "too many requests").with_retry_after("7")),
        5 => Effect::Answer(message(401, "invalid key")),
        6 => Effect::Answer(html(404)),
        7 => Effect::AnswerAfter(message(500, "Internal Error")),
        8 => Effect::AnswerAfter(html(504)),
        9 => Effect::ResetBefore,
        10 => Effect::ResetAfter,
        11 => Effect::HangBefore,
        12 => Effect::HangAfter,
        // Only a body in the larger pieces arrives in time.
        13 => Effect::Trickle { chunk: *one_of(rng, &[64, 1024]), every: Duration::from_secs(1) },
        _ => Effect::TruncatedAfter,
    }
}

fn unavailable() -> Effect {
    Effect::Answer(message(503, "Service Unavailable").with_retry_after("30"))
}

fn message(code: u16, text: &str) -> CannedResponse {
    CannedResponse::message(status(code), text)
}

fn html(code: u16) -> CannedResponse {
    CannedResponse::html(status(code))
}

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or_default()
}

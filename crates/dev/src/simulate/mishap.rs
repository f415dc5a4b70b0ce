//! What goes wrong with the calls to Xata and Clerk.

use std::ops::Range;
use std::time::Duration;

use fastrand::Rng;
use http::StatusCode;
use standin::clerk::backend::{self, Backend};
use standin::fault::{Answer, Effect};
use standin::xata::{Call, Xata, platform};
use tokio::time::Instant;

use super::ledger::{DELIVERY, SharedLedger};
use super::scenario::{Scenario, one_of};

/// Decides by chance what goes wrong with calls to one service.
struct Chance {
    rng: Rng,
    fault_rate: f64,
    outage: Option<Range<Duration>>,
    began: Instant,
    ledger: SharedLedger,
}

impl Chance {
    /// What strikes the call, which is then in the ledger.
    fn strike(&mut self, effect: impl FnOnce(&mut Rng) -> Effect) -> Option<Effect> {
        if self.ledger.lock().is_calm {
            return None;
        }
        let now = self.began.elapsed();
        let struck = if self.outage.as_ref().is_some_and(|outage| outage.contains(&now)) {
            Some(outage())
        } else {
            (self.rng.f64() < self.fault_rate).then(|| effect(&mut self.rng))
        };
        if struck.is_some()
            && let Ok(delivery) = DELIVERY.try_with(|it| *it)
        {
            self.ledger.lock().deliveries[delivery].n_hindrances += 1;
        }
        struck
    }
}

/// Leaves to chance what happens to each call to Xata.
pub(super) fn strike_xata(xata: &Xata, scenario: &Scenario, began: Instant, ledger: &SharedLedger) {
    let Scenario { seed, fault_rate, is_deaf, .. } = *scenario;
    let outage = scenario.outage.clone();
    let rng = Rng::with_seed(seed ^ 1);
    let mut chance = Chance { rng, fault_rate, outage, began, ledger: ledger.clone() };
    let ledger = ledger.clone();
    let mut fate = move |is_create| {
        let struck = chance.strike(|rng| at_xata(rng, is_create));
        ledger.lock().tally.troubles.calls_to_xata_struck += u64::from(struck.is_some());
        struck.or(is_deaf.then_some(Effect::Detached))
    };
    match xata {
        // All of the function's calls, its changes of databases too.
        Xata::Platform(it) => {
            it.faults().leave_to(Box::new(move |call| fate(call == platform::Call::CreateBranch)));
        }
        Xata::Lite(_) => xata.leave_to(Box::new(move |call| fate(call == Call::Create))),
    }
}

/// Leaves to chance what happens to each call to Clerk.
pub(super) fn strike_clerk(
    clerk: &Backend,
    scenario: &Scenario,
    began: Instant,
    ledger: &SharedLedger,
) {
    let Scenario { seed, fault_rate, .. } = *scenario;
    let outage = scenario.clerk_outage.clone();
    let rng = Rng::with_seed(seed ^ 5);
    let mut chance = Chance { rng, fault_rate, outage, began, ledger: ledger.clone() };
    let ledger = ledger.clone();
    clerk.faults().leave_to(Box::new(move |_: backend::Call| {
        let struck = chance.strike(at_clerk);
        ledger.lock().tally.troubles.calls_to_clerk_struck += u64::from(struck.is_some());
        struck
    }));
}

/// One of the ways in which a call to Xata goes wrong.
fn at_xata(rng: &mut Rng, is_create: bool) -> Effect {
    match rng.u8(..17) {
        0 => Effect::Answer(message(500, "Internal Error")),
        1 => Effect::Answer(Answer::html(status(502))),
        2 => outage(),
        3 => Effect::Answer(Answer::html(status(429))),
        4 => Effect::Answer(message(401, "invalid token")),
        5 => Effect::Answer(message(409, "project is busy").with_retry_after("1")),
        6 => Effect::Answer(message(403, "organization [o] has reached the limit of 9 branches")),
        7 => Effect::Answer(message(412, "parent is unhealthy")),
        8 => Effect::AnswerAfter(message(500, "Internal Error")),
        9 => Effect::AnswerAfter(Answer::html(status(504))),
        10 if is_create => Effect::AnswerAfter(Answer::html(status(201))),
        11 => Effect::ResetBefore,
        12 => Effect::ResetAfter,
        13 => Effect::HangBefore,
        14 => Effect::HangAfter,
        15 => Effect::Trickle { chunk: 8, every: Duration::from_secs(2) },
        _ => Effect::TruncatedAfter,
    }
}

/// One of the ways in which a call to Clerk goes wrong. That of a 404 which is not Clerk's is the
/// one to beware of.
fn at_clerk(rng: &mut Rng) -> Effect {
    match rng.u8(..15) {
        0 => Effect::Answer(message(500, "Internal Error")),
        1 => Effect::Answer(Answer::html(status(502))),
        2 => outage(),
        3 => Effect::Answer(Answer::html(status(429))),
        4 => Effect::Answer(message(429, "too many requests").with_retry_after("7")),
        5 => Effect::Answer(message(401, "invalid key")),
        6 => Effect::Answer(Answer::html(status(404))),
        7 => Effect::AnswerAfter(message(500, "Internal Error")),
        8 => Effect::AnswerAfter(Answer::html(status(504))),
        9 => Effect::ResetBefore,
        10 => Effect::ResetAfter,
        11 => Effect::HangBefore,
        12 => Effect::HangAfter,
        // Of the two, only the second arrives in time.
        13 => Effect::Trickle { chunk: *one_of(rng, &[64, 1024]), every: Duration::from_secs(1) },
        _ => Effect::TruncatedAfter,
    }
}

/// The service is down.
fn outage() -> Effect {
    Effect::Answer(message(503, "Service Unavailable").with_retry_after("30"))
}

fn status(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or_default()
}

fn message(code: u16, text: &str) -> Answer {
    Answer::message(status(code), text)
}

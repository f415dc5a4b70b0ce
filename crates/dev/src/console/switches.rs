//! The switches of the page, and the faults that they turn on. Several may be on at once.

use std::collections::BTreeSet;
use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};
use standin::clerk::backend;
use standin::fault::{CannedResponse, Effect, Fault};
use standin::xata::platform::Quotas;
use standin::xata::{Call, Xata};
use strum::{EnumString, IntoStaticStr, VariantArray};

use crate::services::Services;

/// So long that a sign-up still has its database in time, and the third of three at once has not: Xata
/// makes the databases of a project one after the other.
const SLOW_CREATE: Duration = Duration::from_secs(20);

/// What goes wrong while a switch is on.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, EnumString, IntoStaticStr, VariantArray,
)]
#[strum(serialize_all = "snake_case")]
pub(super) enum Switch {
    XataSlow,
    XataDown,
    XataLostAnswer,
    XataQuota,
    XataLimiting,
    ClerkDown,
    ClerkLimiting,
    ClerkKeyRotated,
    HookdeckDuplicates,
    HookdeckReorders,
    WrongSecret,
}

impl Switch {
    fn label(self) -> &'static str {
        match self {
            Self::XataSlow => "Xata takes 20 s for a database",
            Self::XataDown => "Xata is down",
            Self::XataLostAnswer => "Xata creates, and its answer is lost",
            Self::XataQuota => "Xata's quota is reached",
            Self::XataLimiting => "Xata limits the rate",
            Self::ClerkDown => "Clerk is down",
            Self::ClerkLimiting => "Clerk limits the rate",
            Self::ClerkKeyRotated => "Clerk's key is another one",
            Self::HookdeckDuplicates => "Hookdeck delivers three times",
            Self::HookdeckReorders => "Hookdeck delivers in another order",
            Self::WrongSecret => "Hookdeck signs with another secret",
        }
    }

    fn group(self) -> &'static str {
        let id: &str = self.into();
        match id.split('_').next() {
            Some("xata") => "Xata",
            Some("clerk") => "Clerk",
            _ => "Hookdeck",
        }
    }

    /// Whether it needs the stand-ins.
    pub(super) fn is_upstream(self) -> bool {
        self.group() != "Hookdeck"
    }
}

/// The switches as the page shows them.
pub(super) fn shown(on: &BTreeSet<Switch>, has_stand_ins: bool) -> Vec<Value> {
    let switches = Switch::VARIANTS.iter().filter(|it| has_stand_ins || !it.is_upstream());
    let shown = |it: &Switch| {
        let id: &str = it.into();
        json!({ "id": id, "label": it.label(), "group": it.group(), "on": on.contains(it) })
    };
    switches.map(shown).collect()
}

/// Makes the stand-ins behave as the switches say, and no other way.
pub(super) fn apply(on: &BTreeSet<Switch>, Services { xata, clerk, .. }: &Services) {
    let is_on = |switch| on.contains(&switch);
    let down = || CannedResponse::message(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable");
    let limiting = || CannedResponse::message(StatusCode::TOO_MANY_REQUESTS, "Too Many Requests");

    // The first fault that applies to a call is used.
    xata.clear_faults();
    for (switch, call, effect) in [
        (Switch::XataDown, Call::Any, Effect::Answer(down().with_retry_after("30"))),
        (Switch::XataLimiting, Call::Any, Effect::Answer(limiting().with_retry_after("20"))),
        (Switch::XataLostAnswer, Call::Create, Effect::ResetAfter),
    ] {
        if is_on(switch) {
            xata.fault(Fault::always(call, effect));
        }
    }
    xata.set_create_latency(if is_on(Switch::XataSlow) { SLOW_CREATE } else { Duration::ZERO });
    let limit = is_on(Switch::XataQuota).then_some(0);
    match xata {
        Xata::Platform(platform) => platform.change(|it| {
            it.quotas = Quotas { branches_per_organization: limit, ..Quotas::UNLIMITED };
        }),
        Xata::Lite(lite) => lite.change(|it| it.most_databases = limit),
    }

    clerk.faults().clear();
    for (switch, effect) in [
        (Switch::ClerkDown, Effect::Answer(down())),
        (Switch::ClerkLimiting, Effect::Answer(limiting().with_retry_after("10"))),
    ] {
        if is_on(switch) {
            clerk.faults().push(Fault::always(backend::Call::Any, effect));
        }
    }
    let is_rotated = is_on(Switch::ClerkKeyRotated);
    let rotated = || "sk_test_fake_rotated_key".to_owned();
    let usual = || backend::Options::default().secret_key;
    clerk.change(|it| it.secret_key = if is_rotated { rotated() } else { usual() });
}

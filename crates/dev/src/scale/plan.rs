//! What a load needs of each service, and what happens where the service has less: arithmetic.

use cli::delivery_policy::Period;
use per_user_db::provision::MAX_FRESH_AGE;
use serde::Serialize;
use standin::hookdeck::RetryRule;

use super::limits::{Limits, Load};
use crate::simulate::RETRY_COUNT;

/// The templates of a project: one in each region of the stand-in's settings.
const TEMPLATES: f64 = 3.0;

const HOUR: f64 = 3600.0;

/// The way of a load through the services.
#[derive(Debug, Serialize)]
pub(crate) struct Plan {
    pub(crate) load: Load,
    pub(crate) stages: Vec<Stage>,
    /// The sign-ups a second that get through all stages.
    pub(crate) capacity: f64,
    /// The sign-ups that wait when the last user has signed up.
    pub(crate) waiting: f64,
    /// From the first sign-up until none waits.
    pub(crate) seconds: f64,
    /// The service that refuses most deliveries, each of which uses up a retry. None where Hookdeck's
    /// queue holds the whole backlog.
    pub(crate) refused_by: Option<&'static str>,
    /// The sign-ups of a short spike that Hookdeck's retries alone get through Xata's hourly quota.
    pub(crate) by_retries: f64,
    /// The projects that suffice, by their size and their speed.
    pub(crate) projects_needed: f64,
    /// How long a late delivery takes with so many projects, because it looks into each.
    pub(crate) late_delivery_seconds: f64,
    /// The organizations whose quotas suffice.
    pub(crate) organizations_needed: f64,
}

/// One limit.
#[derive(Debug, Serialize)]
pub(crate) struct Stage {
    pub(crate) name: &'static str,
    /// What the load needs so that no sign-up waits.
    pub(crate) needs: f64,
    pub(crate) has: f64,
    /// Where the service refuses what is too much. Hookdeck lets it wait.
    #[serde(skip)]
    refuses: bool,
    /// The sign-ups a second that get through. None for room, which is no rate.
    #[serde(skip)]
    per_second: Option<f64>,
}

impl Plan {
    pub(crate) fn new(load: Load, limits: &Limits) -> Self {
        let rate = load.rate();
        let fresh = Requests::of(limits, limits.projects.into(), false);
        let mut stages = stages(load, limits, &fresh, &fresh);
        let mut capacity = capacity(&stages);
        // The last sign-up waits this long, if each delivery is a fresh one.
        let wait = f64::from(load.sign_ups) / capacity - f64::from(load.within_seconds);
        // Then most events are too old for that.
        if wait > MAX_FRESH_AGE.as_secs_f64() {
            let late = Requests::of(limits, limits.projects.into(), true);
            stages = self::stages(load, limits, &fresh, &late);
            capacity = self::capacity(&stages);
        }
        let n = f64::from(load.sign_ups);
        let slowest = |refuses: bool| {
            let stages = stages.iter().filter(move |it| it.refuses == refuses);
            let rates = stages.filter_map(|it| Some((it.per_second?, it.name)));
            rates.min_by(|one, other| one.0.total_cmp(&other.0))
        };
        let arriving = slowest(false).map_or(rate, |(per_second, _)| per_second.min(rate));
        let room = f64::from(limits.branches_per_project) - TEMPLATES;
        let hourly = f64::from(limits.creations_per_hour);
        let creating = rate * limits.create_latency().as_secs_f64();
        let projects_needed = creating.max(n / room).ceil();
        Self {
            load,
            capacity,
            waiting: (n - capacity * f64::from(load.within_seconds)).max(0.0),
            seconds: n / capacity.min(rate),
            refused_by: slowest(true).filter(|it| it.0 < arriving).map(|it| it.1),
            by_retries: n.min(hours_with_an_attempt() * hourly),
            projects_needed,
            late_delivery_seconds: Requests::of(limits, projects_needed, true).seconds,
            organizations_needed: (rate * HOUR / hourly)
                .max(n / f64::from(limits.branches_per_organization))
                .ceil(),
            stages,
        }
    }

    /// The limit that the load exceeds most.
    pub(crate) fn breaks_first(&self) -> Option<&Stage> {
        let exceeded = self.stages.iter().filter(|it| it.ratio() > 1.0);
        exceeded.max_by(|one, other| one.ratio().total_cmp(&other.ratio()))
    }
}

impl Stage {
    pub(crate) fn ratio(&self) -> f64 {
        self.needs / self.has
    }
}

/// In how many hours, each of which has a quota of its own, an event is attempted that is always refused.
fn hours_with_an_attempt() -> f64 {
    let interval = RetryRule::default().interval.as_secs_f64();
    let (mut at, mut hour_began, mut n_hours) = (0.0, 0.0, 1.0);
    for n in 0..RETRY_COUNT {
        at += interval * f64::from(1 << n);
        if at >= hour_began + HOUR {
            (hour_began, n_hours) = (at, n_hours + 1.0);
        }
    }
    n_hours
}

/// What one delivery of a sign-up costs.
struct Requests {
    clerk: f64,
    /// How long the delivery takes, without the wait for the project.
    seconds: f64,
}

impl Requests {
    /// A fresh delivery creates and writes the entry. A late one asks Clerk first, and looks into each
    /// of several projects.
    fn of(limits: &Limits, projects: f64, is_late: bool) -> Self {
        let look_ups = if is_late && projects > 1.0 { projects } else { 0.0 };
        let clerk = if is_late { 2.0 } else { 1.0 };
        let request = limits.request_latency().as_secs_f64();
        let seconds = limits.create_latency().as_secs_f64() + request * (1.0 + clerk + look_ups);
        Self { clerk, seconds }
    }
}

/// Needs are those of fresh deliveries, so that none waits. What gets through a limit is told for
/// deliveries as they are.
fn stages(load: Load, limits: &Limits, fresh: &Requests, actual: &Requests) -> Vec<Stage> {
    let rate = load.rate();
    let number = f64::from;
    let stage = |name, refuses, needs: f64, has: f64, per_second| Stage {
        name,
        needs,
        has,
        refuses,
        per_second: Some(per_second),
    };
    let room = |name, needs, has: u32| Stage {
        name,
        needs,
        has: f64::from(has),
        refuses: true,
        per_second: None,
    };
    let throughput = number(limits.throughput);
    let policy = number(limits.delivery.rate);
    let destination = match limits.delivery.period {
        Period::Second => (rate, policy, policy),
        Period::Minute => (rate * 60.0, policy, policy / 60.0),
        Period::Hour => (rate * HOUR, policy, policy / HOUR),
        Period::Concurrent => (rate * fresh.seconds, policy, policy / actual.seconds),
    };
    let (needs, has, per_second) = destination;
    let lambda = number(limits.lambda_concurrency);
    let clerk = number(limits.clerk_requests);
    let (projects, create) = (number(limits.projects), limits.create_latency().as_secs_f64());
    let hourly = number(limits.creations_per_hour);
    let n = number(load.sign_ups);
    vec![
        stage("Hookdeck: events a second", false, rate, throughput, throughput),
        stage(limit(limits.delivery.period), false, needs, has, per_second),
        stage("Lambda: concurrent", true, rate * fresh.seconds, lambda, lambda / actual.seconds),
        stage(
            "Clerk: requests in 10 s",
            true,
            rate * fresh.clerk * 10.0,
            clerk,
            clerk / actual.clerk / 10.0,
        ),
        stage("Xata: projects, creating", false, rate * create, projects, projects / create),
        stage("Xata: creations an hour", true, rate * HOUR, hourly, hourly / HOUR),
        room("Xata: databases in a project", n / projects + TEMPLATES, limits.branches_per_project),
        room("Xata: databases in all", n + TEMPLATES * projects, limits.branches_per_organization),
    ]
}

fn capacity(stages: &[Stage]) -> f64 {
    stages.iter().filter_map(|it| it.per_second).fold(f64::INFINITY, f64::min)
}

/// The row of a limit of deliveries.
fn limit(period: Period) -> &'static str {
    match period {
        Period::Second => "Hookdeck: deliveries a second",
        Period::Minute => "Hookdeck: deliveries a minute",
        Period::Hour => "Hookdeck: deliveries an hour",
        Period::Concurrent => "Hookdeck: open deliveries",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        throughput: 5,
        delivery: cli::delivery_policy::DeliveryPolicy::DEFAULT,
        lambda_concurrency: 1000,
        clerk_requests: 1000,
        creations_per_hour: 500,
        branches_per_project: 1000,
        branches_per_organization: 10_000,
        projects: 1,
        create_latency_ms: 1000,
        request_latency_ms: 100,
    };

    fn load(sign_ups: u32, within_seconds: u32) -> Load {
        Load { sign_ups, within_seconds }
    }

    fn need(plan: &Plan, name: &str) -> f64 {
        let stage = plan.stages.iter().find(|it| it.name == name);
        stage.unwrap_or_else(|| panic!("there is no limit {name}")).needs
    }

    fn assert_near(number: f64, expected: f64) {
        assert!((number / expected - 1.0).abs() < 1e-9, "{number} is not {expected}");
    }

    #[test]
    fn ten_a_second_for_an_hour_exceed_the_hourly_quota_most() {
        let plan = Plan::new(load(36_000, 3600), &LIMITS);
        assert_near(need(&plan, "Hookdeck: events a second"), 10.0);
        assert_near(need(&plan, "Hookdeck: open deliveries"), 12.0); // 10 × (1 + 2 × 0.1) s
        assert_near(need(&plan, "Lambda: concurrent"), 12.0);
        assert_near(need(&plan, "Clerk: requests in 10 s"), 100.0);
        assert_near(need(&plan, "Xata: projects, creating"), 10.0);
        assert_near(need(&plan, "Xata: creations an hour"), 36_000.0);
        assert_near(need(&plan, "Xata: databases in a project"), 36_003.0);
        assert_eq!(plan.breaks_first().expect("one does").name, "Xata: creations an hour");
        assert_near(plan.capacity, 500.0 / 3600.0);
        assert_near(plan.waiting, 35_500.0);
        assert_near(plan.seconds, 72.0 * 3600.0);
        assert_eq!(plan.refused_by, Some("Xata: creations an hour"));
        // 0 s, 63.5 min, 2.1 h, 4.3 h, 8.5 h, 17 h, 34 h and 68 h after the sign-up.
        assert_near(plan.by_retries, 8.0 * 500.0);
        assert_near(plan.projects_needed, 37.0); // 36,000 / 997
        assert_near(plan.late_delivery_seconds, 5.0); // 1 + (2 + 37 + 1) × 0.1
        assert_near(plan.organizations_needed, 72.0); // 36,000 / 500
    }

    #[test]
    fn a_delivery_rate_of_the_quota_paces_the_same_load() {
        let delivery = "500/hour".parse().expect("it is a rate");
        let plan = Plan::new(load(36_000, 3600), &Limits { delivery, ..LIMITS });
        assert_eq!(plan.refused_by, None);
        assert_near(plan.seconds, 72.0 * 3600.0);
    }

    #[test]
    fn what_no_limit_holds_up_is_done_with_the_last_sign_up() {
        let plan = Plan::new(load(60, 3600), &LIMITS);
        assert!(plan.breaks_first().is_none() && plan.refused_by.is_none());
        assert_near(plan.seconds, 3600.0);
        assert!(plan.waiting.abs() < f64::EPSILON);
    }

    #[test]
    fn a_backlog_costs_clerk_a_second_request_and_each_project_a_look_up() {
        let limits = Limits { creations_per_hour: 1_000_000, projects: 10, ..LIMITS };
        let soon = Plan::new(load(100, 60), &limits);
        assert_near(soon.capacity, 2.0 / 1.2);
        // 2 open deliveries, each 1 s and 13 requests: Clerk twice, ten lists, one create.
        assert_near(Plan::new(load(100_000, 600), &limits).capacity, 2.0 / 2.3);
    }
}

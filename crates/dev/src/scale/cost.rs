//! What a million sign-ups cost: formulas, with the bytes of the log measured by a real delivery.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::Context;
use cli::output;
use http::HeaderMap;
use per_user_db::handler::Handler;
use per_user_db::request;
use per_user_db::telemetry::{self, InvocationIds, METRICS, Metrics};
use per_user_db::worker::{Invocation, TIMEOUT, Worker};
use serde::Serialize;
use standin::clerk::{SignUp, user_id_at};
use standin::clock::START;
use standin::function_url::{self, BodyEncoding};
use standin::hookdeck::{Connection, Engine, from_fn};

use super::count;
use crate::services::{Api, SIGNING_SECRET, Services};
use crate::simulate;

/// List prices in dollars, for us-east-1 where there is a region, read in September 2026 (docs/scale.md
/// has the sources).
mod price {
    pub(super) const LAMBDA_REQUEST: f64 = 0.20 / 1e6;
    /// On arm64.
    pub(super) const LAMBDA_GB_SECOND: f64 = 0.000_013_333_4;
    pub(super) const LOG_GB: f64 = 0.50;
    pub(super) const METRIC_MONTH: f64 = 0.30;
    pub(super) const ALARMS_MONTH: f64 = 1.10;
    pub(super) const DASHBOARD_MONTH: f64 = 3.00;
    pub(super) const TRACE: f64 = 5.00 / 1e6;
    pub(super) const SECRET_MONTH: f64 = 0.40;
    pub(super) const SECRET_REQUEST: f64 = 0.05 / 1e4;
    /// Of a `xata.micro`.
    pub(super) const XATA_HOUR: f64 = 0.012;
    pub(super) const XATA_GB_MONTH: f64 = 0.28;
}

const MILLION: f64 = 1e6;

/// The memory that brings one processor; less brings its share.
const MB_OF_A_PROCESSOR: f64 = 1769.0;

const MEMORY_SIZES_MB: [u32; 7] = [128, 192, 256, 512, 1024, 1769, 3008];

/// The outcomes are a dimension of one metric (template.yaml).
const OUTCOMES: usize = 14;

/// X-Ray samples one in twenty, beside the first of each second.
const TRACED: f64 = 0.05;

const GB: f64 = 1_073_741_824.0;

/// What a million sign-ups cost, with the formulas, and which memory size of the function is cheapest
///
/// The prices are lists of September 2026 for us-east-1 and arm64, without free tiers and discounts.
/// The bytes of the log are those of a delivery that this command makes.
///
/// Example: cargo dev scale cost --idle-minutes 5 --hookdeck-event-price 3
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Deliveries for each sign-up: more than one where some are refused, or come twice
    #[arg(long, default_value_t = 1.0, value_parser = amount)]
    deliveries: f64,
    /// The function's memory in MB, as the parameter `MemorySize` of the stack
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(128..=10_240))]
    memory: u32,
    /// The processor time of a delivery in milliseconds; docs/scale.md says where the default comes from
    #[arg(long, default_value_t = 2.0, value_parser = amount)]
    cpu_ms: f64,
    /// How long a delivery waits for Xata and Clerk, in milliseconds
    #[arg(long, default_value_t = 1200.0, value_parser = amount)]
    wait_ms: f64,
    /// The percentage of deliveries that start a process
    #[arg(long, default_value_t = 1.0, value_parser = amount)]
    starts: f64,
    /// The processor time of a start in milliseconds
    #[arg(long, default_value_t = 10.0, value_parser = amount)]
    start_cpu_ms: f64,
    /// What Lambda itself logs for each delivery, in bytes
    #[arg(long, default_value_t = 700.0, value_parser = amount)]
    platform_log_bytes: f64,
    /// For how many months the stack is there while the million signs up
    #[arg(long, default_value_t = 1.0, value_parser = amount)]
    months: f64,
    /// `XATA_SCALE_TO_ZERO_MINUTES`: a new database is awake so long before it sleeps
    #[arg(long, default_value_t = 30.0, value_parser = amount)]
    idle_minutes: f64,
    /// The hours that each database is awake later, in a month
    #[arg(long, default_value_t = 0.0, value_parser = amount)]
    awake_hours: f64,
    /// The storage of a database in GB that is not its template's. Unknown without it
    #[arg(long, value_parser = amount)]
    storage_gb: Option<f64>,
    /// Hookdeck's price of a million events in dollars, by its price list. Unknown without it
    #[arg(long, value_parser = amount)]
    hookdeck_event_price: Option<f64>,
    /// Hookdeck's plan with its throughput, in dollars a month
    #[arg(long, default_value_t = 39.0, value_parser = amount)]
    hookdeck_plan: f64,
    /// Print one JSON document instead of the tables
    #[arg(long)]
    json: bool,
}

/// A number from 0 to a thousand million: neither nonsense nor so much that a sum is infinite.
fn amount(text: &str) -> Result<f64, &'static str> {
    let amount = text.parse().ok().filter(|amount| (0.0..=1e9).contains(amount));
    amount.ok_or("not a number from 0 to 1,000,000,000")
}

#[derive(Serialize)]
struct Report {
    items: Vec<Item>,
    /// Of all items whose price is known.
    dollars: f64,
    memory_sizes: Vec<MemorySize>,
    cheapest_mb: u32,
}

#[derive(Serialize)]
struct Item {
    name: &'static str,
    formula: String,
    /// None where the price is unknown.
    dollars: Option<f64>,
}

#[derive(Serialize)]
struct MemorySize {
    mb: u32,
    billed_ms: f64,
    dollars: f64,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let report = Report::new(arguments, measured_log_bytes()?);
    if arguments.json {
        output::json(&report)?;
    } else {
        report.print()?;
    }
    Ok(ExitCode::SUCCESS)
}

impl Arguments {
    fn n_deliveries(&self) -> f64 {
        self.deliveries * MILLION
    }

    /// The billed milliseconds of a delivery, its share of a start included. A process has one thread,
    /// which cannot use more than one processor.
    fn billed_ms(&self, memory_mb: u32) -> f64 {
        let cpu_ms = self.cpu_ms + self.start_cpu_ms * self.starts / 100.0;
        self.wait_ms + cpu_ms * (MB_OF_A_PROCESSOR / f64::from(memory_mb)).max(1.0)
    }

    fn gb_seconds(&self, memory_mb: u32) -> f64 {
        self.n_deliveries() * self.billed_ms(memory_mb) / 1000.0 * f64::from(memory_mb) / 1024.0
    }
}

impl Report {
    fn new(arguments: &Arguments, log_bytes: usize) -> Self {
        let items = items(arguments, log_bytes);
        let size = |mb| MemorySize {
            mb,
            billed_ms: arguments.billed_ms(mb),
            dollars: arguments.gb_seconds(mb) * price::LAMBDA_GB_SECOND,
        };
        let memory_sizes = MEMORY_SIZES_MB.map(size);
        let cheapest =
            memory_sizes.iter().min_by(|one, other| one.dollars.total_cmp(&other.dollars));
        Self {
            dollars: items.iter().filter_map(|it| it.dollars).sum(),
            items,
            cheapest_mb: cheapest.map_or(0, |it| it.mb),
            memory_sizes: memory_sizes.into(),
        }
    }

    fn print(&self) -> anyhow::Result<()> {
        let dollars = |dollars: Option<f64>| match dollars {
            Some(dollars) => format!("{dollars:.2}"),
            None => "see the price list".to_owned(),
        };
        let rows = self.items.iter();
        let rows = rows.map(|it| [it.name.to_owned(), it.formula.clone(), dollars(it.dollars)]);
        let all = ["all that is known".to_owned(), String::new(), dollars(Some(self.dollars))];
        output::line(output::listing(
            ["a million sign-ups", "formula", "dollars"].map(Into::into),
            rows.chain([all]),
        ))?;
        let sizes = self.memory_sizes.iter();
        output::line(output::listing(
            ["memory in MB", "billed ms of a delivery", "dollars of GB-seconds"].map(Into::into),
            sizes.map(|it| {
                [it.mb.to_string(), format!("{:.0}", it.billed_ms), format!("{:.2}", it.dollars)]
            }),
        ))?;
        output::line(format_args!("The cheapest of them is {} MB.", self.cheapest_mb))
    }
}

fn items(arguments: &Arguments, log_bytes: usize) -> Vec<Item> {
    let Arguments { memory, months, starts, idle_minutes, awake_hours, .. } = *arguments;
    let n = arguments.n_deliveries();
    let item = |name, formula, dollars: f64| Item { name, formula, dollars: Some(dollars) };
    #[expect(clippy::cast_precision_loss, reason = "a line is short")]
    let log_bytes = log_bytes as f64 + arguments.platform_log_bytes;
    #[expect(clippy::cast_precision_loss, reason = "there are few")]
    let n_metrics = (METRICS.len() + OUTCOMES) as f64;
    let n_starts = n * starts / 100.0;
    let awake = idle_minutes / 60.0 + awake_hours * months;
    vec![
        item(
            "Lambda: requests",
            format!("{} × ${:.2} / 1,000,000", count(n), price::LAMBDA_REQUEST * MILLION),
            n * price::LAMBDA_REQUEST,
        ),
        item(
            "Lambda: time",
            format!(
                "{} × {} ms × {memory} MB = {} GB-s × ${}",
                count(n),
                count(arguments.billed_ms(memory)),
                count(arguments.gb_seconds(memory)),
                price::LAMBDA_GB_SECOND
            ),
            arguments.gb_seconds(memory) * price::LAMBDA_GB_SECOND,
        ),
        item(
            "CloudWatch: log",
            format!("{} × {} bytes × ${:.2} a GB", count(n), count(log_bytes), price::LOG_GB),
            n * log_bytes / GB * price::LOG_GB,
        ),
        item(
            "CloudWatch: metrics, alarms, dashboard",
            format!(
                "{months} × ({n_metrics} × ${:.2} + ${:.2} + ${:.2})",
                price::METRIC_MONTH,
                price::ALARMS_MONTH,
                price::DASHBOARD_MONTH
            ),
            months
                * (n_metrics * price::METRIC_MONTH + price::ALARMS_MONTH + price::DASHBOARD_MONTH),
        ),
        item(
            "X-Ray",
            format!("{} × {TRACED} × ${:.2} / 1,000,000", count(n), price::TRACE * MILLION),
            n * TRACED * price::TRACE,
        ),
        item(
            "Secrets Manager",
            format!(
                "{months} × ${:.2} + {} starts × ${:.2} / 10,000",
                price::SECRET_MONTH,
                count(n_starts),
                price::SECRET_REQUEST * 1e4
            ),
            months * price::SECRET_MONTH + n_starts * price::SECRET_REQUEST,
        ),
        item(
            "Hookdeck: plan",
            format!("{months} × ${}", arguments.hookdeck_plan),
            months * arguments.hookdeck_plan,
        ),
        Item {
            name: "Hookdeck: events",
            formula: "1,000,000 × the price of an event".to_owned(),
            dollars: arguments.hookdeck_event_price,
        },
        item(
            "Xata: awake",
            format!(
                "1,000,000 × ({idle_minutes} / 60 + {awake_hours} × {months}) hours × ${}",
                price::XATA_HOUR
            ),
            MILLION * awake * price::XATA_HOUR,
        ),
        Item {
            name: "Xata: storage",
            formula: format!("1,000,000 × GB × {months} × ${:.2}", price::XATA_GB_MONTH),
            dollars: arguments.storage_gb.map(|gb| MILLION * gb * months * price::XATA_GB_MONTH),
        },
    ]
}

/// The bytes of the two lines, the delivery's and that of its metrics, which a sign-up leaves.
fn measured_log_bytes() -> anyhow::Result<usize> {
    let runtime = simulate::runtime()?;
    let _entered = runtime.enter(); // the stand-ins' clocks begin with it
    let services = Services::new(Api::Platform, 1, std::collections::BTreeMap::new())?;
    services.xata.set_create_latency(Duration::from_secs(1));
    let settings = cli::environment::settings(&services.settings("localhost", 1))?;
    let log = Log::default();
    let of_log = log.clone();
    let subscriber = telemetry::subscriber(settings.log_level, move || of_log.clone());
    let of_metrics = log.clone();
    let metrics = Metrics::new("per-user-db".to_owned(), move |line| {
        let _memory = of_metrics.clone().write_all(line.as_bytes());
    });
    let client = per_user_db::http_client::boxed(standin::serve::client(services.router()));
    let clock: per_user_db::Clock = Arc::new(|| SystemTime::UNIX_EPOCH + START);
    let handler = Handler::new(settings, client, clock.clone());
    let worker = Arc::new(Worker::new(handler, clock, Some(metrics)));
    let n_created = Arc::new(AtomicUsize::new(0));
    let of_destination = n_created.clone();
    let sign_up = SignUp::new(&user_id_at(0, START.as_secs()));
    let body = sign_up.user_created().into();
    services.clerk.insert(sign_up);
    let destination = from_fn(move |delivery| {
        let (worker, n_created) = (worker.clone(), of_destination.clone());
        Box::pin(async move {
            let event = function_url::event(&delivery, BodyEncoding::Text).to_string();
            let payload = request::read(&event);
            // As long as Lambda's and X-Ray's.
            let ids = InvocationIds {
                request_id: Some("8476a536-e9f4-11e8-9739-2dfe598c3fcd".to_owned()),
                trace_id: Some("1-5bef4de7-ad49b0e87f6ef6c87fc2e700".to_owned()),
            };
            let deadline = SystemTime::UNIX_EPOCH + START + TIMEOUT;
            let response = worker.invoke(Invocation { payload, deadline, ids }).await;
            n_created
                .fetch_add(usize::from(<&str>::from(&response) == "created"), Ordering::Relaxed);
            Ok(function_url::response(&response.to_lambda())?)
        })
    });
    tracing::subscriber::with_default(subscriber, || {
        runtime.block_on(async {
            let connection =
                Connection { secret: SIGNING_SECRET.to_owned(), ..Connection::default() };
            let engine = Engine::new(connection, destination);
            engine.ingest(HeaderMap::new(), body);
            engine.settle().await;
        });
    });
    let is_created = n_created.load(Ordering::Relaxed) == 1;
    let bytes = log.0.lock().unwrap_or_else(PoisonError::into_inner);
    is_created.then_some(bytes.len()).context("the delivery has created no database")
}

/// What is written, in memory. Clones share it.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARGUMENTS: Arguments = Arguments {
        deliveries: 1.0,
        memory: 128,
        cpu_ms: 2.0,
        wait_ms: 1000.0,
        starts: 1.0,
        start_cpu_ms: 100.0,
        platform_log_bytes: 500.0,
        months: 1.0,
        idle_minutes: 30.0,
        awake_hours: 0.0,
        storage_gb: None,
        hookdeck_event_price: None,
        hookdeck_plan: 39.0,
        json: false,
    };

    fn assert_near(number: f64, expected: f64) {
        assert!((number / expected - 1.0).abs() < 1e-9, "{number} is not {expected}");
    }

    fn dollars(report: &Report, name: &str) -> Option<f64> {
        let item = report.items.iter().find(|it| it.name == name);
        item.unwrap_or_else(|| panic!("there is no item {name}")).dollars
    }

    #[test]
    fn a_million_sign_ups_cost_what_the_price_lists_say() {
        let report = Report::new(&ARGUMENTS, 1500);
        assert_near(dollars(&report, "Lambda: requests").expect("known"), 0.2);
        // 1,000 ms and 3 ms of processor at 128/1769 of one: 1,041.46 ms; an eighth of a GB.
        let gb_seconds = 1e6 * (1.0 + 0.003 * 1769.0 / 128.0) / 8.0;
        assert_near(dollars(&report, "Lambda: time").expect("known"), gb_seconds * 0.000_013_333_4);
        // 2,000 bytes each.
        assert_near(
            dollars(&report, "CloudWatch: log").expect("known"),
            2e9 / 1_073_741_824.0 / 2.0,
        );
        assert_near(dollars(&report, "Secrets Manager").expect("known"), 0.4 + 0.05);
        assert_near(dollars(&report, "Xata: awake").expect("known"), 6000.0);
        assert_eq!(dollars(&report, "Xata: storage"), None);
        assert_eq!(dollars(&report, "Hookdeck: events"), None);
    }

    #[test]
    fn the_smallest_memory_is_cheapest_because_waiting_costs_by_size_and_computing_does_not() {
        assert_eq!(Report::new(&ARGUMENTS, 0).cheapest_mb, 128);
        let computes = Arguments { wait_ms: 0.0, ..ARGUMENTS };
        let report = Report::new(&computes, 0);
        let [small, .., one_processor, _] = &report.memory_sizes[..] else { panic!("a few sizes") };
        assert_near(small.dollars, one_processor.dollars);
    }

    #[test]
    fn a_sign_up_logs_two_lines_of_less_than_four_kilobytes() {
        let bytes = measured_log_bytes().expect("it is delivered");
        assert!((500..4096).contains(&bytes), "{bytes}");
    }
}

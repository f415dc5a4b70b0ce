use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use cli::output::{self, Report, Status};
use serde::Serialize;

use super::Arguments;
use super::lab::{Kind, Lab, Process, Programs, payload};
use super::plots;
use crate::services::{Api, Variables};

/// How far away Xata is, in milliseconds.
const LATENCIES_MS: [u64; 2] = [0, 20];

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let programs = arguments.builds.programs()?;
    let lab = Lab::start(Api::Platform, 0)?;
    let bench = Bench { settings: lab.settings_without_clerk(), programs, lab };
    let starts = bench.starts(arguments.starts).await?;
    let mut warm = vec![bench.warm(Kind::Ignored, 0, arguments.calls).await?];
    for latency_ms in LATENCIES_MS {
        // A wait is not work, and a tenth of the calls tells as much.
        let calls = if latency_ms == 0 { arguments.calls } else { arguments.calls / 10 };
        warm.push(bench.warm(Kind::Created, latency_ms, calls).await?);
    }
    let memory = bench.memory(arguments.memory_calls).await?;
    let size = |file: &PathBuf| std::fs::metadata(file).map(|it| it.len());
    let size =
        Pair { hello: size(&bench.programs.hello)?, function: size(&bench.programs.function)? };
    let report = Times { starts, warm, memory, size };
    if let Some(directory) = &arguments.plots {
        std::fs::create_dir_all(directory)?;
        plots::starts(&directory.join("start.svg"), &report.starts)?;
        plots::warm(&directory.join("warm.svg"), &report.warm)?;
        plots::memory(&directory.join("memory.svg"), &report.memory)?;
    }
    output::report(&report, arguments.json)
}

/// The same of both programs.
#[derive(Clone, Serialize)]
pub(super) struct Pair<T> {
    pub(super) hello: T,
    pub(super) function: T,
}

impl<T> Pair<T> {
    fn map<U>(&self, map: impl Fn(&T) -> U) -> Pair<U> {
        Pair { hello: map(&self.hello), function: map(&self.function) }
    }
}

/// Microseconds from exec on, one value for each start.
#[derive(Default, Serialize)]
pub(super) struct Starts {
    /// Until the first request for an invocation.
    pub(super) first_next: Vec<f64>,
    /// Until the first response, to an event that is ignored.
    pub(super) first_answer: Vec<f64>,
    /// Until the first response, to a sign-up.
    pub(super) created: Vec<f64>,
    /// Page faults until the first request for an invocation.
    page_faults: u64,
}

/// Warm calls of a kind.
#[derive(Serialize)]
pub(super) struct Warm {
    #[serde(skip)]
    kind: Kind,
    /// How far away Xata is.
    latency_ms: u64,
    /// From an invocation to its response, one value for each call. Hello ignores every event.
    pub(super) call_us: Pair<Vec<f64>>,
    /// Processor time for a call.
    cpu_us: Pair<f64>,
}

impl Warm {
    pub(super) fn name(&self) -> String {
        match self.kind {
            Kind::Created => format!("created, Xata {} ms away", self.latency_ms),
            _ => "ignored".to_owned(),
        }
    }
}

/// The resident memory in kB after so many calls.
pub(super) type Memory = Pair<Vec<(u32, u64)>>;

struct Bench {
    programs: Programs,
    settings: Variables,
    lab: Lab,
}

impl Bench {
    fn hello(&self) -> anyhow::Result<Process> {
        Process::start(&[], &self.programs.hello, &Variables::new())
    }

    fn function(&self) -> anyhow::Result<Process> {
        Process::start(&[], &self.programs.function, &self.settings)
    }

    /// Starts a program: the microseconds until its first request for an invocation, and until its first response.
    async fn first(&self, is_hello: bool, kind: Kind) -> anyhow::Result<[f64; 2]> {
        let payload = payload(&self.lab.delivery(kind)?);
        let exec = Instant::now();
        let process = if is_hello { self.hello()? } else { self.function()? };
        let answered_at = process.invoke(payload, 200).await?.answered_at;
        let next_at = process.first_next().await?;
        process.end().await?;
        Ok([next_at, answered_at].map(|it| microseconds(it - exec)))
    }

    async fn starts(&self, n: u32) -> anyhow::Result<Pair<Starts>> {
        let bar = output::bar("starts", n.into());
        let mut starts = Pair { hello: Starts::default(), function: Starts::default() };
        for _ in 0..n {
            for (is_hello, times) in [(true, &mut starts.hello), (false, &mut starts.function)] {
                let [first_next, first_answer] = self.first(is_hello, Kind::Ignored).await?;
                times.first_next.push(first_next);
                times.first_answer.push(first_answer);
                times.created.push(self.first(is_hello, Kind::Created).await?[1]);
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        for (is_hello, starts) in [(true, &mut starts.hello), (false, &mut starts.function)] {
            let process = if is_hello { self.hello()? } else { self.function()? };
            process.first_next().await?;
            starts.page_faults = process.page_faults()?;
            process.end().await?;
        }
        Ok(starts)
    }

    async fn warm(&self, kind: Kind, latency_ms: u64, n: u32) -> anyhow::Result<Warm> {
        self.lab.services.xata.set_create_latency(Duration::from_millis(latency_ms));
        let bar = output::bar("calls", n.into());
        let processes = Pair { hello: self.hello()?, function: self.function()? };
        let mut call_us = Pair { hello: Vec::new(), function: Vec::new() };
        let cpu = || {
            anyhow::Ok(Pair {
                hello: processes.hello.cpu_ns()?,
                function: processes.function.cpu_ns()?,
            })
        };
        let mut before = None;
        let warm_up = n / 10;
        for call in 0..n + warm_up {
            if call == warm_up {
                before = Some(cpu()?);
            }
            for (process, times) in [
                (&processes.hello, &mut call_us.hello),
                (&processes.function, &mut call_us.function),
            ] {
                let payload = payload(&self.lab.delivery(kind)?);
                let invoked = process.invoke(payload, 200).await?;
                if call >= warm_up {
                    times.push(microseconds(invoked.duration()));
                }
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        let (before, after) = (before.expect("there are calls after the warm-up"), cpu()?);
        let each = |before: u64, after: u64| {
            Duration::from_nanos(after - before).as_secs_f64() * 1e6 / f64::from(n)
        };
        let cpu_us = Pair {
            hello: each(before.hello, after.hello),
            function: each(before.function, after.function),
        };
        processes.hello.end().await?;
        processes.function.end().await?;
        self.lab.services.xata.set_create_latency(Duration::ZERO);
        Ok(Warm { kind, latency_ms, call_us, cpu_us })
    }

    async fn memory(&self, n: u32) -> anyhow::Result<Memory> {
        let bar = output::bar("calls", n.into());
        let processes = [self.hello()?, self.function()?];
        let mut memory = Pair { hello: Vec::new(), function: Vec::new() };
        for call in 1..=n {
            for (process, sizes) in processes.iter().zip([&mut memory.hello, &mut memory.function])
            {
                process.invoke(payload(&self.lab.delivery(Kind::Created)?), 200).await?;
                if call % (n / 50) == 0 {
                    sizes.push((call, process.memory_kb("VmRSS")?));
                }
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        for process in processes {
            process.end().await?;
        }
        Ok(memory)
    }
}

fn microseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

/// The value that so many per cent of the values do not exceed.
pub(super) fn percentile(values: &[f64], per_cent: usize) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len() * per_cent / 100).or(values.last()).copied().unwrap_or(f64::NAN)
}

#[derive(Serialize)]
struct Times {
    starts: Pair<Starts>,
    warm: Vec<Warm>,
    memory: Memory,
    size: Pair<u64>,
}

impl Times {
    /// What is measured, and its values.
    #[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
    fn rows(&self) -> Vec<(String, &'static str, Pair<f64>)> {
        let start =
            |values: fn(&Starts) -> &Vec<f64>| self.starts.map(|it| percentile(values(it), 50));
        let mut rows = vec![
            ("exec to the first /next".to_owned(), "µs", start(|it| &it.first_next)),
            ("exec to the first answer, ignored".to_owned(), "µs", start(|it| &it.first_answer)),
            ("exec to the first answer, created".to_owned(), "µs", start(|it| &it.created)),
        ];
        let page_faults = self.starts.map(|it| it.page_faults as f64);
        rows.push(("page faults until the first /next".to_owned(), "", page_faults));
        for warm in &self.warm {
            for per_cent in [50, 99] {
                let values = warm.call_us.map(|it| percentile(it, per_cent));
                rows.push((format!("warm call, {}, p{per_cent}", warm.name()), "µs", values));
            }
            rows.push((format!("processor, {}", warm.name()), "µs", warm.cpu_us.clone()));
        }
        let last = |sizes: &Vec<(u32, u64)>| sizes.last().map_or(f64::NAN, |it| it.1 as f64);
        let n = self.memory.hello.last().map_or(0, |it| it.0);
        rows.push((
            format!("resident memory after {} calls", indicatif::HumanCount(n.into())),
            "kB",
            self.memory.map(last),
        ));
        let grown = |sizes: &Vec<(u32, u64)>| {
            last(sizes) - sizes.get(sizes.len() / 10).map_or(f64::NAN, |it| it.1 as f64)
        };
        rows.push(("its growth after the first tenth".to_owned(), "kB", self.memory.map(grown)));
        rows.push(("binary".to_owned(), "bytes", self.size.map(|bytes| *bytes as f64)));
        rows
    }
}

impl Report for Times {
    fn text(&self) -> Vec<String> {
        let mut table = output::table();
        table.set_header(["", "", "hello", "per-user-db", "ratio"]);
        for (what, unit, Pair { hello, function }) in self.rows() {
            let number = |value| indicatif::HumanFloatCount(f64::round(value)).to_string();
            let ratio = function / hello;
            let ratio = if ratio.is_finite() { format!("{ratio:.2}") } else { String::new() };
            table.add_row([what, unit.to_owned(), number(hello), number(function), ratio]);
        }
        vec![table.to_string()]
    }

    fn status(&self) -> Status {
        Status::Success
    }
}

#[cfg(test)]
mod tests {
    use super::percentile;

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let values: Vec<_> = (1..=200).rev().map(f64::from).collect();
        let percentiles = [0, 50, 99, 100].map(|it| percentile(&values, it).to_string());
        assert_eq!(percentiles, ["1", "101", "199", "200"]);
        assert!(percentile(&[], 50).is_nan());
    }
}

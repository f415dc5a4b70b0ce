use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use cli::output::{self, Report, Status};
use indicatif::HumanCount;
use serde::Serialize;

use super::Builds;
use super::lab::{Kind, Lab, Process, payload};
use crate::services::{Api, Variables};

/// A count of instructions fails that is this much larger than the committed one.
const MAX_GROWTH: f64 = 1.05;

/// The deliveries that come first, so that connections and caches are there.
const WARM_UP: u32 = 10;

/// The deliveries that are counted.
const COUNTED: u32 = 50;

/// The secrets of the signature, separated by commas. Each is tried until one fits.
const SECRET: &str = "HOOKDECK_WEBHOOK_SECRET";

/// The kinds of deliveries, with their names in tables and in the file of counts.
const KINDS: [(&str, Kind); 4] = [
    ("ignored", Kind::Ignored),
    ("refused", Kind::Refused),
    ("created", Kind::Created),
    ("retried", Kind::Retried),
];

/// Count the instructions, allocations and copied bytes of a start and of each kind of delivery
///
/// Valgrind counts them, so nothing else that the machine does changes them. It offers no SHA
/// instructions, which Lambda's processors have, so the signature counts for more than it takes there.
/// Its instructions are told apart: a function with a second, wrong secret checks it twice.
///
/// It ends with 1 where a count of instructions is more than 5 % above the committed one, in
/// benches/instructions.json, which is for `x86_64`. `cargo bench --bench counts` is the same command.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Write the counts of instructions to the file of committed ones
    #[arg(long)]
    update: bool,
    /// Count instructions only
    #[arg(long)]
    instructions: bool,
    /// Print one JSON document instead of the table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    builds: Builds,
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let programs = arguments.builds.programs()?;
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../benches/instructions.json");
    let is_compared = cfg!(target_arch = "x86_64") && !arguments.update;
    let committed = if is_compared { read(&file)? } else { BTreeMap::new() };
    let lab = Lab::start(Api::Platform, 0)?;
    let tools = if arguments.instructions { &Tool::ALL[..1] } else { &Tool::ALL[..] };
    let bar = output::bar("counts", (tools.len() * (2 + 1 + KINDS.len())) as u64);
    let mut hello = [Counts::default(); 2];
    let mut rows = vec![("start", Counts::default())];
    rows.extend(KINDS.map(|(name, _)| (name, Counts::default())));
    for tool in tools {
        let counter = Counter { lab: &lab, tool: *tool };
        let none = Variables::new();
        for (start, program, settings) in [
            (&mut hello[0], &programs.hello, &none),
            (&mut rows[0].1, &programs.function, &lab.settings_without_clerk()),
        ] {
            tool.add(start, &counter.run(program, settings, Kind::Ignored, 0).await?);
            bar.inc(1);
        }
        let each = counter.each(&programs.hello, &none, Kind::Ignored).await?;
        tool.add(&mut hello[1], &each);
        bar.inc(1);
        for ((_, kind), (_, counts)) in KINDS.iter().zip(&mut rows[1..]) {
            let mut settings = lab.settings_without_clerk();
            tool.add(counts, &counter.each(&programs.function, &settings, *kind).await?);
            if let Tool::Instructions = tool {
                settings.insert(SECRET, format!("not-the-secret,{}", settings[SECRET]));
                let twice = counter.each(&programs.function, &settings, *kind).await?;
                counts.signature = twice[0].saturating_sub(counts.instructions);
            }
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    if arguments.update {
        let counts = rows.iter().map(|(name, counts)| (*name, counts.instructions));
        let counts: BTreeMap<_, _> = counts.collect();
        let text = serde_json::to_string_pretty(&counts)? + "\n";
        std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    let rows = rows.into_iter().map(|(what, counts)| {
        let hello = hello[usize::from(what != "start")];
        let committed = committed.get(what).copied();
        Row { what, counts, hello, committed, grown: grown(counts.instructions, committed) }
    });
    let report = Counted { rows: rows.collect(), only_instructions: arguments.instructions };
    output::report(&report, arguments.json)
}

fn read(file: &PathBuf) -> anyhow::Result<BTreeMap<String, u64>> {
    let bytes = std::fs::read(file);
    let bytes = bytes.with_context(|| format!("cannot read {}", file.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("{} has no counts", file.display()))
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn ratio(ours: u64, other: u64) -> f64 {
    ours as f64 / other.max(1) as f64
}

fn grown(instructions: u64, committed: Option<u64>) -> bool {
    committed.is_some_and(|committed| ratio(instructions, committed) > MAX_GROWTH)
}

/// What valgrind counts.
#[derive(Clone, Copy, Default, Serialize)]
struct Counts {
    instructions: u64,
    /// Those of them that check the signature.
    signature: u64,
    allocations: u64,
    allocated_bytes: u64,
    copied_bytes: u64,
}

/// A tool of valgrind's.
#[derive(Clone, Copy)]
enum Tool {
    Instructions,
    Allocations,
    Copies,
}

impl Tool {
    const ALL: [Self; 3] = [Self::Instructions, Self::Allocations, Self::Copies];

    fn command(self) -> &'static [&'static str] {
        match self {
            Self::Instructions => {
                &["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
            }
            Self::Allocations => &["valgrind", "--tool=dhat", "--dhat-out-file=/dev/null"],
            Self::Copies => {
                &["valgrind", "--tool=dhat", "--mode=copy", "--dhat-out-file=/dev/null"]
            }
        }
    }

    /// The numbers in valgrind's summary: `Collected : 1234`, or `Total: 1,234 bytes in 56 blocks`.
    fn parse(self, summary: &str) -> Option<Vec<u64>> {
        let label = if let Self::Instructions = self { "Collected :" } else { "Total:" };
        let text = summary.lines().find_map(|line| Some(line.split_once(label)?.1))?;
        let number = |word: &str| word.replace(',', "").parse().ok();
        Some(text.split_whitespace().filter_map(number).collect())
    }

    fn add(self, counts: &mut Counts, numbers: &[u64]) {
        match (self, numbers) {
            (Self::Instructions, [instructions, ..]) => counts.instructions = *instructions,
            (Self::Allocations, [bytes, blocks, ..]) => {
                (counts.allocated_bytes, counts.allocations) = (*bytes, *blocks);
            }
            (Self::Copies, [bytes, ..]) => counts.copied_bytes = *bytes,
            _ => {}
        }
    }
}

struct Counter<'a> {
    lab: &'a Lab,
    tool: Tool,
}

impl Counter<'_> {
    /// The counts for one delivery, which those of the start and of the warm-up are taken from.
    async fn each(
        &self,
        program: &Path,
        settings: &Variables,
        kind: Kind,
    ) -> anyhow::Result<Vec<u64>> {
        let few = self.run(program, settings, kind, WARM_UP).await?;
        let many = self.run(program, settings, kind, WARM_UP + COUNTED).await?;
        let each = |(few, many): (&u64, &u64)| many.saturating_sub(*few) / u64::from(COUNTED);
        Ok(few.iter().zip(&many).map(each).collect())
    }

    /// The counts for a process that handles so many deliveries.
    async fn run(
        &self,
        program: &Path,
        settings: &Variables,
        kind: Kind,
        n: u32,
    ) -> anyhow::Result<Vec<u64>> {
        let process = Process::start(self.tool.command(), program, settings);
        let process = process.context("install valgrind, which counts")?;
        let status = if settings.is_empty() { 200 } else { kind.status() };
        for _ in 0..n {
            process.invoke(payload(&self.lab.delivery(kind)?), status).await?;
        }
        process.first_next().await?;
        let summary = process.end().await?;
        let numbers = self.tool.parse(&summary);
        let Some(numbers) = numbers.filter(|it| !it.is_empty()) else {
            bail!("valgrind prints no summary; it says: {summary}")
        };
        Ok(numbers)
    }
}

#[derive(Serialize)]
struct Row {
    what: &'static str,
    #[serde(flatten)]
    counts: Counts,
    hello: Counts,
    committed: Option<u64>,
    grown: bool,
}

#[derive(Serialize)]
struct Counted {
    rows: Vec<Row>,
    #[serde(skip)]
    only_instructions: bool,
}

impl Report for Counted {
    fn text(&self) -> Vec<String> {
        let mut table = output::table();
        let mut header = vec![
            "",
            "instructions",
            "committed",
            "hello's",
            "ratio",
            "signature's",
            "ratio without",
        ];
        if !self.only_instructions {
            header.extend([
                "allocations",
                "hello's",
                "bytes",
                "hello's",
                "copied bytes",
                "hello's",
            ]);
        }
        table.set_header(header);
        for Row { what, counts, hello, committed, grown } in &self.rows {
            let count = |n: u64| HumanCount(n).to_string();
            let committed = committed.map(count).unwrap_or_default();
            let ratio = |ours: u64| format!("{:.2}", ratio(ours, hello.instructions));
            let mut row = vec![
                (*what).to_owned(),
                count(counts.instructions),
                if *grown { format!("{committed}, GROWN") } else { committed },
                count(hello.instructions),
                ratio(counts.instructions),
                count(counts.signature),
                ratio(counts.instructions - counts.signature),
            ];
            if !self.only_instructions {
                row.extend(
                    [
                        (counts.allocations, hello.allocations),
                        (counts.allocated_bytes, hello.allocated_bytes),
                        (counts.copied_bytes, hello.copied_bytes),
                    ]
                    .into_iter()
                    .flat_map(|(ours, hello)| [count(ours), count(hello)]),
                );
            }
            table.add_row(row);
        }
        vec![table.to_string()]
    }

    fn status(&self) -> Status {
        let grown: Vec<_> = self.rows.iter().filter(|it| it.grown).map(|it| it.what).collect();
        if grown.is_empty() {
            return Status::Success;
        }
        Status::Failure(format!(
            "{} takes more than 5 % more instructions than benches/instructions.json has. Mend it, or accept it \
             with `cargo bench --bench counts -- --update`",
            grown.join(", ")
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_are_read_from_valgrind_s_summary() {
        let callgrind =
            "==7== Events    : Ir\n==7== Collected : 7012345\n==7== I   refs:      7,012,345";
        assert_eq!(Tool::Instructions.parse(callgrind), Some(vec![7_012_345]));
        let dhat =
            "==7== Total:     1,234 bytes in 56 blocks\n==7== At t-gmax: 7 bytes in 1 blocks";
        assert_eq!(Tool::Allocations.parse(dhat), Some(vec![1_234, 56]));
        assert_eq!(Tool::Copies.parse("valgrind: failed to start"), None);
    }

    #[test]
    fn five_per_cent_more_instructions_than_committed_are_too_many() {
        assert!(!grown(105_000, Some(100_000)));
        assert!(grown(105_001, Some(100_000)));
        assert!(!grown(105_001, None));
    }
}

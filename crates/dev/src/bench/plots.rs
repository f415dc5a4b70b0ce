//! The plots of `cargo dev bench`.

use std::path::Path;

use super::times::{Memory, Pair, Starts, Warm, percentile};
use crate::plot::SeriesLabelPosition::{MiddleMiddle, UpperLeft};
use crate::plot::{self, BLUE, GREY, Line};

/// The starts, from the shortest to the longest.
pub(super) fn starts(file: &Path, starts: &Pair<Starts>) -> anyhow::Result<()> {
    let lines = [("hello", GREY, &starts.hello), ("per-user-db", BLUE, &starts.function)].map(
        |(name, color, Starts { first_next, first_answer, .. })| {
            [("/next", 1, first_next), ("answer", 3, first_answer)].map(|(what, width, times)| {
                Line { name: format!("{name}, first {what}"), color, width, points: sorted(times) }
            })
        },
    );
    let labels = ["milliseconds from exec on", "per cent of the starts"];
    plot::draw(file, labels, UpperLeft, lines.as_flattened())
}

/// The warm calls, from the shortest to the longest.
pub(super) fn warm(file: &Path, warm: &[Warm]) -> anyhow::Result<()> {
    let at_once = warm.iter().filter(|it| percentile(&it.call_us.function, 50) < 10_000.0);
    let lines = at_once.enumerate().flat_map(|(index, warm)| {
        let (kind, calls, width) = (warm.name(), &warm.call_us, if index == 0 { 1 } else { 3 });
        [("hello", GREY, &calls.hello), ("per-user-db", BLUE, &calls.function)].map(
            |(name, color, calls)| Line {
                name: format!("{name}, {kind}"),
                color,
                width,
                points: sorted(calls),
            },
        )
    });
    let lines: Vec<_> = lines.collect();
    let labels = ["milliseconds of a warm call", "per cent of the calls"];
    plot::draw(file, labels, MiddleMiddle, &lines)
}

/// The resident memory over many calls.
#[expect(clippy::cast_precision_loss, reason = "no pixel shows the difference")]
pub(super) fn memory(file: &Path, memory: &Memory) -> anyhow::Result<()> {
    let lines = [("hello", GREY, &memory.hello), ("per-user-db", BLUE, &memory.function)].map(
        |(name, color, sizes)| Line {
            name: name.to_owned(),
            color,
            width: 2,
            points: sizes.iter().map(|&(n, kb)| (f64::from(n), kb as f64 / 1000.0)).collect(),
        },
    );
    plot::draw(file, ["sign-ups handled by one process", "resident memory, MB"], UpperLeft, &lines)
}

/// At each per cent, the value that so many of the values do not exceed. The slowest twentieth would press
/// the others together.
fn sorted(microseconds: &[f64]) -> Vec<(f64, f64)> {
    let point =
        |per_cent: u8| (percentile(microseconds, per_cent.into()) / 1000.0, per_cent.into());
    (0..=95).map(point).collect()
}

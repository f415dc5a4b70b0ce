//! The backlog over time, as a picture.

use std::path::Path;

use crate::plot::{self, BLUE, GREY, ORANGE, RGBColor, SeriesLabelPosition};
use crate::simulate::load::Sample;

/// A line's name and colour, and what it shows of a sample.
type Line = (&'static str, RGBColor, fn(&Sample) -> u64);

const LINES: [Line; 4] = [
    ("signed up", GREY, |it| it.signed_up),
    ("waiting", ORANGE, Sample::waiting),
    ("done", BLUE, |it| it.acknowledged),
    ("given up by Hookdeck", RGBColor(0, 0, 0), |it| it.given_up),
];

/// Draws the samples of a run.
#[expect(clippy::cast_precision_loss, reason = "no pixel shows the difference")]
pub(super) fn draw(file: &Path, samples: &[Sample]) -> anyhow::Result<()> {
    let (unit, seconds) = match samples.last().map_or(0, |it| it.seconds) {
        ..7_200 => ("minutes", 60.0),
        7_200..172_800 => ("hours", 3600.0),
        _ => ("days", 86_400.0),
    };
    let lines = LINES.iter().filter(|(.., of)| samples.iter().any(|it| of(it) > 0));
    let lines = lines.map(|&(name, color, of)| plot::Line {
        name: name.to_owned(),
        color,
        width: 2,
        points: samples.iter().map(|it| (it.seconds as f64 / seconds, of(it) as f64)).collect(),
    });
    let lines: Vec<_> = lines.collect();
    plot::draw(file, [unit, "sign-ups"], SeriesLabelPosition::MiddleRight, &lines)
}

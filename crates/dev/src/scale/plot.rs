//! The backlog over time, as a picture.

use std::path::Path;

use anyhow::Context;
use plotters::prelude::*;

use super::count;
use crate::simulate::load::Sample;

/// Readable on white, which the picture brings along, and apart for people who see few colours.
const LINES: [Line; 4] = [
    ("signed up", RGBColor(140, 140, 140), |it| it.signed_up),
    ("waiting", RGBColor(213, 94, 0), Sample::waiting),
    ("done", RGBColor(0, 114, 178), |it| it.acknowledged),
    ("given up by Hookdeck", RGBColor(0, 0, 0), |it| it.given_up),
];

type Line = (&'static str, RGBColor, fn(&Sample) -> u64);

/// Draws the samples of a run. The file is the same bytes each time.
pub(crate) fn draw(path: &Path, samples: &[Sample]) -> anyhow::Result<()> {
    let mut svg = String::new();
    picture(&mut svg, samples).map_err(|error| anyhow::anyhow!("{error}"))?;
    std::fs::write(path, svg + "\n")
        .with_context(|| format!("{} cannot be written", path.display()))
}

#[expect(clippy::cast_precision_loss, reason = "no pixel shows the difference")]
fn picture(svg: &mut String, samples: &[Sample]) -> Result<(), Box<dyn std::error::Error>> {
    let end = samples.last().map_or(0, |it| it.seconds).max(1);
    let (unit, seconds) = match end {
        ..7_200 => ("minutes", 60.0),
        7_200..172_800 => ("hours", 3600.0),
        _ => ("days", 86_400.0),
    };
    let time = |seconds_since: u64| seconds_since as f64 / seconds;
    let highest = samples.iter().map(|it| it.signed_up).max().unwrap_or_default().max(1);
    let area = SVGBackend::with_string(svg, (800, 400)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(72)
        .build_cartesian_2d(0.0..time(end) * 1.02, 0.0..highest as f64 * 1.05)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc(unit)
        .y_desc("sign-ups")
        .x_label_formatter(&ToString::to_string)
        .y_label_formatter(&|number| count(*number))
        .label_style(("sans-serif", 14))
        .draw()?;
    let drawn = LINES.iter().filter(|(.., of)| samples.iter().any(|it| of(it) > 0));
    for &(name, color, of) in drawn {
        let points = samples.iter().map(|it| (time(it.seconds), of(it) as f64));
        let style = color.stroke_width(2);
        chart
            .draw_series(LineSeries::new(points, style))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], style));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::MiddleRight)
        .background_style(WHITE.mix(0.9))
        .label_font(("sans-serif", 14))
        .draw()?;
    area.present()?;
    Ok(())
}

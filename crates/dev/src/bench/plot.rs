//! The plots of `cargo dev bench`.

use std::path::Path;

use anyhow::Context;
use plotters::prelude::SeriesLabelPosition::{MiddleMiddle, UpperLeft};
use plotters::prelude::*;

use super::times::{Memory, Pair, Starts, Warm, percentile};

/// Readable on white, which the picture brings along, and apart for people who see few colours.
const COLORS: [RGBColor; 2] = [RGBColor(140, 140, 140), RGBColor(0, 114, 178)];

/// A line: its name, its colour, its points.
type Line = (String, ShapeStyle, Vec<(f64, f64)>);

/// The starts, from the shortest to the longest.
pub(super) fn starts(file: &Path, starts: &Pair<Starts>) -> anyhow::Result<()> {
    let lines = [("hello", COLORS[0], &starts.hello), ("per-user-db", COLORS[1], &starts.function)];
    let lines = lines.into_iter().flat_map(|(name, color, starts)| {
        [
            (format!("{name}, first /next"), color.stroke_width(1), sorted(&starts.first_next)),
            (format!("{name}, first answer"), color.stroke_width(3), sorted(&starts.first_answer)),
        ]
    });
    draw(
        file,
        ["milliseconds from exec on", "per cent of the starts"],
        UpperLeft,
        &lines.collect::<Vec<_>>(),
    )
}

/// The warm calls, from the shortest to the longest.
pub(super) fn warm(file: &Path, warm: &[Warm]) -> anyhow::Result<()> {
    let at_once = warm.iter().filter(|it| percentile(&it.call_us.function, 50) < 10_000.0);
    let lines = at_once.enumerate().flat_map(|(index, warm)| {
        let width = if index == 0 { 1 } else { 3 };
        [
            (
                format!("hello, {}", warm.name()),
                COLORS[0].stroke_width(width),
                sorted(&warm.call_us.hello),
            ),
            (
                format!("per-user-db, {}", warm.name()),
                COLORS[1].stroke_width(width),
                sorted(&warm.call_us.function),
            ),
        ]
    });
    draw(
        file,
        ["milliseconds of a warm call", "per cent of the calls"],
        MiddleMiddle,
        &lines.collect::<Vec<_>>(),
    )
}

/// The resident memory over many calls.
#[expect(clippy::cast_precision_loss, reason = "no pixel shows the difference")]
pub(super) fn memory(file: &Path, memory: &Memory) -> anyhow::Result<()> {
    let points = |sizes: &[(u32, u64)]| {
        sizes.iter().map(|(calls, kb)| (f64::from(*calls), *kb as f64 / 1000.0)).collect()
    };
    let lines = [
        ("hello".to_owned(), COLORS[0].stroke_width(2), points(&memory.hello)),
        ("per-user-db".to_owned(), COLORS[1].stroke_width(2), points(&memory.function)),
    ];
    draw(file, ["sign-ups handled by one process", "resident memory, MB"], UpperLeft, &lines)
}

/// At each per cent, the value that so many of the values do not exceed. The slowest hundredth would press
/// the others together.
fn sorted(microseconds: &[f64]) -> Vec<(f64, f64)> {
    let point =
        |per_cent: u8| (percentile(microseconds, per_cent.into()) / 1000.0, per_cent.into());
    (0..=99).map(point).collect()
}

fn draw(
    file: &Path,
    labels: [&str; 2],
    legend: SeriesLabelPosition,
    lines: &[Line],
) -> anyhow::Result<()> {
    let mut svg = String::new();
    picture(&mut svg, labels, legend, lines).map_err(|error| anyhow::anyhow!("{error}"))?;
    std::fs::write(file, svg + "\n").with_context(|| format!("cannot write {}", file.display()))
}

fn picture(
    svg: &mut String,
    [x, y]: [&str; 2],
    legend: SeriesLabelPosition,
    lines: &[Line],
) -> Result<(), Box<dyn std::error::Error>> {
    let points = || lines.iter().flat_map(|(_, _, points)| points);
    let most = |of: fn(&(f64, f64)) -> f64| points().map(of).fold(0.0, f64::max) * 1.05;
    let number = |value: &f64| indicatif::HumanFloatCount(*value).to_string();
    let area = SVGBackend::with_string(svg, (800, 360)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(60)
        .build_cartesian_2d(0.0..most(|it| it.0), 0.0..most(|it| it.1))?;
    let mut mesh = chart.configure_mesh();
    mesh.light_line_style(TRANSPARENT)
        .x_desc(x)
        .y_desc(y)
        .x_label_formatter(&number)
        .y_label_formatter(&number)
        .label_style(("sans-serif", 14))
        .draw()?;
    for (name, style, points) in lines {
        let style = *style;
        chart
            .draw_series(LineSeries::new(points.iter().copied(), style))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], style));
    }
    chart
        .configure_series_labels()
        .position(legend)
        .background_style(WHITE.mix(0.9))
        .label_font(("sans-serif", 14))
        .draw()?;
    area.present()?;
    Ok(())
}

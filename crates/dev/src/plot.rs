//! Line charts, as SVG files. The same points give the same bytes.

use std::path::Path;

use anyhow::Context;
use indicatif::HumanFloatCount;
use plotters::prelude::*;
pub(crate) use plotters::prelude::{RGBColor, SeriesLabelPosition};

// Readable on white, which the picture brings along, and apart for people who see few colours.
pub(crate) const GREY: RGBColor = RGBColor(140, 140, 140);
pub(crate) const BLUE: RGBColor = RGBColor(0, 114, 178);
pub(crate) const ORANGE: RGBColor = RGBColor(213, 94, 0);

/// A line of a chart.
pub(crate) struct Line {
    /// For the legend.
    pub(crate) name: String,
    pub(crate) color: RGBColor,
    /// In pixels.
    pub(crate) width: u32,
    pub(crate) points: Vec<(f64, f64)>,
}

/// Draws the lines over axes with these labels, which begin at 0.
pub(crate) fn draw(
    file: &Path,
    labels: [&str; 2],
    legend: SeriesLabelPosition,
    lines: &[Line],
) -> anyhow::Result<()> {
    let mut svg = String::new();
    chart(&mut svg, labels, legend, lines).map_err(|error| anyhow::anyhow!("{error}"))?;
    std::fs::write(file, svg + "\n").with_context(|| format!("cannot write {}", file.display()))
}

fn chart(
    svg: &mut String,
    [x, y]: [&str; 2],
    legend: SeriesLabelPosition,
    lines: &[Line],
) -> Result<(), Box<dyn std::error::Error>> {
    let points = || lines.iter().flat_map(|line| &line.points);
    let most = |of: fn(&(f64, f64)) -> f64| points().map(of).fold(f64::EPSILON, f64::max) * 1.05;
    let number = |value: &f64| HumanFloatCount(*value).to_string();
    let area = SVGBackend::with_string(svg, (800, 380)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(72)
        .build_cartesian_2d(0.0..most(|it| it.0), 0.0..most(|it| it.1))?;
    let mut mesh = chart.configure_mesh();
    mesh.light_line_style(TRANSPARENT)
        .x_desc(x)
        .y_desc(y)
        .x_label_formatter(&number)
        .y_label_formatter(&number)
        .label_style(("sans-serif", 14))
        .draw()?;
    for Line { name, color, width, points } in lines {
        let style = color.stroke_width(*width);
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

//! The chart: how each rule does from its worst scenario to its best.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::report::{Report, quantile};
use crate::Failure;
use crate::bench::chart::{FAINT, FONT, GRID, INK, bitmap, load_font, text};

const SIZE: (u32, u32) = (960, 560);
const COLORS: [RGBColor; 5] = [
    RGBColor(0x12, 0x6e, 0xa8),
    RGBColor(0xc0, 0x4b, 0x1c),
    RGBColor(0x5b, 0x64, 0x70),
    RGBColor(0x2f, 0x85, 0x5a),
    RGBColor(0x80, 0x5a, 0xd5),
];

pub(super) fn svg(report: &Report) -> Result<Vec<u8>, Failure> {
    let mut text = String::new();
    draw(SVGBackend::with_string(&mut text, SIZE), report, 1)?;
    Ok(text.into_bytes())
}

pub(super) fn png(report: &Report) -> Result<Vec<u8>, Failure> {
    bitmap(SIZE, |backend, scale| draw(backend, report, scale))
}

fn draw<DB>(backend: DB, report: &Report, scale: i32) -> Result<(), Failure>
where
    DB: DrawingBackend,
    DB::ErrorType: 'static,
{
    load_font()?;
    let root = backend.into_drawing_area();
    root.fill(&WHITE)?;
    let left = |size: i32, color| text(size * scale, color, HPos::Left, VPos::Top);
    root.draw(&Text::new(
        "Useful gradients per second, against the best fixed deadline in hindsight",
        (24 * scale, 18 * scale),
        left(27, INK),
    ))?;
    let setting = format!(
        "{} scenarios drawn at random, seed {}; each rule's from its worst to its best",
        report.scenarios, report.seed
    );
    let at = (24 * scale, 58 * scale);
    root.draw(&Text::new(setting, at, left(18, FAINT)))?;

    let (_, plot) = root.split_vertically(92 * scale);
    let font = |size: i32, color| (FONT, size * scale).into_font().color(color);
    let mut chart = ChartBuilder::on(&plot)
        .margin_left(16 * scale)
        .margin_right(190 * scale)
        .margin_bottom(12 * scale)
        .x_label_area_size(52 * scale)
        .y_label_area_size(58 * scale)
        .build_cartesian_2d(0.0..100.0, 0.0..1.6)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID.stroke_width(scale as u32))
        .axis_style(FAINT.stroke_width(scale as u32))
        .label_style(font(17, &FAINT))
        .axis_desc_style(font(18, &INK))
        .x_labels(6)
        .y_labels(9)
        .x_label_formatter(&|value| format!("{value:.0} %"))
        .y_label_formatter(&|value| format!("{value:.1}"))
        .x_desc("share of the scenarios that went worse")
        .y_desc("ratio")
        .draw()?;
    let even = [(0.0, 1.0), (100.0, 1.0)];
    chart.draw_series(LineSeries::new(even, INK.stroke_width(scale as u32)))?;
    for (record, color) in report.records.iter().zip(COLORS.iter().cycle()) {
        let sorted = record.sorted(None, |judged| judged.ratio);
        let point = |percent: u32| {
            let share = f64::from(percent);
            (share, quantile(&sorted, share / 100.0).min(1.6))
        };
        let points: Vec<(f64, f64)> = (0..=100).map(point).collect();
        let end = points.last().copied().unwrap_or_default();
        let middle = points.get(97).copied().unwrap_or_default();
        chart.draw_series(LineSeries::new(
            points,
            color.stroke_width(3 * scale as u32),
        ))?;
        let style = text(19 * scale, *color, HPos::Left, VPos::Center);
        let name: String = record.rule.chars().take(24).collect();
        let label = EmptyElement::at((end.0, middle.1)) + Text::new(name, (12 * scale, 0), style);
        chart.draw_series([label])?;
    }
    root.present()?;
    Ok(())
}

//! The line chart, drawn once for SVG and PNG.

use std::sync::OnceLock;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontStyle, register_font};

use super::cell::Side;
use super::report::{Line, Report};
use crate::Failure;

/// The chart's size in its own units; pixels are that times the scale.
const SIZE: (u32, u32) = (960, 560);
/// Twice as fine, so that thin letters stay legible in a bitmap.
const PNG_SCALE: i32 = 2;
pub(crate) const INK: RGBColor = RGBColor(0x22, 0x27, 0x2e);
pub(crate) const FAINT: RGBColor = RGBColor(0x5b, 0x64, 0x70);
pub(crate) const GRID: RGBColor = RGBColor(0xe3, 0xe6, 0xea);
const STRICT: RGBColor = RGBColor(0xc0, 0x4b, 0x1c);
const DEADLINE: RGBColor = RGBColor(0x12, 0x6e, 0xa8);
pub(crate) const FONT: &str = "sans-serif";

pub(super) fn svg(report: &Report) -> Result<Vec<u8>, Failure> {
    let mut text = String::new();
    draw(SVGBackend::with_string(&mut text, SIZE), report, 1)?;
    Ok(text.into_bytes())
}

pub(super) fn png(report: &Report) -> Result<Vec<u8>, Failure> {
    bitmap(SIZE, |backend, scale| draw(backend, report, scale))
}

/// A bitmap as PNG, drawn at this size times the scale that `draw` is given.
pub(crate) fn bitmap(
    size: (u32, u32),
    draw: impl FnOnce(BitMapBackend<'_>, i32) -> Result<(), Failure>,
) -> Result<Vec<u8>, Failure> {
    // The bitmap is written by way of a file, as that is the one way in
    // which the backend encodes it.
    let directory = std::env::temp_dir().join(format!("hetsync-chart-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    let path = directory.join("chart.png");
    let size = (size.0 * PNG_SCALE as u32, size.1 * PNG_SCALE as u32);
    let drawn = draw(BitMapBackend::new(&path, size), PNG_SCALE);
    let bytes = std::fs::read(&path);
    std::fs::remove_dir_all(&directory)?;
    drawn?;
    Ok(bytes?)
}

/// Makes letters available, to the bitmap for drawing and to both for
/// measuring. No font of the machine is needed.
pub(crate) fn load_font() -> Result<(), Failure> {
    static LOADED: OnceLock<bool> = OnceLock::new();
    let font = epaint_default_fonts::UBUNTU_LIGHT;
    match LOADED.get_or_init(|| register_font(FONT, FontStyle::Normal, font).is_ok()) {
        true => Ok(()),
        false => Err("the chart's font cannot be read".into()),
    }
}

fn draw<DB>(backend: DB, report: &Report, scale: i32) -> Result<(), Failure>
where
    DB: DrawingBackend,
    DB::ErrorType: 'static,
{
    load_font()?;
    let root = backend.into_drawing_area();
    root.fill(&WHITE)?;
    titles(&root, report, scale)?;

    let highest = report.cells.iter().map(|line| line.updates_per_s);
    let top = highest.fold(1.0, f64::max) * 1.18;
    let (_, plot) = root.split_vertically(92 * scale);
    let font = |size: i32, color| (FONT, size * scale).into_font().color(color);
    let mut chart = ChartBuilder::on(&plot)
        .margin_left(16 * scale)
        .margin_right(120 * scale)
        .margin_bottom(12 * scale)
        .x_label_area_size(52 * scale)
        .y_label_area_size(58 * scale)
        .build_cartesian_2d(-4.0..79.0, 0.0..top)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID.stroke_width(scale as u32))
        .axis_style(FAINT.stroke_width(scale as u32))
        .label_style(font(17, &FAINT))
        .axis_desc_style(font(18, &INK))
        .x_labels(0)
        .y_labels(6)
        .y_label_formatter(&|value| match top > 5.0 {
            true => format!("{value:.0}"),
            false => format!("{value:.1}"),
        })
        .x_desc("stragglers, % of the workers")
        .y_desc("updates per second")
        .draw()?;
    // Ticks only where something was measured.
    for line in report.of(Side::Strict) {
        let at = (line.stragglers_percent as f64, 0.0);
        let style = text(17 * scale, FAINT, HPos::Center, VPos::Top);
        let label = format!("{} %", line.stragglers_percent);
        let tick = EmptyElement::at(at)
            + PathElement::new(vec![(0, 0), (0, 6 * scale)], FAINT)
            + Text::new(label, (0, 10 * scale), style);
        chart.draw_series([tick])?;
    }

    let rates = |policy| -> Vec<(f64, f64)> {
        let point = |line: &Line| (line.stragglers_percent as f64, line.updates_per_s);
        report.of(policy).map(point).collect()
    };
    let deadline = rates(Side::Rule);
    for (policy, label, color) in [
        (Side::Strict, "strict", STRICT),
        (Side::Rule, report.rule_name, DEADLINE),
    ] {
        let points = rates(policy);
        let line = color.stroke_width(3 * scale as u32);
        chart.draw_series(LineSeries::new(points.clone(), line))?;
        chart.draw_series(points.iter().zip(&deadline).map(|(at, other)| {
            // Where both lines meet, one figure stands for both; the falling
            // line comes from the left, so the lower figures stand right.
            let is_upper = policy == Side::Rule;
            let (dx, horizontal) = match is_upper {
                true => (0, HPos::Center),
                false => (9 * scale, HPos::Left),
            };
            let meets = !is_upper && (at.1 - other.1).abs() < 0.03 * top;
            let value = if meets { String::new() } else { figure(at.1) };
            let style = text(18 * scale, color, horizontal, VPos::Bottom);
            EmptyElement::at(*at)
                + Circle::new((0, 0), 7 * scale, WHITE.filled())
                + Circle::new((0, 0), 5 * scale, color.filled())
                + Text::new(value, (dx, -10 * scale), style)
        }))?;
        if let Some(last) = points.last() {
            let style = text(21 * scale, color, HPos::Left, VPos::Center);
            let name = EmptyElement::at(*last) + Text::new(label, (46 * scale, 0), style);
            chart.draw_series([name])?;
        }
    }
    root.present()?;
    Ok(())
}

fn titles<DB>(root: &DrawingArea<DB, Shift>, report: &Report, scale: i32) -> Result<(), Failure>
where
    DB: DrawingBackend,
    DB::ErrorType: 'static,
{
    let left = |size: i32, color| text(size * scale, color, HPos::Left, VPos::Top);
    let title = "Updates per second with slow workers";
    root.draw(&Text::new(title, (24 * scale, 18 * scale), left(29, INK)))?;
    let setting = format!(
        "{}; {:.0} s over loopback",
        report.setting(),
        report.duration_s
    );
    root.draw(&Text::new(
        setting,
        (24 * scale, 58 * scale),
        left(18, FAINT),
    ))?;
    Ok(())
}

pub(crate) fn text(size: i32, color: RGBColor, h: HPos, v: VPos) -> TextStyle<'static> {
    let style = (FONT, size).into_font().color(&color);
    style.pos(Pos::new(h, v))
}

/// Two significant digits below one, as a straggler's rate is a fifth.
fn figure(value: f64) -> String {
    match value {
        v if v < 1.0 => format!("{v:.2}"),
        v => format!("{v:.1}"),
    }
}

//! The line chart of the headline table.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::cell::Side;
use super::report::{Line, Report};
use crate::Failure;
use crate::chart::{Area, Axes, BLUE, Chart, FAINT, RED, axes, plain, text};

impl Chart for Report {
    fn titles(&self) -> (&'static str, String) {
        let setting = format!("{}; {:.0} s over loopback", self.setting(), self.duration_s);
        ("Updates per second with slow workers", setting)
    }

    fn draw<DB>(&self, plot: &Area<DB>, scale: i32) -> Result<(), Failure>
    where
        DB: DrawingBackend,
        DB::ErrorType: 'static,
    {
        let highest = self.cells.iter().map(|line| line.updates_per_s);
        let top = highest.fold(1.0, f64::max) * 1.18;
        let mut chart = axes(plot, scale, 120, -4.0..79.0, 0.0..top)?;
        plain(&mut chart.configure_mesh(), scale)
            .x_labels(0)
            .y_labels(6)
            .y_label_formatter(&|value| match top > 5.0 {
                true => format!("{value:.0}"),
                false => format!("{value:.1}"),
            })
            .x_desc("stragglers, % of the workers")
            .y_desc("updates per second")
            .draw()?;
        self.ticks(&mut chart, scale)?;
        self.line(&mut chart, scale, top, (Side::Strict, "strict", RED))?;
        self.line(&mut chart, scale, top, (Side::Rule, self.rule_name, BLUE))
    }
}

impl Report {
    /// Ticks only where something was measured.
    fn ticks<DB>(&self, chart: &mut Axes<'_, DB>, scale: i32) -> Result<(), Failure>
    where
        DB: DrawingBackend,
        DB::ErrorType: 'static,
    {
        for line in self.of(Side::Strict) {
            let at = (line.stragglers_percent as f64, 0.0);
            let style = text(17 * scale, FAINT, HPos::Center, VPos::Top);
            let label = format!("{} %", line.stragglers_percent);
            let tick = EmptyElement::at(at)
                + PathElement::new(vec![(0, 0), (0, 6 * scale)], FAINT)
                + Text::new(label, (0, 10 * scale), style);
            chart.draw_series([tick])?;
        }
        Ok(())
    }

    fn points(&self, side: Side) -> Vec<(f64, f64)> {
        let point = |line: &Line| (line.stragglers_percent as f64, line.updates_per_s);
        self.of(side).map(point).collect()
    }

    /// One side's line, with its figures and its name.
    fn line<DB>(
        &self,
        chart: &mut Axes<'_, DB>,
        scale: i32,
        top: f64,
        (side, label, color): (Side, &'static str, RGBColor),
    ) -> Result<(), Failure>
    where
        DB: DrawingBackend,
        DB::ErrorType: 'static,
    {
        let points = self.points(side);
        let others = self.points(Side::Rule);
        let line = color.stroke_width(3 * scale as u32);
        chart.draw_series(LineSeries::new(points.clone(), line))?;
        chart.draw_series(points.iter().zip(&others).map(|(at, other)| {
            // Where both lines meet, one figure stands for both; the falling
            // line comes from the left, so the lower figures stand right.
            let is_upper = side == Side::Rule;
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
        Ok(())
    }
}

/// Two significant digits below one, as a straggler's rate is a fifth.
fn figure(value: f64) -> String {
    match value {
        v if v < 1.0 => format!("{v:.2}"),
        v => format!("{v:.1}"),
    }
}

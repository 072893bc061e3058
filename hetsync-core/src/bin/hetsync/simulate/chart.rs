//! The chart: how each rule does from its worst scenario to its best.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::report::{Report, quantile};
use crate::Failure;
use crate::chart::{Area, BLUE, Chart, FAINT, GREEN, INK, RED, VIOLET, axes, plain, text};

const COLORS: [RGBColor; 5] = [BLUE, RED, FAINT, GREEN, VIOLET];

impl Chart for Report {
    fn titles(&self) -> (&'static str, String) {
        let setting = format!(
            "{} scenarios drawn at random, seed {}; each rule's from its worst to its best",
            self.scenarios, self.seed
        );
        let title = "Useful gradients per second, against the best fixed deadline in hindsight";
        (title, setting)
    }

    fn draw<DB>(&self, plot: &Area<DB>, scale: i32) -> Result<(), Failure>
    where
        DB: DrawingBackend,
        DB::ErrorType: 'static,
    {
        let mut chart = axes(plot, scale, 190, 0.0..100.0, 0.0..1.6)?;
        plain(&mut chart.configure_mesh(), scale)
            .x_labels(6)
            .y_labels(9)
            .x_label_formatter(&|value| format!("{value:.0} %"))
            .y_label_formatter(&|value| format!("{value:.1}"))
            .x_desc("share of the scenarios that went worse")
            .y_desc("ratio")
            .draw()?;
        let even = [(0.0, 1.0), (100.0, 1.0)];
        chart.draw_series(LineSeries::new(even, INK.stroke_width(scale as u32)))?;
        for (record, color) in self.records.iter().zip(COLORS.iter().cycle()) {
            let sorted = record.sorted(None, |judged| judged.ratio);
            let point = |percent: u32| {
                let share = f64::from(percent);
                (share, quantile(&sorted, share / 100.0).min(1.6))
            };
            let points: Vec<(f64, f64)> = (0..=100).map(point).collect();
            let end = points.last().copied().unwrap_or_default();
            let middle = points.get(97).copied().unwrap_or_default();
            let line = color.stroke_width(3 * scale as u32);
            chart.draw_series(LineSeries::new(points, line))?;
            let style = text(19 * scale, *color, HPos::Left, VPos::Center);
            let name: String = record.rule.chars().take(24).collect();
            let label =
                EmptyElement::at((end.0, middle.1)) + Text::new(name, (12 * scale, 0), style);
            chart.draw_series([label])?;
        }
        Ok(())
    }
}

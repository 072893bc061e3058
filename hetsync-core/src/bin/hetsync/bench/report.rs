//! The table in its forms: for the terminal, CSV, JSON.

use std::fmt::Write as _;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{Attribute, CellAlignment, ContentArrangement, Table};
use hetsync_core::Span;
use hetsync_core::policy::Rule;
use serde::Serialize;

use super::cell::{Cell, Side};
use crate::Failure;
use crate::args::{BenchArgs, WaitForName};

/// Settings and measurements.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) workers: usize,
    pub(super) floats: usize,
    pub(super) think_s: f64,
    pub(super) straggle_s: f64,
    /// If the rule is a deadline and no more.
    pub(super) deadline_s: Option<f64>,
    /// The rule beside strict, and its name alone.
    pub(super) rule: String,
    #[serde(skip)]
    pub(super) rule_name: &'static str,
    /// Whom rounds under the deadline waited for.
    pub(super) wait_for: &'static str,
    pub(super) duration_s: f64,
    /// By share of stragglers, strict before the rule.
    pub(super) cells: Vec<Line>,
}

/// One cell, as it is written to files.
#[derive(Debug, Serialize)]
pub(super) struct Line {
    pub(super) policy: &'static str,
    #[serde(skip)]
    side: Side,
    pub(super) stragglers_percent: usize,
    pub(super) stragglers: usize,
    pub(super) updates_per_s: f64,
    pub(super) updates: u64,
    pub(super) measured_s: f64,
    pub(super) closed_by_deadline: u64,
    pub(super) late_dropped: u64,
}

impl Report {
    /// `took` is how long was measured.
    pub(super) fn new(args: &BenchArgs, rule: &Rule, took: Span, cells: Vec<Cell>) -> Self {
        let rule_name = rule.policy().name();
        let line = |cell: Cell| Line {
            policy: match cell.plan.side {
                Side::Strict => "strict",
                Side::Rule => rule_name,
            },
            side: cell.plan.side,
            stragglers_percent: cell.plan.share,
            stragglers: cell.plan.stragglers,
            updates_per_s: cell.updates_per_s(),
            updates: cell.updates,
            measured_s: cell.measured.as_secs_f64(),
            closed_by_deadline: cell.by_deadline,
            late_dropped: cell.late,
        };
        Self {
            workers: args.workers,
            floats: args.floats,
            think_s: args.think.as_secs_f64(),
            straggle_s: args.straggle.as_secs_f64(),
            deadline_s: match rule {
                Rule::Deadline(Some(span)) => Some(span.as_secs_f64()),
                _ => None,
            },
            rule: rule.to_string(),
            rule_name,
            wait_for: match args.wait_for {
                WaitForName::InStep => "in-step",
                WaitForName::Connected => "connected",
            },
            duration_s: took.as_secs_f64(),
            cells: cells.into_iter().map(line).collect(),
        }
    }

    /// The cells of one side, by share of stragglers.
    pub(super) fn of(&self, side: Side) -> impl Iterator<Item = &Line> {
        self.cells.iter().filter(move |line| line.side == side)
    }

    /// What was measured, in a line.
    pub(super) fn setting(&self) -> String {
        let span = |seconds: f64| {
            let text = Span::from_nanos((seconds * 1e9) as u64).to_string();
            text.replace(".000 ", " ")
        };
        format!(
            "{} workers, {} of work per step, a straggler needs {}, {}{}",
            self.workers,
            span(self.think_s),
            span(self.straggle_s),
            match self.deadline_s {
                Some(deadline) => format!("deadline {}", span(deadline)),
                None => self.rule.clone(),
            },
            match self.wait_for {
                "connected" => " for all connected workers",
                _ => "",
            }
        )
    }

    pub(super) fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED).set_header(
            [
                "stragglers",
                "strict, updates/s",
                &format!("{}, updates/s", self.rule_name),
                "gain",
            ]
            .map(|head| comfy_table::Cell::new(head).add_attribute(Attribute::Bold)),
        );
        let arrangement = arrangement(table.width());
        table.set_content_arrangement(arrangement);
        for (strict, deadline) in self.of(Side::Strict).zip(self.of(Side::Rule)) {
            let gain = match strict.updates_per_s {
                0.0 => String::from("-"),
                rate => format!("{:.1}x", deadline.updates_per_s / rate),
            };
            table.add_row([
                format!(
                    "{} of {} ({} %)",
                    strict.stragglers, self.workers, strict.stragglers_percent
                ),
                format!("{:.2}", strict.updates_per_s),
                format!("{:.2}", deadline.updates_per_s),
                gain,
            ]);
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        format!(
            "{}, measured for {:.0} s over loopback\n{table}",
            self.setting(),
            self.duration_s
        )
    }

    pub(super) fn csv(&self) -> String {
        let mut text = String::from(
            "policy,stragglers_percent,stragglers,updates_per_s,updates,measured_s,closed_by_deadline,late_dropped\n",
        );
        for line in &self.cells {
            let _ = writeln!(
                text,
                "{},{},{},{:.4},{},{:.4},{},{}",
                line.policy,
                line.stragglers_percent,
                line.stragglers,
                line.updates_per_s,
                line.updates,
                line.measured_s,
                line.closed_by_deadline,
                line.late_dropped
            );
        }
        text
    }

    pub(super) fn json(&self) -> Result<Vec<u8>, Failure> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        Ok(text)
    }
}

/// A terminal that says it has no width, as some recorders do, gets the
/// table as it is instead of a letter on each line.
fn arrangement(columns: Option<u16>) -> ContentArrangement {
    match columns {
        Some(0) => ContentArrangement::Disabled,
        _ => ContentArrangement::Dynamic,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_without_width_gets_the_table_as_it_is() {
        assert!(matches!(arrangement(Some(0)), ContentArrangement::Disabled));
        assert!(matches!(arrangement(Some(80)), ContentArrangement::Dynamic));
        assert!(matches!(arrangement(None), ContentArrangement::Dynamic));
    }
}

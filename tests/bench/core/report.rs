//! Medians of ratios, as a table and as JSON.

use std::fmt;

use serde::Serialize;

use crate::WORKERS;
use crate::load::Outcome;

/// One server at one length.
#[derive(Serialize)]
pub(crate) struct Row {
    name: &'static str,
    floats: usize,
    rounds_per_s: Vec<f64>,
    /// To the floor's before and after.
    ratios: Vec<f64>,
    p99_ms: Vec<f64>,
    p99_ratios: Vec<f64>,
    server_us: Vec<f64>,
    server_ratios: Vec<f64>,
}

impl Row {
    pub(crate) fn new(name: &'static str, floats: usize) -> Self {
        Self {
            name,
            floats,
            rounds_per_s: Vec::new(),
            ratios: Vec::new(),
            p99_ms: Vec::new(),
            p99_ratios: Vec::new(),
            server_us: Vec::new(),
            server_ratios: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, outcome: &Outcome, floor: &Outcome) {
        self.rounds_per_s.push(outcome.rounds_per_s);
        self.ratios.push(outcome.rounds_per_s / floor.rounds_per_s);
        self.p99_ms.push(outcome.p99_ms);
        self.p99_ratios.push(outcome.p99_ms / floor.p99_ms);
        self.server_us.push(outcome.server_us);
        self.server_ratios.push(outcome.server_us / floor.server_us);
    }
}

/// All of them.
#[derive(Default, Serialize)]
pub(crate) struct Table {
    rows: Vec<Row>,
}

impl Table {
    pub(crate) fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    pub(crate) fn json(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("plain numbers")
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| floats | server | rounds/s | MB/s summed | ratio to floor | least to most | p99 ms | p99 to floor | server, us a round | to floor |"
        )?;
        writeln!(f, "|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|")?;
        for row in &self.rows {
            let rate = median(&row.rounds_per_s);
            let megabytes = rate * (WORKERS * 4 * row.floats) as f64 / 1e6;
            let least = row.ratios.iter().copied().fold(f64::INFINITY, f64::min);
            let most = row.ratios.iter().copied().fold(0.0, f64::max);
            writeln!(
                f,
                "| {} | {} | {} | {megabytes:.1} | {} | {least:.2} to {most:.2} | {:.3} | {:.2} | {} | {:.2} |",
                row.floats,
                row.name,
                figure(rate),
                figure(median(&row.ratios)),
                median(&row.p99_ms),
                median(&row.p99_ratios),
                figure(median(&row.server_us)),
                median(&row.server_ratios),
            )?;
        }
        Ok(())
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => sorted[odd / 2],
        even => (sorted[even / 2 - 1] + sorted[even / 2]) / 2.0,
    }
}

/// Three digits that count.
fn figure(value: f64) -> String {
    match value {
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v if v >= 0.1 => format!("{v:.2}"),
        v => format!("{v:.4}"),
    }
}

//! What a simulation came to: for the terminal, and as JSON.

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, ContentArrangement, Table};
use hetsync_core::sim::{Family, Judged, Outcome, Scene};
use serde_json::json;

use super::Record;
use crate::Failure;

/// Everything that was tried.
pub(super) struct Report {
    pub(super) seed: u64,
    pub(super) scenarios: u64,
    /// Names of what was tried in the scenes.
    pub(super) entrants: Vec<String>,
    pub(super) scenes: Vec<(Scene, Vec<Outcome>)>,
    pub(super) records: Vec<Record>,
}

/// The quantiles that are told: the worst, one in a hundred, and so on.
pub(super) const QUANTILES: [(&str, f64); 5] = [
    ("worst", 0.0),
    ("p1", 0.01),
    ("p5", 0.05),
    ("median", 0.5),
    ("p95", 0.95),
];

/// The value below which the share `q` of all lies.
pub(super) fn quantile(sorted: &[f64], q: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted
        .get((last as f64 * q).round() as usize)
        .copied()
        .unwrap_or(f64::NAN)
}

type Figure = fn(&Judged) -> f64;

const JUDGES: [(&str, Figure); 4] = [
    ("strict judge", |judged| judged.ratio),
    ("mild judge", |judged| judged.mild),
    ("strict, this server", |judged| judged.ratio_here),
    ("mild, this server", |judged| judged.mild_here),
];

impl Record {
    /// One figure of all scenarios, or of those of a family, ascending.
    pub(super) fn sorted(&self, family: Option<Family>, figure: Figure) -> Vec<f64> {
        let of = |(f, _): &&(Family, Judged)| family.is_none_or(|family| family == *f);
        let all = self.judged.iter().filter(of);
        let mut figures: Vec<f64> = all.map(|(_, judged)| figure(judged)).collect();
        figures.sort_by(f64::total_cmp);
        figures
    }

    fn quantiles(&self, family: Option<Family>, figure: Figure) -> Vec<f64> {
        let sorted = self.sorted(family, figure);
        QUANTILES
            .iter()
            .map(|(_, q)| quantile(&sorted, *q))
            .collect()
    }
}

impl Report {
    pub(super) fn text(&self) -> String {
        let mut text = format!(
            "Four workers, 100 ms a step, 150 s: rounds/s and share of gradients in time (seed {})\n{}\n",
            self.seed,
            self.scene_table()
        );
        if self.scenarios == 0 {
            return text;
        }
        text.push_str(&format!(
            "\nUseful gradients/s in {} scenarios drawn at random, as a ratio to the best of 50 fixed deadlines\n{}\n",
            self.scenarios,
            self.judge_table()
        ));
        for record in self.records.iter().take(1) {
            text.push_str(&format!(
                "\n{}, by family, strict judge\n{}\n",
                record.rule,
                family_table(record)
            ));
        }
        text
    }

    fn scene_table(&self) -> Table {
        let mut head = vec![String::from("scene")];
        head.extend(self.entrants.iter().cloned());
        let mut table = table(head);
        for (scene, outcomes) in &self.scenes {
            let mut row = vec![String::from(scene.name())];
            row.extend(outcomes.iter().map(|outcome| match outcome.is_stuck {
                true => String::from("stuck"),
                false => format!(
                    "{:.2}, {:.0} %",
                    outcome.rounds_per_s,
                    outcome.fresh * 100.0
                ),
            }));
            table.add_row(row);
        }
        align(&mut table, 1);
        table
    }

    fn judge_table(&self) -> Table {
        let mut head = vec![String::from("rule"), String::from("judge")];
        head.extend(QUANTILES.map(|(name, _)| String::from(name)));
        let mut table = table(head);
        for record in &self.records {
            for (name, figure) in JUDGES {
                let mut row = vec![record.rule.clone(), String::from(name)];
                let quantiles = record.quantiles(None, figure);
                row.extend(quantiles.iter().map(|value| format!("{value:.2}")));
                table.add_row(row);
            }
        }
        align(&mut table, 2);
        table
    }

    pub(super) fn json(&self) -> Result<Vec<u8>, Failure> {
        let quantiles = |record: &Record, figure: Figure| -> serde_json::Value {
            let values = record.quantiles(None, figure);
            let named = QUANTILES.iter().zip(values);
            named
                .map(|((name, _), value)| (String::from(*name), json!(value)))
                .collect()
        };
        let scenes = self.scenes.iter().map(|(scene, outcomes)| {
            let rules = self.entrants.iter().zip(outcomes).map(|(rule, outcome)| {
                json!({
                    "rule": rule,
                    "rounds_per_s": outcome.rounds_per_s,
                    "fresh": outcome.fresh,
                    "stuck": outcome.is_stuck,
                })
            });
            json!({ "scene": scene.name(), "rules": rules.collect::<Vec<_>>() })
        });
        let rules = self.records.iter().map(|record| {
            let judged = record.judged.iter().map(|(family, judged)| {
                json!({
                    "family": family.name(),
                    "ratio": judged.ratio,
                    "mild": judged.mild,
                    "ratio_here": judged.ratio_here,
                    "mild_here": judged.mild_here,
                    "fresh": judged.fresh,
                })
            });
            let judges =
                JUDGES.map(|(name, figure)| (String::from(name), quantiles(record, figure)));
            json!({
                "rule": record.rule,
                "quantiles": judges.into_iter().collect::<serde_json::Map<_, _>>(),
                "scenarios": judged.collect::<Vec<_>>(),
            })
        });
        let all = json!({
            "seed": self.seed,
            "scenarios": self.scenarios,
            "scenes": scenes.collect::<Vec<_>>(),
            "rules": rules.collect::<Vec<_>>(),
        });
        let mut bytes = serde_json::to_vec_pretty(&all)?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}

fn family_table(record: &Record) -> Table {
    let mut head = vec![String::from("family")];
    head.extend(QUANTILES.map(|(name, _)| String::from(name)));
    head.push(String::from("in time, median"));
    let mut table = table(head);
    for family in Family::ALL {
        let mut row = vec![String::from(family.name())];
        let quantiles = record.quantiles(Some(family), |judged| judged.ratio);
        row.extend(quantiles.iter().map(|value| format!("{value:.2}")));
        let fresh = record.sorted(Some(family), |judged| judged.fresh);
        row.push(format!("{:.0} %", quantile(&fresh, 0.5) * 100.0));
        table.add_row(row);
    }
    align(&mut table, 1);
    table
}

fn table(head: Vec<String>) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header(head);
    table.set_content_arrangement(ContentArrangement::Disabled);
    table
}

fn align(table: &mut Table, from: usize) {
    for column in table.column_iter_mut().skip(from) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}

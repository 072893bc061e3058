//! CSV (RFC 4180, but `\n` line ends): one block a map, with a header line; an empty line between blocks.
//!
//! Columns: `map`, the key's parts (`key`, or `key1`, `key2`, ..), then what the map holds. One row a key; for
//! histograms one row a bucket (`low` and `high` included in it, empty at an open end). A unit stands in
//! the header after the statistics' names: `mean (us)`. What is not a table (`printf`, `print(value)`, the account) goes to
//! standard error.

use std::io::Write;

use crate::report::account::Account;
use crate::report::form::{Form, Output};
use crate::report::map::MapReport;
use crate::report::summary::Number;
use crate::report::value::{Scalar, Value, per_second, share};

/// Writer of the CSV form.
#[derive(Debug, Clone, Default)]
pub struct Csv {
    blocks: usize,
}

impl Form for Csv {
    fn attached(&mut self, out: &mut Output, probes: usize) {
        let plural = if probes == 1 { "" } else { "s" };
        let _ = writeln!(out.aside, "Attaching {probes} probe{plural}...");
    }

    fn message(&mut self, out: &mut Output, _: &str, text: &[u8]) {
        out.aside.extend_from_slice(text);
    }

    fn value(&mut self, out: &mut Output, value: &Scalar) {
        let _ = writeln!(out.aside, "{value}");
    }

    fn map(&mut self, out: &mut Output, map: &MapReport<'_>) {
        let Some(first) = map.entries.first() else {
            return;
        };
        if self.blocks != 0 {
            out.report.push(b'\n');
        }
        self.blocks += 1;
        let mut header = vec!["map".to_string()];
        match first.key.len() {
            0 => {}
            1 => header.push("key".into()),
            parts => header.extend((1..=parts).map(|n| format!("key{n}"))),
        }
        header.extend(
            columns(&first.value)
                .into_iter()
                .map(|name| match map.unit() {
                    Some(unit)
                        if !matches!(name.as_str(), "count" | "within" | "share" | "seconds") =>
                    {
                        format!("{name} ({unit})")
                    }
                    _ => name,
                }),
        );
        record(&mut out.report, &header);
        for entry in &map.entries {
            let mut start = vec![map.name()];
            start.extend(entry.key.iter().map(Scalar::to_string));
            for cells in rows(&entry.value) {
                record(&mut out.report, &[start.as_slice(), &cells].concat());
            }
        }
    }

    fn last_maps(&mut self, _: &mut Output) {}

    fn account(&mut self, out: &mut Output, account: &Account, verbose: bool) {
        for line in account.lines(verbose) {
            let _ = writeln!(out.aside, "{line}");
        }
    }
}

fn columns(value: &Value) -> Vec<String> {
    let names: &[&str] = match value {
        Value::Scalar(_) => &["value"],
        Value::Count(_) => &["count"],
        Value::Sum(_) => &["sum"],
        Value::Avg(_) => &["average"],
        Value::Min(_) => &["min"],
        Value::Max(_) => &["max"],
        Value::Stats { .. } => &["count", "average", "total"],
        Value::Histogram(_) => &["low", "high", "count"],
        Value::Cdf(_) => &["low", "high", "count", "share"],
        Value::Share { .. } => &["count", "within", "limit", "share"],
        Value::Rate { .. } => &["total", "seconds", "rate"],
        Value::Summary(summary) => {
            return summary
                .statistics()
                .into_iter()
                .map(|(name, _)| name)
                .collect();
        }
    };
    names.iter().map(|name| name.to_string()).collect()
}

fn rows(value: &Value) -> Vec<Vec<String>> {
    let edge = |edge: Option<i64>| edge.map_or_else(String::new, |n| n.to_string());
    match value {
        Value::Scalar(x) | Value::Sum(x) | Value::Avg(x) | Value::Min(x) | Value::Max(x) => {
            vec![vec![x.to_string()]]
        }
        Value::Count(n) => vec![vec![n.to_string()]],
        Value::Stats {
            count,
            average,
            total,
        } => {
            vec![vec![
                count.to_string(),
                average.to_string(),
                total.to_string(),
            ]]
        }
        Value::Histogram(histogram) => histogram
            .rows()
            .map(|row| vec![edge(row.low), edge(row.high), row.count.to_string()])
            .collect(),
        Value::Cdf(histogram) => {
            let all = histogram.added_up().last().map_or(0, |row| row.count);
            histogram
                .added_up()
                .map(|row| {
                    let share = share(row.count, all).to_string();
                    vec![edge(row.low), edge(row.high), row.count.to_string(), share]
                })
                .collect()
        }
        Value::Share {
            count,
            within,
            limit,
        } => vec![vec![
            count.to_string(),
            within.to_string(),
            limit.to_string(),
            share(*within, *count).to_string(),
        ]],
        Value::Rate { total, ns } => vec![vec![
            total.to_string(),
            (*ns as f64 / 1e9).to_string(),
            per_second(total, *ns).to_string(),
        ]],
        Value::Summary(summary) => {
            let cell = |number| match number {
                Number::Integer(n) => n.to_string(),
                Number::Real(x) => x.to_string(),
                Number::Negative | Number::None => String::new(),
            };
            vec![
                summary
                    .statistics()
                    .into_iter()
                    .map(|(_, number)| cell(number))
                    .collect(),
            ]
        }
    }
}

/// Appends one record; a field with a comma, a quote or a line end is quoted.
fn record(out: &mut Vec<u8>, fields: &[String]) {
    for (at, field) in fields.iter().enumerate() {
        if at != 0 {
            out.push(b',');
        }
        if field.contains(['"', ',', '\n', '\r']) {
            let _ = write!(out, "\"{}\"", field.replace('"', "\"\""));
        } else {
            out.extend_from_slice(field.as_bytes());
        }
    }
    out.push(b'\n');
}

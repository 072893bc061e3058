//! Text as bpftrace prints it: `@x: 1`, `@[a, b]: 1`, histograms with bars, and a table for summaries.
//!
//! Observed of bpftrace 0.17, 0.23 and 0.27: a histogram is a title line, its rows, and an empty line; everything else is
//! one line an entry; two empty lines stand between the events and the last maps. The rows are 16 columns of label,
//! 8 of count, and a bar of 52. Ours alone: a histogram of a map with a unit says it, `@x (us):`.

use std::io::Write;

use crate::report::account::Account;
use crate::report::form::{Form, Output};
use crate::report::histogram::Histogram;
use crate::report::map::MapReport;
use crate::report::table;
use crate::report::value::{Scalar, Value, per_second};

/// Columns of a histogram's bar.
const BAR: u64 = 52;

/// Writer of the text form.
#[derive(Debug, Clone)]
pub struct Text {
    width: u16,
}

impl Text {
    /// A writer that keeps tables within `width` columns where that is possible.
    pub fn new(width: u16) -> Self {
        Self { width }
    }
}

/// Appends a formatted line; writing to a buffer cannot fail.
macro_rules! line {
    ($out:expr, $($arg:tt)*) => {{ let _ = writeln!($out, $($arg)*); }};
}

impl Form for Text {
    fn attached(&mut self, out: &mut Output, probes: usize) {
        let plural = if probes == 1 { "" } else { "s" };
        line!(out.report, "Attaching {probes} probe{plural}...");
    }

    fn message(&mut self, out: &mut Output, _: &str, text: &[u8]) {
        out.report.extend_from_slice(text);
    }

    fn value(&mut self, out: &mut Output, value: &Scalar) {
        raw(&mut out.report, value);
        out.report.push(b'\n');
    }

    fn map(&mut self, out: &mut Output, map: &MapReport<'_>) {
        if map.is_summary() {
            if !map.entries.is_empty() {
                line!(out.report, "{}\n", table::summaries(map, self.width));
            }
            return;
        }
        for entry in &map.entries {
            let out = &mut out.report;
            out.extend_from_slice(map.name().as_bytes());
            for (at, part) in entry.key.iter().enumerate() {
                out.extend_from_slice(if at == 0 { b"[" } else { b", " });
                raw(out, part);
            }
            if !entry.key.is_empty() {
                out.push(b']');
            }
            if let (Value::Histogram(_) | Value::Cdf(_), Some(unit)) = (&entry.value, map.unit()) {
                let _ = write!(out, " ({unit})");
            }
            out.push(b':');
            match &entry.value {
                Value::Scalar(x)
                | Value::Sum(x)
                | Value::Avg(x)
                | Value::Min(x)
                | Value::Max(x) => {
                    out.push(b' ');
                    raw(out, x);
                    out.push(b'\n');
                }
                Value::Count(n) => line!(out, " {n}"),
                Value::Stats {
                    count,
                    average,
                    total,
                } => {
                    line!(out, " count {count}, average {average}, total {total}");
                }
                Value::Histogram(histogram) => {
                    out.push(b'\n');
                    histogram_rows(out, histogram);
                    out.push(b'\n');
                }
                Value::Cdf(histogram) => {
                    out.push(b'\n');
                    added_up_rows(out, histogram);
                    out.push(b'\n');
                }
                Value::Share {
                    count,
                    within,
                    limit,
                } => {
                    let percent = percent(*within, *count);
                    let unit = map.unit().unwrap_or_default();
                    let space = if unit.is_empty() { "" } else { " " };
                    line!(out, " {percent} % of {count} within {limit}{space}{unit}");
                }
                Value::Rate { total, ns } => {
                    let unit = map.unit().unwrap_or_default();
                    line!(out, " {:.2} {unit}/s", per_second(total, *ns));
                }
                Value::Summary(_) => {}
            }
        }
    }

    fn last_maps(&mut self, out: &mut Output) {
        out.report.extend_from_slice(b"\n\n");
    }

    fn account(&mut self, out: &mut Output, account: &Account, verbose: bool) {
        for line in account.lines(verbose) {
            line!(out.report, "{line}");
        }
    }
}

/// A value with a string's bytes as they are.
fn raw(out: &mut Vec<u8>, value: &Scalar) {
    match value {
        Scalar::Text(bytes) => out.extend_from_slice(bytes),
        number => out.extend_from_slice(number.to_string().as_bytes()),
    }
}

fn histogram_rows(out: &mut Vec<u8>, histogram: &Histogram) {
    let most = histogram.rows().map(|row| row.count).max().unwrap_or(0);
    for row in histogram.rows() {
        // In 128 bits, as a count times 52 may not fit 64.
        let stars = u128::from(row.count) * u128::from(BAR) / u128::from(most.max(1));
        let bar = "@".repeat(stars as usize);
        line!(
            out,
            "{:<16}{:>8} |{bar:<52}|",
            histogram.label(&row),
            row.count
        );
    }
}

/// Each bucket with the samples up to its end, and their share of all.
fn added_up_rows(out: &mut Vec<u8>, histogram: &Histogram) {
    let all = histogram.added_up().last().map_or(0, |row| row.count);
    for row in histogram.added_up() {
        let stars = u128::from(row.count) * u128::from(BAR) / u128::from(all.max(1));
        let bar = "@".repeat(stars as usize);
        line!(
            out,
            "{:<16}{:>8} {:>6} % |{bar:<52}|",
            histogram.label(&row),
            row.count,
            percent(row.count, all)
        );
    }
}

/// A share in hundredths of a percent, cut off: what is not all does not look like it.
fn percent(part: u64, whole: u64) -> String {
    let hundredths = u128::from(part) * 10_000 / u128::from(whole.max(1));
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

//! The table of `summary()`: statistics as rows and keys as columns while that fits, else keys as rows.

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};

use crate::report::map::{Entry, MapReport};
use crate::report::summary::Number;
use crate::report::value::{Value, readable};

/// The table of a map of summaries, without a newline at its end. The corner names the map and its unit.
pub fn summaries(map: &MapReport<'_>, width: u16) -> String {
    let columns: Vec<Column> = (map.entries.iter()).filter_map(Column::of).collect();
    let mut rows: Vec<Vec<String>> = Vec::new();
    if let Some(first) = columns.first() {
        rows.extend(first.names.iter().map(|name| vec![name.clone()]));
    }
    for column in &columns {
        for (row, cell) in rows.iter_mut().zip(&column.cells) {
            row.push(cell.clone());
        }
    }
    let mut header = vec![map.title()];
    header.extend(columns.iter().map(|column| column.key.clone()));
    let upright = draw(&header, &rows);
    let fits = |table: &str| {
        table
            .lines()
            .all(|line| line.chars().count() <= width.into())
    };
    let mut text = if fits(&upright) || columns.len() < 2 {
        upright
    } else {
        let header: Vec<String> = [map.title()]
            .into_iter()
            .chain(columns[0].names.iter().cloned())
            .collect();
        let rows: Vec<Vec<String>> = columns
            .iter()
            .map(|column| {
                [column.key.clone()]
                    .into_iter()
                    .chain(column.cells.iter().cloned())
                    .collect()
            })
            .collect();
        draw(&header, &rows)
    };
    if columns.iter().any(|column| column.saturated) {
        text.push_str(
            "\nnote: a bucket was full at 4294967295 samples; the percentiles are not exact",
        );
    }
    text
}

/// One key's statistics as text.
struct Column {
    key: String,
    names: Vec<String>,
    cells: Vec<String>,
    saturated: bool,
}

impl Column {
    fn of(entry: &Entry) -> Option<Column> {
        let Value::Summary(summary) = &entry.value else {
            return None;
        };
        let shown = |(name, number): (String, Number)| {
            let cell = match number {
                Number::Integer(n) => n.to_string(),
                // What the script divides is wanted in parts of the larger unit.
                Number::Real(x) if name == "mean" || name == "std" || summary.div() != 1 => {
                    format!("{x:.2}")
                }
                // Known exactly, between samples that are next to each other.
                Number::Real(x) if x.abs() < EXACT_BELOW => {
                    let text = format!("{x:.2}");
                    text.trim_end_matches('0').trim_end_matches('.').to_owned()
                }
                Number::Real(x) if x.abs() >= INTEGER_FROM || x.fract() == 0.0 => format!("{x:.0}"),
                Number::Real(x) => format!("{x:.1}"),
                Number::Negative => "< 0".into(),
                Number::None => "NaN".into(),
            };
            (name, cell)
        };
        let (names, cells) = summary.statistics().into_iter().map(shown).unzip();
        Some(Column {
            key: printable(&entry.key_text(", ")),
            names,
            cells,
            saturated: summary.is_saturated(),
        })
    }
}

/// Percentiles below this are exact: each number has a bucket of its own.
const EXACT_BELOW: f64 = 128.0;

/// Percentiles from here on are good to a hundred, so a decimal would only be noise. Means and deviations are exact.
const INTEGER_FROM: f64 = 10_000.0;

/// A key on one line: control characters would break the table.
fn printable(key: &str) -> String {
    readable(key.as_bytes())
        .chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

fn draw(header: &[String], rows: &[Vec<String>]) -> String {
    let mut table = Table::new();
    table
        .force_no_tty()
        .load_style(presets::UTF8_BORDERS_ONLY)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(
            header
                .iter()
                .enumerate()
                .map(|(at, text)| aligned(at, text)),
        );
    for row in rows {
        table.add_row(row.iter().enumerate().map(|(at, text)| aligned(at, text)));
    }
    table.trim_fmt()
}

fn aligned(column: usize, text: &str) -> Cell {
    let alignment = if column == 0 {
        CellAlignment::Left
    } else {
        CellAlignment::Right
    };
    Cell::new(text).set_alignment(alignment)
}

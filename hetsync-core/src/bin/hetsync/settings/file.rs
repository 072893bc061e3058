//! The TOML file, as settings with their places. It knows no setting by name.

use std::io::Read;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::{Fault, MOST_BYTES, Place};

/// A setting as the file has it.
pub(super) struct Found {
    pub(super) key: String,
    pub(super) value: Value,
    pub(super) place: Place,
}

pub(super) enum Value {
    /// A number or a text, as the flag would be given it.
    Text(String),
    Switch(bool),
    List(Vec<String>),
    Table(Vec<Found>),
    /// Something that no flag can be given; the word for it.
    Other(&'static str),
}

/// Reads a file that is not too long.
pub(super) fn read(path: &Path) -> Result<String, String> {
    let read = || {
        let mut text = String::new();
        let file = std::fs::File::open(path)?;
        file.take(MOST_BYTES + 1).read_to_string(&mut text)?;
        Ok(text)
    };
    let text = read().map_err(|error: std::io::Error| format!("cannot read it: {error}"))?;
    match text.len() as u64 > MOST_BYTES {
        true => Err(format!("it is longer than {MOST_BYTES} bytes")),
        false => Ok(text),
    }
}

/// What the text says; what is no TOML is added to the faults.
pub(super) fn parse(path: &str, text: &str, faults: &mut Vec<Fault>) -> Vec<Found> {
    let place = |at: usize| place(path, text, at);
    let (table, errors) = DeTable::parse_recoverable(text);
    faults.extend(errors.iter().map(|error| Fault {
        place: place(error.span().map_or(0, |span| span.start)),
        text: format!("this is no TOML: {}", error.message().replace('\n', " ")),
    }));
    let mut found = entries(table.get_ref(), &place);
    forget_damaged(&mut found, &errors, &place);
    found
}

/// What was made of a line that is no TOML is a guess.
fn forget_damaged(
    found: &mut Vec<Found>,
    errors: &[toml::de::Error],
    place: &dyn Fn(usize) -> Place,
) {
    let line = |place: &Place| match place {
        Place::File { line, .. } => *line,
        _ => 0,
    };
    let starts = errors.iter().filter_map(|error| error.span());
    let damaged: Vec<usize> = starts.map(|span| line(&place(span.start))).collect();
    found.retain(|found| !damaged.contains(&line(&found.place)));
    for found in found {
        if let Value::Table(inner) = &mut found.value {
            forget_damaged(inner, errors, place);
        }
    }
}

fn place(path: &str, text: &str, at: usize) -> Place {
    let before = text.get(..at.min(text.len())).unwrap_or(text);
    let line = before.rsplit('\n').next().unwrap_or("");
    Place::File {
        path: path.into(),
        line: before.matches('\n').count() + 1,
        column: line.chars().count() + 1,
    }
}

/// In the order of the text.
fn entries(table: &DeTable<'_>, place: &dyn Fn(usize) -> Place) -> Vec<Found> {
    let mut sorted: Vec<_> = table.iter().collect();
    sorted.sort_by_key(|(key, _)| key.span().start);
    let found = sorted.into_iter().map(|(key, value)| Found {
        key: key.get_ref().to_string(),
        value: read_value(value.get_ref(), place),
        place: place(key.span().start),
    });
    found.collect()
}

fn read_value(value: &DeValue<'_>, place: &dyn Fn(usize) -> Place) -> Value {
    match value {
        DeValue::Boolean(is_on) => Value::Switch(*is_on),
        DeValue::Table(table) => Value::Table(entries(table, place)),
        DeValue::Array(array) => {
            let texts: Option<Vec<String>> = array.iter().map(|v| plain(v.get_ref())).collect();
            texts.map_or(Value::Other("a list of lists or tables"), Value::List)
        }
        DeValue::Datetime(_) => Value::Other("a date"),
        other => plain(other).map_or(Value::Other("this"), Value::Text),
    }
}

/// A number or a text.
fn plain(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Float(number) => Some(number.as_str().replace('_', "")),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().replace('_', "")),
        DeValue::Integer(number) => i128::from_str_radix(number.as_str(), number.radix())
            .ok()
            .map(|number| number.to_string()),
        _ => None,
    }
}

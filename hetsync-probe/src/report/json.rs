//! One JSON object a line, in bpftrace's shapes, and ours for what it has not (`summary`, `account`).
//!
//! | line | shape |
//! |---|---|
//! | start | `{"type": "attached_probes", "data": {"probes": 1}}` |
//! | `printf` | `{"type": "printf", "data": "text"}` |
//! | `print(value)` | `{"type": "value", "data": 5}` |
//! | scalars, `count sum min max` | `{"type": "map", "data": {"@x": 1}}`, keyed `{"@x": {"a,b": 1}}` |
//! | `avg`, `stats` | `{"type": "stats", "data": {"@x": {"count": 2, "average": 7, "total": 15}}}`, `avg` a number |
//! | `hist`, `lhist` | `{"type": "hist", "data": {"@x": [{"min": 2, "max": 3, "count": 1}]}}`, no `min` or `max` at an open end |
//! | `cdf` | `{"type": "cdf", "data": {"@x": [{"min": 2, "max": 3, "count": 1, "share": 0.25}]}}`, both up to the row's end |
//! | `slo` | `{"type": "slo", "data": {"@x": {"count": 4, "within": 3, "limit": 10, "share": 0.75}}}` |
//! | `rate` | `{"type": "rate", "data": {"@x": {"total": 8, "seconds": 2.0, "rate": 4.0}}}` |
//! | `summary` | `{"type": "summary", "data": {"@x": {"count": 2, "mean": .., "std": .., "min": .., "25%": .., "max": ..}}}` |
//! | end | `{"type": "account", "data": {"events": 0, "full_maps": [], "missed": []}}` |
//!
//! A map with a unit has `"unit"` between `type` and `data`. A statistic that does not exist is `null`.

use std::io;

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::report::account::Account;
use crate::report::form::{Form, Output};
use crate::report::histogram::{Histogram, Row};
use crate::report::map::{Entry, MapReport};
use crate::report::summary::{Number, Summary};
use crate::report::value::{Scalar, Value, per_second, readable, share};

/// Writer of the JSON form.
#[derive(Debug, Clone, Copy, Default)]
pub struct Json;

impl Form for Json {
    fn attached(&mut self, out: &mut Output, probes: usize) {
        emit(out, "attached_probes", None, &Object(&[("probes", probes)]));
    }

    fn message(&mut self, out: &mut Output, kind: &str, text: &[u8]) {
        emit(out, kind, None, &readable(text));
    }

    fn value(&mut self, out: &mut Output, value: &Scalar) {
        emit(out, "value", None, value);
    }

    fn map(&mut self, out: &mut Output, map: &MapReport<'_>) {
        let Some(first) = map.entries.first() else {
            return;
        };
        let kind = match first.value {
            Value::Avg(_) | Value::Stats { .. } => "stats",
            Value::Histogram(_) => "hist",
            Value::Cdf(_) => "cdf",
            Value::Share { .. } => "slo",
            Value::Rate { .. } => "rate",
            Value::Summary(_) => "summary",
            _ => "map",
        };
        let name = map.name();
        if map.is_keyed() {
            emit(
                out,
                kind,
                map.unit(),
                &Object(&[(name.as_str(), Keyed(&map.entries))]),
            );
        } else {
            emit(
                out,
                kind,
                map.unit(),
                &Object(&[(name.as_str(), &first.value)]),
            );
        }
    }

    fn last_maps(&mut self, _: &mut Output) {}

    fn account(&mut self, out: &mut Output, account: &Account, verbose: bool) {
        let mut account = account.clone();
        if !verbose {
            account.attached.clear();
        }
        emit(out, "account", None, &account);
    }
}

/// Appends `{"type": .., "data": ..}` and a newline.
fn emit<T: Serialize>(out: &mut Output, kind: &str, unit: Option<&str>, data: &T) {
    struct Line<'a, T>(&'a str, Option<&'a str>, &'a T);
    impl<T: Serialize> Serialize for Line<'_, T> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut map = serializer.serialize_map(None)?;
            map.serialize_entry("type", self.0)?;
            if let Some(unit) = self.1 {
                map.serialize_entry("unit", unit)?;
            }
            map.serialize_entry("data", self.2)?;
            map.end()
        }
    }
    let mut serializer = serde_json::Serializer::with_formatter(&mut out.report, Spaced);
    // Every key is a string and the buffer takes everything, so this cannot fail.
    let _ = Line(kind, unit, data).serialize(&mut serializer);
    out.report.push(b'\n');
}

/// `{"a": 1, "b": [2, 3]}`: bpftrace's spacing.
struct Spaced;

impl serde_json::ser::Formatter for Spaced {
    fn begin_array_value<W: ?Sized + io::Write>(
        &mut self,
        w: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if first { Ok(()) } else { w.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + io::Write>(
        &mut self,
        w: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if first { Ok(()) } else { w.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, w: &mut W) -> io::Result<()> {
        w.write_all(b": ")
    }
}

/// An object of a few members, in this order.
struct Object<'a, V>(&'a [(&'a str, V)]);

impl<V: Serialize> Serialize for Object<'_, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// The entries of a keyed map, in print order.
struct Keyed<'a>(&'a [Entry]);

impl Serialize for Keyed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(
            self.0
                .iter()
                .map(|entry| (entry.key_text(","), &entry.value)),
        )
    }
}

impl Serialize for Scalar {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Scalar::Signed(n) => serializer.serialize_i64(*n),
            Scalar::Unsigned(n) => serializer.serialize_u64(*n),
            Scalar::Bool(truth) => serializer.serialize_bool(*truth),
            Scalar::Enum(n, None) => serializer.serialize_i64(*n),
            Scalar::Pointer(address) => serializer.serialize_u64(*address),
            Scalar::Text(bytes) => serializer.serialize_str(&readable(bytes)),
            Scalar::Enum(_, Some(_))
            | Scalar::Bytes(_)
            | Scalar::Mac(_)
            | Scalar::Inet(_)
            | Scalar::Flow(_) => serializer.collect_str(self),
            Scalar::Tuple(items) | Scalar::Array(items) => {
                // bpftrace writes these, and these alone, without spaces.
                let items: Vec<String> = items.iter().map(compact).collect();
                match serde_json::value::RawValue::from_string(format!("[{}]", items.join(","))) {
                    Ok(raw) => raw.serialize(serializer),
                    Err(error) => Err(serde::ser::Error::custom(error)),
                }
            }
            Scalar::Record(members) => {
                serializer.collect_map(members.iter().map(|(name, value)| (name, value)))
            }
        }
    }
}

/// A value on its own as JSON.
fn compact(value: &Scalar) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Scalar(x) | Value::Sum(x) | Value::Avg(x) | Value::Min(x) | Value::Max(x) => {
                x.serialize(serializer)
            }
            Value::Count(n) => serializer.serialize_u64(*n),
            Value::Stats {
                count,
                average,
                total,
            } => {
                let mut map = serializer.serialize_map(Some(3))?;
                map.serialize_entry("count", count)?;
                map.serialize_entry("average", average)?;
                map.serialize_entry("total", total)?;
                map.end()
            }
            Value::Histogram(histogram) => histogram.serialize(serializer),
            Value::Cdf(histogram) => {
                let all = histogram.added_up().last().map_or(0, |row| row.count);
                serializer.collect_seq(histogram.added_up().map(|row| UpTo(row, all)))
            }
            Value::Share {
                count,
                within,
                limit,
            } => {
                let mut map = serializer.serialize_map(Some(4))?;
                map.serialize_entry("count", count)?;
                map.serialize_entry("within", within)?;
                map.serialize_entry("limit", limit)?;
                map.serialize_entry("share", &share(*within, *count))?;
                map.end()
            }
            Value::Rate { total, ns } => {
                let mut map = serializer.serialize_map(Some(3))?;
                map.serialize_entry("total", total)?;
                map.serialize_entry("seconds", &(*ns as f64 / 1e9))?;
                map.serialize_entry("rate", &per_second(total, *ns))?;
                map.end()
            }
            Value::Summary(summary) => summary.serialize(serializer),
        }
    }
}

impl Serialize for Histogram {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.rows())
    }
}

impl Row {
    /// The members of its object.
    fn members<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        if let Some(low) = self.low {
            map.serialize_entry("min", &low)?;
        }
        if let Some(high) = self.high {
            map.serialize_entry("max", &high)?;
        }
        map.serialize_entry("count", &self.count)
    }
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.members(&mut map)?;
        map.end()
    }
}

/// A row of a `cdf`, and how many samples there are in all.
struct UpTo(Row, u64);

impl Serialize for UpTo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.0.members(&mut map)?;
        map.serialize_entry("share", &share(self.0.count, self.1))?;
        map.end()
    }
}

impl Serialize for Summary {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, number) in self.statistics() {
            match number {
                Number::Integer(n) => map.serialize_entry(&name, &n)?,
                other => map.serialize_entry(&name, &other.value())?,
            }
        }
        if self.is_saturated() {
            map.serialize_entry("saturated", &true)?;
        }
        map.end()
    }
}

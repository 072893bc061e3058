//! A map's contents at one moment, and the order its entries are printed in.
//!
//! Entries are sorted as bpftrace sorts them: by value ascending (averages for `avg` and `stats`,
//! totals of samples for histograms), strings by key. Where bpftrace leaves ties to the kernel's hash order, they are in key order here,
//! so that the same contents always print the same.

use std::cmp::Ordering;

use crate::report::names::Names;
use crate::report::value::{self, Scalar, Value};
use crate::sema::hir::{Aggregation, Map, MapValue, Unit};

/// A map's decoded contents.
#[derive(Debug, Clone)]
pub struct MapReport<'a> {
    /// Its declaration.
    pub map: &'a Map,
    /// Keys and values, sorted; for a map without keys one entry with an empty key, or none.
    pub entries: Vec<Entry>,
}

/// One key of a map and what it holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The parts of the key.
    pub key: Vec<Scalar>,
    /// The value, all CPUs together.
    pub value: Value,
}

impl<'a> MapReport<'a> {
    /// Decodes and sorts raw entries: a key's bytes (ignored for a map without keys) and what each CPU holds there.
    /// Entries that do not fit the map's layout are left out.
    pub fn decode<'n, K, P, V>(
        map: &'a Map,
        names: impl Into<Names<'n>>,
        raw: impl IntoIterator<Item = (K, P)>,
    ) -> Self
    where
        K: AsRef<[u8]>,
        P: AsRef<[V]>,
        V: AsRef<[u8]>,
    {
        Self::decode_with(map, names, raw, value::decode)
    }

    /// The same with the value of a key read by `decode`: [`value::decode`], or [`value::decode_zeroed`] for a map without
    /// keys that `zero` left without samples.
    pub fn decode_with<'n, K, P, V>(
        map: &'a Map,
        names: impl Into<Names<'n>>,
        raw: impl IntoIterator<Item = (K, P)>,
        decode: impl Fn(&Map, Names<'n>, &[&[u8]]) -> Option<Value>,
    ) -> Self
    where
        K: AsRef<[u8]>,
        P: AsRef<[V]>,
        V: AsRef<[u8]>,
    {
        let names = names.into();
        let mut entries: Vec<Entry> = raw
            .into_iter()
            .filter_map(|(key, per_cpu)| {
                let parts: Vec<&[u8]> = per_cpu.as_ref().iter().map(V::as_ref).collect();
                Some(Entry {
                    key: value::decode_key(map, names, key.as_ref())?,
                    value: decode(map, names, &parts)?,
                })
            })
            .collect();
        entries.sort_by(|a, b| by_value(&a.value, &b.value).then_with(|| a.key.cmp(&b.key)));
        Self { map, entries }
    }

    /// The `top` largest entries (all of them for 0), still in ascending order, their values divided by `div`.
    /// Summaries are put in the order of their keys, which are the columns of a table.
    pub fn arranged(&self, top: u32, div: u64) -> MapReport<'a> {
        let skip = if top == 0 {
            0
        } else {
            self.entries.len().saturating_sub(top as usize)
        };
        let entries = self.entries[skip..]
            .iter()
            .map(|entry| Entry {
                key: entry.key.clone(),
                value: entry.value.divided(div),
            })
            .collect();
        let mut arranged = MapReport {
            map: self.map,
            entries,
        };
        if self.is_summary() {
            arranged.entries.sort_by(|a, b| a.key.cmp(&b.key));
        }
        arranged
    }

    /// The same contents, gathered in this time: what `rate()` is of.
    pub fn over(mut self, ns: u64) -> Self {
        for entry in &mut self.entries {
            if let Value::Rate { ns: time, .. } = &mut entry.value {
                *time = ns;
            }
        }
        self
    }

    /// `@name`.
    pub fn name(&self) -> String {
        format!("@{}", self.map.name)
    }

    /// The unit of its samples, if the script gave one.
    pub fn unit(&self) -> Option<&'static str> {
        self.map.unit.map(Unit::suffix)
    }

    /// `@name`, or `@name (us)` where the unit is known.
    pub fn title(&self) -> String {
        match self.unit() {
            Some(unit) => format!("{} ({unit})", self.name()),
            None => self.name(),
        }
    }

    /// Whether the map has keys.
    pub fn is_keyed(&self) -> bool {
        !self.map.key.is_empty()
    }

    /// Whether it holds summaries.
    pub fn is_summary(&self) -> bool {
        matches!(
            self.map.value,
            MapValue::Aggregate(Aggregation::Summary { .. })
        )
    }
}

impl Entry {
    /// The key's parts joined by `separator`.
    pub fn key_text(&self, separator: &str) -> String {
        self.key
            .iter()
            .map(Scalar::to_string)
            .collect::<Vec<_>>()
            .join(separator)
    }
}

impl Value {
    /// The value as `print(@m, top, div)` shows it: counts of histograms, averages and numbers are divided, truncated; the
    /// count and total of `stats` and the count of `summary` are not.
    pub fn divided(&self, div: u64) -> Value {
        match self {
            Value::Scalar(x) => Value::Scalar(x.divided(div)),
            Value::Count(n) => Value::Count(n / div.max(1)),
            Value::Sum(x) => Value::Sum(x.divided(div)),
            Value::Avg(x) => Value::Avg(x.divided(div)),
            Value::Min(x) => Value::Min(x.divided(div)),
            Value::Max(x) => Value::Max(x.divided(div)),
            Value::Stats {
                count,
                average,
                total,
            } => Value::Stats {
                count: *count,
                average: average.divided(div),
                total: total.clone(),
            },
            Value::Histogram(histogram) => Value::Histogram(histogram.divided(div)),
            Value::Cdf(histogram) => Value::Cdf(histogram.divided(div)),
            Value::Share { .. } => self.clone(),
            Value::Rate { total, ns } => Value::Rate {
                total: total.divided(div),
                ns: *ns,
            },
            Value::Summary(summary) => Value::Summary(summary.divided(div)),
        }
    }
}

/// The order of values of one map; strings compare equal, so that keys decide.
fn by_value(a: &Value, b: &Value) -> Ordering {
    use Value::*;
    let scalars = |a: &value::Scalar, b: &value::Scalar| a.as_integer().cmp(&b.as_integer());
    match (a, b) {
        (Scalar(a), Scalar(b))
        | (Sum(a), Sum(b))
        | (Avg(a), Avg(b))
        | (Min(a), Min(b))
        | (Max(a), Max(b))
        | (Rate { total: a, .. }, Rate { total: b, .. }) => scalars(a, b),
        (Stats { average: a, .. }, Stats { average: b, .. }) => scalars(a, b),
        (Count(a), Count(b)) => a.cmp(b),
        (
            Share {
                within: a,
                count: n,
                ..
            },
            Share {
                within: b,
                count: m,
                ..
            },
        ) => value::share(*a, *n).total_cmp(&value::share(*b, *m)),
        (Histogram(a), Histogram(b)) | (Cdf(a), Cdf(b)) => a.total().cmp(&b.total()),
        (Summary(a), Summary(b)) => a.count().cmp(&b.count()),
        _ => Ordering::Equal,
    }
}

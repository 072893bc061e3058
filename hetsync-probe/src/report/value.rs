//! Bytes of keys, values and events to typed values; the parts of all CPUs become one.
//!
//! Layouts are [`crate::layout`]'s. A sum is merged by wrapping addition, an extreme by the largest biased number, a
//! histogram bucket by bucket; so a merged value equals the one a single CPU would have recorded.

use std::fmt;

use crate::layout::{self, bias, word};
use crate::report::histogram::{Histogram, Scale};
use crate::report::summary::Summary;
use crate::sema::hir::{Aggregation, Map, MapValue, Type};

/// A plain value: a key part, a scalar map's value, an argument of `printf`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scalar {
    /// A signed integer.
    Signed(i64),
    /// An unsigned integer.
    Unsigned(u64),
    /// A string's bytes up to its first NUL; not always UTF-8.
    Text(Vec<u8>),
}

impl Scalar {
    /// Reads a value of type `ty` from the start of `bytes`; `names` are [`crate::sema::hir::Program::names`].
    /// `None` if there are too few bytes. A name's number outside the table reads as `?`.
    pub fn decode(ty: Type, bytes: &[u8], names: &[String]) -> Option<Scalar> {
        let bytes = bytes.get(..ty.size())?;
        Some(match ty {
            Type::Int { signed } => Scalar::int(word(bytes, 0), signed),
            Type::Str { .. } => {
                let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
                Scalar::Text(bytes[..end].to_vec())
            }
            Type::Name => {
                let name = usize::try_from(word(bytes, 0))
                    .ok()
                    .and_then(|at| names.get(at));
                Scalar::Text(name.map_or_else(|| b"?".to_vec(), |n| n.clone().into_bytes()))
            }
        })
    }

    /// An integer from its bits.
    pub fn int(bits: u64, signed: bool) -> Scalar {
        if signed {
            Scalar::Signed(bits as i64)
        } else {
            Scalar::Unsigned(bits)
        }
    }

    /// The integer, widened; `None` for a string.
    pub fn as_integer(&self) -> Option<i128> {
        match *self {
            Scalar::Signed(n) => Some(n.into()),
            Scalar::Unsigned(n) => Some(n.into()),
            Scalar::Text(_) => None,
        }
    }

    /// The value divided by `div`, truncated toward zero; a string stays itself.
    pub fn divided(&self, div: u64) -> Scalar {
        // The quotient of a 64-bit number by one of at least 1 fits its own type again.
        match *self {
            Scalar::Signed(n) => Scalar::Signed((i128::from(n) / i128::from(div.max(1))) as i64),
            Scalar::Unsigned(n) => Scalar::Unsigned(n / div.max(1)),
            Scalar::Text(ref text) => Scalar::Text(text.clone()),
        }
    }
}

impl fmt::Display for Scalar {
    /// Integers in decimal; bytes of a string that are not UTF-8 as `\xff`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scalar::Signed(n) => n.fmt(f),
            Scalar::Unsigned(n) => n.fmt(f),
            Scalar::Text(bytes) => f.write_str(&readable(bytes)),
        }
    }
}

/// Text of bytes: UTF-8 as it is, any other byte as `\xff`.
pub fn readable(bytes: &[u8]) -> String {
    use fmt::Write;
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            // Writing to a string cannot fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// What a map holds at one key, all CPUs together.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// An assigned value.
    Scalar(Scalar),
    /// `count()`: samples.
    Count(u64),
    /// `sum()`, wrapped to 64 bits as in the kernel.
    Sum(Scalar),
    /// `avg()`: the sum divided by the count, truncated toward zero.
    Avg(Scalar),
    /// `min()`; 0 without a sample.
    Min(Scalar),
    /// `max()`; 0 without a sample.
    Max(Scalar),
    /// `stats()`.
    Stats {
        /// Samples.
        count: u64,
        /// `total / count`, truncated toward zero; 0 without a sample.
        average: Scalar,
        /// Their sum, wrapped to 64 bits.
        total: Scalar,
    },
    /// `hist()` or `lhist()`.
    Histogram(Histogram),
    /// `summary()`.
    Summary(Summary),
}

/// Merges what the CPUs hold at one key of `map`. A plain (not per-CPU) value is a slice of one.
///
/// `None` where a map without keys was never assigned or sampled, where `per_cpu` is empty, or where a part is shorter than
/// [`layout::value_size`]. A key that exists has a value even when [`zero`](layout::EventKind::Zero) made it all zeros.
pub fn decode(map: &Map, names: &[String], per_cpu: &[&[u8]]) -> Option<Value> {
    let size = layout::value_size(map);
    if per_cpu.is_empty() || per_cpu.iter().any(|part| part.len() < size) {
        return None;
    }
    let unkeyed = map.key.is_empty();
    match &map.value {
        MapValue::Scalar(ty) => {
            let assigned = !unkeyed || word(&per_cpu[0][ty.size()..], 0) != 0;
            assigned.then(|| Scalar::decode(*ty, per_cpu[0], names).map(Value::Scalar))?
        }
        MapValue::Aggregate(aggregation) => {
            let (samples, value) = merge(aggregation, per_cpu);
            (!unkeyed || samples != 0).then_some(value)
        }
    }
}

/// The typed parts of a key; empty for a map without keys, `None` if there are too few bytes.
pub fn decode_key(map: &Map, names: &[String], mut bytes: &[u8]) -> Option<Vec<Scalar>> {
    let mut parts = Vec::with_capacity(map.key.len());
    for &ty in &map.key {
        parts.push(Scalar::decode(ty, bytes, names)?);
        bytes = &bytes[ty.size()..];
    }
    Some(parts)
}

/// The values of an event record behind its 8-byte head; `None` if there are too few bytes.
pub fn decode_values(types: &[Type], mut bytes: &[u8], names: &[String]) -> Option<Vec<Scalar>> {
    let mut values = Vec::with_capacity(types.len());
    for &ty in types {
        values.push(Scalar::decode(ty, bytes, names)?);
        bytes = &bytes[ty.size()..];
    }
    Some(values)
}

/// All CPUs' parts of an aggregation as (samples, value).
fn merge(aggregation: &Aggregation, per_cpu: &[&[u8]]) -> (u64, Value) {
    let total = |index| {
        per_cpu
            .iter()
            .fold(0u64, |sum, part| sum.wrapping_add(word(part, index)))
    };
    let largest = |index| {
        per_cpu
            .iter()
            .map(|part| word(part, index))
            .max()
            .unwrap_or(0)
    };
    let n = total(0);
    let value = match aggregation {
        Aggregation::Count => Value::Count(n),
        Aggregation::Sum { signed } => Value::Sum(Scalar::int(total(1), *signed)),
        Aggregation::Avg { signed } => Value::Avg(mean(total(1), n, *signed)),
        Aggregation::Stats { signed } => Value::Stats {
            count: n,
            average: mean(total(1), n, *signed),
            total: Scalar::int(total(1), *signed),
        },
        Aggregation::Min { signed } => {
            let bits = if n == 0 {
                0
            } else {
                !largest(1) ^ bias(*signed)
            };
            Value::Min(Scalar::int(bits, *signed))
        }
        Aggregation::Max { signed } => {
            let bits = if n == 0 {
                0
            } else {
                largest(1) ^ bias(*signed)
            };
            Value::Max(Scalar::int(bits, *signed))
        }
        Aggregation::Hist { bits } => return histogram(Scale::Log { bits: *bits }, per_cpu),
        Aggregation::Lhist { min, max, step } => {
            return histogram(
                Scale::Linear {
                    min: *min,
                    max: *max,
                    step: *step,
                },
                per_cpu,
            );
        }
        Aggregation::Summary { percentiles } => {
            let summary = Summary::merge(percentiles, per_cpu);
            return (summary.count(), Value::Summary(summary));
        }
    };
    // A reading may see a sample's sum before its count.
    let samples = match aggregation {
        Aggregation::Sum { .. } | Aggregation::Avg { .. } | Aggregation::Stats { .. } => {
            n | total(1)
        }
        _ => n,
    };
    (samples, value)
}

fn histogram(scale: Scale, per_cpu: &[&[u8]]) -> (u64, Value) {
    let mut counts = vec![0u64; scale.buckets()];
    for part in per_cpu {
        for (at, count) in counts.iter_mut().enumerate() {
            *count = count.wrapping_add(word(part, at));
        }
    }
    let histogram = Histogram::new(scale, counts);
    (histogram.total(), Value::Histogram(histogram))
}

/// Sum over count as bpftrace has it: an integer, truncated toward zero.
fn mean(sum: u64, n: u64, signed: bool) -> Scalar {
    Scalar::int(sum, signed).divided(n)
}

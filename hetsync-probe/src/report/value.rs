//! Bytes of keys, values and events to typed values; the parts of all CPUs become one.
//!
//! Layouts are [`crate::layout`]'s. A sum is merged by wrapping addition, an extreme by the largest biased number, a
//! histogram bucket by bucket; so a merged value equals the one a single CPU would have recorded.

use std::fmt;
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

use crate::layout::{self, bias, word};
use crate::report::histogram::{Histogram, Scale};
use crate::report::names::Names;
use crate::report::summary::Summary;
use crate::sema::hir::{Aggregation, Field, Map, MapValue, Type};

/// A plain value: a key part, a scalar map's value, an argument of `printf`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scalar {
    /// A signed integer.
    Signed(i64),
    /// An unsigned integer.
    Unsigned(u64),
    /// A truth value.
    Bool(bool),
    /// A value of an enum, with its name if it has one.
    Enum(i64, Option<String>),
    /// An address.
    Pointer(u64),
    /// A string's bytes up to its first NUL; not always UTF-8.
    Text(Vec<u8>),
    /// Bytes that are no text.
    Bytes(Vec<u8>),
    /// The 6 bytes of a hardware address.
    Mac([u8; 6]),
    /// An internet address; `None` where none was put in.
    Inet(Option<IpAddr>),
    /// The two ends of a connection, its own first; `None` for what is none of the internet's.
    Flow(Option<(SocketAddr, SocketAddr)>),
    /// The parts of a tuple.
    Tuple(Vec<Scalar>),
    /// The elements of an array.
    Array(Vec<Scalar>),
    /// The members of a record by name, those without one too.
    Record(Vec<(String, Scalar)>),
}

impl Scalar {
    /// Reads a value of type `ty` from the start of `bytes`; `names` are [`crate::sema::hir::Program::names`].
    /// `None` if there are too few bytes. A name's number outside the table reads as `?`.
    pub fn decode<'a>(ty: &Type, bytes: &[u8], names: impl Into<Names<'a>>) -> Option<Scalar> {
        Self::from_memory(ty, bytes.get(..ty.size())?, names.into())
    }

    /// Reads an object of type `ty` as it lies in memory; values in a record or an array are not padded to words.
    fn from_memory(ty: &Type, bytes: &[u8], names: Names<'_>) -> Option<Scalar> {
        let bytes = bytes.get(..ty.memory_size())?;
        let word = || layout::narrow_word(ty, bytes);
        Some(match ty {
            Type::Int { signed, .. } => Scalar::int(word(), *signed),
            Type::Bool => Scalar::Bool(word() != 0),
            Type::Enum(of) => {
                let bits = word() as i64;
                let name = of.values.iter().find(|(_, value)| *value == bits);
                Scalar::Enum(bits, name.map(|(name, _)| name.clone()))
            }
            Type::Pointer { .. } => Scalar::Pointer(word()),
            Type::Mac => {
                let mut mac = [0; 6];
                mac.copy_from_slice(&bytes[..6]);
                Scalar::Mac(mac)
            }
            Type::Name => {
                let name = usize::try_from(word())
                    .ok()
                    .and_then(|at| names.strings.get(at));
                Scalar::Text(name.map_or_else(|| b"?".to_vec(), |n| n.clone().into_bytes()))
            }
            Type::Str { .. } | Type::Text(_) => {
                let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
                Scalar::Text(bytes[..end].to_vec())
            }
            Type::Shown(shown) => Scalar::Text(names.shown(shown, bytes)),
            Type::Inet => Scalar::Inet(internet_address(bytes)),
            Type::Flow => Scalar::Flow(flow(bytes)),
            Type::Buffer { capacity } => {
                let len = (layout::word(bytes, 0) as usize).min(usize::from(*capacity));
                Scalar::Bytes(bytes[8..8 + len].to_vec())
            }
            Type::Tuple(types) => Scalar::Tuple(decode_values(types, bytes, names)?),
            Type::Array { of, len } => {
                let size = of.memory_size();
                let element = |i| Self::from_memory(of, bytes.get(i * size..)?, names);
                Scalar::Array((0..*len as usize).map(element).collect::<Option<_>>()?)
            }
            Type::Record(record) => {
                let member = |field: &Field| {
                    let at = bytes.get(field.offset as usize..)?;
                    let mut value = Self::from_memory(&field.ty, at, names)?;
                    if let Some((low, bits)) = field.bits {
                        value = value.bit_field(low, bits);
                    }
                    Some((field.name.clone(), value))
                };
                Scalar::Record(record.fields.iter().map(member).collect::<Option<_>>()?)
            }
            Type::Incomplete(_) | Type::Void => Scalar::Array(Vec::new()),
        })
    }

    /// Some bits of an integer, by its own sign.
    fn bit_field(self, low: u8, bits: u8) -> Scalar {
        let up = 64 - u32::from(low) - u32::from(bits);
        let down = 64 - u32::from(bits);
        match self {
            Scalar::Signed(n) => Scalar::Signed(n.wrapping_shl(up).wrapping_shr(down)),
            Scalar::Unsigned(n) => Scalar::Unsigned(n.wrapping_shl(up).wrapping_shr(down)),
            Scalar::Bool(_) => self,
            other => other,
        }
    }

    /// An integer from its bits.
    pub fn int(bits: u64, signed: bool) -> Scalar {
        if signed {
            Scalar::Signed(bits as i64)
        } else {
            Scalar::Unsigned(bits)
        }
    }

    /// The integer, widened; `None` for what is none.
    pub fn as_integer(&self) -> Option<i128> {
        match *self {
            Scalar::Signed(n) | Scalar::Enum(n, _) => Some(n.into()),
            Scalar::Unsigned(n) | Scalar::Pointer(n) => Some(n.into()),
            Scalar::Bool(truth) => Some(truth.into()),
            _ => None,
        }
    }

    /// The value divided by `div`, truncated toward zero; what is no integer stays itself.
    pub fn divided(&self, div: u64) -> Scalar {
        // The quotient of a 64-bit number by one of at least 1 fits its own type again.
        match *self {
            Scalar::Signed(n) => Scalar::Signed((i128::from(n) / i128::from(div.max(1))) as i64),
            Scalar::Unsigned(n) => Scalar::Unsigned(n / div.max(1)),
            ref other => other.clone(),
        }
    }
}

impl fmt::Display for Scalar {
    /// Integers in decimal, addresses in hexadecimal; bytes of a string that are not UTF-8, and of a buffer that are not
    /// printable, as `\xff`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, items: &[Scalar], comma: &str| {
            items.iter().enumerate().try_for_each(|(i, item)| {
                f.write_str(if i == 0 { "" } else { comma })?;
                item.fmt(f)
            })
        };
        match self {
            Scalar::Signed(n) | Scalar::Enum(n, None) => n.fmt(f),
            Scalar::Enum(_, Some(name)) => f.write_str(name),
            Scalar::Unsigned(n) => n.fmt(f),
            Scalar::Bool(truth) => truth.fmt(f),
            Scalar::Pointer(address) => write!(f, "{address:#x}"),
            Scalar::Text(bytes) => f.write_str(&readable(bytes)),
            Scalar::Bytes(bytes) => bytes.iter().try_for_each(|&byte| match byte {
                b' '..=b'~' => f.write_char(byte.into()),
                _ => write!(f, "\\x{byte:02x}"),
            }),
            Scalar::Mac(mac) => mac.iter().enumerate().try_for_each(|(i, byte)| {
                f.write_str(if i == 0 { "" } else { ":" })?;
                write!(f, "{byte:02X}")
            }),
            Scalar::Inet(Some(address)) => address.fmt(f),
            Scalar::Inet(None) => Ok(()),
            Scalar::Flow(Some((own, peer))) => write!(f, "{own} -> {peer}"),
            Scalar::Flow(None) => f.write_str("-"),
            Scalar::Tuple(parts) => {
                f.write_str("(")?;
                list(f, parts, ", ")?;
                f.write_str(")")
            }
            Scalar::Array(elements) => {
                f.write_str("[")?;
                list(f, elements, ",")?;
                f.write_str("]")
            }
            Scalar::Record(members) => {
                f.write_str("{ ")?;
                for (i, (name, value)) in members.iter().enumerate() {
                    let comma = if i == 0 { "" } else { ", " };
                    write!(f, "{comma}.{name} = {value}")?;
                }
                f.write_str(" }")
            }
        }
    }
}

/// The ends in 40 bytes of [`Type::Flow`].
fn flow(bytes: &[u8]) -> Option<(SocketAddr, SocketAddr)> {
    let head = layout::word(bytes, 0);
    let end = |address: usize, port: u32| {
        let mut inet = (head & 0xffff).to_le_bytes().to_vec();
        inet.extend_from_slice(bytes.get(address..address + 16)?);
        Some(SocketAddr::new(
            internet_address(&inet)?,
            (head >> port) as u16,
        ))
    };
    Some((end(8, 16)?, end(24, 32)?))
}

/// The address in 24 bytes of [`Type::Inet`].
fn internet_address(bytes: &[u8]) -> Option<IpAddr> {
    let mut octets = [0; 16];
    octets.copy_from_slice(bytes.get(8..24)?);
    match layout::word(bytes, 0) {
        layout::FAMILY_V4 => {
            let [a, b, c, d, ..] = octets;
            Some(IpAddr::from([a, b, c, d]))
        }
        layout::FAMILY_V6 => Some(IpAddr::from(octets)),
        _ => None,
    }
}

/// Text of bytes: UTF-8 as it is, any other byte as `\xff`.
pub fn readable(bytes: &[u8]) -> String {
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
    /// `cdf()`: its rows are shown added up.
    Cdf(Histogram),
    /// `slo()`.
    Share {
        /// Samples.
        count: u64,
        /// Those of them within the limit.
        within: u64,
        /// The limit.
        limit: i64,
    },
    /// `rate()`.
    Rate {
        /// The sum of the samples, wrapped to 64 bits.
        total: Scalar,
        /// The time they came in, in nanoseconds; 0 where it is not known.
        ns: u64,
    },
    /// `summary()`.
    Summary(Summary),
}

/// A part of a whole, 0 to 1; 0 of nothing.
pub fn share(part: u64, whole: u64) -> f64 {
    match whole {
        0 => 0.0,
        whole => part as f64 / whole as f64,
    }
}

/// A sum for each second of a time; 0 for no time.
pub fn per_second(total: &Scalar, ns: u64) -> f64 {
    let total = total.as_integer().unwrap_or(0);
    match ns {
        0 => 0.0,
        ns => total as f64 * 1e9 / ns as f64,
    }
}

impl Value {
    /// The value, if it is one number or text.
    pub fn plain(&self) -> Option<Scalar> {
        match self {
            Value::Scalar(x) | Value::Sum(x) | Value::Avg(x) | Value::Min(x) | Value::Max(x) => {
                Some(x.clone())
            }
            Value::Count(n) => Some(Scalar::Unsigned(*n)),
            _ => None,
        }
    }
}

/// Merges what the CPUs hold at one key of `map`. A plain (not per-CPU) value is a slice of one.
///
/// `None` where a map without keys was never assigned or sampled, where `per_cpu` is empty, or where a part is shorter than
/// [`layout::value_size`]. A key that exists has a value even when [`zero`](layout::EventKind::Zero) made it all zeros.
pub fn decode<'a>(map: &Map, names: impl Into<Names<'a>>, per_cpu: &[&[u8]]) -> Option<Value> {
    let (there, value) = read(map, names.into(), per_cpu)?;
    there.then_some(value)
}

/// The same, but a map without keys is there even if nothing is in it: `zero` was the last that happened to it.
pub fn decode_zeroed<'a>(
    map: &Map,
    names: impl Into<Names<'a>>,
    per_cpu: &[&[u8]],
) -> Option<Value> {
    read(map, names.into(), per_cpu).map(|(_, value)| value)
}

/// A value, and whether it is there: of a map without keys nothing else tells.
fn read(map: &Map, names: Names<'_>, per_cpu: &[&[u8]]) -> Option<(bool, Value)> {
    let size = layout::value_size(map);
    if per_cpu.is_empty() || per_cpu.iter().any(|part| part.len() < size) {
        return None;
    }
    let keyed = !map.key.is_empty();
    Some(match &map.value {
        MapValue::Scalar(ty) => {
            let there = keyed || word(&per_cpu[0][ty.size()..], 0) != 0;
            (there, Value::Scalar(Scalar::decode(ty, per_cpu[0], names)?))
        }
        MapValue::Aggregate(aggregation) => {
            let (samples, value) = merge(aggregation, per_cpu);
            (keyed || samples != 0, value)
        }
    })
}

/// The typed parts of a key; empty for a map without keys, `None` if there are too few bytes.
pub fn decode_key<'a>(
    map: &Map,
    names: impl Into<Names<'a>>,
    mut bytes: &[u8],
) -> Option<Vec<Scalar>> {
    let names = names.into();
    let mut parts = Vec::with_capacity(map.key.len());
    for ty in &map.key {
        parts.push(Scalar::decode(ty, bytes, names)?);
        bytes = &bytes[ty.size()..];
    }
    Some(parts)
}

/// The values of an event record behind its 8-byte head; `None` if there are too few bytes.
pub fn decode_values<'a>(
    types: &[Type],
    mut bytes: &[u8],
    names: impl Into<Names<'a>>,
) -> Option<Vec<Scalar>> {
    let names = names.into();
    let mut values = Vec::with_capacity(types.len());
    for ty in types {
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
        Aggregation::Rate { signed } => Value::Rate {
            total: Scalar::int(total(1), *signed),
            ns: 0,
        },
        // A reading may see a sample's second word before its first.
        Aggregation::Slo { limit } => Value::Share {
            count: n.max(total(1)),
            within: total(1),
            limit: *limit,
        },
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
        Aggregation::Cdf { bits } => {
            let (samples, value) = histogram(Scale::Log { bits: *bits }, per_cpu);
            return match value {
                Value::Histogram(histogram) => (samples, Value::Cdf(histogram)),
                other => (samples, other),
            };
        }
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
        Aggregation::Sum { .. }
        | Aggregation::Avg { .. }
        | Aggregation::Rate { .. }
        | Aggregation::Stats { .. } => n | total(1),
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

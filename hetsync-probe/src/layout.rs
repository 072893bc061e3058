//! How values lie in memory: map keys, map values, events. The one place that
//! knows; code generation writes these layouts, `report` reads them, and
//! [`record`] is the reference both are tested against.
//!
//! Everything is little-endian and 8-byte aligned.
//!
//! | what | bytes |
//! |---|---|
//! | key | its parts, each [`Type::size`], in order |
//! | scalar value of a keyed map | [`Type::size`] |
//! | scalar value of a map without keys | [`Type::size`], then a `u64` that is 1 once it was assigned |
//! | `count` | `n` |
//! | `sum`, `avg`, `stats` | `n`, `sum` (wrapping) |
//! | `min`, `max` | `n`, extreme (see below) |
//! | `hist`, `lhist` | one `u64` a bucket, then zeros: behind the first there is room for a power of two |
//! | `summary` | `n`, `sum` (128 bits, low word first), min, max, sum of squares (128 bits), then one saturating `u32` a bucket |
//!
//! A maximum is kept as `x ^ bias` and a minimum as `!(x ^ bias)`, both as the *largest* unsigned
//! number seen, where `bias` is the sign bit for signed samples and 0 otherwise:
//! a zeroed value is then the right start for either and no "is it the first" test is needed.
//!
//! An unkeyed map is an array of one; its value exists once `n` (or any bucket, or the assigned flag) is not 0.

use crate::sema::hir::{Aggregation, Map, MapId, MapValue, Program, Type};

/// Linear parts a power of two is split into for `summary`, as a power of two: bucket edges differ by at most 1/64,
/// so the middle of a bucket is within 1/129 = 0.78 % of any sample in it.
pub const SUMMARY_BITS: u8 = 6;
/// Words before the buckets of a `summary`.
pub const SUMMARY_HEADER_WORDS: usize = 7;
/// The first word of an internet address of version 4: `AF_INET`.
pub const FAMILY_V4: u64 = 2;
/// The same of version 6: `AF_INET6`.
pub const FAMILY_V6: u64 = 10;
/// The sign bit, which makes signed order unsigned order.
pub const SIGN: u64 = 1 << 63;

/// Offsets in words of a `summary`'s header.
#[allow(missing_docs)]
pub mod summary_word {
    pub const N: usize = 0;
    pub const SUM_LOW: usize = 1;
    pub const SUM_HIGH: usize = 2;
    pub const MIN: usize = 3;
    pub const MAX: usize = 4;
    pub const SQUARES_LOW: usize = 5;
    pub const SQUARES_HIGH: usize = 6;
}

/// Added to the number of a name that stands among addresses of the kernel, none of which is so low.
pub const NAME_AMONG_ADDRESSES: u64 = 1 << 32;

/// Bytes of a map's key; 4 for a map without keys (an array index).
pub fn key_size(map: &Map) -> usize {
    if map.key.is_empty() {
        4
    } else {
        map.key.iter().map(Type::size).sum()
    }
}

/// Bytes of a map's value on one CPU.
pub fn value_size(map: &Map) -> usize {
    match &map.value {
        MapValue::Scalar(ty) => ty.size() + if map.key.is_empty() { 8 } else { 0 },
        MapValue::Aggregate(aggregation) => aggregate_size(aggregation),
    }
}

/// Bytes of one CPU's part of an aggregation.
pub fn aggregate_size(aggregation: &Aggregation) -> usize {
    match aggregation {
        Aggregation::Count => 8,
        Aggregation::Sum { .. }
        | Aggregation::Avg { .. }
        | Aggregation::Slo { .. }
        | Aggregation::Rate { .. }
        | Aggregation::Stats { .. }
        | Aggregation::Min { .. }
        | Aggregation::Max { .. } => 16,
        Aggregation::Hist { bits } | Aggregation::Cdf { bits } => {
            8 * (1 + counters(hist_buckets(*bits) - 1))
        }
        Aggregation::Lhist { min, max, step } => {
            8 * (1 + counters(lhist_buckets(*min, *max, *step) - 1))
        }
        Aggregation::Summary { .. } => {
            (8 * SUMMARY_HEADER_WORDS + 4 * hist_buckets(SUMMARY_BITS)).next_multiple_of(8)
        }
    }
}

/// Bytes of one CPU's part of a value that these maps share: theirs, one after the other.
pub fn group_size(program: &Program, group: &[MapId]) -> usize {
    let size = |map: &MapId| value_size(&program.maps[map.0 as usize]);
    group.iter().map(size).sum()
}

/// Offset of a map's part in it.
pub fn group_offset(program: &Program, group: &[MapId], map: MapId) -> usize {
    let at = group.iter().position(|of| *of == map);
    group_size(program, &group[..at.unwrap_or(0)])
}

/// Room for this many counters that are reached by a computed number: a power of two, so that
/// the number's low bits always name one of them. What is not needed stays 0.
pub fn counters(needed: usize) -> usize {
    needed.next_power_of_two()
}

/// Buckets of a log-linear histogram of signed samples: one for all negative ones, then those of [`log_linear`].
pub fn hist_buckets(bits: u8) -> usize {
    1 + ((64 - bits as usize) << bits)
}

/// The log-linear bucket of a number below 2^63: exact below `2^(bits+1)`, then `2^bits` equal parts of each power of two.
pub fn log_linear(n: u64, bits: u8) -> u64 {
    let bits = u32::from(bits);
    if n >> bits == 0 {
        return n;
    }
    let log2 = n.ilog2();
    (u64::from(log2 - bits + 1) << bits) + ((n >> (log2 - bits)) & ((1 << bits) - 1))
}

/// The numbers `low..=high` that [`log_linear`] puts into `bucket`.
pub fn log_linear_range(bucket: u64, bits: u8) -> (u64, u64) {
    let parts = 1u64 << bits;
    if bucket < parts {
        return (bucket, bucket);
    }
    let shift = (bucket >> bits) - 1;
    let low = (parts + (bucket & (parts - 1))) << shift;
    (low, low + ((1u64 << shift) - 1))
}

/// The bucket of a signed sample in a `hist` (or `summary`, with [`SUMMARY_BITS`]).
pub fn hist_bucket(sample: i64, bits: u8) -> usize {
    if sample < 0 {
        0
    } else {
        1 + log_linear(sample as u64, bits) as usize
    }
}

/// Buckets of an `lhist`, the open ends included.
pub fn lhist_buckets(min: i64, max: i64, step: u64) -> usize {
    (max.wrapping_sub(min) as u64 / step) as usize + 2
}

/// The bucket of a signed sample in an `lhist`: 0 below `min`, the last from `max` on.
pub fn lhist_bucket(sample: i64, min: i64, max: i64, step: u64) -> usize {
    if sample < min {
        0
    } else if sample >= max {
        lhist_buckets(min, max, step) - 1
    } else {
        (sample.wrapping_sub(min) as u64 / step) as usize + 1
    }
}

/// What `x ^ bias` is for samples of this signedness.
pub fn bias(signed: bool) -> u64 {
    if signed { SIGN } else { 0 }
}

/// Reads word `index` of a value.
pub fn word(value: &[u8], index: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&value[8 * index..8 * index + 8]);
    u64::from_le_bytes(bytes)
}

/// The word of a type that is one, as it is in a register: the low bytes, extended. `bytes` are its memory or its place in a value.
pub fn narrow_word(ty: &Type, bytes: &[u8]) -> u64 {
    let len = ty.memory_size().min(8);
    let mut word = [0; 8];
    word[..len].copy_from_slice(&bytes[..len]);
    extend(u64::from_le_bytes(word), len, ty.is_signed())
}

/// The low `bytes` bytes of a word, extended by their sign or by zeros.
pub fn extend(word: u64, bytes: usize, signed: bool) -> u64 {
    let unused = 64 - 8 * bytes.clamp(1, 8) as u32;
    match signed {
        true => ((word << unused) as i64 >> unused) as u64,
        false => word << unused >> unused,
    }
}

/// Writes word `index` of a value.
pub fn set_word(value: &mut [u8], index: usize, word: u64) {
    value[8 * index..8 * index + 8].copy_from_slice(&word.to_le_bytes());
}

/// Puts one sample into one CPU's value: what the compiled code does, in plain Rust.
/// `value` has [`aggregate_size`] bytes; `sample` is the value's bits (ignored for `count`).
pub fn record(aggregation: &Aggregation, value: &mut [u8], sample: u64) {
    let add = |value: &mut [u8], index: usize, n: u64| {
        let sum = word(value, index).wrapping_add(n);
        set_word(value, index, sum);
    };
    let raise = |value: &mut [u8], index: usize, n: u64| {
        let most = word(value, index).max(n);
        set_word(value, index, most);
    };
    match aggregation {
        Aggregation::Count => add(value, 0, 1),
        Aggregation::Sum { .. }
        | Aggregation::Avg { .. }
        | Aggregation::Slo { .. }
        | Aggregation::Rate { .. }
        | Aggregation::Stats { .. } => {
            add(value, 0, 1);
            add(value, 1, sample);
        }
        Aggregation::Min { signed } => {
            add(value, 0, 1);
            raise(value, 1, !(sample ^ bias(*signed)));
        }
        Aggregation::Max { signed } => {
            add(value, 0, 1);
            raise(value, 1, sample ^ bias(*signed));
        }
        Aggregation::Hist { bits } | Aggregation::Cdf { bits } => {
            add(value, hist_bucket(sample as i64, *bits), 1)
        }
        Aggregation::Lhist { min, max, step } => {
            add(value, lhist_bucket(sample as i64, *min, *max, *step), 1);
        }
        Aggregation::Summary { .. } => record_summary(value, sample as i64),
    }
}

fn record_summary(value: &mut [u8], sample: i64) {
    use summary_word as w;
    let pair = |value: &[u8], low: usize| {
        u128::from(word(value, low)) | u128::from(word(value, low + 1)) << 64
    };
    let set_pair = |value: &mut [u8], low: usize, n: u128| {
        set_word(value, low, n as u64);
        set_word(value, low + 1, (n >> 64) as u64);
    };
    let n = word(value, w::N).wrapping_add(1);
    set_word(value, w::N, n);
    let sum = pair(value, w::SUM_LOW).wrapping_add(i128::from(sample) as u128);
    set_pair(value, w::SUM_LOW, sum);
    let square = u128::from(sample.unsigned_abs()) * u128::from(sample.unsigned_abs());
    let squares = pair(value, w::SQUARES_LOW).wrapping_add(square);
    set_pair(value, w::SQUARES_LOW, squares);
    let biased = sample as u64 ^ SIGN;
    set_word(value, w::MIN, word(value, w::MIN).max(!biased));
    set_word(value, w::MAX, word(value, w::MAX).max(biased));
    let at = 8 * SUMMARY_HEADER_WORDS + 4 * hist_bucket(sample, SUMMARY_BITS);
    let count = u32::from_le_bytes([value[at], value[at + 1], value[at + 2], value[at + 3]]);
    value[at..at + 4].copy_from_slice(&count.saturating_add(1).to_le_bytes());
}

/// The front of a map of integers that every probe reaches by its own `tid`: slots of four words in an array, found without
/// a helper call. A thread takes the slot of its number where that is free, and else the map behind it. What is in a slot
/// was written last by the thread it belongs to; a key that is both in front and behind is the one in front.
pub mod front {
    /// Slots of a front: a power of two.
    pub const SLOTS: u32 = 4096;
    /// Bytes of a slot, as a power of two.
    pub const SHIFT: u8 = 5;
    /// Offset of the sum of the keys that threads have put in for the slot: 0 where it is free, and a thread that finds just
    /// its own number there has the slot to itself.
    pub const CLAIM: i32 = 0;
    /// Offset of the key that is here; 0 for none.
    pub const OWNER: i32 = 8;
    /// Offset of its value.
    pub const VALUE: i32 = 16;
    /// Offset of a word that is not 0 once a key of this slot has been put behind.
    pub const BEHIND: i32 = 24;

    /// The keys and values in a front.
    pub fn entries(slots: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
        let word = |at: i32| at as usize..at as usize + 8;
        slots
            .chunks_exact(1 << SHIFT)
            .map(move |slot| (&slot[word(OWNER)], &slot[word(VALUE)]))
            .filter(|(key, _)| key.iter().any(|&byte| byte != 0))
    }
}

/// Kinds of event records. A record is `kind: u32`, `id: u32`, then its values, each [`Type::size`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum EventKind {
    /// `printf`; `id` is the format, the values are its arguments.
    Printf = 1,
    /// `print`; `id` is the print, with one value for [`crate::sema::hir::PrintWhat::Value`].
    Print = 2,
    /// `clear`; `id` is the map.
    Clear = 3,
    /// `zero`; `id` is the map.
    Zero = 4,
    /// `exit`; one integer value, the code.
    Exit = 5,
}

/// Bytes of an event record with values of these types.
pub fn event_size(values: &[Type]) -> usize {
    8 + values.iter().map(Type::size).sum::<usize>()
}

/// What a loss counter counts. The counters are a per-CPU array of one `u64` each: the stacks' one, then one a map, a loop and
/// a probe of the script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Stacks of calls whose number was taken by another.
    Stacks,
    /// Samples or assignments that found this map full.
    Map(u32),
    /// Times that this loop was cut.
    Loop(u32),
    /// Events of this probe that found the ring buffer full.
    Events(u32),
}

impl Loss {
    /// How many counters a script with so many maps, loops and probes has.
    pub fn counters(maps: usize, loops: usize, probes: usize) -> usize {
        1 + maps + loops + probes
    }

    /// The number of this counter in a script with so many maps and loops.
    pub fn counter(self, maps: usize, loops: usize) -> u32 {
        let (maps, loops) = (maps as u32, loops as u32);
        match self {
            Loss::Stacks => 0,
            Loss::Map(map) => 1 + map,
            Loss::Loop(id) => 1 + maps + id,
            Loss::Events(probe) => 1 + maps + loops + probe,
        }
    }

    /// What the counter of this number counts.
    pub fn of(counter: u32, maps: usize, loops: usize) -> Loss {
        let Some(map) = counter.checked_sub(1) else {
            return Loss::Stacks;
        };
        let Some(id) = map.checked_sub(maps as u32) else {
            return Loss::Map(map);
        };
        match id.checked_sub(loops as u32) {
            None => Loss::Loop(id),
            Some(probe) => Loss::Events(probe),
        }
    }
}

/// What a stack's number is where there is none (`-EFAULT`).
pub const NO_STACK: i64 = -14;

/// The same where the number was taken (`-EEXIST`).
pub const STACK_TAKEN: i64 = -17;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_lies_in_the_range_of_its_bucket() {
        for bits in 0..=SUMMARY_BITS {
            let mut previous_high = None;
            for bucket in 0..(hist_buckets(bits) as u64 - 1) {
                let (low, high) = log_linear_range(bucket, bits);
                assert_eq!(log_linear(low, bits), bucket);
                assert_eq!(log_linear(high, bits), bucket);
                assert_eq!(low, previous_high.map_or(0, |h: u64| h + 1));
                previous_high = Some(high);
            }
            assert_eq!(previous_high, Some(i64::MAX as u64));
        }
    }

    #[test]
    fn every_loss_has_a_counter_of_its_own() {
        let (maps, loops, probes) = (3, 2, 4);
        let all: Vec<Loss> = std::iter::once(Loss::Stacks)
            .chain((0..3).map(Loss::Map))
            .chain((0..2).map(Loss::Loop))
            .chain((0..4).map(Loss::Events))
            .collect();
        assert_eq!(all.len(), Loss::counters(maps, loops, probes));
        for (at, loss) in (0..).zip(all) {
            assert_eq!(loss.counter(maps, loops), at);
            assert_eq!(Loss::of(at, maps, loops), loss);
        }
    }

    #[test]
    fn a_summary_bucket_is_within_one_percent() {
        for bucket in 0..(hist_buckets(SUMMARY_BITS) as u64 - 1) {
            let (low, high) = log_linear_range(bucket, SUMMARY_BITS);
            let middle = low as f64 + (high - low) as f64 / 2.0;
            for edge in [low, high] {
                assert!((middle - edge as f64).abs() <= edge as f64 / 100.0);
            }
        }
    }

    #[test]
    fn a_summary_counts_signs_squares_and_extremes() {
        let aggregation = Aggregation::Summary {
            percentiles: vec![50_000],
        };
        let mut value = vec![0; aggregate_size(&aggregation)];
        for sample in [-5i64, 7, i64::MIN, i64::MAX] {
            record(&aggregation, &mut value, sample as u64);
        }
        assert_eq!(word(&value, summary_word::N), 4);
        assert_eq!(word(&value, summary_word::SUM_LOW) as i64, 1);
        assert_eq!(word(&value, summary_word::SUM_HIGH), 0);
        assert_eq!((!word(&value, summary_word::MIN) ^ SIGN) as i64, i64::MIN);
        assert_eq!((word(&value, summary_word::MAX) ^ SIGN) as i64, i64::MAX);
    }
}

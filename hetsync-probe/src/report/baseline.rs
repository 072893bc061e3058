//! What a statistic gathered since an earlier reading of it.
//!
//! `clear` and `zero` of statistics are such a subtraction: the values in the kernel are never written while programs add
//! to them, so no sample falls between what was printed and what is printed next.
//!
//! Everything that is added up (counts, sums, buckets) is exact. Extremes cannot be subtracted: `min()` and `max()` are not
//! handled here ([`is_additive`]), and those of a `summary()` are exact where the later samples went past the earlier ones,
//! else known from the buckets, as its percentiles are.

use crate::layout::{
    self, SIGN, SUMMARY_BITS, SUMMARY_HEADER_WORDS, set_word, summary_word as at, word,
};
use crate::sema::hir::{Aggregation, MapValue};

/// The statistic of a map whose readings can be subtracted; `None` for values, minima and maxima.
pub fn is_additive(value: &MapValue) -> Option<&Aggregation> {
    match value {
        MapValue::Aggregate(Aggregation::Min { .. } | Aggregation::Max { .. })
        | MapValue::Scalar(_) => None,
        MapValue::Aggregate(aggregation) => Some(aggregation),
    }
}

/// One CPU's samples after `before` was read, as a value of their own. Both are of one key and CPU, `now` the later
/// reading; what is beyond the shorter of them is left as it is.
pub fn since(aggregation: &Aggregation, now: &[u8], before: &[u8]) -> Vec<u8> {
    let mut rest = now.to_vec();
    let words = now.len().min(before.len()) / 8;
    let Aggregation::Summary { .. } = aggregation else {
        for index in 0..words {
            set_word(
                &mut rest,
                index,
                word(now, index).wrapping_sub(word(before, index)),
            );
        }
        return rest;
    };
    if words < SUMMARY_HEADER_WORDS {
        return rest;
    }
    set_word(
        &mut rest,
        at::N,
        word(now, at::N).wrapping_sub(word(before, at::N)),
    );
    for low in [at::SUM_LOW, at::SQUARES_LOW] {
        let pair =
            |value: &[u8]| u128::from(word(value, low)) | u128::from(word(value, low + 1)) << 64;
        let difference = pair(now).wrapping_sub(pair(before));
        set_word(&mut rest, low, difference as u64);
        set_word(&mut rest, low + 1, (difference >> 64) as u64);
    }
    let header = 8 * SUMMARY_HEADER_WORDS;
    let buckets = rest[header..]
        .chunks_exact_mut(4)
        .zip(before[header..].chunks_exact(4));
    for (count, earlier) in buckets {
        let (n, earlier) = (bucket(count), bucket(earlier));
        // A full bucket stays one: how far it would have gone is not known.
        if n != u32::MAX {
            count.copy_from_slice(&n.wrapping_sub(earlier).to_le_bytes());
        }
    }
    extremes(&mut rest, now, before);
    rest
}

/// The extremes of the later samples, as well as they are known.
fn extremes(rest: &mut [u8], now: &[u8], before: &[u8]) {
    let used = |at: &usize| bucket(&rest[8 * SUMMARY_HEADER_WORDS + 4 * at..]) != 0;
    let buckets = 0..layout::hist_buckets(SUMMARY_BITS);
    let (Some(lowest), Some(highest)) =
        (buckets.clone().find(used), buckets.clone().rev().find(used))
    else {
        // A sample that has been counted but is not in its bucket yet keeps its extremes.
        if word(rest, at::N) == 0 {
            set_word(rest, at::MIN, 0);
            set_word(rest, at::MAX, 0);
        }
        return;
    };
    let (least, most) = (
        (!word(now, at::MIN) ^ SIGN) as i64,
        (word(now, at::MAX) ^ SIGN) as i64,
    );
    if word(now, at::MIN) == word(before, at::MIN) && lowest > 0 {
        let sample = middle(lowest).max(least);
        set_word(rest, at::MIN, !(sample as u64 ^ SIGN));
    }
    if word(now, at::MAX) == word(before, at::MAX) {
        let sample = if highest == 0 { -1 } else { middle(highest) };
        set_word(rest, at::MAX, sample.min(most) as u64 ^ SIGN);
    }
}

/// The middle of a bucket of samples that are not negative.
fn middle(bucket: usize) -> i64 {
    let (low, high) = layout::log_linear_range(bucket as u64 - 1, SUMMARY_BITS);
    (low + (high - low) / 2) as i64
}

fn bucket(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

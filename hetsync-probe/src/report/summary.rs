//! `summary()`: count, mean, standard deviation, minimum, percentiles, maximum.
//!
//! Definitions, those of pandas' `describe`:
//!
//! * The standard deviation is the sample's (divided by `n - 1`); there is none for fewer than two samples.
//! * The percentile `p` of `n` samples in ascending order `x[0] .. x[n-1]` lies at rank `h = (n - 1) * p / 100`: between
//!   `x[floor(h)]` and the sample after it, in proportion to the fraction of `h` (the method called "linear").
//!
//! Count, mean, standard deviation, minimum and maximum come from exact sums (128-bit sums of samples and of
//! squares; the variance is one 256-bit integer difference and one division, so nothing cancels).
//! Percentiles come from buckets: each sample is taken for the middle of its bucket, which is within 1/129 (0.78 %)
//! of it, and an interpolation between two such numbers keeps the bound. The lowest and highest rank
//! are the exact minimum and maximum, and every percentile is clamped between them.
//!
//! Limits: all negative samples share one bucket, so a percentile among them is only known to be negative
//! ([`Number::Negative`]). A CPU's bucket counts to 2^32 - 1; one that got there is reported
//! ([`Summary::is_saturated`]), as the percentiles are then not exact. The sum of squares wraps at 2^128, which samples
//! below 2^40 (18 minutes in nanoseconds) reach after 2^48 of them.

use crate::layout::{self, SIGN, SUMMARY_BITS, SUMMARY_HEADER_WORDS, summary_word as at, word};
use crate::report::histogram::{Histogram, Scale};

/// The merged statistics of a `summary()` at one key.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    n: u64,
    sum: i128,
    squares: u128,
    min: i64,
    max: i64,
    buckets: Histogram,
    saturated: bool,
    percentiles: Vec<u32>,
    div: u64,
}

/// A statistic, as exact as it is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// An exact integer.
    Integer(i128),
    /// A real number.
    Real(f64),
    /// Known only to be below 0.
    Negative,
    /// There is none: no samples, or one sample's deviation.
    None,
}

impl Number {
    /// The value, where it is known.
    pub fn value(self) -> Option<f64> {
        match self {
            Number::Integer(n) => Some(n as f64),
            Number::Real(x) => Some(x),
            Number::Negative | Number::None => None,
        }
    }
}

impl Summary {
    /// Merges the CPUs' parts, each of [`layout::aggregate_size`] bytes. `percentiles` are in thousandths of a percent.
    pub fn merge(percentiles: &[u32], per_cpu: &[&[u8]]) -> Summary {
        let scale = Scale::Log { bits: SUMMARY_BITS };
        let mut merged = Summary {
            n: 0,
            sum: 0,
            squares: 0,
            min: 0,
            max: 0,
            buckets: Histogram::new(scale, vec![0; scale.buckets()]),
            saturated: false,
            percentiles: percentiles.to_vec(),
            div: 1,
        };
        let (mut least, mut most) = (0, 0);
        for part in per_cpu {
            let pair = |low| u128::from(word(part, low)) | u128::from(word(part, low + 1)) << 64;
            merged.n = merged.n.wrapping_add(word(part, at::N));
            merged.sum = merged.sum.wrapping_add(pair(at::SUM_LOW) as i128);
            merged.squares = merged.squares.wrapping_add(pair(at::SQUARES_LOW));
            least = least.max(word(part, at::MIN));
            most = most.max(word(part, at::MAX));
            let buckets = part[8 * SUMMARY_HEADER_WORDS..].chunks_exact(4);
            for (count, bytes) in merged.buckets.counts.iter_mut().zip(buckets) {
                let n = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
                merged.saturated |= n == u32::MAX;
                *count += u64::from(n);
            }
        }
        if merged.n != 0 {
            merged.min = (!least ^ SIGN) as i64;
            merged.max = (most ^ SIGN) as i64;
        }
        merged
    }

    /// Number of samples.
    pub fn count(&self) -> u64 {
        self.n
    }

    /// The same with every statistic but the count divided by `div` when it is shown.
    pub fn divided(&self, div: u64) -> Summary {
        Summary {
            div: div.max(1),
            ..self.clone()
        }
    }

    /// The mean; `None` without a sample.
    pub fn mean(&self) -> Option<f64> {
        (self.n != 0).then(|| self.sum as f64 / self.n as f64 / self.div as f64)
    }

    /// The sample standard deviation; `None` below two samples.
    pub fn std(&self) -> Option<f64> {
        (self.n >= 2).then(|| variance(self.n, self.sum, self.squares).sqrt() / self.div as f64)
    }

    /// The smallest sample.
    pub fn min(&self) -> Number {
        self.extreme(self.min)
    }

    /// The largest sample.
    pub fn max(&self) -> Number {
        self.extreme(self.max)
    }

    fn extreme(&self, sample: i64) -> Number {
        match (self.n, self.div) {
            (0, _) => Number::None,
            (_, 1) => Number::Integer(sample.into()),
            (_, div) => Number::Real(sample as f64 / div as f64),
        }
    }

    /// The percentile `p`, in thousandths of a percent.
    pub fn percentile(&self, p: u32) -> Number {
        // Ranks are counted in the buckets, not in `n`: a read between a sample's two updates may see one without the other.
        let total = self.buckets.total();
        if self.n == 0 || total == 0 {
            return Number::None;
        }
        let rank = u128::from(total - 1) * u128::from(p.min(100_000));
        let (below, fraction) = ((rank / 100_000) as u64, (rank % 100_000) as f64 / 100_000.0);
        let low = self.order_statistic(below, total);
        let high = if fraction == 0.0 {
            low
        } else {
            self.order_statistic(below + 1, total)
        };
        match (low, high) {
            (Some(low), Some(high)) => {
                let (min, max) = (self.min as f64, self.max as f64);
                let x = (low + (high - low) * fraction).clamp(min, max);
                // The ends are known exactly, where a float of their size may not be.
                match x {
                    x if x >= max => self.extreme(self.max),
                    x if x <= min => self.extreme(self.min),
                    x => Number::Real(x / self.div as f64),
                }
            }
            _ => Number::Negative,
        }
    }

    /// The sample of this rank (from 0) as well as it is known; `None` if only that it is negative.
    fn order_statistic(&self, rank: u64, total: u64) -> Option<f64> {
        if rank == 0 {
            return Some(self.min as f64);
        }
        if rank + 1 >= total {
            return Some(self.max as f64);
        }
        let mut seen = 0;
        let bucket = self.buckets.counts.iter().position(|&count| {
            seen += count;
            seen > rank
        })?;
        if bucket == 0 {
            return None;
        }
        let (low, high) = layout::log_linear_range(bucket as u64 - 1, SUMMARY_BITS);
        let middle = low as f64 + (high - low) as f64 / 2.0;
        Some(middle.clamp(self.min as f64, self.max as f64))
    }

    /// Whether some CPU's bucket reached its limit of 2^32 - 1 and lost samples of the percentiles.
    pub fn is_saturated(&self) -> bool {
        self.saturated
    }

    /// The percentiles asked for, in thousandths of a percent, ascending.
    pub fn percentiles(&self) -> &[u32] {
        &self.percentiles
    }

    /// The buckets, for pictures.
    pub fn buckets(&self) -> &Histogram {
        &self.buckets
    }

    /// What statistics are divided by when shown.
    pub fn div(&self) -> u64 {
        self.div
    }

    /// Every statistic with its name, in the order of the table: count, mean, std, min, percentiles, max.
    pub fn statistics(&self) -> Vec<(String, Number)> {
        let real = |x: Option<f64>| x.map_or(Number::None, Number::Real);
        let mut rows = vec![
            ("count".to_string(), Number::Integer(self.n.into())),
            ("mean".to_string(), real(self.mean())),
            ("std".to_string(), real(self.std())),
            ("min".to_string(), self.min()),
        ];
        rows.extend(
            self.percentiles
                .iter()
                .map(|&p| (percentile_name(p), self.percentile(p))),
        );
        rows.push(("max".to_string(), self.max()));
        rows
    }
}

/// `25%`, `99.9%`, from thousandths of a percent.
pub fn percentile_name(p: u32) -> String {
    let fraction = format!("{:03}", p % 1000);
    let fraction = fraction.trim_end_matches('0');
    let dot = if fraction.is_empty() { "" } else { "." };
    format!("{}{dot}{fraction}%", p / 1000)
}

/// `(n * squares - sum^2) / (n * (n - 1))`, its numerator exact; `n` is at least 2.
fn variance(n: u64, sum: i128, squares: u128) -> f64 {
    let (scaled_high, scaled_low) = wide_product(n.into(), squares);
    let (square_high, square_low) = wide_product(sum.unsigned_abs(), sum.unsigned_abs());
    let (low, borrow) = scaled_low.overflowing_sub(square_low);
    let high = scaled_high
        .wrapping_sub(square_high)
        .wrapping_sub(borrow.into());
    if high >> 127 != 0 {
        // Never of real sums (Cauchy and Schwarz); a torn read can do it.
        return 0.0;
    }
    let numerator = high as f64 * 2f64.powi(128) + low as f64;
    numerator / (u128::from(n) * u128::from(n - 1)) as f64
}

/// The 256-bit product of two 128-bit numbers as (high, low).
fn wide_product(a: u128, b: u128) -> (u128, u128) {
    const HALF: u128 = u64::MAX as u128;
    let (a1, a0, b1, b0) = (a >> 64, a & HALF, b >> 64, b & HALF);
    let middle = a1 * b0 + ((a0 * b0) >> 64);
    let (middle, carry) = middle.overflowing_add(a0 * b1);
    let high = a1 * b1 + (middle >> 64) + (u128::from(carry) << 64);
    (high, a.wrapping_mul(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sema::hir::Aggregation;

    #[test]
    fn wide_products_are_exact() {
        assert_eq!(wide_product(u128::MAX, u128::MAX), (u128::MAX - 1, 1));
        assert_eq!(wide_product(1 << 100, 1 << 100), (1 << 72, 0));
        assert_eq!(
            wide_product(u128::MAX, 1 << 64),
            (u128::from(u64::MAX), u128::MAX << 64)
        );
        assert_eq!(wide_product(12, 12), (0, 144));
    }

    #[test]
    fn the_variance_of_large_close_samples_does_not_cancel() {
        // 10^18, 10^18 + 1, 10^18 + 2: variance 1, where f64 sums of squares have nothing left of it.
        let samples = [10i128.pow(18), 10i128.pow(18) + 1, 10i128.pow(18) + 2];
        let squares = samples.iter().map(|x| (x * x) as u128).sum();
        assert_eq!(variance(3, samples.iter().sum(), squares), 1.0);
    }

    #[test]
    fn a_percentile_at_an_end_is_that_sample_and_not_the_float_nearest_to_it() {
        let mut bytes = vec![
            0;
            layout::aggregate_size(&Aggregation::Summary {
                percentiles: vec![],
            })
        ];
        let aggregation = Aggregation::Summary {
            percentiles: vec![],
        };
        layout::record(&aggregation, &mut bytes, i64::MAX as u64);
        let summary = Summary::merge(&[50_000], &[&bytes]);
        assert_eq!(summary.percentile(50_000), Number::Integer(i64::MAX.into()));
        assert_eq!(summary.max(), summary.percentile(50_000));
    }

    #[test]
    fn percentile_names_drop_needless_zeros() {
        let names = [0, 50, 500, 25_000, 99_900, 99_999, 100_000].map(percentile_name);
        assert_eq!(
            names,
            ["0%", "0.05%", "0.5%", "25%", "99.9%", "99.999%", "100%"]
        );
    }
}

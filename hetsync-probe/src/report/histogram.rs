//! Histograms: counts, the range of each bucket, and the range's label as bpftrace writes it.

use crate::layout;

/// How numbers are put into buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// `hist`: powers of two, each in `2^bits` equal parts; bucket 0 is everything negative.
    Log {
        /// 0 to 6.
        bits: u8,
    },
    /// `lhist`: equal steps; the first and the last bucket are open.
    Linear {
        /// Lower end of the first closed bucket.
        min: i64,
        /// End of the range asked for.
        max: i64,
        /// Width of a bucket, at least 1.
        step: u64,
    },
}

impl Scale {
    /// How many buckets there are.
    pub fn buckets(self) -> usize {
        match self {
            Scale::Log { bits } => layout::hist_buckets(bits),
            Scale::Linear { min, max, step } => layout::lhist_buckets(min, max, step),
        }
    }

    /// Lowest and highest number of a bucket, both included; `None` at an open end.
    pub fn range(self, bucket: usize) -> (Option<i64>, Option<i64>) {
        match self {
            Scale::Log { .. } if bucket == 0 => (None, Some(-1)),
            Scale::Log { bits } => {
                let (low, high) = layout::log_linear_range(bucket as u64 - 1, bits);
                (Some(low as i64), Some(high as i64))
            }
            Scale::Linear { min, step, .. } => {
                let edge =
                    |steps: usize| min.wrapping_add((steps as u64).wrapping_mul(step) as i64);
                if bucket == 0 {
                    (None, Some(min.wrapping_sub(1)))
                } else if bucket == self.buckets() - 1 {
                    (Some(edge(bucket - 1)), None)
                } else {
                    (Some(edge(bucket - 1)), Some(edge(bucket).wrapping_sub(1)))
                }
            }
        }
    }
}

/// Counts by bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram {
    /// What the buckets mean.
    pub scale: Scale,
    /// One count a bucket, [`Scale::buckets`] of them.
    pub counts: Vec<u64>,
    /// What counts are divided by in [`Histogram::rows`], at least 1.
    pub div: u64,
}

/// One bucket of a histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Index of the bucket.
    pub bucket: usize,
    /// Lowest number in it; `None` if it has no lower end.
    pub low: Option<i64>,
    /// Highest number in it; `None` if it has no upper end.
    pub high: Option<i64>,
    /// Samples in it.
    pub count: u64,
}

impl Histogram {
    /// A histogram of these counts.
    pub fn new(scale: Scale, counts: Vec<u64>) -> Self {
        Self {
            scale,
            counts,
            div: 1,
        }
    }

    /// Samples in all buckets.
    pub fn total(&self) -> u64 {
        self.counts.iter().fold(0, |sum, n| sum.wrapping_add(*n))
    }

    /// The same rows with each count divided by `div`, truncated: a bucket that divides to nothing is still shown.
    pub fn divided(&self, div: u64) -> Histogram {
        let mut divided = self.clone();
        divided.div = div.max(1);
        divided
    }

    /// The buckets from the first to the last that is not empty; none if all are.
    pub fn rows(&self) -> impl DoubleEndedIterator<Item = Row> + '_ {
        let used = |n: &u64| *n != 0;
        let first = self.counts.iter().position(used).unwrap_or(0);
        let end = self
            .counts
            .iter()
            .rposition(used)
            .map_or(0, |last| last + 1);
        (first..end).map(|bucket| {
            let (low, high) = self.scale.range(bucket);
            Row {
                bucket,
                low,
                high,
                count: self.counts[bucket] / self.div.max(1),
            }
        })
    }

    /// The rows that have samples, each with the samples up to its end.
    pub fn added_up(&self) -> impl Iterator<Item = Row> + '_ {
        let mut sum = 0u64;
        let div = self.div.max(1);
        let used = self.rows().filter(|row| self.counts[row.bucket] != 0);
        used.map(move |row| {
            sum = sum.wrapping_add(self.counts[row.bucket]);
            Row {
                count: sum / div,
                ..row
            }
        })
    }

    /// The label of a row: `[512, 1K)`, `[3]`, `(..., 0)`, `[50, ...)`.
    ///
    /// A power of two is written with its own suffix (`[512K, 1M)`), a part of a split power with that of its width
    /// (`[1024K, 1280K)`, `[3584, 4K)`); `lhist` uses suffixes only where its step is a multiple of 1024.
    pub fn label(&self, row: &Row) -> String {
        let own = |n: i128| suffixed(n, largest_unit(n));
        let (low, high) = (
            row.low.map(i128::from),
            row.high.map(|high| i128::from(high) + 1),
        );
        match (self.scale, low, high) {
            (Scale::Log { .. }, None, _) => "(..., 0)".to_string(),
            (Scale::Log { .. }, Some(low), Some(end)) if end - low == 1 => format!("[{low}]"),
            (Scale::Log { bits }, Some(low), Some(end)) => {
                format!("[{}, {})", edge(low, bits), edge(end, bits))
            }
            (Scale::Linear { step, .. }, low, end) => {
                let show = |n| {
                    if step % 1024 == 0 {
                        own(n)
                    } else {
                        n.to_string()
                    }
                };
                match (low, end) {
                    (Some(low), Some(end)) => format!("[{}, {})", show(low), show(end)),
                    (Some(low), None) => format!("[{}, ...)", show(low)),
                    (None, end) => format!("(..., {})", end.map(show).unwrap_or_default()),
                }
            }
            (Scale::Log { bits }, Some(low), None) => format!("[{}, ...)", edge(low, bits)),
        }
    }
}

/// An edge of a `hist` bucket, in units of the largest power of 1024 that fits into the width of the bucket it begins.
fn edge(n: i128, bits: u8) -> String {
    let log2 = n.unsigned_abs().checked_ilog2().unwrap_or(0);
    suffixed(n, (log2.saturating_sub(bits.into()) / 10) as usize)
}

/// The largest power of 1024 that divides `n`, as an exponent; 0 for 0.
fn largest_unit(mut n: i128) -> usize {
    let mut unit = 0;
    while n != 0 && n % 1024 == 0 && unit < 6 {
        n /= 1024;
        unit += 1;
    }
    unit
}

fn suffixed(n: i128, unit: usize) -> String {
    let suffix = ["", "K", "M", "G", "T", "P", "E"][unit];
    format!("{}{suffix}", n / 1024i128.pow(unit as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: Scale, buckets: &[usize]) -> Vec<String> {
        let counts = vec![1; scale.buckets()];
        let histogram = Histogram::new(scale, counts);
        let rows: Vec<Row> = histogram.rows().collect();
        buckets
            .iter()
            .map(|&at| histogram.label(&rows[at]))
            .collect()
    }

    #[test]
    fn labels_are_written_as_bpftrace_writes_them() {
        assert_eq!(
            labels(Scale::Log { bits: 0 }, &[0, 1, 2, 3, 11, 21, 64]),
            [
                "(..., 0)",
                "[0]",
                "[1]",
                "[2, 4)",
                "[512, 1K)",
                "[512K, 1M)",
                "[4E, 8E)"
            ]
        );
        let at = |n| layout::hist_bucket(n, 2);
        assert_eq!(
            labels(
                Scale::Log { bits: 2 },
                &[
                    at(7),
                    at(8),
                    at(1000),
                    at(1024),
                    at(1 << 20),
                    at(2000 << 10),
                    at(4095),
                    at(4 << 20)
                ]
            ),
            [
                "[7]",
                "[8, 10)",
                "[896, 1024)",
                "[1024, 1280)",
                "[1024K, 1280K)",
                "[1792K, 2048K)",
                "[3584, 4K)",
                "[4M, 5M)"
            ]
        );
        let linear = |min, max, step| Scale::Linear { min, max, step };
        assert_eq!(
            labels(linear(0, 50, 10), &[0, 1, 5, 6]),
            ["(..., 0)", "[0, 10)", "[40, 50)", "[50, ...)"]
        );
        // 55 is not reached by whole steps: the last bucket starts at 50.
        assert_eq!(
            labels(linear(0, 55, 10), &[5, 6]),
            ["[40, 50)", "[50, ...)"]
        );
        assert_eq!(
            labels(linear(0, 8192, 1024), &[1, 2, 9]),
            ["[0, 1K)", "[1K, 2K)", "[8K, ...)"]
        );
        assert_eq!(labels(linear(1024, 9216, 512), &[7]), ["[4096, 4608)"]);
        assert_eq!(labels(linear(0, 8 << 20, 512 << 10), &[7]), ["[3M, 3584K)"]);
        assert_eq!(
            labels(linear(-100, 100, 10), &[0, 1]),
            ["(..., -100)", "[-100, -90)"]
        );
    }

    #[test]
    fn rows_run_from_the_first_to_the_last_used_bucket() {
        let scale = Scale::Log { bits: 0 };
        let mut counts = vec![0; scale.buckets()];
        assert_eq!(Histogram::new(scale, counts.clone()).rows().count(), 0);
        counts[3] = 1;
        counts[5] = 2;
        let histogram = Histogram::new(scale, counts);
        let rows: Vec<_> = histogram.rows().map(|r| (r.low, r.high, r.count)).collect();
        assert_eq!(
            rows,
            [
                (Some(2), Some(3), 1),
                (Some(4), Some(7), 0),
                (Some(8), Some(15), 2)
            ]
        );
    }
}

//! Counters and histograms.
//!
//! A histogram keeps counts, not samples, so it takes the same memory after
//! a million rounds as after one. Its buckets split each power of two into
//! eight, so a quantile read from it is within 6.25 % of the true one.

use crate::policy::{Explanation, Outcome};
use crate::server::Accounts;
use crate::time::Span;

/// What a server has counted since it started.
#[derive(Debug, Clone, Default)]
pub struct Stats {
    /// Rounds closed because everyone waited for had come.
    pub full_rounds: u64,
    /// Rounds closed by their deadline.
    pub deadline_rounds: u64,
    /// Rounds closed because enough had come.
    pub quorum_rounds: u64,
    /// Gradients that were taken into a round.
    pub accepted: u64,
    /// Gradients that came after their round had closed.
    pub late: u64,
    /// Those of them that went, weighted, into a later round.
    pub late_used: u64,
    /// Of those, the ones whose later round never closed, as everybody left.
    pub late_abandoned: u64,
    /// Second gradients for one round.
    pub duplicates: u64,
    /// Connections closed for what they sent.
    pub refused: u64,
    /// Gradients that were taken and are in no sum: in rounds that everybody
    /// left, or of connections lost before their round closed.
    pub abandoned: u64,
    /// From a round's first gradient to its close.
    pub round_duration: Histogram,
    /// From the server's last word to a worker to that worker's gradient.
    pub turnaround: Histogram,
    /// How long rounds would have lasted at most, by the rule that closed
    /// them; rounds without a limit are not counted.
    pub deadline: Histogram,
    /// Why the newest round closed.
    pub newest: Option<Explanation>,
    /// What each worker has cost the others in waiting.
    pub accounts: Accounts,
}

impl Stats {
    /// Rounds closed in all.
    pub fn rounds(&self) -> u64 {
        self.full_rounds + self.deadline_rounds + self.quorum_rounds
    }

    /// Adds what another server, or another job, has counted.
    pub fn add(&mut self, other: &Self) {
        self.full_rounds += other.full_rounds;
        self.deadline_rounds += other.deadline_rounds;
        self.quorum_rounds += other.quorum_rounds;
        self.accepted += other.accepted;
        self.late += other.late;
        self.late_used += other.late_used;
        self.late_abandoned += other.late_abandoned;
        self.duplicates += other.duplicates;
        self.refused += other.refused;
        self.abandoned += other.abandoned;
        self.round_duration.add(&other.round_duration);
        self.turnaround.add(&other.turnaround);
        self.deadline.add(&other.deadline);
        self.newest = other.newest.or(self.newest);
        self.accounts.add(&other.accounts);
    }

    pub(crate) fn count_round(&mut self, outcome: Outcome, why: Explanation, lasted: Span) {
        match outcome {
            Outcome::Full => self.full_rounds += 1,
            Outcome::Deadline => self.deadline_rounds += 1,
            Outcome::Quorum => self.quorum_rounds += 1,
        }
        self.round_duration.record(lasted);
        if let Some(longest) = why.longest {
            self.deadline.record(longest);
        }
        self.newest = Some(why);
    }
}

/// Buckets per power of two.
const SPLIT: u64 = 8;
const SPLIT_BITS: u32 = SPLIT.ilog2();
const BUCKETS: usize = ((64 - SPLIT_BITS as usize) + 1) * SPLIT as usize;

/// Spans of time, counted in buckets.
///
/// ```
/// use hetsync_core::stats::Histogram;
/// use hetsync_core::time::Span;
///
/// let mut times = Histogram::default();
/// (1..=100).for_each(|ms| times.record(Span::from_millis(ms)));
/// let median = times.quantile(0.5).unwrap();
/// assert!(median > Span::from_millis(46) && median < Span::from_millis(54));
/// ```
#[derive(Debug, Clone)]
pub struct Histogram {
    counts: Box<[u64]>,
    total: u64,
    sum: Span,
    /// The shortest and the longest of them.
    ends: Option<(Span, Span)>,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: vec![0; BUCKETS].into(),
            total: 0,
            sum: Span::ZERO,
            ends: None,
        }
    }
}

impl Histogram {
    /// Counts one span.
    pub fn record(&mut self, span: Span) {
        self.counts[bucket(span.as_nanos())] += 1;
        self.total += 1;
        self.sum += span;
        self.reach(span, span);
    }

    fn reach(&mut self, shortest: Span, longest: Span) {
        self.ends = Some(match self.ends {
            Some((low, high)) => (low.min(shortest), high.max(longest)),
            None => (shortest, longest),
        });
    }

    /// Adds the counts of another.
    pub fn add(&mut self, other: &Self) {
        for (ours, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *ours += theirs;
        }
        self.total += other.total;
        self.sum += other.sum;
        if let Some((shortest, longest)) = other.ends {
            self.reach(shortest, longest);
        }
    }

    /// All spans together.
    pub fn sum(&self) -> Span {
        self.sum
    }

    /// How many spans were shorter than `2^exponent` nanoseconds; exact, as
    /// powers of two are limits of buckets.
    pub fn count_below(&self, exponent: u32) -> u64 {
        let until = match exponent {
            0..64 => bucket(1 << exponent),
            _ => BUCKETS,
        };
        self.counts[..until].iter().sum()
    }

    /// How many spans were counted.
    pub fn count(&self) -> u64 {
        self.total
    }

    /// The span below which the share `q` (0 to 1) of all lies, within
    /// 6.25 %; `None` if nothing was counted.
    pub fn quantile(&self, q: f64) -> Option<Span> {
        let (shortest, longest) = self.ends?;
        let rank = ((self.total as f64 * q.clamp(0.0, 1.0)).ceil() as u64).max(1);
        let mut below = 0;
        for (index, count) in self.counts.iter().enumerate() {
            below += count;
            if below >= rank {
                return Some(middle(index).clamp(shortest, longest));
            }
        }
        None
    }
}

/// Values under [`SPLIT`] have a bucket each; above, the bucket is made of
/// the exponent and the first [`SPLIT_BITS`] bits after the leading one.
fn bucket(nanos: u64) -> usize {
    if nanos < SPLIT {
        return nanos as usize;
    }
    let exponent = nanos.ilog2();
    let step = (nanos >> (exponent - SPLIT_BITS)) - SPLIT;
    (u64::from(exponent - SPLIT_BITS + 1) * SPLIT + step) as usize
}

fn middle(bucket: usize) -> Span {
    let bucket = bucket as u64;
    if bucket < SPLIT {
        return Span::from_nanos(bucket);
    }
    let shift = bucket / SPLIT - 1;
    let low = (SPLIT + bucket % SPLIT) << shift;
    Span::from_nanos(low + (1 << shift) / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_a_bucket_whose_middle_is_near_it() {
        let mut last = 0;
        for shift in 0..64 {
            for offset in [0_u64, 1, 3] {
                let nanos = (1_u64 << shift).saturating_add(offset << (shift / 2));
                let index = bucket(nanos);
                assert!(index < BUCKETS);
                assert!(shift < 4 || index >= last, "{nanos} went back");
                last = index;
                let off = middle(index).as_nanos().abs_diff(nanos) as f64;
                assert!(
                    off <= nanos as f64 * 0.0625 + 0.5,
                    "{nanos} is off by {off}"
                );
            }
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn no_quantile_is_beyond_what_was_counted() {
        let mut times = Histogram::default();
        times.record(Span::from_secs(2));
        assert_eq!(times.quantile(0.5), Some(Span::from_secs(2)));
        let mut others = Histogram::default();
        others.record(Span::from_secs(3));
        times.add(&others);
        assert_eq!(times.quantile(0.0), Some(Span::from_secs(2)));
        assert_eq!(times.quantile(1.0), Some(Span::from_secs(3)));
    }

    #[test]
    fn an_empty_histogram_has_no_quantile() {
        assert_eq!(Histogram::default().quantile(0.5), None);
    }
}

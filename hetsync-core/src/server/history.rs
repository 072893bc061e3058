//! Results of closed rounds, kept for workers that missed them.
//!
//! Invariants: the rounds kept follow each other without a gap and end with
//! the newest; there are never more of them, nor more bytes, than allowed,
//! except that the newest one is always there. A job in which nobody has an
//! identity keeps no other: its workers could not use them.

use std::collections::VecDeque;
use std::sync::Arc;

use super::{RoundId, RoundResult};

/// How much is kept for workers that missed rounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Results, the newest included.
    pub rounds: usize,
    /// Bytes of all but the newest.
    pub bytes: usize,
}

/// Sixteen rounds, or as many as 256 MiB hold.
impl Default for Keep {
    fn default() -> Self {
        Self {
            rounds: 16,
            bytes: 256 << 20,
        }
    }
}

/// Those before the newest.
#[derive(Debug, Default)]
pub(super) struct History {
    earlier: VecDeque<Arc<RoundResult>>,
    bytes: usize,
    /// Somebody may ask for them.
    is_wanted: bool,
}

impl History {
    /// From now on results are kept.
    pub(super) fn want(&mut self) {
        self.is_wanted = true;
    }

    /// Keeps a result that is the newest no more. Returns one that is no
    /// longer kept, for its memory.
    pub(super) fn push(
        &mut self,
        result: Arc<RoundResult>,
        keep: Keep,
    ) -> Option<Arc<RoundResult>> {
        if !self.is_wanted {
            return Some(result);
        }
        self.bytes += result.as_bytes().len();
        self.earlier.push_back(result);
        let mut out = None;
        while self.earlier.len() + 1 > keep.rounds || self.bytes > keep.bytes {
            let Some(oldest) = self.earlier.pop_front() else {
                break;
            };
            self.bytes -= oldest.as_bytes().len();
            out = Some(oldest);
        }
        out
    }

    /// Forgets all, for another job.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The results from `first` to that of `newest`, if all are kept.
    pub(super) fn since(
        &self,
        first: RoundId,
        newest: Option<&Arc<RoundResult>>,
    ) -> Option<Vec<Arc<RoundResult>>> {
        let all = self.earlier.iter().chain(newest);
        let found: Vec<_> = all.filter(|r| r.round() >= first).cloned().collect();
        let is_first = found.first().is_some_and(|r| r.round() == first);
        is_first.then_some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(round: u64, bytes: usize) -> Arc<RoundResult> {
        let mut result = RoundResult::default();
        result.round = RoundId(round);
        result.buffer(bytes);
        Arc::new(result)
    }

    #[test]
    fn what_is_kept_has_no_gap_and_stays_within_its_limits() {
        let keep = Keep {
            rounds: 4,
            bytes: 100,
        };
        let mut history = History::default();
        assert!(history.push(result(0, 8), keep).is_some(), "nobody asks");
        history.want();
        for round in 1..20 {
            history.push(result(round, 8), keep);
            let newest = result(round + 1, 8);
            let since = |first| {
                history
                    .since(RoundId(first), Some(&newest))
                    .map(|r| r.len())
            };
            assert_eq!(since(round + 1), Some(1));
            assert_eq!(since(round), Some(2));
            assert_eq!(since(round + 2), None);
            if round > 5 {
                assert_eq!(since(round - 2), Some(4));
                assert_eq!(since(round - 3), None);
            }
        }
        // Larger results: fewer of them.
        for round in 20..30 {
            history.push(result(round, 60), keep);
        }
        let newest = result(30, 60);
        assert!(history.since(RoundId(29), Some(&newest)).is_some());
        assert!(history.since(RoundId(28), Some(&newest)).is_none());
    }
}

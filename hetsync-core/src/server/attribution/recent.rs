//! The newest turnarounds of all workers together, and whether those of one
//! stand out.
//!
//! A second way to call a worker a straggler, beside the bets of `evidence`,
//! which look at one gradient at a time and need a dozen of them. Under a rule
//! that goes on without a slow worker those take long to come; but each is
//! longer than all that the others sent meanwhile. If `j` turnarounds of one
//! worker and `n` of the others were drawn alike, the chance that all `j`
//! exceed all `n` is one in "n + j choose j", whatever they were drawn from.
//!
//! Of the others no more count than each sends in a round that waits for all.
//! They may have sent more, but only because that one took long: those that
//! began and ended meanwhile had to be shorter, and prove nothing.
//!
//! What slows all workers down for a while makes nobody stand out, as the
//! turnarounds are those of the same time.

use std::collections::VecDeque;

use super::evidence::is_material;
use crate::server::ConnId;
use crate::time::Span;

/// Turnarounds that are remembered.
const MEMORY: usize = 512;

/// One in so many, for each worker that there is: rarer chances are none.
const CHANCE: f64 = 1e5;

#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Recent {
    turnarounds: VecDeque<(ConnId, Span)>,
}

impl Recent {
    /// A gradient has come that is not its worker's first.
    pub(super) fn note(&mut self, conn: ConnId, took: Span) {
        if self.turnarounds.len() == MEMORY {
            self.turnarounds.pop_front();
        }
        self.turnarounds.push_back((conn, took));
    }

    /// Whether the newest turnarounds of one worker are each longer than all
    /// those of the others since, and so many that this is no chance.
    pub(super) fn stands_out(&self, conn: ConnId, workers: usize) -> bool {
        let wanted = (CHANCE * workers as f64).ln();
        let (mut own, mut others) = (0_usize, Vec::new());
        let (mut shortest, mut longest) = (Span::from_nanos(u64::MAX), Span::ZERO);
        for (other, took) in self.turnarounds.iter().rev() {
            if *other != conn {
                longest = longest.max(*took);
                others.push(*took);
            } else {
                own += 1;
                shortest = shortest.min(*took);
                let fair = others.len().min(own * workers.saturating_sub(1));
                if ln_choose(fair + own, own) >= wanted {
                    return shortest > longest && is_material(shortest, &mut others);
                }
            }
            if shortest <= longest {
                return false;
            }
        }
        false
    }
}

/// The logarithm of "n choose k".
fn ln_choose(n: usize, k: usize) -> f64 {
    let factor = |i: usize| ((n - i) as f64 / (i + 1) as f64).ln();
    (0..k).map(factor).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Notes rounds in which worker 0 takes `slow` and three others 100 ms;
    /// returns after how many gradients of worker 0 it stands out.
    fn found_after(slow: u64, others_each: u64) -> Option<u64> {
        let mut recent = Recent::default();
        (1..40).find(|_| {
            for _ in 0..others_each {
                (1..4).for_each(|id| recent.note(ConnId(id), Span::from_millis(100)));
            }
            recent.note(ConnId(0), Span::from_millis(slow));
            recent.stands_out(ConnId(0), 4)
        })
    }

    #[test]
    fn what_the_others_sent_because_it_took_long_proves_no_more() {
        for others_each in [1, 3, 10] {
            assert_eq!(found_after(250, others_each), Some(7));
            // By next to nothing, not at all, or faster.
            for slow in [109, 100, 50] {
                assert_eq!(found_after(slow, others_each), None);
            }
        }
    }

    #[test]
    fn one_long_turnaround_of_another_ends_it() {
        let mut recent = Recent::default();
        for round in 0..40 {
            for id in 0..4 {
                let long = id == 0 || (id == 1 && round % 5 == 0);
                let ms = if long { 300 } else { 100 };
                recent.note(ConnId(id), Span::from_millis(ms));
            }
            assert!(!recent.stands_out(ConnId(0), 4));
        }
    }

    #[test]
    fn the_chances_are_counted_right() {
        assert!((ln_choose(52, 5).exp() - 2_598_960.0).abs() < 1e-3);
        assert!((ln_choose(4, 4)).abs() < 1e-12);
    }
}

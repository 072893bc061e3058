//! When a worker is called a straggler.
//!
//! Somebody is always the slowest, so being so says little by itself, and
//! jitter must not name anybody however heavy its tails are. The rule is a
//! bet against chance. If `n` workers were alike, each would be the slowest
//! in one gradient of `n`, whatever the distribution of their times: that
//! follows from symmetry alone. So a gambler who puts a part of his money on
//! one worker being the slowest gains nothing on average, and to see him
//! multiply it by a million takes a million rounds on average (as with every
//! fair game); unless the worker *is* slow, and then a dozen do it.
//!
//! Three gamblers of different boldness play, so that a worker that is slow
//! in every step is found within twenty rounds and one that is slow in half
//! of its steps within a few hundred. One that is ruined begins anew.
//!
//! It is turnarounds that are compared and not what rounds waited, as a rule
//! that closes rounds early hides who is slow: it waits for nobody.
//!
//! The slowest by next to nothing has not lost: nobody is to be called up at
//! night for a worker that is always last by three microseconds. The first
//! gradient of a worker is no evidence either; its process was starting.
//!
//! Besides that, a worker is named whose few turnarounds stand out (`recent`),
//! and one that has been silent for many rounds while the
//! others went on is named for that.

use crate::time::Span;

/// The part of his money that each gambler puts at stake.
const BETS: [f64; 3] = [0.2, 0.5, 0.95];

/// By how much the money must grow, for each worker that there is. A server
/// whose workers are alike then names one falsely no more often than once in
/// so many rounds.
const GROWTH: f64 = 1e5;

/// Gradients that are remembered, about.
const MEMORY: f64 = 24.0;

/// By what part of the others' middle, and by what time, the slowest must
/// exceed that middle.
const MATERIAL_SHARE: f64 = 0.1;
const MATERIAL_TIME: Span = Span::from_nanos(100_000);

/// Missed rounds in succession, and how many usual turnaround times, after
/// which a silent worker is named.
pub(super) const SILENT_ROUNDS: u64 = 16;
pub(super) const SILENT_TURNAROUNDS: u64 = 8;

/// What is known against one worker.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Evidence {
    money: [f64; BETS.len()],
    /// The part of its newest gradients in which it was the slowest.
    slowest: f64,
    pub(super) is_named: bool,
}

impl Default for Evidence {
    fn default() -> Self {
        Self {
            money: [1.0; BETS.len()],
            slowest: 0.0,
            is_named: false,
        }
    }
}

impl Evidence {
    /// A gradient of its has come: whether that made it the slowest of this
    /// many `workers`.
    pub(super) fn weigh(&mut self, is_slowest: bool, workers: usize) {
        let workers = workers as f64;
        let lost = f64::from(u8::from(is_slowest));
        for (money, bet) in self.money.iter_mut().zip(BETS) {
            *money = (*money * (1.0 + bet * (workers * lost - 1.0))).max(1.0);
        }
        self.slowest += (lost - self.slowest) / MEMORY;
        let money: f64 = self.money.iter().sum::<f64>() / BETS.len() as f64;
        if money >= GROWTH * workers {
            self.accuse();
        } else if self.is_named && self.slowest <= (1.0 / workers).max(0.1) {
            *self = Self::default();
        }
    }

    /// Names it.
    pub(super) fn accuse(&mut self) {
        if !self.is_named {
            self.is_named = true;
            // From here it must fall below an even part again.
            self.slowest = 1.0;
        }
        // Enough; more would make it forget no sooner.
        self.money = [1.0; BETS.len()];
    }
}

/// Whether a turnaround exceeds all those of the others, and their middle by
/// enough to be worth a word.
pub(super) fn is_slowest(took: Span, mut others: Vec<Span>) -> bool {
    others.iter().all(|other| *other < took) && is_material(took, &mut others)
}

/// Whether a turnaround exceeds the middle of those of the others by enough
/// to be worth a word. Leaves them in another order.
pub(super) fn is_material(took: Span, others: &mut [Span]) -> bool {
    if others.is_empty() {
        return false;
    }
    let at = others.len() / 2;
    let middle = others.select_nth_unstable(at).1.as_nanos() as f64;
    let excess = took.as_nanos() as f64 - middle;
    excess >= middle * MATERIAL_SHARE && excess >= MATERIAL_TIME.as_nanos() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_is_named_within_twenty_rounds_and_forgiven_when_it_keeps_up() {
        for workers in [2, 3, 4, 16, 256] {
            let mut evidence = Evidence::default();
            let rounds = (1..).find(|_| {
                evidence.weigh(true, workers);
                evidence.is_named
            });
            assert!(rounds.unwrap() <= 20, "{workers}: {rounds:?}");
            let rounds = (1..).find(|_| {
                evidence.weigh(false, workers);
                !evidence.is_named
            });
            let rounds = rounds.unwrap();
            assert!((12..100).contains(&rounds), "{workers}: {rounds}");
        }
    }

    #[test]
    fn the_slowest_by_next_to_nothing_has_not_lost() {
        let ms = Span::from_millis;
        let others = || vec![ms(100), ms(98), ms(104)];
        assert!(is_slowest(ms(112), others()));
        assert!(!is_slowest(ms(108), others()));
        assert!(!is_slowest(ms(103), others()));
        let us = |us: u64| Span::from_nanos(us * 1000);
        assert!(!is_slowest(us(90), vec![us(10), us(12)]));
        assert!(!is_slowest(ms(100), Vec::new()));
    }
}

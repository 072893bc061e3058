//! Enough gradients, and a little longer for the rest.

use super::{Explanation, Outcome, Policy, RoundView, Verdict};
use crate::server::RoundId;
use crate::time::{Span, Time};

/// How many gradients are enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enough {
    /// So many.
    Count(usize),
    /// This share of the workers that take part, rounded up.
    Share(u32, u32),
}

impl Enough {
    /// The number, of so many workers; at least one.
    ///
    /// ```
    /// use hetsync_core::policy::Enough;
    ///
    /// assert_eq!(Enough::Count(3).of(64), 3);
    /// assert_eq!(Enough::Share(3, 4).of(4), 3);
    /// assert_eq!(Enough::Share(3, 4).of(5), 4);
    /// ```
    pub fn of(self, workers: usize) -> usize {
        match self {
            Self::Count(count) => count.max(1),
            Self::Share(part, whole) => {
                let wanted = workers as u128 * u128::from(part);
                let enough = wanted.div_ceil(u128::from(whole.max(1)));
                usize::try_from(enough).unwrap_or(usize::MAX).max(1)
            }
        }
    }
}

/// Closes a round when enough gradients are in, after a grace in which the
/// others may still come.
#[derive(Debug, Clone, Copy)]
pub struct Quorum {
    enough: Enough,
    grace: Span,
    /// When enough were in, and of which round.
    reached: Option<(RoundId, Time)>,
}

impl Quorum {
    /// Rounds close `grace` after `enough` are in.
    pub const fn new(enough: Enough, grace: Span) -> Self {
        Self {
            enough,
            grace,
            reached: None,
        }
    }
}

impl Policy for Quorum {
    fn name(&self) -> &'static str {
        "quorum"
    }

    fn decide(&mut self, now: Time, round: &RoundView<'_>) -> Verdict {
        if round.awaited == 0 {
            return Verdict::Close(Outcome::Full);
        }
        if round.arrived < self.enough.of(round.workers) {
            self.reached = None;
            return Verdict::Wait;
        }
        let since = match self.reached {
            Some((of, since)) if of == round.round => since,
            _ => now,
        };
        self.reached = Some((round.round, since));
        let due = since + self.grace;
        match now >= due {
            true => Verdict::Close(Outcome::Quorum),
            false => Verdict::WaitUntil(due),
        }
    }

    fn explain(&self, _now: Time, round: &RoundView<'_>) -> Explanation {
        Explanation {
            enough: Some(self.enough.of(round.workers)),
            ..Explanation::of(self.name())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(round: u64, arrived: usize) -> RoundView<'static> {
        RoundView::new(RoundId(round), Time::ZERO, arrived, 4 - arrived)
    }

    #[test]
    fn the_grace_counts_from_the_gradient_that_makes_enough() {
        let mut policy = Quorum::new(Enough::Share(3, 4), Span::from_millis(5));
        let at = |ms| Time::ZERO + Span::from_millis(ms);
        assert_eq!(policy.decide(at(0), &view(0, 2)), Verdict::Wait);
        let due = Verdict::WaitUntil(at(15));
        assert_eq!(policy.decide(at(10), &view(0, 3)), due);
        assert_eq!(policy.decide(at(14), &view(0, 3)), due);
        let closed = Verdict::Close(Outcome::Quorum);
        assert_eq!(policy.decide(at(15), &view(0, 3)), closed);
        // Of the next round nothing is known.
        assert_eq!(
            policy.decide(at(16), &view(1, 3)),
            Verdict::WaitUntil(at(21))
        );
        let full = Verdict::Close(Outcome::Full);
        assert_eq!(policy.decide(at(17), &view(1, 4)), full);
    }
}

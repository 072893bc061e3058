//! A fixed time from the round's first gradient.

use super::{Explanation, Outcome, Policy, RoundView, Verdict};
use crate::time::{Span, Time};

/// Closes a round when everyone has come, or a fixed span after its first
/// gradient, whichever is earlier. The span is absolute: no traffic of any
/// kind starts it anew.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    span: Span,
}

impl Deadline {
    /// Rounds of this policy last at most `span` from their first gradient.
    pub const fn new(span: Span) -> Self {
        Self { span }
    }
}

impl Policy for Deadline {
    fn name(&self) -> &'static str {
        "deadline"
    }

    fn decide(&mut self, now: Time, round: &RoundView<'_>) -> Verdict {
        let due = round.opened + self.span;
        if round.awaited == 0 {
            Verdict::Close(Outcome::Full)
        } else if now >= due {
            Verdict::Close(Outcome::Deadline)
        } else {
            Verdict::WaitUntil(due)
        }
    }

    fn explain(&self, _now: Time, _round: &RoundView<'_>) -> Explanation {
        Explanation {
            longest: Some(self.span),
            ..Explanation::of(self.name())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::RoundId;

    #[test]
    fn the_deadline_counts_from_the_first_gradient_and_is_met_to_the_nanosecond() {
        let mut policy = Deadline::new(Span::from_secs(2));
        let opened = Time::from_nanos(7);
        let due = opened + Span::from_secs(2);
        let mut view = RoundView::new(RoundId(3), opened, 1, 3);
        for arrived in 1..4 {
            view.arrived = arrived;
            view.awaited = 4 - arrived;
            assert_eq!(policy.decide(opened, &view), Verdict::WaitUntil(due));
        }
        let just_before = Time::from_nanos(due.as_nanos() - 1);
        assert_eq!(policy.decide(just_before, &view), Verdict::WaitUntil(due));
        let closed = Verdict::Close(Outcome::Deadline);
        assert_eq!(policy.decide(due, &view), closed);
    }
}

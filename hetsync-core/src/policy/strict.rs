//! The naive barrier: everyone, however long it takes.

use super::{Outcome, Policy, RoundView, Verdict};
use crate::time::Time;

/// Waits for every worker that is waited for. One straggler holds up all
/// the others for as long as it needs, or for ever.
#[derive(Debug, Clone, Copy, Default)]
pub struct Strict;

impl Policy for Strict {
    fn name(&self) -> &'static str {
        "strict"
    }

    fn decide(&mut self, _now: Time, round: &RoundView<'_>) -> Verdict {
        match round.awaited {
            0 => Verdict::Close(Outcome::Full),
            _ => Verdict::Wait,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::RoundId;

    #[test]
    fn time_alone_never_closes_a_strict_round() {
        let mut round = RoundView::new(RoundId(0), Time::ZERO, 3, 1);
        let ages = Time::from_nanos(u64::MAX);
        assert_eq!(Strict.decide(ages, &round), Verdict::Wait);
        round.awaited = 0;
        let full = Verdict::Close(Outcome::Full);
        assert_eq!(Strict.decide(Time::ZERO, &round), full);
    }
}

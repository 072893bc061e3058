//! A bound on how far apart workers may drift.

use super::{Explanation, Outcome, Policy, RoundView, Verdict};
use crate::time::Time;

/// Lets nobody fall more than so many rounds behind: a round closes as soon
/// as that leaves every worker that takes part within the bound. Alone it
/// waits for nobody else; together with another rule (`all_of`) it keeps
/// that one from leaving a slow worker behind for good.
///
/// A worker that is connected and never speaks again holds it up for ever,
/// so it wants a deadline beside it.
#[derive(Debug, Clone, Copy)]
pub struct Staleness {
    bound: u64,
}

impl Staleness {
    /// Workers run at most `bound` rounds ahead of the slowest.
    pub const fn new(bound: u64) -> Self {
        Self { bound }
    }
}

impl Policy for Staleness {
    fn name(&self) -> &'static str {
        "staleness"
    }

    fn decide(&mut self, _now: Time, round: &RoundView<'_>) -> Verdict {
        let out = round.members().filter(|member| member.came.is_none());
        let mut awaited_by_name = 0;
        let mut most_behind = 0;
        for member in out {
            awaited_by_name += usize::from(member.missed == 0);
            most_behind = most_behind.max(member.missed + 1);
        }
        if round.awaited > awaited_by_name {
            // At the start of a job, somebody who has not spoken yet.
            most_behind = most_behind.max(1);
        }
        if most_behind > self.bound {
            Verdict::Wait
        } else if round.awaited == 0 {
            Verdict::Close(Outcome::Full)
        } else {
            Verdict::Close(Outcome::Quorum)
        }
    }

    fn explain(&self, _now: Time, _round: &RoundView<'_>) -> Explanation {
        Explanation::of(self.name())
    }
}

//! When a round closes.
//!
//! A policy sees the open round and gives a verdict; it has no clock, no
//! sockets and no effect. One file per rule. It is asked after every
//! change of the round and when the time it named has come.
//!
//! A rule that learns is also told what happened ([`Observation`]) and may
//! think it over in the background, in short steps that the driver of the
//! machine takes when it has nothing better to do ([`Policy::think`]).
//!
//! Invariant kept by the server: a policy is asked only about a round that
//! holds at least one gradient, so no rule can close an empty round.

mod combine;
mod deadline;
mod quorum;
mod replay;
mod staleness;
mod strict;
mod text;
mod view;

pub use combine::{AllOf, FirstOf, Floor, WarmUp};
pub use deadline::Deadline;
pub use quorum::{Enough, Quorum};
pub use replay::Replay;
#[cfg(feature = "sim")]
pub(crate) use replay::model;
pub use staleness::Staleness;
pub use strict::Strict;
pub use text::Rule;
pub use view::{MemberView, RoundView};

pub use crate::text::ParseRuleError;

use crate::server::{ConnId, RoundId};
use crate::time::{Span, Time};

/// What is to become of the open round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Wait until something changes, however long.
    Wait,
    /// Wait until something changes, and ask again at this time.
    WaitUntil(Time),
    /// Close it now, for this reason.
    Close(Outcome),
}

/// Why a round was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Everyone waited for has come.
    Full,
    /// The deadline passed.
    Deadline,
    /// Enough have come.
    Quorum,
}

impl Outcome {
    /// The word used in logs, metrics and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Deadline => "deadline",
            Self::Quorum => "quorum",
        }
    }
}

/// Something that happened to a worker, told to the policy as it happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Observation {
    /// It has sent its first gradient and takes part from now on. The
    /// gradient's own observation follows.
    Joined {
        /// Who.
        conn: ConnId,
    },
    /// It is sent a result, and works on a gradient from now on.
    Sent {
        /// To whom.
        conn: ConnId,
        /// The round that its next gradient will belong to.
        round: RoundId,
    },
    /// A gradient of its has come.
    Came {
        /// Whose.
        conn: ConnId,
        /// The round that it was computed for.
        round: RoundId,
        /// How many rounds closed without it: 0 if it is fresh.
        missed: u64,
        /// How long the worker took, counted from when the server last spoke
        /// to it: from a result, or, for its first, from its connection.
        took: Span,
    },
    /// It takes no part any more.
    Left {
        /// Who.
        conn: ConnId,
    },
}

/// What a rule expects of rounds that wait at most `wait`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Forecast {
    /// From a round's first gradient.
    pub wait: Span,
    /// Fresh gradients in a round.
    pub gradients: f64,
    /// Useful gradients per second, stale ones discounted; `None` from a
    /// rule that has no opinion of that.
    pub useful_per_s: Option<f64>,
}

/// A rule's account of why it closed a round.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Explanation {
    /// The rule that closed it: of a combination, the one that spoke.
    pub rule: &'static str,
    /// How long after its first gradient the round would have been closed
    /// at the latest; `None` for no limit.
    pub longest: Option<Span>,
    /// With how many gradients the round would have been closed although
    /// more were awaited; `None` if no number is enough.
    pub enough: Option<usize>,
    /// What the rule expected of such a round.
    pub expected: Option<Forecast>,
    /// What closing earlier would have given.
    pub shorter: Option<Forecast>,
    /// What waiting longer would have given.
    pub longer: Option<Forecast>,
}

impl Explanation {
    /// The name alone.
    pub const fn of(rule: &'static str) -> Self {
        Self {
            rule,
            longest: None,
            enough: None,
            expected: None,
            shorter: None,
            longer: None,
        }
    }
}

/// A rule for closing rounds. Two methods make one; the others are for
/// rules that learn.
///
/// ```
/// use hetsync_core::policy::{Outcome, Policy, RoundView, Verdict};
/// use hetsync_core::time::Time;
///
/// /// Closes with whoever has come once two have.
/// #[derive(Debug)]
/// struct Pair;
///
/// impl Policy for Pair {
///     fn name(&self) -> &'static str {
///         "pair"
///     }
///     fn decide(&mut self, _now: Time, round: &RoundView<'_>) -> Verdict {
///         if round.awaited == 0 {
///             Verdict::Close(Outcome::Full)
///         } else if round.arrived >= 2 {
///             Verdict::Close(Outcome::Quorum)
///         } else {
///             Verdict::Wait
///         }
///     }
/// }
/// ```
pub trait Policy: std::fmt::Debug + Send {
    /// A short name for logs and reports.
    fn name(&self) -> &'static str;

    /// Judges the open round as it is at `now`. For one round `now` never
    /// goes back.
    fn decide(&mut self, now: Time, round: &RoundView<'_>) -> Verdict;

    /// Says why `round` is closed at `now`, when `decide` has just said that
    /// it is.
    fn explain(&self, now: Time, round: &RoundView<'_>) -> Explanation {
        let _ = (now, round);
        Explanation::of(self.name())
    }

    /// Is told what happened. A gradient is told of before `decide` is asked
    /// about its round.
    fn observe(&mut self, now: Time, seen: &Observation) {
        let _ = (now, seen);
    }

    /// Whether there is something to think over.
    fn has_work(&self) -> bool {
        false
    }

    /// Thinks for a moment: some tens of microseconds, as a reply may be
    /// held up for as long. Called again while [`has_work`](Self::has_work)
    /// says so, when the driver finds the time.
    fn think(&mut self, now: Time) {
        let _ = now;
    }
}

impl Policy for Box<dyn Policy> {
    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn decide(&mut self, now: Time, round: &RoundView<'_>) -> Verdict {
        (**self).decide(now, round)
    }

    fn explain(&self, now: Time, round: &RoundView<'_>) -> Explanation {
        (**self).explain(now, round)
    }

    fn observe(&mut self, now: Time, seen: &Observation) {
        (**self).observe(now, seen);
    }

    fn has_work(&self) -> bool {
        (**self).has_work()
    }

    fn think(&mut self, now: Time) {
        (**self).think(now);
    }
}

//! When a round closes.
//!
//! A policy sees the open round and gives a verdict; it has no clock, no
//! sockets and no effect. One file per rule. It is asked after every
//! change of the round and when the time it named has come.
//!
//! Invariant kept by the server: a policy is asked only about a round that
//! holds at least one gradient, so no rule can close an empty round.

mod deadline;
mod strict;

pub use deadline::Deadline;
pub use strict::Strict;

use crate::server::RoundId;
use crate::time::Time;

/// What a policy may know of the open round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoundView {
    /// The round's number.
    pub round: RoundId,
    /// When its first gradient was complete.
    pub opened: Time,
    /// Gradients accepted so far, at least one.
    pub arrived: usize,
    /// Gradients still waited for: of workers that are connected, have
    /// taken part before and are in step; at the start of a job, as many as
    /// make up the configured number of workers.
    pub awaited: usize,
}

/// What is to become of the open round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Wait until something changes, however long.
    Wait,
    /// Wait until something changes, and ask again at this time.
    WaitUntil(Time),
    /// Close it now.
    Close(Outcome),
}

/// Which rule closed a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Everyone waited for has come.
    Full,
    /// The deadline passed.
    Deadline,
}

impl Outcome {
    /// The word used in logs, metrics and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Deadline => "deadline",
        }
    }
}

/// A rule for closing rounds.
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
///     fn decide(&mut self, _now: Time, round: &RoundView) -> Verdict {
///         if round.arrived >= 2 || round.awaited == 0 {
///             Verdict::Close(Outcome::Full)
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
    fn decide(&mut self, now: Time, round: &RoundView) -> Verdict;
}

//! What a policy may know of the open round.
//!
//! The counts are at hand, as every rule wants them after every gradient;
//! who is who is looked up only by a rule that asks.

use crate::server::{ConnId, Roster, RoundId};
use crate::time::{Span, Time};

/// The open round.
#[derive(Debug, Clone, Copy)]
pub struct RoundView<'a> {
    /// The round's number.
    pub round: RoundId,
    /// When its first gradient was complete.
    pub opened: Time,
    /// Gradients accepted so far, at least one.
    pub arrived: usize,
    /// Gradients still waited for: of workers that are connected, have
    /// taken part before and are in step, or not, by
    /// [`WaitFor`](crate::server::WaitFor); at the start of a job, as many as
    /// make up the configured number of workers.
    pub awaited: usize,
    /// Workers that take part, those that have fallen behind included: they
    /// are connected, have sent a gradient and will send more. At the start
    /// of a job at least the configured number.
    pub workers: usize,
    /// At the start of a job: how many of the configured number have not
    /// even connected.
    pub absent: usize,
    /// When the newest connection was made.
    pub last_connected: Time,
    roster: Option<&'a Roster>,
}

/// One worker, as seen from the open round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemberView {
    /// Who.
    pub conn: ConnId,
    /// When its gradient came, if it is in the open round.
    pub came: Option<Time>,
    /// When the server last sent it a result, or it connected.
    pub spoken_to: Time,
    /// Rounds that closed without it since then; while this is not 0 its
    /// gradient is not waited for, unless all connected workers are.
    pub missed: u64,
}

impl<'a> RoundView<'a> {
    /// A view of so many gradients, of nobody in particular: for trying out
    /// a rule.
    pub const fn new(round: RoundId, opened: Time, arrived: usize, awaited: usize) -> Self {
        Self {
            round,
            opened,
            arrived,
            awaited,
            workers: arrived + awaited,
            absent: 0,
            last_connected: Time::ZERO,
            roster: None,
        }
    }

    pub(crate) fn with_roster(self, workers: usize, absent: usize, roster: &'a Roster) -> Self {
        Self {
            workers,
            absent,
            last_connected: roster.last_connected(),
            roster: Some(roster),
            ..self
        }
    }

    /// Every worker that takes part, in the order of connection.
    pub fn members(&self) -> impl Iterator<Item = MemberView> + use<'a> {
        let round = self.round;
        let members = self.roster.map(|roster| roster.members(round));
        members.into_iter().flatten()
    }

    /// How long the round has been open.
    pub fn age(&self, now: Time) -> Span {
        now - self.opened
    }
}

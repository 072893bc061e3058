//! What the machine wants done, and what it has to tell.

use std::sync::{Arc, OnceLock};

use super::{Bill, CatchUp, Cause, ConnId, RoundId};
use crate::Name;
use crate::payload::Payload;
use crate::policy::{Explanation, Outcome};
use crate::time::Span;
use crate::wire::WireError;

/// One thing to be done by whoever drives the machine.
#[derive(Debug, Clone)]
pub enum Output {
    /// Send this result to that connection. All of a round share one
    /// buffer.
    Deliver {
        /// The receiver.
        to: ConnId,
        /// What to send.
        result: Arc<RoundResult>,
    },
    /// Tell a worker that has an identity what it has missed.
    CatchUp {
        /// The receiver.
        to: ConnId,
        /// What to tell.
        catch_up: CatchUp,
    },
    /// Close this connection. It is off the roster already.
    Disconnect {
        /// Whose.
        conn: ConnId,
    },
    /// Something worth a line in the log.
    Event(Event),
}

/// The outcome of a round, immutable once it is out.
#[derive(Debug, Default, PartialEq)]
pub struct RoundResult {
    pub(super) round: RoundId,
    pub(super) contributors: usize,
    pub(super) weight: f32,
    pub(super) divisor: f32,
    pub(super) outcome: Option<Outcome>,
    pub(super) missed: Vec<ConnId>,
    /// What protocol 1 says in front of the vector, once it was needed.
    pub(super) frame_head: OnceLock<Arc<[u8]>>,
    /// The same in the form that the job's results are rounded to.
    pub(super) coded: OnceLock<Coded>,
    bytes: Vec<u8>,
}

/// A result in another form than f32, and what stands in front of it.
#[derive(Debug, PartialEq)]
pub(super) struct Coded {
    pub(super) head: Arc<[u8]>,
    pub(super) bytes: Vec<u8>,
}

impl RoundResult {
    /// One that was saved.
    pub(crate) fn restored(
        round: RoundId,
        contributors: usize,
        (weight, divisor): (f32, f32),
        outcome: Option<Outcome>,
        bytes: Vec<u8>,
    ) -> Self {
        Self {
            round,
            contributors,
            weight,
            divisor,
            outcome,
            missed: Vec::new(),
            frame_head: OnceLock::new(),
            coded: OnceLock::new(),
            bytes,
        }
    }

    /// Which round.
    pub fn round(&self) -> RoundId {
        self.round
    }

    /// How many gradients are in it that came in time.
    pub fn contributors(&self) -> usize {
        self.contributors
    }

    /// The sum of the weights of all that are in it: one for each that came
    /// in time, less for the late ones.
    pub fn weight(&self) -> f32 {
        self.weight
    }

    /// What the vector must be divided by to be a mean; 1 if it is one.
    pub fn divisor(&self) -> f32 {
        self.divisor
    }

    /// What closed the round.
    pub fn outcome(&self) -> Option<Outcome> {
        self.outcome
    }

    /// Who was waited for and did not come.
    pub fn missed(&self) -> &[ConnId] {
        &self.missed
    }

    /// The reduced vector: little-endian f32s, all finite.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Bytes of memory that it takes, in all forms that it was sent in.
    pub fn held_bytes(&self) -> usize {
        self.bytes.len() + self.coded.get().map_or(0, |coded| coded.bytes.len())
    }

    /// A copy of the reduced vector.
    pub fn payload(&self) -> Payload {
        Payload::from_checked(self.bytes.clone(), None)
    }

    /// The reduced vector, to be changed before it is out.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Room of exactly `len` bytes, of whatever content.
    pub(super) fn buffer(&mut self, len: usize) -> &mut [u8] {
        if self.bytes.len() != len {
            self.bytes = vec![0; len];
        }
        &mut self.bytes
    }
}

/// Why a connection is closed by the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A frame broke a rule of the protocol.
    #[error(transparent)]
    Wire(WireError),
    /// Its gradient would take all connections together over the limit.
    #[error(
        "its gradient would take all gradients and results over {limit} bytes; raise --max-memory if the machine has more"
    )]
    NoMemory {
        /// Bytes that gradients and results may take together.
        limit: usize,
    },
    /// It is to be the first of the job, and so long that those of the other
    /// workers would have no room.
    #[error(
        "its gradient of {found} bytes is more than one worker's share of --max-memory, {share} bytes, while the model's length is not known; set --floats, or raise --max-memory"
    )]
    NoShare {
        /// Bytes announced.
        found: usize,
        /// Bytes that are one worker's share.
        share: usize,
    },
    /// A NaN or infinity, which would spread to every worker.
    #[error(
        "gradient holds a NaN or infinity at element {index}; it was kept out of the sum. Look for an exploding loss on that worker"
    )]
    NotFinite {
        /// Index of the first such element.
        index: usize,
    },
    /// It names a round that has not opened, or one from before this job.
    #[error(
        "its gradient is of round {named}, which this server has no place for: round {open} is open. It may have spoken to another server before"
    )]
    NoSuchRound {
        /// The round that it names.
        named: RoundId,
        /// The one that is, or is about to be, open.
        open: RoundId,
    },
}

/// What happened, for logs and reports.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A connection came on the roster.
    Joined {
        /// Which.
        conn: ConnId,
    },
    /// A worker has said who it is and takes part.
    Named {
        /// Which.
        conn: ConnId,
        /// Its name.
        name: Name,
    },
    /// The connection of a worker with an identity is lost. It may come
    /// back.
    Detached {
        /// Which.
        conn: ConnId,
    },
    /// The first gradient of a job has set the model's length.
    ModelLength {
        /// Whose gradient it was.
        conn: ConnId,
        /// The length.
        floats: usize,
    },
    /// A round has closed.
    Closed(Box<RoundReport>),
    /// A gradient came after its round had closed.
    Late {
        /// Whose.
        conn: ConnId,
        /// How many rounds closed without it.
        missed: u64,
        /// With what weight it goes into the next round to close; `None` if
        /// it was dropped.
        weight: Option<f32>,
        /// How much longer the first of the rounds that it missed would have
        /// had to wait, if that round did wait for it.
        too_late_by: Option<Span>,
    },
    /// A second gradient for one round was dropped; the first stands.
    Duplicate {
        /// Whose.
        conn: ConnId,
    },
    /// A connection was refused and is closed.
    Refused {
        /// Which.
        conn: ConnId,
        /// Why.
        refusal: Refusal,
    },
    /// A connection is gone.
    Left {
        /// Which.
        conn: ConnId,
    },
    /// A worker has ended its side of the connection while its gradient is
    /// in. The gradient counts and is answered; no other is waited for.
    HalfClosed {
        /// Which.
        conn: ConnId,
    },
    /// A connection was lost before its gradient's round had closed, and
    /// the gradient is out again.
    Withdrawn {
        /// Whose.
        conn: ConnId,
    },
    /// A worker is called a straggler from now on.
    Straggler {
        /// Which.
        conn: ConnId,
        /// Rounds that have closed without it since it last spoke; if that
        /// is none, it is slow rather than silent.
        rounds: u64,
        /// How long its newest gradient took, if that was not its first.
        took: Option<Span>,
        /// Why it was late the last time, as far as can be seen.
        cause: Option<Cause>,
    },
    /// A worker that was called a straggler keeps up again.
    KeepsUp {
        /// Which.
        conn: ConnId,
    },
    /// Everyone left while a round was open, or while late gradients waited
    /// for the next one.
    Abandoned {
        /// Which round; its number is used again.
        round: RoundId,
        /// How many gradients were in it, those withdrawn before not
        /// counted.
        gradients: usize,
        /// How many late ones were to go into it.
        late: usize,
    },
}

/// The account of a closed round.
#[derive(Debug, Clone, PartialEq)]
pub struct RoundReport {
    /// Which round.
    pub round: RoundId,
    /// What closed it.
    pub outcome: Outcome,
    /// The policy's account of that.
    pub why: Explanation,
    /// From its first gradient to its close.
    pub lasted: Span,
    /// Who is in, in roster order, and how long after the first.
    pub arrivals: Vec<(ConnId, Span)>,
    /// Who was waited for and did not come.
    pub missed: Vec<ConnId>,
    /// At the start of a job: how many of the configured workers had not
    /// even connected.
    pub absent: usize,
    /// Who had fallen behind earlier and has not spoken since; the round
    /// did not wait for them.
    pub overdue: Vec<ConnId>,
    /// Late gradients that went into it, weighted.
    pub late: Vec<LateAccount>,
    /// What the round cost in waiting, and whom it is charged to.
    pub bill: Bill,
    /// Elements that left the range of f32 and were clamped.
    pub saturated: usize,
    /// Gradients that were longer than is allowed and were shortened.
    pub clipped: usize,
    /// The rule for the gradients that was used instead of the one
    /// configured, as too few were in.
    pub instead: Option<&'static str>,
}

/// A late gradient that went into a round.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LateAccount {
    /// Whose.
    pub conn: ConnId,
    /// The round that it was computed for.
    pub of: RoundId,
    /// What it was multiplied by.
    pub weight: f32,
}

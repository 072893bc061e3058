//! What the jobs want done.

use super::super::{ConnId, Event, Frame, Refusal};
use crate::Name;
use crate::wire::v1::ErrorCode;

/// One thing to be done by whoever drives the jobs.
#[derive(Debug)]
pub enum Action {
    /// Send these frames, in order, behind those before.
    Send {
        /// On which connection.
        to: ConnId,
        /// What.
        frames: Vec<Frame>,
        /// They answer a gradient.
        is_answer: bool,
    },
    /// Close this connection, once the frame has been sent.
    Close {
        /// Which.
        conn: ConnId,
        /// The reason, for a peer that can be told.
        farewell: Option<Frame>,
        /// The reason.
        why: Closing,
    },
    /// Something worth a line in the log.
    Event {
        /// In which job.
        job: Name,
        /// What. Its numbers are those of workers.
        event: Event,
    },
}

/// Why a connection is closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Closing {
    /// A machine has refused its worker, and an event has told why.
    Refused,
    /// It was turned away before it came to that.
    Denied(Denial),
    /// Its worker takes part no more.
    Left,
}

/// Why a connection is turned away.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Denial {
    /// For programs.
    pub code: ErrorCode,
    /// For people.
    pub text: String,
}

/// What a peer that speaks protocol 1 is told of a refusal.
pub(super) fn code_of(refusal: &Refusal) -> ErrorCode {
    match refusal {
        Refusal::Wire(_) => ErrorCode::Layout,
        Refusal::NoMemory { .. } | Refusal::NoShare { .. } => ErrorCode::NoMemory,
        Refusal::NotFinite { .. } => ErrorCode::NotFinite,
        Refusal::NoSuchRound { .. } => ErrorCode::Round,
    }
}

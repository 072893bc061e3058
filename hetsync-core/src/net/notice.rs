//! What the shell has to tell besides the machine's own events.

use std::io;
use std::net::SocketAddr;

use crate::Name;
use crate::checkpoint::{DamagedError, Saved};
use crate::server::{ConnId, Denial, Event, OpenRound, RoundId};
use crate::time::Span;

/// Something worth a line in the log.
#[derive(Debug)]
pub enum Notice {
    /// The server takes connections.
    Listening {
        /// Where.
        address: SocketAddr,
    },
    /// A connection was accepted.
    Connected {
        /// Its number.
        conn: ConnId,
        /// Where it comes from.
        peer: SocketAddr,
    },
    /// A connection was closed at once, as there are too many.
    TurnedAway {
        /// Where it came from.
        peer: SocketAddr,
        /// How many there may be.
        limit: usize,
    },
    /// No connection could be accepted for a while.
    AcceptFailed {
        /// The system's words.
        error: io::Error,
    },
    /// A state machine's own.
    Machine {
        /// Which job's.
        job: Name,
        /// What.
        event: Event,
    },
    /// A connection has ended.
    Disconnected {
        /// Which.
        conn: ConnId,
        /// Why.
        why: Departure,
    },
    /// A job goes on from where it was saved.
    Restored {
        /// Which.
        job: Name,
        /// From which file.
        file: String,
        /// The round that comes next.
        next: RoundId,
    },
    /// A checkpoint at the start is damaged, and the one before it is tried.
    CheckpointRefused {
        /// Of which job.
        job: Name,
        /// Its file.
        file: String,
        /// Why.
        why: DamagedError,
    },
    /// A job was saved.
    Checkpointed {
        /// Which.
        job: Name,
        /// The round that comes next.
        next: RoundId,
        /// Its file and how long it is.
        saved: Saved,
        /// From the close of the round until it was safe.
        took: Span,
    },
    /// A job could not be saved. It will be tried again when it is due again.
    CheckpointFailed {
        /// Which.
        job: Name,
        /// The system's words.
        error: io::Error,
    },
    /// A round has stood open for long.
    Waiting {
        /// Which job's.
        job: Name,
        /// The round as it stands.
        open: OpenRound,
    },
    /// The server was asked to stop.
    Stopping {
        /// Rounds that it lets come to their close first, with their jobs.
        open: Vec<(Name, OpenRound)>,
        /// How long it lets them.
        grace: Span,
    },
    /// The grace was over before a round had closed.
    Unfinished {
        /// Which job's.
        job: Name,
        /// The round as it stood.
        open: OpenRound,
    },
}

/// How a connection ended.
#[derive(Debug, thiserror::Error)]
pub enum Departure {
    /// Closed by the worker between frames.
    #[error("closed by the worker")]
    Closed,
    /// Closed by the worker in the middle of a frame, which was discarded.
    #[error("closed by the worker in the middle of a gradient, which was discarded")]
    MidFrame,
    /// Broken.
    #[error("connection failed: {0}")]
    Failed(#[source] io::Error),
    /// Nothing moved for too long.
    #[error("nothing moved for {0}; raise --idle if its steps take that long")]
    Idle(Span),
    /// It stopped in the middle of a gradient.
    #[error(
        "stopped in the middle of a gradient for {0}; raise --hello if its network is that slow"
    )]
    Stalled(Span),
    /// It held a place without delivering anything, and another came.
    #[error(
        "made room for another: it had not delivered a gradient yet, and all places were taken (--max-connections)"
    )]
    MadeRoom,
    /// The result that it had not read was kept for it alone, and there is
    /// no room for that.
    #[error(
        "too slow to read its result, which another round has followed, while memory is short (--max-memory)"
    )]
    SlowReader,
    /// It speaks TLS with a server that has no certificate.
    #[error("it speaks TLS, and this server does not (--tls-cert)")]
    SpeaksTls,
    /// It does not speak TLS, and the server speaks nothing else.
    #[error("it speaks no TLS, and this server does (give it --tls-ca)")]
    SpeaksPlain,
    /// The two agreed on no keys.
    #[error("no TLS with it: {0}")]
    NoTls(#[source] io::Error),
    /// Agreeing on keys took too long.
    #[error("its TLS handshake took longer than {0} (--hello)")]
    SlowGreeting(Span),
    /// Turned away before a machine had to do with it.
    #[error("turned away: {0}")]
    Denied(#[source] Denial),
    /// Its worker takes part no more.
    #[error("it takes part no more")]
    Left,
    /// Closed by the server; the machine has said why.
    #[error("refused")]
    Refused,
}

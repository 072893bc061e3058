//! The parameter server as a state machine: no sockets, no clock, no
//! runtime. Also the place where a round's life is written down; what is done
//! when a gradient comes is in `arrival`, when a round ends in `closing`, when
//! a worker goes in `departure`.
//!
//! # A round
//! A round opens with its first gradient. After each change the policy is
//! asked; when it says so, the gradients that are in are reduced in roster
//! order and each of their senders is sent the result. Then the next round
//! waits for its first gradient.
//!
//! # In step, late, waited for
//! Protocol 0 carries no round number, so the server keeps for each worker
//! the round its next gradient can belong to: the one that was open when the
//! server last spoke to it, by a result or by accepting its connection.
//! - A gradient of the current round is *in step* and is accepted.
//! - Any other is *late*. Its sender is handed at once the newest result it
//!   has missed, and is in step again. It gets exactly one answer per
//!   gradient, so it cannot fall a round behind. The gradient is dropped, or
//!   goes into the open round with the weight that [`Late`] gives it; it
//!   neither opens that round nor counts as one that came in time.
//! - A gradient that names its own round is judged by that name instead.
//! - *Waited for* are the workers that are connected and have sent a gradient
//!   before, each until the round it owes one to has closed. One that missed
//!   its round is not waited for again until it speaks: what it sends next is
//!   late by construction. [`WaitFor::Connected`] waits for it all the same,
//!   anew in each round. At the start of a job, when no round has closed, as
//!   many as configured are waited for.
//! - When the last worker leaves, the server is as new: an open round is
//!   abandoned, the model's length is forgotten unless it was configured.
//!
//! # Departures while a round is open
//! - A connection that is lost takes its gradient with it: nobody is there
//!   to be answered, and its worker, once back, sends another.
//! - A worker that only ends its sending side ("half-close") may still read.
//!   Its gradient counts and is answered, and it is not waited for again.
//! - Workers that are leaving do not hold the model's length. When nobody
//!   else has taken part, a gradient of another length begins another job.
//!
//! # Invariants
//! Rounds close in order, each at most once. A worker gets at most one
//! result of a round. Each gradient is reported exactly once: in a round's
//! report, or as dropped for being late, duplicate, refused, withdrawn or
//! abandoned. A late one that is used is told of when it comes and again in
//! the report of its round.

mod arrival;
pub mod attribution;
mod closing;
mod config;
mod departure;
mod frame;
mod history;
mod jobs;
mod late;
mod model;
mod named;
mod output;
mod planted;
mod restore;
mod roster;
mod round;
mod rounding;
mod token;

pub use attribution::{Account, Accounts, Bill, Cause, Charge, Signs};
pub use config::{Config, WaitFor};
pub use frame::Frame;
pub use history::Keep;
pub use jobs::{Action, Closing, Denial, Jobs, JobsConfig};
pub use late::{Late, ParseLateError};
pub use model::{Descent, Model, Optimizer};
pub use named::{CatchUp, Fate, Join, Position, Recovery};
pub use output::{Event, LateAccount, Output, Refusal, RoundReport, RoundResult};
#[cfg(test)]
pub(crate) use planted::Planted;
pub use restore::RestoreError;
pub(crate) use roster::Roster;
pub use roster::{Census, ConnId};
pub use round::{OpenRound, RoundId};
pub use token::Token;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::Name;
use crate::payload::Payload;
use crate::policy::Observation;
use crate::stats::Stats;
use crate::time::Time;
use config::configured_bytes;
use history::History;
use round::Round;

/// The server's state. Tell it what happened with `handle_*`, then drain
/// [`poll_output`](Self::poll_output), then sleep no longer than
/// [`poll_timeout`](Self::poll_timeout). One change, then drain.
///
/// ```
/// use hetsync_core::server::{Config, ConnId, Machine, Output};
/// use hetsync_core::{Payload, Time};
///
/// let mut machine = Machine::new(Config { workers: 2, ..Config::default() });
/// for id in 0..2 {
///     machine.handle_connect(Time::ZERO, ConnId(id));
///     machine.handle_gradient(Time::ZERO, ConnId(id), None, Payload::from_floats(&[1.5]));
/// }
/// let mut sums = Vec::new();
/// while let Some(output) = machine.poll_output() {
///     if let Output::Deliver { to, result } = output {
///         sums.push((to.0, result.payload().to_floats()));
///     }
/// }
/// assert_eq!(sums, [(0, vec![3.0]), (1, vec![3.0])]);
/// ```
#[derive(Debug)]
pub struct Machine {
    config: Config,
    model_bytes: Option<usize>,
    roster: Roster,
    round: Round,
    /// No round of this job has closed yet.
    gathering: bool,
    timeout: Option<Time>,
    last: Option<Arc<RoundResult>>,
    history: History,
    /// Of the workers that have one.
    names: HashMap<ConnId, Name>,
    /// How often the job has started over, and the round that it did with.
    starts: u64,
    began: RoundId,
    /// What the model was before that round, as the first to join said.
    beginning: Option<Position>,
    /// What the job went on from; see `restore`.
    ancestors: Vec<crate::checkpoint::Ancestor>,
    /// The model as it was last sent; its round is the one that comes next.
    snapshot: Option<Arc<RoundResult>>,
    /// Results of earlier rounds, kept for their memory.
    retired: Vec<Arc<RoundResult>>,
    spare_buffers: Vec<Vec<u8>>,
    outputs: VecDeque<Output>,
    stats: Stats,
    /// What rounding took away from the newest result.
    residual: Arc<Vec<f32>>,
    /// Who left while the open round waited for them, and when.
    departed: Vec<attribution::Missing>,
    #[cfg(test)]
    planted: Option<planted::Planted>,
}

impl Machine {
    /// A server to which nobody has connected.
    pub fn new(config: Config) -> Self {
        Self {
            model_bytes: configured_bytes(&config),
            config,
            roster: Roster::default(),
            round: Round::default(),
            gathering: true,
            timeout: None,
            last: None,
            history: History::default(),
            names: HashMap::new(),
            starts: 0,
            began: RoundId::default(),
            beginning: None,
            ancestors: Vec::new(),
            snapshot: None,
            retired: Vec::new(),
            spare_buffers: Vec::new(),
            outputs: VecDeque::new(),
            stats: Stats::default(),
            residual: Arc::default(),
            departed: Vec::new(),
            #[cfg(test)]
            planted: None,
        }
    }

    /// A worker has connected. `conn` must be new, and larger than those
    /// before it if sums are to be added in the order of connection.
    pub fn handle_connect(&mut self, now: Time, conn: ConnId) {
        self.roster.connect(conn, self.round.id, now);
        self.outputs
            .push_back(Output::Event(Event::Joined { conn }));
    }

    /// The time that [`poll_timeout`](Self::poll_timeout) named has come.
    /// Calling it early or late does no harm.
    pub fn handle_timeout(&mut self, now: Time) {
        self.judge(now);
    }

    /// Whether the policy has something to think over.
    pub fn has_work(&self) -> bool {
        self.config.policy.has_work()
    }

    /// Lets the policy think for a moment. To be called when there is work,
    /// no output waits, and there is time to spare.
    pub fn handle_idle(&mut self, now: Time) {
        self.config.policy.think(now);
    }

    /// The next thing to be done, in order; `None` when all is done.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout), if at all.
    pub fn poll_timeout(&self) -> Option<Time> {
        self.timeout
    }

    /// Length of the model in bytes, once it is known.
    pub fn model_bytes(&self) -> Option<usize> {
        self.model_bytes
    }

    /// Whether a round is open, that is, holds a gradient.
    pub fn has_open_round(&self) -> bool {
        self.round.opened.is_some()
    }

    /// The open round as it stands, for whoever asks why it has not closed.
    /// Looks at every worker.
    pub fn open_round(&self) -> Option<OpenRound> {
        let opened = self.round.opened?;
        let behind = self.config.wait_for == WaitFor::Connected;
        Some(OpenRound {
            round: self.round.id,
            opened,
            closes: self.timeout,
            gradients: self.round.staged.len(),
            awaited: self
                .roster
                .awaited_by(self.round.id, behind, self.gathering),
            absent: self.absent(),
        })
    }

    /// A buffer that a gradient was in, to read another one into.
    pub fn spare_buffer(&mut self) -> Option<Vec<u8>> {
        self.spare_buffers.pop()
    }

    /// Counters since the start.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// How many workers there are, by how they take part.
    pub fn census(&self) -> Census {
        self.roster.census()
    }

    /// Names of the policy and of the aggregation rule.
    pub fn rules(&self) -> (&'static str, &'static str) {
        (self.config.policy.name(), self.config.aggregate.name())
    }

    fn observe(&mut self, now: Time, seen: Observation) {
        self.config.policy.observe(now, &seen);
    }

    fn recycle(&mut self, payload: Payload) {
        if self.model_bytes == Some(payload.as_bytes().len())
            && self.spare_buffers.len() < self.roster.speakers()
        {
            self.spare_buffers.push(payload.into_bytes());
        }
    }
}

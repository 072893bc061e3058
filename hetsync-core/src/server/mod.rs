//! The parameter server as a state machine: no sockets, no clock, no
//! runtime. Also the place where a round's life is written down.
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

pub mod attribution;
mod closing;
mod frame;
mod history;
mod jobs;
mod late;
mod model;
mod named;
mod output;
mod planted;
mod roster;
mod round;
mod token;

pub use attribution::{Account, Accounts, Bill, Cause, Charge, Signs};
pub use frame::Frame;
pub use history::Keep;
pub use jobs::{Action, Closing, Denial, Jobs, JobsConfig};
pub use late::{Late, ParseLateError};
pub use model::{Descent, Model};
pub use named::{CatchUp, Fate, Join, Position, Recovery};
pub use output::{Event, LateAccount, Output, Refusal, RoundReport, RoundResult};
#[cfg(test)]
pub(crate) use planted::Planted;
pub(crate) use roster::Roster;
pub use roster::{Census, ConnId};
pub use round::RoundId;
pub use token::Token;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::Name;
use crate::aggregate::{Aggregate, Sum};
use crate::payload::{FLOAT_BYTES, Payload};
use crate::policy::{Observation, Policy, Replay};
use crate::stats::Stats;
use crate::time::Time;
use crate::wire::WireError;
use history::History;
use planted::Planted as Fault;
use roster::{Spoke, Standing};
use round::{Carried, Round};

/// Whom an open round waits for, of the workers that are connected and have
/// sent a gradient before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WaitFor {
    /// Those in step: a worker that missed a round costs that round its
    /// deadline, and the rounds after it nothing until it speaks.
    #[default]
    InStep,
    /// All of them: a worker that missed a round is waited for in the next
    /// one as well, so that it misses as few as possible.
    Connected,
}

/// What a [`Machine`] is told once.
#[derive(Debug)]
pub struct Config {
    /// Gradients that make up the first round of a job.
    pub workers: usize,
    /// Length of the model in floats; `None` to take it from the first
    /// gradient that is accepted.
    pub floats: Option<usize>,
    /// Whom rounds wait for.
    pub wait_for: WaitFor,
    /// When rounds close.
    pub policy: Box<dyn Policy>,
    /// What becomes of the gradients.
    pub aggregate: Box<dyn Aggregate>,
    /// What becomes of late ones.
    pub late: Late,
    /// What is kept for workers that missed rounds.
    pub keep: Keep,
    /// The model, if the server is to hold it. Its length is then that of the
    /// gradients.
    pub model: Option<Box<dyn Model>>,
    /// Makes the epochs of one server others than those of another: from a
    /// source of randomness, if workers may outlive the server.
    pub seed: u64,
}

/// Four workers, rounds that close by what the past teaches, sum; late
/// gradients dropped.
impl Default for Config {
    fn default() -> Self {
        Self {
            workers: 4,
            floats: None,
            wait_for: WaitFor::default(),
            policy: Box::new(Replay::new()),
            aggregate: Box::new(Sum),
            late: Late::Drop,
            keep: Keep::default(),
            model: None,
            seed: 0,
        }
    }
}

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
    /// The model as it was last sent; its round is the one that comes next.
    snapshot: Option<Arc<RoundResult>>,
    /// Results of earlier rounds, kept for their memory.
    retired: Vec<Arc<RoundResult>>,
    spare_buffers: Vec<Vec<u8>>,
    outputs: VecDeque<Output>,
    stats: Stats,
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
            snapshot: None,
            retired: Vec::new(),
            spare_buffers: Vec::new(),
            outputs: VecDeque::new(),
            stats: Stats::default(),
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

    /// A whole gradient has come from `conn`, computed for the round `of`;
    /// `None` if the protocol does not say, and then it belongs to the round
    /// that was open when the server last spoke to its sender. One from a
    /// connection that is not, or no longer, on the roster is ignored.
    pub fn handle_gradient(
        &mut self,
        now: Time,
        conn: ConnId,
        of: Option<RoundId>,
        payload: Payload,
    ) {
        if self.roster.standing(conn, self.round.id, of).is_none() {
            self.recycle(payload);
            return;
        }
        if let Err(refusal) = self.check(&payload) {
            self.recycle(payload);
            self.refuse(now, conn, refusal);
            return;
        }
        if self.model_bytes.is_none() {
            self.learn_length(conn, &payload);
        }
        let Some(standing) = self.roster.standing(conn, self.round.id, of) else {
            return;
        };
        match standing {
            Standing::In if self.errs(Fault::AddsDuplicates) => self.accept(now, conn, payload),
            Standing::In => {
                // The first one stands. A shell that does not read ahead of
                // its replies never gets here.
                self.stats.duplicates += 1;
                self.recycle(payload);
                self.outputs
                    .push_back(Output::Event(Event::Duplicate { conn }));
                // Its round is closed, and its answer went out before.
                if let Some(of) = of.filter(|of| *of < self.round.id)
                    && self.names.contains_key(&conn)
                {
                    let first = self.roster.on(conn);
                    self.roster.catch_up(now, conn, of, self.round.id);
                    self.catch_up(conn, first, Fate::Repeated);
                    self.judge(now);
                }
            }
            Standing::Behind { .. } if self.errs(Fault::LateAsFresh) => {
                self.accept(now, conn, payload);
            }
            Standing::Behind { missed } => self.hand_back(now, conn, missed, payload),
            Standing::InStep => {
                // It may know the round's number without the results before.
                if let Some(first) = self.roster.on(conn).filter(|on| *on < self.round.id)
                    && self.names.contains_key(&conn)
                {
                    self.catch_up(conn, Some(first), Fate::None);
                }
                self.accept(now, conn, payload);
            }
            Standing::Ahead => self.refuse_round(now, conn, of.unwrap_or_default()),
        }
    }

    /// What was seen of a gradient on its way: told just before the gradient
    /// itself, and only to explain why a round waited for it.
    pub fn handle_signs(&mut self, conn: ConnId, signs: Signs) {
        if self.roster.has(conn) {
            self.stats.accounts.see(conn, signs);
        }
    }

    /// Why a worker was late whose charge came without a cause: it had not
    /// come when its round closed.
    pub fn handle_cause(&mut self, charge: Charge) {
        if let Some(cause) = charge.cause {
            self.stats.accounts.settle(charge.conn, charge.cost, cause);
        }
    }

    /// A worker has ended its side of the connection. If its gradient is in,
    /// it stays in, is answered, and is the last that is taken from it;
    /// otherwise this says nothing, and a disconnect will follow.
    pub fn handle_half_close(&mut self, now: Time, conn: ConnId) {
        if self.roster.half_close(conn, self.round.id) {
            self.observe(now, Observation::Left { conn });
            let event = Event::HalfClosed { conn };
            self.outputs.push_back(Output::Event(event));
            self.forget_length();
        }
    }

    /// A connection is gone, whatever the cause. A gradient of its that
    /// waits in the open round is withdrawn; what it had sent in part never
    /// got here.
    pub fn handle_disconnect(&mut self, now: Time, conn: ConnId) {
        if self.take_off(now, conn) {
            self.outputs.push_back(Output::Event(Event::Left { conn }));
            self.after_departure(now, conn);
        }
    }

    /// A peer broke the protocol: its connection is to be closed and the
    /// cause reported.
    pub fn handle_wire_error(&mut self, now: Time, conn: ConnId, error: WireError) {
        self.refuse(now, conn, Refusal::Wire(error));
    }

    /// There is no memory for what a peer sends: its connection is to be
    /// closed and the cause reported. `limit` is in bytes.
    pub fn handle_no_memory(&mut self, now: Time, conn: ConnId, limit: usize) {
        self.refuse(now, conn, Refusal::NoMemory { limit });
    }

    /// What a peer is about to send, `found` bytes, is more than its `share`
    /// while the model's length is not known: its connection is to be closed
    /// and the cause reported.
    pub fn handle_no_share(&mut self, now: Time, conn: ConnId, found: usize, share: usize) {
        self.refuse(now, conn, Refusal::NoShare { found, share });
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

    fn check(&self, payload: &Payload) -> Result<(), Refusal> {
        let found = payload.as_bytes().len() as u64;
        if found == 0 {
            return Err(Refusal::Wire(WireError::Empty));
        }
        if let Some(expected) = self.model_bytes.map(|bytes| bytes as u64)
            && expected != found
        {
            return Err(Refusal::Wire(WireError::Mismatch { found, expected }));
        }
        match payload.first_non_finite() {
            Some(_) if self.errs(Fault::TakesNan) => Ok(()),
            Some(index) => Err(Refusal::NotFinite { index }),
            None => Ok(()),
        }
    }

    fn refuse(&mut self, now: Time, conn: ConnId, refusal: Refusal) {
        if self.take_off(now, conn) {
            self.stats.refused += 1;
            let event = Event::Refused { conn, refusal };
            self.outputs.push_back(Output::Event(event));
            self.outputs.push_back(Output::Disconnect { conn });
            self.after_departure(now, conn);
        }
    }

    fn refuse_round(&mut self, now: Time, conn: ConnId, named: RoundId) {
        let open = self.round.id;
        self.refuse(now, conn, Refusal::NoSuchRound { named, open });
    }

    /// Turns away a worker that may or may not be on the roster.
    fn refuse_join(&mut self, now: Time, conn: ConnId, named: RoundId) {
        if self.roster.has(conn) {
            self.refuse_round(now, conn, named);
            return;
        }
        let open = self.round.id;
        let refusal = Refusal::NoSuchRound { named, open };
        self.stats.refused += 1;
        let event = Event::Refused { conn, refusal };
        self.outputs.push_back(Output::Event(event));
        self.outputs.push_back(Output::Disconnect { conn });
    }

    /// Takes a connection off the roster. False if it was not on.
    fn take_off(&mut self, now: Time, conn: ConnId) -> bool {
        if self.roster.takes_part(conn) {
            self.observe(now, Observation::Left { conn });
        }
        self.note_departure(now, conn);
        self.stats.accounts.forget(conn);
        self.names.remove(&conn);
        self.roster.disconnect(conn, self.round.id)
    }

    fn observe(&mut self, now: Time, seen: Observation) {
        self.config.policy.observe(now, &seen);
    }

    /// Tells the policy of a gradient, and counts its time.
    fn note_arrival(&mut self, now: Time, conn: ConnId, missed: u64, spoke: Spoke) {
        self.stats.turnaround.record(spoke.took);
        let news = self.stats.accounts.came(conn, spoke.took, missed > 0);
        if let Some(is_straggler) = news {
            let event = self.name_straggler(conn, is_straggler);
            self.outputs.push_back(Output::Event(event));
        }
        if spoke.is_first {
            self.observe(now, Observation::Joined { conn });
        }
        let round = RoundId(self.round.id.0 - missed);
        let took = spoke.took;
        self.observe(
            now,
            Observation::Came {
                conn,
                round,
                missed,
                took,
            },
        );
    }

    fn accept(&mut self, now: Time, conn: ConnId, payload: Payload) {
        let spoke = self.roster.accept(now, conn, self.round.id);
        self.note_arrival(now, conn, 0, spoke);
        self.stats.accepted += 1;
        self.round.stage(now, conn, payload);
        if self.errs(Fault::TimerRestarts) {
            self.round.opened = Some(now);
        }
        self.judge(now);
    }

    /// A late gradient: answered with the newest result that its sender has
    /// missed, and dropped or taken along into the open round.
    fn hand_back(&mut self, now: Time, conn: ConnId, missed: u64, payload: Payload) {
        let of = RoundId(self.round.id.0 - missed);
        let Some(result) = self.last.clone() else {
            // Only one that names a round from before this job gets here:
            // there is no result to hand back, nor a sum that it fits into.
            self.recycle(payload);
            self.refuse_round(now, conn, of);
            return;
        };
        self.stats.late += 1;
        let first = self.roster.on(conn);
        let spoke = self.roster.catch_up(now, conn, of, self.round.id);
        self.note_arrival(now, conn, missed, spoke);
        let weight = self.carry(conn, of, missed, payload);
        self.outputs.push_back(Output::Event(Event::Late {
            conn,
            missed,
            weight,
            too_late_by: spoke.too_late_by,
        }));
        match (self.names.contains_key(&conn), weight) {
            (false, _) if self.errs(Fault::LeavesLateWaiting) => {}
            (false, _) => self.outputs.push_back(Output::Deliver { to: conn, result }),
            (true, None) => self.catch_up(conn, first, Fate::Dropped),
            (true, Some(weight)) => self.catch_up(conn, first, Fate::Carried(weight)),
        }
        let round = self.round.id;
        self.observe(now, Observation::Sent { conn, round });
        // It is waited for again, which may give the round more time.
        self.judge(now);
    }

    /// Takes a late gradient along into the open round, if the rule says so.
    /// Returns its weight there.
    fn carry(
        &mut self,
        conn: ConnId,
        of: RoundId,
        missed: u64,
        mut payload: Payload,
    ) -> Option<f32> {
        let Some(weight) = self.config.late.weight(missed) else {
            self.recycle(payload);
            return None;
        };
        if weight < 1.0 && !self.errs(Fault::Unweighted) {
            payload.scale(weight);
        }
        let account = LateAccount { conn, of, weight };
        match self.round.carry(Carried { account, payload }) {
            Ok(()) => {
                self.stats.late_used += 1;
                Some(weight)
            }
            Err(payload) => {
                self.recycle(payload);
                None
            }
        }
    }

    /// The first gradient of somebody who stays sets the model's length. If
    /// those who are leaving had another one, theirs was another job.
    fn learn_length(&mut self, conn: ConnId, payload: &Payload) {
        let bytes = payload.as_bytes().len();
        let staged = self.round.staged.first().map(|s| s.payload.as_bytes());
        let before = staged.or(self.last.as_ref().map(|last| last.as_bytes()));
        if before.is_some_and(|before| before.len() != bytes) {
            // They are leaving, so the policy has been told already.
            let strangers = self.roster.take_speakers();
            let goodbyes = strangers.map(|conn| Output::Disconnect { conn });
            self.outputs.extend(goodbyes);
            self.start_over();
        }
        self.model_bytes = Some(bytes);
        let floats = payload.floats();
        let event = Event::ModelLength { conn, floats };
        self.outputs.push_back(Output::Event(event));
    }

    /// Forgets the model's length if nobody is left to hold it.
    fn forget_length(&mut self) {
        if !self.roster.has_stayers() {
            self.model_bytes = configured_bytes(&self.config);
        }
    }

    fn after_departure(&mut self, now: Time, conn: ConnId) {
        if self.roster.speakers() > 0 {
            if !self.errs(Fault::KeepsTheLost)
                && let Some(payload) = self.round.withdraw(conn)
            {
                self.stats.abandoned += 1;
                self.recycle(payload);
                let event = Event::Withdrawn { conn };
                self.outputs.push_back(Output::Event(event));
            }
            self.forget_length();
            if !self.errs(Fault::IgnoresDepartures) {
                self.judge(now);
            }
        } else if !self.gathering || self.has_open_round() {
            self.start_over();
        }
    }

    /// Nobody who has taken part is left: there is no one to answer, and
    /// whoever comes next is another job or a fresh start of this one.
    fn start_over(&mut self) {
        let gradients = self.round.staged.len();
        if gradients > 0 {
            self.stats.abandoned += gradients as u64;
            let round = self.round.id;
            let event = Event::Abandoned { round, gradients };
            self.outputs.push_back(Output::Event(event));
        }
        for staged in self.round.clear() {
            drop(staged);
        }
        self.round.carried.clear();
        self.spare_buffers.clear();
        self.retired.clear();
        self.last = None;
        self.history.clear();
        self.names.clear();
        self.starts += 1;
        self.began = self.round.id;
        self.beginning = None;
        self.timeout = None;
        self.gathering = true;
        self.model_bytes = configured_bytes(&self.config);
        self.roster.start_over(self.round.id);
    }

    fn recycle(&mut self, payload: Payload) {
        if self.model_bytes == Some(payload.as_bytes().len())
            && self.spare_buffers.len() < self.roster.speakers()
        {
            self.spare_buffers.push(payload.into_bytes());
        }
    }
}

/// Length of the model, if it is known from the start.
fn configured_bytes(config: &Config) -> Option<usize> {
    let model = config.model.as_ref().map(|model| model.floats());
    model.or(config.floats).map(model_bytes)
}

/// Saturates: no gradient is that long, so all of them are refused.
fn model_bytes(floats: usize) -> usize {
    floats.saturating_mul(FLOAT_BYTES)
}

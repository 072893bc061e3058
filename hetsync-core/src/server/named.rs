//! Workers with an identity: they join, are lost and come back, and are told
//! what they missed.
//!
//! A worker that protocol 1 names says of each gradient which round it was
//! computed for, and when it joins, up to which round it has applied the
//! results. So the server need not guess what reached it, and its replica of
//! the model can be brought to the state that all others are in.
//!
//! # States of a model
//! Replicas are equal if they began equal and have applied the same results.
//! What a job began with is known by what its first worker said: nothing
//! applied, or all rounds before one of an earlier *epoch*. Whoever joins
//! with the same beginning, or with a state of this epoch, can be brought up
//! to date as long as the results are kept; anybody else is told that it
//! must take its model from elsewhere.
//!
//! # Invariants
//! A gradient is counted once, however often it is sent. The results that a
//! worker is handed begin with the first that it lacks and have no gap.

use std::sync::Arc;

use super::{ConnId, Event, Keep, Machine, Output, RoundId, RoundResult};
use crate::Name;
use crate::policy::Observation;
use crate::time::Time;

/// Up to where a worker has applied the results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Position {
    /// It has applied none.
    #[default]
    Fresh,
    /// It has applied those of all rounds before this one.
    Before {
        /// The first that it has not applied.
        next: RoundId,
        /// The epoch that this is a round of.
        epoch: u64,
    },
}

/// A worker that takes part from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Join {
    /// Who it is. Gradients are added in the order of names, whatever the
    /// order in which their workers connected.
    pub name: Name,
    /// Where it stands.
    pub position: Position,
    /// The newest round of this epoch of which a gradient of its was seen
    /// before it was taken off the roster.
    pub seen: Option<RoundId>,
}

/// What became of the gradient that is answered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fate {
    /// There was none: this answers a join.
    None,
    /// It was late and was dropped.
    Dropped,
    /// It was late and goes into the next round to close, with this weight.
    Carried(f32),
    /// It had come before, and was counted then.
    Repeated,
}

/// How a worker comes by what it has missed.
#[derive(Debug, Clone, PartialEq)]
pub enum Recovery {
    /// These are the results that it lacks, in order.
    Results(Vec<Arc<RoundResult>>),
    /// This is the model that the server holds, in the form of a result: it
    /// is to take the place of the worker's.
    Model(Arc<RoundResult>),
    /// They are not all kept, and the server holds no model.
    Lost,
}

/// What a worker has missed.
#[derive(Debug, Clone, PartialEq)]
pub struct CatchUp {
    /// The first round whose result it lacks.
    pub first: RoundId,
    /// The round that its next gradient is for; it lacks those before.
    pub next: RoundId,
    /// What became of its gradient.
    pub fate: Fate,
    /// How it comes by them.
    pub recovery: Recovery,
}

impl Machine {
    /// The worker behind `conn` takes part from now on and is waited for. It
    /// may be new, come back, or only want to know what it has missed.
    pub fn handle_join(&mut self, now: Time, conn: ConnId, join: Join) {
        let current = self.round.id;
        let first = match join.position {
            Position::Before { next, epoch } if epoch == self.epoch() => {
                if next > current {
                    self.refuse_join(now, conn, next);
                    return;
                }
                Some(next)
            }
            position => self.begin(position),
        };
        self.history.want();
        let is_news = !self.roster.takes_part(conn);
        self.roster.join(now, conn, current, join.seen);
        let event = Event::Named {
            conn,
            name: join.name.clone(),
        };
        self.names.insert(conn, join.name);
        self.outputs.push_back(Output::Event(event));
        if is_news {
            self.observe(now, Observation::Joined { conn });
        }
        if !self.roster.is_in(conn, current) {
            let round = current;
            self.observe(now, Observation::Sent { conn, round });
        }
        self.catch_up(conn, first, Fate::None);
        self.judge(now);
    }

    /// The first round that a worker lacks which comes from before this
    /// epoch; `None` if that is not known. Where the server holds no model,
    /// all must begin from one state, and the first to join says which. Those
    /// who have applied results that a restored job has lost may be that
    /// first; one who has applied nothing, or whose epoch is not known, may
    /// not.
    fn begin(&mut self, position: Position) -> Option<RoundId> {
        let inherited = self.inherited(position);
        if self.config.model.is_some() {
            // Whatever it has, the server's is the one that counts.
            return inherited;
        }
        let beginning = match (inherited, position) {
            (Some(_), _) => self.inheritance()?,
            (None, position) if self.ancestors.is_empty() || self.is_ahead(position) => position,
            (None, _) => return None,
        };
        match *self.beginning.get_or_insert(beginning) == beginning {
            true => inherited.or(Some(self.began)),
            false => None,
        }
    }

    /// The connection of a worker with an identity is lost. The worker is
    /// not waited for until it joins again; a gradient of its that is in
    /// stays in. If it does not come back, a disconnect is to follow.
    pub fn handle_detach(&mut self, now: Time, conn: ConnId) {
        self.note_departure(now, conn);
        if self.roster.detach(now, conn, self.round.id) {
            self.observe(now, Observation::Left { conn });
            self.outputs
                .push_back(Output::Event(Event::Detached { conn }));
            self.judge(now);
        }
    }

    /// Numbers of rounds hold within an epoch, which ends when the job
    /// starts over.
    pub fn epoch(&self) -> u64 {
        // SplitMix64's last step, so that servers with seeds close to each
        // other share no epoch.
        let z = self.config.seed ^ self.starts.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// What is kept for workers that missed rounds.
    pub fn keep(&self) -> Keep {
        self.config.keep
    }

    /// The round that is open or will open next.
    pub fn round(&self) -> RoundId {
        self.round.id
    }

    /// Whether this worker is on the roster.
    pub fn has(&self, conn: ConnId) -> bool {
        self.roster.has(conn)
    }

    /// The newest round of which a gradient of this worker was seen.
    pub fn seen(&self, conn: ConnId) -> Option<RoundId> {
        self.roster.seen(conn)
    }

    /// Whether a gradient of this worker waits in the open round.
    pub fn is_in(&self, conn: ConnId) -> bool {
        self.roster.is_in(conn, self.round.id)
    }

    /// Hands a worker what it lacks, from `first` on; `None` if that is not
    /// known.
    pub(super) fn catch_up(&mut self, to: ConnId, first: Option<RoundId>, fate: Fate) {
        let next = self.round.id;
        let results = match first {
            Some(first) if first == next => Some(Vec::new()),
            Some(first) => self.history.since(first, self.last.as_ref()),
            None => None,
        };
        let recovery = match (results, self.snapshot()) {
            (Some(results), _) => Recovery::Results(results),
            (None, Some(model)) => Recovery::Model(model),
            (None, None) => Recovery::Lost,
        };
        let catch_up = CatchUp {
            first: first.unwrap_or(self.began),
            next,
            fate,
            recovery,
        };
        self.outputs.push_back(Output::CatchUp { to, catch_up });
    }

    /// The model as it is now, if the server holds one. Copied once for each
    /// round in which somebody needs it.
    fn snapshot(&mut self) -> Option<Arc<RoundResult>> {
        let model = self.config.model.as_ref()?;
        let newest = self.round.id;
        if self.snapshot.as_ref().is_none_or(|s| s.round != newest) {
            let mut copy = RoundResult::default();
            copy.round = newest;
            copy.divisor = 1.0;
            model.write(copy.buffer(super::config::model_bytes(model.floats())));
            self.snapshot = Some(Arc::new(copy));
        }
        self.snapshot.clone()
    }
}

//! A worker goes, by itself or because it is refused; and what follows when
//! nobody is left.

use super::config::configured_bytes;
use super::planted::Planted as Fault;
use super::{ConnId, Event, Machine, Output, Refusal, RoundId};
use crate::policy::Observation;
use crate::time::Time;
use crate::wire::WireError;

impl Machine {
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

    pub(super) fn refuse(&mut self, now: Time, conn: ConnId, refusal: Refusal) {
        if self.take_off(now, conn) {
            self.stats.refused += 1;
            let event = Event::Refused { conn, refusal };
            self.outputs.push_back(Output::Event(event));
            self.outputs.push_back(Output::Disconnect { conn });
            self.after_departure(now, conn);
        }
    }

    pub(super) fn refuse_round(&mut self, now: Time, conn: ConnId, named: RoundId) {
        let open = self.round.id;
        self.refuse(now, conn, Refusal::NoSuchRound { named, open });
    }

    /// Turns away a worker that may or may not be on the roster.
    pub(super) fn refuse_join(&mut self, now: Time, conn: ConnId, named: RoundId) {
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

    /// Forgets the model's length if nobody is left to hold it.
    pub(super) fn forget_length(&mut self) {
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
    pub(super) fn start_over(&mut self) {
        let (round, gradients) = (self.round.id, self.round.staged.len());
        let late = std::mem::take(&mut self.round.carried).len();
        if gradients + late > 0 {
            self.stats.abandoned += gradients as u64;
            self.stats.late_abandoned += late as u64;
            self.outputs.push_back(Output::Event(Event::Abandoned {
                round,
                gradients,
                late,
            }));
        }
        for staged in self.round.clear() {
            drop(staged);
        }
        self.departed.clear();
        self.spare_buffers.clear();
        self.retired.clear();
        self.last = None;
        self.history.clear();
        self.names.clear();
        self.starts += 1;
        self.began = self.round.id;
        self.beginning = None;
        self.ancestors.clear();
        self.residual = std::sync::Arc::default();
        self.timeout = None;
        self.gathering = true;
        self.model_bytes = configured_bytes(&self.config);
        self.roster.start_over(self.round.id);
    }
}

//! A gradient comes: it is checked, and accepted, taken for a late one, or
//! refused; what it tells of its sender is noted.
//!
//! Invariant: each gradient from a connection on the roster is told of once:
//! counted as accepted, late or duplicate, or refused with its sender.

use super::planted::Planted as Fault;
use super::roster::{Spoke, Standing};
use super::round::Carried;
use super::{Charge, ConnId, Event, Fate, LateAccount, Machine, Output, Refusal, RoundId, Signs};
use crate::payload::Payload;
use crate::policy::Observation;
use crate::time::Time;
use crate::wire::WireError;

impl Machine {
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
        self.handle_weighted(now, conn, of, 1.0, payload);
    }

    /// The same, of a gradient that is to count as so many, if the rule heeds
    /// that. `weight` is above 0.
    pub fn handle_weighted(
        &mut self,
        now: Time,
        conn: ConnId,
        of: Option<RoundId>,
        weight: f32,
        mut payload: Payload,
    ) {
        if self.roster.standing(conn, self.round.id, of).is_none() {
            self.recycle(payload);
            return;
        }
        let weight = match self.config.aggregate.heeds_weights() {
            true => weight,
            false => 1.0,
        };
        if weight != 1.0 && payload.first_non_finite().is_none() {
            payload.weigh(weight);
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
            Standing::In if self.errs(Fault::AddsDuplicates) => {
                self.accept(now, conn, weight, payload)
            }
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
                self.accept(now, conn, weight, payload);
            }
            Standing::Behind { missed } => self.hand_back(now, conn, missed, weight, payload),
            Standing::InStep => {
                // It may know the round's number without the results before.
                if let Some(first) = self.roster.on(conn).filter(|on| *on < self.round.id)
                    && self.names.contains_key(&conn)
                {
                    self.catch_up(conn, Some(first), Fate::None);
                }
                self.accept(now, conn, weight, payload);
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

    fn accept(&mut self, now: Time, conn: ConnId, weight: f32, payload: Payload) {
        let spoke = self.roster.accept(now, conn, self.round.id);
        self.note_arrival(now, conn, 0, spoke);
        self.stats.accepted += 1;
        self.round.stage(now, conn, weight, payload);
        if self.errs(Fault::TimerRestarts) {
            self.round.opened = Some(now);
        }
        self.judge(now);
    }

    /// A late gradient: answered with the newest result that its sender has
    /// missed, and dropped or taken along into the open round.
    fn hand_back(&mut self, now: Time, conn: ConnId, missed: u64, own: f32, payload: Payload) {
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
        let weight = self.carry(conn, of, own, payload);
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
    fn carry(&mut self, conn: ConnId, of: RoundId, own: f32, mut payload: Payload) -> Option<f32> {
        let missed = self.round.id.0 - of.0;
        let Some(weight) = self.config.late.weight(missed) else {
            self.recycle(payload);
            return None;
        };
        if weight < 1.0 && !self.errs(Fault::Unweighted) {
            payload.scale(weight);
        }
        let weight = weight * own;
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
}

//! The end of a round: the policy is asked, the gradients that are in are
//! reduced, and their senders are answered.

use std::sync::{Arc, OnceLock};

use super::planted::Planted as Fault;
use super::{Event, Machine, Output, RoundId, RoundReport, RoundResult, WaitFor};
use crate::aggregate::Reduced;
use crate::policy::{Explanation, Observation, Outcome, RoundView, Verdict};
use crate::time::Time;

impl Machine {
    /// Asks the policy about the open round and does what it says.
    pub(super) fn judge(&mut self, now: Time) {
        self.timeout = None;
        let Some(opened) = self.round.opened else {
            return;
        };
        let arrived = self.round.staged.len();
        let awaited = self.awaited();
        let workers = match self.gathering {
            true => self.roster.stayers().max(arrived + awaited),
            false => self.roster.stayers(),
        };
        let view = RoundView::new(self.round.id, opened, arrived, awaited).with_roster(
            workers,
            self.absent(),
            &self.roster,
        );
        match self.config.policy.decide(now, &view) {
            Verdict::Wait => {}
            Verdict::WaitUntil(at) => self.timeout = Some(at),
            Verdict::Close(outcome) => {
                let why = self.config.policy.explain(now, &view);
                self.close(now, opened, outcome, why);
            }
        }
    }

    /// Of the configured workers, those that have not even connected.
    pub(super) fn absent(&self) -> usize {
        match self.gathering {
            true => self.config.workers.saturating_sub(self.roster.len()),
            false => 0,
        }
    }

    fn awaited(&self) -> usize {
        let known = match self.config.wait_for {
            WaitFor::InStep => self.roster.awaited(),
            WaitFor::Connected => self.roster.awaited() + self.roster.behind(),
        };
        if self.gathering {
            let strangers = self.config.workers.saturating_sub(self.round.staged.len());
            strangers.max(known)
        } else {
            known
        }
    }

    fn close(&mut self, now: Time, opened: Time, outcome: Outcome, why: Explanation) {
        let mut result = self.take_result();
        let reduced = self.reduce(&mut result);
        self.round_result(&mut result);
        let carried = match self.errs(Fault::KeepsTheCarried) {
            true => self.round.carried.clone(),
            false => std::mem::take(&mut self.round.carried),
        };
        // A round that closes full waited for nobody in vain, be there ever so
        // many connections that have not spoken.
        let gathers = self.gathering && outcome != Outcome::Full;
        let mut missed = self.roster.missed(now, self.round.id, gathers);
        let mut overdue = self.roster.overdue(self.round.id);
        if self.config.wait_for == WaitFor::Connected {
            missed.append(&mut overdue);
            missed.sort_unstable();
        }
        let bill = self.bill(now, opened, &missed, &overdue);
        let report = RoundReport {
            round: self.round.id,
            outcome,
            why,
            lasted: now - opened,
            arrivals: self.round.arrivals(opened),
            missed,
            absent: self.absent(),
            overdue,
            late: carried.iter().map(|late| late.account).collect(),
            bill,
            saturated: reduced.saturated,
            clipped: reduced.clipped,
            instead: reduced.instead,
        };
        self.stats.count_round(outcome, why, report.lasted);
        let news = self.enter(now, &report);
        result.outcome = Some(outcome);
        result.missed.clone_from(&report.missed);
        self.outputs
            .push_back(Output::Event(Event::Closed(Box::new(report))));
        self.outputs.extend(news.into_iter().map(Output::Event));

        if let Some(model) = &mut self.config.model {
            model.apply(&result);
        }
        let result = Arc::new(result);
        if let Some(previous) = self.last.replace(Arc::clone(&result)) {
            let out = self.history.push(previous, self.config.keep);
            self.retired.extend(out);
        }
        let closed_before = !self.gathering;
        self.gathering = false;
        self.deliver(now, &result);
        let late = carried.into_iter().map(|late| late.payload.into_bytes());
        self.spare_buffers.extend(late);
        if !self.errs(Fault::Hoards) {
            self.spare_buffers.truncate(self.roster.speakers());
        }
        self.timeout = None;
        if self.errs(Fault::NumberTwice) && closed_before {
            self.round.id.0 -= 1;
        }
    }

    /// Reduces the open round.
    fn reduce(&self, result: &mut RoundResult) -> Reduced {
        let (mut inputs, weight) = self.round.inputs(&self.names);
        if self.errs(Fault::WrongOrder) {
            inputs.reverse();
        }
        result.round = self.round.id;
        result.contributors = self.round.staged.len();
        result.weight = weight;
        result.divisor = self.config.aggregate.divisor(weight);
        result.frame_head = OnceLock::new();
        result.coded = OnceLock::new();
        let out = result.buffer(inputs[0].len());
        match self.round.is_even() || self.errs(Fault::WrongDivisor) {
            true => self.config.aggregate.reduce(&inputs, out),
            false => self.config.aggregate.reduce_weighted(&inputs, weight, out),
        }
    }

    /// Goes to the next round, and sends this one's result to all who are
    /// in it.
    fn deliver(&mut self, now: Time, result: &Arc<RoundResult>) {
        let closed = self.round.id;
        let twice = self.errs(Fault::AnswersTwice);
        for staged in self.round.advance() {
            let conn = staged.conn;
            self.spare_buffers.push(staged.payload.into_bytes());
            if !self.roster.deliver(now, conn, closed) {
                continue;
            }
            if twice {
                let (to, result) = (conn, Arc::clone(result));
                self.outputs.push_back(Output::Deliver { to, result });
            }
            let result = Arc::clone(result);
            self.outputs.push_back(Output::Deliver { to: conn, result });
            if self.roster.takes_part(conn) {
                let round = RoundId(closed.0 + 1);
                let sent = Observation::Sent { conn, round };
                self.config.policy.observe(now, &sent);
            }
        }
        if self.errs(Fault::AnswersAll) {
            let all = self.roster.members(self.round.id);
            let behind = all.filter(|member| member.missed > 0);
            let answers = behind.map(|member| Output::Deliver {
                to: member.conn,
                result: Arc::clone(result),
            });
            self.outputs.extend(answers);
        }
    }

    /// A result to write into: one that nobody reads any more, or a new one.
    fn take_result(&mut self) -> RoundResult {
        let free = self
            .retired
            .iter()
            .position(|result| Arc::strong_count(result) == 1);
        let reused = free.and_then(|at| Arc::into_inner(self.retired.swap_remove(at)));
        // Slow readers keep their own copy alive; forgetting it here bounds
        // what this side holds.
        self.retired.truncate(1);
        reused.unwrap_or_default()
    }
}

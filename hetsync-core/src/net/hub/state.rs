//! What the hub keeps under its lock, and how the jobs' wishes are done: what
//! is to be sent is queued on its connection in the order in which they say.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Weak};

use super::{Observer, Receivers};
use crate::Name;
use crate::net::connection::Connection;
use crate::net::keeper::Keeper;
use crate::net::markers;
use crate::net::memory::Claim;
use crate::net::notice::{Departure, Notice};
use crate::net::watch::Watch;
use crate::server::attribution::TRIFLE;
use crate::server::{
    Action, Charge, Closing, ConnId, Event, Frame, Jobs, RoundReport, RoundResult,
};
use crate::time::{Span, Time};

/// Late workers of one round whose connections are looked at, at most.
const MOST_LOOKS: usize = 16;

pub(super) struct State {
    pub(super) jobs: Jobs,
    pub(super) connections: HashMap<ConnId, Arc<Connection>>,
    /// Have ended their side while their reply is owed.
    pub(super) half_closed: Vec<Arc<Connection>>,
    /// All results that somebody may still hold.
    pub(super) results: Vec<Weak<RoundResult>>,
    /// Memory of gradients that wait for their round although the worker's
    /// connection is gone.
    pub(super) orphans: Vec<(ConnId, Claim)>,
    pub(super) observer: Observer,
    pub(super) keeper: Option<Keeper>,
    /// When the round timer goes off, if it is set.
    pub(super) armed: Option<Time>,
    /// Whether the policy is being given time to think.
    pub(super) is_thinking: bool,
    pub(super) watch: Watch,
    pub(super) connected: u64,
    /// Bytes that came and went on connections that have ended.
    pub(super) past_traffic: (u64, u64),
}

impl State {
    /// Does what the jobs want. What is to be sent is queued here, so that
    /// its order is theirs, and whoever is to get it is gathered.
    pub(super) fn drain(&mut self, now: Time, receivers: &mut Receivers) {
        while let Some(action) = self.jobs.poll_action() {
            if let Action::Send { frames, .. } = &action {
                frames.iter().for_each(|frame| self.note_result(frame));
            }
            if let Some(action) = self.hold(action) {
                self.perform(now, action, receivers);
            }
        }
    }

    /// Leaves what has to wait for a checkpoint to the keeper.
    fn hold(&mut self, action: Action) -> Option<Action> {
        let Some(keeper) = &mut self.keeper else {
            return Some(action);
        };
        let conn = match &action {
            Action::Send { to, .. } => *to,
            Action::Close { conn, .. } => *conn,
            Action::Event { .. } => return Some(action),
        };
        keeper.hold(self.jobs.job_of(conn), conn, action)
    }

    pub(super) fn perform(&mut self, now: Time, action: Action, receivers: &mut Receivers) {
        match action {
            Action::Send {
                to,
                frames,
                is_answer,
            } => {
                if let Some(connection) = self.connections.get(&to) {
                    connection.start_reply(frames, is_answer, now);
                    receivers.push(Arc::clone(connection));
                }
            }
            Action::Close {
                conn,
                farewell,
                why,
            } => {
                let why = match why {
                    Closing::Refused => Departure::Refused,
                    Closing::Denied(denial) => Departure::Denied(denial),
                    Closing::Left => Departure::Left,
                };
                if let Some(connection) = self.connections.get(&conn) {
                    connection.part(farewell, why);
                }
            }
            Action::Event { job, mut event } => {
                if let Event::Closed(report) = &mut event {
                    let (came, missed) = (report.arrivals.len(), report.missed.len());
                    let hoped_for = came + missed + report.absent + report.overdue.len();
                    markers::round_close(report.round.0, came as u64, hoped_for as u64);
                    self.look_for_causes(now, &job, report);
                }
                let is_closed = matches!(event, Event::Closed(_));
                let name = is_closed.then(|| job.clone());
                (self.observer)(now, &Notice::Machine { job, event });
                // Before the result is sent, which comes next.
                if let (Some(job), Some(keeper)) = (name, &mut self.keeper) {
                    keeper.round_closed(&job, &self.jobs);
                }
            }
        }
    }

    /// Looks at the connections of workers that a round did without, for
    /// what keeps them.
    fn look_for_causes(&mut self, now: Time, job: &Name, report: &mut RoundReport) {
        let bill = &mut report.bill;
        let unseen = |charge: &&mut Charge| charge.cause.is_none() && charge.cost >= TRIFLE;
        let charges = bill.charges.iter_mut().filter(unseen);
        for charge in charges.take(MOST_LOOKS) {
            let conn = self.jobs.connection(job, charge.conn);
            let Some(connection) = conn.and_then(|conn| self.connections.get(&conn)) else {
                continue;
            };
            let signs = connection.signs(now, false);
            charge.cause = Some(signs.cause(&bill.usual));
            self.jobs.handle_cause(job, *charge);
        }
    }

    /// A result that is sent is held for as long as somebody reads it.
    fn note_result(&mut self, frame: &Frame) {
        if let Some(result) = frame.result() {
            let is_known = |known: &Weak<_>| std::ptr::eq(known.as_ptr(), Arc::as_ptr(result));
            if !self.results.iter().any(is_known) {
                self.results.push(Arc::downgrade(result));
            }
        }
    }

    /// Takes back the gradients of workers that had ended their side and
    /// have turned out to be gone altogether.
    pub(super) fn withdraw_lost(&mut self, now: Time, receivers: &mut Receivers) {
        if self.half_closed.is_empty() {
            return;
        }
        for connection in std::mem::take(&mut self.half_closed) {
            match connection.is_lost() {
                Some(true) => {
                    let reset = std::io::ErrorKind::ConnectionReset;
                    connection.condemn(Departure::Failed(reset.into()));
                    self.jobs.handle_disconnect(now, connection.id);
                    self.drain(now, receivers);
                }
                Some(false) => self.half_closed.push(connection),
                // It has had its reply.
                None => {}
            }
        }
    }

    /// Who has to go if somebody new is to have a place. Of those who have
    /// never sent a byte, one of the host that has most of them, so that no
    /// host can crowd out another; else one that has been at its first
    /// gradient for `hello`. The oldest in either case: the others may be
    /// about to begin.
    pub(super) fn squatter(&self, now: Time, hello: Span) -> Option<&Arc<Connection>> {
        let silent = || self.connections.values().filter(|c| c.is_silent());
        let mut of_host: HashMap<IpAddr, usize> = HashMap::new();
        silent().for_each(|c| *of_host.entry(c.peer).or_default() += 1);
        let silent = silent().max_by_key(|c| (of_host[&c.peer], Reverse(c.id)));
        silent.or_else(|| {
            let squatters = self.connections.values();
            let squatters = squatters.filter(|c| c.squats_since(now, hello));
            squatters.min_by_key(|c| c.id)
        })
    }
}

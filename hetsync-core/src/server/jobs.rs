//! Several jobs on one server: who is connected, to which job, as whom.
//!
//! It stands between connections, which come and go, and the machines, one
//! for each job, which know workers. A connection that speaks protocol 0 is
//! a worker of the default job for as long as it lasts. One that speaks
//! protocol 1 says who it is, and its worker outlives it: the worker keeps
//! the number of the first connection that it came on.
//!
//! Like the machines it is without sockets and clock and keeps to the drain
//! rule: one change, then [`poll_action`](Jobs::poll_action) until `None`.
//!
//! # Invariants
//! A worker has at most one connection; a new one replaces the old. What a
//! job does to its workers touches no other job. The number of workers that
//! are remembered is capped.

mod action;
mod restore;
mod session;

use action::code_of;
pub use action::{Action, Closing, Denial};

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::{
    Charge, ConnId, Event, Frame, Machine, OpenRound, Output, Recovery, Refusal, RoundId, Signs,
    Token,
};
use crate::Name;
use crate::payload::Payload;
use crate::stats::Stats;
use crate::time::{Span, Time};
use crate::wire::WireError;
use crate::wire::v1::message::Tensor;
use crate::wire::v1::{Dtype, ErrorCode};

/// What [`Jobs`] are told once.
#[derive(Debug)]
pub struct JobsConfig {
    /// What workers must know. Those that speak protocol 0 cannot say it,
    /// and are not served if there is one.
    pub token: Option<Token>,
    /// Longest gradient that is taken, in bytes; told to workers.
    pub max_tensor_bytes: u64,
    /// How long a worker that lost its connection is remembered as part of
    /// the job, with a gradient of its that is in.
    pub linger: Span,
    /// Workers with an identity, in each job.
    pub max_workers: usize,
}

impl Default for JobsConfig {
    fn default() -> Self {
        Self {
            token: None,
            max_tensor_bytes: 1 << 30,
            linger: Span::from_secs(30),
            max_workers: 4096,
        }
    }
}

/// The jobs of a server. The first is the default one.
#[derive(Debug)]
pub struct Jobs {
    config: JobsConfig,
    jobs: Vec<Job>,
    sessions: HashMap<ConnId, Session>,
    /// When to forget which worker, in order.
    lingering: VecDeque<(Time, usize, Name)>,
    actions: VecDeque<Action>,
}

#[derive(Debug)]
struct Job {
    name: Name,
    machine: Machine,
    workers: HashMap<Name, Worker>,
    names: HashMap<ConnId, Name>,
    /// The tensors of the model, and the epoch in which that was said.
    layout: Option<(u64, Arc<[Tensor]>)>,
    /// Of workers that were saved and have not come back: the newest round
    /// of which a gradient was seen, in the epoch that began then.
    remembered: HashMap<Name, (u64, RoundId)>,
}

/// A worker with an identity.
#[derive(Debug)]
struct Worker {
    id: ConnId,
    session: Option<ConnId>,
    /// When its connection was lost.
    lost: Option<Time>,
    /// The newest round of which a gradient of its was seen, and its epoch.
    seen: Option<(u64, RoundId)>,
}

/// A connection.
#[derive(Debug)]
enum Session {
    /// Speaks protocol 0.
    Old,
    /// Speaks protocol 1 and has not said who it is.
    Stranger,
    /// Is a worker of a job.
    Known {
        job: usize,
        name: Name,
        /// As which worker it takes part, and since which epoch.
        joined: Option<(ConnId, u64)>,
        /// What it is sent results in.
        dtype: Dtype,
    },
}

impl Jobs {
    /// A server with one job, to which nobody has connected.
    pub fn new(config: JobsConfig, name: Name, machine: Machine) -> Self {
        let mut jobs = Self {
            config,
            jobs: Vec::new(),
            sessions: HashMap::new(),
            lingering: VecDeque::new(),
            actions: VecDeque::new(),
        };
        jobs.add(name, machine);
        jobs
    }

    /// One more job. False if there is one of that name.
    pub fn add(&mut self, name: Name, machine: Machine) -> bool {
        let is_new = self.jobs.iter().all(|job| job.name != name);
        if is_new {
            self.jobs.push(Job {
                name,
                machine,
                workers: HashMap::new(),
                names: HashMap::new(),
                layout: None,
                remembered: HashMap::new(),
            });
        }
        is_new
    }

    /// A new connection. `conn` must be larger than those before it. Until
    /// it speaks it is taken for one of protocol 0, in which silence has no
    /// meaning, unless there is a token.
    pub fn handle_connect(&mut self, now: Time, conn: ConnId) {
        if self.config.token.is_some() {
            self.sessions.insert(conn, Session::Stranger);
        } else {
            self.sessions.insert(conn, Session::Old);
            self.on(0, |machine| machine.handle_connect(now, conn));
        }
    }

    /// It speaks protocol 0, as its first byte says.
    pub fn handle_old(&mut self, conn: ConnId) {
        if let Some(Session::Stranger) = self.sessions.get(&conn) {
            self.sessions.remove(&conn);
            let text = "it speaks protocol 0, which has no token, and this server demands one";
            self.actions.push_back(Action::Close {
                conn,
                farewell: None,
                why: Closing::Denied(Denial {
                    code: ErrorCode::Unauthorized,
                    text: text.into(),
                }),
            });
        }
    }

    /// It speaks protocol 1, as its first byte says.
    pub fn handle_new(&mut self, now: Time, conn: ConnId) {
        if let Some(Session::Old) = self.sessions.insert(conn, Session::Stranger) {
            self.on(0, |machine| machine.handle_disconnect(now, conn));
        }
    }

    /// A gradient from a connection that speaks protocol 0.
    pub fn handle_old_gradient(&mut self, now: Time, conn: ConnId, payload: Payload) {
        self.on(0, |machine| {
            machine.handle_gradient(now, conn, None, payload)
        });
    }

    /// A connection that speaks protocol 0 has ended its side.
    pub fn handle_half_close(&mut self, now: Time, conn: ConnId) {
        if let Some(Session::Old) = self.sessions.get(&conn) {
            self.on(0, |machine| machine.handle_half_close(now, conn));
        }
    }

    /// A connection that speaks protocol 0 broke it.
    pub fn handle_wire_error(&mut self, now: Time, conn: ConnId, error: WireError) {
        self.on(0, |machine| machine.handle_wire_error(now, conn, error));
    }

    /// There is no memory for what a peer sends. `limit` is in bytes.
    pub fn handle_no_memory(&mut self, now: Time, conn: ConnId, limit: usize) {
        match self.sessions.get(&conn) {
            Some(Session::Old) => {
                self.on(0, |machine| machine.handle_no_memory(now, conn, limit));
            }
            _ => {
                let text = Refusal::NoMemory { limit }.to_string();
                self.deny(now, conn, ErrorCode::NoMemory, text);
            }
        }
    }

    /// A peer's gradient is longer than its share of the memory, while the
    /// model's length is not known. Both are in bytes.
    pub fn handle_no_share(&mut self, now: Time, conn: ConnId, found: usize, share: usize) {
        match self.sessions.get(&conn) {
            Some(Session::Old) => {
                self.on(0, |machine| {
                    machine.handle_no_share(now, conn, found, share)
                });
            }
            _ => {
                let text = Refusal::NoShare { found, share }.to_string();
                self.deny(now, conn, ErrorCode::NoMemory, text);
            }
        }
    }

    /// A connection is gone, whatever the cause.
    pub fn handle_disconnect(&mut self, now: Time, conn: ConnId) {
        match self.sessions.remove(&conn) {
            Some(Session::Old) => self.on(0, |machine| machine.handle_disconnect(now, conn)),
            Some(Session::Known {
                job,
                name,
                joined: Some((id, _)),
                ..
            }) => {
                let worker = self.jobs[job].workers.get_mut(&name);
                let Some(worker) = worker.filter(|worker| worker.session == Some(conn)) else {
                    return;
                };
                worker.session = None;
                worker.lost = Some(now);
                self.lingering
                    .push_back((now + self.config.linger, job, name));
                self.on(job, |machine| machine.handle_detach(now, id));
            }
            Some(Session::Stranger | Session::Known { joined: None, .. }) | None => {}
        }
    }

    /// The time that [`poll_timeout`](Self::poll_timeout) named has come.
    pub fn handle_timeout(&mut self, now: Time) {
        while self.lingering.front().is_some_and(|(at, ..)| *at <= now) {
            if let Some((_, job, name)) = self.lingering.pop_front() {
                self.forget(now, job, &name);
            }
        }
        for job in 0..self.jobs.len() {
            if self.jobs[job]
                .machine
                .poll_timeout()
                .is_some_and(|at| at <= now)
            {
                self.on(job, |machine| machine.handle_timeout(now));
            }
        }
    }

    /// When to call [`handle_timeout`](Self::handle_timeout), if at all.
    pub fn poll_timeout(&self) -> Option<Time> {
        let rounds = self
            .jobs
            .iter()
            .filter_map(|job| job.machine.poll_timeout());
        rounds
            .chain(self.lingering.front().map(|(at, ..)| *at))
            .min()
    }

    /// The next thing to be done.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Whether a policy has something to think over.
    pub fn has_work(&self) -> bool {
        self.jobs.iter().any(|job| job.machine.has_work())
    }

    /// Lets one policy think for a moment: the first that has something to
    /// think over, and the next one when that is done.
    pub fn handle_idle(&mut self, now: Time) {
        if let Some(job) = self.jobs.iter_mut().find(|job| job.machine.has_work()) {
            job.machine.handle_idle(now);
        }
    }

    /// Whether a round of any job is open.
    pub fn has_open_round(&self) -> bool {
        self.jobs.iter().any(|job| job.machine.has_open_round())
    }

    /// The open rounds, with their jobs.
    pub fn open_rounds(&self) -> Vec<(Name, OpenRound)> {
        let open = |job: &Job| Some((job.name.clone(), job.machine.open_round()?));
        self.jobs.iter().filter_map(open).collect()
    }

    /// The default job's machine.
    pub fn default_machine(&self) -> &Machine {
        &self.jobs[0].machine
    }

    /// What each job has counted.
    pub fn stats(&self) -> impl Iterator<Item = (&Name, &Stats)> {
        self.jobs.iter().map(|job| (&job.name, job.machine.stats()))
    }

    /// What there is to be told of each job at this moment.
    pub fn snapshot(&self) -> Vec<crate::metrics::Job> {
        let tell = |job: &Job| crate::metrics::Job {
            name: job.name.clone(),
            round: job.machine.round(),
            open: job.machine.open_round(),
            census: job.machine.census(),
            stats: job.machine.stats().clone(),
            checkpoints: None,
            names: job.names.iter().map(|(id, n)| (*id, n.clone())).collect(),
        };
        self.jobs.iter().map(tell).collect()
    }

    /// What was seen of the gradient that this connection is about to
    /// deliver.
    pub fn handle_signs(&mut self, conn: ConnId, signs: Signs) {
        let (job, worker) = match self.sessions.get(&conn) {
            Some(Session::Old) => (0, conn),
            Some(Session::Known {
                job,
                joined: Some((id, _)),
                ..
            }) => (*job, *id),
            _ => return,
        };
        self.jobs[job].machine.handle_signs(worker, signs);
    }

    /// Why a worker of this job was late, whose charge came without a cause.
    pub fn handle_cause(&mut self, job: &Name, charge: Charge) {
        if let Some(job) = self.jobs.iter_mut().find(|other| other.name == *job) {
            job.machine.handle_cause(charge);
        }
    }

    /// The connection that this worker of that job is on, if it is on one.
    pub fn connection(&self, job: &Name, worker: ConnId) -> Option<ConnId> {
        let job = self.jobs.iter().find(|other| other.name == *job)?;
        match job.names.contains_key(&worker) {
            true => job.session_of(worker),
            false => Some(worker),
        }
    }

    /// The job that a connection belongs to, as far as it has said so.
    pub fn job_of(&self, conn: ConnId) -> Option<&Name> {
        let job = match self.sessions.get(&conn)? {
            Session::Old => 0,
            Session::Stranger => return None,
            Session::Known { job, .. } => *job,
        };
        Some(&self.jobs[job].name)
    }

    /// The round of a connection's job that is open or next, and whether it is
    /// open.
    pub fn place(&self, conn: ConnId) -> Option<(RoundId, bool)> {
        let job = match self.sessions.get(&conn)? {
            Session::Old => 0,
            Session::Stranger => return None,
            Session::Known { job, .. } => *job,
        };
        let machine = &self.jobs[job].machine;
        Some((machine.round(), machine.has_open_round()))
    }

    /// A buffer to read a gradient of this connection's job into.
    pub fn spare_buffer(&mut self, conn: ConnId) -> Option<Vec<u8>> {
        let job = match self.sessions.get(&conn)? {
            Session::Old => 0,
            Session::Stranger => return None,
            Session::Known { job, .. } => *job,
        };
        self.jobs[job].machine.spare_buffer()
    }

    /// Whether a gradient of this worker, whose connection may be gone,
    /// waits in an open round.
    pub fn is_in(&self, worker: ConnId) -> bool {
        self.jobs.iter().any(|job| job.machine.is_in(worker))
    }

    /// The worker behind a connection.
    pub fn worker(&self, conn: ConnId) -> Option<ConnId> {
        match self.sessions.get(&conn)? {
            Session::Old => Some(conn),
            Session::Stranger => None,
            Session::Known { joined, .. } => joined.map(|(id, _)| id),
        }
    }

    /// Changes one machine and turns what it wants into actions.
    fn on(&mut self, job: usize, change: impl FnOnce(&mut Machine)) {
        change(&mut self.jobs[job].machine);
        let mut refusal = None;
        while let Some(output) = self.jobs[job].machine.poll_output() {
            match output {
                Output::Deliver { to, result } => self.deliver(job, to, result),
                Output::CatchUp { to, catch_up } => {
                    let job = &self.jobs[job];
                    let Some(conn) = job.session_of(to) else {
                        continue;
                    };
                    let dtype = self.dtype(conn);
                    let mut frames = vec![Frame::catch_up(&catch_up, job.tensors())];
                    if let Recovery::Results(results) = catch_up.recovery {
                        let results = results.into_iter();
                        frames.extend(results.map(|result| job.result_frame(result, dtype)));
                    }
                    let is_answer = catch_up.fate != super::Fate::None;
                    self.actions.push_back(Action::Send {
                        to: conn,
                        frames,
                        is_answer,
                    });
                }
                Output::Disconnect { conn } => self.disconnect(job, conn, refusal.take()),
                Output::Event(event) => {
                    if let Event::Refused { refusal: why, .. } = &event {
                        refusal = Some(*why);
                    }
                    let job = self.jobs[job].name.clone();
                    self.actions.push_back(Action::Event { job, event });
                }
            }
        }
    }

    fn deliver(&mut self, job: usize, to: ConnId, result: Arc<super::RoundResult>) {
        let job = &self.jobs[job];
        let (conn, frame) = match job.names.contains_key(&to) {
            true => match job.session_of(to) {
                Some(conn) => (conn, job.result_frame(result, self.dtype(conn))),
                None => return,
            },
            false => (to, Frame::v0(result)),
        };
        self.actions.push_back(Action::Send {
            to: conn,
            frames: vec![frame],
            is_answer: true,
        });
    }

    /// What this connection is sent results in.
    fn dtype(&self, conn: ConnId) -> Dtype {
        match self.sessions.get(&conn) {
            Some(Session::Known { dtype, .. }) => *dtype,
            _ => Dtype::F32,
        }
    }

    /// A machine has taken a worker off its roster.
    fn disconnect(&mut self, job: usize, id: ConnId, refusal: Option<Refusal>) {
        let job = &mut self.jobs[job];
        let (conn, farewell) = match job.names.get(&id) {
            None => (id, None),
            Some(name) => {
                let worker = job.workers.get_mut(name);
                let Some(conn) = worker.and_then(|worker| worker.session.take()) else {
                    return;
                };
                let say = |refusal: Refusal| Frame::error(code_of(&refusal), refusal.to_string());
                (conn, refusal.map(say))
            }
        };
        // What still comes on it is nobody's.
        self.sessions.remove(&conn);
        self.actions.push_back(Action::Close {
            conn,
            farewell,
            why: Closing::Refused,
        });
    }

    /// Closes a connection for a reason that no machine knows of.
    fn deny(&mut self, now: Time, conn: ConnId, code: ErrorCode, text: impl Into<String>) {
        let text = text.into();
        let farewell = Some(Frame::error(code, text.clone()));
        self.handle_disconnect(now, conn);
        self.actions.push_back(Action::Close {
            conn,
            farewell,
            why: Closing::Denied(Denial { code, text }),
        });
    }

    /// A worker that was lost has not come back.
    fn forget(&mut self, now: Time, job: usize, name: &Name) {
        let linger = self.config.linger;
        let Some(worker) = self.jobs[job].workers.get_mut(name) else {
            return;
        };
        // It may have come back, and even been lost again.
        if worker.session.is_none() && worker.lost.is_some_and(|lost| lost + linger <= now) {
            worker.lost = None;
            let id = worker.id;
            self.on(job, |machine| machine.handle_disconnect(now, id));
        }
    }
}

impl Job {
    /// The connection of a worker with an identity, if it has one now.
    fn session_of(&self, id: ConnId) -> Option<ConnId> {
        self.workers.get(self.names.get(&id)?)?.session
    }

    /// The tensors of the model; none if nobody has named them.
    fn tensors(&self) -> &[Tensor] {
        let epoch = self.machine.epoch();
        let layout = self.layout.as_ref().filter(|(of, _)| *of == epoch);
        layout.map_or(&[][..], |(_, tensors)| tensors)
    }

    fn result_frame(&self, result: Arc<super::RoundResult>, dtype: Dtype) -> Frame {
        Frame::of_result(result, dtype, self.tensors(), |conn| {
            match self.names.get(&conn) {
                Some(name) => name.to_string(),
                // No name has this character, so none can be taken for it.
                None => format!("#{}", conn.0),
            }
        })
    }
}

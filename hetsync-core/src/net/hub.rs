//! What all connections share: the jobs, what they want, the timer.

mod state;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use async_io::Timer;
use smol::channel::{Receiver, Sender};
use smol::future::FutureExt;

use super::connection::Connection;
use super::keeper::{Keeper, Written};
use super::markers;
use super::memory::{Claim, Memory};
use super::notice::{Departure, Notice};
use super::watch::Watch;
use crate::Name;
use crate::metrics::Snapshot;
use crate::server::{ConnId, Jobs, OpenRound, RoundResult};
use crate::stats::Stats;
use crate::time::{Span, Time};
use state::State;

/// Bytes of a long reply that go to one worker before it is the next one's
/// turn. So all of them read at the same time instead of one after the
/// other, and the bytes are still in cache for the last of them.
const TURN_BYTES: usize = 1024 * 1024;

/// A step of thinking is followed by a pause so many times as long.
const THOUGHT_SHARE: u64 = 100;
/// What the policy may think before that applies: the first rules of a job
/// are found from little, and the sooner they are replaced the better.
const FREE_THOUGHT: Span = Span::from_millis(10);
/// What it costs to be woken for a step.
const WAKE_UP: Span = Span::from_nanos(5_000);

/// Called with each notice, in order. It holds up the server, so it should
/// return soon.
pub(super) type Observer = Box<dyn FnMut(Time, &Notice) + Send>;

/// Who is sent something.
type Receivers = Vec<Arc<Connection>>;

/// Sends to each in turn, for as long as their sockets take it.
fn send(mut receivers: Receivers) {
    while !receivers.is_empty() {
        receivers.retain(|connection| connection.push_reply(TURN_BYTES));
    }
}

pub(super) struct Hub {
    clock: Instant,
    memory: Arc<Memory>,
    state: Mutex<State>,
    /// The model's length for readers, without taking the lock; 0 if it is
    /// not known.
    model_bytes: AtomicUsize,
    is_stopping: AtomicBool,
    wake_timer: Sender<()>,
    timer_woken: Receiver<()>,
    wake_thinker: Sender<()>,
    thinker_woken: Receiver<()>,
}

impl Hub {
    pub(super) fn new(
        jobs: Jobs,
        observer: Observer,
        keeper: Option<Keeper>,
        memory: Arc<Memory>,
    ) -> Self {
        let (wake_timer, timer_woken) = smol::channel::bounded(1);
        let (wake_thinker, thinker_woken) = smol::channel::bounded(1);
        let model_bytes = AtomicUsize::new(jobs.default_machine().model_bytes().unwrap_or(0));
        Self {
            clock: Instant::now(),
            memory,
            state: Mutex::new(State {
                jobs,
                connections: HashMap::new(),
                half_closed: Vec::new(),
                results: Vec::new(),
                orphans: Vec::new(),
                observer,
                keeper,
                armed: None,
                is_thinking: false,
                watch: Watch::default(),
                connected: 0,
                past_traffic: (0, 0),
            }),
            model_bytes,
            is_stopping: AtomicBool::new(false),
            wake_timer,
            timer_woken,
            wake_thinker,
            thinker_woken,
        }
    }

    pub(super) fn now(&self) -> Time {
        Time::ZERO + Span::from(self.clock.elapsed())
    }

    pub(super) fn model_bytes(&self) -> Option<usize> {
        match self.model_bytes.load(Ordering::Relaxed) {
            0 => None,
            bytes => Some(bytes),
        }
    }

    /// Tells the jobs of one change and does all that they then want.
    pub(super) fn change<R>(&self, change: impl FnOnce(&mut Jobs, Time) -> R) -> R {
        let mut receivers = Vec::new();
        let now = self.now();
        let mut guard = self.state();
        let state = &mut *guard;
        // First, as what comes now may be the same worker, started again.
        state.withdraw_lost(now, &mut receivers);
        let changed = change(&mut state.jobs, now);
        state.drain(now, &mut receivers);
        self.count_results(state);
        let model_bytes = state.jobs.default_machine().model_bytes().unwrap_or(0);
        self.model_bytes.store(model_bytes, Ordering::Relaxed);
        if !state.orphans.is_empty() {
            let jobs = &state.jobs;
            state.orphans.retain(|(worker, _)| jobs.is_in(*worker));
        }
        // The timer is left alone while it goes off early enough: rounds
        // that close in time then cost it nothing. It looks again when it
        // goes off.
        if let Some(due) = state.jobs.poll_timeout()
            && state.armed.is_none_or(|armed| due < armed)
        {
            state.armed = Some(due);
            // A full channel means that it is being woken already.
            let _ = self.wake_timer.try_send(());
        }
        if !state.is_thinking && state.jobs.has_work() {
            state.is_thinking = true;
            let _ = self.wake_thinker.try_send(());
        }
        drop(guard);
        send(receivers);
        changed
    }

    /// A checkpoint of this job is safe, or has failed: what has waited for it
    /// goes out.
    pub(super) fn checkpoint_written(&self, job: &Name, written: Written) {
        let mut receivers = Vec::new();
        let now = self.now();
        let mut guard = self.state();
        let state = &mut *guard;
        (state.observer)(now, written.notice());
        let keeper = state.keeper.as_mut();
        let released = keeper.map(|keeper| keeper.written(job, &written, &state.jobs));
        for action in released.into_iter().flatten() {
            state.perform(now, action, &mut receivers);
        }
        drop(guard);
        send(receivers);
    }

    /// A gradient of so many bytes has come whole on this connection; `take`
    /// gives it to its job.
    pub(super) fn gradient<R>(
        &self,
        conn: ConnId,
        bytes: usize,
        take: impl FnOnce(&mut Jobs, Time) -> R,
    ) -> R {
        self.change(|jobs, now| {
            let before = jobs.place(conn);
            let worker = jobs.worker(conn).unwrap_or(conn).0;
            if let Some((round, _)) = before {
                markers::gradient(worker, round.0, bytes as u64);
            }
            let taken = take(jobs, now);
            if let Some((round, false)) = before
                && jobs.place(conn) != before
            {
                markers::round_open(round.0, worker);
            }
            taken
        })
    }

    /// A worker has ended its side while its reply is owed.
    pub(super) fn half_close(&self, conn: ConnId) {
        let mut state = self.state();
        if let Some(connection) = state.connections.get(&conn) {
            let connection = Arc::clone(connection);
            state.half_closed.push(connection);
        }
        drop(state);
        self.change(|jobs, now| jobs.handle_half_close(now, conn));
    }

    /// Counts the memory that results take. If it is too much, those who
    /// have yet to read older ones than the newest lose their connections,
    /// the oldest results first.
    fn count_results(&self, state: &mut State) {
        state.results.retain(|result| result.strong_count() > 0);
        let bytes = |result: &Weak<RoundResult>| result.upgrade().map(|r| r.held_bytes());
        let held = state.results.iter().filter_map(bytes).sum();
        let mut over = self.memory.hold_results(held);
        if over == 0 {
            return;
        }
        let newest = state.results.iter().filter_map(Weak::upgrade);
        let newest = newest.map(|result| result.round()).max();
        let connections = state.connections.values();
        let mut slow: Vec<_> = connections
            .filter_map(|connection| Some((connection.unread()?, connection)))
            .filter(|(result, _)| Some(result.round()) < newest)
            .collect();
        slow.sort_by_key(|(result, connection)| (result.round(), connection.id));
        for readers in slow.chunk_by(|a, b| Arc::ptr_eq(&a.0, &b.0)) {
            if over == 0 {
                break;
            }
            for (_, connection) in readers {
                connection.condemn(Departure::SlowReader);
            }
            over = over.saturating_sub(readers[0].0.held_bytes());
        }
    }

    /// Runs the round timer, for ever.
    pub(super) async fn keep_time(&self) {
        loop {
            let armed = self.state().armed;
            let timer = async {
                match armed {
                    Some(due) => {
                        Timer::at(self.clock + due.since(Time::ZERO).into()).await;
                    }
                    None => smol::future::pending().await,
                }
                true
            };
            let woken = async {
                // The sender lives as long as this hub.
                let _ = self.timer_woken.recv().await;
                false
            };
            if timer.or(woken).await {
                self.state().armed = None;
                self.change(Jobs::handle_timeout);
            }
        }
    }

    /// Lets the policy think, for ever: a step at a time, so that a reply
    /// waits for one step at most, and with pauses, so that it takes no
    /// more than its share of the time. The first milliseconds are free of
    /// that, as rounds are worst while nothing is known.
    pub(super) async fn think(&self) {
        let mut thought = Span::ZERO;
        loop {
            // The sender lives as long as this hub.
            let _ = self.thinker_woken.recv().await;
            while let Some(took) = self.think_once() {
                thought += took;
                let pause = match thought < FREE_THOUGHT {
                    true => took,
                    false => Span::from_nanos(took.as_nanos().saturating_mul(THOUGHT_SHARE)),
                };
                Timer::after(pause.into()).await;
            }
        }
    }

    /// One step of thinking, and the time it took, its own wake-up included;
    /// `None` if there was nothing to think over.
    fn think_once(&self) -> Option<Span> {
        let mut state = self.state();
        if !state.jobs.has_work() {
            state.is_thinking = false;
            return None;
        }
        let began = self.now();
        state.jobs.handle_idle(began);
        Some(self.now() - began + WAKE_UP)
    }

    /// Puts a new connection on the roster; `None` if there are too many.
    pub(super) fn admit(
        &self,
        limit: usize,
        hello: Span,
        make: impl FnOnce(ConnId, Time) -> (Connection, std::net::SocketAddr),
    ) -> Option<Arc<Connection>> {
        let mut state = self.state();
        if state.connections.len() >= limit {
            let now = self.now();
            let squatter = state.squatter(now, hello)?;
            squatter.condemn(Departure::MadeRoom);
        }
        let id = ConnId(state.connected);
        state.connected += 1;
        let now = self.now();
        let (connection, peer) = make(id, now);
        let connection = Arc::new(connection);
        state.connections.insert(id, Arc::clone(&connection));
        (state.observer)(now, &Notice::Connected { conn: id, peer });
        drop(state);
        self.change(|jobs, now| jobs.handle_connect(now, id));
        Some(connection)
    }

    /// Takes a connection off for good.
    ///
    /// `worker` is whose gradients `claim` is for.
    pub(super) fn dismiss(&self, conn: ConnId, why: Departure, worker: ConnId, claim: Claim) {
        let mut state = self.state();
        state.orphans.push((worker, claim));
        if let Some(connection) = state.connections.remove(&conn) {
            let (received, sent) = connection.traffic();
            state.past_traffic.0 += received;
            state.past_traffic.1 += sent;
        }
        state.half_closed.retain(|other| other.id != conn);
        let notice = Notice::Disconnected { conn, why };
        (state.observer)(self.now(), &notice);
        drop(state);
        self.change(|jobs, now| jobs.handle_disconnect(now, conn));
    }

    /// Ends connections on which nothing has moved for `idle`, or for longer
    /// than their workers promised.
    pub(super) fn sweep(&self, idle: Span, hello: Span) {
        let now = self.now();
        let mut half_closed = Vec::new();
        let mut silent = Vec::new();
        for connection in self.state().connections.values() {
            if connection.sweep_departure() {
                half_closed.push(connection.id);
            }
            connection.cut_short(now);
            if connection.breaks_promise(now) {
                silent.push(connection.id);
                continue;
            }
            let Some(since) = connection.quiet_since() else {
                continue;
            };
            if now - since >= idle {
                connection.condemn(Departure::Idle(idle));
            } else if connection.is_mid_frame() && now - since >= hello {
                connection.condemn(Departure::Stalled(hello));
            }
        }
        for conn in half_closed {
            self.half_close(conn);
        }
        for conn in silent {
            self.change(|jobs, now| jobs.handle_silence(now, conn));
        }
    }

    /// Whether a round is open, or a reply on its way or waiting to be.
    pub(super) fn is_busy(&self) -> bool {
        let state = self.state();
        state.jobs.has_open_round()
            || state
                .connections
                .values()
                .any(|connection| connection.is_sending())
            || state.keeper.as_ref().is_some_and(Keeper::is_busy)
    }

    pub(super) fn open_rounds(&self) -> Vec<(Name, OpenRound)> {
        self.state().jobs.open_rounds()
    }

    /// Tells of rounds that have stood open for long.
    pub(super) fn tell_of_open_rounds(&self) {
        let now = self.now();
        let mut guard = self.state();
        let state = &mut *guard;
        for (job, open) in state.watch.due(now, state.jobs.open_rounds()) {
            (state.observer)(now, &Notice::Waiting { job, open });
        }
    }

    pub(super) fn spare_buffer(&self, conn: ConnId) -> Option<Vec<u8>> {
        self.state().jobs.spare_buffer(conn)
    }

    pub(super) fn tell(&self, notice: &Notice) {
        let now = self.now();
        (self.state().observer)(now, notice);
    }

    /// No new connections are taken from now on.
    pub(super) fn stop(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
    }

    /// Whether the server has been asked to stop.
    pub(super) fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Relaxed)
    }

    /// Saves the jobs for the last time.
    pub(super) fn finish(&self) {
        loop {
            let mut writers = match &mut self.state().keeper {
                Some(keeper) => keeper.writers(),
                None => return,
            };
            // One that has written may have been told to write again.
            match writers.is_empty() {
                true => break,
                false => writers.drain(..).for_each(smol::block_on),
            }
        }
        let now = self.now();
        let mut guard = self.state();
        let state = &mut *guard;
        if let Some(keeper) = &mut state.keeper {
            let notices = keeper.finish(&state.jobs);
            notices
                .iter()
                .for_each(|notice| (state.observer)(now, notice));
        }
    }

    /// What there is to be told of this moment.
    pub(super) fn snapshot(&self) -> Snapshot {
        let state = self.state();
        let mut jobs = state.jobs.snapshot();
        if let Some(keeper) = &state.keeper {
            for job in &mut jobs {
                job.checkpoints = keeper.stats(&job.name).cloned();
            }
        }
        let (mut received_bytes, mut sent_bytes) = state.past_traffic;
        for connection in state.connections.values() {
            let (received, sent) = connection.traffic();
            received_bytes += received;
            sent_bytes += sent;
        }
        Snapshot {
            uptime: self.now() - Time::ZERO,
            connections: state.connections.len(),
            received_bytes,
            sent_bytes,
            jobs,
        }
    }

    /// Of all jobs together.
    pub(super) fn stats(&self) -> Stats {
        let state = self.state();
        let mut all = Stats::default();
        state.jobs.stats().for_each(|(_, stats)| all.add(stats));
        all
    }

    /// The machine makes no half changes that a panic could leave behind.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

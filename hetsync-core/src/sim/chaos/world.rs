//! The network, the processes, and the clock.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::check::Check;
use super::{Disturbance, Setup, What};
use crate::aggregate::{Aggregate, Mean, Sum};
use crate::payload::Payload;
use crate::server::{Config, ConnId, Machine, Output, Planted};
use crate::sim::random::Random;
use crate::time::{Span, Time};
use crate::worker::{self, Retry, Worker};

/// Times are in microseconds here.
const STEP: u64 = 3_000;
const DELAY: u64 = 200;
/// How long a broken connection may stay unnoticed.
const UNNOTICED: u64 = 20_000;
/// After the last disturbance there is quiet for so long, in the last part
/// of which rounds must close.
const QUIET: u64 = 350_000;
const LAST: u64 = 100_000;
/// Between two steps of thinking.
const THOUGHT: u64 = 10_000;

/// A promise that was not kept.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) what: String,
    pub(super) trace: Vec<String>,
}

#[derive(Debug, Clone)]
enum Happens {
    /// At a worker's process of this generation.
    Computed(usize, u64),
    Restarts(usize),
    Retries(usize, u64),
    Connected(usize, u64),
    Broken(usize, u64),
    Answered(usize, u64, Payload),
    /// At the server.
    Connects(u64),
    Gradient(u64, Vec<f32>),
    Ends(u64),
    Gone(u64),
    /// From the schedule.
    Disturbed(usize),
}

struct Process {
    worker: Worker,
    /// Which life of this worker it is.
    life: u64,
    is_up: bool,
    conn: Option<u64>,
    slow: u64,
    slow_steps: u64,
    delay: u64,
    cut_until: u64,
    twice: bool,
    poison: bool,
    farewell: bool,
    has_left: bool,
}

struct World<'a> {
    setup: &'a Setup,
    schedule: &'a [Disturbance],
    random: Random,
    now: u64,
    sequence: u64,
    queue: BinaryHeap<Reverse<(u64, u64)>>,
    events: BTreeMap<u64, Happens>,
    machine: Machine,
    check: Check,
    processes: Vec<Process>,
    /// By connection: its worker, and when the last frame to either end is
    /// there.
    links: BTreeMap<u64, (usize, u64, u64)>,
    values: u64,
    trace: Vec<(u64, Happens)>,
    /// When there is time to think again.
    thinks: u64,
}

/// Runs a schedule.
pub(super) fn run(
    setup: &Setup,
    schedule: &[Disturbance],
    planted: Option<Planted>,
) -> Result<(), Failure> {
    let aggregate: Box<dyn Aggregate> = match setup.is_mean {
        true => Box::new(Mean),
        false => Box::new(Sum),
    };
    let mut machine = Machine::new(Config {
        workers: setup.workers,
        floats: Some(2),
        policy: setup.rule.policy(),
        aggregate,
        late: setup.late,
        ..Config::default()
    });
    if let Some(fault) = planted {
        machine.plant(fault);
    }
    let mut world = World {
        setup,
        schedule,
        random: Random::new(setup.seed, 11),
        now: 0,
        sequence: 0,
        queue: BinaryHeap::new(),
        events: BTreeMap::new(),
        machine,
        check: Check::new(setup),
        processes: Vec::new(),
        links: BTreeMap::new(),
        values: 0,
        trace: Vec::new(),
        thinks: 0,
    };
    let done = world.run();
    done.map_err(|what| {
        let trace = world.trace.iter();
        let trace = trace.map(|(at, event)| format!("{at:>9} us  {event:?}"));
        let trace = trace.collect();
        Failure { what, trace }
    })
}

impl World<'_> {
    fn run(&mut self) -> Result<(), String> {
        for who in 0..self.setup.workers {
            self.processes.push(Process {
                worker: Worker::new(retry()),
                life: 0,
                is_up: true,
                conn: None,
                slow: 1,
                slow_steps: 0,
                delay: 0,
                cut_until: 0,
                twice: false,
                poison: false,
                farewell: false,
                has_left: false,
            });
            self.sets_out(who);
            self.drain_worker(who);
        }
        let mut at = 0;
        for (index, disturbance) in self.schedule.iter().enumerate() {
            at += disturbance.after;
            self.at(at, Happens::Disturbed(index));
        }
        let end = at + QUIET;
        let mut closed_before_the_last = 0;
        loop {
            let next = self.queue.peek().map_or(u64::MAX, |Reverse((at, _))| *at);
            let timeout = self.machine.poll_timeout();
            let timeout = timeout.map_or(u64::MAX, |at| at.as_nanos().div_ceil(1000));
            let now = next.min(timeout);
            if now > end {
                break;
            }
            if now > end - LAST && closed_before_the_last == 0 {
                closed_before_the_last = self.check.closed_rounds + 1;
            }
            self.now = now;
            if next <= timeout
                && let Some(Reverse((_, sequence))) = self.queue.pop()
                && let Some(event) = self.events.remove(&sequence)
            {
                self.happens(event)?;
            } else {
                // Served to the nanosecond, as the check asks.
                let exact = self.machine.poll_timeout().unwrap_or(self.time());
                self.machine.handle_timeout(exact);
                self.drain_server(exact, None)?;
            }
            // Now and then there is time to think.
            if self.machine.has_work() && now >= self.thinks {
                self.machine.handle_idle(self.time());
                self.thinks = now + THOUGHT;
            }
        }
        self.settle(closed_before_the_last)
    }

    /// The end: rounds have closed again, and the accounts agree.
    fn settle(&self, closed_before_the_last: u64) -> Result<(), String> {
        let alive = self.processes.iter().filter(|p| p.is_up && !p.has_left);
        let closed = (self.check.closed_rounds + 1).saturating_sub(closed_before_the_last);
        if alive.count() > 0 && (closed_before_the_last == 0 || closed < 2) {
            return Err(format!("{closed} rounds closed after all was quiet again"));
        }
        let stats = self.machine.stats();
        let told = (stats.accepted, stats.late, stats.late_used, stats.rounds());
        let check = &self.check;
        let seen = (
            check.taken,
            check.late_ones,
            check.late_used,
            check.closed_rounds,
        );
        match told == seen {
            true => Ok(()),
            false => Err(format!("statistics say {told:?}, and it was {seen:?}")),
        }
    }

    fn time(&self) -> Time {
        Time::from_nanos(self.now * 1000)
    }

    fn at(&mut self, at: u64, event: Happens) {
        self.sequence += 1;
        self.queue.push(Reverse((at, self.sequence)));
        self.events.insert(self.sequence, event);
    }

    /// When a frame that is sent now on `conn` is there, in order.
    fn there(&mut self, conn: u64, to_server: bool) -> u64 {
        let jitter = (DELAY as f64 * self.random.exponential()) as u64;
        let Some((who, up, down)) = self.links.get_mut(&conn) else {
            return self.now;
        };
        let process = &self.processes[*who];
        let at = (self.now + DELAY + jitter + process.delay).max(process.cut_until);
        let last = if to_server { up } else { down };
        *last = at.max(*last + 1);
        *last
    }

    fn send_up(&mut self, conn: u64, event: Happens) {
        let at = self.there(conn, true);
        self.at(at, event);
    }

    /// The worker computes from now on.
    fn sets_out(&mut self, who: usize) {
        let noise = 0.5 + self.random.unit();
        let process = &mut self.processes[who];
        let slow = match process.slow_steps {
            0 => 1,
            _ => {
                process.slow_steps -= 1;
                process.slow
            }
        };
        let at = self.now + (STEP as f64 * noise) as u64 * slow;
        let life = process.life;
        self.at(at, Happens::Computed(who, life));
    }

    fn happens(&mut self, event: Happens) -> Result<(), String> {
        // Written out only if it is wanted.
        self.trace.push((self.now, event.clone()));
        match event {
            Happens::Computed(who, life) => self.computed(who, life),
            Happens::Restarts(who) => {
                self.processes[who].is_up = true;
                self.processes[who].worker = Worker::new(retry());
                self.sets_out(who);
                self.drain_worker(who);
            }
            Happens::Retries(who, life) if self.processes[who].life == life => {
                let now = self.time();
                self.processes[who].worker.handle_timeout(now);
                self.drain_worker(who);
            }
            Happens::Connected(who, conn) if self.processes[who].conn == Some(conn) => {
                self.processes[who].worker.handle_connected();
                self.drain_worker(who);
            }
            Happens::Broken(who, conn) => self.broken(who, conn),
            Happens::Answered(who, conn, result) if self.processes[who].conn == Some(conn) => {
                let now = self.time();
                self.processes[who].worker.handle_result(now, result);
                self.drain_worker(who);
            }
            Happens::Connects(conn) => {
                let now = self.time();
                self.machine.handle_connect(now, ConnId(conn));
                self.check.connected(conn);
                return self.drain_server(now, None);
            }
            Happens::Gradient(conn, floats) => {
                let now = self.time();
                let payload = Payload::from_floats(&floats);
                self.machine
                    .handle_gradient(now, ConnId(conn), None, payload);
                return self.drain_server(now, Some((conn, floats)));
            }
            Happens::Ends(conn) => {
                let now = self.time();
                self.machine.handle_half_close(now, ConnId(conn));
                return self.drain_server(now, None);
            }
            Happens::Gone(conn) => {
                let now = self.time();
                self.machine.handle_disconnect(now, ConnId(conn));
                return self.drain_server(now, None);
            }
            Happens::Disturbed(index) => self.disturb(self.schedule[index]),
            _ => {}
        }
        Ok(())
    }

    fn computed(&mut self, who: usize, life: u64) {
        let process = &mut self.processes[who];
        if process.life != life || !process.is_up || process.has_left {
            return;
        }
        self.values += 1;
        // Sums of these depend on the order in which they are added.
        let value = (self.values as f32).sin() * 1e4;
        let second = match std::mem::take(&mut process.poison) {
            true => f32::NAN,
            false => 1.0 / value,
        };
        // Its own answer is what makes it compute, so it is never busy.
        let _ = process.worker.push(Payload::from_floats(&[value, second]));
        self.drain_worker(who);
    }

    fn drain_worker(&mut self, who: usize) {
        while let Some(output) = self.processes[who].worker.poll_output() {
            match output {
                worker::Output::Connect => {
                    let conn = self.links.len() as u64;
                    self.links.insert(conn, (who, self.now, self.now));
                    self.processes[who].conn = Some(conn);
                    self.send_up(conn, Happens::Connects(conn));
                    let at = self.there(conn, false);
                    self.at(at, Happens::Connected(who, conn));
                }
                worker::Output::Send(payload) => self.send(who, &payload),
                worker::Output::Deliver(_) | worker::Output::Lost => self.sets_out(who),
                worker::Output::GaveUp => {}
            }
        }
        let process = &self.processes[who];
        if let Some(at) = process.worker.poll_timeout() {
            let life = process.life;
            let at = at.as_nanos().div_ceil(1000).max(self.now);
            self.at(at, Happens::Retries(who, life));
        }
    }

    fn send(&mut self, who: usize, payload: &Payload) {
        let Some(conn) = self.processes[who].conn else {
            return;
        };
        let floats = payload.to_floats();
        let gradient = Happens::Gradient(conn, floats);
        if std::mem::take(&mut self.processes[who].twice) {
            self.send_up(conn, gradient.clone());
        }
        self.send_up(conn, gradient);
        if self.processes[who].farewell {
            self.processes[who].has_left = true;
            self.send_up(conn, Happens::Ends(conn));
        }
    }

    /// The worker learns that its connection is no more.
    fn broken(&mut self, who: usize, conn: u64) {
        if self.processes[who].conn == Some(conn) && self.processes[who].is_up {
            self.processes[who].conn = None;
            let now = self.time();
            self.processes[who].worker.handle_disconnected(now);
            self.drain_worker(who);
        }
    }

    fn disturb(&mut self, disturbance: Disturbance) {
        let Disturbance { who, what, .. } = disturbance;
        let conn = self.processes[who].conn;
        match (what, conn) {
            (What::Break, Some(conn)) => {
                self.send_up(conn, Happens::Gone(conn));
                self.broken(who, conn);
            }
            (What::HalfOpen, Some(conn)) => {
                self.at(self.now + UNNOTICED, Happens::Gone(conn));
                self.broken(who, conn);
            }
            (What::Crash(down), conn) => {
                if !self.processes[who].is_up {
                    return;
                }
                if let Some(conn) = conn {
                    self.send_up(conn, Happens::Gone(conn));
                }
                let process = &mut self.processes[who];
                process.conn = None;
                process.is_up = false;
                process.life += 1;
                process.has_left = false;
                process.farewell = false;
                self.at(self.now + down, Happens::Restarts(who));
            }
            (What::Partition(long), _) => self.processes[who].cut_until = self.now + long,
            (What::Delay(long), _) => self.processes[who].delay = long,
            (What::Slow(factor), _) => {
                self.processes[who].slow = factor;
                self.processes[who].slow_steps = 3;
            }
            (What::Twice, _) => self.processes[who].twice = true,
            (What::Poison, _) => self.processes[who].poison = true,
            (What::Farewell, _) => self.processes[who].farewell = true,
            (What::Break | What::HalfOpen, None) => {}
        }
    }

    fn drain_server(&mut self, now: Time, came: Option<(u64, Vec<f32>)>) -> Result<(), String> {
        let mut outputs = Vec::new();
        while let Some(output) = self.machine.poll_output() {
            outputs.push(output);
        }
        self.check.outputs(now, came, &outputs)?;
        let most = 3 * self.links.len().min(2 * self.setup.workers + 8);
        if self.machine.buffers_held() > most {
            let held = self.machine.buffers_held();
            return Err(format!("{held} buffers are held"));
        }
        for output in outputs {
            match output {
                Output::Deliver { to, result } => {
                    let who = self.links.get(&to.0).map_or(0, |link| link.0);
                    let at = self.there(to.0, false);
                    let answer = Happens::Answered(who, to.0, result.payload());
                    self.at(at, answer);
                }
                Output::Disconnect { conn } => {
                    let who = self.links.get(&conn.0).map_or(0, |link| link.0);
                    let at = self.there(conn.0, false);
                    self.at(at, Happens::Broken(who, conn.0));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn retry() -> Retry {
    Retry {
        first: Span::from_millis(1),
        max: Span::from_millis(8),
        attempts: u32::MAX,
    }
}

//! The shipped server in virtual time: the same [`Machine`], the same
//! policies; workers whose steps take what a [`World`] says.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::world::World;
use crate::payload::Payload;
use crate::policy::Policy;
use crate::policy::model::{NEVER, Source, Tally};
use crate::server::{Config, ConnId, Event, Machine, Output};
use crate::time::Time;

/// Time that a step of thinking takes, with its wake-up, and by how much more
/// with each worker: measured, on a busy machine.
const THOUGHT: u64 = 10_000;
const THOUGHT_EACH: u64 = 450;
/// How much of the time may go into thinking, as the shell has it.
const THOUGHT_SHARE: u64 = 100;
/// At the beginning it may think so long at once.
const FREE_THOUGHT: u64 = 10_000_000;

/// Runs `policy` on `world` to the horizon.
pub(crate) fn drive(world: &World, policy: Box<dyn Policy>) -> Tally {
    Drive::new(world, policy).run()
}

struct Drive<'a> {
    world: &'a World,
    steps: super::world::Steps<'a>,
    machine: Machine,
    /// When whose gradient comes.
    due: BinaryHeap<Reverse<(u64, usize)>>,
    tally: Tally,
    taken: u64,
    /// When the next thought may be had.
    thinks: u64,
    /// How long it has thought.
    thought: u64,
}

impl<'a> Drive<'a> {
    fn new(world: &'a World, policy: Box<dyn Policy>) -> Self {
        let machine = Machine::new(Config {
            workers: world.workers.len(),
            floats: Some(1),
            policy,
            ..Config::default()
        });
        Self {
            world,
            steps: world.steps(),
            machine,
            due: BinaryHeap::new(),
            tally: Tally::default(),
            taken: 0,
            thinks: 0,
            thought: 0,
        }
    }

    fn run(mut self) -> Tally {
        for worker in 0..self.world.workers.len() {
            self.machine
                .handle_connect(Time::ZERO, ConnId(worker as u64));
            self.set_out(worker, 0);
        }
        self.drain(0);
        loop {
            let comes = self.due.peek().map_or(NEVER, |Reverse((at, _))| *at);
            let timeout = self.machine.poll_timeout().map_or(NEVER, Time::as_nanos);
            let thinks = match self.machine.has_work() {
                true => self.thinks.max(self.tally.end),
                false => NEVER,
            };
            let now = comes.min(timeout).min(thinks);
            if now > self.world.horizon {
                return self.tally;
            }
            let at = Time::from_nanos(now);
            if thinks < comes && thinks < timeout {
                self.machine.handle_idle(at);
                let took = THOUGHT + THOUGHT_EACH * self.world.workers.len() as u64;
                self.thought += took;
                let pause = match self.thought < FREE_THOUGHT {
                    true => 1,
                    false => THOUGHT_SHARE,
                };
                self.thinks = now + took * pause;
                continue;
            }
            self.tally.end = now;
            if comes <= timeout
                && let Some(Reverse((_, worker))) = self.due.pop()
            {
                let conn = ConnId(worker as u64);
                let payload = Payload::from_floats(&[1.0]);
                self.machine.handle_gradient(at, conn, None, payload);
            } else {
                self.machine.handle_timeout(at);
            }
            self.drain(now);
        }
    }

    fn set_out(&mut self, worker: usize, now: u64) {
        let at = now.saturating_add(self.steps.next(worker, now));
        if at <= self.world.horizon {
            self.due.push(Reverse((at, worker)));
        }
    }

    fn drain(&mut self, now: u64) {
        // Late ones are told of; the others are counted.
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Deliver { to, .. } => self.set_out(to.0 as usize, now),
                Output::Event(Event::Late { missed, .. }) => self.tally.count(missed),
                Output::Event(Event::Closed(_)) => self.tally.rounds += 1,
                _ => {}
            }
        }
        while self.taken < self.machine.stats().accepted {
            self.taken += 1;
            self.tally.count(0);
        }
    }
}

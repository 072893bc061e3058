//! Workers that take their time: how long each step of each takes.
//!
//! A step's time follows from the seed, the worker, the number of the step
//! and, where the world changes, the moment it begins. It does not depend
//! on the rule that is tried, so that all rules meet the same luck.

use super::random::Random;
use crate::policy::model::{NEVER, Source};

/// Steps that a scenario lasts, of mean length.
pub(crate) const STEPS: u64 = 400;

/// How the time of a step varies by itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Noise {
    /// Normal, with this deviation relative to the mean.
    Normal(f64),
    /// Pareto with this exponent, of mean 1.
    Pareto(f64),
}

/// One worker's habits. Factors multiply.
#[derive(Debug, Clone)]
pub(crate) struct Habits {
    /// Mean time of a step, in nanoseconds.
    pub(crate) pace: f64,
    pub(crate) noise: Noise,
    /// Now and then a step takes so many times longer: chance and factor.
    pub(crate) transient: (f64, f64),
    /// Slow for a while, and then not: from, until, factor; in order.
    pub(crate) spells: Vec<(u64, u64, f64)>,
    /// By the end its steps take so many times longer, or less.
    pub(crate) drift: f64,
    /// Delay of the network for each turnaround, and the chance and length
    /// of a hold-up, in nanoseconds.
    pub(crate) delay: f64,
    pub(crate) hold_up: (f64, f64),
    /// Sends nothing that would come after this.
    pub(crate) dies: u64,
}

impl Habits {
    pub(crate) fn even(pace: f64, deviation: f64) -> Self {
        Self {
            pace,
            noise: Noise::Normal(deviation),
            transient: (0.0, 1.0),
            spells: Vec::new(),
            drift: 1.0,
            delay: 0.0,
            hold_up: (0.0, 0.0),
            dies: NEVER,
        }
    }
}

/// A scenario: some workers, and how long they are watched.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) workers: Vec<Habits>,
    /// In nanoseconds.
    pub(crate) horizon: u64,
}

impl World {
    /// Its steps from the beginning.
    pub(crate) fn steps(&self) -> Steps<'_> {
        Steps {
            world: self,
            taken: vec![0; self.workers.len()],
            longest: 0,
        }
    }

    fn took(&self, worker: usize, step: u64, start: u64) -> u64 {
        let habits = &self.workers[worker];
        let mut random = Random::new(self.seed, ((worker as u64) << 40) | step);
        let noise = match habits.noise {
            Noise::Normal(deviation) => 1.0 + deviation * random.normal(),
            Noise::Pareto(exponent) => {
                let low = (exponent - 1.0) / exponent;
                low / (1.0 - random.unit()).powf(1.0 / exponent)
            }
        };
        let mut took = habits.pace * noise.max(0.1);
        if random.chance(habits.transient.0) {
            took *= habits.transient.1;
        }
        let spells = &habits.spells;
        let after = spells.partition_point(|(from, _, _)| *from <= start);
        for (_, until, factor) in &spells[after.saturating_sub(1)..after] {
            if start < *until {
                took *= factor;
            }
        }
        if habits.drift != 1.0 {
            took *= habits.drift.powf(start as f64 / self.horizon as f64);
        }
        took += habits.delay;
        if random.chance(habits.hold_up.0) {
            took += habits.hold_up.1 * random.exponential();
        }
        let took = took.max(1.0) as u64;
        match start.saturating_add(took) > habits.dies {
            true => NEVER,
            false => took,
        }
    }
}

/// The steps of a world, taken one by one.
#[derive(Debug)]
pub(crate) struct Steps<'a> {
    world: &'a World,
    taken: Vec<u64>,
    /// The longest step so far.
    pub(crate) longest: u64,
}

impl Source for Steps<'_> {
    fn next(&mut self, worker: usize, start: u64) -> u64 {
        let step = self.taken[worker];
        self.taken[worker] += 1;
        let took = self.world.took(worker, step, start);
        if took != NEVER {
            self.longest = self.longest.max(took);
        }
        took
    }
}

//! Scenarios drawn at random, by family.

use super::random::Random;
use super::world::{Habits, Noise, STEPS, World};

/// What is the matter with the workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// Nothing but jitter.
    Even,
    /// Some are dead from the start, or die.
    Dead,
    /// Some are slower, always.
    Slow,
    /// No two are equally fast.
    Spread,
    /// Some get slower or faster, bit by bit.
    Drifting,
    /// Some are slow for a while, then not, then again.
    Toggling,
    /// Single steps take much longer.
    Transient,
    /// The times of steps have a heavy tail.
    HeavyTailed,
    /// All get slower at the same time.
    Correlated,
    /// The network delays, and holds up now and then.
    Delayed,
    /// Two or three of these together.
    Mixed,
}

impl Family {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Even,
        Self::Dead,
        Self::Slow,
        Self::Spread,
        Self::Drifting,
        Self::Toggling,
        Self::Transient,
        Self::HeavyTailed,
        Self::Correlated,
        Self::Delayed,
        Self::Mixed,
    ];

    /// The word used in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Even => "even",
            Self::Dead => "dead",
            Self::Slow => "slow",
            Self::Spread => "spread",
            Self::Drifting => "drifting",
            Self::Toggling => "toggling",
            Self::Transient => "transient",
            Self::HeavyTailed => "heavy-tailed",
            Self::Correlated => "correlated",
            Self::Delayed => "delayed",
            Self::Mixed => "mixed",
        }
    }
}

/// Draws the scenario of this seed.
pub(crate) fn draw(family: Family, seed: u64) -> World {
    let mut random = Random::new(seed, 1);
    let workers = random.log_within(4.0, 65.0) as usize;
    let pace = random.log_within(1e6, 10e9);
    let deviation = random.within(0.0, 0.5);
    let mut world = World {
        seed: random.next(),
        workers: vec![Habits::even(pace, deviation); workers],
        horizon: (pace * STEPS as f64) as u64,
    };
    match family {
        Family::Mixed => {
            let kinds = 2 + random.below(2);
            for _ in 0..kinds {
                // The first is even, the last is this one.
                let kind = 1 + random.below(Family::ALL.len() as u64 - 2) as usize;
                afflict(&mut world, Family::ALL[kind], &mut random);
            }
        }
        family => afflict(&mut world, family, &mut random),
    }
    world
}

fn afflict(world: &mut World, family: Family, random: &mut Random) {
    let count = world.workers.len();
    // How many it hits: from one to nearly all.
    let hit = 1 + random.below(count as u64 - 1) as usize;
    let mut order: Vec<usize> = (0..count).collect();
    for i in (1..count).rev() {
        order.swap(i, random.below(i as u64 + 1) as usize);
    }
    let horizon = world.horizon;
    let pace = world.workers[0].pace;
    let dead_from_the_start = random.chance(0.5);
    let factor = random.log_within(1.5, 30.0);
    let chance = random.log_within(0.01, 0.2);
    match family {
        Family::Even | Family::Mixed => {}
        Family::Dead => {
            for worker in &order[..hit] {
                world.workers[*worker].dies = match dead_from_the_start {
                    true => 0,
                    false => random.below(horizon),
                };
            }
        }
        Family::Slow => {
            for worker in &order[..hit] {
                world.workers[*worker].pace *= factor;
            }
        }
        Family::Spread => {
            let most = random.within(1.2, 5.0);
            for worker in &mut world.workers {
                worker.pace *= random.within(1.0, most);
            }
        }
        Family::Drifting => {
            for worker in &order[..hit] {
                world.workers[*worker].drift = random.log_within(0.25, 4.0);
            }
        }
        Family::Toggling => {
            let dwell = random.log_within(5.0, 100.0) * pace;
            for worker in &order[..hit] {
                let spells = spells(horizon, dwell, factor, random);
                world.workers[*worker].spells = spells;
            }
        }
        Family::Transient => {
            let factor = random.log_within(2.0, 30.0);
            for worker in &mut world.workers {
                worker.transient = (chance, factor);
            }
        }
        Family::HeavyTailed => {
            let exponent = random.within(1.3, 3.0);
            for worker in &mut world.workers {
                worker.noise = Noise::Pareto(exponent);
            }
        }
        Family::Correlated => {
            let dwell = random.log_within(5.0, 100.0) * pace;
            let factor = random.log_within(1.5, 8.0);
            let spells = spells(horizon, dwell, factor, random);
            for worker in &mut world.workers {
                worker.spells.clone_from(&spells);
            }
        }
        Family::Delayed => {
            let hold_up = (chance, random.log_within(0.1, 5.0) * pace);
            for worker in &mut world.workers {
                worker.delay = random.within(0.0, 0.5) * pace;
                worker.hold_up = hold_up;
            }
        }
    }
}

/// Alternating stretches of `dwell` on average; slow ones last as long.
fn spells(horizon: u64, dwell: f64, factor: f64, random: &mut Random) -> Vec<(u64, u64, f64)> {
    let mut spells = Vec::new();
    let mut at = 0.0;
    if random.chance(0.5) {
        at += dwell * random.exponential();
    }
    while at < horizon as f64 {
        let until = at + dwell * random.exponential();
        spells.push((at as u64, until as u64, factor));
        at = until + dwell * random.exponential();
    }
    spells
}

//! Scenes with names: four workers, 100 ms a step, one thing the matter.

use super::hindsight;
use super::world::{Habits, World};
use super::{Outcome, drive};
use crate::policy::Policy;
use crate::time::Span;

/// Rounds that a scene lasts if nobody is slow.
const ROUNDS: u64 = 1500;
const STEP: f64 = 100e6;
/// Those who die do so here, well after the start.
const DEATH: u64 = 5_000_000_000;

/// What is the matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scene {
    /// Nothing; steps vary by 5 %.
    NoneSlow,
    /// So many die.
    Dead(usize),
    /// One needs 5 s a step.
    OneAtFiveSeconds,
    /// One needs twice as long.
    OneTwiceAsSlow,
    /// One step in twenty takes ten times as long.
    SlowSteps,
    /// From half time on all need three times as long.
    AllSlower,
    /// One needs ten times as long for some seconds, and then not.
    OneToggles,
}

impl Scene {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::NoneSlow,
        Self::Dead(1),
        Self::Dead(2),
        Self::Dead(3),
        Self::OneAtFiveSeconds,
        Self::OneTwiceAsSlow,
        Self::SlowSteps,
        Self::AllSlower,
        Self::OneToggles,
    ];

    /// In words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoneSlow => "none slow (5 % jitter)",
            Self::Dead(1) => "one dies",
            Self::Dead(2) => "two die",
            Self::Dead(_) => "three die",
            Self::OneAtFiveSeconds => "one needs 5 s a step",
            Self::OneTwiceAsSlow => "one twice as slow",
            Self::SlowSteps => "5 % of steps ten times slower",
            Self::AllSlower => "all three times slower halfway",
            Self::OneToggles => "one ten times slower at times",
        }
    }

    /// How `policy` does here.
    pub fn run(self, seed: u64, policy: Box<dyn Policy>) -> Outcome {
        let world = self.world(seed);
        Outcome::of(&world, drive::drive(&world, policy))
    }

    /// How the server does here that the fixed deadline comes from: it
    /// always waits for all four, or for `wait`.
    pub fn run_original(self, seed: u64, wait: Span) -> Outcome {
        let world = self.world(seed);
        let tally = hindsight::original(&world, wait.as_nanos());
        Outcome::of(&world, tally)
    }

    fn world(self, seed: u64) -> World {
        let horizon = ROUNDS * STEP as u64;
        let mut workers = vec![Habits::even(STEP, 0.05); 4];
        match self {
            Self::NoneSlow => {}
            Self::Dead(count) => workers.iter_mut().take(count).for_each(|w| w.dies = DEATH),
            Self::OneAtFiveSeconds => workers[0].pace = 5e9,
            Self::OneTwiceAsSlow => workers[0].pace *= 2.0,
            Self::SlowSteps => workers.iter_mut().for_each(|w| w.transient = (0.05, 10.0)),
            Self::AllSlower => workers
                .iter_mut()
                .for_each(|w| w.spells = vec![(horizon / 2, horizon, 3.0)]),
            Self::OneToggles => {
                let spell = |start: u64| (start, start + horizon / 20, 10.0);
                workers[0].spells = (0..10).map(|i| spell(horizon / 10 * i)).collect();
            }
        }
        World {
            seed,
            workers,
            horizon,
        }
    }
}

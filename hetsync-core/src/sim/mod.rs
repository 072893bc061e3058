//! Closing rules tried in virtual time, on workers of every kind.
//!
//! The server that closes the rounds is the shipped one, with the shipped
//! rules; the workers take their time as a seed has it. A rule is judged by
//! the useful gradients that it brings in 400 steps of mean length, its
//! learning included: one that came in time counts 1, one that is `a` rounds
//! late `1/(1+a)^2`, or `1/(1+a)` by a milder judge. The yardstick is the
//! best of 50 fixed deadlines, chosen in hindsight for the very scenario.
//!
//! Thinking costs time here too: a rule that learns gets its steps of
//! thinking when the real server would give them.

#[cfg(test)]
mod chaos;
mod drive;
mod ewma;
mod family;
mod hindsight;
mod random;
mod scene;
mod world;

pub use ewma::Ewma;
pub use family::Family;
pub use scene::Scene;

use crate::policy::Policy;
use crate::policy::model::Tally;
use world::World;

/// Fixed deadlines that the yardstick is the best of.
const DEADLINES: usize = 50;

/// How a rule did in one scene.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// Rounds closed per second.
    pub rounds_per_s: f64,
    /// Share of the gradients that came in time.
    pub fresh: f64,
    /// Nothing happened in the second half.
    pub is_stuck: bool,
}

impl Outcome {
    fn of(world: &World, tally: Tally) -> Self {
        Self {
            rounds_per_s: tally.rounds as f64 * 1e9 / world.horizon as f64,
            fresh: tally.fresh_share(),
            is_stuck: tally.end < world.horizon / 2,
        }
    }
}

/// How a rule did in one scenario that was drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Judged {
    /// Useful gradients, as a ratio to the best fixed deadline of the server
    /// that it comes from, which always waits for all workers.
    pub ratio: f64,
    /// The same by the milder judge.
    pub mild: f64,
    /// As a ratio to the best fixed deadline in this server, which does not
    /// wait for a worker that has missed its round.
    pub ratio_here: f64,
    /// The same by the milder judge.
    pub mild_here: f64,
    /// Share of the gradients that came in time.
    pub fresh: f64,
}

/// A scenario that was drawn, and how the best fixed deadlines do in it.
#[derive(Debug)]
pub struct Scenario {
    world: World,
    best: hindsight::Hindsight,
}

impl Scenario {
    /// The scenario of this family and seed.
    pub fn draw(family: Family, seed: u64) -> Self {
        let world = family::draw(family, seed);
        let best = hindsight::hindsight(&world, DEADLINES);
        Self { world, best }
    }

    /// Tries a rule.
    pub fn judge(&self, policy: Box<dyn Policy>) -> Judged {
        let tally = drive::drive(&self.world, policy);
        // Where no gradient ever comes, all rules are alike.
        let ratio = |own: f64, best: f64| own.max(1.0) / best.max(1.0);
        let best = &self.best;
        Judged {
            ratio: ratio(tally.useful, best.original.0),
            mild: ratio(tally.mild, best.original.1),
            ratio_here: ratio(tally.useful, best.ours.0),
            mild_here: ratio(tally.mild, best.ours.1),
            fresh: tally.fresh_share(),
        }
    }

    /// How many workers there are.
    pub fn workers(&self) -> usize {
        self.world.workers.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::model::Board;
    use crate::policy::{Deadline, Replay};
    use crate::time::Span;

    #[test]
    fn the_quick_model_and_the_real_machine_agree_to_the_nanosecond() {
        for seed in 0..44 {
            let family = Family::ALL[seed as usize % Family::ALL.len()];
            let mut world = family::draw(family, seed);
            world.horizon /= 8;
            let step = world.horizon / (world::STEPS / 8);
            for wait in [0, step / 10, step, 4 * step] {
                let policy = Box::new(Deadline::new(Span::from_nanos(wait)));
                let machine = drive::drive(&world, policy);
                let (model, _) = hindsight::ours(&mut Board::default(), &world, wait);
                assert_eq!(machine, model, "{family:?} {seed} {wait}");
            }
        }
    }

    #[test]
    fn replay_survives_deaths_and_spoils_nothing_when_all_is_well() {
        for (scene, rate, fresh) in [
            (Scene::NoneSlow, 9.0, 0.95),
            (Scene::Dead(1), 9.0, 0.95),
            (Scene::Dead(2), 9.0, 0.95),
            (Scene::Dead(3), 9.0, 0.95),
            (Scene::OneAtFiveSeconds, 9.0, 0.95),
        ] {
            let outcome = scene.run(1, Box::new(Replay::new()));
            assert!(outcome.rounds_per_s >= rate, "{scene:?}: {outcome:?}");
            assert!(outcome.fresh >= fresh, "{scene:?}: {outcome:?}");
        }
    }

    #[test]
    fn a_seed_gives_the_same_verdict_again() {
        let judge = |seed| Scenario::draw(Family::Slow, seed).judge(Box::new(Replay::new()));
        let seed = (0..).find(|s| Scenario::draw(Family::Slow, *s).workers() < 8);
        let seed = seed.expect("there are small ones");
        assert_eq!(judge(seed), judge(seed));
    }
}

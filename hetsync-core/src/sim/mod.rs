//! Closing rules tried in virtual time, on workers of every kind.

mod drive;
mod family;
mod hindsight;
mod random;
mod world;

pub use family::Family;

use crate::policy::Policy;

/// How a rule did on one scenario.
#[derive(Debug, Clone, Copy)]
pub struct Judged {
    /// What was the matter.
    pub family: Family,
    /// Which one.
    pub seed: u64,
    /// Useful gradients, as a ratio to the best fixed deadline in hindsight.
    pub ratio: f64,
    /// The same by the milder discount.
    pub mild: f64,
    /// Both, as a ratio to the best fixed deadline in this server.
    pub ours: (f64, f64),
    /// Share of the gradients that came in time.
    pub fresh: f64,
    /// Workers.
    pub workers: usize,
    /// Mean step, seconds.
    pub step_s: f64,
}

/// Tries a rule.
pub fn judge(family: Family, seed: u64, policy: Box<dyn Policy>) -> Judged {
    let world = family::draw(family, seed);
    let tally = drive::drive(&world, policy);
    let best = hindsight::hindsight(&world, 50);
    Judged {
        family,
        seed,
        ratio: tally.useful / best.original.0.max(1.0),
        mild: tally.mild / best.original.1.max(1.0),
        ours: (
            tally.useful / best.ours.0.max(1.0),
            tally.mild / best.ours.1.max(1.0),
        ),
        fresh: tally.fresh as f64 / (tally.fresh + tally.late).max(1) as f64,
        workers: world.workers.len(),
        step_s: world.horizon as f64 / 400e9,
    }
}

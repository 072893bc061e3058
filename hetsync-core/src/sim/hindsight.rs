//! The yardstick: fixed deadlines, the best of them chosen in hindsight.
//!
//! Two kinds of server are tried with each. One is ours. The other is the
//! one that the deadline comes from: it always waits for all the workers
//! that there ever were, and takes a late gradient as if it were of the
//! round that is open.

use super::world::{STEPS, World};
use crate::policy::model::{Board, NEVER, Play, Source, Tally, Until};

/// What the best fixed deadlines came to, in useful gradients, by the strict
/// discount and by the mild one.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Hindsight {
    pub(crate) original: (f64, f64),
    pub(crate) ours: (f64, f64),
}

/// Tries so many fixed deadlines, from none at all to longer than any step.
pub(crate) fn hindsight(world: &World, count: usize) -> Hindsight {
    let mut board = Board::default();
    let (first, longest) = ours(&mut board, world, 0);
    let mut best = Hindsight::default();
    let mut note = |original: Tally, ours: Tally| {
        let better = |best: &mut (f64, f64), tally: Tally| {
            best.0 = best.0.max(tally.useful);
            best.1 = best.1.max(tally.mild);
        };
        better(&mut best.original, original);
        better(&mut best.ours, ours);
    };
    note(original(world, 0), first);
    let bottom = (world.horizon / STEPS) as f64 * 0.01;
    let top = (longest as f64 * 1.1).max(bottom * 2.0);
    let ratio = (top / bottom).powf(1.0 / (count - 2) as f64);
    for i in 0..count - 1 {
        let wait = (bottom * ratio.powi(i as i32)) as u64;
        note(original(world, wait), ours(&mut board, world, wait).0);
    }
    best
}

/// A fixed deadline in our server; and the longest step that was seen.
pub(crate) fn ours(board: &mut Board, world: &World, wait: u64) -> (Tally, u64) {
    let workers = world.workers.len();
    let until = Until {
        time: world.horizon,
        gradients: NEVER,
    };
    let rule = Play {
        wait,
        enough: usize::MAX,
    };
    let mut steps = world.steps();
    let tally = board.play(&mut steps, (workers, workers), rule, 0, until);
    (tally, steps.longest)
}

/// A fixed deadline in the server that it comes from.
pub(crate) fn original(world: &World, wait: u64) -> Tally {
    let workers = world.workers.len();
    let mut steps = world.steps();
    let mut due: Vec<u64> = (0..workers).map(|w| steps.next(w, 0)).collect();
    let mut on = vec![0; workers];
    let mut staged: Vec<usize> = Vec::new();
    let mut tally = Tally::default();
    let mut closes = NEVER;
    loop {
        let earliest = (0..workers).min_by_key(|w| due[*w]).unwrap_or(0);
        let now = due[earliest].min(closes);
        if now > world.horizon {
            return tally;
        }
        tally.end = now;
        if due[earliest] <= closes {
            if staged.is_empty() {
                closes = now.saturating_add(wait);
            }
            tally.count(tally.rounds - on[earliest]);
            staged.push(earliest);
            due[earliest] = NEVER;
        }
        if staged.len() == workers || now >= closes {
            tally.rounds += 1;
            closes = NEVER;
            for worker in staged.drain(..) {
                on[worker] = tally.rounds;
                due[worker] = now.saturating_add(steps.next(worker, now));
            }
        }
    }
}

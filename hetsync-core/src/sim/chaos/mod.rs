//! The shipped server and the shipped workers on a network that fails, in
//! virtual time, by a seed.
//!
//! A schedule is a setup and a list of disturbances: connections lost at
//! once or unnoticed, partitions, delays, crashes and restarts, slow steps,
//! frames sent twice, farewells, poison. Connections carry frames in order,
//! as TCP does; across connections anything overtakes anything. After the
//! last disturbance there is quiet, in which rounds must close again.
//!
//! [`check`] watches what goes into the server and what comes out, and knows
//! nothing of its inside. A schedule that fails is made as short as it can
//! be made and still fail, and is told with its trace.
//!
//! `SCHEDULES=100000` in the environment runs that many, `SCHEDULES_SEED`
//! others.

mod check;
mod shrink;
mod world;

use super::random::Random;
use crate::policy::Rule;
use crate::server::Late;

/// What a run is given.
#[derive(Debug, Clone)]
pub(super) struct Setup {
    pub(super) workers: usize,
    pub(super) rule: Rule,
    pub(super) late: Late,
    pub(super) is_mean: bool,
    /// Seed of delays and times of steps.
    pub(super) seed: u64,
}

/// Something goes wrong at worker `who`, `after` microseconds after the
/// disturbance before.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Disturbance {
    pub(super) after: u64,
    pub(super) who: usize,
    pub(super) what: What,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum What {
    /// The connection breaks, and both ends see it soon.
    Break,
    /// The connection breaks, and the server sees it much later.
    HalfOpen,
    /// The process dies, and is started again after so many microseconds.
    Crash(u64),
    /// Nothing passes for so long.
    Partition(u64),
    /// Each frame takes so much longer.
    Delay(u64),
    /// The next steps take so many times longer.
    Slow(u64),
    /// The next gradient arrives twice.
    Twice,
    /// The next gradient holds a NaN.
    Poison,
    /// It ends its sending side after its next gradient.
    Farewell,
}

/// Draws the schedule of a seed.
pub(super) fn draw(seed: u64) -> (Setup, Vec<Disturbance>) {
    let mut random = Random::new(seed, 7);
    let workers = 1 + random.below(5) as usize;
    let rules = [
        "deadline(30ms)",
        "deadline(5ms)",
        "first_of(deadline(40ms), quorum(2/3, grace=2ms))",
        "ceiling(50ms, replay)",
        "ceiling(60ms, all_of(staleness(2), quorum(1)))",
        "floor(1ms, deadline(25ms))",
    ];
    let text = rules[random.below(rules.len() as u64) as usize];
    let late = [Late::Drop, Late::NextRound, Late::Inverse, Late::Power(0.5)];
    let setup = Setup {
        workers,
        rule: text.parse().unwrap_or(Rule::Replay),
        late: late[random.below(4) as usize],
        is_mean: random.chance(0.5),
        seed: random.next(),
    };
    let count = random.below(10) as usize;
    let disturbances = (0..count).map(|_| {
        let long = random.log_within(100.0, 60_000.0) as u64;
        let what = match random.below(9) {
            0 => What::Break,
            1 => What::HalfOpen,
            2 => What::Crash(long),
            3 => What::Partition(long),
            4 => What::Delay(long / 4),
            5 => What::Slow(2 + random.below(12)),
            6 => What::Twice,
            7 => What::Poison,
            _ => What::Farewell,
        };
        Disturbance {
            after: random.log_within(1.0, 40_000.0) as u64,
            who: random.below(workers as u64) as usize,
            what,
        }
    });
    let disturbances = disturbances.collect();
    (setup, disturbances)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::Planted;

    fn number(variable: &str, default: u64) -> u64 {
        let text = std::env::var(variable).ok();
        text.and_then(|text| text.parse().ok()).unwrap_or(default)
    }

    /// Runs the schedules of these seeds; tells of the first that fails.
    fn search(seeds: std::ops::Range<u64>, planted: Option<Planted>) -> Option<(u64, String)> {
        for seed in seeds {
            let (setup, disturbances) = draw(seed);
            if let Err(failure) = world::run(&setup, &disturbances, planted) {
                let told = match planted {
                    Some(_) => failure.what,
                    None => shrink::shortest(&setup, disturbances),
                };
                return Some((seed, told));
            }
        }
        None
    }

    #[test]
    fn schedules_keep_every_promise() {
        let count = number("SCHEDULES", 10_000);
        let first = number("SCHEDULES_SEED", 1) << 32;
        let halves = [first..first + count / 2, first + count / 2..first + count];
        std::thread::scope(|scope| {
            let runs = halves.map(|seeds| scope.spawn(|| search(seeds, None)));
            for run in runs {
                match run.join() {
                    Ok(None) => {}
                    Ok(Some((seed, told))) => panic!("schedule {seed} fails:\n{told}"),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
        });
    }

    #[test]
    fn every_planted_fault_is_found() {
        for fault in [
            Planted::LateAsFresh,
            Planted::Unweighted,
            Planted::AnswersTwice,
            Planted::AnswersAll,
            Planted::KeepsTheLost,
            Planted::TimerRestarts,
            Planted::AddsDuplicates,
            Planted::WrongDivisor,
            Planted::KeepsTheCarried,
            Planted::WrongOrder,
            Planted::IgnoresDepartures,
            Planted::NumberTwice,
            Planted::TakesNan,
            Planted::LeavesLateWaiting,
            Planted::Hoards,
        ] {
            let Some((seed, _)) = search(0..10_000, Some(fault)) else {
                panic!("{fault:?} is not found");
            };
            // It is the fault that was found, and nothing else.
            let (setup, disturbances) = draw(seed);
            assert!(world::run(&setup, &disturbances, None).is_ok());
        }
    }

    #[test]
    fn a_failing_schedule_is_told_short() {
        let failing = (0..).find_map(|seed| {
            let (setup, disturbances) = draw(seed);
            let fault = Some(Planted::KeepsTheLost);
            let fails = world::run(&setup, &disturbances, fault).is_err();
            (fails && disturbances.len() > 5).then_some((setup, disturbances))
        });
        let (setup, disturbances) = failing.expect("many fail");
        let before = disturbances.len();
        let (short, _) = shrink::shorten(&setup, disturbances, Some(Planted::KeepsTheLost));
        assert!(short.len() < before, "{short:?}");
        // None of it can be left out.
        for index in 0..short.len() {
            let mut fewer = short.clone();
            let after = fewer.remove(index).after;
            if let Some(next) = fewer.get_mut(index) {
                next.after += after;
            }
            let fault = Some(Planted::KeepsTheLost);
            assert!(
                world::run(&setup, &fewer, fault).is_ok(),
                "{index} of {short:?}"
            );
        }
    }
}

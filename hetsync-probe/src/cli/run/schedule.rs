//! When interval probes fire. Time is an argument; a late caller gets one of several missed periods, not a burst; the
//! others are counted.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The next times of a set of periods.
#[derive(Debug, Clone)]
pub(super) struct Schedule {
    intervals: Vec<(usize, Duration, Instant)>,
    missed: BTreeMap<usize, u64>,
}

impl Schedule {
    /// Each of (id, period) fires first one period after `now`.
    pub(super) fn new(
        periods: impl IntoIterator<Item = (usize, Duration)>,
        now: Instant,
    ) -> Schedule {
        let intervals = periods
            .into_iter()
            .map(|(id, period)| {
                let period = period.max(Duration::from_nanos(1));
                // A period past the end of time never fires; a century is past every run.
                let first = now
                    .checked_add(period)
                    .unwrap_or(now + Duration::from_secs(3_000_000_000));
                (id, period, first)
            })
            .collect();
        Schedule {
            intervals,
            missed: BTreeMap::new(),
        }
    }

    /// When the next one is due; `None` if there are none.
    pub(super) fn next(&self) -> Option<Instant> {
        self.intervals.iter().map(|(_, _, next)| *next).min()
    }

    /// Times that were passed over so far, of the ids that missed some.
    pub(super) fn missed(&self) -> &BTreeMap<usize, u64> {
        &self.missed
    }

    /// The ids due at `now`, earliest first (ties in the order given), each moved to its first time after `now`.
    pub(super) fn due(&mut self, now: Instant) -> Vec<usize> {
        let mut due: Vec<(Instant, usize)> = Vec::new();
        for (id, period, next) in &mut self.intervals {
            if *next > now {
                continue;
            }
            due.push((*next, *id));
            let behind = now.duration_since(*next).as_nanos() / period.as_nanos() + 1;
            if behind > 1 {
                let missed = self.missed.entry(*id).or_default();
                *missed = missed.saturating_add((behind - 1).min(u64::MAX.into()) as u64);
            }
            let skip = period
                .as_nanos()
                .saturating_mul(behind)
                .min(u64::MAX.into()) as u64;
            *next = next
                .checked_add(Duration::from_nanos(skip))
                .unwrap_or(*next);
        }
        due.sort_by_key(|(at, _)| *at);
        due.into_iter().map(|(_, id)| id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_keep_their_phase_and_missed_ones_fire_once() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let ms = Duration::from_millis;
        let mut schedule = Schedule::new([(0, ms(10)), (7, ms(25))], start);
        assert_eq!(schedule.next(), Some(at(10)));
        assert!(schedule.due(at(9)).is_empty());
        assert_eq!(schedule.due(at(10)), [0]);
        assert_eq!(schedule.next(), Some(at(20)));
        // Both are due, 0 since 20 and again since 50; it fires once and stays in phase.
        assert_eq!(schedule.missed().len(), 0);
        assert_eq!(schedule.due(at(53)), [0, 7]);
        // 20, 30 and 40 of 0 are lost, and 25 of 7.
        assert_eq!(schedule.missed().get(&0), Some(&3));
        assert_eq!(schedule.missed().get(&7), Some(&1));
        assert_eq!(schedule.next(), Some(at(60)));
        assert_eq!(schedule.due(at(75)), [0, 7]);
        assert_eq!(Schedule::new([], start).next(), None);
        assert!(Schedule::new([(0, Duration::MAX)], start).next().is_some());
    }
}

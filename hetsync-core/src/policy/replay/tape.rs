//! What is remembered of each worker: its last turnarounds, the late ones
//! included, and since when it is at work.
//!
//! Learning from the gradients alone that came in time would be a trap: the
//! deadline falls, what misses it is forgotten, and it falls again.

use std::collections::{BTreeMap, VecDeque};

use super::model::{NEVER, Source};
use crate::server::ConnId;
use crate::time::Time;

/// Turnarounds remembered of each worker.
const MEMORY: usize = 24;

/// Workers whose past is replayed; of more, a sample is.
const SAMPLE: usize = 64;

/// A worker that is overdue by this many times its longest remembered
/// turnaround is taken for dead until it speaks.
const DEAD_AFTER: u64 = 5;

#[derive(Debug, Clone, Copy)]
struct Turnaround {
    started: u64,
    took: u64,
}

#[derive(Debug, Default)]
struct Tape {
    past: VecDeque<Turnaround>,
    /// When the server last spoke to it, if it has not spoken since.
    at_work_since: Option<u64>,
    longest: u64,
}

/// All that is remembered.
#[derive(Debug, Default)]
pub(super) struct Memory {
    tapes: BTreeMap<ConnId, Tape>,
}

impl Memory {
    pub(super) fn sent(&mut self, now: Time, conn: ConnId) {
        let tape = self.tapes.entry(conn).or_default();
        tape.at_work_since = Some(now.as_nanos());
    }

    /// A gradient has come. Whether it answers a result: a worker may connect
    /// long before its first step or with the gradient in its hands, so the
    /// time from its connection tells nothing of its next ones.
    pub(super) fn came(&mut self, now: Time, conn: ConnId, took: u64) -> bool {
        let tape = self.tapes.entry(conn).or_default();
        if tape.at_work_since.take().is_none() {
            return false;
        }
        if tape.past.len() == MEMORY {
            tape.past.pop_front();
        }
        let started = now.as_nanos().saturating_sub(took);
        tape.past.push_back(Turnaround { started, took });
        let longest = tape.past.iter().map(|t| t.took).max();
        tape.longest = longest.unwrap_or(0);
        true
    }

    pub(super) fn left(&mut self, conn: ConnId) {
        self.tapes.remove(&conn);
    }

    /// Copies what is needed to play the past again.
    pub(super) fn record(&self, now: Time) -> Record {
        let now = now.as_nanos();
        let mut alive: Vec<(u64, &Tape)> = Vec::new();
        let mut dead = 0;
        let longest = self.tapes.values().map(|tape| tape.longest).max();
        for tape in self.tapes.values() {
            let at_work = tape.at_work_since.map_or(0, |since| now - since.min(now));
            // A newcomer is judged by the slowest of the others.
            let own = match tape.past.is_empty() {
                true => longest.unwrap_or(0),
                false => tape.longest,
            };
            let total: u64 = tape.past.iter().map(|t| t.took).sum();
            if own != 0 && at_work > own.saturating_mul(DEAD_AFTER + 1) {
                dead += 1;
            } else if let Some(mean) = total.checked_div(tape.past.len() as u64) {
                alive.push((mean, tape));
            } else if own != 0 && at_work != 0 {
                // It has been at work on its first for this long already.
                alive.push((at_work, tape));
            }
        }
        let live = alive.len();
        if live > SAMPLE {
            // Every so many-th by speed, so that the sample is as spread.
            alive.sort_by_key(|(mean, _)| *mean);
            alive = (0..SAMPLE)
                .map(|i| alive[(2 * i + 1) * live / (2 * SAMPLE)])
                .collect();
        }
        let mut record = Record {
            dead,
            ..Record::default()
        };
        for (_, tape) in &alive {
            record.push(now, tape);
        }
        record
    }
}

/// The past of a sample of the live workers, frozen.
#[derive(Debug, Default)]
pub(super) struct Record {
    tapes: Vec<Vec<Turnaround>>,
    /// Workers taken for dead.
    pub(super) dead: usize,
    /// The longest turnaround, and the shortest.
    pub(super) longest: u64,
    pub(super) shortest: u64,
}

impl Record {
    fn push(&mut self, now: u64, tape: &Tape) {
        let mut past: Vec<Turnaround> = tape.past.iter().copied().collect();
        if let Some(since) = tape.at_work_since {
            let so_far = now - since.min(now);
            // One that takes longer than ever before will take longer still.
            if so_far > tape.longest || past.is_empty() {
                past.push(Turnaround {
                    started: since,
                    took: so_far + so_far / 2,
                });
            }
        }
        for turnaround in &past {
            self.longest = self.longest.max(turnaround.took);
            self.shortest = match self.shortest {
                0 => turnaround.took,
                shortest => shortest.min(turnaround.took),
            };
        }
        self.tapes.push(past);
    }

    pub(super) fn workers(&self) -> usize {
        self.tapes.len()
    }

    /// So many moments of the past to start from, spread over what most
    /// workers remember.
    pub(super) fn moments(&self, count: usize) -> Vec<u64> {
        let mut oldest: Vec<u64> = self.tapes.iter().map(|tape| tape[0].started).collect();
        oldest.sort_unstable();
        let newest = self.tapes.iter().filter_map(|tape| tape.last());
        let newest = newest.map(|t| t.started).max().unwrap_or(0);
        let Some(from) = oldest.get(oldest.len() / 2).copied() else {
            return Vec::new();
        };
        let span = newest.saturating_sub(from);
        let part = |i: usize| span / count as u64 * i as u64;
        (0..count).map(|i| from + part(i)).collect()
    }

    /// The past as it went on from `moment`, over and over.
    pub(super) fn from(&self, moment: u64, places: &mut Vec<usize>) -> Replayed<'_> {
        places.clear();
        places.extend(self.tapes.iter().map(|tape| {
            let place = tape.partition_point(|t| t.started.saturating_add(t.took) <= moment);
            place % tape.len()
        }));
        Replayed {
            record: self,
            places: std::mem::take(places),
        }
    }
}

/// A record that is being played.
#[derive(Debug)]
pub(super) struct Replayed<'a> {
    record: &'a Record,
    pub(super) places: Vec<usize>,
}

impl Source for Replayed<'_> {
    fn next(&mut self, worker: usize, _start: u64) -> u64 {
        let tape = &self.record.tapes[worker];
        let place = &mut self.places[worker];
        let took = tape[*place].took;
        *place += 1;
        if *place == tape.len() {
            *place = 0;
        }
        took.min(NEVER - 1)
    }
}

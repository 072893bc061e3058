//! The search for the rule that would have done best, by the useful gradients
//! per second and by the share of them that came in time.
//!
//! In three heats: deadlines and shares of the live workers, each alone and
//! from one moment of the past; then the best of each together; then the
//! best of all from the other moments too. It is done in steps of some ten
//! microseconds with few workers, and of some forty with 64.

use super::model::{Board, NEVER, Play, Until};
use super::tape::Record;

/// Deadlines to try, and shares at most.
const DEADLINES: usize = 24;
const SHARES: usize = 20;
/// Moments of the past to play from, and gradients to play from each: so
/// many at least, and so many of each worker.
const MOMENTS: usize = 4;
const GRADIENTS: u64 = 100;
const GRADIENTS_EACH: u64 = 4;
/// Finalists are played for longer where there is time to think. All workers
/// set out together, and a rule that lets them fall out of step shows that
/// only later.
const GRADIENTS_EACH_AT_LEISURE: u64 = 12;
/// There is where even the shortest turnaround takes so many nanoseconds.
const LEISURE: u64 = 20_000_000;
/// The best deadlines are tried together with the best shares.
const BEST: usize = 3;
/// How many are played from all moments.
const FINALISTS: usize = 12;
/// What a step plays, in gradients times the matches that each is played in.
const STEP: u64 = 4096;

/// A candidate and how it did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scored {
    pub(super) play: Play,
    useful: f64,
    fresh: u64,
    late: u64,
    rounds: u64,
    time: u64,
    /// Moments that it was played from.
    moments: usize,
}

impl Scored {
    fn new(play: Play) -> Self {
        Self {
            play,
            useful: 0.0,
            fresh: 0,
            late: 0,
            rounds: 0,
            time: 0,
            moments: 0,
        }
    }

    /// Useful gradients per second.
    pub(super) fn rate(&self) -> f64 {
        self.useful * 1e9 / self.time.max(1) as f64
    }

    /// What candidates are compared by: the rate, less if many came late. Of
    /// two rules that bring as much, the one that leaves fewer out is better
    /// training; and where each worker has few turnarounds to be replayed,
    /// rules that would leave out many look better than they are.
    fn score(&self) -> f64 {
        let all = (self.fresh + self.late).max(1);
        self.rate() * (self.fresh as f64 / all as f64).sqrt()
    }

    /// Fresh gradients in a round.
    pub(super) fn fresh(&self) -> f64 {
        self.fresh as f64 / self.rounds.max(1) as f64
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heat {
    Alone,
    Together,
    Final,
}

#[derive(Debug)]
pub(super) struct Search {
    pub(super) record: Record,
    moments: Vec<u64>,
    /// In the last heat, the finalists come first.
    pub(super) scored: Vec<Scored>,
    has_present: bool,
    heat: Heat,
    /// Next to be played in this heat.
    next: usize,
    /// For their memory.
    board: Board,
    places: Vec<usize>,
}

impl Search {
    /// `present` is played too, to be compared with.
    pub(super) fn new(record: Record, present: Option<Play>) -> Self {
        let alone = |wait, enough| Scored::new(Play { wait, enough });
        let mut scored: Vec<Scored> = present.into_iter().map(Scored::new).collect();
        let deadlines = deadlines(record.shortest, record.longest);
        scored.extend(deadlines.map(|wait| alone(wait, usize::MAX)));
        // All of them is the longest deadline.
        scored.extend(shares(record.workers()).map(|enough| alone(NEVER, enough)));
        Self {
            moments: record.moments(MOMENTS),
            record,
            has_present: present.is_some(),
            scored,
            heat: Heat::Alone,
            next: 0,
            board: Board::default(),
            places: Vec::new(),
        }
    }

    /// Plays for a while. True when all is done.
    pub(super) fn step(&mut self) -> bool {
        let levels = self.record.workers().max(1).ilog2();
        let cost = self.gradients() * u64::from(4 + levels);
        for _ in 0..STEP.div_ceil(cost) {
            while self.next == self.entrants() {
                if !self.next_heat() {
                    return true;
                }
            }
            let all = match self.heat {
                Heat::Final => MOMENTS,
                _ => 1,
            };
            let candidate = self.scored[self.next];
            if candidate.moments < all {
                self.play(candidate);
            }
            if candidate.moments + 1 >= all {
                self.next += 1;
            }
        }
        false
    }

    fn entrants(&self) -> usize {
        match self.heat {
            Heat::Final => FINALISTS.min(self.scored.len()),
            _ => self.scored.len(),
        }
    }

    fn gradients(&self) -> u64 {
        let each = match self.heat == Heat::Final && self.record.shortest >= LEISURE {
            true => GRADIENTS_EACH_AT_LEISURE,
            false => GRADIENTS_EACH,
        };
        // Few of each worker would be all beginning.
        GRADIENTS.max(each * self.record.workers() as u64)
    }

    /// Plays the next one from its next moment.
    fn play(&mut self, candidate: Scored) {
        let workers = self.record.workers();
        let moment = self.moments[candidate.moments];
        let until = Until {
            time: NEVER - 1,
            gradients: self.gradients(),
        };
        let mut source = self.record.from(moment, &mut self.places);
        let everybody = (workers, workers);
        let play = candidate.play;
        let tally = self.board.play(&mut source, everybody, play, 0, until);
        self.places = source.places;
        let scored = &mut self.scored[self.next];
        scored.useful += tally.useful;
        scored.fresh += tally.fresh;
        scored.late += tally.late;
        scored.rounds += tally.rounds;
        scored.time += tally.end;
        scored.moments += 1;
    }

    /// False if there is none.
    fn next_heat(&mut self) -> bool {
        match self.heat {
            Heat::Alone => {
                self.combine();
                self.heat = Heat::Together;
            }
            Heat::Together => {
                let first = usize::from(self.has_present);
                self.scored[first..].sort_by(|a, b| b.score().total_cmp(&a.score()));
                self.next = 0;
                self.heat = Heat::Final;
            }
            Heat::Final => return false,
        }
        true
    }

    fn combine(&mut self) {
        let best = |is_kind: fn(&Play) -> bool| -> Vec<Play> {
            let mut kind: Vec<&Scored> = self.scored.iter().filter(|s| is_kind(&s.play)).collect();
            kind.sort_by(|a, b| b.score().total_cmp(&a.score()));
            kind.iter().take(BEST).map(|scored| scored.play).collect()
        };
        let deadlines = best(|play| play.enough == usize::MAX);
        let shares = best(|play| play.wait == NEVER);
        for deadline in &deadlines {
            self.scored.extend(shares.iter().map(|share| {
                Scored::new(Play {
                    wait: deadline.wait,
                    enough: share.enough,
                })
            }));
        }
    }

    /// The best of all, if it beats the present rule by more than `gain`.
    pub(super) fn best(&self, gain: f64) -> Option<Scored> {
        let finalists = &self.scored[..self.entrants()];
        let best = finalists
            .iter()
            .max_by(|a, b| a.score().total_cmp(&b.score()))?;
        let present = self.scored.first().filter(|_| self.has_present);
        let bar = present.map_or(0.0, |present| present.score() * (1.0 + gain));
        (best.score() > bar).then_some(*best)
    }
}

/// None at all, and so many up to half as long again as the longest
/// turnaround.
fn deadlines(shortest: u64, longest: u64) -> impl Iterator<Item = u64> {
    let top = (longest.max(1) as f64) * 1.5;
    let bottom = (shortest.max(1) as f64 * 0.01).min(top / 100.0).max(1.0);
    let ratio = (top / bottom).powf(1.0 / (DEADLINES - 1) as f64);
    let spaced = (0..DEADLINES).map(move |i| (bottom * ratio.powi(i as i32)) as u64);
    std::iter::once(0).chain(spaced)
}

/// All numbers short of all workers, or so many of them, closest together
/// at both ends.
fn shares(workers: usize) -> impl Iterator<Item = usize> {
    let end = SHARES / 3;
    let middle = SHARES - 2 * end;
    (1..workers).filter(move |enough| {
        let far = workers.saturating_sub(2 * end + 1).max(1);
        let is_middle = (enough.saturating_sub(end) * middle) % far < middle;
        *enough <= end || workers - enough <= end || is_middle
    })
}

//! The server and its workers as a game of numbers: who is in step, whose
//! gradient comes next, when the round closes. What the real machine does,
//! without gradients, in some tens of nanoseconds an event.
//!
//! Not a second opinion on the machine: that the two agree to the
//! nanosecond is tested, in `sim`.

/// Never.
pub(crate) const NEVER: u64 = u64::MAX;

/// Where turnarounds come from.
pub(crate) trait Source {
    /// How long `worker` takes from `start`, in nanoseconds; [`NEVER`] if it
    /// does not come.
    fn next(&mut self, worker: usize, start: u64) -> u64;
}

/// A rule of the kind that is played: close when `enough` are in, or `wait`
/// nanoseconds after the first.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Play {
    pub(crate) wait: u64,
    pub(crate) enough: usize,
}

/// When to stop playing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Until {
    /// At this time.
    pub(crate) time: u64,
    /// Or at the first close after so many gradients.
    pub(crate) gradients: u64,
}

/// What a game came to.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Tally {
    /// Gradients, those `a` rounds late at 1/(1+a)^2.
    pub(crate) useful: f64,
    /// The same at 1/(1+a).
    pub(crate) mild: f64,
    pub(crate) fresh: u64,
    pub(crate) late: u64,
    pub(crate) rounds: u64,
    /// When the last event was.
    pub(crate) end: u64,
}

impl Tally {
    /// Counts a gradient that is `age` rounds late.
    pub(crate) fn count(&mut self, age: u64) {
        let share = 1.0 / (1.0 + age as f64);
        self.useful += share * share;
        self.mild += share;
        match age {
            0 => self.fresh += 1,
            _ => self.late += 1,
        }
    }

    /// Share of the gradients that came in time.
    #[cfg(feature = "sim")]
    pub(crate) fn fresh_share(&self) -> f64 {
        self.fresh as f64 / (self.fresh + self.late).max(1) as f64
    }
}

/// The board, kept for its memory.
#[derive(Debug, Default)]
pub(crate) struct Board {
    /// When each worker's next gradient comes, and of which round.
    due: Due,
    on: Vec<u64>,
    staged: Vec<usize>,
}

/// Times, and whose is the earliest: a tournament, whose winner is known
/// after one match on each level when a time changes. Of equal times the
/// lowest worker's comes first.
#[derive(Debug, Default)]
struct Due {
    /// As many as there are workers, made up to a power of two with [`NEVER`].
    times: Vec<u64>,
    /// Who won which match; the final is at 1, and those after the match `i`
    /// are at `2i` and `2i + 1`.
    winners: Vec<usize>,
}

impl Due {
    fn clear(&mut self, workers: usize) {
        let size = workers.max(2).next_power_of_two();
        self.times.clear();
        self.times.resize(size, NEVER);
        // Among equals the first wins everywhere.
        self.winners.clear();
        self.winners.resize(size, 0);
        for node in (1..size).rev() {
            self.winners[node] = match 2 * node < size {
                true => self.winners[2 * node],
                false => 2 * node - size,
            };
        }
    }

    fn set(&mut self, worker: usize, at: u64) {
        self.times[worker] = at;
        let size = self.times.len();
        let mut node = (size + worker) / 2;
        let first = worker & !1;
        let mut winner = self.better(first, first + 1);
        self.winners[node] = winner;
        while node > 1 {
            let other = self.winners[node ^ 1];
            winner = match node & 1 {
                0 => self.better(winner, other),
                _ => self.better(other, winner),
            };
            node /= 2;
            self.winners[node] = winner;
        }
    }

    fn better(&self, low: usize, high: usize) -> usize {
        match self.times[low] <= self.times[high] {
            true => low,
            false => high,
        }
    }

    fn earliest(&self) -> (usize, u64) {
        let winner = self.winners[1];
        (winner, self.times[winner])
    }
}

impl Board {
    /// Plays from `start`, when all of `workers` set out for round 0, and
    /// `awaited` of them are waited for in it.
    pub(crate) fn play(
        &mut self,
        source: &mut impl Source,
        (workers, awaited): (usize, usize),
        rule: Play,
        start: u64,
        until: Until,
    ) -> Tally {
        self.on.clear();
        self.on.resize(workers, 0);
        self.due.clear(workers);
        for worker in 0..workers {
            self.set_out(source, worker, start);
        }
        self.staged.clear();
        let mut tally = Tally {
            end: start,
            ..Tally::default()
        };
        let mut awaited = awaited;
        let mut closes = NEVER;
        loop {
            let (worker, at) = self.due.earliest();
            let is_close = closes < at;
            let now = at.min(closes);
            if now > until.time || now == NEVER {
                return tally;
            }
            tally.end = now;
            if !is_close {
                if self.on[worker] == tally.rounds {
                    if self.staged.is_empty() {
                        closes = now.saturating_add(rule.wait);
                    }
                    tally.count(0);
                    self.staged.push(worker);
                    self.due.set(worker, NEVER);
                    awaited -= 1;
                } else {
                    tally.count(tally.rounds - self.on[worker]);
                    self.on[worker] = tally.rounds;
                    self.set_out(source, worker, now);
                    awaited += 1;
                }
            }
            let is_done = awaited == 0 || self.staged.len() >= rule.enough || now >= closes;
            if self.staged.is_empty() || !is_done {
                continue;
            }
            tally.rounds += 1;
            awaited = self.staged.len();
            closes = NEVER;
            for worker in std::mem::take(&mut self.staged) {
                self.on[worker] = tally.rounds;
                self.set_out(source, worker, now);
            }
            if tally.fresh + tally.late >= until.gradients {
                return tally;
            }
        }
    }

    fn set_out(&mut self, source: &mut impl Source, worker: usize, now: u64) {
        let at = now.saturating_add(source.next(worker, now));
        self.due.set(worker, at);
    }
}

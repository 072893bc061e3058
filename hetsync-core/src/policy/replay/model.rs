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
    due: Vec<u64>,
    on: Vec<u64>,
    staged: Vec<usize>,
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
        self.due.clear();
        self.due.resize(workers, NEVER);
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
            let (worker, at) = self.earliest();
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
                    self.due[worker] = NEVER;
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
        self.due[worker] = now.saturating_add(source.next(worker, now));
    }

    fn earliest(&self) -> (usize, u64) {
        let mut best = (0, NEVER);
        for (worker, due) in self.due.iter().enumerate() {
            if *due < best.1 {
                best = (worker, *due);
            }
        }
        best
    }
}

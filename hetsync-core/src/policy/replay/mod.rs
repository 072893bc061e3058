//! The rule that learns: it plays the recent past again.
//!
//! The server remembers each worker's last turnarounds, from a result sent
//! to the gradient that answers it, whether it came in time or not. Between
//! rounds this past is played again under candidate rules (deadlines, shares
//! of the live workers, both together), and the one by which most useful
//! gradients per second would have come closes the rounds from then on. A
//! gradient that is `a` rounds late counts 1/(1+a)^2.
//!
//! Nothing has to be tuned: the past sets the scale, be it a millisecond or
//! ten seconds.

pub(crate) mod model;
mod search;
mod tape;

use super::{Explanation, Forecast, Observation, Outcome, Policy, RoundView, Verdict};
use crate::time::{Span, Time};
use model::{NEVER, Play};
use search::{Scored, Search};
use tape::Memory;

/// Before anything is known, a round waits this many times as long as the
/// longest turnaround in it, and at least so long. A worker that sends as
/// soon as it is connected tells nothing about the others. Once half of the
/// workers are in, those that come later do not prolong it.
const FIRST: u64 = 3;
const FIRST_AT_LEAST: Span = Span::from_millis(20);

/// While some of the configured workers have not even connected, it waits
/// at least so long.
const GATHERING: Span = Span::from_secs(2);

/// In the first round whose turnarounds count, the past is played again as
/// soon as half of the workers have answered, and whenever this share more of
/// them has: were the first rule only found when all are in, very slow ones
/// would cost twice what the slowest takes.
const MORE: usize = 8;

/// A candidate takes the place of the present rule if it is better by more
/// than this.
const GAIN: f64 = 0.04;

/// Closes rounds by the rule that would have done best in the recent past.
#[derive(Debug, Default)]
pub struct Replay {
    memory: Memory,
    rule: Option<InForce>,
    search: Option<Box<Search>>,
    /// Results were sent, or the first answers have come, since the last
    /// search began.
    is_news: bool,
    longest_in_round: Span,
    /// When the last result was sent.
    last_sent: Time,
    /// The open round holds the first gradient of a worker.
    has_newcomer: bool,
    first: FirstRound,
}

/// What is known of the open round while there is no rule.
#[derive(Debug, Default)]
struct FirstRound {
    /// The longest turnaround when half of the workers were in.
    half: Option<Span>,
    /// Gradients that answer a result, and how many there were when the past
    /// was last played.
    answers: usize,
    played: usize,
}

impl FirstRound {
    /// Whether enough have answered to play the past again.
    fn is_news(&mut self, workers: usize) -> bool {
        let more = (workers / MORE).max(1);
        let is_news = 2 * self.answers >= workers && self.answers >= self.played + more;
        if is_news {
            self.played = self.answers;
        }
        is_news
    }
}

/// The rule in force.
#[derive(Debug, Clone, Copy)]
struct InForce {
    wait: u64,
    /// Gradients that are enough, if there is such a number, and of how many
    /// live workers.
    enough: Option<(usize, usize)>,
    dead: usize,
    /// The longest turnaround of the live workers.
    longest: u64,
    expected: Forecast,
    shorter: Option<Forecast>,
    longer: Option<Forecast>,
}

impl Replay {
    /// A rule that knows nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// How long after its first gradient the round closes at the latest, and
    /// the number of gradients that is enough.
    fn limits(&self, round: &RoundView<'_>) -> (Span, Option<usize>) {
        match &self.rule {
            None => {
                let longest = self.first.half.unwrap_or(self.longest_in_round);
                let first = longest.as_nanos().saturating_mul(FIRST);
                let least = match round.absent {
                    0 => FIRST_AT_LEAST,
                    _ => GATHERING,
                };
                // A newcomer gets as long as everybody.
                let newest = round.last_connected - round.opened;
                (newest + Span::from_nanos(first).max(least), None)
            }
            Some(rule) => {
                let live = round.workers.saturating_sub(rule.dead).max(1);
                let enough = rule.enough.map(|(enough, of)| scale(enough, of, live));
                let wait = Span::from_nanos(rule.wait);
                // A newcomer's first gradient comes at any time, and may have
                // opened the round long before the others can be done.
                let done = Span::from_nanos(rule.longest.saturating_add(rule.longest / 2));
                match self.has_newcomer {
                    true => (wait.max(self.last_sent + done - round.opened), None),
                    false => (wait, enough),
                }
            }
        }
    }

    fn adopt(&mut self, search: &Search) {
        let Some(best) = search.best(GAIN) else {
            // The rule stays; who is alive may have changed.
            if let Some(rule) = &mut self.rule {
                rule.dead = search.record.dead;
                rule.longest = search.record.longest;
            }
            return;
        };
        let workers = search.record.workers();
        let enough = Some(best.play.enough).filter(|enough| *enough < workers);
        // A share alone could wait for ever for somebody who has just died.
        let longest = search.record.longest.saturating_mul(2);
        let forecast = |scored: &Scored| Forecast {
            wait: Span::from_nanos(scored.play.wait.min(longest)),
            gradients: scored.fresh(),
            useful_per_s: Some(scored.rate()),
        };
        let deadlines = || search.scored.iter().filter(|s| s.play.wait != NEVER);
        let wait = best.play.wait.min(longest);
        let shorter = deadlines().filter(|s| s.play.wait < wait);
        let shorter = shorter.max_by_key(|s| s.play.wait).map(forecast);
        let longer = deadlines().filter(|s| s.play.wait > wait);
        let longer = longer.min_by_key(|s| s.play.wait).map(forecast);
        self.rule = Some(InForce {
            wait,
            enough: enough.map(|enough| (enough, workers)),
            dead: search.record.dead,
            longest: search.record.longest,
            expected: forecast(&best),
            shorter,
            longer,
        });
    }

    /// The rule in force, as it would be played.
    fn present(&self, workers: usize) -> Option<Play> {
        self.rule.map(|rule| Play {
            wait: rule.wait,
            enough: match rule.enough {
                Some((enough, of)) => scale(enough, of, workers),
                None => usize::MAX,
            },
        })
    }
}

/// The same share of another number of workers.
fn scale(enough: usize, of: usize, workers: usize) -> usize {
    ((enough * workers + of / 2) / of).max(1)
}

impl Policy for Replay {
    fn name(&self) -> &'static str {
        "replay"
    }

    fn decide(&mut self, now: Time, round: &RoundView<'_>) -> Verdict {
        if self.rule.is_none() && round.absent == 0 && 2 * round.arrived >= round.workers {
            self.first.half.get_or_insert(self.longest_in_round);
            self.is_news |= self.first.is_news(round.workers);
        }
        let (wait, enough) = self.limits(round);
        let due = round.opened + wait;
        if round.awaited == 0 {
            Verdict::Close(Outcome::Full)
        } else if enough.is_some_and(|enough| round.arrived >= enough) {
            Verdict::Close(Outcome::Quorum)
        } else if now >= due {
            Verdict::Close(Outcome::Deadline)
        } else {
            Verdict::WaitUntil(due)
        }
    }

    fn explain(&self, _now: Time, round: &RoundView<'_>) -> Explanation {
        let (wait, enough) = self.limits(round);
        Explanation {
            rule: self.name(),
            longest: Some(wait),
            enough,
            expected: self.rule.map(|rule| rule.expected),
            shorter: self.rule.and_then(|rule| rule.shorter),
            longer: self.rule.and_then(|rule| rule.longer),
        }
    }

    fn observe(&mut self, now: Time, seen: &Observation) {
        match *seen {
            Observation::Joined { .. } => {}
            Observation::Sent { conn, .. } => {
                self.memory.sent(now, conn);
                self.is_news = true;
                self.longest_in_round = Span::ZERO;
                self.last_sent = now;
                self.has_newcomer = false;
                self.first = FirstRound::default();
            }
            Observation::Came { conn, took, .. } => {
                self.longest_in_round = self.longest_in_round.max(took);
                let answers = self.memory.came(now, conn, took.as_nanos());
                self.has_newcomer |= !answers;
                self.first.answers += usize::from(answers);
            }
            Observation::Left { conn } => self.memory.left(conn),
        }
    }

    fn has_work(&self) -> bool {
        self.is_news || self.search.is_some()
    }

    fn think(&mut self, now: Time) {
        if let Some(mut search) = self.search.take() {
            match search.step() {
                true => self.adopt(&search),
                false => self.search = Some(search),
            }
        } else if self.is_news {
            self.is_news = false;
            let record = self.memory.record(now);
            if record.workers() > 0 {
                let present = self.present(record.workers());
                self.search = Some(Box::new(Search::new(record, present)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Payload;
    use crate::server::{Config, ConnId, Event, Machine, Output};

    /// Plays four workers with steps of 500 to 530 ms for some rounds, with thinking in between; returns whose gradients
    /// were late. Each worker connects and sends its first gradient at once, at its own `begins`.
    fn late(begins: [u64; 4], rounds: usize) -> Vec<ConnId> {
        let at = |ms: u64| Time::ZERO + Span::from_millis(ms);
        let mut machine = Machine::new(Config {
            workers: 4,
            policy: Box::new(Replay::new()),
            ..Config::default()
        });
        let mut due: Vec<(Time, ConnId)> = (0..4)
            .map(|id| (at(begins[id]), ConnId(id as u64)))
            .collect();
        let (mut late, mut connected) = (Vec::new(), [false; 4]);
        for _ in 0..4 * rounds {
            due.sort();
            let (now, conn) = due.remove(0);
            while machine.poll_timeout().is_some_and(|at| at <= now) {
                let timeout = machine.poll_timeout().unwrap_or(now);
                machine.handle_timeout(timeout);
                drain(&mut machine, timeout, &mut due, &mut late);
            }
            let index = conn.0 as usize;
            if !std::mem::replace(&mut connected[index], true) {
                machine.handle_connect(now, conn);
                due.push((now + Span::from_nanos(200_000), conn));
                continue;
            }
            machine.handle_gradient(now, conn, None, Payload::from_floats(&[1.0]));
            drain(&mut machine, now, &mut due, &mut late);
            if due.is_empty() {
                let timeout = machine.poll_timeout().expect("the round ends");
                machine.handle_timeout(timeout);
                drain(&mut machine, timeout, &mut due, &mut late);
            }
        }
        late
    }

    fn drain(
        machine: &mut Machine,
        now: Time,
        due: &mut Vec<(Time, ConnId)>,
        late: &mut Vec<ConnId>,
    ) {
        while let Some(output) = machine.poll_output() {
            match output {
                Output::Deliver { to, .. } => {
                    due.push((now + Span::from_millis(500 + 10 * to.0), to));
                }
                Output::Event(Event::Late { conn, .. }) => late.push(conn),
                _ => {}
            }
        }
        while machine.has_work() {
            machine.handle_idle(now);
        }
    }

    #[test]
    fn the_time_from_a_connection_to_its_first_gradient_is_no_turnaround() {
        assert_eq!(late([0, 1, 2, 3], 12), []);
        assert_eq!(late([500, 510, 520, 530], 12), []);
    }

    #[test]
    fn a_newcomer_does_not_close_the_round_on_the_others() {
        // Itself it may miss a round: it is the slowest, which nobody knew.
        let late = late([0, 1, 2, 4_200], 20);
        assert!(late.iter().all(|conn| *conn == ConnId(3)), "{late:?}");
    }
}

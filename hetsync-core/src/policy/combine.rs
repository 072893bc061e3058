//! Several rules at once.

use super::{Explanation, Observation, Outcome, Policy, RoundView, Verdict};
use crate::time::{Span, Time};

/// Closes a round when the first of its rules would.
#[derive(Debug)]
pub struct FirstOf(Rules);

/// Closes a round when all of its rules would.
#[derive(Debug)]
pub struct AllOf(Rules);

#[derive(Debug)]
struct Rules {
    rules: Vec<Box<dyn Policy>>,
    /// The one that closed the round.
    spoke: usize,
}

impl FirstOf {
    /// Any of these. Without any, a round closes when everyone has come.
    pub fn new(rules: Vec<Box<dyn Policy>>) -> Self {
        Self(Rules { rules, spoke: 0 })
    }
}

impl AllOf {
    /// All of these. Without any, a round closes when everyone has come.
    pub fn new(rules: Vec<Box<dyn Policy>>) -> Self {
        Self(Rules { rules, spoke: 0 })
    }
}

impl Rules {
    fn explain(&self, name: &'static str, now: Time, round: &RoundView<'_>) -> Explanation {
        match self.rules.get(self.spoke) {
            Some(rule) => rule.explain(now, round),
            None => Explanation::of(name),
        }
    }

    fn observe(&mut self, now: Time, seen: &Observation) {
        for rule in &mut self.rules {
            rule.observe(now, seen);
        }
    }

    fn think(&mut self, now: Time) {
        if let Some(rule) = self.rules.iter_mut().find(|rule| rule.has_work()) {
            rule.think(now);
        }
    }

    fn has_work(&self) -> bool {
        self.rules.iter().any(|rule| rule.has_work())
    }
}

fn without_rules(round: &RoundView<'_>) -> Verdict {
    match round.awaited {
        0 => Verdict::Close(Outcome::Full),
        _ => Verdict::Wait,
    }
}

impl Policy for FirstOf {
    fn name(&self) -> &'static str {
        "first_of"
    }

    fn decide(&mut self, now: Time, round: &RoundView<'_>) -> Verdict {
        let mut verdict = without_rules(round);
        let mut is_closed = false;
        for (index, rule) in self.0.rules.iter_mut().enumerate() {
            // All are asked, as some count from what they saw.
            match (rule.decide(now, round), verdict) {
                (close @ Verdict::Close(_), _) if !is_closed => {
                    is_closed = true;
                    verdict = close;
                    self.0.spoke = index;
                }
                (_, Verdict::Close(_)) => {}
                (Verdict::WaitUntil(new), Verdict::WaitUntil(old)) => {
                    verdict = Verdict::WaitUntil(new.min(old));
                }
                (until @ Verdict::WaitUntil(_), Verdict::Wait) => verdict = until,
                _ => {}
            }
        }
        verdict
    }

    fn explain(&self, now: Time, round: &RoundView<'_>) -> Explanation {
        let all = self.0.rules.iter();
        let longest = all.filter_map(|rule| rule.explain(now, round).longest);
        Explanation {
            longest: longest.min(),
            ..self.0.explain(self.name(), now, round)
        }
    }

    fn observe(&mut self, now: Time, seen: &Observation) {
        self.0.observe(now, seen);
    }

    fn has_work(&self) -> bool {
        self.0.has_work()
    }

    fn think(&mut self, now: Time) {
        self.0.think(now);
    }
}

impl Policy for AllOf {
    fn name(&self) -> &'static str {
        "all_of"
    }

    fn decide(&mut self, now: Time, round: &RoundView<'_>) -> Verdict {
        if self.0.rules.is_empty() {
            return without_rules(round);
        }
        let mut verdict = Verdict::Close(Outcome::Full);
        for (index, rule) in self.0.rules.iter_mut().enumerate() {
            verdict = match (rule.decide(now, round), verdict) {
                (Verdict::Wait, _) | (_, Verdict::Wait) => Verdict::Wait,
                (Verdict::WaitUntil(new), Verdict::WaitUntil(old)) => {
                    Verdict::WaitUntil(new.max(old))
                }
                (until @ Verdict::WaitUntil(_), _) | (_, until @ Verdict::WaitUntil(_)) => until,
                // The reason is that of the one which had to give most in.
                (Verdict::Close(new), Verdict::Close(old)) => {
                    if index == 0 || rank(new) > rank(old) {
                        self.0.spoke = index;
                        Verdict::Close(new)
                    } else {
                        verdict
                    }
                }
            };
        }
        verdict
    }

    fn explain(&self, now: Time, round: &RoundView<'_>) -> Explanation {
        self.0.explain(self.name(), now, round)
    }

    fn observe(&mut self, now: Time, seen: &Observation) {
        self.0.observe(now, seen);
    }

    fn has_work(&self) -> bool {
        self.0.has_work()
    }

    fn think(&mut self, now: Time) {
        self.0.think(now);
    }
}

fn rank(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Full => 0,
        Outcome::Quorum => 1,
        Outcome::Deadline => 2,
    }
}

/// Keeps a round open for at least this long, unless everyone has come.
#[derive(Debug)]
pub struct Floor {
    span: Span,
    rule: Box<dyn Policy>,
}

impl Floor {
    /// `rule`, but not before `span` after the first gradient.
    pub fn new(span: Span, rule: impl Policy + 'static) -> Self {
        let rule = Box::new(rule);
        Self { span, rule }
    }
}

impl Policy for Floor {
    fn name(&self) -> &'static str {
        "floor"
    }

    fn decide(&mut self, now: Time, round: &RoundView<'_>) -> Verdict {
        let earliest = round.opened + self.span;
        match self.rule.decide(now, round) {
            Verdict::Close(_) if round.awaited > 0 && now < earliest => {
                Verdict::WaitUntil(earliest)
            }
            Verdict::WaitUntil(at) => Verdict::WaitUntil(at.max(earliest)),
            verdict => verdict,
        }
    }

    fn explain(&self, now: Time, round: &RoundView<'_>) -> Explanation {
        let inner = self.rule.explain(now, round);
        Explanation {
            longest: inner.longest.map(|longest| longest.max(self.span)),
            ..inner
        }
    }

    fn observe(&mut self, now: Time, seen: &Observation) {
        self.rule.observe(now, seen);
    }

    fn has_work(&self) -> bool {
        self.rule.has_work()
    }

    fn think(&mut self, now: Time) {
        self.rule.think(now);
    }
}

/// Waits for everyone in the first rounds of a job.
#[derive(Debug)]
pub struct WarmUp {
    rounds: u64,
    rule: Box<dyn Policy>,
    /// The job's first round.
    first: Option<u64>,
    workers: usize,
}

impl WarmUp {
    /// `rule`, but only after so many rounds.
    pub fn new(rounds: u64, rule: impl Policy + 'static) -> Self {
        Self {
            rounds,
            rule: Box::new(rule),
            first: None,
            workers: 0,
        }
    }

    fn is_warm(&self, round: &RoundView<'_>) -> bool {
        self.first
            .is_some_and(|first| round.round.0.saturating_sub(first) >= self.rounds)
    }
}

impl Policy for WarmUp {
    fn name(&self) -> &'static str {
        "warm_up"
    }

    fn decide(&mut self, now: Time, round: &RoundView<'_>) -> Verdict {
        self.first.get_or_insert(round.round.0);
        match self.is_warm(round) {
            true => self.rule.decide(now, round),
            false => without_rules(round),
        }
    }

    fn explain(&self, now: Time, round: &RoundView<'_>) -> Explanation {
        match self.is_warm(round) {
            true => self.rule.explain(now, round),
            false => Explanation::of(self.name()),
        }
    }

    fn observe(&mut self, now: Time, seen: &Observation) {
        match seen {
            Observation::Joined { .. } => self.workers += 1,
            Observation::Left { .. } => {
                self.workers = self.workers.saturating_sub(1);
                if self.workers == 0 {
                    self.first = None;
                }
            }
            _ => {}
        }
        self.rule.observe(now, seen);
    }

    fn has_work(&self) -> bool {
        self.rule.has_work()
    }

    fn think(&mut self, now: Time) {
        self.rule.think(now);
    }
}

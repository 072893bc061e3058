//! Watches a server from outside: what goes in, what comes out, and whether
//! the promises are kept. It shares no code with the server.
//!
//! - A round closes by its rule, in order, once.
//! - Its result is the sum or mean of the gradients that are in it, bit for
//!   bit, in the order of connection, the late ones weighted after them.
//! - Each gradient gets one answer; nobody gets a round's result twice, and
//!   all who get it get the same.
//! - Each gradient is counted once, or told of as dropped.
//! - When nobody is awaited, no round stays open.
//! - No more buffers are held than there are workers.

use std::collections::{BTreeMap, BTreeSet};

use super::Setup;
use crate::policy::Rule;
use crate::server::{Event, Late, Output, RoundReport};
use crate::time::{Span, Time};

#[derive(Debug, Default)]
pub(super) struct Check {
    late: Option<Late>,
    is_mean: bool,
    /// Rounds last no longer than this.
    longest: Option<Span>,
    /// The rule also waits for workers that are behind.
    is_slack: bool,
    /// Connected, in the order of connection.
    connected: BTreeSet<u64>,
    leaving: BTreeSet<u64>,
    /// Of the connected, those who have sent a gradient.
    spoke: BTreeSet<u64>,
    /// What is in the open round.
    staged: BTreeMap<u64, Vec<f32>>,
    carried: Vec<(u64, f32, Vec<f32>)>,
    opened: Option<Time>,
    /// The round that the next gradient of each belongs to.
    on: BTreeMap<u64, u64>,
    round: u64,
    newest: Option<(u64, Vec<u32>)>,
    /// Answers that are due.
    owed: BTreeMap<u64, u64>,
    has_had: BTreeMap<u64, u64>,
    /// Gradients: taken, late, of which used, dropped otherwise, taken back.
    pub(super) taken: u64,
    pub(super) late_ones: u64,
    pub(super) late_used: u64,
    pub(super) closed_rounds: u64,
}

type Verdict = Result<(), String>;

impl Check {
    pub(super) fn new(setup: &Setup) -> Self {
        Self {
            late: Some(setup.late),
            is_mean: setup.is_mean,
            longest: longest(&setup.rule),
            is_slack: setup.rule.to_string().contains("staleness"),
            ..Self::default()
        }
    }

    pub(super) fn connected(&mut self, conn: u64) {
        self.connected.insert(conn);
        self.on.insert(conn, self.round);
    }

    /// Looks at what a change brought about. `came` is the gradient that was
    /// handed to the server, if that was the change.
    pub(super) fn outputs(
        &mut self,
        now: Time,
        came: Option<(u64, Vec<f32>)>,
        outputs: &[Output],
    ) -> Verdict {
        if let Some((conn, floats)) = came {
            self.gradient(now, conn, floats, outputs)?;
        }
        for output in outputs {
            match output {
                Output::Deliver { to, result } => {
                    let floats = result.payload().to_floats();
                    self.deliver(to.0, result.round().0, bits(&floats))?;
                }
                Output::Disconnect { conn } => self.gone(conn.0),
                Output::Event(event) => self.event(now, event)?,
                _ => {}
            }
        }
        self.after(now)
    }

    fn gradient(&mut self, now: Time, conn: u64, floats: Vec<f32>, outputs: &[Output]) -> Verdict {
        let is_finite = floats.iter().all(|float| float.is_finite());
        let fate = outputs.iter().find_map(|output| match output {
            Output::Event(Event::Late {
                conn: c,
                missed,
                weight,
                ..
            }) if c.0 == conn => Some(Some((*missed, *weight))),
            Output::Event(Event::Duplicate { conn: c } | Event::Refused { conn: c, .. })
                if c.0 == conn =>
            {
                Some(None)
            }
            _ => None,
        });
        if !self.connected.contains(&conn) || self.leaving.contains(&conn) {
            return match fate {
                None => Ok(()),
                Some(_) => Err(format!("{conn} is not there, and yet is heard")),
            };
        }
        let on = self.on.get(&conn).copied().unwrap_or(self.round);
        match fate {
            Some(None) if is_finite && !self.staged.contains_key(&conn) => {
                Err(format!("a good gradient of {conn} is dropped"))
            }
            Some(None) => Ok(()),
            _ if !is_finite => Err(format!("{conn}'s NaN is taken")),
            Some(Some((missed, weight))) => {
                let age = self.round - on.min(self.round);
                if missed != age || age == 0 {
                    return Err(format!("{conn} missed {age} rounds, not {missed}"));
                }
                self.late_ones += 1;
                self.spoke.insert(conn);
                *self.owed.entry(conn).or_default() += 1;
                self.on.insert(conn, self.round);
                let twice = self.carried.iter().any(|(other, ..)| *other == conn);
                let wanted = self.late.and_then(|l| weigh(l, age)).filter(|_| !twice);
                if weight != wanted {
                    return Err(format!("weight of {conn} is {weight:?}, not {wanted:?}"));
                }
                if let Some(weight) = weight {
                    self.late_used += 1;
                    let floats = floats.iter().map(|float| float * weight).collect();
                    self.carried.push((conn, weight, floats));
                }
                Ok(())
            }
            None if on != self.round => Err(format!(
                "a gradient of {conn} for round {on} goes into round {}",
                self.round
            )),
            None => {
                self.taken += 1;
                self.spoke.insert(conn);
                *self.owed.entry(conn).or_default() += 1;
                self.opened.get_or_insert(now);
                match self.staged.insert(conn, floats) {
                    None => Ok(()),
                    Some(_) => Err(format!("{conn} is in round {} twice", self.round)),
                }
            }
        }
    }

    fn event(&mut self, now: Time, event: &Event) -> Verdict {
        match event {
            Event::Closed(report) => self.closed(now, report),
            Event::HalfClosed { conn } => {
                self.leaving.insert(conn.0);
                Ok(())
            }
            Event::Withdrawn { conn } => match self.staged.remove(&conn.0) {
                Some(_) => {
                    if self.staged.is_empty() {
                        self.opened = None;
                    }
                    Ok(())
                }
                None => Err(format!("{conn} had nothing to withdraw")),
            },
            Event::Abandoned {
                gradients, late, ..
            } => {
                let had = (self.staged.len(), self.carried.len());
                self.staged.clear();
                self.carried.clear();
                self.opened = None;
                match had == (*gradients, *late) {
                    true => Ok(()),
                    false => Err(format!(
                        "{gradients} gradients and {late} late ones abandoned, of {had:?}"
                    )),
                }
            }
            Event::Left { conn } | Event::Refused { conn, .. } => {
                self.gone(conn.0);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn gone(&mut self, conn: u64) {
        self.connected.remove(&conn);
        self.leaving.remove(&conn);
        self.owed.remove(&conn);
        self.on.remove(&conn);
        if self.spoke.remove(&conn) && self.spoke.is_empty() {
            // A new job, or a fresh start of this one. What was staged or
            // carried has to be told of as abandoned.
            self.newest = None;
            let round = self.round;
            self.on.values_mut().for_each(|on| *on = round);
        }
    }

    fn closed(&mut self, now: Time, report: &RoundReport) -> Verdict {
        let round = report.round.0;
        if round != self.round {
            return Err(format!("round {round} closes, and {} is open", self.round));
        }
        let opened = self.opened.take().unwrap_or(now);
        let lasted = now - opened;
        if self.longest.is_some_and(|longest| lasted > longest) || lasted != report.lasted {
            return Err(format!(
                "round {round} lasted {lasted}, its report says {}",
                report.lasted
            ));
        }
        let who: Vec<u64> = report.arrivals.iter().map(|(conn, _)| conn.0).collect();
        if !self.staged.keys().eq(&who) {
            return Err(format!(
                "round {round} has {:?}, not {who:?}",
                self.staged.keys()
            ));
        }
        let late: Vec<(u64, f32)> = report.late.iter().map(|l| (l.conn.0, l.weight)).collect();
        let wanted: Vec<(u64, f32)> = self.carried.iter().map(|(c, w, _)| (*c, *w)).collect();
        if late != wanted {
            return Err(format!("round {round} has late {wanted:?}, not {late:?}"));
        }
        let result = self.reduce();
        self.newest = Some((round, bits(&result)));
        for conn in std::mem::take(&mut self.staged).into_keys() {
            self.on.insert(conn, round + 1);
        }
        self.carried.clear();
        self.round += 1;
        self.closed_rounds += 1;
        Ok(())
    }

    fn reduce(&self) -> Vec<f32> {
        let fresh = self.staged.values().map(|floats| (1.0, floats));
        let late = self
            .carried
            .iter()
            .map(|(_, weight, floats)| (*weight, floats));
        let (mut sum, mut weights): (Option<Vec<f32>>, f32) = (None, 0.0);
        for (weight, floats) in fresh.chain(late) {
            weights += weight;
            sum = Some(match sum {
                None => floats.clone(),
                Some(sum) => sum.iter().zip(floats).map(|(a, b)| a + b).collect(),
            });
        }
        let mut sum = sum.unwrap_or_default();
        if self.is_mean {
            sum.iter_mut().for_each(|value| *value /= weights);
        }
        sum
    }

    fn deliver(&mut self, to: u64, round: u64, result: Vec<u32>) -> Verdict {
        if self.newest != Some((round, result)) {
            return Err(format!(
                "{to} gets a result of round {round} that is not its sum"
            ));
        }
        match self.owed.get_mut(&to) {
            Some(owed @ 1..) => *owed -= 1,
            _ => return Err(format!("{to} is answered without having asked")),
        }
        match self.has_had.insert(to, round) {
            Some(before) if before >= round => Err(format!("{to} gets round {round} again")),
            _ => Ok(()),
        }
    }

    /// When a change is done with.
    fn after(&self, now: Time) -> Verdict {
        for (conn, owed) in &self.owed {
            if *owed > u64::from(self.staged.contains_key(conn)) {
                return Err(format!("{conn} is owed an answer"));
            }
        }
        if let Some(gone) = self.staged.keys().find(|c| !self.connected.contains(c)) {
            return Err(format!("{gone} has left, and its gradient stays"));
        }
        let is_awaited = |conn: &&u64| {
            self.on.get(conn) == Some(&self.round)
                && self.has_had.contains_key(conn)
                && !self.leaving.contains(conn)
                && !self.staged.contains_key(conn)
        };
        let is_open = !self.staged.is_empty();
        // Who has connected and not spoken is not awaited, once a round of
        // this job has closed.
        let knows = self
            .staged
            .keys()
            .any(|conn| self.has_had.contains_key(conn));
        if is_open && knows && !self.connected.iter().any(|c| is_awaited(&c)) && !self.is_slack {
            return Err(format!(
                "at {now:?} nobody is awaited, and the round stays open"
            ));
        }
        Ok(())
    }
}

fn weigh(late: Late, age: u64) -> Option<f32> {
    match late {
        Late::Drop => None,
        Late::NextRound => Some(1.0),
        Late::Inverse => Some(1.0 / (1.0 + age as f32)),
        Late::Power(base) => Some(base.powi(age as i32)),
    }
    .filter(|weight| *weight >= f32::MIN_POSITIVE)
}

fn bits(floats: &[f32]) -> Vec<u32> {
    floats.iter().map(|float| float.to_bits()).collect()
}

/// How long rounds of this rule last at most.
fn longest(rule: &Rule) -> Option<Span> {
    match rule {
        Rule::Deadline(span) => *span,
        Rule::Ceiling(span, _) => Some(*span),
        Rule::FirstOf(rules) => rules.iter().filter_map(longest).min(),
        Rule::Floor(span, rule) => longest(rule).map(|longest| longest.max(*span)),
        _ => None,
    }
}

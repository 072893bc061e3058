//! The server's log: what a person wants to read on the terminal.
//!
//! A line for everything unusual, at once: a round that its deadline
//! closed, a late gradient, a refusal, somebody coming or going. Rounds
//! that close as they should are many, so they share one line a second;
//! under a rule that leaves somebody out on purpose those are all rounds.

mod saved;

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::net::SocketAddr;

use hetsync_core::net::{Departure, Notice};
use hetsync_core::policy::{Explanation, Forecast, Outcome};
use hetsync_core::server::attribution::TRIFLE;
use hetsync_core::server::{Bill, Charge, ConnId, Event, RoundReport};
use hetsync_core::stats::{Histogram, Stats};
use hetsync_core::{Name, Span, Time};

/// How much to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub(crate) enum Level {
    Quiet,
    Normal,
    Verbose,
}

/// Lines of the summary are at least this far apart.
const SUMMARY_EVERY: Span = Span::from_secs(1);

/// Names in one line; beyond that only their number is told.
const NAMES: usize = 6;

/// Turns notices into lines.
pub(crate) struct Log<W> {
    level: Level,
    out: W,
    peers: HashMap<ConnId, SocketAddr>,
    /// Connections that have brought no gradient yet: a health check, a scan of ports.
    silent: HashSet<ConnId>,
    /// Of workers that have said who they are.
    names: HashMap<ConnId, Name>,
    even: Option<EvenRounds>,
    /// Those of the other jobs.
    other_even: HashMap<Name, EvenRounds>,
    /// The job that is spoken of, if it is not the default one.
    job: Option<Name>,
}

/// Rounds that closed full, not yet told.
struct EvenRounds {
    first: RoundReport,
    last: RoundReport,
    since: Time,
    until: Time,
    /// Those that closed because everyone had come.
    full: u64,
    gradients: usize,
    durations: Histogram,
}

impl<W: FnMut(&str)> Log<W> {
    pub(crate) fn new(level: Level, out: W) -> Self {
        Self {
            level,
            out,
            peers: HashMap::new(),
            silent: HashSet::new(),
            names: HashMap::new(),
            even: None,
            other_even: HashMap::new(),
            job: None,
        }
    }

    /// Tells of one notice.
    pub(crate) fn notice(&mut self, now: Time, notice: &Notice) {
        match notice {
            Notice::Listening { address } => {
                self.say(now, Level::Normal, &format!("listening on {address}"));
            }
            Notice::Connected { conn, peer } => {
                self.peers.insert(*conn, *peer);
                self.silent.insert(*conn);
                self.say(
                    now,
                    Level::Verbose,
                    &format!("{} connected", self.name(*conn)),
                );
            }
            Notice::TurnedAway { peer, limit } => {
                let text = format!(
                    "turned {peer} away: there are {limit} connections already (--max-connections)"
                );
                self.say(now, Level::Quiet, &text);
            }
            Notice::AcceptFailed { error } => {
                self.say(
                    now,
                    Level::Quiet,
                    &format!("cannot accept a connection: {error}"),
                );
            }
            Notice::Machine { job, event } => self.job_event(now, job, event),
            Notice::Disconnected { conn, why } => {
                // Refusals were told by the machine, with their reason.
                let silent = self.silent.remove(conn);
                let level = match why {
                    Departure::Closed if silent => Level::Verbose,
                    _ => Level::Normal,
                };
                if !matches!(why, Departure::Refused) {
                    self.say(now, level, &format!("{} left: {why}", self.name(*conn)));
                }
                self.peers.remove(conn);
            }
            Notice::Restored { .. }
            | Notice::CheckpointRefused { .. }
            | Notice::Checkpointed { .. }
            | Notice::CheckpointFailed { .. } => self.checkpoint(now, notice),
            Notice::Stopping { round_open } => {
                let what = match round_open {
                    true => "stopping once the open round has closed",
                    false => "stopping",
                };
                self.say(now, Level::Normal, what);
            }
        }
    }

    /// The last line.
    pub(crate) fn farewell(&mut self, now: Time, stats: &Stats) {
        for (job, even) in std::mem::take(&mut self.other_even) {
            let default = self.even.replace(even);
            self.job = Some(job);
            self.tell_even_rounds(now);
            self.even = default;
        }
        self.job = None;
        let median = match stats.round_duration.quantile(0.5).unwrap_or_default() {
            Span::ZERO => String::new(),
            median => format!("; median about {median} from first gradient to close"),
        };
        let quorum = match stats.quorum_rounds {
            0 => String::new(),
            rounds => format!(", {rounds} with enough"),
        };
        let late = match (stats.late, stats.late_used) {
            (late, 0) => format!("{late} late and dropped"),
            (late, used) => format!("{late} late, {used} of them used"),
        };
        let text = format!(
            "{} {}: {} full, {} closed by their deadline{quorum}{median}; gradients: {} taken, {late}, {} refused",
            stats.rounds(),
            if stats.rounds() == 1 {
                "round"
            } else {
                "rounds"
            },
            stats.full_rounds,
            stats.deadline_rounds,
            stats.accepted,
            stats.refused,
        );
        self.say(now, Level::Normal, &text);
    }

    /// An event of a job; the default one's lines do not name it.
    fn job_event(&mut self, now: Time, job: &Name, event: &Event) {
        if *job == Name::default() {
            self.event(now, event);
            return;
        }
        let default = std::mem::replace(&mut self.even, self.other_even.remove(job));
        self.job = Some(job.clone());
        self.event(now, event);
        self.job = None;
        if let Some(even) = std::mem::replace(&mut self.even, default) {
            self.other_even.insert(job.clone(), even);
        }
    }

    fn event(&mut self, now: Time, event: &Event) {
        if let Event::Named { conn, .. }
        | Event::ModelLength { conn, .. }
        | Event::Late { conn, .. }
        | Event::Withdrawn { conn } = event
        {
            self.silent.remove(conn);
        }
        match event {
            Event::Joined { .. } | Event::Left { .. } => {}
            Event::Named { conn, name } => {
                self.names.insert(*conn, name.clone());
                let text = format!("{} takes part", self.name(*conn));
                self.say(now, Level::Normal, &text);
            }
            Event::Detached { conn } => {
                let text = format!(
                    "{} lost its connection: not waited for until it is back",
                    self.name(*conn)
                );
                self.say(now, Level::Normal, &text);
            }
            Event::ModelLength { conn, floats } => {
                let text = format!("model has {floats} floats, says {}", self.name(*conn));
                self.say(now, Level::Normal, &text);
            }
            Event::Closed(report) => self.closed(now, report),
            Event::Late {
                conn,
                missed,
                weight,
                too_late_by,
            } => {
                let rounds = if *missed == 1 { "round" } else { "rounds" };
                let by = match too_late_by {
                    Some(span) => format!(" ({span} after the close)"),
                    None => String::new(),
                };
                let fate = match weight {
                    Some(weight) => format!("taken into the next round at weight {weight:.3}"),
                    None => String::from("dropped"),
                };
                let text = format!(
                    "{} came late, {missed} {rounds} behind{by}: gradient {fate}, newest result handed back",
                    self.name(*conn)
                );
                self.say(now, Level::Normal, &text);
            }
            Event::Duplicate { conn } => {
                let text = format!(
                    "{} sent twice in one round: the first stands",
                    self.name(*conn)
                );
                self.say(now, Level::Normal, &text);
            }
            Event::Refused { conn, refusal } => {
                let text = format!("{} refused and disconnected: {refusal}", self.name(*conn));
                self.say(now, Level::Quiet, &text);
            }
            Event::HalfClosed { conn } => {
                let text = format!(
                    "{} will send no more: its gradient counts and is answered",
                    self.name(*conn)
                );
                self.say(now, Level::Normal, &text);
            }
            Event::Withdrawn { conn } => {
                let text = format!(
                    "{} lost before its round closed: gradient withdrawn",
                    self.name(*conn)
                );
                self.say(now, Level::Normal, &text);
            }
            Event::Straggler {
                conn,
                rounds,
                took,
                cause,
            } => {
                let what = match (rounds, took) {
                    (0, Some(took)) => {
                        format!("the slowest time and again, the last time with {took}")
                    }
                    (rounds, _) => format!("{rounds} rounds have closed without it"),
                };
                let why = cause.map_or(String::new(), |cause| format!(" ({cause})"));
                let text = format!("{} is a straggler: {what}{why}", self.name(*conn));
                self.say(now, Level::Normal, &text);
            }
            Event::KeepsUp { conn } => {
                let text = format!("{} keeps up again", self.name(*conn));
                self.say(now, Level::Normal, &text);
            }
            Event::Abandoned {
                round,
                gradients,
                late,
            } => {
                let late = match late {
                    0 => String::new(),
                    late => format!(", {late} late ones for it"),
                };
                let text = format!(
                    "round {round} abandoned: everyone left ({gradients} gradients in{late})"
                );
                self.say(now, Level::Normal, &text);
            }
        }
    }

    fn closed(&mut self, now: Time, report: &RoundReport) {
        for (conn, _) in &report.arrivals {
            self.silent.remove(conn);
        }
        if self.level == Level::Quiet && report.saturated == 0 {
            return;
        }
        let on_purpose = report.why.rule == "replay";
        let is_even = (report.outcome == Outcome::Full || on_purpose)
            && report.saturated == 0
            && self.level < Level::Verbose;
        if !is_even {
            let text = self.describe(report);
            let level = match report.saturated {
                0 => Level::Normal,
                _ => Level::Quiet,
            };
            self.say(now, level, &text);
            return;
        }
        // Another set of workers deserves another line.
        let changed = self.even.as_ref().is_some_and(|even| {
            let same_in = even.last.arrivals.len() == report.arrivals.len();
            let same_rule = even.last.instead == report.instead;
            !same_rule || !on_purpose && (!same_in || even.last.overdue != report.overdue)
        });
        if changed {
            self.tell_even_rounds(now);
        }
        let even = self.even.get_or_insert_with(|| EvenRounds {
            first: report.clone(),
            last: report.clone(),
            since: now,
            until: now,
            full: 0,
            gradients: 0,
            durations: Histogram::default(),
        });
        even.full += u64::from(report.outcome == Outcome::Full);
        even.gradients += report.arrivals.len();
        even.durations.record(report.lasted);
        even.until = now;
        even.last = report.clone();
        // The very first round is told at once: it shows that all is well.
        if report.round.0 == 0 || now - even.since >= SUMMARY_EVERY {
            self.tell_even_rounds(now);
        }
    }

    /// One line for one round.
    fn describe(&self, report: &RoundReport) -> String {
        let came = report.arrivals.len();
        let mut text = format!("round {} closed {}", report.round, how(report.outcome));
        let _ = match report.lasted {
            // A lone worker's gradient opens and closes the round.
            Span::ZERO => write!(text, " at once, {came} in"),
            lasted => write!(text, " after {lasted}, {came} in"),
        };
        if !report.missed.is_empty() || report.absent > 0 {
            let _ = write!(text, "; left out: {}", self.names(&report.missed));
            if report.absent > 0 {
                let and = if report.missed.is_empty() {
                    ""
                } else {
                    " and "
                };
                let _ = write!(text, "{and}{} not connected", report.absent);
            }
        }
        if !report.overdue.is_empty() {
            let _ = write!(text, "; not waited for: {}", self.names(&report.overdue));
        }
        if !report.late.is_empty() {
            let late = report.late.iter();
            let late: Vec<String> = late
                .take(NAMES)
                .map(|late| format!("{} of round {} at {:.3}", late.conn, late.of, late.weight))
                .collect();
            let _ = write!(text, "; late ones used: {}", late.join(", "));
        }
        reduction(&mut text, report);
        if self.level == Level::Verbose || report.outcome == Outcome::Deadline {
            self.tell_bill(&mut text, &report.bill);
        }
        if self.level == Level::Verbose {
            explain(&mut text, &report.why);
        }
        if report.saturated > 0 {
            let _ = write!(
                text,
                "; {} elements of the result left the range of f32 and were clamped",
                report.saturated
            );
        }
        text
    }

    /// Who kept the others waiting, if it is worth telling.
    fn tell_bill(&self, text: &mut String, bill: &Bill) {
        let worth = |charge: &&Charge| {
            let all = bill.wait.as_nanos();
            charge.cost >= TRIFLE && charge.cost.as_nanos() >= all / 10
        };
        let charges = bill.charges.iter().filter(worth).take(NAMES);
        let charges: Vec<String> = charges
            .map(|charge| {
                let why = match charge.cause {
                    Some(cause) => format!(" ({cause})"),
                    None => String::new(),
                };
                format!("{} cost {}{why}", self.name(charge.conn), charge.cost)
            })
            .collect();
        if !charges.is_empty() {
            let _ = write!(text, "; waited {}: {}", bill.wait, charges.join(", "));
        }
    }

    /// One line for all the even rounds since the last such line.
    fn tell_even_rounds(&mut self, now: Time) {
        let Some(even) = self.even.take() else {
            return;
        };
        let count = even.durations.count();
        if count == 1 {
            let text = self.describe(&even.last);
            self.line(now, &text);
            return;
        }
        let median = match even.durations.quantile(0.5).unwrap_or_default() {
            Span::ZERO => String::new(),
            median => format!(", median {median}"),
        };
        let took = (even.until - even.since).as_secs_f64();
        let how = match even.full == count {
            true => format!("full, {} in", even.last.arrivals.len()),
            false => format!(
                "by replay, {} of {count} full, {:.1} in on average",
                even.full,
                even.gradients as f64 / count as f64
            ),
        };
        let mut text = format!(
            "rounds {} to {} closed {how}, {:.1} rounds/s{median}",
            even.first.round,
            even.last.round,
            (count - 1) as f64 / took.max(1e-9),
        );
        if !even.last.overdue.is_empty() {
            let names = self.names(&even.last.overdue);
            let _ = write!(text, "; not waited for: {names}");
        }
        reduction(&mut text, &even.last);
        self.line(now, &text);
    }

    fn say(&mut self, now: Time, level: Level, text: &str) {
        if level <= self.level {
            self.tell_even_rounds(now);
            self.line(now, text);
        }
    }

    fn line(&mut self, now: Time, text: &str) {
        let seconds = now.since(Time::ZERO).as_secs_f64();
        let job = match &self.job {
            Some(job) => format!("job {job}: "),
            None => String::new(),
        };
        (self.out)(&format!("{seconds:9.3}  {job}{text}"));
    }

    fn name(&self, conn: ConnId) -> String {
        if let Some(name) = self.names.get(&conn) {
            return format!("{conn} ({name})");
        }
        match self.peers.get(&conn) {
            Some(peer) => format!("{conn} ({peer})"),
            None => conn.to_string(),
        }
    }

    fn names(&self, conns: &[ConnId]) -> String {
        let mut names: Vec<String> = conns.iter().take(NAMES).map(|c| self.name(*c)).collect();
        if conns.len() > NAMES {
            names.push(format!("{} more", conns.len() - NAMES));
        }
        names.join(", ")
    }
}

fn how(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Full => "full",
        Outcome::Deadline => "by its deadline",
        Outcome::Quorum => "with enough",
    }
}

/// What became of the gradients, if anything out of the ordinary did.
fn reduction(text: &mut String, report: &RoundReport) {
    if report.clipped > 0 {
        let _ = write!(text, "; {} shortened", report.clipped);
    }
    if let Some(instead) = report.instead {
        let _ = write!(text, "; too few for the rule, {instead} used instead");
    }
}

/// The rule's account, behind a round's line.
fn explain(text: &mut String, why: &Explanation) {
    let _ = write!(text, "; {}", why.rule);
    match (why.longest, why.enough) {
        (None, None) => {}
        (Some(span), None) => {
            let _ = write!(text, " would wait {span}");
        }
        (None, Some(enough)) => {
            let _ = write!(text, " wants {enough}");
        }
        (Some(span), Some(enough)) => {
            let _ = write!(text, " wants {enough} or would wait {span}");
        }
    }
    let mut tell = |what: &str, forecast: Option<Forecast>, says_wait: bool| {
        let Some(forecast) = forecast else { return };
        let _ = write!(text, ", {what} ");
        if says_wait {
            let _ = write!(text, "({}) ", forecast.wait);
        }
        let _ = write!(text, "{:.1} a round", forecast.gradients);
        if let Some(rate) = forecast.useful_per_s {
            let _ = write!(text, " and {rate:.1} useful/s");
        }
    };
    tell("expects", why.expected, false);
    tell("shorter", why.shorter, true);
    tell("longer", why.longer, true);
}

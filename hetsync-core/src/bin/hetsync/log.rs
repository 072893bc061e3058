//! The server's log: what a person wants to read on the terminal.
//!
//! A line for everything unusual, at once: a round that its deadline
//! closed, a late gradient, a refusal, somebody coming or going. Rounds
//! that close as they should are many, so they share one line a second;
//! under a rule that leaves somebody out on purpose those are all rounds.

mod rounds;
mod saved;
mod standing;

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;

use hetsync_core::net::{Departure, Notice};
use hetsync_core::server::{ConnId, Event};
use hetsync_core::stats::Stats;
use hetsync_core::{Name, Span, Time};
use rounds::EvenRounds;

/// How much to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub(crate) enum Level {
    Quiet,
    Normal,
    Verbose,
}

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
            Notice::Waiting { .. } | Notice::Stopping { .. } | Notice::Unfinished { .. } => {
                self.standing(now, notice);
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

    /// A line of a job; the default one's do not name it.
    fn say_of(&mut self, now: Time, job: &Name, level: Level, text: &str) {
        // They are the default job's.
        self.tell_even_rounds(now);
        self.job = (*job != Name::default()).then(|| job.clone());
        self.say(now, level, text);
        self.job = None;
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

    /// Workers, and how many more have not even connected.
    fn names_and_absent(&self, conns: &[ConnId], absent: usize) -> String {
        match (conns, absent) {
            (conns, 0) => self.names(conns),
            ([], absent) => format!("{absent} not connected"),
            (conns, absent) => format!("{} and {absent} not connected", self.names(conns)),
        }
    }
}

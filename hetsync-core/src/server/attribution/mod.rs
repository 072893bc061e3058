//! Who keeps the others waiting, and why.
//!
//! When a round closes, what it cost in waiting is charged to the workers
//! whose lateness caused it (`split`); why they were late is told
//! by what the shell saw of their gradients ([`Signs`]); and who is called a
//! straggler follows a rule that jitter alone does not meet
//! (`evidence`).
//!
//! It decides nothing about rounds, and has neither clock nor sockets.
//!
//! Invariants: a bill adds up exactly; there is at most one account for each
//! worker on the roster, and no more than [`MAX_ACCOUNTS`] in all.

mod evidence;
mod recent;
mod round;
mod signs;
mod split;

use std::collections::{BTreeMap, BTreeSet};

use super::{ConnId, RoundReport};
use crate::time::{Span, Time};
use evidence::Evidence;
use recent::Recent;
pub use signs::{Cause, Signs};
pub(super) use split::{Missing, Waits, split};

/// Workers that have an account; what others cost is charged to nobody.
pub const MAX_ACCOUNTS: usize = 4096;

/// The cause of a charge below this is not looked for.
pub const TRIFLE: Span = Span::from_millis(1);

/// Rounds that the recent share goes back, about.
const MEMORY: f64 = 24.0;

/// Others that a turnaround is compared with, so that a crowd of late workers
/// costs no more than it must. It is as fair a game with some as with all.
const MOST_COMPARED: usize = 64;

/// What one round cost in waiting.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Bill {
    /// The sum over all who waited of the time from their arrival to the
    /// close.
    pub wait: Span,
    /// To whom it is charged, the largest part first.
    pub charges: Vec<Charge>,
    /// What is charged to nobody: the round waited for workers that had not
    /// connected yet, or its rule let it wait although all had come.
    pub nobody: Span,
    /// The middle of the turnarounds that were in time, part by part, as far
    /// as they were seen: what those of late workers are compared with.
    pub usual: Signs,
}

/// A worker's part of a bill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Charge {
    /// Whose.
    pub conn: ConnId,
    /// Time of others that it took: two workers that wait for a second cost
    /// two.
    pub cost: Span,
    /// Why it was late, as far as can be seen; `None` if that was not seen,
    /// or is not worth it.
    pub cause: Option<Cause>,
}

/// What a worker has cost the others since it came.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Account {
    /// Rounds that it was in, in time.
    pub rounds: u64,
    /// Rounds that waited for it in vain.
    pub missed: u64,
    /// Gradients of its that came late.
    pub late: u64,
    /// Rounds that have closed without it since it last spoke.
    pub silent_rounds: u64,
    /// From the server's last word to its gradient, summed over all its
    /// gradients.
    pub turnaround: Span,
    /// How many gradients that is.
    pub gradients: u64,
    /// What it cost the others, for causes that were seen: in the order of
    /// [`Cause::ALL`].
    pub cost: [Span; Cause::ALL.len()],
    /// And for causes that were not.
    pub cost_unseen: Span,
    /// Why it was late the last time that it was.
    pub last_cause: Option<Cause>,
    /// What was seen of its newest gradient.
    pub signs: Option<Signs>,
    /// How long its newest gradient took; not its first.
    pub newest: Option<Span>,
    recent_share: f64,
    evidence: Evidence,
}

impl Account {
    /// All that it cost the others.
    pub fn total_cost(&self) -> Span {
        self.cost.iter().fold(self.cost_unseen, |sum, c| sum + *c)
    }

    /// Its share of what the last rounds cost, from 0 to 1. Of a round that
    /// waited for next to nothing nobody has a share; of one that went on
    /// without it, it has all.
    pub fn recent_share(&self) -> f64 {
        self.recent_share
    }

    fn remember(&mut self, share: f64) {
        self.recent_share += (share - self.recent_share) / MEMORY;
    }

    /// Whether it is called a straggler.
    pub fn is_straggler(&self) -> bool {
        self.evidence.is_named
    }

    fn cost_of(&mut self, cause: Option<Cause>) -> &mut Span {
        match cause {
            Some(cause) => &mut self.cost[cause as usize],
            None => &mut self.cost_unseen,
        }
    }
}

/// The accounts of a server's workers.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Accounts {
    of: BTreeMap<ConnId, Account>,
    /// Those that the first round waited for and that have never spoken.
    unheard: BTreeSet<ConnId>,
    recent: Recent,
    /// What all rounds cost in waiting.
    pub wait: Span,
    /// Of that, what is in no account: charged to nobody, or to workers that
    /// have left.
    pub elsewhere: Span,
}

impl Accounts {
    /// Each worker's, in the order of connection.
    pub fn iter(&self) -> impl Iterator<Item = (ConnId, &Account)> {
        self.of.iter().map(|(conn, account)| (*conn, account))
    }

    /// One worker's.
    pub fn get(&self, conn: ConnId) -> Option<&Account> {
        self.of.get(&conn)
    }

    /// Workers by what they cost of late, the dearest first.
    ///
    /// Those that are called stragglers come before all others.
    pub fn ranking(&self) -> Vec<(ConnId, &Account)> {
        let mut all: Vec<_> = self.iter().collect();
        all.sort_by(|(a, x), (b, y)| {
            let named = y.is_straggler().cmp(&x.is_straggler());
            let share = y.recent_share().total_cmp(&x.recent_share());
            let cost = y.total_cost().cmp(&x.total_cost());
            named.then(share).then(cost).then(a.cmp(b))
        });
        all
    }

    /// Adds those of another job, whose workers have other numbers.
    pub(crate) fn add(&mut self, other: &Self) {
        let theirs = other.of.iter().map(|(conn, a)| (*conn, a.clone()));
        self.of.extend(theirs);
        self.wait += other.wait;
        self.elsewhere += other.elsewhere;
    }

    fn open(&mut self, conn: ConnId) -> Option<&mut Account> {
        if self.of.len() >= MAX_ACCOUNTS && !self.of.contains_key(&conn) {
            return None;
        }
        Some(self.of.entry(conn).or_default())
    }

    /// What the shell saw of the gradient that comes next, or of one that
    /// does not come.
    pub(super) fn see(&mut self, conn: ConnId, signs: Signs) {
        if let Some(account) = self.open(conn) {
            account.signs = Some(signs);
        }
    }

    /// A gradient has come; late if rounds closed without it. Whether its
    /// worker is called a straggler from now on, or no longer, comes back.
    pub(super) fn came(&mut self, conn: ConnId, took: Span, is_late: bool) -> Option<bool> {
        self.unheard.remove(&conn);
        let account = self.open(conn)?;
        account.turnaround += took;
        account.gradients += 1;
        account.late += u64::from(is_late);
        account.silent_rounds = 0;
        if account.gradients > 1 {
            account.newest = Some(took);
            self.recent.note(conn, took);
        }
        // Those in time are compared when their round closes.
        is_late.then(|| self.compare(conn, took)).flatten()
    }

    /// Weighs a turnaround against the newest ones of others.
    fn compare(&mut self, conn: ConnId, took: Span) -> Option<bool> {
        let others = self.of.iter().filter(|(other, _)| **other != conn);
        let others = others.filter_map(|(_, a)| a.newest);
        let others: Vec<Span> = others.take(MOST_COMPARED).collect();
        let workers = others.len() + 1;
        let account = self.of.get_mut(&conn)?;
        if workers < 2 || account.newest.is_none() {
            return None;
        }
        let was = account.evidence.is_named;
        let is_slowest = evidence::is_slowest(took, others);
        account.evidence.weigh(is_slowest, workers);
        if is_slowest && !was && self.recent.stands_out(conn, workers) {
            account.evidence.accuse();
        }
        (was != account.evidence.is_named).then_some(!was)
    }

    /// A worker is gone for good.
    pub(super) fn forget(&mut self, conn: ConnId) {
        self.unheard.remove(&conn);
        if let Some(account) = self.of.remove(&conn) {
            self.elsewhere += account.total_cost();
        }
    }

    /// Fills in the causes that a bill's workers in time tell of, and what is
    /// usual. `in_time` is in the order of connection.
    pub(super) fn explain(&self, bill: &mut Bill, in_time: &[ConnId]) {
        let Some(first) = bill.charges.first().filter(|c| c.cost >= TRIFLE).copied() else {
            return;
        };
        let signs = |conn: &ConnId| self.get(*conn)?.signs;
        let others = in_time.iter().filter(|conn| **conn != first.conn);
        let seen: Vec<Signs> = others.filter_map(signs).collect();
        bill.usual = Signs::usual(&seen);
        let usual = bill.usual;
        for charge in bill.charges.iter_mut().filter(|c| c.cost >= TRIFLE) {
            // What is known of one that is missing is of an earlier gradient.
            if in_time.binary_search(&charge.conn).is_ok() {
                charge.cause = signs(&charge.conn).map(|signs| signs.cause(&usual));
            }
        }
    }

    /// Enters a closed round. Who is called a straggler from now on,
    /// or no longer, comes back.
    pub(super) fn enter(
        &mut self,
        now: Time,
        report: &RoundReport,
        round: Patience<'_>,
    ) -> Vec<(ConnId, bool)> {
        let bill = &report.bill;
        self.wait += bill.wait;
        self.elsewhere += bill.nobody;
        for conn in &report.missed {
            if self
                .open(*conn)
                .is_some_and(|account| account.gradients == 0)
            {
                self.unheard.insert(*conn);
            }
        }
        for charge in &bill.charges {
            // One that has left has none.
            let Some(account) = self.of.get_mut(&charge.conn) else {
                self.elsewhere += charge.cost;
                continue;
            };
            *account.cost_of(charge.cause) += charge.cost;
            account.last_cause = charge.cause.or(account.last_cause);
        }
        let mut news = Vec::new();
        let mut costs: Vec<(ConnId, Span)> =
            bill.charges.iter().map(|c| (c.conn, c.cost)).collect();
        costs.sort_unstable();
        let cost_of = |conn| match costs.binary_search_by_key(&conn, |(conn, _)| *conn) {
            Ok(at) => costs[at].1,
            Err(_) => Span::ZERO,
        };
        // Less than a tenth of what was worked meanwhile is next to nothing.
        let worked = round.usual.as_nanos() / 10 * report.arrivals.len() as u64;
        let is_worth_it = bill.wait.as_nanos() > worked;
        let came = report.arrivals.iter().map(|(conn, _)| (*conn, true));
        let all = came.chain(report.missed.iter().map(|conn| (*conn, false)));
        for (conn, is_in) in all {
            let Some(account) = self.open(conn) else {
                continue;
            };
            account.rounds += u64::from(is_in);
            account.missed += u64::from(!is_in);
            account.silent_rounds += u64::from(!is_in);
            account.remember(match is_worth_it {
                true => cost_of(conn).as_nanos() as f64 / bill.wait.as_nanos() as f64,
                false => 0.0,
            });
        }
        self.judge_turnarounds(report, &mut news);
        let patience = round
            .usual
            .as_nanos()
            .saturating_mul(evidence::SILENT_TURNAROUNDS);
        let unheard = self.unheard.iter().filter(|_| !round.is_first);
        for conn in report.overdue.iter().chain(unheard) {
            let Some(account) = self.of.get_mut(conn) else {
                continue;
            };
            account.silent_rounds += 1;
            let silence = now - (round.spoken_to)(*conn);
            let is_silent =
                account.silent_rounds >= evidence::SILENT_ROUNDS && silence.as_nanos() > patience;
            account.remember(1.0);
            if is_silent && !account.evidence.is_named {
                account.evidence.accuse();
                news.push((*conn, true));
            }
        }
        news
    }

    /// Weighs the turnarounds of those in time. Only the longest of them can
    /// be the slowest of all.
    fn judge_turnarounds(&mut self, report: &RoundReport, news: &mut Vec<(ConnId, bool)>) {
        let newest = |accounts: &Self, conn| accounts.of.get(&conn).and_then(|a| a.newest);
        let arrivals = report.arrivals.iter().map(|(conn, _)| *conn);
        let known = arrivals.filter_map(|conn| Some((newest(self, conn)?, conn)));
        let Some((took, last)) = known.max() else {
            return;
        };
        let workers = self.of.values().filter(|a| a.newest.is_some()).count();
        if let Some(named) = self.compare(last, took) {
            news.push((last, named));
        }
        for (conn, _) in report.arrivals.iter().filter(|(conn, _)| *conn != last) {
            let Some(account) = self.of.get_mut(conn).filter(|a| a.newest.is_some()) else {
                continue;
            };
            let was = account.evidence.is_named;
            account.evidence.weigh(false, workers.max(2));
            if was != account.evidence.is_named {
                news.push((*conn, !was));
            }
        }
    }

    /// The cause of a charge that was entered without one has been found.
    pub(super) fn settle(&mut self, conn: ConnId, cost: Span, cause: Cause) {
        if let Some(account) = self.of.get_mut(&conn) {
            let unseen = account.cost_unseen.as_nanos();
            let known = cost.as_nanos().min(unseen);
            account.cost_unseen = Span::from_nanos(unseen - known);
            account.cost[cause as usize] += Span::from_nanos(known);
            account.last_cause = Some(cause);
        }
    }
}

/// What shows whether somebody has been silent for too long.
pub(super) struct Patience<'a> {
    /// It is the first of a job.
    pub(super) is_first: bool,
    /// The middle of the turnarounds of those in time.
    pub(super) usual: Span,
    /// When the server last spoke to a worker.
    pub(super) spoken_to: &'a dyn Fn(ConnId) -> Time,
}

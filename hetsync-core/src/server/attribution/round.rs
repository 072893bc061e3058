//! The machine's part: what a closing round is known to have waited for.

use super::{Bill, Missing, Patience, Waits, split};
use crate::server::{ConnId, Event, Machine, RoundReport, WaitFor};
use crate::time::{Span, Time};

impl Machine {
    /// A worker goes. If the open round waits for it, that is noted, as it
    /// will be gone when the bill is made out.
    pub(in crate::server) fn note_departure(&mut self, now: Time, conn: ConnId) {
        let Some(opened) = self.round.opened else {
            self.departed.clear();
            return;
        };
        if self.roster.is_awaited(conn, self.round.id) && self.departed.len() < super::MAX_ACCOUNTS
        {
            let from = self.awaited_from(conn, opened);
            self.departed.push(Missing {
                conn,
                from,
                until: now,
            });
        }
    }

    /// Who has to answer for what the open round has waited, which closes
    /// now without those who `missed` it.
    pub(in crate::server) fn bill(
        &mut self,
        now: Time,
        opened: Time,
        missed: &[ConnId],
        overdue: &[ConnId],
    ) -> Bill {
        let staged = &self.round.staged;
        let arrivals: Vec<Time> = staged.iter().map(|staged| staged.at).collect();
        let in_time: Vec<ConnId> = staged.iter().map(|staged| staged.conn).collect();
        let mut missing = std::mem::take(&mut self.departed);
        let came = staged.iter().map(|staged| (staged.conn, staged.at));
        let all = came.chain(missed.iter().map(|conn| (*conn, now)));
        missing.extend(all.map(|(conn, until)| Missing {
            conn,
            from: self.awaited_from(conn, opened),
            until,
        }));
        let mut bill = split(Waits {
            opened,
            closed: now,
            arrivals: &arrivals,
            missing: &missing,
            overdue,
            unknown: self.absent(),
        });
        self.stats.accounts.explain(&mut bill, &in_time);
        bill
    }

    /// Enters a closed round into the accounts. What is to be told of it
    /// comes back.
    pub(in crate::server) fn enter(&mut self, now: Time, report: &RoundReport) -> Vec<Event> {
        let roster = &self.roster;
        let spoken_to = |conn| roster.spoken_to(conn).unwrap_or(now);
        let staged = self.round.staged.iter();
        let mut took: Vec<Span> = staged.map(|s| s.at - spoken_to(s.conn)).collect();
        let middle = took.len() / 2;
        let usual = *took.select_nth_unstable(middle).1;
        let round = Patience {
            is_first: self.gathering,
            usual,
            spoken_to: &spoken_to,
        };
        let accounts = &mut self.stats.accounts;
        let news = accounts.enter(now, report, round);
        news.into_iter()
            .map(|(conn, is_straggler)| self.name_straggler(conn, is_straggler))
            .collect()
    }

    /// What is to be told of a worker that is called a straggler from now on,
    /// or no longer.
    pub(in crate::server) fn name_straggler(&self, conn: ConnId, is_straggler: bool) -> Event {
        match (is_straggler, self.stats.accounts.get(conn)) {
            (true, Some(account)) => Event::Straggler {
                conn,
                rounds: account.silent_rounds,
                took: account.newest,
                cause: account.last_cause,
            },
            _ => Event::KeepsUp { conn },
        }
    }

    /// Since when the open round has waited for somebody.
    fn awaited_from(&self, conn: ConnId, opened: Time) -> Time {
        if self.gathering || self.config.wait_for == WaitFor::Connected {
            return opened;
        }
        self.roster.spoken_to(conn).unwrap_or(opened).max(opened)
    }
}

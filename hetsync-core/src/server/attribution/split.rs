//! Who pays for what a round waited.
//!
//! While a round is open, every worker whose gradient is in waits. Time in
//! which `w` workers wait costs `w` times its length, and is charged in
//! equal parts to those whose gradients are missing then: each of them alone
//! would have been enough to keep the others waiting. (In the theory of
//! games these are the Shapley values of the round's end.)
//!
//! Invariant: what is charged, and what is charged to nobody, add up to the
//! sum over all who waited of the time from their arrival to the close, to
//! the nanosecond.

use super::{Bill, Charge};
use crate::server::ConnId;
use crate::time::{Span, Time};

/// One whose gradient the round lacked for some time.
#[derive(Debug, Clone, Copy)]
pub(in crate::server) struct Missing {
    pub(in crate::server) conn: ConnId,
    /// Since when it was waited for.
    pub(in crate::server) from: Time,
    /// When its gradient came, or its connection was lost, or the round
    /// closed.
    pub(in crate::server) until: Time,
}

/// A closed round, as far as it matters who waited for whom.
#[derive(Debug, Clone, Copy)]
pub(in crate::server) struct Waits<'a> {
    pub(in crate::server) opened: Time,
    pub(in crate::server) closed: Time,
    /// When those who waited had come.
    pub(in crate::server) arrivals: &'a [Time],
    pub(in crate::server) missing: &'a [Missing],
    /// Workers that had missed earlier rounds: they pay when nobody else was
    /// waited for.
    pub(in crate::server) overdue: &'a [ConnId],
    /// Workers that were waited for and are nobody yet.
    pub(in crate::server) unknown: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Edge {
    Arrived,
    MissingFrom(usize),
    MissingUntil(usize),
    End,
}

/// Makes out the bill. Its charges come with the largest first, without
/// those of nothing.
pub(in crate::server) fn split(waits: Waits<'_>) -> Bill {
    let (opened, closed) = (waits.opened, waits.closed);
    let mut edges: Vec<(Time, Edge)> = Vec::new();
    // A caller's clock that went back must not end the server.
    let closed = closed.max(opened);
    let within = |at: Time| at.clamp(opened, closed);
    edges.extend(waits.arrivals.iter().map(|at| (within(*at), Edge::Arrived)));
    for (index, missing) in waits.missing.iter().enumerate() {
        let (from, until) = (within(missing.from), within(missing.until));
        if from < until {
            edges.push((from, Edge::MissingFrom(index)));
            edges.push((until, Edge::MissingUntil(index)));
        }
    }
    edges.push((closed, Edge::End));
    edges.sort_unstable();

    // What somebody who had been missing all the time would owe so far.
    let (mut price, mut overdue_price) = (0_u64, 0_u64);
    let (mut waiting, mut missing) = (0_u64, waits.unknown as u64);
    let (mut wait, mut nobody, mut crumbs) = (0_u64, 0_u64, 0_u64);
    let mut owed = vec![0_u64; waits.missing.len()];
    let mut last = opened;
    for (at, edge) in edges {
        let cost = waiting.saturating_mul((at - last).as_nanos());
        last = at;
        wait = wait.saturating_add(cost);
        let overdue = waits.overdue.len() as u64;
        if let Some(each) = cost.checked_div(missing) {
            price = price.saturating_add(each);
            nobody = nobody.saturating_add(each.saturating_mul(waits.unknown as u64));
            crumbs = crumbs.saturating_add(cost % missing);
        } else if let Some(each) = cost.checked_div(overdue) {
            overdue_price = overdue_price.saturating_add(each);
            crumbs = crumbs.saturating_add(cost % overdue);
        } else {
            nobody = nobody.saturating_add(cost);
        }
        match edge {
            Edge::Arrived => waiting += 1,
            Edge::MissingFrom(index) => {
                owed[index] = price;
                missing += 1;
            }
            Edge::MissingUntil(index) => {
                owed[index] = price - owed[index];
                missing -= 1;
            }
            Edge::End => {}
        }
    }
    let owed = waits.missing.iter().map(|m| m.conn).zip(owed);
    let overdue = waits.overdue.iter().map(|conn| (*conn, overdue_price));
    let mut charges: Vec<Charge> = owed
        .chain(overdue)
        .filter(|(_, cost)| *cost > 0)
        .map(|(conn, cost)| Charge {
            conn,
            cost: Span::from_nanos(cost),
            cause: None,
        })
        .collect();
    charges.sort_unstable_by(|a, b| b.cost.cmp(&a.cost).then(a.conn.cmp(&b.conn)));
    match charges.first_mut() {
        Some(first) => first.cost += Span::from_nanos(crumbs),
        None => nobody = nobody.saturating_add(crumbs),
    }
    Bill {
        wait: Span::from_nanos(wait),
        charges,
        nobody: Span::from_nanos(nobody),
        ..Bill::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Time {
        Time::from_nanos(ms * 1_000_000)
    }

    fn bill(arrivals: &[u64], missing: &[(u64, u64, u64)], closed: u64) -> Bill {
        let arrivals: Vec<Time> = arrivals.iter().map(|at| ms(*at)).collect();
        let missing: Vec<Missing> = missing
            .iter()
            .map(|(conn, from, until)| Missing {
                conn: ConnId(*conn),
                from: ms(*from),
                until: ms(*until),
            })
            .collect();
        split(Waits {
            opened: arrivals[0],
            closed: ms(closed),
            arrivals: &arrivals,
            missing: &missing,
            overdue: &[],
            unknown: 0,
        })
    }

    fn costs(bill: &Bill) -> Vec<(u64, u64)> {
        let charges = bill.charges.iter();
        let to_ms = |span: Span| span.as_nanos() / 1_000_000;
        charges.map(|c| (c.conn.0, to_ms(c.cost))).collect()
    }

    #[test]
    fn the_last_pays_for_all_and_two_that_are_missing_share() {
        // 0 comes at 0, 1 at 10, 2 at 40; 3 never does, and 100 closes.
        let bill = bill(&[0, 10, 40], &[(1, 0, 10), (2, 0, 40), (3, 0, 100)], 100);
        // 10 x 1 among three, 30 x 2 among two, 60 x 3 for one.
        assert_eq!(costs(&bill), [(3, 213), (2, 33), (1, 3)]);
        assert_eq!(bill.wait, Span::from_millis(100 + 90 + 60));
        let charged: u64 = bill.charges.iter().map(|c| c.cost.as_nanos()).sum();
        assert_eq!(charged, bill.wait.as_nanos());
    }

    #[test]
    fn one_that_joins_late_pays_from_then_on_and_a_rule_that_waits_for_nobody_is_told() {
        let bill = bill(&[0, 0], &[(7, 60, 80)], 100);
        assert_eq!(costs(&bill), [(7, 40)]);
        assert_eq!(bill.nobody, Span::from_millis(160));
        assert_eq!(bill.wait, Span::from_millis(200));
    }

    #[test]
    fn strangers_and_the_overdue() {
        let waits = Waits {
            opened: ms(0),
            closed: ms(90),
            arrivals: &[ms(0)],
            missing: &[Missing {
                conn: ConnId(1),
                from: ms(0),
                until: ms(90),
            }],
            overdue: &[ConnId(9)],
            unknown: 2,
        };
        let bill = split(waits);
        assert_eq!(costs(&bill), [(1, 30)]);
        assert_eq!(bill.nobody, Span::from_millis(60));
        let bill = split(Waits {
            missing: &[],
            unknown: 0,
            ..waits
        });
        assert_eq!(costs(&bill), [(9, 90)]);
    }
}

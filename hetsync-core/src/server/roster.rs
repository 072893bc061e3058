//! Who is connected, and which round each one is on.
//!
//! Connections that have never sent a gradient are kept apart: there may be
//! thousands of them, idle, and closing a round must not look at each.
//!
//! Invariant: `awaited` is the number of speakers that are in step and have
//! no gradient in; it is counted, not searched for, as the policy asks for
//! it after every gradient.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use super::RoundId;
use crate::time::{Span, Time};

/// A connection, numbered in the order of arrival by whoever accepts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

impl fmt::Display for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "worker {}", self.0)
    }
}

/// What a gradient from a connection would be now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Welcome.
    InStep,
    /// A second one for the same round.
    In,
    /// Late by this many rounds.
    Behind { missed: u64 },
}

#[derive(Debug, Clone, Copy)]
struct Member {
    /// The round its next gradient can belong to.
    on: RoundId,
    /// Whether that gradient is in.
    is_in: bool,
    /// When the server last spoke to it.
    spoken_to: Time,
    /// It has said that its gradient was its last.
    is_leaving: bool,
}

impl Member {
    fn is_awaited(&self, current: RoundId) -> bool {
        self.on == current && !self.is_in && !self.is_leaving
    }
}

#[derive(Debug, Default)]
pub(super) struct Roster {
    /// Have sent a gradient, in order of connection.
    speakers: BTreeMap<ConnId, Member>,
    /// Have not.
    silent: HashMap<ConnId, Member>,
    awaited: usize,
    /// Speakers that are leaving.
    leaving: usize,
}

impl Roster {
    pub(super) fn connect(&mut self, conn: ConnId, current: RoundId, now: Time) {
        let member = Member {
            on: current,
            is_in: false,
            spoken_to: now,
            is_leaving: false,
        };
        if !self.speakers.contains_key(&conn) {
            self.silent.insert(conn, member);
        }
    }

    /// Takes a connection off. False if it was not on.
    pub(super) fn disconnect(&mut self, conn: ConnId, current: RoundId) -> bool {
        if let Some(member) = self.speakers.remove(&conn) {
            self.awaited -= usize::from(member.is_awaited(current));
            self.leaving -= usize::from(member.is_leaving);
            return true;
        }
        self.silent.remove(&conn).is_some()
    }

    /// Its gradient is in and is its last. False if it has none in: then
    /// there is nothing to keep it for.
    pub(super) fn half_close(&mut self, conn: ConnId, current: RoundId) -> bool {
        match self.speakers.get_mut(&conn) {
            Some(member) if member.on == current && member.is_in && !member.is_leaving => {
                member.is_leaving = true;
                self.leaving += 1;
                true
            }
            _ => false,
        }
    }

    /// Takes off all who have spoken.
    pub(super) fn take_speakers(&mut self) -> impl Iterator<Item = ConnId> {
        self.awaited = 0;
        self.leaving = 0;
        std::mem::take(&mut self.speakers).into_keys()
    }

    /// `None` for whoever is not on, or has said that it sends no more.
    pub(super) fn standing(&self, conn: ConnId, current: RoundId) -> Option<Standing> {
        let member = self
            .speakers
            .get(&conn)
            .or_else(|| self.silent.get(&conn))
            .filter(|member| !member.is_leaving)?;
        Some(if member.on < current {
            Standing::Behind {
                missed: current.0 - member.on.0,
            }
        } else if member.is_in {
            Standing::In
        } else {
            Standing::InStep
        })
    }

    /// Its gradient is in. Returns how long it took, counted from when the
    /// server last spoke to it.
    pub(super) fn accept(&mut self, now: Time, conn: ConnId, current: RoundId) -> Span {
        self.update(now, conn, current, |member| member.is_in = true)
    }

    /// It has missed rounds and is put on the current one.
    pub(super) fn catch_up(&mut self, now: Time, conn: ConnId, current: RoundId) -> Span {
        self.update(now, conn, current, |member| {
            member.on = current;
            member.is_in = false;
            member.spoken_to = now;
        })
    }

    /// Changes the member, which has just sent a gradient, and keeps the
    /// count of those waited for.
    fn update(
        &mut self,
        now: Time,
        conn: ConnId,
        current: RoundId,
        change: impl FnOnce(&mut Member),
    ) -> Span {
        if let Some(newcomer) = self.silent.remove(&conn) {
            self.speakers.insert(conn, newcomer);
            self.awaited += usize::from(newcomer.is_awaited(current));
        }
        let Some(member) = self.speakers.get_mut(&conn) else {
            return Span::ZERO;
        };
        let took = now - member.spoken_to;
        self.awaited -= usize::from(member.is_awaited(current));
        change(member);
        self.awaited += usize::from(member.is_awaited(current));
        took
    }

    /// It is sent the result of `closed` and is on the round after it.
    /// False if it has left.
    ///
    /// To be called for each contributor after `closed` has closed, and for
    /// nobody else: the others are behind now, and none is waited for.
    pub(super) fn deliver(&mut self, now: Time, conn: ConnId, closed: RoundId) -> bool {
        let Some(member) = self.speakers.get_mut(&conn) else {
            return false;
        };
        *member = Member {
            on: RoundId(closed.0 + 1),
            is_in: false,
            spoken_to: now,
            ..*member
        };
        self.awaited += usize::from(!member.is_leaving);
        true
    }

    /// Those whom the closing round waited for in vain, and forgets that it
    /// did. At the start of a job nobody has spoken, so the silent count.
    pub(super) fn missed(&mut self, closing: RoundId, gathering: bool) -> Vec<ConnId> {
        let mut missed = Vec::new();
        if self.awaited > 0 {
            let awaited = self.speakers.iter().filter(|(_, m)| m.is_awaited(closing));
            missed.extend(awaited.map(|(conn, _)| *conn));
        }
        if gathering {
            missed.extend(self.silent.keys());
            missed.sort_unstable();
        }
        self.awaited = 0;
        missed
    }

    /// Those who had fallen behind before `closing` and have not spoken
    /// since.
    pub(super) fn overdue(&self, closing: RoundId) -> Vec<ConnId> {
        let behind = self.speakers.iter().filter(|(_, m)| m.on < closing);
        behind.map(|(conn, _)| *conn).collect()
    }

    /// Whoever is connected begins anew on the round `current`.
    pub(super) fn start_over(&mut self, current: RoundId) {
        self.silent.values_mut().for_each(|member| {
            member.on = current;
            member.is_in = false;
        });
    }

    /// How many are waited for.
    pub(super) fn awaited(&self) -> usize {
        self.awaited
    }

    /// How many have ever sent a gradient and are still connected.
    pub(super) fn speakers(&self) -> usize {
        self.speakers.len()
    }

    /// Whether somebody who has sent a gradient will send more.
    pub(super) fn has_stayers(&self) -> bool {
        self.speakers.len() > self.leaving
    }

    /// How many are connected.
    pub(super) fn len(&self) -> usize {
        self.speakers.len() + self.silent.len()
    }
}

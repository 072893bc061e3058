//! Who is connected, and which round each one is on.
//!
//! Connections that have never sent a gradient are kept apart: there may be
//! thousands of them, idle, and closing a round must not look at each.
//!
//! Invariants: `awaited` is the number of speakers that are in step and have
//! no gradient in, `staying` that of those whose gradient is in and who have
//! not said that it is their last. Both are counted, not searched for, as the
//! policy asks for them after every gradient.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use super::RoundId;
use crate::policy::MemberView;
use crate::time::{Span, Time};

/// A connection, numbered in the order of arrival by whoever accepts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

impl fmt::Display for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "worker {}", self.0)
    }
}

/// Workers, by how they take part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Census {
    /// Their gradients are in or waited for.
    pub in_step: usize,
    /// Have missed a round and not spoken since.
    pub behind: usize,
    /// Have lost their connection and may come back.
    pub away: usize,
    /// Are connected and have never sent a gradient.
    pub silent: usize,
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
    /// It says that it belongs to a round that has not opened.
    Ahead,
}

/// What a gradient told of its sender.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spoke {
    /// It is the sender's first.
    pub(super) is_first: bool,
    /// Time since the server last spoke to the sender.
    pub(super) took: Span,
    /// Time since the close of the first round that waited for it in vain.
    pub(super) too_late_by: Option<Span>,
}

#[derive(Debug, Clone, Copy)]
struct Member {
    /// The round its next gradient can belong to.
    on: RoundId,
    /// When that gradient came, if it is in.
    came: Option<Time>,
    /// The newest round of which a gradient of its was seen.
    seen: Option<RoundId>,
    /// When a round closed that had waited for it, if it has not spoken
    /// since.
    left_out: Option<Time>,
    /// When the server last spoke to it.
    spoken_to: Time,
    /// It has said that its gradient was its last.
    is_leaving: bool,
    /// Its connection is lost, and it may come back.
    is_away: bool,
}

impl Member {
    fn takes_part(&self) -> bool {
        !self.is_leaving && !self.is_away
    }

    fn is_awaited(&self, current: RoundId) -> bool {
        self.on == current && self.came.is_none() && self.takes_part()
    }

    /// Whose gradient is in is on the current round: a close resets it.
    fn is_staying(&self) -> bool {
        self.came.is_some() && !self.is_leaving
    }
}

#[derive(Debug, Default)]
pub(crate) struct Roster {
    /// Have sent a gradient, in order of connection.
    speakers: BTreeMap<ConnId, Member>,
    /// Have not.
    silent: HashMap<ConnId, Member>,
    /// When the newest connection was made.
    last_connected: Time,
    awaited: usize,
    staying: usize,
    /// Speakers that are leaving.
    leaving: usize,
    /// Speakers that are away.
    away: usize,
}

impl Roster {
    pub(super) fn connect(&mut self, conn: ConnId, current: RoundId, now: Time) {
        self.last_connected = now;
        let member = Member {
            on: current,
            came: None,
            seen: None,
            left_out: None,
            spoken_to: now,
            is_leaving: false,
            is_away: false,
        };
        if !self.speakers.contains_key(&conn) {
            self.silent.insert(conn, member);
        }
    }

    /// Takes a connection off. False if it was not on.
    pub(super) fn disconnect(&mut self, conn: ConnId, current: RoundId) -> bool {
        if let Some(member) = self.speakers.remove(&conn) {
            self.awaited -= usize::from(member.is_awaited(current));
            self.staying -= usize::from(member.is_staying());
            self.leaving -= usize::from(member.is_leaving);
            self.away -= usize::from(member.is_away);
            return true;
        }
        self.silent.remove(&conn).is_some()
    }

    /// Whether it has sent a gradient and will send more.
    pub(super) fn takes_part(&self, conn: ConnId) -> bool {
        let member = self.speakers.get(&conn);
        member.is_some_and(Member::takes_part)
    }

    /// It takes part from now on and is on the round `current`, whether it
    /// is new or was away. `seen` is what is known of it from before.
    pub(super) fn join(
        &mut self,
        now: Time,
        conn: ConnId,
        current: RoundId,
        seen: Option<RoundId>,
    ) {
        self.connect(conn, current, now);
        let was_away = self.speakers.get(&conn).is_some_and(|m| m.is_away);
        self.away -= usize::from(was_away);
        self.update(now, conn, current, |member| {
            if member.on < current {
                member.on = current;
                member.came = None;
            }
            member.is_away = false;
            member.seen = member.seen.max(seen);
            member.spoken_to = now;
        });
    }

    /// Its connection is lost. False if it took no part.
    pub(super) fn detach(&mut self, now: Time, conn: ConnId, current: RoundId) -> bool {
        if !self.takes_part(conn) {
            return false;
        }
        self.update(now, conn, current, |member| member.is_away = true);
        self.away += 1;
        true
    }

    /// When the server last spoke to it, if it is on.
    pub(super) fn spoken_to(&self, conn: ConnId) -> Option<Time> {
        let member = self.speakers.get(&conn).or_else(|| self.silent.get(&conn));
        member.map(|member| member.spoken_to)
    }

    /// Whether the round `current` waits for its gradient.
    pub(super) fn is_awaited(&self, conn: ConnId, current: RoundId) -> bool {
        let member = self.speakers.get(&conn);
        member.is_some_and(|member| member.is_awaited(current))
    }

    /// Whether it is on.
    pub(super) fn has(&self, conn: ConnId) -> bool {
        self.speakers.contains_key(&conn) || self.silent.contains_key(&conn)
    }

    /// The first round whose result it has not been sent.
    pub(super) fn on(&self, conn: ConnId) -> Option<RoundId> {
        self.speakers.get(&conn).map(|member| member.on)
    }

    /// Whether its gradient is in the round `current`.
    pub(super) fn is_in(&self, conn: ConnId, current: RoundId) -> bool {
        let member = self.speakers.get(&conn);
        member.is_some_and(|member| member.on == current && member.came.is_some())
    }

    /// The newest round of which a gradient of its was seen.
    pub(super) fn seen(&self, conn: ConnId) -> Option<RoundId> {
        self.speakers.get(&conn)?.seen
    }

    /// Its gradient is in and is its last. False if it has none in: then
    /// there is nothing to keep it for.
    pub(super) fn half_close(&mut self, conn: ConnId, current: RoundId) -> bool {
        match self.speakers.get_mut(&conn) {
            Some(member) if member.on == current && member.came.is_some() && !member.is_leaving => {
                member.is_leaving = true;
                self.staying -= 1;
                self.leaving += 1;
                true
            }
            _ => false,
        }
    }

    /// Takes off all who have spoken.
    pub(super) fn take_speakers(&mut self) -> impl Iterator<Item = ConnId> {
        self.awaited = 0;
        self.staying = 0;
        self.leaving = 0;
        self.away = 0;
        std::mem::take(&mut self.speakers).into_keys()
    }

    /// What a gradient from `conn` is, computed for the round `tag` or, if it
    /// does not say, for the one that was open when the server last spoke to
    /// it. `None` for whoever is not on, or has said that it sends no more.
    pub(super) fn standing(
        &self,
        conn: ConnId,
        current: RoundId,
        tag: Option<RoundId>,
    ) -> Option<Standing> {
        let member = self
            .speakers
            .get(&conn)
            .or_else(|| self.silent.get(&conn))
            .filter(|member| !member.is_leaving)?;
        let belongs_to = tag.unwrap_or(member.on);
        let is_again = tag.is_some() && member.seen >= tag;
        Some(if belongs_to > current {
            Standing::Ahead
        } else if is_again || (belongs_to == current && member.came.is_some()) {
            Standing::In
        } else if belongs_to < current {
            Standing::Behind {
                missed: current.0 - belongs_to.0,
            }
        } else {
            Standing::InStep
        })
    }

    /// Its gradient is in the round `current`.
    pub(super) fn accept(&mut self, now: Time, conn: ConnId, current: RoundId) -> Spoke {
        self.update(now, conn, current, |member| {
            // One that names its round may know better than the last word
            // that it had from here.
            member.on = current;
            member.came = Some(now);
            member.seen = Some(current);
        })
    }

    /// A late gradient of its, of the round `of`, has come, and it is put on
    /// the current round.
    pub(super) fn catch_up(
        &mut self,
        now: Time,
        conn: ConnId,
        of: RoundId,
        current: RoundId,
    ) -> Spoke {
        self.update(now, conn, current, |member| {
            if member.on < current {
                member.came = None;
            }
            member.on = current;
            member.seen = member.seen.max(Some(of));
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
    ) -> Spoke {
        let mut is_first = false;
        if let Some(newcomer) = self.silent.remove(&conn) {
            self.speakers.insert(conn, newcomer);
            self.awaited += usize::from(newcomer.is_awaited(current));
            is_first = true;
        }
        let mut spoke = Spoke {
            is_first,
            took: Span::ZERO,
            too_late_by: None,
        };
        let Some(member) = self.speakers.get_mut(&conn) else {
            return spoke;
        };
        spoke.took = now - member.spoken_to;
        spoke.too_late_by = member.left_out.take().map(|closed| now - closed);
        self.awaited -= usize::from(member.is_awaited(current));
        self.staying -= usize::from(member.is_staying());
        change(member);
        self.awaited += usize::from(member.is_awaited(current));
        self.staying += usize::from(member.is_staying());
        spoke
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
        self.staying -= usize::from(member.is_staying());
        *member = Member {
            on: RoundId(closed.0 + 1),
            came: None,
            spoken_to: now,
            ..*member
        };
        self.awaited += usize::from(member.takes_part());
        true
    }

    /// Those whom the closing round waited for in vain, and forgets that it
    /// did. At the start of a job nobody has spoken, so the silent count.
    pub(super) fn missed(&mut self, now: Time, closing: RoundId, gathering: bool) -> Vec<ConnId> {
        let mut missed = Vec::new();
        if self.awaited > 0 {
            for (conn, member) in &mut self.speakers {
                if member.is_awaited(closing) {
                    member.left_out = Some(now);
                    missed.push(*conn);
                }
            }
        }
        if gathering {
            missed.extend(self.silent.keys());
            missed.sort_unstable();
        }
        self.awaited = 0;
        missed
    }

    /// Those whom the open round `current` waits for: those in step, those
    /// who are `behind` if they count, and the silent at the start of a job.
    pub(super) fn awaited_by(
        &self,
        current: RoundId,
        behind: bool,
        gathering: bool,
    ) -> Vec<ConnId> {
        let speakers = self.speakers.iter().filter(|(_, member)| {
            member.is_awaited(current) || behind && member.on < current && member.takes_part()
        });
        let mut awaited: Vec<ConnId> = speakers.map(|(conn, _)| *conn).collect();
        if gathering {
            awaited.extend(self.silent.keys());
            awaited.sort_unstable();
        }
        awaited
    }

    /// Those who had fallen behind before `closing` and have not spoken
    /// since.
    pub(super) fn overdue(&self, closing: RoundId) -> Vec<ConnId> {
        let behind = self
            .speakers
            .iter()
            .filter(|(_, m)| m.on < closing && m.takes_part());
        behind.map(|(conn, _)| *conn).collect()
    }

    /// Whoever is connected begins anew on the round `current`.
    pub(super) fn start_over(&mut self, current: RoundId) {
        self.silent.values_mut().for_each(|member| {
            member.on = current;
            member.came = None;
        });
    }

    /// All who take part, as seen from the round `current`.
    pub(crate) fn members(&self, current: RoundId) -> impl Iterator<Item = MemberView> + use<'_> {
        let stayers = self.speakers.iter().filter(|(_, m)| m.takes_part());
        stayers.map(move |(conn, member)| MemberView {
            conn: *conn,
            came: member.came.filter(|_| member.on == current),
            spoken_to: member.spoken_to,
            missed: current.0 - member.on.0.min(current.0),
        })
    }

    pub(crate) fn last_connected(&self) -> Time {
        self.last_connected
    }

    /// How many take part.
    pub(super) fn stayers(&self) -> usize {
        self.speakers.len() - self.leaving - self.away
    }

    /// How many are in step and have no gradient in.
    pub(super) fn awaited(&self) -> usize {
        self.awaited
    }

    /// How many missed a round and have not spoken since.
    pub(super) fn behind(&self) -> usize {
        self.stayers() - self.staying - self.awaited
    }

    /// All of them, counted.
    pub(super) fn census(&self) -> Census {
        let behind = self.behind();
        Census {
            in_step: self.stayers() - behind,
            behind,
            away: self.away,
            silent: self.silent.len(),
        }
    }

    /// How many have ever sent a gradient and are still connected.
    pub(super) fn speakers(&self) -> usize {
        self.speakers.len()
    }

    /// Whether somebody who has sent a gradient will send more, those
    /// included whose connection is lost for now.
    pub(super) fn has_stayers(&self) -> bool {
        self.speakers.len() > self.leaving
    }

    /// How many are connected.
    pub(super) fn len(&self) -> usize {
        self.speakers.len() + self.silent.len()
    }
}

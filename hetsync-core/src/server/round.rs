//! The open round: its number, and the gradients that are in.
//!
//! Invariants: gradients are kept in roster order, one per worker; `opened`
//! is set exactly while there is at least one.

use std::fmt;

use super::ConnId;
use crate::payload::Payload;
use crate::time::{Span, Time};

/// The number of a round, counted from 0 over the life of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RoundId(pub u64);

impl fmt::Display for RoundId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A gradient that waits for its round to close.
#[derive(Debug)]
pub(super) struct Staged {
    pub(super) conn: ConnId,
    pub(super) at: Time,
    pub(super) payload: Payload,
}

#[derive(Debug, Default)]
pub(super) struct Round {
    pub(super) id: RoundId,
    /// When the first gradient was complete.
    pub(super) opened: Option<Time>,
    /// By connection, ascending.
    pub(super) staged: Vec<Staged>,
}

impl Round {
    /// Puts a gradient in its place. The roster vouches that its worker has
    /// none in yet.
    pub(super) fn stage(&mut self, now: Time, conn: ConnId, payload: Payload) {
        self.opened.get_or_insert(now);
        let place = self.staged.partition_point(|staged| staged.conn < conn);
        self.staged.insert(
            place,
            Staged {
                conn,
                at: now,
                payload,
            },
        );
    }

    /// Takes a gradient out again.
    pub(super) fn withdraw(&mut self, conn: ConnId) -> Option<Payload> {
        let at = self.staged.binary_search_by_key(&conn, |s| s.conn).ok()?;
        let staged = self.staged.remove(at);
        if self.staged.is_empty() {
            self.opened = None;
        }
        Some(staged.payload)
    }

    /// Who came, and how long after the first.
    pub(super) fn arrivals(&self, opened: Time) -> Vec<(ConnId, Span)> {
        self.staged
            .iter()
            .map(|staged| (staged.conn, staged.at - opened))
            .collect()
    }

    /// Goes to the next round and yields this one's gradients in order.
    pub(super) fn advance(&mut self) -> impl Iterator<Item = Staged> {
        self.id.0 += 1;
        self.clear()
    }

    /// Empties the round without closing it.
    pub(super) fn clear(&mut self) -> impl Iterator<Item = Staged> {
        self.opened = None;
        std::mem::take(&mut self.staged).into_iter()
    }
}

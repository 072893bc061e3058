//! The open round: its number, and the gradients that are in.
//!
//! Invariants: gradients are kept in roster order, one per worker; `opened`
//! is set exactly while there is at least one.

use std::collections::HashMap;
use std::fmt;

use super::{ConnId, LateAccount};
use crate::Name;
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

/// A round that has not closed, at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenRound {
    /// Which.
    pub round: RoundId,
    /// When its first gradient came.
    pub opened: Time,
    /// When its rule looks at it next or closes it, if nothing comes before;
    /// `None` if only a gradient or a departure can close it.
    pub closes: Option<Time>,
    /// How many gradients are in.
    pub gradients: usize,
    /// Who is connected and waited for, in order of connection.
    pub awaited: Vec<ConnId>,
    /// Of the configured workers, how many have not even connected.
    pub absent: usize,
}

/// A gradient that waits for its round to close.
#[derive(Debug)]
pub(super) struct Staged {
    pub(super) conn: ConnId,
    pub(super) at: Time,
    /// What it has been multiplied by.
    pub(super) weight: f32,
    pub(super) payload: Payload,
}

/// A late gradient, weighted, that goes into the open round. Its sender has
/// had its answer.
#[derive(Debug, Clone)]
pub(super) struct Carried {
    pub(super) account: LateAccount,
    pub(super) payload: Payload,
}

#[derive(Debug, Default)]
pub(super) struct Round {
    pub(super) id: RoundId,
    /// When the first gradient was complete.
    pub(super) opened: Option<Time>,
    /// By connection, ascending.
    pub(super) staged: Vec<Staged>,
    /// In the order of their coming, at most one of each worker.
    pub(super) carried: Vec<Carried>,
}

impl Round {
    /// Puts a gradient in its place. The roster vouches that its worker has
    /// none in yet.
    pub(super) fn stage(&mut self, now: Time, conn: ConnId, weight: f32, payload: Payload) {
        self.opened.get_or_insert(now);
        let place = self.staged.partition_point(|staged| staged.conn < conn);
        self.staged.insert(
            place,
            Staged {
                conn,
                at: now,
                weight,
                payload,
            },
        );
    }

    /// Whether every gradient counts as one.
    pub(super) fn is_even(&self) -> bool {
        self.carried.is_empty() && self.staged.iter().all(|staged| staged.weight == 1.0)
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

    /// Takes a late gradient along. Gives it back if its sender has one here
    /// already, so that what is held stays within one for each worker.
    pub(super) fn carry(&mut self, carried: Carried) -> Result<(), Payload> {
        let conn = carried.account.conn;
        if self.carried.iter().any(|other| other.account.conn == conn) {
            return Err(carried.payload);
        }
        self.carried.push(carried);
        Ok(())
    }

    /// What is to be reduced: the fresh gradients in roster order, those of
    /// workers with a name behind the others and in the order of names, then
    /// the late ones; and the sum of their weights.
    pub(super) fn inputs(&self, names: &HashMap<ConnId, Name>) -> (Vec<&[u8]>, f32) {
        let mut fresh: Vec<&Staged> = self.staged.iter().collect();
        if !names.is_empty() {
            // Stable: those without a name stay in the order of connection.
            fresh.sort_by_key(|staged| names.get(&staged.conn));
        }
        // In the same order, so that the sum of weights repeats as well.
        let own = fresh.iter().map(|staged| staged.weight);
        let own = own.fold(0.0, |sum: f32, weight| sum + weight);
        let fresh = fresh.into_iter().map(|staged| staged.payload.as_bytes());
        let late = self.carried.iter().map(|late| late.payload.as_bytes());
        let weights = self.carried.iter().map(|late| late.account.weight);
        let weight = weights.fold(own, |sum, weight| sum + weight);
        (fresh.chain(late).collect(), weight)
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

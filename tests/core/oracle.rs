//! What a server ought to do, written a second time without regard for
//! speed: no counters, no buffers, everything looked up anew.

use std::collections::BTreeMap;

use hetsync_core::server::Late;
use hetsync_core::{Span, Time};

/// A result on its way: receiver, round, and the bits of its floats.
pub(crate) type Delivery = (u64, u64, Vec<u32>);

/// What one change should bring about.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Expected {
    pub(crate) deliveries: Vec<Delivery>,
    /// Round, contributors, and whether the deadline closed it.
    pub(crate) closed: Vec<(u64, Vec<u64>, bool)>,
    pub(crate) late: Vec<u64>,
    pub(crate) duplicate: Vec<u64>,
    pub(crate) refused: Vec<u64>,
    pub(crate) half_closed: Vec<u64>,
    /// Cut off by the gradient of another job.
    pub(crate) displaced: Vec<u64>,
    /// Gradients lost with a round that everybody left, or with their
    /// connection.
    pub(crate) abandoned: usize,
}

#[derive(Debug, Clone, Copy)]
struct Peer {
    on: u64,
    is_in: bool,
    has_spoken: bool,
    is_leaving: bool,
}

#[derive(Debug)]
pub(crate) struct Oracle {
    pub(crate) workers: usize,
    pub(crate) deadline: Option<Span>,
    pub(crate) is_mean: bool,
    late: Late,
    /// Late gradients for the open round, with their weights.
    carried: Vec<(u64, f32, Vec<f32>)>,
    /// Whoever missed a round is waited for in the next one as well.
    pub(crate) waits_for_all: bool,
    peers: BTreeMap<u64, Peer>,
    round: u64,
    is_first: bool,
    opened: Option<Time>,
    staged: BTreeMap<u64, Vec<f32>>,
    length: Option<usize>,
    newest: Option<(u64, Vec<u32>)>,
}

impl Oracle {
    pub(crate) fn new(
        workers: usize,
        deadline: Option<Span>,
        is_mean: bool,
        late: Late,
        waits_for_all: bool,
    ) -> Self {
        Self {
            workers,
            deadline,
            is_mean,
            late,
            carried: Vec::new(),
            waits_for_all,
            peers: BTreeMap::new(),
            round: 0,
            is_first: true,
            opened: None,
            staged: BTreeMap::new(),
            length: None,
            newest: None,
        }
    }

    pub(crate) fn connect(&mut self, id: u64) {
        let peer = Peer {
            on: self.round,
            is_in: false,
            has_spoken: false,
            is_leaving: false,
        };
        self.peers.insert(id, peer);
    }

    pub(crate) fn disconnect(&mut self, now: Time, id: u64) -> Expected {
        let mut expected = Expected::default();
        if self.peers.remove(&id).is_some() {
            self.departed(now, id, &mut expected);
        }
        expected
    }

    pub(crate) fn half_close(&mut self, id: u64) -> Expected {
        let mut expected = Expected::default();
        let round = self.round;
        if let Some(peer) = self.peers.get_mut(&id)
            && peer.on == round
            && peer.is_in
            && !peer.is_leaving
        {
            peer.is_leaving = true;
            expected.half_closed.push(id);
        }
        expected
    }

    /// The length that somebody who stays has brought.
    fn length(&self) -> Option<usize> {
        let stays = |peer: &Peer| peer.has_spoken && !peer.is_leaving;
        self.length.filter(|_| self.peers.values().any(stays))
    }

    pub(crate) fn gradient(&mut self, now: Time, id: u64, floats: &[f32]) -> Expected {
        let mut expected = Expected::default();
        let Some(mut peer) = self.peers.get(&id).copied() else {
            return expected;
        };
        if peer.is_leaving {
            return expected;
        }
        let fits = self.length().is_none_or(|length| length == floats.len());
        if !fits || floats.is_empty() || floats.iter().any(|float| !float.is_finite()) {
            expected.refused.push(id);
            self.peers.remove(&id);
            self.departed(now, id, &mut expected);
            return expected;
        }
        if self.length.is_some_and(|length| length != floats.len()) {
            let leaving = self.peers.iter().filter(|(_, peer)| peer.has_spoken);
            expected.displaced = leaving.map(|(id, _)| *id).collect();
            self.peers.retain(|_, peer| !peer.has_spoken);
            self.start_over(&mut expected);
            peer = self.peers[&id];
        }
        if peer.on < self.round {
            expected.late.push(id);
            let (round, bits) = self.newest.clone().expect("a round has closed");
            expected.deliveries.push((id, round, bits));
            let age = (self.round - peer.on) as f32;
            let weight = match self.late {
                Late::Drop => None,
                Late::NextRound => Some(1.0),
                Late::Inverse => Some(1.0 / (1.0 + age)),
                Late::Power(base) => Some(base.powi(age as i32)),
            };
            let again = self.carried.iter().any(|(who, _, _)| *who == id);
            if let Some(weight) = weight.filter(|_| !again) {
                self.carried.push((id, weight, floats.to_vec()));
            }
            peer.on = self.round;
            peer.is_in = false;
        } else if peer.is_in {
            expected.duplicate.push(id);
        } else {
            self.length = Some(floats.len());
            self.opened.get_or_insert(now);
            self.staged.insert(id, floats.to_vec());
            peer.is_in = true;
        }
        peer.has_spoken = true;
        self.peers.insert(id, peer);
        self.close_if_due(now, &mut expected);
        expected
    }

    pub(crate) fn time(&mut self, now: Time) -> Expected {
        let mut expected = Expected::default();
        self.close_if_due(now, &mut expected);
        expected
    }

    /// When time alone will close the open round.
    pub(crate) fn due(&self) -> Option<Time> {
        Some(self.opened? + self.deadline?)
    }

    fn awaited(&self) -> usize {
        let is_awaited = |peer: &&Peer| {
            let may_come = self.waits_for_all || peer.on == self.round;
            peer.has_spoken && may_come && !peer.is_in && !peer.is_leaving
        };
        let in_step = self.peers.values().filter(is_awaited).count();
        match self.is_first {
            true => in_step.max(self.workers.saturating_sub(self.staged.len())),
            false => in_step,
        }
    }

    fn departed(&mut self, now: Time, id: u64, expected: &mut Expected) {
        if self.peers.values().any(|peer| peer.has_spoken) {
            expected.abandoned = usize::from(self.staged.remove(&id).is_some());
            if self.staged.is_empty() {
                self.opened = None;
            }
            self.close_if_due(now, expected);
            return;
        }
        self.start_over(expected);
    }

    fn start_over(&mut self, expected: &mut Expected) {
        expected.abandoned = self.staged.len();
        self.staged.clear();
        self.carried.clear();
        self.opened = None;
        self.length = None;
        self.newest = None;
        self.is_first = true;
        for peer in self.peers.values_mut() {
            peer.on = self.round;
        }
    }

    fn close_if_due(&mut self, now: Time, expected: &mut Expected) {
        if self.staged.is_empty() {
            return;
        }
        let is_full = self.awaited() == 0;
        if !is_full && self.due().is_none_or(|due| now < due) {
            return;
        }
        let bits = self.reduce();
        let contributors: Vec<u64> = self.staged.keys().copied().collect();
        for id in &contributors {
            if let Some(peer) = self.peers.get_mut(id) {
                expected.deliveries.push((*id, self.round, bits.clone()));
                peer.on = self.round + 1;
                peer.is_in = false;
            }
        }
        expected.closed.push((self.round, contributors, !is_full));
        self.newest = Some((self.round, bits));
        self.round += 1;
        self.is_first = false;
        self.opened = None;
        self.staged.clear();
        self.carried.clear();
    }

    fn reduce(&self) -> Vec<u32> {
        let fresh = self.staged.values().map(|floats| (1.0, floats));
        let late = self
            .carried
            .iter()
            .map(|(_, weight, floats)| (*weight, floats));
        let mut sum: Option<Vec<f32>> = None;
        let mut weights = 0.0;
        for (weight, floats) in fresh.chain(late) {
            let floats = floats.iter().map(|float| float * weight);
            weights += weight;
            sum = Some(match sum {
                None => floats.collect(),
                Some(sum) => sum.iter().zip(floats).map(|(sum, new)| sum + new).collect(),
            });
        }
        let mut sum = sum.expect("one at least");
        if self.is_mean {
            sum.iter_mut().for_each(|sum| *sum /= weights);
        }
        sum.iter().map(|sum| sum.to_bits()).collect()
    }
}

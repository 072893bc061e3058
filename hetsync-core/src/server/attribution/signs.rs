//! Where a worker's time went, as far as a server can see it.
//!
//! From the answer to a worker until its next gradient is handled, time goes
//! into three places: the answer or the gradient waits in a queue at one of
//! the two ends, bytes are on the network, or the worker computes. The first
//! two leave traces; the rest is taken to be computing. What makes a worker
//! late is not the longest of the three but the one by which it exceeds the
//! workers that were in time.

use std::fmt;

use crate::time::Span;

/// Why a worker was late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Its gradient was sent late: it computed, or slept, for longer than
    /// the others.
    Compute,
    /// Bytes took long between the two ends.
    Network,
    /// The result waited to be sent, or to be read by the worker; or the
    /// gradient waited to be handled.
    Queue,
}

impl Cause {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Compute, Self::Network, Self::Queue];

    /// The word used in logs, metrics and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Compute => "compute",
            Self::Network => "network",
            Self::Queue => "queue",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What was seen of one turnaround: from the server's last word to a worker
/// to that worker's gradient, or until now if that has not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Signs {
    /// All of it.
    pub took: Span,
    /// Of that, the time in which an answer waited to be sent or read, or
    /// the gradient to be handled.
    pub queue: Span,
    /// Of that, the time in which bytes were on the network.
    pub network: Span,
    /// Segments that the server's side sent again.
    pub retransmits: u32,
    /// The shortest time for there and back that the connection has seen of
    /// late; zero if it is not known.
    pub rtt: Span,
    /// The newest rate at which bytes were delivered to the worker, in bytes
    /// per second; zero if it is not known.
    pub delivery_rate: u64,
}

impl Signs {
    /// What is left when queues and network are taken away.
    pub fn compute(&self) -> Span {
        let rest = self.took.as_nanos();
        let rest = rest.saturating_sub(self.queue.as_nanos());
        Span::from_nanos(rest.saturating_sub(self.network.as_nanos()))
    }

    /// The part by which this turnaround exceeds the `usual` one most.
    ///
    /// ```
    /// use hetsync_core::Span;
    /// use hetsync_core::server::{Cause, Signs};
    ///
    /// let ms = Span::from_millis;
    /// let usual = Signs { took: ms(100), ..Signs::default() };
    /// // It computed as long as all others; its network took the rest.
    /// let late = Signs { took: ms(180), network: ms(80), ..Signs::default() };
    /// assert_eq!(late.cause(&usual), Cause::Network);
    /// ```
    pub fn cause(&self, usual: &Self) -> Cause {
        let excess = |ours: Span, theirs: Span| ours.as_nanos().saturating_sub(theirs.as_nanos());
        let queue = excess(self.queue, usual.queue);
        let network = excess(self.network, usual.network);
        let compute = excess(self.compute(), usual.compute());
        if compute >= queue && compute >= network {
            Cause::Compute
        } else if network >= queue {
            Cause::Network
        } else {
            Cause::Queue
        }
    }

    /// The middle of each of the three parts, one by one.
    pub(super) fn usual(of: &[Self]) -> Self {
        let middle = |part: fn(&Self) -> Span| {
            let mut parts: Vec<Span> = of.iter().map(part).collect();
            let at = parts.len() / 2;
            match parts.is_empty() {
                true => Span::ZERO,
                false => *parts.select_nth_unstable(at).1,
            }
        };
        let queue = middle(|signs| signs.queue);
        let network = middle(|signs| signs.network);
        Self {
            took: middle(Self::compute) + queue + network,
            queue,
            network,
            ..Self::default()
        }
    }
}

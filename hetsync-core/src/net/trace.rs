//! The way of a gradient, as its connection sees it: when the last answer
//! went out, when the first byte came, and what the kernel knows of the time
//! in between.
//!
//! Invariant: marks only ever go into [`Signs`]; nothing is decided by them.

use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::tcp_info::{self, TcpInfo};
use crate::server::Signs;
use crate::time::{Span, Time};

/// The kernel is not asked about turnarounds shorter than this: that would
/// cost a noticeable part of them.
const WORTH_ASKING: Span = Span::from_millis(1);

/// A worker that computes acknowledges what it has received after up to
/// 40 ms (delayed acknowledgement), and timers are coarse: so much of the
/// time until then need not be the network's.
const DELAYED_ACK: Span = Span::from_millis(45);

/// Data that has been with the kernel for less was read at once: its clock
/// has steps of up to ten milliseconds.
const COARSE: Span = Span::from_millis(10);

#[derive(Debug)]
pub(super) struct Trace {
    /// When it was last answered, or connected.
    answered_ns: AtomicU64,
    /// When the last byte of that had been taken by the socket; 0 for at
    /// once.
    sent_ns: AtomicU64,
    /// When the first byte of the gradient came; 0 while none has.
    first_ns: AtomicU64,
    received_bytes: AtomicU64,
    sent_bytes: AtomicU64,
    /// What the kernel said at the gradient before.
    before: Mutex<Option<TcpInfo>>,
}

impl Trace {
    pub(super) fn new(connected: Time) -> Self {
        Self {
            answered_ns: AtomicU64::new(connected.as_nanos()),
            sent_ns: AtomicU64::new(0),
            first_ns: AtomicU64::new(0),
            received_bytes: AtomicU64::new(0),
            sent_bytes: AtomicU64::new(0),
            before: Mutex::new(None),
        }
    }

    /// It is answered: a new turnaround begins.
    pub(super) fn answer(&self, now: Time) {
        self.answered_ns.store(now.as_nanos(), Ordering::Relaxed);
        self.sent_ns.store(0, Ordering::Relaxed);
        self.first_ns.store(0, Ordering::Relaxed);
    }

    /// The socket has taken the whole answer.
    pub(super) fn sent(&self, now: Time) {
        self.sent_ns.store(now.as_nanos(), Ordering::Relaxed);
    }

    /// So many bytes have come.
    pub(super) fn received(&self, bytes: usize) {
        self.received_bytes
            .fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// So many bytes went out.
    pub(super) fn went(&self, bytes: usize) {
        self.sent_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Bytes that came and went in all.
    pub(super) fn traffic(&self) -> (u64, u64) {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (load(&self.received_bytes), load(&self.sent_bytes))
    }

    /// Bytes of its gradient have come.
    pub(super) fn byte(&self, now: Time) {
        if self.first_ns.load(Ordering::Relaxed) == 0 {
            self.first_ns.store(now.as_nanos(), Ordering::Relaxed);
        }
    }

    /// What is to be said of the turnaround that ends now, with a gradient
    /// whose last byte came at `last`; or of one that goes on, if none has
    /// come.
    pub(super) fn signs(&self, now: Time, last: Option<Time>, stream: &TcpStream) -> Signs {
        let load = |mark: &AtomicU64| Time::from_nanos(mark.load(Ordering::Relaxed));
        let marks = Marks {
            answered: load(&self.answered_ns),
            sent: load(&self.sent_ns),
            first: load(&self.first_ns),
            last,
            now,
        };
        let worth = now - marks.answered >= WORTH_ASKING;
        let info = worth.then(|| tcp_info::of(stream)).flatten();
        let mut before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        let signs = marks.signs(info, *before);
        if last.is_some() {
            *before = info;
        }
        signs
    }
}

struct Marks {
    answered: Time,
    sent: Time,
    first: Time,
    last: Option<Time>,
    now: Time,
}

impl Marks {
    fn signs(&self, info: Option<TcpInfo>, before: Option<TcpInfo>) -> Signs {
        let took = self.now - self.answered;
        let first = match self.first {
            Time::ZERO => self.now,
            first => first,
        };
        let last = self.last.unwrap_or(self.now);
        let out_wait = self.sent - self.answered;
        let mut left = first - self.answered;
        let mut take = |wanted: Span| {
            let taken = wanted.min(left);
            left = less(left, taken);
            taken
        };
        let mut network = Span::ZERO;
        let mut queue = Span::ZERO;
        let mut retransmits = 0;
        match (info, before) {
            (Some(info), Some(before)) => {
                retransmits = info.retransmits.saturating_sub(before.retransmits);
                let busy = less(info.busy, before.busy);
                let peer_full = less(info.peer_full, before.peer_full);
                let on_wire = less(busy, peer_full);
                network += take(match retransmits {
                    0 => less(on_wire, DELAYED_ACK).max(info.min_rtt.min(on_wire)),
                    _ => on_wire,
                });
                queue += take(peer_full);
                queue += take(less(out_wait, busy));
            }
            (Some(info), None) => {
                queue += take(out_wait);
                network += take(info.min_rtt);
            }
            (None, _) => queue += take(out_wait),
        }
        // With the kernel, and then with us.
        let waited = match (info, self.last) {
            (Some(info), Some(_)) if info.last_received > COARSE => info.last_received,
            _ => Span::ZERO,
        };
        // Some of it may have been there before the first was read.
        queue += take(less(waited, self.now - first));
        let unhandled = waited.max(self.now - last).min(self.now - first);
        network += less(self.now - first, unhandled);
        queue += unhandled;
        Signs {
            took,
            queue,
            network,
            retransmits,
            rtt: info.unwrap_or_default().min_rtt,
            delivery_rate: info.unwrap_or_default().delivery_rate,
        }
    }
}

fn less(span: Span, by: Span) -> Span {
    Span::from_nanos(span.as_nanos().saturating_sub(by.as_nanos()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Time {
        Time::from_nanos(ms * 1_000_000)
    }

    /// In milliseconds: queue, network, compute.
    fn parts(marks: &Marks, info: Option<TcpInfo>) -> (u64, u64, u64) {
        let signs = marks.signs(info, Some(TcpInfo::default()));
        let ms = |span: Span| span.as_nanos() / 1_000_000;
        assert_eq!(signs.took, signs.queue + signs.network + signs.compute());
        (ms(signs.queue), ms(signs.network), ms(signs.compute()))
    }

    /// Answered at once at 1000, first byte after 200, last after 10 more.
    const PLAIN: Marks = Marks {
        answered: Time::from_nanos(1_000_000_000),
        sent: Time::ZERO,
        first: Time::from_nanos(1_200_000_000),
        last: Some(Time::from_nanos(1_210_000_000)),
        now: Time::from_nanos(1_210_000_000),
    };

    #[test]
    fn a_turnaround_is_taken_apart() {
        let ms = Span::from_millis;
        let info = TcpInfo::default();
        assert_eq!(parts(&PLAIN, None), (0, 10, 200));
        // An acknowledgement that a computing worker puts off is no network.
        let delayed = TcpInfo {
            busy: ms(44),
            min_rtt: ms(2),
            ..info
        };
        assert_eq!(parts(&PLAIN, Some(delayed)), (0, 12, 198));
        let far = TcpInfo {
            busy: ms(160),
            min_rtt: ms(120),
            ..info
        };
        assert_eq!(parts(&PLAIN, Some(far)), (0, 130, 80));
        let lossy = TcpInfo {
            busy: ms(190),
            retransmits: 2,
            ..info
        };
        assert_eq!(parts(&PLAIN, Some(lossy)), (0, 200, 10));
        let slow_reader = TcpInfo {
            busy: ms(150),
            peer_full: ms(140),
            ..info
        };
        assert_eq!(parts(&PLAIN, Some(slow_reader)), (140, 10, 60));
        let left_lying = TcpInfo {
            last_received: ms(100),
            ..info
        };
        assert_eq!(parts(&PLAIN, Some(left_lying)), (100, 0, 110));
    }

    #[test]
    fn one_that_has_not_come_is_taken_apart_as_far_as_it_has_got() {
        let missing = Marks {
            first: Time::ZERO,
            last: None,
            now: at(1_500),
            ..PLAIN
        };
        assert_eq!(parts(&missing, None), (0, 0, 500));
        let half = Marks {
            first: at(1_100),
            ..missing
        };
        assert_eq!(parts(&half, None), (0, 400, 100));
        let unsent = Marks {
            sent: at(1_400),
            ..missing
        };
        assert_eq!(parts(&unsent, None), (400, 0, 100));
    }
}

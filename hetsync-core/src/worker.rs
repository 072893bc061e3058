//! The worker's side as a state machine: the server's mirror.
//!
//! It pushes one gradient at a time and waits for its result; when the
//! connection fails it asks for a new one, waiting twice as long each time.
//! No sockets, no clock; the same drain rule as the server's.
//!
//! Invariant: a gradient is sent at most once. If the connection breaks
//! after it was handed out, it is reported as lost and not sent again:
//! protocol 0 has no way to say "this is the one from before", and a server
//! that had taken the first copy would add it twice.

use std::collections::VecDeque;

use crate::payload::Payload;
use crate::retry::Backoff;
pub use crate::retry::Retry;
use crate::time::Time;

/// One thing to be done by whoever drives the worker.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Open a connection, then say how that went.
    Connect,
    /// Send this gradient.
    Send(Payload),
    /// The result for the gradient that was pushed.
    Deliver(Payload),
    /// The connection broke while a gradient was out. It may or may not be
    /// in a sum; compute the next one.
    Lost,
    /// No connection could be had. The worker does nothing any more.
    GaveUp,
}

/// A gradient was pushed while the one before is still out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a gradient is already on its way; wait for its result before pushing the next")]
pub struct Busy;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    Connecting,
    Up,
    /// Until the time comes for another attempt.
    Down,
    GaveUp,
}

#[derive(Debug)]
enum Work {
    None,
    /// Pushed, not yet handed out.
    Held(Payload),
    /// Handed out, no result yet.
    Out,
}

/// The worker's state.
///
/// ```
/// use hetsync_core::worker::{Output, Retry, Worker};
/// use hetsync_core::{Payload, Time};
///
/// let now = Time::ZERO;
/// let mut worker = Worker::new(Retry::default());
/// assert_eq!(worker.poll_output(), Some(Output::Connect));
/// worker.handle_connected();
/// worker.push(Payload::from_floats(&[1.0]))?;
/// assert!(matches!(worker.poll_output(), Some(Output::Send(_))));
/// worker.handle_result(now, Payload::from_floats(&[4.0]));
/// assert!(matches!(worker.poll_output(), Some(Output::Deliver(_))));
/// # Ok::<(), hetsync_core::worker::Busy>(())
/// ```
#[derive(Debug)]
pub struct Worker {
    backoff: Backoff,
    link: Link,
    work: Work,
    outputs: VecDeque<Output>,
}

impl Worker {
    /// A worker that wants a connection.
    pub fn new(retry: Retry) -> Self {
        Self {
            backoff: Backoff::new(retry),
            link: Link::Connecting,
            work: Work::None,
            outputs: VecDeque::from([Output::Connect]),
        }
    }

    /// Takes a gradient to be sent, at once or as soon as there is a
    /// connection.
    ///
    /// # Errors
    /// [`Busy`] if the result of the one before has not come.
    pub fn push(&mut self, gradient: Payload) -> Result<(), Busy> {
        let Work::None = self.work else {
            return Err(Busy);
        };
        match self.link {
            Link::Up => self.hand_out(gradient),
            Link::GaveUp => self.outputs.push_back(Output::GaveUp),
            _ => self.work = Work::Held(gradient),
        }
        Ok(())
    }

    /// The connection is there.
    pub fn handle_connected(&mut self) {
        self.link = Link::Up;
        self.backoff.stop();
        if let Work::Held(gradient) = std::mem::replace(&mut self.work, Work::None) {
            self.hand_out(gradient);
        }
    }

    /// An attempt failed, or the connection broke.
    pub fn handle_disconnected(&mut self, now: Time) {
        if let Work::Out = self.work {
            self.work = Work::None;
            self.outputs.push_back(Output::Lost);
        }
        self.link = match self.backoff.fail(now) {
            true => Link::Down,
            false => {
                self.outputs.push_back(Output::GaveUp);
                Link::GaveUp
            }
        };
    }

    /// A result has come. One that nobody asked for means that the two
    /// ends are out of step, and the connection is given up for a new one.
    pub fn handle_result(&mut self, now: Time, result: Payload) {
        match self.work {
            Work::Out => {
                self.work = Work::None;
                self.backoff.succeed();
                self.outputs.push_back(Output::Deliver(result));
            }
            _ => self.handle_disconnected(now),
        }
    }

    /// The time that [`poll_timeout`](Self::poll_timeout) named has come.
    pub fn handle_timeout(&mut self, now: Time) {
        if self.backoff.is_over(now) {
            self.link = Link::Connecting;
            self.outputs.push_back(Output::Connect);
        }
    }

    /// The next thing to be done.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout), if at all.
    pub fn poll_timeout(&self) -> Option<Time> {
        self.backoff.until()
    }

    fn hand_out(&mut self, gradient: Payload) {
        self.work = Work::Out;
        self.outputs.push_back(Output::Send(gradient));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Span;

    fn gradient() -> Payload {
        Payload::from_floats(&[1.0])
    }

    fn drain(worker: &mut Worker) -> Vec<Output> {
        std::iter::from_fn(|| worker.poll_output()).collect()
    }

    #[test]
    fn attempts_are_spaced_out_and_end() {
        let retry = Retry {
            first: Span::from_millis(10),
            max: Span::from_millis(30),
            attempts: 5,
        };
        let mut worker = Worker::new(retry);
        let mut now = Time::ZERO;
        let mut waits = Vec::new();
        assert_eq!(drain(&mut worker), [Output::Connect]);
        loop {
            worker.handle_disconnected(now);
            let Some(at) = worker.poll_timeout() else {
                break;
            };
            waits.push((at - now).as_nanos() / 1_000_000);
            now = at;
            worker.handle_timeout(now);
            assert_eq!(drain(&mut worker), [Output::Connect]);
        }
        assert_eq!(waits, [10, 20, 30, 30]);
        assert_eq!(drain(&mut worker), [Output::GaveUp]);
    }

    #[test]
    fn a_gradient_waits_for_the_connection_and_is_sent_once() {
        let mut worker = Worker::new(Retry::default());
        worker.push(gradient()).unwrap();
        assert_eq!(worker.push(gradient()), Err(Busy));
        assert_eq!(drain(&mut worker), [Output::Connect]);
        worker.handle_connected();
        assert_eq!(drain(&mut worker), [Output::Send(gradient())]);

        worker.handle_disconnected(Time::ZERO);
        assert_eq!(drain(&mut worker), [Output::Lost]);
        let again = worker.poll_timeout().unwrap();
        worker.handle_timeout(again);
        worker.handle_connected();
        assert_eq!(drain(&mut worker), [Output::Connect]);
    }

    #[test]
    fn a_server_that_accepts_and_then_refuses_is_given_up() {
        let mut worker = Worker::new(Retry::default());
        let mut now = Time::ZERO;
        let mut waits = Vec::new();
        for _ in 0..Retry::default().attempts {
            worker.handle_connected();
            worker.push(gradient()).unwrap();
            worker.handle_disconnected(now);
            if let Some(at) = worker.poll_timeout() {
                waits.push(at - now);
                now = at;
                worker.handle_timeout(now);
            }
        }
        assert!(waits.is_sorted() && waits[0] < waits[4], "{waits:?}");
        assert_eq!(drain(&mut worker).last(), Some(&Output::GaveUp));
    }

    #[test]
    fn an_unasked_result_breaks_the_connection() {
        let mut worker = Worker::new(Retry::default());
        worker.handle_connected();
        worker.handle_result(Time::ZERO, gradient());
        assert!(worker.poll_timeout().is_some());
    }
}

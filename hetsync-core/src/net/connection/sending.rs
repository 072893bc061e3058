//! What is sent on a connection: replies, and the last frame.
//!
//! A reply is first written by whoever closes the round, at once and to all
//! workers in turn, without waking their tasks; what a socket does not
//! take then is written by the connection's own task as room appears.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Poll, Waker};

use super::super::link::Link;
use super::super::markers;
use super::super::notice::Departure;
use super::{Connection, lock};
use crate::server::{Frame, RoundResult};
use crate::time::{Span, Time};

/// How long a peer that is turned away has to read why.
pub(in crate::net) const FAREWELL: Span = Span::from_secs(2);

/// A reply on its way out.
pub(super) struct Outgoing {
    frame: Frame,
    written: usize,
    /// What follows it.
    rest: VecDeque<Frame>,
}

#[derive(Default)]
pub(super) enum Reply {
    /// None is due.
    #[default]
    None,
    Sending(Outgoing),
    Sent,
    Failed(io::Error),
}

/// The sending side.
#[derive(Default)]
pub(super) struct Sending {
    pub(super) reply: Reply,
    /// Of the connection's task.
    pub(super) waker: Option<Waker>,
    /// Bytes of the reply that is owed which are out ahead of it.
    pub(super) early: usize,
}

impl Connection {
    /// Takes frames to be sent, and sends none of them yet. `is_answer` if
    /// they are the reply that is owed.
    pub(in crate::net) fn start_reply(&self, frames: Vec<Frame>, is_answer: bool, now: Time) {
        if is_answer {
            let bytes = |frame: &Frame| frame.head().len() + frame.body().len();
            let bytes: usize = frames.iter().map(bytes).sum();
            markers::reply(self.id.0, bytes as u64);
            self.trace.answer(now);
            self.moved_ns.store(now.as_nanos(), Ordering::Relaxed);
            self.is_patient.store(false, Ordering::Relaxed);
        }
        let mut sending = lock(&self.sending);
        let mut frames = VecDeque::from(frames);
        match &mut sending.reply {
            Reply::Sending(outgoing) => outgoing.rest.append(&mut frames),
            // It is over; the task is about to see that.
            Reply::Failed(_) => {}
            Reply::None | Reply::Sent => {
                let Some(frame) = frames.pop_front() else {
                    return;
                };
                let written = std::mem::take(&mut sending.early);
                sending.reply = Reply::Sending(Outgoing {
                    frame,
                    written,
                    rest: frames,
                });
            }
        }
    }

    /// Sends at most `most` bytes of the reply. Whether there is more that
    /// the socket may take at once; if there is not, what is left is up to
    /// [`reply_sent`](Self::reply_sent).
    pub(in crate::net) fn push_reply(&self, most: usize) -> bool {
        let mut sending = lock(&self.sending);
        let outgoing = match std::mem::take(&mut sending.reply) {
            Reply::Sending(outgoing) => outgoing,
            // Its own task was quicker, on another thread.
            other => {
                sending.reply = other;
                return false;
            }
        };
        let (state, is_full) = self.write_some(outgoing, most);
        let goes_on = matches!(state, Reply::Sending(_)) && !is_full;
        sending.reply = state;
        if !goes_on && let Some(waker) = sending.waker.take() {
            waker.wake();
        }
        goes_on
    }

    /// Writes what the socket takes of a reply that it did not take at once.
    pub(super) fn write_rest(&self, outgoing: Outgoing, now: Time) -> Reply {
        self.moved_ns.store(now.as_nanos(), Ordering::Relaxed);
        let (reply, _) = self.write_some(outgoing, usize::MAX);
        if matches!(reply, Reply::Sent) {
            self.trace.sent(now);
        }
        reply
    }

    fn write_some(&self, outgoing: Outgoing, most: usize) -> (Reply, bool) {
        let tell = |bytes| self.trace.went(bytes);
        write_some(&self.stream, outgoing, most, tell)
    }

    /// Waits until all is sent that is to be sent and, if `reads`, there is
    /// something to read.
    pub(in crate::net) async fn settled(
        &self,
        reads: bool,
        now: impl Fn() -> Time,
    ) -> Result<(), Departure> {
        poll_fn(|cx| {
            let mut sending = lock(&self.sending);
            loop {
                match std::mem::take(&mut sending.reply) {
                    Reply::Failed(error) => return Poll::Ready(Err(self.write_failed(error))),
                    Reply::None | Reply::Sent => break,
                    Reply::Sending(outgoing) => {
                        match self.stream.poll_writable(cx) {
                            Poll::Ready(Ok(())) => {}
                            Poll::Ready(Err(error)) => {
                                return Poll::Ready(Err(self.write_failed(error)));
                            }
                            Poll::Pending => {
                                sending.reply = Reply::Sending(outgoing);
                                sending.waker = Some(cx.waker().clone());
                                return Poll::Pending;
                            }
                        }
                        sending.reply = self.write_rest(outgoing, now());
                    }
                }
            }
            if let Some(why) = lock(&self.condemned).take() {
                return Poll::Ready(Err(why));
            }
            if self.is_parting() {
                return Poll::Ready(Ok(()));
            }
            sending.waker = Some(cx.waker().clone());
            match (reads, self.is_patient()) {
                (true, _) => {
                    let ready = self.stream.poll_readable(cx);
                    ready.map_err(|error| self.write_failed(error))
                }
                (false, true) => Poll::Pending,
                (false, false) => Poll::Ready(Ok(())),
            }
        })
        .await
    }

    /// Whether a reply is still on its way out.
    pub(in crate::net) fn is_sending(&self) -> bool {
        matches!(lock(&self.sending).reply, Reply::Sending(_))
    }

    /// The oldest result that is on its way out.
    pub(in crate::net) fn unread(&self) -> Option<Arc<RoundResult>> {
        match &lock(&self.sending).reply {
            Reply::Sending(outgoing) => {
                let mut frames = std::iter::once(&outgoing.frame).chain(&outgoing.rest);
                frames.find_map(Frame::result).cloned()
            }
            _ => None,
        }
    }

    /// Whether it is to be closed by its task.
    pub(in crate::net) fn is_parting(&self) -> bool {
        lock(&self.parting).is_some()
    }

    /// Why it is to be closed by its task.
    pub(in crate::net) fn take_parting(&self) -> Option<Departure> {
        lock(&self.parting).take()
    }

    /// Ends the connection from the server's side, with a last frame if
    /// there is one.
    pub(in crate::net) fn part(&self, farewell: Option<Frame>, why: Departure) {
        let Some(frame) = farewell else {
            self.condemn(why);
            return;
        };
        lock(&self.parting).get_or_insert(why);
        let mut sending = lock(&self.sending);
        match &mut sending.reply {
            // What it is in the middle of is ended, the rest is no use.
            Reply::Sending(outgoing) => {
                outgoing.rest.clear();
                outgoing.rest.push_back(frame);
            }
            _ => {
                sending.reply = Reply::Sending(Outgoing {
                    frame,
                    written: 0,
                    rest: VecDeque::new(),
                });
            }
        }
        if let Some(waker) = sending.waker.take() {
            waker.wake();
        }
    }

    /// Gives up on a peer that is to be told why it is turned away, and
    /// reads nothing.
    pub(in crate::net) fn cut_short(&self, now: Time) {
        let moved = Time::from_nanos(self.moved_ns.load(Ordering::Relaxed));
        if now - moved > FAREWELL
            && self.is_sending()
            && let Some(why) = self.take_parting()
        {
            self.condemn(why);
        }
    }
}

/// Writes until the socket is full, the reply is out, or `most` bytes are.
/// Also whether it was the socket that is full.
fn write_some(
    stream: &Link,
    mut outgoing: Outgoing,
    mut most: usize,
    tell: impl Fn(usize),
) -> (Reply, bool) {
    loop {
        let (head, body) = (outgoing.frame.head(), outgoing.frame.body());
        let total = head.len() + body.len();
        let stop = total.min(outgoing.written.saturating_add(most));
        while outgoing.written < stop {
            let head = &head[outgoing.written.min(head.len())..stop.min(head.len())];
            let from = outgoing.written.saturating_sub(outgoing.frame.head().len());
            let until = stop.saturating_sub(outgoing.frame.head().len());
            let slices = [IoSlice::new(head), IoSlice::new(&body[from..until])];
            match stream.send(&slices) {
                Ok(count) => {
                    tell(count);
                    outgoing.written += count;
                    most -= count;
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return (Reply::Sending(outgoing), true),
                    io::ErrorKind::Interrupted => {}
                    _ => return (Reply::Failed(error), false),
                },
            }
        }
        if outgoing.written < total {
            return (Reply::Sending(outgoing), false);
        }
        match outgoing.rest.pop_front() {
            Some(frame) => {
                outgoing.frame = frame;
                outgoing.written = 0;
            }
            None => {
                return match stream.flush() {
                    Ok(()) => (Reply::Sent, false),
                    Err(error) => match error.kind() {
                        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => {
                            (Reply::Sending(outgoing), true)
                        }
                        _ => (Reply::Failed(error), false),
                    },
                };
            }
        }
    }
}

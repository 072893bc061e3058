//! Waiting for the reply that is owed, by protocol 0, while the peer may go.
//!
//! A peer of protocol 0 that ends its sending side may be gone or may still
//! read, and nothing but time and a first byte tells the two apart.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use super::super::notice::Departure;
use super::super::socket;
use super::sending::{Reply, Sending};
use super::{Connection, lock};
use crate::time::Time;
use crate::wire::v0;

/// What became of a reply that is owed.
pub(in crate::net) enum Owed {
    Sent,
    /// Not sent yet; meanwhile the peer has ended its side.
    HalfClosed,
}

/// How far the reading side of a connection whose reply is owed is watched.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Watch {
    /// Its end wakes the task.
    Closely,
    /// Bytes are waiting in front of it, so only a sweep finds it.
    BySweep,
    /// It has ended; what can still come is a reset, which a sweep finds.
    Ended,
}

impl Connection {
    /// Waits until the reply that is owed has been sent in whole, or until
    /// its reader has ended its side.
    pub(in crate::net) async fn reply_sent(
        &self,
        now: impl Fn() -> Time,
    ) -> Result<Owed, Departure> {
        poll_fn(|cx| self.poll_reply(cx, &now)).await
    }

    fn poll_reply(
        &self,
        cx: &mut Context<'_>,
        now: &impl Fn() -> Time,
    ) -> Poll<Result<Owed, Departure>> {
        let mut sending = lock(&self.sending);
        loop {
            match std::mem::take(&mut sending.reply) {
                Reply::Sent => return Poll::Ready(Ok(Owed::Sent)),
                Reply::Failed(error) => return Poll::Ready(Err(self.write_failed(error))),
                Reply::None => {
                    if let Some(why) = lock(&self.condemned).take() {
                        return Poll::Ready(Err(why));
                    }
                    sending.waker = Some(cx.waker().clone());
                    return self.poll_departure(cx, &mut sending);
                }
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
    }

    /// Looks whether the peer leaves while its reply is not there yet. It
    /// takes nothing off the socket: a frame sent ahead stays where it is.
    fn poll_departure(
        &self,
        cx: &mut Context<'_>,
        sending: &mut Sending,
    ) -> Poll<Result<Owed, Departure>> {
        loop {
            let mut watch = lock(&self.watch);
            if *watch != Watch::Closely {
                return Poll::Pending;
            }
            match self.stream.poll_readable(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(self.write_failed(error))),
                Poll::Ready(Ok(())) => {}
            }
            match self.stream.peek() {
                Ok(None) => {
                    *watch = Watch::Ended;
                    drop(watch);
                    return Poll::Ready(match self.knock(sending) {
                        Ok(()) => Ok(Owed::HalfClosed),
                        Err(error) => Err(self.write_failed(error)),
                    });
                }
                Ok(Some(_)) => *watch = Watch::BySweep,
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => {}
                    _ => return Poll::Ready(Err(self.write_failed(error))),
                },
            }
        }
    }

    /// Sends the first byte of the reply that is owed, to a peer that has
    /// ended its side: a process that is gone has a system that answers with
    /// a reset, and one that only ended its sending side reads on as if
    /// nothing were. The byte is known before the result is: it is the
    /// highest of a length of 64 bits, and no length is that long.
    fn knock(&self, sending: &mut Sending) -> io::Result<()> {
        if !matches!(sending.reply, Reply::None) || sending.early > 0 {
            return Ok(());
        }
        let first = &v0::encode_header(0)[..1];
        match self.stream.send(&[IoSlice::new(first)]) {
            Ok(count) => {
                self.trace.went(count);
                sending.early = count;
            }
            Err(error) => match error.kind() {
                // Then it is as if nobody had tried.
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => {}
                _ => return Err(error),
            },
        }
        Ok(())
    }

    /// Whether the peer, which has ended its side and whose reply is owed,
    /// has turned out to be gone altogether. `None` if none is owed now.
    pub(in crate::net) fn is_lost(&self) -> Option<bool> {
        let is_owed = self.is_patient.load(Ordering::Relaxed);
        is_owed.then(|| socket::end_of(self.stream.socket()) == socket::End::Lost)
    }

    /// Looks for a departure that no watch reports. True if the peer has
    /// just been found to have ended its side.
    pub(in crate::net) fn sweep_departure(&self) -> bool {
        let mut sending = lock(&self.sending);
        let mut watch = lock(&self.watch);
        if *watch == Watch::Closely || !self.is_patient.load(Ordering::Relaxed) {
            return false;
        }
        let end = socket::end_of(self.stream.socket());
        if end == socket::End::Lost {
            drop((watch, sending));
            self.condemn(Departure::Failed(io::ErrorKind::ConnectionReset.into()));
            return false;
        }
        let is_news = end == socket::End::HalfClosed && *watch == Watch::BySweep;
        if is_news {
            *watch = Watch::Ended;
            // If it fails, the peer is found lost the next time.
            let _ = self.knock(&mut sending);
        }
        is_news
    }
}

//! One accepted connection: reads frames, writes replies.
//!
//! A reply is first written by whoever closes the round, at once and to all
//! workers in turn, without waking their tasks; what a socket does not
//! take then is written by the connection's own task as room appears.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice, IoSliceMut, Read};
use std::net::{IpAddr, Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use async_io::Async;

use super::memory::Claim;
use super::notice::Departure;
use super::socket;
use crate::payload::Payload;
use crate::server::{ConnId, Frame, RoundResult};
use crate::time::{Span, Time};
use crate::wire::{WireError, v0};

/// Bytes of payload that one read takes at most. The decoder looks at each
/// float as it comes, and this much is still in a second-level cache when it
/// does; a whole gradient of some megabytes would come back from memory, at
/// a fifth of the speed.
const READ_BYTES: usize = 512 * 1024;

/// Why reading a frame ended without one.
pub(super) enum ReadEnd {
    Gone(Departure),
    Wire(WireError),
    /// There is no room within this many bytes.
    NoMemory(usize),
    /// This many bytes are announced, which is more than this share.
    NoShare(usize, usize),
}

/// What became of a reply that is owed.
pub(super) enum Owed {
    Sent,
    /// Not sent yet; meanwhile the peer has ended its side.
    HalfClosed,
}

/// How far the reading side of a connection whose reply is owed is watched.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Watch {
    /// Its end wakes the task.
    Closely,
    /// Bytes are waiting in front of it, so only a sweep finds it.
    BySweep,
    /// It has ended; what can still come is a reset, which a sweep finds.
    Ended,
}

/// A reply on its way out.
struct Outgoing {
    frame: Frame,
    written: usize,
    /// What follows it.
    rest: VecDeque<Frame>,
}

#[derive(Default)]
enum Reply {
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
    reply: Reply,
    /// Of the connection's task.
    waker: Option<Waker>,
    /// Bytes of the reply that is owed which are out ahead of it.
    early: usize,
}

pub(super) struct Connection {
    pub(super) id: ConnId,
    pub(super) peer: IpAddr,
    pub(super) stream: Async<TcpStream>,
    sending: Mutex<Sending>,
    /// When a byte last moved, in nanoseconds on the shell's clock.
    moved_ns: AtomicU64,
    /// Its gradient is in: it is the round that is waited for, not the peer.
    is_patient: AtomicBool,
    /// Part of a frame has been read.
    pub(super) is_mid_frame: AtomicBool,
    /// How often its worker has promised to send something, in nanoseconds;
    /// 0 for no promise.
    promise_ns: AtomicU64,
    connected: Time,
    /// A byte has come.
    has_spoken: AtomicBool,
    /// A whole gradient has come at least once.
    has_delivered: AtomicBool,
    watch: Mutex<Watch>,
    /// Closed by the server; what the task then sees is only an echo.
    condemned: Mutex<Option<Departure>>,
    /// To be closed by its task, once it has been told why.
    parting: Mutex<Option<Departure>>,
}

impl Connection {
    pub(super) fn new(id: ConnId, stream: Async<TcpStream>, peer: IpAddr, now: Time) -> Self {
        Self {
            id,
            peer,
            stream,
            sending: Mutex::default(),
            moved_ns: AtomicU64::new(now.as_nanos()),
            is_patient: AtomicBool::new(false),
            is_mid_frame: AtomicBool::new(false),
            promise_ns: AtomicU64::new(0),
            parting: Mutex::default(),
            connected: now,
            has_spoken: AtomicBool::new(false),
            has_delivered: AtomicBool::new(false),
            watch: Mutex::new(Watch::Closely),
            condemned: Mutex::new(None),
        }
    }

    /// Reads until `decoder` has a whole frame.
    pub(super) async fn read_frame(
        &self,
        decoder: &mut v0::Decoder,
        claim: &mut Claim,
        quick_ack: bool,
        model_bytes: impl Fn() -> Option<usize>,
        now: impl Fn() -> Time,
    ) -> Result<Payload, ReadEnd> {
        // A worker that has just been answered computes first, so do not
        // try to read before there is something: that saves a call.
        let mut is_ready = false;
        loop {
            if !is_ready {
                // Not `readable`: the watch kept while a reply was owed may
                // still be in place, and then this costs no system call.
                let readable = poll_fn(|cx| self.stream.poll_readable(cx)).await;
                readable.map_err(|error| self.read_failed(error))?;
            }
            if decoder.at_start() {
                decoder.expect_length(model_bytes());
            }
            let share = claim.share();
            if let Some(found) = decoder.unvouched_bytes().filter(|found| *found > share) {
                return Err(ReadEnd::NoShare(found, share));
            }
            let wanted = decoder.wanted_bytes();
            claim.reach(wanted).map_err(ReadEnd::NoMemory)?;
            let (count, may_be_more) = match self.read_into(decoder) {
                Ok((0, _)) => return Err(ReadEnd::Gone(self.end_of_stream(decoder))),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    is_ready = false;
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.read_failed(error)),
            };
            self.moved_ns.store(now().as_nanos(), Ordering::Relaxed);
            self.has_spoken.store(true, Ordering::Relaxed);
            if let Some(payload) = decoder.advance(count).map_err(ReadEnd::Wire)? {
                self.is_mid_frame.store(false, Ordering::Relaxed);
                self.has_delivered.store(true, Ordering::Relaxed);
                return Ok(payload);
            }
            self.is_mid_frame.store(true, Ordering::Relaxed);
            if quick_ack && decoder.at_payload_start() {
                socket::acknowledge_now(self.stream.get_ref());
            }
            // A read that was cut short has emptied the socket.
            is_ready = may_be_more;
        }
    }

    /// One read. How many bytes it was, and whether it was as many as there
    /// was room for, so that there may be more.
    fn read_into(&self, decoder: &mut v0::Decoder) -> io::Result<(usize, bool)> {
        let [header, payload] = decoder.unfilled();
        let most = payload.len().min(READ_BYTES);
        let payload = &mut payload[..most];
        let mut stream = self.stream.get_ref();
        let room = header.len() + payload.len();
        let count = if header.is_empty() {
            stream.read(payload)
        } else if payload.is_empty() {
            stream.read(header)
        } else {
            stream.read_vectored(&mut [IoSliceMut::new(header), IoSliceMut::new(payload)])
        }?;
        Ok((count, count == room))
    }

    fn end_of_stream(&self, decoder: &v0::Decoder) -> Departure {
        let seen = match decoder.at_start() {
            true => Departure::Closed,
            false => Departure::MidFrame,
        };
        lock(&self.condemned).take().unwrap_or(seen)
    }

    fn read_failed(&self, error: io::Error) -> ReadEnd {
        let seen = Departure::Failed(error);
        ReadEnd::Gone(lock(&self.condemned).take().unwrap_or(seen))
    }

    /// From here on the server owes this worker an answer.
    pub(super) fn owe_reply(&self) {
        *lock(&self.watch) = Watch::Closely;
        self.is_patient.store(true, Ordering::Relaxed);
    }

    /// Takes frames to be sent, and sends none of them yet. `is_answer` if
    /// they are the reply that is owed.
    pub(super) fn start_reply(&self, frames: Vec<Frame>, is_answer: bool, now: Time) {
        if is_answer {
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
    pub(super) fn push_reply(&self, most: usize) -> bool {
        let mut sending = lock(&self.sending);
        let outgoing = match std::mem::take(&mut sending.reply) {
            Reply::Sending(outgoing) => outgoing,
            // Its own task was quicker, on another thread.
            other => {
                sending.reply = other;
                return false;
            }
        };
        let (state, is_full) = write_some(self.stream.get_ref(), outgoing, most);
        let goes_on = matches!(state, Reply::Sending(_)) && !is_full;
        sending.reply = state;
        if !goes_on && let Some(waker) = sending.waker.take() {
            waker.wake();
        }
        goes_on
    }

    /// Waits until the reply that is owed has been sent in whole, or until
    /// its reader has ended its side.
    pub(super) async fn reply_sent(&self, now: impl Fn() -> Time) -> Result<Owed, Departure> {
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
                    self.moved_ns.store(now().as_nanos(), Ordering::Relaxed);
                    sending.reply = write_some(self.stream.get_ref(), outgoing, usize::MAX).0;
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
            match self.stream.get_ref().peek(&mut [0]) {
                Ok(0) => {
                    *watch = Watch::Ended;
                    drop(watch);
                    return Poll::Ready(match self.knock(sending) {
                        Ok(()) => Ok(Owed::HalfClosed),
                        Err(error) => Err(self.write_failed(error)),
                    });
                }
                Ok(_) => *watch = Watch::BySweep,
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
        match socket::send(self.stream.get_ref(), &[IoSlice::new(first)]) {
            Ok(count) => sending.early = count,
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
    pub(super) fn is_lost(&self) -> Option<bool> {
        let is_owed = self.is_patient.load(Ordering::Relaxed);
        is_owed.then(|| socket::end_of(self.stream.get_ref()) == socket::End::Lost)
    }

    /// Looks for a departure that no watch reports. True if the peer has
    /// just been found to have ended its side.
    pub(super) fn sweep_departure(&self) -> bool {
        let mut sending = lock(&self.sending);
        let mut watch = lock(&self.watch);
        if *watch == Watch::Closely || !self.is_patient.load(Ordering::Relaxed) {
            return false;
        }
        let end = socket::end_of(self.stream.get_ref());
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

    fn write_failed(&self, error: io::Error) -> Departure {
        self.departure(Departure::Failed(error))
    }

    /// Why it ended: as the server wanted, or else as it was seen.
    pub(super) fn departure(&self, seen: Departure) -> Departure {
        lock(&self.condemned).take().unwrap_or(seen)
    }

    /// Whether a reply is still on its way out.
    pub(super) fn is_sending(&self) -> bool {
        matches!(lock(&self.sending).reply, Reply::Sending(_))
    }

    /// The oldest result that is on its way out.
    pub(super) fn unread(&self) -> Option<Arc<RoundResult>> {
        match &lock(&self.sending).reply {
            Reply::Sending(outgoing) => {
                let mut frames = std::iter::once(&outgoing.frame).chain(&outgoing.rest);
                frames.find_map(Frame::result).cloned()
            }
            _ => None,
        }
    }

    /// When a byte last moved, unless it is the server's turn to speak.
    pub(super) fn quiet_since(&self) -> Option<Time> {
        (!self.is_patient.load(Ordering::Relaxed))
            .then(|| Time::from_nanos(self.moved_ns.load(Ordering::Relaxed)))
    }

    /// Whether the peer has begun a gradient and not ended it.
    pub(super) fn is_mid_frame(&self) -> bool {
        self.is_mid_frame.load(Ordering::Relaxed)
    }

    /// Whether no byte has ever come from it, and it has not been told to go.
    pub(super) fn is_silent(&self) -> bool {
        !self.has_spoken.load(Ordering::Relaxed) && lock(&self.condemned).is_none()
    }

    /// Whether it has held its place for `hello` without ever delivering a
    /// gradient, and has not been told to go.
    pub(super) fn squats_since(&self, now: Time, hello: Span) -> bool {
        !self.has_delivered.load(Ordering::Relaxed)
            && now - self.connected >= hello
            && lock(&self.condemned).is_none()
    }

    /// Its worker promises to send something this often.
    pub(super) fn promise(&self, heartbeat: Span) {
        self.promise_ns
            .store(heartbeat.as_nanos(), Ordering::Relaxed);
    }

    /// Whether nothing has come for three times as long as was promised. A
    /// peer that is being sent something is not read.
    pub(super) fn breaks_promise(&self, now: Time) -> bool {
        let promised = self.promise_ns.load(Ordering::Relaxed);
        let moved = Time::from_nanos(self.moved_ns.load(Ordering::Relaxed));
        promised > 0
            && now - moved > Span::from_nanos(promised.saturating_mul(3))
            && !self.is_sending()
            && lock(&self.parting).is_none()
    }

    /// A byte has moved.
    pub(super) fn touch(&self, now: Time) {
        self.moved_ns.store(now.as_nanos(), Ordering::Relaxed);
        self.has_spoken.store(true, Ordering::Relaxed);
    }

    /// Its worker has said who it is, and is no squatter.
    pub(super) fn is_welcome(&self) {
        self.has_delivered.store(true, Ordering::Relaxed);
    }

    /// Whether its gradient is in and not answered.
    pub(super) fn is_patient(&self) -> bool {
        self.is_patient.load(Ordering::Relaxed)
    }

    /// Waits for the first byte, and leaves it where it is. `None` if the
    /// peer ends its side instead.
    pub(super) async fn first_byte(&self) -> Result<Option<u8>, Departure> {
        let mut first = [0];
        match self.stream.peek(&mut first).await {
            Ok(0) => Ok(None),
            Ok(_) => Ok(Some(first[0])),
            Err(error) => Err(self.write_failed(error)),
        }
    }

    /// Waits until all is sent that is to be sent and, if `reads`, there is
    /// something to read.
    pub(super) async fn settled(
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
                        self.moved_ns.store(now().as_nanos(), Ordering::Relaxed);
                        sending.reply = write_some(self.stream.get_ref(), outgoing, usize::MAX).0;
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

    /// Whether it is to be closed by its task.
    pub(super) fn is_parting(&self) -> bool {
        lock(&self.parting).is_some()
    }

    /// Why it is to be closed by its task.
    pub(super) fn take_parting(&self) -> Option<Departure> {
        lock(&self.parting).take()
    }

    /// Ends the connection from the server's side, with a last frame if
    /// there is one.
    pub(super) fn part(&self, farewell: Option<Frame>, why: Departure) {
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

    /// Ends the connection from the server's side; its task notices.
    pub(super) fn condemn(&self, why: Departure) {
        lock(&self.condemned).get_or_insert(why);
        // If it is gone already, all the better.
        let _ = self.stream.get_ref().shutdown(Shutdown::Both);
        if let Some(waker) = lock(&self.sending).waker.take() {
            waker.wake();
        }
    }
}

/// Writes until the socket is full, the reply is out, or `most` bytes are.
/// Also whether it was the socket that is full.
fn write_some(stream: &TcpStream, mut outgoing: Outgoing, mut most: usize) -> (Reply, bool) {
    loop {
        let (head, body) = (outgoing.frame.head(), outgoing.frame.body());
        let total = head.len() + body.len();
        let stop = total.min(outgoing.written.saturating_add(most));
        while outgoing.written < stop {
            let head = &head[outgoing.written.min(head.len())..stop.min(head.len())];
            let from = outgoing.written.saturating_sub(outgoing.frame.head().len());
            let until = stop.saturating_sub(outgoing.frame.head().len());
            let slices = [IoSlice::new(head), IoSlice::new(&body[from..until])];
            match socket::send(stream, &slices) {
                Ok(count) => {
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
            None => return (Reply::Sent, false),
        }
    }
}

/// A panic elsewhere leaves these values whole, so poison means nothing.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::io::Write;
    use std::net::TcpListener;

    use rustix::net::sockopt;
    use smol::future::{or, yield_now};

    use super::super::memory::Memory;
    use super::*;

    /// After a header that came alone, the kernel is told to acknowledge at
    /// once, on a connection that it has learnt to delay it on. (Without
    /// that it may still have left that mode by itself, after 40 ms, so the
    /// opposite cannot be asserted.)
    #[test]
    fn a_header_by_itself_is_acknowledged_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, _) = listener.accept().unwrap();
        sockopt::set_tcp_quickack(&stream, false).unwrap();
        assert!(!sockopt::tcp_quickack(&stream).unwrap());

        let (stream, nobody) = (Async::new(stream).unwrap(), [0, 0, 0, 0].into());
        let connection = Connection::new(ConnId(0), stream, nobody, Time::ZERO);
        peer.write_all(&v0::encode_header(8)).unwrap();
        let has_read = Cell::new(false);
        let mut decoder = v0::Decoder::new(8);
        let mut claim = Arc::new(Memory::new(24, 1)).claim();
        let reading = async {
            let now = || {
                has_read.set(true);
                Time::ZERO
            };
            let frame = connection.read_frame(&mut decoder, &mut claim, true, || None, now);
            assert!(frame.await.is_err(), "half a frame is no frame");
        };
        // It is polled first, so it has gone on to wait for the payload by
        // the time the other one sees that it has read.
        let watching = async {
            while !has_read.get() {
                yield_now().await;
            }
        };
        smol::block_on(or(reading, watching));
        assert!(sockopt::tcp_quickack(connection.stream.get_ref()).unwrap());
    }
}

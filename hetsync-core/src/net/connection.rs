//! One accepted connection: its socket, what is known of its peer, and the
//! reading of protocol 0. What is sent is in `sending`, how protocol 0 waits
//! for it in `owed`; protocol 1 is read by [`session`](super::session).

mod owed;
mod sending;

pub(super) use owed::Owed;
pub(super) use sending::FAREWELL;

use std::future::poll_fn;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Shutdown};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::link::Link;
use super::memory::Claim;
use super::notice::Departure;
use super::socket;
use super::trace::Trace;
use crate::payload::Payload;
use crate::server::{ConnId, Signs};
use crate::time::{Span, Time};
use crate::wire::{WireError, v0};
use owed::Watch;
use sending::Sending;

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

pub(super) struct Connection {
    pub(super) id: ConnId,
    pub(super) peer: IpAddr,
    pub(super) stream: Link,
    sending: Mutex<Sending>,
    /// When a byte last moved, in nanoseconds on the shell's clock.
    moved_ns: AtomicU64,
    /// The way of its gradient.
    trace: Trace,
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
    pub(super) fn new(id: ConnId, stream: Link, peer: IpAddr, now: Time) -> Self {
        Self {
            id,
            peer,
            stream,
            sending: Mutex::default(),
            moved_ns: AtomicU64::new(now.as_nanos()),
            trace: Trace::new(now),
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
            self.touch(now(), count);
            self.gradient_begins();
            if let Some(payload) = decoder.advance(count).map_err(ReadEnd::Wire)? {
                self.is_mid_frame.store(false, Ordering::Relaxed);
                self.has_delivered.store(true, Ordering::Relaxed);
                return Ok(payload);
            }
            self.is_mid_frame.store(true, Ordering::Relaxed);
            if quick_ack && decoder.at_payload_start() {
                socket::acknowledge_now(self.stream.socket());
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
        let stream = &self.stream;
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

    fn write_failed(&self, error: io::Error) -> Departure {
        self.departure(Departure::Failed(error))
    }

    /// Why it ended: as the server wanted, or else as it was seen.
    pub(super) fn departure(&self, seen: Departure) -> Departure {
        lock(&self.condemned).take().unwrap_or(seen)
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

    /// So many bytes have come.
    pub(super) fn touch(&self, now: Time, bytes: usize) {
        self.trace.received(bytes);
        self.moved_ns.store(now.as_nanos(), Ordering::Relaxed);
        self.has_spoken.store(true, Ordering::Relaxed);
    }

    /// What has come last is of a gradient.
    pub(super) fn gradient_begins(&self) {
        self.trace.byte(self.moved());
    }

    /// What is to be said of the gradient that has come whole, or, if it
    /// `has_come` not, of the time since its last answer.
    pub(super) fn signs(&self, now: Time, has_come: bool) -> Signs {
        let last = has_come.then(|| self.moved());
        self.trace.signs(now, last, self.stream.socket())
    }

    /// Bytes that came and went.
    pub(super) fn traffic(&self) -> (u64, u64) {
        self.trace.traffic()
    }

    fn moved(&self) -> Time {
        Time::from_nanos(self.moved_ns.load(Ordering::Relaxed))
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
        let first = self.stream.first().await;
        first.map_err(|error| self.write_failed(error))
    }

    /// Ends the connection from the server's side; its task notices.
    pub(super) fn condemn(&self, why: Departure) {
        lock(&self.condemned).get_or_insert(why);
        // If it is gone already, all the better.
        let _ = self.stream.socket().shutdown(Shutdown::Both);
        if let Some(waker) = lock(&self.sending).waker.take() {
            waker.wake();
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
    use std::net::{TcpListener, TcpStream};

    use async_io::Async;

    use rustix::net::sockopt;
    use smol::future::{or, yield_now};

    use std::sync::Arc;

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

        let stream = Link::new(Async::new(stream).unwrap(), None);
        let nobody = [0, 0, 0, 0].into();
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
        assert!(sockopt::tcp_quickack(connection.stream.socket()).unwrap());
    }
}

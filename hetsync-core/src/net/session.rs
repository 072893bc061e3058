//! A connection that speaks protocol 1, from its hello to its end.
//!
//! It is read while its round is open, as a heartbeat or a leave may come,
//! but not while something is being sent to it, and a second gradient stays
//! in the socket until the first has been answered. So whatever a peer
//! does, it makes the server hold one gradient and the results on their way
//! to it.

use std::io::{self, IoSliceMut};
use std::sync::atomic::Ordering;

use async_io::Timer;
use smol::future::FutureExt;

use super::connection::{Connection, FAREWELL};
use super::hub::Hub;
use super::link::Link;
use super::memory::Claim;
use super::notice::Departure;
use crate::server::ConnId;
use crate::time::Span;
use crate::wire::v1::message::Push;
use crate::wire::v1::{Decoder, Dtype, Item, Limits, MAX_HELLO_BYTES, MAX_MESSAGE_BYTES, Message};

/// Bytes of tensors that one read takes at most: the decoder looks at them
/// while they are in a second-level cache.
const READ_BYTES: usize = 128 * 1024;

pub(super) struct Session<'a> {
    pub(super) hub: &'a Hub,
    pub(super) connection: &'a Connection,
    pub(super) claim: Claim,
    pub(super) max_payload_bytes: u64,
}

impl Session<'_> {
    /// Runs to the end of the connection. Returns why it ended, whose
    /// gradients it brought, and the memory that they may still take.
    pub(super) async fn run(mut self) -> (Departure, ConnId, Claim) {
        let mut worker = self.connection.id;
        let why = match self.converse(&mut worker).await {
            Ok(()) => self.farewell().await,
            Err(why) => why,
        };
        (why, worker, self.claim)
    }

    /// Reads and has answered, until the connection is to be closed (`Ok`)
    /// or is gone.
    async fn converse(&mut self, worker: &mut ConnId) -> Result<(), Departure> {
        let (hub, connection) = (self.hub, self.connection);
        let conn = connection.id;
        let mut decoder = Decoder::new(Limits {
            message_bytes: MAX_HELLO_BYTES,
            tensor_bytes: 0,
        });
        // A gradient whose tensors are being read.
        let mut push: Option<Push> = None;
        loop {
            if connection.is_parting() {
                return Ok(());
            }
            match decoder.poll() {
                Ok(None) => self.read(&mut decoder).await?,
                Ok(Some(Item::Head(head))) => match head.message {
                    Message::Push(message) => {
                        connection.gradient_begins();
                        connection.settled(false, || hub.now()).await?;
                        if self.admit(&mut decoder, &message, head.float_bytes) {
                            push = Some(message);
                        }
                    }
                    other => self.hear(&mut decoder, other, head.dtype),
                },
                Ok(Some(Item::Tensors(payload))) => {
                    let Some(push) = push.take() else {
                        continue;
                    };
                    connection.owe_reply();
                    let bytes = payload.as_bytes().len();
                    let known = hub.gradient(conn, bytes, |jobs, now| {
                        jobs.handle_signs(conn, connection.signs(now, true));
                        jobs.handle_push(now, conn, push, payload);
                        jobs.worker(conn)
                    });
                    *worker = known.unwrap_or(*worker);
                }
                Err(error) => {
                    hub.change(|jobs, now| jobs.handle_fault(now, conn, &error));
                    // Nobody knows where the next frame would begin.
                    return match connection.is_parting() {
                        true => Ok(()),
                        false => Err(connection.departure(Departure::Refused)),
                    };
                }
            }
        }
    }

    /// A message without tensors.
    fn hear(&self, decoder: &mut Decoder, message: Message, dtype: Dtype) {
        let conn = self.connection.id;
        let heartbeat = match &message {
            Message::Hello(hello) => Some(hello.heartbeat_ms),
            _ => None,
        };
        let is_known = self.hub.change(|jobs, now| {
            match message {
                Message::Hello(hello) => jobs.handle_hello(now, conn, hello, dtype),
                message => jobs.handle_message(now, conn, message),
            }
            jobs.is_known(conn)
        });
        if let Some(heartbeat_ms) = heartbeat.filter(|_| is_known) {
            self.connection.is_welcome();
            self.connection
                .promise(Span::from_millis(heartbeat_ms.into()));
            decoder.set_limits(Limits {
                message_bytes: MAX_MESSAGE_BYTES,
                tensor_bytes: self.max_payload_bytes,
            });
        }
    }

    /// Whether the tensors of a gradient are to be read, and room for them.
    fn admit(&mut self, decoder: &mut Decoder, push: &Push, float_bytes: u64) -> bool {
        let conn = self.connection.id;
        let share = self.claim.share();
        let expected = self.hub.change(|jobs, now| {
            if !jobs.check_push(now, conn, push, float_bytes) {
                return None;
            }
            let known = jobs.model_bytes(conn);
            let found = usize::try_from(float_bytes).unwrap_or(usize::MAX);
            if known.is_none() && found > share {
                jobs.handle_no_share(now, conn, found, share);
                return None;
            }
            Some((known, jobs.spare_buffer(conn)))
        });
        let Some((known, spare)) = expected else {
            return false;
        };
        decoder.expect_length(known);
        if let Some(buffer) = spare {
            decoder.lend(buffer);
        }
        true
    }

    /// Waits for bytes and reads some.
    async fn read(&mut self, decoder: &mut Decoder) -> Result<(), Departure> {
        let (hub, connection) = (self.hub, self.connection);
        connection.settled(true, || hub.now()).await?;
        if connection.is_parting() {
            return Ok(());
        }
        if let Err(limit) = self.claim.reach(decoder.wanted_bytes()) {
            let conn = connection.id;
            hub.change(|jobs, now| jobs.handle_no_memory(now, conn, limit));
            return Ok(());
        }
        let at_start = decoder.at_start();
        match read_into(&connection.stream, decoder) {
            Ok(0) => Err(match at_start {
                true => Departure::Closed,
                false => Departure::MidFrame,
            }),
            Ok(count) => {
                decoder.advance(count);
                connection.touch(hub.now(), count);
                connection
                    .is_mid_frame
                    .store(!decoder.at_start(), Ordering::Relaxed);
                Ok(())
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(()),
                _ => Err(Departure::Failed(error)),
            },
        }
    }

    /// Sends what is left to be sent and reads on, as a system answers bytes
    /// that nobody reads with a reset, which would take the last frame from
    /// the peer again.
    async fn farewell(&self) -> Departure {
        let why = self.connection.take_parting();
        let (hub, connection) = (self.hub, self.connection);
        let goodbye = async {
            if connection.settled(false, || hub.now()).await.is_err() {
                return;
            }
            let stream = &connection.stream;
            // If it is gone already, all the better.
            let _ = stream.finish();
            let mut scratch = vec![0; 64 * 1024];
            while let Ok(1..) = stream.read_some(&mut scratch).await {}
        };
        let patience = async {
            Timer::after(FAREWELL.into()).await;
        };
        goodbye.or(patience).await;
        why.unwrap_or(Departure::Refused)
    }
}

fn read_into(stream: &Link, decoder: &mut Decoder) -> io::Result<usize> {
    let [tensors, ahead] = decoder.unfilled();
    if tensors.is_empty() {
        return stream.read(ahead);
    }
    if tensors.len() > READ_BYTES {
        return stream.read(&mut tensors[..READ_BYTES]);
    }
    stream.read_vectored(&mut [IoSliceMut::new(tensors), IoSliceMut::new(ahead)])
}

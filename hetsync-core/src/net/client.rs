//! A worker's connection: the [`Worker`] machine on a socket.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use async_io::Timer;

use super::link::Link;
#[cfg(feature = "tls")]
use super::tls::TlsClient;
use crate::member::OutOfPlace;
use crate::payload::Payload;
use crate::time::{Span, Time};
use crate::wire::v1::{self, ErrorCode};
use crate::wire::{WireError, v0};
use crate::worker::{Busy, Output, Retry, Worker};

/// Longest result that is taken, in bytes; the caller's own gradients are
/// the real measure, and a result is as long as they are.
pub(super) const MAX_RESULT_BYTES: u64 = 1 << 40;

/// Why no result came.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No connection after all attempts.
    #[error("cannot connect to {address}: {source}. Is `hetsync serve` running there?")]
    Unreachable {
        /// The server's address.
        address: SocketAddr,
        /// What the last attempt met with.
        source: io::Error,
    },
    /// The server does not show who it is, or the two agree on no keys.
    #[error("no TLS with {address}: {source}")]
    Untrusted {
        /// The server's address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Connections were accepted and then closed, time after time, before
    /// any result.
    #[error(
        "{address} closed {attempts} connections in a row before any result: {source}. It refuses this worker; its log says why"
    )]
    Refused {
        /// The server's address.
        address: SocketAddr,
        /// How many.
        attempts: u32,
        /// How the last one ended.
        source: io::Error,
    },
    /// The connection broke while the gradient was out. The next
    /// [`Client::submit`] opens another one.
    #[error(
        "connection to {address} broke before the result came: {source}. The server's log says why, if it was the server's doing"
    )]
    Lost {
        /// The server's address.
        address: SocketAddr,
        /// What happened.
        source: io::Error,
    },
    /// The server answered with something else than a result.
    #[error("the server's answer is no result: {0}")]
    Wire(#[from] WireError),
    /// The server refuses this worker, by protocol 1.
    #[error("the server refuses this worker: {text} ({code:?})")]
    Denied {
        /// The reason, for programs.
        code: ErrorCode,
        /// The reason, for people.
        text: String,
    },
    /// The server sent what is no frame of protocol 1.
    #[error("the server's answer is no frame: {0}")]
    Frame(#[source] v1::Error),
    /// The server sent a frame that makes no sense.
    #[error(transparent)]
    OutOfPlace(#[from] OutOfPlace),
    /// A result is still outstanding, as an earlier call was dropped.
    #[error(transparent)]
    Busy(#[from] Busy),
}

type Tell = dyn Fn(&io::Error) + Send + Sync;

/// Who is told of attempts to connect that failed.
#[derive(Default)]
pub(super) struct Trouble(pub(super) Option<Box<Tell>>);

impl Trouble {
    pub(super) fn tell(&self, error: &io::Error) {
        if let Some(tell) = &self.0 {
            tell(error);
        }
    }
}

impl fmt::Debug for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Trouble").finish_non_exhaustive()
    }
}

/// A worker that speaks protocol 0.
///
/// See [`Server`](super::Server) for an example.
#[derive(Debug)]
pub struct Client {
    address: SocketAddr,
    retry: Retry,
    worker: Worker,
    stream: Option<Link>,
    #[cfg(feature = "tls")]
    tls: Option<TlsClient>,
    decoder: v0::Decoder,
    clock: Instant,
    last_error: Option<io::Error>,
    trouble: Trouble,
    /// The last attempt to connect had come through.
    was_up: bool,
}

impl Client {
    /// A worker of the server at `address`. It connects with its first
    /// gradient.
    pub fn new(address: SocketAddr) -> Self {
        Self::with_retry(address, Retry::default())
    }

    /// The same, with its own idea of patience.
    pub fn with_retry(address: SocketAddr, retry: Retry) -> Self {
        Self {
            address,
            retry,
            worker: Worker::new(retry),
            stream: None,
            #[cfg(feature = "tls")]
            tls: None,
            decoder: v0::Decoder::new(MAX_RESULT_BYTES),
            clock: Instant::now(),
            last_error: None,
            trouble: Trouble::default(),
            was_up: false,
        }
    }

    /// Calls `tell` with the reason whenever no connection can be opened,
    /// before it is tried again: attempts go on for seconds.
    pub fn on_unreachable(mut self, tell: impl Fn(&io::Error) + Send + Sync + 'static) -> Self {
        self.trouble = Trouble(Some(Box::new(tell)));
        self
    }

    /// Speaks TLS, and only with servers that are trusted.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: TlsClient) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Connects now instead of with the first gradient.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] after all attempts.
    pub async fn connect(&mut self) -> Result<(), ClientError> {
        while self.stream.is_none() {
            if let Some(done) = self.step().await? {
                debug_assert!(false, "a result nobody asked for: {done:?}");
            }
        }
        Ok(())
    }

    /// Sends a gradient and waits for the round's result, a vector of the
    /// same length.
    ///
    /// # Errors
    /// See [`ClientError`]. After any of them this can be called again.
    pub async fn submit(&mut self, gradient: Payload) -> Result<Payload, ClientError> {
        self.decoder.expect_length(Some(gradient.as_bytes().len()));
        self.worker.push(gradient)?;
        loop {
            if let Some(result) = self.step().await? {
                return Ok(result);
            }
        }
    }

    /// Gives back a buffer that a result was in, so that the next one needs
    /// no new memory.
    pub fn recycle(&mut self, result: Payload) {
        self.decoder.lend(result.into_bytes());
    }

    /// Does one thing that the machine wants, or waits for what it needs.
    async fn step(&mut self) -> Result<Option<Payload>, ClientError> {
        let address = self.address;
        match self.worker.poll_output() {
            Some(Output::Connect) => match self.open().await {
                Ok(stream) => {
                    self.stream = Some(stream);
                    self.was_up = true;
                    self.worker.handle_connected();
                }
                Err(error) => {
                    let error = super::member::untrusted(address, error)?;
                    self.was_up = false;
                    self.trouble.tell(&error);
                    self.fail(error);
                }
            },
            Some(Output::Send(gradient)) => {
                if let Err(error) = self.send(&gradient).await {
                    self.fail(error);
                }
            }
            Some(Output::Deliver(result)) => return Ok(Some(result)),
            Some(Output::Lost) => {
                let source = self.last_error();
                return Err(ClientError::Lost { address, source });
            }
            Some(Output::GaveUp) => {
                let source = self.take_error();
                // Another call begins anew.
                self.worker = Worker::new(self.retry);
                let attempts = self.retry.attempts;
                return Err(match std::mem::take(&mut self.was_up) {
                    true => ClientError::Refused {
                        address,
                        attempts,
                        source,
                    },
                    false => ClientError::Unreachable { address, source },
                });
            }
            None => match self.worker.poll_timeout() {
                Some(at) => {
                    Timer::at(self.clock + at.since(Time::ZERO).into()).await;
                    let now = self.now();
                    self.worker.handle_timeout(now);
                }
                None => match self.receive().await {
                    Ok(Ok(result)) => {
                        let now = self.now();
                        self.worker.handle_result(now, result);
                    }
                    Ok(Err(error)) => {
                        self.fail(io::ErrorKind::InvalidData.into());
                        self.worker = Worker::new(self.retry);
                        return Err(error.into());
                    }
                    Err(error) => self.fail(error),
                },
            },
        }
        Ok(None)
    }

    async fn open(&self) -> io::Result<Link> {
        #[cfg(feature = "tls")]
        let session = self.tls.as_ref().map(TlsClient::session).transpose();
        #[cfg(not(feature = "tls"))]
        let session = Ok::<_, io::Error>(None);
        super::member::open(self.address, session.map_err(io::Error::other)?).await
    }

    async fn send(&self, gradient: &Payload) -> io::Result<()> {
        let stream = self.stream.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        let bytes = gradient.as_bytes();
        let header = v0::encode_header(bytes.len() as u64);
        stream.send_all(&header, bytes).await
    }

    async fn receive(&mut self) -> io::Result<Result<Payload, WireError>> {
        let stream = self.stream.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        loop {
            let [header, payload] = self.decoder.unfilled();
            let count = if header.is_empty() {
                stream.read_some(payload).await?
            } else {
                stream.read_both(header, payload).await?
            };
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            match self.decoder.advance(count) {
                Ok(Some(result)) => return Ok(Ok(result)),
                Ok(None) => {}
                Err(error) => return Ok(Err(error)),
            }
        }
    }

    fn fail(&mut self, error: io::Error) {
        self.stream = None;
        self.decoder.reset();
        self.last_error = Some(error);
        let now = self.now();
        self.worker.handle_disconnected(now);
    }

    /// Kept for what may follow.
    fn last_error(&self) -> io::Error {
        let kind = self.last_error.as_ref().map(io::Error::kind);
        kind.unwrap_or(io::ErrorKind::NotConnected).into()
    }

    fn take_error(&mut self) -> io::Error {
        let other = || io::Error::other("no connection");
        self.last_error.take().unwrap_or_else(other)
    }

    fn now(&self) -> Time {
        Time::ZERO + Span::from(self.clock.elapsed())
    }
}

//! A worker of protocol 1: the [`Member`] machine on a socket.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use async_io::{Async, Timer};

use smol::future::FutureExt;

use super::client::{ClientError, MAX_RESULT_BYTES, Trouble};
use super::link::Link;
use super::socket;
use super::tls::Session;
#[cfg(feature = "tls")]
use super::tls::{TlsClient, TlsError};
use crate::member::{Answer, Identity, Member, Output};
use crate::payload::Payload;
use crate::time::{Span, Time};
use crate::wire::v1::message::{Leave, Push, Tensor};
use crate::wire::v1::{self, Decoder, Dtype, Item, Limits, MAX_MESSAGE_BYTES, Message};
use crate::worker::Retry;
use crate::{Coder, Coding};

/// How long a server may take to agree on keys.
const GREETING: Span = Span::from_secs(10);

/// A worker that speaks protocol 1: it has a name, is told what it missed,
/// and survives the loss of its connection.
///
/// ```
/// use hetsync_core::Payload;
/// use hetsync_core::member::{Fate, Identity};
/// use hetsync_core::net::{MemberClient, Server, listen};
///
/// smol::block_on(async {
///     let listener = listen(([127, 0, 0, 1], 0).into())?;
///     let address = listener.get_ref().local_addr()?;
///     let server = Server::builder().workers(1).build();
///     let running = smol::spawn(server.run(listener, smol::future::pending()));
///
///     let identity = Identity { job: "default".parse()?, worker: "w0".parse()?, token: None };
///     let mut client = MemberClient::new(address, identity);
///     let mut model = [0.0_f32; 2];
///     for step in 0..3 {
///         let answer = client.submit(Payload::from_floats(&[1.0, 2.0])).await?;
///         assert_eq!(answer.fate, Fate::Counted);
///         for result in answer.results {
///             assert_eq!(result.about.round, step);
///             let floats = result.payload.to_floats();
///             model.iter_mut().zip(floats).for_each(|(m, f)| *m += f);
///         }
///     }
///     assert_eq!(model, [3.0, 6.0]);
///     client.leave().await;
///     drop(running);
///     Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
/// }).unwrap();
/// ```
#[derive(Debug)]
pub struct MemberClient {
    address: SocketAddr,
    identity: Identity,
    retry: Retry,
    member: Member,
    stream: Option<Link>,
    #[cfg(feature = "tls")]
    tls: Option<TlsClient>,
    decoder: Decoder,
    /// A frame whose tensors have not come yet.
    head: Option<Message>,
    clock: Instant,
    last_error: Option<io::Error>,
    trouble: Trouble,
    coder: Coder,
    /// The gradient that is out, as it is sent.
    coded: Vec<u8>,
}

impl MemberClient {
    /// A worker of the server at `address`. It connects with its first
    /// gradient.
    pub fn new(address: SocketAddr, identity: Identity) -> Self {
        Self::with_retry(address, identity, Retry::default())
    }

    /// The same, with its own idea of patience.
    pub fn with_retry(address: SocketAddr, identity: Identity, retry: Retry) -> Self {
        Self {
            address,
            member: Member::new(identity.clone(), retry),
            identity,
            retry,
            stream: None,
            #[cfg(feature = "tls")]
            tls: None,
            decoder: Decoder::new(Limits {
                message_bytes: MAX_MESSAGE_BYTES,
                tensor_bytes: MAX_RESULT_BYTES,
            }),
            head: None,
            clock: Instant::now(),
            last_error: None,
            trouble: Trouble::default(),
            coder: Coder::new(Coding::default()),
            coded: Vec::new(),
        }
    }

    /// Sends gradients in another form than f32, and takes results in another
    /// if the server has them. To be called first of all.
    pub fn coding(mut self, coding: Coding) -> Self {
        self.coder = Coder::new(coding);
        self
    }

    /// Speaks TLS, and only with servers that are trusted.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: TlsClient) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Calls `tell` with the reason whenever no connection can be opened,
    /// before it is tried again: attempts go on for seconds.
    pub fn on_unreachable(mut self, tell: impl Fn(&io::Error) + Send + Sync + 'static) -> Self {
        self.trouble = Trouble(Some(Box::new(tell)));
        self
    }

    /// The worker has a model from elsewhere, as it was before the round
    /// `next` of `epoch`. To be called first of all.
    pub fn resume(&mut self, next: u64, epoch: u64) {
        self.member.resume(next, epoch);
    }

    /// Up to where it has been handed results: the next round and its epoch.
    pub fn position(&self) -> Option<(u64, u64)> {
        self.member.position()
    }

    /// Connects and joins now instead of with the first gradient, and
    /// returns what the worker has missed. From here on rounds wait for it.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn connect(&mut self) -> Result<Answer, ClientError> {
        loop {
            if let Some(answer) = self.step().await? {
                return Ok(answer);
            }
        }
    }

    /// Sends a gradient and waits for what the server says to it. If the
    /// connection breaks meanwhile, it is opened again.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn submit(&mut self, gradient: Payload) -> Result<Answer, ClientError> {
        self.submit_weighted(gradient, 0.0).await
    }

    /// The same, and says how much the gradient counts if the server's rule
    /// is `weighted_mean`, as a number of samples; 0 for not said, which is 1.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn submit_weighted(
        &mut self,
        gradient: Payload,
        weight: f64,
    ) -> Result<Answer, ClientError> {
        self.decoder.expect_length(Some(gradient.as_bytes().len()));
        let coded = match self.coder.coding().push {
            Dtype::F32 => None,
            _ => Some(gradient.clone()),
        };
        self.member.push_weighted(gradient, weight)?;
        // Once, as it may be sent more than once.
        if let Some(gradient) = coded {
            self.coded = self.coder.encode(gradient.as_bytes());
        }
        self.connect().await
    }

    /// Gives back a buffer that a result was in.
    pub fn recycle(&mut self, result: Payload) {
        self.decoder.lend(result.into_bytes());
    }

    /// Takes part no more: rounds do not wait for this worker from now on.
    pub async fn leave(mut self) {
        if let Some(stream) = self.stream.take() {
            // If it is lost, the server knows already.
            let leave = v1::encode(&Message::Leave(Leave {}));
            let _ = stream.send_all(&leave, &[]).await;
            let _ = stream.finish();
        }
    }

    /// Does one thing that the machine wants, or waits for what it needs.
    async fn step(&mut self) -> Result<Option<Answer>, ClientError> {
        let address = self.address;
        match self.member.poll_output() {
            Some(Output::Connect) => match self.open().await {
                Ok(stream) => {
                    self.stream = Some(stream);
                    self.member.handle_connected();
                }
                Err(error) => {
                    let error = untrusted(address, error)?;
                    self.trouble.tell(&error);
                    self.fail(error);
                }
            },
            Some(Output::Say(message @ Message::Hello(_))) => {
                let head = v1::encode_head(&message, self.coder.coding().result, 0, 0);
                self.send(&head, &[]).await;
            }
            Some(Output::Say(message)) => self.send(&v1::encode(&message), &[]).await,
            Some(Output::Push(push, payload)) => self.push(push, &payload).await,
            Some(Output::Joined(answer) | Output::Deliver(answer)) => return Ok(Some(answer)),
            Some(Output::Refused(code, text)) => {
                self.start_anew();
                return Err(ClientError::Denied { code, text });
            }
            Some(Output::GaveUp) => {
                let other = || io::Error::other("no connection");
                let source = self.last_error.take().unwrap_or_else(other);
                self.start_anew();
                return Err(ClientError::Unreachable { address, source });
            }
            None => match self.member.poll_timeout() {
                Some(at) => {
                    Timer::at(self.clock + at.since(Time::ZERO).into()).await;
                    let now = self.now();
                    self.member.handle_timeout(now);
                }
                None => self.receive().await?,
            },
        }
        Ok(None)
    }

    /// Another call begins anew, with what has been applied.
    fn start_anew(&mut self) {
        let position = self.member.position();
        self.stream = None;
        self.decoder.reset();
        self.head = None;
        self.member = Member::new(self.identity.clone(), self.retry);
        if let Some((next, epoch)) = position {
            self.member.resume(next, epoch);
        }
    }

    async fn open(&self) -> io::Result<Link> {
        #[cfg(feature = "tls")]
        let session = self.tls.as_ref().map(TlsClient::session).transpose();
        #[cfg(not(feature = "tls"))]
        let session = Ok::<_, io::Error>(None);
        open(self.address, session.map_err(io::Error::other)?).await
    }

    async fn push(&mut self, mut push: Push, payload: &Payload) {
        let dtype = self.coder.coding().push;
        if dtype == Dtype::TopK && push.tensors.is_empty() {
            // Its bytes do not say how long it is.
            let elements = payload.floats() as u64;
            push.tensors.push(Tensor {
                name: String::new(),
                elements,
            });
        }
        let coded = std::mem::take(&mut self.coded);
        let bytes = match dtype {
            Dtype::F32 => payload.as_bytes(),
            _ => &coded,
        };
        let (length, crc) = (bytes.len() as u64, v1::crc(bytes));
        let head = v1::encode_head(&Message::Push(push), dtype, length, crc);
        self.send(&head, bytes).await;
        self.coded = coded;
    }

    async fn send(&mut self, head: &[u8], body: &[u8]) {
        let sent = match &self.stream {
            Some(stream) => stream.send_all(head, body).await,
            None => return,
        };
        // If the server has refused it, why is there to be read.
        if let Err(error) = sent
            && error.kind() != io::ErrorKind::BrokenPipe
        {
            self.fail(error);
        }
    }

    /// Reads once, and tells the machine of what that completes.
    async fn receive(&mut self) -> Result<(), ClientError> {
        let Some(stream) = &self.stream else {
            self.fail(io::ErrorKind::NotConnected.into());
            return Ok(());
        };
        let [tensors, ahead] = self.decoder.unfilled();
        let place = if tensors.is_empty() { ahead } else { tensors };
        match stream.read_some(place).await {
            Ok(0) => {
                self.fail(io::ErrorKind::UnexpectedEof.into());
                return Ok(());
            }
            Ok(count) => self.decoder.advance(count),
            Err(error) => {
                self.fail(error);
                return Ok(());
            }
        }
        while let Some(item) = self.decoder.poll().map_err(|fault| self.fault(fault))? {
            let (message, tensors) = match item {
                Item::Head(head) if head.tensor_bytes > 0 => {
                    self.head = Some(head.message);
                    continue;
                }
                Item::Head(head) => (head.message, None),
                Item::Tensors(payload) => match self.head.take() {
                    Some(message) => (message, Some(payload)),
                    None => continue,
                },
            };
            let now = self.now();
            if let Err(error) = self.member.handle_message(now, message, tensors) {
                self.start_anew();
                return Err(error.into());
            }
        }
        Ok(())
    }

    fn fault(&mut self, fault: v1::Error) -> ClientError {
        self.start_anew();
        ClientError::Frame(fault)
    }

    fn fail(&mut self, error: io::Error) {
        self.stream = None;
        self.decoder.reset();
        self.head = None;
        self.last_error = Some(error);
        let now = self.now();
        self.member.handle_disconnected(now);
    }

    fn now(&self) -> Time {
        Time::ZERO + Span::from(self.clock.elapsed())
    }
}

/// Opens a connection, and agrees on keys if there is to be TLS.
pub(super) async fn open(address: SocketAddr, tls: Option<Session>) -> io::Result<Link> {
    let stream = Async::<TcpStream>::connect(address).await?;
    socket::prepare(stream.get_ref())?;
    let link = Link::new(stream, tls);
    let greeting = async {
        link.greet().await?;
        Ok(())
    };
    let patience = async {
        Timer::after(GREETING.into()).await;
        Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the server did not answer when TLS began; does it speak TLS?",
        ))
    };
    greeting.or(patience).await?;
    Ok(link)
}

/// A server that is not trusted will not be trusted the next time; any other
/// failure is given back, to try again.
pub(super) fn untrusted(address: SocketAddr, error: io::Error) -> Result<io::Error, ClientError> {
    #[cfg(feature = "tls")]
    if error.get_ref().is_some_and(|inner| inner.is::<TlsError>()) {
        return Err(ClientError::Untrusted {
            address,
            source: error,
        });
    }
    let _ = address;
    Ok(error)
}

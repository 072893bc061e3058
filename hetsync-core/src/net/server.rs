//! The server: accepts, spawns, stops.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_io::{Async, Timer};
use smol::Executor;
use smol::channel::{Receiver, Sender};
use smol::future::FutureExt;

use super::connection::{Connection, FAREWELL, Owed, ReadEnd};
use super::handle::{Handle, Life, Running};
use super::hub::{Hub, Observer};
use super::keeper::{Checkpoints, Keeper};
use super::link::Link;
use super::memory::{Claim, Memory};
use super::metrics;
use super::notice::{Departure, Notice};
use super::session::Session;
use super::socket;
use super::tls;
#[cfg(feature = "tls")]
use super::tls::TlsServer;
use crate::Name;
use crate::aggregate::Aggregate;
use crate::policy::Policy;
use crate::server::{
    Config, ConnId, Event, Jobs, JobsConfig, Keep, Late, Machine, Model, Token, WaitFor,
};
use crate::stats::Stats;
use crate::time::{Span, Time};
use crate::wire::v1::{Dtype, ErrorCode};
use crate::wire::{v0, v1};

/// A server that is ready to run.
///
/// ```
/// use hetsync_core::net::{Client, Server, listen};
/// use hetsync_core::Payload;
///
/// smol::block_on(async {
///     let listener = listen(([127, 0, 0, 1], 0).into())?;
///     let address = listener.get_ref().local_addr()?;
///     let (stop, stopped) = smol::channel::bounded::<()>(1);
///     let server = Server::builder().workers(1).build();
///     let running = smol::spawn(server.run(listener, async move {
///         let _ = stopped.recv().await;
///     }));
///
///     let mut client = Client::new(address);
///     let sum = client.submit(Payload::from_floats(&[1.0, 2.0])).await?;
///     assert_eq!(sum.to_floats(), [1.0, 2.0]);
///
///     drop(stop);
///     assert_eq!(running.await?.rounds(), 1);
///     Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
/// }).unwrap();
/// ```
#[must_use = "a server does nothing until it is run"]
pub struct Server {
    handle: Handle,
    config: Config,
    others: Vec<(Name, Config)>,
    jobs: JobsConfig,
    limits: Limits,
    observer: Observer,
    metrics: Option<Async<TcpListener>>,
    checkpoints: Option<Checkpoints>,
    #[cfg(feature = "tls")]
    tls: Option<TlsServer>,
}

#[derive(Debug, Clone, Copy)]
struct Limits {
    max_payload_bytes: u64,
    max_memory_bytes: usize,
    max_connections: usize,
    idle: Span,
    hello: Span,
    grace: Span,
    quick_ack: bool,
}

/// Settings of a [`Server`]; what is not set is without effect on anyone who
/// keeps to the protocol.
#[must_use]
pub struct Builder {
    config: Config,
    others: Vec<(Name, Config)>,
    jobs: JobsConfig,
    limits: Limits,
    observer: Observer,
    metrics: Option<Async<TcpListener>>,
    checkpoints: Option<Checkpoints>,
    #[cfg(feature = "tls")]
    tls: Option<TlsServer>,
}

impl Builder {
    /// Gradients that make up the first round of a job. Default 4.
    pub fn workers(mut self, workers: usize) -> Self {
        self.config.workers = workers;
        self
    }

    /// Length of the model in floats. By default the first gradient of a
    /// job sets it.
    pub fn floats(mut self, floats: usize) -> Self {
        self.config.floats = Some(floats);
        self
    }

    /// When rounds close. By default [`Replay`](crate::policy::Replay) says.
    pub fn policy(mut self, policy: impl Policy + 'static) -> Self {
        self.config.policy = Box::new(policy);
        self
    }

    /// Whom rounds wait for. By default the workers that are in step.
    pub fn wait_for(mut self, wait_for: WaitFor) -> Self {
        self.config.wait_for = wait_for;
        self
    }

    /// What becomes of the gradients. Default sum.
    pub fn aggregate(mut self, aggregate: impl Aggregate + 'static) -> Self {
        self.config.aggregate = Box::new(aggregate);
        self
    }

    /// What becomes of late gradients. By default they are dropped.
    pub fn late(mut self, late: Late) -> Self {
        self.config.late = late;
        self
    }

    /// What is kept for workers of protocol 1 that missed rounds. Default
    /// sixteen results, or as many as 256 MiB hold.
    pub fn keep(mut self, keep: Keep) -> Self {
        self.config.keep = keep;
        self
    }

    /// What results are rounded to: f32, which is the default, bf16, f16 or
    /// int8. Workers that say so in their hello are sent them in that form.
    pub fn precision(mut self, dtype: Dtype) -> Self {
        self.config.precision = dtype;
        self
    }

    /// One more job on the same port, with a barrier of its own. Workers of
    /// protocol 1 name it; the other settings of this builder are those of
    /// the default job, which is also that of protocol 0. Of two jobs with
    /// one name the first stands.
    pub fn job(mut self, name: Name, config: Config) -> Self {
        self.others.push((name, config));
        self
    }

    /// What workers must know. Protocol 0 cannot say it, and is not served
    /// if there is a token.
    pub fn token(mut self, token: Token) -> Self {
        self.jobs.token = Some(token);
        self
    }

    /// How long a worker of protocol 1 that lost its connection is part of
    /// its job. Default thirty seconds.
    pub fn linger(mut self, linger: Span) -> Self {
        self.jobs.linger = linger;
        self
    }

    /// The model, if the server is to hold it: workers of protocol 1 that
    /// begin, or have missed too much, are sent it. By default there is none.
    pub fn model(mut self, model: impl Model + 'static) -> Self {
        self.config.model = Some(Box::new(model));
        self
    }

    /// Workers of protocol 1 that each job remembers. Default 4096.
    pub fn max_named_workers(mut self, workers: usize) -> Self {
        self.jobs.max_workers = workers;
        self
    }

    /// Longest payload that is taken, in bytes. Default 1 GiB.
    pub fn max_payload_bytes(mut self, bytes: u64) -> Self {
        self.limits.max_payload_bytes = bytes;
        self
    }

    /// Bytes that gradients and results may take together. A gradient that
    /// would go beyond is refused, and until the model's length is known one
    /// that is longer than its share, which leaves room for the other workers
    /// and two results. Whoever makes the server keep older results than the
    /// newest loses its connection when room is short. Default 4 GiB.
    pub fn max_memory_bytes(mut self, bytes: usize) -> Self {
        self.limits.max_memory_bytes = bytes;
        self
    }

    /// Connections at one time; more are closed at once. Default 1024.
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.limits.max_connections = connections;
        self
    }

    /// A worker that is expected to move bytes and has moved none for this
    /// long is disconnected. Default ten minutes.
    pub fn idle(mut self, idle: Span) -> Self {
        self.limits.idle = idle;
        self
    }

    /// A worker that has moved no byte for this long in the middle of a
    /// gradient is disconnected. When all places are taken, a connection
    /// that has never sent a byte makes room for a newcomer at once, and if
    /// there is none, one that has been at its first gradient for longer than
    /// this. Default thirty seconds.
    pub fn hello(mut self, hello: Span) -> Self {
        self.limits.hello = hello;
        self
    }

    /// How long an open round may go on after the server was asked to stop.
    /// Default three seconds.
    pub fn grace(mut self, grace: Span) -> Self {
        self.limits.grace = grace;
        self
    }

    /// Whether workers that write header and payload apart are spared the
    /// 40 ms of a delayed acknowledgement. Default yes.
    pub fn quick_ack(mut self, quick_ack: bool) -> Self {
        self.limits.quick_ack = quick_ack;
        self
    }

    /// Whom to tell what happens. Called in order, with the time since the
    /// server was built, on the server's thread or on one that has written a
    /// checkpoint; it holds up the server, so it should return soon.
    pub fn observer(mut self, observer: impl FnMut(Time, &Notice) + Send + 'static) -> Self {
        self.observer = Box::new(observer);
        self
    }

    /// Where to serve `/metrics`, `/livez` and `/readyz` over HTTP for as
    /// long as the server runs. Anybody who can connect there can read them.
    pub fn metrics(mut self, listener: Async<TcpListener>) -> Self {
        self.metrics = Some(listener);
        self
    }

    /// Where to save the jobs, and how often. A server goes on from what it
    /// finds there. By default nothing is saved.
    pub fn checkpoints(mut self, checkpoints: Checkpoints) -> Self {
        self.checkpoints = Some(checkpoints);
        self
    }

    /// Serves workers by TLS, and by nothing else. A handshake may take as
    /// long as [`hello`](Self::hello) says. By default there is no TLS.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: TlsServer) -> Self {
        self.tls = Some(tls);
        self
    }

    /// The server.
    pub fn build(self) -> Server {
        Server {
            handle: Handle::new(),
            config: self.config,
            others: self.others,
            jobs: JobsConfig {
                max_tensor_bytes: self.limits.max_payload_bytes,
                ..self.jobs
            },
            limits: self.limits,
            observer: self.observer,
            metrics: self.metrics,
            checkpoints: self.checkpoints,
            #[cfg(feature = "tls")]
            tls: self.tls,
        }
    }
}

impl Server {
    /// Settings to start from.
    pub fn builder() -> Builder {
        Builder {
            config: Config::default(),
            others: Vec::new(),
            jobs: JobsConfig::default(),
            limits: Limits {
                max_payload_bytes: 1 << 30,
                max_memory_bytes: 4 << 30,
                max_connections: 1024,
                idle: Span::from_secs(600),
                hello: Span::from_secs(30),
                grace: Span::from_secs(3),
                quick_ack: true,
            },
            observer: Box::new(|_, _| {}),
            metrics: None,
            checkpoints: None,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// What to hold of it while it runs.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Runs it on a thread of its own, until it is stopped.
    ///
    /// # Errors
    /// If there can be no thread, or the listener has no address.
    pub fn start(self, listener: Async<TcpListener>) -> io::Result<Running> {
        let handle = self.handle();
        let address = listener.get_ref().local_addr()?;
        let thread = std::thread::Builder::new().name("hetsync-server".into());
        let serve = move || async_io::block_on(self.run(listener, smol::future::pending()));
        Ok(Running::new(handle, address, thread.spawn(serve)?))
    }

    /// Serves until `shutdown` is ready, or its handle says stop; then takes no new connections, lets
    /// an open round come to its close within the grace, and returns what
    /// was counted. Dropping the future stops the server at once.
    ///
    /// # Errors
    /// If the listener itself fails, or there are checkpoints that it cannot
    /// go on from. What a peer does is never an error.
    pub async fn run(
        self,
        listener: Async<TcpListener>,
        shutdown: impl Future<Output = ()>,
    ) -> io::Result<Stats> {
        let life = Life(self.handle);
        let handle = &life.0;
        let limits = self.limits;
        let others = self.others.iter().map(|(_, config)| config.workers);
        let workers = self.config.workers.saturating_add(others.sum());
        let memory = Arc::new(Memory::new(limits.max_memory_bytes, workers));
        let mut jobs = make_jobs(self.jobs, self.config, self.others);
        let opened = self
            .checkpoints
            .map(|settings| Keeper::open(&settings, &mut jobs));
        let (mut keeper, notices) = opened.transpose()?.unzip();
        let hub = Arc::new_cyclic(|hub: &Weak<Hub>| {
            if let Some(keeper) = &mut keeper {
                Keeper::start(keeper, hub.clone());
            }
            let observer = reporting(handle.clone(), self.observer);
            Hub::new(jobs, observer, keeper, Arc::clone(&memory))
        });
        handle.begins(&hub);
        notices.iter().flatten().for_each(|notice| hub.tell(notice));
        let address = listener.get_ref().local_addr()?;
        hub.tell(&Notice::Listening { address });

        #[cfg(feature = "tls")]
        let session = || self.tls.as_ref().map(TlsServer::session).transpose();
        #[cfg(not(feature = "tls"))]
        let session = || Ok::<_, io::Error>(None);
        let session = || session().map_err(io::Error::other);

        let executor = Executor::new();
        let timer_hub = Arc::clone(&hub);
        let timer = executor.spawn(async move { timer_hub.keep_time().await });
        let think_hub = Arc::clone(&hub);
        let thinker = executor.spawn(async move { think_hub.think().await });
        let sweep_hub = Arc::clone(&hub);
        let sweeper =
            executor.spawn(async move { sweep(&sweep_hub, limits.idle, limits.hello).await });
        let metrics = self.metrics.map(|listener| {
            let hub = Arc::clone(&hub);
            executor.spawn(async move { metrics::serve(&hub, &listener).await })
        });
        // A task of its own: this function's future is polled whenever any
        // task is woken, and a poll of `accept` is a system call.
        let (arrivals, arrived) = smol::channel::bounded(1);
        let accept_hub = Arc::clone(&hub);
        let acceptor =
            executor.spawn(async move { accept_all(&accept_hub, &listener, &arrivals).await });
        let serve = async {
            let welcome = welcome_all(&executor, &hub, &memory, &arrived, limits, &session);
            welcome.or(shutdown).or(handle.stopped()).await;
            // Closes the listener.
            acceptor.cancel().await;
            drain(&hub, limits.grace).await;
            hub.finish();
            hub.stats()
        };
        let stats = executor.run(serve).await;
        drop((timer, thinker, sweeper, metrics));
        Ok(stats)
    }
}

/// Tells of closed rounds whoever holds the handle as well.
fn reporting(handle: Handle, mut observer: Observer) -> Observer {
    Box::new(move |now, notice| {
        if let Notice::Machine {
            job,
            event: Event::Closed(report),
        } = notice
        {
            handle.report(now, job, report);
        }
        observer(now, notice);
    })
}

fn make_jobs(jobs: JobsConfig, default: Config, others: Vec<(Name, Config)>) -> Jobs {
    // Seeded by the system: no two servers share an epoch.
    let random = RandomState::new();
    let seeded = |config: Config, number: usize| {
        Machine::new(Config {
            seed: random.hash_one(number) ^ config.seed,
            ..config
        })
    };
    let mut jobs = Jobs::new(jobs, Name::default(), seeded(default, 0));
    for (number, (name, config)) in others.into_iter().enumerate() {
        jobs.add(name, seeded(config, number + 1));
    }
    jobs
}

/// A connection that was just accepted, and where it comes from.
type Arrival = (Async<TcpStream>, SocketAddr);

/// Accepts for ever.
async fn accept_all(hub: &Hub, listener: &Async<TcpListener>, arrivals: &Sender<Arrival>) {
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // A peer that hung up while it waited, or no file
                // descriptors left: neither is a reason to stop.
                let is_ours = error.kind() != io::ErrorKind::ConnectionAborted;
                hub.tell(&Notice::AcceptFailed { error });
                if is_ours {
                    Timer::after(Duration::from_millis(100)).await;
                }
                continue;
            }
        };
        if let Err(error) = socket::prepare(stream.get_ref()) {
            hub.tell(&Notice::AcceptFailed { error });
            continue;
        }
        if arrivals.send((stream, peer)).await.is_err() {
            return;
        }
    }
}

/// Starts a task for each connection, for ever.
async fn welcome_all(
    executor: &Executor<'static>,
    hub: &Arc<Hub>,
    memory: &Arc<Memory>,
    arrived: &Receiver<Arrival>,
    limits: Limits,
    session: &impl Fn() -> io::Result<Option<tls::Session>>,
) {
    // The acceptor, which holds the other end, is there for as long.
    while let Ok((stream, peer)) = arrived.recv().await {
        let stream = match session() {
            Ok(session) => Link::new(stream, session),
            Err(error) => {
                hub.tell(&Notice::AcceptFailed { error });
                continue;
            }
        };
        let make = |id, now| (Connection::new(id, stream, peer.ip(), now), peer);
        match hub.admit(limits.max_connections, limits.hello, make) {
            Some(connection) => {
                let hub = Arc::clone(hub);
                let claim = memory.claim();
                executor
                    .spawn(async move { attend(&hub, &connection, claim, limits).await })
                    .detach();
            }
            None => hub.tell(&Notice::TurnedAway {
                peer,
                limit: limits.max_connections,
            }),
        }
    }
}

/// One connection's life, in the protocol that its first byte tells.
async fn attend(hub: &Hub, connection: &Connection, claim: Claim, limits: Limits) {
    let conn = connection.id;
    let greeted = greet(connection, limits.hello).await;
    let first = match greeted {
        Ok(()) => connection.first_byte().await,
        Err(why) => Err(connection.departure(why)),
    };
    let (why, worker, claim) = match first {
        // No frame of either protocol begins so.
        Ok(Some(tls::FIRST_BYTE)) => (Departure::SpeaksTls, conn, claim),
        Ok(Some(first)) if first == v1::MAGIC[0] => {
            hub.change(|jobs, now| jobs.handle_new(now, conn));
            let session = Session {
                hub,
                connection,
                claim,
                max_payload_bytes: limits.max_payload_bytes,
            };
            session.run().await
        }
        Ok(Some(_)) => {
            hub.change(|jobs, _| jobs.handle_old(conn));
            attend_old(hub, connection, claim, limits).await
        }
        Ok(None) => (connection.departure(Departure::Closed), conn, claim),
        Err(why) => (why, conn, claim),
    };
    hub.dismiss(conn, why, worker, claim);
}

/// Agrees on keys with a peer, if there is TLS, and is plain with one that
/// does not speak it.
async fn greet(connection: &Connection, most: Span) -> Result<(), Departure> {
    let stream = &connection.stream;
    if !stream.is_tls() {
        return Ok(());
    }
    let greeting = async {
        match stream.first_of_socket().await {
            Ok(Some(tls::FIRST_BYTE)) => stream.greet().await.map_err(Departure::NoTls),
            Ok(Some(first)) => {
                if first == v1::MAGIC[0] {
                    let text = "this server speaks TLS, and this worker does not (--tls-ca)";
                    let why = v1::encode(&v1::Message::Error(v1::message::Error {
                        code: ErrorCode::Unauthorized.into(),
                        text: text.into(),
                    }));
                    let patience = async {
                        Timer::after(FAREWELL.into()).await;
                        Ok(())
                    };
                    // Whether it reads that or not, it is to go.
                    let _ = stream.turn_away(&why).or(patience).await;
                }
                Err(Departure::SpeaksPlain)
            }
            Ok(None) => Err(Departure::Closed),
            Err(error) => Err(Departure::Failed(error)),
        }
    };
    let patience = async {
        Timer::after(most.into()).await;
        Err(Departure::SlowGreeting(most))
    };
    greeting.or(patience).await
}

/// A connection that speaks protocol 0: gradient in, result out, until it
/// ends.
async fn attend_old(
    hub: &Hub,
    connection: &Connection,
    mut claim: Claim,
    limits: Limits,
) -> (Departure, ConnId, Claim) {
    let conn = connection.id;
    let mut decoder = v0::Decoder::new(limits.max_payload_bytes);
    let why = 'life: loop {
        let frame = connection
            .read_frame(
                &mut decoder,
                &mut claim,
                limits.quick_ack,
                || hub.model_bytes(),
                || hub.now(),
            )
            .await;
        match frame {
            Ok(gradient) => {
                connection.owe_reply();
                hub.gradient(conn, gradient.as_bytes().len(), |jobs, now| {
                    jobs.handle_signs(conn, connection.signs(now, true));
                    jobs.handle_old_gradient(now, conn, gradient);
                });
            }
            Err(ReadEnd::Wire(error)) => {
                hub.change(|jobs, now| jobs.handle_wire_error(now, conn, error));
                break Departure::Refused;
            }
            Err(ReadEnd::NoMemory(limit)) => {
                hub.change(|jobs, now| jobs.handle_no_memory(now, conn, limit));
                break Departure::Refused;
            }
            Err(ReadEnd::NoShare(found, share)) => {
                hub.change(|jobs, now| jobs.handle_no_share(now, conn, found, share));
                break Departure::Refused;
            }
            Err(ReadEnd::Gone(why)) => break why,
        }
        loop {
            match connection.reply_sent(|| hub.now()).await {
                Ok(Owed::Sent) => break,
                Ok(Owed::HalfClosed) => hub.half_close(conn),
                Err(why) => break 'life why,
            }
        }
        if let Some(buffer) = hub.spare_buffer(conn) {
            decoder.lend(buffer);
        }
    };
    (why, conn, claim)
}

/// Looks for idle connections and for rounds that stand open, for ever.
async fn sweep(hub: &Hub, idle: Span, hello: Span) {
    // A second is soon enough for a broken promise.
    let pause = Duration::from(idle.min(hello).min(Span::from_secs(4))) / 4;
    loop {
        Timer::after(pause.max(Duration::from_millis(1))).await;
        hub.sweep(idle, hello);
        hub.tell_of_open_rounds();
    }
}

/// Waits until nothing is under way, for at most `grace`. It looks every
/// few milliseconds: a stop happens once, and an event for it would be one
/// more thing for every round to signal.
async fn drain(hub: &Hub, grace: Span) {
    hub.stop();
    let open = hub.open_rounds();
    hub.tell(&Notice::Stopping { open, grace });
    let until = hub.now() + grace;
    while hub.is_busy() && hub.now() < until {
        Timer::after(Duration::from_millis(2)).await;
    }
    for (job, open) in hub.open_rounds() {
        hub.tell(&Notice::Unfinished { job, open });
    }
}

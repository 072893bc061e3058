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

use super::attend::attend;
use super::builder::{Builder, Limits, Settings};
use super::connection::Connection;
use super::handle::{Handle, Life, Running};
use super::hub::{Hub, Observer};
use super::keeper::Keeper;
use super::link::Link;
use super::memory::Memory;
use super::metrics;
use super::notice::Notice;
use super::socket;
use super::tls;
#[cfg(feature = "tls")]
use super::tls::TlsServer;
use crate::Name;
use crate::server::{Config, Event, Jobs, JobsConfig, Machine};
use crate::stats::Stats;
use crate::time::Span;

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
    settings: Settings,
}

impl Server {
    /// Settings to start from.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// A server by these settings.
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            handle: Handle::new(),
            settings,
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
        let Self { handle, settings } = self;
        let life = Life(handle);
        let handle = &life.0;
        let limits = settings.limits;
        let others = settings.others.iter().map(|(_, config)| config.workers);
        let workers = settings.config.workers.saturating_add(others.sum());
        let memory = Arc::new(Memory::new(limits.max_memory_bytes, workers));
        let mut jobs = make_jobs(settings.jobs, settings.config, settings.others);
        let opened = settings
            .checkpoints
            .map(|settings| Keeper::open(&settings, &mut jobs));
        let (mut keeper, notices) = opened.transpose()?.unzip();
        let hub = Arc::new_cyclic(|hub: &Weak<Hub>| {
            if let Some(keeper) = &mut keeper {
                Keeper::start(keeper, hub.clone());
            }
            let observer = reporting(handle.clone(), settings.observer);
            Hub::new(jobs, observer, keeper, Arc::clone(&memory))
        });
        handle.begins(&hub);
        notices.iter().flatten().for_each(|notice| hub.tell(notice));
        let address = listener.get_ref().local_addr()?;
        hub.tell(&Notice::Listening { address });

        #[cfg(feature = "tls")]
        let session = || settings.tls.as_ref().map(TlsServer::session).transpose();
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
        let metrics = settings.metrics.map(|listener| {
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

//! The settings of a server, and what they are where nobody says otherwise.

use std::net::TcpListener;

use async_io::Async;

use super::hub::Observer;
use super::keeper::Checkpoints;
use super::notice::Notice;
use super::server::Server;
#[cfg(feature = "tls")]
use super::tls::TlsServer;
use crate::Name;
use crate::aggregate::Aggregate;
use crate::policy::Policy;
use crate::server::{Config, JobsConfig, Keep, Late, Model, Token, WaitFor};
use crate::time::{Span, Time};
use crate::wire::v1::Dtype;

#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) max_payload_bytes: u64,
    pub(super) max_memory_bytes: usize,
    pub(super) max_connections: usize,
    pub(super) idle: Span,
    pub(super) hello: Span,
    pub(super) grace: Span,
    pub(super) quick_ack: bool,
}

/// What a server is told before it runs.
pub(super) struct Settings {
    pub(super) config: Config,
    pub(super) others: Vec<(Name, Config)>,
    pub(super) jobs: JobsConfig,
    pub(super) limits: Limits,
    pub(super) observer: Observer,
    pub(super) metrics: Option<Async<TcpListener>>,
    pub(super) checkpoints: Option<Checkpoints>,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<TlsServer>,
}

/// Settings of a [`Server`]; what is not set is without effect on anyone who
/// keeps to the protocol.
#[must_use]
pub struct Builder {
    settings: Settings,
}

impl Default for Builder {
    fn default() -> Self {
        let settings = Settings {
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
        };
        Self { settings }
    }
}

impl Builder {
    /// Gradients that make up the first round of a job. Default 4.
    pub fn workers(mut self, workers: usize) -> Self {
        self.settings.config.workers = workers;
        self
    }

    /// Length of the model in floats. By default the first gradient of a
    /// job sets it.
    pub fn floats(mut self, floats: usize) -> Self {
        self.settings.config.floats = Some(floats);
        self
    }

    /// When rounds close. By default [`Replay`](crate::policy::Replay) says.
    pub fn policy(mut self, policy: impl Policy + 'static) -> Self {
        self.settings.config.policy = Box::new(policy);
        self
    }

    /// Whom rounds wait for. By default the workers that are in step.
    pub fn wait_for(mut self, wait_for: WaitFor) -> Self {
        self.settings.config.wait_for = wait_for;
        self
    }

    /// What becomes of the gradients. Default sum.
    pub fn aggregate(mut self, aggregate: impl Aggregate + 'static) -> Self {
        self.settings.config.aggregate = Box::new(aggregate);
        self
    }

    /// What becomes of late gradients. By default they are dropped.
    pub fn late(mut self, late: Late) -> Self {
        self.settings.config.late = late;
        self
    }

    /// What is kept for workers of protocol 1 that missed rounds. Default
    /// sixteen results, or as many as 256 MiB hold.
    pub fn keep(mut self, keep: Keep) -> Self {
        self.settings.config.keep = keep;
        self
    }

    /// What results are rounded to: f32, which is the default, bf16, f16 or
    /// int8. Workers that say so in their hello are sent them in that form.
    pub fn precision(mut self, dtype: Dtype) -> Self {
        self.settings.config.precision = dtype;
        self
    }

    /// One more job on the same port, with a barrier of its own. Workers of
    /// protocol 1 name it; the other settings of this builder are those of
    /// the default job, which is also that of protocol 0. Of two jobs with
    /// one name the first stands.
    pub fn job(mut self, name: Name, config: Config) -> Self {
        self.settings.others.push((name, config));
        self
    }

    /// What workers must know. Protocol 0 cannot say it, and is not served
    /// if there is a token.
    pub fn token(mut self, token: Token) -> Self {
        self.settings.jobs.token = Some(token);
        self
    }

    /// How long a worker of protocol 1 that lost its connection is part of
    /// its job. Default thirty seconds.
    pub fn linger(mut self, linger: Span) -> Self {
        self.settings.jobs.linger = linger;
        self
    }

    /// The model, if the server is to hold it: workers of protocol 1 that
    /// begin, or have missed too much, are sent it. By default there is none.
    pub fn model(mut self, model: impl Model + 'static) -> Self {
        self.settings.config.model = Some(Box::new(model));
        self
    }

    /// Workers of protocol 1 that each job remembers. Default 4096.
    pub fn max_named_workers(mut self, workers: usize) -> Self {
        self.settings.jobs.max_workers = workers;
        self
    }

    /// Longest payload that is taken, in bytes. Default 1 GiB.
    pub fn max_payload_bytes(mut self, bytes: u64) -> Self {
        self.settings.limits.max_payload_bytes = bytes;
        self
    }

    /// Bytes that gradients and results may take together. A gradient that
    /// would go beyond is refused, and until the model's length is known one
    /// that is longer than its share, which leaves room for the other workers
    /// and two results. Whoever makes the server keep older results than the
    /// newest loses its connection when room is short. Default 4 GiB.
    pub fn max_memory_bytes(mut self, bytes: usize) -> Self {
        self.settings.limits.max_memory_bytes = bytes;
        self
    }

    /// Connections at one time; more are closed at once. Default 1024.
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.settings.limits.max_connections = connections;
        self
    }

    /// A worker that is expected to move bytes and has moved none for this
    /// long is disconnected. Default ten minutes.
    pub fn idle(mut self, idle: Span) -> Self {
        self.settings.limits.idle = idle;
        self
    }

    /// A worker that has moved no byte for this long in the middle of a
    /// gradient is disconnected. When all places are taken, a connection
    /// that has never sent a byte makes room for a newcomer at once, and if
    /// there is none, one that has been at its first gradient for longer than
    /// this. Default thirty seconds.
    pub fn hello(mut self, hello: Span) -> Self {
        self.settings.limits.hello = hello;
        self
    }

    /// How long an open round may go on after the server was asked to stop.
    /// Default three seconds.
    pub fn grace(mut self, grace: Span) -> Self {
        self.settings.limits.grace = grace;
        self
    }

    /// Whether workers that write header and payload apart are spared the
    /// 40 ms of a delayed acknowledgement. Default yes.
    pub fn quick_ack(mut self, quick_ack: bool) -> Self {
        self.settings.limits.quick_ack = quick_ack;
        self
    }

    /// Whom to tell what happens. Called in order, with the time since the
    /// server was built, on the server's thread or on one that has written a
    /// checkpoint; it holds up the server, so it should return soon.
    pub fn observer(mut self, observer: impl FnMut(Time, &Notice) + Send + 'static) -> Self {
        self.settings.observer = Box::new(observer);
        self
    }

    /// Where to serve `/metrics`, `/livez` and `/readyz` over HTTP for as
    /// long as the server runs. Anybody who can connect there can read them.
    pub fn metrics(mut self, listener: Async<TcpListener>) -> Self {
        self.settings.metrics = Some(listener);
        self
    }

    /// Where to save the jobs, and how often. A server goes on from what it
    /// finds there. By default nothing is saved.
    pub fn checkpoints(mut self, checkpoints: Checkpoints) -> Self {
        self.settings.checkpoints = Some(checkpoints);
        self
    }

    /// Serves workers by TLS, and by nothing else. A handshake may take as
    /// long as [`hello`](Self::hello) says. By default there is no TLS.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: TlsServer) -> Self {
        self.settings.tls = Some(tls);
        self
    }

    /// The server.
    pub fn build(self) -> Server {
        let Settings { jobs, limits, .. } = self.settings;
        Server::new(Settings {
            jobs: JobsConfig {
                max_tensor_bytes: limits.max_payload_bytes,
                ..jobs
            },
            ..self.settings
        })
    }
}

//! What a program holds of a server that runs inside it: its rounds as they
//! close, its state at a moment, and the word to stop.
//!
//! Invariant: nobody who holds a handle, or does not read the reports, holds
//! up a round. Reports that are not read are dropped, the oldest first, and
//! counted.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::{io, net};

use smol::channel::{Receiver, Sender};
use smol::stream::Stream;

use super::hub::Hub;
use crate::Name;
use crate::metrics::Snapshot;
use crate::server::RoundReport;
use crate::stats::Stats;
use crate::time::Time;

/// Reports that wait for a reader, at most.
pub(super) const MOST_WAITING: usize = 1024;

/// A round of a server that has closed.
#[derive(Debug, Clone, PartialEq)]
pub struct Reported {
    /// When, since the server was started.
    pub at: Time,
    /// In which job.
    pub job: Name,
    /// Its account.
    pub report: RoundReport,
}

/// A server that runs, or is about to. Clones are of the same one.
///
/// ```
/// use hetsync_core::net::{Client, Server, listen};
/// use hetsync_core::Payload;
///
/// let listener = listen(([127, 0, 0, 1], 0).into())?;
/// let server = Server::builder().workers(1).build();
/// let mut reports = server.handle().reports();
/// // On a thread of its own; `Server::run` is for those who have a runtime.
/// let running = server.start(listener)?;
///
/// let mut client = Client::new(running.address());
/// smol::block_on(client.submit(Payload::from_floats(&[1.0])))?;
/// let first = reports.next_blocking().expect("a round has closed");
/// assert_eq!(first.report.round.0, 0);
/// assert_eq!(running.handle().snapshot().expect("it runs").connections, 1);
///
/// assert_eq!(running.stop()?.rounds(), 1);
/// assert!(reports.next_blocking().is_none());
/// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    stop: Sender<()>,
    stopped: Receiver<()>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    hub: Weak<Hub>,
    readers: Vec<Weak<Mutex<Queue>>>,
    is_over: bool,
}

/// Between the server and one reader.
#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Reported>,
    dropped: u64,
    is_over: bool,
    waker: Option<std::task::Waker>,
}

/// The rounds of a server, in the order in which they close, from when this
/// was asked for; a [`Stream`] that ends when the server does.
#[derive(Debug)]
pub struct Reports {
    queue: Arc<Mutex<Queue>>,
}

/// A server on a thread of its own. Stops when it is dropped, without waiting
/// for it.
#[derive(Debug)]
pub struct Running {
    handle: Handle,
    address: net::SocketAddr,
    thread: Option<JoinHandle<io::Result<Stats>>>,
}

impl Handle {
    pub(super) fn new() -> Self {
        let (stop, stopped) = smol::channel::bounded(1);
        let state = Mutex::default();
        Self {
            shared: Arc::new(Shared {
                stop,
                stopped,
                state,
            }),
        }
    }

    /// Asks the server to stop as if its shutdown were ready. It is done
    /// when [`run`](super::Server::run) returns.
    pub fn stop(&self) {
        self.shared.stop.close();
    }

    /// The rounds that close from now on. May be asked for more than once,
    /// and before the server runs.
    pub fn reports(&self) -> Reports {
        let queue = Arc::new(Mutex::new(Queue::default()));
        let mut state = lock(&self.shared.state);
        lock(&queue).is_over = state.is_over;
        state.readers.push(Arc::downgrade(&queue));
        Reports { queue }
    }

    /// The server's state at this moment; `None` if it does not run.
    pub fn snapshot(&self) -> Option<Snapshot> {
        let hub = lock(&self.shared.state).hub.upgrade();
        hub.map(|hub| hub.snapshot())
    }

    /// Ready when somebody has asked for a stop.
    pub(super) async fn stopped(&self) {
        // Nothing is ever sent: the channel closing is the word.
        let _ = self.shared.stopped.recv().await;
    }

    pub(super) fn begins(&self, hub: &Arc<Hub>) {
        lock(&self.shared.state).hub = Arc::downgrade(hub);
    }

    pub(super) fn ends(&self) {
        let mut state = lock(&self.shared.state);
        state.is_over = true;
        for queue in state
            .readers
            .drain(..)
            .filter_map(|reader| reader.upgrade())
        {
            lock(&queue).finish();
        }
    }

    /// A round has closed. Costs nothing while nobody reads.
    pub(super) fn report(&self, at: Time, job: &Name, report: &RoundReport) {
        let mut state = lock(&self.shared.state);
        state.readers.retain(|reader| {
            let Some(queue) = reader.upgrade() else {
                return false;
            };
            lock(&queue).push(Reported {
                at,
                job: job.clone(),
                report: report.clone(),
            });
            true
        });
    }
}

/// Ends the reports however the server ends, also if its future is dropped.
pub(super) struct Life(pub(super) Handle);

impl Drop for Life {
    fn drop(&mut self) {
        self.0.ends();
    }
}

impl Queue {
    fn push(&mut self, reported: Reported) {
        if self.waiting.len() == MOST_WAITING {
            self.waiting.pop_front();
            self.dropped += 1;
        }
        self.waiting.push_back(reported);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn finish(&mut self) {
        self.is_over = true;
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl Reports {
    /// The next round; `None` when the server has ended. Blocks the thread.
    pub fn next_blocking(&mut self) -> Option<Reported> {
        smol::future::block_on(smol::stream::StreamExt::next(self))
    }

    /// Reports that were dropped, as they were not read in time.
    pub fn dropped(&self) -> u64 {
        lock(&self.queue).dropped
    }
}

impl Stream for Reports {
    type Item = Reported;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Reported>> {
        let mut queue = lock(&self.queue);
        match queue.waiting.pop_front() {
            Some(reported) => Poll::Ready(Some(reported)),
            None if queue.is_over => Poll::Ready(None),
            None => {
                queue.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Running {
    pub(super) fn new(
        handle: Handle,
        address: net::SocketAddr,
        thread: JoinHandle<io::Result<Stats>>,
    ) -> Self {
        Self {
            handle,
            address,
            thread: Some(thread),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> net::SocketAddr {
        self.address
    }

    /// For others to hold.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Lets an open round come to its close within the grace, and returns
    /// what was counted.
    ///
    /// # Errors
    /// Those of [`run`](super::Server::run).
    pub fn stop(mut self) -> io::Result<Stats> {
        self.handle.stop();
        let fault = || io::Error::other("the server's thread ended by a fault of its own");
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(ended)) => ended,
            Some(Err(_)) | None => Err(fault()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.handle.stop();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

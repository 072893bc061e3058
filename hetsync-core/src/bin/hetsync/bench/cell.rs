//! One cell of the table: a server, its workers, a stop watch.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hetsync_core::net::{Client, Notice, Server, listen};
use hetsync_core::policy::{Outcome, Rule, Strict};
use hetsync_core::server::Event;
use smol::future::FutureExt;
use smol::{Executor, Timer};

use crate::Failure;
use crate::args::BenchArgs;
use crate::signals::Stop;
use crate::step::{Pace, Steps};

/// The two that are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// The naive barrier.
    Strict,
    /// The rule that was asked for.
    Rule,
}

/// What is to be measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) side: Side,
    /// In percent, and what that makes of the workers.
    pub(super) share: usize,
    pub(super) stragglers: usize,
}

/// What was measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cell {
    pub(super) plan: Plan,
    /// Rounds closed, all of them and by the deadline.
    pub(super) updates: u64,
    pub(super) by_deadline: u64,
    /// Gradients that came late and were dropped.
    pub(super) late: u64,
    /// From the start of the first step to the last close. A round that was
    /// open at the end is in neither figure.
    pub(super) measured: Duration,
}

impl Cell {
    pub(super) fn updates_per_s(&self) -> f64 {
        match self.updates {
            0 => 0.0,
            updates => updates as f64 / self.measured.as_secs_f64(),
        }
    }
}

#[derive(Debug, Default)]
struct Seen {
    updates: u64,
    by_deadline: u64,
    late: u64,
    last_close: Option<Instant>,
    /// Whether the time is up: a round that closes because the workers leave is none.
    over: bool,
}

/// Measures one cell, with its server and workers on `executor`, until its
/// time is over or a stop is requested. Adds each update to `updates` as it
/// happens.
pub(super) async fn measure<'a>(
    executor: &Executor<'a>,
    args: &'a BenchArgs,
    rule: &Rule,
    plan: Plan,
    (stop, updates): (&Stop, &'a AtomicU64),
) -> Result<Cell, Failure> {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let observer_seen = Arc::clone(&seen);
    let builder = Server::builder()
        .workers(args.workers)
        .floats(args.floats)
        .wait_for(args.wait_for.into())
        .observer(move |_, notice| {
            let mut seen = observer_seen.lock().unwrap_or_else(PoisonError::into_inner);
            if seen.over {
                return;
            }
            match notice {
                Notice::Machine {
                    event: Event::Closed(report),
                    ..
                } => {
                    seen.updates += 1;
                    seen.by_deadline += u64::from(report.outcome == Outcome::Deadline);
                    seen.last_close = Some(Instant::now());
                }
                Notice::Machine {
                    event: Event::Late { .. },
                    ..
                } => seen.late += 1,
                _ => {}
            }
        });
    let server = match plan.side {
        Side::Strict => builder.policy(Strict),
        Side::Rule => builder.policy(rule.policy()),
    }
    .build();

    let listener = listen(([127, 0, 0, 1], 0).into())?;
    let address = listener.get_ref().local_addr()?;
    let running = executor.spawn(server.run(listener, smol::future::pending()));
    let mut clients = Vec::new();
    for _ in 0..args.workers {
        let mut client = Client::new(address);
        client.connect().await?;
        clients.push(client);
    }
    let started = Instant::now();
    let mut workers = Vec::new();
    for (index, client) in clients.into_iter().enumerate() {
        let pace = Pace {
            think: args.think,
            jitter: 0.0,
            straggle: (index < plan.stragglers).then_some((args.straggle, 1.0)),
        };
        let steps = Steps::new(pace, index as u64);
        // The last worker never straggles: it sees every update.
        let counts = index + 1 == args.workers;
        workers.push(executor.spawn(work(client, steps, args.floats, updates, counts)));
    }
    let time = async {
        Timer::after(args.duration.into()).await;
    };
    time.or(stop.requested()).await;
    seen.lock().unwrap_or_else(PoisonError::into_inner).over = true;
    for worker in workers {
        // It ends by itself only if it failed, and then so does the cell.
        if let Some(ended) = worker.cancel().await {
            ended?;
        }
    }
    running.cancel().await;

    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(Cell {
        plan,
        updates: seen.updates,
        by_deadline: seen.by_deadline,
        late: seen.late,
        measured: seen
            .last_close
            .map_or(Duration::ZERO, |last| last - started),
    })
}

async fn work(
    mut client: Client,
    mut steps: Steps,
    floats: usize,
    updates: &AtomicU64,
    counts: bool,
) -> Result<(), Failure> {
    loop {
        Timer::after(steps.time()).await;
        let result = client.submit(steps.gradient(floats)).await?;
        client.recycle(result);
        if counts {
            updates.fetch_add(1, Ordering::Relaxed);
        }
    }
}

//! `hetsync worker`.

use std::time::{Duration, Instant};

use hetsync_core::Span;
use hetsync_core::net::{Client, ClientError};
use hetsync_core::stats::Histogram;
use smol::Timer;
use smol::future::FutureExt;

use crate::args::WorkerArgs;
use crate::lines::say;
use crate::signals::Stop;
use crate::step::{Pace, Steps};
use crate::{Failure, on_named_thread};

pub(crate) fn run(args: WorkerArgs) -> Result<(), Failure> {
    let stop = Stop::install()?;
    on_named_thread("hetsync-worker", move || {
        smol::block_on(all(&args).or(async {
            stop.requested().await;
            if !args.quiet {
                say("stopped");
            }
            Ok(())
        }))
    })?
}

async fn all(args: &WorkerArgs) -> Result<(), Failure> {
    let executor = smol::Executor::new();
    let workers: Vec<_> = (0..args.count)
        .map(|index| executor.spawn(one(args.clone(), index)))
        .collect();
    executor
        .run(async {
            for worker in workers {
                worker.await?;
            }
            Ok(())
        })
        .await
}

async fn one(args: WorkerArgs, index: usize) -> Result<(), Failure> {
    let pace = Pace {
        think: args.think,
        jitter: args.jitter / 100.0,
        straggle: args
            .straggle
            .map(|time| (time, args.straggle_chance / 100.0)),
    };
    let mut steps = Steps::new(pace, args.seed.wrapping_add(index as u64));
    let mut client = Client::new(args.connect);
    client.connect().await?;
    Timer::after(args.delay.into()).await;

    let mut waits = Histogram::default();
    let started = Instant::now();
    let mut rounds = 0;
    while args.rounds.is_none_or(|limit| rounds < limit) {
        let step = steps.time();
        if step > Duration::ZERO {
            Timer::after(step).await;
        }
        let gradient = steps.gradient(args.floats);
        let sent = Instant::now();
        match client.submit(gradient).await {
            Ok(result) => {
                rounds += 1;
                let waited = Span::from(sent.elapsed());
                waits.record(waited);
                if args.verbose {
                    let step = Span::from(step);
                    say(format!(
                        "worker {index}: round {rounds}, computed {step}, waited {waited}"
                    ));
                }
                client.recycle(result);
            }
            // One gradient is gone, not the training.
            Err(error @ ClientError::Lost { .. }) => say(format!("worker {index}: {error}")),
            Err(error) => return Err(format!("worker {index}: {error}").into()),
        }
    }
    if !args.quiet {
        let seconds = started.elapsed().as_secs_f64();
        let rate = rounds as f64 / seconds.max(1e-9);
        let median = waits.quantile(0.5).unwrap_or_default();
        say(format!(
            "worker {index}: {rounds} rounds in {seconds:.1} s, {rate:.1} rounds/s, median wait {median}"
        ));
    }
    Ok(())
}

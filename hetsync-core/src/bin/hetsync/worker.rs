//! `hetsync worker`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hetsync_core::member::{Answer, Fate, Identity};
use hetsync_core::net::{Client, ClientError, MemberClient};
use hetsync_core::stats::Histogram;
use hetsync_core::{Coding, Payload, Span};
use smol::Timer;
use smol::future::FutureExt;

use crate::args::WorkerArgs;
use crate::lines::say;
use crate::signals::Stop;
use crate::step::{Pace, Steps};
use crate::together::together;
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
    let workers = (0..args.count).map(|index| executor.spawn(one(args.clone(), index)));
    let workers = workers.collect();
    executor.run(together(workers)).await.map(drop)
}

/// A worker of either protocol.
enum Speaker {
    Old(Box<Client>),
    New(Box<MemberClient>),
}

impl Speaker {
    fn new(args: &WorkerArgs, index: usize, is_told: &Arc<AtomicBool>) -> Result<Self, Failure> {
        let (address, is_told) = (args.connect.address, Arc::clone(is_told));
        let tls = args.tls()?;
        let tell = move |error: &std::io::Error| {
            if !is_told.swap(true, Ordering::Relaxed) {
                say(format!(
                    "worker {index}: no connection to {address} yet: {error}. It tries again for some seconds"
                ));
            }
        };
        if args.protocol == 0 {
            let client = Client::new(address).on_unreachable(tell);
            let client = match tls {
                Some(tls) => client.tls(tls),
                None => client,
            };
            return Ok(Self::Old(Box::new(client)));
        }
        let worker = match args.count {
            1 => args.id.clone(),
            _ => format!("{}-{index}", args.id)
                .parse()
                .map_err(|error| format!("--id {} with a number behind it: {error}", args.id))?,
        };
        let token = match &args.token_file {
            Some(path) => Some(crate::args::token(path)?),
            None => None,
        };
        let identity = Identity {
            job: args.job.clone(),
            worker,
            token,
        };
        let coding = Coding {
            push: args.dtype,
            result: args.dtype,
            ..Coding::default()
        };
        let client = MemberClient::new(address, identity).coding(coding);
        let client = match tls {
            Some(tls) => client.tls(tls),
            None => client,
        };
        Ok(Self::New(Box::new(client.on_unreachable(tell))))
    }

    async fn connect(&mut self) -> Result<(), ClientError> {
        match self {
            Self::Old(client) => client.connect().await,
            Self::New(client) => client.connect().await.map(drop),
        }
    }

    /// Returns what there is to be said of the answer.
    async fn submit(&mut self, gradient: Payload) -> Result<String, ClientError> {
        match self {
            Self::Old(client) => {
                let result = client.submit(gradient).await?;
                client.recycle(result);
                Ok(String::new())
            }
            Self::New(client) => {
                let answer = client.submit(gradient).await?;
                let note = describe(&answer);
                if let Some(result) = answer.results.into_iter().next_back() {
                    client.recycle(result.payload);
                }
                Ok(note)
            }
        }
    }

    async fn leave(self) {
        if let Self::New(client) = self {
            client.leave().await;
        }
    }
}

fn describe(answer: &Answer) -> String {
    let fate = match answer.fate {
        Fate::None | Fate::Counted => String::new(),
        Fate::Carried(weight) => format!(", late, counted with {weight:.3} in another round"),
        Fate::Dropped => String::from(", late and dropped"),
    };
    let results = match answer.results.as_slice() {
        [] => String::from(", no result"),
        [one] => format!(", {} in round {}", one.about.contributors, one.about.round),
        many => format!(", {} results up to round {}", many.len(), answer.next - 1),
    };
    let lost = match answer.is_lost {
        true => ", others lost",
        false => "",
    };
    format!("{fate}{results}{lost}")
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
    // Of attempts that fail in a row one line is enough.
    let is_told = Arc::new(AtomicBool::new(args.quiet));
    let mut client = Speaker::new(&args, index, &is_told)?;
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
            Ok(note) => {
                rounds += 1;
                is_told.store(args.quiet, Ordering::Relaxed);
                let waited = Span::from(sent.elapsed());
                waits.record(waited);
                if args.verbose {
                    let step = Span::from(step);
                    say(format!(
                        "worker {index}: round {rounds}, computed {step}, waited {waited}{note}"
                    ));
                }
            }
            // One gradient is gone, not the training.
            Err(error @ ClientError::Lost { .. }) => say(format!("worker {index}: {error}")),
            Err(error @ ClientError::Refused { .. }) if rounds == 0 => {
                return Err(format!(
                    "worker {index}: {error}. Its gradients have {} floats (--floats): is that the length of the model?",
                    args.floats
                )
                .into());
            }
            Err(error) => return Err(format!("worker {index}: {error}").into()),
        }
    }
    client.leave().await;
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

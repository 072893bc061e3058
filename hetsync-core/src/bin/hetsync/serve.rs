//! `hetsync serve`.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use hetsync_core::net::{Checkpoints, Server, listen};
use hetsync_core::server::{Config, Descent, Keep, Model};
use hetsync_core::{Span, Time};

use smol::future::FutureExt;

use crate::args::ServeArgs;
use crate::log::{Level, Log};
use crate::settings::Settings;
use crate::signals::Stop;
use crate::systemd::{self, Listener};
use crate::{Failure, on_named_thread};

pub(crate) fn run(settings: Settings) -> Result<(), Failure> {
    let stop = Stop::install()?;
    on_named_thread("hetsync-server", move || serve(&settings, &stop))?
}

fn serve(settings: &Settings, stop: &Stop) -> Result<(), Failure> {
    let args = &settings.general;
    let (listener, metrics) = listeners(args)?;
    let token = match &args.token_file {
        Some(path) => Some(crate::args::token(path)?),
        None => None,
    };
    let level = match (args.quiet, args.verbose) {
        (true, _) => Level::Quiet,
        (_, true) => Level::Verbose,
        _ => Level::Normal,
    };
    let log = Arc::new(Mutex::new(Log::new(level, |line: &str| {
        crate::lines::say(line);
    })));
    let observer_log = Arc::clone(&log);

    let mut builder = Server::builder()
        .workers(args.workers)
        .wait_for(args.wait_for.into())
        .policy(args.rule()?.policy())
        .aggregate(args.aggregate.rule())
        .late(args.late)
        .keep(keep(args))
        .precision(args.dtype)
        .linger(args.linger)
        .max_named_workers(args.max_workers)
        .max_payload_bytes(args.max_payload)
        .max_memory_bytes(usize::try_from(args.max_memory()).unwrap_or(usize::MAX))
        .max_connections(args.max_connections)
        .idle(args.idle)
        .hello(args.hello)
        .grace(args.grace)
        .quick_ack(!args.no_quick_ack)
        .observer(move |now, notice| {
            systemd::notice(notice);
            lock(&observer_log).notice(now, notice);
        });
    if let Some(floats) = args.floats {
        builder = builder.floats(floats);
    }
    if let Some(model) = model(args)? {
        builder = builder.model(model);
    }
    if let Some(token) = token {
        builder = builder.token(token);
    }
    if let Some(tls) = args.tls().map_err(|(_, text)| text)? {
        builder = builder.tls(tls);
    }
    if let Some(folder) = &args.checkpoint {
        builder = builder.checkpoints(Checkpoints {
            folder: folder.clone(),
            every: args.checkpoint_every as u64,
            keep: args.checkpoint_keep,
        });
    }
    if let Some(listener) = metrics {
        builder = builder.metrics(listener);
    }
    for (name, args) in &settings.jobs {
        builder = builder.job(name.clone(), job(args)?);
    }

    let started = Instant::now();
    let server = builder.build();
    let alive = systemd::keep_alive(server.handle());
    let run = server.run(listener, stop.requested());
    let stats = smol::block_on(run.or(alive))?;
    let now = Time::ZERO + Span::from(started.elapsed());
    lock(&log).farewell(now, &stats);
    Ok(())
}

/// Where to serve, and where to serve metrics: sockets that systemd has
/// opened go before addresses.
fn listeners(args: &ServeArgs) -> Result<(Listener, Option<Listener>), Failure> {
    let (ours, metrics) = systemd::listeners()?;
    let listener = match ours {
        Some(listener) => {
            let address = listener.get_ref().local_addr()?;
            let is_safe = args.token_file.is_some() || args.insecure_listen;
            if !address.ip().is_loopback() && !is_safe {
                return Err(ServeArgs::unguarded(address).into());
            }
            listener
        }
        None => listen(args.listen).map_err(|error| {
            let address = args.listen;
            format!(
                "cannot listen on {address}: {error}. Another --listen address or port may be free"
            )
        })?,
    };
    let metrics = match (metrics, args.metrics) {
        (Some(metrics), _) => Some(metrics),
        (None, None) => None,
        (None, Some(address)) => Some(listen(address).map_err(|error| {
            format!("cannot serve metrics on {address}: {error}. Another --metrics address or port may be free")
        })?),
    };
    Ok((listener, metrics))
}

/// What a job is told; what is said once holds for each.
fn job(args: &ServeArgs) -> Result<Config, Failure> {
    let model = model(args)?.map(|model| Box::new(model) as Box<dyn Model>);
    Ok(Config {
        workers: args.workers,
        floats: args.floats,
        wait_for: args.wait_for.into(),
        policy: args.rule()?.policy(),
        aggregate: args.aggregate.rule(),
        late: args.late,
        keep: keep(args),
        model,
        precision: args.dtype,
        seed: 0,
    })
}

/// The model that the server is to hold.
fn model(args: &ServeArgs) -> Result<Option<Descent>, Failure> {
    let parameters = args.parameters().map_err(|(_, text)| text)?;
    let model = parameters.zip(args.model);
    Ok(model.map(|(parameters, rule)| Descent::with(parameters, rule)))
}

fn keep(args: &ServeArgs) -> Keep {
    Keep {
        rounds: args.keep_rounds,
        bytes: usize::try_from(args.keep_bytes).unwrap_or(usize::MAX),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

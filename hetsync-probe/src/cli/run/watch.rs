//! What a run waits for: events, intervals, signals, the child, a process, the deadline. The only async code.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_io::{Async, Timer};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use smol::future::{self, FutureExt};

use super::RunError;
use super::child::StoppedChild;
use super::events::Events;
use super::schedule::Schedule;
use crate::load::Session;

/// Why the waiting ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// Ctrl-C, SIGTERM or SIGHUP, `exit()`, the end of `-p`'s process, or of the time of `-d`.
    AsAsked,
    /// The child of `-c` ended with this status.
    Child(u8),
}

/// What happened next.
enum Wake {
    Events,
    Interval,
    Stop,
    Child,
}

/// Everything that can end a run, being watched.
pub(super) struct Watch {
    signals: Async<UnixStream>,
    asked: Arc<AtomicBool>,
    process: Option<Async<OwnedFd>>,
    deadline: Option<Instant>,
}

/// Set once a further signal may end the process at once.
static HURRY: std::sync::OnceLock<Arc<AtomicBool>> = std::sync::OnceLock::new();

/// From now on Ctrl-C does not wait for the report.
pub(super) fn second_signal_ends() {
    if let Some(hurry) = HURRY.get() {
        hurry.store(true, Ordering::Relaxed);
    }
}

/// Whether this process was started to outlive its terminal.
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & (1 << (SIGHUP - 1)) != 0)
}

impl Watch {
    /// Catches Ctrl-C, SIGTERM and SIGHUP from now on; the time of `-d` starts now.
    ///
    /// # Errors
    /// The system's reason.
    pub(super) fn start(process: Option<OwnedFd>, duration: Option<Duration>) -> io::Result<Watch> {
        let (read, write) = UnixStream::pair()?;
        let asked = Arc::new(AtomicBool::new(false));
        let hurry = HURRY.get_or_init(Arc::default);
        // A lost terminal ends a run in order too: the report may go to a file, and the child is to be ended. Who wants
        // it to go on says so with `nohup`.
        let hangup = (!ignores_hangup()).then_some(SIGHUP);
        for signal in [SIGINT, SIGTERM].into_iter().chain(hangup) {
            signal_hook::flag::register_conditional_shutdown(
                signal,
                128 + signal,
                Arc::clone(hurry),
            )?;
            signal_hook::flag::register(signal, Arc::clone(&asked))?;
            signal_hook::low_level::pipe::register(signal, write.try_clone()?)?;
        }
        Ok(Watch {
            signals: Async::new(read)?,
            asked,
            process: process.map(Async::new_nonblocking).transpose()?,
            deadline: duration.and_then(|duration| Instant::now().checked_add(duration)),
        })
    }

    /// Set once a signal has come.
    pub(super) fn asked(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.asked)
    }

    /// Handles events and runs interval probes until the run is over. A child is continued first, and ended if it outlives
    /// the run.
    ///
    /// # Errors
    /// Whatever fails on the way.
    pub(super) async fn until_over(
        mut self,
        session: &Session,
        events: &mut Events<'_>,
        mut child: Option<StoppedChild>,
        intervals: &mut Schedule,
    ) -> Result<Ended, RunError> {
        let child_end = match &child {
            Some(child) => Some(Async::new_nonblocking(child.watch()?)?),
            None => None,
        };
        if let Some(child) = &child {
            child.go()?;
        }
        loop {
            match self
                .next(intervals.next(), child_end.as_ref(), events)
                .await?
            {
                Wake::Events => events.drain(session)?,
                Wake::Interval => {
                    for program in intervals.due(Instant::now()) {
                        session.run(program)?;
                        events.drain(session)?;
                        if events.exit().is_some() {
                            break;
                        }
                    }
                }
                Wake::Stop => return Ok(Ended::AsAsked),
                Wake::Child => {
                    if let Some(code) = child
                        .as_mut()
                        .map(StoppedChild::status)
                        .transpose()?
                        .flatten()
                    {
                        return Ok(Ended::Child(code));
                    }
                }
            }
            if events.exit().is_some() {
                return Ok(Ended::AsAsked);
            }
            events.flush_if_quiet()?;
        }
    }

    /// The next thing that happens. What ends the run is looked at first, so that no flood of events keeps it from ending.
    async fn next(
        &mut self,
        interval: Option<Instant>,
        child: Option<&Async<OwnedFd>>,
        events: &mut Events<'_>,
    ) -> io::Result<Wake> {
        let stop = async {
            self.signals.readable().await?;
            Ok(Wake::Stop)
        };
        let deadline = at(self.deadline, || Wake::Stop);
        let process = readable(self.process.as_ref(), || Wake::Stop);
        let child = readable(child, || Wake::Child);
        let interval = at(interval, || Wake::Interval);
        let events = async {
            events.readable().await?;
            Ok(Wake::Events)
        };
        stop.or(deadline)
            .or(process)
            .or(child)
            .or(interval)
            .or(events)
            .await
    }
}

async fn at(when: Option<Instant>, wake: fn() -> Wake) -> io::Result<Wake> {
    match when {
        Some(when) => Timer::at(when).await,
        None => future::pending().await,
    };
    Ok(wake())
}

async fn readable<T: AsFd>(fd: Option<&Async<T>>, wake: fn() -> Wake) -> io::Result<Wake> {
    match fd {
        Some(fd) => fd.readable().await?,
        None => future::pending().await,
    }
    Ok(wake())
}

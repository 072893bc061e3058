//! Checkpoints of the jobs of a running server: which is due, who writes it,
//! and who waits for that.
//!
//! A job's state is taken while nothing else happens, which is cheap as its
//! arrays are shared, and written on a thread of the blocking pool. Where
//! every round is saved, what the job has to say from the round's close on is
//! held back until the file is safe, so that nobody has ever been told of a
//! round that a restart forgets; other jobs are not held up. Otherwise rounds
//! go on.
//!
//! Invariants: one checkpoint of a job is being written at a time, in the
//! order of its rounds. One that is due meanwhile is taken when that is done,
//! as the job is then, and stands for all that were due. What is held back
//! comes in its order, for each connection.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Instant, SystemTime};

use super::hub::Hub;
use super::notice::Notice;
use crate::Name;
use crate::checkpoint::{Checkpoint, Folder, Saved, Store};
use crate::metrics::Checkpointing;
use crate::server::{Action, ConnId, Jobs};
use crate::time::Span;

/// How a server saves its jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoints {
    /// The folder; each job has one of its own in it.
    pub folder: PathBuf,
    /// Rounds of a job from one checkpoint to the next. With 1, a round's
    /// result is sent when it is safe; with more, so many rounds may be lost.
    pub every: u64,
    /// How many of each job are kept.
    pub keep: usize,
}

pub(super) struct Keeper {
    every: u64,
    jobs: Vec<Kept>,
    hub: Weak<Hub>,
}

/// A job's checkpoints.
struct Kept {
    job: Name,
    store: Arc<Mutex<Store<Folder>>>,
    /// Rounds that have closed since it was saved.
    since: u64,
    is_writing: bool,
    /// Whoever writes.
    writer: Option<smol::Task<()>>,
    held: VecDeque<Held>,
    stats: Checkpointing,
}

/// What waits for a checkpoint.
enum Held {
    Action(Action),
    /// Another round has closed; what follows waits for another checkpoint.
    Due,
}

struct Work {
    checkpoint: Checkpoint,
    store: Arc<Mutex<Store<Folder>>>,
    began: Instant,
}

/// A checkpoint that is safe, or has failed.
pub(super) struct Written {
    notice: Notice,
    saved: Option<u64>,
    took: Span,
}

impl Keeper {
    /// Opens all folders, and restores what is in them. Returns what there is
    /// to be told as well.
    pub(super) fn open(settings: &Checkpoints, jobs: &mut Jobs) -> io::Result<(Self, Vec<Notice>)> {
        let mut notices = Vec::new();
        let mut kept = Vec::new();
        let names: Vec<Name> = jobs.stats().map(|(name, _)| name.clone()).collect();
        for job in names {
            let path = settings.folder.join(folder_name(&job));
            let found = restore(&path, settings.keep, &job, jobs, &mut notices);
            let store = found.map_err(|error| {
                let text = format!("checkpoints in {}: {error}", path.display());
                io::Error::new(error.kind(), text)
            })?;
            kept.push(Kept {
                job,
                store: Arc::new(Mutex::new(store)),
                since: 0,
                is_writing: false,
                writer: None,
                held: VecDeque::new(),
                stats: Checkpointing::default(),
            });
        }
        let keeper = Self {
            every: settings.every.max(1),
            jobs: kept,
            hub: Weak::new(),
        };
        Ok((keeper, notices))
    }

    /// Whom to tell of what is written.
    pub(super) fn start(&mut self, hub: Weak<Hub>) {
        self.hub = hub;
    }

    /// A round of this job has closed.
    pub(super) fn round_closed(&mut self, job: &Name, jobs: &Jobs) {
        let Some(kept) = self.jobs.iter_mut().find(|kept| kept.job == *job) else {
            return;
        };
        kept.since += 1;
        if kept.since < self.every {
            return;
        }
        if !kept.is_writing {
            kept.begin(jobs, &self.hub);
        } else if self.every == 1 {
            kept.held.push_back(Held::Due);
        }
    }

    /// Takes what is to be sent on a connection, or its end, if that has to
    /// wait; otherwise gives it back. `job` is the connection's.
    pub(super) fn hold(
        &mut self,
        job: Option<&Name>,
        conn: ConnId,
        action: Action,
    ) -> Option<Action> {
        if self.every > 1 {
            return Some(action);
        }
        let waits = |kept: &Kept| kept.is_writing && job == Some(&kept.job) || kept.holds(conn);
        match self.jobs.iter_mut().find(|kept| waits(kept)) {
            Some(kept) => {
                kept.held.push_back(Held::Action(action));
                None
            }
            None => Some(action),
        }
    }

    /// A checkpoint has been written. Returns what has waited for it.
    pub(super) fn written(&mut self, job: &Name, written: &Written, jobs: &Jobs) -> Vec<Action> {
        let Some(kept) = self.jobs.iter_mut().find(|kept| kept.job == *job) else {
            return Vec::new();
        };
        kept.is_writing = false;
        if let Some(writer) = kept.writer.take() {
            // It is the caller.
            writer.detach();
        }
        kept.count(written, self.every);
        let mut released = Vec::new();
        while let Some(held) = kept.held.pop_front() {
            match held {
                Held::Action(action) => released.push(action),
                Held::Due => break,
            }
        }
        if kept.since >= self.every && written.saved.is_some() || !kept.held.is_empty() {
            // It stands for all that were due.
            kept.held.retain(|held| matches!(held, Held::Action(_)));
            kept.begin(jobs, &self.hub);
        }
        released
    }

    /// Whether somebody waits for a checkpoint.
    pub(super) fn is_busy(&self) -> bool {
        self.jobs
            .iter()
            .any(|kept| kept.is_writing && self.every == 1)
    }

    /// Whoever writes at this moment; to be waited for by somebody who does
    /// not hold the hub.
    pub(super) fn writers(&mut self) -> Vec<smol::Task<()>> {
        let writers = self.jobs.iter_mut().filter_map(|kept| kept.writer.take());
        writers.collect()
    }

    /// Saves all that has changed. No more rounds are to close, and nobody
    /// writes.
    pub(super) fn finish(&mut self, jobs: &Jobs) -> Vec<Notice> {
        let every = self.every;
        let changed = self.jobs.iter_mut().filter(|kept| kept.since > 0);
        let save = |kept: &mut Kept| {
            let written = kept.work(jobs)?.write();
            kept.count(&written, every);
            Some(written.notice)
        };
        changed.filter_map(save).collect()
    }

    /// What was counted of this job.
    pub(super) fn stats(&self, job: &Name) -> Option<&Checkpointing> {
        let kept = self.jobs.iter().find(|kept| kept.job == *job)?;
        Some(&kept.stats)
    }
}

impl Kept {
    fn holds(&self, conn: ConnId) -> bool {
        self.held.iter().any(|held| match held {
            Held::Action(Action::Send { to, .. }) => *to == conn,
            Held::Action(Action::Close { conn: other, .. }) => *other == conn,
            Held::Action(Action::Event { .. }) | Held::Due => false,
        })
    }

    fn work(&self, jobs: &Jobs) -> Option<Work> {
        Some(Work {
            began: Instant::now(),
            checkpoint: jobs.checkpoint(&self.job)?,
            store: Arc::clone(&self.store),
        })
    }

    fn begin(&mut self, jobs: &Jobs, hub: &Weak<Hub>) {
        let Some(work) = self.work(jobs) else {
            return;
        };
        self.since = 0;
        self.is_writing = true;
        let (hub, job) = (hub.clone(), self.job.clone());
        self.writer = Some(smol::unblock(move || {
            let written = work.write();
            if let Some(hub) = hub.upgrade() {
                hub.checkpoint_written(&job, written);
            }
        }));
    }

    fn count(&mut self, written: &Written, every: u64) {
        match written.saved {
            Some(bytes) => {
                self.stats.saved += 1;
                self.stats.bytes = bytes;
                self.stats.took.record(written.took);
                let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
                self.stats.newest = since_epoch.ok();
            }
            None => {
                self.stats.failed += 1;
                // The next round tries again.
                self.since = self.since.max(every);
            }
        }
    }
}

impl Work {
    fn write(self) -> Written {
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let saved: io::Result<Saved> = store.save(&self.checkpoint);
        let job = self.checkpoint.job().clone();
        let took = Span::from(self.began.elapsed());
        let bytes = saved.as_ref().ok().map(|saved| saved.bytes);
        let notice = match saved {
            Ok(saved) => Notice::Checkpointed {
                job,
                next: self.checkpoint.next(),
                saved,
                took,
            },
            Err(error) => Notice::CheckpointFailed { job, error },
        };
        Written {
            notice,
            saved: bytes,
            took,
        }
    }
}

impl Written {
    pub(super) fn notice(&self) -> &Notice {
        &self.notice
    }
}

fn restore(
    path: &Path,
    keep: usize,
    job: &Name,
    jobs: &mut Jobs,
    notices: &mut Vec<Notice>,
) -> io::Result<Store<Folder>> {
    let mut store = Store::open(Folder::open(path)?, keep)?;
    let restored = store.restore().map_err(io::Error::other)?;
    notices.extend(restored.refused.into_iter().map(|(file, why)| {
        let job = job.clone();
        Notice::CheckpointRefused { job, file, why }
    }));
    if let Some((file, checkpoint)) = restored.newest {
        if checkpoint.job() != job {
            let other = checkpoint.job();
            return Err(io::Error::other(format!("{file} is of the job {other}")));
        }
        let next = checkpoint.next();
        let fault = |error| io::Error::other(format!("{file}: {error}"));
        jobs.restore(checkpoint).map_err(fault)?;
        let restored = Notice::Restored {
            job: job.clone(),
            file,
            next,
        };
        notices.push(restored);
        // Its epoch is to be known to the next server before any worker
        // hears of it.
        if let Some(epoch) = jobs.epoch(job)
            && let Err(error) = store.resume(epoch)
        {
            let job = job.clone();
            notices.push(Notice::CheckpointFailed { job, error });
        }
    }
    Ok(store)
}

/// A name for the folder of a job: its own, but for what a path would take
/// for something else.
fn folder_name(job: &Name) -> String {
    let mut name = job.as_str().replace('/', "%2F");
    if name.starts_with('.') {
        name.replace_range(..1, "%2E");
    }
    name
}

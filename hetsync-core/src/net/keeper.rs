//! Checkpoints of the jobs of a running server: which is due, and who writes
//! it.
//!
//! Where every round is saved, that is done before its result is sent, so
//! that nobody has ever been told of a round that a restart forgets; the
//! server does nothing else meanwhile. Otherwise a thread writes, and rounds
//! go on; a round that is due while it is busy is saved with the next one.
//!
//! Invariant: a job's checkpoints are written one after the other, in the
//! order of its rounds.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Instant;

use super::hub::Hub;
use super::notice::Notice;
use crate::Name;
use crate::checkpoint::{Checkpoint, Folder, Saved, Store};
use crate::server::Jobs;
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
    /// To the thread that writes, if there is to be one.
    writer: Option<SyncSender<Work>>,
    thread: Option<JoinHandle<()>>,
}

/// A job's checkpoints.
struct Kept {
    job: Name,
    store: Arc<Mutex<Store<Folder>>>,
    /// Rounds that have closed since it was saved.
    since: u64,
}

struct Work {
    checkpoint: Checkpoint,
    store: Arc<Mutex<Store<Folder>>>,
    began: Instant,
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
            let kept_job = Kept {
                job,
                store: Arc::new(Mutex::new(store)),
                since: 0,
            };
            // Its epoch is to be known to the next server before any worker
            // hears of it.
            if matches!(notices.last(), Some(Notice::Restored { job, .. }) if *job == kept_job.job)
            {
                notices.extend(kept_job.save(jobs));
            }
            kept.push(kept_job);
        }
        let keeper = Self {
            every: settings.every.max(1),
            jobs: kept,
            writer: None,
            thread: None,
        };
        Ok((keeper, notices))
    }

    /// Starts the thread that writes, if there is to be one. It ends when the
    /// server does.
    pub(super) fn start(&mut self, hub: Weak<Hub>) {
        if self.every == 1 {
            return;
        }
        let (writer, work) = sync_channel::<Work>(1);
        let write = move || {
            while let Ok(work) = work.recv() {
                let notice = work.write();
                match hub.upgrade() {
                    Some(hub) => hub.tell(&notice),
                    None => break,
                }
            }
        };
        // Without a thread rounds wait for what is written.
        let thread = std::thread::Builder::new().name("checkpoints".into());
        self.thread = thread.spawn(write).ok();
        self.writer = self.thread.as_ref().map(|_| writer);
    }

    /// A round of this job has closed. What there is to be told, if it was
    /// saved at once.
    pub(super) fn round_closed(&mut self, job: &Name, jobs: &Jobs) -> Option<Notice> {
        let kept = self.jobs.iter_mut().find(|kept| kept.job == *job)?;
        kept.since += 1;
        if kept.since < self.every {
            return None;
        }
        let Some(writer) = &self.writer else {
            let notice = kept.save(jobs)?;
            if matches!(notice, Notice::Checkpointed { .. }) {
                kept.since = 0;
            }
            return Some(notice);
        };
        // The state is copied only if the thread has nothing else to do.
        let store = Arc::clone(&kept.store);
        if store.try_lock().is_ok() {
            let checkpoint = jobs.checkpoint(job)?;
            let began = Instant::now();
            let work = Work {
                checkpoint,
                store,
                began,
            };
            if writer.try_send(work).is_ok() {
                kept.since = 0;
            }
        }
        None
    }

    /// Takes out the thread, which ends when it has written what it was
    /// given. To be joined, by somebody who does not hold the hub, before
    /// anything else is written.
    pub(super) fn retire(&mut self) -> Option<JoinHandle<()>> {
        self.writer = None;
        self.thread.take()
    }

    /// Saves all that has changed. No more rounds are to close.
    pub(super) fn finish(&mut self, jobs: &Jobs) -> Vec<Notice> {
        let changed = self.jobs.iter_mut().filter(|kept| kept.since > 0);
        changed.filter_map(|kept| kept.save(jobs)).collect()
    }
}

impl Kept {
    fn save(&self, jobs: &Jobs) -> Option<Notice> {
        let checkpoint = jobs.checkpoint(&self.job)?;
        let store = Arc::clone(&self.store);
        let began = Instant::now();
        Some(
            Work {
                checkpoint,
                store,
                began,
            }
            .write(),
        )
    }
}

impl Work {
    fn write(self) -> Notice {
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let saved: io::Result<Saved> = store.save(&self.checkpoint);
        let job = self.checkpoint.job().clone();
        match saved {
            Ok(saved) => Notice::Checkpointed {
                job,
                next: self.checkpoint.next(),
                saved,
                took: Span::from(self.began.elapsed()),
            },
            Err(error) => Notice::CheckpointFailed { job, error },
        }
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
        let job = job.clone();
        notices.push(Notice::Restored { job, file, next });
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

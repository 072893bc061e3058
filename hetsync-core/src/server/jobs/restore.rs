//! What of a job is not its machine's, saved and restored with it: the names
//! of its workers, and of its tensors.

use super::Jobs;
use crate::Name;
use crate::checkpoint::Checkpoint;
use crate::server::{RestoreError, RoundId};

impl Jobs {
    /// A job as it is between two rounds; `None` if there is none of that
    /// name.
    pub fn checkpoint(&self, job: &Name) -> Option<Checkpoint> {
        let job = self.jobs.iter().find(|other| other.name == *job)?;
        let last = job.machine.round().0.checked_sub(1).map(RoundId);
        let names = job.workers.keys().chain(job.remembered.keys());
        // The open round is not saved, nor what has come of it.
        let seen = |name: &Name| Some((name.clone(), job.seen(name)?.min(last?)));
        let mut workers: Vec<_> = names.filter_map(seen).collect();
        workers.sort();
        workers.dedup();
        let tensors = job.tensors().to_vec();
        Some(job.machine.checkpoint(job.name.clone(), tensors, workers))
    }

    /// The epoch that a job's round numbers hold in; `None` if there is no job
    /// of that name.
    pub fn epoch(&self, job: &Name) -> Option<u64> {
        let job = self.jobs.iter().find(|other| other.name == *job)?;
        Some(job.machine.epoch())
    }

    /// Goes on with the job that a checkpoint is of. To be called before
    /// anything has happened. False if there is none of that name.
    ///
    /// # Errors
    /// [`RestoreError`] if the job is configured to be another.
    pub fn restore(&mut self, from: Checkpoint) -> Result<bool, RestoreError> {
        let Some(job) = self.jobs.iter_mut().find(|job| job.name == from.job) else {
            return Ok(false);
        };
        let (tensors, workers) = (from.tensors.clone(), from.workers.clone());
        job.machine.restore(from)?;
        let epoch = job.machine.epoch();
        job.layout = (!tensors.is_empty()).then(|| (epoch, tensors.into()));
        let remember = |(name, seen)| (name, (epoch, seen));
        job.remembered = workers.into_iter().map(remember).collect();
        Ok(true)
    }
}

//! What of a job is not its machine's, saved and restored with it: the names
//! of its workers, and of its tensors.

use super::Jobs;
use crate::Name;
use crate::checkpoint::Checkpoint;
use crate::server::RestoreError;

impl Jobs {
    /// A job as it is between two rounds; `None` if there is none of that
    /// name.
    pub fn checkpoint(&self, job: &Name) -> Option<Checkpoint> {
        let job = self.jobs.iter().find(|other| other.name == *job)?;
        let epoch = job.machine.epoch();
        let known = job
            .workers
            .iter()
            .filter_map(|(name, w)| Some((name, w.seen?)));
        let left = job.remembered.iter();
        let left = left.filter(|(name, _)| !job.workers.contains_key(*name));
        let all = known.chain(left.map(|(name, seen)| (name, *seen)));
        let mut workers: Vec<_> = all
            .filter(|(_, (of, _))| *of == epoch)
            .map(|(name, (_, round))| (name.clone(), round))
            .collect();
        workers.sort();
        let tensors = job.tensors().to_vec();
        Some(job.machine.checkpoint(job.name.clone(), tensors, workers))
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

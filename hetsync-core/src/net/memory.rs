//! The memory that all connections together may hold: for gradients, and for
//! results that have not been read yet.
//!
//! Invariants: what was claimed is given back when its claim is dropped. A
//! claim covers a connection's buffer wherever it is, being filled or
//! waiting for its round, so it only grows. Results are counted by the hub,
//! and cannot be refused: whoever is slow to read them is.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Results that are there even if every reader is quick: the newest, and
/// the one that the open round is going to be.
const RESULTS: usize = 2;

#[derive(Debug)]
pub(super) struct Memory {
    limit: usize,
    share: usize,
    claimed: AtomicUsize,
    results: AtomicUsize,
}

/// One connection's share, in bytes.
#[derive(Debug)]
pub(super) struct Claim {
    memory: Arc<Memory>,
    bytes: usize,
}

impl Memory {
    /// Room of `limit` bytes for a job of this many workers.
    pub(super) fn new(limit: usize, workers: usize) -> Self {
        Self {
            limit,
            share: limit / workers.saturating_add(RESULTS),
            claimed: AtomicUsize::new(0),
            results: AtomicUsize::new(0),
        }
    }

    pub(super) fn claim(self: &Arc<Self>) -> Claim {
        let memory = Arc::clone(self);
        Claim { memory, bytes: 0 }
    }

    /// Says how many bytes results take now. Returns by how many all is then
    /// over the limit.
    pub(super) fn hold_results(&self, bytes: usize) -> usize {
        self.results.store(bytes, Ordering::Relaxed);
        let claimed = self.claimed.load(Ordering::Relaxed);
        claimed.saturating_add(bytes).saturating_sub(self.limit)
    }
}

impl Claim {
    /// The most that one gradient may take while the model's length is not
    /// known, so that those of the other workers have room as well.
    pub(super) fn share(&self) -> usize {
        self.memory.share
    }

    /// Sees to it that the claim is for at least `bytes`.
    ///
    /// # Errors
    /// The limit, if there is not that much left.
    pub(super) fn reach(&mut self, bytes: usize) -> Result<(), usize> {
        if bytes <= self.bytes {
            return Ok(());
        }
        let more = bytes - self.bytes;
        let limit = self.memory.limit;
        let results = self.memory.results.load(Ordering::Relaxed);
        let add = |claimed: usize| {
            let sum = claimed.checked_add(more)?;
            (sum.checked_add(results)? <= limit).then_some(sum)
        };
        let claimed = &self.memory.claimed;
        let added = claimed.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
        added.map_err(|_| limit)?;
        self.bytes = bytes;
        Ok(())
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.memory.claimed.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

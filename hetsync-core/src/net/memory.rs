//! The memory that all connections together may hold for gradients.
//!
//! Invariant: what was claimed is given back when its claim is dropped. A
//! claim covers a connection's buffer wherever it is, being filled or
//! waiting for its round, so it only grows.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(Debug)]
pub(super) struct Memory {
    limit: usize,
    claimed: AtomicUsize,
}

/// One connection's share, in bytes.
#[derive(Debug)]
pub(super) struct Claim {
    memory: Arc<Memory>,
    bytes: usize,
}

impl Memory {
    pub(super) fn new(limit: usize) -> Self {
        let claimed = AtomicUsize::new(0);
        Self { limit, claimed }
    }

    pub(super) fn claim(self: &Arc<Self>) -> Claim {
        let memory = Arc::clone(self);
        Claim { memory, bytes: 0 }
    }
}

impl Claim {
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
        let add = |claimed: usize| claimed.checked_add(more).filter(|sum| *sum <= limit);
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

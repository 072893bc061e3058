//! What a job is, on disk, so that a server that was killed goes on where it
//! was: the model that it holds, the round, the newest result, the workers
//! and what was seen of them.
//!
//! Three layers, each knowing nothing of the one above: a [`Disk`] is a
//! folder and a handful of system calls; a [`Store`] is a bounded number of
//! checkpoints in it, each there whole or not at all; a [`Checkpoint`] is
//! bytes with a checksum.
//!
//! # Invariants
//! At every moment, between any two system calls, the newest checkpoint that
//! was ever finished can be read. What is damaged is refused by name, and the
//! one before it used. A length is held against the file's own before memory
//! is set aside.
//!
//! Not here: when a checkpoint is due, and what becomes of a job that is
//! restored; see [`server`](crate::server).

mod array;
mod disk;
mod epochs;
mod format;
mod store;

pub use array::Array;
pub use disk::{Disk, Folder};
pub use format::{DamagedError, VERSION};
pub use store::{NoneGoodError, Restored, Saved, Store};

use std::sync::Arc;

use crate::Name;
use crate::server::{RoundId, RoundResult};
use crate::wire::v1::message::Tensor;

/// The state of one job between two rounds.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    pub(crate) job: Name,
    /// The epoch that round numbers hold in.
    pub(crate) epoch: u64,
    /// The round that comes next.
    pub(crate) next: RoundId,
    /// Epochs before, each with the first of its rounds that does not count.
    pub(crate) before: Vec<Ancestor>,
    /// Length of gradients in bytes, if it is known.
    pub(crate) model_bytes: Option<u64>,
    pub(crate) tensors: Vec<Tensor>,
    /// Workers, and the newest round of which a gradient of theirs was seen.
    pub(crate) workers: Vec<(Name, RoundId)>,
    /// What a worker that did not get it must be sent.
    pub(crate) newest: Option<Arc<RoundResult>>,
    pub(crate) model: Option<SavedModel>,
    /// What rounding took away from the newest result; empty if nothing is
    /// rounded.
    pub(crate) residual: Array,
    /// Epochs that went on from this checkpoint, in order, if it was read.
    pub(crate) resumed: Vec<u64>,
}

impl Checkpoint {
    /// Whose.
    pub fn job(&self) -> &Name {
        &self.job
    }

    /// The round that comes next.
    pub fn next(&self) -> RoundId {
        self.next
    }
}

/// An epoch that a later one goes on from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ancestor {
    pub(crate) epoch: u64,
    pub(crate) next: RoundId,
}

/// A model that the server holds, as bytes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SavedModel {
    pub(crate) kind: String,
    pub(crate) parts: Vec<Part>,
}

/// One array of a model's state: its parameters, or what an optimizer keeps
/// beside them.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// What it is called.
    pub name: String,
    /// Its content.
    pub content: Array,
}

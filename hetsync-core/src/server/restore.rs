//! A job is saved, and goes on from where it was saved.
//!
//! A restored job has a new epoch, as rounds that were closed after it was
//! saved are lost and their numbers are used again. Of the epochs before, it
//! knows up to which round they are its own past: a worker that stands there
//! is sent what it has missed, and whoever has applied a result that is lost
//! is told so, or is sent the model.
//!
//! The epoch of a restored job must be noted beside its checkpoint, or saved
//! with a new one, before anybody is told of it: another restart would not
//! know that epoch otherwise, and take no worker of it for its own.
//!
//! Not saved: the open round, late gradients in it, what the closing rule has
//! learned, and counters.

use std::sync::Arc;

use super::{Machine, Position, RoundId};
use crate::Name;
use crate::checkpoint::{Ancestor, Array, Checkpoint, SavedModel};
use crate::wire::v1::Dtype;
use crate::wire::v1::message::Tensor;

/// Epochs that a job remembers to have gone on from.
const MOST_ANCESTORS: usize = 64;

/// Why a job cannot go on from a checkpoint that is in order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// It holds another kind of model.
    #[error("the checkpoint holds the state of {found}, and the server is to hold {expected}")]
    Model {
        /// What it holds.
        found: String,
        /// What the server is told to hold.
        expected: String,
    },
    /// It has another length.
    #[error("the checkpoint is of {found} bytes, and the model has {expected}")]
    Length {
        /// In the checkpoint.
        found: u64,
        /// As configured.
        expected: u64,
    },
    /// The model does not take it.
    #[error("the model does not take its saved state: {0}")]
    Refused(String),
}

impl Machine {
    /// The job between two rounds, to go on from. `tensors` and `workers` are
    /// what whoever keeps the names has to add.
    pub fn checkpoint(
        &self,
        job: Name,
        tensors: Vec<Tensor>,
        workers: Vec<(Name, RoundId)>,
    ) -> Checkpoint {
        let model = self.config.model.as_ref();
        Checkpoint {
            job,
            epoch: self.epoch(),
            next: self.round.id,
            before: self.ancestors.clone(),
            model_bytes: self.model_bytes.map(|bytes| bytes as u64),
            tensors,
            workers,
            residual: Arc::clone(&self.residual).into(),
            resumed: Vec::new(),
            // Whoever needs more than the model can be sent is sent that.
            newest: self.last.clone().filter(|_| model.is_none()),
            model: model.map(|model| SavedModel {
                kind: model.name().into(),
                parts: model.save(),
            }),
        }
    }

    /// Goes on from a checkpoint. To be called before anything has happened;
    /// the job's epoch is then to be noted before anybody joins.
    ///
    /// # Errors
    /// [`RestoreError`] if it is of another job than the one configured.
    pub fn restore(&mut self, from: Checkpoint) -> Result<(), RestoreError> {
        let configured = self.model_bytes.map(|bytes| bytes as u64);
        if let (Some(expected), Some(found)) = (configured, from.model_bytes)
            && expected != found
        {
            return Err(RestoreError::Length { found, expected });
        }
        match (&mut self.config.model, &from.model) {
            (None, None) => {}
            (Some(model), Some(saved)) if saved.kind == model.name() => {
                model.restore(&saved.parts).map_err(RestoreError::Refused)?;
            }
            (model, saved) => {
                let none = || String::from("no model");
                return Err(RestoreError::Model {
                    found: saved.as_ref().map_or_else(none, |saved| saved.kind.clone()),
                    expected: model
                        .as_ref()
                        .map_or_else(none, |model| model.name().into()),
                });
            }
        }
        if self.precision() != Dtype::F32 {
            // Of another length, it is of another precision or none.
            self.residual = residual(&from.residual);
        }
        self.round.id = from.next;
        self.began = from.next;
        self.last = from.newest;
        let newest = self.last.as_ref().map(|newest| newest.as_bytes().len());
        self.model_bytes = self.model_bytes.or(newest);
        self.ancestors = from.before;
        let epochs = std::iter::once(from.epoch).chain(from.resumed);
        let next = from.next;
        self.ancestors
            .extend(epochs.map(|epoch| Ancestor { epoch, next }));
        let surplus = self.ancestors.len().saturating_sub(MOST_ANCESTORS);
        self.ancestors.drain(..surplus);
        Ok(())
    }

    /// The same place of this epoch, for a worker that stands in the part of
    /// an earlier one that this job went on from.
    pub(super) fn inherited(&self, position: Position) -> Option<RoundId> {
        let Position::Before { next, epoch } = position else {
            return None;
        };
        let ancestor = self.ancestors.iter().find(|of| of.epoch == epoch)?;
        (next <= ancestor.next).then_some(next)
    }

    /// Whether a worker has applied results that this job had and has lost.
    pub(super) fn is_ahead(&self, position: Position) -> bool {
        match position {
            Position::Fresh => false,
            Position::Before { epoch, .. } => {
                self.inherited(position).is_none()
                    && self.ancestors.iter().any(|of| of.epoch == epoch)
            }
        }
    }

    /// Where all stand who have applied everything that was saved.
    pub(super) fn inheritance(&self) -> Option<Position> {
        let last = self.ancestors.last()?;
        Some(Position::Before {
            next: last.next,
            epoch: last.epoch,
        })
    }
}

/// What is no number was never taken away by rounding.
fn residual(saved: &Array) -> Arc<Vec<f32>> {
    let mut floats = saved.to_floats().unwrap_or_default();
    if !floats.iter().all(|float| float.is_finite()) {
        let wild = Arc::make_mut(&mut floats).iter_mut();
        wild.filter(|float| !float.is_finite())
            .for_each(|float| *float = 0.0);
    }
    floats
}

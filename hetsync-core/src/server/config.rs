//! What a server is told once, before anything has happened.

use super::{Keep, Late, Model};
use crate::aggregate::{Aggregate, Sum};
use crate::payload::FLOAT_BYTES;
use crate::policy::{Policy, Replay};
use crate::wire::v1::Dtype;

/// Whom an open round waits for, of the workers that are connected and have
/// sent a gradient before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WaitFor {
    /// Those in step: a worker that missed a round costs that round its
    /// deadline, and the rounds after it nothing until it speaks.
    #[default]
    InStep,
    /// All of them: a worker that missed a round is waited for in the next
    /// one as well, so that it misses as few as possible.
    Connected,
}

/// What a [`Machine`](super::Machine) is told once.
#[derive(Debug)]
pub struct Config {
    /// Gradients that make up the first round of a job.
    pub workers: usize,
    /// Length of the model in floats; `None` to take it from the first
    /// gradient that is accepted.
    pub floats: Option<usize>,
    /// Whom rounds wait for.
    pub wait_for: WaitFor,
    /// When rounds close.
    pub policy: Box<dyn Policy>,
    /// What becomes of the gradients.
    pub aggregate: Box<dyn Aggregate>,
    /// What becomes of late ones.
    pub late: Late,
    /// What is kept for workers that missed rounds.
    pub keep: Keep,
    /// The model, if the server is to hold it. Its length is then that of the
    /// gradients.
    pub model: Option<Box<dyn Model>>,
    /// What results are rounded to: f32, bf16, f16 or int8; anything else is
    /// taken for f32. What rounding takes away is added to the next result.
    pub precision: Dtype,
    /// Makes the epochs of one server others than those of another: from a
    /// source of randomness, if workers may outlive the server.
    pub seed: u64,
}

/// Four workers, rounds that close by what the past teaches, sum; late
/// gradients dropped.
impl Default for Config {
    fn default() -> Self {
        Self {
            workers: 4,
            floats: None,
            wait_for: WaitFor::default(),
            policy: Box::new(Replay::new()),
            aggregate: Box::new(Sum),
            late: Late::Drop,
            keep: Keep::default(),
            model: None,
            precision: Dtype::F32,
            seed: 0,
        }
    }
}

/// Length of the model, if it is known from the start.
pub(super) fn configured_bytes(config: &Config) -> Option<usize> {
    let model = config.model.as_ref().map(|model| model.floats());
    model.or(config.floats).map(model_bytes)
}

/// Saturates: no gradient is that long, so all of them are refused.
pub(super) fn model_bytes(floats: usize) -> usize {
    floats.saturating_mul(FLOAT_BYTES)
}

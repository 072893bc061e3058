//! A model that the server holds: what workers that missed too much are
//! sent, and those that begin.
//!
//! Most jobs need none: each worker holds its own replica and does with the
//! results what it likes. Where the server applies them as well, a worker
//! can come back from anywhere.
//!
//! Invariant: a model changes only when a round closes, by that round's
//! result, so what a worker is sent is the model before a certain round.

use std::fmt;

use super::RoundResult;
use crate::payload::{FLOAT_BYTES, Payload};

/// Parameters that the server holds, and how a result changes them.
pub trait Model: fmt::Debug + Send {
    /// How many parameters there are.
    fn floats(&self) -> usize;

    /// Takes a result in. It has as many elements as there are parameters.
    fn apply(&mut self, result: &RoundResult);

    /// The parameters, as little-endian f32s, into `out`, which is as long.
    fn write(&self, out: &mut [u8]);
}

/// Plain gradient descent: each parameter less the rate times the mean
/// gradient, in f32.
///
/// A worker that does the same arithmetic, `p - rate * (r / divisor)`, in
/// f32 and without fusing, holds the same bits.
#[derive(Clone)]
pub struct Descent {
    parameters: Vec<f32>,
    rate: f32,
}

impl Descent {
    /// Begins with these parameters.
    pub fn new(parameters: Vec<f32>, rate: f32) -> Self {
        Self { parameters, rate }
    }

    /// The parameters as they are now.
    pub fn parameters(&self) -> &[f32] {
        &self.parameters
    }

    /// One step.
    pub fn step(&mut self, result: &Payload, divisor: f32) {
        self.step_bytes(result.as_bytes(), divisor);
    }

    fn step_bytes(&mut self, bytes: &[u8], divisor: f32) {
        let (words, _) = bytes.as_chunks::<FLOAT_BYTES>();
        for (parameter, word) in self.parameters.iter_mut().zip(words) {
            let change = self.rate * (f32::from_le_bytes(*word) / divisor);
            // Finite parameters must not be lost to one wild result.
            *parameter = (*parameter - change).clamp(f32::MIN, f32::MAX);
        }
    }
}

impl Model for Descent {
    fn floats(&self) -> usize {
        self.parameters.len()
    }

    fn apply(&mut self, result: &RoundResult) {
        self.step_bytes(result.as_bytes(), result.divisor());
    }

    fn write(&self, out: &mut [u8]) {
        let (words, _) = out.as_chunks_mut::<FLOAT_BYTES>();
        for (word, parameter) in words.iter_mut().zip(&self.parameters) {
            *word = parameter.to_le_bytes();
        }
    }
}

impl fmt::Debug for Descent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.parameters.len();
        write!(f, "Descent({count} parameters, rate {})", self.rate)
    }
}

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
use crate::checkpoint::Part;
use crate::payload::{FLOAT_BYTES, Payload};

/// Parameters that the server holds, and how a result changes them.
pub trait Model: fmt::Debug + Send {
    /// How many parameters there are.
    fn floats(&self) -> usize;

    /// Takes a result in. It has as many elements as there are parameters.
    fn apply(&mut self, result: &RoundResult);

    /// The parameters, as little-endian f32s, into `out`, which is as long.
    fn write(&self, out: &mut [u8]);

    /// What kind of model it is; a saved one is restored to its own kind.
    fn name(&self) -> &'static str {
        "model"
    }

    /// All of its state, for a checkpoint. By default the parameters.
    fn save(&self) -> Vec<Part> {
        let mut bytes = vec![0; super::config::model_bytes(self.floats())];
        self.write(&mut bytes);
        let name = "parameters".into();
        vec![Part { name, bytes }]
    }

    /// Takes back what [`save`](Self::save) gave. The lengths are to be
    /// checked; a checkpoint may be of another model.
    ///
    /// # Errors
    /// Why it does not take it, in words. By default it takes nothing.
    fn restore(&mut self, parts: &[Part]) -> Result<(), String> {
        let _ = parts;
        Err("this kind of model cannot be restored".into())
    }
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

    fn name(&self) -> &'static str {
        "descent"
    }

    fn restore(&mut self, parts: &[Part]) -> Result<(), String> {
        let part = parts.iter().find(|part| part.name == "parameters");
        let part = part.ok_or("it has no parameters")?;
        let (words, rest) = part.bytes.as_chunks::<FLOAT_BYTES>();
        if words.len() != self.parameters.len() || !rest.is_empty() {
            let (found, expected) = (part.bytes.len(), self.parameters.len());
            return Err(format!("{found} bytes for {expected} parameters"));
        }
        self.parameters = words.iter().map(|word| f32::from_le_bytes(*word)).collect();
        match self
            .parameters
            .iter()
            .all(|parameter| parameter.is_finite())
        {
            true => Ok(()),
            false => Err("a parameter is a NaN or an infinity".into()),
        }
    }
}

impl fmt::Debug for Descent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.parameters.len();
        write!(f, "Descent({count} parameters, rate {})", self.rate)
    }
}

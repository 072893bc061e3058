//! What becomes of a round's gradients.
//!
//! One file per rule; the float loops are apart in `kernel`.
//!
//! Invariant: a rule is given the gradients in roster order, which is the
//! order in which the workers connected, whatever the order in which they
//! arrived, and it adds them in that order. Float addition is not
//! associative, so this is what makes a result repeat bit for bit.

mod kernel;
mod mean;
mod sum;

pub use mean::Mean;
pub use sum::Sum;

/// A rule that makes one vector of several.
pub trait Aggregate: std::fmt::Debug + Send {
    /// A short name for logs and reports.
    fn name(&self) -> &'static str;

    /// Reduces `inputs` (at least one, each as long as `out`, a whole number
    /// of little-endian f32s, all finite) into `out`, overwriting it.
    /// Returns how many elements left the range of f32 and were set to its
    /// largest or smallest finite value.
    fn reduce(&self, inputs: &[&[u8]], out: &mut [u8]) -> usize;

    /// What a result must be divided by to be a mean, when the weights of
    /// what is in it add up to `weight`: 1 if the rule itself sees to it.
    fn divisor(&self, weight: f32) -> f32 {
        let _ = weight;
        1.0
    }

    /// Like [`reduce`](Self::reduce), where some of the inputs came late and
    /// were multiplied by a weight below one before. `weight` is the sum of
    /// all weights, those of the fresh ones being one. A rule that divides
    /// by the number of inputs divides by this instead.
    fn reduce_weighted(&self, inputs: &[&[u8]], weight: f32, out: &mut [u8]) -> usize {
        let _ = weight;
        self.reduce(inputs, out)
    }
}

//! What becomes of a round's gradients.
//!
//! One file per rule; the float loops are apart: `kernel` adds, `sorted`
//! sorts each element over the gradients, `distance` measures.
//!
//! Invariant: a rule is given the gradients in roster order, which is the
//! order in which the workers connected, or that of their names, whatever
//! the order in which they arrived, and it computes in that order. Float
//! addition is not associative, so this is what makes a result repeat bit
//! for bit.
//!
//! | rule | outliers it stands | reads each float | extra memory |
//! |---|---|---|---|
//! | [`Sum`], [`Mean`], [`WeightedMean`] | none | once | none |
//! | [`TrimmedMean`] by `k` | `k` | once, and sorts | 128 KiB |
//! | [`Median`] | fewer than half | once, and sorts | 128 KiB |
//! | [`Krum`] with `f` | `f` of at least `2 f + 3` | once for each other gradient | two numbers a pair |
//! | [`Clip`] | bounds what each can do | once, and once for the norm | see there |

mod clip;
mod distance;
mod kernel;
mod krum;
mod mean;
mod median;
mod sorted;
mod sum;
mod text;
mod trimmed;
mod weighted;

pub use clip::{Clip, NormError};
pub use krum::Krum;
pub use mean::Mean;
pub use median::Median;
pub use sum::Sum;
pub use text::Combine;
pub use trimmed::{Trim, TrimmedMean};
pub use weighted::WeightedMean;

pub use crate::text::ParseRuleError;

/// A rule that makes one vector of several.
pub trait Aggregate: std::fmt::Debug + Send {
    /// A short name for logs and reports.
    fn name(&self) -> &'static str;

    /// Reduces `inputs` (at least one, each as long as `out`, a whole number
    /// of little-endian f32s, all finite) into `out`, overwriting it with
    /// finite floats.
    fn reduce(&self, inputs: &[&[u8]], out: &mut [u8]) -> Reduced;

    /// What a result must be divided by to be a mean, when the weights of
    /// what is in it add up to `weight`: 1 if the rule itself sees to it.
    fn divisor(&self, weight: f32) -> f32 {
        let _ = weight;
        1.0
    }

    /// Like [`reduce`](Self::reduce), where some of the inputs came late and
    /// were multiplied by a weight below one before. `weight` is the sum of
    /// all weights, those of the fresh ones being one. A rule that divides
    /// by the number of inputs divides by this instead; one that chooses
    /// among them takes a late one as it is, as one of them.
    fn reduce_weighted(&self, inputs: &[&[u8]], weight: f32, out: &mut [u8]) -> Reduced {
        let _ = weight;
        self.reduce(inputs, out)
    }

    /// With fewer inputs than this the rule cannot do what it is for, and
    /// does what it says in [`Reduced::instead`].
    fn least(&self) -> usize {
        1
    }

    /// Whether each element of the result depends on the same element of the
    /// inputs alone, so that the rule may be given them a block at a time.
    fn is_by_element(&self) -> bool {
        false
    }

    /// Whether a worker may say how much its gradient counts. It is then
    /// multiplied by that before, and [`reduce_weighted`] told of the sum.
    ///
    /// [`reduce_weighted`]: Self::reduce_weighted
    fn heeds_weights(&self) -> bool {
        false
    }
}

impl Aggregate for Box<dyn Aggregate> {
    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn reduce(&self, inputs: &[&[u8]], out: &mut [u8]) -> Reduced {
        (**self).reduce(inputs, out)
    }

    fn divisor(&self, weight: f32) -> f32 {
        (**self).divisor(weight)
    }

    fn reduce_weighted(&self, inputs: &[&[u8]], weight: f32, out: &mut [u8]) -> Reduced {
        (**self).reduce_weighted(inputs, weight, out)
    }

    fn least(&self) -> usize {
        (**self).least()
    }

    fn is_by_element(&self) -> bool {
        (**self).is_by_element()
    }

    fn heeds_weights(&self) -> bool {
        (**self).heeds_weights()
    }
}

/// What a rule has to tell of a round besides its result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reduced {
    /// Elements of the result that left the range of f32 and were set to its
    /// largest or smallest finite value.
    pub saturated: usize,
    /// Gradients that were longer than a [`Clip`] allows and were shortened.
    pub clipped: usize,
    /// The rule that was used instead, as too few gradients were in.
    pub instead: Option<&'static str>,
}

impl Reduced {
    const fn saturated(saturated: usize) -> Self {
        Self {
            saturated,
            clipped: 0,
            instead: None,
        }
    }
}

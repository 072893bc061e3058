//! The mean, each gradient weighted as its worker says.

use super::{Aggregate, Mean, Reduced};

/// Adds the gradients, each times its weight, and divides by the sum of the
/// weights: with the number of samples as weight, the mean over all samples
/// however they are spread over the workers. Workers of protocol 1 say a
/// weight with each gradient; it is 1 where nothing is said.
///
/// A worker can make itself count for as much as it likes, so this is for
/// workers that are trusted; under every other rule a weight has no effect.
#[derive(Debug, Clone, Copy, Default)]
pub struct WeightedMean;

impl Aggregate for WeightedMean {
    fn name(&self) -> &'static str {
        "weighted_mean"
    }

    fn reduce(&self, inputs: &[&[u8]], out: &mut [u8]) -> Reduced {
        Mean.reduce(inputs, out)
    }

    fn reduce_weighted(&self, inputs: &[&[u8]], weight: f32, out: &mut [u8]) -> Reduced {
        Mean.reduce_weighted(inputs, weight, out)
    }

    fn is_by_element(&self) -> bool {
        true
    }

    fn heeds_weights(&self) -> bool {
        true
    }
}

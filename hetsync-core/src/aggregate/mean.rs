//! The mean over the gradients that are in, weighted where some came late.

use super::{Aggregate, Reduced, kernel};

/// Adds the gradients and divides by how many there are: the contributors
/// of this very round, not the number of workers configured.
///
/// With late gradients among them it is the weighted mean: each has been
/// multiplied by its weight, and what is divided by is the sum of the
/// weights, those of the fresh ones being 1. What workers say
/// their gradients weigh has no effect; see [`WeightedMean`](super::WeightedMean).
///
/// One gradient can move the result anywhere.
#[derive(Debug, Clone, Copy, Default)]
pub struct Mean;

impl Aggregate for Mean {
    fn name(&self) -> &'static str {
        "mean"
    }

    fn reduce(&self, inputs: &[&[u8]], out: &mut [u8]) -> Reduced {
        Reduced::saturated(kernel::add_in_order(inputs, inputs.len() as f32, out))
    }

    fn reduce_weighted(&self, inputs: &[&[u8]], weight: f32, out: &mut [u8]) -> Reduced {
        Reduced::saturated(kernel::add_in_order(inputs, weight, out))
    }

    fn is_by_element(&self) -> bool {
        true
    }
}

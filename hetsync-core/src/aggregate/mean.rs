//! The mean over the gradients that are in.

use super::{Aggregate, kernel};

/// Adds the gradients and divides by how many there are: the contributors
/// of this very round, not the number of workers configured.
#[derive(Debug, Clone, Copy, Default)]
pub struct Mean;

impl Aggregate for Mean {
    fn name(&self) -> &'static str {
        "mean"
    }

    fn reduce(&self, inputs: &[&[u8]], out: &mut [u8]) -> usize {
        kernel::add_in_order(inputs, inputs.len() as f32, out)
    }

    fn reduce_weighted(&self, inputs: &[&[u8]], weight: f32, out: &mut [u8]) -> usize {
        kernel::add_in_order(inputs, weight, out)
    }
}

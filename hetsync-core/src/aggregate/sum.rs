//! The plain sum, as the original server answers.

use super::{Aggregate, Reduced, kernel};

/// Adds the gradients. A round that closed without some workers has a
/// smaller sum; [`Mean`](super::Mean) divides by who was in.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sum;

impl Aggregate for Sum {
    fn name(&self) -> &'static str {
        "sum"
    }

    fn reduce(&self, inputs: &[&[u8]], out: &mut [u8]) -> Reduced {
        Reduced::saturated(kernel::add_in_order(inputs, 1.0, out))
    }

    fn divisor(&self, weight: f32) -> f32 {
        weight
    }

    fn is_by_element(&self) -> bool {
        true
    }
}

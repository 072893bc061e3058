//! The median of each element.

use super::{Aggregate, Reduced, sorted};

/// Each element of the result is the median of that element over the
/// gradients: the middle one of an odd number, the mean of the two middle
/// ones of an even number, computed in f64 and rounded once.
///
/// **Resists** any number of workers below half of those in: each element
/// lies between the least and the largest that the honest ones sent.
///
/// **Costs** a sort of each element over the gradients, and accuracy: where
/// all are honest its variance is up to pi/2 times that of the mean, and of
/// gradients that are skewed or sparse it may be far from their mean (zero,
/// where most are zero).
///
/// A late gradient counts as one, multiplied by its weight as it is.
///
/// Source: D. Yin, Y. Chen, K. Ramchandran, P. Bartlett, "Byzantine-Robust
/// Distributed Learning: Towards Optimal Statistical Rates", ICML 2018,
/// definition 1.
#[derive(Debug, Clone, Copy, Default)]
pub struct Median;

impl Aggregate for Median {
    fn name(&self) -> &'static str {
        "median"
    }

    fn reduce(&self, inputs: &[&[u8]], out: &mut [u8]) -> Reduced {
        sorted::mean_of_middle(inputs, (inputs.len() - 1) / 2, out);
        Reduced::default()
    }

    fn is_by_element(&self) -> bool {
        true
    }
}

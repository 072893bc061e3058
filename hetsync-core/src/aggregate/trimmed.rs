//! The mean of what is left when the extremes of each element are cut off.

use super::{Aggregate, Median, Reduced, sorted};

/// How many values are cut off at either end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trim {
    /// This many.
    Count(usize),
    /// This share of the gradients that are in, a numerator and a
    /// denominator, rounded down. One half or more leaves the median.
    Share(u32, u32),
}

/// Each element of the result is the mean, in f64 and rounded once, of that
/// element over the gradients, without the `k` smallest and the `k` largest
/// values. Which gradients are left out differs from element to element.
///
/// **Resists** up to `k` workers that send anything: each element lies
/// between the least and the largest that the honest ones sent.
///
/// **Costs** a sort of each element over the gradients, and what `2 k` of
/// them would have added to the accuracy of the mean.
///
/// With `2 k` gradients or fewer it is the [`Median`], and says so in
/// [`Reduced::instead`]. A late gradient counts as one, multiplied by its
/// weight as it is.
///
/// Source: D. Yin, Y. Chen, K. Ramchandran, P. Bartlett, "Byzantine-Robust
/// Distributed Learning: Towards Optimal Statistical Rates", ICML 2018,
/// definition 2; its share beta is [`Trim::Share`].
#[derive(Debug, Clone, Copy)]
pub struct TrimmedMean {
    trim: Trim,
}

impl TrimmedMean {
    /// Cuts off so many.
    pub const fn new(trim: Trim) -> Self {
        Self { trim }
    }

    fn cut(&self, inputs: usize) -> usize {
        match self.trim {
            Trim::Count(count) => count,
            Trim::Share(part, whole) => {
                let cut = inputs as u64 * u64::from(part) / u64::from(whole.max(1));
                usize::try_from(cut).unwrap_or(usize::MAX)
            }
        }
    }
}

impl Aggregate for TrimmedMean {
    fn name(&self) -> &'static str {
        "trimmed_mean"
    }

    fn reduce(&self, inputs: &[&[u8]], out: &mut [u8]) -> Reduced {
        let cut = self.cut(inputs.len());
        let most = (inputs.len() - 1) / 2;
        sorted::mean_of_middle(inputs, cut.min(most), out);
        Reduced {
            instead: (cut > most).then(|| Median.name()),
            ..Reduced::default()
        }
    }

    fn least(&self) -> usize {
        match self.trim {
            Trim::Count(count) => count.saturating_mul(2).saturating_add(1),
            Trim::Share(..) => 1,
        }
    }

    fn is_by_element(&self) -> bool {
        true
    }
}

//! Gradients shortened before another rule has them.

use super::distance::norm;
use super::{Aggregate, Reduced};
use crate::payload::FLOAT_BYTES;

/// Bytes of each gradient that are shortened at a time.
const BLOCK_BYTES: usize = 2048 * FLOAT_BYTES;

/// Each gradient whose L2 norm is above a bound is multiplied by the bound
/// over its norm, which leaves its direction; then another rule has them.
/// Norms are computed in f64 and each product is rounded to f32 once, so a
/// shortened gradient may be above the bound by that rounding (6e-8 of it).
///
/// **Resists** exploding gradients, and bounds what any single worker can
/// do to a sum or a mean: it moves a sum by the bound at most. It does not
/// make a sum or a mean robust, as every gradient still counts.
///
/// **Costs** a pass over each gradient for its norm. Of memory, 8 KiB for
/// each gradient that is shortened if the inner rule goes by elements (sum,
/// mean, trimmed mean, median), and a whole copy of each if not (Krum,
/// another clip).
///
/// A late gradient is multiplied by its weight first and measured then.
///
/// Source: R. Pascanu, T. Mikolov, Y. Bengio, "On the difficulty of training
/// recurrent neural networks", ICML 2013, algorithm 1; there for the sum,
/// here for each worker's gradient.
#[derive(Debug)]
pub struct Clip {
    bound: f64,
    inner: Box<dyn Aggregate>,
}

/// A bound for norms must be a number above zero.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("a bound for norms is a number above 0, not {0}")]
pub struct NormError(pub f64);

impl Clip {
    /// Shortens gradients to the norm `bound`, for `inner`.
    ///
    /// # Errors
    /// If the bound is not finite or not above zero.
    pub fn new(bound: f64, inner: impl Aggregate + 'static) -> Result<Self, NormError> {
        match Self::allows(bound) {
            true => Ok(Self::of(bound, Box::new(inner))),
            false => Err(NormError(bound)),
        }
    }

    pub(super) const fn allows(bound: f64) -> bool {
        bound.is_finite() && bound > 0.0
    }

    /// For a bound that has been looked at.
    pub(super) const fn of(bound: f64, inner: Box<dyn Aggregate>) -> Self {
        Self { bound, inner }
    }

    /// Calls `inner` with the inputs as they are to be.
    fn with_clipped(
        &self,
        inputs: &[&[u8]],
        out: &mut [u8],
        inner: impl Fn(&[&[u8]], &mut [u8]) -> Reduced,
    ) -> Reduced {
        let factors: Vec<Option<f64>> = inputs.iter().map(|input| self.factor(input)).collect();
        let clipped = factors.iter().flatten().count();
        if clipped == 0 {
            return inner(inputs, out);
        }
        let size = match self.inner.is_by_element() {
            true => BLOCK_BYTES.min(out.len()),
            false => out.len(),
        };
        let mut reduced = Reduced::default();
        let mut scratch = vec![0; clipped * size];
        for (number, block) in out.chunks_mut(size).enumerate() {
            let range = number * size..number * size + block.len();
            let mut room = scratch.chunks_mut(size);
            let parts = inputs.iter().zip(&factors).map(|(input, factor)| {
                let part = &input[range.clone()];
                match factor.and_then(|factor| Some((factor, room.next()?))) {
                    Some((factor, room)) => scaled(part, factor, &mut room[..part.len()]),
                    None => part,
                }
            });
            let parts: Vec<&[u8]> = parts.collect();
            let of_block = inner(&parts, block);
            reduced.saturated += of_block.saturated;
            reduced.clipped = of_block.clipped;
            reduced.instead = of_block.instead;
        }
        // A gradient that two clips shorten is one gradient.
        reduced.clipped = reduced.clipped.max(clipped);
        reduced
    }

    /// What a gradient is multiplied by; `None` if it is short enough.
    fn factor(&self, input: &[u8]) -> Option<f64> {
        let norm = norm(input);
        (norm > self.bound).then(|| self.bound / norm)
    }
}

fn scaled<'a>(part: &[u8], factor: f64, room: &'a mut [u8]) -> &'a [u8] {
    let to = room.as_chunks_mut::<FLOAT_BYTES>().0;
    for (to, word) in to.iter_mut().zip(part.as_chunks().0) {
        *to = ((f64::from(f32::from_le_bytes(*word)) * factor) as f32).to_le_bytes();
    }
    room
}

impl Aggregate for Clip {
    fn name(&self) -> &'static str {
        "clip"
    }

    fn reduce(&self, inputs: &[&[u8]], out: &mut [u8]) -> Reduced {
        self.with_clipped(inputs, out, |inputs, out| self.inner.reduce(inputs, out))
    }

    fn divisor(&self, weight: f32) -> f32 {
        self.inner.divisor(weight)
    }

    fn reduce_weighted(&self, inputs: &[&[u8]], weight: f32, out: &mut [u8]) -> Reduced {
        self.with_clipped(inputs, out, |inputs, out| {
            self.inner.reduce_weighted(inputs, weight, out)
        })
    }

    fn least(&self) -> usize {
        self.inner.least()
    }
}

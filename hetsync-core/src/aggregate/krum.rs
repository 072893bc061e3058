//! The gradient that lies closest to its neighbours.

use super::distance::{place, squared_distances};
use super::{Aggregate, Median, Reduced, kernel};

/// Of `n` gradients, each has a score: the sum of its squared L2 distances
/// to the `n - f - 2` others closest to it. Krum's result is the gradient of
/// the lowest score, bit for bit; multi-Krum's is the mean of the `m` of
/// lowest scores, added in roster order in f32. Scores are computed in f64;
/// of equal ones the first in roster order is the lower.
///
/// **Resists** up to `f` workers that send anything, together if they like,
/// as long as `n >= 2 f + 3`.
///
/// **Costs** `n (n - 1) / 2` distances over the whole gradient, so it grows
/// with the square of the workers; and what the gradients that are left out
/// would have added to the accuracy: all but one, in the case of Krum.
///
/// With fewer than `2 f + 3` gradients in the scores mean nothing: the
/// result is then the [`Median`], and [`Reduced::instead`] says so. With
/// that many, but fewer than `m + f + 2`, the mean is that of the
/// `n - f - 2` best. A late gradient counts as one, multiplied by its weight
/// as it is.
///
/// Source: P. Blanchard, E. M. El Mhamdi, R. Guerraoui, J. Stainer, "Machine
/// Learning with Adversaries: Byzantine Tolerant Gradient Descent", NIPS
/// 2017, sections 4 and 5.
#[derive(Debug, Clone, Copy)]
pub struct Krum {
    f: usize,
    /// `None` for Krum itself.
    m: Option<usize>,
}

impl Krum {
    /// Krum against up to `f` workers.
    pub const fn new(f: usize) -> Self {
        Self { f, m: None }
    }

    /// Multi-Krum: the mean of the `m` best; of one, if `m` is 0.
    pub const fn multi(f: usize, m: usize) -> Self {
        Self { f, m: Some(m) }
    }

    /// Fewest gradients whose scores mean something.
    const fn enough(&self) -> usize {
        self.f.saturating_mul(2).saturating_add(3)
    }

    /// The indices of the gradients that are used, ascending.
    fn choose(&self, inputs: &[&[u8]]) -> Vec<usize> {
        let count = inputs.len();
        let neighbours = count - self.f - 2;
        let distances = squared_distances(inputs);
        let mut others = Vec::with_capacity(count);
        let mut scores: Vec<(f64, usize)> = Vec::with_capacity(count);
        for this in 0..count {
            others.clear();
            others.extend(
                (0..count)
                    .filter(|other| *other != this)
                    .map(|other| distances[place(this.min(other), this.max(other))]),
            );
            // Sorted, so that the sum does not hang on the others' order.
            others.sort_unstable_by(f64::total_cmp);
            scores.push((others[..neighbours].iter().sum(), this));
        }
        scores.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let best = self.m.unwrap_or(1).clamp(1, neighbours);
        let mut chosen: Vec<usize> = scores[..best].iter().map(|score| score.1).collect();
        chosen.sort_unstable();
        chosen
    }
}

impl Aggregate for Krum {
    fn name(&self) -> &'static str {
        match self.m {
            None => "krum",
            Some(_) => "multi_krum",
        }
    }

    fn reduce(&self, inputs: &[&[u8]], out: &mut [u8]) -> Reduced {
        if inputs.len() < self.enough() {
            let instead = Some(Median.name());
            return Reduced {
                instead,
                ..Median.reduce(inputs, out)
            };
        }
        let chosen: Vec<&[u8]> = self
            .choose(inputs)
            .into_iter()
            .map(|at| inputs[at])
            .collect();
        Reduced::saturated(kernel::add_in_order(&chosen, chosen.len() as f32, out))
    }

    fn least(&self) -> usize {
        let several = self.m.unwrap_or(1).saturating_add(self.f).saturating_add(2);
        self.enough().max(several)
    }
}

//! Lengths of gradients, and distances between them.
//!
//! In f64, where the square of no f32 overflows. Eight sums run side by
//! side and are added up in one order, so that equal gradients give equal
//! bits, and vector instructions are used.

use crate::payload::FLOAT_BYTES;

const LANES: usize = 8;

/// Bytes of all gradients' parts together that distances are taken of at a
/// time, so that each part is read from memory once, not once for each pair.
const BLOCK_BYTES: usize = 256 << 10;
const FEWEST_BYTES: usize = 256;

/// The L2 norm.
pub(super) fn norm(input: &[u8]) -> f64 {
    sum_over(input, input, |a, _| a * a).sqrt()
}

/// The squared L2 distance of each gradient from each other: that of `a` and
/// `b`, with `a < b`, is at `place(a, b)`.
pub(super) fn squared_distances(inputs: &[&[u8]]) -> Vec<f64> {
    let count = inputs.len();
    let mut distances = vec![0.0; place(0, count)];
    let size = (BLOCK_BYTES / count).max(FEWEST_BYTES) / FEWEST_BYTES * FEWEST_BYTES;
    let mut start = 0;
    while start < inputs[0].len() {
        let end = (start + size).min(inputs[0].len());
        let mut pairs = distances.iter_mut();
        for b in 1..count {
            for a in &inputs[..b] {
                let part = sum_over(&a[start..end], &inputs[b][start..end], |a, b| {
                    (a - b) * (a - b)
                });
                if let Some(distance) = pairs.next() {
                    *distance += part;
                }
            }
        }
        start = end;
    }
    distances
}

/// Where the distance between two gradients is; `a < b`.
pub(super) const fn place(a: usize, b: usize) -> usize {
    b * b.saturating_sub(1) / 2 + a
}

#[inline(always)]
fn sum_over(a: &[u8], b: &[u8], term: impl Fn(f64, f64) -> f64) -> f64 {
    let float = |word: &[u8; FLOAT_BYTES]| f64::from(f32::from_le_bytes(*word));
    let (a, b) = (
        a.as_chunks::<FLOAT_BYTES>().0,
        b.as_chunks::<FLOAT_BYTES>().0,
    );
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] += term(float(&a[lane]), float(&b[lane]));
        }
    }
    let rest = a_rest.iter().zip(b_rest);
    let rest: f64 = rest.map(|(a, b)| term(float(a), float(b))).sum();
    sums.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pair_has_its_own_place() {
        let places: Vec<usize> = (1..20)
            .flat_map(|b| (0..b).map(move |a| place(a, b)))
            .collect();
        assert_eq!(places, (0..place(0, 20)).collect::<Vec<_>>());
        assert_eq!(place(0, 1), 0);
    }
}

//! Float loops over wire bytes.
//!
//! Four inputs are added in one pass, in blocks that stay in the first
//! level of cache when there are more than four: a pass over memory per
//! pair of inputs would cost twice the time.

use crate::payload::{FLOAT_BYTES, first_non_finite};

/// Floats per block: 16 KiB of output, half of a first-level cache.
const BLOCK_BYTES: usize = 4096 * FLOAT_BYTES;

/// Sets `out` to `(inputs[0] + inputs[1] + ...) / divisor`, each element
/// added from left to right in f32, or in f64 where f32 overflows on the
/// way. Returns how many results were outside f32 and are clamped.
///
/// # Panics
/// If there is no input, or one is shorter than `out`.
pub(super) fn add_in_order(inputs: &[&[u8]], divisor: f32, out: &mut [u8]) -> usize {
    assert!(
        !inputs.is_empty(),
        "a round closes with at least one gradient"
    );
    let mut saturated = 0;
    let mut start = 0;
    for block in out.chunks_mut(BLOCK_BYTES) {
        let range = start..start + block.len();
        add_block(inputs, &range, block);
        if divisor != 1.0 {
            each(block, |sum| sum / divisor);
        }
        if first_non_finite(block).is_some() {
            saturated += repair(inputs, &range, divisor, block);
        }
        start = range.end;
    }
    saturated
}

type Words<'a> = &'a [[u8; FLOAT_BYTES]];

fn words(bytes: &[u8]) -> Words<'_> {
    bytes.as_chunks().0
}

fn add_block(inputs: &[&[u8]], range: &std::ops::Range<usize>, out: &mut [u8]) {
    let part = |index: usize| words(&inputs[index][range.clone()]);
    let mut next = inputs.len().min(4);
    match next {
        1 => out.copy_from_slice(&inputs[0][range.clone()]),
        2 => add_2(part(0), part(1), out),
        3 => add_3(part(0), part(1), part(2), out),
        _ => add_4(part(0), part(1), part(2), part(3), out),
    }
    while next + 3 <= inputs.len() {
        fold_3(part(next), part(next + 1), part(next + 2), out);
        next += 3;
    }
    while next < inputs.len() {
        fold_1(part(next), out);
        next += 1;
    }
}

fn each(out: &mut [u8], change: impl Fn(f32) -> f32) {
    for word in out.as_chunks_mut::<FLOAT_BYTES>().0 {
        *word = change(f32::from_le_bytes(*word)).to_le_bytes();
    }
}

/// Writes `value(index)` to each element. The slices that `value` reads
/// must have been cut to the length of `out`, so that no bounds check is
/// left inside the loop and it compiles to vector instructions.
#[inline(always)]
fn fill(out: &mut [[u8; FLOAT_BYTES]], value: impl Fn(usize) -> f32) {
    for (index, word) in out.iter_mut().enumerate() {
        *word = value(index).to_le_bytes();
    }
}

#[inline(always)]
fn float(words: Words<'_>, index: usize) -> f32 {
    f32::from_le_bytes(words[index])
}

fn add_2(a: Words<'_>, b: Words<'_>, out: &mut [u8]) {
    let out = out.as_chunks_mut().0;
    let (a, b) = (&a[..out.len()], &b[..out.len()]);
    fill(out, |i| float(a, i) + float(b, i));
}

fn add_3(a: Words<'_>, b: Words<'_>, c: Words<'_>, out: &mut [u8]) {
    let out = out.as_chunks_mut().0;
    let n = out.len();
    let (a, b, c) = (&a[..n], &b[..n], &c[..n]);
    fill(out, |i| float(a, i) + float(b, i) + float(c, i));
}

fn add_4(a: Words<'_>, b: Words<'_>, c: Words<'_>, d: Words<'_>, out: &mut [u8]) {
    let out = out.as_chunks_mut().0;
    let n = out.len();
    let (a, b, c, d) = (&a[..n], &b[..n], &c[..n], &d[..n]);
    fill(out, |i| {
        float(a, i) + float(b, i) + float(c, i) + float(d, i)
    });
}

fn fold_1(a: Words<'_>, out: &mut [u8]) {
    for (word, a) in out.as_chunks_mut::<FLOAT_BYTES>().0.iter_mut().zip(a) {
        *word = (f32::from_le_bytes(*word) + f32::from_le_bytes(*a)).to_le_bytes();
    }
}

fn fold_3(a: Words<'_>, b: Words<'_>, c: Words<'_>, out: &mut [u8]) {
    let out = out.as_chunks_mut::<FLOAT_BYTES>().0;
    let n = out.len();
    let (a, b, c) = (&a[..n], &b[..n], &c[..n]);
    for (i, word) in out.iter_mut().enumerate() {
        let sum = f32::from_le_bytes(*word) + float(a, i) + float(b, i) + float(c, i);
        *word = sum.to_le_bytes();
    }
}

/// Finite inputs can still add up to more than f32 holds, and an infinity
/// sent to every worker would ruin every replica. The elements concerned
/// are added again in f64, in the same order, which cannot overflow here.
/// Only those whose result is outside f32 even so are clamped and counted:
/// a mean, or a sum with both signs, may well come back into range.
#[cold]
fn repair(inputs: &[&[u8]], range: &std::ops::Range<usize>, divisor: f32, out: &mut [u8]) -> usize {
    let mut saturated = 0;
    for (index, word) in out.as_chunks_mut::<FLOAT_BYTES>().0.iter_mut().enumerate() {
        if f32::from_le_bytes(*word).is_finite() {
            continue;
        }
        let at = range.start / FLOAT_BYTES + index;
        let sum: f64 = inputs
            .iter()
            .map(|input| f64::from(float(words(input), at)))
            .sum();
        let result = (sum / f64::from(divisor)) as f32;
        saturated += usize::from(result.is_infinite());
        *word = result.clamp(f32::MIN, f32::MAX).to_le_bytes();
    }
    saturated
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::Payload;

    fn reduce(inputs: &[Vec<f32>], divisor: f32) -> (Vec<f32>, usize) {
        let payloads: Vec<_> = inputs.iter().map(|v| Payload::from_floats(v)).collect();
        let bytes: Vec<_> = payloads.iter().map(Payload::as_bytes).collect();
        let mut out = vec![0xff; bytes[0].len()];
        let saturated = add_in_order(&bytes, divisor, &mut out);
        (Payload::from_bytes(out).unwrap().to_floats(), saturated)
    }

    /// Every number of inputs gives the bits of the plain loop, at lengths
    /// around the block size.
    #[test]
    fn every_kernel_agrees_with_the_plain_loop() {
        let mut state = 1_u64;
        let mut random = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1);
            ((state >> 40) as f32 - 8_388_608.0) * 1e-3
        };
        for count in 1..=12 {
            for len in [1, 5, 4095, 4096, 4097, 9000] {
                let inputs: Vec<Vec<f32>> = (0..count)
                    .map(|_| (0..len).map(|_| random()).collect())
                    .collect();
                for divisor in [1.0, count as f32] {
                    let (got, saturated) = reduce(&inputs, divisor);
                    assert_eq!(saturated, 0);
                    for at in 0..len {
                        let mut sum = inputs[0][at];
                        for input in &inputs[1..] {
                            sum += input[at];
                        }
                        assert_eq!(got[at].to_bits(), (sum / divisor).to_bits());
                    }
                }
            }
        }
    }

    #[test]
    fn a_sum_beyond_f32_is_clamped_and_counted() {
        let inputs = [
            vec![f32::MAX, 1.0],
            vec![f32::MAX, 2.0],
            vec![-f32::MAX, 3.0],
        ];
        assert_eq!(reduce(&inputs[..2], 1.0), (vec![f32::MAX, 3.0], 1));
        let negative = [vec![f32::MIN], vec![f32::MIN], vec![f32::MIN]];
        assert_eq!(reduce(&negative, 2.0), (vec![f32::MIN], 1));
    }

    #[test]
    fn a_result_that_comes_back_into_range_is_neither_clamped_nor_counted() {
        let inputs = [vec![3e38, 1.0], vec![3e38, 2.0], vec![0.0, 3.0]];
        assert_eq!(reduce(&inputs, 3.0), (vec![2e38, 2.0], 0));
        let inputs = [vec![3e38], vec![3e38], vec![-2.5e38], vec![-3e38]];
        let (sum, saturated) = reduce(&inputs, 1.0);
        assert!((sum[0] / 5e37 - 1.0).abs() < 1e-5, "{sum:?}");
        assert_eq!(saturated, 0);
        assert_eq!(
            reduce(&[vec![f32::MAX], vec![f32::MAX]], 2.0),
            (vec![f32::MAX], 0)
        );
    }
}

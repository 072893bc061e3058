//! Each element sorted over the gradients.
//!
//! The gradients are rows. A sorting network (Batcher's merge exchange, The
//! Art of Computer Programming 5.2.2, algorithm M) says which two rows to
//! compare, and a comparison is a loop over two rows without branches, which
//! compiles to vector instructions. The rows of a block stay in the second
//! level of cache.
//!
//! Floats are compared as integers that have the order of the floats, so
//! that -0 is below 0 and equal sets of floats give equal bits.

use crate::payload::FLOAT_BYTES;

/// Bytes of all rows of a block together, and the fewest floats of one.
const BLOCK_BYTES: usize = 128 << 10;
const FEWEST: usize = 16;

/// Sets each element of `out` to the mean of what is left of the inputs'
/// when the `cut` smallest and the `cut` largest are left out; in f64,
/// rounded once. With one left over that is the float itself, bit for bit.
///
/// A mean lies between the least and the largest float, so it cannot leave
/// the range of f32.
///
/// # Panics
/// If nothing would be left, or an input is shorter than `out`.
pub(super) fn mean_of_middle(inputs: &[&[u8]], cut: usize, out: &mut [u8]) {
    let count = inputs.len();
    assert!(2 * cut < count, "something must be left");
    let width = (BLOCK_BYTES / FLOAT_BYTES / count).max(FEWEST);
    let width = width.min(out.len() / FLOAT_BYTES).max(1);
    let mut rows = vec![0_i32; count * width];
    let mut sums = vec![0.0_f64; width];
    let network = network(count);
    for (number, block) in out.chunks_mut(width * FLOAT_BYTES).enumerate() {
        let start = number * width * FLOAT_BYTES;
        for (row, input) in rows.chunks_mut(width).zip(inputs) {
            let words = input[start..start + block.len()].as_chunks().0;
            for (key, word) in row.iter_mut().zip(words) {
                *key = to_key(*word);
            }
        }
        for (low, high) in &network {
            let (head, tail) = rows.split_at_mut(high * width);
            let low = &mut head[low * width..][..width];
            for (a, b) in low.iter_mut().zip(&mut tail[..width]) {
                (*a, *b) = ((*a).min(*b), (*a).max(*b));
            }
        }
        let kept = &rows[cut * width..(count - cut) * width];
        write_mean(kept, width, &mut sums, block);
    }
}

/// The means of columns of keys, added from the smallest to the largest.
fn write_mean(rows: &[i32], width: usize, sums: &mut [f64], out: &mut [u8]) {
    let words = out.as_chunks_mut::<FLOAT_BYTES>().0;
    if rows.len() == width {
        for (word, key) in words.iter_mut().zip(rows) {
            *word = from_key(*key).to_le_bytes();
        }
        return;
    }
    // Not 0, which would turn a sum of -0 into 0.
    sums.fill(-0.0);
    for row in rows.chunks(width) {
        for (sum, key) in sums.iter_mut().zip(row) {
            *sum += f64::from(from_key(*key));
        }
    }
    let count = (rows.len() / width) as f64;
    for (word, sum) in words.iter_mut().zip(sums) {
        *word = ((*sum / count) as f32).to_le_bytes();
    }
}

/// An integer that is above another exactly if the float is.
fn to_key(word: [u8; FLOAT_BYTES]) -> i32 {
    turn(i32::from_le_bytes(word))
}

fn from_key(key: i32) -> f32 {
    f32::from_bits(turn(key).cast_unsigned())
}

/// Turns the order of the negative ones around, there and back.
fn turn(bits: i32) -> i32 {
    bits ^ ((bits >> 31) & i32::MAX)
}

/// Pairs of rows to be put in order, one after the other.
fn network(count: usize) -> Vec<(usize, usize)> {
    let mut pairs = Vec::new();
    let top = count.next_power_of_two() / 2;
    let mut p = top;
    while p > 0 {
        let (mut q, mut r, mut d) = (top, 0, p);
        loop {
            let fit = (0..count.saturating_sub(d)).filter(|i| i & p == r);
            pairs.extend(fit.map(|i| (i, i + d)));
            if q == p {
                break;
            }
            (d, q, r) = (q - p, q / 2, p);
        }
        p /= 2;
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A network sorts everything if it sorts all zeros and ones.
    #[test]
    fn the_network_sorts_every_number_of_rows() {
        for count in 1..=14_usize {
            let network = network(count);
            for pattern in 0..1_u32 << count {
                let mut bits: Vec<u32> = (0..count).map(|i| pattern >> i & 1).collect();
                for &(low, high) in &network {
                    assert!(low < high);
                    if bits[low] > bits[high] {
                        bits.swap(low, high);
                    }
                }
                assert!(bits.is_sorted(), "{count}: {pattern:b}");
            }
        }
    }

    #[test]
    fn keys_have_the_order_of_floats_and_come_back() {
        let floats = [
            f32::MIN,
            -1.5,
            -1.0,
            -1e-40,
            -0.0,
            0.0,
            1e-40,
            1.0,
            1.5,
            f32::MAX,
        ];
        let keys = floats.map(|float| to_key(float.to_le_bytes()));
        assert!(keys.is_sorted_by(|a, b| a < b));
        for (float, key) in floats.iter().zip(keys) {
            assert_eq!(float.to_bits(), from_key(key).to_bits());
        }
    }
}

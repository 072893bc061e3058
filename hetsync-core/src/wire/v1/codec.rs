//! Tensors in fewer bytes than f32 takes, or in more: to floats and back.
//!
//! | dtype | bytes | decodes to |
//! |---|---|---|
//! | f64 | 8 an element | the nearest f32 |
//! | bf16 | 2 an element | the same, exactly |
//! | f16 | 2 an element | the same, exactly |
//! | int8 | for each 256 elements, the last fewer: an f32 scale, then an i8 an element | `scale * i` in f32; a scale of NaN where an element is none or infinite |
//! | top-k | u32 index and f32 value, for each element that is not 0; indices ascend | as it says |
//!
//! All little-endian. Encoding rounds to nearest, ties to even. The scale of
//! an encoded block is a power of two, the smallest with which all fit, so
//! what was decoded encodes to the same bytes again.
//!
//! Invariants: the length in floats is known from the header, or for top-k
//! from the message, before memory is set aside; nothing that is decoded
//! panics, whatever the bytes.

use super::{Dtype, Error};
use crate::payload::{FLOAT_BYTES, Payload};

/// Elements that share a scale.
pub const BLOCK: usize = 256;
const SCALE_BYTES: usize = 4;
const PAIR_BYTES: usize = 8;

/// 2^121: 127 times the next one is beyond f32.
const LARGEST_SCALE: f32 = f32::from_bits(248 << 23);

/// How many elements so many bytes are; `None` if no number of elements is
/// as long, or they do not tell.
pub(super) fn elements(dtype: Dtype, bytes: u64) -> Option<u64> {
    let whole = |size: u64| bytes.is_multiple_of(size).then_some(bytes / size);
    match dtype {
        Dtype::None | Dtype::TopK => None,
        Dtype::F32 => whole(4),
        Dtype::F64 => whole(8),
        Dtype::Bf16 | Dtype::F16 => whole(2),
        Dtype::Int8 => {
            let block = (BLOCK + SCALE_BYTES) as u64;
            let (blocks, rest) = (bytes / block, bytes % block);
            match rest {
                0 => Some(blocks * BLOCK as u64),
                1..=4 => None,
                rest => Some(blocks * BLOCK as u64 + rest - SCALE_BYTES as u64),
            }
        }
    }
}

/// Bytes that so many elements take; top-k depends on their values.
fn encoded_bytes(dtype: Dtype, elements: usize) -> usize {
    match dtype {
        Dtype::None | Dtype::TopK => 0,
        Dtype::F32 => elements * 4,
        Dtype::F64 => elements * 8,
        Dtype::Bf16 | Dtype::F16 => elements * 2,
        Dtype::Int8 => elements + elements.div_ceil(BLOCK) * SCALE_BYTES,
    }
}

/// Floats in another form.
///
/// # Panics
/// If `floats` is no whole number of floats: that is a fault of the caller.
///
/// ```
/// use hetsync_core::Payload;
/// use hetsync_core::wire::v1::{Dtype, decode, encode_floats};
///
/// let floats = Payload::from_floats(&[1.0, -2.5, 0.0]);
/// let bytes = encode_floats(Dtype::Bf16, floats.as_bytes());
/// assert_eq!(bytes, [0x80, 0x3f, 0x20, 0xc0, 0, 0]);
/// assert_eq!(decode(Dtype::Bf16, &bytes, 3)?, floats);
/// # Ok::<(), hetsync_core::wire::v1::Error>(())
/// ```
pub fn encode_floats(dtype: Dtype, floats: &[u8]) -> Vec<u8> {
    let (words, rest) = floats.as_chunks::<FLOAT_BYTES>();
    assert!(rest.is_empty(), "a whole number of floats");
    let mut out = vec![0; encoded_bytes(dtype, words.len())];
    match dtype {
        Dtype::None => {}
        Dtype::F32 => out.copy_from_slice(floats),
        Dtype::F64 => put(words, &mut out, |value| f64::from(value).to_le_bytes()),
        Dtype::Bf16 => put(words, &mut out, |value| to_bf16(value).to_le_bytes()),
        Dtype::F16 => put(words, &mut out, |value| to_f16(value).to_le_bytes()),
        Dtype::Int8 => {
            let blocks = out.chunks_mut(BLOCK + SCALE_BYTES);
            for (words, block) in words.chunks(BLOCK).zip(blocks) {
                encode_block(words, block);
            }
        }
        Dtype::TopK => {
            let values = words.iter().map(|word| f32::from_le_bytes(*word));
            for (index, value) in (0_u32..).zip(values).filter(|(_, value)| *value != 0.0) {
                out.extend(index.to_le_bytes());
                out.extend(value.to_le_bytes());
            }
        }
    }
    out
}

/// Each element by itself. A loop over slices of known lengths, so that it
/// compiles to vector instructions.
fn put<const N: usize>(
    words: &[[u8; FLOAT_BYTES]],
    out: &mut [u8],
    write: impl Fn(f32) -> [u8; N],
) {
    for (word, out) in words.iter().zip(out.as_chunks_mut::<N>().0) {
        *out = write(f32::from_le_bytes(*word));
    }
}

/// The floats of `bytes`, which are so many.
///
/// # Errors
/// If they are not as many, or top-k indices do not ascend or are too large.
/// What is no finite float is for the payload to tell.
pub fn decode(dtype: Dtype, bytes: &[u8], elements: usize) -> Result<Payload, Error> {
    let mut out = vec![0; elements.saturating_mul(FLOAT_BYTES)];
    decode_into(dtype, bytes, &mut out)?;
    let fault = Error::Elements {
        described: elements as u64,
        announced: 0,
    };
    Payload::from_bytes(out).ok_or(fault)
}

/// The same, into a buffer of as many floats.
pub(crate) fn decode_into(dtype: Dtype, bytes: &[u8], out: &mut [u8]) -> Result<(), Error> {
    let (words, _) = out.as_chunks_mut::<FLOAT_BYTES>();
    let described = words.len() as u64;
    let announced = match dtype {
        Dtype::TopK if bytes.len().is_multiple_of(PAIR_BYTES) => described,
        _ => elements(dtype, bytes.len() as u64).unwrap_or(0),
    };
    if announced != described {
        return Err(Error::Elements {
            described,
            announced,
        });
    }
    match dtype {
        Dtype::None => {}
        Dtype::F32 => words.as_flattened_mut().copy_from_slice(bytes),
        Dtype::F64 => fill(words, bytes, |word: [u8; 8]| {
            f64::from_le_bytes(word) as f32
        }),
        Dtype::Bf16 => fill(words, bytes, |word| from_bf16(u16::from_le_bytes(word))),
        Dtype::F16 => fill(words, bytes, |word| from_f16(u16::from_le_bytes(word))),
        Dtype::Int8 => {
            for (block, words) in bytes
                .chunks(BLOCK + SCALE_BYTES)
                .zip(words.chunks_mut(BLOCK))
            {
                let Some((scale, steps)) = block.split_first_chunk::<SCALE_BYTES>() else {
                    continue;
                };
                let scale = f32::from_le_bytes(*scale);
                for (word, step) in words.iter_mut().zip(steps) {
                    *word = (scale * f32::from(*step as i8)).to_le_bytes();
                }
            }
        }
        Dtype::TopK => scatter(bytes, words)?,
    }
    Ok(())
}

/// The largest float that this form holds.
pub(crate) fn largest(dtype: Dtype) -> f32 {
    match dtype {
        Dtype::Bf16 => from_bf16(0x7f7f),
        Dtype::F16 => 65504.0,
        Dtype::Int8 => 127.0 * LARGEST_SCALE,
        _ => f32::MAX,
    }
}

fn fill<const N: usize>(
    words: &mut [[u8; FLOAT_BYTES]],
    bytes: &[u8],
    read: impl Fn([u8; N]) -> f32,
) {
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<N>().0) {
        *word = read(*bytes).to_le_bytes();
    }
}

fn scatter(bytes: &[u8], words: &mut [[u8; FLOAT_BYTES]]) -> Result<(), Error> {
    words.fill([0; FLOAT_BYTES]);
    let mut next = 0;
    for pair in bytes.as_chunks::<PAIR_BYTES>().0 {
        let [a, b, c, d, value @ ..] = *pair;
        let index = u32::from_le_bytes([a, b, c, d]) as usize;
        let limit = words.len();
        match words.get_mut(index).filter(|_| index >= next) {
            Some(word) => *word = value,
            None => {
                return Err(Error::Index {
                    found: index as u64,
                    next: next as u64,
                    limit: limit as u64,
                });
            }
        }
        next = index + 1;
    }
    Ok(())
}

fn encode_block(words: &[[u8; FLOAT_BYTES]], block: &mut [u8]) {
    // As numbers, absolute values are in the order of their bits, and what is
    // not finite is largest.
    let bits = |word: &[u8; FLOAT_BYTES]| u32::from_le_bytes(*word) & 0x7fff_ffff;
    let largest = words.iter().map(bits).fold(0, u32::max);
    let scale = match largest < f32::INFINITY.to_bits() {
        true => scale(f32::from_bits(largest)),
        // For whoever decodes it to refuse.
        false => f32::NAN,
    };
    let (head, steps) = block.split_at_mut(SCALE_BYTES);
    head.copy_from_slice(&scale.to_le_bytes());
    // Exact, the scale being a power of two.
    let inverse = 1.0 / scale;
    for (word, step) in words.iter().zip(steps) {
        let steps = f32::from_le_bytes(*word) * inverse;
        *step = nearest(steps).clamp(-127.0, 127.0) as i8 as u8;
    }
}

/// Rounded to nearest, ties to even, for what is far below 2^22: adding so
/// much that no fraction is left does that, in two instructions.
fn nearest(value: f32) -> f32 {
    const SHIFT: f32 = 12_582_912.0;
    value + SHIFT - SHIFT
}

/// The smallest power of two with which `largest` is 127 steps or fewer.
fn scale(largest: f32) -> f32 {
    if largest == 0.0 {
        return 1.0;
    }
    let mut scale = f32::MIN_POSITIVE;
    // From the exponent, and then a step or two.
    let exponent = (largest.to_bits() >> 23).saturating_sub(8).clamp(1, 254);
    scale = scale.max(f32::from_bits(exponent << 23));
    while scale < LARGEST_SCALE && nearest(largest / scale) > 127.0 {
        scale *= 2.0;
    }
    scale
}

fn to_bf16(value: f32) -> u16 {
    let bits = value.to_bits();
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
    // Rounding could make an infinity, or a zero, of a NaN.
    let nan = bits >> 16 | 0x40;
    let is_nan = bits & 0x7fff_ffff > 0x7f80_0000;
    (if is_nan { nan } else { rounded }) as u16
}

fn from_bf16(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

fn to_f16(value: f32) -> u16 {
    let bits = value.to_bits();
    let sign = (bits >> 16) as u16 & 0x8000;
    let magnitude = bits & 0x7fff_ffff;
    let rest = match magnitude {
        // NaN stays one.
        0x7f80_0001.. => 0x7e00,
        // 65520 and more round to an infinity.
        0x477f_f000.. => 0x7c00,
        // Normal numbers: another bias, thirteen bits fewer.
        0x3880_0000.. => {
            let rebased = magnitude - (112 << 23);
            ((rebased + 0x0fff + (rebased >> 13 & 1)) >> 13) as u16
        }
        // Subnormal ones: multiples of 2^-24. Adding one half puts the last
        // bit where the sum rounds.
        _ => {
            let shifted = f32::from_bits(magnitude) + 0.5;
            (shifted.to_bits() - 0x3f00_0000) as u16
        }
    };
    sign | rest
}

fn from_f16(bits: u16) -> f32 {
    let sign = u32::from(bits & 0x8000) << 16;
    let (exponent, fraction) = (u32::from(bits >> 10 & 0x1f), u32::from(bits & 0x3ff));
    let magnitude = match exponent {
        0 => (fraction as f32 / 16_777_216.0).to_bits(),
        31 => 0x7f80_0000 | fraction << 13,
        _ => (exponent + 112) << 23 | fraction << 13,
    };
    f32::from_bits(sign | magnitude)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every 16-bit pattern is decoded exactly and encodes to itself.
    #[test]
    fn all_halves_make_the_round_trip() {
        for bits in 0..=u16::MAX {
            let value = from_bf16(bits);
            assert!(value.is_nan() || to_bf16(value) == bits, "bf16 {bits:04x}");
            let value = from_f16(bits);
            assert!(value.is_nan() || to_f16(value) == bits, "f16 {bits:04x}");
        }
    }

    /// Between any two neighbours the nearer is taken, and the even one of
    /// two that are as near.
    #[test]
    fn rounding_is_to_the_nearest_and_to_even() {
        for bits in (0..0x7bff_u16).step_by(3) {
            let (low, high) = (f64::from(from_f16(bits)), f64::from(from_f16(bits + 1)));
            let even = if bits % 2 == 0 { bits } else { bits + 1 };
            assert_eq!(to_f16(((low + high) / 2.0) as f32), even, "{bits:04x}");
            assert_eq!(to_f16((low * 0.75 + high * 0.25) as f32), bits);
            assert_eq!(to_f16((low * 0.25 + high * 0.75) as f32), bits + 1);
            let (low, high) = (f64::from(from_bf16(bits)), f64::from(from_bf16(bits + 1)));
            assert_eq!(to_bf16(((low + high) / 2.0) as f32), even, "{bits:04x}");
            assert_eq!(to_bf16((low * 0.75 + high * 0.25) as f32), bits);
        }
        assert_eq!(to_f16(65519.0), 0x7bff);
        assert_eq!(to_f16(65520.0), 0x7c00);
    }

    #[test]
    fn a_block_of_int8_has_the_smallest_scale_and_encodes_to_itself() {
        for largest in [
            1e-38_f32,
            1e-10,
            0.4,
            63.5,
            64.0,
            126.9,
            127.0,
            127.5,
            128.0,
            3e38,
            f32::MAX,
        ] {
            let floats = Payload::from_floats(&[largest, -largest / 3.0, 0.0, largest / 7.0]);
            let bytes = encode_floats(Dtype::Int8, floats.as_bytes());
            let again = decode(Dtype::Int8, &bytes, 4).expect("it decodes");
            assert_eq!(
                encode_floats(Dtype::Int8, again.as_bytes()),
                bytes,
                "{largest}"
            );
            let scale = scale(largest);
            assert!(
                largest / scale < 128.0 && (largest / scale > 63.4 || scale == f32::MIN_POSITIVE)
            );
            for (value, floats) in again.to_floats().iter().zip(floats.to_floats()) {
                // Only what is next to the end of f32 is cut off.
                let nearest = if largest > 3.39e38 { 1.0 } else { 0.5 };
                assert!(
                    (value - floats).abs() <= scale * nearest * 1.01,
                    "{largest}"
                );
            }
        }
    }

    #[test]
    fn lengths_are_those_of_a_number_of_elements() {
        for dtype in [Dtype::F32, Dtype::F64, Dtype::Bf16, Dtype::F16, Dtype::Int8] {
            let mut lengths = std::collections::HashSet::new();
            for count in 1..1000 {
                let bytes = encoded_bytes(dtype, count) as u64;
                assert_eq!(elements(dtype, bytes), Some(count as u64), "{dtype:?}");
                lengths.insert(bytes);
            }
            for bytes in (1..900).filter(|bytes| !lengths.contains(bytes)) {
                assert_eq!(elements(dtype, bytes), None, "{dtype:?}: {bytes}");
            }
        }
    }

    #[test]
    fn top_k_refuses_what_is_out_of_order_or_range() {
        let pairs = |pairs: &[(u32, f32)]| -> Vec<u8> {
            let pair = |(at, value): &(u32, f32)| [at.to_le_bytes(), value.to_le_bytes()].concat();
            pairs.iter().flat_map(pair).collect()
        };
        let good = decode(Dtype::TopK, &pairs(&[(1, 2.0), (3, -1.0)]), 5).expect("in order");
        assert_eq!(good.to_floats(), [0.0, 2.0, 0.0, -1.0, 0.0]);
        assert_eq!(
            encode_floats(Dtype::TopK, good.as_bytes()),
            pairs(&[(1, 2.0), (3, -1.0)])
        );
        for bad in [
            &[(5, 1.0)][..],
            &[(2, 1.0), (2, 1.0)],
            &[(3, 1.0), (1, 1.0)],
            &[(u32::MAX, 1.0)],
        ] {
            assert!(matches!(
                decode(Dtype::TopK, &pairs(bad), 5),
                Err(Error::Index { .. })
            ));
        }
        assert!(decode(Dtype::TopK, &[0; 9], 5).is_err());
    }
}

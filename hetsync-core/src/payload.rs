//! One gradient, or one sum of gradients: raw little-endian f32s.
//!
//! Bytes stay as they came off the wire; the aggregation kernels read them
//! in place, so a gradient is copied once, by the kernel's `recv`.
//!
//! Invariants: the length is a whole number of floats, and `first_bad` is
//! the index of the first NaN or infinity. It is found while the bytes are
//! still in cache, as they arrive, so that a check costs no second pass.

/// Bytes per element.
pub const FLOAT_BYTES: usize = 4;

/// A vector of f32 in wire form.
///
/// ```
/// use hetsync_core::Payload;
///
/// let gradient = Payload::from_floats(&[1.0, -2.5]);
/// assert_eq!(gradient.floats(), 2);
/// assert_eq!(gradient.to_floats(), [1.0, -2.5]);
/// assert_eq!(Payload::from_floats(&[0.0, f32::NAN]).first_non_finite(), Some(1));
/// ```
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Payload {
    bytes: Vec<u8>,
    first_bad: Option<usize>,
}

impl Payload {
    /// The wire form of `floats`.
    pub fn from_floats(floats: &[f32]) -> Self {
        let mut bytes = Vec::with_capacity(floats.len() * FLOAT_BYTES);
        for value in floats {
            bytes.extend_from_slice(&value.to_le_bytes());
        }
        let first_bad = first_non_finite(&bytes);
        Self { bytes, first_bad }
    }

    /// Takes over a buffer that holds little-endian f32s. `None` unless its
    /// length is a multiple of four.
    pub fn from_bytes(bytes: Vec<u8>) -> Option<Self> {
        let first_bad = first_non_finite(&bytes);
        bytes
            .len()
            .is_multiple_of(FLOAT_BYTES)
            .then_some(Self { bytes, first_bad })
    }

    /// For the decoder, which has looked at each byte as it arrived.
    pub(crate) fn from_checked(bytes: Vec<u8>, first_bad: Option<usize>) -> Self {
        debug_assert!(bytes.len().is_multiple_of(FLOAT_BYTES));
        debug_assert_eq!(first_bad, first_non_finite(&bytes));
        Self { bytes, first_bad }
    }

    /// Number of elements.
    pub fn floats(&self) -> usize {
        self.bytes.len() / FLOAT_BYTES
    }

    /// The bytes as they go over the wire.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Gives the buffer back, for another gradient to be read into.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The elements, decoded into a new vector.
    pub fn to_floats(&self) -> Vec<f32> {
        let (words, _) = self.bytes.as_chunks::<FLOAT_BYTES>();
        words.iter().map(|word| f32::from_le_bytes(*word)).collect()
    }

    /// Multiplies each element by `weight`, which is from 0 to 1 so that
    /// what was finite stays so.
    pub(crate) fn scale(&mut self, weight: f32) {
        debug_assert!((0.0..=1.0).contains(&weight));
        for word in self.bytes.as_chunks_mut::<FLOAT_BYTES>().0 {
            *word = (f32::from_le_bytes(*word) * weight).to_le_bytes();
        }
    }

    /// Multiplies each element by any `weight`, and looks again for what is
    /// not finite.
    pub(crate) fn weigh(&mut self, weight: f32) {
        for word in self.bytes.as_chunks_mut::<FLOAT_BYTES>().0 {
            *word = (f32::from_le_bytes(*word) * weight).to_le_bytes();
        }
        self.first_bad = first_non_finite(&self.bytes);
    }

    /// Index of the first NaN or infinity, if there is one.
    pub fn first_non_finite(&self) -> Option<usize> {
        self.first_bad
    }
}

impl std::fmt::Debug for Payload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A gradient may hold millions of floats; four tell which it is.
        let mut shown = self.to_floats();
        shown.truncate(4);
        write!(f, "Payload({} floats: {shown:?}..)", self.floats())
    }
}

/// Index of the first float in `bytes` that is NaN or infinite. A tail
/// shorter than a float is not looked at.
///
/// The common answer is "none", so blocks are tested as a whole in a loop
/// without branches, which compiles to vector instructions; only a block
/// that fails is searched. One more than the largest exponent carries into
/// the sign, which is one instruction less than comparing.
pub(crate) fn first_non_finite(bytes: &[u8]) -> Option<usize> {
    const BLOCK: usize = 1024;
    const EXPONENT: u32 = 0x7f80_0000;
    const ONE: u32 = 0x0080_0000;
    let carried = |word: &[u8; FLOAT_BYTES]| (u32::from_le_bytes(*word) & EXPONENT) + ONE;
    let is_bad = |carried: u32| carried > EXPONENT;
    let (words, _) = bytes.as_chunks::<FLOAT_BYTES>();
    for (number, block) in words.chunks(BLOCK).enumerate() {
        let any = block.iter().fold(0_u32, |any, word| any | carried(word));
        if is_bad(any) {
            return block
                .iter()
                .position(|word| is_bad(carried(word)))
                .map(|at| number * BLOCK + at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bad_float_is_found_wherever_it_is() {
        for len in [1, 3, 1023, 1024, 1025, 5000] {
            assert_eq!(
                Payload::from_floats(&vec![1.0; len]).first_non_finite(),
                None
            );
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let mut floats = vec![f32::MAX; len];
                floats[len - 1] = bad;
                assert_eq!(
                    Payload::from_floats(&floats).first_non_finite(),
                    Some(len - 1)
                );
            }
        }
    }

    #[test]
    fn a_part_of_a_float_is_no_payload() {
        assert!(Payload::from_bytes(vec![0; 7]).is_none());
        assert!(Payload::from_bytes(vec![0; 8]).is_some());
    }
}

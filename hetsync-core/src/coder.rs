//! Gradients in fewer bytes, with what that takes away added to the next
//! one, so that nothing is lost for ever.
//!
//! Invariant: what was encoded so far, decoded and added up, is what was
//! given so far but for the residual, within the rounding of f32.

use crate::payload::{FLOAT_BYTES, first_non_finite};
use crate::wire::v1::{Dtype, decode_into, encode_floats, largest};

/// In which form a worker sends gradients and would have results.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Coding {
    /// Of gradients. With bf16, f16, int8 and top-k, what is lost is added to
    /// the next gradient.
    pub push: Dtype,
    /// Of results. The server has them in one form besides f32, if any, and
    /// sends f32 if it is another.
    pub result: Dtype,
    /// With top-k, the share of the elements that is sent: the largest ones.
    pub share: f32,
}

/// f32 in both directions, and a hundredth of the elements if it is top-k.
impl Default for Coding {
    fn default() -> Self {
        Self {
            push: Dtype::F32,
            result: Dtype::F32,
            share: 0.01,
        }
    }
}

/// Encodes one worker's gradients, one after the other.
///
/// ```
/// use hetsync_core::wire::v1::{Dtype, decode};
/// use hetsync_core::{Coder, Coding, Payload};
///
/// let coding = Coding { push: Dtype::Int8, ..Coding::default() };
/// let mut coder = Coder::new(coding);
/// let gradient = Payload::from_floats(&[100.0, 0.3]);
/// // A step of int8 is 1 here, so 0.3 is sent as 0 and kept: it adds up.
/// let mut sum = 0.0;
/// for _ in 0..10 {
///     let bytes = coder.encode(gradient.as_bytes());
///     sum += decode(Dtype::Int8, &bytes, 2)?.to_floats()[1];
/// }
/// assert_eq!(sum, 3.0);
/// # Ok::<(), hetsync_core::wire::v1::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Coder {
    coding: Coding,
    residual: Vec<f32>,
    scratch: Vec<u8>,
}

impl Coder {
    /// With nothing owed yet.
    pub fn new(coding: Coding) -> Self {
        Self {
            coding,
            residual: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// As it was told.
    pub fn coding(&self) -> Coding {
        self.coding
    }

    /// What is owed to the next gradient.
    pub fn residual(&self) -> &[f32] {
        &self.residual
    }

    /// A gradient, little-endian f32s, in the form of pushes. One that holds
    /// a NaN or an infinity is encoded as it is, for the server to refuse,
    /// and what is owed stays owed.
    pub fn encode(&mut self, gradient: &[u8]) -> Vec<u8> {
        let dtype = self.coding.push;
        if matches!(dtype, Dtype::F32 | Dtype::F64) || first_non_finite(gradient).is_some() {
            return encode_floats(dtype, gradient);
        }
        let (words, _) = gradient.as_chunks::<FLOAT_BYTES>();
        self.residual.resize(words.len(), 0.0);
        let limit = largest(dtype);
        for (owed, word) in self.residual.iter_mut().zip(words) {
            *owed = (*owed + f32::from_le_bytes(*word)).clamp(-limit, limit);
        }
        let sent = match dtype {
            Dtype::TopK => self.select(),
            _ => {
                let mut sent = vec![0; gradient.len()];
                let (words, _) = sent.as_chunks_mut::<FLOAT_BYTES>();
                for (word, owed) in words.iter_mut().zip(&self.residual) {
                    *word = owed.to_le_bytes();
                }
                sent
            }
        };
        let mut coded = encode_floats(dtype, &sent);
        if coded.is_empty() {
            // A push without any bytes is none: element 0 is 0.
            coded = vec![0; 8];
        }
        self.scratch.resize(sent.len(), 0);
        // As long as what it was made of.
        let decoded = decode_into(dtype, &coded, &mut self.scratch);
        debug_assert!(decoded.is_ok());
        let (words, _) = self.scratch.as_chunks::<FLOAT_BYTES>();
        for (owed, word) in self.residual.iter_mut().zip(words) {
            *owed -= f32::from_le_bytes(*word);
        }
        coded
    }

    /// The largest elements that are owed, the others 0. Of equal ones the
    /// first are taken.
    fn select(&self) -> Vec<u8> {
        let count = self.residual.len();
        let keep = (count as f32 * self.coding.share).ceil().max(1.0) as usize;
        let mut order: Vec<usize> = (0..count).collect();
        let size = |at: &usize| self.residual[*at].abs();
        if keep < count {
            order.select_nth_unstable_by(keep, |a, b| size(b).total_cmp(&size(a)).then(a.cmp(b)));
            order.truncate(keep);
        }
        let mut sent = vec![0; count * FLOAT_BYTES];
        for at in order {
            let value = self.residual[at].to_le_bytes();
            sent[at * FLOAT_BYTES..][..FLOAT_BYTES].copy_from_slice(&value);
        }
        sent
    }
}

//! Results rounded to the precision that they are sent in, so that every
//! worker, and the model that the server holds, has the same bits, whatever
//! form each of them is sent.
//!
//! Invariant: a rounded result encodes to the job's form without loss. What
//! rounding took away is added to the next result, so nothing is lost for
//! ever; where a result would leave the form's range, it is cut off there.

use std::sync::Arc;

use super::{Machine, RoundResult};
use crate::payload::FLOAT_BYTES;
use crate::wire::v1::{Dtype, decode_into, encode_floats, largest};

impl Machine {
    /// What results are rounded to.
    pub fn precision(&self) -> Dtype {
        match self.config.precision {
            dtype @ (Dtype::Bf16 | Dtype::F16 | Dtype::Int8) => dtype,
            _ => Dtype::F32,
        }
    }

    pub(super) fn round_result(&mut self, result: &mut RoundResult) {
        let dtype = self.precision();
        if dtype == Dtype::F32 {
            return;
        }
        let bytes = result.bytes_mut();
        let (words, _) = bytes.as_chunks_mut::<FLOAT_BYTES>();
        // A copy only while a checkpoint with it is being written.
        let residuals = Arc::make_mut(&mut self.residual);
        residuals.resize(words.len(), 0.0);
        let limit = largest(dtype);
        for (word, residual) in words.iter_mut().zip(&mut *residuals) {
            let wanted = f32::from_le_bytes(*word) + *residual;
            let wanted = wanted.clamp(-limit, limit);
            *residual = wanted;
            *word = wanted.to_le_bytes();
        }
        let coded = encode_floats(dtype, bytes);
        // As long as what it was made of.
        let decoded = decode_into(dtype, &coded, bytes);
        debug_assert!(decoded.is_ok());
        let (words, _) = bytes.as_chunks::<FLOAT_BYTES>();
        for (word, residual) in words.iter().zip(residuals) {
            *residual -= f32::from_le_bytes(*word);
        }
    }
}

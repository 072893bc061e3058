//! An array on its way to a disk or from one: bytes, or floats that somebody
//! else may hold as well.
//!
//! Not a copy: what is handed out for a checkpoint is shared with the model
//! until the model changes it, so taking a checkpoint of a gigabyte takes no
//! time, and writing it holds up nobody.
//!
//! Invariant: its bytes are those of little-endian f32s, whatever the machine.

use std::fmt;
use std::sync::Arc;

use crate::payload::FLOAT_BYTES;

/// Floats that are turned into bytes at a time; they are still in cache when
/// they are written.
const CHUNK_FLOATS: usize = 64 * 1024;

/// Content of an array, cheap to clone.
#[derive(Clone)]
pub struct Array(Content);

#[derive(Clone)]
enum Content {
    Bytes(Arc<Vec<u8>>),
    Floats(Arc<Vec<f32>>),
}

impl Array {
    /// How many bytes it has.
    pub fn len(&self) -> usize {
        match &self.0 {
            Content::Bytes(bytes) => bytes.len(),
            Content::Floats(floats) => floats.len() * FLOAT_BYTES,
        }
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Shows its bytes from the first to the last, in pieces.
    ///
    /// # Errors
    /// The first of `show`, after which nothing more is shown.
    pub fn for_each<E>(&self, mut show: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        match &self.0 {
            Content::Bytes(bytes) => show(bytes),
            Content::Floats(floats) => {
                let mut piece = Vec::new();
                for chunk in floats.chunks(CHUNK_FLOATS) {
                    piece.resize(chunk.len() * FLOAT_BYTES, 0);
                    let (words, _) = piece.as_chunks_mut::<FLOAT_BYTES>();
                    for (word, float) in words.iter_mut().zip(chunk) {
                        *word = float.to_le_bytes();
                    }
                    show(&piece)?;
                }
                Ok(())
            }
        }
    }

    /// All of its bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut all = Vec::with_capacity(self.len());
        let shown: Result<(), std::convert::Infallible> = self.for_each(|piece| {
            all.extend_from_slice(piece);
            Ok(())
        });
        match shown {
            Ok(()) => all,
        }
    }

    /// Its floats; `None` if its length is no multiple of four.
    pub fn to_floats(&self) -> Option<Arc<Vec<f32>>> {
        match &self.0 {
            Content::Floats(floats) => Some(Arc::clone(floats)),
            Content::Bytes(bytes) => {
                let (words, rest) = bytes.as_chunks::<FLOAT_BYTES>();
                let floats = words.iter().map(|word| f32::from_le_bytes(*word));
                rest.is_empty().then(|| Arc::new(floats.collect()))
            }
        }
    }
}

impl From<Vec<u8>> for Array {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Content::Bytes(Arc::new(bytes)))
    }
}

impl From<Arc<Vec<f32>>> for Array {
    fn from(floats: Arc<Vec<f32>>) -> Self {
        Self(Content::Floats(floats))
    }
}

impl PartialEq for Array {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.to_bytes() == other.to_bytes()
    }
}

impl fmt::Debug for Array {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Array({} bytes)", self.len())
    }
}

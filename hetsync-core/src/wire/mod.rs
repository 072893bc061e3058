//! Frames on the wire: encoding, incremental decoding, and their limits.
//!
//! One file per protocol version. Nothing here knows a socket: a decoder
//! offers the slices it wants filled and is told how many bytes came.
//!
//! Invariant: every limit is checked on the header, before a byte of memory
//! is set aside for the payload, and memory then grows with the bytes that
//! really arrive, not with the length that a peer claims.

mod body;
pub mod v0;
pub mod v1;

/// What is wrong with a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The header announces no payload at all.
    #[error("frame announces 0 bytes of payload; a gradient has at least one float (4 bytes)")]
    Empty,
    /// The payload is not a whole number of floats.
    #[error(
        "frame announces {found} bytes of payload, which is no multiple of 4; protocol 0 carries f32s only"
    )]
    NotFloats {
        /// Bytes announced.
        found: u64,
    },
    /// The payload is larger than the receiver takes.
    #[error(
        "frame announces {found} bytes of payload; the limit is {limit}. Raise --max-payload if the model is that large"
    )]
    TooLong {
        /// Bytes announced.
        found: u64,
        /// The receiver's limit in bytes.
        limit: u64,
    },
    /// The payload has another length than the model.
    #[error(
        "frame announces {found} bytes of payload; the model has {expected}. All workers of a job must send gradients of one length"
    )]
    Mismatch {
        /// Bytes announced.
        found: u64,
        /// Bytes of the model.
        expected: u64,
    },
}

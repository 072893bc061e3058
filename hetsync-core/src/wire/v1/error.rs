//! What can be wrong with a frame of protocol 1.

use super::message::ErrorCode;
use super::{Dtype, Kind, MAX_TENSORS};

/// Whether a kind of frame has tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Required,
    Allowed,
    Forbidden,
}

/// What is wrong with a frame. Nothing can be read behind it: nobody knows
/// where the next frame would begin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// These are not the first bytes of a frame.
    #[error("a frame begins with \"HSYN\", not with {found:02x?}")]
    Magic {
        /// The bytes instead.
        found: [u8; 4],
    },
    /// Another version of the protocol.
    #[error("frame of protocol version {found}; this side speaks version 1")]
    Version {
        /// Its number.
        found: u8,
    },
    /// Header, message or tensors were damaged on their way.
    #[error(
        "checksum of the {part} is {announced:08x}, but its bytes give {found:08x}; they were damaged on their way, or its sender uses another checksum than CRC-32"
    )]
    Checksum {
        /// Which part.
        part: &'static str,
        /// The sender's.
        announced: u32,
        /// Ours.
        found: u32,
    },
    /// A kind of frame that does not exist.
    #[error("frame of kind {found}; the kinds are 1 to 9")]
    Kind {
        /// Its number.
        found: u8,
    },
    /// Flags are for later versions.
    #[error("frame with flags {found:#04x}; protocol 1 has none")]
    Flags {
        /// The byte.
        found: u8,
    },
    /// A type of element that is not spoken here.
    #[error("elements of type {found}; this side takes f32 (1) only")]
    Dtype {
        /// Its number.
        found: u8,
    },
    /// A message beyond the limit.
    #[error("{} message of {found} bytes; the limit is {limit}", kind.name())]
    MessageTooLong {
        /// The frame's kind.
        kind: Kind,
        /// Bytes announced.
        found: u32,
        /// The limit in bytes.
        limit: u32,
    },
    /// Tensors beyond the limit.
    #[error(
        "{} announces {found} bytes of tensors; the limit is {limit}. Raise --max-payload if the model is that large",
        kind.name()
    )]
    TensorsTooLong {
        /// The frame's kind.
        kind: Kind,
        /// Bytes announced.
        found: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// Tensors where there are none, or none where there are some.
    #[error("{} announces {found} bytes of tensors of type {dtype:?}", kind.name())]
    NoSuchTensors {
        /// The frame's kind.
        kind: Kind,
        /// Bytes announced.
        found: u64,
        /// Their type.
        dtype: Dtype,
    },
    /// Tensor bytes that are no whole number of elements.
    #[error("{found} bytes of tensors are no whole number of elements of {}", .dtype.name())]
    NotElements {
        /// Bytes announced.
        found: u64,
        /// What they are announced as.
        dtype: Dtype,
    },
    /// Indices that do not ascend, or lie outside of the tensors.
    #[error("element {found} where one from {next} to below {limit} could be")]
    Index {
        /// The index.
        found: u64,
        /// The smallest that could be next.
        next: u64,
        /// Elements that there are.
        limit: u64,
    },
    /// The tensors described are not as long as those announced.
    #[error("its tensors are described with {described} elements and announced with {announced}")]
    Elements {
        /// In the message.
        described: u64,
        /// In the header.
        announced: u64,
    },
    /// More tensors than are taken.
    #[error("{found} tensors in one frame; the limit is {MAX_TENSORS}")]
    TooManyTensors {
        /// How many.
        found: usize,
    },
    /// The message is no message.
    #[error("{} message is malformed: {why}", kind.name())]
    Malformed {
        /// The frame's kind.
        kind: Kind,
        /// The decoder's words.
        why: String,
    },
}

impl Error {
    /// What a peer is told.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Version { .. } | Self::Dtype { .. } => ErrorCode::Version,
            Self::Checksum { .. } => ErrorCode::Checksum,
            Self::MessageTooLong { .. }
            | Self::TensorsTooLong { .. }
            | Self::TooManyTensors { .. } => ErrorCode::TooLarge,
            Self::Elements { .. } | Self::Index { .. } => ErrorCode::Layout,
            _ => ErrorCode::Protocol,
        }
    }
}

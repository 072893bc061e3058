//! The fixed part in front of each frame.

use super::Error;
use super::error::Part;

/// First bytes of each frame. Never 0, as a protocol 0 frame begins.
pub const MAGIC: [u8; 4] = *b"HSYN";

/// The protocol's number.
pub const VERSION: u8 = 1;

/// Bytes of a header.
pub const HEADER_BYTES: usize = 32;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// Who a worker is.
    Hello = 1,
    /// The answer.
    Welcome = 2,
    /// A gradient.
    Push = 3,
    /// A round's result.
    Result = 4,
    /// What a worker has missed.
    CatchUp = 5,
    /// A sign of life.
    Heartbeat = 6,
    /// A worker takes part.
    Join = 7,
    /// A worker takes part no more.
    Leave = 8,
    /// Why the connection is closed.
    Error = 9,
}

impl Kind {
    /// All of them, by number.
    pub const ALL: [Self; 9] = [
        Self::Hello,
        Self::Welcome,
        Self::Push,
        Self::Result,
        Self::CatchUp,
        Self::Heartbeat,
        Self::Join,
        Self::Leave,
        Self::Error,
    ];

    /// The word used in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hello => "hello",
            Self::Welcome => "welcome",
            Self::Push => "push",
            Self::Result => "result",
            Self::CatchUp => "catch-up",
            Self::Heartbeat => "heartbeat",
            Self::Join => "join",
            Self::Leave => "leave",
            Self::Error => "error",
        }
    }

    /// Whether its frames must, may or must not carry tensors.
    pub(super) const fn tensors(self) -> Part {
        match self {
            Self::Push | Self::Result => Part::Required,
            Self::CatchUp => Part::Allowed,
            _ => Part::Forbidden,
        }
    }

    fn from_byte(found: u8) -> Result<Self, Error> {
        let index = usize::from(found).wrapping_sub(1);
        Self::ALL.get(index).copied().ok_or(Error::Kind { found })
    }
}

/// What the tensor bytes are; `codec` has the forms. In a hello: what the
/// worker would have results in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Dtype {
    /// There are none.
    None = 0,
    /// IEEE 754 single precision, little-endian.
    F32 = 1,
    /// Double precision.
    F64 = 2,
    /// The upper half of an f32.
    Bf16 = 3,
    /// Half precision.
    F16 = 4,
    /// Eight bits, with a scale for each block.
    Int8 = 5,
    /// Those elements alone that are not 0.
    TopK = 6,
}

impl Dtype {
    /// All of them, by number.
    pub const ALL: [Self; 7] = [
        Self::None,
        Self::F32,
        Self::F64,
        Self::Bf16,
        Self::F16,
        Self::Int8,
        Self::TopK,
    ];

    /// The word used in messages and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
            Self::Int8 => "int8",
            Self::TopK => "topk",
        }
    }

    fn from_byte(found: u8) -> Result<Self, Error> {
        let known = Self::ALL.get(usize::from(found));
        known.copied().ok_or(Error::Dtype { found })
    }
}

/// A header that is in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What the frame is.
    pub kind: Kind,
    /// What the tensors are made of.
    pub dtype: Dtype,
    /// Length of the message.
    pub message_bytes: u32,
    /// Checksum of the message.
    pub message_crc: u32,
    /// Length of all tensors together.
    pub tensor_bytes: u64,
    /// Checksum of the tensors.
    pub tensor_crc: u32,
}

impl Header {
    /// The header's bytes, its own checksum at their end.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4] = VERSION;
        bytes[5] = self.kind as u8;
        bytes[6] = self.dtype as u8;
        bytes[8..12].copy_from_slice(&self.message_bytes.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.message_crc.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.tensor_bytes.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.tensor_crc.to_le_bytes());
        let crc = super::crc(&bytes[..28]);
        bytes[28..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a header. Magic and version come first, as only they have a
    /// place that holds for every version.
    ///
    /// # Errors
    /// Whatever is wrong with it, apart from its lengths.
    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Self, Error> {
        let four = |at: usize| [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
        let word = |at: usize| u32::from_le_bytes(four(at));
        if four(0) != MAGIC {
            return Err(Error::Magic { found: four(0) });
        }
        if bytes[4] != VERSION {
            return Err(Error::Version { found: bytes[4] });
        }
        let (announced, found) = (word(28), super::crc(&bytes[..28]));
        if announced != found {
            return Err(Error::Checksum {
                part: "header",
                announced,
                found,
            });
        }
        if bytes[7] != 0 {
            return Err(Error::Flags { found: bytes[7] });
        }
        let long = u64::from(word(16)) | u64::from(word(20)) << 32;
        Ok(Self {
            kind: Kind::from_byte(bytes[5])?,
            dtype: Dtype::from_byte(bytes[6])?,
            message_bytes: word(8),
            message_crc: word(12),
            tensor_bytes: long,
            tensor_crc: word(24),
        })
    }
}

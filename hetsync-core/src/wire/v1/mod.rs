//! Protocol 1: a checked header, a control message, raw tensor bytes.
//!
//! ```text
//!  byte 0     4   5    6     7     8          12         16        24         28         32
//!       +-----+---+----+-----+-----+----------+----------+---------+----------+----------+
//!       |magic|ver|kind|dtype|flags| message  | message  | tensor  | tensor   | header   |
//!       |     | 1 |    |     |  0  | bytes u32| crc  u32 |bytes u64| crc  u32 | crc  u32 |
//!       +-----+---+----+-----+-----+----------+----------+---------+----------+----------+
//!       | message: Protocol Buffers, see proto/hetsync-v1.proto                          |
//!       +--------------------------------------------------------------------------------+
//!       | tensors: raw, one behind the other                                             |
//!       +--------------------------------------------------------------------------------+
//! ```
//!
//! All numbers are little-endian. The magic begins with a byte that is not
//! 0, as the first byte of every protocol 0 frame is, so one port serves
//! both. The header is checked by its own checksum before its lengths are
//! believed, and they are held against the limits before memory is set
//! aside. The message layer never sees tensor bytes.
//!
//! Not here: the conversation, which is the server's and the worker's.

mod codec;
mod decoder;
mod error;
mod header;
pub mod message;

pub use codec::{BLOCK, decode, encode_floats};
pub(crate) use codec::{decode_into, largest};
pub use decoder::{Decoder, Head, Item, Limits};
pub use error::Error;
pub use header::{Dtype, HEADER_BYTES, Header, Kind, MAGIC, VERSION};
pub use message::{ErrorCode, Message};

use prost::Message as _;

/// Longest control message that is ever taken, in bytes.
pub const MAX_MESSAGE_BYTES: u32 = 1 << 20;

/// Longest control message that is taken from a peer that has not said who
/// it is, in bytes.
pub const MAX_HELLO_BYTES: u32 = 4096;

/// Most tensors in a frame.
pub const MAX_TENSORS: usize = 10_000;

/// The checksum of protocol 1: CRC-32 as in zlib, gzip and Ethernet.
///
/// ```
/// assert_eq!(hetsync_core::wire::v1::crc(b"123456789"), 0xcbf4_3926);
/// ```
pub fn crc(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

/// Header and message of a frame without tensors.
///
/// ```
/// use hetsync_core::wire::v1::{self, Message, message};
///
/// let frame = v1::encode(&Message::Leave(message::Leave {}));
/// assert_eq!(frame.len(), v1::HEADER_BYTES);
/// ```
pub fn encode(message: &Message) -> Vec<u8> {
    let dtype = match message {
        // Says what it is going to send.
        Message::Hello(_) => Dtype::F32,
        _ => Dtype::None,
    };
    encode_head(message, dtype, 0, 0)
}

/// Header and message of a frame whose tensors, `tensor_bytes` bytes of
/// f32 with the checksum `tensor_crc`, are sent behind it from where they
/// are.
pub fn encode_before_tensors(message: &Message, tensor_bytes: u64, tensor_crc: u32) -> Vec<u8> {
    encode_head(message, Dtype::F32, tensor_bytes, tensor_crc)
}

/// A whole frame with tensors in one buffer, for tests and small vectors.
pub fn encode_with_tensors(message: &Message, tensors: &[u8]) -> Vec<u8> {
    let mut frame = encode_before_tensors(message, tensors.len() as u64, crc(tensors));
    frame.extend_from_slice(tensors);
    frame
}

/// Header and message of any frame: its tensors, `tensor_bytes` bytes of
/// `dtype`, are sent behind it. The `dtype` of a hello is what the worker
/// would have results in.
pub fn encode_head(message: &Message, dtype: Dtype, tensor_bytes: u64, tensor_crc: u32) -> Vec<u8> {
    let mut frame = vec![0; HEADER_BYTES];
    message.write(&mut frame);
    let body = &frame[HEADER_BYTES..];
    let header = Header {
        kind: message.kind(),
        dtype,
        // A message is as long as its sender's memory allows, at most.
        message_bytes: u32::try_from(body.len()).unwrap_or(u32::MAX),
        message_crc: crc(body),
        tensor_bytes,
        tensor_crc,
    };
    frame[..HEADER_BYTES].copy_from_slice(&header.encode());
    frame
}

impl Message {
    /// Which kind of frame it is in.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Hello(_) => Kind::Hello,
            Self::Welcome(_) => Kind::Welcome,
            Self::Push(_) => Kind::Push,
            Self::Result(_) => Kind::Result,
            Self::CatchUp(_) => Kind::CatchUp,
            Self::Heartbeat(_) => Kind::Heartbeat,
            Self::Join(_) => Kind::Join,
            Self::Leave(_) => Kind::Leave,
            Self::Error(_) => Kind::Error,
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        // A vector grows as needed, so there is always room.
        let written = match self {
            Self::Hello(message) => message.encode(out),
            Self::Welcome(message) => message.encode(out),
            Self::Push(message) => message.encode(out),
            Self::Result(message) => message.encode(out),
            Self::CatchUp(message) => message.encode(out),
            Self::Heartbeat(message) => message.encode(out),
            Self::Join(message) => message.encode(out),
            Self::Leave(message) => message.encode(out),
            Self::Error(message) => message.encode(out),
        };
        debug_assert!(written.is_ok());
    }

    /// The message of a frame of this kind.
    fn read(kind: Kind, bytes: &[u8]) -> Result<Self, Error> {
        let message = match kind {
            Kind::Hello => message::Hello::decode(bytes).map(Self::Hello),
            Kind::Welcome => message::Welcome::decode(bytes).map(Self::Welcome),
            Kind::Push => message::Push::decode(bytes).map(Self::Push),
            Kind::Result => message::Result::decode(bytes).map(Self::Result),
            Kind::CatchUp => message::CatchUp::decode(bytes).map(Self::CatchUp),
            Kind::Heartbeat => message::Heartbeat::decode(bytes).map(Self::Heartbeat),
            Kind::Join => message::Join::decode(bytes).map(Self::Join),
            Kind::Leave => message::Leave::decode(bytes).map(Self::Leave),
            Kind::Error => message::Error::decode(bytes).map(Self::Error),
        };
        message.map_err(|source| Error::Malformed {
            kind,
            why: source.to_string(),
        })
    }

    /// The tensors that it describes.
    pub fn tensors(&self) -> &[message::Tensor] {
        match self {
            Self::Push(push) => &push.tensors,
            Self::Result(result) => &result.tensors,
            Self::CatchUp(catch_up) => &catch_up.tensors,
            _ => &[],
        }
    }
}

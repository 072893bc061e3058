//! A checkpoint as bytes: a checked header, a message, the arrays.
//!
//! ```text
//!  byte 0          8         12         16         20         24         32         36
//!       +----------+---------+----------+----------+----------+----------+----------+
//!       |"HSYNCKPT"|version 1| message  | message  | data     | data     | header   |
//!       |          |u32      | bytes u32| crc  u32 | crc  u32 | bytes u64| crc  u32 |
//!       +----------+---------+----------+----------+----------+----------+----------+
//!       | message: Protocol Buffers, the fields of `State` below                    |
//!       +---------------------------------------------------------------------------+
//!       | data: the newest result, the parts of the model, the residual             |
//!       +---------------------------------------------------------------------------+
//! ```
//!
//! All numbers are little-endian, checksums are CRC-32. A file that is
//! longer or shorter than its header says is damaged.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use prost::Message as _;

use super::{Ancestor, Checkpoint, Part, SavedModel};
use crate::payload::FLOAT_BYTES;
use crate::policy::Outcome;
use crate::server::{RoundId, RoundResult};
use crate::wire::v1::crc;
use crate::wire::v1::message::Tensor;

/// The form's number.
pub const VERSION: u32 = 1;

const MAGIC: [u8; 8] = *b"HSYNCKPT";
const HEADER_BYTES: usize = 36;

/// Longest message: thousands of workers and tensors.
const MOST_MESSAGE_BYTES: usize = 64 << 20;

/// Why a file is no checkpoint that can be used.
#[derive(Debug, thiserror::Error)]
pub enum DamagedError {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It ends too early, or does not end where it should.
    #[error("is {found} bytes long; expected {expected}")]
    Length {
        /// Bytes there are.
        found: u64,
        /// Bytes its header speaks of.
        expected: u64,
    },
    /// It does not begin like one.
    #[error("is no checkpoint: it does not begin with HSYNCKPT")]
    Magic,
    /// Of a version that this program does not know.
    #[error("is of version {found}; this program reads version {VERSION}")]
    Version {
        /// The version that it says.
        found: u32,
    },
    /// Bytes have changed.
    #[error("is damaged: the checksum of its {part} is {found:08x}, and it says {expected:08x}")]
    Checksum {
        /// Of which part.
        part: &'static str,
        /// Of the bytes.
        found: u32,
        /// In the file.
        expected: u32,
    },
    /// The checksums hold, and it makes no sense.
    #[error("makes no sense: {0}")]
    Content(String),
}

#[derive(Clone, PartialEq, prost::Message)]
struct State {
    #[prost(string, tag = "1")]
    job: String,
    #[prost(fixed64, tag = "2")]
    epoch: u64,
    #[prost(uint64, tag = "3")]
    next: u64,
    #[prost(message, repeated, tag = "4")]
    before: Vec<StateAncestor>,
    #[prost(uint64, optional, tag = "5")]
    model_bytes: Option<u64>,
    #[prost(message, repeated, tag = "6")]
    tensors: Vec<Tensor>,
    #[prost(message, repeated, tag = "7")]
    workers: Vec<StateWorker>,
    #[prost(message, optional, tag = "8")]
    newest: Option<StateResult>,
    #[prost(message, optional, tag = "9")]
    model: Option<StateModel>,
    #[prost(uint64, tag = "10")]
    residual_bytes: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct StateAncestor {
    #[prost(fixed64, tag = "1")]
    epoch: u64,
    #[prost(uint64, tag = "2")]
    next: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct StateWorker {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(uint64, tag = "2")]
    seen: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct StateResult {
    #[prost(uint64, tag = "1")]
    round: u64,
    #[prost(uint64, tag = "2")]
    contributors: u64,
    #[prost(float, tag = "3")]
    weight: f32,
    #[prost(float, tag = "4")]
    divisor: f32,
    #[prost(uint32, tag = "5")]
    outcome: u32,
    #[prost(uint64, tag = "6")]
    bytes: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct StateModel {
    #[prost(string, tag = "1")]
    kind: String,
    #[prost(message, repeated, tag = "2")]
    parts: Vec<StatePart>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct StatePart {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(uint64, tag = "2")]
    bytes: u64,
}

/// Shows the arrays, piece by piece in the order of the file.
pub(super) fn for_each_piece<E>(
    checkpoint: &Checkpoint,
    mut show: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    if let Some(newest) = &checkpoint.newest {
        show(newest.as_bytes())?;
    }
    let parts = checkpoint.model.iter().flat_map(|model| &model.parts);
    for part in parts {
        part.content.for_each(&mut show)?;
    }
    checkpoint.residual.for_each(show)
}

/// Header and message; the data is written behind them from where it is.
pub(super) fn encode_head(checkpoint: &Checkpoint) -> Vec<u8> {
    let message = state(checkpoint).encode_to_vec();
    let mut hasher = crc32fast::Hasher::new();
    let mut data_bytes = 0_u64;
    let shown: Result<(), Infallible> = for_each_piece(checkpoint, |piece| {
        hasher.update(piece);
        data_bytes += piece.len() as u64;
        Ok(())
    });
    match shown {
        Ok(()) => {}
    }
    let mut head = Vec::with_capacity(HEADER_BYTES + message.len());
    head.extend(MAGIC);
    head.extend(VERSION.to_le_bytes());
    // A message is as long as its writer's memory allows, at most; one that
    // is too long is refused when it is read.
    head.extend(
        u32::try_from(message.len())
            .unwrap_or(u32::MAX)
            .to_le_bytes(),
    );
    head.extend(crc(&message).to_le_bytes());
    head.extend(hasher.finalize().to_le_bytes());
    head.extend(data_bytes.to_le_bytes());
    head.extend(crc(&head).to_le_bytes());
    head.extend(message);
    head
}

fn state(checkpoint: &Checkpoint) -> State {
    let ancestor = |of: &Ancestor| StateAncestor {
        epoch: of.epoch,
        next: of.next.0,
    };
    let worker = |(name, seen): &(crate::Name, RoundId)| StateWorker {
        name: name.to_string(),
        seen: seen.0,
    };
    State {
        job: checkpoint.job.to_string(),
        epoch: checkpoint.epoch,
        next: checkpoint.next.0,
        before: checkpoint.before.iter().map(ancestor).collect(),
        model_bytes: checkpoint.model_bytes,
        tensors: checkpoint.tensors.clone(),
        workers: checkpoint.workers.iter().map(worker).collect(),
        newest: checkpoint.newest.as_ref().map(|result| StateResult {
            round: result.round().0,
            contributors: result.contributors() as u64,
            weight: result.weight(),
            divisor: result.divisor(),
            outcome: match result.outcome() {
                None => 0,
                Some(Outcome::Full) => 1,
                Some(Outcome::Deadline) => 2,
                Some(Outcome::Quorum) => 3,
            },
            bytes: result.as_bytes().len() as u64,
        }),
        model: checkpoint.model.as_ref().map(|model| StateModel {
            kind: model.kind.clone(),
            parts: model
                .parts
                .iter()
                .map(|part| StatePart {
                    name: part.name.clone(),
                    bytes: part.content.len() as u64,
                })
                .collect(),
        }),
        residual_bytes: checkpoint.residual.len() as u64,
    }
}

/// Reads a whole file.
pub(super) fn decode(file: Vec<u8>) -> Result<Checkpoint, DamagedError> {
    let length = |expected: u64| DamagedError::Length {
        found: file.len() as u64,
        expected,
    };
    let Some((header, rest)) = file.split_first_chunk::<HEADER_BYTES>() else {
        return Err(length(HEADER_BYTES as u64));
    };
    if header[..8] != MAGIC {
        return Err(DamagedError::Magic);
    }
    let word = |at: usize| {
        u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    check("header", &header[..32], word(32))?;
    if word(8) != VERSION {
        return Err(DamagedError::Version { found: word(8) });
    }
    let (message_bytes, data_bytes) = (
        word(12) as usize,
        u64::from(word(24)) | u64::from(word(28)) << 32,
    );
    let expected = (HEADER_BYTES as u64 + message_bytes as u64).saturating_add(data_bytes);
    if expected != file.len() as u64 {
        return Err(length(expected));
    }
    if message_bytes > MOST_MESSAGE_BYTES {
        return Err(DamagedError::Content("its message is too long".into()));
    }
    let (message, data) = rest.split_at(message_bytes);
    check("message", message, word(16))?;
    check("data", data, word(20))?;
    let state = State::decode(message).map_err(|error| DamagedError::Content(error.to_string()))?;
    understand(state, data).map_err(DamagedError::Content)
}

fn check(part: &'static str, bytes: &[u8], expected: u32) -> Result<(), DamagedError> {
    match crc(bytes) {
        found if found == expected => Ok(()),
        found => Err(DamagedError::Checksum {
            part,
            found,
            expected,
        }),
    }
}

fn understand(state: State, mut data: &[u8]) -> Result<Checkpoint, String> {
    let mut take = |bytes: u64| {
        let bytes = usize::try_from(bytes)
            .ok()
            .filter(|bytes| *bytes <= data.len());
        let bytes = bytes.ok_or("its arrays are longer than its data")?;
        let (part, rest) = data.split_at(bytes);
        data = rest;
        Ok::<_, String>(part.to_vec())
    };
    let newest = match &state.newest {
        None => None,
        Some(result) => Some(Arc::new(read_result(result, take(result.bytes)?)?)),
    };
    let model = match state.model {
        None => None,
        Some(model) => {
            let mut parts = Vec::new();
            for StatePart { name, bytes } in model.parts {
                parts.push(Part {
                    name,
                    content: take(bytes)?.into(),
                });
            }
            Some(SavedModel {
                kind: model.kind,
                parts,
            })
        }
    };
    let residual = take(state.residual_bytes)?.into();
    if !data.is_empty() {
        return Err("its data is longer than its arrays".into());
    }
    let mut workers = Vec::new();
    for worker in state.workers {
        let name = worker
            .name
            .parse()
            .map_err(|error| format!("worker: {error}"))?;
        workers.push((name, RoundId(worker.seen)));
    }
    let ancestor = |of: StateAncestor| Ancestor {
        epoch: of.epoch,
        next: RoundId(of.next),
    };
    let newest_round = newest
        .as_ref()
        .map(|result: &Arc<RoundResult>| result.round().0);
    if newest_round.is_some_and(|round| round.checked_add(1) != Some(state.next)) {
        return Err("its newest result is not that of the round before the next".into());
    }
    Ok(Checkpoint {
        job: state.job.parse().map_err(|error| format!("job: {error}"))?,
        epoch: state.epoch,
        next: RoundId(state.next),
        before: state.before.into_iter().map(ancestor).collect(),
        model_bytes: state.model_bytes,
        tensors: state.tensors,
        workers,
        newest,
        model,
        residual,
        resumed: Vec::new(),
    })
}

fn read_result(said: &StateResult, bytes: Vec<u8>) -> Result<RoundResult, String> {
    let outcome = match said.outcome {
        0 => None,
        1 => Some(Outcome::Full),
        2 => Some(Outcome::Deadline),
        3 => Some(Outcome::Quorum),
        other => return Err(format!("no round ends by {other}")),
    };
    let contributors = usize::try_from(said.contributors).map_err(|_| "too many contributors")?;
    if bytes.is_empty()
        || !bytes.len().is_multiple_of(FLOAT_BYTES)
        || crate::payload::first_non_finite(&bytes).is_some()
    {
        return Err("its newest result is not made of finite floats".into());
    }
    let numbers = (said.weight, said.divisor);
    Ok(RoundResult::restored(
        RoundId(said.round),
        contributors,
        numbers,
        outcome,
        bytes,
    ))
}

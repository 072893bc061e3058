//! Protocol 0: a length and then the floats.
//!
//! ```text
//!  byte 0               8                                    8 + n
//!       +---------------+------------------------------------+
//!       | n: u64, big   | n bytes: f32, f32, ... little      |
//!       | endian        | endian, n a multiple of 4, not 0   |
//!       +---------------+------------------------------------+
//! ```
//!
//! A worker sends one frame per round, its gradient; the server answers
//! with one frame of the same form, the round's result. There is no
//! greeting, no round number and no error frame: a server that refuses a
//! frame closes the connection.

use super::WireError;
use super::body::Body;
use crate::payload::{FLOAT_BYTES, Payload};

/// Bytes of the length in front of each payload.
pub const HEADER_BYTES: usize = 8;

/// Payloads of at most this many bytes are offered room together with
/// their header, so that a small frame costs one read.
const ONE_READ_BYTES: usize = 64 * 1024;

/// The header of a frame with `payload_bytes` bytes of payload.
pub const fn encode_header(payload_bytes: u64) -> [u8; HEADER_BYTES] {
    payload_bytes.to_be_bytes()
}

/// A whole frame in one buffer.
///
/// ```
/// use hetsync_core::wire::v0;
///
/// let frame = v0::encode(&[1.0]);
/// assert_eq!(frame, [0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0x80, 0x3f]);
/// ```
pub fn encode(floats: &[f32]) -> Vec<u8> {
    let payload = Payload::from_floats(floats);
    let mut frame = Vec::with_capacity(HEADER_BYTES + payload.as_bytes().len());
    frame.extend_from_slice(&encode_header(payload.as_bytes().len() as u64));
    frame.extend_from_slice(payload.as_bytes());
    frame
}

/// Decodes one frame after another from bytes that come in any pieces.
///
/// It never asks for a byte past the end of the frame it is on, so what
/// follows stays with the sender until somebody wants it: that is the
/// server's back-pressure.
///
/// ```
/// use hetsync_core::wire::v0;
///
/// let mut decoder = v0::Decoder::new(1 << 20);
/// let frame = v0::encode(&[1.0, 2.0]);
/// assert_eq!(decoder.push(&frame[..5])?, (5, None));
/// let (taken, payload) = decoder.push(&frame[5..])?;
/// assert_eq!(taken, frame.len() - 5);
/// assert_eq!(payload.unwrap().to_floats(), [1.0, 2.0]);
/// # Ok::<(), hetsync_core::wire::WireError>(())
/// ```
#[derive(Debug)]
pub struct Decoder {
    max_payload_bytes: u64,
    /// The model's length, once it is known.
    expected_bytes: Option<usize>,
    header: [u8; HEADER_BYTES],
    header_filled: usize,
    /// Payload length of the current frame; `None` until its header is in.
    length: Option<usize>,
    body: Body,
}

impl Decoder {
    /// A decoder that refuses payloads of more than `max_payload_bytes`.
    pub fn new(max_payload_bytes: u64) -> Self {
        Self {
            max_payload_bytes,
            expected_bytes: None,
            header: [0; HEADER_BYTES],
            header_filled: 0,
            length: None,
            body: Body::default(),
        }
    }

    /// From now on takes payloads of exactly `bytes` bytes (any length
    /// within the cap if `None`). Ignored in the middle of a frame.
    pub fn expect_length(&mut self, bytes: Option<usize>) {
        if self.at_start() {
            self.expected_bytes = bytes;
        }
    }

    /// Lends a buffer for the next frame, so that none need be allocated.
    /// Ignored in the middle of a frame.
    pub fn lend(&mut self, buffer: Vec<u8>) {
        if self.at_start() {
            self.body.lend(buffer);
        }
    }

    /// Forgets a frame that was begun, for a new connection.
    pub fn reset(&mut self) {
        self.header_filled = 0;
        self.length = None;
        self.body.reset();
    }

    /// Whether no byte of a frame is in: the peer may leave without loss.
    pub fn at_start(&self) -> bool {
        self.header_filled == 0
    }

    /// Whether the header is in and nothing of the payload: where a peer
    /// that writes both apart, under Nagle, waits for an acknowledgement.
    pub fn at_payload_start(&self) -> bool {
        self.length.is_some() && self.body.filled() == 0
    }

    /// The length that the current frame announces, if it is known by now
    /// and nobody but the peer vouches for it.
    pub fn unvouched_bytes(&self) -> Option<usize> {
        self.length.filter(|_| self.expected_bytes.is_none())
    }

    /// Bytes of memory held for payloads.
    pub fn held_bytes(&self) -> usize {
        self.body.held_bytes()
    }

    /// Bytes of memory that [`unfilled`](Self::unfilled) would now hold, of
    /// the frame that is being read.
    pub fn wanted_bytes(&self) -> usize {
        self.body.wanted_bytes(self.end(), self.is_vouched_for())
    }

    /// The next places for bytes: what is missing of the header, and room
    /// for payload. Either may be empty, never both.
    pub fn unfilled(&mut self) -> [&mut [u8]; 2] {
        let (end, vouched_for) = (self.end(), self.is_vouched_for());
        [
            &mut self.header[self.header_filled..],
            self.body.unfilled(end, vouched_for),
        ]
    }

    /// Says that `count` bytes were put into the slices that
    /// [`unfilled`](Self::unfilled) offered, the first of them first.
    /// Returns the payload if that completes the frame.
    ///
    /// # Errors
    /// A [`WireError`] if the header breaks a limit. The decoder is then of
    /// no more use, as nobody knows where the next frame would begin.
    ///
    /// # Panics
    /// If `count` is more than was offered: that is a fault of the caller,
    /// not of its peer.
    pub fn advance(&mut self, count: usize) -> Result<Option<Payload>, WireError> {
        let to_header = count.min(HEADER_BYTES - self.header_filled);
        self.header_filled += to_header;
        if self.length.is_none() && self.header_filled == HEADER_BYTES {
            self.length = Some(self.check_header()?);
        }
        self.body.advance(count - to_header);
        match self.length {
            Some(length) if self.body.filled() == length => {
                self.header_filled = 0;
                self.length = None;
                Ok(Some(self.body.finish(length)))
            }
            _ => Ok(None),
        }
    }

    /// Copies from `bytes` what belongs to the current frame. Returns how
    /// many bytes were taken, and the payload if they complete it.
    ///
    /// # Errors
    /// As [`advance`](Self::advance).
    pub fn push(&mut self, bytes: &[u8]) -> Result<(usize, Option<Payload>), WireError> {
        let mut taken = 0;
        loop {
            let mut count = 0;
            for place in self.unfilled() {
                let part = place.len().min(bytes.len() - taken);
                place[..part].copy_from_slice(&bytes[taken..taken + part]);
                taken += part;
                count += part;
            }
            if count == 0 {
                return Ok((taken, None));
            }
            if let Some(payload) = self.advance(count)? {
                return Ok((taken, Some(payload)));
            }
        }
    }

    /// How far payload may be read now.
    fn end(&self) -> usize {
        match (self.length, self.expected_bytes) {
            (Some(length), _) => length,
            // The header is not in, but its content is already known.
            (None, Some(expected)) if expected <= ONE_READ_BYTES => expected,
            (None, _) => 0,
        }
    }

    /// Whether the model vouches for the length of the frame.
    fn is_vouched_for(&self) -> bool {
        self.expected_bytes == Some(self.end())
    }

    /// The announced length, if it is within every limit.
    fn check_header(&self) -> Result<usize, WireError> {
        let found = u64::from_be_bytes(self.header);
        if found == 0 {
            return Err(WireError::Empty);
        }
        if found > self.max_payload_bytes {
            let limit = self.max_payload_bytes;
            return Err(WireError::TooLong { found, limit });
        }
        if !found.is_multiple_of(FLOAT_BYTES as u64) {
            return Err(WireError::NotFloats { found });
        }
        if let Some(expected) = self.expected_bytes.map(|bytes| bytes as u64)
            && found != expected
        {
            return Err(WireError::Mismatch { found, expected });
        }
        // Only a cap beyond the address space gets past this.
        usize::try_from(found).map_err(|_| WireError::TooLong {
            found,
            limit: usize::MAX as u64,
        })
    }
}

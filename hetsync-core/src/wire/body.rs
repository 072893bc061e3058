//! The floats of one frame while they arrive: shared by all protocols.
//!
//! Invariants: all of the buffer is initialised, its first `filled` bytes
//! are data, and it keeps its length over frames, so nothing is zeroed
//! twice. Room grows with the bytes that came, unless the model vouches for
//! the length.

use crate::payload::{FLOAT_BYTES, Payload, first_non_finite};

/// Room offered first when only the peer vouches for the length.
const FIRST_GROWTH_BYTES: usize = 64 * 1024;

#[derive(Debug, Default)]
pub(super) struct Body {
    buffer: Vec<u8>,
    filled: usize,
    /// Bytes already looked at for NaN and infinity; whole floats.
    checked: usize,
    first_bad: Option<usize>,
}

impl Body {
    pub(super) fn filled(&self) -> usize {
        self.filled
    }

    /// Bytes that have arrived since there were `from` of them.
    pub(super) fn since(&self, from: usize) -> &[u8] {
        &self.buffer[from..self.filled]
    }

    /// Bytes of memory held.
    pub(super) fn held_bytes(&self) -> usize {
        self.buffer.capacity()
    }

    /// Takes `buffer` instead of its own if that is smaller. Only between
    /// frames.
    pub(super) fn lend(&mut self, buffer: Vec<u8>) {
        if buffer.len() > self.buffer.len() {
            self.buffer = buffer;
        }
    }

    /// Forgets what has come of a frame.
    pub(super) fn reset(&mut self) {
        self.filled = 0;
        self.checked = 0;
        self.first_bad = None;
    }

    /// Bytes of room that a frame of `end` bytes gets now: all of it if it
    /// is `vouched_for`, else at most as much again as has come.
    pub(super) fn room(&self, end: usize, vouched_for: bool) -> usize {
        if vouched_for {
            end
        } else if self.filled == self.buffer.len() {
            end.min(self.filled.saturating_mul(2).max(FIRST_GROWTH_BYTES))
        } else {
            self.buffer.len()
        }
    }

    /// Bytes of memory that [`unfilled`](Self::unfilled) would then hold.
    pub(super) fn wanted_bytes(&self, end: usize, vouched_for: bool) -> usize {
        self.room(end, vouched_for).max(self.buffer.len())
    }

    /// Where the next bytes go, of a frame of `end` bytes.
    pub(super) fn unfilled(&mut self, end: usize, vouched_for: bool) -> &mut [u8] {
        let room = self.room(end, vouched_for);
        if self.buffer.is_empty() {
            // Fresh zeroed pages come free; resizing would write them.
            self.buffer = vec![0; room];
        } else if self.buffer.len() < room {
            self.buffer.reserve_exact(room - self.buffer.len());
            self.buffer.resize(room, 0);
        }
        // A lent buffer may be longer than this frame.
        let stop = end.min(self.buffer.len());
        &mut self.buffer[self.filled..stop]
    }

    /// Says that `count` more bytes are in, and looks at the floats that
    /// they complete, while they are still in cache.
    ///
    /// # Panics
    /// If `count` is more than was offered.
    pub(super) fn advance(&mut self, count: usize) {
        self.filled += count;
        assert!(
            self.filled <= self.buffer.len(),
            "more bytes than were offered"
        );
        let whole = self.filled - self.filled % FLOAT_BYTES;
        if self.first_bad.is_none() {
            self.first_bad = first_non_finite(&self.buffer[self.checked..whole])
                .map(|at| at + self.checked / FLOAT_BYTES);
        }
        self.checked = whole;
    }

    /// The bytes that are in, if they are no floats.
    pub(super) fn raw(&self) -> &[u8] {
        &self.buffer[..self.filled]
    }

    /// The payload of `length` bytes, all of which are in.
    pub(super) fn finish(&mut self, length: usize) -> Payload {
        let mut bytes = std::mem::take(&mut self.buffer);
        bytes.truncate(length);
        let first_bad = self.first_bad;
        self.reset();
        Payload::from_checked(bytes, first_bad)
    }
}

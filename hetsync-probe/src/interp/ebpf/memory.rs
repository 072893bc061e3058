//! Registers and memory with provenance: every pointer knows its region, every stack byte whether it was
//! written. A pointer's bits are its region's number in the high bits and its offset in the low ones.

use super::fault::FaultKind;
use crate::limits::STACK_BYTES;

/// What a register or a stack slot holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tag {
    /// Nothing yet.
    Unset,
    /// A number.
    Scalar,
    /// A pointer into this region.
    Pointer(usize),
    /// The result of a lookup or a reservation that was not yet compared with 0.
    MaybeNull(usize),
}

/// A register's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) bits: u64,
    pub(super) tag: Tag,
}

impl Word {
    pub(super) const UNSET: Word = Word {
        bits: 0,
        tag: Tag::Unset,
    };

    pub(super) fn scalar(bits: u64) -> Self {
        Self {
            bits,
            tag: Tag::Scalar,
        }
    }

    /// A pointer to `offset` in a region.
    pub(super) fn pointer(region: usize, offset: i64) -> Self {
        Self {
            bits: base(region).wrapping_add_signed(offset),
            tag: Tag::Pointer(region),
        }
    }

    /// The offset of a pointer into `region`.
    pub(super) fn offset(self, region: usize) -> i64 {
        self.bits.wrapping_sub(base(region)) as i64
    }
}

/// The address of a region's first byte. Regions are far enough apart that no 32-bit offset of
/// one reaches the next.
fn base(region: usize) -> u64 {
    (region as u64 + 1) << 40
}

/// What a region number stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Region {
    /// The stack of the program, 0, or of a function that was called in it; offset 512 is the frame pointer.
    Stack(usize),
    /// What the program was called with.
    Context,
    /// A function of the program that begins here, good only as a helper's argument.
    Function(usize),
    /// The key of an entry that a function was called for.
    Key(usize),
    /// A map itself, good only as a helper's argument.
    Map(usize),
    /// A value of a map.
    Value { map: usize, slot: usize, cpu: u32 },
    /// A reserved record of a ring buffer.
    Record(usize),
}

impl Region {
    pub(super) fn name(self) -> &'static str {
        match self {
            Region::Stack(_) => "the stack",
            Region::Function(_) => "a function",
            Region::Key(_) => "a key",
            Region::Context => "the context",
            Region::Map(_) => "a map",
            Region::Value { .. } => "a map value",
            Region::Record(_) => "a ring buffer record",
        }
    }
}

/// The stack: bytes, which of them were written, and which 8-byte slots hold a pointer.
#[derive(Debug, Clone)]
pub(super) struct Stack {
    bytes: [u8; STACK_BYTES],
    written: [bool; STACK_BYTES],
    pub(super) spilled: [Option<Word>; STACK_BYTES / 8],
}

impl Stack {
    pub(super) fn new() -> Self {
        Self {
            bytes: [0; STACK_BYTES],
            written: [false; STACK_BYTES],
            spilled: [None; STACK_BYTES / 8],
        }
    }

    /// Reads numbers; `at..at + len` is in bounds.
    pub(super) fn read(&self, at: usize, len: usize) -> Result<&[u8], FaultKind> {
        if let Some(unset) = (at..at + len).find(|&byte| !self.written[byte]) {
            return Err(FaultKind::UnsetStack(unset as i64 - STACK_BYTES as i64));
        }
        if (at..at + len).any(|byte| self.spilled[byte / 8].is_some()) {
            return Err(FaultKind::Leak);
        }
        Ok(&self.bytes[at..at + len])
    }

    /// Makes `at..at + len` numbers, written, and gives them for writing.
    pub(super) fn write(&mut self, at: usize, len: usize) -> &mut [u8] {
        for byte in at..at + len {
            self.written[byte] = true;
            self.spilled[byte / 8] = None;
        }
        &mut self.bytes[at..at + len]
    }

    /// As [`Stack::write`] for a helper that leaves some bytes alone: those never written get a pattern, so that a
    /// program that relies on them is found out.
    pub(super) fn write_partly(&mut self, at: usize, len: usize) -> &mut [u8] {
        for byte in at..at + len {
            if !self.written[byte] {
                self.bytes[byte] = GARBAGE;
            }
        }
        self.write(at, len)
    }

    /// Spills a pointer to an aligned slot.
    pub(super) fn spill(&mut self, at: usize, word: Word) {
        self.write(at, 8).copy_from_slice(&word.bits.to_le_bytes());
        self.spilled[at / 8] = Some(word);
    }
}

/// What memory holds that the kernel leaves undefined.
pub(super) const GARBAGE: u8 = 0xaa;

//! The memory that programs read: some bytes of each space.

use hetsync_probe::interp::Memory;
use hetsync_probe::sema::hir::Space;

/// Where the memory of a space starts.
pub(super) fn address(space: Space) -> u64 {
    match space {
        Space::Kernel => 0xffff_8880_0010_0000,
        Space::User => 0x5555_0000_1000,
    }
}

/// Bytes of each space that can be read.
pub(super) const MEMORY_BYTES: usize = 120;

/// What lies in memory: bytes with some NULs among them, others in each space.
pub(crate) fn memory(space: Space) -> Memory {
    let factor = match space {
        Space::Kernel => 37,
        Space::User => 91,
    };
    let byte = |i: usize| match i % 7 {
        3 => 0,
        _ => (i * factor) as u8,
    };
    let mut memory = Memory::default();
    memory.add(address(space), (0..MEMORY_BYTES).map(byte).collect());
    memory
}

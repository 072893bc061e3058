//! Why a program was stopped.

use thiserror::Error;

/// A stop, with the instruction that caused it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("instruction {insn}: {kind}")]
pub struct Fault {
    /// Index of the instruction slot.
    pub insn: usize,
    /// What was wrong.
    pub kind: FaultKind,
}

/// What a program did that the verifier would have refused, or that this machine cannot do.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs)]
pub enum FaultKind {
    #[error("unknown or unsupported opcode {0:#04x}")]
    Opcode(u8),
    #[error("register {0} does not exist or may not be written")]
    Register(u8),
    #[error("control leaves the program, or enters the middle of an immediate load")]
    Target,
    #[error("more than {0} functions called in one another")]
    Frames(usize),
    #[error("more than {0} instructions executed")]
    Budget(u64),
    #[error("register {0} is read before it is written")]
    UnsetRegister(u8),
    #[error("an access through a number that is not a pointer")]
    NotAPointer,
    #[error("a pointer that may be null is used before it is compared with 0")]
    Unchecked,
    #[error("{size} bytes at offset {offset} of {region} are outside its {limit} bytes")]
    Bounds {
        region: &'static str,
        offset: i64,
        size: usize,
        limit: usize,
    },
    #[error("{size} bytes at offset {offset} are not aligned")]
    Alignment { offset: i64, size: usize },
    #[error("the stack byte at {0} from the frame pointer is read before it is written")]
    UnsetStack(i64),
    #[error("{0} cannot be written")]
    ReadOnly(&'static str),
    #[error("an operation that pointers do not have")]
    Pointer,
    #[error("a pointer would be stored where only numbers belong")]
    Leak,
    #[error("helper {0} is not emulated")]
    Helper(i32),
    #[error("argument {argument} of helper {helper} must be {expected}")]
    Argument {
        helper: i32,
        argument: u8,
        expected: &'static str,
    },
    #[error("no map has the file descriptor {0}")]
    Descriptor(i32),
    #[error("a reserved record is neither submitted nor discarded")]
    Unreleased,
    #[error("map {0} is too large to emulate")]
    MapSize(String),
}

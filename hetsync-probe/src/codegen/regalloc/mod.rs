//! Register allocation: virtual registers to R0..R9 and spill slots.
//!
//! ```text
//! ir::Function --live--> ranges --scan--> places (spill and again until all fit) --apply--> Allocated
//!                                                             checker: Allocated computes what Function says
//! ```
//!
//! What it is not: it does not order instructions, fold anything, or lay out the stack frame ([`super::frame`]).
//!
//! # Invariants
//!
//! * [`Allocated`] has the blocks of its function, in the same order; each holds the block's
//!   instructions in the same order, with moves in between.
//! * Nothing lives in R0..R5 across a call.
//! * [`checker::check`] knows nothing of how places were chosen.

mod apply;
pub mod checker;
mod live;
mod moves;
mod scan;
mod shape;

use std::fmt::{Display, Formatter};

use crate::ir::{Function, Slot, SlotId};

pub use shape::{Shape, shape, term_uses};

/// Registers that can be given out, R0 to R9.
pub const REGISTERS: u8 = 10;
/// The first register that keeps its value across calls.
pub const FIRST_SAVED: u8 = 6;

/// Where a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Loc {
    /// A register.
    Reg(u8),
    /// A spill slot.
    Spill(SlotId),
}

/// What a move takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// The value at a place.
    Loc(Loc),
    /// A constant.
    Imm(i64),
}

/// A step of an allocated block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Copies a value; never from spill slot to spill slot.
    Move {
        /// To here.
        to: Loc,
        /// From here.
        from: Source,
    },
    /// The block's next instruction, with its registers: those read, the one written, temporaries.
    Op {
        /// Index in the block's instructions.
        index: usize,
        /// Registers in the order of [`Shape`].
        regs: Vec<u8>,
    },
}

/// A function with registers chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allocated {
    /// For each block its steps, then the registers its terminator reads.
    pub blocks: Vec<AllocatedBlock>,
    /// The function's objects, then the spill slots.
    pub slots: Vec<Slot>,
}

/// A block with registers chosen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AllocatedBlock {
    /// Instructions and moves; for a jump, the moves to the target's parameters come last.
    pub steps: Vec<Step>,
    /// Registers a branch reads.
    pub term: Vec<u8>,
}

/// How much there is to give out; fewer than [`REGISTERS`] only in tests.
#[derive(Debug, Clone, Copy)]
pub struct Pool {
    /// Registers that may be used.
    pub allowed: [bool; REGISTERS as usize],
}

impl Default for Pool {
    fn default() -> Self {
        Self {
            allowed: [true; REGISTERS as usize],
        }
    }
}

/// No register can be found even with everything spilled: one instruction needs more than there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooFewRegisters;

impl Display for TooFewRegisters {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "an instruction needs more registers than there are")
    }
}

/// Chooses a place for every virtual register. Every block must be reachable, in [`Function::order`].
///
/// # Errors
///
/// Only with a reduced [`Pool`].
pub fn allocate(function: &Function, pool: &Pool) -> Result<Allocated, TooFewRegisters> {
    let mut work = scan::Work::new(function);
    loop {
        let live = live::analyse(&work);
        match scan::scan(&work, &live, pool)? {
            scan::Outcome::Spill(victims) => work.spill(&victims),
            scan::Outcome::Done(places) => {
                return Ok(apply::apply(work, &live, &places, pool));
            }
        }
    }
}

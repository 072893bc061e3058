//! Instructions, register allocation with spilling, its independent checker, disassembly.

pub mod insn;

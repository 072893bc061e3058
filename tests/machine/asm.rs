//! Instructions by hand.

use hetsync_probe::codegen::insn::{Insn, op};
use hetsync_probe::image::{MapKind, MapSpec, ProgramKind};
use hetsync_probe::interp::ebpf::{FaultKind, Machine};
use hetsync_probe::interp::{Firing, World};

pub(crate) fn insn(code: u8, dst: u8, src: u8, off: i16, imm: i32) -> Insn {
    Insn {
        code,
        dst,
        src,
        off,
        imm,
    }
}

/// `dst op= imm` of 64 bits.
pub(crate) fn alu_k(operation: u8, dst: u8, imm: i32) -> Insn {
    insn(op::ALU64 | operation | op::K, dst, 0, 0, imm)
}

/// `dst op= src` of 64 bits.
pub(crate) fn alu_x(operation: u8, dst: u8, src: u8) -> Insn {
    insn(op::ALU64 | operation | op::X, dst, src, 0, 0)
}

pub(crate) fn mov(dst: u8, imm: i32) -> Insn {
    alu_k(op::MOV, dst, imm)
}

pub(crate) fn mov_reg(dst: u8, src: u8) -> Insn {
    alu_x(op::MOV, dst, src)
}

pub(crate) fn load(size: u8, dst: u8, src: u8, off: i16) -> Insn {
    insn(op::LDX | op::MEM | size, dst, src, off, 0)
}

pub(crate) fn store(size: u8, dst: u8, off: i16, src: u8) -> Insn {
    insn(op::STX | op::MEM | size, dst, src, off, 0)
}

pub(crate) fn store_k(size: u8, dst: u8, off: i16, imm: i32) -> Insn {
    insn(op::ST | op::MEM | size, dst, 0, off, imm)
}

pub(crate) fn jump_k(operation: u8, dst: u8, imm: i32, off: i16) -> Insn {
    insn(op::JMP | operation | op::K, dst, 0, off, imm)
}

pub(crate) fn call(helper: i32) -> Insn {
    insn(op::JMP | op::CALL, 0, 0, 0, helper)
}

pub(crate) fn exit() -> Insn {
    insn(op::JMP | op::EXIT, 0, 0, 0, 0)
}

/// Both slots of a 64-bit immediate load.
pub(crate) fn immediate(dst: u8, src: u8, value: u64) -> [Insn; 2] {
    [
        insn(op::LD | op::DW | op::IMM, dst, src, 0, value as i32),
        insn(0, 0, 0, 0, (value >> 32) as i32),
    ]
}

pub(crate) fn map(kind: MapKind, key_size: u32, value_size: u32, max_entries: u32) -> MapSpec {
    MapSpec {
        name: "m".into(),
        kind,
        key_size,
        value_size,
        max_entries,
        map: None,
    }
}

/// Runs a program without maps; the fault's place must be `at`.
pub(crate) fn fault(insns: &[Insn], at: usize) -> FaultKind {
    let mut machine = Machine::new(&[], 1).unwrap();
    run(&mut machine, insns)
        .map_err(|(insn, kind)| {
            assert_eq!(insn, at, "{kind}");
            kind
        })
        .unwrap_err()
}

/// Runs a program without a context.
pub(crate) fn run(machine: &mut Machine, insns: &[Insn]) -> Result<u64, (usize, FaultKind)> {
    machine
        .run(
            insns,
            &ProgramKind::Run,
            &mut World::default(),
            &Firing::default(),
        )
        .map_err(|fault| (fault.insn, fault.kind))
}

//! A few instructions by hand: enough for programs that count, store and send.

use hetsync_probe::codegen::insn::{Insn, helper, op, reg};
use hetsync_probe::image::{
    Image, MapKind, MapSpec, Program, ProgramKind, Relocation, RelocationKind,
};
use hetsync_probe::span::Span;

pub(crate) fn mov(dst: u8, imm: i32) -> Insn {
    insn(op::ALU64 | op::MOV | op::K, dst, 0, 0, imm)
}

pub(crate) fn mov_reg(dst: u8, src: u8) -> Insn {
    insn(op::ALU64 | op::MOV | op::X, dst, src, 0, 0)
}

pub(crate) fn add(dst: u8, imm: i32) -> Insn {
    insn(op::ALU64 | op::ADD | op::K, dst, 0, 0, imm)
}

pub(crate) fn load(dst: u8, src: u8, off: i16) -> Insn {
    insn(op::LDX | op::MEM | op::DW, dst, src, off, 0)
}

pub(crate) fn store_imm(dst: u8, off: i16, imm: i32) -> Insn {
    insn(op::ST | op::MEM | op::DW, dst, 0, off, imm)
}

pub(crate) fn atomic_add(dst: u8, off: i16, src: u8) -> Insn {
    insn(op::STX | op::ATOMIC | op::DW, dst, src, off, op::ATOMIC_ADD)
}

pub(crate) fn call(helper: i32) -> Insn {
    insn(op::JMP | op::CALL, 0, 0, 0, helper)
}

pub(crate) fn jump_if_zero(dst: u8, off: i16) -> Insn {
    insn(op::JMP | op::JEQ | op::K, dst, 0, off, 0)
}

pub(crate) fn exit() -> Insn {
    insn(op::JMP | op::EXIT, 0, 0, 0, 0)
}

/// Both slots of a 64-bit immediate load, to be relocated.
pub(crate) fn immediate(dst: u8) -> [Insn; 2] {
    [
        insn(op::LD | op::DW | op::IMM, dst, 0, 0, 0),
        Insn::default(),
    ]
}

fn insn(code: u8, dst: u8, src: u8, off: i16, imm: i32) -> Insn {
    Insn {
        code,
        dst,
        src,
        off,
        imm,
    }
}

/// A map of this kind with 8-byte values; 4-byte keys.
pub(crate) fn map(name: &str, kind: MapKind, max_entries: u32) -> MapSpec {
    let ring = kind == MapKind::Ringbuf;
    MapSpec {
        name: name.into(),
        kind,
        key_size: if ring { 0 } else { 4 },
        value_size: if ring { 0 } else { 8 },
        max_entries,
        map: None,
    }
}

/// A program that adds 1 to the first value of array map 0 and returns 0.
pub(crate) fn counter(kind: ProgramKind) -> Program {
    let mut insns = immediate(reg::R1).to_vec();
    insns.extend([
        mov(reg::R2, 1),
        atomic_add(reg::R1, 0, reg::R2),
        mov(reg::R0, 0),
        exit(),
    ]);
    program(
        "counter",
        kind,
        insns,
        vec![Relocation {
            insn: 0,
            what: RelocationKind::MapValue(0, 0),
        }],
    )
}

/// A program that writes the 8 bytes of `word` to ring buffer map `map` and returns 0.
pub(crate) fn sender(map: usize, word: i32) -> Program {
    let mut insns = vec![store_imm(reg::FP, -8, word)];
    insns.extend(immediate(reg::R1));
    insns.extend([
        mov_reg(reg::R2, reg::FP),
        add(reg::R2, -8),
        mov(reg::R3, 8),
        mov(reg::R4, 0),
        call(helper::RINGBUF_OUTPUT),
        mov(reg::R0, 0),
        exit(),
    ]);
    program(
        "sender",
        ProgramKind::Run,
        insns,
        vec![Relocation {
            insn: 1,
            what: RelocationKind::Map(map),
        }],
    )
}

/// A program whose instruction `i` comes from bytes `10 * i ..` of a script.
pub(crate) fn program(
    name: &str,
    kind: ProgramKind,
    insns: Vec<Insn>,
    relocations: Vec<Relocation>,
) -> Program {
    let spans = (0..insns.len())
        .map(|i| Span::new(10 * i, 10 * i + 5))
        .collect();
    Program {
        name: name.into(),
        point: (0, 0),
        kind,
        insns,
        relocations,
        spans,
        functions: vec![0],
    }
}

/// An image of these programs and maps.
pub(crate) fn image(programs: Vec<Program>, maps: Vec<MapSpec>) -> Image {
    let events = maps.iter().position(|map| map.kind == MapKind::Ringbuf);
    Image {
        programs,
        maps,
        events,
        losses: None,
        loss_counters: 0,
        gate: None,
        parts: Vec::new(),
        fronts: Vec::new(),
        loops: Vec::new(),
        source: None,
    }
}

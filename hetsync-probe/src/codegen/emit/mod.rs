//! Allocated code to instructions: one pass over the blocks, usual ones first, rare ones after the exit.
//!
//! Here are blocks, jumps and moves; [`ops`] has the operations that take several instructions, [`raw`] single instructions.

mod ops;
mod raw;

use std::collections::BTreeSet;

use raw::{alu_code, compare};

use super::asm::{Assembler, Label, TooFar};
use super::frame::{self, Frame};
use super::insn::{Insn, op, reg};
use super::regalloc::{Allocated, Loc, Source, Step};
use crate::image::{Relocation, RelocationKind};
use crate::ir::{
    self, Address, Base, Block, BlockId, Cond, Function, MapRef, Op, Term, Val, Width, fits_imm,
};
use crate::span::Span;

/// What emission makes of a function.
#[derive(Debug)]
pub(super) struct Code {
    pub(super) insns: Vec<Insn>,
    pub(super) spans: Vec<Span>,
    pub(super) relocations: Vec<Relocation>,
}

/// Emits a function. `map` gives the index of a map in the image.
///
/// # Errors
///
/// [`TooFar`] where a jump does not fit 16 bits.
pub(super) fn emit(
    function: &Function,
    allocated: &Allocated,
    frame: &Frame,
    map: &dyn Fn(MapRef) -> usize,
) -> Result<Code, TooFar> {
    let mut emitter = Emitter {
        asm: Assembler::new(function.blocks.len() + 1),
        function,
        frame,
        map,
        exit: Label(function.blocks.len()),
    };
    let (hot, cold): (Vec<usize>, Vec<usize>) =
        (0..function.blocks.len()).partition(|&b| !function.blocks[b].cold);
    let targets = targets(function, allocated, emitter.exit);
    if function.has_loops() {
        emitter.clear_frame();
    }
    if function.depth > 0 {
        emitter.begin_body();
    }
    emitter.blocks(&hot, allocated, &targets, Some(emitter.exit));
    emitter.asm.bind(emitter.exit);
    emitter.asm.span = function.blocks.last().map_or(Span::default(), |b| b.span);
    match function.depth {
        0 => emitter.mov_imm(reg::R0, 0),
        _ => emitter.end_body(),
    }
    emitter.asm.push(Insn {
        code: op::JMP | op::EXIT,
        ..Insn::default()
    });
    emitter.blocks(&cold, allocated, &targets, None);
    let (insns, spans, relocations) = emitter.asm.finish()?;
    Ok(Code {
        insns,
        spans,
        relocations,
    })
}

/// Where a jump to each block really goes: past blocks that turned out empty, to the exit.
fn targets(function: &Function, allocated: &Allocated, exit: Label) -> Vec<Label> {
    let mut targets: Vec<Label> = (0..function.blocks.len()).map(Label).collect();
    // A loop's header keeps its place even if it is empty: something has to end a cycle of empty blocks.
    let headers: BTreeSet<BlockId> = (function.blocks.iter().enumerate())
        .flat_map(|(b, block)| (block.term.successors()).filter(move |next| next.0 as usize <= b))
        .collect();
    // But for headers control only goes forward, so backwards every target is final.
    for b in (0..function.blocks.len()).rev() {
        if !allocated.blocks[b].steps.is_empty() || headers.contains(&BlockId(b as u32)) {
            continue;
        }
        match &function.blocks[b].term {
            Term::Exit => targets[b] = exit,
            Term::Jump(edge) => targets[b] = targets[edge.block.0 as usize],
            Term::Branch { .. } => {}
        }
    }
    targets
}

struct Emitter<'a> {
    asm: Assembler,
    function: &'a Function,
    frame: &'a Frame,
    map: &'a dyn Fn(MapRef) -> usize,
    exit: Label,
}

impl Emitter<'_> {
    fn blocks(
        &mut self,
        order: &[usize],
        allocated: &Allocated,
        targets: &[Label],
        end: Option<Label>,
    ) {
        // Blocks nobody jumps to (any more) are not laid out; the entry always is.
        let laid: Vec<usize> = order
            .iter()
            .copied()
            .filter(|&b| b == 0 || targets[b] == Label(b))
            .collect();
        let function = self.function;
        for (i, &b) in laid.iter().enumerate() {
            let next = laid.get(i + 1).map(|&b| Label(b)).or(end);
            self.asm.bind(Label(b));
            let block = &function.blocks[b];
            let code = &allocated.blocks[b];
            self.asm.span = block.insts.first().map_or(block.span, |inst| inst.span);
            for step in &code.steps {
                self.step(block, step);
            }
            self.asm.span = block.span;
            self.term(&block.term, &code.term, targets, next);
        }
    }

    /// Writes the whole frame. What some way through a loop has written and another has not keeps the kernel's verifier from
    /// seeing that the two come to the same, and it follows both through all further rounds.
    fn clear_frame(&mut self) {
        self.asm.span = self.function.blocks[0].span;
        for offset in (8..=self.frame.size as i32).step_by(8) {
            self.store_imm(Width::D, reg::FP, -offset, 0);
        }
    }

    /// The body of a loop over a map is called with the map, the entry's key and value, and its caller's word, which stands for
    /// the context.
    fn begin_body(&mut self) {
        self.asm.span = self.function.blocks[0].span;
        self.memory(op::STX, Width::D, reg::FP, reg::R2, frame::BODY_KEY);
        self.memory(op::STX, Width::D, reg::FP, reg::R3, frame::BODY_VALUE);
        self.store_imm(Width::D, reg::FP, frame::BODY_STOP, 0);
        self.mov(reg::R1, reg::R4);
    }

    /// 0 is for the next entry, 1 for no more; the verifier wants to see that there is nothing else.
    fn end_body(&mut self) {
        self.memory(op::LDX, Width::D, reg::R0, reg::FP, frame::BODY_STOP);
        self.alu_imm(op::AND, reg::R0, 1);
    }

    fn term(&mut self, term: &Term, regs: &[u8], targets: &[Label], next: Option<Label>) {
        let target = |b: &BlockId| targets[b.0 as usize];
        match term {
            Term::Exit => self.jump(self.exit, next),
            Term::Jump(edge) => self.jump(target(&edge.block), next),
            Term::Branch {
                cond,
                rhs,
                then,
                otherwise,
                ..
            } => {
                let (then, otherwise) = (target(then), target(otherwise));
                if then == otherwise {
                    self.jump(then, next);
                } else if Some(then) == next {
                    self.branch(cond.inverse(), regs, *rhs, otherwise);
                } else {
                    self.branch(*cond, regs, *rhs, then);
                    self.jump(otherwise, next);
                }
            }
        }
    }

    fn jump(&mut self, target: Label, next: Option<Label>) {
        if Some(target) != next {
            let insn = Insn {
                code: op::JMP | op::JA,
                ..Insn::default()
            };
            self.asm.jump(insn, target);
        }
    }

    fn branch(&mut self, cond: Cond, regs: &[u8], rhs: Val, target: Label) {
        let insn = compare(cond, regs[0], regs.get(1).copied(), rhs);
        self.asm.jump(insn, target);
    }

    fn step(&mut self, block: &Block, step: &Step) {
        match step {
            Step::Move { to, from } => self.moving(*to, *from),
            Step::Op { index, regs } => {
                let inst = &block.insts[*index];
                self.asm.span = inst.span;
                self.op(&inst.op, inst.dst.is_some(), regs);
            }
        }
    }

    fn moving(&mut self, to: Loc, from: Source) {
        match (to, from) {
            (Loc::Reg(to), Source::Loc(Loc::Reg(from))) => self.mov(to, from),
            (Loc::Reg(to), Source::Imm(n)) => self.constant(to, n),
            (Loc::Reg(to), Source::Loc(Loc::Spill(slot))) => {
                self.memory(op::LDX, Width::D, to, reg::FP, self.offset(slot, 0));
            }
            (Loc::Spill(slot), Source::Loc(Loc::Reg(from))) => {
                self.memory(op::STX, Width::D, reg::FP, from, self.offset(slot, 0));
            }
            (Loc::Spill(slot), Source::Imm(n)) => self.store_constant(self.offset(slot, 0), n),
            (Loc::Spill(_), Source::Loc(Loc::Spill(_))) => {
                unreachable!("moves never go from memory to memory")
            }
        }
    }

    fn store_constant(&mut self, offset: i32, n: i64) {
        if fits_imm(n) {
            return self.store_imm(Width::D, reg::FP, offset, n as i32);
        }
        self.store_imm(Width::W, reg::FP, offset, n as i32);
        self.store_imm(Width::W, reg::FP, offset + 4, (n >> 32) as i32);
    }

    fn offset(&self, slot: ir::SlotId, offset: i32) -> i32 {
        self.frame.offsets[slot.0 as usize] + offset
    }

    /// The base register and offset of an address; `regs` starts with the base if it is in one.
    fn address(&self, address: Address, regs: &[u8]) -> (u8, i32) {
        match address.base {
            Base::Reg(_) => (regs[0], address.offset),
            Base::Slot(slot) => (reg::FP, self.offset(slot, address.offset)),
        }
    }

    fn op(&mut self, op: &Op, has_result: bool, regs: &[u8]) {
        match op {
            Op::Context => {}
            Op::Entry { key } => {
                let from = if *key {
                    frame::BODY_KEY
                } else {
                    frame::BODY_VALUE
                };
                self.memory(op::LDX, Width::D, regs[0], reg::FP, from);
            }
            Op::Stop => self.store_imm(Width::D, reg::FP, frame::BODY_STOP, 1),
            Op::Const(n) => self.constant(regs[0], *n),
            Op::StartNs => self.wide(regs[0], RelocationKind::StartNs),
            Op::MapValue(map, offset) => {
                self.wide(regs[0], RelocationKind::MapValue((self.map)(*map), *offset));
            }
            Op::SlotAddress(slot, offset) => self.slot_address(regs[0], *slot, *offset),
            Op::Alu(alu, _, Val::Imm(n)) => {
                self.mov(regs[1], regs[0]);
                self.alu_imm(alu_code(*alu), regs[1], *n as i32);
            }
            Op::Alu(alu, _, Val::Reg(_)) => self.alu_regs(*alu, regs[2], regs[0], regs[1]),
            Op::Unary(unary, _) => self.unary(*unary, regs[1], regs[0]),
            Op::Set(cond, _, rhs) => {
                let dst = regs[regs.len() - 1];
                let insn = compare(*cond, regs[0], (regs.len() > 2).then(|| regs[1]), *rhs);
                self.set(dst, insn);
            }
            Op::Load(width, address) => {
                let (base, offset) = self.address(*address, regs);
                self.memory(op::LDX, *width, regs[regs.len() - 1], base, offset);
            }
            Op::Store(width, address, value) => {
                let (base, offset) = self.address(*address, regs);
                match value {
                    Val::Imm(n) => self.store_imm(*width, base, offset, *n as i32),
                    Val::Reg(_) => {
                        self.memory(op::STX, *width, base, regs[regs.len() - 1], offset);
                    }
                }
            }
            Op::AtomicAdd(address, _) => self.atomic_add(*address, has_result, regs),
            Op::Call(helper, args) => self.call(*helper, args),
            Op::LogLinear { bits, width, .. } => {
                self.log_linear(regs[0], regs[1], regs[2], *bits, *width);
            }
            Op::Part {
                map, count, shift, ..
            } => self.part(regs, *map, *count, *shift),
            Op::BucketAdd {
                offset,
                limit,
                width,
                ..
            } => self.bucket_add(regs, *offset, *limit, *width),
            Op::Spill(..) | Op::Reload(_) => unreachable!("spills are moves by now"),
        }
    }
}

//! Allocated code to instructions: one pass over the blocks, usual ones first, rare ones after the exit.

use super::asm::{Assembler, Label, TooFar};
use super::frame::Frame;
use super::insn::{Insn, op, reg};
use super::regalloc::{Allocated, Loc, Source, Step};
use crate::image::{Relocation, RelocationKind};
use crate::ir::{
    self, Address, Alu, Arg, Base, Block, BlockId, Cond, Function, MapRef, Op, Term, Unary, Val,
    Width, fits_imm,
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
    emitter.blocks(&hot, allocated, &targets, Some(emitter.exit));
    emitter.asm.bind(emitter.exit);
    emitter.asm.span = function.blocks.last().map_or(Span::default(), |b| b.span);
    emitter.mov_imm(reg::R0, 0);
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
    // Control only goes forward, so backwards every target is final.
    for b in (0..function.blocks.len()).rev() {
        if !allocated.blocks[b].steps.is_empty() {
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
                self.mov_imm(dst, 1);
                let insn = compare(*cond, regs[0], (regs.len() > 2).then(|| regs[1]), *rhs);
                let skip = self.asm.label();
                self.asm.jump(insn, skip);
                self.mov_imm(dst, 0);
                self.asm.bind(skip);
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
            Op::BucketAdd {
                offset,
                limit,
                width,
                ..
            } => self.bucket_add(regs, *offset, *limit, *width),
            Op::Spill(..) | Op::Reload(_) => unreachable!("spills are moves by now"),
        }
    }

    fn unary(&mut self, unary: Unary, dst: u8, src: u8) {
        match unary {
            Unary::Neg => {
                self.mov(dst, src);
                self.alu_imm(op::NEG, dst, 0);
            }
            Unary::Launder => {
                self.mov(dst, src);
                self.alu_imm(op::NEG, dst, 0);
                self.alu_imm(op::NEG, dst, 0);
            }
            Unary::Low32 => self.asm.push(Insn {
                code: op::ALU | op::MOV | op::X,
                dst,
                src,
                ..Insn::default()
            }),
        }
    }

    fn alu_regs(&mut self, alu: Alu, dst: u8, a: u8, b: u8) {
        let code = alu_code(alu);
        if dst != a && dst == b {
            return self.alu_reg(code, dst, a);
        }
        self.mov(dst, a);
        self.alu_reg(code, dst, b);
    }

    fn atomic_add(&mut self, address: Address, fetch: bool, regs: &[u8]) {
        let (dst, offset) = self.address(address, regs);
        let in_register = usize::from(matches!(address.base, Base::Reg(_)));
        let addend = regs[in_register];
        let (src, imm) = if fetch {
            let result = regs[in_register + 1];
            self.mov(result, addend);
            (result, op::ATOMIC_ADD | op::FETCH)
        } else {
            (addend, op::ATOMIC_ADD)
        };
        self.asm.push(Insn {
            code: op::STX | op::ATOMIC | op::DW,
            dst,
            src,
            off: offset as i16,
            imm,
        });
    }

    /// Arguments in registers are in place; the rest is made here.
    fn call(&mut self, helper: i32, args: &[Arg]) {
        for (arg, register) in args.iter().zip(reg::R1..) {
            match arg {
                Arg::Imm(n) => self.constant(register, *n),
                Arg::Reg(_, 0) => {}
                Arg::Reg(_, offset) => self.alu_imm(op::ADD, register, *offset),
                Arg::Slot(slot, offset) => self.slot_address(register, *slot, *offset),
                Arg::Map(map) => self.wide(register, RelocationKind::Map((self.map)(*map))),
                Arg::MapValue(map) => {
                    self.wide(register, RelocationKind::MapValue((self.map)(*map), 0));
                }
            }
        }
        self.asm.push(Insn {
            code: op::JMP | op::CALL,
            imm: helper,
            ..Insn::default()
        });
    }

    /// Halves the distance to the highest bit step by step: `rest` ends as `value >> s` and
    /// `dst` as `s << bits`, with `s` the bits above the `bits + 1` kept; their sum is the bucket.
    fn log_linear(&mut self, value: u8, dst: u8, rest: u8, bits: u8, width: u8) {
        self.mov(rest, value);
        let mut step = 32u8;
        let mut first = true;
        while step > 0 {
            if u32::from(step) + u32::from(bits) < u32::from(width) {
                let skip = self.asm.label();
                let above = step + bits;
                let most = (1i64 << above) - 1;
                let gain = i32::from(step) << bits;
                if fits_imm(most) {
                    if first {
                        self.mov_imm(dst, 0);
                    }
                    let small = Insn {
                        code: op::JMP | op::JLE | op::K,
                        dst: rest,
                        imm: most as i32,
                        ..Insn::default()
                    };
                    self.asm.jump(small, skip);
                    self.alu_imm(op::RSH, rest, i32::from(step));
                    if first {
                        self.mov_imm(dst, gain);
                    } else {
                        self.alu_imm(op::ADD, dst, gain);
                    }
                } else {
                    // No immediate reaches that far; what is left after a shift tells as well, and where
                    // nothing is, it is the 0 to start from.
                    self.mov(dst, rest);
                    self.alu_imm(op::RSH, dst, i32::from(above));
                    let small = Insn {
                        code: op::JMP | op::JEQ | op::K,
                        dst,
                        ..Insn::default()
                    };
                    self.asm.jump(small, skip);
                    self.alu_imm(op::RSH, rest, i32::from(step));
                    self.mov_imm(dst, gain);
                }
                self.asm.bind(skip);
                first = false;
            }
            step /= 2;
        }
        if first {
            self.mov_imm(dst, 0);
        }
        self.alu_reg(op::ADD, dst, rest);
    }

    fn bucket_add(&mut self, regs: &[u8], offset: i32, limit: u32, width: Width) {
        let (base, index, at, count) = (regs[0], regs[1], regs[2], regs[3]);
        let skip = self.asm.label();
        let beyond = Insn {
            code: op::JMP | op::JGT | op::K,
            dst: index,
            imm: limit as i32 - 1,
            ..Insn::default()
        };
        self.asm.jump(beyond, skip);
        self.mov(at, index);
        self.alu_imm(op::LSH, at, if width == Width::D { 3 } else { 2 });
        self.alu_reg(op::ADD, at, base);
        self.memory(op::LDX, width, count, at, offset);
        if width == Width::D {
            self.alu_imm(op::ADD, count, 1);
        } else {
            // 32-bit arithmetic: the largest count plus 1 is 0, which is not stored.
            self.asm.push(Insn {
                code: op::ALU | op::ADD | op::K,
                dst: count,
                imm: 1,
                ..Insn::default()
            });
            let full = Insn {
                code: op::JMP | op::JEQ | op::K,
                dst: count,
                ..Insn::default()
            };
            self.asm.jump(full, skip);
        }
        self.memory(op::STX, width, at, count, offset);
        self.asm.bind(skip);
    }

    fn slot_address(&mut self, dst: u8, slot: ir::SlotId, offset: i32) {
        self.mov(dst, reg::FP);
        let offset = self.offset(slot, offset);
        self.alu_imm(op::ADD, dst, offset);
    }

    fn wide(&mut self, dst: u8, what: RelocationKind) {
        self.asm.relocate(what);
        self.wide_imm(dst, 0);
    }

    fn wide_imm(&mut self, dst: u8, n: i64) {
        self.asm.push(Insn {
            code: op::LD | op::DW | op::IMM,
            dst,
            imm: n as i32,
            ..Insn::default()
        });
        self.asm.push(Insn {
            imm: (n >> 32) as i32,
            ..Insn::default()
        });
    }

    fn constant(&mut self, dst: u8, n: i64) {
        if fits_imm(n) {
            self.mov_imm(dst, n as i32);
        } else if u32::try_from(n).is_ok() {
            // A 32-bit move clears the upper half.
            self.asm.push(Insn {
                code: op::ALU | op::MOV | op::K,
                dst,
                imm: n as i32,
                ..Insn::default()
            });
        } else {
            self.wide_imm(dst, n);
        }
    }

    fn mov(&mut self, dst: u8, src: u8) {
        if dst != src {
            self.alu_reg(op::MOV, dst, src);
        }
    }

    fn mov_imm(&mut self, dst: u8, n: i32) {
        self.alu_imm(op::MOV, dst, n);
    }

    fn alu_imm(&mut self, code: u8, dst: u8, imm: i32) {
        self.asm.push(Insn {
            code: op::ALU64 | code | op::K,
            dst,
            imm,
            ..Insn::default()
        });
    }

    fn alu_reg(&mut self, code: u8, dst: u8, src: u8) {
        self.asm.push(Insn {
            code: op::ALU64 | code | op::X,
            dst,
            src,
            ..Insn::default()
        });
    }

    fn memory(&mut self, class: u8, width: Width, dst: u8, src: u8, offset: i32) {
        self.asm.push(Insn {
            code: class | op::MEM | width_code(width),
            dst,
            src,
            off: offset as i16,
            imm: 0,
        });
    }

    fn store_imm(&mut self, width: Width, dst: u8, offset: i32, imm: i32) {
        self.asm.push(Insn {
            code: op::ST | op::MEM | width_code(width),
            dst,
            src: 0,
            off: offset as i16,
            imm,
        });
    }
}

fn compare(cond: Cond, lhs: u8, rhs_reg: Option<u8>, rhs: Val) -> Insn {
    let code = match cond {
        Cond::Eq => op::JEQ,
        Cond::Ne => op::JNE,
        Cond::Lt => op::JLT,
        Cond::Le => op::JLE,
        Cond::Gt => op::JGT,
        Cond::Ge => op::JGE,
        Cond::SLt => op::JSLT,
        Cond::SLe => op::JSLE,
        Cond::SGt => op::JSGT,
        Cond::SGe => op::JSGE,
    };
    match (rhs, rhs_reg) {
        (Val::Reg(_), Some(src)) => Insn {
            code: op::JMP | code | op::X,
            dst: lhs,
            src,
            ..Insn::default()
        },
        (Val::Imm(n), _) => Insn {
            code: op::JMP | code | op::K,
            dst: lhs,
            imm: n as i32,
            ..Insn::default()
        },
        (Val::Reg(v), None) => unreachable!("{v} has no register"),
    }
}

fn alu_code(alu: Alu) -> u8 {
    match alu {
        Alu::Add => op::ADD,
        Alu::Sub => op::SUB,
        Alu::Mul => op::MUL,
        Alu::Div => op::DIV,
        Alu::Mod => op::MOD,
        Alu::And => op::AND,
        Alu::Or => op::OR,
        Alu::Xor => op::XOR,
        Alu::Shl => op::LSH,
        Alu::Shr => op::RSH,
        Alu::Sar => op::ARSH,
    }
}

fn width_code(width: Width) -> u8 {
    match width {
        Width::B => op::B,
        Width::H => op::H,
        Width::W => op::W,
        Width::D => op::DW,
    }
}

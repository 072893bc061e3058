//! Operations that take several instructions. What registers they may share is in [`crate::codegen::regalloc::shape()`].

use super::super::insn::{Insn, op, reg};
use super::Emitter;
use super::raw::alu_code;
use crate::image::RelocationKind;
use crate::ir::{Address, Alu, Arg, Base, MapRef, Unary, Width, fits_imm};

impl Emitter<'_> {
    /// 1 where the comparison holds, else 0.
    pub(super) fn set(&mut self, dst: u8, comparison: Insn) {
        self.mov_imm(dst, 1);
        let skip = self.asm.label();
        self.asm.jump(comparison, skip);
        self.mov_imm(dst, 0);
        self.asm.bind(skip);
    }

    pub(super) fn unary(&mut self, unary: Unary, dst: u8, src: u8) {
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

    pub(super) fn alu_regs(&mut self, alu: Alu, dst: u8, a: u8, b: u8) {
        let code = alu_code(alu);
        if dst != a && dst == b {
            return self.alu_reg(code, dst, a);
        }
        self.mov(dst, a);
        self.alu_reg(code, dst, b);
    }

    pub(super) fn atomic_add(&mut self, address: Address, fetch: bool, regs: &[u8]) {
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
    pub(super) fn call(&mut self, helper: i32, args: &[Arg]) {
        for (arg, register) in args.iter().zip(reg::R1..) {
            match arg {
                Arg::Imm(n) => self.constant(register, *n),
                Arg::Reg(_, 0) => {}
                Arg::Reg(_, offset) => self.alu_imm(op::ADD, register, *offset),
                Arg::Slot(slot, offset) => self.slot_address(register, *slot, *offset),
                Arg::Map(map) => self.wide(register, RelocationKind::Map((self.map)(*map))),
                Arg::Function(index) => {
                    self.wide(register, RelocationKind::Function(*index as usize));
                }
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
    pub(super) fn log_linear(&mut self, value: u8, dst: u8, rest: u8, bits: u8, width: u8) {
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

    /// In one piece, so that no spill parts the index from its bounds.
    pub(super) fn part(&mut self, regs: &[u8], map: MapRef, count: u32, shift: u8) {
        let (index, dst, at) = (regs[0], regs[1], regs[2]);
        self.mov(at, index);
        self.alu_imm(op::AND, at, count as i32 - 1);
        self.alu_imm(op::LSH, at, shift.into());
        self.wide(dst, RelocationKind::MapValue((self.map)(map), 0));
        self.alu_reg(op::ADD, dst, at);
    }

    pub(super) fn bucket_add(&mut self, regs: &[u8], offset: i32, limit: u32, width: Width) {
        let (base, index, at, count) = (regs[0], regs[1], regs[2], regs[3]);
        let skip = self.asm.label();
        self.mov(at, index);
        self.alu_imm(op::AND, at, limit as i32 - 1);
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
}

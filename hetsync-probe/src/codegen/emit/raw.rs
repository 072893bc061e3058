//! Single instructions, and the codes of the IR's operations.

use super::super::insn::{Insn, op, reg};
use super::Emitter;
use crate::image::RelocationKind;
use crate::ir::{self, Alu, Cond, Val, Width, fits_imm};

impl Emitter<'_> {
    pub(super) fn slot_address(&mut self, dst: u8, slot: ir::SlotId, offset: i32) {
        self.mov(dst, reg::FP);
        let offset = self.offset(slot, offset);
        self.alu_imm(op::ADD, dst, offset);
    }

    pub(super) fn wide(&mut self, dst: u8, what: RelocationKind) {
        self.asm.relocate(what);
        self.wide_imm(dst, 0);
    }

    pub(super) fn wide_imm(&mut self, dst: u8, n: i64) {
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

    pub(super) fn constant(&mut self, dst: u8, n: i64) {
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

    pub(super) fn mov(&mut self, dst: u8, src: u8) {
        if dst != src {
            self.alu_reg(op::MOV, dst, src);
        }
    }

    pub(super) fn mov_imm(&mut self, dst: u8, n: i32) {
        self.alu_imm(op::MOV, dst, n);
    }

    pub(super) fn alu_imm(&mut self, code: u8, dst: u8, imm: i32) {
        self.asm.push(Insn {
            code: op::ALU64 | code | op::K,
            dst,
            imm,
            ..Insn::default()
        });
    }

    pub(super) fn alu_reg(&mut self, code: u8, dst: u8, src: u8) {
        self.asm.push(Insn {
            code: op::ALU64 | code | op::X,
            dst,
            src,
            ..Insn::default()
        });
    }

    pub(super) fn memory(&mut self, class: u8, width: Width, dst: u8, src: u8, offset: i32) {
        self.asm.push(Insn {
            code: class | op::MEM | width_code(width),
            dst,
            src,
            off: offset as i16,
            imm: 0,
        });
    }

    pub(super) fn store_imm(&mut self, width: Width, dst: u8, offset: i32, imm: i32) {
        self.asm.push(Insn {
            code: op::ST | op::MEM | width_code(width),
            dst,
            src: 0,
            off: offset as i16,
            imm,
        });
    }
}

pub(super) fn compare(cond: Cond, lhs: u8, rhs_reg: Option<u8>, rhs: Val) -> Insn {
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

pub(super) fn alu_code(alu: Alu) -> u8 {
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

pub(super) fn width_code(width: Width) -> u8 {
    match width {
        Width::B => op::B,
        Width::H => op::H,
        Width::W => op::W,
        Width::D => op::DW,
    }
}

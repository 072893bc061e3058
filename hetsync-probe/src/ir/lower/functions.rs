//! What functions compute: words here and bytes where they are to end up.

use super::super::{Address, Alu, Arg, Cond, MapRef, Op, Val, Width};
use super::Lowerer;
use crate::codegen::insn::helper;
use crate::image::ProgramKind;
use crate::layout;
use crate::sema::hir::{Expr, Function, Type};

/// `BPF_F_USER_STACK` of `bpf_get_stackid`.
const USER_STACK: i64 = 1 << 8;

impl<'a> Lowerer<'a> {
    /// The word a function gives.
    pub(super) fn call_word(&mut self, function: &'a Function, args: &'a [Expr]) -> Val {
        match function {
            Function::Hardware => {
                let at = self.fresh_copy(&args[0], 8);
                let word = self.b.load(Width::D, at);
                self.b.alu(Alu::And, word, Val::Imm(0xffff_ffff_ffff))
            }
            Function::Swap(bytes) => {
                let value = self.value(&args[0]);
                self.swapped(value, *bytes)
            }
            Function::Differ(bytes) => self.differ(&args[0], &args[1], *bytes as usize),
            Function::Order(bytes) => self.order(&args[0], &args[1], *bytes as usize),
            Function::Contains(needle) => self.contains(&args[0], needle),
            Function::Length => self.length(&args[0]),
            Function::HasKey(map) => {
                let key = self.key_arg(*map, args);
                let found = self.lookup(MapRef::Script(*map), key);
                self.b.set(Cond::Ne, Val::Reg(found), Val::Imm(0))
            }
            Function::Entries(map) => self.entries(*map),
            Function::Stack { frames, user } => self.stack_number(*frames, *user),
            Function::Signal => {
                let signal = self.value(&args[0]);
                let signal = self.b.reg(signal);
                Val::Reg(self.b.call(helper::SEND_SIGNAL, vec![Arg::Reg(signal, 0)]))
            }
            Function::SocketCookie => self.socket_cookie(&args[0]),
            Function::Internet
            | Function::Flow
            | Function::Constant(_)
            | Function::Buffer { .. }
            | Function::Text { .. }
            | Function::Whole
            | Function::InProcess => unreachable!("bytes where a word is wanted"),
        }
    }

    /// Writes the bytes a function gives.
    pub(super) fn call_bytes(
        &mut self,
        to: Address,
        ty: &Type,
        function: &'a Function,
        args: &'a [Expr],
    ) {
        match function {
            Function::Internet => {
                let family = self.value(&args[0]);
                self.b.store(Width::D, to, family);
                self.address(to.plus(8), &args[1]);
            }
            Function::Flow => {
                let parts = [0, 1, 2].map(|part| {
                    let word = self.value(&args[part]);
                    let low = self.b.alu(Alu::And, word, Val::Imm(0xffff));
                    self.b.alu(Alu::Shl, low, Val::Imm(16 * part as i64))
                });
                let head = self.b.alu(Alu::Or, parts[0], parts[1]);
                let head = self.b.alu(Alu::Or, head, parts[2]);
                self.b.store(Width::D, to, head);
                self.address(to.plus(8), &args[3]);
                self.address(to.plus(24), &args[4]);
            }
            Function::Constant(bytes) => {
                for offset in (0..ty.size()).step_by(8) {
                    let mut word = [0; 8];
                    for (to, from) in word.iter_mut().zip(bytes.iter().skip(offset)) {
                        *to = *from;
                    }
                    self.b
                        .store_word(to.plus(offset as i32), u64::from_le_bytes(word));
                }
            }
            Function::InProcess => {
                let word = self.value(&args[0]);
                self.b.store(Width::D, to, word);
                let both = self.pid_tgid();
                let process = self.b.alu(Alu::Shr, Val::Reg(both), Val::Imm(32));
                self.b.store(Width::D, to.plus(8), process);
            }
            Function::Buffer { user } => {
                let address = self.value(&args[0]);
                let length = self.value(&args[1]);
                let room = ty.size() - 8;
                self.clear_bytes(to, 8, ty.size());
                let length = self.shortened(length, room - 1);
                self.b.store(Width::D, to, length);
                let read = match user {
                    true => helper::PROBE_READ_USER,
                    false => helper::PROBE_READ_KERNEL,
                };
                self.read_some(to.plus(8), length, address, read);
            }
            Function::Text { user } => {
                let address = self.value(&args[0]);
                let length = self.value(&args[1]);
                self.clear_bytes(to, 0, ty.size());
                // Both count the NUL; with nothing to read there is no call.
                let length = self.shortened(length, ty.size() - 1);
                let read = match user {
                    true => helper::PROBE_READ_USER_STR,
                    false => helper::PROBE_READ_KERNEL_STR,
                };
                self.read_some(to, length, address, read);
            }
            Function::Whole => {
                let bytes = args[0].ty.memory_size();
                self.b.store_word(to, bytes as u64);
                self.write(to.plus(8), &args[0].ty, &args[0]);
                self.clear_bytes(to, 8 + args[0].ty.size(), ty.size());
            }
            _ => unreachable!("a word where bytes are wanted"),
        }
    }

    /// A value in memory of its own, which starts at a multiple of 8 and has at least this many bytes.
    pub(super) fn fresh_copy(&mut self, expr: &'a Expr, least: usize) -> Address {
        let size = expr.ty.size().max(least);
        let slot = self.b.slot(size, "an argument");
        let at = Address::slot(slot);
        self.write(at, &expr.ty, expr);
        self.clear_bytes(at, expr.ty.size(), size);
        at
    }

    /// The 16 bytes of an internet address.
    fn address(&mut self, to: Address, address: &'a Expr) {
        if address.ty.is_word() {
            let word = self.value(address);
            let word = self.b.unary(super::super::Unary::Low32, word);
            self.b.store(Width::D, to, word);
            self.b.store(Width::D, to.plus(8), Val::Imm(0));
        } else {
            self.write(to, &address.ty, address);
            self.clear_bytes(to, address.ty.size(), 16);
        }
    }

    /// Bytes in the other order: halves change places, then their halves, down to bytes.
    fn swapped(&mut self, value: Val, bytes: u8) -> Val {
        const STEPS: [(i64, u64); 3] = [
            (8, 0x00ff_00ff_00ff_00ff),
            (16, 0x0000_ffff_0000_ffff),
            (32, 0x0000_0000_ffff_ffff),
        ];
        let (steps, kept) = match bytes {
            2 => (1, 0xffff),
            4 => (2, 0xffff_ffff),
            _ => (3, u64::MAX),
        };
        let mut word = match bytes {
            8 => value,
            _ => self.b.alu(Alu::And, value, Val::Imm(kept as i64)),
        };
        for (by, mask) in &STEPS[..steps] {
            let (by, mask) = (Val::Imm(*by), Val::Imm((mask & kept) as i64));
            let low = self.b.alu(Alu::And, word, mask);
            let up = self.b.alu(Alu::Shl, low, by);
            let down = self.b.alu(Alu::Shr, word, by);
            let down = self.b.alu(Alu::And, down, mask);
            word = self.b.alu(Alu::Or, up, down);
        }
        word
    }

    /// A length of at most `most`, which is one or two less than a power of two.
    fn shortened(&mut self, length: Val, most: usize) -> Val {
        let most = most as i64;
        let result = self.b.var(length);
        let (long, join) = (self.b.block(), self.b.block());
        self.b.branch(Cond::Gt, length, Val::Imm(most), long, join);
        self.b.start(long);
        self.b.set_var(result, Val::Imm(most));
        self.b.jump(join);
        self.b.start(join);
        // Masking changes nothing; but it is what every verifier can follow.
        let length = self.b.pop(result);
        let mask = (most as u64 + 1).next_power_of_two() - 1;
        self.b.alu(Alu::And, length, Val::Imm(mask as i64))
    }

    /// Reads memory of a length that is known to fit, if there is any to read.
    fn read_some(&mut self, to: Address, length: Val, address: Val, read: i32) {
        let (some, join) = (self.b.block(), self.b.block());
        self.b.branch(Cond::Ne, length, Val::Imm(0), some, join);
        self.b.start(some);
        let size = match length {
            Val::Imm(bytes) => Arg::Imm(bytes),
            Val::Reg(length) => Arg::Reg(length, 0),
        };
        let source = self.b.reg(address);
        self.b
            .call_only(read, vec![to.arg(), size, Arg::Reg(source, 0)]);
        self.b.jump(join);
        self.b.start(join);
    }

    /// Bytes before the NUL, of which there is one: the word that has it first, then its place in there.
    fn length(&mut self, text: &'a Expr) -> Val {
        const ONES: u64 = 0x0101_0101_0101_0101;
        const HIGHS: u64 = 0x8080_8080_8080_8080;
        let at = self.fresh_copy(text, 8);
        let (found, done) = (self.b.block(), self.b.block());
        let before = self.b.var(Val::Imm(0));
        let marks = self.b.var(Val::Imm(0));
        for offset in (0..text.ty.size()).step_by(8) {
            let word = self.b.load(Width::D, at.plus(offset as i32));
            // The lowest bit that is set stands in the lowest byte that is zero.
            let lower = self.b.alu(Alu::Sub, word, Val::Imm(ONES as i64));
            let clear = self.b.alu(Alu::Xor, word, Val::Imm(-1));
            let both = self.b.alu(Alu::And, lower, clear);
            let zeros = self.b.alu(Alu::And, both, Val::Imm(HIGHS as i64));
            let next = self.b.block();
            self.b.set_var(before, Val::Imm(offset as i64));
            self.b.set_var(marks, zeros);
            self.b.branch(Cond::Ne, zeros, Val::Imm(0), found, next);
            self.b.start(next);
        }
        self.b.jump(found);
        self.b.start(found);
        let marks = self.b.pop(marks);
        for byte in 0..7 {
            let mark = self.b.alu(Alu::And, marks, Val::Imm(0x80 << (8 * byte)));
            let next = self.b.block();
            self.b.branch(Cond::Ne, mark, Val::Imm(0), done, next);
            self.b.start(next);
            let one_more = self.b.get(before);
            let one_more = self.b.alu(Alu::Add, one_more, Val::Imm(1));
            self.b.set_var(before, one_more);
        }
        self.b.jump(done);
        self.b.start(done);
        self.b.pop(before)
    }

    /// The kernel's number of the current stack. One that the map has no room for, since another of the same number is there, is
    /// lost; a process without a stack is none.
    fn stack_number(&mut self, frames: u16, user: bool) -> Val {
        if matches!(self.cx.kind, ProgramKind::Run) {
            return Val::Imm(layout::NO_STACK);
        }
        let context = self.b.context();
        let flags = if user { USER_STACK } else { 0 };
        let number = Val::Reg(self.b.call(
            helper::GET_STACKID,
            vec![
                Arg::Reg(context, 0),
                Arg::Map(MapRef::Stacks(frames)),
                Arg::Imm(flags),
            ],
        ));
        let (taken, join) = (self.b.cold_block(), self.b.block());
        self.b
            .branch(Cond::Eq, number, Val::Imm(layout::STACK_TAKEN), taken, join);
        self.b.start(taken);
        self.lose(layout::Loss::Stacks);
        self.b.jump(join);
        self.b.start(join);
        number
    }

    /// A word of the kernel that takes no arguments and stays the same while the program runs.
    pub(super) fn asked(&mut self, helper: i32) -> Val {
        Val::Reg(self.b.pure(Op::Call(helper, Vec::new())))
    }
}

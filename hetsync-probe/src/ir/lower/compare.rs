//! Functions that compare bytes and look for them, word by word.

use super::super::{Address, Alu, Cond, Val, Width};
use super::Lowerer;
use crate::sema::hir::Expr;

impl<'a> Lowerer<'a> {
    /// 1 where the first bytes of two strings differ.
    pub(super) fn differ(&mut self, lhs: &'a Expr, rhs: &'a Expr, bytes: usize) -> Val {
        let (different, join) = (self.b.block(), self.b.block());
        let result = self.b.var(Val::Imm(0));
        self.each_pair(lhs, rhs, bytes, |this, a, b| {
            let next = this.b.block();
            this.b.branch(Cond::Ne, a, b, different, next);
            this.b.start(next);
        });
        self.b.jump(join);
        self.b.start(different);
        self.b.set_var(result, Val::Imm(1));
        self.b.jump(join);
        self.b.start(join);
        self.b.pop(result)
    }

    /// The difference of the first two bytes that differ: the pair of words first, then the place in there.
    pub(super) fn order(&mut self, lhs: &'a Expr, rhs: &'a Expr, bytes: usize) -> Val {
        let (different, join) = (self.b.block(), self.b.block());
        let result = self.b.var(Val::Imm(0));
        let words = [Val::Imm(0), Val::Imm(0)].map(|zero| self.b.var(zero));
        self.each_pair(lhs, rhs, bytes, |this, a, b| {
            let next = this.b.block();
            this.b.set_var(words[0], a);
            this.b.set_var(words[1], b);
            this.b.branch(Cond::Ne, a, b, different, next);
            this.b.start(next);
        });
        self.b.jump(join);
        self.b.start(different);
        let (b, a) = (self.b.get(words[1]), self.b.get(words[0]));
        for byte in 0..8 {
            let [a, b] = [a, b].map(|word| {
                let low = self.b.alu(Alu::Shr, word, Val::Imm(8 * byte));
                self.b.alu(Alu::And, low, Val::Imm(0xff))
            });
            let difference = self.b.alu(Alu::Sub, a, b);
            self.b.set_var(result, difference);
            let next = self.b.block();
            self.b.branch(Cond::Ne, difference, Val::Imm(0), join, next);
            self.b.start(next);
        }
        self.b.jump(join);
        self.b.start(join);
        self.b.pop(words[1]);
        self.b.pop(words[0]);
        self.b.pop(result)
    }

    /// The first bytes of two values as pairs of words; what a value has no more bytes for is zeros.
    fn each_pair(
        &mut self,
        lhs: &'a Expr,
        rhs: &'a Expr,
        bytes: usize,
        mut see: impl FnMut(&mut Self, Val, Val),
    ) {
        let (l_size, r_size) = (lhs.ty.size(), rhs.ty.size());
        let l = self.fresh_copy(lhs, 8);
        let r = self.fresh_copy(rhs, 8);
        for offset in (0..bytes.min(l_size.max(r_size))).step_by(8) {
            let left = bytes - offset;
            let mut word = |at: Address, size: usize| {
                if offset >= size {
                    return Val::Imm(0);
                }
                let word = self.b.load(Width::D, at.plus(offset as i32));
                match left {
                    8.. => word,
                    _ => self
                        .b
                        .alu(Alu::And, word, Val::Imm((1i64 << (8 * left)) - 1)),
                }
            };
            let (a, b) = (word(l, l_size), word(r, r_size));
            see(self, a, b);
        }
    }

    /// Slides a window of the needle's length over the string, the newest byte lowest. A needle of more than 8 bytes has a
    /// window of several words, each of which hands its oldest byte to the next.
    pub(super) fn contains(&mut self, hay: &'a Expr, needle: &[u8]) -> Val {
        if needle.is_empty() {
            return Val::Imm(1);
        }
        let at = self.fresh_copy(hay, 8);
        // The last bytes of the needle come first here, as the newest of the window do.
        let wanted: Vec<(u64, u64)> = needle.rchunks(8).map(wanted_word).collect();
        let (found, join) = (self.b.block(), self.b.block());
        let result = self.b.var(Val::Imm(0));
        let mut windows = vec![Val::Imm(0); wanted.len()];
        for offset in 0..hay.ty.size() {
            let mut entering = self.b.load(Width::B, at.plus(offset as i32));
            let last = windows.len() - 1;
            for (i, window) in windows.iter_mut().enumerate() {
                let leaving = match i < last {
                    true => self.b.alu(Alu::Shr, *window, Val::Imm(56)),
                    false => Val::Imm(0),
                };
                let up = self.b.alu(Alu::Shl, *window, Val::Imm(8));
                *window = self.b.alu(Alu::Or, up, entering);
                entering = leaving;
            }
            if offset + 1 < needle.len() {
                continue;
            }
            // One branch for all words: paths that meet again would each be followed by the kernel's verifier.
            let mut differs = None;
            for (window, (word, kept)) in windows.iter().zip(&wanted) {
                let window = match *kept {
                    u64::MAX => *window,
                    kept => self.b.alu(Alu::And, *window, Val::Imm(kept as i64)),
                };
                let part = self.b.alu(Alu::Xor, window, Val::Imm(*word as i64));
                differs = Some(match differs {
                    None => part,
                    Some(differs) => self.b.alu(Alu::Or, differs, part),
                });
            }
            let next = self.b.block();
            let differs = differs.unwrap_or(Val::Imm(0));
            self.b.branch(Cond::Eq, differs, Val::Imm(0), found, next);
            self.b.start(next);
        }
        self.b.jump(join);
        self.b.start(found);
        self.b.set_var(result, Val::Imm(1));
        self.b.jump(join);
        self.b.start(join);
        self.b.pop(result)
    }
}

/// Up to 8 bytes as a word with the last one lowest, and the bits of a window that count.
fn wanted_word(bytes: &[u8]) -> (u64, u64) {
    let word = bytes
        .iter()
        .fold(0u64, |word, &byte| word << 8 | u64::from(byte));
    (word, u64::MAX >> (64 - 8 * bytes.len().min(8)))
}

//! Strings: literals and `comm`, and comparison word by word up to the NUL of a literal.

use super::super::{Address, Arg, BlockId, Cond, SlotId, Val, Width};
use super::Lowerer;
use crate::codegen::insn::helper;
use crate::sema::hir::{Builtin, Expr, ExprKind, Type};

/// Bytes of `comm` (the kernel's `TASK_COMM_LEN`).
const COMM: usize = 16;

/// One side of a comparison.
enum Side {
    /// Known words.
    Literal(Vec<u64>),
    /// Words in memory, this many.
    Memory(Address, usize),
}

impl<'a> Lowerer<'a> {
    /// Writes a literal to a place of this capacity.
    pub(super) fn write_literal(&mut self, to: Address, size: usize, bytes: &[u8]) {
        for (i, word) in words(bytes, size).into_iter().enumerate() {
            self.b.store_word(to.plus(8 * i as i32), word);
        }
    }

    /// Writes `comm` to a place of this capacity.
    pub(super) fn write_comm(&mut self, to: Address, size: usize) {
        if let Some(slot) = self.known_comm() {
            return self.copy(Address::slot(slot), COMM, to, size);
        }
        if size < COMM {
            let slot = self.comm();
            return self.copy(Address::slot(slot), COMM, to, size);
        }
        // 6.1 leaves what follows the name's NUL as it was, and keys are compared whole.
        self.clear_bytes(to, 0, size);
        self.b.call_only(
            helper::GET_CURRENT_COMM,
            vec![to.arg(), Arg::Imm(COMM as i64)],
        );
    }

    /// An object that holds `comm` here already.
    fn known_comm(&self) -> Option<SlotId> {
        let mut recent = self.comms.iter().rev().take(16);
        Some(recent.find(|(block, _)| self.b.dominates_here(*block))?.1)
    }

    /// Notes that an object nobody will change starts with `comm` from here on.
    pub(super) fn note_comm(&mut self, slot: SlotId) {
        self.comms.push((self.b.here(), slot));
    }

    /// An object that starts with `comm`.
    pub(super) fn comm(&mut self) -> SlotId {
        if let Some(slot) = self.known_comm() {
            return slot;
        }
        let slot = self.b.slot(COMM, "comm");
        self.write_comm(Address::slot(slot), COMM);
        self.note_comm(slot);
        slot
    }

    /// Goes to `same` where two strings (or a name and a string) are equal, else to `different`.
    pub(super) fn compare_strings(
        &mut self,
        lhs: &'a Expr,
        rhs: &'a Expr,
        same: BlockId,
        different: BlockId,
    ) {
        match (lhs.ty == Type::Name, rhs.ty == Type::Name) {
            (true, true) => {
                let l = self.value(lhs);
                let r = self.value(rhs);
                self.b.branch(Cond::Eq, l, r, same, different);
            }
            (true, false) => {
                let name = self.value(lhs);
                let side = self.side(rhs);
                self.compare_name(name, &side, same, different);
            }
            (false, true) => {
                let side = self.side(lhs);
                let name = self.value(rhs);
                self.compare_name(name, &side, same, different);
            }
            (false, false) => {
                let l = self.side(lhs);
                let r = self.side(rhs);
                self.compare_sides(&l, &r, same, different);
            }
        }
    }

    /// A name is one of the program's: equal where it is that one and the string is its text.
    fn compare_name(&mut self, name: Val, side: &Side, same: BlockId, different: BlockId) {
        let names = &self.cx.program.names;
        for (i, text) in names.iter().enumerate() {
            let id = Val::Imm(i as i64);
            if matches!(name, Val::Imm(_)) && name != id {
                continue;
            }
            let size = (text.len() + 1).next_multiple_of(8);
            let text = Side::Literal(words(text.as_bytes(), size));
            let this = self.b.block();
            let next = self.b.block();
            self.b.branch(Cond::Eq, name, id, this, next);
            self.b.start(this);
            self.compare_sides(&text, side, same, different);
            self.b.start(next);
        }
        self.b.jump(different);
    }

    fn side(&mut self, expr: &'a Expr) -> Side {
        let size = expr.ty.size();
        match &expr.kind {
            ExprKind::Str(bytes) => Side::Literal(words(bytes, size)),
            ExprKind::Builtin(Builtin::Comm) => Side::Memory(Address::slot(self.comm()), COMM / 8),
            _ => Side::Memory(self.place(expr), size / 8),
        }
    }

    fn compare_sides(&mut self, l: &Side, r: &Side, same: BlockId, different: BlockId) {
        for i in 0..l.len().max(r.len()) {
            let (a, b) = (self.word(l, i), self.word(r, i));
            let next = self.b.block();
            self.b.branch(Cond::Eq, a, b, next, different);
            self.b.start(next);
            // Past the first NUL both are zero: nothing is left to compare.
            if [a, b]
                .iter()
                .any(|v| matches!(v, Val::Imm(n) if n.to_le_bytes().contains(&0)))
            {
                break;
            }
        }
        self.b.jump(same);
    }

    fn word(&mut self, side: &Side, i: usize) -> Val {
        match side {
            Side::Literal(words) => Val::Imm(words.get(i).copied().unwrap_or(0) as i64),
            Side::Memory(at, len) if i < *len => self.b.load(Width::D, at.plus(8 * i as i32)),
            Side::Memory(..) => Val::Imm(0),
        }
    }
}

impl Side {
    fn len(&self) -> usize {
        match self {
            Side::Literal(words) => words.len(),
            Side::Memory(_, len) => *len,
        }
    }
}

/// A string's bytes as little-endian words, cut to `size - 1` bytes, zeros after.
fn words(bytes: &[u8], size: usize) -> Vec<u64> {
    let mut buffer = vec![0; size];
    let len = bytes.len().min(size - 1);
    buffer[..len].copy_from_slice(&bytes[..len]);
    (0..size / 8)
        .map(|i| crate::layout::word(&buffer, i))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn a_literal_is_cut_one_byte_before_its_capacity() {
        assert_eq!(words(b"abcdefgh", 8), [u64::from_le_bytes(*b"abcdefg\0")]);
        assert_eq!(words(b"", 16), [0, 0]);
    }
}

//! Strings: written straight to where they are wanted (a key, a variable, an event), compared word by word.

use super::super::{Address, Arg, Base, BlockId, Cond, SlotId, Val, Width};
use super::{LocalPlace, Lowerer};
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
    /// Writes a string of capacity `size` to `to`; every byte is written.
    pub(super) fn write_string(&mut self, to: Address, size: usize, expr: &'a Expr) {
        let outer = std::mem::replace(&mut self.b.span, expr.span);
        match &expr.kind {
            ExprKind::Str(bytes) => self.write_literal(to, size, bytes),
            ExprKind::Builtin(_) => self.write_comm(to, size),
            ExprKind::Local(id) => {
                if let LocalPlace::Memory(slot, from_size) = self.locals[id.0 as usize] {
                    self.copy(Address::slot(slot), from_size, to, size);
                }
            }
            ExprKind::MapGet { map, key } => self.get_string(*map, key, to, size),
            ExprKind::Ternary {
                cond,
                then,
                otherwise,
            } => {
                let blocks = [self.b.block(), self.b.block()];
                let join = self.b.block();
                self.condition(cond, blocks[0], blocks[1]);
                for (block, arm) in blocks.into_iter().zip([&**then, &**otherwise]) {
                    self.b.start(block);
                    // An arm may be shorter than the whole, and the whole longer than its place: two cuts in
                    // a row cut where the shorter one does, so one step to the final size is the same.
                    self.write_string(to, size, arm);
                    self.b.jump(join);
                }
                self.b.start(join);
            }
            _ => unreachable!("an integer where a string is wanted"),
        }
        self.b.span = outer;
    }

    fn write_literal(&mut self, to: Address, size: usize, bytes: &[u8]) {
        for (i, word) in words(bytes, size).into_iter().enumerate() {
            self.b.store_word(to.plus(8 * i as i32), word);
        }
    }

    /// Zeros bytes `from..to` (multiples of 8) past an address.
    pub(super) fn clear_bytes(&mut self, at: Address, from: usize, to: usize) {
        for offset in (from..to).step_by(8) {
            self.b.store(Width::D, at.plus(offset as i32), Val::Imm(0));
        }
    }

    /// Copies a string of one capacity to a place of another.
    pub(super) fn copy(&mut self, from: Address, from_size: usize, to: Address, size: usize) {
        for offset in (0..from_size.min(size)).step_by(8) {
            let offset = offset as i32;
            let word = self.b.load(Width::D, from.plus(offset));
            self.b.store(Width::D, to.plus(offset), word);
        }
        self.clear_bytes(to, from_size, size);
        if from_size > size {
            self.b
                .store(Width::B, to.plus(size as i32 - 1), Val::Imm(0));
        }
    }

    fn write_comm(&mut self, to: Address, size: usize) {
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
            ExprKind::Local(id) => match self.locals[id.0 as usize] {
                LocalPlace::Memory(slot, size) => Side::Memory(Address::slot(slot), size / 8),
                _ => unreachable!("an integer where a string is wanted"),
            },
            _ => {
                let slot = self.b.slot(size, "a string compared");
                self.write_string(Address::slot(slot), size, expr);
                Side::Memory(Address::slot(slot), size / 8)
            }
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
            Side::Memory(at, len) if i < *len => {
                debug_assert!(matches!(at.base, Base::Slot(_)));
                self.b.load(Width::D, at.plus(8 * i as i32))
            }
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

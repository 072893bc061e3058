//! Values that are bytes: written straight to where they end up, copied, compared.
//!
//! Everything that holds a value goes through [`Lowerer::write`]: a variable, a key, a map's value, an event. It puts a
//! value of one type into a place of a type that differs in the capacity of strings alone.

use super::super::{Address, Alu, Arg, BlockId, Cond, Val, Width};
use super::{LocalPlace, Lowerer};
use crate::codegen::insn::helper;
use crate::sema::hir::{Expr, ExprKind, Space, Type};

/// Bytes above which a copy is left to a helper: each 8 take two instructions otherwise.
const LONG_COPY: usize = 128;

impl<'a> Lowerer<'a> {
    /// Writes a value of any type to a place of type `ty`; every byte of it is written.
    pub(super) fn write(&mut self, to: Address, ty: &Type, expr: &'a Expr) {
        if ty.is_word() {
            let value = self.value(expr);
            return self.b.store(Width::D, to, value);
        }
        let outer = std::mem::replace(&mut self.b.span, expr.span);
        match &expr.kind {
            ExprKind::Str(bytes) => self.write_literal(to, ty.size(), bytes),
            ExprKind::Builtin(_) => self.write_comm(to, ty.size()),
            ExprKind::MapGet { map, key } => self.get_bytes(*map, key, to, ty),
            ExprKind::Tuple(parts) => self.write_tuple(to, ty, parts),
            ExprKind::Call { function, args } => self.call_bytes(to, ty, function, args),
            ExprKind::Read {
                address,
                bytes,
                space,
            } => {
                let address = self.value(address);
                self.read_memory(to, ty, address, *bytes as usize, *space);
            }
            ExprKind::Context { offset, bytes } => {
                let context = Val::Reg(self.b.context());
                let address = self.b.alu(Alu::Add, context, Val::Imm(i64::from(*offset)));
                self.read_memory(to, ty, address, *bytes as usize, Space::Kernel);
            }
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
                    self.write(to, ty, arm);
                    self.b.jump(join);
                }
                self.b.start(join);
            }
            ExprKind::Block { body, value } => {
                self.statements(body);
                self.write(to, ty, value);
            }
            ExprKind::Part { of, bytes, .. } if is_packed(&of.ty) => {
                let from = self.packed_place(expr);
                self.copy_memory(from, *bytes as usize, to, ty);
            }
            _ => {
                let from = self.place(expr);
                self.copy_value(from, &expr.ty, to, ty);
            }
        }
        self.b.span = outer;
    }

    fn write_tuple(&mut self, to: Address, ty: &Type, parts: &'a [Expr]) {
        let Type::Tuple(types) = ty else {
            unreachable!("a tuple where {ty} is wanted");
        };
        let mut at = to;
        for (part, ty) in parts.iter().zip(types.iter()) {
            self.write(at, ty, part);
            at = at.plus(ty.size() as i32);
        }
    }

    /// Where a value that is bytes lies in memory that nothing changes before it is used.
    pub(super) fn place(&mut self, expr: &'a Expr) -> Address {
        match &expr.kind {
            ExprKind::Local(id) => match self.locals[id.0 as usize] {
                LocalPlace::Memory(at) => at,
                _ => unreachable!("a word where bytes are wanted"),
            },
            ExprKind::Part { of, .. } if !is_packed(&of.ty) => self.packed_place(expr),
            _ => {
                let slot = self.b.slot(expr.ty.size(), format!("a {}", kind(&expr.ty)));
                self.write(Address::slot(slot), &expr.ty, expr);
                Address::slot(slot)
            }
        }
    }

    /// Where a value lies that may be a piece of a record: of its own size and alignment, not of whole words.
    fn packed_place(&mut self, expr: &'a Expr) -> Address {
        match &expr.kind {
            ExprKind::Part { of, offset, .. } => self.packed_place(of).plus(*offset as i32),
            _ => self.place(expr),
        }
    }

    /// Copies a value from one place to another.
    pub(super) fn copy_value(&mut self, from: Address, from_ty: &Type, to: Address, ty: &Type) {
        match (from_ty, ty) {
            (Type::Tuple(sources), Type::Tuple(types)) if from_ty != ty => {
                let (mut from, mut to) = (from, to);
                for (source, ty) in sources.iter().zip(types.iter()) {
                    self.copy_value(from, source, to, ty);
                    from = from.plus(source.size() as i32);
                    to = to.plus(ty.size() as i32);
                }
            }
            _ => self.copy(from, from_ty.size(), to, ty.size()),
        }
    }

    /// Zeros bytes `from..to` (multiples of 8) past an address.
    pub(super) fn clear_bytes(&mut self, at: Address, from: usize, to: usize) {
        if to.saturating_sub(from) > LONG_COPY {
            // A read of what cannot be read is the shortest way to zeros: the helper clears its target then, and no page is at 0.
            let args = vec![
                at.plus(from as i32).arg(),
                Arg::Imm((to - from) as i64),
                Arg::Imm(0),
            ];
            return self.b.call_only(helper::PROBE_READ_KERNEL, args);
        }
        for offset in (from..to).step_by(8) {
            self.b.store(Width::D, at.plus(offset as i32), Val::Imm(0));
        }
    }

    /// Copies whole words; where the place is smaller, what is copied is a string and is cut.
    pub(super) fn copy(&mut self, from: Address, from_size: usize, to: Address, size: usize) {
        let common = from_size.min(size);
        if common > LONG_COPY {
            let args = vec![to.arg(), Arg::Imm(common as i64), from.arg()];
            self.b.call_only(helper::PROBE_READ_KERNEL, args);
        } else {
            for offset in (0..common as i32).step_by(8) {
                let word = self.b.load(Width::D, from.plus(offset));
                self.b.store(Width::D, to.plus(offset), word);
            }
        }
        self.clear_bytes(to, from_size, size);
        if from_size > size {
            self.b
                .store(Width::B, to.plus(size as i32 - 1), Val::Imm(0));
        }
    }

    /// Copies a piece of a record in the program's own memory, where nothing is padded to words.
    fn copy_memory(&mut self, from: Address, bytes: usize, to: Address, ty: &Type) {
        self.clear_bytes(to, 0, ty.size());
        let (read, args) = match ty {
            Type::Str { .. } => (
                helper::PROBE_READ_KERNEL_STR,
                vec![to.arg(), string_room(bytes, ty), from.arg()],
            ),
            _ => (
                helper::PROBE_READ_KERNEL,
                vec![to.arg(), Arg::Imm(bytes as i64), from.arg()],
            ),
        };
        self.b.call_only(read, args);
    }

    /// Reads an object that is bytes from memory.
    fn read_memory(&mut self, to: Address, ty: &Type, address: Val, bytes: usize, space: Space) {
        let source = self.b.reg(address);
        // A string's tail, and what rounding up to words adds, are not the helper's to write.
        let written = match ty {
            Type::Str { .. } => 0,
            _ => bytes / 8 * 8,
        };
        self.clear_bytes(to, written, ty.size());
        let (read, room) = match (ty, space) {
            (Type::Str { .. }, Space::Kernel) => {
                (helper::PROBE_READ_KERNEL_STR, string_room(bytes, ty))
            }
            (Type::Str { .. }, Space::User) => {
                (helper::PROBE_READ_USER_STR, string_room(bytes, ty))
            }
            (_, Space::Kernel) => (helper::PROBE_READ_KERNEL, Arg::Imm(bytes as i64)),
            (_, Space::User) => (helper::PROBE_READ_USER, Arg::Imm(bytes as i64)),
        };
        self.b
            .call_only(read, vec![to.arg(), room, Arg::Reg(source, 0)]);
    }

    /// Goes to `same` where two values are equal, else to `different`.
    pub(super) fn compare(
        &mut self,
        lhs: &'a Expr,
        rhs: &'a Expr,
        same: BlockId,
        different: BlockId,
    ) {
        let text = |ty: &Type| matches!(ty, Type::Str { .. } | Type::Name);
        if text(&lhs.ty) || text(&rhs.ty) {
            return self.compare_strings(lhs, rhs, same, different);
        }
        let (l, r) = (self.stable_place(lhs, rhs), self.place(rhs));
        self.compare_places(l, &lhs.ty, r, &rhs.ty, different);
        self.b.jump(same);
    }

    /// The place of an operand whose value must outlive the evaluation of another.
    fn stable_place(&mut self, expr: &'a Expr, next: &Expr) -> Address {
        if !next.has_effect() {
            return self.place(expr);
        }
        let slot = self.b.slot(expr.ty.size(), format!("a {}", kind(&expr.ty)));
        self.write(Address::slot(slot), &expr.ty, expr);
        Address::slot(slot)
    }

    /// Goes on where two places hold equal values, else to `different`.
    fn compare_places(
        &mut self,
        l: Address,
        l_ty: &Type,
        r: Address,
        r_ty: &Type,
        different: BlockId,
    ) {
        if let (Type::Tuple(ls), Type::Tuple(rs)) = (l_ty, r_ty) {
            let (mut l, mut r) = (l, r);
            for (l_ty, r_ty) in ls.iter().zip(rs.iter()) {
                self.compare_places(l, l_ty, r, r_ty, different);
                l = l.plus(l_ty.size() as i32);
                r = r.plus(r_ty.size() as i32);
            }
            return;
        }
        let (l_size, r_size) = (l_ty.size(), r_ty.size());
        for offset in (0..l_size.max(r_size)).step_by(8) {
            let mut word = |at: Address, size: usize| match offset < size {
                true => self.b.load(Width::D, at.plus(offset as i32)),
                false => Val::Imm(0),
            };
            let (a, b) = (word(l, l_size), word(r, r_size));
            let next = self.b.block();
            self.b.branch(Cond::Eq, a, b, next, different);
            self.b.start(next);
        }
    }

    /// The word a piece of a value in memory is.
    pub(super) fn part_word(&mut self, of: &'a Expr, offset: u32, ty: &Type) -> Val {
        let at = self.packed_place(of).plus(offset as i32);
        self.load_word(at, ty)
    }

    /// The word of a type at an address in the program's own memory, which may not be aligned to it.
    pub(super) fn load_word(&mut self, at: Address, ty: &Type) -> Val {
        let bytes = ty.memory_size();
        // Objects start at multiples of 8, so do shared variables: the offset alone says.
        if !(at.offset as usize).is_multiple_of(bytes) {
            let slot = self.b.slot(8, "a member");
            self.copy_memory(at, bytes, Address::slot(slot), ty);
            return self.load_word(Address::slot(slot), ty);
        }
        let width = match bytes {
            1 => Width::B,
            2 => Width::H,
            4 => Width::W,
            _ => Width::D,
        };
        let word = self.b.load(width, at);
        match ty.is_signed() {
            true => self.extend(word, ty),
            false => word,
        }
    }

    /// Reads a word of a type from memory.
    pub(super) fn read_word(&mut self, address: Val, bytes: usize, space: Space, ty: &Type) -> Val {
        let slot = self.b.slot(8, "what is read");
        let to = Address::slot(slot);
        let source = self.b.reg(address);
        let read = match space {
            Space::Kernel => helper::PROBE_READ_KERNEL,
            Space::User => helper::PROBE_READ_USER,
        };
        // Where the read fails the helper clears its target.
        if bytes < 8 {
            self.b.store(Width::D, to, Val::Imm(0));
        }
        let args = vec![
            Arg::Slot(slot, 0),
            Arg::Imm(bytes as i64),
            Arg::Reg(source, 0),
        ];
        self.b.call_only(read, args);
        let word = self.b.load(Width::D, to);
        match ty.is_signed() {
            true => self.extend(word, ty),
            false => word,
        }
    }
}

/// Whether pieces of such a value lie as C has them rather than in whole words.
fn is_packed(ty: &Type) -> bool {
    matches!(ty, Type::Record(_) | Type::Array { .. })
}

/// The size a string-reading helper is given: it reads one byte less and closes with NUL.
fn string_room(bytes: usize, ty: &Type) -> Arg {
    Arg::Imm((bytes + 1).min(ty.size()) as i64)
}

/// What to call an object of the compiler's own in a message about the stack.
fn kind(ty: &Type) -> &'static str {
    match ty {
        Type::Str { .. } => "string",
        Type::Tuple(_) => "tuple",
        Type::Record(_) => "record",
        Type::Array { .. } => "array",
        _ => "value",
    }
}

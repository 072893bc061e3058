//! Expressions of every type.

use super::memory::{MEMORY_BYTES, address};
use super::types::{is_wide, pieces, record_type};
use super::{Generator, expr, stmt};
use hetsync_probe::sema::hir::*;

impl Generator<'_> {
    pub(super) fn value(&mut self, ty: &Type, depth: usize) -> Expr {
        if depth > 0 && self.choices.chance(3) {
            return self.block_value(ty, depth - 1);
        }
        match ty {
            Type::Int { bits: 64, .. } => {
                let value = self.int(depth);
                match value.kind {
                    // What is computed depends on the type.
                    ExprKind::Cast(_) | ExprKind::Part { .. } | ExprKind::Read { .. } => {
                        expr(ExprKind::Cast(Box::new(value)), ty.clone())
                    }
                    kind => expr(kind, ty.clone()),
                }
            }
            Type::Str { capacity } => self.string(*capacity, depth),
            Type::Name => self.name(),
            ty if ty.is_word() => self.narrow(ty, depth),
            ty => self.bytes(ty, depth),
        }
    }

    /// Statements that stay inside, and a value.
    fn block_value(&mut self, ty: &Type, depth: usize) -> Expr {
        let body = (0..1 + self.choices.below(2)).map(|_| stmt(self.assign()));
        let body = body.collect();
        let value = Box::new(self.value(ty, depth));
        expr(ExprKind::Block { body, value }, ty.clone())
    }

    /// A word narrower than a register.
    pub(super) fn narrow(&mut self, ty: &Type, depth: usize) -> Expr {
        let below = depth.saturating_sub(1);
        let found = match self.choices.below(if depth == 0 { 3 } else { 6 }) {
            0 => self.local_of(ty),
            1 => self.get(ty, 0),
            3 => self.piece(ty, below),
            4 => Some(self.read(ty, below)),
            5 => Some(self.ternary_of(ty, below)),
            _ => None,
        };
        found.unwrap_or_else(|| {
            let inner = self.int(below);
            expr(ExprKind::Cast(Box::new(inner)), ty.clone())
        })
    }

    /// A tuple, a record or an array.
    pub(super) fn bytes(&mut self, ty: &Type, depth: usize) -> Expr {
        let below = depth.saturating_sub(1);
        let found = match self.choices.below(if depth == 0 { 3 } else { 6 }) {
            0 => self.local_of(ty),
            1 => self.get(ty, 0),
            2 | 3 => None,
            4 => self.piece(ty, below),
            _ => Some(self.ternary_of(ty, below)),
        };
        if let Some(found) = found {
            return found;
        }
        let Type::Tuple(types) = ty else {
            return self.read(ty, below);
        };
        let parts = types.iter().map(|ty| self.value(ty, below)).collect();
        expr(ExprKind::Tuple(parts), ty.clone())
    }

    pub(super) fn ternary_of(&mut self, ty: &Type, depth: usize) -> Expr {
        let cond = Box::new(self.int(depth));
        let (then, otherwise) = (self.value(ty, depth), self.value(ty, depth));
        let kind = ExprKind::Ternary {
            cond,
            then: Box::new(then),
            otherwise: Box::new(otherwise),
        };
        expr(kind, ty.clone())
    }

    /// A piece of this type out of a tuple, a record or an array.
    pub(super) fn piece(&mut self, ty: &Type, depth: usize) -> Option<Expr> {
        let (whole, offset, bytes) = match self.choices.chance(50) {
            true => {
                let before = self
                    .choices
                    .pick_one(&[Type::INT, Type::Str { capacity: 24 }]);
                let offset = before.size();
                (Type::tuple([before, ty.clone()]), offset, ty.size())
            }
            false => {
                let mut places = Vec::new();
                pieces(&record_type(), 0, &mut places);
                let fits = |piece: &Type| match (piece, ty) {
                    (Type::Text(_), Type::Str { capacity }) => *capacity == 16,
                    (piece, ty) => piece == ty,
                };
                places.retain(|(piece, _)| fits(piece));
                let (piece, offset) = places.get(self.choices.below(places.len()))?.clone();
                (record_type(), offset, piece.memory_size())
            }
        };
        let of = Box::new(self.value(&whole, depth));
        let kind = ExprKind::Part {
            of,
            offset: offset as u32,
            bytes: bytes as u32,
        };
        Some(expr(kind, ty.clone()))
    }

    /// An object of this type in memory.
    pub(super) fn read(&mut self, ty: &Type, depth: usize) -> Expr {
        let bytes = match ty {
            Type::Str { capacity } => self.choices.pick(&[*capacity as u32 - 1, 4, 60]),
            ty => ty.memory_size() as u32,
        };
        let space = self.choices.pick(&[Space::Kernel, Space::User]);
        let address = match self.flavour.memory {
            false => self.choices.below(100) as u64,
            true => address(space) + self.choices.below(MEMORY_BYTES + 20) as u64 - 10,
        };
        let mut address = expr(ExprKind::Int(address), Type::UINT);
        if self.flavour.memory && self.choices.chance(20) {
            // Most of these lead nowhere.
            address = self.int(depth);
        }
        let kind = ExprKind::Read {
            address: Box::new(address),
            bytes,
            space,
        };
        expr(kind, ty.clone())
    }

    pub(super) fn local_of(&mut self, ty: &Type) -> Option<Expr> {
        let fits = |local: &Local| local.ty == *ty || (is_wide(&local.ty) && is_wide(ty));
        let known: Vec<usize> = (0..self.locals.len())
            .filter(|&i| fits(&self.locals[i]))
            .collect();
        if known.is_empty() {
            return None;
        }
        let local = LocalId(self.choices.pick(&known) as u32);
        Some(expr(ExprKind::Local(local), ty.clone()))
    }

    pub(super) fn get(&mut self, ty: &Type, depth: usize) -> Option<Expr> {
        let maps = self.maps_where(|map| match &map.value {
            MapValue::Scalar(scalar) => scalar == ty || (is_wide(scalar) && is_wide(ty)),
            MapValue::Aggregate(_) => false,
        });
        if maps.is_empty() {
            return None;
        }
        let map = self.choices.pick(&maps);
        let key = self.key(map, depth.saturating_sub(1));
        Some(expr(ExprKind::MapGet { map, key }, ty.clone()))
    }

    pub(super) fn name(&mut self) -> Expr {
        let found = match self.choices.below(4) {
            0 => None,
            1 => Some(expr(ExprKind::Builtin(Builtin::Func), Type::Name)),
            2 => self.local_of(&Type::Name),
            _ => self.get(&Type::Name, 0),
        };
        found.unwrap_or_else(|| expr(ExprKind::Builtin(Builtin::Probe), Type::Name))
    }
}

//! Expressions that are integers or strings, and what makes them.

use super::types::{array_type, is_wide, record_type};
use super::{Functions, Generator, expr};
use hetsync_probe::sema::hir::*;

impl Generator<'_> {
    /// Something the compiler cannot know.
    pub(super) fn unknown_int(&mut self) -> Expr {
        let key = expr(ExprKind::Int(self.choices.below(5) as u64), Type::INT);
        let key = vec![key];
        expr(ExprKind::MapGet { map: MapId(0), key }, Type::INT)
    }

    pub(super) fn int(&mut self, depth: usize) -> Expr {
        let below = depth.saturating_sub(1);
        let kind = match self.choices.below(if depth == 0 { 6 } else { 23 }) {
            0 => ExprKind::Int(self.choices.number()),
            1..3 => return self.unknown_int(),
            3 => match self.local_of(&Type::INT) {
                Some(local) => return local,
                None => return self.unknown_int(),
            },
            4 => match self.get(&Type::INT, 0) {
                Some(get) => return get,
                None => return self.unknown_int(),
            },
            5 => ExprKind::Builtin(self.builtin()),
            6 | 7 => {
                let op = self
                    .choices
                    .pick(&[UnaryOp::Neg, UnaryOp::BitNot, UnaryOp::Not]);
                ExprKind::Unary(op, Box::new(self.int(below)))
            }
            8..14 => self.binary(below),
            14 => self.compare(below),
            15 => ExprKind::Logical {
                and: self.choices.chance(50),
                lhs: Box::new(self.int(below)),
                rhs: Box::new(self.int(below)),
            },
            16 | 17 => ExprKind::Ternary {
                cond: Box::new(self.int(below)),
                then: Box::new(self.int(below)),
                otherwise: Box::new(self.int(below)),
            },
            18 => return self.increment(below),
            19 | 20 => {
                let ty = self.narrow_type();
                let narrow = self.narrow(&ty, below);
                ExprKind::Cast(Box::new(narrow))
            }
            21 => return self.read(&Type::INT, below),
            _ => {
                return self
                    .get(&Type::INT, below)
                    .unwrap_or_else(|| self.unknown_int());
            }
        };
        expr(kind, Type::INT)
    }

    pub(super) fn builtin(&mut self) -> Builtin {
        let mut known = vec![Builtin::Pid, Builtin::Tid, Builtin::Cpu];
        if self.flavour.clock {
            known.extend([Builtin::Nsecs, Builtin::Elapsed]);
        }
        match self.functions {
            Functions::None => {}
            Functions::Entry => known.extend((0..6).map(Builtin::Arg)),
            Functions::Return => known.extend([Builtin::Retval; 3]),
        }
        self.choices.pick(&known)
    }

    pub(super) fn binary(&mut self, depth: usize) -> ExprKind {
        let op = self.choices.pick(&[
            BinaryOp::Add,
            BinaryOp::Sub,
            BinaryOp::Mul,
            BinaryOp::Div,
            BinaryOp::Mod,
            BinaryOp::And,
            BinaryOp::Or,
            BinaryOp::Xor,
            BinaryOp::Shl,
            BinaryOp::Shr,
            BinaryOp::Eq,
            BinaryOp::Ne,
            BinaryOp::Lt,
            BinaryOp::Le,
            BinaryOp::Gt,
            BinaryOp::Ge,
        ]);
        ExprKind::Binary {
            op,
            signed: self.choices.chance(50),
            lhs: Box::new(self.int(depth)),
            rhs: Box::new(self.int(depth)),
        }
    }

    pub(super) fn compare(&mut self, depth: usize) -> ExprKind {
        let equal = self.choices.chance(50);
        let other = match self.choices.below(6) {
            0 => Some(self.tuple_type(1)),
            1 => Some(self.choices.pick_one(&[record_type(), array_type()])),
            _ => None,
        };
        let mut side = |_| {
            let ty = match &other {
                Some(ty) => self.varied(ty),
                None if self.choices.chance(25) => Type::Name,
                None => self.string_type(),
            };
            Box::new(self.value(&ty, depth))
        };
        let (lhs, rhs) = (side(0), side(1));
        ExprKind::Compare { equal, lhs, rhs }
    }

    pub(super) fn increment(&mut self, depth: usize) -> Expr {
        let mut maps =
            self.maps_where(|map| matches!(&map.value, MapValue::Scalar(ty) if is_wide(ty)));
        maps.retain(|&map| !self.left_alone(map));
        let locals: Vec<usize> = (0..self.locals.len())
            .filter(|&i| is_wide(&self.locals[i].ty))
            .collect();
        let at = self.choices.below(locals.len() + maps.len());
        let place = if at < locals.len() {
            Place::Local(LocalId(locals[at] as u32))
        } else {
            let mut map = maps[at - locals.len()];
            if self.spares(map) {
                map = MapId(0);
            }
            let key = self.key(map, depth.saturating_sub(2));
            Place::Map { map, key }
        };
        let kind = ExprKind::Increment {
            place,
            delta: self.choices.pick(&[1, -1]),
            postfix: self.choices.chance(50),
        };
        expr(kind, Type::INT)
    }

    pub(super) fn string(&mut self, capacity: u16, depth: usize) -> Expr {
        let ty = Type::Str { capacity };
        let found = match self.choices.below(if depth == 0 { 4 } else { 9 }) {
            0 => None,
            1 => self.local_of(&ty),
            2 if capacity == 16 => Some(expr(ExprKind::Builtin(Builtin::Comm), ty.clone())),
            2 | 3 => self.get(&ty, 0),
            4 => self.get(&ty, depth - 1),
            5 => self.piece(&ty, depth - 1),
            6 => Some(self.read(&ty, depth - 1)),
            _ => Some(self.string_ternary(capacity, depth - 1)),
        };
        found.unwrap_or_else(|| {
            let text = self.choices.text(usize::from(capacity) - 1);
            expr(ExprKind::Str(text), ty)
        })
    }

    pub(super) fn string_ternary(&mut self, capacity: u16, depth: usize) -> Expr {
        let cond = Box::new(self.int(depth));
        let mut arm = || {
            let shorter: Vec<u16> = [8, 16, 24, 64]
                .into_iter()
                .filter(|&c| c <= capacity)
                .collect();
            let arm = self.choices.pick(&shorter);
            Box::new(self.string(arm, depth))
        };
        let (then, otherwise) = (arm(), arm());
        let kind = ExprKind::Ternary {
            cond,
            then,
            otherwise,
        };
        expr(kind, Type::Str { capacity })
    }
}

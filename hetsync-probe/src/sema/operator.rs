//! Operators: which operands they take, and when they are signed.
//!
//! bpftrace's rules since 0.26, but for division: an operation on 64 bits is unsigned only if both sides are `uint64` (or one
//! is and the other a literal that is not negative); a shift takes the signedness of its left side; a difference is
//! signed. Division, remainder and `>>` follow the same rule here, where bpftrace takes all numbers as unsigned.

use super::checker::{Checker, Typed};
use super::hir::{BinaryOp, Builtin, ExprKind, Type, UnaryOp};
use super::shape::{Join, Shape};
use crate::diagnostic::Diagnostic;
use crate::span::Span;
use crate::syntax::ast;

impl Checker<'_> {
    pub(super) fn unary(
        &mut self,
        op: ast::UnaryOp,
        operand: &ast::Expr,
        span: Span,
    ) -> Option<Typed> {
        if op == ast::UnaryOp::Not {
            let value = self.condition(operand)?;
            let kind = ExprKind::Unary(UnaryOp::Not, Box::new(value));
            return Some(Typed::new(kind, Shape::TRUTH, span));
        }
        let value = self.integer(operand, &format!("`{}`", op.symbol()))?;
        let (op, shape) = match op {
            ast::UnaryOp::Neg => {
                if let ExprKind::Int(bits) = value.expr.kind {
                    let negated = bits.wrapping_neg();
                    let shape = if negated == 0 {
                        Shape::Flexible
                    } else {
                        Shape::SIGNED
                    };
                    return Some(Typed::new(ExprKind::Int(negated), shape, span));
                }
                (UnaryOp::Neg, Shape::SIGNED)
            }
            ast::UnaryOp::BitNot => (
                UnaryOp::BitNot,
                // A truth value counts as an `int`.
                if value.shape.is_signed() || value.shape == Shape::TRUTH {
                    Shape::SIGNED
                } else {
                    Shape::UNSIGNED
                },
            ),
            // Handled elsewhere: these are no arithmetic.
            ast::UnaryOp::Not | ast::UnaryOp::Deref | ast::UnaryOp::AddressOf => return None,
        };
        let shape = if value.shape == Shape::Unknown {
            Shape::Unknown
        } else {
            shape
        };
        let narrow = match &value.shape {
            Shape::Is(ty @ Type::Int { bits: 8..64, .. }) => Some(ty.clone()),
            _ => None,
        };
        let result = Typed::new(ExprKind::Unary(op, Box::new(value.expr)), shape, span);
        Some(match narrow {
            // The opposite of a narrow integer is one of as many bits.
            Some(ty) => Typed::new(ExprKind::Cast(Box::new(result.expr)), Shape::Is(ty), span),
            None => result,
        })
    }

    pub(super) fn binary(
        &mut self,
        op: ast::BinaryOp,
        op_span: Span,
        lhs: Option<Typed>,
        rhs: Option<Typed>,
        span: Span,
    ) -> Option<Typed> {
        let (lhs, rhs) = (lhs?, rhs?);
        if lhs.shape.is_pointer() || rhs.shape.is_pointer() {
            return self.pointer_operator(op, op_span, lhs, rhs, span);
        }
        if !lhs.shape.is_int() || !rhs.shape.is_int() {
            return self.bytes_operator(op, op_span, lhs, rhs, span);
        }
        match lower(op) {
            Some(op) => {
                self.warn_of_unsigned_below_zero(op, op_span, &lhs, &rhs);
                Some(integers(op, lhs, rhs, span))
            }
            None => Some(logical(op, lhs, rhs, span)),
        }
    }

    /// Arithmetic, order and truth of addresses.
    fn pointer_operator(
        &mut self,
        op: ast::BinaryOp,
        op_span: Span,
        lhs: Typed,
        rhs: Typed,
        span: Span,
    ) -> Option<Typed> {
        let both = lhs.shape.is_condition() && rhs.shape.is_condition();
        let comparison = lower(op).is_some_and(|op| comparison(op).is_some());
        match lower(op) {
            None if both => Some(logical(op, lhs, rhs, span)),
            Some(op) if both && comparison => Some(integers(op, lhs, rhs, span)),
            Some(BinaryOp::Add) if rhs.shape.is_int() => self.advanced(lhs, rhs, false, span),
            Some(BinaryOp::Add) if lhs.shape.is_int() => self.advanced(rhs, lhs, false, span),
            Some(BinaryOp::Sub) if rhs.shape.is_int() => self.advanced(lhs, rhs, true, span),
            _ => self.bytes_operator(op, op_span, lhs, rhs, span),
        }
    }

    /// `==` and `!=` of values that are bytes; every other operator wants integers.
    fn bytes_operator(
        &mut self,
        op: ast::BinaryOp,
        op_span: Span,
        lhs: Typed,
        rhs: Typed,
        span: Span,
    ) -> Option<Typed> {
        let comparison = matches!(op, ast::BinaryOp::Eq | ast::BinaryOp::Ne);
        let alike = !lhs.shape.is_int()
            && matches!(lhs.shape.join(&rhs.shape), Join::Fits(_) | Join::Mixed(_));
        if comparison && (alike || lhs.shape.is_text() && rhs.shape.is_text()) {
            let kind = ExprKind::Compare {
                equal: op == ast::BinaryOp::Eq,
                lhs: Box::new(lhs.expr),
                rhs: Box::new(rhs.expr),
            };
            return Some(Typed::new(kind, Shape::TRUTH, span));
        }
        let (left, right) = (lhs.shape.describe(), rhs.shape.describe());
        if comparison {
            let diagnostic = Diagnostic::error(
                "E0306",
                op_span,
                format!("{left} cannot be compared with {right}"),
            )
            .with_place(lhs.span(), left.clone())
            .with_place(rhs.span(), right);
            return self.fail(diagnostic);
        }
        let mut diagnostic = Diagnostic::error(
            "E0305",
            op_span,
            format!("`{}` works on integers only", op.symbol()),
        );
        for side in [&lhs, &rhs] {
            if !side.shape.is_int() {
                diagnostic = diagnostic.with_place(side.span(), side.shape.describe());
            }
        }
        self.fail(match op {
            ast::BinaryOp::Lt | ast::BinaryOp::Le | ast::BinaryOp::Gt | ast::BinaryOp::Ge => {
                diagnostic
                    .with_help("strings have no order; they can be compared with `==` and `!=`")
            }
            _ => diagnostic,
        })
    }

    /// bpftrace users write `retval < 0`; there as here an unsigned number is never below 0.
    fn warn_of_unsigned_below_zero(
        &mut self,
        op: BinaryOp,
        op_span: Span,
        lhs: &Typed,
        rhs: &Typed,
    ) {
        let is_zero = |side: &Typed| matches!(side.expr.kind, ExprKind::Int(0));
        let (outcome, side) = match op {
            BinaryOp::Lt if is_zero(rhs) => ("false", lhs),
            BinaryOp::Gt if is_zero(lhs) => ("false", rhs),
            BinaryOp::Ge if is_zero(rhs) => ("true", lhs),
            BinaryOp::Le if is_zero(lhs) => ("true", rhs),
            _ => return,
        };
        if side.shape == Shape::UNSIGNED {
            let place = side.span();
            self.report(
                Diagnostic::warning(
                    "W0001",
                    op_span,
                    format!("this comparison is always {outcome}"),
                )
                .with_place(place, "unsigned, so never below 0")
                .with_help(match side.expr.kind {
                    ExprKind::Builtin(Builtin::Retval) => {
                        "cast it to the type the kernel function returns, e.g. `(int32)retval < 0`"
                    }
                    _ => "cast it to a signed type, e.g. `(int64)x < 0`, if it can be negative",
                }),
            );
        }
    }
}

/// `&&` or `||`.
fn logical(op: ast::BinaryOp, lhs: Typed, rhs: Typed, span: Span) -> Typed {
    let kind = ExprKind::Logical {
        and: op == ast::BinaryOp::LogicalAnd,
        lhs: Box::new(lhs.expr),
        rhs: Box::new(rhs.expr),
    };
    Typed::new(kind, Shape::TRUTH, span)
}

/// The operator itself if it is a comparison.
fn comparison(op: BinaryOp) -> Option<BinaryOp> {
    use BinaryOp::{Eq, Ge, Gt, Le, Lt, Ne};
    matches!(op, Eq | Ne | Lt | Le | Gt | Ge).then_some(op)
}

/// The operator on integers; none for `&&` and `||`.
pub(super) fn lower(op: ast::BinaryOp) -> Option<BinaryOp> {
    Some(match op {
        ast::BinaryOp::LogicalOr | ast::BinaryOp::LogicalAnd => return None,
        ast::BinaryOp::Or => BinaryOp::Or,
        ast::BinaryOp::Xor => BinaryOp::Xor,
        ast::BinaryOp::And => BinaryOp::And,
        ast::BinaryOp::Eq => BinaryOp::Eq,
        ast::BinaryOp::Ne => BinaryOp::Ne,
        ast::BinaryOp::Lt => BinaryOp::Lt,
        ast::BinaryOp::Le => BinaryOp::Le,
        ast::BinaryOp::Gt => BinaryOp::Gt,
        ast::BinaryOp::Ge => BinaryOp::Ge,
        ast::BinaryOp::Shl => BinaryOp::Shl,
        ast::BinaryOp::Shr => BinaryOp::Shr,
        ast::BinaryOp::Add => BinaryOp::Add,
        ast::BinaryOp::Sub => BinaryOp::Sub,
        ast::BinaryOp::Mul => BinaryOp::Mul,
        ast::BinaryOp::Div => BinaryOp::Div,
        ast::BinaryOp::Mod => BinaryOp::Mod,
    })
}

/// An operation on two integers.
pub(super) fn integers(op: BinaryOp, lhs: Typed, rhs: Typed, span: Span) -> Typed {
    use BinaryOp::{Add, Eq, Ge, Gt, Le, Lt, Ne, Shl, Shr, Sub};
    if let Some(bits) = fold(op, &lhs, &rhs) {
        return Typed::new(ExprKind::Int(bits), Shape::Flexible, span);
    }
    let common = match (op, &lhs.shape, &rhs.shape) {
        (BinaryOp::Div | BinaryOp::Mod, _, right)
            if is_unsigned_difference(&lhs)
                && (*right == Shape::Flexible || *right == Shape::UNSIGNED) =>
        {
            Shape::UNSIGNED
        }
        (Shl | Shr, left, _) => word(left),
        // A difference may be below 0, whatever it is of.
        (Sub, Shape::Unknown, Shape::Unknown) => Shape::Unknown,
        (Sub, ..) => Shape::SIGNED,
        (_, Shape::Unknown, other) | (_, other, Shape::Unknown) => match other {
            Shape::Unknown => Shape::Unknown,
            known => word(known),
        },
        (_, Shape::Flexible, other) | (_, other, Shape::Flexible) => word(other),
        (_, left, right) if word(left) == Shape::UNSIGNED && word(right) == Shape::UNSIGNED => {
            Shape::UNSIGNED
        }
        _ => Shape::SIGNED,
    };
    // Sums and differences of one unit keep it.
    let unit = if matches!(op, Add | Sub) && lhs.unit == rhs.unit {
        lhs.unit
    } else {
        None
    };
    let shape = match op {
        Eq | Ne | Lt | Le | Gt | Ge => Shape::TRUTH,
        _ => common.clone(),
    };
    let ty = common.ty();
    let operand = |side: Typed| match op {
        Shl | Shr | Sub => Box::new(side.expr),
        _ => Box::new(side.into_type(&ty)),
    };
    let kind = ExprKind::Binary {
        op,
        signed: common.is_signed(),
        lhs: operand(lhs),
        rhs: operand(rhs),
    };
    Typed {
        unit,
        ..Typed::new(kind, shape, span)
    }
}

/// Whether a value is a difference of unsigned numbers, such as one of times: though it may be below 0, it is divided as
/// what it is meant to be, and that at half the cost.
fn is_unsigned_difference(value: &Typed) -> bool {
    match &value.expr.kind {
        ExprKind::Binary {
            op: BinaryOp::Sub,
            lhs,
            rhs,
            ..
        } => [lhs, rhs].iter().all(|side| side.ty == Type::UINT),
        _ => false,
    }
}

/// The 64-bit integer an operand is taken as.
fn word(shape: &Shape) -> Shape {
    match shape {
        Shape::Unknown => Shape::Unknown,
        // All numbers of a narrower one are signed numbers of 64 bits.
        Shape::Is(
            Type::Int {
                bits: 64,
                signed: false,
            }
            | Type::Pointer { .. },
        ) => Shape::UNSIGNED,
        _ => Shape::SIGNED,
    }
}

/// The result of an operation on two non-negative literals, if it is one again; so `lhist(x, 0, 10 * 1000, 100)` has
/// constant limits.
fn fold(op: BinaryOp, lhs: &Typed, rhs: &Typed) -> Option<u64> {
    let (ExprKind::Int(a), ExprKind::Int(b)) = (&lhs.expr.kind, &rhs.expr.kind) else {
        return None;
    };
    if lhs.shape != Shape::Flexible || rhs.shape != Shape::Flexible {
        return None;
    }
    let (a, b) = (*a as i64, *b as i64);
    let result = match op {
        BinaryOp::Add => a.checked_add(b)?,
        BinaryOp::Sub => a.checked_sub(b)?,
        BinaryOp::Mul => a.checked_mul(b)?,
        BinaryOp::Div => a.checked_div(b)?,
        BinaryOp::Mod => a.checked_rem(b)?,
        BinaryOp::Shl if b < 62 => a.checked_mul(1 << b)?,
        _ => return None,
    };
    u64::try_from(result).ok()
}

//! What is known before the script runs: `comptime e`, `if comptime e { .. }`.
//!
//! Only what needs no kernel and no map is known: literals, parameters, sizes, and operators on them, by the rules of [`super::hir`].

use super::checker::{Checker, Typed};
use super::hir::{BinaryOp, Expr, ExprKind, Stmt, Type, UnaryOp};
use crate::diagnostic::Diagnostic;
use crate::layout;
use crate::span::Span;
use crate::syntax::ast;

impl Checker<'_> {
    /// `comptime e`.
    pub(super) fn comptime(&mut self, inner: &ast::Expr, span: Span) -> Option<Typed> {
        let value = self.expr(inner)?;
        if matches!(value.expr.kind, ExprKind::Str(_)) {
            return Some(value);
        }
        match known(&value.expr) {
            Some(bits) => Some(Typed {
                unit: value.unit,
                ..Typed::new(ExprKind::Int(bits), value.shape, span)
            }),
            None => self.fail(unknown(inner.span)),
        }
    }

    /// `if comptime e { .. } else { .. }`: only the branch that is taken has to make sense.
    pub(super) fn comptime_branch(
        &mut self,
        cond: &ast::Expr,
        then: &ast::Block,
        otherwise: Option<&ast::Else>,
    ) -> Option<Vec<Stmt>> {
        let value = self.condition(cond)?;
        let Some(bits) = known(&value) else {
            return self.fail(unknown(cond.span));
        };
        Some(match bits {
            0 => self.otherwise(otherwise),
            _ => self.block(then),
        })
    }
}

/// The condition behind `comptime`, if the condition of an `if` is one.
pub(super) fn condition(cond: &ast::Expr) -> Option<&ast::Expr> {
    match &cond.bare().kind {
        ast::ExprKind::Comptime(inner) => Some(inner),
        _ => None,
    }
}

fn unknown(span: Span) -> Diagnostic {
    Diagnostic::error(
        "E0402",
        span,
        "`comptime` needs a value known before the script runs",
    )
    .with_label("not known then")
    .with_help("literals, parameters such as `$1`, `sizeof` and operators on them are")
}

/// The word an expression is, if that is known.
fn known(expr: &Expr) -> Option<u64> {
    Some(match &expr.kind {
        ExprKind::Int(bits) => *bits,
        ExprKind::Cast(of) => {
            let bits = known(of)?;
            match &expr.ty {
                Type::Bool => u64::from(bits != 0),
                ty => layout::extend(bits, ty.memory_size(), ty.is_signed()),
            }
        }
        ExprKind::Unary(op, of) => {
            let bits = known(of)?;
            match op {
                UnaryOp::Neg => bits.wrapping_neg(),
                UnaryOp::BitNot => !bits,
                UnaryOp::Not => u64::from(bits == 0),
            }
        }
        ExprKind::Binary {
            op,
            signed,
            lhs,
            rhs,
        } => operation(*op, *signed, known(lhs)?, known(rhs)?),
        ExprKind::Compare { equal, lhs, rhs } => match (&lhs.kind, &rhs.kind) {
            (ExprKind::Str(a), ExprKind::Str(b)) => u64::from((a == b) == *equal),
            _ => return None,
        },
        ExprKind::Logical { and, lhs, rhs } => match known(lhs)? != 0 {
            decided if decided != *and => u64::from(decided),
            _ => u64::from(known(rhs)? != 0),
        },
        ExprKind::Ternary {
            cond,
            then,
            otherwise,
        } => match known(cond)? {
            0 => known(otherwise)?,
            _ => known(then)?,
        },
        _ => return None,
    })
}

fn operation(op: BinaryOp, signed: bool, a: u64, b: u64) -> u64 {
    let (x, y) = (a as i64, b as i64);
    let less = if signed { x < y } else { a < b };
    match op {
        BinaryOp::Add => a.wrapping_add(b),
        BinaryOp::Sub => a.wrapping_sub(b),
        BinaryOp::Mul => a.wrapping_mul(b),
        BinaryOp::Div | BinaryOp::Mod if b == 0 => match op {
            BinaryOp::Div => 0,
            _ => a,
        },
        BinaryOp::Div if signed => x.wrapping_div(y) as u64,
        BinaryOp::Div => a / b,
        BinaryOp::Mod if signed => x.wrapping_rem(y) as u64,
        BinaryOp::Mod => a % b,
        BinaryOp::And => a & b,
        BinaryOp::Or => a | b,
        BinaryOp::Xor => a ^ b,
        BinaryOp::Shl => a.wrapping_shl(b as u32),
        BinaryOp::Shr if signed => x.wrapping_shr(b as u32) as u64,
        BinaryOp::Shr => a.wrapping_shr(b as u32),
        BinaryOp::Eq => u64::from(a == b),
        BinaryOp::Ne => u64::from(a != b),
        BinaryOp::Lt => u64::from(less),
        BinaryOp::Le => u64::from(less || a == b),
        BinaryOp::Gt => u64::from(!less && a != b),
        BinaryOp::Ge => u64::from(!less),
    }
}

//! Expressions with operators, by precedence climbing: from `?:` down to casts.

use super::ast::{BinaryOp, Expr, ExprKind, UnaryOp};
use super::grammar::{Grammar, Res, expected, refuse};
use super::token;
use crate::diagnostic::Diagnostic;
use crate::limits;
use crate::span::Span;

/// How strongly `in` binds: as a comparison.
const IN_STRENGTH: u8 = 7;

/// An operator between two operands.
enum Infix {
    Binary(BinaryOp),
    In,
}

impl<'a> Grammar<'a> {
    /// An expression.
    pub(super) fn expr(&self, input: &'a str) -> Res<'a, Expr> {
        self.nested(input, |input| self.ternary(input))
    }

    /// An expression of these parts, unless it is too high.
    pub(super) fn node(&self, input: &'a str, kind: ExprKind, span: Span) -> Res<'a, Expr> {
        let expr = Expr::new(kind, span);
        if expr.height > limits::EXPRESSION_HEIGHT {
            return self.too_deep(input);
        }
        Ok((input, expr))
    }

    fn ternary(&self, input: &'a str) -> Res<'a, Expr> {
        let (rest, cond) = self.binary(input, 1)?;
        let Ok((rest, question)) = self.symbol("?", rest) else {
            return Ok((rest, cond));
        };
        let (rest, then) = match self.symbol(":", rest) {
            Ok((rest, _)) => (rest, None),
            Err(_) => {
                let (rest, then) = self.expr(rest)?;
                let (rest, _) = self.close(":", question, rest)?;
                (rest, Some(Box::new(then)))
            }
        };
        let (rest, otherwise) = self.expr(rest)?;
        let span = cond.span.to(otherwise.span);
        let kind = ExprKind::Ternary {
            cond: Box::new(cond),
            then,
            otherwise: Box::new(otherwise),
        };
        self.node(rest, kind, span)
    }

    /// Operators that bind at least as strongly as `strength`; all of them associate to the left.
    fn binary(&self, input: &'a str, strength: u8) -> Res<'a, Expr> {
        let (mut rest, mut lhs) = self.unary(input)?;
        while let Some((after, infix, op_span, op_strength)) = self.infix(rest) {
            if op_strength < strength {
                break;
            }
            let (after, rhs) = self.binary(after, op_strength + 1)?;
            let span = lhs.span.to(rhs.span);
            let (lhs_part, rhs) = (Box::new(lhs), Box::new(rhs));
            let kind = match infix {
                Infix::Binary(op) => ExprKind::Binary {
                    op,
                    op_span,
                    lhs: lhs_part,
                    rhs,
                },
                Infix::In => ExprKind::In {
                    value: lhs_part,
                    within: rhs,
                },
            };
            (rest, lhs) = self.node(after, kind, span)?;
        }
        Ok((rest, lhs))
    }

    fn infix(&self, input: &'a str) -> Option<(&'a str, Infix, Span, u8)> {
        if self.is_word("in", input) {
            let (after, (_, span)) = self.name(input).ok()?;
            return Some((after, Infix::In, span, IN_STRENGTH));
        }
        let (rest, symbol) = token::operator(input).ok()?;
        let (op, _, strength) = *BinaryOp::TABLE
            .iter()
            .find(|(_, known, _)| *known == symbol)?;
        let after = self.space(rest);
        if op == BinaryOp::Div && after.starts_with('{') && self.is_in_predicate() {
            return None;
        }
        Some((after, Infix::Binary(op), self.span(input, rest), strength))
    }

    /// An operand with the operators before it.
    pub(super) fn unary(&self, input: &'a str) -> Res<'a, Expr> {
        if self.is_word("comptime", input) {
            let (after, (_, word)) = self.name(input)?;
            let (rest, operand) = self.nested(after, |input| self.unary(input))?;
            let span = word.to(operand.span);
            return self.node(rest, ExprKind::Comptime(Box::new(operand)), span);
        }
        let Ok((after, symbol)) = token::operator(input) else {
            return self.postfix(input);
        };
        let op_span = self.span(input, after);
        let after = self.space(after);
        let op = match symbol {
            "-" => UnaryOp::Neg,
            "~" => UnaryOp::BitNot,
            "!" => UnaryOp::Not,
            "*" => UnaryOp::Deref,
            "&" => UnaryOp::AddressOf,
            "++" | "--" => {
                let (rest, target) = self.nested(after, |input| self.unary(input))?;
                let span = op_span.to(target.span);
                return self.increment(rest, target, symbol, false, span);
            }
            "(" => {
                let found = self.slash_ends(false, || self.parenthesised(after, op_span));
                let (rest, inner) = found?;
                // What stands behind a cast belongs to what is cast.
                return match inner.kind {
                    ExprKind::Cast { .. } => Ok((rest, inner)),
                    _ => self.suffixes(rest, inner),
                };
            }
            "{" => return self.postfix(input),
            _ => return expected(input, "an expression"),
        };
        let (rest, operand) = self.nested(after, |input| self.unary(input))?;
        let span = op_span.to(operand.span);
        self.node(rest, ExprKind::Unary(op, Box::new(operand)), span)
    }

    /// `++` or `--` before or behind its target.
    pub(super) fn increment(
        &self,
        rest: &'a str,
        target: Expr,
        symbol: &str,
        postfix: bool,
        span: Span,
    ) -> Res<'a, Expr> {
        if !matches!(target.kind, ExprKind::Variable(_) | ExprKind::Map { .. }) {
            return refuse(
                rest,
                Diagnostic::error(
                    "E0110",
                    target.span,
                    format!("`{symbol}` needs something that can be assigned"),
                )
                .with_label("neither a `$` variable nor a map"),
            );
        }
        let kind = ExprKind::Increment {
            target: Box::new(target),
            delta: if symbol == "++" { 1 } else { -1 },
            postfix,
        };
        self.node(rest, kind, span)
    }

    /// Behind an opening parenthesis: a cast, a tuple or a parenthesised expression.
    fn parenthesised(&self, input: &'a str, open: Span) -> Res<'a, Expr> {
        if self.starts_cast(input) {
            let (rest, ty) = self.type_name(input)?;
            let (rest, _) = self.close(")", open, rest)?;
            let (rest, value) = self.nested(rest, |input| self.unary(input))?;
            let span = open.to(value.span);
            let kind = ExprKind::Cast {
                ty,
                value: Box::new(value),
            };
            return self.node(rest, kind, span);
        }
        let mut parts = Vec::new();
        let mut rest = input;
        let mut is_tuple = self.is_next(")", rest);
        while !self.is_next(")", rest) {
            let (after, part) = self.expr(rest)?;
            parts.push(part);
            match self.symbol(",", after) {
                Ok((after, _)) => {
                    is_tuple = true;
                    rest = after;
                }
                Err(_) => {
                    rest = after;
                    break;
                }
            }
        }
        let (rest, close) = self.close(")", open, rest)?;
        let kind = match parts.pop() {
            Some(only) if !is_tuple => ExprKind::Paren(Box::new(only)),
            last => {
                parts.extend(last);
                ExprKind::Tuple(parts)
            }
        };
        self.node(rest, kind, open.to(close))
    }
}

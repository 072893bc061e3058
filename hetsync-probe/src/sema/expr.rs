//! Expressions: names, literals, parameters, maps, casts; operators are in [`super::operator`].

use super::aggregate;
use super::checker::{Checker, Typed};
use super::each;
use super::functions::params::positional;
use super::hir::{self, ExprKind, MapId, Place, Type};
use super::later;
use super::shape::{Join, Shape};
use super::tables::Value;
use crate::diagnostic::Diagnostic;
use crate::limits;
use crate::span::Span;
use crate::syntax::ast;

impl Checker<'_> {
    /// An expression; none if a mistake in it was reported.
    pub(super) fn expr(&mut self, expr: &ast::Expr) -> Option<Typed> {
        let span = expr.span;
        match &expr.kind {
            ast::ExprKind::Int(value) => Some(int(*value, span)),
            ast::ExprKind::Decimal(_) => self.fail(
                Diagnostic::error("E0111", span, "there are no floating-point numbers")
                    .with_label("a fraction")
                    .with_help("only the percentiles of `summary()` may be fractions"),
            ),
            ast::ExprKind::Str(bytes) => self.string(bytes, span),
            ast::ExprKind::Name(name) => self.name(name, span),
            ast::ExprKind::Variable(name) => {
                let index = self.used_local(name, span)?;
                let local = self.local(index);
                let (shape, unit) = (local.shape.clone(), local.unit.get());
                let kind = ExprKind::Local(hir::LocalId(index as u32));
                Some(Typed {
                    unit,
                    ..Typed::new(kind, shape, span)
                })
            }
            ast::ExprKind::Positional(number) => self.positional(*number, span),
            ast::ExprKind::ParamCount => {
                let given = positional(&self.options.params).count();
                Some(int(given as u64, span))
            }
            ast::ExprKind::Map {
                name,
                name_span,
                key,
            } => self.map_value(name, *name_span, key.as_deref(), span),
            ast::ExprKind::Call {
                name,
                name_span,
                args,
            } => self.call_value(name, *name_span, args, span),
            ast::ExprKind::Unary(ast::UnaryOp::Deref, operand) => self.dereference(operand, span),
            ast::ExprKind::Unary(ast::UnaryOp::AddressOf, operand) => {
                self.address_of(operand, span)
            }
            ast::ExprKind::Unary(op, operand) => self.unary(*op, operand, span),
            ast::ExprKind::Binary {
                op,
                op_span,
                lhs,
                rhs,
            } => {
                let (lhs, rhs) = (self.expr(lhs), self.expr(rhs));
                self.binary(*op, *op_span, lhs, rhs, span)
            }
            ast::ExprKind::Ternary {
                cond,
                then: Some(then),
                otherwise,
            } => {
                let cond = self.condition(cond);
                let (then, otherwise) = (self.expr(then), self.expr(otherwise));
                self.ternary(cond?, then?, otherwise?, span)
            }
            ast::ExprKind::Ternary {
                cond,
                then: None,
                otherwise,
            } => {
                let (value, otherwise) = (self.expr(cond), self.expr(otherwise));
                self.short_ternary(value?, otherwise?, span)
            }
            ast::ExprKind::Increment {
                target,
                delta,
                postfix,
            } => self.increment(target, *delta, *postfix, span),
            ast::ExprKind::Cast { ty, value } => self.cast(ty, value, span),
            ast::ExprKind::Bool(truth) => {
                let kind = ExprKind::Int(u64::from(*truth));
                Some(Typed::new(kind, Shape::Is(Type::Bool), span))
            }
            ast::ExprKind::Field { base, name, .. } => self.field(base, name, span),
            ast::ExprKind::Element {
                base,
                index,
                index_span,
            } => self.element(base, *index, *index_span, span),
            ast::ExprKind::Index { base, index } => self.index(base, index, span),
            ast::ExprKind::Sizeof(operand) => self.sizeof(operand, span),
            ast::ExprKind::Offsetof { of, path } => self.offsetof(of, path, span),
            ast::ExprKind::Tuple(parts) => self.tuple(parts, span),
            ast::ExprKind::Paren(inner) => self.expr(inner),
            ast::ExprKind::Comptime(inner) => self.comptime(inner, span),
            ast::ExprKind::Block(block) => self.block_value(block, span),
            ast::ExprKind::In { value, within } => self.within(value, within, span),
            kind @ ast::ExprKind::Type(_) => self.fail(later::expr(kind, span)),
        }
    }

    /// An expression that must be an integer; `user` wants it.
    pub(super) fn integer(&mut self, expr: &ast::Expr, user: &str) -> Option<Typed> {
        let value = self.expr(expr)?;
        if value.shape.is_int() {
            return Some(value);
        }
        let is = value.shape.describe();
        self.fail(
            Diagnostic::error("E0305", expr.span, format!("{user} works on integers only"))
                .with_label(is),
        )
    }

    /// A condition.
    pub(super) fn condition(&mut self, expr: &ast::Expr) -> Option<hir::Expr> {
        let value = self.expr(expr)?;
        if value.shape.is_condition() {
            return Some(value.expr);
        }
        let is = value.shape.describe();
        self.fail(
            Diagnostic::error(
                "E0308",
                expr.span,
                format!("a condition must be an integer, and this is {is}"),
            )
            .with_label(is)
            .with_help("compare it, e.g. with `== \"..\"`"),
        )
    }

    /// An expression whose value must be known here: a literal, a parameter or a sum of such.
    pub(super) fn constant(&mut self, expr: &ast::Expr, what: &str) -> Option<i64> {
        let value = self.expr(expr)?;
        match value.expr.kind {
            ExprKind::Int(bits) if value.shape != Shape::UNSIGNED => Some(bits as i64),
            _ => self.fail(
                Diagnostic::error(
                    "E0402",
                    expr.span,
                    format!("{what} must be a number known before the script runs"),
                )
                .with_label("not a constant")
                .with_help("write a literal, or a parameter such as `$1`"),
            ),
        }
    }

    pub(super) fn string(&mut self, bytes: &[u8], span: Span) -> Option<Typed> {
        if bytes.len() >= limits::STRING_BYTES {
            return self.fail(
                Diagnostic::error(
                    "E0504",
                    span,
                    format!(
                        "this string has {} bytes; a value has at most {}",
                        bytes.len(),
                        limits::STRING_BYTES - 1
                    ),
                )
                .with_label("too long")
                .with_help("only the format of `printf` may be longer"),
            );
        }
        if bytes.contains(&0) {
            return self.fail(
                Diagnostic::error(
                    "E0504",
                    span,
                    "a string used as a value cannot contain a NUL byte",
                )
                .with_help("a NUL ends a string; leave it out"),
            );
        }
        Some(Typed::new(
            ExprKind::Str(bytes.to_vec()),
            Shape::string(bytes.len()),
            span,
        ))
    }

    fn tuple(&mut self, parts: &[ast::Expr], span: Span) -> Option<Typed> {
        let parts: Vec<Option<Typed>> = parts.iter().map(|part| self.expr(part)).collect();
        let parts: Vec<Typed> = parts.into_iter().collect::<Option<_>>()?;
        let shape = Shape::Tuple(parts.iter().map(|part| part.shape.clone()).collect());
        let kind = ExprKind::Tuple(parts.into_iter().map(|part| part.expr).collect());
        Some(Typed::new(kind, shape, span))
    }

    fn map_value(
        &mut self,
        name: &str,
        name_span: Span,
        key: Option<&[ast::Expr]>,
        span: Span,
    ) -> Option<Typed> {
        let map = self.tables.map(name, name_span);
        let key = self.key(map, key, span);
        let known = self.used_map(map, name_span);
        let key = key?;
        let info = &self.tables.maps[map];
        let (shape, unit) = match &info.value {
            Some((Value::Scalar(shape), _)) => (shape.clone(), info.unit.get()),
            Some((Value::Aggregate(aggregation, samples), _))
                if aggregate::is_word(aggregation) =>
            {
                let shape = each::word_shape(aggregation, samples);
                let unit = match aggregation {
                    hir::Aggregation::Count => None,
                    _ => info.unit.get(),
                };
                let map = MapId(map as u32);
                return Some(Typed {
                    unit,
                    ..Typed::new(ExprKind::Statistic { map, key }, shape, span)
                });
            }
            Some((Value::Aggregate(aggregation, _), first)) => {
                let was = aggregate::name(aggregation);
                let diagnostic = Diagnostic::error(
                    "E0309",
                    span,
                    format!("`@{name}` keeps statistics that are not one value"),
                )
                .with_label("read here")
                .with_place(*first, format!("samples of `{was}()`"))
                .with_help(format!("`print(@{name})` shows it"));
                return self.fail(diagnostic);
            }
            None => (Shape::Unknown, None),
        };
        // In early rounds the value is unknown; the mistake stands in the last one only if it is one.
        debug_assert!(known || shape == Shape::Unknown);
        let kind = ExprKind::MapGet {
            map: MapId(map as u32),
            key,
        };
        Some(Typed {
            unit,
            ..Typed::new(kind, shape, span)
        })
    }

    fn ternary(
        &mut self,
        cond: hir::Expr,
        then: Typed,
        otherwise: Typed,
        span: Span,
    ) -> Option<Typed> {
        let shape = match then.shape.join(&otherwise.shape) {
            Join::Fits(shape) => shape,
            Join::Mixed(_) => Shape::UNSIGNED,
            // A truth value and a number make a number.
            Join::Mismatch if then.shape.is_int() && otherwise.shape.is_int() => Shape::SIGNED,
            Join::Mismatch => {
                let (left, right) = (then.shape.describe(), otherwise.shape.describe());
                return self.fail(
                    Diagnostic::error(
                        "E0307",
                        span,
                        format!("the two values of `?:` are {left} and {right}"),
                    )
                    .with_place(then.span(), left)
                    .with_place(otherwise.span(), right),
                );
            }
        };
        let unit = if then.unit == otherwise.unit {
            then.unit
        } else {
            None
        };
        let ty = shape.ty();
        let arm = |arm: Typed| match ty.is_word() {
            true => Box::new(arm.into_type(&ty)),
            // A shorter string fits as it is.
            false => Box::new(arm.expr),
        };
        let kind = ExprKind::Ternary {
            cond: Box::new(cond),
            then: arm(then),
            otherwise: arm(otherwise),
        };
        Some(Typed {
            unit,
            ..Typed::new(kind, shape, span)
        })
    }

    /// `a ?: b`: a where it is not 0, else b.
    fn short_ternary(&mut self, value: Typed, otherwise: Typed, span: Span) -> Option<Typed> {
        if value.expr.has_effect() {
            return self.fail(
                Diagnostic::error(
                    "E0312",
                    value.span(),
                    "what changes something cannot be both the condition and the value of `?:`",
                )
                .with_label("would happen twice")
                .with_help("do it in a statement before, and use the variable here"),
            );
        }
        if !value.shape.is_condition() {
            let is = value.shape.describe();
            return self.fail(
                Diagnostic::error(
                    "E0308",
                    value.span(),
                    format!("a condition must be an integer, and this is {is}"),
                )
                .with_label(is),
            );
        }
        let cond = value.expr.clone();
        self.ternary(cond, value, otherwise, span)
    }

    fn increment(
        &mut self,
        target: &ast::Expr,
        delta: i64,
        postfix: bool,
        span: Span,
    ) -> Option<Typed> {
        let (place, shape) = match &target.kind {
            ast::ExprKind::Variable(name) => {
                let index = self.used_local(name, target.span)?;
                let local = self.local(index);
                // A narrow one that is counted up needs room, unless its type is written.
                if let (false, Join::Fits(wider)) =
                    (local.declared, local.shape.join(&Shape::Flexible))
                {
                    local.shape = wider;
                }
                let shape = local.shape.clone();
                (Place::Local(hir::LocalId(index as u32)), shape)
            }
            ast::ExprKind::Map {
                name,
                name_span,
                key,
            } => {
                let map = self.tables.map(name, *name_span);
                let key = self.key(map, key.as_deref(), target.span)?;
                let scalar = |this: &Self| match &this.tables.maps[map].value {
                    Some((Value::Scalar(shape), _)) => shape.clone(),
                    _ => Shape::Unknown,
                };
                if !scalar(self).is_pointer() {
                    let one = int(1, target.span);
                    self.assign_scalar(map, &one, target.span)?;
                }
                let shape = scalar(self);
                let map = MapId(map as u32);
                (Place::Map { map, key }, shape)
            }
            _ => return None,
        };
        let mut delta = delta;
        if let Shape::Is(Type::Pointer { to, .. }) = &shape {
            delta *= self.types.completed(to).memory_size().max(1) as i64;
        } else if !shape.is_int() {
            return self.fail(
                Diagnostic::error("E0305", span, "`++` and `--` work on integers only")
                    .with_place(target.span, shape.describe()),
            );
        }
        // A counter may pass below 0, so it is not flexible.
        let result = if shape == Shape::Flexible {
            Shape::SIGNED
        } else {
            shape
        };
        Some(Typed::new(
            ExprKind::Increment {
                place,
                delta,
                postfix,
            },
            result,
            span,
        ))
    }
}

/// An integer literal: flexible unless it needs all 64 bits.
pub(super) fn int(value: u64, span: Span) -> Typed {
    let shape = if value > i64::MAX as u64 {
        Shape::UNSIGNED
    } else {
        Shape::Flexible
    };
    Typed::new(ExprKind::Int(value), shape, span)
}

//! `$` variables: made by their first assignment or by `let`, of one type each.

use super::cast::cast_word;
use super::checker::{Checker, Typed};
use super::hir::{self, ExprKind, Place, StmtKind, Type};
use super::maps::mixed_signs;
use super::shape::{Join, Shape};
use crate::diagnostic::Diagnostic;
use crate::layout;
use crate::span::Span;
use crate::syntax::ast::{self, Ident, TypeName};

impl Checker<'_> {
    /// `$name = value` and `$name op= value`.
    pub(super) fn assign_local(
        &mut self,
        name: &str,
        name_span: Span,
        op: Option<ast::BinaryOp>,
        value: &ast::Expr,
    ) -> Option<StmtKind> {
        let span = name_span.to(value.span);
        let value = match op {
            None => self.expr(value),
            Some(op) => {
                let index = self.used_local(name, name_span)?;
                let local = self.local(index);
                let (shape, unit) = (local.shape.clone(), local.unit.get());
                let old = Typed {
                    unit,
                    ..Typed::new(
                        ExprKind::Local(hir::LocalId(index as u32)),
                        shape,
                        name_span,
                    )
                };
                let value = self.expr(value);
                self.binary(op, name_span, Some(old), value, span)
            }
        };
        // A variable whose first value is broken still exists: one mistake, one message.
        let known = self.lookup(name);
        let index = known.unwrap_or_else(|| self.declare_by_assignment(name, name_span));
        let value = value?;
        self.put(index, value, name_span)
    }

    /// A new variable must not hide one that exists already.
    pub(super) fn refuse_second(&mut self, name: &Ident) -> Option<()> {
        let Some(earlier) = self.lookup(&name.text) else {
            return Some(());
        };
        let place = self.local(earlier).span;
        self.fail(
            Diagnostic::error(
                "E0223",
                name.span,
                format!("`${}` exists already", name.text),
            )
            .with_label("declared once more")
            .with_place(place, "the first one")
            .with_help("assign it without `let`, or give this one another name"),
        )
    }

    /// `let $name: type = value`; what is left out is learnt from assignments.
    pub(super) fn let_statement(
        &mut self,
        name: &Ident,
        written: Option<&TypeName>,
        value: Option<&ast::Expr>,
    ) -> Option<StmtKind> {
        let ty = written.map(|written| self.written_type(written));
        let value = value.map(|value| self.expr(value));
        self.refuse_second(name)?;
        let index = self.declare(&name.text, name.span);
        if let Some(ty) = ty {
            let ty = ty?;
            let ty = self.types.completed(&ty);
            let local = self.local(index);
            local.shape = Shape::of(&ty);
            local.declared = true;
        }
        let place = Place::Local(hir::LocalId(index as u32));
        match value {
            Some(value) => self.put(index, value?, name.span),
            None => {
                // It starts with zeros, also where a loop comes by a second time.
                let zero = zero(&self.local(index).shape.ty(), name.span)?;
                Some(StmtKind::Assign { place, value: zero })
            }
        }
    }

    /// Puts a value into a variable, which takes on its type.
    pub(super) fn put(
        &mut self,
        index: usize,
        mut value: Typed,
        name_span: Span,
    ) -> Option<StmtKind> {
        let name = self.local(index).name.clone();
        if self.local(index).declared {
            value = self.fitted(index, value)?;
        }
        let local = self.local(index);
        let first = local.span;
        match local.shape.join(&value.shape) {
            Join::Fits(joined) => {
                local.shape = joined;
                local.unit.add(value.unit, &value.shape);
            }
            Join::Mixed(joined) => {
                local.shape = joined;
                let warning = mixed_signs(&format!("${name}"), name_span, first, &value.shape);
                self.report(warning);
            }
            Join::Mismatch => {
                let (was, is) = (local.shape.describe(), value.shape.describe());
                return self.fail(
                    Diagnostic::error(
                        "E0304",
                        value.span(),
                        format!("`${name}` gets {is} here and was {was}"),
                    )
                    .with_label(is)
                    .with_place(first, was)
                    .with_help("a variable keeps the type of its first value; use another one"),
                );
            }
        }
        let ty = self.local(index).shape.ty();
        Some(StmtKind::Assign {
            place: Place::Local(hir::LocalId(index as u32)),
            value: value.into_type(&ty),
        })
    }

    /// A value for a variable whose type is written: it does not widen that.
    fn fitted(&mut self, index: usize, value: Typed) -> Option<Typed> {
        let local = self.local(index);
        let (ty, first, name) = (local.shape.ty(), local.span, local.name.clone());
        if let (Type::Int { .. }, true) = (&ty, value.shape.is_int())
            && !matches!(value.expr.kind, ExprKind::Int(_))
        {
            let span = value.span();
            return Some(cast_word(ty, value, span));
        }
        let fits = match (&ty, &value.expr.kind) {
            (Type::Int { .. }, ExprKind::Int(bits)) if value.shape.is_int() => {
                layout::extend(*bits, ty.memory_size(), ty.is_signed()) == *bits
            }
            (Type::Str { .. }, _) => value.shape.is_text(),
            _ => self.local(index).shape.join(&value.shape) == Join::Fits(Shape::of(&ty)),
        };
        if !fits {
            let is = format!("`{}`", value.shape.ty());
            return self.fail(
                Diagnostic::error(
                    "E0304",
                    value.span(),
                    format!("`${name}` is declared as `{ty}`, which does not hold this {is}"),
                )
                .with_label(is)
                .with_place(first, format!("`{ty}`"))
                .with_help(format!(
                    "cast the value, `({ty})..`, or declare a wider type"
                )),
            );
        }
        Some(Typed {
            shape: Shape::of(&ty),
            ..value
        })
    }
}

/// Zeros of a type; none where the language has no expression for them, as a variable starts with them anyway.
fn zero(ty: &Type, span: Span) -> Option<hir::Expr> {
    let kind = match ty {
        ty if ty.is_word() => ExprKind::Int(0),
        Type::Str { .. } => ExprKind::Str(Vec::new()),
        Type::Tuple(parts) => ExprKind::Tuple(
            parts
                .iter()
                .map(|part| zero(part, span))
                .collect::<Option<_>>()?,
        ),
        _ => return None,
    };
    Some(hir::Expr {
        kind,
        ty: ty.clone(),
        span,
    })
}

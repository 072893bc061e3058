//! Casts, `sizeof` and `offsetof`.

use std::sync::Arc;

use super::checker::{Checker, Typed};
use super::ctypes::member_names;
use super::expr::int;
use super::hir::{self, ExprKind, Space, Type};
use super::shape::Shape;
use crate::diagnostic::{Diagnostic, suggest};
use crate::layout;
use crate::span::Span;
use crate::syntax::ast::{self, Ident, Operand, TypeName};

impl Checker<'_> {
    /// `(type)value`.
    pub(super) fn cast(
        &mut self,
        written: &TypeName,
        value: &ast::Expr,
        span: Span,
    ) -> Option<Typed> {
        let target = self.written_type(written);
        let value = self.expr(value);
        let (target, value) = (target?, value?);
        let word = value.shape.is_condition();
        match &target {
            Type::Int { .. } | Type::Bool | Type::Enum(_) if word => {
                Some(cast_word(target, value, span))
            }
            Type::Int { .. } => match array_as_integer(&value) {
                Some(integer) => Some(cast_word(target, integer, span)),
                None => self.cannot_cast(&value, &target, written.span),
            },
            Type::Pointer { to, .. } if word => {
                let space = match &value.shape {
                    Shape::Is(Type::Pointer { space, .. }) => *space,
                    _ => Space::Kernel,
                };
                let to = to.clone();
                Some(cast_word(Type::Pointer { to, space }, value, span))
            }
            Type::Array { of, len } if value.shape.is_int() => {
                let bytes = value.shape.ty().memory_size();
                let size = of.memory_size().max(1);
                let len = if *len == 0 {
                    bytes / size
                } else {
                    *len as usize
                };
                if len * size != bytes {
                    return self.cannot_cast(&value, &target, written.span);
                }
                let array = Type::Array {
                    of: of.clone(),
                    len: len as u32,
                };
                Some(integer_as_array(array, value, span))
            }
            _ if value.shape == Shape::Is(target.clone()) => Some(value),
            _ => self.cannot_cast(&value, &target, written.span),
        }
    }

    fn cannot_cast<T>(&mut self, value: &Typed, target: &Type, span: Span) -> Option<T> {
        let is = value.shape.describe();
        let diagnostic =
            Diagnostic::error("E0317", span, format!("{is} cannot be cast to `{target}`"))
                .with_place(value.span(), is);
        let help = match target {
            Type::Incomplete(_) => format!("a struct in memory is reached through a pointer: `({target} *)..`"),
            Type::Array { .. } => "an integer is cast to an array of as many bytes as it has, e.g. `(uint8[4])(uint32)x`".into(),
            Type::Str { .. } => "a string is read from memory with `str()`".into(),
            _ => "integers, pointers, enums and small arrays can be cast to each other".into(),
        };
        self.fail(diagnostic.with_help(help))
    }

    /// `sizeof(type or value)`.
    pub(super) fn sizeof(&mut self, operand: &Operand, span: Span) -> Option<Typed> {
        let ty = self.operand_type(operand)?;
        if let Type::Incomplete(_) | Type::Void = ty {
            return self.fail(
                Diagnostic::error("E0317", span, format!("the size of `{ty}` is not known"))
                    .with_label("only declared"),
            );
        }
        Some(Typed {
            shape: Shape::UNSIGNED,
            ..int(ty.memory_size() as u64, span)
        })
    }

    /// `offsetof(record, member.member)`.
    pub(super) fn offsetof(
        &mut self,
        operand: &Operand,
        path: &[Ident],
        span: Span,
    ) -> Option<Typed> {
        let mut ty = self.operand_type(operand)?;
        if let Type::Pointer { to, .. } = &ty {
            ty = self.types.completed(&to.clone());
        }
        let mut offset = 0u64;
        for name in path {
            let Type::Record(record) = &ty else {
                return self.fail(
                    Diagnostic::error("E0314", name.span, format!("`{ty}` has no members"))
                        .with_label("no such member"),
                );
            };
            let record = record.clone();
            let Some(member) = self.types.member(&record, &name.text) else {
                let of = &record.name.name;
                let near = suggest::nearest(&name.text, member_names(&record));
                let diagnostic = Diagnostic::error(
                    "E0222",
                    name.span,
                    format!("`{of}` has no member `{}`", name.text),
                )
                .with_label("no such member");
                return self.fail(match near {
                    Some(near) => diagnostic.with_help(format!("did you mean `{near}`?")),
                    None => diagnostic,
                });
            };
            offset += u64::from(member.offset);
            ty = member.ty;
        }
        Some(Typed {
            shape: Shape::UNSIGNED,
            ..int(offset, span)
        })
    }
}

/// A word as one of another type.
pub(super) fn cast_word(ty: Type, value: Typed, span: Span) -> Typed {
    let unit = match ty {
        Type::Int { .. } => value.unit,
        _ => None,
    };
    let wide = ty.memory_size() == 8;
    let kind = match value.expr.kind {
        ExprKind::Int(number) if ty != Type::Bool => {
            ExprKind::Int(layout::extend(number, ty.memory_size(), ty.is_signed()))
        }
        // The cast is what makes a value of it.
        ExprKind::Statistic { .. } => ExprKind::Cast(Box::new(value.expr)),
        _ if wide => {
            let mut expr = value.into_type(&ty);
            expr.span = span;
            return Typed {
                expr,
                shape: Shape::Is(ty),
                unit,
            };
        }
        _ => ExprKind::Cast(Box::new(value.expr)),
    };
    Typed {
        unit,
        ..Typed::new(kind, Shape::Is(ty), span)
    }
}

/// The bytes of a small array as an integer, the first one lowest.
fn array_as_integer(value: &Typed) -> Option<Typed> {
    let Shape::Is(ty @ Type::Array { .. }) = &value.shape else {
        return None;
    };
    let bytes = ty.memory_size();
    if !matches!(bytes, 1 | 2 | 4 | 8) {
        return None;
    }
    let kind = match value.expr.kind.clone() {
        read @ ExprKind::Read { .. } => read,
        _ => ExprKind::Part {
            of: Box::new(value.expr.clone()),
            offset: 0,
            bytes: bytes as u32,
        },
    };
    let integer = Type::Int {
        bits: 8 * bytes as u8,
        signed: false,
    };
    Some(Typed::new(kind, Shape::Is(integer), value.span()))
}

/// An integer's bytes, the lowest one first.
fn integer_as_array(array: Type, value: Typed, span: Span) -> Typed {
    let bytes = array.memory_size() as u32;
    let word = hir::Expr {
        ty: Type::Tuple(Arc::from([value.expr.ty.clone()])),
        kind: ExprKind::Tuple(vec![value.expr]),
        span,
    };
    let kind = ExprKind::Part {
        of: Box::new(word),
        offset: 0,
        bytes,
    };
    Typed::new(kind, Shape::Is(array), span)
}

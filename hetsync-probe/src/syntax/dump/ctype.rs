//! Types and C definitions.

use super::{expr, line, operand};
use crate::syntax::ast::{Declarator, Expr, Ident, TypeKind, TypeName};

/// A type without braces.
pub(super) fn name(ty: &TypeName) -> String {
    let base = match &ty.kind {
        TypeKind::Named(name) => name.clone(),
        TypeKind::Struct(name) => format!("struct {}", name.text),
        TypeKind::Union(name) => format!("union {}", name.text),
        TypeKind::Enum(name) => format!("enum {}", name.text),
        TypeKind::Record(record) => tagged(record.kind.keyword(), record.name.as_ref()),
        TypeKind::Enumeration { name, .. } => tagged("enum", name.as_ref()),
        TypeKind::Typeof(of) => format!("typeof({})", operand(of)),
    };
    base + &"*".repeat(ty.pointers.into()) + &dims(&ty.dims)
}

fn tagged(keyword: &str, name: Option<&Ident>) -> String {
    format!("{keyword} {}", name.map_or("-", |name| &name.text))
}

fn dims(dims: &[Option<Expr>]) -> String {
    dims.iter()
        .map(|dim| format!("[{}]", dim.as_ref().map_or(String::new(), expr)))
        .collect()
}

/// A type, and what is declared with it.
pub(super) fn declared(ty: &TypeName, declarators: &[Declarator]) -> String {
    let mut text = name(ty);
    for declarator in declarators {
        text += if declarator.function {
            " function "
        } else {
            " "
        };
        text += &"*".repeat(declarator.pointers.into());
        text += declarator.name.as_ref().map_or("-", |name| &name.text);
        text += &dims(&declarator.dims);
        if let Some(bits) = &declarator.bits {
            text += &format!(":{}", expr(bits));
        }
    }
    text
}

/// What stands in the braces of a type.
pub(super) fn body(out: &mut String, depth: usize, ty: &TypeName) {
    match &ty.kind {
        TypeKind::Record(record) => {
            if record.packed {
                line(out, depth, "packed");
            }
            for field in &record.fields {
                line(out, depth, &declared(&field.ty, &field.declarators));
                body(out, depth + 1, &field.ty);
            }
        }
        TypeKind::Enumeration { values, .. } => {
            for value in values {
                let number = value
                    .value
                    .as_ref()
                    .map(|value| format!(" = {}", expr(value)));
                line(
                    out,
                    depth,
                    &(value.name.text.clone() + &number.unwrap_or_default()),
                );
            }
        }
        _ => {}
    }
}

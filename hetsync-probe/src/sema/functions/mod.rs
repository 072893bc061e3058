//! Functions with a value, one family a file, one row a function: its name, how it is written, and what it becomes.
//!
//! What is computed when the probe fires is [`hir::Function`]; much needs no computing there and becomes a constant, a read of memory,
//! or a number that user space puts into words ([`hir::Shown`]).

mod flow;
mod memory;
mod network;
mod output;
pub(super) mod params;
mod stacks;
mod text;

use std::ops::RangeInclusive;

use super::checker::{Checker, Typed};
use super::hir::{self, ExprKind, Function, Shown, Type};
use super::shape::Shape;
use crate::diagnostic::Diagnostic;
use crate::span::Span;
use crate::syntax::ast;

/// A function with a value.
pub(super) struct Row {
    name: &'static str,
    args: RangeInclusive<usize>,
    /// Ways to write it, ` or ` between them.
    usage: &'static str,
    check: fn(&mut Checker<'_>, &Call<'_>) -> Option<Typed>,
}

/// A call of one.
pub(super) struct Call<'a> {
    name: &'a str,
    args: &'a [ast::Expr],
    span: Span,
}

const FAMILIES: [&[Row]; 6] = [
    flow::ROWS,
    memory::ROWS,
    network::ROWS,
    params::ROWS,
    stacks::ROWS,
    text::ROWS,
];

/// The row of a function with a value.
pub(super) fn find(name: &str) -> Option<&'static Row> {
    FAMILIES.into_iter().flatten().find(|row| row.name == name)
}

/// Names of all functions in these files.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    let values = FAMILIES.into_iter().flatten().map(|row| row.name);
    values.chain(output::NAMES)
}

impl Checker<'_> {
    pub(super) fn function(&mut self, row: &Row, args: &[ast::Expr], span: Span) -> Option<Typed> {
        self.arguments(row.name, args, row.args.clone(), row.usage, span)?;
        let call = Call {
            name: row.name,
            args,
            span,
        };
        (row.check)(self, &call)
    }

    /// An argument that must be an integer.
    fn number(&mut self, call: &Call<'_>, arg: usize) -> Option<Typed> {
        self.integer(&call.args[arg], &format!("`{}()`", call.name))
    }

    /// A number that is shown in words.
    fn shown(&mut self, call: &Call<'_>, arg: usize, shown: Shown) -> Option<Typed> {
        let number = self.number(call, arg)?;
        Some(as_shown(number, shown, call.span))
    }

    /// A text that must be written out in the script.
    fn literal(&mut self, call: &Call<'_>, arg: usize, what: &str) -> Option<String> {
        let arg = &call.args[arg];
        if let ast::ExprKind::Str(bytes) = &arg.bare().kind {
            return Some(String::from_utf8_lossy(bytes).into_owned());
        }
        // `str($1)` is known here too.
        if let ast::ExprKind::Call { name, .. } = &arg.bare().kind
            && name == "str"
            && let Some(Typed {
                expr:
                    hir::Expr {
                        kind: ExprKind::Str(bytes),
                        ..
                    },
                ..
            }) = self.expr(arg)
        {
            return Some(String::from_utf8_lossy(&bytes).into_owned());
        }
        self.fail(
            Diagnostic::error(
                "E0405",
                arg.span,
                format!("{what} of `{}()` must be a string literal", call.name),
            )
            .with_label("not a literal")
            .with_help(format!("write it out: `{}(\"..\")`", call.name)),
        )
    }

    /// An argument of the wrong type.
    fn unfit<T>(&mut self, call: &Call<'_>, value: &Typed, takes: &str) -> Option<T> {
        let is = value.shape.describe();
        self.fail(
            Diagnostic::error(
                "E0412",
                value.span(),
                format!("`{}()` takes {takes}, and this is {is}", call.name),
            )
            .with_label(is),
        )
    }
}

/// A call with a value of this type.
fn computed(function: Function, args: Vec<hir::Expr>, ty: Type, span: Span) -> Typed {
    Typed::new(ExprKind::Call { function, args }, Shape::Is(ty), span)
}

/// A word taken as a value of the type that is shown in words.
pub(super) fn as_shown(number: Typed, shown: Shown, span: Span) -> Typed {
    let kind = ExprKind::Cast(Box::new(number.expr));
    Typed::new(kind, Shape::Is(Type::Shown(shown)), span)
}

/// An array of bytes.
fn bytes(len: u32) -> Type {
    Type::Array {
        of: std::sync::Arc::new(Type::Int {
            bits: 8,
            signed: false,
        }),
        len,
    }
}

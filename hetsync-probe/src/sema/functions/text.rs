//! Functions of strings, and numbers shown in words.

use super::super::checker::{Checker, Typed};
use super::super::hir::{Function, MapId, Shown, Type};
use super::super::shape::Shape;
use super::{Call, Row, as_shown, computed};
use crate::diagnostic::Diagnostic;
use crate::limits;
use crate::syntax::ast;

/// Most bytes `strcontains` looks for: they are compared as one word.
const NEEDLE: usize = 8;

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "strncmp",
        args: 3..=3,
        usage: "strncmp(a, b, n)",
        check: strncmp,
    },
    Row {
        name: "strcontains",
        args: 2..=2,
        usage: "strcontains(text, \"part\")",
        check: strcontains,
    },
    Row {
        name: "strlen",
        args: 1..=1,
        usage: "strlen(text)",
        check: strlen,
    },
    Row {
        name: "strftime",
        args: 2..=2,
        usage: "strftime(\"%H:%M:%S\", nsecs)",
        check: strftime,
    },
    Row {
        name: "strerror",
        args: 1..=1,
        usage: "strerror(errno)",
        check: |this, call| this.shown(call, 0, Shown::Error),
    },
    Row {
        name: "signal_name",
        args: 1..=1,
        usage: "signal_name(number)",
        check: |this, call| this.shown(call, 0, Shown::Signal),
    },
    Row {
        name: "syscall_name",
        args: 1..=1,
        usage: "syscall_name(number)",
        check: |this, call| this.shown(call, 0, Shown::Syscall),
    },
    Row {
        name: "cgroup_path",
        args: 1..=1,
        usage: "cgroup_path(cgroup)",
        check: |this, call| this.shown(call, 0, Shown::Cgroup),
    },
    Row {
        name: "has_key",
        args: 2..=2,
        usage: "has_key(@map, key)",
        check: has_key,
    },
];

impl Checker<'_> {
    /// An argument that must be a string.
    fn text(&mut self, call: &Call<'_>, arg: usize) -> Option<Typed> {
        let value = self.expr(&call.args[arg])?;
        match &value.shape {
            Shape::Is(Type::Str { .. }) | Shape::Unknown => Some(value),
            _ => self.unfit(call, &value, "a string"),
        }
    }
}

fn strncmp(this: &mut Checker<'_>, call: &Call<'_>) -> Option<Typed> {
    let (lhs, rhs) = (this.text(call, 0), this.text(call, 1));
    let bytes = this.constant(&call.args[2], "the length of `strncmp()`")?;
    let (lhs, rhs) = (lhs?, rhs?);
    let Ok(bytes) = u32::try_from(bytes) else {
        return this.fail(
            Diagnostic::error("E0403", call.args[2].span, "a length is not negative")
                .with_label("out of range"),
        );
    };
    if [&lhs, &rhs].iter().any(|side| side.shape == Shape::Unknown) {
        return Some(super::super::expr::int(0, call.span));
    }
    let bytes = bytes.min(limits::STRING_BYTES as u32);
    Some(computed(
        Function::Differ(bytes),
        vec![lhs.expr, rhs.expr],
        Type::INT,
        call.span,
    ))
}

fn strcontains(this: &mut Checker<'_>, call: &Call<'_>) -> Option<Typed> {
    let hay = this.text(call, 0);
    let needle = this.literal(call, 1, "the part")?;
    let hay = hay?;
    if needle.len() > NEEDLE || needle.contains('\0') {
        return this.fail(
            Diagnostic::error(
                "E0403",
                call.args[1].span,
                format!("the part of `strcontains()` has at most {NEEDLE} bytes, none of them NUL"),
            )
            .with_label(format!("{} bytes", needle.len())),
        );
    }
    if hay.shape == Shape::Unknown {
        return Some(super::super::expr::int(0, call.span));
    }
    let needle = needle.into_bytes().into();
    Some(computed(
        Function::Contains(needle),
        vec![hay.expr],
        Type::Bool,
        call.span,
    ))
}

fn strlen(this: &mut Checker<'_>, call: &Call<'_>) -> Option<Typed> {
    let text = this.text(call, 0)?;
    if text.shape == Shape::Unknown {
        return Some(super::super::expr::int(0, call.span));
    }
    Some(computed(
        Function::Length,
        vec![text.expr],
        Type::UINT,
        call.span,
    ))
}

fn strftime(this: &mut Checker<'_>, call: &Call<'_>) -> Option<Typed> {
    let form = this.literal(call, 0, "the form")?;
    let time = this.number(call, 1)?;
    Some(as_shown(time, Shown::Time(form.into()), call.span))
}

fn has_key(this: &mut Checker<'_>, call: &Call<'_>) -> Option<Typed> {
    let ast::ExprKind::Map {
        name,
        name_span,
        key: None,
    } = &call.args[0].bare().kind
    else {
        return this.fail(
            Diagnostic::error(
                "E0404",
                call.args[0].span,
                "`has_key()` takes a map and a key",
            )
            .with_label("not a whole map")
            .with_help("write `has_key(@map, key)`"),
        );
    };
    let map = this.tables.map(name, *name_span);
    let key = this.key(map, Some(std::slice::from_ref(&call.args[1])), call.span);
    this.used_map(map, *name_span);
    Some(computed(
        Function::HasKey(MapId(map as u32)),
        key?,
        Type::Bool,
        call.span,
    ))
}

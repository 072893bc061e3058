//! Functions of strings, and numbers shown in words.

use super::super::checker::{Checker, Typed};
use super::super::hir::{self, ExprKind, Function, MapId, Shown, Type};
use super::super::shape::Shape;
use super::{Call, Row, as_shown, bytes, computed};
use crate::diagnostic::Diagnostic;
use crate::limits;
use crate::syntax::ast;

/// Most bytes `strcontains` looks for: as many words are held in registers while a string is gone through.
const NEEDLE: usize = 64;

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "strncmp",
        args: 3..=3,
        usage: "strncmp(a, b, n)",
        check: strncmp,
    },
    Row {
        name: "memcmp",
        args: 3..=3,
        usage: "memcmp(a, b, n)",
        check: memcmp,
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
        name: "len",
        args: 1..=1,
        usage: "len(@map)",
        check: |this, call| {
            let length = this.map_length(&call.args[0], call.span)?;
            Some(Typed::new(length.kind, Shape::SIGNED, length.span))
        },
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

fn memcmp(this: &mut Checker<'_>, call: &Call<'_>) -> Option<Typed> {
    let bytes = this.constant(&call.args[2], "the length of `memcmp()`")?;
    let most = limits::STRING_BYTES as i64;
    if !(0..=most).contains(&bytes) {
        return this.fail(
            Diagnostic::error(
                "E0403",
                call.args[2].span,
                format!("`memcmp()` compares 0 to {most} bytes, not {bytes}"),
            )
            .with_label("out of range"),
        );
    }
    let bytes = bytes as u32;
    let sides = [0, 1].map(|arg| this.memory(call, arg, bytes));
    let [Some(left), Some(right)] = sides else {
        return None;
    };
    let ty = Type::Int {
        bits: 32,
        signed: true,
    };
    Some(computed(
        Function::Order(bytes),
        vec![left, right],
        ty,
        call.span,
    ))
}

impl Checker<'_> {
    /// An argument as the bytes it is or points to, at least this many but for strings and buffers, which go on as zeros.
    fn memory(&mut self, call: &Call<'_>, arg: usize, least: u32) -> Option<hir::Expr> {
        let value = self.expr(&call.args[arg])?;
        let span = value.span();
        let raw = |kind, len| hir::Expr {
            kind,
            ty: bytes(len),
            span,
        };
        match value.expr.ty.clone() {
            _ if value.shape == Shape::Unknown => Some(raw(ExprKind::Str(Vec::new()), 8)),
            Type::Str { .. } => Some(value.expr),
            Type::Buffer { capacity } => {
                let (offset, bytes) = (8, u32::from(capacity));
                let of = Box::new(value.expr);
                Some(raw(ExprKind::Part { of, offset, bytes }, bytes))
            }
            Type::Pointer { space, .. } => {
                let address = Box::new(value.expr);
                // What is read is never nothing.
                let bytes = least.max(1);
                let kind = ExprKind::Read {
                    address,
                    bytes,
                    space,
                };
                Some(raw(kind, bytes))
            }
            ty @ (Type::Array { .. } | Type::Record(_)) => {
                let has = ty.memory_size();
                if has >= least as usize {
                    return Some(value.expr);
                }
                self.fail(
                    Diagnostic::error(
                        "E0403",
                        call.args[2].span,
                        format!("`memcmp()` compares {least} bytes, and a value has {has}"),
                    )
                    .with_label("goes past its end")
                    .with_place(span, format!("{has} bytes")),
                )
            }
            _ => self.unfit(
                call,
                &value,
                "strings, buffers, arrays, records or pointers",
            ),
        }
    }
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

//! Into records, arrays and tuples: members, elements, parts, `*` and `&`.
//!
//! An object in memory is an [`ExprKind::Read`] at an address; a member of it is a read at an address further on, so of
//! a long chain only the last object is read.

use std::sync::Arc;

use super::checker::{Checker, Typed};
use super::ctypes::{Member, member_names};
use super::expr::int;
use super::hir::{self, BinaryOp, ExprKind, Record, Space, Type};
use super::operator;
use super::shape::Shape;
use crate::diagnostic::{Diagnostic, suggest};
use crate::limits;
use crate::span::Span;
use crate::syntax::ast::{self, Ident};

/// The address of an object and whose memory it is in.
struct Location {
    address: hir::Expr,
    space: Space,
}

impl Checker<'_> {
    /// `base.name` or `base->name`.
    pub(super) fn field(&mut self, base: &ast::Expr, name: &Ident, span: Span) -> Option<Typed> {
        if let ast::ExprKind::Name(args) = &base.bare().kind
            && args == "args"
        {
            return self.argument(name, base.span, span);
        }
        let value = self.expr(base)?;
        let is = value.shape.describe();
        let Some((record, location)) = self.record_of(&value) else {
            if value.shape == Shape::Unknown {
                return Some(Typed::new(value.expr.kind, Shape::Unknown, span));
            }
            return self.not_a_record(&value, is, span);
        };
        let Some(member) = self.types.member(&record, &name.text) else {
            return self.no_member(&record, name);
        };
        match location {
            Some(at) => Some(load(member, at, span)),
            None => Some(piece(value, member, span)),
        }
    }

    /// A member of what a pointer leads to, by the names on the way; none where the record has no such member.
    pub(super) fn member_of(&mut self, pointer: &Typed, path: &[&str]) -> Option<Typed> {
        let span = pointer.span();
        path.iter().try_fold(pointer.clone(), |value, name| {
            let (record, at) = self.record_of(&value)?;
            let member = self.types.member(&record, name)?;
            Some(load(member, at?, span))
        })
    }

    /// The record behind a pointer or in a value, and its place unless it is in a variable or a map.
    fn record_of(&mut self, value: &Typed) -> Option<(Arc<Record>, Option<Location>)> {
        match &value.shape {
            Shape::Is(Type::Pointer { to, space }) => {
                let Type::Record(record) = self.types.completed(to) else {
                    return None;
                };
                let (address, space) = (value.expr.clone(), *space);
                Some((record, Some(Location { address, space })))
            }
            Shape::Is(Type::Record(record)) => Some((record.clone(), location(&value.expr))),
            _ => None,
        }
    }

    fn not_a_record<T>(&mut self, value: &Typed, is: String, span: Span) -> Option<T> {
        let diagnostic = Diagnostic::error("E0314", span, format!("{is} has no members"))
            .with_place(value.span(), is);
        let help = match &value.shape {
            Shape::Is(Type::Pointer { to, .. }) => {
                format!("nothing is known of what is in `{to}`; cast it to a struct that is known")
            }
            Shape::Tuple(_) => "parts of a tuple are written `.0`, `.1` ..".into(),
            _ => "cast it to a pointer first, e.g. `((struct sock *)arg0).sk_family`".into(),
        };
        self.fail(diagnostic.with_help(help))
    }

    fn no_member<T>(&mut self, record: &Record, name: &Ident) -> Option<T> {
        let of = &record.name.name;
        let near = suggest::nearest(&name.text, member_names(record));
        let diagnostic = Diagnostic::error(
            "E0222",
            name.span,
            format!("`{of}` has no member `{}`", name.text),
        )
        .with_label("no such member");
        let help = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!(
                "members differ from kernel to kernel; this one's are shown by `hetsync-probe list '{of}'`"
            ),
        };
        self.fail(diagnostic.with_help(help))
    }

    /// `base.0`.
    pub(super) fn element(
        &mut self,
        base: &ast::Expr,
        index: u32,
        index_span: Span,
        span: Span,
    ) -> Option<Typed> {
        let value = self.expr(base)?;
        let Shape::Tuple(shapes) = &value.shape else {
            if value.shape == Shape::Unknown {
                return Some(Typed::new(value.expr.kind, Shape::Unknown, span));
            }
            let is = value.shape.describe();
            return self.fail(
                Diagnostic::error("E0314", span, format!("{is} has no numbered parts"))
                    .with_place(value.span(), is)
                    .with_help("only tuples have: `(a, b).0` is a"),
            );
        };
        let shapes = shapes.clone();
        let Some(shape) = shapes.get(index as usize) else {
            return self.fail(
                Diagnostic::error(
                    "E0315",
                    index_span,
                    format!("there is no part {index} in a tuple of {}", shapes.len()),
                )
                .with_place(value.span(), value.shape.describe())
                .with_help("parts are counted from 0"),
            );
        };
        let offset: usize = shapes[..index as usize].iter().map(|s| s.ty().size()).sum();
        let kind = ExprKind::Part {
            offset: offset as u32,
            bytes: shape.ty().size() as u32,
            of: Box::new(value.expr),
        };
        Some(Typed::new(kind, shape.clone(), span))
    }

    /// `base[index]` of an array or a pointer.
    pub(super) fn index(
        &mut self,
        base: &ast::Expr,
        index: &ast::Expr,
        span: Span,
    ) -> Option<Typed> {
        let value = self.expr(base);
        let at = self.integer(index, "an index");
        let (value, at) = (value?, at?);
        let constant = match at.expr.kind {
            ExprKind::Int(n) => Some(n as i64),
            _ => None,
        };
        match &value.shape {
            Shape::Is(Type::Pointer { to, space }) => {
                let (to, space) = (self.types.completed(to), *space);
                let address = self.advanced(value, at, false, span)?;
                let at = Location {
                    address: address.expr,
                    space,
                };
                Some(load(whole(to), at, span))
            }
            Shape::Is(Type::Array { of, len }) => {
                let (of, len) = (of.clone(), *len);
                if let Some(n) = constant
                    && !(0..i64::from(len)).contains(&n)
                    && len > 0
                {
                    return self.outside(index.span, n, len, &value);
                }
                let of = self.types.completed(&of);
                if let Some(Location { address, space }) = location(&value.expr) {
                    let address = offset_by(address, at, of.memory_size(), span);
                    return Some(load(whole(of), Location { address, space }, span));
                }
                let Some(n) = constant else {
                    return self.fail(
                        Diagnostic::error("E0402", index.span, "the index into an array that is held in a variable or a map must be a number known before the script runs")
                            .with_label("not a constant")
                            .with_help("index the array in memory instead of a copy of it"),
                    );
                };
                let member = Member {
                    offset: (n as usize * of.memory_size()) as u32,
                    ..whole(of)
                };
                Some(piece(value, member, span))
            }
            Shape::Is(Type::Str { .. }) if location(&value.expr).is_some() => {
                // Characters of a string that lies in memory.
                let Location { address, space } = location(&value.expr)?;
                let address = offset_by(address, at, 1, span);
                Some(load(whole(CHAR), Location { address, space }, span))
            }
            Shape::Unknown => Some(Typed::new(value.expr.kind, Shape::Unknown, span)),
            _ => {
                let is = value.shape.describe();
                self.fail(
                    Diagnostic::error("E0314", span, format!("{is} has no elements"))
                        .with_place(value.span(), is)
                        .with_help("arrays and pointers have"),
                )
            }
        }
    }

    fn outside<T>(&mut self, span: Span, n: i64, len: u32, value: &Typed) -> Option<T> {
        self.fail(
            Diagnostic::error(
                "E0315",
                span,
                format!("there is no element {n} in an array of {len}"),
            )
            .with_place(value.span(), value.shape.describe())
            .with_help("elements are counted from 0"),
        )
    }

    /// `*e`: what a pointer points to; of an integer, as in bpftrace, the eight bytes at that address in the kernel.
    pub(super) fn dereference(&mut self, operand: &ast::Expr, span: Span) -> Option<Typed> {
        let value = self.expr(operand)?;
        if value.shape != Shape::Unknown && value.shape.is_int() {
            let at = Location {
                space: Space::Kernel,
                address: value.expr,
            };
            return Some(load(whole(Type::UINT), at, span));
        }
        let Shape::Is(Type::Pointer { to, space }) = &value.shape else {
            if value.shape == Shape::Unknown {
                return Some(Typed::new(value.expr.kind, Shape::Unknown, span));
            }
            let is = value.shape.describe();
            return self.fail(
                Diagnostic::error(
                    "E0314",
                    span,
                    format!("`*` needs a pointer, and this is {is}"),
                )
                .with_place(value.span(), is)
                .with_help("cast it, e.g. `*(uint64 *)arg0`"),
            );
        };
        let to = self.types.completed(to);
        if matches!(to, Type::Void | Type::Incomplete(_)) {
            let is = value.shape.describe();
            return self.not_a_record(&value, is, span);
        }
        let at = Location {
            space: *space,
            address: value.expr.clone(),
        };
        Some(load(whole(to), at, span))
    }

    /// `&e`.
    pub(super) fn address_of(&mut self, operand: &ast::Expr, span: Span) -> Option<Typed> {
        let value = self.expr(operand)?;
        let Some(Location { address, space }) = location(&value.expr) else {
            return self.fail(
                Diagnostic::error("E0314", span, "`&` needs something that lies in memory")
                    .with_place(value.span(), value.shape.describe())
                    .with_help("e.g. a member: `&((struct sock *)arg0).__sk_common`"),
            );
        };
        let to = match value.shape.ty() {
            Type::Record(record) => Type::Incomplete(record.name.clone()),
            // The address of a text is that of its first character.
            Type::Str { .. } => CHAR,
            ty => ty,
        };
        let ty = Type::Pointer {
            to: Arc::new(to),
            space,
        };
        let expr = Typed {
            expr: address,
            shape: Shape::UNSIGNED,
            unit: None,
        }
        .into_type(&ty);
        Some(Typed {
            expr,
            shape: Shape::Is(ty),
            unit: None,
        })
    }

    /// A pointer moved by whole objects of its type.
    pub(super) fn advanced(
        &mut self,
        pointer: Typed,
        by: Typed,
        back: bool,
        span: Span,
    ) -> Option<Typed> {
        let shape = pointer.shape.clone();
        let Shape::Is(ty @ Type::Pointer { to, .. }) = &shape else {
            return None;
        };
        let size = self.types.completed(to).memory_size().max(1);
        let by = match back {
            false => by,
            true => operator::integers(BinaryOp::Sub, int(0, span), by, span),
        };
        let mut expr = offset_by(pointer.expr, by, size, span);
        expr.ty = ty.clone();
        Some(Typed {
            expr,
            shape,
            unit: None,
        })
    }
}

/// The type of an element of a string.
const CHAR: Type = Type::Int {
    bits: 8,
    signed: true,
};

/// Where a value lies in memory, unless it is in a variable or a map.
fn location(expr: &hir::Expr) -> Option<Location> {
    match &expr.kind {
        ExprKind::Read { address, space, .. } => Some(Location {
            address: (**address).clone(),
            space: *space,
        }),
        ExprKind::Context { offset, .. } => {
            let span = expr.span;
            let context = hir::Expr {
                kind: ExprKind::Builtin(hir::Builtin::Context),
                ty: Type::UINT,
                span,
            };
            Some(Location {
                address: add(context, int(u64::from(*offset), span).expr, span),
                space: Space::Kernel,
            })
        }
        _ => None,
    }
}

/// An object of this type at the start of something.
fn whole(ty: Type) -> Member {
    Member {
        ty,
        offset: 0,
        bits: None,
    }
}

/// `address + index * size`.
fn offset_by(address: hir::Expr, index: Typed, size: usize, span: Span) -> hir::Expr {
    let by = operator::integers(BinaryOp::Mul, index, int(size as u64, span), span);
    add(address, by.expr, span)
}

fn add(address: hir::Expr, by: hir::Expr, span: Span) -> hir::Expr {
    if matches!(by.kind, ExprKind::Int(0)) {
        return address;
    }
    // One addition for a chain of members.
    if let (
        ExprKind::Binary {
            op: BinaryOp::Add,
            lhs,
            rhs,
            ..
        },
        ExprKind::Int(more),
    ) = (&address.kind, &by.kind)
        && let ExprKind::Int(before) = rhs.kind
    {
        let sum = int(before.wrapping_add(*more), span).expr;
        return add((**lhs).clone(), sum, span);
    }
    hir::Expr {
        kind: ExprKind::Binary {
            op: BinaryOp::Add,
            signed: false,
            lhs: Box::new(address),
            rhs: Box::new(by),
        },
        ty: Type::UINT,
        span,
    }
}

/// Reads a member of an object in memory.
fn load(member: Member, object: Location, span: Span) -> Typed {
    let Location { address, space } = object;
    let address = add(address, int(u64::from(member.offset), span).expr, span);
    let (ty, bytes) = read_as(&member.ty, space);
    let kind = ExprKind::Read {
        address: Box::new(address),
        bytes,
        space,
    };
    narrowed(Typed::new(kind, Shape::Is(ty), span), member.bits)
}

/// A member of a value that is not in memory.
fn piece(value: Typed, member: Member, span: Span) -> Typed {
    let (ty, bytes) = read_as(&member.ty, Space::Kernel);
    let kind = ExprKind::Part {
        of: Box::new(value.expr),
        offset: member.offset,
        bytes,
    };
    narrowed(Typed::new(kind, Shape::Is(ty), span), member.bits)
}

/// The type of the value that an object in memory is, and the bytes it is read from.
fn read_as(ty: &Type, space: Space) -> (Type, u32) {
    let bytes = ty.memory_size() as u32;
    match ty {
        Type::Text(len) => {
            let capacity = (*len as usize + 1)
                .next_multiple_of(8)
                .min(limits::STRING_BYTES) as u16;
            (Type::Str { capacity }, *len)
        }
        // What a process points to is its own.
        Type::Pointer { to, .. } if space == Space::User => {
            let to = to.clone();
            (Type::Pointer { to, space }, bytes)
        }
        ty => (ty.clone(), bytes),
    }
}

/// Some bits of an integer.
fn narrowed(value: Typed, bits: Option<(u8, u8)>) -> Typed {
    let Some((low, width)) = bits else {
        return value;
    };
    let span = value.span();
    let signed = value.shape.is_signed();
    let whole = match signed {
        true => Shape::SIGNED,
        false => Shape::UNSIGNED,
    };
    let mut up = Typed {
        expr: value.into_type(&whole.ty()),
        shape: whole,
        unit: None,
    };
    let shift = |by: u8| int(u64::from(by), span);
    up = operator::integers(BinaryOp::Shl, up, shift(64 - low - width), span);
    operator::integers(BinaryOp::Shr, up, shift(64 - width), span)
}

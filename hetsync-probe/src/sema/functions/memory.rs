//! Strings and bytes of memory, and addresses.

use std::sync::Arc;

use super::super::checker::{Checker, Typed};
use super::super::hir::{self, ExprKind, Function, Space, Type};
use super::super::operator::integers;
use super::super::shape::Shape;
use super::{Call, Row, computed};
use crate::diagnostic::Diagnostic;
use crate::limits;
use crate::syntax::ast;

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "str",
        args: 1..=2,
        usage: "str(pointer) or str(pointer, length) or str($1)",
        check: str,
    },
    Row {
        name: "buf",
        args: 1..=2,
        usage: "buf(pointer, length) or buf(array)",
        check: buf,
    },
    Row {
        name: "kptr",
        args: 1..=1,
        usage: "kptr(pointer)",
        check: |this, call| in_space(this, call, Space::Kernel),
    },
    Row {
        name: "uptr",
        args: 1..=1,
        usage: "uptr(pointer)",
        check: |this, call| in_space(this, call, Space::User),
    },
    Row {
        name: "reg",
        args: 1..=1,
        usage: "reg(\"di\")",
        check: |this, call| {
            let name = this.literal(call, 0, "the register")?;
            this.register(&name, "reg()", call.span)
        },
    },
    Row {
        name: "is_err",
        args: 1..=1,
        usage: "is_err(pointer)",
        check: is_err,
    },
    Row {
        name: "nsecs",
        args: 1..=1,
        usage: "nsecs(boot) or nsecs(monotonic) or nsecs(tai) or nsecs(sw_tai)",
        check: nsecs,
    },
    Row {
        name: "kaddr",
        args: 1..=1,
        usage: "kaddr(\"symbol\")",
        check: kaddr,
    },
    Row {
        name: "cgroupid",
        args: 1..=1,
        usage: "cgroupid(\"/sys/fs/cgroup/..\")",
        check: cgroupid,
    },
];

impl Checker<'_> {
    /// The address an argument is, and whose memory it is in; an integer is taken for an address of the kernel.
    fn address(
        &mut self,
        value: Typed,
        call: &Call<'_>,
        takes: &str,
    ) -> Option<(hir::Expr, Space)> {
        match &value.shape {
            Shape::Is(Type::Pointer { space, .. }) => {
                let space = *space;
                Some((value.expr, space))
            }
            shape if shape.is_int() => Some((value.expr, Space::Kernel)),
            _ => self.unfit(call, &value, takes),
        }
    }

    /// The length a call asks for if it is known here, at most `most`.
    fn known_length(&self, length: &Typed, most: usize) -> Option<usize> {
        match length.expr.kind {
            ExprKind::Int(n) => Some(n.min(most as u64) as usize),
            _ => None,
        }
    }
}

/// The text of a parameter, or the string at an address.
fn str(this: &mut Checker<'_>, call: &Call<'_>) -> Option<Typed> {
    if let ast::ExprKind::Positional(number) = call.args[0].bare().kind {
        let text = this.parameter(number);
        return this.string(text.unwrap_or_default().as_bytes(), call.span);
    }
    let value = this.expr(&call.args[0])?;
    let length = match call.args.get(1) {
        Some(length) => Some(this.integer(length, "the length of `str()`")?),
        None => None,
    };
    if value.shape.is_text() && value.shape != Shape::Unknown {
        return Some(value);
    }
    let (address, space) = this.address(value, call, "a pointer")?;
    let most = limits::STRING_BYTES - 1;
    let (bytes, length) = match length {
        None => (most, None),
        // As in bpftrace, the NUL counts.
        Some(length) => match this.known_length(&length, most + 1) {
            Some(known) => (known.saturating_sub(1), None),
            None => (most, Some(length)),
        },
    };
    let shape = Shape::string(bytes);
    Some(match length {
        None => {
            let kind = ExprKind::Read {
                address: Box::new(address),
                bytes: bytes as u32,
                space,
            };
            Typed::new(kind, shape, call.span)
        }
        Some(length) => computed(
            Function::Text {
                user: space == Space::User,
            },
            vec![address, length.expr],
            shape.ty(),
            call.span,
        ),
    })
}

fn buf(this: &mut Checker<'_>, call: &Call<'_>) -> Option<Typed> {
    let value = this.expr(&call.args[0])?;
    let length = match call.args.get(1) {
        Some(length) => Some(this.integer(length, "the length of `buf()`")?),
        None => None,
    };
    let array = matches!(value.expr.ty, Type::Array { .. });
    match length {
        None if array => {
            let size = value.expr.ty.memory_size();
            if size >= limits::STRING_BYTES {
                return this.unfit(call, &value, "an array of less than 1024 bytes");
            }
            let capacity = size.next_multiple_of(8) as u16;
            let ty = Type::Buffer { capacity };
            Some(computed(Function::Whole, vec![value.expr], ty, call.span))
        }
        None => this.fail(
            Diagnostic::error("E0401", call.span, "`buf()` of a pointer needs a length")
                .with_help("write `buf(pointer, length)`"),
        ),
        Some(length) => {
            let value = this.pointed(value);
            let (address, space) = this.address(value, call, "a pointer or an array")?;
            let most = limits::STRING_BYTES - 1;
            let known = this.known_length(&length, most).unwrap_or(most);
            let capacity = (known + 1).next_power_of_two().max(8) as u16;
            let ty = Type::Buffer { capacity };
            let user = space == Space::User;
            Some(computed(
                Function::Buffer { user },
                vec![address, length.expr],
                ty,
                call.span,
            ))
        }
    }
}

impl Checker<'_> {
    /// The address of an array that lies in memory; anything else as it is.
    fn pointed(&mut self, value: Typed) -> Typed {
        match (&value.expr.kind, &value.expr.ty) {
            (ExprKind::Read { address, space, .. }, Type::Array { of, .. }) => {
                let mut address = address.as_ref().clone();
                let ty = Type::Pointer {
                    to: of.clone(),
                    space: *space,
                };
                address.ty = ty.clone();
                Typed {
                    expr: address,
                    shape: Shape::Is(ty),
                    unit: None,
                }
            }
            _ => value,
        }
    }
}

/// The same address, said to be the kernel's or the process's.
fn in_space(this: &mut Checker<'_>, call: &Call<'_>, space: Space) -> Option<Typed> {
    let value = this.expr(&call.args[0])?;
    let to = match &value.shape {
        Shape::Is(Type::Pointer { to, .. }) => to.clone(),
        shape if shape.is_int() => Arc::new(Type::Void),
        _ => return this.unfit(call, &value, "a pointer"),
    };
    let ty = Type::Pointer { to, space };
    let kind = ExprKind::Cast(Box::new(value.expr));
    Some(Typed::new(kind, Shape::Is(ty), call.span))
}

/// A symbol's address; 0 where the kernel's symbols are not known, as on another machine.
fn kaddr(this: &mut Checker<'_>, call: &Call<'_>) -> Option<Typed> {
    let name = this.literal(call, 0, "the symbol")?;
    let known = this.options.kernel.address(&name);
    let address = match known {
        Some(Some(address)) => address,
        None => 0,
        Some(None) => {
            return this.fail(
                Diagnostic::error(
                    "E0413",
                    call.args[0].span,
                    format!("the kernel has no symbol `{name}`"),
                )
                .with_label("unknown symbol")
                .with_help("the kernel's symbols are listed in /proc/kallsyms"),
            );
        }
    };
    Some(Typed::new(
        ExprKind::Int(address),
        Shape::UNSIGNED,
        call.span,
    ))
}

/// The id of a cgroup, which is the number of its folder's inode.
fn cgroupid(this: &mut Checker<'_>, call: &Call<'_>) -> Option<Typed> {
    use std::os::unix::fs::MetadataExt;
    let path = this.literal(call, 0, "the path")?;
    match std::fs::metadata(&path) {
        Ok(folder) => Some(Typed::new(
            ExprKind::Int(folder.ino()),
            Shape::UNSIGNED,
            call.span,
        )),
        Err(error) => this.fail(
            Diagnostic::error(
                "E0413",
                call.args[0].span,
                format!("the cgroup `{path}` cannot be looked at: {error}"),
            )
            .with_help("a cgroup's path begins with /sys/fs/cgroup/"),
        ),
    }
}

/// Whether an address is one of the last 4095, in which the kernel's functions hand back errors.
fn is_err(this: &mut Checker<'_>, call: &Call<'_>) -> Option<Typed> {
    let value = this.expr(&call.args[0])?;
    if !value.shape.is_condition() {
        return this.unfit(call, &value, "a pointer");
    }
    let most = super::super::expr::int(4095_u64.wrapping_neg(), call.span);
    let address = Typed {
        expr: value.into_type(&Type::UINT),
        shape: Shape::UNSIGNED,
        unit: None,
    };
    Some(integers(hir::BinaryOp::Ge, address, most, call.span))
}

/// A clock by name.
fn nsecs(this: &mut Checker<'_>, call: &Call<'_>) -> Option<Typed> {
    let clock = |builtin| {
        let kind = ExprKind::Builtin(builtin);
        Some(Typed::new(kind, Shape::UNSIGNED, call.span))
    };
    let span = call.args[0].span;
    match &call.args[0].bare().kind {
        ast::ExprKind::Name(name) if name == "boot" => clock(hir::Builtin::Nsecs),
        ast::ExprKind::Name(name) if name == "monotonic" => clock(hir::Builtin::Monotonic),
        ast::ExprKind::Name(name) if name == "tai" => clock(hir::Builtin::Tai),
        ast::ExprKind::Name(name) if name == "sw_tai" => {
            let ahead = super::super::expr::int(this.options.kernel.tai_ahead_ns(), call.span);
            let boot = clock(hir::Builtin::Nsecs)?;
            Some(integers(hir::BinaryOp::Add, boot, ahead, call.span))
        }
        _ => this.fail(
            Diagnostic::error("E0413", span, "there is no clock of this name")
                .with_label("unknown clock")
                .with_help("the clocks are `boot`, which is `nsecs` alone, `monotonic`, `tai` and `sw_tai`"),
        ),
    }
}

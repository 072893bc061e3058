//! Addresses and byte order.

use std::net::IpAddr;

use super::super::checker::{Checker, Typed};
use super::super::expr::int;
use super::super::hir::{Function, Type};
use super::super::shape::Shape;
use super::{Call, Row, bytes, computed};
use crate::diagnostic::Diagnostic;
use crate::layout::{FAMILY_V4, FAMILY_V6};

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "ntop",
        args: 1..=2,
        usage: "ntop(address) or ntop(family, address)",
        check: ntop,
    },
    Row {
        name: "pton",
        args: 1..=1,
        usage: "pton(\"127.0.0.1\") or pton(\"::1\")",
        check: pton,
    },
    Row {
        name: "macaddr",
        args: 1..=1,
        usage: "macaddr(array)",
        check: macaddr,
    },
    Row {
        name: "socket_cookie",
        args: 1..=1,
        usage: "socket_cookie(sock)",
        check: socket_cookie,
    },
    Row {
        name: "bswap",
        args: 1..=1,
        usage: "bswap(n)",
        check: bswap,
    },
    Row {
        name: "ntohs",
        args: 1..=1,
        usage: "ntohs(n)",
        check: |this, call| swap(this, call, 2),
    },
    Row {
        name: "htons",
        args: 1..=1,
        usage: "htons(n)",
        check: |this, call| swap(this, call, 2),
    },
    Row {
        name: "ntohl",
        args: 1..=1,
        usage: "ntohl(n)",
        check: |this, call| swap(this, call, 4),
    },
    Row {
        name: "htonl",
        args: 1..=1,
        usage: "htonl(n)",
        check: |this, call| swap(this, call, 4),
    },
];

/// Records that begin with a `struct sock`, or with what that begins with.
const SOCKETS: [&str; 5] = [
    "struct sock",
    "struct sock_common",
    "struct inet_sock",
    "struct tcp_sock",
    "struct udp_sock",
];

/// Whether a pointer to this leads to a socket.
pub(super) fn is_socket(to: &Type) -> bool {
    match to {
        Type::Incomplete(name) => SOCKETS.contains(&&*name.name),
        Type::Record(record) => SOCKETS.contains(&&*record.name.name),
        _ => false,
    }
}

/// Bytes of an array or a record; none of anything else.
fn array_bytes(ty: &Type) -> Option<usize> {
    matches!(ty, Type::Array { .. } | Type::Record(_)).then(|| ty.memory_size())
}

fn ntop(this: &mut Checker<'_>, call: &Call<'_>) -> Option<Typed> {
    let (family, address) = match call.args {
        [address] => (None, this.expr(address)?),
        [family, address] => {
            let family = this.integer(family, "the family of `ntop()`");
            let address = this.expr(address)?;
            (Some(family?), address)
        }
        _ => return None,
    };
    let known = match array_bytes(&address.expr.ty) {
        Some(4) => FAMILY_V4,
        Some(16) => FAMILY_V6,
        None if address.shape.is_int() => FAMILY_V4,
        _ => return this.unfit(call, &address, "an integer, or an array of 4 or 16 bytes"),
    };
    let family = family.unwrap_or_else(|| int(known, call.span));
    Some(computed(
        Function::Internet,
        vec![family.expr, address.expr],
        Type::Inet,
        call.span,
    ))
}

fn pton(this: &mut Checker<'_>, call: &Call<'_>) -> Option<Typed> {
    let text = this.literal(call, 0, "the address")?;
    let address: Vec<u8> = match text.parse() {
        Ok(IpAddr::V4(address)) => address.octets().into(),
        Ok(IpAddr::V6(address)) => address.octets().into(),
        Err(_) => {
            return this.fail(
                Diagnostic::error(
                    "E0413",
                    call.args[0].span,
                    format!("`{text}` is no internet address"),
                )
                .with_label("neither version 4 nor 6")
                .with_help("write e.g. `pton(\"192.0.2.1\")` or `pton(\"2001:db8::1\")`"),
            );
        }
    };
    let ty = bytes(address.len() as u32);
    Some(computed(
        Function::Constant(address.into()),
        Vec::new(),
        ty,
        call.span,
    ))
}

fn macaddr(this: &mut Checker<'_>, call: &Call<'_>) -> Option<Typed> {
    let value = this.expr(&call.args[0])?;
    match array_bytes(&value.expr.ty) {
        Some(6..) => Some(computed(
            Function::Hardware,
            vec![value.expr],
            Type::Mac,
            call.span,
        )),
        _ => this.unfit(call, &value, "an array of 6 bytes"),
    }
}

/// The kernel's own number of a socket.
fn socket_cookie(this: &mut Checker<'_>, call: &Call<'_>) -> Option<Typed> {
    let value = this.expr(&call.args[0])?;
    match &value.shape {
        Shape::Is(Type::Pointer { to, .. }) if is_socket(to) => Some(computed(
            Function::SocketCookie,
            vec![value.expr],
            Type::UINT,
            call.span,
        )),
        Shape::Unknown => Some(int(0, call.span)),
        _ => this.unfit(call, &value, "a pointer to a `struct sock`"),
    }
}

/// Swaps as many bytes as the integer has.
fn bswap(this: &mut Checker<'_>, call: &Call<'_>) -> Option<Typed> {
    let value = this.number(call, 0)?;
    let size = value.expr.ty.memory_size() as u8;
    if size == 1 {
        return Some(value);
    }
    Some(swapped(value, size, call))
}

fn swap(this: &mut Checker<'_>, call: &Call<'_>, size: u8) -> Option<Typed> {
    let value = this.number(call, 0)?;
    Some(swapped(value, size, call))
}

fn swapped(value: Typed, size: u8, call: &Call<'_>) -> Typed {
    let ty = Type::Int {
        bits: 8 * size,
        signed: false,
    };
    computed(Function::Swap(size), vec![value.expr], ty, call.span)
}

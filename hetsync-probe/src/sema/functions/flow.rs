//! `flow(sk)` and `flow(skb)`: the two ends of a connection, from a socket or from a packet's headers.
//!
//! Ports are in the host's byte order whatever they are in memory, and an address of version 4 that a socket of version 6 uses
//! is one of version 4: the same connection is the same key wherever it is met.

use super::super::checker::{Checker, Typed};
use super::super::expr::int;
use super::super::hir::{self, BinaryOp, ExprKind, Function, LocalId, Space, Type};
use super::super::operator::integers;
use super::super::shape::Shape;
use super::network::is_socket;
use super::{Call, Row, bytes, computed};
use crate::diagnostic::Diagnostic;
use crate::layout::{FAMILY_V4, FAMILY_V6};
use crate::span::Span;
use crate::syntax::ast;

pub(super) const ROWS: &[Row] = &[Row {
    name: "flow",
    args: 1..=1,
    usage: "flow(sock) or flow(sk_buff)",
    check: flow,
}];

/// Protocols whose headers begin with both ports: TCP, UDP, DCCP, SCTP, UDP-Lite.
const WITH_PORTS: [u64; 5] = [6, 17, 33, 132, 136];
/// The offset of a fragment, of the 16 bits as they are sent (include/net/ip.h, `IP_OFFSET`).
const FRAGMENT: u64 = 0xff1f;
/// Bytes of a header of version 6.
const HEADER_V6: u64 = 40;

fn flow(this: &mut Checker<'_>, call: &Call<'_>) -> Option<Typed> {
    let value = this.expr(&call.args[0])?;
    let is_packet = |to: &Type| match to {
        Type::Incomplete(name) => name.name == "struct sk_buff",
        Type::Record(record) => record.name.name == "struct sk_buff",
        _ => false,
    };
    let of_packet = match &value.shape {
        Shape::Is(Type::Pointer { to, .. }) if is_socket(to) => false,
        Shape::Is(Type::Pointer { to, .. }) if is_packet(to) => true,
        Shape::Unknown => return Some(Typed::new(value.expr.kind, Shape::Unknown, call.span)),
        _ => {
            return this.unfit(
                call,
                &value,
                "a pointer to a `struct sock` or a `struct sk_buff`",
            );
        }
    };
    this.scoped(|this| {
        let mut body = Vec::new();
        let pointer = this.kept("flow#", value, &mut body)?;
        let found = match of_packet {
            true => this.flow_of_packet(&pointer, &mut body, call.span),
            false => this.flow_of_socket(&pointer, call.span),
        };
        let Some(found) = found else {
            return this.fail(
                Diagnostic::error(
                    "E0222",
                    call.span,
                    "this kernel's sockets and packets have other members than `flow()` knows",
                )
                .with_label("their addresses are not known"),
            );
        };
        let value = Box::new(found.expr);
        let kind = ExprKind::Block { body, value };
        Some(Typed::new(kind, Shape::Is(Type::Flow), call.span))
    })
}

impl Checker<'_> {
    /// A value in a variable of its own, which the body assigns.
    fn kept(&mut self, name: &str, value: Typed, body: &mut Vec<hir::Stmt>) -> Option<Typed> {
        let span = value.span();
        let index = self.declare(name, span);
        self.declared.pop();
        let kind = self.put(index, value, span)?;
        body.push(hir::Stmt { kind, span });
        let shape = self.local(index).shape.clone();
        let local = ExprKind::Local(LocalId(index as u32));
        Some(Typed::new(local, shape, span))
    }

    fn flow_of_socket(&mut self, socket: &Typed, span: Span) -> Option<Typed> {
        // A `struct sock_common` has the members itself, all others begin with one.
        let common = self.member_of(socket, &["__sk_common"]);
        let common = common.or_else(|| {
            let is_common = self.member_of(socket, &["skc_family"]).is_some();
            is_common.then(|| socket.clone())
        });
        let common = match common {
            Some(common) => common,
            // `struct tcp_sock` and its like begin with what begins with it.
            None => {
                let ways: [&[&str]; 3] = [
                    &["inet_conn", "icsk_inet", "sk", "__sk_common"],
                    &["inet", "sk", "__sk_common"],
                    &["sk", "__sk_common"],
                ];
                (ways.iter()).find_map(|way| self.member_of(socket, way))?
            }
        };
        let mut member = |name: &str| self.member_of(&common, &[name]);
        let family = member("skc_family")?;
        let own_port = member("skc_num")?;
        let peer_port = swapped(member("skc_dport")?, 2);
        let old = [member("skc_rcv_saddr")?, member("skc_daddr")?];
        let new = [member("skc_v6_rcv_saddr"), member("skc_v6_daddr")];
        let number = |n: u64| int(n, span);
        let is_new = integers(BinaryOp::Eq, family.clone(), number(FAMILY_V6), span);
        let [Some(own), Some(peer)] = new else {
            let ports = [own_port, peer_port];
            return Some(flow_of(family, ports, old, span));
        };
        // ::ffff:a.b.c.d is an address of version 4, which the socket has as such too.
        let upper = part_of(&peer, 0, 8)?;
        let lower = part_of(&peer, 8, 4)?;
        let upper = integers(BinaryOp::Ne, upper, number(0), span);
        let lower = integers(BinaryOp::Ne, lower, number(0xffff_0000), span);
        let real = self.either(false, upper, lower, span)?;
        let real = self.either(true, is_new.clone(), real, span)?;
        let old_family = choice(
            is_new,
            [number(FAMILY_V4), family],
            Type::Int {
                bits: 64,
                signed: false,
            },
            span,
        );
        let ports = [own_port, peer_port];
        let arms = [
            flow_of(number(FAMILY_V6), ports.clone(), [own, peer], span),
            flow_of(old_family, ports, old, span),
        ];
        Some(choice(real, arms, Type::Flow, span))
    }

    fn flow_of_packet(
        &mut self,
        packet: &Typed,
        body: &mut Vec<hir::Stmt>,
        span: Span,
    ) -> Option<Typed> {
        let number = |n: u64| int(n, span);
        let head = as_number(self.member_of(packet, &["head"])?);
        let offset = self.member_of(packet, &["network_header"])?;
        let header = integers(BinaryOp::Add, head, offset, span);
        let header = self.kept("header#", header, body)?;
        let first = self.kept("first#", read(&header, 0, 1, span), body)?;
        let version = integers(BinaryOp::Shr, first.clone(), number(4), span);
        let version = self.kept("version#", version, body)?;
        let is = |wanted| integers(BinaryOp::Eq, version.clone(), number(wanted), span);
        // Where the ports are: behind a header of version 4 with its options, or one of version 6 without any.
        let words = integers(BinaryOp::And, first, number(15), span);
        let length = integers(BinaryOp::Mul, words, number(4), span);
        let old = integers(BinaryOp::Add, header.clone(), length, span);
        let new = integers(BinaryOp::Add, header.clone(), number(HEADER_V6), span);
        let place = choice(is(4), [old, new], Type::UINT, span);
        let protocols = [read(&header, 9, 1, span), read(&header, 6, 1, span)];
        let protocol = choice(is(4), protocols, Type::UINT, span);
        let protocol = self.kept("protocol#", protocol, body)?;
        let mut known = integers(BinaryOp::Eq, number(0), number(1), span);
        for protocol_number in WITH_PORTS {
            let this = integers(
                BinaryOp::Eq,
                protocol.clone(),
                number(protocol_number),
                span,
            );
            known = self.either(false, known, this, span)?;
        }
        // Only the first piece of a packet has them.
        let fragment = integers(
            BinaryOp::And,
            read(&header, 6, 2, span),
            number(FRAGMENT),
            span,
        );
        let first_piece = integers(BinaryOp::Eq, fragment, number(0), span);
        let first_piece = self.either(false, is(6), first_piece, span)?;
        let has_ports = self.either(true, known, first_piece, span)?;
        let ports = choice(
            has_ports,
            [read(&place, 0, 4, span), number(0)],
            Type::UINT,
            span,
        );
        let ports = self.kept("ports#", ports, body)?;
        let low = integers(BinaryOp::And, ports.clone(), number(0xffff), span);
        let high = integers(BinaryOp::Shr, ports, number(16), span);
        let ports = [swapped(low, 2), swapped(high, 2)];
        let old = [12, 16].map(|at| read(&header, at, 4, span));
        let new = [8, 24].map(|at| read(&header, at, 16, span));
        let none = [number(0), number(0)];
        let other = [
            flow_of(number(FAMILY_V6), ports.clone(), new, span),
            flow_of(number(0), none.clone(), none, span),
        ];
        let other = choice(is(6), other, Type::Flow, span);
        let arms = [flow_of(number(FAMILY_V4), ports, old, span), other];
        Some(choice(is(4), arms, Type::Flow, span))
    }

    /// `a && b` or `a || b`.
    fn either(&mut self, and: bool, a: Typed, b: Typed, span: Span) -> Option<Typed> {
        let op = match and {
            true => ast::BinaryOp::LogicalAnd,
            false => ast::BinaryOp::LogicalOr,
        };
        self.binary(op, span, Some(a), Some(b), span)
    }
}

fn flow_of(family: Typed, ports: [Typed; 2], addresses: [Typed; 2], span: Span) -> Typed {
    let args = std::iter::once(family).chain(ports).chain(addresses);
    let args = args.map(|part| part.expr).collect();
    computed(Function::Flow, args, Type::Flow, span)
}

/// `cond ? then : otherwise`.
fn choice(cond: Typed, [then, otherwise]: [Typed; 2], ty: Type, span: Span) -> Typed {
    let arm = |arm: Typed| Box::new(arm.into_type(&ty));
    let kind = ExprKind::Ternary {
        cond: Box::new(cond.expr),
        then: arm(then),
        otherwise: arm(otherwise),
    };
    Typed::new(kind, Shape::Is(ty), span)
}

fn swapped(value: Typed, size: u8) -> Typed {
    let span = value.span();
    let ty = Type::Int {
        bits: 8 * size,
        signed: false,
    };
    computed(Function::Swap(size), vec![value.expr], ty, span)
}

/// A pointer as a number, so that adding to it counts bytes.
fn as_number(pointer: Typed) -> Typed {
    Typed {
        expr: pointer.into_type(&Type::UINT),
        shape: Shape::UNSIGNED,
        unit: None,
    }
}

/// So many bytes of the kernel's memory past an address: an integer, or an array where they are more than 8.
fn read(address: &Typed, offset: u64, len: u32, span: Span) -> Typed {
    let place = integers(BinaryOp::Add, address.clone(), int(offset, span), span);
    read_at(place.expr, len, span)
}

fn read_at(address: hir::Expr, len: u32, span: Span) -> Typed {
    let ty = match len {
        1 | 2 | 4 | 8 => Type::Int {
            bits: 8 * len as u8,
            signed: false,
        },
        _ => bytes(len),
    };
    let kind = ExprKind::Read {
        address: Box::new(address),
        bytes: len,
        space: Space::Kernel,
    };
    Typed::new(kind, Shape::Is(ty), span)
}

/// A few bytes of an object in memory, as an integer.
fn part_of(object: &Typed, offset: u64, len: u32) -> Option<Typed> {
    let ExprKind::Read { address, .. } = &object.expr.kind else {
        return None;
    };
    let span = object.span();
    let start = Typed {
        expr: address.as_ref().clone(),
        shape: Shape::UNSIGNED,
        unit: None,
    };
    Some(read(&start, offset, len, span))
}

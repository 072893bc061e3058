//! `value in ..`: one of several values, ports, or addresses of a network.
//!
//! The value is worked out once, into a variable that has no name a script can write.

use std::net::IpAddr;

use super::checker::{Checker, Typed};
use super::expr::int;
use super::hir::{self, BinaryOp, ExprKind, Stmt, Type};
use super::operator::integers;
use super::shape::Shape;
use crate::diagnostic::Diagnostic;
use crate::layout::{FAMILY_V4, FAMILY_V6};
use crate::span::Span;
use crate::syntax::ast;

/// What an address is made of.
enum Address {
    /// Version 4 as it is sent, in the low bytes of a word.
    Word,
    /// An array or record of 4 bytes.
    Four,
    /// An array or record of 16 bytes.
    Sixteen,
    /// What `ntop()` gives.
    Inet,
}

/// A network: the bytes of its address, those of its mask.
struct Network {
    address: Vec<u8>,
    mask: Vec<u8>,
}

impl Checker<'_> {
    /// `value in within`.
    pub(super) fn within(
        &mut self,
        value: &ast::Expr,
        within: &ast::Expr,
        span: Span,
    ) -> Option<Typed> {
        let value = self.expr(value)?;
        if matches!(
            value.expr.kind,
            ExprKind::Local(_) | ExprKind::Int(_) | ExprKind::Builtin(_)
        ) {
            return self.is_within(&value, within, span);
        }
        self.scoped(|this| {
            let place = value.span();
            let index = this.declare("in#", place);
            this.declared.pop();
            let kind = this.put(index, value, place)?;
            let shape = this.local(index).shape.clone();
            let local = ExprKind::Local(hir::LocalId(index as u32));
            let found = this.is_within(&Typed::new(local, shape, place), within, span)?;
            let body = vec![Stmt { kind, span: place }];
            let value = Box::new(found.expr);
            Some(Typed::new(
                ExprKind::Block { body, value },
                found.shape,
                span,
            ))
        })
    }

    fn is_within(&mut self, value: &Typed, within: &ast::Expr, span: Span) -> Option<Typed> {
        let parts = match &within.bare().kind {
            ast::ExprKind::Call { name, args, .. } if name == "cidr" => {
                return self.in_network(value, args, within.span);
            }
            ast::ExprKind::Call { name, args, .. } if name == "port" => {
                if !value.shape.is_int() {
                    return self.no_such_thing("a port", value);
                }
                args
            }
            ast::ExprKind::Tuple(parts) => parts,
            _ => {
                return self.fail(
                    Diagnostic::error("E0417", within.span, "`in` needs something to look in")
                        .with_label("neither a list nor a network")
                        .with_help(
                            "write `in (1, 2)`, `in port(80, 443)` or `in cidr(\"10.0.0.0/8\")`",
                        ),
                );
            }
        };
        let mut any: Option<Typed> = None;
        for part in parts {
            let part = self.expr(part);
            let is = self.binary(ast::BinaryOp::Eq, span, Some(value.clone()), part, span)?;
            any = Some(match any {
                None => is,
                Some(any) => {
                    self.binary(ast::BinaryOp::LogicalOr, span, Some(any), Some(is), span)?
                }
            });
        }
        match any {
            Some(any) => Some(any),
            None => self.fail(
                Diagnostic::error("E0417", within.span, "nothing is in an empty list")
                    .with_label("empty"),
            ),
        }
    }

    /// `in cidr("10.0.0.0/8")`.
    fn in_network(&mut self, value: &Typed, args: &[ast::Expr], span: Span) -> Option<Typed> {
        self.arguments("cidr", args, 1..=1, "cidr(\"10.0.0.0/8\")", span)?;
        let place = args[0].span;
        let text = match &args[0].bare().kind {
            ast::ExprKind::Str(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            _ => match self.expr(&args[0])?.expr.kind {
                ExprKind::Str(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                _ => String::new(),
            },
        };
        let network = match network(&text) {
            Ok(network) => network,
            Err(why) => {
                return self.fail(
                    Diagnostic::error("E0413", place, format!("`{text}` is no network: {why}"))
                        .with_label("not a network")
                        .with_help(
                            "write e.g. `cidr(\"10.0.0.0/8\")` or `cidr(\"2001:db8::/32\")`",
                        ),
                );
            }
        };
        let Some(address) = address(value) else {
            return self.no_such_thing("an internet address", value);
        };
        match (address, network.address.len()) {
            (Address::Word, 4) => Some(masked(cast_u32(value), &network, place)),
            (Address::Four, 4) => {
                let word = part(value, 0, 4, place);
                Some(masked(word, &network, place))
            }
            (Address::Sixteen, 16) => self.halves(value, 0, &network, place),
            (Address::Sixteen, _) => self.halves(value, 0, &mapped(&network), place),
            (Address::Inet, 4) => {
                let word = part(value, 8, 4, place);
                self.of_family(value, FAMILY_V4, masked(word, &network, place))
            }
            (Address::Inet, _) => {
                let found = self.halves(value, 8, &network, place)?;
                self.of_family(value, FAMILY_V6, found)
            }
            (Address::Word | Address::Four, _) => self.fail(
                Diagnostic::error(
                    "E0417",
                    place,
                    "an address of version 4 is in no network of version 6",
                )
                .with_label("version 6")
                .with_place(value.span(), "version 4"),
            ),
        }
    }

    /// Both words of an address of version 6.
    fn halves(
        &mut self,
        value: &Typed,
        offset: u32,
        network: &Network,
        span: Span,
    ) -> Option<Typed> {
        let [upper, lower] = [0, 8].map(|at| {
            let half = Network {
                address: network.address[at..at + 8].to_vec(),
                mask: network.mask[at..at + 8].to_vec(),
            };
            let word = part(value, offset + at as u32, 8, span);
            half.mask
                .iter()
                .any(|byte| *byte != 0)
                .then(|| masked(word, &half, span))
        });
        match (upper, lower) {
            (Some(upper), Some(lower)) => {
                let both = ast::BinaryOp::LogicalAnd;
                self.binary(both, span, Some(upper), Some(lower), span)
            }
            (Some(one), None) | (None, Some(one)) => Some(one),
            // Everything is in `::/0`.
            (None, None) => Some(integers(BinaryOp::Eq, int(0, span), int(0, span), span)),
        }
    }

    fn of_family(&mut self, value: &Typed, family: u64, found: Typed) -> Option<Typed> {
        let span = found.span();
        let is = part(value, 0, 8, span);
        let is = integers(BinaryOp::Eq, is, int(family, span), span);
        let both = ast::BinaryOp::LogicalAnd;
        self.binary(both, span, Some(is), Some(found), span)
    }

    fn no_such_thing<T>(&mut self, what: &str, value: &Typed) -> Option<T> {
        let is = value.shape.describe();
        self.fail(
            Diagnostic::error(
                "E0417",
                value.span(),
                format!("this is looked for as {what}, and is {is}"),
            )
            .with_label(is),
        )
    }
}

fn address(value: &Typed) -> Option<Address> {
    match &value.shape {
        Shape::Is(Type::Inet) => Some(Address::Inet),
        Shape::Is(ty @ (Type::Array { .. } | Type::Record(_))) => match ty.memory_size() {
            4 => Some(Address::Four),
            16 => Some(Address::Sixteen),
            _ => None,
        },
        shape if shape.is_int() => Some(Address::Word),
        _ => None,
    }
}

/// Reads a network such as `10.0.0.0/8`; one address without a length is a network of its own.
fn network(text: &str) -> Result<Network, String> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let address: Vec<u8> = match address.parse() {
        Ok(IpAddr::V4(address)) => address.octets().into(),
        Ok(IpAddr::V6(address)) => address.octets().into(),
        Err(_) => return Err(format!("`{address}` is no address")),
    };
    let most = 8 * address.len();
    let length = match length {
        None => most,
        Some(length) => match length.parse::<usize>() {
            Ok(length) if length <= most => length,
            _ => return Err(format!("its length is a number up to {most}")),
        },
    };
    let mask: Vec<u8> = (0..address.len())
        .map(|byte| match length.saturating_sub(8 * byte) {
            0 => 0,
            bits @ 1..8 => 0xff << (8 - bits),
            _ => 0xff,
        })
        .collect();
    if address
        .iter()
        .zip(&mask)
        .any(|(byte, mask)| byte & !mask != 0)
    {
        return Err(format!("it has bits set behind the first {length}"));
    }
    Ok(Network { address, mask })
}

/// A network of version 4 among addresses of version 6 (`::ffff:10.0.0.0/104`).
fn mapped(network: &Network) -> Network {
    let before = |bytes: &[u8], last: &[u8]| [&[bytes[0]; 10], &bytes[1..], last].concat();
    Network {
        address: before(&[0, 0xff, 0xff], &network.address),
        mask: before(&[0xff, 0xff, 0xff], &network.mask),
    }
}

/// `word & mask == address`, for a word that holds the bytes as they lie in memory.
fn masked(word: Typed, network: &Network, span: Span) -> Typed {
    let number = |bytes: &[u8]| {
        let mut all = [0; 8];
        all[..bytes.len()].copy_from_slice(bytes);
        int(u64::from_le_bytes(all), span)
    };
    let bits = integers(BinaryOp::And, word, number(&network.mask), span);
    integers(BinaryOp::Eq, bits, number(&network.address), span)
}

fn cast_u32(value: &Typed) -> Typed {
    let (bits, signed) = (32, false);
    super::cast::cast_word(Type::Int { bits, signed }, value.clone(), value.span())
}

/// So many bytes of a value, as an unsigned integer.
fn part(value: &Typed, offset: u32, bytes: u32, span: Span) -> Typed {
    let kind = ExprKind::Part {
        of: Box::new(value.expr.clone()),
        offset,
        bytes,
    };
    let ty = Type::Int {
        bits: 8 * bytes as u8,
        signed: false,
    };
    Typed::new(kind, Shape::Is(ty), span)
}

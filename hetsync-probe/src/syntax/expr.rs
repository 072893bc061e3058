//! Operands: literals, names, maps, calls, blocks, and what can follow an operand.

use nom::Parser;
use nom::branch::alt;

use super::ast::{Expr, ExprKind, Ident, Operand};
use super::grammar::{Grammar, Res, expected, refuse};
use super::token;
use crate::diagnostic::Diagnostic;
use crate::span::Span;

/// Words that cannot be the name of a value.
const KEYWORDS: [&str; 13] = [
    "if", "else", "for", "while", "unroll", "return", "let", "break", "continue", "macro",
    "import", "struct", "union",
];

/// "`what` is not supported".
pub(super) fn unsupported(what: &str, span: Span) -> Diagnostic {
    Diagnostic::error("E0109", span, format!("{what} not supported yet"))
        .with_label("not supported yet")
}

impl<'a> Grammar<'a> {
    /// An operand with what follows it.
    pub(super) fn postfix(&self, input: &'a str) -> Res<'a, Expr> {
        let (rest, expr) = self.primary(input)?;
        self.suffixes(rest, expr)
    }

    /// `.name`, `->name`, `.0`, `[index]`, `++` and `--`, as many as there are.
    pub(super) fn suffixes(&self, mut rest: &'a str, mut expr: Expr) -> Res<'a, Expr> {
        while let Ok((after, symbol)) = token::operator(rest) {
            // A number has no members; `1 .1` laid out would even become another number.
            if symbol == "." && matches!(expr.kind, ExprKind::Int(_) | ExprKind::Decimal(_)) {
                break;
            }
            let span = self.span(rest, after);
            let after = self.space(after);
            (rest, expr) = match symbol {
                "." | "->" => self.member(after, expr, symbol == "->")?,
                "[" => {
                    let (after, index) = self.slash_ends(false, || self.expr(after))?;
                    let (after, close) = self.close("]", span, after)?;
                    let whole = expr.span.to(close);
                    let kind = ExprKind::Index {
                        base: Box::new(expr),
                        index: Box::new(index),
                    };
                    self.node(after, kind, whole)?
                }
                "++" | "--" => {
                    let whole = expr.span.to(span);
                    return self.increment(after, expr, symbol, true, whole);
                }
                _ => break,
            };
        }
        Ok((rest, expr))
    }

    /// What stands behind `.` or `->`.
    fn member(&self, input: &'a str, base: Expr, arrow: bool) -> Res<'a, Expr> {
        let digits = input
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(input.len());
        if digits == 0 {
            let (rest, name) = self.ident(input, "the name of a field")?;
            let span = base.span.to(name.span);
            let base = Box::new(base);
            return self.node(rest, ExprKind::Field { base, name, arrow }, span);
        }
        let rest = &input[digits..];
        let index_span = self.span(input, rest);
        let Ok(index) = input[..digits].parse() else {
            return refuse(
                self.space(rest),
                Diagnostic::error("E0105", index_span, "no tuple has so many parts"),
            );
        };
        let span = base.span.to(index_span);
        let kind = ExprKind::Element {
            base: Box::new(base),
            index,
            index_span,
        };
        self.node(self.space(rest), kind, span)
    }

    fn primary(&self, input: &'a str) -> Res<'a, Expr> {
        match input.as_bytes().first() {
            Some(b'@') => self.map(input),
            Some(b'$') => self.dollar(input),
            Some(b'"') => self.strings(input),
            Some(b'\'') => self.character(input),
            Some(b'{') => {
                let (rest, block) = self.slash_ends(false, || self.value_block(input))?;
                let span = block.span;
                self.node(rest, ExprKind::Block(block), span)
            }
            _ => {
                let number = |input| self.number(input);
                let named = |input| self.named(input);
                alt((number, named))
                    .parse(input)
                    .or_else(|error| match error {
                        nom::Err::Error(fail)
                            if fail.expected.is_empty() || fail.rest == input.len() =>
                        {
                            expected(input, "an expression")
                        }
                        other => Err(other),
                    })
            }
        }
    }

    /// One string literal, or several side by side.
    fn strings(&self, input: &'a str) -> Res<'a, Expr> {
        let (mut rest, (mut bytes, mut span)) = self.string(input)?;
        while rest.starts_with('"') {
            let (after, (more, more_span)) = self.string(rest)?;
            bytes.extend(more);
            span = span.to(more_span);
            rest = after;
        }
        self.node(rest, ExprKind::Str(bytes), span)
    }

    /// Character literals are C's, not bpftrace's: say what to write.
    fn character(&self, input: &'a str) -> Res<'a, Expr> {
        let mut rest = input[1..].chars();
        let value = rest.next();
        let closed = rest.next() == Some('\'');
        let rest = if closed { rest.as_str() } else { &input[1..] };
        let diagnostic = Diagnostic::error(
            "E0106",
            self.span(input, rest),
            "there are no character literals",
        );
        refuse(
            self.space(rest),
            match value {
                Some(c) if closed => {
                    diagnostic.with_help(format!("write its number: {}", u32::from(c)))
                }
                _ => diagnostic.with_help("strings stand in double quotes"),
            },
        )
    }

    /// `$name`, `$1` or `$#`.
    fn dollar(&self, input: &'a str) -> Res<'a, Expr> {
        let word = input[1..]
            .find(|c| !token::is_name(c))
            .unwrap_or(input.len() - 1);
        let (name, mut rest) = input[1..].split_at(word);
        let kind = if name.is_empty() && rest.starts_with('#') {
            rest = &rest[1..];
            ExprKind::ParamCount
        } else if name.starts_with(|c: char| c.is_ascii_digit()) {
            match name.parse() {
                Ok(number @ 1..) => ExprKind::Positional(number),
                _ => {
                    let span = self.span(input, rest);
                    return refuse(
                        self.space(rest),
                        Diagnostic::error("E0105", span, format!("`${name}` is no parameter"))
                            .with_help("parameters are `$1`, `$2` and so on; a variable's name starts with a letter"),
                    );
                }
            }
        } else if name.is_empty() {
            return expected(rest, "a name behind `$`");
        } else {
            ExprKind::Variable(name.into())
        };
        let span = self.span(input, rest);
        self.node(self.space(rest), kind, span)
    }

    /// The name behind the `$` or `@` at the start.
    pub(super) fn sigil(&self, input: &'a str) -> Res<'a, Ident> {
        let word = input[1..]
            .find(|c| !token::is_name(c))
            .unwrap_or(input.len() - 1);
        let (name, rest) = input[1..].split_at(word);
        let ident = Ident {
            text: name.into(),
            span: self.span(input, rest),
        };
        if name.starts_with(|c: char| c.is_ascii_digit()) && input.starts_with('$') {
            return expected(input, "a variable");
        }
        Ok((self.space(rest), ident))
    }

    /// `@`, `@name`, each with or without a key.
    fn map(&self, input: &'a str) -> Res<'a, Expr> {
        let (rest, Ident { text, span }) = self.sigil(input)?;
        let (rest, key, whole) = match self.symbol("[", rest) {
            Ok((rest, open)) => {
                let (rest, parts) = self.list(rest)?;
                if parts.is_empty() {
                    return expected(rest, "a key");
                }
                let (rest, close) = self.close("]", open, rest)?;
                (rest, Some(parts), span.to(close))
            }
            Err(_) => (rest, None, span),
        };
        let kind = ExprKind::Map {
            name: text,
            name_span: span,
            key,
        };
        self.node(rest, kind, whole)
    }

    /// A name or a call.
    fn named(&self, input: &'a str) -> Res<'a, Expr> {
        let (rest, (name, name_span)) = self.name(input)?;
        match name {
            "true" | "false" => {
                return self.node(rest, ExprKind::Bool(name == "true"), name_span);
            }
            "sizeof" => return self.sizeof(rest, name_span),
            "offsetof" => return self.offsetof(rest, name_span),
            _ if KEYWORDS.contains(&name) => return expected(input, "an expression"),
            _ => {}
        }
        let Ok((rest, open)) = self.symbol("(", rest) else {
            return self.node(rest, ExprKind::Name(name.into()), name_span);
        };
        let (rest, args) = self.list(rest)?;
        let (rest, close) = self.close(")", open, rest)?;
        let kind = ExprKind::Call {
            name: name.into(),
            name_span,
            args,
        };
        self.node(rest, kind, name_span.to(close))
    }

    /// Behind `sizeof`.
    fn sizeof(&self, input: &'a str, word: Span) -> Res<'a, Expr> {
        let (rest, open) = self.symbol("(", input)?;
        let (rest, of) = self.operand(rest)?;
        let (rest, close) = self.close(")", open, rest)?;
        self.node(rest, ExprKind::Sizeof(Box::new(of)), word.to(close))
    }

    /// Behind `offsetof`.
    fn offsetof(&self, input: &'a str, word: Span) -> Res<'a, Expr> {
        let (rest, open) = self.symbol("(", input)?;
        let (rest, of) = self.operand(rest)?;
        let (mut rest, _) = self.close(",", open, rest)?;
        let mut path = Vec::new();
        loop {
            let (after, field) = self.ident(rest, "the name of a field")?;
            path.push(field);
            match self.symbol(".", after) {
                Ok((after, _)) => rest = after,
                Err(_) => {
                    rest = after;
                    break;
                }
            }
        }
        let (rest, close) = self.close(")", open, rest)?;
        let of = Box::new(of);
        self.node(rest, ExprKind::Offsetof { of, path }, word.to(close))
    }

    /// A type, if it can be told from its spelling, or an expression.
    pub(super) fn operand(&self, input: &'a str) -> Res<'a, Operand> {
        if self.starts_type(input) {
            let (rest, ty) = self.type_name(input)?;
            return Ok((rest, Operand::Type(ty)));
        }
        let (rest, expr) = self.expr(input)?;
        Ok((rest, Operand::Expr(expr)))
    }

    /// Expressions and types between commas; none is fine.
    pub(super) fn list(&self, input: &'a str) -> Res<'a, Vec<Expr>> {
        let mut parts = Vec::new();
        if self.is_next(")", input) || self.is_next("]", input) {
            return Ok((input, parts));
        }
        let mut rest = input;
        loop {
            let (after, part) = match self.slash_ends(false, || self.operand(rest))? {
                (after, Operand::Expr(expr)) => (after, expr),
                (after, Operand::Type(ty)) => {
                    let span = ty.span;
                    self.node(after, ExprKind::Type(ty), span)?
                }
            };
            parts.push(part);
            match self.symbol(",", after) {
                Ok((after, _)) => rest = after,
                Err(_) => return Ok((after, parts)),
            }
        }
    }
}

//! Expressions, by precedence climbing. What bpftrace has and this slice of the language has not is recognised here and
//! refused by name.

use nom::Parser;
use nom::branch::alt;

use super::ast::{BinaryOp, Expr, ExprKind, UnaryOp};
use super::grammar::{Grammar, Res, expected, refuse};
use super::token;
use crate::diagnostic::Diagnostic;
use crate::limits;
use crate::span::Span;

/// Integer types that can be cast to, with bits and signedness.
pub(crate) const INT_TYPES: [(&str, u8, bool); 8] = [
    ("int8", 8, true),
    ("int16", 16, true),
    ("int32", 32, true),
    ("int64", 64, true),
    ("uint8", 8, false),
    ("uint16", 16, false),
    ("uint32", 32, false),
    ("uint64", 64, false),
];

/// First words of C types that casts name.
const C_TYPE_WORDS: [&str; 16] = [
    "struct", "union", "enum", "unsigned", "signed", "char", "short", "int", "long", "void",
    "bool", "string", "inet", "size_t", "const", "__u64",
];

/// "`what` is not supported yet".
pub(super) fn unsupported(what: &str, span: Span) -> Diagnostic {
    Diagnostic::error("E0109", span, format!("{what} not supported yet"))
        .with_label("not supported yet")
}

impl<'a> Grammar<'a> {
    /// An expression.
    pub(super) fn expr(&self, input: &'a str) -> Res<'a, Expr> {
        self.nested(input, |input| self.ternary(input))
    }

    fn node(&self, input: &'a str, kind: ExprKind, span: Span) -> Res<'a, Expr> {
        let expr = Expr::new(kind, span);
        if expr.height > limits::EXPRESSION_HEIGHT {
            return self.too_deep(input);
        }
        Ok((input, expr))
    }

    fn ternary(&self, input: &'a str) -> Res<'a, Expr> {
        let (rest, cond) = self.binary(input, 1)?;
        let Ok((rest, question)) = self.symbol("?", rest) else {
            return Ok((rest, cond));
        };
        if let Ok((rest, colon)) = self.symbol(":", rest) {
            return refuse(
                rest,
                unsupported("the short form `a ?: b` is", question.to(colon)),
            );
        }
        let (rest, then) = self.expr(rest)?;
        let (rest, _) = self.close(":", question, rest)?;
        let (rest, otherwise) = self.expr(rest)?;
        let span = cond.span.to(otherwise.span);
        let kind = ExprKind::Ternary {
            cond: Box::new(cond),
            then: Box::new(then),
            otherwise: Box::new(otherwise),
        };
        self.node(rest, kind, span)
    }

    /// Operators that bind at least as strongly as `strength`; all of them associate to the left.
    fn binary(&self, input: &'a str, strength: u8) -> Res<'a, Expr> {
        let (mut rest, mut lhs) = self.unary(input)?;
        while let Some((after, op, op_span, op_strength)) = self.binary_operator(rest) {
            if op_strength < strength {
                break;
            }
            let (after, rhs) = self.binary(after, op_strength + 1)?;
            let span = lhs.span.to(rhs.span);
            let kind = ExprKind::Binary {
                op,
                op_span,
                lhs: Box::new(lhs),
                rhs: Box::new(rhs),
            };
            (rest, lhs) = self.node(after, kind, span)?;
        }
        Ok((rest, lhs))
    }

    fn binary_operator(&self, input: &'a str) -> Option<(&'a str, BinaryOp, Span, u8)> {
        let (rest, symbol) = token::operator(input).ok()?;
        let (op, _, strength) = *BinaryOp::TABLE
            .iter()
            .find(|(_, known, _)| *known == symbol)?;
        let after = self.space(rest);
        // A `/` before a brace ends a predicate.
        if op == BinaryOp::Div && after.starts_with('{') {
            return None;
        }
        Some((after, op, self.span(input, rest), strength))
    }

    fn unary(&self, input: &'a str) -> Res<'a, Expr> {
        let Ok((after, symbol)) = token::operator(input) else {
            return self.postfix(input);
        };
        let op_span = self.span(input, after);
        let after = self.space(after);
        let op = match symbol {
            "-" => UnaryOp::Neg,
            "~" => UnaryOp::BitNot,
            "!" => UnaryOp::Not,
            "++" | "--" => {
                let (rest, target) = self.nested(after, |input| self.unary(input))?;
                let span = op_span.to(target.span);
                return self.increment(rest, target, symbol, false, span);
            }
            "*" => {
                return refuse(
                    after,
                    unsupported("reading through a pointer with `*` is", op_span),
                );
            }
            "&" => return refuse(after, unsupported("taking an address with `&` is", op_span)),
            "(" => return self.parenthesised(after, op_span),
            "{" => return refuse(input, unsupported("a block as an expression is", op_span)),
            _ => return expected(input, "an expression"),
        };
        let (rest, operand) = self.nested(after, |input| self.unary(input))?;
        let span = op_span.to(operand.span);
        self.node(rest, ExprKind::Unary(op, Box::new(operand)), span)
    }

    fn increment(
        &self,
        rest: &'a str,
        target: Expr,
        symbol: &str,
        postfix: bool,
        span: Span,
    ) -> Res<'a, Expr> {
        if !matches!(target.kind, ExprKind::Variable(_) | ExprKind::Map { .. }) {
            return refuse(
                rest,
                Diagnostic::error(
                    "E0110",
                    target.span,
                    format!("`{symbol}` needs something that can be assigned"),
                )
                .with_label("neither a `$` variable nor a map"),
            );
        }
        let kind = ExprKind::Increment {
            target: Box::new(target),
            delta: if symbol == "++" { 1 } else { -1 },
            postfix,
        };
        self.node(rest, kind, span)
    }

    /// Behind an opening parenthesis: a cast, a tuple or a parenthesised expression.
    fn parenthesised(&self, input: &'a str, open: Span) -> Res<'a, Expr> {
        if let Ok((after, (word, word_span))) = self.name(input) {
            let closes = self.is_next(")", after);
            let known = INT_TYPES.iter().any(|(name, ..)| *name == word);
            if known && closes {
                let (rest, _) = self.close(")", open, after)?;
                let (rest, value) = self.nested(rest, |input| self.unary(input))?;
                let span = open.to(value.span);
                let kind = ExprKind::Cast {
                    ty: word.into(),
                    ty_span: word_span,
                    value: Box::new(value),
                };
                return self.node(rest, kind, span);
            }
            if known || C_TYPE_WORDS.contains(&word) {
                return refuse(
                    after,
                    unsupported(&format!("a cast to `{word} ..` is"), word_span),
                );
            }
        }
        let (mut rest, first) = self.expr(input)?;
        let mut parts = vec![first];
        while let Ok((after, _)) = self.symbol(",", rest) {
            let (after, part) = self.expr(after)?;
            parts.push(part);
            rest = after;
        }
        let (rest, close) = self.close(")", open, rest)?;
        let kind = match parts.pop() {
            Some(only) if parts.is_empty() => ExprKind::Paren(Box::new(only)),
            last => {
                parts.extend(last);
                ExprKind::Tuple(parts)
            }
        };
        let (rest, expr) = self.node(rest, kind, open.to(close))?;
        self.suffixes(rest, expr)
    }

    fn postfix(&self, input: &'a str) -> Res<'a, Expr> {
        let (rest, expr) = self.primary(input)?;
        self.suffixes(rest, expr)
    }

    fn suffixes(&self, rest: &'a str, expr: Expr) -> Res<'a, Expr> {
        let Ok((after, symbol)) = token::operator(rest) else {
            return Ok((rest, expr));
        };
        let span = self.span(rest, after);
        match symbol {
            "++" | "--" => {
                let whole = expr.span.to(span);
                self.increment(self.space(after), expr, symbol, true, whole)
            }
            "." | "->" => refuse(
                after,
                unsupported("access to a field is", expr.span.to(span)),
            ),
            "[" => refuse(
                after,
                unsupported("indexing anything but a map is", expr.span.to(span)),
            ),
            ".." => refuse(after, unsupported("a range `a..b` is", span)),
            _ => Ok((rest, expr)),
        }
    }

    fn primary(&self, input: &'a str) -> Res<'a, Expr> {
        match input.as_bytes().first() {
            Some(b'@') => self.map(input),
            Some(b'$') => self.dollar(input),
            Some(b'"') => {
                let (rest, (bytes, span)) = self.string(input)?;
                self.node(rest, ExprKind::Str(bytes), span)
            }
            Some(b'\'') => self.character(input),
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

    /// `@`, `@name`, each with or without a key.
    fn map(&self, input: &'a str) -> Res<'a, Expr> {
        let word = input[1..]
            .find(|c| !token::is_name(c))
            .unwrap_or(input.len() - 1);
        let (name, rest) = input[1..].split_at(word);
        let name_span = self.span(input, rest);
        let rest = self.space(rest);
        let (rest, key, span) = match self.symbol("[", rest) {
            Ok((rest, open)) => {
                let (rest, parts) = self.list(rest)?;
                if parts.is_empty() {
                    return expected(rest, "a key");
                }
                let (rest, close) = self.close("]", open, rest)?;
                (rest, Some(parts), name_span.to(close))
            }
            Err(_) => (rest, None, name_span),
        };
        let kind = ExprKind::Map {
            name: name.into(),
            name_span,
            key,
        };
        self.node(rest, kind, span)
    }

    /// A name or a call.
    fn named(&self, input: &'a str) -> Res<'a, Expr> {
        let (rest, (name, name_span)) = self.name(input)?;
        match name {
            "true" | "false" => {
                return refuse(
                    rest,
                    unsupported(&format!("the literal `{name}` is"), name_span),
                );
            }
            "sizeof" | "offsetof" | "typeof" | "comptime" => {
                return refuse(rest, unsupported(&format!("`{name}` is"), name_span));
            }
            "if" | "else" | "for" | "while" | "unroll" | "return" | "let" | "break"
            | "continue" => {
                return expected(input, "an expression");
            }
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

    /// Expressions between commas; none is fine.
    fn list(&self, input: &'a str) -> Res<'a, Vec<Expr>> {
        let mut parts = Vec::new();
        if self.is_next(")", input) || self.is_next("]", input) {
            return Ok((input, parts));
        }
        let mut rest = input;
        loop {
            let (after, part) = self.expr(rest)?;
            parts.push(part);
            match self.symbol(",", after) {
                Ok((after, _)) => rest = after,
                Err(_) => return Ok((after, parts)),
            }
        }
    }
}

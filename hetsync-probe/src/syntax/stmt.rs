//! Statements and blocks, and what happens when one of them cannot be read.

use super::ast::{BinaryOp, Block, Else, Expr, ExprKind, Stmt, StmtKind};
use super::expr::unsupported;
use super::grammar::{Fail, Grammar, Res, expected, refuse};
use super::{recover, token};
use crate::diagnostic::Diagnostic;
use crate::span::Span;

/// Words that start a statement of the language which is still to come.
const LATER: [&str; 9] = [
    "for", "while", "unroll", "return", "break", "continue", "let", "import", "macro",
];

impl<'a> Grammar<'a> {
    /// `{ .. }`. Mistakes inside are reported, not returned.
    pub(super) fn block(&self, input: &'a str) -> Res<'a, Block> {
        let (rest, open) = self.symbol("{", input)?;
        self.nested(rest, |rest| self.statements(rest, open))
    }

    fn statements(&self, mut rest: &'a str, open: Span) -> Res<'a, Block> {
        let mut stmts = Vec::new();
        loop {
            if let Ok((after, _)) = self.symbol(";", rest) {
                rest = after;
                continue;
            }
            if let Ok((after, close)) = self.symbol("}", rest) {
                return Ok((
                    after,
                    Block {
                        stmts,
                        span: open.to(close),
                    },
                ));
            }
            if rest.is_empty() || self.is_hopeless() {
                let end = Span::new(self.source.len(), self.source.len());
                self.report(
                    Diagnostic::error("E0108", open, "this block is never closed")
                        .with_label("opened here")
                        .with_help("close it with `}`"),
                );
                return Ok((
                    &rest[rest.len()..],
                    Block {
                        stmts,
                        span: open.to(end),
                    },
                ));
            }
            match self.statement(rest) {
                Ok((after, stmt)) => {
                    rest = self.statement_end(after, &stmt);
                    stmts.push(stmt);
                }
                Err(nom::Err::Error(fail) | nom::Err::Failure(fail)) => {
                    let stopped = self.report_fail(fail);
                    rest = self.space(recover::statement(stopped.min_by_rest(rest)));
                }
                Err(nom::Err::Incomplete(_)) => rest = &rest[rest.len()..],
            }
        }
    }

    /// Reports a failure and gives the place where it happened.
    pub(super) fn report_fail(&self, fail: Fail) -> &'a str {
        let at = self.source.len() - fail.rest;
        let input = self.input(at);
        let diagnostic = fail
            .diagnostic
            .map(|diagnostic| *diagnostic)
            .unwrap_or_else(|| {
                let found = token::describe(input);
                let span = Span::new(at, at + token::found_len(input));
                let (expected, quoted) = match fail.expected {
                    "" => ("something else", false),
                    symbol if symbol.starts_with(|c: char| c.is_ascii_alphabetic()) => {
                        (symbol, false)
                    }
                    symbol => (symbol, true),
                };
                let expected = if quoted {
                    format!("`{expected}`")
                } else {
                    expected.into()
                };
                Diagnostic::error("E0101", span, format!("expected {expected}, found {found}"))
                    .with_label(format!("expected {expected}"))
            });
        self.report(diagnostic);
        input
    }

    /// After a statement: a semicolon, the end of the block, or nothing if it ends in a block.
    fn statement_end(&self, rest: &'a str, stmt: &Stmt) -> &'a str {
        if let Ok((after, _)) = self.symbol(";", rest) {
            return after;
        }
        let ends_itself = matches!(stmt.kind, StmtKind::If { .. } | StmtKind::Block(_));
        if ends_itself || rest.is_empty() || self.is_next("}", rest) {
            return rest;
        }
        let end = stmt.span.end as usize;
        let found = token::describe(rest);
        self.report(
            Diagnostic::error(
                "E0107",
                Span::new(end, end),
                format!("expected `;` or `}}` after this statement, found {found}"),
            )
            .with_label("expected `;`"),
        );
        // On a new line a new statement is likely; on the same one, what follows belongs to the mistake.
        if self.source[end..self.at(rest)].contains('\n') {
            rest
        } else {
            self.space(recover::statement(rest))
        }
    }

    fn statement(&self, input: &'a str) -> Res<'a, Stmt> {
        if let Ok((rest, (word, span))) = self.name(input) {
            if word == "if" {
                return self.if_statement(rest, span);
            }
            if LATER.contains(&word) {
                return refuse(rest, unsupported(&format!("`{word}` is"), span));
            }
            if word == "else" {
                return refuse(
                    rest,
                    Diagnostic::error("E0101", span, "this `else` belongs to no `if`")
                        .with_label("no `if` before it")
                        .with_help("`else` stands directly behind the closing brace of its `if`"),
                );
            }
        }
        if input.starts_with('#') {
            return self.directive(input);
        }
        if self.is_next("{", input) {
            let (rest, block) = self.block(input)?;
            let span = block.span;
            return Ok((
                rest,
                Stmt {
                    kind: StmtKind::Block(block),
                    span,
                },
            ));
        }
        let (rest, target) = match self.expr(input) {
            Err(nom::Err::Error(fail)) if fail.rest == input.len() => {
                return expected(input, "a statement");
            }
            other => other?,
        };
        self.assignment(rest, target)
    }

    /// A preprocessor line.
    pub(super) fn directive<T>(&self, input: &'a str) -> Res<'a, T> {
        let end = input.find('\n').unwrap_or(input.len());
        let line = input[..end].trim_end();
        let word = line[1..].split_whitespace().next().unwrap_or_default();
        let span = Span::new(self.at(input), self.at(input) + line.len());
        refuse(
            &input[end..],
            unsupported(&format!("the preprocessor (`#{word}`) is"), span),
        )
    }

    fn assignment(&self, rest: &'a str, target: Expr) -> Res<'a, Stmt> {
        let op = match token::operator(rest) {
            Ok((_, "=")) => None,
            Ok((_, "+=")) => Some(BinaryOp::Add),
            Ok((_, "-=")) => Some(BinaryOp::Sub),
            Ok((_, "*=")) => Some(BinaryOp::Mul),
            Ok((_, "/=")) => Some(BinaryOp::Div),
            Ok((_, "%=")) => Some(BinaryOp::Mod),
            Ok((_, "&=")) => Some(BinaryOp::And),
            Ok((_, "|=")) => Some(BinaryOp::Or),
            Ok((_, "^=")) => Some(BinaryOp::Xor),
            Ok((_, "<<=")) => Some(BinaryOp::Shl),
            Ok((_, ">>=")) => Some(BinaryOp::Shr),
            _ => {
                let span = target.span;
                return Ok((
                    rest,
                    Stmt {
                        kind: StmtKind::Expr(target),
                        span,
                    },
                ));
            }
        };
        let (rest, (symbol, symbol_span)) = self.lexeme(token::operator, rest)?;
        if !matches!(target.kind, ExprKind::Variable(_) | ExprKind::Map { .. }) {
            return refuse(
                rest,
                Diagnostic::error(
                    "E0110",
                    target.span,
                    "only a `$` variable or a map can be assigned",
                )
                .with_label("cannot be assigned")
                .with_place(symbol_span, format!("by this `{symbol}`")),
            );
        }
        let (rest, value) = self.expr(rest)?;
        let span = target.span.to(value.span);
        Ok((
            rest,
            Stmt {
                kind: StmtKind::Assign { target, op, value },
                span,
            },
        ))
    }

    fn if_statement(&self, rest: &'a str, word: Span) -> Res<'a, Stmt> {
        let (rest, cond) = self.expr(rest)?;
        if !self.is_next("{", rest) {
            let at = self.at(rest);
            let found = token::describe(rest);
            return refuse(
                rest,
                Diagnostic::error(
                    "E0101",
                    Span::new(at, at + token::found_len(rest)),
                    format!("expected `{{` after the condition, found {found}"),
                )
                .with_label("expected `{`")
                .with_place(word, "of this `if`")
                .with_help("the statements of an `if` always stand in braces"),
            );
        }
        let (rest, then) = self.block(rest)?;
        let (rest, otherwise) = match self.name(rest) {
            Ok((after, ("else", _))) => {
                let (rest, otherwise) = self.nested(after, |after| self.else_branch(after))?;
                (rest, Some(otherwise))
            }
            _ => (rest, None),
        };
        let end = match &otherwise {
            Some(Else::Block(block)) => block.span,
            Some(Else::If(stmt)) => stmt.span,
            None => then.span,
        };
        let kind = StmtKind::If {
            cond,
            then,
            otherwise,
        };
        Ok((
            rest,
            Stmt {
                kind,
                span: word.to(end),
            },
        ))
    }

    fn else_branch(&self, input: &'a str) -> Res<'a, Else> {
        if let Ok((rest, ("if", span))) = self.name(input) {
            let (rest, stmt) = self.if_statement(rest, span)?;
            return Ok((rest, Else::If(Box::new(stmt))));
        }
        let (rest, block) = self.block(input)?;
        Ok((rest, Else::Block(block)))
    }
}

/// Inputs are suffixes of one text, so the shorter one lies further on.
trait Further<'a> {
    fn min_by_rest(self, other: &'a str) -> &'a str;
}

impl<'a> Further<'a> for &'a str {
    fn min_by_rest(self, other: &'a str) -> &'a str {
        if other.len() < self.len() {
            other
        } else {
            self
        }
    }
}

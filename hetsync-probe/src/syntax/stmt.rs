//! Statements and blocks, and what happens when one of them cannot be read.

use super::ast::{BinaryOp, Block, Expr, ExprKind, Stmt, StmtKind};
use super::grammar::{Fail, Grammar, Res, expected, refuse};
use super::{recover, token};
use crate::diagnostic::Diagnostic;
use crate::span::Span;

impl<'a> Grammar<'a> {
    /// `{ .. }`. Mistakes inside are reported, not returned.
    pub(super) fn block(&self, input: &'a str) -> Res<'a, Block> {
        let (rest, open) = self.symbol("{", input)?;
        let (rest, (block, _)) = self.nested(rest, |rest| self.statements(rest, open, false))?;
        Ok((rest, block))
    }

    /// `{ .. }` whose last expression, if no semicolon follows it, is its value.
    pub(super) fn value_block(&self, input: &'a str) -> Res<'a, Block> {
        let (rest, open) = self.symbol("{", input)?;
        let (rest, (mut block, open_end)) =
            self.nested(rest, |rest| self.statements(rest, open, true))?;
        if open_end && block.value.is_none() {
            match block.stmts.pop() {
                Some(Stmt {
                    kind: StmtKind::Expr(value),
                    ..
                }) => block.value = Some(Box::new(value)),
                other => block.stmts.extend(other),
            }
        }
        Ok((rest, block))
    }

    /// A block inside one whose last expression is its value: that value itself if it stands last, else a statement.
    fn inner_block(&self, input: &'a str) -> Res<'a, Result<Expr, Stmt>> {
        let (rest, mut block) = self.value_block(input)?;
        let span = block.span;
        if self.is_next("}", rest) && block.value.is_some() {
            let (rest, value) = self.node(rest, ExprKind::Block(block), span)?;
            return Ok((rest, Ok(value)));
        }
        if let Some(value) = block.value.take() {
            block.stmts.push(Stmt {
                span: value.span,
                kind: StmtKind::Expr(*value),
            });
        }
        let kind = StmtKind::Block(block);
        Ok((rest, Err(Stmt { kind, span })))
    }

    /// Statements and the closing brace; also whether the last statement has no semicolon.
    fn statements(&self, mut rest: &'a str, open: Span, has_value: bool) -> Res<'a, (Block, bool)> {
        let mut value = None;
        let mut stmts: Vec<Stmt> = Vec::new();
        let mut open_end = false;
        loop {
            if let Ok((after, _)) = self.symbol(";", rest) {
                open_end = false;
                rest = after;
                continue;
            }
            let closed = match self.symbol("}", rest) {
                Ok((after, close)) => Some((after, close)),
                Err(_) if rest.is_empty() || self.is_hopeless() => {
                    self.report_open_block(open);
                    let end = &rest[rest.len()..];
                    Some((end, self.span(end, end)))
                }
                Err(_) => None,
            };
            if let Some((after, close)) = closed {
                let block = Block {
                    stmts,
                    value,
                    span: open.to(close),
                };
                return Ok((after, (block, open_end)));
            }
            let found = if has_value && self.is_next("{", rest) {
                self.inner_block(rest)
            } else {
                self.statement(rest).map(|(rest, stmt)| (rest, Err(stmt)))
            };
            match found {
                Ok((after, Ok(last))) => {
                    value = Some(Box::new(last));
                    rest = after;
                }
                Ok((after, Err(stmt))) => {
                    let ended = self.is_next(";", after);
                    rest = self.statement_end(after, &stmt);
                    open_end = !ended;
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

    /// A block that the end of the text leaves open. A string or comment that has swallowed the brace is the cause then.
    fn report_open_block(&self, open: Span) {
        let swallowed = |found: &Diagnostic| matches!(found.code, "E0102" | "E0103");
        if !self.diagnostics.borrow().iter().any(swallowed) {
            self.report(
                Diagnostic::error("E0108", open, "this block is never closed")
                    .with_label("opened here")
                    .with_help("close it with `}`"),
            );
        }
    }

    /// Reports a failure and gives the place where it happened.
    pub(super) fn report_fail(&self, fail: Fail) -> &'a str {
        let input = self.input(self.source().len() - fail.rest);
        let diagnostic = fail
            .diagnostic
            .map(|diagnostic| *diagnostic)
            .unwrap_or_else(|| {
                let found = token::describe(input);
                let span = self.found(input);
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
        if stmt.kind.ends_in_block() || rest.is_empty() || self.is_next("}", rest) {
            return rest;
        }
        let end = stmt.span.end as usize;
        let found = token::describe(rest);
        self.report(
            Diagnostic::error(
                "E0107",
                self.found(rest),
                format!("expected `;` or `}}` after this statement, found {found}"),
            )
            .with_label("not part of the statement before it")
            .with_place(Span::new(end, end), "`;` is missing here"),
        );
        // On a new line a new statement is likely; on the same one, what follows belongs to the mistake.
        if self.is_on_new_line(rest) {
            rest
        } else {
            self.space(recover::statement(rest))
        }
    }

    fn statement(&self, input: &'a str) -> Res<'a, Stmt> {
        if self.is_next("{", input) {
            let (rest, block) = self.block(input)?;
            let span = block.span;
            let kind = StmtKind::Block(block);
            return Ok((rest, Stmt { kind, span }));
        }
        if let Some(result) = self.keyword_statement(input) {
            return result;
        }
        let (rest, target) = match self.expr(input) {
            Err(nom::Err::Error(fail)) if fail.rest == input.len() => {
                return expected(input, "a statement");
            }
            other => other?,
        };
        self.assignment(rest, target)
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
        if symbol == "=" && matches!(&target.kind, ExprKind::Name(name) if name == "_") {
            let (rest, value) = self.expr(rest)?;
            let span = target.span.to(value.span);
            let kind = StmtKind::Discard(value);
            return Ok((rest, Stmt { kind, span }));
        }
        if !matches!(target.kind, ExprKind::Variable(_) | ExprKind::Map { .. }) {
            return refuse(
                rest,
                Diagnostic::error(
                    "E0110",
                    symbol_span,
                    "only a `$` variable or a map can be assigned",
                )
                .with_place(target.span, "cannot be assigned"),
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

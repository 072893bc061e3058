//! Loops and what leaves them.

use super::checker::{Checker, Typed};
use super::hir::{self, ExprKind, LocalId, LoopHead, LoopId, Stmt, StmtKind, Type};
use super::shape::Shape;
use crate::diagnostic::Diagnostic;
use crate::limits;
use crate::span::Span;
use crate::syntax::ast;

impl Checker<'_> {
    /// `while cond { .. }`.
    pub(super) fn while_statement(
        &mut self,
        cond: &ast::Expr,
        body: &ast::Block,
        span: Span,
    ) -> Option<StmtKind> {
        let id = self.new_loop(head(span, cond.span));
        let cond = self.condition(cond);
        let body = self.loop_body(body);
        Some(StmtKind::Loop {
            id,
            head: LoopHead::While(cond?),
            body,
        })
    }

    /// `for $i : start..end { .. }`.
    pub(super) fn for_range(
        &mut self,
        name: &ast::Ident,
        (start, end): (&ast::Expr, &ast::Expr),
        body: &ast::Block,
        span: Span,
    ) -> Option<StmtKind> {
        let id = self.new_loop(head(span, end.span));
        let start = self.integer(start, "the range of a loop");
        let end = self.integer(end, "the range of a loop");
        self.refuse_second(name);
        self.scoped(|this| {
            let local = this.declare(&name.text, name.span);
            this.local(local).shape = Shape::SIGNED;
            let body = this.loop_body(body);
            let number = |value: Typed| value.into_type(&Type::INT);
            Some(StmtKind::Loop {
                id,
                head: LoopHead::Range {
                    local: LocalId(local as u32),
                    start: number(start?),
                    end: number(end?),
                },
                body,
            })
        })
    }

    fn new_loop(&mut self, span: Span) -> LoopId {
        self.program.loops.push(hir::Loop { most: None, span });
        LoopId(self.program.loops.len() as u32 - 1)
    }

    pub(super) fn loop_body(&mut self, body: &ast::Block) -> Vec<Stmt> {
        self.loops += 1;
        let body = self.block(body);
        self.loops -= 1;
        body
    }

    /// `unroll (n) { .. }`.
    pub(super) fn unroll(
        &mut self,
        count: &ast::Expr,
        body: &ast::Block,
        span: Span,
    ) -> Option<StmtKind> {
        let times = self.integer(count, "`unroll`");
        let body = self.block(body);
        let times = times?;
        let ExprKind::Int(bits) = times.expr.kind else {
            return self.fail(
                Diagnostic::error(
                    "E0330",
                    count.span,
                    "`unroll` needs a number that is known before the script runs",
                )
                .with_label("not known")
                .with_help("write a number or a parameter (`$1`); `while` and `for` take any"),
            );
        };
        let most = limits::UNROLL;
        match u32::try_from(bits) {
            Ok(count) if (1..=most).contains(&count) => Some(StmtKind::Unroll { count, body }),
            _ => self.fail(
                Diagnostic::error(
                    "E0530",
                    head(span, count.span),
                    format!("`unroll` repeats 1 to {most} times"),
                )
                .with_label(format!("is {}", bits as i64))
                .with_help("a `while` or `for` loop can take more rounds"),
            ),
        }
    }

    /// `break` or `continue`.
    pub(super) fn leave(&mut self, kind: StmtKind, word: &str, span: Span) -> Option<StmtKind> {
        if self.loops > 0 {
            return Some(kind);
        }
        self.fail(
            Diagnostic::error("E0230", span, format!("`{word}` stands in no loop"))
                .with_label("nothing to leave")
                .with_help("`return` ends the body"),
        )
    }

    /// `return`, with a value or without.
    pub(super) fn return_statement(
        &mut self,
        value: Option<&ast::Expr>,
        span: Span,
    ) -> Option<StmtKind> {
        self.may_end("return", span)?;
        let value = match value {
            None => None,
            Some(value) => Some(self.integer(value, "`return`")?.expr),
        };
        Some(StmtKind::Return(value))
    }

    /// What ends the body cannot stand in a block that is a value, of which the rest of an expression waits.
    pub(super) fn may_end(&mut self, word: &str, span: Span) -> Option<()> {
        if self.values == 0 {
            return Some(());
        }
        self.fail(
            Diagnostic::error(
                "E0231",
                span,
                format!("`{word}` stands in a block that is a value"),
            )
            .with_label("the value is still wanted")
            .with_help("leave in a statement of its own, before or after the value is worked out"),
        )
    }

    /// `_ = value`.
    pub(super) fn discard(&mut self, value: &ast::Expr) -> Option<StmtKind> {
        Some(StmtKind::Expr(self.expr(value)?.expr))
    }
}

/// From where a statement starts to the end of its head.
fn head(statement: Span, head: Span) -> Span {
    Span {
        end: head.end,
        ..statement
    }
}

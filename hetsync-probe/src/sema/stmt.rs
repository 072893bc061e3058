//! Statements and blocks.

use super::aggregate;
use super::checker::{Checker, Typed};
use super::comptime;
use super::expr::int;
use super::hir::{self, ExprKind, MapId, Place, Stmt, StmtKind};
use super::maps::mixed_signs;
use super::shape::{Join, Shape};
use super::tables::Value;
use crate::diagnostic::Diagnostic;
use crate::span::Span;
use crate::syntax::ast;

impl Checker<'_> {
    /// The statements of a block, in a scope of their own.
    pub(super) fn block(&mut self, block: &ast::Block) -> Vec<Stmt> {
        self.scoped(|this| this.statements(&block.stmts))
    }

    /// Statements in the scope that is open.
    pub(super) fn statements(&mut self, block: &[ast::Stmt]) -> Vec<Stmt> {
        let mut stmts = Vec::new();
        let mut left: Option<(Span, &str)> = None;
        for stmt in block {
            if let Some((leaving, what)) = left.take() {
                self.report(
                    Diagnostic::warning("W0004", stmt.span, "this statement is never reached")
                        .with_place(leaving, what),
                );
            }
            self.stmt(stmt, &mut stmts);
            left = stmts.last().and_then(|last| {
                let what = match last.kind {
                    StmtKind::Exit { .. } | StmtKind::Return(_) => "the body ends here",
                    StmtKind::Break => "the loop ends here",
                    StmtKind::Continue => "the round ends here",
                    _ => return None,
                };
                Some((last.span, what))
            });
        }
        stmts
    }

    /// `{ .. }` as a value: what stands last in it.
    pub(super) fn block_value(&mut self, block: &ast::Block, span: Span) -> Option<Typed> {
        let loops = std::mem::take(&mut self.loops);
        self.values += 1;
        let parts = self.scoped(|this| {
            let stmts = this.statements(&block.stmts);
            Some((stmts, this.expr(block.value.as_deref()?)?))
        });
        self.values -= 1;
        self.loops = loops;
        if block.value.is_none() {
            return self.fail(
                Diagnostic::error("E0313", span, "this block has no value")
                    .with_label("used as a value")
                    .with_help("its value is what stands last in it, without a semicolon"),
            );
        }
        let (body, value) = parts?;
        if body.is_empty() {
            return Some(value);
        }
        let (shape, unit, span) = (value.shape, value.unit, value.expr.span);
        let kind = ExprKind::Block {
            body,
            value: Box::new(value.expr),
        };
        Some(Typed {
            unit,
            ..Typed::new(kind, shape, span)
        })
    }

    fn stmt(&mut self, stmt: &ast::Stmt, out: &mut Vec<Stmt>) {
        let span = stmt.span;
        let kind = match &stmt.kind {
            ast::StmtKind::Block(block) => {
                out.extend(self.block(block));
                return;
            }
            ast::StmtKind::If {
                cond,
                then,
                otherwise,
            } if comptime::condition(cond).is_some() => {
                let cond = comptime::condition(cond).unwrap_or(cond);
                out.extend(
                    self.comptime_branch(cond, then, otherwise.as_ref())
                        .unwrap_or_default(),
                );
                return;
            }
            ast::StmtKind::Expr(expr) if self.macro_called(expr).is_some() => {
                if let Some((name, args)) = self.macro_called(expr) {
                    out.extend(self.macro_statement(name, args, span).unwrap_or_default());
                }
                return;
            }
            ast::StmtKind::Assign { target, op, value } => self.assign(target, *op, value),
            ast::StmtKind::Let { name, ty, value } => {
                self.let_statement(name, ty.as_ref(), value.as_ref())
            }
            ast::StmtKind::If {
                cond,
                then,
                otherwise,
            } => self.if_statement(cond, then, otherwise.as_ref()),
            ast::StmtKind::Expr(expr) => self.expr_statement(expr),
            ast::StmtKind::While { cond, body } => self.while_statement(cond, body, span),
            ast::StmtKind::Unroll { count, body } => self.unroll(count, body, span),
            ast::StmtKind::For {
                name,
                over: ast::ForOver::Range { start, end },
                body,
                ..
            } => self.for_range(name, (start, end), body, span),
            ast::StmtKind::For {
                name,
                over: ast::ForOver::Map(map),
                body,
                ..
            } => self.for_map(name, map, body),
            ast::StmtKind::Break => self.leave(StmtKind::Break, "break", span),
            ast::StmtKind::Continue => self.leave(StmtKind::Continue, "continue", span),
            ast::StmtKind::Return(value) => self.return_statement(value.as_ref(), span),
            ast::StmtKind::Discard(value) => self.discard(value),
        };
        if let Some(kind) = kind {
            out.push(Stmt { kind, span });
        }
    }

    fn if_statement(
        &mut self,
        cond: &ast::Expr,
        then: &ast::Block,
        otherwise: Option<&ast::Else>,
    ) -> Option<StmtKind> {
        let cond = self.condition(cond);
        let then = self.block(then);
        let otherwise = self.otherwise(otherwise);
        Some(StmtKind::If {
            cond: cond?,
            then,
            otherwise,
        })
    }

    /// What follows `else`.
    pub(super) fn otherwise(&mut self, otherwise: Option<&ast::Else>) -> Vec<Stmt> {
        match otherwise {
            None => Vec::new(),
            Some(ast::Else::Block(block)) => self.block(block),
            Some(ast::Else::If(stmt)) => self.scoped(|this| {
                let mut stmts = Vec::new();
                this.stmt(stmt, &mut stmts);
                stmts
            }),
        }
    }

    /// The macro a statement is a use of, with what it is given.
    fn macro_called<'e>(&self, expr: &'e ast::Expr) -> Option<(&'e str, &'e [ast::Expr])> {
        match &expr.bare().kind {
            ast::ExprKind::Call { name, args, .. } if self.is_macro(name) => Some((name, args)),
            _ => None,
        }
    }

    fn expr_statement(&mut self, expr: &ast::Expr) -> Option<StmtKind> {
        if let ast::ExprKind::Call {
            name,
            name_span,
            args,
        } = &expr.bare().kind
            && let Some(lowered) = self.call_statement(name, *name_span, args, expr.span)
        {
            return lowered;
        }
        // `c ? print(1) : print(2);` is an `if` in other words.
        if let ast::ExprKind::Ternary {
            cond,
            then: Some(then),
            otherwise,
        } = &expr.bare().kind
        {
            let cond = self.condition(cond);
            let mut arm = |arm: &ast::Expr| {
                let kind = self.expr_statement(arm)?;
                Some(vec![Stmt {
                    kind,
                    span: arm.span,
                }])
            };
            let (then, otherwise) = (arm(then), arm(otherwise));
            return Some(StmtKind::If {
                cond: cond?,
                then: then?,
                otherwise: otherwise?,
            });
        }
        let value = self.expr(expr)?;
        if !value.expr.has_effect() {
            self.report(
                Diagnostic::warning("W0003", expr.span, "this value is computed and not used")
                    .with_label("has no effect"),
            );
        }
        Some(StmtKind::Expr(value.expr))
    }

    fn assign(
        &mut self,
        target: &ast::Expr,
        op: Option<ast::BinaryOp>,
        value: &ast::Expr,
    ) -> Option<StmtKind> {
        match &target.kind {
            ast::ExprKind::Variable(name) => self.assign_local(name, target.span, op, value),
            ast::ExprKind::Map {
                name,
                name_span,
                key,
            } => {
                let map = self.tables.map(name, *name_span);
                if let ast::ExprKind::Call { name, args, .. } = &value.bare().kind
                    && aggregate::is_name(name)
                {
                    return self.aggregate(
                        map,
                        key.as_deref(),
                        target.span,
                        op,
                        (name, args, value.span),
                    );
                }
                self.assign_map(map, key.as_deref(), target.span, op, value)
            }
            _ => None,
        }
    }

    fn assign_map(
        &mut self,
        map: usize,
        key: Option<&[ast::Expr]>,
        target_span: Span,
        op: Option<ast::BinaryOp>,
        value: &ast::Expr,
    ) -> Option<StmtKind> {
        let span = target_span.to(value.span);
        let key = self.key(map, key, target_span);
        let value = self.expr(value);
        let (key, mut value) = (key?, value?);
        let id = MapId(map as u32);
        if let Some(op) = op {
            if let Some(effect) = key.iter().find(|part| !part.can_be_repeated()) {
                return self.fail(
                    Diagnostic::error(
                        "E0312",
                        effect.span,
                        "a key that changes something cannot be used with a compound assignment",
                    )
                    .with_label("would happen twice")
                    .with_help("do it in a statement before, and use the variable as the key"),
                );
            }
            let shape = match &self.tables.maps[map].value {
                Some((Value::Scalar(shape), _)) => shape.clone(),
                _ => Shape::Flexible,
            };
            if !shape.is_condition() {
                let diagnostic = Diagnostic::error(
                    "E0305",
                    target_span,
                    format!("`{}=` works on integers only", op.symbol()),
                )
                .with_label(shape.describe());
                return self.fail(diagnostic);
            }
            let old = Typed::new(
                ExprKind::MapGet {
                    map: id,
                    key: key.clone(),
                },
                shape,
                target_span,
            );
            value = self.binary(op, target_span, Some(old), Some(value), span)?;
        }
        self.no_bare_statistic(&value)?;
        self.assign_scalar(map, &value, target_span)?;
        let ty = match &self.tables.maps[map].value {
            Some((Value::Scalar(shape), _)) => shape.ty(),
            _ => value.shape.ty(),
        };
        Some(StmtKind::Assign {
            place: Place::Map { map: id, key },
            value: value.into_type(&ty),
        })
    }

    /// A statistic goes into a map or a text only as the integer it is cast to: most often its map was meant.
    pub(super) fn no_bare_statistic(&mut self, value: &Typed) -> Option<()> {
        let ExprKind::Statistic { map, .. } = value.expr.kind else {
            return Some(());
        };
        let name = self.tables.maps[map.0 as usize].name.clone();
        self.fail(
            Diagnostic::error(
                "E0309",
                value.span(),
                format!("`@{name}` keeps statistics, which are no value by themselves here"),
            )
            .with_label("a statistic")
            .with_help(format!(
                "for what it is at this moment write `(int64)@{name}..`; `print(@{name})` shows it"
            )),
        )
    }

    /// One sample.
    fn aggregate(
        &mut self,
        map: usize,
        key: Option<&[ast::Expr]>,
        target_span: Span,
        op: Option<ast::BinaryOp>,
        (function, args, call_span): (&str, &[ast::Expr], Span),
    ) -> Option<StmtKind> {
        let key = self.key(map, key, target_span);
        if let Some(op) = op {
            return self.fail(
                Diagnostic::error(
                    "E0311",
                    call_span,
                    format!("`{function}()` cannot be used with `{}=`", op.symbol()),
                )
                .with_label("gives no value")
                .with_help(format!("write `@.. = {function}(..)`")),
            );
        }
        let (aggregation, sample) = self.aggregation(function, args, call_span)?;
        self.join_aggregation(map, &aggregation, sample.as_ref(), call_span)?;
        Some(StmtKind::Aggregate {
            map: MapId(map as u32),
            key: key?,
            sample: sample.map(|sample| sample.expr),
        })
    }

    /// Takes note that a map gets samples.
    fn join_aggregation(
        &mut self,
        map: usize,
        aggregation: &hir::Aggregation,
        sample: Option<&Typed>,
        span: Span,
    ) -> Option<()> {
        let counted = int(0, span);
        let sample = sample.unwrap_or(&counted);
        let info = &mut self.tables.maps[map];
        let name = info.name.clone();
        let Some((held, first)) = &mut info.value else {
            info.value = Some((
                Value::Aggregate(aggregation.clone(), sample.shape.clone()),
                span,
            ));
            info.unit.add(sample.unit, &sample.shape);
            return Some(());
        };
        let (first, is) = (*first, aggregate::name(aggregation));
        let (was, was_label) = match held {
            Value::Scalar(_) => ("plain values".to_string(), "a plain value".to_string()),
            Value::Aggregate(known, shape) if known == aggregation => {
                return match shape.join(&sample.shape) {
                    Join::Fits(joined) => {
                        *shape = joined;
                        if !info.unit.add(sample.unit, &sample.shape) {
                            let warning = Diagnostic::warning(
                                "W0005",
                                span,
                                format!("`@{name}` gets samples of two units"),
                            )
                            .with_place(first, "another unit")
                            .with_help("convert all of them with the same function, e.g. `us(..)`");
                            self.report(warning);
                        }
                        Some(())
                    }
                    Join::Mixed(joined) => {
                        *shape = joined;
                        self.report(mixed_signs(&format!("@{name}"), span, first, &sample.shape));
                        Some(())
                    }
                    Join::Mismatch => Some(()),
                };
            }
            Value::Aggregate(known, _) if aggregate::name(known) == is => {
                let text = format!("`{is}()` with other parameters");
                (text.clone(), text)
            }
            Value::Aggregate(known, _) => {
                let text = format!("samples of `{}()`", aggregate::name(known));
                (text.clone(), text)
            }
        };
        self.fail(
            Diagnostic::error(
                "E0310",
                span,
                format!("`@{name}` gets samples of `{is}()` here and {was} elsewhere"),
            )
            .with_label(format!("samples of `{is}()`"))
            .with_place(first, was_label)
            .with_help("use two maps"),
        )
    }
}

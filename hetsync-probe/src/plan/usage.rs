//! Which parts of its context a probe body reads: what lowering to fentry and fexit depends on.

use crate::sema::hir::{Builtin, Expr, ExprKind, Place, Probe, Stmt, StmtKind};

/// What a body reads of its context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Usage {
    /// Arguments read: one more than the highest `argN`, 0 for none.
    pub(super) args: u8,
    /// Whether `retval` is read.
    pub(super) retval: bool,
}

/// What a probe's predicate and body read.
pub(super) fn usage(probe: &Probe) -> Usage {
    let mut usage = Usage::default();
    probe.predicate.iter().for_each(|e| usage.expr(e));
    usage.stmts(&probe.body);
    usage
}

// `sema` caps nesting (`limits::NESTING`), so recursion is bounded.
impl Usage {
    fn stmts(&mut self, stmts: &[Stmt]) {
        stmts.iter().for_each(|stmt| self.stmt(&stmt.kind));
    }

    fn stmt(&mut self, stmt: &StmtKind) {
        match stmt {
            StmtKind::Assign { place, value } => {
                self.place(place);
                self.expr(value);
            }
            StmtKind::Aggregate { key, sample, .. } => {
                self.exprs(key);
                sample.iter().for_each(|e| self.expr(e));
            }
            StmtKind::If {
                cond,
                then,
                otherwise,
            } => {
                self.expr(cond);
                self.stmts(then);
                self.stmts(otherwise);
            }
            StmtKind::Printf { args, .. } | StmtKind::Print { args, .. } => self.exprs(args),
            StmtKind::Clear(_) | StmtKind::Zero(_) => {}
            StmtKind::Delete { key, .. } => self.exprs(key),
            StmtKind::Exit { code } => code.iter().for_each(|e| self.expr(e)),
            StmtKind::Expr(e) => self.expr(e),
        }
    }

    fn place(&mut self, place: &Place) {
        if let Place::Map { key, .. } = place {
            self.exprs(key);
        }
    }

    fn exprs(&mut self, exprs: &[Expr]) {
        exprs.iter().for_each(|e| self.expr(e));
    }

    fn expr(&mut self, expr: &Expr) {
        match &expr.kind {
            ExprKind::Int(_) | ExprKind::Str(_) | ExprKind::Local(_) => {}
            ExprKind::Builtin(Builtin::Arg(n)) => self.args = self.args.max(n.saturating_add(1)),
            ExprKind::Builtin(Builtin::Retval) => self.retval = true,
            ExprKind::Builtin(_) => {}
            ExprKind::MapGet { key, .. } => self.exprs(key),
            ExprKind::Unary(_, operand) => self.expr(operand),
            ExprKind::Binary { lhs, rhs, .. }
            | ExprKind::StrCompare { lhs, rhs, .. }
            | ExprKind::Logical { lhs, rhs, .. } => {
                self.expr(lhs);
                self.expr(rhs);
            }
            ExprKind::Ternary {
                cond,
                then,
                otherwise,
            } => {
                self.expr(cond);
                self.expr(then);
                self.expr(otherwise);
            }
            ExprKind::Increment { place, .. } => self.place(place),
        }
    }
}

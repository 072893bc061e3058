//! Walks over the checked script: the one list of what expressions and statements are made of.

use super::hir::{Expr, ExprKind, LoopHead, Place, Probe, Stmt, StmtKind};

impl Expr {
    /// Calls `visit` with each direct part, in the order of evaluation.
    pub fn each_part<'a>(&'a self, visit: &mut dyn FnMut(&'a Expr)) {
        match &self.kind {
            ExprKind::Int(_)
            | ExprKind::Str(_)
            | ExprKind::Builtin(_)
            | ExprKind::Local(_)
            | ExprKind::Context { .. } => {}
            ExprKind::MapGet { key, .. }
            | ExprKind::Statistic { key, .. }
            | ExprKind::Tuple(key)
            | ExprKind::Call { args: key, .. } => key.iter().for_each(visit),
            ExprKind::Unary(_, of)
            | ExprKind::Cast(of)
            | ExprKind::Part { of, .. }
            | ExprKind::Read { address: of, .. } => visit(of),
            ExprKind::Binary { lhs, rhs, .. }
            | ExprKind::Compare { lhs, rhs, .. }
            | ExprKind::Logical { lhs, rhs, .. } => {
                visit(lhs);
                visit(rhs);
            }
            ExprKind::Ternary {
                cond,
                then,
                otherwise,
            } => {
                visit(cond);
                visit(then);
                visit(otherwise);
            }
            ExprKind::Increment { place, .. } => place.key().iter().for_each(visit),
            ExprKind::Block { body, value } => {
                for stmt in body {
                    stmt.each_own(&mut |stmt| stmt.each_expr(visit));
                }
                visit(value);
            }
        }
    }

    /// Calls `visit` with every statement inside.
    fn each_stmt<'a>(&'a self, visit: &mut dyn FnMut(&'a Stmt)) {
        match &self.kind {
            ExprKind::Block { body, value } => {
                body.iter().for_each(|stmt| stmt.each(visit));
                value.each_stmt(visit);
            }
            _ => self.each_part(&mut |part| part.each_stmt(visit)),
        }
    }

    /// Whether `wanted` holds of this expression or of any part of it.
    pub fn any(&self, wanted: &dyn Fn(&Expr) -> bool) -> bool {
        if wanted(self) {
            return true;
        }
        let mut found = false;
        self.each_part(&mut |part| found = found || part.any(wanted));
        found
    }

    /// Whether evaluating it changes something.
    pub fn has_effect(&self) -> bool {
        self.any(&|expr| match &expr.kind {
            ExprKind::Increment { .. } => true,
            ExprKind::Call { function, .. } => function.has_effect(),
            ExprKind::Block { .. } => true,
            _ => false,
        })
    }
}

impl Expr {
    /// Whether evaluating it once more gives the same and changes nothing else: besides what has no effect, a block that only
    /// puts values into variables which those do not depend on.
    pub fn can_be_repeated(&self) -> bool {
        let own = match &self.kind {
            ExprKind::Increment { .. } => false,
            ExprKind::Call { function, .. } => !function.has_effect(),
            ExprKind::Block { body, value } => {
                let puts = |stmt: &Stmt| match &stmt.kind {
                    StmtKind::Assign {
                        place: Place::Local(id),
                        value,
                    } => {
                        let itself = |e: &Expr| matches!(e.kind, ExprKind::Local(of) if of == *id);
                        value.can_be_repeated() && !value.any(&itself)
                    }
                    _ => false,
                };
                return body.iter().all(puts) && value.can_be_repeated();
            }
            _ => true,
        };
        let mut parts = true;
        self.each_part(&mut |part| parts = parts && part.can_be_repeated());
        own && parts
    }
}

impl Place {
    /// The parts of the key of a map's place.
    pub fn key(&self) -> &[Expr] {
        match self {
            Place::Local(_) => &[],
            Place::Map { key, .. } => key,
        }
    }
}

impl Stmt {
    /// Calls `visit` with each expression of the statement itself, in the order of evaluation; not with those of its blocks.
    pub fn each_expr<'a>(&'a self, visit: &mut dyn FnMut(&'a Expr)) {
        match &self.kind {
            StmtKind::Assign { place, value } => {
                place.key().iter().for_each(&mut *visit);
                visit(value);
            }
            StmtKind::Aggregate { key, sample, .. } => key.iter().chain(sample).for_each(visit),
            StmtKind::If { cond, .. } => visit(cond),
            StmtKind::Printf { args, .. } | StmtKind::Print { args, .. } => {
                args.iter().for_each(visit);
            }
            StmtKind::Clear(_) | StmtKind::Zero(_) => {}
            StmtKind::Loop { head, .. } => match head {
                LoopHead::While(cond) => visit(cond),
                LoopHead::Range { start, end, .. } => {
                    visit(start);
                    visit(end);
                }
            },
            StmtKind::Each { .. }
            | StmtKind::Unroll { .. }
            | StmtKind::Break
            | StmtKind::Continue => {}
            StmtKind::Return(value) => value.iter().for_each(visit),
            StmtKind::Delete { key, .. } => key.iter().for_each(visit),
            StmtKind::Exit { code } => code.iter().for_each(visit),
            StmtKind::Expr(expr) => visit(expr),
        }
    }

    /// The blocks inside the statement.
    pub fn blocks(&self) -> impl Iterator<Item = &[Stmt]> {
        let blocks: [&[Stmt]; 2] = match &self.kind {
            StmtKind::If {
                then, otherwise, ..
            } => [then, otherwise],
            StmtKind::Loop { body, .. }
            | StmtKind::Each { body, .. }
            | StmtKind::Unroll { body, .. } => [body, &[]],
            _ => [&[], &[]],
        };
        blocks.into_iter()
    }

    /// Calls `visit` with this statement and every one inside it, in the order of the text.
    pub fn each<'a>(&'a self, visit: &mut dyn FnMut(&'a Stmt)) {
        visit(self);
        self.each_expr(&mut |expr| expr.each_stmt(visit));
        for block in self.blocks() {
            block.iter().for_each(|stmt| stmt.each(visit));
        }
    }

    /// The same without the statements inside expressions.
    fn each_own<'a>(&'a self, visit: &mut dyn FnMut(&'a Stmt)) {
        visit(self);
        for block in self.blocks() {
            block.iter().for_each(|stmt| stmt.each_own(visit));
        }
    }
}

impl Probe {
    /// Calls `visit` with every statement of the predicate and the body.
    pub fn each_stmt<'a>(&'a self, visit: &mut dyn FnMut(&'a Stmt)) {
        (self.predicate.iter()).for_each(|expr| expr.each_stmt(visit));
        self.body.iter().for_each(|stmt| stmt.each(visit));
    }

    /// Calls `visit` with every expression of the predicate and the body, parts included.
    pub fn each_expr<'a>(&'a self, visit: &mut dyn FnMut(&'a Expr)) {
        fn all<'a>(expr: &'a Expr, visit: &mut dyn FnMut(&'a Expr)) {
            visit(expr);
            expr.each_part(&mut |part| all(part, visit));
        }
        self.predicate.iter().for_each(|expr| all(expr, visit));
        for stmt in &self.body {
            stmt.each_own(&mut |stmt| stmt.each_expr(&mut |expr| all(expr, visit)));
        }
    }
}

//! Where a body mentions a variable.

use crate::sema::hir::{Expr, ExprKind, LocalId, Place, Probe, Stmt, StmtKind};

/// Whether a variable is assigned by a statement of the body itself before anything else mentions it.
pub(super) fn assigned_first(probe: &Probe, id: LocalId) -> bool {
    if probe.predicate.as_ref().is_some_and(|e| mentions(e, id)) {
        return false;
    }
    for statement in &probe.body {
        match &statement.kind {
            StmtKind::Assign {
                place: Place::Local(local),
                value,
            } if *local == id => return !mentions(value, id),
            // Blocks are not looked into: a variable assigned in one is started empty, which is right if slow.
            _ if statement_mentions(statement, id) => return false,
            _ => {}
        }
    }
    true
}

fn statement_mentions(statement: &Stmt, id: LocalId) -> bool {
    let any = |exprs: &[Expr]| exprs.iter().any(|e| mentions(e, id));
    match &statement.kind {
        StmtKind::Assign { place, value } => place_mentions(place, id) || mentions(value, id),
        StmtKind::Aggregate { key, sample, .. } => {
            any(key) || sample.as_ref().is_some_and(|e| mentions(e, id))
        }
        StmtKind::If {
            cond,
            then,
            otherwise,
        } => {
            let inside = |s: &[Stmt]| s.iter().any(|s| statement_mentions(s, id));
            mentions(cond, id) || inside(then) || inside(otherwise)
        }
        StmtKind::Printf { args, .. } | StmtKind::Print { args, .. } => any(args),
        StmtKind::Delete { key, .. } => any(key),
        StmtKind::Exit { code } => code.as_ref().is_some_and(|e| mentions(e, id)),
        StmtKind::Expr(e) => mentions(e, id),
        StmtKind::Clear(_) | StmtKind::Zero(_) => false,
    }
}

fn place_mentions(place: &Place, id: LocalId) -> bool {
    match place {
        Place::Local(local) => *local == id,
        Place::Map { key, .. } => key.iter().any(|e| mentions(e, id)),
    }
}

fn mentions(expr: &Expr, id: LocalId) -> bool {
    match &expr.kind {
        ExprKind::Int(_) | ExprKind::Str(_) | ExprKind::Builtin(_) => false,
        ExprKind::Local(local) => *local == id,
        ExprKind::MapGet { key, .. } => key.iter().any(|e| mentions(e, id)),
        ExprKind::Unary(_, e) => mentions(e, id),
        ExprKind::Binary { lhs, rhs, .. }
        | ExprKind::StrCompare { lhs, rhs, .. }
        | ExprKind::Logical { lhs, rhs, .. } => mentions(lhs, id) || mentions(rhs, id),
        ExprKind::Ternary {
            cond,
            then,
            otherwise,
        } => mentions(cond, id) || mentions(then, id) || mentions(otherwise, id),
        ExprKind::Increment { place, .. } => place_mentions(place, id),
    }
}

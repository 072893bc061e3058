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
    let mut found = false;
    statement.each(&mut |inner| {
        found |=
            matches!(&inner.kind, StmtKind::Assign { place, .. } if *place == Place::Local(id));
        inner.each_expr(&mut |expr| found = found || mentions(expr, id));
    });
    found
}

fn mentions(expr: &Expr, id: LocalId) -> bool {
    expr.any(&|part| match &part.kind {
        ExprKind::Local(local) => *local == id,
        ExprKind::Increment { place, .. } => *place == Place::Local(id),
        ExprKind::Block { body, .. } => body.iter().any(|stmt| statement_mentions(stmt, id)),
        _ => false,
    })
}

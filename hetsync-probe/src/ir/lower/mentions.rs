//! Where a body mentions a variable.

use std::collections::BTreeSet;

use crate::sema::hir::{Expr, ExprKind, LocalId, LoopHead, Place, Probe, Stmt, StmtKind};

/// Whether a variable is assigned by a statement of the body itself before anything else mentions it.
pub(super) fn assigned_first(probe: &Probe, id: LocalId) -> bool {
    !probe.predicate.as_ref().is_some_and(|e| mentions(e, id)) && assigned_first_in(&probe.body, id)
}

/// Whether one of these statements assigns a variable before anything else in them mentions it.
pub(super) fn assigned_first_in(body: &[Stmt], id: LocalId) -> bool {
    for statement in body {
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
        found |= match &inner.kind {
            StmtKind::Each { local, .. } => *local == id,
            StmtKind::Loop {
                head: LoopHead::Range { local, .. },
                ..
            } => *local == id,
            _ => false,
        };
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

/// Where a variable is mentioned: in the body of which loops over maps, each named by its variable; `None` is outside of all.
pub(super) type Places = BTreeSet<Option<LocalId>>;

/// By variable, where it is mentioned.
pub(super) fn places(probe: &Probe) -> Vec<Places> {
    let mut places = vec![Places::new(); probe.locals.len()];
    probe
        .predicate
        .iter()
        .for_each(|e| expr_places(e, None, &mut places));
    stmt_places(&probe.body, None, &mut places);
    places
}

fn stmt_places(body: &[Stmt], around: Option<LocalId>, places: &mut [Places]) {
    for stmt in body {
        let (local, inside) = match &stmt.kind {
            StmtKind::Assign {
                place: Place::Local(local),
                ..
            } => (Some(*local), around),
            StmtKind::Loop {
                head: LoopHead::Range { local, .. },
                ..
            } => (Some(*local), around),
            StmtKind::Each { local, .. } => (Some(*local), Some(*local)),
            _ => (None, around),
        };
        if let Some(local) = local {
            places[local.0 as usize].insert(inside);
        }
        stmt.each_expr(&mut |expr| expr_places(expr, around, places));
        for block in stmt.blocks() {
            stmt_places(block, inside, places);
        }
    }
}

fn expr_places(expr: &Expr, around: Option<LocalId>, places: &mut [Places]) {
    match &expr.kind {
        ExprKind::Local(local)
        | ExprKind::Increment {
            place: Place::Local(local),
            ..
        } => {
            places[local.0 as usize].insert(around);
        }
        ExprKind::Block { body, value } => {
            stmt_places(body, around, places);
            expr_places(value, around, places);
        }
        _ => expr.each_part(&mut |part| expr_places(part, around, places)),
    }
}

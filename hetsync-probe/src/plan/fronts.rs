//! Which maps have a front ([`crate::layout::front`]): those of integers that every probe reaches by its own `tid` alone, as
//! state between a function's entry and its return is kept.
//!
//! A front can neither be read while programs run nor be reached by another thread's number. So a map that is printed, cleared or zeroed
//! as a whole while they do, or has any other key, stays a plain hash; so does one that may hold fewer keys than a
//! front has slots.

use crate::layout::front;
use crate::sema::hir::{
    Builtin, Expr, ExprKind, Function, Map, MapId, MapValue, Place, PrintWhat, Program, Stmt,
    StmtKind, Type,
};

/// By map of the script: whether it can have a front.
pub fn fronts(program: &Program) -> Vec<bool> {
    let mut fronts: Vec<bool> = program.maps.iter().map(suits).collect();
    let mut refuse = |map: MapId| {
        if let Some(front) = fronts.get_mut(map.0 as usize) {
            *front = false;
        }
    };
    for print in &program.prints {
        if let PrintWhat::Map(map) | PrintWhat::Entry(map) = print.what {
            refuse(map);
        }
    }
    for probe in &program.probes {
        probe.each_stmt(&mut |stmt| stmt_refuses(stmt).into_iter().for_each(&mut refuse));
        probe.each_expr(&mut |expr| expr_refuses(expr).into_iter().for_each(&mut refuse));
    }
    fronts
}

/// Whether keys and values are those of a front.
fn suits(map: &Map) -> bool {
    matches!(map.key[..], [Type::Int { .. }])
        && matches!(&map.value, MapValue::Scalar(ty) if ty.is_word())
        && map.max_entries >= front::SLOTS
        && !map.lru
}

/// Whether a key is the current thread's number.
fn is_tid(key: &[Expr]) -> bool {
    matches!(key, [e] if matches!(e.kind, ExprKind::Builtin(Builtin::Tid)))
}

// Both name every kind, so that who adds one thinks of fronts.

/// The map that cannot have a front after this statement, its expressions apart.
fn stmt_refuses(stmt: &Stmt) -> Option<MapId> {
    match &stmt.kind {
        StmtKind::Assign {
            place: Place::Map { map, key },
            ..
        }
        | StmtKind::Delete { map, key } => (!is_tid(key)).then_some(*map),
        StmtKind::Clear(map)
        | StmtKind::Zero(map)
        | StmtKind::Each { map, .. }
        | StmtKind::Aggregate { map, .. } => Some(*map),
        StmtKind::Assign { .. }
        | StmtKind::If { .. }
        | StmtKind::Loop { .. }
        | StmtKind::Unroll { .. }
        | StmtKind::Break
        | StmtKind::Continue
        | StmtKind::Return(_)
        | StmtKind::Printf { .. }
        | StmtKind::Print { .. }
        | StmtKind::Exit { .. }
        | StmtKind::Expr(_) => None,
    }
}

/// The map that cannot have a front after this expression, its parts apart.
fn expr_refuses(expr: &Expr) -> Option<MapId> {
    match &expr.kind {
        ExprKind::MapGet { map, key } => (!is_tid(key)).then_some(*map),
        ExprKind::Increment {
            place: Place::Map { map, .. },
            ..
        } => Some(*map),
        ExprKind::Call {
            function: Function::HasKey(map) | Function::Entries(map),
            ..
        } => Some(*map),
        ExprKind::Increment { .. }
        | ExprKind::Statistic { .. }
        | ExprKind::Call { .. }
        | ExprKind::Int(_)
        | ExprKind::Str(_)
        | ExprKind::Builtin(_)
        | ExprKind::Local(_)
        | ExprKind::Tuple(_)
        | ExprKind::Unary(..)
        | ExprKind::Cast(_)
        | ExprKind::Part { .. }
        | ExprKind::Read { .. }
        | ExprKind::Context { .. }
        | ExprKind::Binary { .. }
        | ExprKind::Compare { .. }
        | ExprKind::Logical { .. }
        | ExprKind::Block { .. }
        | ExprKind::Ternary { .. } => None,
    }
}

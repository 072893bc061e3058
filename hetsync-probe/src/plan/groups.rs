//! Which statistics share a value: those that a script always gives samples together, under one key.
//!
//! `@h[comm] = hist($us); @s[comm] = summary($us);` is then one look-up, not two. The maps stay what they are to the script and to whoever
//! reads them; only where their values lie changes. So a map that is cleared, zeroed, read by a program or has a key
//! deleted keeps a value of its own, and so does one that gets samples anywhere without the others.

use crate::sema::hir::{Builtin, Expr, ExprKind, Function, Map, MapId, Program, Stmt, StmtKind};

/// Lists of at least two maps, in the order in which they get their samples; no map is in two.
pub fn groups(program: &Program) -> Vec<Vec<MapId>> {
    let mut found = Found {
        program,
        runs: Vec::new(),
        alone: vec![false; program.maps.len()],
    };
    for probe in &program.probes {
        found.statements(&probe.body);
        probe.each_stmt(&mut |stmt| found.statement(stmt));
        probe.each_expr(&mut |expr| found.expression(expr));
    }
    let Found { runs, alone, .. } = found;
    let mut groups: Vec<Vec<MapId>> = Vec::new();
    for run in &runs {
        let others = runs.iter().filter(|other| *other != run);
        let apart = run.len() < 2
            || run.iter().any(|map| alone[map.0 as usize])
            || others.flatten().any(|map| run.contains(map));
        if !apart && !groups.contains(run) {
            groups.push(run.clone());
        }
    }
    groups
}

/// How many of these statements, from the first one on, give samples under one key to maps that suit each other.
fn together(program: &Program, statements: &[Stmt]) -> usize {
    let mut maps: Vec<MapId> = Vec::new();
    let mut first = None;
    for statement in statements {
        let StmtKind::Aggregate { map, key, sample } = &statement.kind else {
            break;
        };
        let lasting = key.iter().all(is_lasting) && !sample.as_ref().is_some_and(Expr::has_effect);
        let alike = first.is_none_or(|(of, first): (MapId, &[Expr])| {
            suit(map_of(program, of), map_of(program, *map)) && equal(first, key)
        });
        if key.is_empty() || !lasting || !alike || maps.contains(map) {
            break;
        }
        first.get_or_insert((*map, key));
        maps.push(*map);
    }
    maps.len()
}

fn map_of(program: &Program, map: MapId) -> &Map {
    &program.maps[map.0 as usize]
}

/// Whether two maps can have their values in one.
fn suit(a: &Map, b: &Map) -> bool {
    a.key == b.key && a.max_entries == b.max_entries && !a.lru && !b.lru
}

/// Whether a part of a key is the same when it is asked for again.
fn is_lasting(part: &Expr) -> bool {
    match &part.kind {
        ExprKind::Int(_) | ExprKind::Str(_) | ExprKind::Local(_) => true,
        ExprKind::Builtin(builtin) => matches!(
            builtin,
            Builtin::Pid
                | Builtin::Tid
                | Builtin::Comm
                | Builtin::Cpu
                | Builtin::Uid
                | Builtin::Gid
                | Builtin::Cgroup
                | Builtin::Arg(_)
                | Builtin::Retval
                | Builtin::Func
                | Builtin::Probe
        ),
        ExprKind::Cast(of) => is_lasting(of),
        _ => false,
    }
}

/// Whether two keys of such parts are equal, wherever they are written.
fn equal(a: &[Expr], b: &[Expr]) -> bool {
    fn part(a: &Expr, b: &Expr) -> bool {
        a.ty == b.ty
            && match (&a.kind, &b.kind) {
                (ExprKind::Cast(a), ExprKind::Cast(b)) => part(a, b),
                (a, b) => a == b,
            }
    }
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| part(a, b))
}

struct Found<'a> {
    program: &'a Program,
    /// Maps that get samples one after the other, wherever a script gives any.
    runs: Vec<Vec<MapId>>,
    /// By map: whether it is used in a way that others are not.
    alone: Vec<bool>,
}

impl Found<'_> {
    fn refuse(&mut self, map: MapId) {
        if let Some(alone) = self.alone.get_mut(map.0 as usize) {
            *alone = true;
        }
    }

    /// Notes the runs of a list of statements, not of those within them.
    fn statements(&mut self, mut rest: &[Stmt]) {
        while let Some((first, others)) = rest.split_first() {
            let StmtKind::Aggregate { map, .. } = first.kind else {
                rest = others;
                continue;
            };
            let run = together(self.program, rest).max(1);
            let maps = rest[..run].iter().filter_map(|stmt| match stmt.kind {
                StmtKind::Aggregate { map, .. } => Some(map),
                _ => None,
            });
            let maps: Vec<MapId> = maps.collect();
            debug_assert_eq!(maps[0], map);
            self.runs.push(maps);
            rest = &rest[run..];
        }
    }

    // Both name every kind, so that who adds one thinks of groups.

    fn statement(&mut self, stmt: &Stmt) {
        match &stmt.kind {
            StmtKind::If {
                then, otherwise, ..
            } => {
                self.statements(then);
                self.statements(otherwise);
            }
            StmtKind::Each { map, body, .. } => {
                self.refuse(*map);
                self.statements(body);
            }
            StmtKind::Loop { body, .. } | StmtKind::Unroll { body, .. } => self.statements(body),
            StmtKind::Clear(map) | StmtKind::Zero(map) | StmtKind::Delete { map, .. } => {
                self.refuse(*map);
            }
            StmtKind::Assign { .. }
            | StmtKind::Aggregate { .. }
            | StmtKind::Break
            | StmtKind::Continue
            | StmtKind::Return(_)
            | StmtKind::Printf { .. }
            | StmtKind::Print { .. }
            | StmtKind::Exit { .. }
            | StmtKind::Expr(_) => {}
        }
    }

    fn expression(&mut self, expr: &Expr) {
        match &expr.kind {
            ExprKind::Statistic { map, .. }
            | ExprKind::MapGet { map, .. }
            | ExprKind::Call {
                function: Function::HasKey(map) | Function::Entries(map),
                ..
            } => self.refuse(*map),
            ExprKind::Block { body, .. } => self.statements(body),
            ExprKind::Call { .. }
            | ExprKind::Increment { .. }
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
            | ExprKind::Ternary { .. } => {}
        }
    }
}

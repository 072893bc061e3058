//! One round over a script: state, probes, names in scope, and the use of maps.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use super::Options;
use super::config::Declared;
use super::ctypes::Types;
use super::hir::{self, NameId, Type, Unit};
use super::latency::Latency;
use super::macros::Macros;
use super::points::{Resolved, Written};
use super::shape::Shape;
use super::tables::{LocalInfo, Tables};
use crate::diagnostic::Diagnostic;
use crate::layout;
use crate::limits;
use crate::span::Span;
use crate::syntax::ast;

/// A lowered expression with what is known of its type.
#[derive(Debug, Clone)]
pub(super) struct Typed {
    pub(super) expr: hir::Expr,
    pub(super) shape: Shape,
    pub(super) unit: Option<Unit>,
}

impl Typed {
    pub(super) fn new(kind: hir::ExprKind, shape: Shape, span: Span) -> Self {
        Self {
            expr: hir::Expr {
                kind,
                ty: shape.ty(),
                span,
            },
            shape,
            unit: None,
        }
    }

    pub(super) fn span(&self) -> Span {
        self.expr.span
    }

    /// The expression as a value of this type, which is one its shape fits. Only words and literals change: any other
    /// value is fitted where it is put.
    pub(super) fn into_type(self, ty: &Type) -> hir::Expr {
        convert(self.expr, ty)
    }
}

fn convert(mut expr: hir::Expr, ty: &Type) -> hir::Expr {
    use hir::ExprKind::{Cast, Part, Read, Str, Ternary, Tuple};
    if expr.ty == *ty {
        return expr;
    }
    match (expr.kind, ty) {
        // Names among symbols are told from addresses by their number.
        (kind, hir::Type::Shown(hir::Shown::KernelAddress)) if expr.ty == Type::Name => {
            let span = expr.span;
            let number = |kind| {
                Box::new(hir::Expr {
                    kind,
                    ty: Type::UINT,
                    span,
                })
            };
            expr.kind = hir::ExprKind::Binary {
                op: hir::BinaryOp::Or,
                signed: false,
                lhs: number(kind),
                rhs: number(hir::ExprKind::Int(layout::NAME_AMONG_ADDRESSES)),
            };
            expr.ty = ty.clone();
        }
        // Where the type says what is computed, it stays.
        (kind @ (Read { .. } | Part { .. } | Cast(_)), ty) if ty.is_word() => {
            let span = expr.span;
            expr.kind = Cast(Box::new(hir::Expr { kind, ..expr }));
            expr.span = span;
            expr.ty = ty.clone();
        }
        (kind, ty) if ty.is_word() => {
            expr.kind = kind;
            expr.ty = ty.clone();
        }
        (Tuple(parts), Type::Tuple(types)) => {
            let parts = parts.into_iter().zip(types.iter());
            expr.kind = Tuple(parts.map(|(part, ty)| convert(part, ty)).collect());
            expr.ty = Type::Tuple(types.clone());
        }
        (kind @ (Str(_) | Ternary { .. }), ty @ Type::Str { .. }) => {
            expr.kind = kind;
            expr.ty = ty.clone();
        }
        (kind, _) => expr.kind = kind,
    }
    expr
}

/// What a round over the script gives.
pub(super) struct Round<'a> {
    pub(super) program: hir::Program,
    pub(super) diagnostics: Vec<Diagnostic>,
    /// What is known after it.
    pub(super) tables: Tables,
    pub(super) types: Types<'a>,
}

/// State of a round.
pub(super) struct Checker<'a> {
    pub(super) options: &'a Options<'a>,
    pub(super) tables: Tables,
    pub(super) types: Types<'a>,
    pub(super) diagnostics: Vec<Diagnostic>,
    pub(super) program: hir::Program,
    names: HashMap<String, NameId>,
    /// Index of the probe being checked, and its attach points.
    pub(super) probe: usize,
    pub(super) written: Rc<[Written]>,
    /// Names in scope, innermost block last.
    pub(super) scopes: Vec<HashMap<String, usize>>,
    next_local: usize,
    /// Every variable made so far in this probe, and whether by an assignment alone.
    pub(super) declared: Vec<(String, Span, bool)>,
    /// Of the maps used without being assigned, those already complained about.
    pub(super) complained: Vec<usize>,
    /// How many loops are around the statement being checked, up to the block that is a value.
    pub(super) loops: usize,
    /// How many of them are over maps, blocks that are values included.
    pub(super) over_maps: usize,
    /// How many blocks that are values are around it.
    pub(super) values: usize,
    pub(super) macros: Macros<'a>,
    /// Members of `args` that the body uses, and whether some are not the same in all its attach points.
    pub(super) args: Vec<String>,
    pub(super) args_differ: bool,
    /// What the body asks for if it is that of a latency probe.
    pub(super) latency: Option<Latency>,
    /// Names that `getopt()` asks for.
    pub(super) asked: Vec<String>,
    /// Declarations of maps, by name.
    pub(super) map_kinds: &'a BTreeMap<String, Declared>,
}

impl<'a> Checker<'a> {
    pub(super) fn new(
        options: &'a Options<'a>,
        (config, map_kinds): (hir::Config, &'a BTreeMap<String, Declared>),
        macros: Macros<'a>,
        tables: Tables,
        types: Types<'a>,
    ) -> Self {
        Self {
            options,
            tables,
            types,
            diagnostics: Vec::new(),
            program: hir::Program {
                config,
                ..hir::Program::default()
            },
            names: HashMap::new(),
            probe: 0,
            written: Rc::from([]),
            scopes: Vec::new(),
            next_local: 0,
            declared: Vec::new(),
            complained: Vec::new(),
            loops: 0,
            over_maps: 0,
            values: 0,
            macros,
            args: Vec::new(),
            args_differ: false,
            latency: None,
            asked: Vec::new(),
            map_kinds,
        }
    }

    pub(super) fn script(mut self, script: &ast::Script, resolved: &'a Resolved) -> Round<'a> {
        self.tables.locals.resize(script.probes.len(), Vec::new());
        for (index, (probe, written)) in script.probes.iter().zip(&resolved.probes).enumerate() {
            self.probe = index;
            self.written = written.clone();
            self.check_probe(probe);
        }
        self.finish_maps();
        self.refuse_unknown_parameters();
        Round {
            program: self.program,
            diagnostics: self.diagnostics,
            tables: self.tables,
            types: self.types,
        }
    }

    pub(super) fn report(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// Reports a mistake where a value was wanted.
    pub(super) fn fail<T>(&mut self, diagnostic: Diagnostic) -> Option<T> {
        self.report(diagnostic);
        None
    }

    /// Checks a probe. Where `args` is laid out differently at some of its attach points, each layout has a body of its own.
    fn check_probe(&mut self, probe: &ast::Probe) {
        let before = (
            self.diagnostics.len(),
            self.program.formats.len(),
            self.program.prints.len(),
            self.program.loops.len(),
            self.program.probes.len(),
        );
        self.args.clear();
        self.args_differ = false;
        let points = (self.written.iter())
            .map(|written| written.points.len())
            .sum();
        self.check_body(probe, points);
        if !self.args_differ {
            return;
        }
        self.diagnostics.truncate(before.0);
        self.program.formats.truncate(before.1);
        self.program.prints.truncate(before.2);
        self.program.loops.truncate(before.3);
        self.program.probes.truncate(before.4);
        let all = self.written.clone();
        for written in self.alike(&all) {
            self.written = written;
            self.check_body(probe, points);
        }
        self.written = all;
        // Each body has the same mistakes but for those of its layout.
        let mut told = Vec::new();
        for diagnostic in self.diagnostics.drain(before.0..) {
            if !told.contains(&diagnostic) {
                told.push(diagnostic);
            }
        }
        self.diagnostics.extend(told);
    }

    /// Checks the body for those attach points that are set, of `points` that the probe has.
    fn check_body(&mut self, probe: &ast::Probe, points: usize) {
        self.next_local = 0;
        self.declared.clear();
        self.scopes = vec![HashMap::new()];
        let widened = self.tables.widened.len();
        self.begin_latency(probe, points);
        let predicate = probe
            .predicate
            .as_ref()
            .and_then(|predicate| self.condition(predicate));
        let body = self.block(&probe.body);
        let locals: Vec<hir::Local> = self.tables.locals[self.probe]
            .iter()
            .map(|local| hir::Local {
                name: local.name.clone(),
                ty: local.shape.ty(),
            })
            .collect();
        if locals.len() > limits::LOCALS {
            self.report(
                Diagnostic::error(
                    "E0502",
                    self.tables.locals[self.probe][limits::LOCALS].span,
                    format!(
                        "this body has {} variables; the limit is {}",
                        locals.len(),
                        limits::LOCALS
                    ),
                )
                .with_label("one too many")
                .with_help(
                    "variables of separate blocks count separately; reuse those of the outer block",
                ),
            );
        }
        if self.tables.widened.len() > widened {
            // What was several variables is one now: the next round counts them anew.
            self.tables.locals[self.probe].clear();
        }
        // `-p` restricts kprobes only, so a body that also runs at intervals is split in two.
        let written = self.written.clone();
        let restricted = |written: &&Written| {
            self.options.pid_filter.is_some() && written.provider.filtered_by_pid
        };
        let (filtered, free): (Vec<&Written>, Vec<&Written>) = written.iter().partition(restricted);
        for (group, filter) in [(filtered, self.options.pid_filter), (free, None)] {
            let points = self.attach_points(&group);
            if points.is_empty() {
                continue;
            }
            // What a latency probe wants is asked on return, but whom it is about already on entry.
            let (wanted, first) = match self.is_latency() {
                true => (predicate.clone(), None),
                false => (None, predicate.clone()),
            };
            let predicate = match filter {
                Some(pid) => Some(with_pid(pid, first, probe.span)),
                None => first,
            };
            let checked = hir::Probe {
                points,
                predicate,
                body: body.clone(),
                locals: locals.clone(),
                span: probe.span,
            };
            if self.is_latency() {
                let pair = self.latency_probes(checked, wanted);
                self.program.probes.extend(pair);
            } else {
                self.program.probes.push(checked);
            }
        }
    }

    fn attach_points(&mut self, group: &[&Written]) -> Vec<hir::AttachPoint> {
        let mut points = Vec::new();
        for written in group {
            for point in &written.points {
                let probe_name = self.intern(&point.probe_name);
                let func_name = match &point.func_name {
                    Some(func) => self.intern(func),
                    None => probe_name,
                };
                points.push(hir::AttachPoint {
                    kind: point.kind.clone(),
                    probe_name,
                    func_name,
                    span: written.span,
                });
            }
        }
        points
    }

    fn intern(&mut self, name: &str) -> NameId {
        if let Some(id) = self.names.get(name) {
            return *id;
        }
        let id = NameId(self.program.names.len() as u32);
        self.program.names.push(name.into());
        self.names.insert(name.into(), id);
        id
    }

    // Variables.

    /// Runs something in a scope of its own.
    pub(super) fn scoped<T>(&mut self, inner: impl FnOnce(&mut Self) -> T) -> T {
        self.scopes.push(HashMap::new());
        let result = inner(self);
        self.scopes.pop();
        result
    }

    /// The variable a name means here.
    pub(super) fn lookup(&self, name: &str) -> Option<usize> {
        self.scopes
            .iter()
            .rev()
            .find_map(|scope| scope.get(name))
            .copied()
    }

    pub(super) fn local(&mut self, index: usize) -> &mut LocalInfo {
        &mut self.tables.locals[self.probe][index]
    }

    /// Makes a variable of the innermost block by assigning it; of the whole body if it is used after that block.
    pub(super) fn declare_by_assignment(&mut self, name: &str, span: Span) -> usize {
        let Some(&used) = self.tables.widened.get(&(self.probe, name.to_owned())) else {
            let index = self.declare(name, span);
            if let Some(made) = self.declared.last_mut() {
                made.2 = true;
            }
            return index;
        };
        self.report(
            Diagnostic::warning(
                "W0010",
                used,
                format!("`${name}` is used after the block that assigns it"),
            )
            .with_label("of the whole body therefore, as before bpftrace 0.22")
            .with_place(span, "first assigned here")
            .with_help(format!(
                "newer ones refuse this: write `let ${name};` before that block"
            )),
        );
        self.declare_in(0, name, span)
    }

    /// Of an assignment in a block that has ended: from the next round on the variable is one of the whole body.
    pub(super) fn widen(&mut self, name: &str, used: Span) {
        let key = (self.probe, name.to_owned());
        self.tables.widened.entry(key).or_insert(used);
    }

    /// Makes a variable of the innermost block.
    pub(super) fn declare(&mut self, name: &str, span: Span) -> usize {
        self.declare_in(self.scopes.len().saturating_sub(1), name, span)
    }

    fn declare_in(&mut self, depth: usize, name: &str, span: Span) -> usize {
        let index = self.next_local;
        self.next_local += 1;
        let locals = &mut self.tables.locals[self.probe];
        if locals.len() == index {
            locals.push(LocalInfo {
                name: name.into(),
                shape: Shape::Unknown,
                span,
                declared: false,
                unit: Default::default(),
            });
        }
        if let Some(scope) = self.scopes.get_mut(depth) {
            scope.insert(name.into(), index);
        }
        self.declared.push((name.into(), span, false));
        index
    }
}

/// `pid == N`, and what the script asks besides.
fn with_pid(pid: u32, predicate: Option<hir::Expr>, span: Span) -> hir::Expr {
    let leaf = |kind| {
        Box::new(hir::Expr {
            kind,
            ty: Type::UINT,
            span,
        })
    };
    let same = hir::Expr {
        kind: hir::ExprKind::Binary {
            op: hir::BinaryOp::Eq,
            signed: false,
            lhs: leaf(hir::ExprKind::Builtin(hir::Builtin::Pid)),
            rhs: leaf(hir::ExprKind::Int(u64::from(pid))),
        },
        ty: Type::Bool,
        span,
    };
    match predicate {
        None => same,
        Some(predicate) => hir::Expr {
            span: predicate.span,
            kind: hir::ExprKind::Logical {
                and: true,
                lhs: Box::new(same),
                rhs: Box::new(predicate),
            },
            ty: Type::Bool,
        },
    }
}

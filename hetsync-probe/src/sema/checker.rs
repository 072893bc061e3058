//! One round over a script: state, probes, names in scope, and the use of maps.

use std::collections::HashMap;

use super::Options;
use super::hir::{self, NameId, Type, Unit};
use super::points::{Resolved, Written};
use super::shape::{Join, Shape};
use super::tables::{KeyInfo, LocalInfo, Tables, Value};
use crate::diagnostic::Diagnostic;
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

    /// The expression as a value of exactly this type, which is one its shape fits.
    pub(super) fn into_type(self, ty: Type) -> hir::Expr {
        let mut expr = self.expr;
        if expr.ty == ty {
            return expr;
        }
        match (&expr.kind, ty) {
            // Signedness is only a way to look at the bits, and a literal has any room it needs.
            (_, Type::Int { .. }) | (hir::ExprKind::Str(_), Type::Str { .. }) => expr.ty = ty,
            // The arm of a `?:` may be shorter than the whole: the one conversion of strings there is.
            (_, Type::Str { .. }) => {
                let span = expr.span;
                let leaf = |kind, ty| Box::new(hir::Expr { kind, ty, span });
                expr = hir::Expr {
                    kind: hir::ExprKind::Ternary {
                        cond: leaf(hir::ExprKind::Int(1), Type::INT),
                        otherwise: leaf(hir::ExprKind::Str(Vec::new()), ty),
                        then: Box::new(expr),
                    },
                    ty,
                    span,
                };
            }
            (_, Type::Name) => {}
        }
        expr
    }
}

/// State of a round.
pub(super) struct Checker<'a> {
    pub(super) options: &'a Options<'a>,
    pub(super) tables: &'a mut Tables,
    pub(super) diagnostics: Vec<Diagnostic>,
    pub(super) program: hir::Program,
    names: HashMap<String, NameId>,
    /// Index of the probe being checked, and its attach points.
    probe: usize,
    pub(super) written: &'a [Written],
    /// Names in scope, innermost block last.
    scopes: Vec<HashMap<String, usize>>,
    next_local: usize,
    /// Every assignment of a variable that made it, in this probe.
    declared: Vec<(String, Span)>,
    /// Of the maps used without being assigned, those already complained about.
    pub(super) complained: Vec<usize>,
}

impl<'a> Checker<'a> {
    pub(super) fn new(options: &'a Options<'a>, tables: &'a mut Tables) -> Self {
        Self {
            options,
            tables,
            diagnostics: Vec::new(),
            program: hir::Program::default(),
            names: HashMap::new(),
            probe: 0,
            written: &[],
            scopes: Vec::new(),
            next_local: 0,
            declared: Vec::new(),
            complained: Vec::new(),
        }
    }

    pub(super) fn script(
        mut self,
        script: &ast::Script,
        resolved: &'a Resolved,
    ) -> (hir::Program, Vec<Diagnostic>) {
        self.tables.locals.resize(script.probes.len(), Vec::new());
        for (index, (probe, written)) in script.probes.iter().zip(&resolved.probes).enumerate() {
            self.probe = index;
            self.written = written;
            self.check_probe(probe);
        }
        self.finish_maps();
        (self.program, self.diagnostics)
    }

    pub(super) fn report(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// Reports a mistake where a value was wanted.
    pub(super) fn fail<T>(&mut self, diagnostic: Diagnostic) -> Option<T> {
        self.report(diagnostic);
        None
    }

    fn check_probe(&mut self, probe: &ast::Probe) {
        self.next_local = 0;
        self.declared.clear();
        self.scopes = vec![HashMap::new()];
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
        // `-p` restricts kprobes only, so a body that also runs at intervals is split in two.
        let written = self.written;
        let restricted = |written: &&Written| {
            self.options.pid_filter.is_some() && written.provider.filtered_by_pid
        };
        let (filtered, free): (Vec<&Written>, Vec<&Written>) = written.iter().partition(restricted);
        for (group, filter) in [(filtered, self.options.pid_filter), (free, None)] {
            let points = self.attach_points(&group);
            if points.is_empty() {
                continue;
            }
            let predicate = match filter {
                Some(pid) => Some(with_pid(pid, predicate.clone(), probe.span)),
                None => predicate.clone(),
            };
            self.program.probes.push(hir::Probe {
                points,
                predicate,
                body: body.clone(),
                locals: locals.clone(),
                span: probe.span,
            });
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

    /// Makes a variable of the innermost block.
    pub(super) fn declare(&mut self, name: &str, span: Span) -> usize {
        let index = self.next_local;
        self.next_local += 1;
        let locals = &mut self.tables.locals[self.probe];
        if locals.len() == index {
            locals.push(LocalInfo {
                name: name.into(),
                shape: Shape::Unknown,
                span,
                unit: Default::default(),
            });
        }
        if let Some(scope) = self.scopes.last_mut() {
            scope.insert(name.into(), index);
        }
        self.declared.push((name.into(), span));
        index
    }

    /// A variable that is used must have been assigned in this block or one around it.
    pub(super) fn used_local(&mut self, name: &str, span: Span) -> Option<usize> {
        if let Some(index) = self.lookup(name) {
            return Some(index);
        }
        if let Some((_, earlier)) = self.declared.iter().rev().find(|(known, _)| known == name) {
            let diagnostic =
                Diagnostic::error("E0213", span, format!("`${name}` does not exist here"))
                    .with_label("used outside of its block")
                    .with_place(*earlier, "assigned here, in a block that has ended")
                    .with_help(format!(
                        "assign it before that block too, e.g. `${name} = 0;`"
                    ));
            return self.fail(diagnostic);
        }
        let in_scope = self
            .scopes
            .iter()
            .flat_map(|scope| scope.keys())
            .map(String::as_str);
        let near = crate::diagnostic::suggest::nearest(name, in_scope).map(str::to_owned);
        let diagnostic = Diagnostic::error(
            "E0212",
            span,
            format!("`${name}` is used before anything is assigned to it"),
        )
        .with_label("not assigned yet");
        self.fail(match near {
            Some(near) => diagnostic.with_help(format!("did you mean `${near}`?")),
            None => diagnostic.with_help(
                "variables belong to one probe; use a map (`@name`) to pass a value to another",
            ),
        })
    }

    // Maps.

    /// Lowers a map's key and joins it with the key's shapes so far. `span` is the whole mention.
    pub(super) fn key(
        &mut self,
        map: usize,
        key: Option<&[ast::Expr]>,
        span: Span,
    ) -> Option<Vec<hir::Expr>> {
        let parts = match key {
            None => &[][..],
            Some([only]) => match &only.bare().kind {
                ast::ExprKind::Tuple(parts) => parts,
                _ => std::slice::from_ref(only),
            },
            Some(parts) => parts,
        };
        let lowered: Vec<Option<Typed>> = parts.iter().map(|part| self.expr(part)).collect();
        let lowered: Vec<Typed> = lowered.into_iter().collect::<Option<_>>()?;
        let info = &mut self.tables.maps[map];
        let known = info.key.get_or_insert_with(|| KeyInfo {
            parts: lowered
                .iter()
                .map(|part| (Shape::Unknown, part.span()))
                .collect(),
            span,
        });
        if known.parts.len() != lowered.len() {
            let (before, name) = (describe_key(known.parts.len()), info.name.clone());
            let diagnostic = Diagnostic::error(
                "E0302",
                span,
                format!(
                    "`@{name}` is used with {} here and with {before} before",
                    describe_key(lowered.len())
                ),
            )
            .with_label(describe_key(lowered.len()))
            .with_place(known.span, before)
            .with_help("a map has the same number of key parts everywhere");
            return self.fail(diagnostic);
        }
        let mut problem = None;
        let mut types = Vec::new();
        for ((shape, seen), part) in known.parts.iter_mut().zip(&lowered) {
            match shape.join(part.shape) {
                Join::Fits(joined) => {
                    if *shape == Shape::Unknown {
                        *seen = part.span();
                    }
                    *shape = joined;
                }
                // Equal bits are the same key; the first use says how they are shown.
                Join::Mixed(_) => {}
                Join::Mismatch => problem = Some((*shape, *seen, part.shape, part.span())),
            }
            types.push(shape.ty());
        }
        if let Some((was, seen, is, at)) = problem {
            let name = info.name.clone();
            let diagnostic = Diagnostic::error(
                "E0303",
                at,
                format!(
                    "the key of `@{name}` is {} here and {} before",
                    is.describe(),
                    was.describe()
                ),
            )
            .with_label(is.describe())
            .with_place(seen, was.describe());
            return self.fail(diagnostic);
        }
        Some(
            lowered
                .into_iter()
                .zip(types)
                .map(|(part, ty)| part.into_type(ty))
                .collect(),
        )
    }

    /// Takes note that a map gets plain values of a shape.
    pub(super) fn assign_scalar(&mut self, map: usize, value: &Typed, span: Span) -> Option<()> {
        let info = &mut self.tables.maps[map];
        let name = info.name.clone();
        let Some((held, first)) = &mut info.value else {
            info.value = Some((Value::Scalar(value.shape), span));
            info.unit.add(value.unit, value.shape);
            return Some(());
        };
        let first = *first;
        match held {
            Value::Aggregate(aggregation, _) => {
                let was = super::aggregate::name(aggregation);
                let diagnostic = Diagnostic::error(
                    "E0310",
                    span,
                    format!("`@{name}` gets a plain value here and `{was}()` samples elsewhere"),
                )
                .with_label("a plain value")
                .with_place(first, format!("samples of `{was}()`"))
                .with_help("use two maps");
                self.fail(diagnostic)
            }
            Value::Scalar(shape) => match shape.join(value.shape) {
                Join::Fits(joined) => {
                    *shape = joined;
                    info.unit.add(value.unit, value.shape);
                    Some(())
                }
                Join::Mixed(_) => {
                    self.report(mixed_signs(&format!("@{name}"), span, first, value.shape));
                    Some(())
                }
                Join::Mismatch => {
                    let was = shape.describe();
                    let is = value.shape.describe();
                    let diagnostic = Diagnostic::error(
                        "E0301",
                        value.span(),
                        format!("`@{name}` gets {is} here and {was} elsewhere"),
                    )
                    .with_label(is)
                    .with_place(first, was)
                    .with_help("a map holds values of one type");
                    self.fail(diagnostic)
                }
            },
        }
    }

    /// A map that is used must be assigned somewhere in the script.
    pub(super) fn used_map(&mut self, map: usize, span: Span) -> bool {
        if self.tables.maps[map].value.is_some() {
            return true;
        }
        if !self.complained.contains(&map) {
            self.complained.push(map);
            let name = self.tables.maps[map].name.clone();
            let assigned = self
                .tables
                .maps
                .iter()
                .filter(|other| other.value.is_some());
            let near = crate::diagnostic::suggest::nearest(
                &name,
                assigned.map(|other| other.name.as_str()),
            );
            let diagnostic = Diagnostic::error(
                "E0214",
                span,
                format!("nothing is ever assigned to the map `@{name}`"),
            )
            .with_label("never assigned");
            let help = match near {
                Some(near) => format!("did you mean `@{near}`?"),
                None => "assign it in some probe of the script".into(),
            };
            self.report(diagnostic.with_help(help));
        }
        false
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
        ty: Type::INT,
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
            ty: Type::INT,
        },
    }
}

fn describe_key(parts: usize) -> String {
    match parts {
        0 => "no key".into(),
        1 => "a key of one part".into(),
        n => format!("a key of {n} parts"),
    }
}

/// A place that gets signed and unsigned values.
pub(super) fn mixed_signs(place: &str, span: Span, first: Span, is: Shape) -> Diagnostic {
    let (now, before) = if is.is_signed() {
        ("signed", "unsigned")
    } else {
        ("unsigned", "signed")
    };
    Diagnostic::warning(
        "W0002",
        span,
        format!("`{place}` gets {now} integers here and {before} ones elsewhere"),
    )
    .with_label(format!("{now} value"))
    .with_place(
        first,
        format!("{before} value; it is compared and shown as this"),
    )
    .with_help(format!(
        "cast one of them, e.g. `({}64)..`",
        if is.is_signed() { "uint" } else { "int" }
    ))
}

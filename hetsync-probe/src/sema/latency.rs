//! `latency:` probes: a body that runs on a function's return and also has what was there on its entry.
//!
//! Of each such probe two are made. The one on entry keeps the time and those arguments that the body uses; the one on return takes
//! them out, works out `$elapsed`, and then runs the predicate and the body. What is kept is the thread's own, and a function that
//! calls itself has a frame for each call:
//!
//! ```text
//! latency#N.depth[tid]          calls the thread is in
//! latency#N.start[tid], .argK   of the outermost of them, in maps that can have fronts
//! latency#N.inner[tid, depth]   (start, arguments) of each call in it
//! ```
//!
//! Where a probe has several functions, the function stands before the thread in all keys, as one may call the other. A return
//! without an entry, of a call that had begun before the probe was attached, runs no body; so does one whose entry found a map full,
//! which is counted there.

use super::checker::Checker;
use super::hir::{
    self, BinaryOp, Builtin, Expr, ExprKind, Local, LocalId, MapId, Place, PointKind, Probe, Stmt,
    StmtKind, Type,
};
use super::shape::Shape;
use super::tables::{KeyInfo, Value};
use crate::diagnostic::Diagnostic;
use crate::provider::LATENCY;
use crate::span::Span;
use crate::syntax::ast;

/// Arguments that can be kept.
const ARGS: usize = 10;
/// Names of the variables every such body begins with; those with a `#` are none that a script could write.
const ELAPSED: usize = 0;
const DEPTH: usize = 1;
const NOW: usize = 2;
const START: usize = 3;
const FIRST_ARG: usize = 4;

/// What the body of a latency probe asks for while it is checked.
#[derive(Debug, Clone, Default)]
pub(super) struct Latency {
    /// Numbers of the arguments used.
    args: std::collections::BTreeSet<u8>,
    /// Whether the probe has one function only.
    alone: bool,
}

impl Checker<'_> {
    /// Whether the body being checked is that of a latency probe.
    pub(super) fn is_latency(&self) -> bool {
        self.latency.is_some()
    }

    /// Makes the variables a latency probe begins with, if it is one.
    pub(super) fn begin_latency(&mut self, probe: &ast::Probe, points: usize) {
        self.latency = None;
        let is = |written: &super::points::Written| std::ptr::eq(written.provider, &LATENCY);
        if !self.written.iter().any(is) {
            return;
        }
        if let Some(other) = self.written.iter().find(|written| !is(written)) {
            let other = (other.span, other.provider.name);
            return self.report(
                Diagnostic::error(
                    "E0203",
                    other.0,
                    format!("a `{}` cannot share its body with a `latency`", other.1),
                )
                .with_label("has no latency")
                .with_help("write the body twice, or put it into a macro"),
            );
        }
        let names = ["elapsed", "depth#", "now#", "start#"].map(str::to_owned);
        let args = (0..ARGS).map(|n| format!("arg{n}#"));
        for name in names.into_iter().chain(args) {
            let index = self.declare(&name, probe.span);
            let local = self.local(index);
            (local.shape, local.declared) = (Shape::UNSIGNED, true);
        }
        self.latency = Some(Latency {
            alone: points == 1,
            ..Latency::default()
        });
    }

    /// A built-in as the body gets it: an argument is what was kept of it.
    pub(super) fn builtin_kind(&mut self, builtin: Builtin) -> ExprKind {
        match (builtin, &mut self.latency) {
            (Builtin::Arg(n), Some(latency)) if usize::from(n) < ARGS => {
                latency.args.insert(n);
                ExprKind::Local(LocalId((FIRST_ARG + usize::from(n)) as u32))
            }
            _ => ExprKind::Builtin(builtin),
        }
    }

    /// The probes on return and on entry that a checked body becomes. The one on return comes first, so that it is attached
    /// first: what it meets without an entry it leaves alone.
    pub(super) fn latency_probes(&mut self, body: Probe, wanted: Option<Expr>) -> [Probe; 2] {
        let latency = self.latency.clone().unwrap_or_default();
        let pair = Pair {
            maps: Maps::of(self, &latency, body.span),
            args: latency.args.into_iter().collect(),
            alone: latency.alone,
            span: body.span,
        };
        let entry = pair.entry(&body);
        [pair.exit(body, wanted), entry]
    }

    /// A map of the compiler's own.
    fn own_map(&mut self, name: String, key: Vec<Shape>, value: Shape, span: Span) -> MapId {
        let map = self.tables.map(&name, span);
        let info = &mut self.tables.maps[map];
        info.key = Some(KeyInfo {
            parts: key.into_iter().map(|shape| (shape, span)).collect(),
            span,
        });
        info.value = Some((Value::Scalar(value), span));
        MapId(map as u32)
    }
}

/// What is kept between entry and return.
struct Maps {
    depth: MapId,
    start: MapId,
    args: Vec<MapId>,
    inner: MapId,
}

impl Maps {
    fn of(this: &mut Checker<'_>, latency: &Latency, span: Span) -> Maps {
        let probe = this.probe;
        let mut key = vec![Shape::UNSIGNED];
        if !latency.alone {
            key.insert(0, Shape::Is(Type::Name));
        }
        let mut map = |name: &str, value: Shape, more: &[Shape]| {
            let key = key.iter().chain(more).cloned().collect();
            this.own_map(format!("latency#{probe}.{name}"), key, value, span)
        };
        let args = (latency.args.iter())
            .map(|n| map(&format!("arg{n}"), Shape::UNSIGNED, &[]))
            .collect();
        let frame = vec![Shape::UNSIGNED; 1 + latency.args.len()];
        Maps {
            depth: map("depth", Shape::UNSIGNED, &[]),
            start: map("start", Shape::UNSIGNED, &[]),
            inner: map("inner", Shape::Tuple(frame.into()), &[Shape::UNSIGNED]),
            args,
        }
    }
}

/// The two probes while they are made.
struct Pair {
    maps: Maps,
    args: Vec<u8>,
    alone: bool,
    span: Span,
}

impl Pair {
    /// Keeps the time and the arguments. The clock is read last.
    fn entry(&self, body: &Probe) -> Probe {
        let depth = local(0, self.span);
        let outer = self.args.iter().zip(&self.maps.args);
        let mut outer: Vec<Stmt> = outer
            .map(|(n, map)| self.put(*map, self.key(), self.builtin(Builtin::Arg(*n))))
            .collect();
        outer.push(self.put(self.maps.start, self.key(), self.builtin(Builtin::Nsecs)));
        let args = self.args.iter().map(|n| self.builtin(Builtin::Arg(*n)));
        let frame: Vec<Expr> = std::iter::once(self.builtin(Builtin::Nsecs))
            .chain(args)
            .collect();
        let frame = Expr {
            ty: self.frame(),
            kind: ExprKind::Tuple(frame),
            span: self.span,
        };
        let inner = self.put(self.maps.inner, self.inner_key(depth.clone()), frame);
        let before = self.get(self.maps.depth, self.key(), Type::UINT);
        let deeper = self.binary(BinaryOp::Add, before, self.number(1));
        let is_outer = self.binary(BinaryOp::Eq, depth.clone(), self.number(1));
        let statements = vec![
            self.set(0, deeper),
            self.put(self.maps.depth, self.key(), depth),
            self.choose(is_outer, outer, vec![inner]),
        ];
        let points = body.points.iter().cloned().map(|mut point| {
            if let PointKind::Kretprobe { function } = point.kind {
                point.kind = PointKind::Kprobe {
                    function,
                    offset: 0,
                };
            }
            point
        });
        Probe {
            points: points.collect(),
            predicate: body.predicate.clone(),
            body: statements,
            locals: vec![Local {
                name: "depth#".into(),
                ty: Type::UINT,
            }],
            span: body.span,
        }
    }

    /// Takes what was kept, then does what the script wants. The clock is read first.
    fn exit(&self, mut body: Probe, wanted: Option<Expr>) -> Probe {
        let depth = local(DEPTH, self.span);
        let frame = body.locals.len();
        body.locals.push(Local {
            name: "frame#".into(),
            ty: self.frame(),
        });
        let arg = |n: &u8| FIRST_ARG + usize::from(*n);
        let mut outer = vec![self.set(START, self.get(self.maps.start, self.key(), Type::UINT))];
        let mut inner = vec![
            self.set(
                frame,
                self.get(self.maps.inner, self.inner_key(depth.clone()), self.frame()),
            ),
            self.set(START, self.part(frame, 0)),
        ];
        for (at, (n, map)) in self.args.iter().zip(&self.maps.args).enumerate() {
            outer.push(self.set(arg(n), self.get(*map, self.key(), Type::UINT)));
            outer.push(self.delete(*map, self.key()));
            inner.push(self.set(arg(n), self.part(frame, 1 + at)));
        }
        outer.push(self.delete(self.maps.start, self.key()));
        outer.push(self.delete(self.maps.depth, self.key()));
        let less = self.binary(BinaryOp::Sub, depth.clone(), self.number(1));
        inner.push(self.delete(self.maps.inner, self.inner_key(depth.clone())));
        inner.push(self.put(self.maps.depth, self.key(), less));
        let none = |at: usize| {
            let is = self.binary(BinaryOp::Eq, local(at, self.span), self.number(0));
            self.choose(is, vec![self.stmt(StmtKind::Return(None))], Vec::new())
        };
        let is_outer = self.binary(BinaryOp::Eq, depth, self.number(1));
        let elapsed = self.binary(
            BinaryOp::Sub,
            local(NOW, self.span),
            local(START, self.span),
        );
        let mut statements = vec![
            self.set(NOW, self.builtin(Builtin::Nsecs)),
            self.set(DEPTH, self.get(self.maps.depth, self.key(), Type::UINT)),
            none(DEPTH),
            self.choose(is_outer, outer, inner),
            none(START),
            self.set(ELAPSED, elapsed),
        ];
        match wanted {
            Some(wanted) => statements.push(self.choose(wanted, body.body, Vec::new())),
            None => statements.extend(body.body),
        }
        body.body = statements;
        body
    }

    /// The type of a frame.
    fn frame(&self) -> Type {
        Type::tuple(vec![Type::UINT; 1 + self.args.len()])
    }

    /// The thread, behind the function where there are several.
    fn key(&self) -> Vec<Expr> {
        let mut key = vec![self.builtin(Builtin::Tid)];
        if !self.alone {
            let func = self.builtin(Builtin::Func);
            key.insert(
                0,
                Expr {
                    ty: Type::Name,
                    ..func
                },
            );
        }
        key
    }

    fn inner_key(&self, depth: Expr) -> Vec<Expr> {
        let mut key = self.key();
        key.push(depth);
        key
    }

    fn expr(&self, kind: ExprKind, ty: Type) -> Expr {
        let span = self.span;
        Expr { kind, ty, span }
    }

    fn builtin(&self, builtin: Builtin) -> Expr {
        self.expr(ExprKind::Builtin(builtin), Type::UINT)
    }

    fn number(&self, n: u64) -> Expr {
        self.expr(ExprKind::Int(n), Type::UINT)
    }

    fn get(&self, map: MapId, key: Vec<Expr>, ty: Type) -> Expr {
        self.expr(ExprKind::MapGet { map, key }, ty)
    }

    /// Word `at` of the frame in a variable.
    fn part(&self, frame: usize, at: usize) -> Expr {
        let of = Expr {
            ty: self.frame(),
            ..local(frame, self.span)
        };
        let kind = ExprKind::Part {
            of: Box::new(of),
            offset: 8 * at as u32,
            bytes: 8,
        };
        self.expr(kind, Type::UINT)
    }

    fn binary(&self, op: BinaryOp, lhs: Expr, rhs: Expr) -> Expr {
        let kind = ExprKind::Binary {
            op,
            signed: false,
            lhs: Box::new(lhs),
            rhs: Box::new(rhs),
        };
        self.expr(kind, Type::UINT)
    }

    fn stmt(&self, kind: StmtKind) -> Stmt {
        let span = self.span;
        Stmt { kind, span }
    }

    fn set(&self, at: usize, value: Expr) -> Stmt {
        let place = Place::Local(LocalId(at as u32));
        self.stmt(StmtKind::Assign { place, value })
    }

    fn put(&self, map: MapId, key: Vec<Expr>, value: Expr) -> Stmt {
        let place = Place::Map { map, key };
        self.stmt(StmtKind::Assign { place, value })
    }

    fn delete(&self, map: MapId, key: Vec<Expr>) -> Stmt {
        self.stmt(StmtKind::Delete { map, key })
    }

    fn choose(&self, cond: Expr, then: Vec<Stmt>, otherwise: Vec<Stmt>) -> Stmt {
        self.stmt(StmtKind::If {
            cond,
            then,
            otherwise,
        })
    }
}

fn local(at: usize, span: Span) -> Expr {
    hir::Expr {
        kind: ExprKind::Local(LocalId(at as u32)),
        ty: Type::UINT,
        span,
    }
}

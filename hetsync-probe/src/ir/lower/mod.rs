//! Lowering: one attach point of the checked script to one [`Function`].
//!
//! Statements in order; expressions to values, conditions straight to branches, strings straight to where they end up.
//! What a body asks for twice is fetched once: `pid` and `tid` share a call, `comm` and keys keep
//! their bytes, a scalar read in the predicate is not looked up again in the body.

mod aggregate;
mod bytes;
mod compare;
mod context;
mod each;
mod event;
mod expr;
mod front;
mod functions;
mod keys;
mod loops;
mod maps;
mod mentions;
mod strings;

use super::build::{Builder, Var};
use super::{Address, BlockId, Cond, Function, SlotId, Val, cleanup, verify};
use crate::diagnostic::Diagnostic;
use crate::image::ProgramKind;
use crate::sema::hir::{
    BinaryOp, Expr, ExprKind, LocalId, MapId, Place, Probe, Program, Stmt, StmtKind, UnaryOp,
};

/// What is lowered, and for which kernel.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The script.
    pub program: &'a Program,
    /// Index of the probe.
    pub probe: usize,
    /// Index of its attach point.
    pub point: usize,
    /// How it is attached.
    pub kind: &'a ProgramKind,
    /// Whether the kernel has atomic fetch-and-add (5.12 on).
    pub atomic_fetch: bool,
    /// Whether a program can look at what other CPUs keep in a map (5.19 on).
    pub percpu_lookup: bool,
    /// Whether a program can ask for International Atomic Time (6.1 on).
    pub tai_clock: bool,
    /// Whether a program of fentry or fexit can ask for a socket's number (5.12 on).
    pub socket_cookie: bool,
    /// Whether the kernel can call a function for each entry of a map (5.13 on).
    pub for_each: bool,
    /// Whether probes are stopped by a word that user space sets.
    pub gate: bool,
    /// By map: whether it has a front.
    pub fronts: &'a [bool],
    /// Lists of maps that share a value.
    pub groups: &'a [Vec<MapId>],
    /// Bytes of the function's argument of this number, for fentry and fexit: 1, 2, 4 or 8.
    pub arg_bytes: &'a dyn Fn(u8) -> u8,
    /// Possible CPUs.
    pub cpus: u32,
    /// Keeps integer `$` variables in memory rather than in registers: for bodies with more of them than fit the stack.
    pub locals_in_memory: bool,
}

/// Lowers one attach point: the program, and behind it the bodies of its loops over maps, each of which the kernel calls
/// as a function of its own (module `each`).
///
/// # Errors
///
/// What this kind of attach point cannot give, with its place.
pub fn lower(cx: &Context<'_>) -> Result<Vec<Function>, Vec<Diagnostic>> {
    let mut lowerer = Lowerer::new(cx);
    let probe = lowerer.probe;
    if cx.gate && *cx.kind != ProgramKind::Run {
        lowerer.stop_at_gate();
    }
    lowerer.declare_locals();
    if let Some(predicate) = &probe.predicate {
        let body = lowerer.b.block();
        let done = lowerer.done;
        lowerer.condition(predicate, body, done);
        lowerer.b.start(body);
    }
    lowerer.statements(&probe.body);
    lowerer.b.span = probe.span;
    if !lowerer.b.is_closed() {
        lowerer.b.jump(lowerer.done);
    }
    lowerer.b.start(lowerer.done);
    lowerer.b.exit();
    if !lowerer.errors.is_empty() {
        return Err(lowerer.errors);
    }
    let shared = lowerer.shared.bytes;
    let mut function = finished(lowerer.b);
    function.shared = shared;
    let mut functions = vec![function];
    functions.extend(lowerer.bodies);
    Ok(each::without_uncalled(functions))
}

/// The function that was built, checked and cleaned up.
fn finished(builder: Builder) -> Function {
    let mut function = builder.finish();
    if cfg!(debug_assertions) {
        check(&function);
    }
    cleanup::cleanup(&mut function);
    if cfg!(debug_assertions) {
        check(&function);
    }
    function
}

/// Stops at a broken invariant: a mistake in this compiler, never in a script.
fn check(function: &Function) {
    if let Err(what) = verify::verify(function) {
        panic!("broken IR: {what}\n{function}");
    }
}

/// The state of lowering one attach point.
struct Lowerer<'a> {
    b: Builder,
    cx: &'a Context<'a>,
    probe: &'a Probe,
    /// Where the program ends.
    done: BlockId,
    locals: Vec<LocalPlace>,
    errors: Vec<Diagnostic>,
    /// Keys whose bytes lie in memory, with the block that wrote them.
    keys: Vec<(Vec<keys::KeyPart>, BlockId, SlotId)>,
    /// Places that hold `comm`.
    comms: Vec<(BlockId, SlotId)>,
    /// Scalars read before: map, its count of writes then, key, block, value.
    reads: Vec<(MapId, u32, Vec<keys::KeyPart>, BlockId, Val)>,
    /// Writes to each map lowered so far.
    writes: Vec<u32>,
    /// Maps some probe deletes keys of.
    deleted: Vec<bool>,
    /// The loops around the statement being lowered, innermost last.
    loops: Vec<loops::Around>,
    /// Where variables are that bodies of loops over maps share.
    shared: each::Shared,
    /// Those bodies, finished.
    bodies: Vec<Function>,
}

/// Where a `$` variable lives.
#[derive(Debug, Clone, Copy)]
enum LocalPlace {
    /// A word, in registers.
    Value(Var),
    /// A word, in memory.
    Word(Address),
    /// A value that is bytes.
    Memory(Address),
}

impl<'a> Lowerer<'a> {
    fn new(cx: &'a Context<'a>) -> Self {
        let mut b = Builder::new(cx.program.probes[cx.probe].span);
        let done = b.block();
        Self {
            b,
            cx,
            probe: &cx.program.probes[cx.probe],
            done,
            locals: Vec::new(),
            errors: Vec::new(),
            keys: Vec::new(),
            comms: Vec::new(),
            reads: Vec::new(),
            writes: vec![0; cx.program.maps.len()],
            deleted: maps::deleted(cx.program),
            loops: Vec::new(),
            shared: each::Shared::default(),
            bodies: Vec::new(),
        }
    }

    /// Goes no further once user space has shut the gate: all probes end at one time then, however long detaching takes.
    fn stop_at_gate(&mut self) {
        let gate = self.b.pure(super::Op::MapValue(super::MapRef::Gate, 0));
        let shut = self.b.load(super::Width::D, super::Address::reg(gate));
        let open = self.b.block();
        self.b.branch(Cond::Eq, shut, Val::Imm(0), open, self.done);
        self.b.start(open);
    }

    /// Notes what this attach point cannot give, at the place being lowered.
    fn unavailable(&mut self, message: String) {
        self.errors
            .push(Diagnostic::error("E0608", self.b.span, message));
    }

    /// Gives every `$` variable its place; strings that may be read before they are written start empty.
    fn declare_locals(&mut self) {
        let probe = self.probe;
        self.find_shared();
        for (i, local) in probe.locals.iter().enumerate() {
            let id = LocalId(i as u32);
            let place = match self.shared.owners[i] {
                each::Owner::Program => {
                    let clear = local.ty.is_word() || !mentions::assigned_first(probe, id);
                    self.own_local(id, clear)
                }
                owner => self.foreign_local(id, owner),
            };
            self.locals.push(place);
        }
    }

    /// A place for a variable of the function being built.
    fn own_local(&mut self, id: LocalId, clear: bool) -> LocalPlace {
        let local = &self.probe.locals[id.0 as usize];
        let is_word = local.ty.is_word();
        if is_word && !self.cx.locals_in_memory {
            return LocalPlace::Value(self.b.var(Val::Imm(0)));
        }
        let size = local.ty.size();
        let at = Address::slot(self.b.slot(size, format!("${}", local.name)));
        if clear {
            self.clear_bytes(at, 0, size);
        }
        match is_word {
            true => LocalPlace::Word(at),
            false => LocalPlace::Memory(at),
        }
    }

    fn statements(&mut self, mut statements: &'a [Stmt]) {
        while let Some((statement, others)) = statements.split_first() {
            if self.b.is_closed() {
                return;
            }
            self.b.span = statement.span;
            let samples = self.together(statements);
            if samples > 0 {
                self.aggregate(&statements[..samples]);
                statements = &statements[samples..];
            } else {
                self.statement(statement);
                statements = others;
            }
        }
    }

    fn statement(&mut self, statement: &'a Stmt) {
        match &statement.kind {
            StmtKind::Assign { place, value } => self.assign(place, value),
            StmtKind::Aggregate { .. } => self.aggregate(std::slice::from_ref(statement)),
            StmtKind::If {
                cond,
                then,
                otherwise,
            } => self.if_else(cond, then, otherwise),
            StmtKind::Loop { id, head, body } => self.repeat(*id, head, body),
            StmtKind::Each { map, local, body } => self.each(*map, *local, body),
            StmtKind::Unroll { count, body } => {
                for _ in 0..*count {
                    self.statements(body);
                }
            }
            StmtKind::Break => self.leave(|around| around.exit),
            StmtKind::Continue => self.leave(|around| around.next),
            StmtKind::Return(value) => {
                if let Some(value) = value {
                    self.effect(value);
                }
                self.b.jump(self.done);
            }
            StmtKind::Printf { format, args } => {
                self.event(crate::layout::EventKind::Printf, format.0, args);
            }
            StmtKind::Print { print, args } => {
                self.event(crate::layout::EventKind::Print, print.0, args);
            }
            StmtKind::Clear(map) => self.event(crate::layout::EventKind::Clear, map.0, &[]),
            StmtKind::Zero(map) => self.event(crate::layout::EventKind::Zero, map.0, &[]),
            StmtKind::Delete { map, key } => self.delete(*map, key),
            StmtKind::Exit { code } => {
                self.exit_event(code.as_ref());
                self.b.jump(self.done);
            }
            StmtKind::Expr(expr) => self.effect(expr),
        }
    }

    fn if_else(&mut self, cond: &'a Expr, then: &'a [Stmt], otherwise: &'a [Stmt]) {
        let then_block = self.b.block();
        let else_block = self.b.block();
        let join = self.b.block();
        self.condition(cond, then_block, else_block);
        for (block, statements) in [(then_block, then), (else_block, otherwise)] {
            self.b.start(block);
            self.statements(statements);
            if !self.b.is_closed() {
                self.b.jump(join);
            }
        }
        self.b.start(join);
    }

    fn assign(&mut self, place: &'a Place, value: &'a Expr) {
        match place {
            Place::Local(id) => match self.locals[id.0 as usize] {
                LocalPlace::Memory(at) => self.assign_bytes(*id, at, value),
                _ => {
                    let value = self.value(value);
                    self.set_local(*id, value);
                }
            },
            Place::Map { map, key } => self.assign_map(*map, key, value),
        }
    }

    /// Puts a value that is bytes into a variable.
    fn assign_bytes(&mut self, id: LocalId, to: Address, value: &'a Expr) {
        let ty = &self.probe.locals[id.0 as usize].ty;
        // The old value may be part of the new one; a plain copy of itself needs no care.
        let of_itself =
            value.any(&|part| matches!(part.kind, ExprKind::Local(local) if local == id));
        if !of_itself || matches!(value.kind, ExprKind::Local(_)) {
            return self.write(to, ty, value);
        }
        let aside = self.b.slot(
            ty.size(),
            format!("new ${}", self.probe.locals[id.0 as usize].name),
        );
        self.write(Address::slot(aside), ty, value);
        self.copy(Address::slot(aside), ty.size(), to, ty.size());
    }

    /// The value of a variable that is a word.
    fn local(&mut self, id: LocalId) -> Val {
        match self.locals[id.0 as usize] {
            LocalPlace::Value(var) => self.b.get(var),
            LocalPlace::Word(at) => self.b.load(super::Width::D, at),
            LocalPlace::Memory(_) => unreachable!("bytes where a word is wanted"),
        }
    }

    /// Changes a variable that is a word.
    fn set_local(&mut self, id: LocalId, value: Val) {
        match self.locals[id.0 as usize] {
            LocalPlace::Value(var) => self.b.set_var(var, value),
            LocalPlace::Word(to) => self.b.store(super::Width::D, to, value),
            LocalPlace::Memory(_) => unreachable!("a word where bytes are wanted"),
        }
    }

    /// Evaluates an expression nobody reads.
    fn effect(&mut self, expr: &'a Expr) {
        self.b.span = expr.span;
        match &expr.kind {
            ExprKind::Increment {
                place: Place::Map { map, key },
                delta,
                ..
            } => {
                self.increment_map(*map, key, *delta, None);
            }
            _ if !expr.has_effect() => {}
            _ if expr.ty.is_word() => {
                self.value(expr);
            }
            _ => {
                self.place(expr);
            }
        }
    }

    /// Goes to `then` where the expression is not 0, else to `otherwise`.
    fn condition(&mut self, expr: &'a Expr, then: BlockId, otherwise: BlockId) {
        self.b.span = expr.span;
        match &expr.kind {
            ExprKind::Logical { and, lhs, rhs } => {
                let second = self.b.block();
                if *and {
                    self.condition(lhs, second, otherwise);
                } else {
                    self.condition(lhs, then, second);
                }
                self.b.start(second);
                self.condition(rhs, then, otherwise);
            }
            ExprKind::Unary(UnaryOp::Not, inner) => self.condition(inner, otherwise, then),
            ExprKind::Binary {
                op,
                signed,
                lhs,
                rhs,
            } if expr::comparison(*op, *signed).is_some() => {
                // A scalar compared with 0 is the scalar as a condition.
                let zero = |e: &Expr| matches!(e.kind, ExprKind::Int(0));
                match op {
                    BinaryOp::Ne if zero(rhs) => return self.condition(lhs, then, otherwise),
                    BinaryOp::Eq if zero(rhs) => return self.condition(lhs, otherwise, then),
                    _ => {}
                }
                let l = self.value(lhs);
                let r = self.value(rhs);
                self.b.span = expr.span;
                let cond = expr::comparison(*op, *signed).unwrap_or(Cond::Ne);
                self.b.branch(cond, l, r, then, otherwise);
            }
            ExprKind::Compare { equal, lhs, rhs } => {
                let (same, different) = if *equal {
                    (then, otherwise)
                } else {
                    (otherwise, then)
                };
                self.compare(lhs, rhs, same, different);
            }
            ExprKind::MapGet { map, key } if !key.is_empty() => {
                self.map_condition(*map, key, then, otherwise);
            }
            _ => {
                let value = self.value(expr);
                self.b.branch(Cond::Ne, value, Val::Imm(0), then, otherwise);
            }
        }
    }
}

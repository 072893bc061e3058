//! Loops over maps, whose bodies are functions of their own: the kernel calls one for each entry
//! (`bpf_for_each_map_elem`), with the addresses of key and value and a word from whoever asked for it.
//!
//! ```text
//! program:  link = { context, address of what is shared }    on the stack
//!           for_each_map_elem(map, body1, &link)             returned early? to the end
//! body1:    context and shared from link; $kv = key, value;  ..  0: next entry, 1: stop
//! ```
//!
//! Variables of a body that anything else mentions, or that keep a value from round to round, lie in per-CPU memory
//! ([`MapRef::Shared`]), one entry a program. They could lie on the caller's stack, but up to Linux 6.6 the verifier follows
//! a body once and believes that what it left there is what is there after any number of rounds; of a map's memory it
//! believes nothing.
//!
//! In a body `return` and `exit()` set the first shared word and stop; the caller looks at it and leaves too.

use std::collections::BTreeMap;

use super::super::build::Builder;
use super::super::{Address, Arg, BlockId, Cond, MapRef, Op, SlotId, V, Val, Width};
use super::{LocalPlace, Lowerer, finished, loops, mentions};
use crate::codegen::insn::helper;
use crate::diagnostic::Diagnostic;
use crate::sema::hir::{Expr, ExprKind, Function, LocalId, MapId, MapValue, Stmt, StmtKind, Type};

/// Bytes of the word that says that the program is to end.
const LEFT_BYTES: u32 = 8;
/// Where the link has the context and the address of what is shared.
const LINK_CONTEXT: i32 = 0;
const LINK_SHARED: i32 = 8;
const LINK_BYTES: usize = 16;

/// Which function a variable belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// The program itself.
    Program,
    /// The body of the loop with this variable alone.
    Body(LocalId),
    /// All of them: so many bytes from the start of what is shared.
    Shared(u32),
}

/// What the functions of a program share, and how the one being built reaches it.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// By variable.
    pub(super) owners: Vec<Owner>,
    /// Bytes of the program's entry; 0 where nothing is shared.
    pub(super) bytes: u32,
    /// Its address in the function being built.
    base: Option<V>,
    /// The link's address there.
    link: Option<Arg>,
    /// How many bodies are around what is being built.
    depth: u32,
}

/// What is put aside of the function around a body.
struct Around<'a> {
    b: Builder,
    done: BlockId,
    locals: Vec<LocalPlace>,
    keys: Vec<(Vec<super::keys::KeyPart>, BlockId, SlotId)>,
    comms: Vec<(BlockId, SlotId)>,
    loops: Vec<loops::Around>,
    base: Option<V>,
    link: Option<Arg>,
    body: &'a [Stmt],
}

impl<'a> Lowerer<'a> {
    /// Finds which variables are shared, and at the start of a program with loops over maps gets the memory for them ready.
    pub(super) fn find_shared(&mut self) {
        let probe = self.probe;
        let mut bodies: BTreeMap<LocalId, &[Stmt]> = BTreeMap::new();
        probe.each_stmt(&mut |stmt| {
            if let StmtKind::Each { local, body, .. } = &stmt.kind {
                bodies.insert(*local, body);
            }
        });
        let mut counts = false;
        probe.each_expr(&mut |expr| counts |= is_entries(expr));
        let leaves = bodies.values().any(|body| leaves(body));
        let mut bytes = if leaves { LEFT_BYTES } else { 0 };
        let locals = (0..).map(LocalId).zip(&probe.locals);
        for ((id, local), places) in locals.zip(mentions::places(probe)) {
            let owner = match Vec::from_iter(places)[..] {
                [] | [None] => Owner::Program,
                // A loop's own variable is set at the start of each round; others where the body itself does so.
                [Some(of)] if of == id || mentions::assigned_first_in(bodies[&of], id) => {
                    Owner::Body(of)
                }
                _ => {
                    bytes += local.ty.size() as u32;
                    Owner::Shared(bytes - local.ty.size() as u32)
                }
            };
            self.shared.owners.push(owner);
        }
        if bodies.is_empty() && !counts {
            return;
        }
        self.shared.bytes = bytes;
        if bytes > 0 {
            self.reach_shared(bytes);
        }
        let link = self.b.stack_slot(LINK_BYTES, "what loops over maps share");
        let at = Address::slot(link);
        let context = Val::Reg(self.b.context());
        self.b.store(Width::D, at.plus(LINK_CONTEXT), context);
        let base = self.shared.base.map_or(Val::Imm(0), Val::Reg);
        self.b.store(Width::D, at.plus(LINK_SHARED), base);
        self.shared.link = Some(Arg::Slot(link, 0));
    }

    /// Looks the program's shared memory up and clears it: what an earlier run left is still in it.
    fn reach_shared(&mut self, bytes: u32) {
        let earlier = self.cx.program.probes[..self.cx.probe].iter();
        let before: usize = earlier.map(|probe| probe.points.len()).sum();
        let index = (before + self.cx.point) as u32;
        let slot = self.index(index, "index of what is shared");
        let found = self.lookup(MapRef::Shared, Arg::Slot(slot, 0));
        let have = self.b.block();
        self.b
            .branch(Cond::Ne, Val::Reg(found), Val::Imm(0), have, self.done);
        self.b.start(have);
        self.clear_bytes(Address::reg(found), 0, bytes as usize);
        self.shared.base = Some(found);
    }

    /// The place of a variable that is shared, or of another function and not mentioned in this one.
    pub(super) fn foreign_local(&mut self, id: LocalId, owner: Owner) -> LocalPlace {
        let is_word = self.probe.locals[id.0 as usize].ty.is_word();
        let offset = match owner {
            Owner::Shared(offset) => offset,
            _ => 0,
        };
        let base = self.shared.base.unwrap_or(self.b.context());
        let at = Address::reg(base).plus(offset as i32);
        match is_word {
            true => LocalPlace::Word(at),
            false => LocalPlace::Memory(at),
        }
    }

    /// `for $kv : @m { .. }`.
    pub(super) fn each(&mut self, map: MapId, local: LocalId, body: &'a [Stmt]) {
        if !self.can_go_over() {
            return;
        }
        let around = self.enter_body(local, body);
        self.entry(map, local);
        self.statements(body);
        let index = self.leave_body(around);
        self.go_over(map, index, body);
    }

    /// How many keys a map has: the kernel counts those it calls a body for, which does nothing.
    pub(super) fn entries(&mut self, map: MapId) -> Val {
        if !self.can_go_over() {
            return Val::Imm(0);
        }
        // Of no loop: there is no such variable.
        let around = self.enter_body(LocalId(u32::MAX), &[]);
        let index = self.leave_body(around);
        let args = self.call_args(map, index);
        Val::Reg(self.b.call(helper::FOR_EACH_MAP_ELEM, args))
    }

    fn can_go_over(&mut self) -> bool {
        if !self.cx.for_each {
            let message = "a program can go over a map's entries from Linux 5.13 on: this kernel has no `bpf_for_each_map_elem`";
            self.errors.push(
                Diagnostic::error("E0608", self.b.span, message)
                    .with_label("not on this kernel")
                    .with_help("`print(@map)` shows all entries; they are also printed when the script ends"),
            );
        }
        self.cx.for_each
    }

    /// Starts a function for a body.
    fn enter_body(&mut self, local: LocalId, body: &'a [Stmt]) -> Around<'a> {
        let inside = Builder::new(self.b.span);
        let b = std::mem::replace(&mut self.b, inside);
        let done = std::mem::replace(&mut self.done, BlockId(0));
        let around = Around {
            b,
            done,
            locals: std::mem::take(&mut self.locals),
            keys: std::mem::take(&mut self.keys),
            comms: std::mem::take(&mut self.comms),
            loops: std::mem::take(&mut self.loops),
            base: self.shared.base,
            link: self.shared.link,
            body,
        };
        self.reads.clear();
        self.shared.depth += 1;
        let link = self.b.context();
        self.shared.link = Some(Arg::Reg(link, 0));
        let from_link = |this: &mut Self, at| {
            this.b
                .value(Op::Load(Width::D, Address::reg(link).plus(at)))
        };
        let context = from_link(self, LINK_CONTEXT);
        self.b.set_context(context);
        if self.shared.base.is_some() {
            self.shared.base = Some(from_link(self, LINK_SHARED));
        }
        self.done = self.b.block();
        let (next, exit) = (self.b.block(), self.b.block());
        self.loops.push(loops::Around { next, exit });
        for id in (0..self.probe.locals.len() as u32).map(LocalId) {
            let place = match self.shared.owners[id.0 as usize] {
                Owner::Body(of) if of == local => {
                    let is_word = self.probe.locals[id.0 as usize].ty.is_word();
                    self.own_local(id, is_word)
                }
                owner => self.foreign_local(id, owner),
            };
            self.locals.push(place);
        }
        around
    }

    /// The variable of a round: what the entry is.
    fn entry(&mut self, map: MapId, local: LocalId) {
        let definition = self.map(map);
        let (from_key, from_value) = (definition.key_type(), &definition.value);
        let Type::Tuple(types) = &self.probe.locals[local.0 as usize].ty else {
            unreachable!("an entry is a tuple");
        };
        let LocalPlace::Memory(to) = self.locals[local.0 as usize] else {
            unreachable!("a tuple lies in memory");
        };
        let key = self.b.value(Op::Entry { key: true });
        self.copy_value(Address::reg(key), &from_key, to, &types[0]);
        let to = to.plus(types[0].size() as i32);
        match from_value {
            MapValue::Scalar(ty) => {
                let value = self.b.value(Op::Entry { key: false });
                self.copy_value(Address::reg(value), ty, to, &types[1]);
            }
            MapValue::Aggregate(_) => {
                let value = self.statistic_at(map, Arg::Reg(key, 0));
                self.b.store(Width::D, to, value);
            }
        }
    }

    /// Ends a body's function and goes on with the one around it; the body's index among the program's functions.
    fn leave_body(&mut self, around: Around<'a>) -> u32 {
        let Some(loops::Around { next, exit }) = self.loops.pop() else {
            unreachable!("a body is a loop");
        };
        if !self.b.is_closed() {
            self.b.jump(next);
        }
        let left = self.done;
        self.b.start(left);
        if let Some(base) = self.shared.base
            && leaves(around.body)
        {
            self.b.store(Width::D, Address::reg(base), Val::Imm(1));
        }
        self.b.jump(exit);
        self.b.start(exit);
        self.b.push(Op::Stop);
        self.b.jump(next);
        self.b.start(next);
        self.b.exit();
        self.done = around.done;
        self.b.set_depth(self.shared.depth);
        let function = finished(std::mem::replace(&mut self.b, around.b));
        self.bodies.push(function);
        self.locals = around.locals;
        self.keys = around.keys;
        self.comms = around.comms;
        self.loops = around.loops;
        self.shared.base = around.base;
        self.shared.link = around.link;
        self.shared.depth -= 1;
        // The body may have changed what was read before.
        self.reads.clear();
        self.bodies.len() as u32
    }

    fn call_args(&self, map: MapId, index: u32) -> Vec<Arg> {
        let link = self.shared.link.unwrap_or(Arg::Imm(0));
        let map = Arg::Map(MapRef::Script(map));
        vec![map, Arg::Function(index), link, Arg::Imm(0)]
    }

    /// Has the kernel call a body, and leaves if that did.
    fn go_over(&mut self, map: MapId, index: u32, body: &'a [Stmt]) {
        let args = self.call_args(map, index);
        self.b.call_only(helper::FOR_EACH_MAP_ELEM, args);
        if let Some(base) = self.shared.base
            && leaves(body)
        {
            let left = self.b.load(Width::D, Address::reg(base));
            let on = self.b.block();
            self.b.branch(Cond::Eq, left, Val::Imm(0), on, self.done);
            self.b.start(on);
        }
    }
}

/// Whether a body may end the program.
fn leaves(body: &[Stmt]) -> bool {
    let mut found = false;
    for stmt in body {
        stmt.each(&mut |stmt| {
            found |= matches!(stmt.kind, StmtKind::Return(_) | StmtKind::Exit { .. });
        });
    }
    found
}

fn is_entries(expr: &Expr) -> bool {
    matches!(
        expr.kind,
        ExprKind::Call {
            function: Function::Entries(_),
            ..
        }
    )
}

/// Leaves out the bodies that nothing calls any more, as what called them is never reached: the kernel wants to see a call of each
/// function it is told of.
pub(super) fn without_uncalled(mut functions: Vec<super::Function>) -> Vec<super::Function> {
    let mut called = vec![false; functions.len()];
    called[0] = true;
    // A body stands before those that call it, but for the program itself, which is the first.
    for at in std::iter::once(0).chain((1..functions.len()).rev()) {
        if called[at] {
            each_call(&mut functions[at], |index| called[*index as usize] = true);
        }
    }
    let numbers = called.iter().scan(0, |next, called| {
        let number = *next;
        *next += u32::from(*called);
        Some(number)
    });
    let numbers: Vec<u32> = numbers.collect();
    let kept = functions
        .into_iter()
        .zip(called)
        .filter(|(_, called)| *called);
    let mut kept: Vec<super::Function> = kept.map(|(function, _)| function).collect();
    for function in &mut kept {
        each_call(function, |index| *index = numbers[*index as usize]);
    }
    kept
}

/// Calls `f` with the number of each body that a function has called.
fn each_call(function: &mut super::Function, mut f: impl FnMut(&mut u32)) {
    for inst in function
        .blocks
        .iter_mut()
        .flat_map(|block| &mut block.insts)
    {
        if let Op::Call(_, args) = &mut inst.op {
            for arg in args {
                if let Arg::Function(index) = arg {
                    f(index);
                }
            }
        }
    }
}

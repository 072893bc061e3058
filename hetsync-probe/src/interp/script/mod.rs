//! The meaning of a checked script: runs probe bodies by walking [`crate::sema::hir`].
//!
//! It is the reference for the compiler, so it is plain and slow, and shares nothing with `ir` and `codegen`
//! but the layouts. It trusts what `sema` promises of a program (numbers in range, types that fit);
//! a program that breaks those promises may panic here.

mod functions;
mod ops;
mod store;
mod value;

pub use ops::{binary, unary};
pub use store::Store;
pub use value::Value;

use super::{Contents, Firing, Memory, World};
use crate::layout::{self, EventKind};
use crate::sema::hir::{
    AttachPoint, Builtin, Expr, ExprKind, LocalId, LoopHead, LoopId, MapId, NameId, Place, Probe,
    Program, Space, Stmt, StmtKind, Type,
};
use std::ops::ControlFlow;

/// Rounds after which a loop without a limit of its own is cut here: the compiler cuts it much earlier.
const LOOP_ROUNDS: u32 = 1 << 20;

/// Fires each of `firings` in order on empty maps and returns what is left behind.
pub fn run(program: &Program, world: &mut World, firings: &[Firing]) -> Contents {
    let mut store = Store::new(program, world);
    for firing in firings {
        fire(program, world, &mut store, firing);
    }
    store.contents().clone()
}

/// Fires one attach point.
pub fn fire(program: &Program, world: &mut World, store: &mut Store, firing: &Firing) {
    let probe = &program.probes[firing.point.0];
    let mut body = Body {
        program,
        point: &probe.points[firing.point.1],
        locals: probe.locals.iter().map(|l| Value::zero(&l.ty)).collect(),
        probe,
        world,
        store,
        firing,
    };
    let wanted = match &probe.predicate {
        Some(predicate) => body.truth(predicate),
        None => true,
    };
    if wanted {
        // Whether the body ended early matters to nobody.
        let _ = body.block(&probe.body);
    }
}

/// Where the record of a tracepoint lies.
const RECORD_ADDRESS: u64 = 0xffff_c900_0000_0000;

/// Why a statement is not followed by the next one.
enum Leave {
    /// `break`.
    Loop,
    /// `continue`.
    Round,
    /// `return` or `exit()`.
    Body,
}

/// One body while it runs.
struct Body<'a> {
    program: &'a Program,
    probe: &'a Probe,
    point: &'a AttachPoint,
    world: &'a mut World,
    store: &'a mut Store,
    firing: &'a Firing,
    locals: Vec<Value>,
}

impl Body<'_> {
    fn block(&mut self, stmts: &[Stmt]) -> ControlFlow<Leave> {
        stmts.iter().try_for_each(|stmt| self.stmt(stmt))
    }

    /// A loop: `round` readies each round and says whether there is one.
    fn repeat(
        &mut self,
        id: LoopId,
        body: &[Stmt],
        mut round: impl FnMut(&mut Self, u64) -> bool,
    ) -> ControlFlow<Leave> {
        for count in 0.. {
            let most = self.program.loops[id.0 as usize].most;
            if count >= u64::from(most.unwrap_or(LOOP_ROUNDS)) {
                self.store.cut(id);
                break;
            }
            if !round(self, count) {
                break;
            }
            match self.block(body) {
                ControlFlow::Break(Leave::Loop) => break,
                ControlFlow::Break(Leave::Body) => return ControlFlow::Break(Leave::Body),
                ControlFlow::Break(Leave::Round) | ControlFlow::Continue(()) => {}
            }
        }
        ControlFlow::Continue(())
    }

    /// A loop over a map: those of the keys there were at its start that are still there when their turn comes.
    fn each(&mut self, map: MapId, local: LocalId, body: &[Stmt]) -> ControlFlow<Leave> {
        let keys: Vec<Vec<u8>> = self.store.contents().map(map).keys().cloned().collect();
        for key in keys {
            let Some(entry) = self.store.entry(map, &key) else {
                continue;
            };
            let index = local.0 as usize;
            self.locals[index] = entry.fit(&self.probe.locals[index].ty);
            match self.block(body) {
                ControlFlow::Break(Leave::Loop) => break,
                ControlFlow::Break(Leave::Body) => return ControlFlow::Break(Leave::Body),
                ControlFlow::Break(Leave::Round) | ControlFlow::Continue(()) => {}
            }
        }
        ControlFlow::Continue(())
    }

    fn stmt(&mut self, stmt: &Stmt) -> ControlFlow<Leave> {
        match &stmt.kind {
            StmtKind::Assign { place, value } => match place {
                Place::Local(local) => {
                    let value = self.eval(value);
                    let index = local.0 as usize;
                    self.locals[index] = value.fit(&self.probe.locals[index].ty);
                }
                Place::Map { map, key } => {
                    let key = self.key(*map, key);
                    let value = self.eval(value);
                    self.store.set(*map, key, value);
                }
            },
            StmtKind::Aggregate { map, key, sample } => {
                let key = self.key(*map, key);
                let sample = sample.as_ref().map_or(0, |sample| self.bits(sample));
                self.store.record(*map, key, self.firing.cpu, sample);
            }
            StmtKind::If {
                cond,
                then,
                otherwise,
            } => {
                let taken = if self.truth(cond) { then } else { otherwise };
                return self.block(taken);
            }
            StmtKind::Loop { id, head, body } => match head {
                LoopHead::While(cond) => {
                    return self.repeat(*id, body, |this, _| this.truth(cond));
                }
                LoopHead::Range { local, start, end } => {
                    let start = self.bits(start) as i64;
                    let end = self.bits(end) as i64;
                    return self.repeat(*id, body, |this, count| {
                        let value = start.wrapping_add(count as i64);
                        let more = value < end;
                        if more {
                            this.locals[local.0 as usize] = Value::Int(value as u64);
                        }
                        more
                    });
                }
            },
            StmtKind::Each { map, local, body } => return self.each(*map, *local, body),
            StmtKind::Unroll { count, body } => {
                for _ in 0..*count {
                    self.block(body)?;
                }
            }
            StmtKind::Break => return ControlFlow::Break(Leave::Loop),
            StmtKind::Continue => return ControlFlow::Break(Leave::Round),
            StmtKind::Return(value) => {
                if let Some(value) = value {
                    self.eval(value);
                }
                return ControlFlow::Break(Leave::Body);
            }
            StmtKind::Printf { format, args } => {
                let types = &self.program.formats[format.0 as usize].args;
                self.event(EventKind::Printf, format.0, args, types);
            }
            StmtKind::Print { print, args } => {
                let types: Vec<Type> = args.iter().map(|arg| arg.ty.clone()).collect();
                self.event(EventKind::Print, print.0, args, &types);
            }
            StmtKind::Clear(map) => self.event(EventKind::Clear, map.0, &[], &[]),
            StmtKind::Zero(map) => self.event(EventKind::Zero, map.0, &[], &[]),
            StmtKind::Delete { map, key } => {
                let key = self.key(*map, key);
                self.store.delete(*map, &key, self.firing.cpu);
            }
            StmtKind::Exit { code } => {
                let bits = code.as_ref().map_or(0, |code| self.bits(code));
                let mut record = header(EventKind::Exit, 0);
                Value::Int(bits).write(&Type::INT, &mut record);
                self.store.event(self.firing.point.0, record);
                return ControlFlow::Break(Leave::Body);
            }
            StmtKind::Expr(expr) => {
                self.eval(expr);
            }
        }
        ControlFlow::Continue(())
    }

    fn event(&mut self, kind: EventKind, id: u32, args: &[Expr], types: &[Type]) {
        let mut record = header(kind, id);
        for (arg, ty) in args.iter().zip(types) {
            self.eval(arg).write(ty, &mut record);
        }
        self.store.event(self.firing.point.0, record);
    }

    fn key(&mut self, map: MapId, parts: &[Expr]) -> Vec<u8> {
        let parts = parts.iter().map(|part| self.eval(part)).collect();
        self.store.key(map, parts)
    }

    fn bits(&mut self, expr: &Expr) -> u64 {
        self.eval(expr).bits()
    }

    fn truth(&mut self, expr: &Expr) -> bool {
        self.bits(expr) != 0
    }

    fn eval(&mut self, expr: &Expr) -> Value {
        match &expr.kind {
            ExprKind::Int(bits) => Value::Int(*bits),
            ExprKind::Str(text) => Value::Str(text.clone()),
            ExprKind::Builtin(builtin) => self.builtin(*builtin),
            ExprKind::Local(local) => self.locals[local.0 as usize].clone(),
            ExprKind::MapGet { map, key } => {
                let key = self.key(*map, key);
                self.store.get(*map, &key)
            }
            ExprKind::Statistic { map, key } => {
                let key = self.key(*map, key);
                self.store.statistic(*map, &key)
            }
            ExprKind::Unary(op, operand) => Value::Int(unary(*op, self.bits(operand))),
            ExprKind::Binary {
                op,
                signed,
                lhs,
                rhs,
            } => {
                let left = self.bits(lhs);
                let right = self.bits(rhs);
                Value::Int(binary(*op, *signed, left, right))
            }
            ExprKind::Compare { equal, lhs, rhs } => {
                let left = self.comparable(lhs);
                let right = self.comparable(rhs);
                Value::Int(u64::from((left == right) == *equal))
            }
            ExprKind::Tuple(parts) => {
                Value::Tuple(parts.iter().map(|part| self.eval(part)).collect()).fit(&expr.ty)
            }
            ExprKind::Part { of, offset, bytes } => {
                let whole = self.eval(of);
                whole.part(&of.ty, *offset as usize, *bytes as usize, &expr.ty)
            }
            ExprKind::Read {
                address,
                bytes,
                space,
            } => {
                let address = self.bits(address);
                self.memory(address, *bytes as usize, *space, &expr.ty)
            }
            ExprKind::Context { offset, bytes } => {
                let address = RECORD_ADDRESS + u64::from(*offset);
                self.memory(address, *bytes as usize, Space::Kernel, &expr.ty)
            }
            ExprKind::Call { function, args } => self.call(function, args, &expr.ty),
            ExprKind::Cast(of) => Value::Int(cast(self.bits(of), &expr.ty)),
            ExprKind::Logical { and, lhs, rhs } => {
                let decided = self.truth(lhs) != *and;
                let value = if decided { !*and } else { self.truth(rhs) };
                Value::Int(u64::from(value))
            }
            ExprKind::Ternary {
                cond,
                then,
                otherwise,
            } => {
                let taken = if self.truth(cond) { then } else { otherwise };
                self.eval(taken).fit(&expr.ty)
            }
            ExprKind::Increment {
                place,
                delta,
                postfix,
            } => self.increment(place, *delta, *postfix),
            ExprKind::Block { body, value } => {
                // None of its statements leaves it.
                let _ = self.block(body);
                self.eval(value)
            }
        }
    }

    /// A value as it is compared: a name as the string it stands for.
    fn comparable(&mut self, expr: &Expr) -> Value {
        match self.eval(expr) {
            Value::Int(name) if expr.ty == Type::Name => Value::Str(
                usize::try_from(name)
                    .ok()
                    .and_then(|name| self.program.names.get(name))
                    .map_or_else(Vec::new, |name| name.clone().into_bytes()),
            ),
            value => value,
        }
    }

    /// What lies at an address; zeros where it cannot be read.
    fn memory(&mut self, address: u64, bytes: usize, space: Space, ty: &Type) -> Value {
        let record = Memory::of(RECORD_ADDRESS, &self.firing.record);
        let in_record = space == Space::Kernel && address >> 32 == RECORD_ADDRESS >> 32;
        let memory = match in_record {
            true => &record,
            false => self.world.memory(space),
        };
        let found = match ty {
            Type::Str { .. } => memory.read_text(address, bytes),
            _ => memory.read(address, bytes),
        };
        Value::read(ty, &found.unwrap_or_else(|| vec![0; bytes]))
    }

    fn increment(&mut self, place: &Place, delta: i64, postfix: bool) -> Value {
        let before = match place {
            Place::Local(local) => {
                let slot = &mut self.locals[local.0 as usize];
                let before = slot.bits();
                *slot = Value::Int(before.wrapping_add_signed(delta));
                before
            }
            Place::Map { map, key } => {
                let key = self.key(*map, key);
                let before = self.store.get(*map, &key).bits();
                let after = Value::Int(before.wrapping_add_signed(delta));
                self.store.set(*map, key, after);
                before
            }
        };
        Value::Int(if postfix {
            before
        } else {
            before.wrapping_add_signed(delta)
        })
    }

    fn builtin(&mut self, builtin: Builtin) -> Value {
        let name = |NameId(id): NameId| u64::from(id);
        Value::Int(match builtin {
            Builtin::Pid => self.firing.pid.into(),
            Builtin::Tid => self.firing.tid.into(),
            Builtin::Comm => return Value::Str(self.firing.comm_bytes().to_vec()),
            Builtin::Nsecs => self.world.read_clock_ns(),
            Builtin::Elapsed => {
                let start_ns = self.world.start_ns;
                self.world.read_clock_ns().wrapping_sub(start_ns)
            }
            Builtin::Cpu => self.firing.cpu.into(),
            Builtin::Curtask => self.firing.task,
            Builtin::Context => RECORD_ADDRESS,
            Builtin::Arg(n) => self.firing.args[n as usize],
            Builtin::Retval => self.firing.retval,
            Builtin::Uid => self.firing.uid.into(),
            Builtin::Gid => self.firing.gid.into(),
            Builtin::Cgroup => self.firing.cgroup,
            Builtin::Rand => self.firing.random.into(),
            Builtin::Ncpus => self.world.cpus as u64,
            Builtin::Jiffies => self.firing.jiffies,
            Builtin::Numaid => self.firing.numa_node.into(),
            Builtin::Monotonic | Builtin::Tai => self.world.read_clock_ns(),
            Builtin::Register(offset) => {
                let at = usize::from(offset) / 8;
                self.firing.registers().get(at).copied().unwrap_or(0)
            }
            Builtin::Func => name(self.point.func_name),
            Builtin::Probe => name(self.point.probe_name),
        })
    }
}

/// A word made a value of a type that is one.
fn cast(bits: u64, ty: &Type) -> u64 {
    match ty {
        Type::Bool => u64::from(bits != 0),
        ty => layout::extend(bits, ty.memory_size(), ty.is_signed()),
    }
}

/// The first 8 bytes of an event record.
fn header(kind: EventKind, id: u32) -> Vec<u8> {
    let mut record = (kind as u32).to_le_bytes().to_vec();
    record.extend_from_slice(&id.to_le_bytes());
    record
}

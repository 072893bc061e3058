//! Linear scan over ranges with holes: values in order of definition, each to a register free
//! over all its ranges; where there is none, the one cheapest to do without is spilled everywhere and the scan starts over.

use std::collections::{BTreeMap, BTreeSet};

use super::live::{LATE, Live, WRITE};
use super::shape::{Shape, shape};
use super::{FIRST_SAVED, Loc, Pool, REGISTERS, TooFewRegisters};
use crate::ir::{Alu, Block, Function, Inst, Op, Slot, SlotId, Term, V, Val};

/// The function being allocated: the original with reloads and spills added.
pub(super) struct Work {
    pub(super) function: Function,
    /// Registers that live in memory.
    spilled: BTreeMap<V, SlotId>,
    /// Registers that exist only around one instruction.
    tiny: BTreeSet<V>,
    /// Temporaries of each instruction, by block.
    temps: Vec<Vec<Vec<V>>>,
}

/// What a scan found.
pub(super) enum Outcome {
    /// A register for each virtual register.
    Done(Vec<Option<u8>>),
    /// These have to live in memory.
    Spill(Vec<V>),
}

impl Work {
    pub(super) fn new(function: &Function) -> Self {
        let mut work = Self {
            function: function.clone(),
            spilled: BTreeMap::new(),
            tiny: BTreeSet::new(),
            temps: Vec::new(),
        };
        for b in 0..work.function.blocks.len() {
            let counts: Vec<usize> = (work.function.blocks[b].insts.iter())
                .map(|inst| shape(&inst.op).temps)
                .collect();
            let temps = counts
                .into_iter()
                .map(|n| (0..n).map(|_| work.fresh_tiny()).collect())
                .collect();
            work.temps.push(temps);
        }
        work
    }

    fn fresh_tiny(&mut self) -> V {
        let v = self.function.fresh();
        self.tiny.insert(v);
        v
    }

    pub(super) fn is_spilled(&self, v: V) -> bool {
        self.spilled.contains_key(&v)
    }

    pub(super) fn spill_slot(&self, v: V) -> Option<SlotId> {
        self.spilled.get(&v).copied()
    }

    pub(super) fn temps(&self, block: usize, inst: usize) -> &[V] {
        &self.temps[block][inst]
    }

    /// Puts registers into memory: stored after their definition, reloaded before each use. Parameters,
    /// arguments of jumps and of calls stay as they are: their moves read and write the slot themselves.
    pub(super) fn spill(&mut self, victims: &[V]) {
        for &v in victims {
            self.function.slots.push(Slot {
                size: 8,
                what: "a spilled value".into(),
                on_stack: true,
            });
            let slot = SlotId(self.function.slots.len() as u32 - 1);
            self.spilled.insert(v, slot);
        }
        let mut blocks = std::mem::take(&mut self.function.blocks);
        for (b, block) in blocks.iter_mut().enumerate() {
            self.spill_block(b, block);
        }
        self.function.blocks = blocks;
    }

    fn spill_block(&mut self, b: usize, block: &mut Block) {
        let old_temps = std::mem::take(&mut self.temps[b]);
        let mut insts = Vec::with_capacity(block.insts.len());
        let mut temps = Vec::with_capacity(block.insts.len());
        for (mut inst, inst_temps) in std::mem::take(&mut block.insts).into_iter().zip(old_temps) {
            let span = inst.span;
            let mut added: Vec<Inst> = Vec::new();
            if !matches!(inst.op, Op::Call(..)) {
                inst.op.uses_mut(|v| *v = self.reload(*v, span, &mut added));
            }
            let store = inst.dst.and_then(|dst| {
                let slot = self.spill_slot(dst)?;
                let tiny = self.fresh_tiny();
                inst.dst = Some(tiny);
                Some(Inst {
                    dst: None,
                    op: Op::Spill(slot, tiny),
                    span,
                })
            });
            temps.extend(added.iter().map(|_| Vec::new()));
            insts.extend(added);
            insts.push(inst);
            temps.push(inst_temps);
            if let Some(store) = store {
                insts.push(store);
                temps.push(Vec::new());
            }
        }
        if let Term::Branch { .. } = block.term {
            let mut added: Vec<Inst> = Vec::new();
            let span = block.span;
            block
                .term
                .uses_mut(|v| *v = self.reload(*v, span, &mut added));
            temps.extend(added.iter().map(|_| Vec::new()));
            insts.extend(added);
        }
        block.insts = insts;
        self.temps[b] = temps;
    }

    /// The register to read instead of `v` in the next instruction.
    fn reload(&mut self, v: V, span: crate::span::Span, added: &mut Vec<Inst>) -> V {
        let Some(slot) = self.spill_slot(v) else {
            return v;
        };
        let known = added.iter().find(|inst| inst.op == Op::Reload(slot));
        if let Some(dst) = known.and_then(|inst| inst.dst) {
            return dst;
        }
        let tiny = self.fresh_tiny();
        added.push(Inst {
            dst: Some(tiny),
            op: Op::Reload(slot),
            span,
        });
        tiny
    }
}

/// Who holds a register when: by start, the end and the holder (none for a call).
type Taken = BTreeMap<u32, (u32, Option<V>)>;

/// Tries to give every register a place.
pub(super) fn scan(work: &Work, live: &Live, pool: &Pool) -> Result<Outcome, TooFewRegisters> {
    let mut taken: Vec<Taken> = vec![Taken::new(); usize::from(REGISTERS)];
    for register in taken.iter_mut().take(usize::from(FIRST_SAVED)) {
        for &call in &live.calls {
            register.insert(call + WRITE, (call + LATE, None));
        }
    }
    let hints = hints(work);
    let mut places: Vec<Option<u8>> = vec![None; live.ranges.len()];
    let mut victims = BTreeSet::new();
    let mut order: Vec<V> = (0..live.ranges.len() as u32)
        .map(V)
        .filter(|v| !live.ranges[v.0 as usize].is_empty())
        .collect();
    order.sort_by_key(|v| (live.ranges[v.0 as usize][0].0, v.0));
    for v in order {
        let ranges = &live.ranges[v.0 as usize];
        let wanted = hints[v.0 as usize].iter().filter_map(|hint| match hint {
            Hint::Register(r) => Some(*r),
            Hint::Like(other) => places[other.0 as usize],
        });
        let free = wanted
            .chain(0..REGISTERS)
            .filter(|r| pool.allowed[usize::from(*r)])
            .find(|r| conflicts(&taken[usize::from(*r)], ranges).is_empty());
        let register = match free {
            Some(register) => register,
            None => match make_room(work, live, pool, &taken, v) {
                Room::None => return Err(TooFewRegisters),
                Room::Itself => {
                    victims.insert(v);
                    continue;
                }
                Room::Evict(register, holders) => {
                    for holder in holders {
                        victims.insert(holder);
                        places[holder.0 as usize] = None;
                        taken[usize::from(register)].retain(|_, (_, by)| *by != Some(holder));
                    }
                    register
                }
            },
        };
        places[v.0 as usize] = Some(register);
        for &(start, end) in ranges {
            taken[usize::from(register)].insert(start, (end, Some(v)));
        }
    }
    if victims.is_empty() {
        Ok(Outcome::Done(places))
    } else {
        Ok(Outcome::Spill(victims.into_iter().collect()))
    }
}

/// Who holds a register during any of the ranges.
fn conflicts(taken: &Taken, ranges: &[(u32, u32)]) -> Vec<Option<V>> {
    let mut found = Vec::new();
    for &(start, end) in ranges {
        // Holders do not overlap, so going back from `end` their ends only get smaller.
        for (_, &(taken_end, by)) in taken.range(..end).rev() {
            if taken_end <= start {
                break;
            }
            if !found.contains(&by) {
                found.push(by);
            }
        }
    }
    found
}

enum Room {
    None,
    Itself,
    Evict(u8, Vec<V>),
}

/// Finds the register whose holders are cheapest to spill, or finds `v` itself cheaper.
fn make_room(work: &Work, live: &Live, pool: &Pool, taken: &[Taken], v: V) -> Room {
    // Uses per length: long ranges with few uses go first.
    let cost = |v: V| {
        let length: u32 = live.ranges[v.0 as usize].iter().map(|(s, e)| e - s).sum();
        u64::from(live.weight[v.0 as usize]) * 1_000_000 / u64::from(length.max(1))
    };
    let mut best: Option<(u64, u8, Vec<V>)> = None;
    for register in (0..REGISTERS).filter(|r| pool.allowed[usize::from(*r)]) {
        let holders = conflicts(&taken[usize::from(register)], &live.ranges[v.0 as usize]);
        let holders: Option<Vec<V>> = holders
            .into_iter()
            .map(|by| by.filter(|by| !work.tiny.contains(by)))
            .collect();
        let Some(holders) = holders else { continue };
        let sum = holders.iter().map(|&by| cost(by)).sum();
        if best.as_ref().is_none_or(|(least, ..)| sum < *least) {
            best = Some((sum, register, holders));
        }
    }
    match best {
        Some((sum, register, holders)) if work.tiny.contains(&v) || sum < cost(v) => {
            Room::Evict(register, holders)
        }
        _ if work.tiny.contains(&v) => Room::None,
        _ => Room::Itself,
    }
}

/// A register that would spare a move.
#[derive(Clone, Copy)]
enum Hint {
    Register(u8),
    Like(V),
}

fn hints(work: &Work) -> Vec<Vec<Hint>> {
    let function = &work.function;
    let mut hints: Vec<Vec<Hint>> = vec![Vec::new(); function.registers as usize];
    for (b, block) in function.blocks.iter().enumerate() {
        for (i, inst) in block.insts.iter().enumerate() {
            let Shape { uses, result, .. } = shape(&inst.op);
            if let (Some(dst), Some(result)) = (inst.dst, result) {
                hints[dst.0 as usize].push(Hint::Register(result));
            }
            for operand in &uses {
                if let Some(fixed) = operand.fixed {
                    hints[operand.v.0 as usize].push(Hint::Register(fixed));
                }
            }
            // The two-address instructions: the result where the first operand was.
            if let Some(dst) = inst.dst {
                match &inst.op {
                    Op::Alu(op, a, rhs) => {
                        hints[dst.0 as usize].push(Hint::Like(*a));
                        if let (Val::Reg(rhs), true) = (rhs, *op != Alu::Sub && op.commutes()) {
                            hints[dst.0 as usize].push(Hint::Like(*rhs));
                        }
                    }
                    Op::Unary(_, a) => hints[dst.0 as usize].push(Hint::Like(*a)),
                    _ => {}
                }
            }
            let copied = match &inst.op {
                Op::BucketAdd { index, .. } | Op::Part { index, .. } => Some(*index),
                Op::LogLinear { value, .. } => Some(*value),
                _ => None,
            };
            if let (Some(copied), [first, ..]) = (copied, work.temps(b, i)) {
                hints[first.0 as usize].push(Hint::Like(copied));
            }
        }
        if let Term::Jump(edge) = &block.term {
            let params = &function.block(edge.block).params;
            for (param, arg) in params.iter().zip(&edge.args) {
                if let Val::Reg(arg) = arg {
                    hints[param.0 as usize].push(Hint::Like(*arg));
                    hints[arg.0 as usize].push(Hint::Like(*param));
                }
            }
        }
    }
    hints
}

/// The place of a value after a scan.
pub(super) fn place(work: &Work, places: &[Option<u8>], v: V) -> Option<Loc> {
    match work.spill_slot(v) {
        Some(slot) => Some(Loc::Spill(slot)),
        None => places[v.0 as usize].map(Loc::Reg),
    }
}

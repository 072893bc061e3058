//! Which values are alive where, as ranges over a numbering of the instructions.
//!
//! Each instruction has four points: operands are read at the first, temporaries and results are written from
//! the second, late operands are read up to the third, results of calls appear at the fourth.

use std::collections::BTreeSet;

use super::scan::Work;
use super::shape::{shape, term_uses};
use crate::ir::{Term, V, Val};

/// Points an instruction has.
pub(super) const POINTS: u32 = 4;
/// Until here (exclusive) an early operand is alive.
pub(super) const EARLY: u32 = 1;
/// From here a result or temporary is alive, and registers are lost in a call.
pub(super) const WRITE: u32 = 1;
/// Until here (exclusive) a late operand is alive, and registers are lost in a call.
pub(super) const LATE: u32 = 3;

/// Where every value is alive.
pub(super) struct Live {
    /// By register: disjoint half-open ranges, ascending; empty for spilled ones and those never defined.
    pub(super) ranges: Vec<Vec<(u32, u32)>>,
    /// Points at which a call takes place.
    pub(super) calls: Vec<u32>,
    /// By block: what is alive at its end, its jump's arguments not counted.
    pub(super) out: Vec<BTreeSet<V>>,
    /// By register: how often it is read or written, rare blocks counting less and loops more.
    pub(super) weight: Vec<u32>,
}

/// Finds the live ranges.
pub(super) fn analyse(work: &Work) -> Live {
    let function = &work.function;
    let out = live_out(work);
    let count = function.registers as usize;
    let mut live = Live {
        ranges: vec![Vec::new(); count],
        calls: Vec::new(),
        out,
        weight: vec![0; count],
    };
    let depths = function.loop_depths();
    let mut starts = Vec::new();
    let mut at = 0;
    for block in &function.blocks {
        starts.push(at);
        at += POINTS * (block.insts.len() as u32 + 2);
    }
    for (b, block) in function.blocks.iter().enumerate().rev() {
        let start = starts[b];
        let end = start + POINTS * (block.insts.len() as u32 + 2);
        // A loop counts as eight rounds.
        let unit = if block.cold { 1 } else { 10 } << (3 * depths[b].min(6));
        let mut open = Open {
            live: &mut live,
            start,
            unit,
        };
        for &v in &open.live.out[b].clone() {
            open.extend(v, end);
        }
        let term_at = end - POINTS;
        for v in term_values(work, &block.term) {
            open.read(v, term_at + EARLY);
        }
        for (i, inst) in block.insts.iter().enumerate().rev() {
            let at = start + POINTS * (i as u32 + 1);
            let shape = shape(&inst.op);
            if shape.is_call {
                open.live.calls.push(at);
            }
            if let Some(dst) = inst.dst {
                let from = if shape.is_call { at + LATE } else { at + WRITE };
                open.write(dst, from, at + POINTS);
            }
            for &temp in work.temps(b, i) {
                open.read(temp, at + LATE);
                open.write(temp, at + WRITE, at + LATE);
            }
            for operand in &shape.uses {
                if !work.is_spilled(operand.v) {
                    open.read(operand.v, at + if operand.late { LATE } else { EARLY });
                }
            }
        }
        for &param in &block.params {
            if !work.is_spilled(param) {
                open.write(param, start, start + 1);
            }
        }
    }
    for ranges in &mut live.ranges {
        ranges.reverse();
    }
    live.calls.reverse();
    live
}

/// Values a terminator reads from registers.
fn term_values(work: &Work, term: &Term) -> Vec<V> {
    let mut values = term_uses(term);
    if let Term::Jump(edge) = term {
        for arg in &edge.args {
            if let Val::Reg(v) = arg
                && !work.is_spilled(*v)
            {
                values.push(*v);
            }
        }
    }
    values
}

/// Ranges of the block being walked backwards.
struct Open<'a> {
    live: &'a mut Live,
    start: u32,
    unit: u32,
}

impl Open<'_> {
    /// Alive from the block's start up to `end`, for now.
    fn extend(&mut self, v: V, end: u32) {
        let ranges = &mut self.live.ranges[v.0 as usize];
        match ranges.last_mut() {
            // Ranges are gathered last first; one instruction may read a value twice, early and late.
            Some(last) if last.0 <= end => {
                last.0 = last.0.min(self.start);
                last.1 = last.1.max(end);
            }
            _ => ranges.push((self.start, end)),
        }
    }

    fn weigh(&mut self, v: V) {
        let weight = &mut self.live.weight[v.0 as usize];
        *weight = weight.saturating_add(self.unit);
    }

    fn read(&mut self, v: V, end: u32) {
        self.extend(v, end);
        self.weigh(v);
    }

    /// Defined at `at`; `end` is where a value nobody reads ends.
    fn write(&mut self, v: V, at: u32, end: u32) {
        self.weigh(v);
        let ranges = &mut self.live.ranges[v.0 as usize];
        match ranges.last_mut() {
            Some(last) if last.0 <= at && at < last.1 => last.0 = at,
            _ => ranges.push((at, end.max(at + 1))),
        }
    }
}

/// What is alive at each block's end.
fn live_out(work: &Work) -> Vec<BTreeSet<V>> {
    let function = &work.function;
    let count = function.blocks.len();
    let mut ins: Vec<BTreeSet<V>> = vec![BTreeSet::new(); count];
    let mut outs = ins.clone();
    let mut changed = true;
    while changed {
        changed = false;
        for (b, block) in function.blocks.iter().enumerate().rev() {
            let mut live = BTreeSet::new();
            for next in block.term.successors() {
                live.extend(ins[next.0 as usize].iter().copied());
            }
            outs[b].clone_from(&live);
            live.extend(term_values(work, &block.term));
            for inst in block.insts.iter().rev() {
                if let Some(dst) = inst.dst {
                    live.remove(&dst);
                }
                inst.op.uses(|v| {
                    if !work.is_spilled(v) {
                        live.insert(v);
                    }
                });
            }
            for param in &block.params {
                live.remove(param);
            }
            if live != ins[b] {
                ins[b] = live;
                changed = true;
            }
        }
    }
    outs
}

//! From where to where objects in memory are in use, as a span of a numbering of the code.
//!
//! Outside loops that is first mention to last, since control only goes forward. What a loop mentions may also be wanted in
//! its next round: there, the spans follow from which bytes are read before they are written again, by fixpoint.
//! Bytes count as written by a store alone; a call counts as reading what any store ever writes.

use super::regalloc::{Allocated, Loc, Source, Step};
use crate::ir::{Arg, Base, Function, Op, Slot, SlotId, Width};

/// Bytes per bit of the analysis.
const UNIT: usize = 4;

/// A mention of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Touch {
    slot: SlotId,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// These bytes are written and not read.
    Store(usize, usize),
    /// These bytes are read.
    Load(usize, usize),
    /// Any byte may be read, and any may be written.
    All,
}

/// The first and last step that each slot is in use at, of an allocated function.
pub(super) fn spans(function: &Function, allocated: &Allocated) -> Vec<Option<(u32, u32)>> {
    let blocks = (function.blocks.iter().zip(&allocated.blocks))
        .map(|(block, code)| {
            let steps = code.steps.iter().map(|step| {
                let mut touches = Vec::new();
                match step {
                    Step::Move { to, from } => {
                        if let Source::Loc(Loc::Spill(slot)) = *from {
                            let what = What::Load(0, 8);
                            touches.push(Touch { slot, what });
                        }
                        if let Loc::Spill(slot) = *to {
                            let what = What::Store(0, 8);
                            touches.push(Touch { slot, what });
                        }
                    }
                    Step::Op { index, .. } => touched(&block.insts[*index].op, &mut touches),
                }
                touches
            });
            steps.collect()
        })
        .collect();
    find(function, &allocated.slots, blocks)
}

/// The first and last instruction that each object is in use at, before allocation.
pub(super) fn object_spans(function: &Function) -> Vec<Option<(u32, u32)>> {
    let blocks = (function.blocks.iter())
        .map(|block| {
            let insts = block.insts.iter().map(|inst| {
                let mut touches = Vec::new();
                touched(&inst.op, &mut touches);
                touches
            });
            insts.collect()
        })
        .collect();
    find(function, &function.slots, blocks)
}

/// The objects an instruction mentions.
fn touched(op: &Op, into: &mut Vec<Touch>) {
    let mut touch = |slot, what| into.push(Touch { slot, what });
    let bytes = |width: Width, offset: i32| {
        let (size, from) = (width.bytes(), offset.max(0) as usize);
        (from, from + size)
    };
    match op {
        Op::SlotAddress(slot, _) | Op::Spill(slot, _) | Op::Reload(slot) => touch(*slot, What::All),
        Op::Load(width, address) => {
            if let Base::Slot(slot) = address.base {
                let (from, to) = bytes(*width, address.offset);
                touch(slot, What::Load(from, to));
            }
        }
        Op::Store(width, address, _) => {
            if let Base::Slot(slot) = address.base {
                let (from, to) = bytes(*width, address.offset);
                touch(slot, What::Store(from, to));
            }
        }
        Op::AtomicAdd(address, _) => {
            if let Base::Slot(slot) = address.base {
                touch(slot, What::All);
            }
        }
        Op::Call(_, args) => {
            for arg in args {
                if let Arg::Slot(slot, _) = arg {
                    touch(*slot, What::All);
                }
            }
        }
        _ => {}
    }
}

/// By block, by step, what is touched.
type Touches = Vec<Vec<Vec<Touch>>>;

fn find(function: &Function, slots: &[Slot], blocks: Touches) -> Vec<Option<(u32, u32)>> {
    let mut spans: Vec<Option<(u32, u32)>> = vec![None; slots.len()];
    let mut extend = |slot: usize, at: u32| {
        let span = spans[slot].get_or_insert((at, at));
        *span = (span.0.min(at), span.1.max(at));
    };
    let mut bounds = Vec::with_capacity(blocks.len());
    let mut at = 0;
    for block in &blocks {
        let first = at + 1;
        for step in block {
            at += 1;
            for touch in step {
                extend(touch.slot.0 as usize, at);
            }
        }
        bounds.push((first.min(at), at));
    }
    if !function.has_loops() {
        return spans;
    }
    let live = Live::new(function, slots, &blocks);
    for (b, &(first, last)) in bounds.iter().enumerate() {
        for slot in 0..slots.len() {
            if live.any(&live.ins[b], slot) {
                extend(slot, first);
            }
            if live.any(&live.outs[b], slot) {
                extend(slot, last);
            }
        }
    }
    spans
}

/// Which units hold something still wanted where blocks start and end.
struct Live {
    /// The first unit of each slot, and at the end their number.
    starts: Vec<usize>,
    ins: Vec<Vec<u64>>,
    outs: Vec<Vec<u64>>,
}

impl Live {
    fn new(function: &Function, slots: &[Slot], blocks: &Touches) -> Self {
        let mut starts = vec![0];
        for slot in slots {
            let next = starts[starts.len() - 1] + (slot.size as usize).div_ceil(UNIT);
            starts.push(next);
        }
        let words = starts[starts.len() - 1].div_ceil(64);
        let mut live = Self {
            starts,
            ins: vec![vec![0; words]; blocks.len()],
            outs: vec![vec![0; words]; blocks.len()],
        };
        let stored = live.ever_stored(blocks, words);
        let mut changed = true;
        while changed {
            changed = false;
            for b in (0..blocks.len()).rev() {
                let mut now = vec![0; words];
                for next in function.blocks[b].term.successors() {
                    for (word, more) in now.iter_mut().zip(&live.ins[next.0 as usize]) {
                        *word |= more;
                    }
                }
                live.outs[b].clone_from(&now);
                for touch in blocks[b].iter().rev().flat_map(|step| step.iter().rev()) {
                    live.before(touch, &stored, &mut now);
                }
                if now != live.ins[b] {
                    live.ins[b] = now;
                    changed = true;
                }
            }
        }
        live
    }

    /// The units any store writes; all units of a slot that no store writes, which a call then fills.
    fn ever_stored(&self, blocks: &Touches, words: usize) -> Vec<u64> {
        let mut stored = vec![0; words];
        for touch in blocks.iter().flatten().flatten() {
            if let What::Store(from, to) = touch.what {
                self.mark(touch.slot, from, to, |unit| {
                    stored[unit / 64] |= 1 << (unit % 64);
                });
            }
        }
        for slot in 0..self.starts.len() - 1 {
            if !self.any(&stored, slot) {
                for unit in self.starts[slot]..self.starts[slot + 1] {
                    stored[unit / 64] |= 1 << (unit % 64);
                }
            }
        }
        stored
    }

    /// What is wanted before a touch, given what is after it.
    fn before(&self, touch: &Touch, stored: &[u64], now: &mut [u64]) {
        match touch.what {
            // A store of part of a unit leaves the rest.
            What::Store(from, to) => {
                let (from, to) = (from.next_multiple_of(UNIT), to / UNIT * UNIT);
                self.mark(touch.slot, from, to, |unit| {
                    now[unit / 64] &= !(1 << (unit % 64));
                });
            }
            What::Load(from, to) => self.mark(touch.slot, from, to, |unit| {
                now[unit / 64] |= 1 << (unit % 64);
            }),
            What::All => {
                let size = self.starts[touch.slot.0 as usize + 1] * UNIT;
                self.mark(touch.slot, 0, size, |unit| {
                    now[unit / 64] |= stored[unit / 64] & 1 << (unit % 64);
                });
            }
        }
    }

    /// Calls `f` with every unit that bytes `from..to` of a slot touch.
    fn mark(&self, slot: SlotId, from: usize, to: usize, mut f: impl FnMut(usize)) {
        let slot = slot.0 as usize;
        let (first, end) = (self.starts[slot], self.starts[slot + 1]);
        for unit in from / UNIT..to.div_ceil(UNIT) {
            if first + unit < end {
                f(first + unit);
            }
        }
    }

    fn any(&self, set: &[u64], slot: usize) -> bool {
        (self.starts[slot]..self.starts[slot + 1])
            .any(|unit| set[unit / 64] & 1 << (unit % 64) != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codegen::insn::helper;
    use crate::ir::build::Builder;
    use crate::ir::{Address, Cond, MapRef, Val, cleanup};

    /// A loop over `body`, given a slot made and filled before it and one made for the loop.
    fn looped(body: impl Fn(&mut Builder, SlotId, SlotId)) -> (Vec<Option<(u32, u32)>>, Function) {
        let mut b = Builder::new(crate::span::Span::default());
        let (outer, inner) = (b.slot(8, "outer"), b.slot(8, "inner"));
        b.store(Width::D, Address::slot(outer), Val::Imm(7));
        let count = b.var(Val::Imm(0));
        let (header, inside, done) = (b.block(), b.block(), b.block());
        b.jump(header);
        b.start_loop(header);
        let now = b.get(count);
        b.branch(Cond::Lt, now, Val::Imm(9), inside, done);
        b.start(inside);
        body(&mut b, outer, inner);
        let next = b.alu(crate::ir::Alu::Add, now, Val::Imm(1));
        b.set_var(count, next);
        b.end_loop();
        b.start(done);
        b.exit();
        let mut function = b.finish();
        crate::ir::verify::verify(&function).unwrap();
        cleanup::cleanup(&mut function);
        (object_spans(&function), function)
    }

    fn delete(b: &mut Builder, slot: SlotId) {
        let args = vec![Arg::Map(MapRef::Losses), Arg::Slot(slot, 0)];
        b.call_only(helper::MAP_DELETE_ELEM, args);
    }

    fn end_of_loop(function: &Function) -> u32 {
        let insts = function.blocks.iter().map(|block| block.insts.len() as u32);
        insts.sum()
    }

    #[test]
    fn what_every_round_reads_is_kept_to_the_end_of_the_loop() {
        let (spans, function) = looped(|b, outer, inner| {
            delete(b, outer);
            b.store(Width::D, Address::slot(inner), Val::Imm(1));
            delete(b, inner);
        });
        let (outer, inner) = (spans[0].unwrap(), spans[1].unwrap());
        assert_eq!(outer.1, end_of_loop(&function));
        assert!(inner.0 > outer.0 && inner.1 < outer.1, "{spans:?}");
    }

    #[test]
    fn what_one_round_leaves_for_the_next_is_kept_through_the_header() {
        // Read, then written: the value crosses the edge back.
        let (spans, function) = looped(|b, _, inner| {
            delete(b, inner);
            b.store(Width::D, Address::slot(inner), Val::Imm(1));
        });
        let inner = spans[1].unwrap();
        assert_eq!(inner.1, end_of_loop(&function));
        assert!(inner.0 <= 2, "{spans:?}");
    }

    #[test]
    fn half_a_word_written_does_not_end_the_other_half() {
        let (spans, function) = looped(|b, _, inner| {
            b.store(Width::W, Address::slot(inner), Val::Imm(1));
            delete(b, inner);
            b.store(Width::W, Address::slot(inner).plus(4), Val::Imm(1));
        });
        assert_eq!(spans[1].unwrap().1, end_of_loop(&function));
        // Where nothing ever writes the other half, nothing is kept.
        let (spans, function) = looped(|b, _, inner| {
            b.store(Width::W, Address::slot(inner), Val::Imm(1));
            delete(b, inner);
        });
        assert!(spans[1].unwrap().1 < end_of_loop(&function));
    }
}

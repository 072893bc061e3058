//! Objects the stack has no room for, moved to per-CPU scratch: one look-up at the start, then addresses as before.
//!
//! Every program has an entry of its own in the scratch map, so one that interrupts another does not write over it.

use super::frame::share;
use super::insn::helper;
use super::objects::object_spans;
use crate::ir::{
    Address, Arg, Base, Block, BlockId, Cond, Function, Inst, MapRef, Op, Slot, SlotId, Term, V,
    Val, Width, cleanup,
};

/// Moves the largest objects out until at most `budget` bytes of them are left (bytes shared over time not
/// counted twice), and gives the bytes of scratch needed. `index` is the program's entry in the scratch map.
pub(super) fn move_out(function: &mut Function, budget: u32, index: u32) -> u32 {
    let spans = object_spans(function);
    let sizes: Vec<u32> = function.slots.iter().map(|slot| slot.size).collect();
    let movable = |&s: &usize| spans[s].is_some() && !function.slots[s].on_stack;
    let mut order: Vec<usize> = (0..spans.len()).filter(movable).collect();
    order.sort_by_key(|&s| (std::cmp::Reverse(sizes[s]), s));
    // The fewest of them that have to go.
    let split = |count: usize| {
        let mut staying = spans.clone();
        let mut moving = vec![None; spans.len()];
        for &slot in &order[..count] {
            moving[slot] = staying[slot].take();
        }
        (staying, moving)
    };
    let (mut fewest, mut enough) = (0, order.len());
    while fewest < enough {
        let count = (fewest + enough) / 2;
        if share(&sizes, &split(count).0).1 <= budget {
            enough = count;
        } else {
            fewest = count + 1;
        }
    }
    let (_, moving) = split(enough);
    let (starts, total) = share(&sizes, &moving);
    if total == 0 {
        return 0;
    }
    let scratch = look_up(function, index);
    let moved = |slot: SlotId| {
        let slot = slot.0 as usize;
        moving.get(slot)?.is_some().then(|| starts[slot] as i32)
    };
    let address = |address: &mut Address| {
        if let Base::Slot(slot) = address.base
            && let Some(start) = moved(slot)
        {
            *address = Address::reg(scratch).plus(start + address.offset);
        }
    };
    for inst in function.blocks.iter_mut().flat_map(|b| &mut b.insts) {
        match &mut inst.op {
            Op::Load(_, a) | Op::Store(_, a, _) | Op::AtomicAdd(a, _) => address(a),
            Op::Call(_, args) => {
                for arg in args {
                    if let Arg::Slot(slot, offset) = arg
                        && let Some(start) = moved(*slot)
                    {
                        *arg = Arg::Reg(scratch, start + *offset);
                    }
                }
            }
            _ => {}
        }
    }
    cleanup::cleanup(function);
    total
}

/// Looks the program's entry up before anything else; a program without one (there is none) ends.
fn look_up(function: &mut Function, index: u32) -> V {
    function.slots.push(Slot {
        size: 8,
        what: "index of the scratch".into(),
        on_stack: true,
    });
    let slot = SlotId(function.slots.len() as u32 - 1);
    let scratch = function.fresh();
    let rest = BlockId(function.blocks.len() as u32);
    let none = BlockId(rest.0 + 1);
    let entry = function.block_mut(BlockId(0));
    let span = entry.span;
    let has_context = matches!(entry.insts.first(), Some(inst) if inst.op == Op::Context);
    let after = entry.insts.split_off(usize::from(has_context));
    let mut push = |dst, op| entry.insts.push(Inst { dst, op, span });
    let index = Val::Imm(i64::from(index));
    push(None, Op::Store(Width::W, Address::slot(slot), index));
    let args = vec![Arg::Map(MapRef::Scratch), Arg::Slot(slot, 0)];
    push(Some(scratch), Op::Call(helper::MAP_LOOKUP_ELEM, args));
    let term = std::mem::replace(
        &mut entry.term,
        Term::Branch {
            cond: Cond::Ne,
            lhs: scratch,
            rhs: Val::Imm(0),
            then: rest,
            otherwise: none,
        },
    );
    let block = |insts, term| Block {
        params: Vec::new(),
        insts,
        term,
        span,
        cold: false,
    };
    function.blocks.push(block(after, term));
    function.blocks.push(block(Vec::new(), Term::Exit));
    scratch
}

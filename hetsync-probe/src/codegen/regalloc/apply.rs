//! Turns the places found into steps: moves for calls, jumps, spills and reloads.

use std::collections::{BTreeMap, BTreeSet};

use super::live::Live;
use super::scan::{Work, place};
use super::shape::{shape, term_uses};
use super::{Allocated, AllocatedBlock, FIRST_SAVED, Loc, Pool, REGISTERS, Source, Step, moves};
use crate::ir::{Op, Slot, SlotId, Term, V, Val};

/// Writes the allocated function.
pub(super) fn apply(mut work: Work, live: &Live, places: &[Option<u8>], pool: &Pool) -> Allocated {
    let blocks = (0..work.function.blocks.len())
        .map(|b| apply_block(&mut work, live, places, pool, b))
        .collect();
    Allocated {
        blocks,
        slots: work.function.slots,
    }
}

fn apply_block(
    work: &mut Work,
    live: &Live,
    places: &[Option<u8>],
    pool: &Pool,
    b: usize,
) -> AllocatedBlock {
    let block = work.function.blocks[b].clone();
    let register = |v: V| match places[v.0 as usize] {
        Some(register) => register,
        None => unreachable!("{v} has no register"),
    };
    let mut steps = Vec::new();
    let mut index = 0;
    for (i, inst) in block.insts.iter().enumerate() {
        match &inst.op {
            Op::Spill(slot, v) => steps.push(Step::Move {
                to: Loc::Spill(*slot),
                from: Source::Loc(Loc::Reg(register(*v))),
            }),
            Op::Reload(slot) => {
                if let Some(dst) = inst.dst {
                    steps.push(Step::Move {
                        to: Loc::Reg(register(dst)),
                        from: Source::Loc(Loc::Spill(*slot)),
                    });
                }
            }
            op => {
                let shape = shape(op);
                let mut regs = Vec::new();
                if shape.is_call {
                    let args: Vec<(Loc, Source)> = (shape.uses.iter())
                        .filter_map(|u| {
                            let from = place(work, places, u.v)?;
                            Some((Loc::Reg(u.fixed?), Source::Loc(from)))
                        })
                        .collect();
                    // R0 takes no argument, and where only cycles among R1..R5 are left it holds none either.
                    steps.extend(moves::sequence(
                        &args,
                        || Loc::Reg(0),
                        || unreachable!("arguments of calls go to registers"),
                    ));
                    regs.extend(shape.uses.iter().filter_map(|u| u.fixed));
                } else {
                    regs.extend(shape.uses.iter().map(|u| register(u.v)));
                }
                let result = inst.dst.map(|dst| (dst, shape.result));
                if let Some((dst, fixed)) = result {
                    regs.push(fixed.unwrap_or_else(|| register(dst)));
                }
                regs.extend(work.temps(b, i).iter().map(|&t| register(t)));
                steps.push(Step::Op { index, regs });
                index += 1;
                if let Some((dst, Some(fixed))) = result
                    && register(dst) != fixed
                {
                    steps.push(Step::Move {
                        to: Loc::Reg(register(dst)),
                        from: Source::Loc(Loc::Reg(fixed)),
                    });
                }
            }
        }
    }
    if let Term::Jump(edge) = &block.term {
        let params = work.function.block(edge.block).params.clone();
        let moves: Vec<(Loc, Source)> = params
            .iter()
            .zip(&edge.args)
            .filter_map(|(&param, arg)| {
                let from = match arg {
                    Val::Imm(n) => Source::Imm(*n),
                    Val::Reg(v) => Source::Loc(place(work, places, *v)?),
                };
                Some((place(work, places, param)?, from))
            })
            .collect();
        steps.extend(jump_moves(work, live, places, pool, b, &moves));
    }
    let term = term_uses(&block.term).into_iter().map(register).collect();
    let insts = block.insts.iter().map(|inst| &inst.op);
    let ops: Vec<&Op> = insts
        .filter(|op| !matches!(op, Op::Spill(..) | Op::Reload(_)))
        .collect();
    AllocatedBlock {
        steps: forward(steps, &ops),
        term,
    }
}

/// Drops reloads of what a register still holds, and copies between registers where another one does.
fn forward(steps: Vec<Step>, ops: &[&Op]) -> Vec<Step> {
    // Which spill slot's value each register is known to hold.
    let mut held: BTreeMap<u8, SlotId> = BTreeMap::new();
    let mut kept = Vec::with_capacity(steps.len());
    for step in steps {
        match step {
            Step::Move {
                to: Loc::Spill(slot),
                from,
            } => {
                held.retain(|_, other| *other != slot);
                if let Source::Loc(Loc::Reg(register)) = from {
                    held.insert(register, slot);
                }
                kept.push(step);
            }
            Step::Move {
                to: Loc::Reg(register),
                from: Source::Loc(Loc::Spill(slot)),
            } => {
                let holder = held.iter().find(|(_, other)| **other == slot);
                let holder = match held.get(&register) {
                    Some(other) if *other == slot => continue,
                    _ => holder.map(|(holder, _)| *holder),
                };
                held.insert(register, slot);
                kept.push(match holder {
                    None => step,
                    Some(holder) => Step::Move {
                        to: Loc::Reg(register),
                        from: Source::Loc(Loc::Reg(holder)),
                    },
                });
            }
            Step::Move {
                to: Loc::Reg(register),
                from,
            } => {
                held.remove(&register);
                if let Source::Loc(Loc::Reg(other)) = from
                    && let Some(&slot) = held.get(&other)
                {
                    held.insert(register, slot);
                }
                kept.push(step);
            }
            Step::Op { index, ref regs } => {
                let shape = shape(ops[index]);
                if shape.is_call {
                    held.retain(|register, _| *register >= FIRST_SAVED);
                }
                for register in &regs[shape.uses.len()..] {
                    held.remove(register);
                }
                kept.push(step);
            }
        }
    }
    kept
}

/// The moves of a jump, with a free register or a slot of their own to pass through.
fn jump_moves(
    work: &mut Work,
    live: &Live,
    places: &[Option<u8>],
    pool: &Pool,
    b: usize,
    moves: &[(Loc, Source)],
) -> Vec<Step> {
    let mut busy: BTreeSet<u8> = live.out[b]
        .iter()
        .filter_map(|v| places[v.0 as usize])
        .collect();
    for (to, from) in moves {
        for loc in [Source::Loc(*to), *from] {
            if let Source::Loc(Loc::Reg(register)) = loc {
                busy.insert(register);
            }
        }
    }
    let mut free = (0..REGISTERS).filter(|r| pool.allowed[usize::from(*r)] && !busy.contains(r));
    let passing = free.next();
    let mut spare = free;
    let slots = &mut work.function.slots;
    let fresh = |slots: &mut Vec<Slot>| {
        slots.push(Slot {
            size: 8,
            what: "a value in passing".into(),
            on_stack: true,
        });
        Loc::Spill(SlotId(slots.len() as u32 - 1))
    };
    let slots = std::cell::RefCell::new(slots);
    let lent = (0..REGISTERS)
        .find(|r| pool.allowed[usize::from(*r)])
        .unwrap_or(0);
    moves::sequence(
        moves,
        || match spare.next() {
            Some(register) => Loc::Reg(register),
            None => fresh(&mut slots.borrow_mut()),
        },
        || match passing {
            Some(register) => (register, None),
            None => (lent, Some(fresh(&mut slots.borrow_mut()))),
        },
    )
}

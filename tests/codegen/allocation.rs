//! Register allocation: any function, few registers, and the checker agrees; a broken allocation, and it does not.

use crate::agree::{agree, firings};
use crate::checked;
use crate::scripts::SCRIPTS;
use hetsync_probe::codegen::insn::helper;
use hetsync_probe::codegen::regalloc::{Allocated, Pool, Step, allocate, checker};
use hetsync_probe::codegen::{self, Options};
use hetsync_probe::ir::build::{Builder, Var};
use hetsync_probe::ir::{
    Address, Alu, Arg, BlockId, Cond, Function, MapRef, Op, SlotId, Unary, Val, Width, cleanup,
    verify,
};
use hetsync_probe::span::Span;
use proptest::prelude::*;

/// The pool with only these registers.
pub(crate) fn pool(registers: &[u8]) -> Pool {
    let mut allowed = [false; 10];
    for &register in registers {
        allowed[usize::from(register)] = true;
    }
    Pool { allowed }
}

/// The pools that force spills of every sort.
pub(crate) const POOLS: &[&[u8]] = &[&[0, 1, 2, 3, 6], &[0, 1, 2, 3, 4, 5], &[5, 6, 7, 8, 9]];

#[test]
fn scripts_mean_the_same_with_few_registers() {
    for (name, source) in SCRIPTS {
        let mut program = checked(source);
        for registers in POOLS {
            let options = Options {
                pool: pool(registers),
                ..Options::plain()
            };
            let image = codegen::compile(&program, &options).expect("compiles");
            crate::cut_alike(&mut program, &image);
            agree(name, &program, &image, &firings(&program, 40, 9));
        }
    }
}

/// What a random function has begun and not ended.
enum Open {
    /// One arm of a branch now, the other when this is closed.
    Branch(BlockId, BlockId),
    /// A loop with its counter.
    Loop { exit: BlockId, count: Var },
}

/// A random function under construction.
struct Random {
    b: Builder,
    slots: Vec<SlotId>,
    vars: Vec<Var>,
    values: Vec<Val>,
    /// With the number of values known where it ends.
    open: Vec<(Open, usize)>,
}

/// Builds a function from a list of numbers: straight code, calls, branches that join, and loops with ways out of them.
fn build(numbers: &[u32]) -> Function {
    let mut b = Builder::new(Span::default());
    let slots: Vec<_> = (0..3).map(|i| b.slot(8, format!("object {i}"))).collect();
    for &slot in &slots {
        b.store(Width::D, Address::slot(slot), Val::Imm(0));
    }
    let values: Vec<Val> = (0..4)
        .map(|i| b.load(Width::D, Address::reg(b.context()).plus(8 * i)))
        .collect();
    let vars = (0..4).map(|i| b.var(values[i])).collect();
    let mut random = Random {
        b,
        slots,
        vars,
        values,
        open: Vec::new(),
    };
    for &number in numbers {
        let made = random.step(number);
        random.values.push(made);
    }
    while !random.open.is_empty() {
        random.close(0);
    }
    // Everything is wanted at the end, so that it all has to live somewhere.
    let Random {
        mut b,
        slots,
        values,
        ..
    } = random;
    for value in values {
        b.store(Width::D, Address::slot(slots[0]), value);
    }
    b.call_only(
        helper::MAP_DELETE_ELEM,
        vec![Arg::Map(MapRef::Losses), Arg::Slot(slots[0], 0)],
    );
    b.exit();
    b.finish()
}

impl Random {
    fn step(&mut self, number: u32) -> Val {
        let pick = |n: u32| self.values[n as usize % self.values.len()];
        let (x, y) = (pick(number >> 8), pick(number >> 16));
        let slot = self.slots[(number >> 4) as usize % 3];
        let b = &mut self.b;
        match number % 18 {
            0..=4 => {
                let ops = [Alu::Add, Alu::Sub, Alu::Mul, Alu::Shl, Alu::Xor, Alu::Div];
                b.alu(ops[(number >> 4) as usize % 6], x, y)
            }
            5 => b.unary(Unary::Neg, x),
            6 => b.set(Cond::SLt, x, y),
            7 => b.load(Width::D, Address::slot(slot)),
            8 => {
                b.store(Width::D, Address::slot(slot), x);
                y
            }
            9 => Val::Reg(b.call(helper::KTIME_GET_BOOT_NS, vec![])),
            10 => {
                let (x, y) = (b.reg(x), b.reg(y));
                let args = vec![Arg::Reg(y, 0), Arg::Reg(x, 0), Arg::Imm(1), Arg::Reg(y, 4)];
                Val::Reg(b.call(helper::MAP_UPDATE_ELEM, args))
            }
            11 => {
                let value = b.reg(x);
                Val::Reg(b.pure(Op::LogLinear {
                    value,
                    bits: 2,
                    width: 63,
                }))
            }
            12 => {
                let (base, index) = (b.reg(x), b.reg(y));
                b.push(Op::BucketAdd {
                    base,
                    offset: 0,
                    index,
                    limit: 4,
                    width: Width::D,
                });
                x
            }
            13 => {
                let (then, otherwise, join) = (b.block(), b.block(), b.block());
                b.branch(Cond::Lt, x, y, then, otherwise);
                b.start(then);
                let known = self.values.len();
                self.open.push((Open::Branch(otherwise, join), known));
                x
            }
            14 => {
                self.close(number);
                self.values[self.values.len() - 1]
            }
            15 => {
                self.open_loop();
                self.values[self.values.len() - 1]
            }
            16 => {
                self.leave_loop(x, y);
                x
            }
            _ => {
                let var = self.vars[(number >> 4) as usize % 4];
                b.set_var(var, x);
                x
            }
        }
    }

    fn open_loop(&mut self) {
        let b = &mut self.b;
        let count = b.var(Val::Imm(0));
        let (header, body, exit) = (b.block(), b.block(), b.block());
        b.jump(header);
        b.start_loop(header);
        self.values.extend(self.vars.iter().map(|&v| b.get(v)));
        let now = b.get(count);
        b.branch(Cond::Lt, now, Val::Imm(9), body, exit);
        b.start(body);
        self.values.push(now);
        let known = self.values.len();
        self.open.push((Open::Loop { exit, count }, known));
    }

    /// `if (x < y) break;` of the innermost loop, if any.
    fn leave_loop(&mut self, x: Val, y: Val) {
        let innermost = self.open.iter().rev().find_map(|(open, _)| match open {
            Open::Loop { exit, .. } => Some(*exit),
            Open::Branch(..) => None,
        });
        if let Some(exit) = innermost {
            let go_on = self.b.block();
            self.b.branch(Cond::Lt, x, y, exit, go_on);
            self.b.start(go_on);
        }
    }

    fn close(&mut self, number: u32) {
        let b = &mut self.b;
        match self.open.pop() {
            None => {}
            Some((Open::Branch(otherwise, join), known)) => {
                b.jump(join);
                b.start(otherwise);
                self.values.truncate(known);
                b.set_var(self.vars[0], self.values[number as usize % known]);
                b.jump(join);
                b.start(join);
                self.values.extend(self.vars.iter().map(|&v| b.get(v)));
            }
            Some((Open::Loop { exit, count }, known)) => {
                let next = b.alu(Alu::Add, b.get(count), Val::Imm(1));
                b.set_var(count, next);
                b.end_loop();
                b.start(exit);
                let last = b.pop(count);
                self.values.truncate(known);
                self.values.push(last);
                self.values.extend(self.vars.iter().map(|&v| b.get(v)));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        rng_seed: proptest::test_runner::RngSeed::Fixed(0x5eed),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]
    #[test]
    fn any_function_is_allocated_rightly(
        numbers in proptest::collection::vec(any::<u32>(), 0..120),
        registers in proptest::sample::subsequence((0u8..10).collect::<Vec<_>>(), 5..=10),
    ) {
        let mut function = build(&numbers);
        verify::verify(&function).expect("well-formed");
        cleanup::cleanup(&mut function);
        verify::verify(&function).expect("still well-formed");
        let pool = pool(&registers);
        let allocated = allocate(&function, &pool).expect("five registers are enough");
        checker::check(&function, &allocated).expect("checked");
        for block in &allocated.blocks {
            for step in &block.steps {
                if let Step::Op { index: _, regs } = step {
                    prop_assert!(regs.iter().all(|r| *r < 10));
                }
            }
        }
    }
}

/// A function with loops, spills, moves and calls, and its allocation.
fn sample() -> (Function, Allocated) {
    let numbers: Vec<u32> = (0..60u32)
        .map(|i| i.wrapping_mul(0x9e37_79b9).rotate_left(i % 13))
        .collect();
    let mut function = build(&numbers);
    cleanup::cleanup(&mut function);
    let depths = function.loop_depths();
    assert!(depths.contains(&2), "a loop in a loop: {depths:?}");
    let allocated = allocate(&function, &pool(&[0, 1, 2, 6, 7])).expect("allocated");
    checker::check(&function, &allocated).expect("right before it is broken");
    (function, allocated)
}

/// Breaks one step in every possible place with `mutate` and expects the checker to object each time.
fn every_break_is_found(mutate: impl Fn(&Function, &Allocated, usize, usize) -> Option<Allocated>) {
    assert_eq!(unfound_breaks(mutate), Vec::<String>::new());
}

/// Breaks one step in every possible place with `mutate`; the breaks the checker has nothing against.
fn unfound_breaks(
    mutate: impl Fn(&Function, &Allocated, usize, usize) -> Option<Allocated>,
) -> Vec<String> {
    let (function, allocated) = sample();
    let mut unfound = Vec::new();
    let mut broken = 0;
    for block in 0..allocated.blocks.len() {
        for step in 0..allocated.blocks[block].steps.len() {
            if let Some(mutant) = mutate(&function, &allocated, block, step) {
                broken += 1;
                if checker::check(&function, &mutant).is_ok() {
                    let before = &allocated.blocks[block].steps[step];
                    unfound.push(format!("block {block}, step {step}: {before:?}"));
                }
            }
        }
    }
    assert!(broken > 5, "only {broken} places to break");
    unfound
}

#[test]
fn a_lost_move_is_found() {
    let unfound = unfound_breaks(|_, allocated, block, step| {
        let Step::Move { .. } = allocated.blocks[block].steps[step] else {
            return None;
        };
        let mut mutant = allocated.clone();
        mutant.blocks[block].steps.remove(step);
        Some(mutant)
    });
    // A reload of what a register still holds from the block before is needless; nothing else is.
    let needless = |what: &String| what.contains("to: Reg") && what.contains("from: Loc(Spill");
    assert!(
        unfound.len() < 5 && unfound.iter().all(needless),
        "{unfound:#?}"
    );
}

#[test]
fn a_lost_instruction_is_found() {
    every_break_is_found(|_, allocated, block, step| {
        let Step::Op { .. } = allocated.blocks[block].steps[step] else {
            return None;
        };
        let mut mutant = allocated.clone();
        mutant.blocks[block].steps.remove(step);
        Some(mutant)
    });
}

#[test]
fn a_wrong_operand_is_found() {
    every_break_is_found(|function, allocated, block, step| {
        let mut mutant = allocated.clone();
        let Step::Op { index, regs } = &mut mutant.blocks[block].steps[step] else {
            return None;
        };
        let reads = codegen::regalloc::shape(&function.blocks[block].insts[*index].op).uses;
        if reads.is_empty() {
            return None;
        }
        // R9 and R8 are not in the pool: they never hold anything.
        regs[0] = 9;
        Some(mutant)
    });
}

#[test]
fn a_wrong_result_register_is_found() {
    every_break_is_found(|function, allocated, block, step| {
        let mut mutant = allocated.clone();
        let Step::Op { index, regs } = &mut mutant.blocks[block].steps[step] else {
            return None;
        };
        let inst = &function.blocks[block].insts[*index];
        let reads = codegen::regalloc::shape(&inst.op).uses.len();
        inst.dst?;
        regs[reads] = 9;
        Some(mutant)
    });
}

#[test]
fn a_store_to_anothers_spill_slot_is_found() {
    use codegen::regalloc::{Loc, Source};
    let (_, allocated) = sample();
    let spills: Vec<Loc> = (allocated.blocks.iter().flat_map(|b| &b.steps))
        .filter_map(|step| match step {
            Step::Move {
                to: Loc::Spill(slot),
                ..
            } => Some(Loc::Spill(*slot)),
            _ => None,
        })
        .collect();
    every_break_is_found(|_, allocated, block, step| {
        let mut mutant = allocated.clone();
        let Step::Move { from, .. } = &mut mutant.blocks[block].steps[step] else {
            return None;
        };
        let Source::Loc(Loc::Spill(_)) = from else {
            return None;
        };
        let other = spills.iter().find(|s| Source::Loc(**s) != *from)?;
        *from = Source::Loc(*other);
        Some(mutant)
    });
}

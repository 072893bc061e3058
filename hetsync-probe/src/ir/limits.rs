//! How many rounds each loop may take, so that the kernel's verifier can follow all of them.
//!
//! The verifier runs through a loop round by round. It gives up after a million instructions (`BPF_COMPLEXITY_LIMIT_INSNS`,
//! kernel/bpf/verifier.c), and when more than 8192 branches wait for their other side
//! (`BPF_COMPLEXITY_LIMIT_JMP_SEQ`): of a branch whose way it does not know one side waits until the end of the program has been
//! reached on the other, so every round adds the branches of its body. A loop over constants it runs as often as it
//! would run, its own branch known each time; any other as often as it is let.
//!
//! So a function has so many instructions and branches to spend; loops share them, nested ones by their product.
//!
//! And what one round leaves to the next must look the same to the verifier on every way through the round, or it follows
//! every way through all of them, twice as many with each. So `blur` hides the values of changing variables from it; only
//! the number of rounds and what a condition on constants compares stay known.

use super::{Alu, Block, Edge, Function, Inst, Op, Term, V, Val};
use crate::codegen::insn::helper;
use crate::sema::hir::LoopId;
use std::collections::BTreeMap;

/// Instructions and waiting branches that loops may make the verifier go through, out of 1,000,000 and 8,192: the rest is for
/// the other sides of branches, which it follows as well until it finds that it has seen their like.
const BUDGET: Cost = Cost {
    instructions: 250_000.0,
    branches: 6_000.0,
};
/// Most rounds of a loop whose end is not known beforehand: the verifier keeps states of each and compares them.
pub const MOST: u32 = 4096;

/// What is left of the budget when the verifier has given up.
const SHORTER: f64 = 1.0 / 8.0;
/// How often loops can be made shorter before every one of them has a round or two.
pub const TRIES: u32 = 5;

/// What the verifier spends.
#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    instructions: f64,
    branches: f64,
}

impl Cost {
    fn add(&mut self, other: Cost, times: f64) {
        self.instructions += other.instructions * times;
        self.branches += other.branches * times;
    }

    fn part(self, share: f64) -> Cost {
        Cost {
            instructions: self.instructions * share,
            branches: self.branches * share,
        }
    }
}

/// A loop with what a round of it costs.
#[derive(Debug)]
struct Nest {
    /// Index in [`Function::limits`], if it has a limit.
    limit: Option<usize>,
    header: usize,
    /// Rounds it takes, and the variable that tells, where that is known.
    known: Option<(u32, V)>,
    /// A round, loops inside left out.
    own: Cost,
    /// Loops right inside this one.
    inner: Vec<usize>,
}

/// Chooses a limit for every loop whose script gives none, writes each into the branch that ends the loop, and returns
/// them in the order of [`Function::limits`]. Blocks must be in [`Function::order`].
///
/// `shorter` says how often the verifier has given up on what was chosen before.
pub fn choose(
    function: &mut Function,
    given: &dyn Fn(LoopId) -> Option<u32>,
    shorter: u32,
) -> Vec<u32> {
    let mut chosen = vec![MOST; function.limits.len()];
    if !chosen.is_empty() {
        let (nests, outermost) = nests(function);
        let budget = BUDGET.part(SHORTER.powi(shorter as i32) / outermost.len().max(1) as f64);
        for nest in outermost {
            share_out(&nests, nest, budget, &mut chosen);
        }
    }
    let (nests, _) = nests(function);
    let kept = |nest: &Nest| {
        nest.known.filter(|(rounds, _)| match nest.limit {
            Some(limit) => chosen[limit] >= *rounds,
            None => false,
        })
    };
    let kept: Vec<(usize, Option<V>)> = (nests.iter())
        .map(|nest| (nest.header, kept(nest).map(|(_, v)| v)))
        .collect();
    blur(function, &kept);
    for (limit, most) in function.limits.clone().iter().zip(&mut chosen) {
        *most = given(limit.id).unwrap_or(*most);
        if let Term::Branch { rhs, .. } = &mut function.block_mut(limit.header).term {
            *rhs = Val::Imm(i64::from(*most));
        }
    }
    chosen
}

/// Makes unknown numbers of the parameters of headers, but for the number of rounds and one more that is kept: each is
/// changed and changed back by a number that the verifier does not know.
fn blur(function: &mut Function, headers: &[(usize, Option<V>)]) {
    let mut renamed: BTreeMap<V, V> = BTreeMap::new();
    let mut unknown = None;
    for &(header, kept) in headers {
        let block = &function.blocks[header];
        let rounds = match &block.term {
            Term::Branch { lhs, .. } => Some(*lhs),
            _ => None,
        };
        let span = block.span;
        let params = block.params.clone();
        let mut added = Vec::new();
        for param in params {
            if Some(param) == rounds || Some(param) == kept {
                continue;
            }
            let key = *unknown.get_or_insert_with(|| function.fresh());
            let mut value = param;
            for _ in 0..2 {
                let dst = function.fresh();
                let op = Op::Alu(Alu::Xor, value, Val::Reg(key));
                added.push(Inst {
                    dst: Some(dst),
                    op,
                    span,
                });
                value = dst;
            }
            renamed.insert(param, value);
        }
        function.blocks[header].insts.splice(0..0, added);
    }
    let Some(key) = unknown else {
        return;
    };
    for block in &mut function.blocks {
        for inst in &mut block.insts {
            // Those added above read the parameter itself.
            if matches!(inst.op, Op::Alu(_, _, Val::Reg(with)) if with == key) {
                continue;
            }
            inst.op.uses_mut(|v| *v = *renamed.get(v).unwrap_or(v));
        }
        block.term.uses_mut(|v| *v = *renamed.get(v).unwrap_or(v));
    }
    let entry = function.block_mut(super::BlockId(0));
    let at = usize::from(matches!(entry.insts.first(), Some(inst) if inst.op == Op::Context));
    let op = Op::Call(helper::GET_CURRENT_PID_TGID, Vec::new());
    let (dst, span) = (Some(key), entry.span);
    entry.insts.insert(at, Inst { dst, op, span });
}

/// Every loop, outer ones first, and which are in no other.
fn nests(function: &Function) -> (Vec<Nest>, Vec<usize>) {
    let loops = function.loops();
    let mut innermost: Vec<Option<usize>> = vec![None; function.blocks.len()];
    let mut outermost = Vec::new();
    let mut nests: Vec<Nest> = Vec::new();
    for (i, (header, inside)) in loops.iter().enumerate() {
        match innermost[*header] {
            Some(around) => nests[around].inner.push(i),
            None => outermost.push(i),
        }
        inside.iter().for_each(|&b| innermost[b] = Some(i));
        let limit = (function.limits.iter()).position(|l| l.header.0 as usize == *header);
        nests.push(Nest {
            limit,
            header: *header,
            known: limit.and_then(|_| rounds(function, *header, inside)),
            own: Cost::default(),
            inner: Vec::new(),
        });
    }
    for (block, nest) in function.blocks.iter().zip(innermost) {
        if let Some(nest) = nest {
            nests[nest].own.add(cost(block), 1.0);
        }
    }
    for nest in &mut nests {
        // The way of the limit's own branch is always known, and that of a condition on constants.
        let known = u8::from(nest.limit.is_some()) + u8::from(nest.known.is_some());
        nest.own.branches = (nest.own.branches - f64::from(known)).max(0.0);
    }
    (nests, outermost)
}

/// What a round costs in all, inner loops of unknown length taking one round.
fn round(nests: &[Nest], nest: usize) -> Cost {
    let mut cost = nests[nest].own;
    for &inner in &nests[nest].inner {
        let times = nests[inner]
            .known
            .map_or(1.0, |(rounds, _)| f64::from(rounds.max(1)));
        cost.add(round(nests, inner), times);
    }
    cost
}

/// How many loops of unknown length stand inside one another.
fn unknown(nests: &[Nest], nest: usize) -> u32 {
    let inner = nests[nest].inner.iter();
    let inner = inner.map(|&inner| unknown(nests, inner)).max().unwrap_or(0);
    inner + u32::from(nests[nest].known.is_none())
}

fn share_out(nests: &[Nest], nest: usize, budget: Cost, chosen: &mut [u32]) {
    let mut round = round(nests, nest);
    // Behind each branch the round is followed once more up to where the ways meet again.
    round.instructions *= 1.0 + round.branches / 2.0;
    let affordable = (budget.instructions / round.instructions.max(1.0))
        .min(budget.branches / round.branches.max(0.001));
    let this = &nests[nest];
    let rounds = match this.known {
        Some((rounds, _)) => affordable.min(f64::from(rounds)),
        None => (affordable.powf(1.0 / f64::from(unknown(nests, nest)))).min(f64::from(MOST)),
    };
    let rounds = rounds.max(1.0).floor();
    if let Some(limit) = this.limit {
        chosen[limit] = rounds as u32;
    }
    let budget = budget.part(1.0 / (rounds * this.inner.len().max(1) as f64));
    for &inner in &this.inner {
        share_out(nests, inner, budget, chosen);
    }
}

/// Instructions and branches that a block becomes, roughly.
fn cost(block: &Block) -> Cost {
    let mut cost = Cost {
        instructions: 1.0,
        branches: f64::from(u8::from(matches!(block.term, Term::Branch { .. }))),
    };
    for inst in &block.insts {
        let (instructions, branches) = match &inst.op {
            Op::Call(_, args) => (3.0 + 2.0 * args.len() as f64, 0.0),
            Op::LogLinear { .. } => (20.0, 6.0),
            Op::BucketAdd { .. } => (8.0, 2.0),
            Op::Set(..) => (3.0, 1.0),
            _ => (2.0, 0.0),
        };
        cost.instructions += instructions;
        cost.branches += branches;
    }
    cost
}

/// The rounds of a loop whose condition, the branch behind its limit, compares a variable that starts at a constant and
/// changes by one in each round with another constant. One more than it takes at most.
fn rounds(function: &Function, header: usize, inside: &[usize]) -> Option<(u32, V)> {
    let Term::Branch { then, .. } = &function.blocks[header].term else {
        return None;
    };
    let test = function.block(*then);
    let Term::Branch {
        cond,
        lhs,
        rhs,
        then,
        otherwise,
    } = &test.term
    else {
        return None;
    };
    let stays = |b: &super::BlockId| inside.contains(&(b.0 as usize));
    let cond = match (stays(then), stays(otherwise)) {
        (true, false) => *cond,
        (false, true) => cond.inverse(),
        _ => return None,
    };
    let bound = constant(function, *rhs)?;
    let (variable, plus) = linear(function, *lhs);
    let (start, step) = induction(function, header, variable)?;
    let mut value = start.wrapping_add(plus);
    // Plain and bounded: what is not over by then is cut anyway.
    for rounds in 0..BUDGET.instructions as u32 {
        if !cond.holds(value, bound) {
            return Some((rounds + 1, variable));
        }
        value = value.wrapping_add(step);
    }
    None
}

/// A register as another one plus a constant.
fn linear(function: &Function, v: V) -> (V, i64) {
    match definition(function, v).map(|inst| &inst.op) {
        Some(Op::Alu(Alu::Add, of, Val::Imm(n))) => (*of, *n),
        _ => (v, 0),
    }
}

/// Where a parameter of a header starts and by how much it grows each round, if both are constants.
fn induction(function: &Function, header: usize, v: V) -> Option<(i64, i64)> {
    let at = function.blocks[header]
        .params
        .iter()
        .position(|&p| p == v)?;
    let (mut start, mut step) = (None, None);
    for (b, block) in function.blocks.iter().enumerate() {
        let Term::Jump(Edge { block, args }) = &block.term else {
            continue;
        };
        if block.0 as usize != header {
            continue;
        }
        if b < header {
            let value = constant(function, args[at])?;
            if *start.get_or_insert(value) != value {
                return None;
            }
        } else {
            let Val::Reg(next) = args[at] else {
                return None;
            };
            let (from, by) = linear(function, next);
            if from != v || *step.get_or_insert(by) != by {
                return None;
            }
        }
    }
    Some((start?, step?))
}

fn constant(function: &Function, value: Val) -> Option<i64> {
    match value {
        Val::Imm(n) => Some(n),
        Val::Reg(v) => match definition(function, v)?.op {
            Op::Const(n) => Some(n),
            _ => None,
        },
    }
}

fn definition(function: &Function, v: V) -> Option<&Inst> {
    let mut insts = function.blocks.iter().flat_map(|block| &block.insts);
    insts.find(|inst| inst.dst == Some(v))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::build::Builder;
    use crate::ir::{Address, Cond, Width, cleanup};

    /// `for (i = 0; i < end; i++) { inner }`, with the limit of loop `id`.
    fn count_to(b: &mut Builder, id: u32, end: Val, inner: &mut dyn FnMut(&mut Builder)) {
        let (rounds, i) = (b.var(Val::Imm(0)), b.var(Val::Imm(0)));
        let (header, test, body) = (b.block(), b.block(), b.block());
        let (cut, done) = (b.cold_block(), b.block());
        b.jump(header);
        b.start_loop(header);
        let at = b.get(rounds);
        b.branch(Cond::Lt, at, Val::Imm(1), test, cut);
        b.limit(header, LoopId(id));
        b.start(test);
        let now = b.get(i);
        b.branch(Cond::SLt, now, end, body, done);
        b.start(body);
        inner(b);
        for var in [rounds, i] {
            let next = b.alu(Alu::Add, b.get(var), Val::Imm(1));
            b.set_var(var, next);
        }
        b.end_loop();
        b.start(cut);
        b.jump(done);
        b.start(done);
        b.pop(i);
        b.pop(rounds);
    }

    fn chosen(build: impl FnOnce(&mut Builder)) -> Vec<u32> {
        let mut b = Builder::new(crate::span::Span::default());
        build(&mut b);
        b.exit();
        let mut function = b.finish();
        crate::ir::verify::verify(&function).unwrap();
        cleanup::cleanup(&mut function);
        crate::ir::verify::verify(&function).unwrap();
        let by_id = {
            let chosen = choose(&mut function, &|_| None, 0);
            let mut by_id: Vec<(u32, u32)> = (function.limits.iter().zip(chosen))
                .map(|(limit, most)| (limit.id.0, most))
                .collect();
            by_id.sort();
            by_id
        };
        by_id.into_iter().map(|(_, most)| most).collect()
    }

    fn unknown_end(b: &mut Builder) -> Val {
        b.load(Width::D, Address::reg(b.context()))
    }

    #[test]
    fn a_loop_over_constants_takes_its_rounds() {
        let rounds = chosen(|b| count_to(b, 0, Val::Imm(1000), &mut |_| {}));
        assert_eq!(rounds, [1001]);
        let rounds = chosen(|b| {
            count_to(b, 0, Val::Imm(100), &mut |b| {
                count_to(b, 1, Val::Imm(100), &mut |_| {});
            });
        });
        assert_eq!(rounds, [101, 101]);
    }

    #[test]
    fn a_loop_of_unknown_length_gets_what_the_verifier_can_follow() {
        let rounds = chosen(|b| {
            let end = unknown_end(b);
            count_to(b, 0, end, &mut |_| {});
        });
        assert!((1000..=MOST).contains(&rounds[0]), "{rounds:?}");
        let nested = chosen(|b| {
            let end = unknown_end(b);
            count_to(b, 0, end, &mut |b| count_to(b, 1, end, &mut |_| {}));
        });
        let product = nested[0] * nested[1];
        assert!(nested[0] > 20 && product <= 6000, "{nested:?}");
    }

    #[test]
    fn too_many_known_rounds_are_cut() {
        let rounds = chosen(|b| count_to(b, 0, Val::Imm(10_000_000), &mut |_| {}));
        assert!(rounds[0] < 100_000, "{rounds:?}");
    }
}

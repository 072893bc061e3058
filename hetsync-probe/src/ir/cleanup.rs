//! What building leaves behind: instructions, parameters and blocks nobody needs.

use super::{Function, Inst, Op, Term, V, Val};

/// Drops unused values, parameters that are always the same, unreachable blocks and blocks that only jump on.
pub fn cleanup(function: &mut Function) {
    replace_same(function);
    drop_unused(function);
    skip_empty_blocks(function);
    drop_unreachable(function);
}

/// Finds parameters that get one value from everywhere, themselves left out: what a loop does not change. A register takes
/// their place; a constant is made where they were.
fn replace_same(function: &mut Function) {
    let order = function.order();
    let mut incoming: Vec<Vec<usize>> = vec![Vec::new(); function.blocks.len()];
    for &id in &order {
        if let Term::Jump(edge) = &function.block(id).term {
            incoming[edge.block.0 as usize].push(id.0 as usize);
        }
    }
    let mut same: Vec<Option<Val>> = vec![None; function.registers as usize];
    let mut changed = true;
    while changed {
        changed = false;
        for &id in &order {
            for (i, &param) in function.block(id).params.iter().enumerate() {
                if same[param.0 as usize].is_some() {
                    continue;
                }
                let mut only = None;
                let one = (incoming[id.0 as usize].iter()).all(|&pred| {
                    let Term::Jump(edge) = &function.blocks[pred].term else {
                        return false;
                    };
                    let value = resolve(&same, edge.args[i]);
                    value == Val::Reg(param) || *only.get_or_insert(value) == value
                });
                if one && let Some(value) = only {
                    same[param.0 as usize] = Some(value);
                    changed = true;
                }
            }
        }
    }
    for &id in &order {
        let block = &mut function.blocks[id.0 as usize];
        let gone: Vec<bool> = (block.params.iter())
            .map(|v| same[v.0 as usize].is_some())
            .collect();
        let span = block.span;
        let constants = block.params.iter().filter_map(|&param| {
            let Some(Val::Imm(n)) = same[param.0 as usize] else {
                return None;
            };
            let (dst, op) = (Some(param), Op::Const(n));
            Some(Inst { dst, op, span })
        });
        let constants: Vec<Inst> = constants.collect();
        for inst in &mut block.insts {
            inst.op.uses_mut(|v| rename(&same, v));
        }
        block.term.uses_mut(|v| rename(&same, v));
        block.insts.splice(0..0, constants);
        drop_marked(&mut block.params, &gone);
        for &pred in &incoming[id.0 as usize] {
            if let Term::Jump(edge) = &mut function.blocks[pred].term {
                drop_marked(&mut edge.args, &gone);
            }
        }
    }
}

/// What a value is in the end.
fn resolve(same: &[Option<Val>], mut value: Val) -> Val {
    while let Val::Reg(v) = value
        && let Some(other) = same[v.0 as usize]
    {
        value = other;
    }
    value
}

fn rename(same: &[Option<Val>], v: &mut V) {
    while let Some(Val::Reg(other)) = same[v.0 as usize] {
        *v = other;
    }
}

fn drop_marked<T>(list: &mut Vec<T>, marked: &[bool]) {
    let mut marks = marked.iter();
    list.retain(|_| !*marks.next().unwrap_or(&false));
}

/// Marks what effects need, then drops the rest.
fn drop_unused(function: &mut Function) {
    let order = function.order();
    let mut needed = vec![false; function.registers as usize];
    // Where each register comes from: an instruction, or a parameter with its block and place.
    let mut source: Vec<Option<(usize, Source)>> = vec![None; function.registers as usize];
    let mut incoming: Vec<Vec<usize>> = vec![Vec::new(); function.blocks.len()];
    for &id in &order {
        let block = function.block(id);
        for (i, v) in block.params.iter().enumerate() {
            source[v.0 as usize] = Some((id.0 as usize, Source::Param(i)));
        }
        for (i, inst) in block.insts.iter().enumerate() {
            if let Some(dst) = inst.dst {
                source[dst.0 as usize] = Some((id.0 as usize, Source::Inst(i)));
            }
        }
        if let Term::Jump(edge) = &block.term {
            incoming[edge.block.0 as usize].push(id.0 as usize);
        }
    }
    let mut work: Vec<V> = Vec::new();
    for &id in &order {
        let block = function.block(id);
        for inst in block.insts.iter().filter(|inst| !inst.op.is_removable()) {
            inst.op.uses(|v| work.push(v));
        }
        if let Term::Branch { .. } = block.term {
            block.term.uses(|v| work.push(v));
        }
    }
    while let Some(v) = work.pop() {
        if std::mem::replace(&mut needed[v.0 as usize], true) {
            continue;
        }
        match source[v.0 as usize] {
            Some((block, Source::Inst(i))) => {
                function.blocks[block].insts[i].op.uses(|v| work.push(v));
            }
            Some((block, Source::Param(i))) => {
                for &pred in &incoming[block] {
                    if let Term::Jump(edge) = &function.blocks[pred].term
                        && let Val::Reg(v) = edge.args[i]
                    {
                        work.push(v);
                    }
                }
            }
            None => {}
        }
    }
    for &id in &order {
        let kept: Vec<bool> = (function.block(id).params.iter())
            .map(|v| needed[v.0 as usize])
            .collect();
        let block = function.block_mut(id);
        block.insts.retain(|inst| {
            !inst.op.is_removable() || inst.dst.is_some_and(|v| needed[v.0 as usize])
        });
        for inst in &mut block.insts {
            // A call whose result nobody reads is made for its effect.
            if let Op::Call(..) | Op::AtomicAdd(..) = inst.op
                && inst.dst.is_some_and(|v| !needed[v.0 as usize])
            {
                inst.dst = None;
            }
        }
        let mut keep = kept.iter();
        block.params.retain(|_| *keep.next().unwrap_or(&true));
        for &pred in &incoming[id.0 as usize] {
            if let Term::Jump(edge) = &mut function.blocks[pred].term {
                let mut keep = kept.iter();
                edge.args.retain(|_| *keep.next().unwrap_or(&true));
            }
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Source {
    Param(usize),
    Inst(usize),
}

/// Lets edges lead past blocks that do nothing but jump without arguments.
fn skip_empty_blocks(function: &mut Function) {
    let empty = |function: &Function, id: super::BlockId| {
        let block = function.block(id);
        match &block.term {
            Term::Jump(edge)
                if block.insts.is_empty()
                    && block.params.is_empty()
                    && edge.args.is_empty()
                    && edge.block != id =>
            {
                Some(edge.block)
            }
            _ => None,
        }
    };
    let end = |function: &Function, mut id: super::BlockId| {
        // A cycle of empty blocks would never end: the count makes sure.
        for _ in 0..function.blocks.len() {
            match empty(function, id) {
                Some(next) => id = next,
                None => break,
            }
        }
        id
    };
    for i in 0..function.blocks.len() {
        let mut term = function.blocks[i].term.clone();
        match &mut term {
            Term::Jump(edge) => edge.block = end(function, edge.block),
            Term::Branch {
                then, otherwise, ..
            } => {
                for target in [&mut *then, &mut *otherwise] {
                    // The block skipped has no parameters and passes none, so neither has the end.
                    *target = end(function, *target);
                }
                if then == otherwise {
                    term = Term::Jump(super::Edge {
                        block: *then,
                        args: Vec::new(),
                    });
                }
            }
            Term::Exit => {}
        }
        // A jump straight to the exit is the exit.
        if let Term::Jump(edge) = &term
            && function.block(edge.block).insts.is_empty()
            && function.block(edge.block).term == Term::Exit
        {
            term = Term::Exit;
        }
        function.blocks[i].term = term;
    }
}

/// Renumbers blocks: the reachable ones, in [`Function::order`].
fn drop_unreachable(function: &mut Function) {
    let order = function.order();
    let mut number = vec![0; function.blocks.len()];
    let mut blocks = Vec::with_capacity(order.len());
    for (i, id) in order.iter().enumerate() {
        number[id.0 as usize] = i as u32;
        blocks.push(function.block(*id).clone());
    }
    for block in &mut blocks {
        match &mut block.term {
            Term::Jump(edge) => edge.block.0 = number[edge.block.0 as usize],
            Term::Branch {
                then, otherwise, ..
            } => {
                then.0 = number[then.0 as usize];
                otherwise.0 = number[otherwise.0 as usize];
            }
            Term::Exit => {}
        }
    }
    function.blocks = blocks;
    let reached = |limit: &super::Limit| order.contains(&limit.header);
    function.limits.retain(reached);
    for limit in &mut function.limits {
        limit.header.0 = number[limit.header.0 as usize];
    }
}

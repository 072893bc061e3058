//! Checks the invariants of the IR; run after lowering and after every pass in debug and test builds.

use std::collections::BTreeMap;

use super::{Arg, Base, BlockId, Function, Op, Term, V, Val, fits_imm};

/// Finds the first broken invariant of [`super`], in words.
pub fn verify(function: &Function) -> Result<(), String> {
    let order = function.order();
    let tree = Tree::new(&order, &dominators(function, &order));
    let mut defined: BTreeMap<V, (BlockId, usize)> = BTreeMap::new();
    for &id in &order {
        let block = function.block(id);
        let params = block.params.iter().map(|&v| (v, 0));
        let insts = (block.insts.iter().enumerate()).filter_map(|(i, x)| Some((x.dst?, i + 1)));
        for (v, at) in params.chain(insts) {
            if v.0 >= function.registers {
                return Err(format!("{id}: {v} is beyond the register count"));
            }
            if defined.insert(v, (id, at)).is_some() {
                return Err(format!("{id}: {v} is defined twice"));
            }
        }
    }
    let rank: BTreeMap<BlockId, usize> = order.iter().enumerate().map(|(i, &b)| (b, i)).collect();
    for &id in &order {
        for next in function.block(id).term.successors() {
            if rank[&next] <= rank[&id] && !tree.dominates(next, id) {
                return Err(format!(
                    "{id}: goes back to {next}, which has another way in"
                ));
            }
        }
    }
    if !function.block(BlockId(0)).params.is_empty() {
        return Err("the entry has parameters".into());
    }
    for &id in &order {
        let block = function.block(id);
        for (i, inst) in block.insts.iter().enumerate() {
            inst_shape(function, &inst.op, inst.dst.is_some())
                .map_err(|e| format!("{id}: {}: {e}", inst.op))?;
            if matches!(inst.op, Op::Context) && (id, i) != (BlockId(0), 0) {
                return Err(format!("{id}: the context is read after the entry"));
            }
            let mut bad = None;
            inst.op.uses(|v| {
                if !reaches(&defined, &tree, v, id, i + 1) {
                    bad = Some(v);
                }
            });
            if let Some(v) = bad {
                return Err(format!("{id}: {}: {v} is not defined here", inst.op));
            }
        }
        term_shape(function, &block.term).map_err(|e| format!("{id}: {}: {e}", block.term))?;
        let mut bad = None;
        block.term.uses(|v| {
            if !reaches(&defined, &tree, v, id, block.insts.len() + 1) {
                bad = Some(v);
            }
        });
        if let Some(v) = bad {
            return Err(format!("{id}: {}: {v} is not defined here", block.term));
        }
    }
    Ok(())
}

/// Whether a definition is there before position `at` of block `id`.
fn reaches(
    defined: &BTreeMap<V, (BlockId, usize)>,
    tree: &Tree,
    v: V,
    id: BlockId,
    at: usize,
) -> bool {
    match defined.get(&v) {
        None => false,
        Some(&(block, position)) if block == id => position < at,
        Some(&(block, _)) => tree.dominates(block, id),
    }
}

/// The dominator tree, numbered so that one comparison tells who is above whom.
struct Tree {
    /// By block: its number, and that after the last one below it.
    spans: BTreeMap<BlockId, (usize, usize)>,
}

impl Tree {
    fn new(order: &[BlockId], idom: &BTreeMap<BlockId, BlockId>) -> Self {
        let mut below: BTreeMap<BlockId, Vec<BlockId>> = BTreeMap::new();
        for (&id, &above) in idom {
            below.entry(above).or_default().push(id);
        }
        let mut spans = BTreeMap::new();
        let mut next = 0;
        let mut stack: Vec<(BlockId, bool)> =
            order.first().map(|&id| (id, false)).into_iter().collect();
        while let Some((id, leaving)) = stack.pop() {
            if leaving {
                spans
                    .entry(id)
                    .and_modify(|span: &mut (usize, usize)| span.1 = next);
                continue;
            }
            spans.insert(id, (next, next));
            next += 1;
            stack.push((id, true));
            stack.extend(below.get(&id).into_iter().flatten().map(|&id| (id, false)));
        }
        Self { spans }
    }

    fn dominates(&self, above: BlockId, id: BlockId) -> bool {
        match (self.spans.get(&above), self.spans.get(&id)) {
            (Some(above), Some(id)) => above.0 <= id.0 && id.0 < above.1,
            _ => false,
        }
    }
}

/// The immediate dominator of every reachable block but the entry.
pub fn dominators(function: &Function, order: &[BlockId]) -> BTreeMap<BlockId, BlockId> {
    let rank: BTreeMap<BlockId, usize> = order.iter().enumerate().map(|(i, &b)| (b, i)).collect();
    let mut preds: BTreeMap<BlockId, Vec<BlockId>> = BTreeMap::new();
    for &id in order {
        for next in function.block(id).term.successors() {
            preds.entry(next).or_default().push(id);
        }
    }
    let mut idom: BTreeMap<BlockId, BlockId> = BTreeMap::new();
    let mut changed = true;
    while changed {
        changed = false;
        for &id in order.iter().skip(1) {
            let mut common: Option<BlockId> = None;
            for &pred in &preds[&id] {
                if pred != order[0] && !idom.contains_key(&pred) {
                    continue;
                }
                common = Some(match common {
                    None => pred,
                    Some(other) => {
                        let (mut a, mut b) = (pred, other);
                        while a != b {
                            if rank[&a] > rank[&b] {
                                a = idom[&a];
                            } else {
                                b = idom[&b];
                            }
                        }
                        a
                    }
                });
            }
            if let Some(common) = common
                && idom.insert(id, common) != Some(common)
            {
                changed = true;
            }
        }
    }
    idom
}

fn inst_shape(function: &Function, op: &Op, has_dst: bool) -> Result<(), String> {
    let imm = |v: &Val| match v {
        Val::Imm(n) if !fits_imm(*n) => Err("the immediate does not fit 32 bits".to_string()),
        _ => Ok(()),
    };
    let slot = |id: super::SlotId| {
        if (id.0 as usize) < function.slots.len() {
            Ok(())
        } else {
            Err(format!("{id} does not exist"))
        }
    };
    let wants_dst = match op {
        Op::Alu(alu, _, b) => {
            imm(b)?;
            use super::Alu as A;
            match (alu, b) {
                (A::Div | A::Mod, Val::Imm(0)) => return Err("division by a constant 0".into()),
                (A::Shl | A::Shr | A::Sar, Val::Imm(n)) if !(0..64).contains(n) => {
                    return Err("the shift is out of range".into());
                }
                _ => {}
            }
            Some(true)
        }
        Op::Set(_, _, b) => {
            imm(b)?;
            Some(true)
        }
        Op::Store(_, address, v) => {
            imm(v)?;
            if let Base::Slot(id) = address.base {
                slot(id)?;
            }
            Some(false)
        }
        Op::Load(_, address) => {
            if let Base::Slot(id) = address.base {
                slot(id)?;
            }
            Some(true)
        }
        Op::Call(_, args) => {
            if args.len() > 5 {
                return Err("more than five arguments".into());
            }
            for arg in args {
                if let Arg::Slot(id, _) = arg {
                    slot(*id)?;
                }
            }
            None
        }
        Op::AtomicAdd(..) => None,
        Op::Stop | Op::Entry { .. } if function.depth == 0 => {
            return Err("this is no body of a loop over a map".into());
        }
        Op::Stop => Some(false),
        Op::Part { count, .. } if !count.is_power_of_two() => {
            return Err("the parts of a value are a power of two".into());
        }
        Op::BucketAdd { width, limit, .. } => {
            if !matches!(width, super::Width::W | super::Width::D) || !limit.is_power_of_two() {
                return Err("counters have 4 or 8 bytes and are a power of two".into());
            }
            Some(false)
        }
        Op::Spill(..) | Op::Reload(..) => return Err("only register allocation spills".into()),
        _ => Some(true),
    };
    if wants_dst.is_some_and(|wants| wants != has_dst) {
        return Err("the destination is wrong".into());
    }
    Ok(())
}

fn term_shape(function: &Function, term: &Term) -> Result<(), String> {
    match term {
        Term::Jump(edge) => {
            let params = function.block(edge.block).params.len();
            if edge.args.len() != params {
                return Err(format!("{params} arguments wanted"));
            }
        }
        Term::Branch {
            rhs,
            then,
            otherwise,
            ..
        } => {
            if matches!(rhs, Val::Imm(n) if !fits_imm(*n)) {
                return Err("the immediate does not fit 32 bits".into());
            }
            for id in [then, otherwise] {
                if !function.block(*id).params.is_empty() {
                    return Err("a branch passes no arguments".into());
                }
            }
        }
        Term::Exit => {}
    }
    Ok(())
}

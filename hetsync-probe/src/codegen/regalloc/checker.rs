//! Proves an allocation: walks the allocated code keeping, for each register and spill slot, which virtual
//! registers it holds on every way there, and refuses a read of anything else.
//!
//! It shares with the allocator only what instructions ask for ([`super::shape()`]), not how places were chosen.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Allocated, AllocatedBlock, FIRST_SAVED, Loc, REGISTERS, Source, Step, shape, term_uses,
};
use crate::ir::{Block, Function, Inst, Term, V, Val};

/// A value by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Symbol {
    Reg(V),
    Imm(i64),
}

/// What each place holds; a place not listed holds nothing known.
type State = BTreeMap<Loc, BTreeSet<Symbol>>;

/// Checks that `allocated` computes what `function` says.
///
/// # Errors
///
/// The first step that does not, in words.
pub fn check(function: &Function, allocated: &Allocated) -> Result<(), String> {
    if allocated.blocks.len() != function.blocks.len() {
        return Err("the blocks differ".into());
    }
    if allocated.slots.get(..function.slots.len()) != Some(&function.slots[..]) {
        return Err("the objects differ".into());
    }
    let mut entries: Vec<Option<State>> = vec![None; function.blocks.len()];
    entries[0] = Some(State::new());
    let mut work: BTreeSet<usize> = BTreeSet::from([0]);
    while let Some(b) = work.pop_first() {
        let block = &function.blocks[b];
        let mut walk = Walk {
            function,
            allocated,
            state: entries[b].clone().unwrap_or_default(),
        };
        walk.block(block, &allocated.blocks[b])
            .map_err(|what| format!("b{b}: {what}"))?;
        for (next, state) in walk.leave(&block.term) {
            let known = &mut entries[next];
            let met = match known {
                None => state,
                Some(known) => meet(known, &state),
            };
            if known.as_ref() != Some(&met) {
                *known = Some(met);
                work.insert(next);
            }
        }
    }
    Ok(())
}

/// What holds on both ways.
fn meet(a: &State, b: &State) -> State {
    let mut met = State::new();
    for (loc, symbols) in a {
        if let Some(others) = b.get(loc) {
            let both: BTreeSet<Symbol> = symbols.intersection(others).copied().collect();
            if !both.is_empty() {
                met.insert(*loc, both);
            }
        }
    }
    met
}

struct Walk<'a> {
    function: &'a Function,
    allocated: &'a Allocated,
    state: State,
}

impl Walk<'_> {
    fn block(&mut self, block: &Block, allocated: &AllocatedBlock) -> Result<(), String> {
        let mut next = 0;
        for step in &allocated.steps {
            match step {
                Step::Move { to, from } => self.copy(*to, *from)?,
                Step::Op { index, regs } => {
                    if *index != next {
                        return Err(format!("instruction {index} where {next} is due"));
                    }
                    let inst = block.insts.get(next).ok_or("one instruction too many")?;
                    self.inst(inst, regs)
                        .map_err(|what| format!("{}: {what}", inst.op))?;
                    next += 1;
                }
            }
        }
        if next != block.insts.len() {
            return Err("instructions are missing".into());
        }
        let uses = term_uses(&block.term);
        if uses.len() != allocated.term.len() {
            return Err("the terminator's registers are missing".into());
        }
        for (v, register) in uses.into_iter().zip(&allocated.term) {
            self.read(v, *register)?;
        }
        Ok(())
    }

    fn place(&self, loc: Loc) -> Result<(), String> {
        let exists = match loc {
            Loc::Reg(register) => register < REGISTERS,
            // A spill slot is none of the function's own objects.
            Loc::Spill(slot) => {
                (self.function.slots.len()..self.allocated.slots.len()).contains(&(slot.0 as usize))
            }
        };
        if exists {
            Ok(())
        } else {
            Err(format!("{loc:?} is no place for a value"))
        }
    }

    fn copy(&mut self, to: Loc, from: Source) -> Result<(), String> {
        self.place(to)?;
        let symbols = match from {
            Source::Imm(n) => BTreeSet::from([Symbol::Imm(n)]),
            Source::Loc(loc) => {
                self.place(loc)?;
                if let (Loc::Spill(_), Loc::Spill(_)) = (to, loc) {
                    return Err("a move from memory to memory".into());
                }
                self.state.get(&loc).cloned().unwrap_or_default()
            }
        };
        self.state.insert(to, symbols);
        Ok(())
    }

    fn read(&self, v: V, register: u8) -> Result<(), String> {
        self.place(Loc::Reg(register))?;
        let held = self.state.get(&Loc::Reg(register));
        if held.is_some_and(|held| held.contains(&Symbol::Reg(v))) {
            Ok(())
        } else {
            Err(format!("R{register} does not hold {v}"))
        }
    }

    fn inst(&mut self, inst: &Inst, regs: &[u8]) -> Result<(), String> {
        let shape = shape(&inst.op);
        let results = usize::from(inst.dst.is_some());
        if regs.len() != shape.uses.len() + results + shape.temps {
            return Err("the wrong number of registers".into());
        }
        let (reads, writes) = regs.split_at(shape.uses.len());
        for (operand, &register) in shape.uses.iter().zip(reads) {
            self.read(operand.v, register)?;
            if operand.fixed.is_some_and(|fixed| fixed != register) {
                return Err(format!("{} in the wrong register", operand.v));
            }
            if operand.late && writes.contains(&register) {
                return Err(format!("R{register} is written before it is read"));
            }
        }
        for (i, &register) in writes.iter().enumerate() {
            self.place(Loc::Reg(register))?;
            if writes[..i].contains(&register) {
                return Err(format!("R{register} is written twice"));
            }
        }
        if shape.is_call {
            for register in 0..FIRST_SAVED {
                self.state.remove(&Loc::Reg(register));
            }
        }
        for &register in writes {
            self.state.remove(&Loc::Reg(register));
        }
        if let Some(dst) = inst.dst {
            let register = writes[0];
            if shape.result.is_some_and(|fixed| fixed != register) {
                return Err("the result is in the wrong register".into());
            }
            self.define(dst);
            self.state
                .insert(Loc::Reg(register), BTreeSet::from([Symbol::Reg(dst)]));
        }
        Ok(())
    }

    /// A new value of this name: what older copies hold is another (in a loop).
    fn define(&mut self, v: V) {
        for symbols in self.state.values_mut() {
            symbols.remove(&Symbol::Reg(v));
        }
    }

    /// The states in which the successors are entered.
    fn leave(self, term: &Term) -> Vec<(usize, State)> {
        match term {
            Term::Exit => Vec::new(),
            Term::Branch {
                then, otherwise, ..
            } => vec![
                (then.0 as usize, self.state.clone()),
                (otherwise.0 as usize, self.state),
            ],
            Term::Jump(edge) => {
                let params = &self.function.block(edge.block).params;
                let mut state = State::new();
                for (loc, symbols) in &self.state {
                    let mut held: BTreeSet<Symbol> = (symbols.iter().copied())
                        .filter(|s| !matches!(s, Symbol::Reg(v) if params.contains(v)))
                        .collect();
                    for (param, arg) in params.iter().zip(&edge.args) {
                        let arg = match arg {
                            Val::Reg(v) => Symbol::Reg(*v),
                            Val::Imm(n) => Symbol::Imm(*n),
                        };
                        if symbols.contains(&arg) {
                            held.insert(Symbol::Reg(*param));
                        }
                    }
                    state.insert(*loc, held);
                }
                vec![(edge.block.0 as usize, state)]
            }
        }
    }
}

//! Builds a [`Function`] block by block: SSA form, constant folding, common subexpressions and
//! branch folding all happen while instructions are added, so no later pass has to find them again.
//!
//! Blocks are started in an order in which every edge into a block is known, but for one: the edge that closes a loop. Every
//! variable is a parameter of a loop's header ([`Builder::start_loop`]), and [`Builder::end_loop`] passes the values back; the
//! parameters of what the loop leaves alone are taken out again by [`super::cleanup`]. A value computed before is used again
//! where its block dominates the current one, which loops do not disturb: between a computation and what it dominates, nothing
//! it was made of is computed anew.

use std::collections::HashMap;

use super::{
    Address, Alu, Arg, Base, Block, BlockId, Cond, Edge, Function, Inst, Limit, Op, Slot, SlotId,
    Term, Unary, V, Val, Width, fits_imm, simplify,
};
use crate::sema::hir::LoopId;
use crate::span::Span;

/// A `$` variable or a temporary that several blocks write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Var(usize);

/// Furthest step up the dominator tree that a computed value is looked for.
const FAR: u32 = 2000;
/// How many computations of the same operation are looked at, newest first.
const CANDIDATES: usize = 4;

/// Adds to a function under construction.
#[derive(Debug)]
pub struct Builder {
    function: Function,
    current: BlockId,
    context: V,
    /// Place in the script of what is being added.
    pub span: Span,
    blocks: Vec<BlockFacts>,
    /// Values of the variables at the current point.
    vars: Vec<Val>,
    /// What each register is.
    defs: Vec<Option<Op>>,
    /// Where each pure operation was computed.
    computed: HashMap<Op, Vec<(BlockId, V)>>,
    /// Loops whose closing edge is still to come, innermost last.
    loops: Vec<OpenLoop>,
}

/// A loop between its header and the edge back to it.
#[derive(Debug)]
struct OpenLoop {
    header: BlockId,
    /// The variable behind each parameter of the header.
    params: Vec<usize>,
}

#[derive(Debug, Default, Clone)]
struct BlockFacts {
    preds: Vec<BlockId>,
    idom: Option<BlockId>,
    depth: u32,
    closed: bool,
    /// Values of the variables at its end.
    vars: Vec<Val>,
}

impl Builder {
    /// An empty function, at its entry; `span` is the probe's.
    pub fn new(span: Span) -> Self {
        let mut builder = Self {
            function: Function {
                blocks: Vec::new(),
                slots: Vec::new(),
                registers: 0,
                limits: Vec::new(),
                depth: 0,
                shared: 0,
            },
            current: BlockId(0),
            context: V(0),
            span,
            blocks: Vec::new(),
            vars: Vec::new(),
            defs: Vec::new(),
            computed: HashMap::new(),
            loops: Vec::new(),
        };
        builder.block();
        builder.value(Op::Context);
        builder
    }

    /// The context pointer.
    pub fn context(&self) -> V {
        self.context
    }

    /// From here on the context pointer is this.
    pub fn set_context(&mut self, context: V) {
        self.context = context;
    }

    /// Notes that the branch that ends `header` limits a loop: it goes on while a register is below the right side, which is
    /// chosen later.
    pub fn limit(&mut self, header: BlockId, id: LoopId) {
        self.function.limits.push(Limit { header, id });
    }

    /// Notes how many loops over maps the function is the body of.
    pub fn set_depth(&mut self, depth: u32) {
        self.function.depth = depth;
    }

    /// The finished function.
    pub fn finish(self) -> Function {
        self.function
    }

    /// A new block, started later.
    pub fn block(&mut self) -> BlockId {
        self.function.blocks.push(Block {
            params: Vec::new(),
            insts: Vec::new(),
            term: Term::Exit,
            span: self.span,
            cold: false,
        });
        self.blocks.push(BlockFacts::default());
        BlockId(self.function.blocks.len() as u32 - 1)
    }

    /// A new block that is rarely reached.
    pub fn cold_block(&mut self) -> BlockId {
        let id = self.block();
        self.function.block_mut(id).cold = true;
        id
    }

    /// An object of `size` bytes in the program's own memory.
    pub fn slot(&mut self, size: usize, what: impl Into<String>) -> SlotId {
        self.function.slots.push(Slot {
            size: size.next_multiple_of(8) as u32,
            what: what.into(),
            on_stack: false,
        });
        SlotId(self.function.slots.len() as u32 - 1)
    }

    /// An object that has to lie on the stack.
    pub fn stack_slot(&mut self, size: usize, what: impl Into<String>) -> SlotId {
        let slot = self.slot(size, what);
        self.function.slots[slot.0 as usize].on_stack = true;
        slot
    }

    /// The block being added to.
    pub fn here(&self) -> BlockId {
        self.current
    }

    /// Whether the current block has its terminator.
    pub fn is_closed(&self) -> bool {
        self.blocks[self.current.0 as usize].closed
    }

    /// Continues in `id`; every edge into it must have been added.
    pub fn start(&mut self, id: BlockId) {
        self.start_with(id, false);
    }

    /// Continues in `id`, the header of a loop: every edge into it from outside must have been added. It ends in
    /// [`Self::end_loop`].
    pub fn start_loop(&mut self, id: BlockId) {
        let params = self.start_with(id, true);
        self.loops.push(OpenLoop { header: id, params });
    }

    /// Goes back to the header of the innermost open loop, which is closed by that.
    pub fn end_loop(&mut self) {
        let Some(open) = self.loops.pop() else {
            debug_assert!(false, "no loop is open");
            return self.exit();
        };
        let args = open.params.iter().map(|&i| self.vars[i]).collect();
        let block = open.header;
        self.close(Term::Jump(Edge { block, args }));
    }

    /// Continues in `id`; gives the variables behind its parameters: those whose values differ, or all of them.
    fn start_with(&mut self, id: BlockId, all: bool) -> Vec<usize> {
        debug_assert!(self.is_closed(), "{} is left open", self.current);
        self.current = id;
        let preds = self.blocks[id.0 as usize].preds.clone();
        let Some((&first, rest)) = preds.split_first() else {
            // Not reachable: what is added here will be dropped.
            self.vars.fill(Val::Imm(0));
            self.function.block_mut(id).cold = true;
            return Vec::new();
        };
        if preds.iter().all(|p| self.function.block(*p).cold) {
            self.function.block_mut(id).cold = true;
        }
        let idom = rest.iter().fold(first, |a, &b| self.common_dominator(a, b));
        let depth = self.blocks[idom.0 as usize].depth + 1;
        let facts = &mut self.blocks[id.0 as usize];
        facts.idom = Some(idom);
        facts.depth = depth;
        self.merge_vars(id, &preds, all)
    }

    fn merge_vars(&mut self, id: BlockId, preds: &[BlockId], all: bool) -> Vec<usize> {
        let end = |b: &Self, pred: BlockId, i: usize| b.blocks[pred.0 as usize].vars[i];
        let count = preds
            .iter()
            .map(|p| self.blocks[p.0 as usize].vars.len())
            .min()
            .unwrap_or(0);
        let mut vars = Vec::with_capacity(count);
        let mut merged = Vec::new();
        let mut edges: Option<Vec<BlockId>> = None;
        for i in 0..count {
            let first = end(self, preds[0], i);
            if !all && preds.iter().all(|&p| end(self, p, i) == first) {
                vars.push(first);
                continue;
            }
            let edges = match &edges {
                Some(edges) => edges.clone(),
                None => {
                    let split = preds.iter().map(|&p| self.jump_edge(p, id)).collect();
                    edges.insert(split).clone()
                }
            };
            let param = self.function.fresh();
            self.defs.push(None);
            self.function.block_mut(id).params.push(param);
            for (&pred, edge) in preds.iter().zip(edges) {
                let arg = end(self, pred, i);
                if let Term::Jump(edge) = &mut self.function.block_mut(edge).term {
                    edge.args.push(arg);
                }
            }
            vars.push(Val::Reg(param));
            merged.push(i);
        }
        self.vars = vars;
        merged
    }

    /// The block whose jump leads from `pred` to `id`; a new one in between if `pred` branches.
    fn jump_edge(&mut self, pred: BlockId, id: BlockId) -> BlockId {
        if matches!(self.function.block(pred).term, Term::Jump(_)) {
            return pred;
        }
        let middle = self.block();
        let cold = self.function.block(pred).cold || self.function.block(id).cold;
        let span = self.function.block(pred).span;
        let block = self.function.block_mut(middle);
        block.cold = cold;
        block.span = span;
        block.term = Term::Jump(Edge {
            block: id,
            args: Vec::new(),
        });
        if let Term::Branch {
            then, otherwise, ..
        } = &mut self.function.block_mut(pred).term
        {
            for target in [then, otherwise] {
                if *target == id {
                    *target = middle;
                }
            }
        }
        middle
    }

    fn common_dominator(&self, mut a: BlockId, mut b: BlockId) -> BlockId {
        let facts = |id: BlockId| &self.blocks[id.0 as usize];
        while a != b {
            if facts(a).depth < facts(b).depth {
                std::mem::swap(&mut a, &mut b);
            }
            a = facts(a).idom.unwrap_or(b);
        }
        a
    }

    /// Whether every way to the current block goes through `block`; "no" also where that is too far back to tell
    /// cheaply, which costs a computation made twice in a very long script, and keeps compiling it quick.
    pub fn dominates_here(&self, block: BlockId) -> bool {
        let depth = self.blocks[block.0 as usize].depth;
        let mut id = self.current;
        if self.blocks[id.0 as usize].depth > depth + FAR {
            return false;
        }
        while self.blocks[id.0 as usize].depth > depth {
            match self.blocks[id.0 as usize].idom {
                Some(idom) => id = idom,
                None => return false,
            }
        }
        id == block
    }

    /// Whether any way leads to the current block.
    fn is_reached(&self) -> bool {
        self.current == BlockId(0) || !self.blocks[self.current.0 as usize].preds.is_empty()
    }

    fn close(&mut self, term: Term) {
        debug_assert!(!self.is_closed(), "{} is closed twice", self.current);
        // What is not reached leads nowhere: its values must not be merged with real ones.
        if self.is_reached() {
            for next in term.successors() {
                self.blocks[next.0 as usize].preds.push(self.current);
            }
        }
        let span = self.span;
        let block = self.function.block_mut(self.current);
        block.term = term;
        block.span = span;
        let facts = &mut self.blocks[self.current.0 as usize];
        facts.closed = true;
        facts.vars.clone_from(&self.vars);
    }

    /// Ends the block with a jump.
    pub fn jump(&mut self, block: BlockId) {
        self.close(Term::Jump(Edge {
            block,
            args: Vec::new(),
        }));
    }

    /// Ends the program.
    pub fn exit(&mut self) {
        self.close(Term::Exit);
    }

    /// Ends the block with a two-way branch, or with a jump where the way is known.
    pub fn branch(&mut self, cond: Cond, lhs: Val, rhs: Val, then: BlockId, otherwise: BlockId) {
        match simplify::condition(self, cond, lhs, rhs) {
            simplify::Condition::Known(true) => self.jump(then),
            simplify::Condition::Known(false) => self.jump(otherwise),
            simplify::Condition::Test(..) if then == otherwise => self.jump(then),
            simplify::Condition::Test(cond, lhs, rhs) => self.close(Term::Branch {
                cond,
                lhs,
                rhs,
                then,
                otherwise,
            }),
        }
    }

    /// A new variable with a start value, from here on.
    pub fn var(&mut self, start: Val) -> Var {
        self.vars.push(start);
        Var(self.vars.len() - 1)
    }

    /// The variable's value here.
    pub fn get(&self, var: Var) -> Val {
        self.vars[var.0]
    }

    /// Changes the variable from here on.
    pub fn set_var(&mut self, var: Var, value: Val) {
        self.vars[var.0] = value;
    }

    /// Takes the newest variable's value and forgets it.
    pub fn pop(&mut self, var: Var) -> Val {
        debug_assert_eq!(var.0 + 1, self.vars.len());
        self.vars.pop().unwrap_or(Val::Imm(0))
    }

    /// What a register is, unless it is a parameter.
    pub fn def(&self, v: V) -> Option<&Op> {
        self.defs[v.0 as usize].as_ref()
    }

    /// Adds an instruction without a value.
    pub fn push(&mut self, op: Op) {
        let span = self.span;
        self.function.block_mut(self.current).insts.push(Inst {
            dst: None,
            op,
            span,
        });
    }

    /// Adds an instruction with a value of its own (a load, a call).
    pub fn value(&mut self, op: Op) -> V {
        let dst = self.function.fresh();
        self.defs.push(Some(op.clone()));
        let span = self.span;
        self.function.block_mut(self.current).insts.push(Inst {
            dst: Some(dst),
            op,
            span,
        });
        dst
    }

    /// Adds an instruction whose value is the same each time, or finds one that dominates.
    pub fn pure(&mut self, op: Op) -> V {
        if let Some(found) = self.computed.get(&op)
            && let Some(&(_, v)) = (found.iter().rev().take(CANDIDATES)).find(|(block, _)| {
                // A constant is cheaper to make again than to keep in a register across blocks.
                self.dominates_here(*block)
                    && (!matches!(op, Op::Const(_) | Op::MapValue(..)) || *block == self.current)
            })
        {
            return v;
        }
        let v = self.value(op.clone());
        self.computed.entry(op).or_default().push((self.current, v));
        v
    }

    /// The value in a register.
    pub fn reg(&mut self, value: Val) -> V {
        match value {
            Val::Reg(v) => v,
            Val::Imm(n) => self.pure(Op::Const(n)),
        }
    }

    /// The value as an operand of an instruction: constants that do not fit go to a register.
    pub fn operand(&mut self, value: Val) -> Val {
        match value {
            Val::Imm(n) if !fits_imm(n) => Val::Reg(self.reg(value)),
            _ => value,
        }
    }

    /// Two-operand arithmetic.
    pub fn alu(&mut self, op: Alu, lhs: Val, rhs: Val) -> Val {
        simplify::alu(self, op, lhs, rhs)
    }

    /// One-operand arithmetic.
    pub fn unary(&mut self, op: Unary, value: Val) -> Val {
        match (op, value) {
            (Unary::Neg, Val::Imm(n)) => Val::Imm(n.wrapping_neg()),
            (Unary::Low32, Val::Imm(n)) => Val::Imm(i64::from(n as u32)),
            (Unary::Launder, Val::Imm(_)) => value,
            (_, Val::Reg(v)) => Val::Reg(self.pure(Op::Unary(op, v))),
        }
    }

    /// 1 where the comparison holds, else 0.
    pub fn set(&mut self, cond: Cond, lhs: Val, rhs: Val) -> Val {
        match simplify::condition(self, cond, lhs, rhs) {
            simplify::Condition::Known(known) => Val::Imm(i64::from(known)),
            simplify::Condition::Test(cond, lhs, rhs) => {
                Val::Reg(self.pure(Op::Set(cond, lhs, rhs)))
            }
        }
    }

    /// Reads memory.
    pub fn load(&mut self, width: Width, address: Address) -> Val {
        Val::Reg(self.value(Op::Load(width, address)))
    }

    /// Writes memory.
    pub fn store(&mut self, width: Width, address: Address, value: Val) {
        let value = self.operand(value);
        self.push(Op::Store(width, address, value));
    }

    /// Writes 8 constant bytes (two halves where one immediate cannot say it).
    pub fn store_word(&mut self, address: Address, word: u64) {
        if fits_imm(word as i64) {
            return self.store(Width::D, address, Val::Imm(word as i64));
        }
        let half = |n: u64| Val::Imm(i64::from(n as u32 as i32));
        self.store(Width::W, address, half(word));
        self.store(Width::W, address.plus(4), half(word >> 32));
    }

    /// Calls a helper for its result.
    pub fn call(&mut self, helper: i32, args: Vec<Arg>) -> V {
        self.value(Op::Call(helper, args))
    }

    /// Calls a helper for its effect.
    pub fn call_only(&mut self, helper: i32, args: Vec<Arg>) {
        self.push(Op::Call(helper, args));
    }
}

impl Address {
    /// The start of an object.
    pub fn slot(slot: SlotId) -> Self {
        Self {
            base: Base::Slot(slot),
            offset: 0,
        }
    }

    /// Where a register points to.
    pub fn reg(v: V) -> Self {
        Self {
            base: Base::Reg(v),
            offset: 0,
        }
    }

    /// Some bytes further on.
    pub fn plus(self, bytes: i32) -> Self {
        Self {
            base: self.base,
            offset: self.offset + bytes,
        }
    }

    /// As the argument of a call.
    pub fn arg(self) -> Arg {
        match self.base {
            Base::Reg(v) => Arg::Reg(v, self.offset),
            Base::Slot(slot) => Arg::Slot(slot, self.offset),
        }
    }
}

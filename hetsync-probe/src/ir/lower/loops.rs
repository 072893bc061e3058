//! Loops: a header that counts rounds and cuts a loop that takes too many, then the script's own condition.

use super::super::{Alu, BlockId, Cond, Val};
use super::Lowerer;
use crate::layout;
use crate::sema::hir::{LoopHead, LoopId, Stmt};

/// A loop around what is being lowered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Around {
    /// Where `continue` goes.
    pub(super) next: BlockId,
    /// Where `break` goes.
    pub(super) exit: BlockId,
}

impl<'a> Lowerer<'a> {
    /// A loop of the script.
    ///
    /// ```text
    /// header:  rounds < most ? test : cut      (most is chosen later, ir::limits)
    /// test:    condition     ? body : exit
    /// body:    ..  next:  rounds += 1, to header
    /// cut:     count a loss, to exit
    /// ```
    pub(super) fn repeat(&mut self, id: LoopId, head: &'a LoopHead, body: &'a [Stmt]) {
        let range = match head {
            LoopHead::While(_) => None,
            LoopHead::Range { local, start, end } => {
                let start = self.value(start);
                let end = self.value(end);
                Some((*local, start, end))
            }
        };
        let rounds = self.b.var(Val::Imm(0));
        let (header, test) = (self.b.block(), self.b.block());
        let (round, next) = (self.b.block(), self.b.block());
        let (cut, exit) = (self.b.cold_block(), self.b.block());
        self.b.jump(header);
        self.b.start_loop(header);
        // What was read before the loop may be written in it.
        self.reads.clear();
        let count = self.b.get(rounds);
        self.b.branch(Cond::Lt, count, Val::Imm(1), test, cut);
        self.b.limit(header, id);
        self.b.start(test);
        match (head, range) {
            (LoopHead::While(cond), _) => self.condition(cond, round, exit),
            (_, Some((local, start, end))) => {
                let value = self.b.alu(Alu::Add, count, start);
                self.b.branch(Cond::SLt, value, end, round, exit);
                self.b.start(round);
                self.set_local(local, value);
            }
            (_, None) => {}
        }
        if range.is_none() {
            self.b.start(round);
        }
        self.loops.push(Around { next, exit });
        self.statements(body);
        self.loops.pop();
        if !self.b.is_closed() {
            self.b.jump(next);
        }
        self.b.start(next);
        let more = self.b.alu(Alu::Add, count, Val::Imm(1));
        self.b.set_var(rounds, more);
        self.b.end_loop();
        self.b.start(cut);
        self.lose(layout::Loss::Loop(id.0));
        self.b.jump(exit);
        self.b.start(exit);
        self.b.pop(rounds);
    }

    /// `break` or `continue`; `sema` has seen to it that there is a loop.
    pub(super) fn leave(&mut self, to: impl Fn(&Around) -> BlockId) {
        if let Some(to) = self.loops.last().map(to) {
            self.b.jump(to);
        }
    }
}

//! Integers that every thread keeps under its own `tid`: in a slot of the map's front, without a helper call, and only where
//! another thread has that slot in the map behind it. [`crate::layout::front`] has the layout.
//!
//! Slots change hands between CPUs without a lock. Who wants a free one adds its number to the slot's claim; who then reads
//! just its own number there is alone. The owner is written after that and erased before the number is taken
//! back, so nobody else ever finds its own number as the owner. All orders used are those that x86 keeps.
//!
//! A program that interrupts another one of the same thread in the middle of a change finds the slot claimed and not owned, and uses the
//! map behind. Thread 0 is a different one on each CPU and always does.

use super::super::{Address, Arg, BlockId, Cond, MapRef, Op, Unary, Val, Width};
use super::Lowerer;
use crate::codegen::insn::helper;
use crate::layout::front;
use crate::sema::hir::{Expr, MapId};

/// A thread's slot.
#[derive(Clone, Copy)]
struct Slot {
    tid: Val,
    at: Address,
}

impl Slot {
    fn word(self, offset: i32) -> Address {
        self.at.plus(offset)
    }
}

impl<'a> Lowerer<'a> {
    /// Whether a map has a front.
    pub(super) fn has_front(&self, map: MapId) -> bool {
        self.cx.fronts.get(map.0 as usize) == Some(&true)
    }

    /// The current thread's slot; threads that have none go to `behind`.
    fn slot_of(&mut self, map: MapId, tid: Val, behind: BlockId) -> Slot {
        let some = self.b.block();
        self.b.branch(Cond::Eq, tid, Val::Imm(0), behind, some);
        self.b.start(some);
        let index = self.b.reg(tid);
        let at = Address::reg(self.b.pure(Op::Part {
            map: MapRef::Front(map),
            index,
            count: front::SLOTS,
            shift: front::SHIFT,
        }));
        Slot { tid, at }
    }

    /// The value under `tid`; goes to `missing` where there is none.
    pub(super) fn find_front(
        &mut self,
        map: MapId,
        key: &'a [Expr],
        tid: Val,
        missing: BlockId,
    ) -> Val {
        let value = self.b.var(Val::Imm(0));
        let (mine, join) = (self.b.block(), self.b.block());
        let (other, behind) = (self.b.cold_block(), self.b.cold_block());
        let slot = self.slot_of(map, tid, behind);
        let owner = self.b.load(Width::D, slot.word(front::OWNER));
        self.b.branch(Cond::Eq, owner, tid, mine, other);
        self.b.start(mine);
        let here = self.b.load(Width::D, slot.word(front::VALUE));
        self.b.set_var(value, here);
        self.b.jump(join);
        self.b.start(other);
        let any = self.b.load(Width::D, slot.word(front::BEHIND));
        self.b.branch(Cond::Ne, any, Val::Imm(0), behind, missing);
        self.b.start(behind);
        let key = self.key(map, key);
        let there = self.find_behind(map, &key, missing);
        self.b.set_var(value, there);
        self.b.jump(join);
        self.b.start(join);
        self.b.pop(value)
    }

    /// `@m[tid] = value`.
    pub(super) fn assign_front(&mut self, map: MapId, key: &'a [Expr], value: &'a Expr) {
        let tid = self.value(&key[0]);
        let value = self.value(value);
        let (free, won, join) = (self.b.block(), self.b.block(), self.b.block());
        let [taken, mine, lost, crowded, behind] = [(); 5].map(|()| self.b.cold_block());
        let slot = self.slot_of(map, tid, behind);
        let claim = self.b.load(Width::D, slot.word(front::CLAIM));
        self.b.branch(Cond::Eq, claim, Val::Imm(0), free, taken);
        self.b.start(free);
        let number = self.b.reg(tid);
        self.b.push(Op::AtomicAdd(slot.word(front::CLAIM), number));
        let claim = self.b.load(Width::D, slot.word(front::CLAIM));
        self.b.branch(Cond::Eq, claim, tid, won, lost);
        self.b.start(won);
        self.b.store(Width::D, slot.word(front::VALUE), value);
        self.b.store(Width::D, slot.word(front::OWNER), tid);
        self.b.jump(join);
        self.b.start(taken);
        let owner = self.b.load(Width::D, slot.word(front::OWNER));
        self.b.branch(Cond::Eq, owner, tid, mine, crowded);
        self.b.start(mine);
        self.b.store(Width::D, slot.word(front::VALUE), value);
        self.b.jump(join);
        self.b.start(lost);
        self.take_back(slot);
        self.b.jump(crowded);
        self.b.start(crowded);
        // Before the key is there: who looks for it must not stop at the slot.
        self.b
            .store(Width::D, slot.word(front::BEHIND), Val::Imm(1));
        self.b.jump(behind);
        self.b.start(behind);
        let key = self.key(map, key);
        self.insert_integer(map, &key, value);
        self.b.jump(join);
        self.b.start(join);
    }

    /// Takes this thread's number out of the claim.
    fn take_back(&mut self, slot: Slot) {
        let negative = self.b.unary(Unary::Neg, slot.tid);
        let negative = self.b.reg(negative);
        self.b
            .push(Op::AtomicAdd(slot.word(front::CLAIM), negative));
    }

    /// `delete(@m, tid)`.
    pub(super) fn delete_front(&mut self, map: MapId, key: &'a [Expr]) {
        let tid = self.value(&key[0]);
        let (mine, rest, join) = (self.b.block(), self.b.block(), self.b.block());
        let behind = self.b.cold_block();
        let slot = self.slot_of(map, tid, behind);
        let owner = self.b.load(Width::D, slot.word(front::OWNER));
        self.b.branch(Cond::Eq, owner, tid, mine, rest);
        self.b.start(mine);
        self.b.store(Width::D, slot.word(front::OWNER), Val::Imm(0));
        self.take_back(slot);
        self.b.jump(rest);
        self.b.start(rest);
        let any = self.b.load(Width::D, slot.word(front::BEHIND));
        self.b.branch(Cond::Ne, any, Val::Imm(0), behind, join);
        self.b.start(behind);
        let key = self.key(map, key);
        let args = vec![Arg::Map(MapRef::Script(map)), key.arg()];
        self.b.call_only(helper::MAP_DELETE_ELEM, args);
        self.b.jump(join);
        self.b.start(join);
    }
}

//! Maps: look-ups, scalar values, losses.

use super::super::{Address, Alu, Arg, BlockId, Cond, MapRef, Op, Val, Width};
use super::Lowerer;
use super::keys::{CANDIDATES, Key, KeyPart};
use crate::codegen::insn::{NOEXIST, helper};
use crate::layout;
use crate::sema::hir::{Expr, Map, MapId, MapValue, Program, StmtKind, Type};

/// A key that is looked for.
enum Sought<'a> {
    /// With its bytes in memory.
    Key(Key),
    /// The current thread's number, in a map with a front.
    Thread(&'a [Expr], Val),
}

impl Sought<'_> {
    fn parts(&self) -> Option<Vec<KeyPart>> {
        match self {
            Sought::Key(key) => key.parts.clone(),
            Sought::Thread(_, tid) => Some(vec![KeyPart::Value(*tid)]),
        }
    }
}

impl<'a> Lowerer<'a> {
    pub(super) fn map(&self, id: MapId) -> &'a Map {
        &self.cx.program.maps[id.0 as usize]
    }

    pub(super) fn map_name(&self, id: MapId) -> String {
        format!("@{}", self.map(id).name)
    }

    /// Looks a key up; the value's address or 0.
    pub(super) fn lookup(&mut self, map: MapRef, key: Arg) -> super::super::V {
        self.b
            .call(helper::MAP_LOOKUP_ELEM, vec![Arg::Map(map), key])
    }

    fn known_read(&self, map: MapId, parts: Option<Vec<KeyPart>>) -> Option<Val> {
        let parts = &parts?;
        let writes = self.writes[map.0 as usize];
        let equal = (self.reads.iter().rev())
            .filter(|(m, w, p, ..)| *m == map && *w == writes && p == parts);
        let mut recent = equal.take(CANDIDATES);
        Some(
            recent
                .find(|(.., block, _)| self.b.dominates_here(*block))?
                .4,
        )
    }

    fn note_read(&mut self, map: MapId, parts: Option<Vec<KeyPart>>, value: Val) {
        if let Some(parts) = parts {
            let writes = self.writes[map.0 as usize];
            self.reads.push((map, writes, parts, self.b.here(), value));
        }
    }

    /// The address of the one value of a map without keys.
    fn array_value(&mut self, map: MapId) -> Address {
        Address::reg(self.b.pure(Op::MapValue(MapRef::Script(map), 0)))
    }

    /// The word at a key, 0 where there is none.
    pub(super) fn get_word(&mut self, map: MapId, key: &'a [Expr]) -> Val {
        if key.is_empty() {
            let at = self.array_value(map);
            return self.b.load(Width::D, at);
        }
        let key = self.sought(map, key);
        if let Some(value) = self.known_read(map, key.parts()) {
            return value;
        }
        let result = self.b.var(Val::Imm(0));
        let join = self.b.block();
        let value = self.find(map, &key, join);
        self.b.set_var(result, value);
        self.b.jump(join);
        self.b.start(join);
        let value = self.b.pop(result);
        self.note_read(map, key.parts(), value);
        value
    }

    /// A key to look for, as far as it has to be made now.
    fn sought(&mut self, map: MapId, key: &'a [Expr]) -> Sought<'a> {
        if self.has_front(map) {
            return Sought::Thread(key, self.value(&key[0]));
        }
        Sought::Key(self.key(map, key))
    }

    /// The integer at a key; goes to `missing` where there is none.
    fn find(&mut self, map: MapId, key: &Sought<'a>, missing: BlockId) -> Val {
        match key {
            Sought::Key(key) => self.find_behind(map, key, missing),
            Sought::Thread(key, tid) => self.find_front(map, key, *tid, missing),
        }
    }

    /// [`Self::find`] in the map itself.
    pub(super) fn find_behind(&mut self, map: MapId, key: &Key, missing: BlockId) -> Val {
        let found = self.lookup(MapRef::Script(map), key.arg());
        let have = self.b.block();
        self.b
            .branch(Cond::Ne, Val::Reg(found), Val::Imm(0), have, missing);
        self.b.start(have);
        self.b.load(Width::D, Address::reg(found))
    }

    /// Branches on a scalar at a key; where it is not 0, its value is known from there on.
    pub(super) fn map_condition(
        &mut self,
        map: MapId,
        key: &'a [Expr],
        then: BlockId,
        otherwise: BlockId,
    ) {
        let key = self.sought(map, key);
        let value = match self.known_read(map, key.parts()) {
            Some(value) => value,
            None => {
                let value = self.find(map, &key, otherwise);
                self.note_read(map, key.parts(), value);
                value
            }
        };
        self.b.branch(Cond::Ne, value, Val::Imm(0), then, otherwise);
    }

    /// Writes the value at a key to a place, zeros where there is none.
    pub(super) fn get_bytes(&mut self, map: MapId, key: &'a [Expr], to: Address, ty: &Type) {
        let MapValue::Scalar(from_ty) = &self.map(map).value else {
            unreachable!("not a map of plain values");
        };
        if key.is_empty() {
            let from = self.array_value(map);
            return self.copy_value(from, from_ty, to, ty);
        }
        let key = self.key(map, key);
        let found = self.lookup(MapRef::Script(map), key.arg());
        let (have, missing, join) = (self.b.block(), self.b.block(), self.b.block());
        self.b
            .branch(Cond::Ne, Val::Reg(found), Val::Imm(0), have, missing);
        self.b.start(have);
        self.copy_value(Address::reg(found), from_ty, to, ty);
        self.b.jump(join);
        self.b.start(missing);
        self.clear_bytes(to, 0, ty.size());
        self.b.jump(join);
        self.b.start(join);
    }

    /// `@m[key] = value`.
    pub(super) fn assign_map(&mut self, map: MapId, key: &'a [Expr], value: &'a Expr) {
        let MapValue::Scalar(ty) = &self.map(map).value else {
            unreachable!("an aggregation is not assigned");
        };
        if key.is_empty() {
            self.assign_single(map, ty, value);
        } else if self.has_front(map) {
            self.assign_front(map, key, value);
        } else if ty.is_word() {
            let key = self.key(map, key);
            let value = self.value(value);
            if self.deleted[map.0 as usize] {
                self.insert_integer(map, &key, value);
            } else {
                self.overwrite_integer(map, &key, value);
            }
        } else {
            let key = self.key(map, key);
            let slot = self
                .b
                .slot(ty.size(), format!("value of {}", self.map_name(map)));
            self.write(Address::slot(slot), ty, value);
            self.update(map, &key, Arg::Slot(slot, 0));
        }
        self.writes[map.0 as usize] += 1;
    }

    /// The value of a map without keys, and the word that says it has one.
    fn assign_single(&mut self, map: MapId, ty: &Type, value: &'a Expr) {
        let size = ty.size();
        if !ty.is_word() {
            // Written to the side first: the old value may be part of the new one.
            let slot = self
                .b
                .slot(size, format!("value of {}", self.map_name(map)));
            self.write(Address::slot(slot), ty, value);
            let to = self.array_value(map);
            self.copy(Address::slot(slot), size, to, size);
        } else {
            let value = self.value(value);
            let to = self.array_value(map);
            self.b.store(Width::D, to, value);
        }
        let to = self.array_value(map);
        self.b.store(Width::D, to.plus(size as i32), Val::Imm(1));
    }

    pub(super) fn insert_integer(&mut self, map: MapId, key: &Key, value: Val) {
        let slot = self.b.slot(8, format!("value of {}", self.map_name(map)));
        self.b.store(Width::D, Address::slot(slot), value);
        self.update(map, key, Arg::Slot(slot, 0));
    }

    /// Writes in place where the key is there: half the cost of an update, and as atomic.
    fn overwrite_integer(&mut self, map: MapId, key: &Key, value: Val) {
        let found = self.lookup(MapRef::Script(map), key.arg());
        let (have, missing, join) = (self.b.block(), self.b.cold_block(), self.b.block());
        self.b
            .branch(Cond::Ne, Val::Reg(found), Val::Imm(0), have, missing);
        self.b.start(have);
        self.b.store(Width::D, Address::reg(found), value);
        self.b.jump(join);
        self.b.start(missing);
        self.insert_integer(map, key, value);
        self.b.jump(join);
        self.b.start(join);
    }

    /// Stores a value from memory at a key; a full map is a loss.
    fn update(&mut self, map: MapId, key: &Key, value: Arg) {
        let args = vec![Arg::Map(MapRef::Script(map)), key.arg(), value, Arg::Imm(0)];
        let failed = self.b.call(helper::MAP_UPDATE_ELEM, args);
        let (lost, join) = (self.b.cold_block(), self.b.block());
        self.b
            .branch(Cond::Ne, Val::Reg(failed), Val::Imm(0), lost, join);
        self.b.start(lost);
        self.lose(layout::Loss::Map(map.0));
        self.b.jump(join);
        self.b.start(join);
    }

    /// Finds a key's value, creating it from zeros; continues with its address, or after counting a loss of each of `losers`
    /// at `lost`.
    pub(super) fn find_or_create(
        &mut self,
        map: MapRef,
        losers: &[MapId],
        key: Arg,
        zeros: impl FnOnce(&mut Self) -> Arg,
        lost: BlockId,
    ) -> super::super::V {
        let found = self.lookup(map, key);
        let value = self.b.var(Val::Reg(found));
        let (have, missing) = (self.b.block(), self.b.cold_block());
        self.b
            .branch(Cond::Ne, Val::Reg(found), Val::Imm(0), have, missing);
        self.b.start(missing);
        // Where another CPU is quicker, or the map is full, this fails; the second look-up tells which.
        let zeros = zeros(self);
        let create = Arg::Imm(i64::from(NOEXIST));
        let args = vec![Arg::Map(map), key, zeros, create];
        self.b.call_only(helper::MAP_UPDATE_ELEM, args);
        let created = self.lookup(map, key);
        self.b.set_var(value, Val::Reg(created));
        let full = self.b.cold_block();
        self.b
            .branch(Cond::Ne, Val::Reg(created), Val::Imm(0), have, full);
        self.b.start(full);
        for map in losers {
            self.lose(layout::Loss::Map(map.0));
        }
        self.b.jump(lost);
        self.b.start(have);
        let value = self.b.pop(value);
        self.b.reg(value)
    }

    /// `++` or `--` of a map's integer, without losing what other CPUs add; gives the value before (`postfix`) or after
    /// if wanted. Without fetch-and-add the value given may be one that another CPU saw too; the sum stays right.
    pub(super) fn increment_map(
        &mut self,
        map: MapId,
        key: &'a [Expr],
        delta: i64,
        postfix: Option<bool>,
    ) -> Val {
        if key.is_empty() {
            let at = self.array_value(map);
            let before = self.add_shared(at, delta, postfix.is_some());
            let at = self.array_value(map);
            self.b.store(Width::D, at.plus(8), Val::Imm(1));
            return self.incremented(before, delta, postfix);
        }
        let key = self.key(map, key);
        self.writes[map.0 as usize] += 1;
        let before = self.b.var(Val::Imm(0));
        let join = self.b.block();
        let what = format!("value of {}", self.map_name(map));
        let zeros = |this: &mut Self| {
            let slot = this.b.slot(8, what);
            this.b.store(Width::D, Address::slot(slot), Val::Imm(0));
            Arg::Slot(slot, 0)
        };
        let at = self.find_or_create(MapRef::Script(map), &[map], key.arg(), zeros, join);
        let value = self.add_shared(Address::reg(at), delta, postfix.is_some());
        self.b.set_var(before, value);
        self.b.jump(join);
        self.b.start(join);
        let before = self.b.pop(before);
        self.incremented(before, delta, postfix)
    }

    /// Adds to shared memory atomically; what was there before, if wanted.
    fn add_shared(&mut self, at: Address, delta: i64, wanted: bool) -> Val {
        let addend = self.b.reg(Val::Imm(delta));
        if wanted && self.cx.atomic_fetch {
            return Val::Reg(self.b.value(Op::AtomicAdd(at, addend)));
        }
        let before = match wanted {
            true => self.b.load(Width::D, at),
            false => Val::Imm(0),
        };
        self.b.push(Op::AtomicAdd(at, addend));
        before
    }

    fn incremented(&mut self, before: Val, delta: i64, postfix: Option<bool>) -> Val {
        match postfix {
            Some(false) => self.b.alu(Alu::Add, before, Val::Imm(delta)),
            _ => before,
        }
    }

    /// `delete(@m, key)`.
    pub(super) fn delete(&mut self, map: MapId, key: &'a [Expr]) {
        let definition = self.map(map);
        if self.has_front(map) {
            self.delete_front(map, key);
        } else if !key.is_empty() {
            let key = self.key(map, key);
            let args = vec![Arg::Map(MapRef::Script(map)), key.arg()];
            self.b.call_only(helper::MAP_DELETE_ELEM, args);
        } else if let MapValue::Scalar(_) = definition.value {
            let to = self.array_value(map);
            self.clear_bytes(to, 0, layout::value_size(definition));
        } else {
            // Every CPU's part has to go, which only user space can do.
            self.event(layout::EventKind::Clear, map.0, &[]);
        }
        self.writes[map.0 as usize] += 1;
    }

    /// Counts one loss.
    pub(super) fn lose(&mut self, loss: layout::Loss) {
        let counter = loss.counter(self.cx.program.maps.len(), self.cx.program.loops.len());
        let slot = self.index(counter, "number of a loss counter");
        let found = self.lookup(MapRef::Losses, Arg::Slot(slot, 0));
        let (have, join) = (self.b.cold_block(), self.b.cold_block());
        self.b
            .branch(Cond::Ne, Val::Reg(found), Val::Imm(0), have, join);
        self.b.start(have);
        self.add_word(found, 0, Val::Imm(1));
        self.b.jump(join);
        self.b.start(join);
    }

    /// Adds to a word of a value only this CPU writes.
    ///
    /// Not atomic: a program on the same CPU that interrupts this one between load and store would lose its addition.
    /// Kprobe programs do not nest (`bpf_prog_active`, kernel/trace/bpf_trace.c); for fentry the window is one instruction.
    pub(super) fn add_word(&mut self, base: super::super::V, offset: i32, value: Val) -> Val {
        let at = Address::reg(base).plus(offset);
        let before = self.b.load(Width::D, at);
        let after = self.b.alu(Alu::Add, before, value);
        self.b.store(Width::D, at, after);
        after
    }

    /// The address of an unkeyed aggregation's value on this CPU.
    pub(super) fn single_percpu(&mut self, map: MapId, lost: BlockId) -> super::super::V {
        let what = format!("index of {}", self.map_name(map));
        let slot = self.index(0, &what);
        let found = self.lookup(MapRef::Script(map), Arg::Slot(slot, 0));
        let have = self.b.block();
        self.b
            .branch(Cond::Ne, Val::Reg(found), Val::Imm(0), have, lost);
        self.b.start(have);
        found
    }
}

/// The maps that any probe deletes keys of: their keys come and go, so a look-up before an assignment would mostly be in vain.
pub(super) fn deleted(program: &Program) -> Vec<bool> {
    let mut deleted = vec![false; program.maps.len()];
    for probe in &program.probes {
        probe.each_stmt(&mut |stmt| {
            if let StmtKind::Delete { map, .. } = stmt.kind {
                deleted[map.0 as usize] = true;
            }
        });
    }
    deleted
}

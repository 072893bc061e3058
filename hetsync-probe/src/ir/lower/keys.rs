//! Keys of maps: built in memory once, found again where an equal one is needed.

use super::super::{Address, Arg, SlotId, Val, Width};
use super::Lowerer;
use crate::layout;
use crate::sema::hir::{Builtin, Expr, ExprKind, MapId};

/// How many equal keys or reads are looked at, newest first: enough for any script a person writes.
pub(super) const CANDIDATES: usize = 4;

/// A part of a key as far as it is known here; equal parts have equal bytes.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum KeyPart {
    /// A word.
    Value(Val),
    /// `comm` in this many bytes.
    Comm(usize),
    /// A literal in this many bytes.
    Literal(Vec<u8>, usize),
    /// A 4-byte array index, alone.
    Index(u32),
}

/// A key in memory.
pub(super) struct Key {
    pub(super) slot: SlotId,
    /// What it is made of, if all of that is known.
    pub(super) parts: Option<Vec<KeyPart>>,
}

impl Key {
    pub(super) fn arg(&self) -> Arg {
        Arg::Slot(self.slot, 0)
    }
}

impl<'a> Lowerer<'a> {
    /// Builds a key, or finds the bytes of an equal one.
    pub(super) fn key(&mut self, map: MapId, exprs: &'a [Expr]) -> Key {
        let what = format!("key of {}", self.map_name(map));
        let size = layout::key_size(self.map(map));
        let types = &self.cx.program.maps[map.0 as usize].key;
        let simple = exprs.iter().all(|e| {
            e.ty.is_word() || matches!(e.kind, ExprKind::Str(_) | ExprKind::Builtin(Builtin::Comm))
        });
        if !simple {
            let slot = self.b.slot(size, what);
            let mut at = Address::slot(slot);
            for (expr, ty) in exprs.iter().zip(types) {
                self.write(at, ty, expr);
                at = at.plus(ty.size() as i32);
            }
            return Key { slot, parts: None };
        }
        let mut parts = Vec::with_capacity(exprs.len());
        for (expr, ty) in exprs.iter().zip(types) {
            parts.push(match &expr.kind {
                ExprKind::Str(bytes) => KeyPart::Literal(bytes.clone(), ty.size()),
                ExprKind::Builtin(Builtin::Comm) => KeyPart::Comm(ty.size()),
                _ => KeyPart::Value(self.value(expr)),
            });
        }
        if let Some(slot) = self.known_key(&parts) {
            return Key {
                slot,
                parts: Some(parts),
            };
        }
        let slot = self.b.slot(size, what);
        let mut at = Address::slot(slot);
        for ((part, expr), ty) in parts.iter().zip(exprs).zip(types) {
            match part {
                KeyPart::Value(value) => self.b.store(Width::D, at, *value),
                _ => self.write(at, ty, expr),
            }
            at = at.plus(ty.size() as i32);
        }
        if let [KeyPart::Comm(_), ..] = parts[..] {
            self.note_comm(slot);
        }
        self.note_key(&parts, slot);
        Key {
            slot,
            parts: Some(parts),
        }
    }

    /// A 4-byte array index in memory.
    pub(super) fn index(&mut self, index: u32, what: &str) -> SlotId {
        let parts = vec![KeyPart::Index(index)];
        if let Some(slot) = self.known_key(&parts) {
            return slot;
        }
        let slot = self.b.slot(8, what);
        self.b
            .store(Width::W, Address::slot(slot), Val::Imm(i64::from(index)));
        self.note_key(&parts, slot);
        slot
    }

    fn known_key(&self, parts: &[KeyPart]) -> Option<SlotId> {
        let equal = self.keys.iter().rev().filter(|(p, ..)| p == parts);
        let mut recent = equal.take(CANDIDATES);
        Some(
            recent
                .find(|(_, block, _)| self.b.dominates_here(*block))?
                .2,
        )
    }

    fn note_key(&mut self, parts: &[KeyPart], slot: SlotId) {
        self.keys.push((parts.to_vec(), self.b.here(), slot));
    }

    /// The argument of a key built by [`Self::key`].
    pub(super) fn key_arg(&mut self, map: MapId, exprs: &'a [Expr]) -> Arg {
        self.key(map, exprs).arg()
    }
}

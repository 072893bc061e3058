//! Maps as the kernel keeps them, with its error numbers.

use super::fault::FaultKind;
use crate::image::{MapKind, MapSpec};
use crate::interp::{Ring, Table};
use std::collections::BTreeMap;

/// `BPF_NOEXIST` and `BPF_EXIST` (include/uapi/linux/bpf.h).
const NOEXIST: u64 = 1;
const EXIST: u64 = 2;

/// Error numbers of include/uapi/asm-generic/errno-base.h, as helpers return them.
pub(super) mod errno {
    pub(crate) const NOENT: i64 = -2;
    pub(crate) const TOO_BIG: i64 = -7;
    pub(crate) const FAULT: i64 = -14;
    pub(crate) const EXIST: i64 = -17;
    pub(crate) const INVAL: i64 = -22;
}

/// Most bytes an array is given here; far above what the compiler makes.
const ARRAY_BYTES: usize = 64 << 20;

/// One emulated map. Slots are never moved or reused, so a program that still holds a pointer to a deleted
/// value writes where nobody looks, as in the kernel.
#[derive(Debug, Clone)]
pub(super) struct EmulatedMap {
    pub(super) spec: MapSpec,
    pub(super) ring: Ring,
    slots: Vec<Slot>,
    index: BTreeMap<Vec<u8>, usize>,
    copies: usize,
}

#[derive(Debug, Clone)]
struct Slot {
    values: Vec<Vec<u8>>,
}

impl EmulatedMap {
    pub(super) fn new(spec: &MapSpec, cpus: usize) -> Result<Self, FaultKind> {
        let mut map = Self {
            spec: spec.clone(),
            ring: Ring::new(spec.max_entries),
            slots: Vec::new(),
            index: BTreeMap::new(),
            copies: if spec.kind.is_percpu() { cpus } else { 1 },
        };
        if map.is_array() {
            let bytes = (spec.value_size as usize)
                .checked_mul(spec.max_entries as usize)
                .and_then(|bytes| bytes.checked_mul(map.copies));
            if spec.key_size != 4 || bytes.is_none_or(|bytes| bytes > ARRAY_BYTES) {
                return Err(FaultKind::MapSize(spec.name.clone()));
            }
            for index in 0..spec.max_entries {
                map.add(index.to_le_bytes().to_vec());
            }
        }
        Ok(map)
    }

    pub(super) fn is_array(&self) -> bool {
        matches!(self.spec.kind, MapKind::Array | MapKind::PercpuArray)
    }

    pub(super) fn is_ring(&self) -> bool {
        self.spec.kind == MapKind::Ringbuf
    }

    fn add(&mut self, key: Vec<u8>) -> usize {
        let slot = self.slots.len();
        let zeros = vec![0; self.spec.value_size as usize];
        self.slots.push(Slot {
            values: vec![zeros; self.copies],
        });
        self.index.insert(key, slot);
        slot
    }

    /// Which of a slot's values a CPU sees.
    fn copy(&self, cpu: u32) -> usize {
        if self.copies == 1 { 0 } else { cpu as usize }
    }

    pub(super) fn lookup(&self, key: &[u8]) -> Option<usize> {
        self.index.get(key).copied()
    }

    pub(super) fn value(&self, slot: usize, cpu: u32) -> &[u8] {
        &self.slots[slot].values[self.copy(cpu)]
    }

    pub(super) fn value_mut(&mut self, slot: usize, cpu: u32) -> &mut [u8] {
        let copy = self.copy(cpu);
        &mut self.slots[slot].values[copy]
    }

    /// `bpf_map_update_elem` of a program: in a per-CPU map it sets this CPU's value alone.
    pub(super) fn update(&mut self, key: &[u8], value: &[u8], flags: u64, cpu: u32) -> i64 {
        if flags > EXIST {
            return errno::INVAL;
        }
        let slot = match self.lookup(key) {
            Some(_) if flags == NOEXIST => return errno::EXIST,
            // A shared hash value is replaced by a new one; pointers to the old one see no change.
            Some(_) if matches!(self.spec.kind, MapKind::Hash | MapKind::LruHash) => {
                self.add(key.to_vec())
            }
            Some(slot) => slot,
            None if flags == EXIST && !self.is_array() => return errno::NOENT,
            // Which key has to go is the kernel's affair; here it is the first.
            None if self.spec.kind.is_lru()
                && self.index.len() >= self.spec.max_entries as usize =>
            {
                self.index.pop_first();
                self.add(key.to_vec())
            }
            None if self.is_array() || self.index.len() >= self.spec.max_entries as usize => {
                return errno::TOO_BIG;
            }
            None => self.add(key.to_vec()),
        };
        self.value_mut(slot, cpu).copy_from_slice(value);
        0
    }

    pub(super) fn delete(&mut self, key: &[u8]) -> i64 {
        if self.is_array() {
            return errno::INVAL;
        }
        match self.index.remove(key) {
            Some(_) => 0,
            None => errno::NOENT,
        }
    }

    /// Sets a key from user space: `values` has one value a CPU for per-CPU maps, else one.
    pub(super) fn insert(&mut self, key: &[u8], values: &[Vec<u8>]) {
        let slot = self.lookup(key).unwrap_or_else(|| self.add(key.to_vec()));
        for (to, from) in self.slots[slot].values.iter_mut().zip(values) {
            let len = to.len().min(from.len());
            to[..len].copy_from_slice(&from[..len]);
        }
    }

    pub(super) fn keys(&self) -> Vec<Vec<u8>> {
        self.index.keys().cloned().collect()
    }

    pub(super) fn table(&self) -> Table {
        let entry =
            |(key, slot): (&Vec<u8>, &usize)| (key.clone(), self.slots[*slot].values.clone());
        self.index.iter().map(entry).collect()
    }
}

//! The maps of a running script, as bytes in the layouts of [`crate::layout`].

use super::value::Value;
use crate::interp::{Contents, Ring, Table, World};
use crate::layout::{self, Loss};
use crate::sema::hir::{self, Aggregation, MapId, MapValue};

/// Maps, events and loss counters.
#[derive(Debug, Clone)]
pub struct Store {
    maps: Vec<hir::Map>,
    cpus: usize,
    loops: usize,
    ring: Ring,
    contents: Contents,
}

/// The key of a map without keys.
const NO_KEY: [u8; 4] = [0; 4];

impl Store {
    /// Empty maps for a script.
    pub fn new(program: &hir::Program, world: &World) -> Self {
        let mut store = Self {
            maps: program.maps.clone(),
            cpus: world.cpus,
            ring: Ring::new(world.ring_bytes),
            contents: Contents {
                maps: vec![Table::new(); program.maps.len()],
                events: Vec::new(),
                losses: vec![
                    0;
                    Loss::counters(
                        program.maps.len(),
                        program.loops.len(),
                        program.probes.len()
                    )
                ],
            },
            loops: program.loops.len(),
        };
        for (id, map) in (0..).zip(&program.maps) {
            if map.key.is_empty() {
                store.insert(MapId(id), NO_KEY.to_vec(), None);
            }
        }
        store
    }

    /// What the run left behind.
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// Puts a key into a map from outside, as a starting state: the given value on every CPU, or zeros.
    pub fn insert(&mut self, id: MapId, key: Vec<u8>, value: Option<&[u8]>) {
        let map = &self.maps[id.0 as usize];
        let mut bytes = value.unwrap_or_default().to_vec();
        bytes.resize(layout::value_size(map), 0);
        let copies = match map.value {
            MapValue::Scalar(_) => 1,
            MapValue::Aggregate(_) => self.cpus,
        };
        self.contents.maps[id.0 as usize].insert(key, vec![bytes; copies]);
    }

    /// The bytes of a key with these parts.
    pub fn key(&self, id: MapId, parts: Vec<Value>) -> Vec<u8> {
        let types = &self.maps[id.0 as usize].key;
        if types.is_empty() {
            return NO_KEY.to_vec();
        }
        let mut key = Vec::new();
        for (part, ty) in parts.into_iter().zip(types) {
            part.write(ty, &mut key);
        }
        key
    }

    /// A scalar map's value at a key.
    pub fn get(&self, id: MapId, key: &[u8]) -> Value {
        let MapValue::Scalar(ty) = &self.maps[id.0 as usize].value else {
            return Value::Int(0);
        };
        match self.contents.map(id).get(key) {
            Some(values) => Value::read(ty, &values[0]),
            None => Value::zero(ty),
        }
    }

    /// The key and the value of an entry, if it is there.
    pub fn entry(&self, id: MapId, key: &[u8]) -> Option<Value> {
        self.contents.map(id).get(key)?;
        let map = &self.maps[id.0 as usize];
        let value = match map.value {
            MapValue::Scalar(_) => self.get(id, key),
            MapValue::Aggregate(_) => self.statistic(id, key),
        };
        Some(Value::Tuple(vec![Value::read(&map.key_type(), key), value]))
    }

    /// What a statistic is at a key, all CPUs together.
    pub fn statistic(&self, id: MapId, key: &[u8]) -> Value {
        let MapValue::Aggregate(aggregation) = &self.maps[id.0 as usize].value else {
            return Value::Int(0);
        };
        let Some(values) = self.contents.maps[id.0 as usize].get(key) else {
            return Value::Int(0);
        };
        let words = |at: usize| values.iter().map(move |value| layout::word(value, at));
        let n = words(0).fold(0u64, u64::wrapping_add);
        if let Aggregation::Count = aggregation {
            return Value::Int(n);
        }
        let sum = words(1).fold(0u64, u64::wrapping_add);
        let most = words(1).max().unwrap_or(0);
        Value::Int(match aggregation {
            Aggregation::Sum { .. } => sum,
            Aggregation::Avg { signed } => super::binary(hir::BinaryOp::Div, *signed, sum, n),
            _ if n == 0 => 0,
            Aggregation::Min { signed } => !most ^ layout::bias(*signed),
            Aggregation::Max { signed } => most ^ layout::bias(*signed),
            _ => 0,
        })
    }

    /// Assigns a scalar map's value at a key; a full map counts a loss instead.
    pub fn set(&mut self, id: MapId, key: Vec<u8>, value: Value) {
        let map = &self.maps[id.0 as usize];
        let MapValue::Scalar(ty) = &map.value else {
            return;
        };
        let mut bytes = Vec::new();
        value.write(ty, &mut bytes);
        if map.key.is_empty() {
            bytes.extend_from_slice(&1u64.to_le_bytes());
        }
        if let Some(values) = self.slot(id, key) {
            values[0] = bytes;
        }
    }

    /// Puts a sample into an aggregation; a full map counts a loss instead.
    pub fn record(&mut self, id: MapId, key: Vec<u8>, cpu: u32, sample: u64) {
        let MapValue::Aggregate(aggregation) = self.maps[id.0 as usize].value.clone() else {
            return;
        };
        if let Some(values) = self.slot(id, key) {
            layout::record(&aggregation, &mut values[cpu as usize], sample);
        }
    }

    /// Removes a key; a map without keys goes back to its start (an aggregation on this CPU only, all
    /// that a program in the kernel can reach).
    pub fn delete(&mut self, id: MapId, key: &[u8], cpu: u32) {
        let keyed = !self.maps[id.0 as usize].key.is_empty();
        let table = &mut self.contents.maps[id.0 as usize];
        if keyed {
            table.remove(key);
        } else if let Some(values) = table.get_mut(key) {
            let at = if values.len() == 1 { 0 } else { cpu as usize };
            values[at].fill(0);
        }
    }

    /// Counts that a loop was cut.
    pub fn cut(&mut self, id: hir::LoopId) {
        self.lose(Loss::Loop(id.0));
    }

    /// Writes an event of a probe; a full ring counts a loss instead.
    pub fn event(&mut self, probe: usize, record: Vec<u8>) {
        if self.ring.take(record.len() as u64) {
            self.contents.events.push(record);
        } else {
            self.lose(Loss::Events(probe as u32));
        }
    }

    /// Counts a loss.
    pub fn lose(&mut self, loss: Loss) {
        let counter = loss.counter(self.maps.len(), self.loops);
        self.contents.losses[counter as usize] += 1;
    }

    /// The values at a key, made if there is room.
    fn slot(&mut self, id: MapId, key: Vec<u8>) -> Option<&mut Vec<Vec<u8>>> {
        let table = self.contents.map(id);
        if !table.contains_key(&key) {
            let full = table.len() >= self.maps[id.0 as usize].max_entries as usize;
            if full && self.maps[id.0 as usize].lru {
                // Which key has to go is the kernel's affair; here it is the first.
                self.contents.maps[id.0 as usize].pop_first();
            } else if full {
                self.lose(Loss::Map(id.0));
                return None;
            }
            self.insert(id, key.clone(), None);
        }
        self.contents.maps[id.0 as usize].get_mut(&key)
    }
}

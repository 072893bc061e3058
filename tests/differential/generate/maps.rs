//! Maps of all kinds, and what is in them before the first probe fires.

use super::{Each, Generator};
use crate::choices::Choices;
use hetsync_probe::layout::{self, front};
use hetsync_probe::sema::hir::*;
use hetsync_probe::span::Span;

/// A value of a type as bytes.
fn value_bytes(choices: &mut Choices<'_>, ty: &Type, names: usize) -> Vec<u8> {
    match ty {
        Type::Int { .. } | Type::Enum(_) | Type::Mac | Type::Pointer { .. } => {
            let word = layout::extend(choices.number(), ty.memory_size(), ty.is_signed());
            word.to_le_bytes().to_vec()
        }
        Type::Bool => (choices.below(2) as u64).to_le_bytes().to_vec(),
        Type::Name => (choices.below(names) as u64).to_le_bytes().to_vec(),
        Type::Str { capacity } => {
            let mut bytes = choices.text(usize::from(*capacity) - 1);
            bytes.resize((*capacity).into(), 0);
            bytes
        }
        Type::Tuple(parts) => {
            let parts = parts.iter();
            parts
                .flat_map(|ty| value_bytes(choices, ty, names))
                .collect()
        }
        _ => {
            let mut bytes: Vec<u8> = (0..ty.memory_size())
                .map(|_| choices.below(256) as u8)
                .collect();
            bytes.resize(ty.size(), 0);
            bytes
        }
    }
}

impl Generator<'_> {
    pub(super) fn map(&mut self, name: &str, key: Vec<Type>, value: MapValue, max_entries: u32) {
        let max_entries = if key.is_empty() { 1 } else { max_entries };
        self.program.maps.push(Map {
            name: name.into(),
            key,
            value,
            max_entries,
            lru: false,
            unit: None,
            span: Span::default(),
        });
    }

    pub(super) fn maps(&mut self) {
        // Two that always have something in them: what a compiler cannot know.
        self.map("number", vec![Type::INT], MapValue::Scalar(Type::INT), 8);
        let text = Type::Str { capacity: 24 };
        self.map("text", vec![Type::INT], MapValue::Scalar(text), 8);
        for i in 0..1 + self.choices.below(6) {
            let parts = self.choices.pick(&[1, 0, 2, 3]);
            let key = (0..parts).map(|_| self.ty()).collect();
            let value = match self.choices.chance(50) {
                true => MapValue::Aggregate(self.aggregation()),
                false => MapValue::Scalar(self.ty()),
            };
            let max_entries = 1 + self.choices.below(5) as u32;
            self.map(&format!("m{i}"), key, value, max_entries);
        }
        // One of one entry, for loops over it.
        if self.flavour.each == Each::InAnyOrder && self.choices.chance(50) {
            let (key, value) = (self.ty(), MapValue::Scalar(self.ty()));
            self.map("one", vec![key], value, 1);
        }
        // One that can have a front, if all uses of it are as it wants.
        if self.choices.chance(40) {
            let value = match self.choices.below(3) {
                0 => Type::INT,
                1 => Type::UINT,
                _ => Type::Name,
            };
            let value = MapValue::Scalar(value);
            self.map("thread", vec![Type::INT], value, front::SLOTS);
        }
    }

    pub(super) fn aggregation(&mut self) -> Aggregation {
        let signed = self.choices.chance(50);
        match self.choices.below(9) {
            0 => Aggregation::Count,
            1 => Aggregation::Sum { signed },
            2 => Aggregation::Avg { signed },
            3 => Aggregation::Min { signed },
            4 => Aggregation::Max { signed },
            5 => Aggregation::Stats { signed },
            6 => Aggregation::Hist {
                bits: self.choices.below(6) as u8,
            },
            7 if signed => self.lhist(),
            7 => match self.choices.chance(50) {
                true => Aggregation::Cdf { bits: 2 },
                false => Aggregation::Slo { limit: 5 },
            },
            _ => Aggregation::Summary {
                percentiles: vec![25_000, 50_000],
            },
        }
    }

    pub(super) fn lhist(&mut self) -> Aggregation {
        let step = match self.choices.below(3) {
            0 => 1,
            1 => 1 + self.choices.below(200) as u64,
            _ => 1 << self.choices.below(50),
        };
        let min = match self.choices.below(4) {
            0 => 0,
            1 => -100,
            2 => i64::MIN,
            _ => self.choices.number() as i64,
        };
        let buckets = 1 + self.choices.below(100) as u64;
        // The upper end stays within i64 and above the lower one; the last bucket may be narrower.
        let narrower = self.choices.below(2) as u64 * (step / 2);
        let width = (step.saturating_mul(buckets) - narrower).min(i64::MAX as u64);
        let max = min
            .saturating_add_unsigned(width)
            .max(min.saturating_add(1));
        let min = min.min(max - 1);
        let step = step.min(max.wrapping_sub(min) as u64);
        Aggregation::Lhist { min, max, step }
    }

    pub(super) fn start(&mut self) -> Vec<(MapId, Vec<u8>, Vec<u8>)> {
        let names = self.program.names.len();
        let mut start = Vec::new();
        for (id, map) in (0..).map(MapId).zip(self.program.maps.clone()) {
            let entries = match id.0 {
                0 | 1 => 4,
                _ if map.name == "one" => 1,
                _ if self.choices.chance(50) => 1 + self.choices.below(3),
                _ => 0,
            };
            for i in 0..entries.min(map.max_entries as usize) {
                let mut key: Vec<u8> = match id.0 {
                    0 | 1 => (i as u64).to_le_bytes().to_vec(),
                    _ => {
                        let parts = map.key.iter();
                        let choices = &mut self.choices;
                        parts
                            .flat_map(|ty| value_bytes(choices, ty, names))
                            .collect()
                    }
                };
                if map.key.is_empty() {
                    key = vec![0; 4];
                }
                let value = match &map.value {
                    MapValue::Scalar(_) if id.0 == 0 => self.known_number().to_le_bytes().to_vec(),
                    MapValue::Scalar(ty) => {
                        let mut value = value_bytes(&mut self.choices, ty, names);
                        if map.key.is_empty() {
                            value.extend_from_slice(&1u64.to_le_bytes());
                        }
                        value
                    }
                    MapValue::Aggregate(aggregation) => self.used(aggregation),
                };
                start.push((id, key, value));
            }
        }
        start
    }

    /// A number, often one at the edge of some `lhist`.
    pub(super) fn known_number(&mut self) -> u64 {
        let edges = |map: &Map| match map.value {
            MapValue::Aggregate(Aggregation::Lhist { min, max, step }) => {
                vec![min, max, min.wrapping_add_unsigned(step)]
            }
            _ => vec![],
        };
        let edges: Vec<i64> = self.program.maps.iter().flat_map(edges).collect();
        if edges.is_empty() || !self.choices.chance(50) {
            return self.choices.number();
        }
        let edge = self.choices.pick(&edges);
        edge.wrapping_add(self.choices.pick(&[0, -1, 1])) as u64
    }

    /// An aggregation that has seen samples, or one about to overflow.
    pub(super) fn used(&mut self, aggregation: &Aggregation) -> Vec<u8> {
        let mut value = vec![0; layout::aggregate_size(aggregation)];
        match self.choices.below(3) {
            0 => {
                for _ in 0..self.choices.below(4) {
                    layout::record(aggregation, &mut value, self.choices.number());
                }
            }
            1 => value.fill(0xff),
            _ => {
                let byte = self.choices.below(256) as u8;
                value
                    .iter_mut()
                    .enumerate()
                    .for_each(|(i, b)| *b = byte.wrapping_mul(i as u8));
            }
        }
        value
    }

    pub(super) fn maps_where(&self, wanted: impl Fn(&Map) -> bool) -> Vec<MapId> {
        let maps = (0..).map(MapId).zip(&self.program.maps);
        maps.filter(|(_, map)| wanted(map))
            .map(|(id, _)| id)
            .collect()
    }

    /// Whether a map is one that may have a front; one use in twenty is as if it were not.
    pub(super) fn spares(&mut self, map: MapId) -> bool {
        self.program.maps[map.0 as usize].max_entries == front::SLOTS && !self.choices.chance(5)
    }
}

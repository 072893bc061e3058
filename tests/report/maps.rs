//! Maps made by hand: declarations, and the bytes that samples leave in them.

use std::collections::BTreeMap;

use hetsync_probe::layout;
use hetsync_probe::report::map::MapReport;
use hetsync_probe::sema::hir::{Aggregation, Map, MapValue, Type, Unit};
use hetsync_probe::span::Span;

/// A map declaration.
pub(crate) fn map(name: &str, key: &[Type], value: MapValue) -> Map {
    Map {
        name: name.into(),
        key: key.to_vec(),
        value,
        max_entries: if key.is_empty() { 1 } else { 4096 },
        lru: false,
        unit: None,
        span: Span::default(),
    }
}

/// An aggregating map declaration.
pub(crate) fn aggregating(name: &str, key: &[Type], aggregation: Aggregation) -> Map {
    map(name, key, MapValue::Aggregate(aggregation))
}

/// The same map with a unit.
pub(crate) fn with_unit(map: Map, unit: Unit) -> Map {
    Map {
        unit: Some(unit),
        ..map
    }
}

/// A string of capacity 16, as in a key or value.
pub(crate) fn text(text: &[u8]) -> Vec<u8> {
    let mut bytes = text.to_vec();
    bytes.resize(16, 0);
    bytes
}

/// An integer, as in a key or value.
pub(crate) fn int(n: i64) -> Vec<u8> {
    n.to_le_bytes().to_vec()
}

/// Samples of (key bytes, sample).
pub(crate) type Samples = Vec<(Vec<u8>, i64)>;

pub(crate) const STR16: Type = Type::Str { capacity: 16 };

/// A key's bytes and what each CPU holds there.
pub(crate) type Raw = (Vec<u8>, Vec<Vec<u8>>);

/// What CPUs hold after these samples of (key bytes, sample), spread over the CPUs in turn.
pub(crate) fn record(map: &Map, cpus: usize, samples: &[(Vec<u8>, i64)]) -> Vec<Raw> {
    let MapValue::Aggregate(aggregation) = &map.value else {
        panic!("only aggregations are recorded")
    };
    let mut state: BTreeMap<Vec<u8>, Vec<Vec<u8>>> = BTreeMap::new();
    for (at, (key, sample)) in samples.iter().enumerate() {
        let empty = || vec![vec![0; layout::value_size(map)]; cpus];
        let parts = state.entry(key.clone()).or_insert_with(empty);
        layout::record(aggregation, &mut parts[at % cpus], *sample as u64);
    }
    state.into_iter().collect()
}

/// The report of an aggregating map after these samples on two CPUs.
pub(crate) fn recorded<'a>(map: &'a Map, samples: &[(Vec<u8>, i64)]) -> MapReport<'a> {
    MapReport::decode(map, &[], record(map, 2, samples)).arranged(0, 1)
}

/// The report of a scalar map with these raw entries.
pub(crate) fn assigned<'a>(
    map: &'a Map,
    names: &[String],
    entries: &[(Vec<u8>, Vec<u8>)],
) -> MapReport<'a> {
    let raw = entries.iter().map(|(key, value)| {
        let mut value = value.clone();
        if map.key.is_empty() {
            value.extend(1u64.to_le_bytes());
        }
        (key.clone(), vec![value])
    });
    MapReport::decode(map, names, raw).arranged(0, 1)
}

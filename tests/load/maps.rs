//! Every kind of map: created, written, read in batches and one by one, cleared; refusals name the map.

use crate::asm;
use crate::bpf_allowed;
use hetsync_probe::image::{MapKind, MapSpec};
use hetsync_probe::load::LoadError;
use hetsync_probe::load::sys::{Entry, Map, possible_cpus};

const KINDS: [MapKind; 4] = [
    MapKind::Hash,
    MapKind::PercpuHash,
    MapKind::Array,
    MapKind::PercpuArray,
];

fn is_hash(kind: MapKind) -> bool {
    matches!(kind, MapKind::Hash | MapKind::PercpuHash)
}

fn sorted(mut entries: Vec<Entry>) -> Vec<Entry> {
    entries.sort();
    entries
}

/// A value whose bytes tell key and place.
fn value(map: &Map, key: u32) -> Vec<u8> {
    let size = map.spec().value_size as usize;
    (0..map.value_bytes())
        .map(|at| {
            let inside = at % map.stride() < size;
            if inside {
                (key as usize * 7 + at) as u8
            } else {
                0
            }
        })
        .collect()
}

#[test]
fn what_is_written_is_read_in_batches_and_one_by_one() {
    if !bpf_allowed("what_is_written_is_read_in_batches_and_one_by_one") {
        return;
    }
    for kind in KINDS {
        // 12 bytes: a per-CPU slot is padded to 16. 500 keys: several batches of per-CPU values.
        for value_size in [8, 12, 4096] {
            let spec = MapSpec {
                value_size,
                ..asm::map("m", kind, 500)
            };
            let map = Map::create(&spec).expect("map");
            let expected_cpus = if kind.is_percpu() {
                possible_cpus().unwrap()
            } else {
                1
            };
            assert_eq!(map.cpus(), expected_cpus);
            let mut expected = Vec::new();
            for key in 0..500u32 {
                let (key_bytes, value) = (key.to_le_bytes().to_vec(), value(&map, key));
                map.update(&key_bytes, &value).expect("update");
                expected.push((key_bytes, value));
            }
            let expected = sorted(expected);
            let read = sorted(map.entries().expect("entries"));
            assert!(read == expected, "{kind:?} of {value_size} bytes");
            assert!(
                sorted(map.entries_one_by_one().unwrap()) == expected,
                "{kind:?} one by one"
            );
            match map.entries_in_batches() {
                Ok(batch) => assert!(sorted(batch) == expected, "{kind:?} in batches"),
                Err(error) => println!("{kind:?}: no batches in this kernel: {error}"),
            }
        }
    }
}

#[test]
fn keys_come_and_go() {
    if !bpf_allowed("keys_come_and_go") {
        return;
    }
    for kind in KINDS {
        let map = Map::create(&asm::map("m", kind, 4)).expect("map");
        let key = 2u32.to_le_bytes();
        let one = value(&map, 1);
        assert_eq!(map.lookup(&key).unwrap().is_none(), is_hash(kind));
        map.update(&key, &one).unwrap();
        assert_eq!(map.lookup(&key).unwrap(), Some(one.clone()));
        map.zero().unwrap();
        assert_eq!(
            map.lookup(&key).unwrap(),
            Some(vec![0; one.len()]),
            "zero keeps the key"
        );
        map.update(&key, &one).unwrap();
        map.clear().unwrap();
        let left = if is_hash(kind) {
            None
        } else {
            Some(vec![0; one.len()])
        };
        assert_eq!(map.lookup(&key).unwrap(), left);
        assert_eq!(
            map.entries().unwrap().len(),
            if is_hash(kind) { 0 } else { 4 }
        );
        if is_hash(kind) {
            map.update(&key, &one).unwrap();
            assert!(map.delete(&key).unwrap());
            assert!(!map.delete(&key).unwrap(), "it is gone");
            assert_eq!(map.next_key(None).unwrap(), None);
        }
    }
}

#[test]
fn wrong_lengths_never_reach_the_kernel() {
    if !bpf_allowed("wrong_lengths_never_reach_the_kernel") {
        return;
    }
    let map = Map::create(&asm::map("m", MapKind::Hash, 4)).expect("map");
    assert!(map.lookup(&[0; 3]).is_err());
    assert!(map.delete(&[]).is_err());
    assert!(map.next_key(Some(&[0; 5])).is_err());
    let error = map.update(&[0; 4], &[0; 7]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a value of 7 bytes for a map with values of 8"
    );
}

#[test]
fn a_full_map_says_so() {
    if !bpf_allowed("a_full_map_says_so") {
        return;
    }
    let map = Map::create(&asm::map("m", MapKind::Hash, 2)).expect("map");
    for key in 0..2u32 {
        map.update(&key.to_le_bytes(), &[0; 8]).unwrap();
    }
    let error = map.update(&2u32.to_le_bytes(), &[0; 8]).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::E2BIG));
}

#[test]
fn a_map_too_large_is_named_with_its_size() {
    if !bpf_allowed("a_map_too_large_is_named_with_its_size") {
        return;
    }
    let spec = MapSpec {
        value_size: 1 << 20,
        ..asm::map("latency", MapKind::Hash, u32::MAX)
    };
    let error = Map::create(&spec).unwrap_err();
    let LoadError::Map {
        name, max_entries, ..
    } = &error
    else {
        panic!("{error:?}");
    };
    assert_eq!((name.as_str(), *max_entries), ("latency", u32::MAX));
    let text = error.to_string();
    assert!(
        text.contains("\"latency\"") && text.contains("4096.0 TiB"),
        "{text}"
    );
    assert!(
        text.contains("E2BIG") && text.contains("allow it fewer keys"),
        "{text}"
    );
}

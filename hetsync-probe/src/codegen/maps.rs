//! Which maps an image needs: the script's, then the compiler's own as far as a program uses them.

use std::collections::BTreeSet;

use crate::image::{MapKind, MapSpec, Part};
use crate::ir::{Arg, Function, MapRef, Op};
use crate::layout::{self, front};
use crate::sema::hir;

/// Different stacks of calls that are kept, for each depth asked for.
const STACKS: u32 = 8192;
/// What a page is when a script counts in pages.
const PAGE_BYTES: u32 = 4096;
/// Keys a per-CPU hash keeps however large its values are on however many CPUs.
const FEWEST_KEYS: u32 = 64;

/// The maps of an image and where each is.
pub(super) struct Maps {
    pub(super) specs: Vec<MapSpec>,
    own: Vec<(MapRef, usize)>,
}

impl Maps {
    /// Index of a map in the image.
    pub(super) fn index(&self, map: MapRef) -> usize {
        match map {
            MapRef::Script(id) => id.0 as usize,
            _ => self.find(map).unwrap_or(0),
        }
    }

    /// The script's maps that have a front, each with the index of that.
    pub(super) fn fronts(&self) -> Vec<(usize, usize)> {
        let front = |(own, at): &(MapRef, usize)| match own {
            MapRef::Front(id) => Some((id.0 as usize, *at)),
            _ => None,
        };
        self.own.iter().filter_map(front).collect()
    }

    /// The script's maps that have their values in another one.
    pub(super) fn parts(&self, program: &hir::Program, groups: &[Vec<hir::MapId>]) -> Vec<Part> {
        let of =
            |group: &Vec<hir::MapId>| Some((self.find(MapRef::Group(group[0]))?, group.clone()));
        let parts = groups.iter().filter_map(of).flat_map(|(of, group)| {
            let part = |map: &hir::MapId| Part {
                map: map.0 as usize,
                of,
                offset: layout::group_offset(program, &group, *map),
                bytes: layout::value_size(&program.maps[map.0 as usize]),
            };
            group.iter().map(part).collect::<Vec<_>>()
        });
        parts.collect()
    }

    /// Index of one of the compiler's own maps, if any program uses it.
    pub(super) fn find(&self, map: MapRef) -> Option<usize> {
        Some(self.own.iter().find(|(own, _)| *own == map)?.1)
    }
}

/// The compiler's own maps that a function uses.
pub(super) fn used(function: &Function, into: &mut BTreeSet<MapRef>) {
    for inst in function.blocks.iter().flat_map(|b| &b.insts) {
        match &inst.op {
            Op::Call(_, args) => {
                for arg in args {
                    if let Arg::Map(map) | Arg::MapValue(map) = arg {
                        into.insert(*map);
                    }
                }
            }
            Op::MapValue(map, _) | Op::Part { map, .. } => {
                into.insert(*map);
            }
            _ => {}
        }
    }
}

/// Makes the list. `scratch` is the bytes and entries of the scratch map, `shared` the bytes of what functions of a program share.
pub(super) fn specs(
    program: &hir::Program,
    used: &BTreeSet<MapRef>,
    (scratch, shared): ((u32, u32), u32),
    options: &super::Options<'_>,
) -> Maps {
    let mut maps = Maps {
        specs: (program.maps.iter().enumerate())
            .map(|(i, map)| {
                let id = hir::MapId(i as u32);
                let mut spec = script_map(i, map, options);
                if options.groups.iter().flatten().any(|part| *part == id) {
                    // Its values are in the group's map; this one is there for its name and sizes.
                    spec.max_entries = 1;
                }
                spec
            })
            .collect(),
        own: Vec::new(),
    };
    let groups = options.groups.iter();
    let zeros = (program.maps.iter())
        .map(layout::value_size)
        .chain(groups.map(|group| layout::group_size(program, group)))
        .max()
        .unwrap_or(8) as u32;
    let own = |name: &str, kind, key_size, value_size, max_entries| MapSpec {
        name: name.into(),
        kind,
        key_size,
        value_size,
        max_entries,
        map: None,
    };
    let ring_bytes = match program.config.ring_pages {
        Some(pages) => pages * PAGE_BYTES,
        None => options.ring_bytes,
    };
    let counters = loss_counters(program) as u32;
    let points: usize = program.probes.iter().map(|probe| probe.points.len()).sum();
    for (map, spec) in [
        (
            MapRef::Events,
            own("hp_events", MapKind::Ringbuf, 0, 0, ring_bytes),
        ),
        (
            MapRef::Losses,
            own("hp_losses", MapKind::PercpuArray, 4, 8, counters),
        ),
        (MapRef::Zeros, own("hp_zeros", MapKind::Array, 4, zeros, 1)),
        (MapRef::Gate, own("hp_gate", MapKind::Array, 4, 8, 1)),
        (
            MapRef::Scratch,
            own("hp_scratch", MapKind::PercpuArray, 4, scratch.0, scratch.1),
        ),
        (
            MapRef::Shared,
            own("hp_shared", MapKind::PercpuArray, 4, shared, points as u32),
        ),
    ] {
        if used.contains(&map) {
            maps.own.push((map, maps.specs.len()));
            maps.specs.push(spec);
        }
    }
    for &map in used {
        let spec = match map {
            MapRef::Front(id) => {
                let bytes = front::SLOTS << front::SHIFT;
                own(&format!("hp_front{}", id.0), MapKind::Array, 4, bytes, 1)
            }
            MapRef::Group(id) => {
                let Some(group) = options.groups.iter().find(|group| group[0] == id) else {
                    continue;
                };
                let map = &program.maps[id.0 as usize];
                let bytes = layout::group_size(program, group);
                MapSpec {
                    // The room of all of them.
                    max_entries: fitting(map, bytes, group.len() as u64, options),
                    key_size: layout::key_size(map) as u32,
                    value_size: bytes as u32,
                    ..own(&format!("hp_group{}", id.0), MapKind::PercpuHash, 0, 0, 0)
                }
            }
            MapRef::Stacks(frames) => {
                let bytes = 8 * u32::from(frames);
                let name = format!("hp_stacks{frames}");
                own(&name, MapKind::StackTrace, 4, bytes, STACKS)
            }
            _ => continue,
        };
        maps.own.push((map, maps.specs.len()));
        maps.specs.push(spec);
    }
    maps
}

/// How many loss counters a script has.
pub(super) fn loss_counters(program: &hir::Program) -> usize {
    layout::Loss::counters(
        program.maps.len(),
        program.loops.len(),
        program.probes.len(),
    )
}

fn script_map(index: usize, map: &hir::Map, options: &super::Options<'_>) -> MapSpec {
    let scalar = matches!(map.value, hir::MapValue::Scalar(_));
    let kind = match (scalar, map.key.is_empty()) {
        (true, true) => MapKind::Array,
        (true, false) if map.lru => MapKind::LruHash,
        (true, false) => MapKind::Hash,
        (false, true) => MapKind::PercpuArray,
        (false, false) if map.lru => MapKind::LruPercpuHash,
        (false, false) => MapKind::PercpuHash,
    };
    let value_size = layout::value_size(map) as u32;
    let max_entries = match kind {
        MapKind::PercpuHash | MapKind::LruPercpuHash => {
            fitting(map, layout::value_size(map), 1, options)
        }
        _ => map.max_entries,
    };
    MapSpec {
        name: kernel_name(&map.name, &format!("map{index}")),
        kind,
        key_size: layout::key_size(map) as u32,
        value_size,
        max_entries,
        map: Some(hir::MapId(index as u32)),
    }
}

/// Keys of a per-CPU hash that fit the memory of so many maps.
///
/// The kernel takes all of a map's memory when it is made. (Taking it key by key would lose samples: a probe may not
/// wait for memory, and what the kernel has at hand in that moment does not last for two large per-CPU values.)
fn fitting(map: &hir::Map, value_bytes: usize, maps: u64, options: &super::Options<'_>) -> u32 {
    let bytes = options.percpu_bytes.saturating_mul(maps);
    let room = bytes / (value_bytes.max(1) as u64 * u64::from(options.cpus.max(1)));
    let fit = u32::try_from(room).unwrap_or(u32::MAX).max(FEWEST_KEYS);
    map.max_entries.min(fit)
}

/// A name the kernel accepts: at most 15 bytes of `[A-Za-z0-9_]`.
pub(super) fn kernel_name(name: &str, otherwise: &str) -> String {
    let name = if name.is_empty() { otherwise } else { name };
    name.chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .take(15)
        .collect()
}

//! Which maps an image needs: the script's, then the compiler's own as far as a program uses them.

use std::collections::BTreeSet;

use crate::image::{MapKind, MapSpec};
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
            Op::Part { map, .. } => {
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
            .map(|(i, map)| script_map(i, map, options))
            .collect(),
        own: Vec::new(),
    };
    let zeros = (program.maps.iter())
        .map(layout::value_size)
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
    // The kernel takes all of a map's memory when it is made. (Taking it key by key would lose samples: a probe may not
    // wait for memory, and what the kernel has at hand in that moment does not last for two large per-CPU values.)
    let room = options.percpu_bytes / (u64::from(value_size) * u64::from(options.cpus.max(1)));
    let max_entries = match kind {
        MapKind::PercpuHash | MapKind::LruPercpuHash => {
            let fit = u32::try_from(room).unwrap_or(u32::MAX).max(FEWEST_KEYS);
            map.max_entries.min(fit)
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

/// A name the kernel accepts: at most 15 bytes of `[A-Za-z0-9_]`.
pub(super) fn kernel_name(name: &str, otherwise: &str) -> String {
    let name = if name.is_empty() { otherwise } else { name };
    name.chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .take(15)
        .collect()
}

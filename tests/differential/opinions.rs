//! The opinions that need no kernel: what a case leaves behind by the script and by the compiled code.

use crate::generate::{self, Case};
use hetsync_probe::image::{self, Cookie, Image, Place, ProgramKind};
use hetsync_probe::interp::ebpf::Machine;
use hetsync_probe::interp::script::{self, Store};
use hetsync_probe::interp::{Contents, Firing, World};
use hetsync_probe::layout::{self, front};
use hetsync_probe::sema::hir::{AttachPoint, MapId, MapValue, PointKind, Probe, Space};
use std::collections::BTreeMap;

/// What all opinions of a case share: the thread that fires and the machine it is on.
#[derive(Clone)]
pub(crate) struct Scene {
    pub(crate) firing: Firing,
    pub(crate) cpus: usize,
    /// Whether programs may use atomic fetch-and-add.
    pub(crate) atomic_fetch: bool,
    /// Whether they may go over the entries of maps.
    pub(crate) for_each: bool,
}

impl Scene {
    pub(crate) fn world(&self, case: &Case) -> World {
        World {
            cpus: self.cpus,
            now_ns: 5_000_000_000,
            step_ns: 0,
            start_ns: 2_000_000_000,
            ring_bytes: case.ring_bytes,
            kernel: generate::memory(Space::Kernel),
            user: generate::memory(Space::User),
        }
    }

    /// The values of a starting entry: one a CPU where the map keeps them so.
    pub(crate) fn copies(&self, image: &Image, map: usize, value: &[u8]) -> Vec<Vec<u8>> {
        let copies = if image.maps[map].kind.is_percpu() {
            self.cpus
        } else {
            1
        };
        vec![value.to_vec(); copies]
    }
}

/// What is in the maps before. Keys of a map that may have a front are the thread's number and others that share its slot.
pub(crate) fn start(case: &Case, scene: &Scene) -> Vec<(MapId, Vec<u8>, Vec<u8>)> {
    let mut start = case.start.clone();
    for (map, key, _) in &mut start {
        if case.program.maps[map.0 as usize].max_entries >= front::SLOTS {
            let number =
                u64::from(scene.firing.tid) + u64::from(front::SLOTS) * (key[0] as u64 & 3);
            *key = number.to_le_bytes().to_vec();
        }
    }
    start
}

/// The same for the compiled code: what is in the image's maps. Of a map with a front the first key is there, others are behind.
pub(crate) fn start_of(
    case: &Case,
    image: &Image,
    scene: &Scene,
) -> Vec<(usize, Vec<u8>, Vec<u8>)> {
    let slot_bytes = 1 << front::SHIFT;
    let slot_at = (scene.firing.tid % front::SLOTS) as usize * slot_bytes;
    let mut fronts: BTreeMap<usize, Vec<u8>> = BTreeMap::new();
    let mut entries = Vec::new();
    for (map, key, value) in start(case, scene) {
        let map = map.0 as usize;
        let Some(table) = image.front_of(map) else {
            entries.push((map, key, value));
            continue;
        };
        let slots = fronts
            .entry(table)
            .or_insert_with(|| vec![0; front::SLOTS as usize * slot_bytes]);
        let slot = &mut slots[slot_at..slot_at + slot_bytes];
        let owner = layout::word(slot, front::OWNER as usize / 8);
        // Thread 0 has no slot.
        if layout::word(&key, 0) != 0 && (owner == 0 || owner == layout::word(&key, 0)) {
            for at in [front::CLAIM, front::OWNER] {
                slot[at as usize..at as usize + 8].copy_from_slice(&key);
            }
            slot[front::VALUE as usize..front::VALUE as usize + 8].copy_from_slice(&value);
        } else {
            slot[front::BEHIND as usize] = 1;
            entries.push((map, key, value));
        }
    }
    let fronts = fronts.into_iter();
    entries.extend(fronts.map(|(table, slots)| (table, vec![0; 4], slots)));
    entries
}

/// By the meaning of the script.
pub(crate) fn script(case: &Case, scene: &Scene) -> Contents {
    let mut world = scene.world(case);
    let mut store = Store::new(&case.program, &world);
    for (map, key, value) in start(case, scene) {
        store.insert(map, key, Some(&value));
    }
    for (probe, point) in &case.firings {
        let firing = scene.firing.clone().at(*probe, *point);
        script::fire(&case.program, &mut world, &mut store, &firing);
    }
    store.contents().clone()
}

/// By the compiled code in our machine.
pub(crate) fn machine(case: &Case, image: &Image, scene: &Scene) -> Result<Contents, String> {
    let mut world = scene.world(case);
    let mut machine = Machine::new(&image.maps, scene.cpus).map_err(|fault| fault.to_string())?;
    for (map, key, value) in start_of(case, image, scene) {
        machine.insert(map, &key, &scene.copies(image, map, &value));
    }
    let fds = machine.fds();
    for &at in &case.firings {
        let program = program(image, at)?;
        let insns = image::resolve(program, &fds, world.start_ns).map_err(|e| e.to_string())?;
        let firing = scene.firing.clone().at(at.0, at.1);
        machine
            .run(&insns, &program.kind, &mut world, &firing)
            .map_err(|fault| format!("program {at:?}: {fault}"))?;
    }
    Ok(machine.contents(image))
}

/// The program of an attach point.
pub(crate) fn program(image: &Image, at: (usize, usize)) -> Result<&image::Program, String> {
    let is_for = |program: &&image::Program| match &program.kind {
        ProgramKind::KprobeMulti { places, .. } => {
            program.point.0 == at.0 && places.iter().any(|place| place.point == at.1)
        }
        _ => program.point == at,
    };
    let found = image.programs.iter().find(is_for);
    found.ok_or_else(|| format!("no program for point {at:?}"))
}

/// The fentry or fexit program for a point, where there is one.
pub(crate) fn traced(kind: &PointKind) -> Option<ProgramKind> {
    let args = 6;
    match kind.clone() {
        PointKind::Kprobe { function, .. } => Some(ProgramKind::Fentry { function, args }),
        PointKind::Kretprobe { function } => Some(ProgramKind::Fexit { function, args }),
        _ => None,
    }
}

/// The program for all points of a probe of functions, at the first of them.
pub(crate) fn together(probe: &Probe, point: usize) -> Option<ProgramKind> {
    let place = |(point, at): (usize, &AttachPoint)| match &at.kind {
        PointKind::Kprobe { function, .. } | PointKind::Kretprobe { function } => Some(Place {
            function: function.clone(),
            point,
            cookie: Cookie::of(at),
        }),
        _ => None,
    };
    let places = probe.points.iter().enumerate().map(place);
    let places = places.collect::<Option<Vec<_>>>()?;
    let on_return = matches!(probe.points[0].kind, PointKind::Kretprobe { .. });
    Some(match point {
        0 => ProgramKind::KprobeMulti { places, on_return },
        _ => ProgramKind::Joined,
    })
}

/// Where two opinions differ, in words; `None` where they agree.
pub(crate) fn difference(case: &Case, ours: &Contents, theirs: &Contents) -> Option<String> {
    for (id, (a, b)) in ours.maps.iter().zip(&theirs.maps).enumerate() {
        if a != b {
            let map = &case.program.maps[id];
            let shown = |table: &hetsync_probe::interp::Table| {
                let words = |value: &Vec<u8>| match &map.value {
                    MapValue::Aggregate(_) => value
                        .chunks(8)
                        .enumerate()
                        .filter(|(_, word)| word.iter().any(|&b| b != 0))
                        .map(|(i, word)| format!("{i}:{word:02x?}"))
                        .collect::<Vec<_>>()
                        .join(" "),
                    MapValue::Scalar(_) => format!("{value:02x?}"),
                };
                let entry = |(key, values): (&Vec<u8>, &Vec<Vec<u8>>)| {
                    format!(
                        "  {key:02x?}: {}\n",
                        values.iter().map(words).collect::<Vec<_>>().join(" | ")
                    )
                };
                table.iter().map(entry).collect::<String>()
            };
            return Some(format!(
                "@{} ({:?})\n{} against\n{}",
                map.name,
                map.value,
                shown(a),
                shown(b)
            ));
        }
    }
    if ours.events != theirs.events {
        return Some(format!(
            "events\n{:02x?}\n against\n{:02x?}",
            ours.events, theirs.events
        ));
    }
    (ours.losses != theirs.losses)
        .then(|| format!("losses {:?} against {:?}", ours.losses, theirs.losses))
}

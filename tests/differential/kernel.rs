//! The opinion of the running kernel, by test runs on one CPU.

use crate::generate::Case;
use crate::opinions::{Scene, program, start_of};
use hetsync_probe::codegen::insn::{Insn, helper, op, reg};
use hetsync_probe::image::{self, Image, MapKind, MapSpec};
use hetsync_probe::interp::{Contents, Firing, Table};
use hetsync_probe::kernel::features;
use hetsync_probe::layout;
use hetsync_probe::load::sys::{
    Described, Map, Program, ProgramType, Ring, load_btf, possible_cpus,
};
use hetsync_probe::object;
use hetsync_probe::span::Span;
use std::os::fd::{AsFd, AsRawFd};

/// Keeps the calling thread on one CPU and finds out what programs see there; the reason if the kernel cannot be asked.
pub(crate) fn scene() -> Result<Scene, String> {
    let cpus = possible_cpus().map_err(|error| error.to_string())?;
    // SAFETY: the set is plain bits, zeroed, of the size given.
    let pinned = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        let cpu = libc::sched_getcpu().max(0) as usize;
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set)
    };
    if pinned != 0 {
        return Err(format!(
            "cannot stay on one CPU: {}",
            std::io::Error::last_os_error()
        ));
    }
    let spec = MapSpec {
        name: "scene".into(),
        kind: MapKind::Array,
        key_size: 4,
        value_size: 32,
        max_entries: 1,
        map: None,
    };
    let map = Map::create(&spec).map_err(|error| error.to_string())?;
    let insn = |code, dst, src, off, imm| Insn {
        code,
        dst,
        src,
        off,
        imm,
    };
    let fd = map.as_fd().as_raw_fd();
    // Process and thread as the kernel numbers them (a container has numbers of its own), the CPU, the thread's name.
    let code = [
        insn(
            op::LD | op::IMM | op::DW,
            reg::R6,
            op::PSEUDO_MAP_VALUE,
            0,
            fd,
        ),
        Insn::default(),
        insn(op::JMP | op::CALL, 0, 0, 0, helper::GET_CURRENT_PID_TGID),
        insn(op::STX | op::MEM | op::DW, reg::R6, reg::R0, 0, 0),
        insn(op::JMP | op::CALL, 0, 0, 0, helper::GET_SMP_PROCESSOR_ID),
        insn(op::STX | op::MEM | op::DW, reg::R6, reg::R0, 8, 0),
        insn(op::ALU64 | op::MOV | op::X, reg::R1, reg::R6, 0, 0),
        insn(op::ALU64 | op::ADD | op::K, reg::R1, 0, 0, 16),
        insn(op::ALU64 | op::MOV | op::K, reg::R2, 0, 0, 16),
        insn(op::JMP | op::CALL, 0, 0, 0, helper::GET_CURRENT_COMM),
        insn(op::ALU64 | op::MOV | op::K, reg::R0, 0, 0, 0),
        insn(op::JMP | op::EXIT, 0, 0, 0, 0),
    ];
    Program::load(
        "scene",
        ProgramType::RawTracepoint,
        &code,
        &[Span::default(); 12],
    )
    .and_then(|program| program.test_run(&[]))
    .map_err(|error| error.to_string())?;
    let seen = map
        .lookup(&[0; 4])
        .map_err(|error| error.to_string())?
        .ok_or("an array without its value")?;
    let both = layout::word(&seen, 0);
    let mut comm = [0; 16];
    comm.copy_from_slice(&seen[16..32]);
    Ok(Scene {
        firing: Firing {
            pid: (both >> 32) as u32,
            tid: both as u32,
            comm,
            cpu: layout::word(&seen, 1) as u32,
            ..Firing::default()
        },
        cpus,
        atomic_fetch: features::atomic_fetch(),
        for_each: features::for_each(),
    })
}

/// What a case leaves behind in the kernel.
pub(crate) fn kernel(case: &Case, image: &Image, scene: &Scene) -> Result<Contents, String> {
    let maps = image
        .maps
        .iter()
        .map(Map::create)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| error.to_string())?;
    for (map, key, value) in start_of(case, image, scene) {
        let mut bytes = Vec::new();
        for mut copy in scene.copies(image, map, &value) {
            copy.resize(maps[map].stride(), 0);
            bytes.extend(copy);
        }
        maps[map]
            .update(&key, &bytes)
            .map_err(|error| error.to_string())?;
    }
    let fds: Vec<i32> = maps.iter().map(|map| map.as_fd().as_raw_fd()).collect();
    let debug = object::debug(image);
    let btf = match &debug {
        Some(debug) => Some(load_btf(&debug.btf).map_err(|error| error.to_string())?),
        None => None,
    };
    let mut loaded = Vec::new();
    for (at, program) in image.programs.iter().enumerate() {
        let insns = image::resolve(program, &fds, 0).map_err(|error| error.to_string())?;
        let kind = ProgramType::RawTracepoint;
        let described = btf
            .as_ref()
            .zip(debug.as_ref())
            .map(|(btf, debug)| Described {
                btf: btf.as_fd(),
                lines: &debug.programs[at],
            });
        let in_kernel =
            Program::load_described(&program.name, kind, &insns, &program.spans, described)
                .map_err(|error| error.to_string())?;
        loaded.push((program.point, in_kernel));
    }
    for &at in &case.firings {
        let point = program(image, at)?.point;
        for (_, in_kernel) in loaded.iter().filter(|(of, _)| *of == point) {
            in_kernel.test_run(&[]).map_err(|error| error.to_string())?;
        }
    }
    let table = |map: &Map| -> Result<Table, String> {
        let size = map.spec().value_size as usize;
        let entries = map
            .entries_one_by_one()
            .map_err(|error| error.to_string())?;
        Ok(entries
            .into_iter()
            .map(|(key, value)| {
                let values = value.chunks(map.stride()).map(|v| v[..size].to_vec());
                (key, values.collect())
            })
            .collect())
    };
    let script_maps = case.program.maps.len();
    let mut contents = Contents {
        maps: maps[..script_maps]
            .iter()
            .map(table)
            .collect::<Result<_, _>>()?,
        events: Vec::new(),
        losses: vec![0; image.loss_counters],
    };
    for part in &image.parts {
        let own = |values: Vec<Vec<u8>>| values.iter().map(|v| part.cut(v, v.len())).collect();
        let entries = table(&maps[part.of])?.into_iter();
        contents.maps[part.map] = entries.map(|(key, values)| (key, own(values))).collect();
    }
    for &(map, front) in &image.fronts {
        for slots in table(&maps[front])?.into_values().flatten() {
            let entries = layout::front::entries(&slots);
            let entries = entries.map(|(key, value)| (key.to_vec(), vec![value.to_vec()]));
            contents.maps[map].extend(entries);
        }
    }
    if let Some(losses) = image.losses {
        for (total, values) in contents
            .losses
            .iter_mut()
            .zip(table(&maps[losses])?.values())
        {
            *total = values.iter().map(|value| layout::word(value, 0)).sum();
        }
    }
    if let Some(events) = image.events {
        let mut ring = Ring::new(&maps[events]).map_err(|error| error.to_string())?;
        ring.drain(&mut |record| contents.events.push(record.to_vec()));
    }
    Ok(contents)
}

//! From the IR to programs: register allocation with spilling, its independent checker, the stack frame, instructions.
//!
//! ```text
//! hir --ir::lower--> Function --regalloc--> Allocated --checker, frame--> --emit--> image::Program
//! ```
//!
//! [`compile`] is the table of contents. Everything is deterministic: the same script gives the same bytes.

mod asm;
pub mod disasm;
mod emit;
mod fit;
pub mod frame;
pub mod insn;
mod maps;
mod objects;
pub mod regalloc;
mod scratch;

use std::collections::BTreeSet;

use crate::diagnostic::Diagnostic;
use crate::image::{Image, Program, ProgramKind, Relocation};
use crate::ir::{self, Function, MapRef};
use crate::limits;
use crate::sema::hir::{self, PointKind};
use crate::span::Span;
use regalloc::Pool;

/// For which kernel, and how, a script is compiled.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// How to attach probe `.0`'s point `.1`; `None` for the plain way ([`plain_kind`]).
    pub lower: &'a dyn Fn(usize, usize) -> Option<ProgramKind>,
    /// Bytes (1, 2, 4 or 8) of a function's argument of this number, for fentry and fexit: up to Linux 6.5
    /// only that much of it can be trusted. Say 8 where it is not known.
    pub arg_bytes: &'a dyn Fn(&str, u8) -> u8,
    /// Possible CPUs of the kernel, each of which has its own part of a statistics map.
    pub cpus: u32,
    /// Bytes that one statistics map may take on all CPUs together; it gets fewer keys than the script's limit where
    /// it would take more.
    pub percpu_bytes: u64,
    /// Whether the kernel has atomic fetch-and-add (5.12 on).
    pub atomic_fetch: bool,
    /// Whether a program can look at what other CPUs keep in a map (5.19 on).
    pub percpu_lookup: bool,
    /// Whether a program can ask for International Atomic Time (6.1 on).
    pub tai_clock: bool,
    /// Whether a program of fentry or fexit can ask for a socket's number (5.12 on).
    pub socket_cookie: bool,
    /// Whether the kernel can call a function for each entry of a map (5.13 on).
    pub for_each: bool,
    /// Whether probes are stopped by a word that user space sets ([`Image::gate`]).
    pub gate: bool,
    /// Bytes of the events' ring buffer: a power of two, whole pages.
    pub ring_bytes: u32,
    /// By map of the script: whether it has a front ([`crate::layout::front`]); no map has one that is not named here.
    pub fronts: &'a [bool],
    /// Lists of maps that share a value ([`crate::plan::groups`]).
    pub groups: &'a [Vec<hir::MapId>],
    /// How often the kernel has given up on the script: each time, loops of unknown length get fewer rounds to be cut at.
    pub shorter_loops: u32,
    /// Registers that may be used: all of them, or at least five where tests want spills.
    pub pool: Pool,
}

impl Options<'_> {
    /// What every supported kernel can run: kprobes and kretprobes, instruction set v3, preallocated maps.
    pub fn plain() -> Self {
        Options {
            lower: &|_, _| None,
            arg_bytes: &|_, _| 8,
            cpus: 1,
            percpu_bytes: u64::MAX,
            atomic_fetch: false,
            percpu_lookup: false,
            tai_clock: false,
            socket_cookie: false,
            for_each: true,
            gate: false,
            ring_bytes: 1 << 20,
            fronts: &[],
            groups: &[],
            shorter_loops: 0,
            pool: Pool::default(),
        }
    }
}

/// The program kind a point has unless it is lowered to another.
pub fn plain_kind(point: &PointKind) -> ProgramKind {
    match point {
        PointKind::Begin | PointKind::End | PointKind::Interval { .. } => ProgramKind::Run,
        PointKind::Kprobe { function, offset } => ProgramKind::Kprobe {
            function: function.clone(),
            offset: *offset,
        },
        PointKind::Kretprobe { function } => ProgramKind::Kretprobe {
            function: function.clone(),
        },
        PointKind::Fentry { function, args } => ProgramKind::Fentry {
            function: function.clone(),
            args: *args,
        },
        PointKind::Fexit { function, args } => ProgramKind::Fexit {
            function: function.clone(),
            args: *args,
        },
        PointKind::Tracepoint { category, name } => ProgramKind::Tracepoint {
            category: category.clone(),
            name: name.clone(),
        },
        PointKind::RawTracepoint { name } => ProgramKind::RawTracepoint { name: name.clone() },
        PointKind::Sampled(sampling) => ProgramKind::Sampled(*sampling),
        PointKind::Uprobe { path, offset } => ProgramKind::Uprobe {
            path: path.clone(),
            offset: *offset,
            semaphore: 0,
        },
        PointKind::Usdt {
            path,
            offset,
            semaphore,
            ..
        } => ProgramKind::Uprobe {
            path: path.clone(),
            offset: *offset,
            semaphore: *semaphore,
        },
        PointKind::Uretprobe { path, offset } => ProgramKind::Uretprobe {
            path: path.clone(),
            offset: *offset,
        },
    }
}

/// Compiles a checked script.
///
/// # Errors
///
/// What a kernel cannot run: too much stack, too many instructions, values a point does not have; all of them.
pub fn compile(program: &hir::Program, options: &Options<'_>) -> Result<Image, Vec<Diagnostic>> {
    let mut errors = Vec::new();
    let mut ready = Vec::new();
    let mut used = BTreeSet::new();
    let mut scratch = fit::Scratch::default();
    let mut shared = 0;
    for (probe, point) in points(program) {
        let kind = kind(program, probe, point, options);
        if kind == ProgramKind::Joined {
            continue;
        }
        match fit::fit(program, (probe, point), &kind, options, &mut scratch) {
            Ok(placed) => {
                for part in &placed.parts {
                    maps::used(&part.function, &mut used);
                    shared = shared.max(part.function.shared);
                }
                ready.push(((probe, point), kind, placed));
            }
            Err(found) => errors.extend(found),
        }
    }
    let memory = ((scratch.bytes, scratch.entries), shared);
    let maps = maps::specs(program, &used, memory, options);
    let mut loops: Vec<u32> = (program.loops.iter())
        .map(|one| one.most.unwrap_or(ir::limits::MOST))
        .collect();
    let mut programs = Vec::new();
    for (point, kind, placed) in ready {
        for part in &placed.parts {
            for (limit, most) in part.function.limits.iter().zip(&part.limits) {
                let known = &mut loops[limit.id.0 as usize];
                *known = (*known).min(*most);
            }
        }
        let span = program.probes[point.0].span;
        match assemble(point, kind, &placed, &maps, span) {
            Ok(program) => programs.push(program),
            Err(error) => errors.push(*error),
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    Ok(Image {
        programs,
        events: maps.find(MapRef::Events),
        losses: maps.find(MapRef::Losses),
        gate: maps.find(MapRef::Gate),
        loss_counters: maps::loss_counters(program),
        fronts: maps.fronts(),
        parts: maps.parts(program, options.groups),
        loops,
        maps: maps.specs,
        source: None,
    })
}

/// Every attach point, in script order.
fn points(program: &hir::Program) -> impl Iterator<Item = (usize, usize)> {
    let probes = program.probes.iter().enumerate();
    probes.flat_map(|(i, probe)| (0..probe.points.len()).map(move |j| (i, j)))
}

fn kind(program: &hir::Program, probe: usize, point: usize, options: &Options<'_>) -> ProgramKind {
    (options.lower)(probe, point)
        .unwrap_or_else(|| plain_kind(&program.probes[probe].points[point].kind))
}

/// The IR of one attach point, first the program and then what the kernel calls for it, as [`compile`] makes it unless its variables do not fit registers and stack.
///
/// # Errors
///
/// Values this kind of attach point does not have.
pub fn lower(
    program: &hir::Program,
    point: (usize, usize),
    kind: &ProgramKind,
    options: &Options<'_>,
) -> Result<Vec<Function>, Vec<Diagnostic>> {
    lower_with(program, point, kind, options, false)
}

fn lower_with(
    program: &hir::Program,
    (probe, point): (usize, usize),
    kind: &ProgramKind,
    options: &Options<'_>,
    locals_in_memory: bool,
) -> Result<Vec<Function>, Vec<Diagnostic>> {
    let function = match kind {
        ProgramKind::Fentry { function, .. } | ProgramKind::Fexit { function, .. } => function,
        _ => "",
    };
    ir::lower(&ir::Context {
        program,
        probe,
        point,
        kind,
        atomic_fetch: options.atomic_fetch,
        percpu_lookup: options.percpu_lookup,
        tai_clock: options.tai_clock,
        socket_cookie: options.socket_cookie,
        for_each: options.for_each,
        gate: options.gate,
        fronts: options.fronts,
        groups: options.groups,
        arg_bytes: &|n| (options.arg_bytes)(function, n),
        cpus: options.cpus,
        locals_in_memory,
    })
}

/// The IR of every attach point as text, for `--emit ir`.
///
/// # Errors
///
/// Values an attach point does not have.
pub fn emit_ir(program: &hir::Program, options: &Options<'_>) -> Result<String, Vec<Diagnostic>> {
    let mut text = String::new();
    for (probe, point) in points(program) {
        let kind = kind(program, probe, point, options);
        if kind == ProgramKind::Joined {
            continue;
        }
        let functions = lower(program, (probe, point), &kind, options)?;
        let name = program.probes[probe].points[point].probe_name;
        let name = (program.names.get(name.0 as usize)).map_or("", String::as_str);
        for (i, function) in functions.iter().enumerate() {
            match i {
                0 => text.push_str(&format!("; {name}\n{function}\n")),
                _ => text.push_str(&format!("; {name}, body{i}\n{function}\n")),
            }
        }
    }
    Ok(text)
}

/// Emits one program.
fn assemble(
    point: (usize, usize),
    kind: ProgramKind,
    placed: &fit::Placed,
    maps: &maps::Maps,
    span: Span,
) -> Result<Program, Box<Diagnostic>> {
    let mut program = Program {
        name: program_name(&kind, point),
        point,
        kind,
        insns: Vec::new(),
        relocations: Vec::new(),
        spans: Vec::new(),
        functions: Vec::new(),
    };
    for part in &placed.parts {
        let code = emit::emit(&part.function, &part.allocated, &part.frame, &|map| {
            maps.index(map)
        })
        .map_err(|asm::TooFar| too_large("a jump spans more than 32767 instructions", span))?;
        let start = program.insns.len();
        program.functions.push(start);
        program.insns.extend(code.insns);
        program.spans.extend(code.spans);
        let relocations = code.relocations.into_iter();
        (program.relocations).extend(relocations.map(|relocation| Relocation {
            insn: start + relocation.insn,
            ..relocation
        }));
    }
    if program.insns.len() > limits::INSTRUCTIONS {
        let (count, most) = (program.insns.len(), limits::INSTRUCTIONS);
        let what = format!("{count} instructions of at most {most}");
        return Err(too_large(&what, span));
    }
    Ok(program)
}

fn too_large(what: &str, span: Span) -> Box<Diagnostic> {
    let message = format!("this probe is too large: {what}");
    let help = "split it into several probes on the same function";
    Box::new(Diagnostic::error("E0509", span, message).with_help(help))
}

fn program_name(kind: &ProgramKind, point: (usize, usize)) -> String {
    let name = match kind {
        ProgramKind::Run => format!("run_{}_{}", point.0, point.1),
        ProgramKind::Kprobe { function, .. } => format!("k_{function}"),
        ProgramKind::Kretprobe { function } => format!("kr_{function}"),
        ProgramKind::KprobeMulti { on_return, .. } => {
            let kind = if *on_return { "krm" } else { "km" };
            format!("{kind}_{}_{}", point.0, point.1)
        }
        ProgramKind::Joined => String::new(),
        ProgramKind::Fentry { function, .. } => format!("f_{function}"),
        ProgramKind::Fexit { function, .. } => format!("fr_{function}"),
        ProgramKind::Tracepoint { name, .. } => format!("t_{name}"),
        ProgramKind::RawTracepoint { name } => format!("rt_{name}"),
        ProgramKind::Sampled(_) => format!("p_{}_{}", point.0, point.1),
        ProgramKind::Uprobe { offset, .. } => format!("u_{offset:x}"),
        ProgramKind::Uretprobe { offset, .. } => format!("ur_{offset:x}"),
    };
    maps::kernel_name(&name, "probe")
}

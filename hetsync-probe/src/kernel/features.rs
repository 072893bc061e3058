//! What the running kernel can do, found by trying each thing once, never by its version.

use std::os::fd::{AsFd, AsRawFd};

use crate::codegen::insn::{Insn, helper, op, reg};
use crate::image::{self, Image, MapKind, MapSpec};
use crate::kernel::{FunctionId, Kernel, running};
use crate::load::LoadError;
use crate::load::sys::{self, Map, Program, ProgramType};
use crate::object;

/// A function every kernel with bpf(2) and networking has, made to be attached to (net/bpf/test_run.c).
const HARMLESS: &str = "bpf_fentry_test1";

/// Whether something can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Support {
    /// It worked.
    Yes,
    /// It did not: the kernel's reason, or what is missing.
    No(String),
}

impl Support {
    /// Whether it worked.
    pub fn yes(&self) -> bool {
        *self == Support::Yes
    }

    fn of<T, E: std::fmt::Display>(result: Result<T, E>) -> Support {
        match result {
            Ok(_) => Support::Yes,
            Err(error) => Support::No(error.to_string()),
        }
    }

    fn present(present: bool, missing: &str) -> Support {
        if present {
            Support::Yes
        } else {
            Support::No(missing.to_owned())
        }
    }
}

/// What the running kernel lets this process do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Features {
    /// bpf(2) at all: root, or CAP_BPF.
    pub bpf: Support,
    /// kprobes and kretprobes by perf events.
    pub kprobe: Support,
    /// Kretprobes with room for many calls at once (tracefs `kprobe_events`).
    pub kretprobe_maxactive: Support,
    /// Kprobes on many functions at once.
    pub kprobe_multi: Support,
    /// fentry and fexit.
    pub fentry: Support,
    /// Tracepoints.
    pub tracepoint: Support,
    /// Raw tracepoints.
    pub raw_tracepoint: Support,
    /// Uprobes.
    pub uprobe: Support,
    /// The ring buffer.
    pub ring_buffer: Support,
    /// Reading hashes in batches.
    pub batch: Support,
    /// Reading per-CPU arrays in batches.
    pub batch_percpu_array: Support,
    /// Atomic fetch-and-add.
    pub atomic_fetch: Support,
}

impl Features {
    /// Tries everything once. `kernel` tells where fentry could go.
    pub fn probe(kernel: &dyn Kernel) -> Features {
        let map = |kind| Map::create(&spec(kind));
        Features {
            bpf: Support::of(map(MapKind::Array)),
            kprobe: kprobe(),
            kretprobe_maxactive: Support::present(
                sys::tracefs::has_kprobe_events(),
                "tracefs is not mounted, or has no kprobe_events",
            ),
            kprobe_multi: kprobe_multi(),
            fentry: fentry(kernel),
            tracepoint: Support::present(
                sys::has_source("tracepoint"),
                "no event source `tracepoint`",
            ),
            raw_tracepoint: raw_tracepoint(),
            uprobe: Support::present(sys::has_source("uprobe"), "no event source `uprobe`"),
            ring_buffer: Support::of(map(MapKind::Ringbuf)),
            batch: batch(MapKind::PercpuHash),
            batch_percpu_array: batch(MapKind::PercpuArray),
            atomic_fetch: Support::present(atomic_fetch(), "refused by the verifier"),
        }
    }

    /// Each feature with its name, for listing.
    pub fn rows(&self) -> [(&'static str, &Support); 12] {
        [
            ("bpf(2)", &self.bpf),
            ("kprobes", &self.kprobe),
            ("kretprobes with maxactive", &self.kretprobe_maxactive),
            ("kprobes on many functions at once", &self.kprobe_multi),
            ("fentry and fexit", &self.fentry),
            ("tracepoints", &self.tracepoint),
            ("raw tracepoints", &self.raw_tracepoint),
            ("uprobes", &self.uprobe),
            ("ring buffer", &self.ring_buffer),
            ("batch reads", &self.batch),
            ("batch reads of per-CPU arrays", &self.batch_percpu_array),
            ("atomic fetch-and-add", &self.atomic_fetch),
        ]
    }
}

/// The ways to attach other than kprobes that this kernel has, as a clause: `it does have: tracepoints, uprobes`.
pub fn attachable() -> String {
    let ways = [
        ("tracepoints", sys::has_source("tracepoint")),
        ("raw tracepoints", raw_tracepoint().yes()),
        ("uprobes", sys::has_source("uprobe")),
    ];
    let ways: Vec<&str> = ways
        .into_iter()
        .filter(|(_, has)| *has)
        .map(|(name, _)| name)
        .collect();
    if ways.is_empty() {
        "nor does it have any other kind of probe".to_owned()
    } else {
        format!("it does have: {}", ways.join(", "))
    }
}

/// Whether a program can look at what other CPUs keep in a map (5.19 on).
pub fn percpu_lookup() -> bool {
    let Ok(map) = Map::create(&spec(MapKind::PercpuArray)) else {
        return false;
    };
    let [zero, exit] = nothing();
    let mov = |dst, src| Insn {
        code: op::ALU64 | op::MOV | op::X,
        dst,
        src,
        ..Insn::default()
    };
    let imm = |code, dst, imm| Insn {
        code,
        dst,
        imm,
        ..Insn::default()
    };
    let program = [
        Insn {
            code: op::ST | op::MEM | op::DW,
            dst: reg::FP,
            off: -8,
            ..Insn::default()
        },
        Insn {
            src: op::PSEUDO_MAP_FD,
            ..imm(op::LD | op::DW | op::IMM, reg::R1, map.as_raw_fd())
        },
        Insn::default(),
        mov(reg::R2, reg::FP),
        imm(op::ALU64 | op::ADD | op::K, reg::R2, -8),
        imm(op::ALU64 | op::MOV | op::K, reg::R3, 0),
        imm(op::JMP | op::CALL, reg::R0, helper::MAP_LOOKUP_PERCPU_ELEM),
        zero,
        exit,
    ];
    Program::load("try", ProgramType::Kprobe, &program, &[]).is_ok()
}

/// Whether a program can ask for International Atomic Time (6.1 on).
pub fn tai_clock() -> bool {
    let [zero, exit] = nothing();
    let program = [call(helper::KTIME_GET_TAI_NS), zero, exit];
    Program::load("try", ProgramType::Kprobe, &program, &[]).is_ok()
}

/// Whether an fentry program can ask for the number of the socket that is the first argument of its function (5.12 on).
pub fn socket_cookie(btf_id: FunctionId) -> bool {
    let [zero, exit] = nothing();
    let socket = Insn {
        code: op::LDX | op::MEM | op::DW,
        dst: reg::R1,
        src: reg::R1,
        ..Insn::default()
    };
    let program = [socket, call(helper::GET_SOCKET_COOKIE), zero, exit];
    Program::load("try", ProgramType::Fentry(btf_id), &program, &[]).is_ok()
}

fn call(helper: i32) -> Insn {
    Insn {
        code: op::JMP | op::CALL,
        imm: helper,
        ..Insn::default()
    }
}

/// Whether the kernel can call a function of a program for each entry of a map (5.13 on).
pub fn for_each() -> bool {
    let Ok(map) = Map::create(&spec(MapKind::Hash)) else {
        return false;
    };
    let imm = |code, dst, imm| Insn {
        code,
        dst,
        imm,
        ..Insn::default()
    };
    let wide = |dst, src, value| Insn {
        src,
        ..imm(op::LD | op::DW | op::IMM, dst, value)
    };
    let [zero, exit] = nothing();
    let insns = vec![
        wide(reg::R1, op::PSEUDO_MAP_FD, map.as_raw_fd()),
        Insn::default(),
        // From behind this one's first half to the function at 9.
        wide(reg::R2, op::PSEUDO_FUNC, 6),
        Insn::default(),
        imm(op::ALU64 | op::MOV | op::K, reg::R3, 0),
        imm(op::ALU64 | op::MOV | op::K, reg::R4, 0),
        imm(op::JMP | op::CALL, reg::R0, helper::FOR_EACH_MAP_ELEM),
        zero,
        exit,
        zero,
        exit,
    ];
    let image = Image {
        programs: vec![image::Program {
            name: "try".into(),
            point: (0, 0),
            kind: image::ProgramKind::Run,
            insns,
            relocations: Vec::new(),
            spans: Vec::new(),
            functions: vec![0, 9],
        }],
        ..Image::default()
    };
    // The kernel wants to be told of a program's functions.
    let Some(debug) = object::debug(&image) else {
        return false;
    };
    let Ok(btf) = sys::load_btf(&debug.btf) else {
        return false;
    };
    let (Some(lines), Some(program)) = (debug.programs.first(), image.programs.first()) else {
        return false;
    };
    let described = sys::Described {
        btf: btf.as_fd(),
        lines,
    };
    let kind = ProgramType::RawTracepoint;
    Program::load_described("try", kind, &program.insns, &[], Some(described)).is_ok()
}

/// Whether the kernel has atomic fetch-and-add (5.12 on).
pub fn atomic_fetch() -> bool {
    let [zero, exit] = nothing();
    let store = Insn {
        code: op::ST | op::MEM | op::DW,
        dst: reg::FP,
        off: -8,
        ..Insn::default()
    };
    let add = Insn {
        code: op::STX | op::ATOMIC | op::DW,
        dst: reg::FP,
        src: reg::R0,
        off: -8,
        imm: op::ATOMIC_ADD | op::FETCH,
    };
    Program::load(
        "try",
        ProgramType::Kprobe,
        &[zero, store, add, zero, exit],
        &[],
    )
    .is_ok()
}

/// Whether functions of the kernel can be probed in some way. Who may not try is told what the kernel's files show.
pub fn functions_can_be_probed(kernel: &dyn Kernel) -> bool {
    sys::has_kprobe_source()
        || if may_load() {
            fentry(kernel).yes()
        } else {
            running::has_ftrace()
        }
}

/// Whether this process may load a program at all.
pub fn may_load() -> bool {
    Program::load("try", ProgramType::RawTracepoint, &nothing(), &[]).is_ok()
}

/// Whether the kernel takes an fentry program for this function, without attaching it.
///
/// # Errors
/// Its refusal.
pub fn try_fentry(btf_id: FunctionId, on_return: bool) -> Result<Program, LoadError> {
    let kind = if on_return {
        ProgramType::Fexit(btf_id)
    } else {
        ProgramType::Fentry(btf_id)
    };
    Program::load("try", kind, &nothing(), &[])
}

fn kprobe() -> Support {
    if !sys::has_kprobe_source() {
        return Support::No("no event source `kprobe`".to_owned());
    }
    Support::of(sys::try_kprobe(HARMLESS))
}

/// Whether one program can be attached to many functions at once. Kernels that do not know this kind of program load it
/// as a plain kprobe, so only attaching tells.
pub fn kprobe_multi() -> Support {
    match Program::load("try", ProgramType::KprobeMulti, &nothing(), &[]) {
        Ok(program) => Support::of(sys::attach_kprobe_multi(&program, &[(HARMLESS, 0)], false)),
        Err(error) => Support::No(error.to_string()),
    }
}

fn fentry(kernel: &dyn Kernel) -> Support {
    let Some(prototype) = kernel.prototype(HARMLESS) else {
        return Support::No("no BTF of the kernel".to_owned());
    };
    match try_fentry(prototype.btf_id, false) {
        Ok(program) => Support::of(sys::attach_tracing(&program)),
        // Rights are not the reason where everything else may be loaded.
        Err(LoadError::NotPermitted { .. }) => {
            Support::No("refused by this kernel (EPERM)".to_owned())
        }
        Err(error) => Support::No(error.to_string()),
    }
}

fn raw_tracepoint() -> Support {
    match Program::load("try", ProgramType::RawTracepoint, &nothing(), &[]) {
        Ok(program) => Support::of(sys::attach_raw_tracepoint(&program, c"sched_process_exit")),
        Err(error) => Support::No(error.to_string()),
    }
}

fn batch(kind: MapKind) -> Support {
    match Map::create(&spec(kind)) {
        Ok(map) => Support::of(map.entries_in_batches()),
        Err(error) => Support::No(error.to_string()),
    }
}

fn spec(kind: MapKind) -> MapSpec {
    let ring = kind == MapKind::Ringbuf;
    MapSpec {
        name: "try".to_owned(),
        kind,
        key_size: if ring { 0 } else { 4 },
        value_size: if ring { 0 } else { 8 },
        max_entries: if ring { 4096 } else { 1 },
        map: None,
    }
}

/// `return 0`.
fn nothing() -> [Insn; 2] {
    [
        Insn {
            code: op::ALU64 | op::MOV | op::K,
            dst: reg::R0,
            ..Insn::default()
        },
        Insn {
            code: op::JMP | op::EXIT,
            ..Insn::default()
        },
    ]
}

//! The compiled script: programs and the maps they need. What `codegen` makes and `object`, `load`
//! and the eBPF interpreter take. It holds no file descriptors and knows no kernel.

use crate::codegen::insn::{Insn, op};
use crate::sema::hir;
use crate::source::Source;
use crate::span::Span;

/// Everything that is loaded for one script.
#[derive(Debug, Clone, Default)]
pub struct Image {
    /// One program an attach point, in script order.
    pub programs: Vec<Program>,
    /// The script's maps in [`hir::MapId`] order, then the compiler's own.
    pub maps: Vec<MapSpec>,
    /// Index in `maps` of the ring buffer of events, if any program writes one.
    pub events: Option<usize>,
    /// Index in `maps` of the loss counters ([`crate::layout::Loss`]), if any program can lose something.
    pub losses: Option<usize>,
    /// How many loss counters the script has, whether or not any program can lose something.
    pub loss_counters: usize,
    /// Index in `maps` of the word that stops all probes once it is not 0, if they look at one.
    pub gate: Option<usize>,
    /// Indices in `maps` of the script's maps that have a front ([`crate::layout::front`]), each with that of its front.
    pub fronts: Vec<(usize, usize)>,
    /// The script's maps that have their values in another map.
    pub parts: Vec<Part>,
    /// Most rounds of each loop, by [`hir::LoopId`]; of one that several programs have, the fewest.
    pub loops: Vec<u32>,
    /// The script it was compiled from, if its lines are to be told to the kernel beside the instructions.
    pub source: Option<Source>,
}

impl Image {
    /// Where map number `map` has its values, if not in itself.
    pub fn part_of(&self, map: usize) -> Option<&Part> {
        self.parts.iter().find(|part| part.map == map)
    }

    /// Index in `maps` of the front of map number `map`, if it has one.
    pub fn front_of(&self, map: usize) -> Option<usize> {
        let found = self.fronts.iter().find(|(of, _)| *of == map);
        found.map(|&(_, front)| front)
    }
}

/// Where a map of the script has its values, if not in the map of its own number, which is empty then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Index of the map.
    pub map: usize,
    /// Index of the map that has the values.
    pub of: usize,
    /// Where they begin in one CPU's value there.
    pub offset: usize,
    /// Bytes of one CPU's value, a multiple of 8.
    pub bytes: usize,
}

impl Part {
    /// The map's part of a value of one CPU, or of several that are `stride` bytes apart.
    pub fn cut(&self, value: &[u8], stride: usize) -> Vec<u8> {
        let one = |cpu: &[u8]| {
            cpu.get(self.offset..self.offset + self.bytes)
                .map(<[u8]>::to_vec)
        };
        value
            .chunks(stride.max(1))
            .filter_map(one)
            .flatten()
            .collect()
    }
}

/// One eBPF program for one attach point.
#[derive(Debug, Clone)]
pub struct Program {
    /// A name the kernel accepts: 1 to 15 bytes of `[A-Za-z0-9_]`.
    pub name: String,
    /// Index of its probe in [`hir::Program::probes`] and of its point in [`hir::Probe::points`].
    pub point: (usize, usize),
    /// What it is attached to and how its context is read.
    pub kind: ProgramKind,
    /// The instructions; immediates named in `relocations` are still 0.
    pub insns: Vec<Insn>,
    /// Immediate loads to be completed before loading.
    pub relocations: Vec<Relocation>,
    /// Place in the script of each instruction; as long as `insns`.
    pub spans: Vec<Span>,
    /// Where each of its functions begins, rising: the program itself at 0, then those that the kernel calls for it.
    pub functions: Vec<usize>,
}

/// How a program is attached and what its context register points to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ProgramKind {
    /// `begin`, `end`, `interval`: run by user space through `BPF_PROG_TEST_RUN` of a raw-tracepoint program; no context.
    Run,
    /// kprobe on a function: `struct pt_regs`.
    Kprobe {
        /// The function's symbol.
        function: String,
        /// Bytes past its start.
        offset: u64,
    },
    /// kretprobe on a function: `struct pt_regs`.
    Kretprobe {
        /// The function's symbol.
        function: String,
    },
    /// kprobe on the start of many functions at once, or kretprobe on them: `struct pt_regs`.
    KprobeMulti {
        /// The functions, at least one, each with its cookie.
        places: Vec<Place>,
        /// Whether it runs when they return.
        on_return: bool,
    },
    /// Part of another program: a [`ProgramKind::KprobeMulti`] of the same probe.
    Joined,
    /// fentry: the arguments, 8 bytes each.
    Fentry {
        /// The function's symbol.
        function: String,
        /// How many arguments it has.
        args: u8,
    },
    /// fexit: the arguments, 8 bytes each, then the return value.
    Fexit {
        /// The function's symbol.
        function: String,
        /// How many arguments it has.
        args: u8,
    },
    /// Tracepoint: its record, as its `format` file describes it.
    Tracepoint {
        /// Its category.
        category: String,
        /// Its name.
        name: String,
    },
    /// Raw tracepoint: the arguments, 8 bytes each.
    RawTracepoint {
        /// Its name.
        name: String,
    },
    /// Samples on every CPU: `struct bpf_perf_event_data`, which begins with `struct pt_regs`.
    Sampled(hir::Sampling),
    /// uprobe: `struct pt_regs`.
    Uprobe {
        /// The file.
        path: String,
        /// Where in the file.
        offset: u64,
        /// Where in the file a counter is that the kernel raises while the probe is there; 0 for none.
        semaphore: u64,
    },
    /// uretprobe: `struct pt_regs`.
    Uretprobe {
        /// The file.
        path: String,
        /// Where in the file.
        offset: u64,
    },
}

/// One of the functions of a [`ProgramKind::KprobeMulti`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    /// The function's symbol.
    pub function: String,
    /// Index of its point in [`hir::Probe::points`].
    pub point: usize,
    /// What `func` and `probe` are there.
    pub cookie: Cookie,
}

/// The word that tells a program of many places where it is: the names it has for `func` and `probe` there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cookie(pub u64);

impl Cookie {
    /// Bits that the name of the probe is above those of the function.
    pub const PROBE_SHIFT: u32 = 32;

    /// The cookie of an attach point.
    pub fn of(point: &hir::AttachPoint) -> Cookie {
        let probe = u64::from(point.probe_name.0) << Cookie::PROBE_SHIFT;
        Cookie(probe | u64::from(point.func_name.0))
    }
}

/// An immediate load (two slots, at `insn` and `insn + 1`) that needs a number known only when loading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relocation {
    /// Index of the first slot.
    pub insn: usize,
    /// What goes there.
    pub what: RelocationKind,
}

/// What a relocation puts into an immediate load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelocationKind {
    /// The file descriptor of `maps[.0]`; `src` becomes `PSEUDO_MAP_FD`.
    Map(usize),
    /// The address of the one value of `maps[.0]` (an array), plus the offset `.1` in bytes; `src` becomes `PSEUDO_MAP_VALUE`.
    MapValue(usize, u32),
    /// Where function number `.0` of the program begins, counted from behind the load; `src` becomes `PSEUDO_FUNC`.
    Function(usize),
    /// `bpf_ktime_get_boot_ns()` at the moment of loading, for `elapsed`.
    StartNs,
}

/// A map to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapSpec {
    /// A name the kernel accepts: at most 15 bytes of `[A-Za-z0-9_]`.
    pub name: String,
    /// Which kind.
    pub kind: MapKind,
    /// Bytes of a key (0 for a ring buffer).
    pub key_size: u32,
    /// Bytes of a value on one CPU (0 for a ring buffer).
    pub value_size: u32,
    /// Keys, or bytes of a ring buffer (a power of two, whole pages).
    pub max_entries: u32,
    /// The script's map behind it, if it is one.
    pub map: Option<hir::MapId>,
}

/// Kinds of kernel maps used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum MapKind {
    Hash,
    Array,
    PercpuHash,
    PercpuArray,
    Ringbuf,
    StackTrace,
    LruHash,
    LruPercpuHash,
}

impl MapKind {
    /// Whether each CPU has a value of its own.
    pub fn is_percpu(self) -> bool {
        matches!(
            self,
            MapKind::PercpuHash | MapKind::PercpuArray | MapKind::LruPercpuHash
        )
    }

    /// The kernel's number of it, of `enum bpf_map_type`.
    pub fn number(self) -> u32 {
        match self {
            MapKind::Hash => 1,
            MapKind::Array => 2,
            MapKind::PercpuHash => 5,
            MapKind::PercpuArray => 6,
            MapKind::StackTrace => 7,
            MapKind::LruHash => 9,
            MapKind::LruPercpuHash => 10,
            MapKind::Ringbuf => 27,
        }
    }

    /// Whether a full map drops a key for a new one.
    pub fn is_lru(self) -> bool {
        matches!(self, MapKind::LruHash | MapKind::LruPercpuHash)
    }
}

/// The instructions of a program with its relocations put in: `fds[i]` is the descriptor of `maps[i]`, `start_ns` the
/// boot-clock time of loading.
///
/// # Errors
/// A relocation names an instruction that is not a 64-bit immediate load, or a map without a descriptor.
pub fn resolve(program: &Program, fds: &[i32], start_ns: u64) -> Result<Vec<Insn>, ResolveError> {
    const LOAD_IMMEDIATE: u8 = op::LD | op::DW | op::IMM;
    let mut insns = program.insns.clone();
    for &Relocation { insn, what } in &program.relocations {
        let fd = |map: usize| fds.get(map).copied().ok_or(ResolveError::Map { insn, map });
        let (src, low, high) = match what {
            RelocationKind::Map(map) => (op::PSEUDO_MAP_FD, fd(map)?, 0),
            RelocationKind::MapValue(map, offset) => {
                (op::PSEUDO_MAP_VALUE, fd(map)?, offset as i32)
            }
            RelocationKind::Function(number) => {
                let start = program.functions.get(number);
                let start = *start.ok_or(ResolveError::Function { insn, number })?;
                (op::PSEUDO_FUNC, (start as i64 - insn as i64 - 1) as i32, 0)
            }
            RelocationKind::StartNs => (0, start_ns as i32, (start_ns >> 32) as i32),
        };
        match insns.get_mut(insn..insn.saturating_add(2)) {
            Some([first, second]) if first.code == LOAD_IMMEDIATE => {
                (first.src, first.imm, second.imm) = (src, low, high);
            }
            _ => return Err(ResolveError::Insn { insn }),
        }
    }
    Ok(insns)
}

/// Why an image's relocations cannot be put in: a defect of the compiler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// Not the place of an immediate load.
    #[error("relocation of instruction {insn}, which is not a 64-bit immediate load")]
    Insn {
        /// Index of the instruction.
        insn: usize,
    },
    /// No such function.
    #[error("relocation of instruction {insn} names function {number}, which does not exist")]
    Function {
        /// Index of the instruction.
        insn: usize,
        /// Number of the function.
        number: usize,
    },
    /// No such map.
    #[error("relocation of instruction {insn} names map {map}, which does not exist")]
    Map {
        /// Index of the instruction.
        insn: usize,
        /// Index of the map.
        map: usize,
    },
}

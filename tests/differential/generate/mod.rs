//! Random well-typed checked scripts over the whole language of the slice, with starting
//! contents for their maps and firings to run them by.
//!
//! Probes are ones that user space runs (`begin`, `end`, `interval`), so that the kernel can be asked what they do; or,
//! where a [`Flavour`] asks for it, kprobes and kretprobes, whose built-ins the kernel's test runs do not have.
//! Names are few and maps small, so that keys meet and maps run full.

mod expressions;
mod maps;
mod memory;
mod numbers;
mod statements;
mod types;

pub(crate) use memory::memory;

use crate::choices::Choices;
use hetsync_probe::sema::hir::*;
use hetsync_probe::span::Span;

/// A program and what it is run on.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) program: Program,
    /// What is in the maps before: map, key, the value on every CPU.
    pub(crate) start: Vec<(MapId, Vec<u8>, Vec<u8>)>,
    /// Which points fire, in order.
    pub(crate) firings: Vec<(usize, usize)>,
    /// Bytes of the ring buffer of events.
    pub(crate) ring_bytes: u32,
    pub(crate) compiling: Compiling,
}

/// What a program may use that not every opinion can be asked about.
#[derive(Clone, Copy, Default)]
pub(crate) struct Flavour {
    /// `nsecs` and `elapsed`.
    pub(crate) clock: bool,
    /// Probes of functions, with their arguments and return values.
    pub(crate) functions: bool,
    /// Reads of the memory in [`memory`]; without it every read is of an address that has none.
    pub(crate) memory: bool,
    /// Loops over maps.
    pub(crate) each: Each,
}

/// Which loops over maps there are.
#[derive(Clone, Copy, Default, PartialEq, Debug)]
pub(crate) enum Each {
    #[default]
    Never,
    /// Such as come to the same in whatever order the entries are visited: over maps of one entry that their bodies leave
    /// alone.
    InAnyOrder,
    Any,
}

/// How a program is compiled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Compiling {
    /// Registers the allocator may use; few make it spill.
    pub(crate) registers: usize,
    pub(crate) atomic_fetch: bool,
    pub(crate) functions: By,
}

/// How functions are probed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum By {
    Kprobe,
    /// fentry and fexit.
    Trampoline,
    /// All functions of a probe by one program.
    KprobeMulti,
}

/// Makes a case of bytes; any bytes will do.
pub(crate) fn case(bytes: &[u8], flavour: Flavour) -> Case {
    let mut generator = Generator {
        choices: Choices::new(bytes),
        program: Program::default(),
        locals: Vec::new(),
        keys: Vec::new(),
        flavour,
        functions: Functions::None,
        loops: 0,
        over: Vec::new(),
    };
    generator.names();
    generator.maps();
    let probes = 1 + generator.choices.below(3);
    for _ in 0..probes {
        generator.probe();
    }
    let firings = (0..1 + generator.choices.below(6))
        .map(|_| {
            let probe = generator.choices.below(generator.program.probes.len());
            let points = generator.program.probes[probe].points.len();
            (probe, generator.choices.below(points))
        })
        .collect();
    let start = generator.start();
    let ring_bytes = if generator.choices.chance(15) {
        4096
    } else {
        1 << 16
    };
    let choices = &mut generator.choices;
    let compiling = Compiling {
        registers: choices.pick(&[10, 6, 5, 7, 8]),
        atomic_fetch: choices.chance(50),
        functions: choices.pick(&[By::Trampoline, By::Kprobe, By::KprobeMulti]),
    };
    Case {
        compiling,
        program: generator.program,
        start,
        firings,
        ring_bytes,
    }
}

/// What the probe being made is attached to.
#[derive(Clone, Copy, PartialEq)]
enum Functions {
    None,
    Entry,
    Return,
}

struct Generator<'a> {
    choices: Choices<'a>,
    program: Program,
    locals: Vec<Local>,
    /// Keys used before in this probe, to use again.
    keys: Vec<(MapId, Vec<Expr>)>,
    flavour: Flavour,
    functions: Functions,
    /// How many loops are around the statement being made.
    loops: usize,
    /// Maps whose entries the loops around it go over.
    over: Vec<MapId>,
}

fn stmt(kind: StmtKind) -> Stmt {
    Stmt {
        kind,
        span: Span::default(),
    }
}

fn expr(kind: ExprKind, ty: Type) -> Expr {
    Expr {
        kind,
        ty,
        span: Span::default(),
    }
}

impl Generator<'_> {
    fn names(&mut self) {
        self.program.names = [
            "begin",
            "end",
            "interval:1",
            "a longer name than 16 bytes",
            "abcdefgh",
        ]
        .map(String::from)
        .to_vec();
    }
}

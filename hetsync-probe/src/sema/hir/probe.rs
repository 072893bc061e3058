//! The probes of a checked script: a body, its variables, and the places it is attached to.
//!
//! What stands here is what the script asks for; how a point is attached on a given kernel is [`crate::plan`]'s to say.

use super::{Expr, NameId, Stmt, Type};
use crate::span::Span;

/// One body and the places it is attached to.
#[derive(Debug, Clone, PartialEq)]
pub struct Probe {
    /// Where it fires; at least one.
    pub points: Vec<AttachPoint>,
    /// `/e/`: the body runs where this is not 0.
    pub predicate: Option<Expr>,
    /// The statements.
    pub body: Vec<Stmt>,
    /// Types of the `$` variables, by [`LocalId`](super::LocalId).
    pub locals: Vec<Local>,
    /// The whole probe in the source.
    pub span: Span,
}

/// A `$` variable.
#[derive(Debug, Clone, PartialEq)]
pub struct Local {
    /// Its name without the `$`.
    pub name: String,
    /// Its one type.
    pub ty: Type,
}

/// One place a body is attached to.
#[derive(Debug, Clone, PartialEq)]
pub struct AttachPoint {
    /// What fires it.
    pub kind: PointKind,
    /// The value of the built-in `probe`: e.g. `kprobe:tcp_sendmsg`.
    pub probe_name: NameId,
    /// The value of the built-in `func`: e.g. `tcp_sendmsg`; equal to `probe_name` where there is no function.
    pub func_name: NameId,
    /// The attach point in the source.
    pub span: Span,
}

/// What fires a probe.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PointKind {
    /// Once, before anything else is attached.
    Begin,
    /// Once, after everything else is detached.
    End,
    /// On entry to a kernel function, or `offset` bytes into it.
    Kprobe {
        /// The function's symbol.
        function: String,
        /// Bytes past its start.
        offset: u64,
    },
    /// On return from a kernel function.
    Kretprobe {
        /// The function's symbol.
        function: String,
    },
    /// Every `period_ns`, on one CPU.
    Interval {
        /// The period in nanoseconds, at least 1.
        period_ns: u64,
    },
    /// On entry to a kernel function, by fentry.
    Fentry {
        /// The function's symbol.
        function: String,
        /// How many arguments it has; 0 where the kernel's types are not known.
        args: u8,
    },
    /// On return from a kernel function, by fexit.
    Fexit {
        /// The function's symbol.
        function: String,
        /// How many arguments it has; 0 where the kernel's types are not known.
        args: u8,
    },
    /// A tracepoint, with its record.
    Tracepoint {
        /// Its category, e.g. `tcp`.
        category: String,
        /// Its name in the category.
        name: String,
    },
    /// A tracepoint, with the arguments the kernel calls it with.
    RawTracepoint {
        /// Its name.
        name: String,
    },
    /// Samples on every CPU: `profile`, `software`, `hardware`.
    Sampled(Sampling),
    /// On entry to a function of a program or library, or at any of its instructions.
    Uprobe {
        /// The file.
        path: String,
        /// Where in the file the instruction is.
        offset: u64,
    },
    /// At a marker in a program or library.
    Usdt {
        /// The file.
        path: String,
        /// Where in the file its instruction is.
        offset: u64,
        /// Where in the file the counter of its tracers is; 0 where it has none.
        semaphore: u64,
        /// Where its arguments are ([`crate::kernel::usdt::arguments`]).
        args: String,
    },
    /// On return from a function of a program or library.
    Uretprobe {
        /// The file.
        path: String,
        /// Where in the file the function begins.
        offset: u64,
    },
}

impl PointKind {
    /// Whether the script itself asks for fentry or fexit.
    pub fn is_trampoline(&self) -> bool {
        matches!(self, PointKind::Fentry { .. } | PointKind::Fexit { .. })
    }
}

/// What makes a CPU take a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sampling {
    /// So many times a second of its time.
    Hz(u64),
    /// After so many nanoseconds of its time.
    PeriodNs(u64),
    /// After so many events.
    Events {
        /// Counted by the processor, not by the kernel.
        hardware: bool,
        /// Which (`PERF_COUNT_*` of include/uapi/linux/perf_event.h).
        event: u64,
        /// How many.
        count: u64,
    },
}

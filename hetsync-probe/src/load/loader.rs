//! What a loader does, whichever it is: [`super::sys::SysLoader`] by bpf(2), `RedbpfLoader` by redbpf.

use super::error::LoadError;
use super::sys::{Described, ProgramInfo};
use crate::codegen::insn::Insn;
use crate::image::ProgramKind;
use crate::kernel::FunctionId;
use crate::span::Span;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;

/// A program ready for the kernel: relocations are put in, so its maps' descriptors must stay open until it is loaded.
#[derive(Debug, Clone)]
pub struct Prepared<'a> {
    /// Its name, at most 15 bytes of `[A-Za-z0-9_]`.
    pub name: &'a str,
    /// How it is attached.
    pub kind: &'a ProgramKind,
    /// Its instructions.
    pub insns: &'a [Insn],
    /// The place in the script of each.
    pub spans: &'a [Span],
    /// Its function and lines, where the kernel is told of them.
    pub debug: Option<Described<'a>>,
    /// The function in BTF, for fentry and fexit.
    pub btf_id: Option<FunctionId>,
    /// The attach point as the script says it, e.g. `kprobe:tcp_sendmsg`.
    pub probe: &'a str,
    /// The attach point's place in the script.
    pub span: Option<Span>,
}

/// A way to get programs into the kernel.
pub trait Loader {
    /// Its name: `sys` or `redbpf`.
    fn name(&self) -> &'static str;

    /// Loads a program. It is not attached yet.
    ///
    /// # Errors
    /// A refusal with the verifier's words; a kind this loader cannot load.
    fn load(&self, program: &Prepared<'_>) -> Result<Box<dyn Loaded>, LoadError>;
}

/// A program in the kernel. Dropping it detaches it and lets the kernel forget it.
pub trait Loaded: fmt::Debug {
    /// Attaches it; it runs from now on. Programs of kind [`ProgramKind::Run`] have nothing to attach to and stay as
    /// they are.
    ///
    /// # Errors
    /// The kernel's reason.
    fn attach(&mut self) -> Result<(), LoadError>;

    /// Detaches it; what it counted can still be asked for.
    fn detach(&mut self);

    /// As [`Loaded::detach`], but gives away what has to be closed for it where closing takes long. Whoever closes it last
    /// waits; until then the program may still be run.
    fn let_go(&mut self) -> Vec<OwnedFd> {
        self.detach();
        Vec::new()
    }

    /// Runs a program of kind [`ProgramKind::Run`] once and returns its `r0`.
    ///
    /// # Errors
    /// It is of another kind, or the kernel's reason.
    fn run(&self) -> Result<u32, LoadError>;

    /// How it is (or was last) attached.
    fn mechanism(&self) -> Mechanism;

    /// Takes what was said of places that were left out when it was attached, though others were not.
    fn take_left_out(&mut self) -> Vec<LoadError> {
        Vec::new()
    }

    /// Hits it did not see; `None` where this kernel does not say.
    fn missed(&self) -> Option<u64>;

    /// What the kernel knows of it.
    ///
    /// # Errors
    /// The kernel's reason.
    fn info(&self) -> io::Result<ProgramInfo>;
}

/// How a program is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mechanism {
    /// Not at all: user space runs it.
    UserRun,
    /// Not yet.
    NotAttached,
    /// fentry, by a trampoline: no hits are lost.
    Fentry,
    /// fexit, by a trampoline: no returns are lost.
    Fexit,
    /// A kprobe of a perf event.
    Kprobe {
        /// Whether redbpf made it.
        redbpf: bool,
    },
    /// Many functions at once.
    KprobeMulti {
        /// How many.
        functions: usize,
        /// Whether when they return.
        on_return: bool,
    },
    /// A kretprobe of a perf event: room for about two calls a CPU at once.
    Kretprobe {
        /// Whether redbpf made it.
        redbpf: bool,
    },
    /// A kretprobe of tracefs.
    TracefsKretprobe {
        /// Calls under way it has room for.
        maxactive: u32,
    },
    /// A perf event of a tracepoint.
    Tracepoint,
    /// A raw tracepoint.
    RawTracepoint,
    /// Perf events that take samples, one a CPU.
    Sampled {
        /// CPUs sampled.
        cpus: u32,
    },
    /// A uprobe of a perf event.
    Uprobe,
    /// A uretprobe of a perf event.
    Uretprobe,
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = |redbpf: &bool| if *redbpf { " via redbpf" } else { "" };
        match self {
            Mechanism::UserRun => f.write_str("run by user space"),
            Mechanism::NotAttached => f.write_str("not attached"),
            Mechanism::Fentry => f.write_str("fentry"),
            Mechanism::Fexit => f.write_str("fexit"),
            Mechanism::Kprobe { redbpf } => write!(f, "perf kprobe{}", by(redbpf)),
            Mechanism::KprobeMulti {
                functions,
                on_return,
            } => {
                let kind = if *on_return { "kretprobe" } else { "kprobe" };
                write!(f, "{kind}.multi on {functions} functions at once")
            }
            Mechanism::Kretprobe { redbpf } => write!(
                f,
                "perf kretprobe{}, which may lose returns of calls under way together",
                by(redbpf)
            ),
            Mechanism::Tracepoint => f.write_str("tracepoint"),
            Mechanism::RawTracepoint => f.write_str("raw tracepoint"),
            Mechanism::Sampled { cpus } => write!(f, "perf samples on {cpus} CPUs"),
            Mechanism::Uprobe => f.write_str("perf uprobe"),
            Mechanism::Uretprobe => f.write_str("perf uretprobe"),
            Mechanism::TracefsKretprobe { maxactive } => {
                write!(f, "tracefs kretprobe maxactive={maxactive}")
            }
        }
    }
}

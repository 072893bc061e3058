//! Why a script cannot be loaded, attached or read, in words a person can act on.

use super::sys::errno_name;
use crate::image::{MapKind, MapSpec};
use crate::kernel::{FunctionFact, Kernel, features};
use crate::plan::Planned;
use crate::span::Span;
use std::fmt::Write as _;
use std::io;

/// What stopped a script on its way into the kernel.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The kernel does not let this process use bpf(2).
    #[error(
        "not allowed to {action} ({}): run as root (CAP_BPF and CAP_PERFMON do where all probes become fentry or fexit)",
        errno_of(.source)
    )]
    NotPermitted {
        /// What was tried, as a verb: `create map "start"`.
        action: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// This kernel was built without kprobes, or without what fentry and fexit rest on.
    #[error("this kernel has no {what}, which `{probe}` needs; {available}")]
    Lacking {
        /// What it does not have: `kprobes`, `fentry`.
        what: &'static str,
        /// The attach point that cannot be.
        probe: String,
        /// What it does have, as a clause.
        available: String,
        /// The attach point in the script.
        span: Option<Span>,
    },
    /// No such function, or one that cannot be probed.
    #[error("no function `{function}` to probe in this kernel{}", did_you_mean(.suggestions))]
    UnknownFunction {
        /// The name in the script.
        function: String,
        /// Near names, best first.
        suggestions: Vec<String>,
        /// The attach point in the script.
        span: Option<Span>,
    },
    /// A map could not be created.
    #[error(
        "cannot create map \"{name}\" ({kind:?}, {max_entries} keys of {key_size} bytes, values of {value_size} bytes \
         on each of {cpus} CPUs, about {}): {}{}",
        size(*.bytes), describe(.source), map_help(.source)
    )]
    Map {
        /// The map's name in the kernel.
        name: String,
        /// Its kind.
        kind: MapKind,
        /// Keys it was to hold, or bytes of a ring buffer.
        max_entries: u32,
        /// Bytes of a key.
        key_size: u32,
        /// Bytes of a value on one CPU.
        value_size: u32,
        /// CPUs with a value of their own.
        cpus: usize,
        /// About how much memory it would take.
        bytes: u64,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The verifier, or the kernel before it, refused a program.
    #[error("{}", refusal(.program, .source, .log, *.insn))]
    Refused {
        /// The attach point it is for, or its name in the kernel where it has none.
        program: String,
        /// The verifier's last lines, without its statistics; empty if it said nothing.
        log: Vec<String>,
        /// The instruction the log ends at.
        insn: Option<usize>,
        /// The place in the script that instruction comes from.
        span: Option<Span>,
        /// Whether the program was a kprobe or kretprobe lowered to fentry or fexit.
        lowered: bool,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A kprobe past the end of its function: the kernel would quietly put it into another one.
    #[error("`{probe}` is past the end of the function, which is {function_bytes} bytes long")]
    PastEnd {
        /// The attach point.
        probe: String,
        /// Bytes of the function.
        function_bytes: u64,
        /// The attach point in the script.
        span: Option<Span>,
    },
    /// A loaded program could not be attached.
    #[error("cannot attach `{probe}` {by}: {}{hint}", describe(.source))]
    Attach {
        /// The attach point.
        probe: String,
        /// By which means, e.g. `by a kprobe`.
        by: String,
        /// What that may mean, with its punctuation; may be empty.
        hint: &'static str,
        /// Whether it was a kprobe or kretprobe lowered to fentry or fexit.
        lowered: bool,
        /// The attach point in the script.
        span: Option<Span>,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A program that user space runs could not be run.
    #[error("cannot run program \"{program}\": {}", describe(.source))]
    Run {
        /// The program's name.
        program: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A map could not be read, cleared or watched.
    #[error("cannot {action} map \"{map}\": {}", describe(.source))]
    Access {
        /// What was tried, as a verb.
        action: &'static str,
        /// The map's name.
        map: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A file the kernel or the system should have is missing or unreadable.
    #[error("cannot {action} {path}: {}", describe(.source))]
    File {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file.
        path: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The loader asked for cannot do what the script needs.
    #[error("the {loader} loader cannot load {what}; use the other one, or let it be chosen")]
    Unsupported {
        /// Name of the loader.
        loader: &'static str,
        /// What it cannot.
        what: String,
    },
    /// The image contradicts itself: a defect of the compiler, not of the script.
    #[error("internal error in the compiled script: {0}")]
    Image(String),
}

impl LoadError {
    /// A map that could not be created.
    pub(crate) fn map(spec: &MapSpec, source: io::Error) -> LoadError {
        if source.raw_os_error() == Some(libc::EPERM) {
            return LoadError::NotPermitted {
                action: format!("create map \"{}\"", spec.name),
                source,
            };
        }
        let cpus = if spec.kind.is_percpu() {
            super::sys::possible_cpus().unwrap_or(1)
        } else {
            1
        };
        let entry = u64::from(spec.key_size) + u64::from(spec.value_size) * cpus as u64;
        LoadError::Map {
            name: spec.name.clone(),
            kind: spec.kind,
            max_entries: spec.max_entries,
            key_size: spec.key_size,
            value_size: spec.value_size,
            cpus,
            bytes: u64::from(spec.max_entries) * entry.max(1),
            source,
        }
    }

    /// The same about a map by the script's name for it, if it has one there.
    pub(crate) fn of_map(mut self, script_name: Option<&str>) -> LoadError {
        let called = script_name.map_or("for the script's events", |_| "map");
        match (&mut self, script_name) {
            (LoadError::NotPermitted { action, .. }, Some(name)) => {
                *action = format!("create {called} `{name}`");
            }
            (LoadError::NotPermitted { action, .. }, None) => {
                *action = format!("create a map {called}");
            }
            (LoadError::Map { name, .. }, Some(script_name)) => *name = script_name.to_owned(),
            _ => {}
        }
        self
    }

    /// The same about a program by the attach point it was compiled for, which stands for it in the script.
    pub(crate) fn of_probe(mut self, planned: &Planned) -> LoadError {
        match &mut self {
            // Who may load programs of other kinds has the rights; the kernel says EPERM all the same.
            LoadError::NotPermitted { .. }
                if planned.point.is_trampoline() && features::may_load() =>
            {
                return LoadError::Lacking {
                    what: "fentry",
                    probe: planned.probe.clone(),
                    available: features::attachable(),
                    span: Some(planned.span),
                };
            }
            LoadError::NotPermitted { action, .. } => {
                *action = format!("load the program of `{}`", planned.probe);
            }
            LoadError::Refused { program, span, .. } => {
                planned.probe.clone_into(program);
                span.get_or_insert(planned.span);
            }
            _ => {}
        }
        self
    }

    /// The place in the script that is to blame, if one is.
    pub fn span(&self) -> Option<Span> {
        match self {
            LoadError::Lacking { span, .. }
            | LoadError::UnknownFunction { span, .. }
            | LoadError::Refused { span, .. }
            | LoadError::PastEnd { span, .. }
            | LoadError::Attach { span, .. } => *span,
            _ => None,
        }
    }

    /// Whether the script may load if it is compiled again with lowering to fentry and fexit turned off.
    pub fn may_load_without_lowering(&self) -> bool {
        matches!(
            self,
            LoadError::Refused { lowered: true, .. } | LoadError::Attach { lowered: true, .. }
        )
    }

    /// Whether the verifier gave up on a program because of its length or its branches.
    pub fn is_too_long(&self) -> bool {
        match self {
            LoadError::Refused { source, log, .. } => gave_up(source, log),
            _ => false,
        }
    }

    /// Adds near names to [`LoadError::UnknownFunction`] where the kernel's list has some.
    #[must_use]
    pub fn with_suggestions(mut self, kernel: &dyn Kernel) -> LoadError {
        if let LoadError::UnknownFunction {
            function,
            suggestions,
            ..
        } = &mut self
            && let FunctionFact::Absent(near) = kernel.function(function)
        {
            *suggestions = near;
        }
        self
    }

    /// The kernel's error number behind this, if there is one.
    pub fn errno(&self) -> Option<i32> {
        match self {
            LoadError::NotPermitted { source, .. }
            | LoadError::Map { source, .. }
            | LoadError::Refused { source, .. }
            | LoadError::Attach { source, .. }
            | LoadError::Run { source, .. }
            | LoadError::Access { source, .. }
            | LoadError::File { source, .. } => source.raw_os_error(),
            _ => None,
        }
    }
}

fn errno_of(error: &io::Error) -> String {
    error
        .raw_os_error()
        .map_or_else(|| error.to_string(), errno_name)
}

/// `EINVAL: Invalid argument` for the kernel's answers, the text alone for our own.
fn describe(error: &io::Error) -> String {
    let Some(errno) = error.raw_os_error() else {
        return error.to_string();
    };
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    format!("{}: {text}", errno_name(errno))
}

fn map_help(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::E2BIG | libc::ENOMEM) => "; allow it fewer keys",
        _ => "",
    }
}

fn did_you_mean(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => format!("; did you mean `{one}`?"),
        [rest @ .., last] => {
            let rest = rest.iter().map(|name| format!("`{name}`"));
            format!(
                "; did you mean {} or `{last}`?",
                rest.collect::<Vec<_>>().join(", ")
            )
        }
    }
}

fn gave_up(source: &io::Error, log: &[String]) -> bool {
    let about = ["too many", "too large", "too complex", "complexity"];
    source.raw_os_error() == Some(libc::E2BIG)
        || log
            .iter()
            .any(|line| about.iter().any(|text| line.contains(text)))
}

fn refusal(program: &str, source: &io::Error, log: &[String], insn: Option<usize>) -> String {
    let mut text = format!(
        "the kernel refused program \"{program}\" ({})",
        describe(source)
    );
    if gave_up(source, log) {
        text = format!(
            "the kernel gave up on \"{program}\": too many paths through it ({}); simplify it: fewer conditions (`if`, \
             `?:`, `&&`, `||`) one after another, or several probes",
            describe(source)
        );
    }
    text + &log_text(log, insn)
}

fn log_text(log: &[String], insn: Option<usize>) -> String {
    let mut text = String::new();
    if let Some(insn) = insn {
        let _ = write!(text, " at instruction {insn}");
    }
    if !log.is_empty() {
        text.push_str("; the verifier's last lines:");
    }
    for line in log {
        let _ = write!(text, "\n    {line}");
    }
    text
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{} KiB", bytes >> 10),
        1_048_576..1_073_741_824 => format!("{} MiB", bytes >> 20),
        1_073_741_824..1_099_511_627_776 => {
            format!("{:.1} GiB", bytes as f64 / (1u64 << 30) as f64)
        }
        _ => format!("{:.1} TiB", bytes as f64 / (1u64 << 40) as f64),
    }
}

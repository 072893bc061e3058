//! Names of the language: the built-ins there are, and those still to come.

use super::hir::{Builtin, Type, Unit};
use super::shape::Shape;

/// The built-in value of a name.
pub(super) fn builtin(name: &str) -> Option<Builtin> {
    Some(match name {
        "pid" => Builtin::Pid,
        "tid" => Builtin::Tid,
        "comm" => Builtin::Comm,
        "nsecs" => Builtin::Nsecs,
        "elapsed" => Builtin::Elapsed,
        "cpu" => Builtin::Cpu,
        "curtask" => Builtin::Curtask,
        "retval" => Builtin::Retval,
        "func" => Builtin::Func,
        "probe" => Builtin::Probe,
        "uid" => Builtin::Uid,
        "gid" => Builtin::Gid,
        "cgroup" => Builtin::Cgroup,
        "rand" => Builtin::Rand,
        "ncpus" => Builtin::Ncpus,
        "jiffies" => Builtin::Jiffies,
        "numaid" => Builtin::Numaid,
        _ => match name.strip_prefix("arg")?.as_bytes() {
            [digit @ b'0'..=b'5'] => Builtin::Arg(digit - b'0'),
            _ => return None,
        },
    })
}

/// Built-ins that can be named in a suggestion.
pub(super) const BUILTINS: [&str; 23] = [
    "curtask", "uid", "gid", "cgroup", "rand", "ncpus", "jiffies", "numaid", "pid", "tid", "comm",
    "nsecs", "elapsed", "cpu", "retval", "func", "probe", "arg0", "arg1", "arg2", "arg3", "arg4",
    "arg5",
];

/// Built-ins of bpftrace that are still to come.
pub(super) const LATER_BUILTINS: [&str; 7] = [
    "args",
    "stack",
    "__builtin_cpu",
    "cpid",
    "pgid",
    "syscall",
    "self",
];

/// Functions there are.
pub(super) const FUNCTIONS: [&str; 25] = [
    "cdf", "slo", "rate", "assert", "fail", "printf", "print", "clear", "zero", "delete", "exit",
    "count", "sum", "avg", "min", "max", "stats", "hist", "lhist", "summary", "us", "ms", "ns",
    "s", "bytes",
];

/// Functions of bpftrace, and of ours, that are still to come.
pub(super) const LATER_FUNCTIONS: [&str; 14] = [
    "uaddr",
    "strstr",
    "strcap",
    "override",
    "path",
    "unwatch",
    "tseries",
    "find",
    "container_of",
    "skboutput",
    "pid",
    "tid",
    "exec_name",
    "debugf",
];

/// Whether there is a function of this name.
pub(super) fn is_function(name: &str) -> bool {
    FUNCTIONS.contains(&name) || super::functions::names().any(|known| known == name)
}

/// The shape of a built-in's value. Only sizes and signs that bpftrace gives them: a return value is unsigned there too.
pub(super) fn builtin_shape(builtin: Builtin) -> Shape {
    match builtin {
        Builtin::Comm => Shape::Is(Type::Str { capacity: 16 }),
        Builtin::Func | Builtin::Probe => Shape::Is(Type::Name),
        Builtin::Pid
        | Builtin::Tid
        | Builtin::Nsecs
        | Builtin::Elapsed
        | Builtin::Cpu
        | Builtin::Curtask
        | Builtin::Context
        | Builtin::Arg(_)
        | Builtin::Uid
        | Builtin::Gid
        | Builtin::Cgroup
        | Builtin::Rand
        | Builtin::Ncpus
        | Builtin::Jiffies
        | Builtin::Numaid
        | Builtin::Monotonic
        | Builtin::Tai
        | Builtin::Register(_)
        | Builtin::Retval => Shape::UNSIGNED,
    }
}

/// The unit a conversion function gives, and what it divides by.
pub(super) fn unit(name: &str) -> Option<(Unit, u64)> {
    Some(match name {
        "ns" => (Unit::Ns, 1),
        "us" => (Unit::Us, 1_000),
        "ms" => (Unit::Ms, 1_000_000),
        "s" => (Unit::S, 1_000_000_000),
        "bytes" => (Unit::Bytes, 1),
        _ => return None,
    })
}

/// How a built-in is written.
pub(super) fn builtin_name(builtin: Builtin) -> String {
    match builtin {
        Builtin::Arg(n) => format!("arg{n}"),
        Builtin::Pid => "pid".into(),
        Builtin::Tid => "tid".into(),
        Builtin::Comm => "comm".into(),
        Builtin::Nsecs => "nsecs".into(),
        Builtin::Elapsed => "elapsed".into(),
        Builtin::Cpu => "cpu".into(),
        Builtin::Curtask => "curtask".into(),
        Builtin::Context => "args".into(),
        Builtin::Retval => "retval".into(),
        Builtin::Func => "func".into(),
        Builtin::Probe => "probe".into(),
        Builtin::Uid => "uid".into(),
        Builtin::Gid => "gid".into(),
        Builtin::Cgroup => "cgroup".into(),
        Builtin::Rand => "rand".into(),
        Builtin::Ncpus => "ncpus".into(),
        Builtin::Jiffies => "jiffies".into(),
        Builtin::Numaid => "numaid".into(),
        Builtin::Monotonic => "nsecs(monotonic)".into(),
        Builtin::Tai => "nsecs(tai)".into(),
        Builtin::Register(offset) => format!("reg({offset})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_builtin_is_found_by_its_name() {
        for name in BUILTINS {
            let found = builtin(name).unwrap();
            assert_eq!(builtin_name(found), name);
        }
        for name in LATER_BUILTINS.iter().chain(&["arg", "arg10", "arg-1", ""]) {
            assert_eq!(builtin(name), None, "{name}");
        }
    }

    #[test]
    fn nothing_is_both_there_and_to_come() {
        assert!(FUNCTIONS.iter().all(|name| !LATER_FUNCTIONS.contains(name)));
        assert!(BUILTINS.iter().all(|name| !LATER_BUILTINS.contains(name)));
    }
}

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
        _ => match name.strip_prefix("arg")?.as_bytes() {
            [digit @ b'0'..=b'5'] => Builtin::Arg(digit - b'0'),
            _ => return None,
        },
    })
}

/// Built-ins that can be named in a suggestion.
pub(super) const BUILTINS: [&str; 16] = [
    "curtask", "pid", "tid", "comm", "nsecs", "elapsed", "cpu", "retval", "func", "probe", "arg0",
    "arg1", "arg2", "arg3", "arg4", "arg5",
];

/// Built-ins of bpftrace that are still to come.
pub(super) const LATER_BUILTINS: [&str; 25] = [
    "args",
    "kstack",
    "ustack",
    "uid",
    "gid",
    "euid",
    "egid",
    "username",
    "cgroup",
    "rand",
    "ncpus",
    "ppid",
    "pcomm",
    "jiffies",
    "ctx",
    "usermode",
    "numaid",
    "sarg0",
    "sarg1",
    "stack",
    "__builtin_cpu",
    "cpid",
    "pgid",
    "syscall",
    "self",
];

/// Functions there are.
pub(super) const FUNCTIONS: [&str; 21] = [
    "printf", "print", "clear", "zero", "delete", "exit", "count", "sum", "avg", "min", "max",
    "stats", "hist", "lhist", "summary", "str", "us", "ms", "ns", "s", "bytes",
];

/// Functions of bpftrace, and of ours, that are still to come.
pub(super) const LATER_FUNCTIONS: [&str; 62] = [
    "has_key",
    "len",
    "time",
    "strftime",
    "cat",
    "join",
    "system",
    "ntop",
    "pton",
    "bswap",
    "macaddr",
    "socket_cookie",
    "buf",
    "kptr",
    "uptr",
    "kaddr",
    "uaddr",
    "ksym",
    "usym",
    "strncmp",
    "strcontains",
    "strstr",
    "strlen",
    "strcap",
    "memcmp",
    "reg",
    "strerror",
    "syscall_name",
    "signal_name",
    "signal",
    "override",
    "cgroupid",
    "cgroup_path",
    "kstack",
    "ustack",
    "path",
    "unwatch",
    "nsecs",
    "tseries",
    "cdf",
    "slo",
    "rate",
    "flow",
    "cidr",
    "port",
    "ntohs",
    "ntohl",
    "htons",
    "htonl",
    "getopt",
    "assert",
    "errorf",
    "warnf",
    "fail",
    "find",
    "is_err",
    "container_of",
    "skboutput",
    "pid",
    "tid",
    "exec_name",
    "debugf",
];

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

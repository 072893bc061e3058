//! `list`: what can be probed on this kernel.

use crate::cli::args::ListArgs;
use crate::cli::exit::Exit;
use crate::cli::script::complain;

/// Kinds of probes on functions, and kinds that have a fixed form.
const ON_FUNCTIONS: [&str; 2] = ["kprobe", "kretprobe"];
const FIXED: [&str; 3] = ["begin", "end", "interval:s:1"];

/// Runs `list`.
pub(super) fn main(args: &ListArgs) -> Exit {
    let pattern = args.pattern.as_deref().unwrap_or("*");
    let (kinds, functions) = pattern.split_once(':').unwrap_or(("kprobe", pattern));
    let kernel = crate::cli::this_kernel();
    let mut lines = Vec::new();
    if args.pattern.is_none() {
        lines.extend(FIXED.map(|name| format!("{name}\n")));
    }
    let kinds: Vec<&str> = ON_FUNCTIONS
        .into_iter()
        .filter(|kind| matches_kind(kinds, kind))
        .collect();
    if kinds.is_empty() {
        complain(&format!(
            "no probe kind matches `{pattern}`; probes on functions are kprobe:NAME and kretprobe:NAME"
        ));
        return Exit::Failure;
    }
    #[cfg(feature = "kernel")]
    if !crate::load::sys::has_kprobe_source() && !crate::kernel::running::has_ftrace() {
        // The symbol table has functions all the same; none of them can be probed.
        let shown = crate::cli::print(lines.concat().as_bytes());
        complain("this kernel has no kprobes, so none of its functions can be probed");
        return match shown {
            Ok(()) => Exit::Failure,
            Err(exit) => exit,
        };
    }
    let Some(names) = kernel.matching_functions(functions) else {
        complain(
            "this kernel's functions cannot be listed: neither tracefs nor /proc/kallsyms can be read; run as root",
        );
        return Exit::Failure;
    };
    for kind in kinds {
        lines.extend(names.iter().map(|name| format!("{kind}:{name}\n")));
    }
    if lines.is_empty() {
        complain(&format!("nothing matches `{pattern}`"));
        return Exit::Failure;
    }
    match crate::cli::print(lines.concat().as_bytes()) {
        Ok(()) => Exit::Ok,
        Err(exit) => exit,
    }
}

/// Whether the part before the colon means this kind: its name, a short name, or a glob of the name.
fn matches_kind(written: &str, kind: &str) -> bool {
    let short = match kind {
        "kprobe" => "k",
        _ => "kr",
    };
    written == kind || written == short || written == "*" || {
        let stem = written.trim_end_matches('*');
        stem.len() < written.len() && kind.starts_with(stem)
    }
}

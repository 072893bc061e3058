//! `fentry:FUNCTION` and `fexit:FUNCTION`: on entry to and return from a kernel function, by a trampoline.

use super::functions;
use super::{Point, Provider, Request};
use crate::diagnostic::Diagnostic;
use crate::kernel::Prototype;
use crate::sema::hir::{Builtin, PointKind};
use crate::span::Span;

pub(super) static FENTRY: Provider = Provider {
    name: "fentry",
    aliases: &["f", "kfunc"],
    usage: "fentry:FUNCTION or fentry:MODULE:FUNCTION",
    filtered_by_pid: true,
    allows: |builtin| builtin != Builtin::Retval,
    expand: |request| {
        expand(request, |function, args| PointKind::Fentry {
            function,
            args,
        })
    },
};

pub(super) static FEXIT: Provider = Provider {
    name: "fexit",
    aliases: &["fr", "kretfunc"],
    usage: "fexit:FUNCTION or fexit:MODULE:FUNCTION",
    filtered_by_pid: true,
    allows: |_| true,
    expand: |request| {
        expand(request, |function, args| PointKind::Fexit {
            function,
            args,
        })
    },
};

fn expand(
    request: &Request<'_>,
    kind: impl Fn(String, u8) -> PointKind,
) -> Result<Vec<Point>, Diagnostic> {
    let (module, name, span) = functions::parts(request)?;
    if name.contains('+') {
        return Err(request.malformed(span, "only a kprobe can have an offset"));
    }
    let pattern = functions::is_pattern(name);
    let known = request.kernel.btf().is_some();
    let mut points = Vec::new();
    for function in functions::matching(request, module, name, span)? {
        let (args, module) = match request.kernel.prototype(&function) {
            Some(Prototype { args, btf_id, .. }) if btf_id.object != 0 => {
                (args, request.kernel.module_of(&function))
            }
            Some(Prototype { args, .. }) => (args, None),
            None if !known => (0, None),
            // Of a wildcard's functions those are taken that can be.
            None if pattern => continue,
            None => return Err(no_prototype(&function, span)),
        };
        points.push(Point {
            probe_name: format!(
                "{}:{}:{function}",
                request.provider.name,
                module.as_deref().unwrap_or("vmlinux")
            ),
            func_name: Some(function.clone()),
            kind: kind(function, args),
        });
    }
    if points.is_empty() {
        return Err(functions::matches_nothing(request, name, span));
    }
    Ok(points)
}

fn no_prototype(function: &str, span: Span) -> Diagnostic {
    Diagnostic::error(
        "E0220",
        span,
        format!("the kernel's BTF does not describe `{function}` well enough for a trampoline"),
    )
    .with_label("no prototype")
    .with_help(format!(
        "it is absent there, there are several of that name, or it takes a structure by value; `kprobe:{function}` may do"
    ))
}

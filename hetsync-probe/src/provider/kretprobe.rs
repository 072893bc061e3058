//! `kretprobe:FUNCTION`: on return from a kernel function.

use super::functions;
use super::{Point, Provider, Request};
use crate::diagnostic::Diagnostic;
use crate::sema::hir::{Builtin, PointKind};

pub(super) static KRETPROBE: Provider = Provider {
    name: "kretprobe",
    aliases: &["kr"],
    usage: "kretprobe:FUNCTION or kretprobe:MODULE:FUNCTION",
    filtered_by_pid: true,
    allows: |builtin| !matches!(builtin, Builtin::Arg(_)),
    expand,
};

fn expand(request: &Request<'_>) -> Result<Vec<Point>, Diagnostic> {
    let (module, written, span) = functions::parts(request)?;
    if written.contains('+') {
        return Err(request.malformed(span, "a return probe cannot have an offset"));
    }
    let point = |function: String| Point {
        probe_name: format!("kretprobe:{function}"),
        func_name: Some(function.clone()),
        kind: PointKind::Kretprobe { function },
    };
    Ok(functions::matching(request, module, written, span)?
        .into_iter()
        .map(point)
        .collect())
}

//! `kretprobe:FUNCTION`: on return from a kernel function.

use super::functions;
use super::{Point, Provider, Request};
use crate::diagnostic::Diagnostic;
use crate::sema::hir::Builtin;

pub(super) static KRETPROBE: Provider = Provider {
    name: "kretprobe",
    aliases: &["kr"],
    usage: "kretprobe:FUNCTION or kretprobe:MODULE:FUNCTION",
    filtered_by_pid: true,
    allows: |builtin| !matches!(builtin, Builtin::Arg(_)),
    expand,
};

fn expand(request: &Request<'_>) -> Result<Vec<Point>, Diagnostic> {
    functions::returns(request, "kretprobe", "a return probe cannot have an offset")
}

//! `latency:FUNCTION`: on return from a kernel function, with what was there on its entry.
//!
//! The points here are the returns; the probe on entry, and what the two keep for each other, are made by `sema::latency`.

use super::functions;
use super::{Point, Provider, Request};
use crate::diagnostic::Diagnostic;
use crate::sema::hir::Builtin;

pub(crate) static LATENCY: Provider = Provider {
    name: "latency",
    aliases: &["lat"],
    usage: "latency:FUNCTION or latency:MODULE:FUNCTION",
    filtered_by_pid: true,
    allows: |builtin| !matches!(builtin, Builtin::Context | Builtin::Register(_)),
    expand,
};

fn expand(request: &Request<'_>) -> Result<Vec<Point>, Diagnostic> {
    functions::returns(request, "latency", "a latency is that of a whole function")
}

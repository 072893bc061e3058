//! `rawtracepoint:NAME`: at a tracepoint, with the arguments the kernel calls it with.

use super::functions::{is_pattern, too_many};
use super::{Point, Provider, Request};
use crate::diagnostic::Diagnostic;
use crate::limits;
use crate::sema::hir::{Builtin, PointKind};
use crate::span::Span;

pub(super) static RAWTRACEPOINT: Provider = Provider {
    name: "rawtracepoint",
    aliases: &["rt"],
    usage: "rawtracepoint:NAME",
    filtered_by_pid: true,
    allows: |builtin| !matches!(builtin, Builtin::Retval | Builtin::Func),
    expand,
};

fn expand(request: &Request<'_>) -> Result<Vec<Point>, Diagnostic> {
    // bpftrace writes a module before the name too; names are the kernel's all the same.
    let (name, span) = match request.parts.as_slice() {
        [(name, span)] | [_, (name, span)] => (name.as_str(), *span),
        _ => return Err(request.malformed(request.span, "a raw tracepoint has one name")),
    };
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '*' | '?');
    if name.is_empty() || name.len() > 128 || !name.chars().all(is_word) {
        return Err(request.malformed(span, format!("`{name}` is no name of a raw tracepoint")));
    }
    let names = match request.kernel.raw_tracepoints("*") {
        Some(all) => among(&all, name, span)?,
        None if is_pattern(name) => {
            return Err(Diagnostic::error(
                "E0219",
                span,
                "a wildcard needs the kernel's BTF, which cannot be read here",
            )
            .with_label("cannot be expanded")
            .with_help("name the tracepoints"));
        }
        None => vec![name.to_owned()],
    };
    let point = |name: String| Point {
        probe_name: format!("rawtracepoint:{name}"),
        func_name: None,
        kind: PointKind::RawTracepoint { name },
    };
    Ok(names.into_iter().map(point).collect())
}

/// Those of the kernel's raw tracepoints that are meant.
fn among(all: &[String], name: &str, span: Span) -> Result<Vec<String>, Diagnostic> {
    let meant = |known: &&String| crate::kernel::glob::matches(name, known);
    let found: Vec<String> = all.iter().filter(meant).cloned().collect();
    if found.len() > limits::ATTACH_POINTS {
        return Err(too_many(span, found.len()));
    }
    if !found.is_empty() {
        return Ok(found);
    }
    if is_pattern(name) {
        return Err(Diagnostic::error(
            "E0218",
            span,
            format!("no raw tracepoint of this kernel matches `{name}`"),
        )
        .with_label("matches nothing")
        .with_help("`hetsync-probe list 'rawtracepoint:*'` shows what there is"));
    }
    let near = crate::kernel::nearest(name, all.iter().map(String::as_str));
    let diagnostic = Diagnostic::error(
        "E0218",
        span,
        format!("this kernel has no raw tracepoint `{name}`"),
    )
    .with_label("not among the kernel's raw tracepoints");
    Err(match near.as_slice() {
        [] => diagnostic.with_help("`hetsync-probe list 'rawtracepoint:*'` shows what there is"),
        near => diagnostic.with_help(format!("did you mean `{}`?", near.join("` or `"))),
    })
}

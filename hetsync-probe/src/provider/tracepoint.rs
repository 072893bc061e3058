//! `tracepoint:CATEGORY:NAME`: at a tracepoint, with its record.

use super::functions::{is_pattern, too_many};
use super::{Point, Provider, Request};
use crate::diagnostic::Diagnostic;
use crate::kernel::tracepoint::Unreadable;
use crate::limits;
use crate::sema::hir::{Builtin, PointKind};
use crate::span::Span;

pub(super) static TRACEPOINT: Provider = Provider {
    name: "tracepoint",
    aliases: &["t"],
    usage: "tracepoint:CATEGORY:NAME",
    filtered_by_pid: true,
    allows: |builtin| !matches!(builtin, Builtin::Arg(_) | Builtin::Retval | Builtin::Func),
    expand,
};

fn expand(request: &Request<'_>) -> Result<Vec<Point>, Diagnostic> {
    let [(category, first), (name, last)] = request.parts.as_slice() else {
        return Err(request.malformed(request.span, "a tracepoint has a category and a name"));
    };
    let span = first.to(*last);
    for (part, span) in &request.parts {
        let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '*' | '?');
        if part.is_empty() || part.len() > 512 || !part.chars().all(is_word) {
            return Err(request.malformed(*span, format!("`{part}` is no name of a tracepoint")));
        }
    }
    let found = if is_pattern(category) || is_pattern(name) {
        matching(request, &format!("{category}:{name}"), span)?
    } else {
        known(request, category, name, span)?;
        vec![format!("{category}:{name}")]
    };
    let point = |found: &String| {
        let (category, name) = found.split_once(':')?;
        Some(Point {
            kind: PointKind::Tracepoint {
                category: category.to_owned(),
                name: name.to_owned(),
            },
            probe_name: format!("tracepoint:{found}"),
            func_name: None,
        })
    };
    Ok(found.iter().filter_map(point).collect())
}

/// Whether there is a tracepoint of this name, as far as the kernel is known.
fn known(request: &Request<'_>, category: &str, name: &str, span: Span) -> Result<(), Diagnostic> {
    match request.kernel.tracepoint(category, name) {
        Ok(Some(_)) | Err(Unreadable::NoKernel) => Ok(()),
        Ok(None) => {
            let all = request.kernel.tracepoints("*").unwrap_or_default();
            let written = format!("{category}:{name}");
            let near = crate::kernel::nearest(&written, all.iter().map(String::as_str));
            let diagnostic = Diagnostic::error(
                "E0218",
                span,
                format!("this kernel has no tracepoint `{written}`"),
            )
            .with_label("not among the kernel's tracepoints");
            Err(match near.as_slice() {
                [] => diagnostic.with_help(
                    "its module may not be loaded; `hetsync-probe list 'tracepoint:*'` shows what there is",
                ),
                near => diagnostic.with_help(format!("did you mean `{}`?", near.join("` or `"))),
            })
        }
        Err(unreadable) => Err(Diagnostic::error(
            "E0219",
            span,
            "the kernel's tracepoints cannot be looked at here",
        )
        .with_label("not known whether there is one")
        .with_help(unreadable.to_string())),
    }
}

fn matching(request: &Request<'_>, pattern: &str, span: Span) -> Result<Vec<String>, Diagnostic> {
    match request.kernel.tracepoints(pattern) {
        Ok(found) if found.is_empty() => Err(Diagnostic::error(
            "E0218",
            span,
            format!("no tracepoint of this kernel matches `{pattern}`"),
        )
        .with_label("matches nothing")
        .with_help("`hetsync-probe list 'tracepoint:*'` shows what there is")),
        Ok(found) if found.len() > limits::ATTACH_POINTS => Err(too_many(span, found.len())),
        Ok(found) => Ok(found),
        Err(unreadable) => Err(Diagnostic::error(
            "E0219",
            span,
            "a wildcard needs the kernel's list of tracepoints, which cannot be read here",
        )
        .with_label("cannot be expanded")
        .with_help(unreadable.to_string())),
    }
}

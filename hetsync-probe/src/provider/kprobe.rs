//! `kprobe:FUNCTION[+OFFSET]`: on entry to a kernel function, or some bytes into it.

use super::functions;
use super::{Point, Provider, Request};
use crate::diagnostic::Diagnostic;
use crate::sema::hir::{Builtin, PointKind};
use crate::syntax;

pub(super) static KPROBE: Provider = Provider {
    name: "kprobe",
    aliases: &["k"],
    usage: "kprobe:FUNCTION[+OFFSET] or kprobe:MODULE:FUNCTION[+OFFSET]",
    filtered_by_pid: true,
    allows: |builtin| builtin != Builtin::Retval,
    expand,
};

fn expand(request: &Request<'_>) -> Result<Vec<Point>, Diagnostic> {
    let (module, written, span) = functions::parts(request)?;
    let Some((name, offset_text)) = written.split_once('+') else {
        return Ok(functions::matching(request, module, written, span)?
            .into_iter()
            .map(|function| point(function, 0))
            .collect());
    };
    let offset = syntax::integer(offset_text).map_err(|problem| {
        request.malformed(span, format!("`{offset_text}` is no offset: {problem}"))
    })?;
    if functions::is_pattern(name) {
        return Err(request.malformed(span, "a wildcard cannot have an offset"));
    }
    Ok(functions::matching(request, module, name, span)?
        .into_iter()
        .map(|function| point(function, offset))
        .collect())
}

fn point(function: String, offset: u64) -> Point {
    let suffix = if offset == 0 {
        String::new()
    } else {
        format!("+{offset}")
    };
    Point {
        probe_name: format!("kprobe:{function}{suffix}"),
        func_name: Some(function.clone()),
        kind: PointKind::Kprobe { function, offset },
    }
}

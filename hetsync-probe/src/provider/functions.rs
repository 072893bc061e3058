//! Names and patterns of kernel functions in attach points.

use super::{Point, Request};
use crate::diagnostic::Diagnostic;
use crate::kernel::{FunctionFact, glob};
use crate::limits;
use crate::sema::hir::PointKind;
use crate::span::Span;

/// Module, if one is written, and function of an attach point.
pub(super) fn parts<'a>(
    request: &'a Request<'_>,
) -> Result<(Option<&'a str>, &'a str, Span), Diagnostic> {
    match request.parts.as_slice() {
        [(name, span)] if !name.is_empty() => Ok((None, name, *span)),
        [(module, first), (name, span)] if !module.is_empty() && !name.is_empty() => {
            let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '*' | '?');
            if !module.chars().all(is_word) {
                return Err(request.malformed(*first, format!("`{module}` is no module's name")));
            }
            Ok((Some(module), name, *span))
        }
        _ => Err(request.malformed(
            request.span,
            format!("a `{}` needs one function", request.provider.name),
        )),
    }
}

/// Whether a name has wildcards.
pub(super) fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?'])
}

/// The points of a provider at the returns of whole functions; `offset` is the answer to who names a place in one.
pub(super) fn returns(
    request: &Request<'_>,
    provider: &str,
    offset: &'static str,
) -> Result<Vec<Point>, Diagnostic> {
    let (module, written, span) = parts(request)?;
    if written.contains('+') {
        return Err(request.malformed(span, offset));
    }
    let point = |function: String| Point {
        probe_name: format!("{provider}:{function}"),
        func_name: Some(function.clone()),
        kind: PointKind::Kretprobe { function },
    };
    let functions = matching(request, module, written, span)?;
    Ok(functions.into_iter().map(point).collect())
}

/// The functions a name or pattern stands for, as far as the kernel is known; at least one.
pub(super) fn matching(
    request: &Request<'_>,
    module: Option<&str>,
    name: &str,
    span: Span,
) -> Result<Vec<String>, Diagnostic> {
    let mut found = named(request, name, span)?;
    // A function that is named is tried all the same: its kprobe may become fentry, which goes where kprobes may not.
    if is_pattern(name) && matches!(request.provider.name, "kprobe" | "kretprobe" | "latency") {
        let before = found.len();
        found.retain(|function| !request.kernel.is_forbidden(function));
        request.forbidden.set(before - found.len());
        if found.is_empty() {
            return Err(matches_nothing(request, name, span)
                .with_help("the kernel forbids kprobes in all functions that match"));
        }
    }
    if let Some(module) = module {
        // Where nothing is known of modules nothing speaks against this one.
        found.retain(|function| {
            let of = request.kernel.module_of(function);
            of.is_none_or(|of| glob::matches(module, &of))
        });
        if found.is_empty() {
            return Err(Diagnostic::error(
                "E0204",
                request.span,
                format!("`{name}` is not in the module `{module}`"),
            )
            .with_label("not in that module, or it is not loaded")
            .with_help("the kernel's own functions are in `vmlinux`; the module may be left out"));
        }
    }
    if found.len() > limits::ATTACH_POINTS {
        return Err(too_many(span, found.len()));
    }
    Ok(found)
}

fn named(request: &Request<'_>, name: &str, span: Span) -> Result<Vec<String>, Diagnostic> {
    let is_symbol = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '$' | '*' | '?');
    if let Some(bad) = name.chars().find(|c| !is_symbol(*c)) {
        return Err(request.malformed(span, format!("`{bad}` cannot be part of a function's name")));
    }
    if name.is_empty() || name.len() > 512 {
        return Err(request.malformed(span, "a function's name has 1 to 512 characters"));
    }
    if is_pattern(name) {
        return matching_pattern(request, name, span);
    }
    match request.kernel.function(name) {
        FunctionFact::Present | FunctionFact::Unknown => Ok(vec![name.into()]),
        FunctionFact::Absent(near) => {
            let diagnostic = Diagnostic::error(
                "E0204",
                span,
                format!("this kernel has no function `{name}` to probe"),
            )
            .with_label("not in the kernel's list of probeable functions");
            Err(match near.as_slice() {
                [] => diagnostic.with_help("it may be inlined, or its module is not loaded; `hetsync-probe list` shows what there is"),
                near => diagnostic.with_help(format!("did you mean `{}`?", near.join("` or `"))),
            })
        }
    }
}

fn matching_pattern(
    request: &Request<'_>,
    pattern: &str,
    span: Span,
) -> Result<Vec<String>, Diagnostic> {
    match request.kernel.matching_functions(pattern) {
        None => Err(Diagnostic::error(
            "E0206",
            span,
            "a wildcard needs the kernel's list of functions, which cannot be read here",
        )
        .with_label("cannot be expanded")
        .with_help(
            "run as root with tracefs mounted at /sys/kernel/tracing, or name the functions",
        )),
        Some(found) if found.is_empty() => Err(matches_nothing(request, pattern, span)),
        Some(found) => Ok(found),
    }
}

/// No function matches a pattern.
pub(super) fn matches_nothing(request: &Request<'_>, pattern: &str, span: Span) -> Diagnostic {
    Diagnostic::error(
        "E0205",
        span,
        format!("no function of this kernel matches `{pattern}`"),
    )
    .with_label("matches nothing")
    .with_help(format!(
        "`hetsync-probe list '{}:*'` shows what there is",
        if request.provider.name.starts_with('f') {
            "fentry"
        } else {
            "kprobe"
        }
    ))
}

/// More attach points than a script may have.
pub(crate) fn too_many(span: Span, found: usize) -> Diagnostic {
    Diagnostic::error(
        "E0207",
        span,
        format!(
            "{found} attach points; the limit is {}",
            limits::ATTACH_POINTS
        ),
    )
    .with_label("this goes over the limit")
    .with_help("narrow the wildcard, e.g. `tcp_*` instead of `*`")
}

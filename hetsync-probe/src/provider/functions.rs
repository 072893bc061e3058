//! Names and patterns of kernel functions in attach points.

use super::Request;
use crate::diagnostic::Diagnostic;
use crate::kernel::FunctionFact;
use crate::limits;
use crate::span::Span;

/// The one part an attach point of a function has.
pub(super) fn only_part<'a>(request: &'a Request<'_>) -> Result<(&'a str, Span), Diagnostic> {
    match request.parts.as_slice() {
        [(name, span)] if !name.is_empty() => Ok((name, *span)),
        [_, (_, span)] => Err(Diagnostic::error(
            "E0202",
            request.parts[0].1.to(*span),
            "a module before the function is not supported yet",
        )
        .with_label("not supported yet")
        .with_help("leave the module out; the function is found without it")),
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

/// The functions a name or pattern stands for, as far as the kernel is known; at least one.
pub(super) fn matching(
    request: &Request<'_>,
    name: &str,
    span: Span,
) -> Result<Vec<String>, Diagnostic> {
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
        Some(found) if found.is_empty() => Err(Diagnostic::error(
            "E0205",
            span,
            format!("no function of this kernel matches `{pattern}`"),
        )
        .with_label("matches nothing")
        .with_help("`hetsync-probe list 'kprobe:*'` shows what there is")),
        Some(found) if found.len() > limits::ATTACH_POINTS => Err(too_many(span, found.len())),
        Some(found) => Ok(found),
    }
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

//! `uprobe:FILE:FUNCTION[+OFFSET]` and `uretprobe:FILE:FUNCTION`: in functions of programs and libraries.

use super::functions::{is_pattern, too_many};
use super::{Point, Provider, Request};
use crate::diagnostic::Diagnostic;
use crate::kernel::elf::{self, ElfFunction};
use crate::kernel::{glob, nearest};
use crate::limits;
use crate::sema::hir::{Builtin, PointKind};
use crate::span::Span;
use crate::syntax;

pub(super) static UPROBE: Provider = Provider {
    name: "uprobe",
    aliases: &["u"],
    usage: "uprobe:FILE:FUNCTION[+OFFSET] or uprobe:FILE:0xADDRESS",
    filtered_by_pid: true,
    allows: |builtin| builtin != Builtin::Retval,
    expand: |request| expand(request, false),
};

pub(super) static URETPROBE: Provider = Provider {
    name: "uretprobe",
    aliases: &["ur"],
    usage: "uretprobe:FILE:FUNCTION",
    filtered_by_pid: true,
    allows: |builtin| !matches!(builtin, Builtin::Arg(_)),
    expand: |request| expand(request, true),
};

fn expand(request: &Request<'_>, on_return: bool) -> Result<Vec<Point>, Diagnostic> {
    let [(file, file_span), (written, span)] = request.parts.as_slice() else {
        return Err(request.malformed(request.span, "a file and a function are needed"));
    };
    if file.is_empty() || written.is_empty() {
        return Err(request.malformed(request.span, "a file and a function are needed"));
    }
    let path = elf::find(file)
        .and_then(|path| path.into_os_string().into_string().ok())
        .ok_or_else(|| {
            Diagnostic::error(
                "E0225",
                *file_span,
                format!("there is no file `{file}` to probe"),
            )
            .with_label("no such file")
            .with_help(
                "give its path, a program on the search path, or a library's name such as `libc`",
            )
        })?;
    let (name, offset) = match written.split_once('+') {
        Some(_) if on_return => {
            return Err(request.malformed(*span, "a return probe cannot have an offset"));
        }
        Some((name, offset)) => (name, number(request, offset, *span)?),
        None => (written.as_str(), 0),
    };
    let known = elf::functions(path.as_ref()).map_err(|error| {
        Diagnostic::error("E0225", *file_span, error.to_string()).with_label("cannot be probed")
    })?;
    // An address is that of an instruction; what function it is in does not matter.
    if name.starts_with("0x") && offset == 0 {
        let address = number(request, name, *span)?;
        return Ok(vec![point(
            request, file, written, &path, address, on_return,
        )]);
    }
    let found: Vec<&ElfFunction> = match is_pattern(name) {
        true => (known.iter())
            .filter(|known| glob::matches(name, &known.name))
            .collect(),
        false => (known.iter()).filter(|known| known.name == name).collect(),
    };
    if found.is_empty() {
        return Err(unknown(file, name, &known, *span));
    }
    if found.len() > limits::ATTACH_POINTS {
        return Err(too_many(*span, found.len()));
    }
    if let Some(short) = found
        .iter()
        .find(|known| known.bytes != 0 && offset >= known.bytes)
    {
        return Err(request.malformed(
            *span,
            format!("`{}` is only {} bytes long", short.name, short.bytes),
        ));
    }
    let suffix = written[name.len()..].to_owned();
    let points = found.into_iter().map(|known| {
        let shown = format!("{}{suffix}", known.name);
        let at = known.offset.saturating_add(offset);
        point(request, file, &shown, &path, at, on_return)
    });
    Ok(points.collect())
}

fn number(request: &Request<'_>, text: &str, span: Span) -> Result<u64, Diagnostic> {
    syntax::integer(text)
        .map_err(|problem| request.malformed(span, format!("`{text}` is no offset: {problem}")))
}

fn unknown(file: &str, name: &str, known: &[ElfFunction], span: Span) -> Diagnostic {
    let diagnostic = Diagnostic::error("E0225", span, format!("`{file}` has no function `{name}`"))
        .with_label("not in its symbol tables");
    let near = nearest(name, known.iter().map(|known| known.name.as_str()));
    match near.as_slice() {
        [] if known.is_empty() => diagnostic.with_help(
            "the file has no symbols of functions; probe an address: `uprobe:FILE:0xADDRESS`",
        ),
        [] => diagnostic,
        near => diagnostic.with_help(format!("did you mean `{}`?", near.join("` or `"))),
    }
}

fn point(
    request: &Request<'_>,
    file: &str,
    shown: &str,
    path: &str,
    offset: u64,
    on_return: bool,
) -> Point {
    let path = path.to_owned();
    Point {
        probe_name: format!("{}:{file}:{shown}", request.provider.name),
        func_name: Some(shown.to_owned()),
        kind: match on_return {
            false => PointKind::Uprobe { path, offset },
            true => PointKind::Uretprobe { path, offset },
        },
    }
}

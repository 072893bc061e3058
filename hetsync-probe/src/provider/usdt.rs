//! `usdt:FILE:PROVIDER:NAME`: at markers that programs have for tracing.

use std::collections::BTreeSet;

use super::functions::{is_pattern, too_many};
use super::{Point, Provider, Request};
use crate::diagnostic::Diagnostic;
use crate::kernel::usdt::{self, Marker};
use crate::kernel::{elf, glob, nearest};
use crate::limits;
use crate::sema::hir::{Builtin, PointKind};
use crate::span::Span;

pub(super) static USDT: Provider = Provider {
    name: "usdt",
    aliases: &["U"],
    usage: "usdt:FILE:PROVIDER:NAME or usdt:FILE:NAME or, with -p, usdt::PROVIDER:NAME",
    filtered_by_pid: true,
    allows: |builtin| !matches!(builtin, Builtin::Retval | Builtin::Func),
    expand,
};

/// A file with its markers.
struct File {
    /// As it is named in the probe's name.
    written: String,
    path: String,
    markers: Vec<Marker>,
}

fn expand(request: &Request<'_>) -> Result<Vec<Point>, Diagnostic> {
    let ((file, file_span), provider, (name, span)) = match request.parts.as_slice() {
        [file, name] => (file, "*", name),
        [file, (provider, _), name] => (file, provider.as_str(), name),
        _ => {
            return Err(request.malformed(request.span, "a file, a provider and a name are needed"));
        }
    };
    let provider = if provider.is_empty() { "*" } else { provider };
    if name.is_empty() {
        return Err(request.malformed(*span, "a marker has a name"));
    }
    let files = match file.as_str() {
        "" | "*" => of_process(request, *file_span)?,
        file => vec![of_file(file, *file_span)?],
    };
    let matches = |marker: &&Marker| {
        glob::matches(provider, &marker.provider) && glob::matches(name, &marker.name)
    };
    let found: Vec<Point> = (files.iter())
        .flat_map(|file| {
            let markers = file.markers.iter().filter(matches);
            markers.map(move |marker| point(file, marker))
        })
        .collect();
    if found.is_empty() {
        return Err(unknown(&files, provider, name, *span));
    }
    if found.len() > limits::ATTACH_POINTS {
        return Err(too_many(*span, found.len()));
    }
    Ok(found)
}

fn of_file(written: &str, span: Span) -> Result<File, Diagnostic> {
    let missing =
        |message: String, label: &str| Diagnostic::error("E0225", span, message).with_label(label);
    let path =
        elf::find(written)
            .and_then(|path| path.into_os_string().into_string().ok())
            .ok_or_else(|| {
                missing(format!("there is no file `{written}` to probe"), "no such file").with_help(
                "give its path, a program on the search path, or a library's name such as `libc`",
            )
            })?;
    let markers = usdt::markers(path.as_ref())
        .map_err(|error| missing(error.to_string(), "cannot be probed"))?;
    Ok(File {
        written: written.to_owned(),
        path,
        markers,
    })
}

/// The files a process has mapped that have markers.
fn of_process(request: &Request<'_>, span: Span) -> Result<Vec<File>, Diagnostic> {
    let Some(pid) = request.pid else {
        return Err(request
            .malformed(span, "a marker without a file is looked for in a process")
            .with_label("which process?")
            .with_help("name the process with `-p PID`, or write the file"));
    };
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).map_err(|error| {
        Diagnostic::error(
            "E0225",
            span,
            format!("the files of process {pid} cannot be looked at: {error}"),
        )
    })?;
    let paths: BTreeSet<&str> = (maps.lines())
        .filter_map(|line| line.find('/').map(|at| &line[at..]))
        .collect();
    let files = paths.into_iter().filter_map(|path| {
        // The process may have another root than we have.
        let path = format!("/proc/{pid}/root{path}");
        let real = std::fs::canonicalize(&path).ok()?;
        let path = real.into_os_string().into_string().ok()?;
        let markers = usdt::markers(path.as_ref()).ok()?;
        Some(File {
            written: path.clone(),
            path,
            markers,
        })
    });
    Ok(files.filter(|file| !file.markers.is_empty()).collect())
}

fn unknown(files: &[File], provider: &str, name: &str, span: Span) -> Diagnostic {
    let what = match provider {
        "*" => name.to_owned(),
        provider => format!("{provider}:{name}"),
    };
    let of = match files {
        [file] => format!("`{}` has no marker `{what}`", file.written),
        _ => format!("none of the process's files has a marker `{what}`"),
    };
    let diagnostic = Diagnostic::error("E0225", span, of).with_label("no such marker");
    let known: BTreeSet<&str> = (files.iter().flat_map(|file| &file.markers))
        .map(|marker| marker.name.as_str())
        .collect();
    if known.is_empty() {
        return diagnostic.with_help("there are no markers at all: nothing in `.note.stapsdt`");
    }
    match nearest(name, known.iter().copied()).as_slice() {
        near if near.is_empty() || is_pattern(name) => {
            let some: Vec<&str> = known.into_iter().take(8).collect();
            diagnostic.with_help(format!("there are `{}`", some.join("`, `")))
        }
        near => diagnostic.with_help(format!("did you mean `{}`?", near.join("` or `"))),
    }
}

fn point(file: &File, marker: &Marker) -> Point {
    Point {
        probe_name: format!("usdt:{}:{}:{}", file.written, marker.provider, marker.name),
        func_name: None,
        kind: PointKind::Usdt {
            path: file.path.clone(),
            offset: marker.offset,
            semaphore: marker.semaphore,
            args: marker.args.clone(),
        },
    }
}

//! One probe kind per file: how its attach points are written and what is allowed in its body.
//!
//! A new kind is one file with one [`Provider`] and one line in [`ALL`]. Kinds of bpftrace that are
//! still to come are in [`LATER`], so that they get a message of their own.

#![expect(
    clippy::result_large_err,
    reason = "a mistake ends the compilation; its size costs nothing"
)]

mod begin_end;
mod fentry;
mod functions;
pub(crate) use functions::too_many;
mod interval;
mod kprobe;
mod kretprobe;
mod latency;
mod rawtracepoint;
mod sampled;
mod tracepoint;
mod uprobe;
mod usdt;
pub(crate) use latency::LATENCY;
pub(crate) use sampled::{HARDWARE_EVENTS, SOFTWARE_EVENTS};

use std::cell::Cell;

use crate::diagnostic::{Diagnostic, suggest};
use crate::kernel::Kernel;
use crate::sema::hir::{Builtin, PointKind};
use crate::span::Span;
use crate::syntax::ast;

/// A kind of probe.
#[derive(Debug)]
pub struct Provider {
    /// Its full name, as the built-in `probe` shows it.
    pub name: &'static str,
    /// Other spellings.
    pub aliases: &'static [&'static str],
    /// How an attach point is written; several ways stand between ` or `.
    pub usage: &'static str,
    /// Whether `-p PID` restricts it.
    pub filtered_by_pid: bool,
    /// Whether a built-in has a meaning in its body.
    pub allows: fn(Builtin) -> bool,
    /// Turns one written attach point into those it stands for.
    expand: fn(&Request<'_>) -> Result<Vec<Point>, Diagnostic>,
}

impl Provider {
    /// How its attach points are written, as a help line.
    fn help(&self) -> String {
        let usage = self.usage.replace(" or ", "` or `");
        format!("`{}` probes are written `{usage}`", self.name)
    }
}

/// One place to attach to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    /// What fires it.
    pub kind: PointKind,
    /// The value of the built-in `probe`.
    pub probe_name: String,
    /// The value of the built-in `func`; none where there is no function.
    pub func_name: Option<String>,
}

/// Every kind there is.
pub static ALL: [&Provider; 16] = [
    &begin_end::BEGIN,
    &begin_end::END,
    &kprobe::KPROBE,
    &kretprobe::KRETPROBE,
    &interval::INTERVAL,
    &fentry::FENTRY,
    &fentry::FEXIT,
    &tracepoint::TRACEPOINT,
    &rawtracepoint::RAWTRACEPOINT,
    &sampled::PROFILE,
    &sampled::SOFTWARE,
    &sampled::HARDWARE,
    &uprobe::UPROBE,
    &uprobe::URETPROBE,
    &usdt::USDT,
    &latency::LATENCY,
];

/// Kinds of bpftrace that are still to come, each with its short names.
pub const LATER: [&[&str]; 9] = [
    &["iter", "it"],
    &["watchpoint", "w"],
    &["asyncwatchpoint", "aw"],
    &["self"],
    &["bench"],
    &["test"],
    &["ksyscall"],
    &["kretsyscall"],
    &["xdp"],
];

/// A written attach point, split at its colons.
struct Request<'a> {
    /// The kind, to name it in messages.
    provider: &'static Provider,
    /// What stands behind the kind.
    parts: Vec<(String, Span)>,
    /// The whole attach point.
    span: Span,
    kernel: &'a dyn Kernel,
    /// The process that probes are restricted to.
    pid: Option<u32>,
    /// How many functions a pattern matches that the kernel forbids to probe.
    forbidden: Cell<usize>,
}

impl Request<'_> {
    /// A mistake in how the attach point is written.
    fn malformed(&self, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error("E0203", span, message).with_help(self.provider.help())
    }
}

/// What an attach point stands for.
#[derive(Debug)]
pub struct Resolved {
    /// Its kind.
    pub provider: &'static Provider,
    /// The places, at least one.
    pub points: Vec<Point>,
    /// How many more there would be if the kernel did not forbid to probe them.
    pub forbidden: usize,
}

/// Reads one attach point: its kind and the places it stands for. `$1`.. in it are replaced first; `pid` is the process that
/// probes are restricted to.
pub fn resolve(
    point: &ast::AttachPoint,
    params: &[String],
    kernel: &dyn Kernel,
    pid: Option<u32>,
) -> Result<Resolved, Diagnostic> {
    let mut pieces = Vec::new();
    let mut at = point.span.start as usize;
    for piece in point.text.split(':') {
        let span = Span::new(at, at + piece.len());
        pieces.push((substitute(piece, span, params)?, span));
        at += piece.len() + 1;
    }
    let (kind, kind_span) = pieces.remove(0);
    let provider = find(&kind, kind_span)?;
    let request = Request {
        provider,
        parts: pieces,
        span: point.span,
        kernel,
        pid,
        forbidden: Cell::new(0),
    };
    let points = (provider.expand)(&request)?;
    Ok(Resolved {
        provider,
        points,
        forbidden: request.forbidden.get(),
    })
}

fn find(kind: &str, span: Span) -> Result<&'static Provider, Diagnostic> {
    let named =
        |provider: &&&'static Provider| provider.name == kind || provider.aliases.contains(&kind);
    if let Some(provider) = ALL.iter().find(named) {
        return Ok(provider);
    }
    if let Some(names) = LATER.iter().find(|names| names.contains(&kind)) {
        return Err(Diagnostic::error(
            "E0202",
            span,
            format!("`{}` probes are not supported yet", names[0]),
        )
        .with_label("not supported yet")
        .with_help(format!("supported kinds: {}", kinds())));
    }
    let known = ALL
        .iter()
        .flat_map(|provider| std::iter::once(&provider.name).chain(provider.aliases));
    let diagnostic = Diagnostic::error("E0201", span, format!("there is no probe kind `{kind}`"))
        .with_label("unknown probe kind");
    Err(
        match suggest::nearest(kind, known.copied().filter(|name| name.len() > 2)) {
            Some(name) => diagnostic.with_help(format!("did you mean `{name}`?")),
            None => diagnostic.with_help(format!("probe kinds: {}", kinds())),
        },
    )
}

/// Every kind by name, for messages.
fn kinds() -> String {
    ALL.map(|provider| provider.name).join(", ")
}

/// Replaces `$1`.. by the script's parameters.
fn substitute(text: &str, span: Span, params: &[String]) -> Result<String, Diagnostic> {
    let mut result = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        result.push_str(&rest[..at]);
        let digits = rest[at + 1..]
            .bytes()
            .take_while(u8::is_ascii_digit)
            .count();
        let number = &rest[at + 1..at + 1 + digits];
        rest = &rest[at + 1 + digits..];
        if number.is_empty() {
            return Err(Diagnostic::error(
                "E0203",
                span,
                "a `$` in an attach point names a parameter by its number",
            )
            .with_help("write `$1`; variables have no value before the script runs"));
        }
        let index = number.parse::<usize>().ok().and_then(|n| n.checked_sub(1));
        match index.and_then(|index| params.get(index)) {
            Some(param) => result.push_str(param),
            None => {
                return Err(Diagnostic::error(
                    "E0217",
                    span,
                    format!(
                        "this attach point needs the parameter `${number}`, which was not given"
                    ),
                )
                .with_help("give the script's parameters behind its name on the command line"));
            }
        }
    }
    result.push_str(rest);
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_spelling_names_two_kinds() {
        let mut seen = std::collections::HashSet::new();
        for provider in ALL {
            assert!(seen.insert(provider.name));
            assert!(provider.aliases.iter().all(|alias| seen.insert(alias)));
        }
        for names in LATER {
            assert!(names.iter().all(|name| seen.insert(name)));
        }
    }

    #[test]
    fn parameters_are_put_in() {
        let params = ["tcp".to_string(), "5".to_string()];
        let put = |text| substitute(text, Span::default(), &params);
        assert_eq!(put("$1_send*").unwrap(), "tcp_send*");
        assert_eq!(put("a$2").unwrap(), "a5");
        assert!(put("$3").is_err());
        assert!(put("$0").is_err());
        assert!(put("$").is_err());
    }
}

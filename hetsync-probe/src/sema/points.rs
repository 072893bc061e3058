//! Attach points of the whole script, found once: they do not depend on types.

use std::rc::Rc;

use super::Options;
use super::functions::params::positional;
use super::hir::Missing;
use crate::diagnostic::{Diagnostic, Severity};
use crate::limits;
use crate::provider::{self, Point, Provider};
use crate::span::Span;
use crate::syntax::ast;

/// What the attach points of a script stand for.
#[derive(Default)]
pub(super) struct Resolved {
    /// Of each probe, its written attach points that are sound.
    pub(super) probes: Vec<Rc<[Written]>>,
    pub(super) diagnostics: Vec<Diagnostic>,
}

/// One written attach point.
#[derive(Clone)]
pub(super) struct Written {
    pub(super) provider: &'static Provider,
    pub(super) points: Vec<Point>,
    pub(super) span: Span,
}

/// Codes of attach points that are well written and not there on this kernel or in this file.
const ABSENT: [&str; 4] = ["E0204", "E0205", "E0218", "E0225"];

pub(super) fn resolve(
    script: &ast::Script,
    options: &Options<'_>,
    on_missing: Missing,
) -> Resolved {
    let mut resolved = Resolved::default();
    let mut total = 0;
    // Something must be left to attach, whatever may be missing.
    let mut last = None;
    let params: Vec<String> = positional(&options.params).cloned().collect();
    for probe in &script.probes {
        let mut written = Vec::new();
        let mut absent = Vec::new();
        for point in &probe.points {
            match provider::resolve(point, &params, options.kernel, options.pid_filter) {
                Ok(provider::Resolved {
                    provider,
                    points,
                    forbidden,
                }) => {
                    if forbidden > 0 {
                        resolved.diagnostics.push(not_probed(point.span, forbidden));
                    }
                    let before = total;
                    total += points.len();
                    if before <= limits::ATTACH_POINTS && total > limits::ATTACH_POINTS {
                        resolved
                            .diagnostics
                            .push(provider::too_many(point.span, total));
                    }
                    if total <= limits::ATTACH_POINTS {
                        written.push(Written {
                            provider,
                            points,
                            span: point.span,
                        });
                    }
                }
                Err(diagnostic) if ABSENT.contains(&diagnostic.code) => absent.push(diagnostic),
                Err(diagnostic) => resolved.diagnostics.push(diagnostic),
            }
        }
        last = absent.last().cloned().or(last);
        let told = absent.into_iter().map(|diagnostic| match on_missing {
            Missing::Ignore => None,
            Missing::WarnAlways => Some(left_out(diagnostic)),
            Missing::Warn if !written.is_empty() => Some(left_out(diagnostic)),
            Missing::Warn | Missing::Error => Some(diagnostic),
        });
        resolved.diagnostics.extend(told.flatten());
        resolved.probes.push(written.into());
    }
    if let Some(missing) = last
        && total == 0
        && !resolved.diagnostics.iter().any(Diagnostic::is_error)
    {
        resolved.diagnostics.push(missing);
    }
    resolved
}

/// The warning that a point is left out, from the error that it is not there.
fn left_out(error: Diagnostic) -> Diagnostic {
    Diagnostic {
        message: format!("{}: the attach point is left out", error.message),
        code: "W0008",
        severity: Severity::Warning,
        ..error
    }
}

/// Functions that match a pattern and are left out.
fn not_probed(span: Span, forbidden: usize) -> Diagnostic {
    let functions = match forbidden {
        1 => "one function that matches is left out".to_owned(),
        many => format!("{many} functions that match are left out"),
    };
    Diagnostic::warning("W0009", span, functions)
        .with_label("the kernel forbids kprobes in them")
        .with_help("they are listed in /sys/kernel/debug/kprobes/blacklist")
}

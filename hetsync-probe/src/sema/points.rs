//! Attach points of the whole script, found once: they do not depend on types.

use super::Options;
use crate::diagnostic::Diagnostic;
use crate::limits;
use crate::provider::{self, Point, Provider};
use crate::span::Span;
use crate::syntax::ast;

/// What the attach points of a script stand for.
#[derive(Default)]
pub(super) struct Resolved {
    /// Of each probe, its written attach points that are sound.
    pub(super) probes: Vec<Vec<Written>>,
    pub(super) diagnostics: Vec<Diagnostic>,
}

/// One written attach point.
pub(super) struct Written {
    pub(super) provider: &'static Provider,
    pub(super) points: Vec<Point>,
    pub(super) span: Span,
}

pub(super) fn resolve(script: &ast::Script, options: &Options<'_>) -> Resolved {
    let mut resolved = Resolved::default();
    let mut total = 0;
    for probe in &script.probes {
        let mut written = Vec::new();
        for point in &probe.points {
            match provider::resolve(point, &options.params, options.kernel) {
                Ok((provider, points)) => {
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
                Err(diagnostic) => resolved.diagnostics.push(diagnostic),
            }
        }
        resolved.probes.push(written);
    }
    resolved
}

//! What the grammar reads and the checker does not know yet: refused by name, at its place.

use crate::diagnostic::Diagnostic;
use crate::span::Span;
use crate::syntax::ast::ExprKind;

/// "`what` not supported yet"; `what` comes with its verb.
fn unsupported(what: &str, span: Span) -> Diagnostic {
    Diagnostic::error("E0109", span, format!("{what} not supported yet"))
        .with_label("not supported yet")
}

/// An expression.
pub(super) fn expr(kind: &ExprKind, span: Span) -> Diagnostic {
    let what = match kind {
        ExprKind::Ternary { .. } => "the short form `a ?: b` is",
        ExprKind::Type(_) => "a type as an argument is",
        _ => "this expression is",
    };
    unsupported(what, span)
}
